//! Who calls, and where.

use axum::http::HeaderMap;

use crate::actions::outside::{KeyVerdict, Place};
use crate::world::{DEFAULT_ACCOUNT, DEFAULT_REGION};

/// The account, region and principal of a call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub(super) account: String,
    pub(super) region: String,
    pub(super) principal: String,
    /// What the front of the local stack found out about the keys that the call needs.
    pub(super) keys: KeyVerdict,
}

impl Caller {
    /// What the headers say; else what the signature's scope says: a twelve-digit access key is an account.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let header = |name| {
            headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .filter(|text| !text.is_empty())
        };
        let scope: Vec<&str> = header("authorization")
            .and_then(|text| text.split("Credential=").nth(1))
            .map(|text| {
                text.split([',', ' '])
                    .next()
                    .unwrap_or_default()
                    .split('/')
                    .collect()
            })
            .unwrap_or_default();
        let key = scope.first().copied().filter(|key| is_account(key));
        Self {
            account: header("x-sim-account")
                .or(key)
                .unwrap_or(DEFAULT_ACCOUNT)
                .to_owned(),
            region: header("x-sim-region")
                .or(scope.get(2).copied())
                .unwrap_or(DEFAULT_REGION)
                .to_owned(),
            principal: header("x-sim-principal").unwrap_or("root").to_owned(),
            keys: match (header("x-sim-key-problem"), header("x-sim-key-checked")) {
                (Some(problem), _) => KeyVerdict::Problem(problem.to_owned()),
                (None, Some("true")) => KeyVerdict::Usable,
                (None, _) => KeyVerdict::Unknown,
            },
        }
    }

    pub(super) fn place(&self) -> Place<'_> {
        Place {
            account: &self.account,
            region: &self.region,
            keys: &self.keys,
        }
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(headers: &[(&'static str, &str)]) -> Caller {
        let headers = headers.iter().map(|(name, value)| {
            (
                name.parse::<axum::http::HeaderName>().unwrap(),
                value.parse::<axum::http::HeaderValue>().unwrap(),
            )
        });
        Caller::of(&headers.collect())
    }

    #[test]
    fn is_read_from_the_signature_and_from_headers_before_it() {
        let signature = "AWS4-HMAC-SHA256 Credential=111122223333/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host";
        let signed = caller(&[("authorization", signature)]);
        assert_eq!(
            (signed.account.as_str(), signed.region.as_str()),
            ("111122223333", "eu-west-1")
        );
        let forwarded = caller(&[
            ("authorization", signature),
            ("x-sim-account", "444455556666"),
            ("x-sim-region", "us-west-2"),
            ("x-sim-principal", "role/x"),
        ]);
        assert_eq!(forwarded.account, "444455556666");
        assert_eq!(
            (forwarded.region.as_str(), forwarded.principal.as_str()),
            ("us-west-2", "role/x")
        );
    }

    #[test]
    fn brings_what_the_front_says_of_keys() {
        let problem = ("x-sim-key-problem", "The key is disabled");
        let checked = ("x-sim-key-checked", "true");
        assert_eq!(caller(&[]).keys, KeyVerdict::Unknown);
        assert_eq!(caller(&[checked]).keys, KeyVerdict::Usable);
        let expected = KeyVerdict::Problem("The key is disabled".to_owned());
        assert_eq!(caller(&[problem, checked]).keys, expected);
    }

    #[test]
    fn is_the_default_account_without_an_account_number() {
        assert_eq!(caller(&[]).account, DEFAULT_ACCOUNT);
        let key = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/ec2/aws4_request";
        assert_eq!(caller(&[("authorization", key)]).account, DEFAULT_ACCOUNT);
    }
}
