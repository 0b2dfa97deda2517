//! What lies beside the copies: a vault's catalog, from which replicas are restored and retired without their source.
//!
//! One object for each backup and one for the recovery point, written once each and never over an existing one:
//!
//! ```text
//! catalog/<plan>/<recovery point>/backups/<instance>.json   a VaultBackup, when all its copies are complete
//! catalog/<plan>/<recovery point>/point.json                a VaultPoint, last: from then on the replica counts
//! holds/<plan>/<recovery point>.json                        a Hold
//! retirements/<plan>/<recovery point>.json                  a Retirement
//! restores/<plan>/<recovery point>/<restore job>.json       a Reading
//! sources/<plan>/<region>.json                              which region's plan of that name this is
//! ```

use crate::archive::Archive;
use crate::backup::Backup;
use crate::ids::{InstanceId, JobId, PlanId, RecoveryPointId, SnapshotId, VolumeId};
use crate::recovery_point::Outcome;
use crate::replica::{Destination, Lock};
use crate::retention_rule::RetentionRule;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A replica of a recovery point: what its destination must know to keep it, retire it and find its backups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultPoint {
    /// The recovery point.
    pub recovery_point_id: RecoveryPointId,
    /// The plan.
    pub plan_id: PlanId,
    /// The job that took it.
    pub job_id: JobId,
    /// The moment it stands for.
    pub moment: Timestamp,
    /// Where it was taken.
    pub source: Destination,
    /// What the recovery point itself came to.
    pub outcome: Outcome,
    /// How many backups were copied whole.
    pub whole: u32,
    /// How many could not be.
    pub lacking: u32,
    /// When its copies had ended.
    pub copied_at: Timestamp,
    /// The rules that replicas of the plan are kept by, as of this recovery point. The newest point's rules count.
    pub retention: Vec<RetentionRule>,
    /// The plan's time zone.
    pub time_zone: String,
    /// Whether the last backup of a resource that no newer point holds may go too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub expire_gone_resources: bool,
    /// The lock on the copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// When copies go to the archive tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<Archive>,
    /// Snapshots here that belong to no whole backup: to be removed with nothing lost.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftovers: Vec<SnapshotId>,
}

/// A backup's replica, with everything that a restore needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultBackup {
    /// The backup as it was taken: the configuration, and the source's snapshots.
    pub backup: Backup,
    /// The copy of each of its snapshots.
    pub copies: Vec<VaultCopy>,
}

/// A copy of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VaultCopy {
    /// The copy.
    pub snapshot_id: SnapshotId,
    /// The snapshot it is of.
    pub source_snapshot_id: SnapshotId,
    /// The volume that one is of.
    pub volume_id: VolumeId,
}

/// That a restore reads from a replica, which stays as long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Until when at the latest.
    pub until: Timestamp,
}

/// Where it stands which restores read from a plan's replicas.
#[must_use]
pub fn readings_prefix(plan: &PlanId) -> String {
    format!("restores/{plan}/")
}

/// Where it stands that a restore reads from a replica.
#[must_use]
pub fn reading_key(plan: &PlanId, point: &RecoveryPointId, job: &JobId) -> String {
    format!("restores/{plan}/{point}/{job}.json")
}

/// Where a plan's replicas stand in a vault's catalog.
#[must_use]
pub fn plan_prefix(plan: &PlanId) -> String {
    format!("catalog/{plan}/")
}

/// Where a replica stands.
#[must_use]
pub fn point_key(plan: &PlanId, point: &RecoveryPointId) -> String {
    format!("catalog/{plan}/{point}/point.json")
}

/// Where a backup's replica stands.
#[must_use]
pub fn backup_key(plan: &PlanId, point: &RecoveryPointId, resource: &InstanceId) -> String {
    format!("catalog/{plan}/{point}/backups/{resource}.json")
}

/// Where it stands from which regions a plan's replicas come. There may be one only: two plans of one name would be
/// retired as one.
#[must_use]
pub fn sources_prefix(plan: &PlanId) -> String {
    format!("sources/{plan}/")
}

/// Where a hold on a replica stands.
#[must_use]
pub fn hold_key(plan: &PlanId, point: &RecoveryPointId) -> String {
    format!("holds/{plan}/{point}.json")
}

/// Where the intent to let a replica go stands.
#[must_use]
pub fn retirement_key(plan: &PlanId, point: &RecoveryPointId) -> String {
    format!("retirements/{plan}/{point}.json")
}
