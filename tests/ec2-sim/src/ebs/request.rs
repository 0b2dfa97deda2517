//! The body of `StartSnapshot`, and the bounds that it keeps to.

use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::actions::Scope;
use crate::params::Params;
use crate::tags::Tags;
use crate::world::snapshot::Snapshot;

use super::EbsError;

const SIZES_GIB: RangeInclusive<i64> = 1..=65_536;
const TIMEOUTS: RangeInclusive<i64> = 10..=4_320;
const USUAL_TIMEOUT: i64 = 60;
const DESCRIPTION_LIMIT: usize = 255;
/// Both are one less here than in EC2.
const KEY_LIMIT: usize = 127;
const VALUE_LIMIT: usize = 255;

/// The body of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Request {
    volume_size: Option<i64>,
    pub(super) parent_snapshot_id: Option<String>,
    tags: Option<Vec<Tag>>,
    description: Option<String>,
    pub(super) client_token: Option<String>,
    encrypted: Option<bool>,
    kms_key_arn: Option<String>,
    timeout: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

impl Request {
    pub(super) fn read(body: &[u8]) -> Result<Self, EbsError> {
        serde_json::from_slice(body).map_err(|error| EbsError::malformed(error.to_string()))
    }

    /// The parameters that were given, by the names of the model.
    pub(super) fn flat(&self) -> Vec<(String, String)> {
        let text = |value: &Option<String>| value.clone();
        let number = |value: &Option<i64>| value.map(|value| value.to_string());
        let plain = [
            ("VolumeSize", number(&self.volume_size)),
            ("ParentSnapshotId", text(&self.parent_snapshot_id)),
            ("Description", text(&self.description)),
            ("ClientToken", text(&self.client_token)),
            ("Encrypted", self.encrypted.map(|value| value.to_string())),
            ("KmsKeyArn", text(&self.kms_key_arn)),
            ("Timeout", number(&self.timeout)),
        ];
        let plain = plain
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let tags = self.tags.iter().flatten().enumerate().flat_map(|(index, tag)| {
            let named = |part: &str, value: &Option<String>| {
                Some((format!("Tag.{}.{part}", index + 1), value.clone()?))
            };
            [named("Key", &tag.key), named("Value", &tag.value)]
                .into_iter()
                .flatten()
        });
        plain.chain(tags).collect()
    }

    pub(super) fn size_gib(&self, parent: Option<&Snapshot>) -> Result<u32, EbsError> {
        let refuse = |message| EbsError::validation("INVALID_VOLUME_SIZE", message);
        let given = self.volume_size.ok_or_else(|| EbsError::missing("VolumeSize"))?;
        let size = within(given, &SIZES_GIB).ok_or_else(|| {
            refuse(format!(
                "A volume has {} to {} GiB, not {given}.",
                SIZES_GIB.start(),
                SIZES_GIB.end()
            ))
        })?;
        match parent {
            Some(parent) if size < parent.size_gib => Err(refuse(format!(
                "The volume size {size} is less than that of the parent '{}', {}.",
                parent.id, parent.size_gib
            ))),
            _ => Ok(size),
        }
    }

    pub(super) fn timeout_minutes(&self) -> Result<u32, EbsError> {
        let given = self.timeout.unwrap_or(USUAL_TIMEOUT);
        within(given, &TIMEOUTS).ok_or_else(|| {
            let (least, most) = (TIMEOUTS.start(), TIMEOUTS.end());
            EbsError::invalid_value(format!("A timeout has {least} to {most} minutes, not {given}."))
        })
    }

    pub(super) fn description(&self) -> Result<String, EbsError> {
        let description = self.description.clone().unwrap_or_default();
        if description.chars().count() > DESCRIPTION_LIMIT {
            let message = format!("A description has at most {DESCRIPTION_LIMIT} characters.");
            return Err(EbsError::invalid_value(message));
        }
        Ok(description)
    }

    /// The key that the snapshot is encrypted with. A child always has its parent's.
    pub(super) fn key(
        &self,
        scope: &Scope<'_>,
        parent: Option<&Snapshot>,
    ) -> Result<Option<String>, EbsError> {
        let encryption = &scope.region.encryption;
        match (parent, self.encrypted, self.kms_key_arn.as_deref()) {
            (Some(parent), None, None) if parent.key.is_none() && encryption.by_default => {
                Err(EbsError::invalid_value(
                    "The parent snapshot is unencrypted, and encryption by default is enabled.",
                ))
            }
            (Some(parent), None, None) => Ok(parent.key.clone()),
            (Some(_), ..) => Err(EbsError::invalid_value(
                "Encrypted and KmsKeyArn cannot be specified together with ParentSnapshotId.",
            )),
            (None, Some(true), None) => Ok(Some(encryption.key(&scope.region.name, scope.account))),
            (None, Some(true), Some(arn)) if is_key_arn(arn) => Ok(Some(arn.to_owned())),
            (None, Some(true), Some(arn)) => Err(EbsError::validation(
                "INVALID_CUSTOMER_KEY",
                format!("'{arn}' is not the ARN of a key."),
            )),
            (None, _, Some(_)) => Err(EbsError::invalid_value(
                "KmsKeyArn can only be specified with Encrypted.",
            )),
            (None, _, None) => Ok(encryption
                .by_default
                .then(|| encryption.key(&scope.region.name, scope.account))),
        }
    }
}

/// The tags of a call, by the rules of EC2 and the shorter lengths of EBS direct.
pub(super) fn read_tags(params: &Params) -> Result<Tags, EbsError> {
    let refuse = |message| EbsError::validation("INVALID_TAG", message);
    let tags = Tags::read(params).map_err(|error| refuse(error.message))?;
    let is_longer = |text: &str, limit| text.chars().count() > limit;
    if tags
        .iter()
        .any(|(key, value)| is_longer(key, KEY_LIMIT) || is_longer(value, VALUE_LIMIT))
    {
        return Err(refuse(format!(
            "A tag's key has at most {KEY_LIMIT} characters, its value {VALUE_LIMIT}."
        )));
    }
    Ok(tags)
}

fn within(value: i64, range: &RangeInclusive<i64>) -> Option<u32> {
    u32::try_from(value).ok().filter(|_| range.contains(&value))
}

fn is_key_arn(text: &str) -> bool {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    matches!(parts.as_slice(), ["arn", partition, "kms", _, account, resource]
        if partition.starts_with("aws")
            && account.len() == 12
            && account.bytes().all(|byte| byte.is_ascii_digit())
            && resource.starts_with("key/"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::ebs::fixture::World;
    use crate::kms;
    use crate::world::{DEFAULT_ACCOUNT, DEFAULT_REGION};

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/1234";

    #[test]
    fn encrypts_when_asked_to() {
        let mut world = World::default();
        let default = kms::default_key(DEFAULT_REGION, DEFAULT_ACCOUNT);
        for (encrypted, arn, expected) in [
            (None, None, Ok(Value::Null)),
            (Some(false), None, Ok(Value::Null)),
            (Some(true), None, Ok(default.into())),
            (Some(true), Some(KEY), Ok(KEY.into())),
            (Some(true), Some("alias/backup"), Err("INVALID_CUSTOMER_KEY")),
            (Some(false), Some(KEY), Err("INVALID_PARAMETER_VALUE")),
            (None, Some(KEY), Err("INVALID_PARAMETER_VALUE")),
        ] {
            let body = json!({ "VolumeSize": 1, "Encrypted": encrypted, "KmsKeyArn": arn });
            let key = world
                .try_start(&body)
                .map(|mut answer| answer["KmsKeyArn"].take());
            assert_eq!(key.map_err(|error| error.reason.unwrap()), expected, "{body}");
        }
    }

    #[test]
    fn refuses_what_is_out_of_bounds() {
        let mut world = World::default();
        let tag = |key: &str, value: &str| json!({ "Key": key, "Value": value });
        for (body, expected) in [
            (json!({}), "INVALID_PARAMETER_VALUE"),
            (json!({ "VolumeSize": 0 }), "INVALID_VOLUME_SIZE"),
            (json!({ "VolumeSize": 65_537 }), "INVALID_VOLUME_SIZE"),
            (
                json!({ "VolumeSize": 1, "Timeout": 9 }),
                "INVALID_PARAMETER_VALUE",
            ),
            (
                json!({ "VolumeSize": 1, "Timeout": 4_321 }),
                "INVALID_PARAMETER_VALUE",
            ),
            (
                json!({ "VolumeSize": 1, "Description": "d".repeat(256) }),
                "INVALID_PARAMETER_VALUE",
            ),
            (
                json!({ "VolumeSize": 1, "Tags": [tag("aws:a", "1")] }),
                "INVALID_TAG",
            ),
            (
                json!({ "VolumeSize": 1, "Tags": [tag("a", "1"), tag("a", "2")] }),
                "INVALID_TAG",
            ),
            (
                json!({ "VolumeSize": 1, "Tags": [tag(&"k".repeat(128), "1")] }),
                "INVALID_TAG",
            ),
            (
                json!({ "VolumeSize": 1, "Tags": [tag("a", &"v".repeat(256))] }),
                "INVALID_TAG",
            ),
        ] {
            let error = world.try_start(&body).unwrap_err();
            assert_eq!(error.reason, Some(expected), "{body}");
            assert!(world.region.snapshots.is_empty(), "{body}");
        }
        let error = world.try_start(&json!({ "VolumeSize": "big" })).unwrap_err();
        assert_eq!(error.code, "SerializationException");
    }
}
