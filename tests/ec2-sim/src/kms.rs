//! Keys: their ARNs, and who can use them. A name always gives the same ARN, and a key that nobody spoke of is there.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::random::{fingerprint, uuid};

/// The key that AWS keeps for EBS.
pub(crate) const DEFAULT_ALIAS: &str = "alias/aws/ebs";

/// How a region of an account encrypts what nobody names a key for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encryption {
    /// Whether it is encrypted without being asked.
    pub(crate) by_default: bool,
    /// The ARN of the key that was chosen in place of AWS's own.
    pub(crate) own_key: Option<String>,
}

impl Encryption {
    /// The ARN of the key.
    pub(crate) fn key(&self, region: &str, account: &str) -> String {
        self.own_key
            .clone()
            .unwrap_or_else(|| default_key(region, account))
    }
}

/// The ARN of the account's default key for EBS in a region.
pub(crate) fn default_key(region: &str, account: &str) -> String {
    key_of_alias(region, account, DEFAULT_ALIAS)
}

/// The ARN of a key that a caller names by ARN, id, alias or alias ARN.
pub(crate) fn key_arn(region: &str, account: &str, named: &str) -> String {
    if let Some((_, alias)) = named.split_once(":alias/") {
        let mut parts = named.split(':').skip(3);
        let region = parts.next().unwrap_or(region);
        let account = parts.next().unwrap_or(account);
        return key_of_alias(region, account, &format!("alias/{alias}"));
    }
    if named.starts_with("arn:") {
        return named.to_owned();
    }
    if named.starts_with("alias/") {
        return key_of_alias(region, account, named);
    }
    format!("arn:aws:kms:{region}:{account}:key/{named}")
}

fn key_of_alias(region: &str, account: &str, alias: &str) -> String {
    let whole = format!("{region}/{account}/{alias}");
    let id = uuid(fingerprint(&whole), fingerprint(alias));
    format!("arn:aws:kms:{region}:{account}:key/{id}")
}

/// What KMS would say of a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeyState {
    #[default]
    Enabled,
    Disabled,
    PendingDeletion,
    Missing,
}

/// A key as a test describes it.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Key {
    pub(crate) state: KeyState,
    /// Accounts beside its own.
    pub(crate) usable_by: BTreeSet<String>,
}

/// The keys of a region that a test spoke of, by ARN. Every other one is enabled, and its own account's alone.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Keys(BTreeMap<String, Key>);

impl Keys {
    pub(crate) fn set(&mut self, arn: String, key: Key) {
        self.0.insert(arn, key);
    }

    /// Whether an account can use the key, whose own account is `owner`.
    pub(crate) fn is_usable(&self, arn: &str, owner: &str, account: &str) -> bool {
        match self.0.get(arn) {
            None => account == owner,
            Some(key) => {
                key.state == KeyState::Enabled && (account == owner || key.usable_by.contains(account))
            }
        }
    }
}

/// The region and the account that a key's ARN names.
pub(crate) fn home(arn: &str) -> Option<(&str, &str)> {
    let mut parts = arn.split(':').skip(3);
    Some((parts.next()?, parts.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_a_key_one_arn_however_it_is_named() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/mrk-1";
        assert_eq!(key_arn("us-east-1", "000000000000", arn), arn);
        assert_eq!(key_arn("eu-west-1", "111122223333", "mrk-1"), arn);
        let alias = "arn:aws:kms:eu-west-1:111122223333:alias/backup";
        assert_eq!(
            key_arn("us-east-1", "000000000000", alias),
            key_arn("eu-west-1", "111122223333", "alias/backup")
        );
        assert_eq!(key_arn("r", "a", "alias/aws/ebs"), default_key("r", "a"));
    }

    #[test]
    fn lets_others_use_a_key_only_when_told() {
        let arn = "arn:aws:kms:us-east-1:111122223333:key/1";
        let mut keys = Keys::default();
        let usable =
            |keys: &Keys| ["111122223333", "222233334444"].map(|by| keys.is_usable(arn, "111122223333", by));
        assert_eq!(home(arn), Some(("us-east-1", "111122223333")));
        assert_eq!(usable(&keys), [true, false]);
        let mut key = Key {
            state: KeyState::Enabled,
            usable_by: BTreeSet::from(["222233334444".to_owned()]),
        };
        keys.set(arn.to_owned(), key.clone());
        assert_eq!(usable(&keys), [true, true]);
        key.state = KeyState::PendingDeletion;
        keys.set(arn.to_owned(), key);
        assert_eq!(usable(&keys), [false, false]);
    }
}
