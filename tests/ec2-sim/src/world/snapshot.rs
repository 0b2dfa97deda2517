//! EBS snapshots: their states follow from the clock.

use jiff::{SignedDuration, Timestamp};

use crate::clock::{after, iso, seconds_between};
use crate::content::Content;
use crate::filter::{Filterable, Values, View};
use crate::ids::{SnapshotId, VolumeId};
use crate::settings::seconds;
use crate::tags::Tags;
use crate::world::copies::CopyRecord;
use crate::world::sharing::Sharing;
use crate::world::snapshot_lock::{Lock, LockState};
use crate::world::tier::Tiering;

/// A snapshot: what a volume held at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) id: SnapshotId,
    pub(crate) owner: String,
    pub(crate) volume: VolumeId,
    pub(crate) size_gib: u32,
    pub(crate) started_at: Timestamp,
    pub(crate) description: String,
    /// The ARN of its key, when it is encrypted.
    pub(crate) key: Option<String>,
    pub(crate) tags: Tags,
    pub(crate) content: Content,
    pub(crate) fate: Fate,
    /// When describes begin to show it.
    pub(crate) visible_at: Timestamp,
    /// Those that were taken together have the same one.
    pub(crate) set: Option<SnapshotId>,
    /// Whose history it belongs to: only snapshots with the same can be compared block by block.
    pub(crate) lineage: String,
    /// The snapshot that an upload began from.
    pub(crate) parent: Option<SnapshotId>,
    /// What it was copied from, when it is a copy.
    pub(crate) copy: Option<CopyRecord>,
    pub(crate) sharing: Sharing,
    pub(crate) lock: Option<Lock>,
    pub(crate) tiering: Tiering,
}

/// How a snapshot ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Completes(Timestamp),
    Fails {
        at: Timestamp,
        message: String,
    },
    /// Pending until somebody says otherwise.
    Held,
    /// Blocks are being put; it fails at the deadline unless an upload call comes before.
    Uploading {
        deadline: Timestamp,
        timeout_minutes: u32,
    },
}

/// What a test has in store for a volume's next snapshot, or a snapshot's next copy.
#[derive(Debug, Clone)]
pub(crate) enum Planned {
    Fail { message: String, after_seconds: f64 },
    Hold,
}

/// The state at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Pending { percent: u8 },
    Completed,
    Error { message: String },
}

impl State {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Pending { .. } => "pending",
            Self::Completed => "completed",
            Self::Error { .. } => "error",
        }
    }

    pub(crate) fn progress(&self) -> String {
        match self {
            Self::Pending { percent } => format!("{percent}%"),
            Self::Completed => "100%".to_owned(),
            Self::Error { .. } => "0%".to_owned(),
        }
    }
}

impl Fate {
    /// The fate of a snapshot that starts now and takes some time, given what a test planned for it.
    pub(crate) fn starting(planned: Option<&Planned>, takes: SignedDuration, now: Timestamp) -> Self {
        match planned {
            None => Self::Completes(after(now, takes)),
            Some(Planned::Hold) => Self::Held,
            Some(Planned::Fail {
                message,
                after_seconds,
            }) => Self::Fails {
                at: after(now, seconds(*after_seconds)),
                message: message.clone(),
            },
        }
    }
}

impl Snapshot {
    pub(crate) fn state(&self, now: Timestamp) -> State {
        match &self.fate {
            Fate::Completes(at) if now >= *at => State::Completed,
            Fate::Completes(at) => State::Pending {
                percent: percent(self.started_at, *at, now),
            },
            Fate::Fails { at, message } if now >= *at => State::Error {
                message: message.clone(),
            },
            Fate::Fails { at, .. } => State::Pending {
                percent: percent(self.started_at, *at, now) / 2,
            },
            Fate::Uploading { deadline, .. } if now >= *deadline => State::Error {
                message: "The snapshot was not completed before its timeout.".to_owned(),
            },
            Fate::Held | Fate::Uploading { .. } => State::Pending { percent: 0 },
        }
    }

    pub(crate) fn is_pending(&self, now: Timestamp) -> bool {
        matches!(self.state(now), State::Pending { .. })
    }

    pub(crate) fn is_completed(&self, now: Timestamp) -> bool {
        self.state(now) == State::Completed
    }

    pub(crate) fn completed_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.fate {
            Fate::Completes(at) if now >= at => Some(at),
            _ => None,
        }
    }

    pub(crate) fn is_visible(&self, now: Timestamp) -> bool {
        now >= self.visible_at
    }

    /// What its lock is now; none without a lock.
    pub(crate) fn lock_state(&self, now: Timestamp) -> Option<LockState> {
        self.lock.as_ref().map(|lock| lock.state(&self.fate, now))
    }

    /// Whether its lock keeps it from being deleted.
    pub(crate) fn is_locked(&self, now: Timestamp) -> bool {
        self.lock_state(now)
            .is_some_and(|state| state != LockState::Expired)
    }
}

/// How far it is, in whole percent; never 100 before the end.
pub(crate) fn percent(start: Timestamp, end: Timestamp, now: Timestamp) -> u8 {
    let whole = seconds_between(start, end);
    let gone = seconds_between(start, now);
    (0..99_u8)
        .rev()
        .find(|percent| f64::from(*percent) * whole <= gone * 100.0)
        .unwrap_or(0)
}

impl Filterable for Snapshot {
    const FILTERS: &'static [&'static str] = &[
        "description",
        "encrypted",
        "owner-alias",
        "owner-id",
        "progress",
        "snapshot-id",
        "start-time",
        "status",
        "storage-tier",
        "volume-id",
        "volume-size",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "description" => values.text(&self.description),
            "encrypted" => values.shown(self.key.is_some()),
            "owner-id" => values.text(&self.owner),
            "progress" => values.text(&self.state(view.now).progress()),
            "snapshot-id" => values.text(self.id.as_str()),
            "start-time" => values.text(&iso(self.started_at)),
            "status" => values.text(self.state(view.now).word()),
            "storage-tier" => values.text(self.tiering.tier(view.now).word()),
            "volume-id" => values.text(self.volume.as_str()),
            "volume-size" => values.shown(self.size_gib),
            // No snapshot here belongs to one of AWS's aliases.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_progress_but_never_all_of_it_before_the_end() {
        let start = Timestamp::UNIX_EPOCH;
        let end = after(start, seconds(10.0));
        let at = |passed| percent(start, end, after(start, seconds(passed)));
        assert_eq!((at(0.0), at(5.0), at(9.99)), (0, 50, 98));
    }
}
