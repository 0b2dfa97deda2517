//! What must be true of an account whatever happened in it.

use crate::account::Account;
use crate::simulator::SimSnapshot;
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::ids::{PlanId, SnapshotId};
use holdfast_core::job::Job;
use holdfast_core::recovery_point::RecoveryPoint;
use holdfast_core::tags;
use std::collections::{BTreeMap, BTreeSet};

/// One recovery point with everything that belongs to it.
#[derive(Debug, Clone)]
pub struct Audited {
    /// The recovery point.
    pub point: RecoveryPoint,
    /// Its job.
    pub job: Job,
    /// Its backups, by instance.
    pub backups: Vec<Backup>,
    /// Every snapshot that carries its tag.
    pub snapshots: Vec<SimSnapshot>,
}

/// Checks a plan's recovery points against what lies in EC2, and gives them, newest first.
///
/// No snapshot without a backup that names it; no volume twice in a recovery point; every snapshot that a backup names
/// is there; no job without an end; no backup that is neither completed nor failed.
///
/// # Panics
/// One of these does not hold.
pub async fn audit(account: &Account, plan: &str) -> Vec<Audited> {
    let plan = PlanId::try_from(plan).expect("a plan id");
    let catalog = account.catalog();
    let mut audited = Vec::new();
    for point in catalog
        .list_recovery_points(&plan)
        .await
        .expect("the catalog lists recovery points")
    {
        let id = &point.recovery_point_id;
        let job = catalog
            .job(&point.job_id)
            .await
            .expect("a recovery point has its job");
        let mut backups = Vec::new();
        let mut after = None;
        loop {
            let page = catalog
                .page_of_backups(id, after.as_ref())
                .await
                .expect("the catalog lists backups");
            assert_eq!(page.unreadable, [], "every record can be read");
            backups.extend(page.backups);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut snapshots = account
            .simulator
            .snapshots(tags::RECOVERY_POINT, id.as_str())
            .await
            .expect("snapshots");
        snapshots.retain(|snapshot| !snapshot.tags.contains_key(tags::SOURCE_SNAPSHOT));
        audited.push(Audited {
            point,
            job,
            backups,
            snapshots,
        });
    }
    audited.iter().for_each(Audited::check);
    audited
}

impl Audited {
    fn check(&self) {
        let id = &self.point.recovery_point_id;
        assert!(
            self.job.status.is_terminal(),
            "{} stays {}",
            self.job.job_id,
            self.job.status
        );
        assert!(
            self.job.reported_at.is_some(),
            "{} was never reported",
            self.job.job_id
        );
        assert!(
            self.job.ended_at.is_some() && self.job.message.is_some(),
            "{} ended without a word",
            self.job.job_id
        );
        assert!(self.point.outcome.is_some(), "{id} has no outcome");
        for backup in &self.backups {
            assert!(
                backup.status.is_terminal(),
                "the backup of {} stays {:?}",
                backup.resource_id,
                backup.status
            );
            assert_eq!(
                backup.status == BackupStatus::Failed,
                backup.reason.is_some(),
                "{}",
                backup.resource_id
            );
        }
        let named: Vec<&SnapshotId> = self
            .backups
            .iter()
            .flat_map(|backup| &backup.snapshots)
            .map(|snapshot| &snapshot.snapshot_id)
            .collect();
        let distinct: BTreeSet<&str> = named.iter().map(|id| id.as_str()).collect();
        assert_eq!(distinct.len(), named.len(), "a snapshot of {id} is named twice");
        let there: BTreeSet<&str> = self
            .snapshots
            .iter()
            .map(|snapshot| snapshot.snapshot_id.as_str())
            .collect();
        let orphans: Vec<_> = there.difference(&distinct).collect();
        assert!(orphans.is_empty(), "orphans of {id}: {orphans:?}");
        let mut by_volume: BTreeMap<&str, u32> = BTreeMap::new();
        for snapshot in &self.snapshots {
            *by_volume.entry(&snapshot.volume_id).or_default() += 1;
        }
        by_volume.retain(|_, count| *count > 1);
        assert!(by_volume.is_empty(), "duplicates in {id}: {by_volume:?}");
        for backup in self
            .backups
            .iter()
            .filter(|backup| backup.status == BackupStatus::Completed)
        {
            for snapshot in &backup.snapshots {
                let found = self
                    .snapshots
                    .iter()
                    .find(|found| found.snapshot_id == snapshot.snapshot_id.as_str());
                let state = found.map(|found| found.state.as_str());
                assert_eq!(
                    state,
                    Some("completed"),
                    "{} of a completed backup",
                    snapshot.snapshot_id
                );
            }
        }
    }

    /// The statuses of its backups, by instance.
    #[must_use]
    pub fn statuses(&self) -> BTreeMap<String, BackupStatus> {
        self.backups
            .iter()
            .map(|backup| (backup.resource_id.to_string(), backup.status))
            .collect()
    }
}
