//! One snapshot under way to a destination, and what a look at it means.

use super::{CopyKey, explain::is_key_problem};
use crate::ids::SnapshotId;
use crate::pacing::{VISIBILITY, later};
use crate::polling::SnapshotState;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One snapshot under way to a destination.
///
/// It goes through three states: ready to be asked for; intended, from just before the call until its answer is
/// written down; and made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Which snapshot.
    #[serde(flatten)]
    pub key: CopyKey,
    /// What is being made.
    pub stage: Stage,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// When the copy was asked for; none while it is ready to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended_at: Option<Timestamp>,
    /// The copy that is being made; none until EC2's answer is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<SnapshotId>,
    /// When the copy was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_at: Option<Timestamp>,
    /// Since when what is copied is shared with the destination's account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_at: Option<Timestamp>,
    /// Whether the snapshot itself may be shared, and not only its hop.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shares_source: bool,
    /// The complete hop that the copy is made from, and that goes when the copy is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hop: Option<SnapshotId>,
}

/// What a flight makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Stage {
    /// A copy in the source's own region and account under a key of ours, because the snapshot's own key keeps it from
    /// being shared with the destination's account.
    Hop,
    /// The copy in the destination.
    Copy,
}

/// What EC2 says of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The copy.
    pub snapshot_id: SnapshotId,
    /// Its state.
    pub state: SnapshotState,
    /// EC2's reason, for one that failed.
    pub message: Option<String>,
}

/// What to do about a flight after a look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlightStep {
    /// Nothing yet: it is ready, pending, or may still become visible.
    Keep,
    /// The look-up found what the call had made, although its answer was lost.
    Adopt(SnapshotId),
    /// What it was to make is complete.
    Land,
    /// The call made nothing, or what it made is gone: ask again.
    AskAgain,
    /// It ended in `error`.
    Fail {
        /// EC2's reason.
        reason: String,
        /// Whether the reason is a key that cannot be used.
        key_problem: bool,
    },
}

impl Flight {
    /// A flight that is ready to be asked for.
    #[must_use]
    pub fn ready(key: CopyKey, stage: Stage) -> Self {
        Self {
            key,
            stage,
            attempt: 1,
            intended_at: None,
            made: None,
            seen_at: None,
            shared_at: None,
            shares_source: false,
            hop: None,
        }
    }

    /// Whether EC2 may be at work on it.
    #[must_use]
    pub fn takes_slot(&self) -> bool {
        self.intended_at.is_some()
    }

    /// The snapshot that the copy is made from.
    #[must_use]
    pub fn from(&self) -> &SnapshotId {
        self.hop.as_ref().unwrap_or(&self.key.snapshot_id)
    }

    /// Puts it back to be asked for as `stage`.
    pub fn make_ready(&mut self, stage: Stage) {
        self.stage = stage;
        self.intended_at = None;
        self.made = None;
        self.seen_at = None;
    }

    /// Whether nobody knows yet what its call has made.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        self.intended_at.is_some() && self.made.is_none()
    }

    /// Whether the destination may not have seen yet that the snapshot is shared with it.
    #[must_use]
    pub fn is_sharing_fresh(&self, now: Timestamp) -> bool {
        self.shared_at
            .is_some_and(|shared_at| now < later(shared_at, VISIBILITY))
    }
}

/// Decides what a look at a flight means. `seen` is what EC2 shows under its id, or under its tags where its answer
/// was lost.
#[must_use]
pub fn decide_flight(flight: &Flight, seen: Option<&Seen>, now: Timestamp) -> FlightStep {
    let Some(intended_at) = flight.intended_at else {
        return FlightStep::Keep;
    };
    let last_known = flight.seen_at.unwrap_or(intended_at);
    match (&flight.made, seen) {
        (None, Some(seen)) => FlightStep::Adopt(seen.snapshot_id.clone()),
        (_, None) if now >= later(last_known, VISIBILITY) => FlightStep::AskAgain,
        (_, None) => FlightStep::Keep,
        (Some(_), Some(seen)) => match seen.state {
            SnapshotState::Pending => FlightStep::Keep,
            SnapshotState::Completed => FlightStep::Land,
            SnapshotState::Error => {
                let reason = seen.message.clone();
                let reason = reason.unwrap_or_else(|| "EC2 gives no reason".to_owned());
                FlightStep::Fail {
                    key_problem: is_key_problem(&reason),
                    reason,
                }
            }
        },
    }
}
