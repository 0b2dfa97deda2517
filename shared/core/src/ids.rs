//! Identifiers as types, so that a volume can never be passed where a snapshot is meant.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// A text that is not the identifier it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a {kind}: {allowed}")]
pub struct InvalidId {
    /// What the text should have named.
    pub kind: &'static str,
    /// The text as it came.
    pub text: String,
    /// What such an identifier looks like.
    pub allowed: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $pattern:literal, $allowed:literal, $accepts:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(#[schemars(regex(pattern = $pattern))] String);

        impl $name {
            /// The identifier as AWS or the catalog writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                let accepts: fn(&str) -> bool = $accepts;
                if accepts(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, text, allowed: $allowed })
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;
            fn try_from(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// Names a backup plan. The user chooses it; it is part of schedule names and tag values.
    PlanId,
    "plan id",
    "^[a-z0-9][a-z0-9-]{0,55}$",
    "1 to 56 lower-case letters, digits and hyphens, not starting with a hyphen",
    |text| {
        (1..=56).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);
id!(
    /// Names one run of something. It carries its moment, so jobs sort by time.
    JobId,
    "job id",
    "^job-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$",
    "`job-`, a UTC time and 16 hexadecimal digits, as open-job makes it",
    |text| is_dated(text, "job-")
);
id!(
    /// Names a recovery point. It carries its moment, so a plan's recovery points sort by time.
    RecoveryPointId,
    "recovery point id",
    "^rp-[0-9]{8}T[0-9]{6}Z-[0-9a-f]{16}$",
    "`rp-`, a UTC time and 16 hexadecimal digits, as open-job makes it",
    |text| is_dated(text, "rp-")
);
id!(
    /// An EC2 instance.
    InstanceId,
    "instance id",
    "^i-[0-9a-f]{8,17}$",
    "`i-` and 8 to 17 hexadecimal digits",
    |text| is_ec2(text, "i-")
);
id!(
    /// An EBS volume.
    VolumeId,
    "volume id",
    "^vol-[0-9a-f]{8,17}$",
    "`vol-` and 8 to 17 hexadecimal digits",
    |text| is_ec2(text, "vol-")
);
id!(
    /// An EBS snapshot.
    SnapshotId,
    "snapshot id",
    "^snap-[0-9a-f]{8,17}$",
    "`snap-` and 8 to 17 hexadecimal digits",
    |text| is_ec2(text, "snap-")
);

fn is_ec2(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| {
        (8..=17).contains(&rest.len()) && rest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_dated(text: &str, prefix: &str) -> bool {
    let Some((moment, digest)) = text.strip_prefix(prefix).and_then(|rest| rest.split_once('-')) else {
        return false;
    };
    moment.len() == 16
        && moment.ends_with('Z')
        && jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", moment).is_ok()
        && digest.len() == 16
        && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// What makes a run the same run when its start is delivered twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// The schedule's own slot: every delivery for the slot means the same run.
    Slot(Timestamp),
    /// No slot was given, so the execution itself is the occasion.
    Execution {
        /// The execution's ARN.
        id: &'a str,
        /// When the execution started.
        started_at: Timestamp,
    },
}

impl Occasion<'_> {
    /// The moment the recovery point stands for: the slot, or the start of the execution.
    #[must_use]
    pub fn moment(&self) -> Timestamp {
        match self {
            Self::Slot(slot) => *slot,
            Self::Execution { started_at, .. } => *started_at,
        }
    }
}

/// The ids of the job and recovery point that belong to `plan` on this occasion.
///
/// They follow from the arguments alone: a doubled event finds the first run instead of starting another.
#[must_use]
pub fn derive_run_ids(plan: &PlanId, occasion: &Occasion<'_>) -> (JobId, RecoveryPointId) {
    let mut digest = Sha256::new();
    digest.update(plan.as_str());
    digest.update([0]);
    match occasion {
        Occasion::Slot(slot) => digest.update(format!("slot:{slot}")),
        Occasion::Execution { id, .. } => digest.update(format!("execution:{id}")),
    }
    let suffix = format!(
        "{}-{}",
        occasion.moment().strftime("%Y%m%dT%H%M%SZ"),
        hex_prefix(&digest.finalize(), 8)
    );
    (
        JobId(format!("job-{suffix}")),
        RecoveryPointId(format!("rp-{suffix}")),
    )
}

/// The id of the restore job that an execution opens.
#[must_use]
pub fn derive_restore_job_id(occasion: &Occasion<'_>, plan: &str) -> JobId {
    let mut digest = Sha256::new();
    digest.update("restore");
    digest.update([0]);
    match occasion {
        Occasion::Slot(slot) => digest.update(format!("slot:{plan}:{slot}")),
        Occasion::Execution { id, .. } => digest.update(format!("execution:{id}")),
    }
    JobId(format!(
        "job-{}-{}",
        occasion.moment().strftime("%Y%m%dT%H%M%SZ"),
        hex_prefix(&digest.finalize(), 8)
    ))
}

/// The first `bytes` bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex_prefix(digest: &[u8], bytes: usize) -> String {
    let mut text = String::with_capacity(2 * bytes);
    for byte in digest.iter().take(bytes) {
        for half in [byte >> 4, byte & 0x0f] {
            text.extend(char::from_digit(u32::from(half), 16));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("i-0123456789abcdef0", true)]
    #[case("i-01234567", true)]
    #[case("i-0123456", false)]
    #[case("i-0123456789ABCDEF0", false)]
    #[case("vol-0123456789abcdef0", false)]
    #[case("", false)]
    fn tells_an_instance_id_from_other_text(#[case] text: &str, #[case] good: bool) {
        assert_eq!(InstanceId::try_from(text).is_ok(), good);
    }

    #[rstest]
    #[case("nightly", true)]
    #[case("-nightly", false)]
    #[case("Nightly", false)]
    #[case("a.b", false)]
    #[case("", false)]
    fn tells_a_plan_id_from_other_text(#[case] text: &str, #[case] good: bool) {
        assert_eq!(PlanId::try_from(text).is_ok(), good);
    }

    #[test]
    fn one_slot_of_a_plan_has_one_recovery_point_whatever_execution_carries_it() {
        let plan = PlanId::try_from("nightly").unwrap();
        let slot: Timestamp = "2026-11-24T02:00:00Z".parse().unwrap();
        let (job, point) = derive_run_ids(&plan, &Occasion::Slot(slot));
        assert_eq!(
            (job.clone(), point.clone()),
            derive_run_ids(&plan, &Occasion::Slot(slot))
        );
        assert!(point.as_str().starts_with("rp-20261124T020000Z-"));
        assert!(RecoveryPointId::try_from(String::from(point.clone())).is_ok());
        assert!(JobId::try_from(String::from(job)).is_ok());
        let other = PlanId::try_from("weekly").unwrap();
        assert_ne!(point, derive_run_ids(&other, &Occasion::Slot(slot)).1);
    }

    #[test]
    fn two_executions_without_a_slot_have_two_recovery_points() {
        let plan = PlanId::try_from("nightly").unwrap();
        let started_at: Timestamp = "2026-11-24T02:00:00Z".parse().unwrap();
        let ids = |id| derive_run_ids(&plan, &Occasion::Execution { id, started_at });
        assert_ne!(ids("a"), ids("b"));
    }
}
