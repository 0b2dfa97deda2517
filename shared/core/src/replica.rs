//! Where copies of a recovery point go. A plan states it; the copy workflow will carry it out.

use crate::failure::InvalidField;
use crate::retention_rule::{RetentionRule, validate_rules};
use crate::selection::{TagFilter, validate_tag_filters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most destinations one plan may have.
pub const MAX_REPLICAS: usize = 5;

/// One destination of a plan's copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Replica {
    /// The destination region, such as `eu-central-1`.
    pub region: String,
    /// The account that is to own the copies; the plan's own account where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<ReplicaAccount>,
    /// The ARN of the KMS key in the destination that encrypts the copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Rules of the replica's own; the plan's where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub retention: Vec<RetentionRule>,
    /// Only backups of instances that match all of these filters; every backup where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub only_tags: Vec<TagFilter>,
}

/// Another account that owns copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaAccount {
    /// The account's twelve digits.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account_id: String,
    /// The role in that account that makes the copies.
    pub role_arn: String,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// Checks a plan's destinations, each on its own and that no two are the same.
#[must_use]
pub fn validate_replicas(field: &str, replicas: &[Replica]) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if replicas.len() > MAX_REPLICAS {
        let found = replicas.len();
        problems.push(InvalidField::new(
            field,
            format!("{found} replicas; at most {MAX_REPLICAS} are allowed"),
        ));
    }
    let place = |replica: &Replica| {
        (
            replica.region.clone(),
            replica.account.as_ref().map(|account| account.account_id.clone()),
        )
    };
    for (index, replica) in replicas.iter().enumerate() {
        let at = format!("{field}[{index}]");
        if !is_region(&replica.region) {
            let problem = format!("{:?} is no region; give one such as eu-central-1", replica.region);
            problems.push(InvalidField::new(format!("{at}.region"), problem));
        }
        if replicas
            .iter()
            .take(index)
            .any(|earlier| place(earlier) == place(replica))
        {
            problems.push(InvalidField::new(
                &at,
                "the same region and account as an earlier replica",
            ));
        }
        if let Some(account) = &replica.account {
            problems.extend(validate_account(&format!("{at}.account"), account));
        }
        if let Some(key) = &replica.kms_key_arn {
            let wanted = format!(":kms:{}:", replica.region);
            if !key.starts_with("arn:") || !key.contains(&wanted) || !key.contains(":key/") {
                problems.push(InvalidField::new(
                    format!("{at}.kms_key_arn"),
                    format!(
                        "{key:?} is no key of {}; give arn:aws:kms:{}:<account>:key/<id>",
                        replica.region, replica.region
                    ),
                ));
            }
        }
        problems.extend(validate_rules(
            &format!("{at}.retention"),
            &replica.retention,
            true,
        ));
        problems.extend(validate_tag_filters(
            &format!("{at}.only_tags"),
            &replica.only_tags,
        ));
    }
    problems
}

fn validate_account(field: &str, account: &ReplicaAccount) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    let id = &account.account_id;
    if id.len() != 12 || !id.bytes().all(|b| b.is_ascii_digit()) {
        problems.push(InvalidField::new(
            format!("{field}.account_id"),
            format!("{id:?} is no account; give 12 digits"),
        ));
    }
    if !account.role_arn.starts_with("arn:") || !account.role_arn.contains(&format!(":iam::{id}:role/")) {
        problems.push(InvalidField::new(
            format!("{field}.role_arn"),
            format!(
                "{:?} is no role of account {id}; give arn:aws:iam::{id}:role/<name>",
                account.role_arn
            ),
        ));
    }
    if account
        .external_id
        .as_ref()
        .is_some_and(|external| !(2..=1224).contains(&external.len()))
    {
        problems.push(InvalidField::new(
            format!("{field}.external_id"),
            "an external id has 2 to 1224 characters",
        ));
    }
    problems
}

fn is_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let Some((number, words)) = parts.split_last() else {
        return false;
    };
    words.len() >= 2
        && words[0].len() == 2
        && words
            .iter()
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase()))
        && number.len() == 1
        && number.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn fields(document: Value) -> Vec<String> {
        let replicas: Vec<Replica> = serde_json::from_value(document).unwrap();
        validate_replicas("replicas", &replicas)
            .into_iter()
            .map(|problem| problem.field)
            .collect()
    }

    #[rstest]
    #[case(json!([{"region": "eu-central-1"}, {"region": "us-gov-west-1"}]), &[])]
    #[case(json!([{"region": "eu-central-1"}, {"region": "eu-central-1"}]), &["replicas[1]"])]
    #[case(json!([{"region": "eu"}]), &["replicas[0].region"])]
    #[case(json!([{"region": "eu-central-1", "account": {"account_id": "12", "role_arn": "x"}}]),
        &["replicas[0].account.account_id", "replicas[0].account.role_arn"])]
    #[case(json!([{"region": "eu-central-1", "kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/a"}]),
        &["replicas[0].kms_key_arn"])]
    #[case(json!([{"region": "eu-central-1", "retention": [{"keep": "newest", "count": 0}]}]),
        &["replicas[0].retention[0].count"])]
    fn names_what_cannot_be_taken(#[case] document: Value, #[case] wanted: &[&str]) {
        assert_eq!(fields(document), wanted);
    }
}
