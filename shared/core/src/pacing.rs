//! Bursts and batches: how many snapshots are asked for at once, and what a batch does next.
//!
//! EC2 throttles `CreateSnapshots` by a bucket of 100 calls that refills at 5 a second, per account and region
//! (Amazon EC2 Developer Guide, "Request throttling"). A batch is one burst that a full bucket holds; then the state
//! machine waits while it refills.

use crate::backup::Backup;
use crate::failure::ErrorClass;
use crate::ids::{InstanceId, RecoveryPointId, SnapshotId};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// `CreateSnapshots` calls in one burst.
pub const BURST: usize = 100;
/// Calls a second that the bucket gives back.
const REFILL_PER_SECOND: usize = 5;
/// From one burst to the next: the bucket's refill and half a second of margin.
const BURST_INTERVAL: SignedDuration = SignedDuration::from_millis(20_500);
/// How long a snapshot may stay invisible after it was created.
pub const VISIBILITY: SignedDuration = SignedDuration::from_secs(120);
/// When a burst in doubt is first looked up: most of what it made can be seen by then.
const FIRST_LOOK: SignedDuration = SignedDuration::from_secs(10);
/// How long to leave a limit alone that frees itself: a volume takes one snapshot start in about 15 s.
const BUSY_WAIT: SignedDuration = SignedDuration::from_secs(16);
/// The longest wait for a limit that has held for hours.
const LONGEST_BUSY_WAIT: SignedDuration = SignedDuration::from_mins(30);
/// The longest wait for a bucket that others keep empty.
const LONGEST_THROTTLED_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// From the last start to the first look at completion.
const FIRST_POLL: SignedDuration = SignedDuration::from_secs(10);

/// One batch of a recovery point, as the catalog holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// Its place, from 0.
    pub number: u32,
    /// The instances in it.
    pub instances: Vec<InstanceId>,
    /// The last burst; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<Burst>,
    /// Every snapshot that was started in it; filled in when it is finished.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<SnapshotId>,
    /// What it came to; none while it is at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tally: Option<BatchTally>,
}

/// One burst of create calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// When it was begun.
    pub at: Timestamp,
    /// Whether the result of every call is known and written down. An unsettled burst was cut off, or a reply was
    /// lost: snapshots may exist that the catalog does not name.
    pub settled: bool,
}

/// What a finished batch came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchTally {
    /// Snapshots that were started.
    pub snapshots: u32,
    /// Their volumes' sizes together, in GiB.
    pub size_gib: u64,
    /// The largest of the volumes, in GiB.
    pub largest_gib: u32,
    /// When the last of them was started; none if none was.
    pub last_started_at: Option<Timestamp>,
}

/// Adds up what a batch's backups started.
#[must_use]
pub fn tally_batch<'a>(backups: impl IntoIterator<Item = &'a Backup>) -> (BatchTally, Vec<SnapshotId>) {
    let mut tally = BatchTally::default();
    let mut ids = Vec::new();
    for snapshot in backups.into_iter().flat_map(|backup| &backup.snapshots) {
        let size_gib = u32::try_from(snapshot.size_gib).unwrap_or(0);
        tally.snapshots += 1;
        tally.size_gib += u64::from(size_gib);
        tally.largest_gib = tally.largest_gib.max(size_gib);
        tally.last_started_at = tally.last_started_at.max(Some(snapshot.started_at));
        ids.push(snapshot.snapshot_id.clone());
    }
    (tally, ids)
}

/// Cuts a list of instances into batches.
#[must_use]
pub fn cut_batches(recovery_point_id: &RecoveryPointId, instances: &[InstanceId]) -> Vec<Batch> {
    instances
        .chunks(BURST)
        .zip(0..)
        .map(|(instances, number)| Batch {
            recovery_point_id: recovery_point_id.clone(),
            number,
            instances: instances.to_vec(),
            burst: None,
            snapshots: Vec::new(),
            tally: None,
        })
        .collect()
}

/// What a batch does first when it is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchStep {
    /// It is finished; go on with the next.
    GoOn,
    /// Nothing is in doubt: ask for the snapshots that are missing.
    Start,
    /// An earlier burst is in doubt. Look its snapshots up; what is not seen may still appear until the given moment.
    /// Only after it may a snapshot that is not seen be asked for again.
    LookUp {
        /// When everything that exists can be seen.
        visible_at: Timestamp,
    },
}

/// Decides what a batch does first.
#[must_use]
pub fn decide_batch_step(batch: &Batch) -> BatchStep {
    match (batch.tally, batch.burst) {
        (Some(_), _) => BatchStep::GoOn,
        (None, None | Some(Burst { settled: true, .. })) => BatchStep::Start,
        (None, Some(Burst { at, settled: false })) => BatchStep::LookUp {
            visible_at: later(at, VISIBILITY),
        },
    }
}

/// What is run after a batch, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NextRun {
    /// The batch; none when every batch is finished.
    pub batch: Option<u32>,
    /// When to go on.
    pub at: Timestamp,
}

/// Decides what is run after `current`. `unfinished` are the numbers of the batches that are not finished, in order.
///
/// A batch that some limit holds up does not hold up the others: those after it come first. `retry_at` is when
/// `current` is to be run again, if it is not finished; a round that has come to its end waits for it.
#[must_use]
pub fn decide_next_run(
    unfinished: &[u32],
    current: u32,
    burst: Option<Burst>,
    retry_at: Option<Timestamp>,
    now: Timestamp,
) -> NextRun {
    let refilled = burst.map_or(now, |burst| later(burst.at, BURST_INTERVAL).max(now));
    if let Some(next) = unfinished.iter().copied().find(|number| *number > current) {
        return NextRun {
            batch: Some(next),
            at: refilled,
        };
    }
    match unfinished.first().copied() {
        Some(first) => NextRun {
            batch: Some(first),
            at: retry_at.map_or(refilled, |retry| {
                if first == current {
                    retry
                } else {
                    retry.max(refilled)
                }
            }),
        },
        None => NextRun {
            batch: None,
            at: later(now, FIRST_POLL),
        },
    }
}

/// When a batch is to be run again whose burst left some backups to be started.
///
/// `refusals` are what EC2 said to each of them. What has lasted longer is asked for less often: a limit that holds
/// for hours must not use up the execution's history.
#[must_use]
pub fn retry_burst_at(refusals: &[ErrorClass], job_created_at: Timestamp, now: Timestamp) -> Timestamp {
    let throttled = refusals
        .iter()
        .filter(|class| **class == ErrorClass::Throttled)
        .count();
    let refill = SignedDuration::from_secs(
        i64::try_from(throttled.div_ceil(REFILL_PER_SECOND))
            .unwrap_or(20)
            .clamp(2, 20),
    );
    let age = now.duration_since(job_created_at);
    let longest = refusals.iter().map(|class| match class {
        ErrorClass::Busy => BUSY_WAIT.max(age / 4).min(LONGEST_BUSY_WAIT),
        ErrorClass::Unknown => FIRST_LOOK,
        ErrorClass::Throttled | ErrorClass::Gone | ErrorClass::Refused => {
            refill.max(age / 32).min(LONGEST_THROTTLED_WAIT)
        }
    });
    later(now, longest.fold(refill, Ord::max))
}

/// `moment` and `wait` together; the end of time where that is beyond it.
#[must_use]
pub fn later(moment: Timestamp, wait: SignedDuration) -> Timestamp {
    moment.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// `moment` in whole seconds, rounded up, as a Wait state reads it.
#[must_use]
pub fn whole_seconds(moment: Timestamp) -> Timestamp {
    let seconds = moment.as_second() + i64::from(moment.subsec_nanosecond() > 0);
    Timestamp::from_second(seconds).unwrap_or(moment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Occasion, PlanId, derive_run_ids};
    use rstest::rstest;

    fn now() -> Timestamp {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    fn batches(instances: u32) -> Vec<Batch> {
        let plan = PlanId::try_from("nightly").unwrap();
        let point = derive_run_ids(&plan, &Occasion::Slot(now())).1;
        let ids: Vec<_> = (0..instances)
            .map(|n| InstanceId::try_from(format!("i-{n:017x}")).unwrap())
            .collect();
        cut_batches(&point, &ids)
    }

    #[rstest]
    #[case(0, 0)]
    #[case(1, 1)]
    #[case(100, 1)]
    #[case(101, 2)]
    #[case(10_000, 100)]
    fn a_batch_is_one_burst(#[case] instances: u32, #[case] wanted: usize) {
        let batches = batches(instances);
        assert_eq!(batches.len(), wanted);
        assert_eq!(
            batches.iter().map(|batch| batch.instances.len()).sum::<usize>(),
            instances as usize
        );
    }

    #[test]
    fn ten_thousand_instances_take_little_more_than_the_throttle_floor() {
        let mut unfinished: Vec<u32> = (0..100).collect();
        let mut at = now();
        for current in 0..99 {
            unfinished.remove(0);
            let burst = Burst { at, settled: true };
            let next = decide_next_run(&unfinished, current, Some(burst), None, at);
            assert_eq!(next.batch, Some(current + 1));
            at = next.at;
        }
        let seconds = at.duration_since(now()).as_secs_f64();
        assert!((1980.0..1980.0 * 1.05).contains(&seconds), "{seconds}");
    }

    #[test]
    fn a_batch_that_is_held_up_does_not_hold_up_the_others() {
        let burst = Some(Burst {
            at: now(),
            settled: true,
        });
        let retry = later(now(), SignedDuration::from_mins(10));
        let refilled = later(now(), BURST_INTERVAL);
        let run = |unfinished: &[u32], current, retry_at| {
            let next = decide_next_run(unfinished, current, burst, retry_at, now());
            (next.batch, next.at)
        };
        assert_eq!(run(&[0, 1, 2], 0, Some(retry)), (Some(1), refilled));
        assert_eq!(run(&[0], 2, None), (Some(0), refilled));
        assert_eq!(run(&[0], 0, Some(retry)), (Some(0), retry));
        assert_eq!(run(&[0, 1], 1, Some(retry)), (Some(0), retry));
        assert_eq!(run(&[], 0, None).0, None);
    }

    #[test]
    fn a_limit_that_holds_for_a_day_is_asked_some_hundred_times() {
        let (mut at, mut rounds) = (now(), 0);
        while at.duration_since(now()) < SignedDuration::from_hours(24) {
            at = retry_burst_at(&[ErrorClass::Busy], now(), at);
            rounds += 1;
        }
        assert!((40..150).contains(&rounds), "{rounds}");
    }

    #[test]
    fn a_burst_in_doubt_is_looked_up_before_anything_is_created() {
        let mut batch = batches(1).remove(0);
        assert_eq!(decide_batch_step(&batch), BatchStep::Start);
        batch.burst = Some(Burst {
            at: now(),
            settled: false,
        });
        assert_eq!(
            decide_batch_step(&batch),
            BatchStep::LookUp {
                visible_at: later(now(), VISIBILITY)
            }
        );
        batch.burst = Some(Burst {
            at: now(),
            settled: true,
        });
        assert_eq!(decide_batch_step(&batch), BatchStep::Start);
        batch.tally = Some(BatchTally::default());
        assert_eq!(decide_batch_step(&batch), BatchStep::GoOn);
    }

    #[rstest]
    #[case(&[ErrorClass::Throttled], 2)]
    #[case(&[ErrorClass::Throttled; 50], 10)]
    #[case(&[ErrorClass::Throttled; 1000], 20)]
    #[case(&[ErrorClass::Throttled, ErrorClass::Busy], 16)]
    #[case(&[ErrorClass::Throttled, ErrorClass::Unknown], 10)]
    #[case(&[ErrorClass::Busy, ErrorClass::Unknown], 16)]
    fn a_refused_burst_waits_for_what_refused_it(#[case] refusals: &[ErrorClass], #[case] seconds: i64) {
        assert_eq!(
            retry_burst_at(refusals, now(), now()),
            later(now(), SignedDuration::from_secs(seconds))
        );
    }

    #[test]
    fn a_wait_never_ends_too_early_for_being_rounded() {
        let moment = later(now(), SignedDuration::from_millis(1));
        assert_eq!(whole_seconds(moment), later(now(), SignedDuration::from_secs(1)));
        assert_eq!(whole_seconds(now()), now());
    }
}
