//! Key ARNs. There are no keys here: a name always gives the same ARN.

use crate::random::{fingerprint, uuid};

const DEFAULT_ALIAS: &str = "alias/aws/ebs";

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
}
