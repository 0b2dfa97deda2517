//! What becomes of one snapshot of a recovery point that goes.
//!
//! The catalog names it, and its tags must say the same: either alone condemns nothing. A tag can be set by whoever may
//! tag snapshots, so the plan's own snapshots must also carry the seal, and be of a volume that the seal tells of: a
//! seal copied onto a stranger does not make it ours.

use crate::configuration::Tags;
use crate::ids::{PlanId, RecoveryPointId, VolumeId};
use crate::pacing::later;
use crate::seal::SealKey;
use crate::tags;
use jiff::{SignedDuration, Timestamp};

/// What is done with a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It is not there any more.
    Done,
    /// Delete it.
    Delete,
    /// Leave it for now, for this reason.
    Defer(String),
}

/// What was found out about a snapshot that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotFacts<'a> {
    /// Whether its tags say that it is of just this recovery point.
    pub is_ours: bool,
    /// The AMI that is made of it.
    pub image: Option<&'a str>,
    /// The lock on it, in words.
    pub lock: Option<&'a str>,
    /// When it is old enough to be deleted; none where any age will do.
    pub old_enough_at: Option<Timestamp>,
}

/// Judges one snapshot; `None` is one that is not there.
#[must_use]
pub fn judge_snapshot(facts: Option<SnapshotFacts<'_>>, now: Timestamp) -> Deed {
    let Some(facts) = facts else {
        return Deed::Done;
    };
    if !facts.is_ours {
        return Deed::Defer("its tags do not say that it is ours".to_owned());
    }
    if let Some(image) = facts.image {
        return Deed::Defer(format!("{image} is made of it; deregister that first"));
    }
    if let Some(lock) = facts.lock {
        return Deed::Defer(lock.to_owned());
    }
    match facts.old_enough_at {
        Some(at) if at > now => {
            let at = at.strftime("%Y-%m-%dT%H:%M:%SZ");
            Deed::Defer(format!(
                "younger than the vault's minimum age; it may go after {at}"
            ))
        }
        _ => Deed::Delete,
    }
}

/// When a copy is old enough for a vault that keeps everything for so many days. Counted from the start that EC2 itself
/// tells: who can write records cannot forge it. A copy without one is never old enough.
#[must_use]
pub fn when_old_enough(started_at: Option<Timestamp>, minimum_days: u32) -> Timestamp {
    let minimum = SignedDuration::from_hours(24 * i64::from(minimum_days));
    started_at.map_or(Timestamp::MAX, |started_at| later(started_at, minimum))
}

/// Whether tags say that a snapshot of `volume` is a backup's of this recovery point, under the point's own seal.
#[must_use]
pub fn claims_backup(tags: &Tags, volume: &VolumeId, point: &RecoveryPointId, key: &SealKey) -> bool {
    tags.get(tags::RECOVERY_POINT).map(String::as_str) == Some(point.as_str())
        && !tags.contains_key(tags::SOURCE_SNAPSHOT)
        && key.verifies(tags)
        && sealed_volumes(tags).any(|sealed| volume.as_str().strip_prefix("vol-") == Some(sealed))
}

/// Whether tags say that a snapshot is a copy of this recovery point of this plan.
#[must_use]
pub fn claims_copy(tags: &Tags, plan: &PlanId, point: &RecoveryPointId) -> bool {
    let says = |key: &str, value: &str| tags.get(key).is_some_and(|found| found == value);
    says(tags::RECOVERY_POINT, point.as_str())
        && says(tags::PLAN, plan.as_str())
        && tags.contains_key(tags::SOURCE_SNAPSHOT)
}

/// The digits of the volumes that the device list names.
fn sealed_volumes(tags: &Tags) -> impl Iterator<Item = &str> {
    tags.iter()
        .filter(|(key, _)| key.starts_with(tags::DEVICES))
        .flat_map(|(_, devices)| devices.split(' '))
        .filter_map(|entry| entry.rsplit_once('='))
        .map(|(_, volume)| volume)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{InstanceId, Occasion, derive_run_ids};
    use crate::tags::SnapshotIdentity;
    use rstest::rstest;

    fn now() -> Timestamp {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    fn volume(n: u32) -> VolumeId {
        VolumeId::try_from(format!("vol-{n:017x}")).unwrap()
    }

    fn key() -> SealKey {
        SealKey::new(vec![7; 32])
    }

    fn plan() -> PlanId {
        PlanId::try_from("nightly").unwrap()
    }

    fn point() -> RecoveryPointId {
        derive_run_ids(&plan(), &Occasion::Slot(now())).1
    }

    /// The sealed tags of a backup of volumes 1 to 41.
    fn sealed() -> Tags {
        let identity = SnapshotIdentity {
            plan_id: plan(),
            job_id: derive_run_ids(&plan(), &Occasion::Slot(now())).0,
            recovery_point_id: point(),
            moment: now(),
            resource_id: InstanceId::try_from("i-0123456789abcdef0").unwrap(),
            devices: (1..=41).map(|n| (format!("/dev/sd{n}"), volume(n))).collect(),
        };
        identity.to_tags(&key()).unwrap()
    }

    #[test]
    fn a_sealed_snapshot_of_each_of_its_volumes_is_ours() {
        let tags = sealed();
        assert!((1..=41).all(|n| claims_backup(&tags, &volume(n), &point(), &key())));
    }

    #[test]
    fn a_seal_copied_onto_a_stranger_does_not_make_it_ours() {
        assert!(!claims_backup(&sealed(), &volume(42), &point(), &key()));
    }

    #[test]
    fn tags_without_a_seal_of_this_point_condemn_nothing() {
        let mut forged = sealed();
        forged.insert(tags::SEAL.to_owned(), "00".repeat(32));
        assert!(!claims_backup(&forged, &volume(1), &point(), &key()));
        assert!(!claims_backup(
            &sealed(),
            &volume(1),
            &point(),
            &SealKey::new(vec![8; 32])
        ));
        let other = derive_run_ids(&plan(), &Occasion::Slot(now() + SignedDuration::from_hours(1))).1;
        assert!(!claims_backup(&sealed(), &volume(1), &other, &key()));
    }

    #[test]
    fn a_copy_is_told_by_plan_point_and_source() {
        let mut tags = sealed();
        assert!(!claims_copy(&tags, &plan(), &point()), "an original is no copy");
        tags.insert(tags::SOURCE_SNAPSHOT.to_owned(), "snap-01234567".to_owned());
        assert!(claims_copy(&tags, &plan(), &point()));
        assert!(!claims_copy(
            &tags,
            &PlanId::try_from("weekly").unwrap(),
            &point()
        ));
        assert!(
            !claims_backup(&tags, &volume(1), &point(), &key()),
            "a copy is no original"
        );
    }

    #[rstest]
    #[case::ours(SnapshotFacts { is_ours: true, image: None, lock: None, old_enough_at: None }, "")]
    #[case::not_ours(
        SnapshotFacts { is_ours: false, image: None, lock: None, old_enough_at: None },
        "its tags do not say that it is ours"
    )]
    #[case::an_image(
        SnapshotFacts { is_ours: true, image: Some("ami-1"), lock: None, old_enough_at: None },
        "ami-1 is made of it; deregister that first"
    )]
    #[case::a_lock(
        SnapshotFacts { is_ours: true, image: None, lock: Some("locked"), old_enough_at: None },
        "locked"
    )]
    #[case::just_old_enough(
        SnapshotFacts { is_ours: true, image: None, lock: None, old_enough_at: Some(now()) },
        ""
    )]
    #[case::too_young(
        SnapshotFacts {
            is_ours: true, image: None, lock: None,
            old_enough_at: Some(when_old_enough(Some(now()), 1)),
        },
        "younger than the vault's minimum age; it may go after 2026-11-25T02:00:00Z"
    )]
    fn what_stands_against_it_defers_a_snapshot(#[case] facts: SnapshotFacts<'_>, #[case] why: &str) {
        let wanted = if why.is_empty() {
            Deed::Delete
        } else {
            Deed::Defer(why.to_owned())
        };
        assert_eq!(judge_snapshot(Some(facts), now()), wanted);
    }

    #[test]
    fn what_is_not_there_is_done_and_what_has_no_start_is_never_old_enough() {
        assert_eq!(judge_snapshot(None, now()), Deed::Done);
        assert_eq!(when_old_enough(None, 0), Timestamp::MAX);
    }
}
