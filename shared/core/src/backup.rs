//! A backup: one resource at one moment.

use crate::configuration::InstanceConfiguration;
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId, VolumeId};
use crate::volumes::SnapshotSet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum BackupStatus {
    /// Intended: the resource is selected, nothing has been done.
    Intended,
    /// Its configuration and snapshot set are written down; its snapshots may have been asked for.
    Prepared,
    /// Its snapshots exist, and the record names them.
    Started,
    /// Every snapshot is complete: it can be recovered.
    Completed,
    /// It cannot be recovered; the record says why.
    Failed,
}

impl BackupStatus {
    /// Whether nothing more happens to it in its job.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Whether snapshot-volumes still has something to do for it.
    #[must_use]
    pub fn is_to_be_started(self) -> bool {
        matches!(self, Self::Intended | Self::Prepared)
    }
}

/// One resource at one moment: what the catalog holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// The recovery point it belongs to.
    pub recovery_point_id: RecoveryPointId,
    /// The plan.
    pub plan_id: PlanId,
    /// The job that takes it.
    pub job_id: JobId,
    /// The resource.
    pub resource_id: InstanceId,
    /// The batch it is taken in; none for a resource that was missing from the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<u32>,
    /// How far it is.
    pub status: BackupStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The resource's whole configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<InstanceConfiguration>,
    /// Which volumes its snapshots are of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_set: Option<SnapshotSet>,
    /// Tags of source volumes that did not fit on the snapshots; they are in the configuration.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags_left_out: BTreeMap<VolumeId, Vec<String>>,
    /// What went otherwise than planned without harm to the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Its snapshots, in the order of their volumes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub snapshots: Vec<BackupSnapshot>,
}

/// One snapshot of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupSnapshot {
    /// The snapshot.
    pub snapshot_id: SnapshotId,
    /// The volume it is of.
    pub volume_id: VolumeId,
    /// When EC2 says that it was started: the moment whose content it holds.
    pub started_at: Timestamp,
    /// The volume's size in GiB.
    pub size_gib: i32,
    /// Whether it is encrypted.
    pub encrypted: bool,
}

impl Backup {
    /// The intent to back `resource` up in `batch`.
    #[must_use]
    pub fn intend(
        recovery_point_id: &RecoveryPointId,
        plan_id: &PlanId,
        job_id: &JobId,
        resource_id: &InstanceId,
        batch: Option<u32>,
    ) -> Self {
        Self {
            recovery_point_id: recovery_point_id.clone(),
            plan_id: plan_id.clone(),
            job_id: job_id.clone(),
            resource_id: resource_id.clone(),
            batch,
            status: BackupStatus::Intended,
            reason: None,
            configuration: None,
            snapshot_set: None,
            tags_left_out: BTreeMap::new(),
            notes: Vec::new(),
            snapshots: Vec::new(),
        }
    }

    /// The same backup, failed for `reason`.
    #[must_use]
    pub fn failed(mut self, reason: impl Into<String>) -> Self {
        self.status = BackupStatus::Failed;
        self.reason = Some(reason.into());
        self
    }
}
