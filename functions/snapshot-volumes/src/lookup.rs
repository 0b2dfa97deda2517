//! After a burst that was cut off: what it made is found by its sealed tags and recorded.

use crate::burst::snapshot_tags;
use crate::{SnapshotVolumes, Work};
use holdfast_aws::failure::Failure;
use holdfast_aws::snapshots::{ListedSnapshot, describe_recovery_point};
use holdfast_core::backup::{Backup, BackupSnapshot, BackupStatus};
use holdfast_core::ids::InstanceId;
use holdfast_core::tags;
use std::collections::BTreeMap;

impl SnapshotVolumes {
    /// Records the snapshot sets of prepared backups that an unsettled burst made.
    ///
    /// A set is taken when all its volumes are seen. One that is not whole although everything `is_visible` was
    /// tampered with: its backup fails, and nothing is created in its place.
    pub(crate) async fn adopt(&self, work: &mut Work, is_visible: bool) -> Result<(), Failure> {
        let prepared = |backup: &&Backup| backup.status == BackupStatus::Prepared;
        let resources: Vec<InstanceId> = work
            .backups
            .iter()
            .filter(prepared)
            .map(|backup| backup.resource_id.clone())
            .collect();
        if resources.is_empty() {
            return Ok(());
        }
        let key = self.seal_key(work).await?;
        let mut found: BTreeMap<String, Vec<ListedSnapshot>> = BTreeMap::new();
        describe_recovery_point(
            &self.ec2,
            &work.point.recovery_point_id,
            Some(&resources),
            |listed| {
                // Only what carries our seal is ours.
                if let (true, Some(resource)) = (key.verifies(&listed.tags), listed.tags.get(tags::RESOURCE))
                {
                    found.entry(resource.clone()).or_default().push(listed);
                }
            },
        )
        .await?;

        for index in 0..work.backups.len() {
            let backup = &work.backups[index];
            let Some(listed) = found.remove(backup.resource_id.as_str()) else {
                continue;
            };
            let (Some(configuration), Some(set)) = (&backup.configuration, &backup.snapshot_set) else {
                continue;
            };
            if !prepared(&backup) {
                continue;
            }
            let snapshots = oldest_of_each_volume(listed);
            let missing: Vec<String> = set
                .volumes
                .iter()
                .filter(|volume| !snapshots.iter().any(|snapshot| snapshot.volume_id == **volume))
                .map(ToString::to_string)
                .collect();
            let adopted = if missing.is_empty() {
                let tags = snapshot_tags(work, backup, configuration, set, &key)?;
                tracing::info!(resource = %backup.resource_id, snapshots = snapshots.len(), "snapshots adopted");
                self.record(backup, snapshots, &tags).await?
            } else if is_visible {
                let mut failed = backup
                    .clone()
                    .failed(format!("its set lacks the snapshots of {}", missing.join(", ")));
                failed.snapshots = snapshots;
                self.catalog.write_backup(&failed).await?;
                failed
            } else {
                continue;
            };
            work.backups[index] = adopted;
        }
        Ok(())
    }
}

/// One snapshot per volume: of twins the oldest, and of those of one moment the one with the lower id.
fn oldest_of_each_volume(listed: Vec<ListedSnapshot>) -> Vec<BackupSnapshot> {
    let mut snapshots: Vec<BackupSnapshot> = listed.into_iter().map(|listed| listed.snapshot).collect();
    snapshots.sort_by(|a, b| {
        (&a.volume_id, a.started_at, &a.snapshot_id).cmp(&(&b.volume_id, b.started_at, &b.snapshot_id))
    });
    snapshots.dedup_by(|later, earlier| later.volume_id == earlier.volume_id);
    snapshots
}
