//! A recovery point: all backups that one job took together.

use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId};
use crate::plan::BackupPlan;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What can be said of a recovery point's consistency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConsistencyGrade {
    /// Each backup's volumes are of one moment, as after a power cut. Between backups lies the stack skew.
    Crash,
    /// The application was quiet and its data flushed while the snapshots started. Plans cannot ask for it yet.
    Application,
}

/// All backups that one backup job took together: one moment of a whole application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryPoint {
    /// Its id.
    pub recovery_point_id: RecoveryPointId,
    /// The plan it was taken for.
    pub plan_id: PlanId,
    /// The job that takes it.
    pub job_id: JobId,
    /// The moment it stands for: its slot, or the start of an on-demand run.
    pub moment: Timestamp,
    /// The plan as it was when the job was opened. Later changes to the plan do not touch this point.
    pub plan: BackupPlan,
    /// The committed list of instances; none until open-job has written it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<Manifest>,
    /// What it came to; none while its snapshots are not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Somebody wants it kept, whatever the rules say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// An image's next increment is read against its snapshots.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cbt_base: bool,
    /// Until when a restore may read from it: it stays as long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading_until: Option<Timestamp>,
    /// The intent to let it go, with the reasons. From then on it is no history any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retirement: Option<Retirement>,
}

/// Somebody wants a recovery point kept, whatever the rules say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Why, for people.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// That a recovery point is to go, decided before anything of it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retirement {
    /// When it was decided.
    pub decided_at: Timestamp,
    /// Why.
    pub reasons: Vec<String>,
    /// Snapshots that could not be deleted yet, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred: BTreeMap<SnapshotId, String>,
    /// When everything of it was gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// The committed list of what a recovery point is to hold. Once written it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Names the list by its content.
    pub id: String,
    /// How many batches it was cut into.
    pub batches: u32,
    /// How many instances are in them.
    pub instances: u32,
    /// Instances the plan names that could not be selected, and why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub missing: BTreeMap<InstanceId, String>,
}

/// What a recovery point came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// Backups that can be recovered.
    pub completed: u32,
    /// Backups that cannot.
    pub failed: u32,
    /// Snapshots of the backups that can be recovered.
    pub snapshots: u32,
    /// Their volumes' sizes together, in GiB.
    pub size_gib: u64,
    /// Newest minus oldest snapshot start, in milliseconds; none without a good backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_skew_ms: Option<i64>,
    /// Its consistency; none without a good backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<ConsistencyGrade>,
    /// When the outcome was written.
    pub ended_at: Timestamp,
}
