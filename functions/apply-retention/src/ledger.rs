//! Where recovery points are written down: the catalog table, or a vault's own catalog. Both answer the same questions.

use crate::{Table, Vault};
use holdfast_aws::catalog::HoldChange;
use holdfast_aws::failure::Failure;
use holdfast_aws::snapshots::ListedSnapshot;
use holdfast_core::ids::{InstanceId, PlanId, RecoveryPointId, SnapshotId};
use holdfast_core::recovery_point::{Hold, Retirement};
use holdfast_core::retention::Protections;
use holdfast_core::retiring::{KnownPoint, PlanHistory, claims_backup, claims_copy, when_old_enough};
use holdfast_core::seal::SealKey;
use jiff::Timestamp;

/// Where recovery points are written down.
#[derive(Debug, Clone)]
pub enum Ledger {
    /// The catalog table: a plan's own snapshots.
    Table(Table),
    /// A vault's catalog: replicas.
    Vault(Vault),
}

/// Backups of a recovery point with the snapshots that the ledger names, as many as one read gives.
#[derive(Debug, Clone, Default)]
pub(crate) struct NamedPage {
    pub(crate) backups: Vec<NamedBackup>,
    /// How many backups have a record that cannot be read: nobody knows their snapshots.
    pub(crate) unreadable: u32,
    /// Where the next page goes on; none on the last one.
    pub(crate) next: Option<InstanceId>,
}

/// The snapshots of one backup; of none, where there is no resource.
#[derive(Debug, Clone)]
pub(crate) struct NamedBackup {
    pub(crate) resource: Option<InstanceId>,
    pub(crate) snapshots: Vec<SnapshotId>,
}

/// What tells that a snapshot is of just this recovery point.
pub(crate) enum Proof {
    /// The seal of the recovery point.
    Seal(SealKey),
    /// The tags of a copy, of a certain age.
    Copy { minimum_days: u32 },
}

impl Ledger {
    /// The first plan after `after` that has or had recovery points.
    pub(crate) async fn next_plan(&self, after: Option<&PlanId>) -> Result<Option<PlanId>, Failure> {
        match self {
            Self::Table(table) => table.catalog.next_registered_plan(after).await,
            Self::Vault(vault) => vault.next_plan(after).await,
        }
    }

    /// Everything that is known of a plan's recovery points; none where there is nothing.
    pub(crate) async fn history(
        &self,
        ec2: &aws_sdk_ec2::Client,
        plan_id: &PlanId,
        now: Timestamp,
    ) -> Result<Option<PlanHistory>, Failure> {
        match self {
            Self::Table(table) => table.history(plan_id).await,
            Self::Vault(vault) => vault.history(ec2, plan_id, now).await,
        }
    }

    /// Whether the instances that the plan protects are in this account and region.
    pub(crate) fn sees_instances(&self) -> bool {
        matches!(self, Self::Table(_))
    }

    /// Whether a job works on a recovery point or reads from it. Fails closed.
    pub(crate) async fn at_work(&self, point: &KnownPoint, now: Timestamp) -> Result<Protections, Failure> {
        match self {
            Self::Table(table) => table.at_work(point, now).await,
            // A replica is in the vault's catalog when its copies have ended, and nobody copies from it.
            Self::Vault(_) if point.is_read(now) => Ok(Protections::AT_WORK),
            Self::Vault(_) => Ok(Protections::NONE),
        }
    }

    /// A page of a recovery point's backups with their snapshots.
    pub(crate) async fn named(
        &self,
        history: &PlanHistory,
        point: &KnownPoint,
        after: Option<&InstanceId>,
    ) -> Result<NamedPage, Failure> {
        match self {
            Self::Table(table) => table.named(point, after).await,
            Self::Vault(vault) => vault.named(history, point, after).await,
        }
    }

    /// What tells that snapshots are of this recovery point.
    pub(crate) async fn proof(&self, point: &KnownPoint) -> Result<Proof, Failure> {
        match self {
            Self::Table(table) => table.seal(point).await.map(Proof::Seal),
            Self::Vault(vault) => Ok(Proof::Copy {
                minimum_days: vault.minimum_days,
            }),
        }
    }

    /// Holds a recovery point.
    pub(crate) async fn hold(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
        hold: &Hold,
    ) -> Result<HoldChange, Failure> {
        match self {
            Self::Table(table) => table.catalog.hold_point(plan_id, point, hold).await,
            Self::Vault(vault) => vault.hold(plan_id, point, hold).await,
        }
    }

    /// Ends a hold.
    pub(crate) async fn release(
        &self,
        plan_id: &PlanId,
        point: &RecoveryPointId,
    ) -> Result<HoldChange, Failure> {
        match self {
            Self::Table(table) => table.catalog.release_point(plan_id, point).await,
            Self::Vault(vault) => vault.release(plan_id, point).await,
        }
    }

    /// Writes the intent to let a recovery point go. Says whether it was written: not where somebody holds it, or has
    /// written the intent before.
    pub(crate) async fn intend(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        retirement: &Retirement,
    ) -> Result<bool, Failure> {
        let id = &point.recovery_point_id;
        match (self, point.ended_at) {
            (Self::Table(table), Some(ended_at)) => {
                let catalog = &table.catalog;
                catalog.intend_retirement(plan_id, id, ended_at, retirement).await
            }
            (Self::Table(_), None) => Ok(false),
            (Self::Vault(vault), _) => vault.catalog.ensure_retirement(plan_id, id, retirement).await,
        }
    }

    /// Whether nobody holds a recovery point that is to go, and no restore reads from it.
    pub(crate) async fn is_free(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        match self {
            // There the intent excludes a hold and a restore.
            Self::Table(_) => Ok(true),
            Self::Vault(vault) => {
                let id = &point.recovery_point_id;
                let hold = vault.catalog.find_hold(plan_id, id).await?;
                let reading = vault.catalog.find_reading(plan_id, id).await?;
                Ok(hold.is_none() && reading.is_none_or(|until| until <= now))
            }
        }
    }

    /// Deletes the records of backups of which no snapshot is left.
    pub(crate) async fn delete_backups(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        resources: &[InstanceId],
    ) -> Result<(), Failure> {
        let id = &point.recovery_point_id;
        match self {
            Self::Table(table) => table.catalog.delete_backups(id, resources).await,
            Self::Vault(vault) => vault.catalog.delete_backups(plan_id, id, resources).await,
        }
    }

    /// Writes down what of a recovery point could not be deleted yet.
    pub(crate) async fn record_deferred(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        retirement: &Retirement,
    ) -> Result<(), Failure> {
        let id = &point.recovery_point_id;
        match self {
            Self::Table(table) => {
                let deferred = &retirement.deferred;
                table.catalog.record_deferred(plan_id, id, deferred).await
            }
            Self::Vault(vault) => vault.catalog.write_retirement(plan_id, id, retirement).await,
        }
    }

    /// Writes down that nothing of a recovery point is left, and deletes the records below it. Says whether somebody
    /// else was not quicker.
    pub(crate) async fn end(
        &self,
        plan_id: &PlanId,
        point: &KnownPoint,
        retirement: &Retirement,
        now: Timestamp,
    ) -> Result<bool, Failure> {
        match self {
            Self::Table(table) => {
                let id = &point.recovery_point_id;
                table.catalog.delete_records_below(id).await?;
                table.catalog.end_retirement(plan_id, id, now).await
            }
            Self::Vault(vault) => vault.end(plan_id, point, retirement, now).await,
        }
    }
}

impl Proof {
    /// Whether a snapshot's tags say that it is of this recovery point.
    pub(crate) fn is_ours(&self, listed: &ListedSnapshot, plan_id: &PlanId, point: &RecoveryPointId) -> bool {
        match self {
            Self::Seal(key) => claims_backup(&listed.tags, &listed.snapshot.volume_id, point, key),
            Self::Copy { .. } => claims_copy(&listed.tags, plan_id, point),
        }
    }

    /// When a snapshot is old enough to be deleted; none where any age will do.
    pub(crate) fn old_enough_at(&self, listed: &ListedSnapshot) -> Option<Timestamp> {
        match self {
            Self::Seal(_) => None,
            Self::Copy { minimum_days } => {
                // The listing gives this moment to a snapshot without a start.
                let started_at = listed.snapshot.started_at;
                let known = (started_at > Timestamp::UNIX_EPOCH).then_some(started_at);
                Some(when_old_enough(known, *minimum_days))
            }
        }
    }
}
