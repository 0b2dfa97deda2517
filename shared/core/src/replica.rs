//! Where copies of a recovery point go. A plan states it, copy-region carries it out.

use crate::archive::{Archive, validate_archive};
use crate::failure::InvalidField;
use crate::retention_rule::{RetentionRule, validate_rules};
use crate::selection::{TagFilter, validate_tag_filters};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

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
    /// The ARN of the KMS key in the destination that encrypts the copies. Needed with `account`; without both, copies
    /// of encrypted snapshots are under the destination's default key, and others stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kms_key_arn: Option<String>,
    /// Rules of the replica's own, at most 5; the plan's where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    pub retention: Vec<RetentionRule>,
    /// Only backups of instances that match all of these filters; every backup where the list is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub only_tags: Vec<TagFilter>,
    /// A lock on every copy, which nobody can delete while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// Moves the copies of points that stay long to the archive tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Hours after which copies that are not complete count as failed (1 to 720).
    #[serde(default = "three_days")]
    #[schemars(range(min = 1, max = 720))]
    pub deadline_hours: u32,
}

fn three_days() -> u32 {
    72
}

/// A lock on copies: EC2 refuses to delete a locked snapshot, whoever asks.
///
/// Retention defers what is locked and lets it go when the lock has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    /// Who may lift it.
    pub mode: LockMode,
    /// For how many days (1 to 36,500).
    #[schemars(range(min = 1, max = 36_500))]
    pub days: u32,
    /// Hours in which a compliance lock can still be lifted (1 to 72); none where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 72))]
    pub cool_off_hours: Option<u32>,
}

/// Who may lift a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LockMode {
    /// Whoever has the right to unlock snapshots.
    Governance,
    /// Nobody, once the cool-off is over.
    Compliance,
}

/// One place where copies lie: an account and a region.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Destination {
    /// The account that owns the copies.
    pub account_id: String,
    /// The region they lie in.
    pub region: String,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in account {}", self.region, self.account_id)
    }
}

impl Destination {
    /// The bucket that holds the catalog of what `source_account` has copied here; the vault template makes it.
    ///
    /// With both accounts and the region in it, no two vaults share a name.
    #[must_use]
    pub fn bucket(&self, source_account: &str) -> String {
        format!(
            "holdfast-vault-{}-{}-{source_account}",
            self.account_id, self.region
        )
    }
}

impl Replica {
    /// Where the copies go, for a plan of `own_account`.
    #[must_use]
    pub fn destination(&self, own_account: &str) -> Destination {
        let account = self.account.as_ref().map(|account| account.account_id.as_str());
        Destination {
            account_id: account.unwrap_or(own_account).to_owned(),
            region: self.region.clone(),
        }
    }

    /// The rules that the replica is kept by.
    #[must_use]
    pub fn rules<'a>(&'a self, of_plan: &'a [RetentionRule]) -> &'a [RetentionRule] {
        if self.retention.is_empty() {
            of_plan
        } else {
            &self.retention
        }
    }
}

/// Another account that owns copies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaAccount {
    /// The account's twelve digits.
    #[schemars(regex(pattern = "^[0-9]{12}$"))]
    pub account_id: String,
    /// The role in that account that makes the copies. Its name begins with `holdfast-vault-`, as that of the role that
    /// `infra/vault-account.yaml` makes.
    pub role_arn: String,
    /// The external id that the role asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

/// What the roles of vaults are called; Holdfast may assume no others.
pub const ROLE_PREFIX: &str = "holdfast-vault-";

/// Checks a plan's destinations, each on its own and that no two are the same. `plan_rules` are the plan's own.
#[must_use]
pub fn validate_replicas(
    field: &str,
    replicas: &[Replica],
    plan_rules: &[RetentionRule],
) -> Vec<InvalidField> {
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
        problems.extend(validate_key(&at, replica));
        if let Some(lock) = &replica.lock {
            problems.extend(validate_lock(&format!("{at}.lock"), lock));
        }
        if let Some(archive) = &replica.archive {
            problems.extend(validate_archive(
                &format!("{at}.archive"),
                archive,
                replica.rules(plan_rules),
            ));
        }
        if !(1..=720).contains(&replica.deadline_hours) {
            problems.push(InvalidField::new(
                format!("{at}.deadline_hours"),
                format!("{} is not allowed; give 1 to 720", replica.deadline_hours),
            ));
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

fn validate_key(at: &str, replica: &Replica) -> Option<InvalidField> {
    let field = format!("{at}.kms_key_arn");
    let region = &replica.region;
    let account = replica
        .account
        .as_ref()
        .map(|account| account.account_id.as_str());
    let Some(key) = &replica.kms_key_arn else {
        return account.map(|account| {
            let problem = format!(
                "missing; copies in another account are under a key of its own, \
                 arn:aws:kms:{region}:{account}:key/<id>"
            );
            InvalidField::new(field, problem)
        });
    };
    let parts: Vec<&str> = key.splitn(6, ':').collect();
    let fits = match parts.as_slice() {
        ["arn", _, "kms", key_region, key_account, name] => {
            key_region == region
                && account.is_none_or(|account| account == *key_account)
                && name.strip_prefix("key/").is_some_and(|id| !id.is_empty())
        }
        _ => false,
    };
    (!fits).then(|| {
        let account = account.unwrap_or("<account>");
        let problem = format!(
            "{key:?} is no key of {region} in account {account}; give arn:aws:kms:{region}:{account}:key/<id>"
        );
        InvalidField::new(field, problem)
    })
}

fn validate_lock(field: &str, lock: &Lock) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    if !(1..=36_500).contains(&lock.days) {
        problems.push(InvalidField::new(
            format!("{field}.days"),
            format!("{} is not allowed; give 1 to 36500", lock.days),
        ));
    }
    let at = format!("{field}.cool_off_hours");
    match (lock.cool_off_hours, lock.mode) {
        (Some(_), LockMode::Governance) => {
            problems.push(InvalidField::new(
                at,
                "only a compliance lock has a cool-off; leave it out",
            ));
        }
        (Some(hours), LockMode::Compliance) if !(1..=72).contains(&hours) => {
            problems.push(InvalidField::new(
                at,
                format!("{hours} is not allowed; give 1 to 72"),
            ));
        }
        _ => {}
    }
    problems
}

/// Checks a plan's destinations against where the plan itself lives, which only a running function knows.
#[must_use]
pub fn validate_replicas_from(field: &str, replicas: &[Replica], own: &Destination) -> Vec<InvalidField> {
    let mut problems = Vec::new();
    for (index, replica) in replicas.iter().enumerate() {
        let at = format!("{field}[{index}]");
        match &replica.account {
            Some(account) if account.account_id == own.account_id => problems.push(InvalidField::new(
                format!("{at}.account.account_id"),
                format!("{} is this account; leave account out", own.account_id),
            )),
            None if replica.region == own.region => problems.push(InvalidField::new(
                format!("{at}.region"),
                format!(
                    "{} is where the plan's own snapshots are; give another region, or an account",
                    own.region
                ),
            )),
            _ => {}
        }
        let key = replica
            .kms_key_arn
            .as_deref()
            .filter(|_| replica.account.is_none());
        if key.is_some_and(|key| key.split(':').nth(4) != Some(own.account_id.as_str())) {
            problems.push(InvalidField::new(
                format!("{at}.kms_key_arn"),
                format!(
                    "a key of another account; give one of {} in account {}",
                    replica.region, own.account_id
                ),
            ));
        }
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
    } else if !account
        .role_arn
        .rsplit('/')
        .next()
        .is_some_and(|name| name.starts_with(ROLE_PREFIX))
    {
        problems.push(InvalidField::new(
            format!("{field}.role_arn"),
            format!(
                "{:?}: the role's name must begin with {ROLE_PREFIX}; infra/vault-account.yaml makes one",
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

    fn replicas(document: Value) -> Vec<Replica> {
        serde_json::from_value(document).unwrap()
    }

    fn names(problems: Vec<InvalidField>) -> Vec<String> {
        problems.into_iter().map(|problem| problem.field).collect()
    }

    const KEY: &str = "arn:aws:kms:eu-central-1:222233334444:key/a";

    fn vault() -> Value {
        json!({"account_id": "222233334444", "role_arn": "arn:aws:iam::222233334444:role/holdfast-vault-1"})
    }

    #[rstest]
    #[case::two_regions(json!([{"region": "eu-central-1"}, {"region": "us-gov-west-1"}]), &[])]
    #[case::one_twice(json!([{"region": "eu-central-1"}, {"region": "eu-central-1"}]), &["replicas[1]"])]
    #[case::no_region(json!([{"region": "eu"}]), &["replicas[0].region"])]
    #[case::bad_account(
        json!([{"region": "eu-central-1", "kms_key_arn": KEY, "account": {"account_id": "12", "role_arn": "x"}}]),
        &["replicas[0].account.account_id", "replicas[0].account.role_arn", "replicas[0].kms_key_arn"]
    )]
    #[case::role_of_another_name(
        json!([{"region": "eu-central-1", "kms_key_arn": KEY, "account":
            {"account_id": "222233334444", "role_arn": "arn:aws:iam::222233334444:role/admin"}}]),
        &["replicas[0].account.role_arn"]
    )]
    #[case::account_and_key(json!([{"region": "eu-central-1", "account": vault(), "kms_key_arn": KEY}]), &[])]
    #[case::account_without_key(
        json!([{"region": "eu-central-1", "account": vault()}]), &["replicas[0].kms_key_arn"]
    )]
    #[case::key_of_another_region(
        json!([{"region": "eu-central-1", "kms_key_arn": "arn:aws:kms:eu-west-1:111122223333:key/a"}]),
        &["replicas[0].kms_key_arn"]
    )]
    #[case::alias_is_no_key(
        json!([{"region": "eu-central-1", "kms_key_arn": "arn:aws:kms:eu-central-1:111122223333:alias/a"}]),
        &["replicas[0].kms_key_arn"]
    )]
    #[case::keeps_nothing(
        json!([{"region": "eu-central-1", "retention": [{"keep": "newest", "count": 0}]}]),
        &["replicas[0].retention[0].count"]
    )]
    #[case::lock(
        json!([{"region": "eu-central-1", "lock": {"mode": "compliance", "days": 30, "cool_off_hours": 24}}]), &[]
    )]
    #[case::endless_lock(
        json!([{"region": "eu-central-1", "lock": {"mode": "governance", "days": 36_501}}]), &["replicas[0].lock.days"]
    )]
    #[case::cool_off_without_compliance(
        json!([{"region": "eu-central-1", "lock": {"mode": "governance", "days": 3, "cool_off_hours": 1}}]),
        &["replicas[0].lock.cool_off_hours"]
    )]
    #[case::archive_of_what_leaves_soon(
        json!([{"region": "eu-central-1", "archive": {"after_days": 2}}]), &["replicas[0].archive"]
    )]
    #[case::deadline(json!([{"region": "eu-central-1", "deadline_hours": 0}]), &["replicas[0].deadline_hours"])]
    fn names_what_cannot_be_taken(#[case] document: Value, #[case] wanted: &[&str]) {
        let rules = [RetentionRule::Daily { count: 7 }];
        let problems = validate_replicas("replicas", &replicas(document), &rules);
        assert_eq!(names(problems), wanted);
    }

    #[rstest]
    #[case::same_region(json!([{"region": "eu-west-1"}]), &["replicas[0].region"])]
    #[case::other_region(json!([{"region": "eu-central-1"}]), &[])]
    #[case::same_region_in_another_account(
        json!([{"region": "eu-west-1", "account": vault(), "kms_key_arn": KEY}]), &[]
    )]
    #[case::own_account_by_name(
        json!([{"region": "eu-central-1", "account":
            {"account_id": "111122223333", "role_arn": "arn:aws:iam::111122223333:role/holdfast-vault-1"}}]),
        &["replicas[0].account.account_id"]
    )]
    #[case::key_of_another_account(json!([{"region": "eu-central-1", "kms_key_arn": KEY}]), &["replicas[0].kms_key_arn"])]
    fn names_what_cannot_be_taken_from_here(#[case] document: Value, #[case] wanted: &[&str]) {
        let own = Destination {
            account_id: "111122223333".to_owned(),
            region: "eu-west-1".to_owned(),
        };
        assert_eq!(
            names(validate_replicas_from("replicas", &replicas(document), &own)),
            wanted
        );
    }

    #[test]
    fn a_vaults_bucket_has_a_name_that_s3_takes() {
        let far = Destination {
            account_id: "222233334444".to_owned(),
            region: "ap-southeast-1".to_owned(),
        };
        assert!(far.bucket("111122223333").len() <= 63);
    }
}
