//! Copies of a recovery point in one destination: the copy job, and what is decided about it.
//!
//! EC2 lets about 20 copies be in progress in a destination region. So the copies of a recovery point are a queue: a
//! round looks at those in flight, takes the landed ones off, and begins as many new ones as there are free slots.

mod explain;
mod flight;
mod slots;
mod tags;

pub use explain::{explain_copy_error, is_key_problem};
pub use flight::{Flight, FlightStep, Seen, Stage, decide_flight};
pub use slots::{Copier, decide_slots};
pub use tags::{CopySource, decide_copy_tags, decide_hop_tags};

use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId, VolumeId};
use crate::job::JobStatus;
use crate::pacing::later;
use crate::recovery_point::RecoveryPoint;
use crate::replica::{Destination, Replica};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How often one snapshot's copy is tried.
pub const MAX_ATTEMPTS: u32 = 3;
/// The shortest and the longest wait between two rounds, in seconds.
const SHORTEST: f64 = 2.0;
const LONGEST: f64 = 60.0;
/// A round waits for this share of what a copy takes: a slot then lies idle for half of it on average.
const SHARE: f64 = 0.04;
/// The wait while no copy has landed yet, as a share of how long the oldest is under way.
const EARLY_SHARE: f64 = 0.15;
/// The wait while others hold all slots.
const QUEUED: f64 = 5.0;

/// A snapshot that is to be copied. Keys sort by resource, so a backup's snapshots stand together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CopyKey {
    /// The resource it is of.
    pub resource_id: InstanceId,
    /// The snapshot in the source region.
    pub snapshot_id: SnapshotId,
}

/// What became of one snapshot in one destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotCopy {
    /// Which snapshot.
    #[serde(flatten)]
    pub key: CopyKey,
    /// The volume it is of. A copy's own `VolumeId` names none.
    pub volume_id: VolumeId,
    /// The volume's size in GiB.
    pub size_gib: i32,
    /// Whether the source is encrypted.
    pub encrypted: bool,
    /// How far it is.
    pub state: CopyState,
    /// The copy, once it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copy_id: Option<SnapshotId>,
    /// Copies that count for nothing: they ended in `error`, came too late or twice. The destination's retention removes
    /// them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<SnapshotId>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How far one snapshot's copy is. What is in flight is written in the copy job itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CopyState {
    /// Not begun, or in flight.
    Waiting,
    /// The copy is complete.
    Completed,
    /// There is no copy, and it is not tried again.
    Failed,
}

/// All copies of one recovery point in one destination, as the catalog holds it.
///
/// Every write asks for the revision that was read: of two runs at once one gives way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyJob {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The plan.
    pub plan_id: PlanId,
    /// The backup job that it belongs to.
    pub job_id: JobId,
    /// Where the copies go.
    pub destination: Destination,
    /// The destination's place in the plan's list of replicas.
    pub number: u32,
    /// Where it stands. PENDING: others hold all slots.
    pub status: JobStatus,
    /// Counts its writes.
    pub revision: u64,
    /// When it was written down.
    pub created_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// What it came to; set when it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How many snapshots are to be copied.
    pub total: u32,
    /// How many were begun, whatever became of them.
    pub begun: u32,
    /// How many copies are complete.
    pub completed: u32,
    /// How many snapshots have no copy and get none.
    pub failed: u32,
    /// The last snapshot that was begun; those after it wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<CopyKey>,
    /// What is under way.
    #[serde(default)]
    pub flights: Vec<Flight>,
    /// How long copies take, in milliseconds: a running mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_ms: Option<i64>,
    /// Why nothing more is begun: the destination is out of order, its time is over, or somebody stopped the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Stopped>,
    /// Of the backups looked at for the destination's catalog, those that are whole.
    #[serde(default)]
    pub whole: u32,
    /// Of the backups looked at for the destination's catalog, those that lack a snapshot.
    #[serde(default)]
    pub lacking: u32,
    /// Why the first of them lacks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_reason: Option<String>,
    /// What could not be put in order: a hop that is still there, a snapshot that is still shared, a copy without its
    /// lock. The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_behind: Vec<String>,
}

/// Why a copy job begins nothing more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Why, and what to do about it.
    pub why: String,
    /// Whether somebody stopped the execution.
    pub aborted: bool,
    /// Whether what is in flight may land. If not, it is given up at once.
    pub lands: bool,
}

/// How many things a copy job's record names that could not be put in order.
const NAMED: usize = 10;

impl CopyJob {
    /// The copy job of a recovery point for one of its plan's replicas; `total` snapshots are to be copied.
    #[must_use]
    pub fn new(
        point: &RecoveryPoint,
        number: u32,
        destination: Destination,
        total: u32,
        now: Timestamp,
    ) -> Self {
        Self {
            recovery_point_id: point.recovery_point_id.clone(),
            plan_id: point.plan_id.clone(),
            job_id: point.job_id.clone(),
            destination,
            number,
            status: JobStatus::Created,
            revision: 0,
            created_at: now,
            ended_at: None,
            message: None,
            total,
            begun: 0,
            completed: 0,
            failed: 0,
            cursor: None,
            flights: Vec::new(),
            mean_ms: None,
            stopped: None,
            whole: 0,
            lacking: 0,
            first_reason: None,
            left_behind: Vec::new(),
        }
    }

    /// Copies that EC2 may be at work on: each takes a slot.
    #[must_use]
    pub fn in_progress(&self) -> u32 {
        let count = self.flights.iter().filter(|flight| flight.takes_slot()).count();
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Snapshots that still want a slot.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        if self.stopped.is_some() {
            return 0;
        }
        let ready = self.flights.iter().filter(|flight| !flight.takes_slot()).count();
        (self.total - self.begun.min(self.total)).saturating_add(u32::try_from(ready).unwrap_or(u32::MAX))
    }

    /// Whether there is nothing left to copy or to wait for.
    #[must_use]
    pub fn has_landed(&self) -> bool {
        self.flights.is_empty() && (self.stopped.is_some() || self.begun >= self.total)
    }

    /// Whether what is in flight is to be given up.
    #[must_use]
    pub fn gives_up(&self) -> bool {
        self.stopped.as_ref().is_some_and(|stopped| !stopped.lands)
    }

    /// Stops the copy job, unless it is stopped already. What may land no more, may land no more.
    pub fn stop(&mut self, stopped: Stopped) {
        match &mut self.stopped {
            Some(before) => {
                before.lands &= stopped.lands;
                before.aborted |= stopped.aborted;
            }
            none => *none = Some(stopped),
        }
    }

    /// Notes what could not be put in order.
    pub fn leave_behind(&mut self, what: String) {
        if self.left_behind.len() < NAMED && !self.left_behind.contains(&what) {
            self.left_behind.push(what);
        }
    }

    /// Counts how long a copy took into the mean.
    pub fn learn(&mut self, took: SignedDuration) {
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX).max(0);
        self.mean_ms = Some(self.mean_ms.map_or(took, |mean| mean + (took - mean) / 8));
    }

    /// When copies that are not complete count as failed.
    #[must_use]
    pub fn deadline(&self, replica: &Replica) -> Timestamp {
        later(
            self.created_at,
            SignedDuration::from_hours(i64::from(replica.deadline_hours)),
        )
    }

    /// Decides when to look again.
    #[must_use]
    pub fn next_look(&self, replica: &Replica, now: Timestamp) -> Timestamp {
        let oldest = self.flights.iter().filter_map(|flight| flight.intended_at).min();
        let mean = self
            .mean_ms
            .map(|mean| SignedDuration::from_millis(mean).as_secs_f64());
        let wait = match (mean, oldest) {
            (_, None) => QUEUED,
            (Some(mean), _) => (SHARE * mean).clamp(SHORTEST, LONGEST),
            (None, Some(oldest)) => {
                let age = now.duration_since(oldest).as_secs_f64();
                (EARLY_SHARE * age).clamp(SHORTEST, LONGEST / 2.0)
            }
        };
        let next = later(now, SignedDuration::try_from_secs_f64(wait).unwrap_or_default());
        next.min(self.deadline(replica)).max(now)
    }

    /// Decides how the copy job ends, and what its record says of it.
    #[must_use]
    pub fn decide_end(&self) -> (JobStatus, String) {
        let backups = self.whole + self.lacking;
        let status = match &self.stopped {
            Some(stopped) if stopped.aborted => JobStatus::Aborted,
            None if self.total == 0 => JobStatus::Completed,
            _ if self.whole == 0 => JobStatus::Failed,
            _ if self.lacking > 0 || !self.left_behind.is_empty() => JobStatus::Partial,
            _ => JobStatus::Completed,
        };
        let mut message = match (self.total, backups) {
            (0, _) => "nothing to copy: no good backup matches the replica's only_tags".to_owned(),
            (_, 0) => "nothing was copied".to_owned(),
            _ => format!("{} of {backups} backups copied", self.whole),
        };
        if let Some(stopped) = &self.stopped {
            message = format!("{message}; {}", stopped.why);
        }
        if let Some(reason) = &self.first_reason
            && self
                .stopped
                .as_ref()
                .is_none_or(|stopped| !reason.ends_with(&stopped.why))
        {
            message = format!("{message}; {reason}");
        }
        if !self.left_behind.is_empty() {
            message = format!("{message}; {}", self.left_behind.join("; "));
        }
        (status, message)
    }
}

#[cfg(test)]
mod tests;
