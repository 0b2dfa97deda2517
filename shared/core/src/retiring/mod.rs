//! Letting recovery points go: what is known of a plan's points, which of them go, and what becomes of each snapshot.
//!
//! The rules and protections are [`crate::retention`]'s. Here stands what surrounds them: a plan's history as a ledger
//! tells it (the catalog table of the plan's own snapshots, or a vault's catalog of replicas), the decision over it,
//! and the same in words.

mod decided;
mod history;
mod judge;
mod resources;
#[cfg(test)]
mod tests;
mod words;

pub use decided::{Decided, Findings, LastBackup, decide_points};
pub use history::{KnownPoint, PlanHistory, standing};
pub use judge::{Deed, SnapshotFacts, claims_backup, claims_copy, judge_snapshot, when_old_enough};
pub use resources::ResourceSets;
pub use words::{GOES_EMPTY, shorten, why_it_goes};

use crate::pacing::later;
use jiff::{SignedDuration, Timestamp};

/// Snapshots that one call deletes at most: what EC2's bucket for `DeleteSnapshot` holds when it is full.
pub const BURST: usize = 100;
/// Copies that one call sends to the archive tier at most.
pub const ARCHIVES: usize = 20;
/// A recovery point that ended, or stands for a moment, less than this ago always stays: whoever works with it may not
/// have said so yet.
pub const SAFETY_AGE: SignedDuration = SignedDuration::from_hours(1);
/// How long the record of a recovery point stays after everything of it has gone.
pub const RECORD_LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Milliseconds in which the bucket gives one call back.
const REFILL_MS: i64 = 200;
/// Beyond the refill, so that the bucket is not asked a moment too early.
const MARGIN_MS: i64 = 500;

/// When the bucket has given back so many calls.
#[must_use]
pub fn refilled_at(calls: usize, now: Timestamp) -> Timestamp {
    let calls = i64::try_from(calls.clamp(1, BURST)).unwrap_or(1);
    later(now, SignedDuration::from_millis(calls * REFILL_MS + MARGIN_MS))
}
