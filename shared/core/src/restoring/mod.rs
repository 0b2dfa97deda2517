//! Giving instances back: what a restore is asked for, what stands in its way, what it will do, and what it came to.
//!
//! ```text
//! request ─┐
//! backup ──┼─► decide_restore ─► Blueprint ─► steps, one after the other ─► compare ─► differences
//! survey ──┘        │                              │
//!                   └─► obstacles, each with       └─► on failure or abort: the way back
//!                       its choices
//! ```
//!
//! A blueprint never changes once it is written down, so every step can be run again: what it makes carries a client
//! token or a name that follows from job and resource, and everything else is a state to be reached.

pub mod blueprint;
pub mod boot;
pub mod decide;
pub mod fidelity;
pub mod message;
pub mod obstacles;
pub mod order;
pub mod overrides;
pub mod record;
pub mod rehearsal;
pub mod request;
pub mod step;
pub mod surroundings;
pub mod tags;
pub mod target;
pub mod undo;

// Decisions by mode, and what they share.
mod announced;
mod deciding;
mod in_place;
mod launching;
mod machine_image;
mod new_volumes;
mod stopping;

// What a new instance is to be, beside `target`.
mod addresses;
mod elastic;
mod instance_type;
mod network;
mod placement;
mod volume_orders;

#[cfg(test)]
mod scene;
#[cfg(test)]
mod tests;

use crate::ids::{SnapshotId, VolumeId};
use crate::{backup::Backup, replica::Destination};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a restore gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// A new instance beside the original, with addresses of its own.
    Clone,
    /// A new instance with the whole captured configuration. The original is kept.
    NonDestructive,
    /// A new instance takes the original's place and its addresses. The original is terminated when the new one is
    /// proved good.
    Destructive,
    /// The instance stays; its volumes go back to the recovery point.
    InPlace,
    /// New volumes.
    Volumes,
    /// A machine image.
    Image,
    /// A new instance in an isolated subnet, proved, timed and removed again.
    Rehearsal,
    /// The volumes that an in-place restore took off go back on.
    Undo,
}

impl Mode {
    /// Those that users ask for by name.
    pub const NAMED: [Self; 7] = [
        Self::Clone,
        Self::NonDestructive,
        Self::Destructive,
        Self::InPlace,
        Self::Volumes,
        Self::Image,
        Self::Rehearsal,
    ];

    /// Its name in requests and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Clone => "clone",
            Self::NonDestructive => "non_destructive",
            Self::Destructive => "destructive",
            Self::InPlace => "in_place",
            Self::Volumes => "volumes",
            Self::Image => "image",
            Self::Rehearsal => "rehearsal",
            Self::Undo => "undo",
        }
    }

    /// Whether a new instance comes of it.
    #[must_use]
    pub fn launches(self) -> bool {
        matches!(
            self,
            Self::Clone | Self::NonDestructive | Self::Destructive | Self::Rehearsal
        )
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A backup as it lies in one place: its record, and the snapshot there for each of its volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The backup's record.
    pub backup: Backup,
    /// The snapshot of each volume, here. In a vault these are copies.
    pub snapshots: BTreeMap<VolumeId, SnapshotId>,
    /// Where it lies, and so where it is restored.
    pub place: Destination,
    /// Whether it is a replica: the source's keys, subnets and images are not here.
    pub is_replica: bool,
}
