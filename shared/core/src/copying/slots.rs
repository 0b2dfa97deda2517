//! Who may use how many of a destination's copy slots.

use crate::ids::RecoveryPointId;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Who has not shown itself for so long holds no slots any more.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// A recovery point that is being copied to a destination, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copier {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// Snapshots that want a slot.
    pub waiting: u32,
    /// Copies in progress.
    pub in_progress: u32,
    /// When it last looked.
    pub seen_at: Timestamp,
}

/// Decides how many copies `own` may begin now, of `slots` in all.
///
/// Slots go round: everybody gets one, then everybody who wants more a second one, until all are given. So a small
/// recovery point never waits for a large one to end, and a large one has all slots that nobody else wants. Nothing is
/// taken away: who holds more than its share begins nothing until enough of its copies have landed.
#[must_use]
pub fn decide_slots(slots: u32, own: &Copier, others: &[Copier], now: Timestamp) -> u32 {
    let others: Vec<&Copier> = others
        .iter()
        .filter(|other| other.recovery_point_id != own.recovery_point_id)
        .filter(|other| now.duration_since(other.seen_at) < STALE)
        .collect();
    let taken: u32 = others.iter().map(|other| other.in_progress).sum();
    let free = slots.saturating_sub(taken).saturating_sub(own.in_progress);
    let share = fair_share(slots, own, &others);
    share.saturating_sub(own.in_progress).min(free).min(own.waiting)
}

/// The share of `own` when slots go round among all who want some. All of them come to the same shares.
fn fair_share(slots: u32, own: &Copier, others: &[&Copier]) -> u32 {
    let wanted = |copier: &Copier| copier.waiting.saturating_add(copier.in_progress);
    let mut takers: Vec<&Copier> = others.to_vec();
    takers.push(own);
    // Who wants least is served first; what it leaves is for the others.
    takers.sort_unstable_by_key(|taker| (wanted(taker), taker.recovery_point_id.clone()));
    let mut left = slots;
    for (served, taker) in (0_u32..).zip(&takers) {
        let remaining = u32::try_from(takers.len()).unwrap_or(u32::MAX) - served;
        let given = wanted(taker).min((left / remaining).max(1));
        if taker.recovery_point_id == own.recovery_point_id {
            return given;
        }
        left = left.saturating_sub(given);
    }
    0
}
