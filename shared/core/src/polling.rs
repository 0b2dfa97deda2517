//! Waiting for a recovery point's snapshots: what has been seen, and when to look again.

use crate::job::Progress;
use crate::pacing::{BatchTally, VISIBILITY, later};
use jiff::{SignedDuration, Timestamp};

const SHORTEST: f64 = 10.0;
const LONGEST: f64 = 900.0;
/// The longest wait soon after the start, while little is known.
const EARLY_LONGEST: f64 = 30.0;
/// Seconds a GiB may take at first guess: EBS does not say.
const SECONDS_PER_GIB: f64 = 0.25;
/// How much of the time that seems to be left is waited for at once.
const SHARE: f64 = 0.75;

/// What one listing of a recovery point's snapshots showed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// Snapshots seen, whatever their state.
    pub seen: u32,
    /// Of them, complete ones.
    pub completed: u32,
    /// Of them, those that ended in `error`.
    pub failed: u32,
    /// The progress of all that were seen added up, in percent.
    pub percent_sum: u64,
}

impl Census {
    /// Counts one snapshot in.
    pub fn count(&mut self, state: SnapshotState, percent: u8) {
        self.seen += 1;
        match state {
            SnapshotState::Completed => {
                self.completed += 1;
                self.percent_sum += 100;
            }
            SnapshotState::Error => self.failed += 1,
            SnapshotState::Pending => self.percent_sum += u64::from(percent.min(100)),
        }
    }
}

/// A snapshot's state, as far as waiting for it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotState {
    /// Its blocks are still being copied.
    Pending,
    /// It can be restored from.
    Completed,
    /// It failed.
    Error,
}

/// What to do after a look at the snapshots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollDecision {
    /// Whether the job can be closed.
    pub finished: bool,
    /// When to look again, if not.
    pub wait_until: Timestamp,
    /// What to write down for people to see.
    pub progress: Progress,
}

/// Adds up what a recovery point's batches came to.
#[must_use]
pub fn sum_tallies(tallies: impl IntoIterator<Item = BatchTally>) -> BatchTally {
    tallies
        .into_iter()
        .fold(BatchTally::default(), |sum, tally| BatchTally {
            snapshots: sum.snapshots + tally.snapshots,
            size_gib: sum.size_gib + tally.size_gib,
            largest_gib: sum.largest_gib.max(tally.largest_gib),
            last_started_at: sum.last_started_at.max(tally.last_started_at),
        })
}

/// Decides whether a recovery point's snapshots have all ended, and if not, when to look again.
///
/// A snapshot that was started and is not seen may be late: it counts as vanished only when everything that exists
/// must be visible. At `deadline` the waiting ends whatever is still pending.
#[must_use]
pub fn decide_poll(census: Census, started: BatchTally, deadline: Timestamp, now: Timestamp) -> PollDecision {
    let unseen = started.snapshots.saturating_sub(census.seen);
    let last_started_at = started.last_started_at.unwrap_or(now);
    let visible_at = later(last_started_at, VISIBILITY);
    let vanished = if now >= visible_at { unseen } else { 0 };
    let pending = census.seen.saturating_sub(census.completed + census.failed);
    let percent = census
        .percent_sum
        .checked_div(u64::from(started.snapshots.max(census.seen)))
        .unwrap_or(100);
    let progress = Progress {
        started: started.snapshots,
        completed: census.completed,
        failed: census.failed + vanished,
        percent: u8::try_from(percent).unwrap_or(100).min(100),
    };
    let finished = now >= deadline || (pending == 0 && unseen == vanished);

    let age = now.duration_since(last_started_at).as_secs_f64().max(0.0);
    let left = if percent > 0 {
        let done = f64::from(progress.percent);
        SHARE * age * (100.0 - done) / done
    } else {
        (SHORTEST + SECONDS_PER_GIB * f64::from(started.largest_gib)).max(age / 2.0)
    };
    // Half the age bounds the wait, so that the number of polls grows with the logarithm of the time.
    let mut wait = left.clamp(SHORTEST, (age / 2.0).clamp(EARLY_LONGEST, LONGEST));
    if pending == 0 && unseen > 0 {
        wait = wait.min(visible_at.duration_since(now).as_secs_f64().max(SHORTEST));
    }
    let wait_until = later(
        now,
        SignedDuration::try_from_secs_f64(wait).unwrap_or(SignedDuration::from_secs(10)),
    );
    PollDecision {
        finished,
        wait_until: wait_until.min(deadline.max(now)),
        progress,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn start() -> Timestamp {
        "2026-11-24T02:00:00Z".parse().unwrap()
    }

    fn started(snapshots: u32) -> BatchTally {
        BatchTally {
            snapshots,
            size_gib: 8 * u64::from(snapshots),
            largest_gib: 8,
            last_started_at: Some(start()),
        }
    }

    fn after(seconds: i64) -> Timestamp {
        later(start(), SignedDuration::from_secs(seconds))
    }

    fn census(completed: u32, failed: u32, pending: u32, percent: u8) -> Census {
        let mut census = Census::default();
        (0..completed).for_each(|_| census.count(SnapshotState::Completed, 100));
        (0..failed).for_each(|_| census.count(SnapshotState::Error, 0));
        (0..pending).for_each(|_| census.count(SnapshotState::Pending, percent));
        census
    }

    #[rstest]
    #[case::all_complete(census(5, 0, 0, 0), 10, true)]
    #[case::one_pending(census(4, 0, 1, 50), 10, false)]
    #[case::error_counts_as_ended(census(4, 1, 0, 0), 10, true)]
    #[case::unseen_may_be_late(census(4, 0, 0, 0), 119, false)]
    #[case::unseen_for_long_is_vanished(census(4, 0, 0, 0), 120, true)]
    #[case::deadline(census(0, 0, 5, 1), 86_400, true)]
    fn knows_when_all_have_ended(#[case] census: Census, #[case] age: i64, #[case] finished: bool) {
        assert_eq!(
            decide_poll(census, started(5), after(86_400), after(age)).finished,
            finished
        );
    }

    #[test]
    fn a_vanished_snapshot_counts_as_failed() {
        let progress = decide_poll(census(4, 0, 0, 0), started(5), after(86_400), after(200)).progress;
        assert_eq!(
            (
                progress.started,
                progress.completed,
                progress.failed,
                progress.percent
            ),
            (5, 4, 1, 80)
        );
    }

    #[test]
    fn a_job_that_started_nothing_has_nothing_to_wait_for() {
        assert!(decide_poll(Census::default(), BatchTally::default(), after(86_400), start()).finished);
    }

    #[rstest]
    #[case(60, 30)]
    #[case(3_600, 35)]
    #[case(86_000, 120)]
    fn polls_grow_slower_than_the_time(#[case] duration: i64, #[case] most: u32) {
        let mut now = after(10);
        let mut polls = 0;
        loop {
            polls += 1;
            let age = now.duration_since(start()).as_secs();
            let percent = u8::try_from((age * 100 / duration).min(100)).unwrap();
            let census = if percent == 100 {
                census(5, 0, 0, 0)
            } else {
                census(0, 0, 5, percent)
            };
            let decision = decide_poll(census, started(5), after(86_400), now);
            if decision.finished {
                break;
            }
            assert!(decision.wait_until > now);
            now = decision.wait_until;
        }
        assert!(polls <= most, "{polls} polls");
        assert!(
            now.duration_since(after(duration)).as_secs() <= (duration / 4).clamp(30, 900),
            "late by too much"
        );
    }
}
