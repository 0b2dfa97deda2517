//! A plan's recovery points, as a ledger tells of them.

use super::ResourceSets;
use crate::archive::Archive;
use crate::ids::{JobId, PlanId, RecoveryPointId, SnapshotId};
use crate::recovery_point::{Hold, Retirement};
use crate::retention::{Protections, Standing};
use crate::retention_rule::RetentionRule;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Everything that is known of a plan's recovery points.
#[derive(Debug, Clone)]
pub struct PlanHistory {
    /// The plan.
    pub plan_id: PlanId,
    /// The rules that its points are kept by.
    pub rules: Vec<RetentionRule>,
    /// The zone that cuts buckets and counts ages.
    pub zone: TimeZone,
    /// Whether the last good backup of a gone resource may go too.
    pub expire_gone_resources: bool,
    /// A younger point always stays.
    pub safety_age: SignedDuration,
    /// The points, newest first. Those that are gone altogether are not among them.
    pub points: Vec<KnownPoint>,
    /// The sets of resources that the points hold.
    pub sets: ResourceSets,
    /// How many points have a record that cannot be read. They stay, and are no history.
    pub unreadable: u32,
}

/// What is known of one recovery point.
#[derive(Debug, Clone)]
pub struct KnownPoint {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The job that took it.
    pub job_id: JobId,
    /// The moment it stands for.
    pub moment: Timestamp,
    /// When it ended; none while its job works.
    pub ended_at: Option<Timestamp>,
    /// How good it is.
    pub standing: Standing,
    /// The set of resources with a good backup in it, in [`PlanHistory::sets`].
    pub resources: u32,
    /// Whether some of its backups could not be read, so that the set may lack resources.
    pub incomplete: bool,
    /// The hold on it.
    pub hold: Option<Hold>,
    /// Whether the next incremental image is read against it.
    pub cbt_base: bool,
    /// Until when a restore may read from it.
    pub reading_until: Option<Timestamp>,
    /// The intent to let it go. Such a point is no history any more.
    pub retirement: Option<Retirement>,
    /// Why it stays and counts for nothing yet: of replicas only.
    pub aside: Protections,
    /// When its copies go to the archive tier: of replicas only.
    pub archive: Option<Archive>,
    /// Snapshots that belong to none of its backups: of replicas only.
    pub leftovers: Vec<SnapshotId>,
}

impl KnownPoint {
    /// The protections that its own record tells of.
    #[must_use]
    pub fn protections(&self) -> Protections {
        [
            (self.hold.is_some(), Protections::HOLD),
            (self.cbt_base, Protections::CBT_BASE),
            (self.incomplete, Protections::INCOMPLETE_LISTING),
        ]
        .into_iter()
        .filter_map(|(applies, protection)| applies.then_some(protection))
        .chain([self.aside])
        .collect()
    }

    /// Whether a restore may read from it just now.
    #[must_use]
    pub fn is_read(&self, now: Timestamp) -> bool {
        self.reading_until.is_some_and(|until| now < until)
    }

    /// How good it is as history: what stands aside is none.
    #[must_use]
    pub fn counts_as(&self) -> Standing {
        if self.aside.is_empty() {
            self.standing
        } else {
            Standing::Empty
        }
    }
}

/// How good a point is of which so many backups can be recovered and so many cannot.
#[must_use]
pub fn standing(good: u32, failed: u32) -> Standing {
    match (good, failed) {
        (0, _) => Standing::Empty,
        (_, 0) => Standing::Completed,
        _ => Standing::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(3, 0, Standing::Completed)]
    #[case(2, 1, Standing::Partial)]
    #[case(0, 3, Standing::Empty)]
    #[case::a_plan_that_selected_nothing(0, 0, Standing::Empty)]
    fn a_point_counts_with_one_good_backup(#[case] good: u32, #[case] failed: u32, #[case] wanted: Standing) {
        assert_eq!(standing(good, failed), wanted);
    }
}
