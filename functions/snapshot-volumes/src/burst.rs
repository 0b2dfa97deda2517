//! The burst itself: each prepared backup's snapshot set is asked for once, side by side.

use crate::{SnapshotVolumes, Work};
use futures::stream::{self, StreamExt};
use holdfast_aws::failure::Failure;
use holdfast_aws::snapshots::{add_source_tags, create_snapshot_set};
use holdfast_core::backup::{Backup, BackupSnapshot, BackupStatus};
use holdfast_core::configuration::{InstanceConfiguration, VolumeConfiguration};
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::VolumeId;
use holdfast_core::seal::SealKey;
use holdfast_core::tags::{SnapshotIdentity, SnapshotTags, decide_snapshot_tags};
use holdfast_core::volumes::SnapshotSet;

/// Create calls at the same time: instances of one plan start as close together as the bucket allows.
const CONCURRENCY: usize = 32;

/// A backup that was not started and is to be asked for again.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) class: ErrorClass,
}

/// What became of one backup: as its record stands now, or to be asked for again.
type Started = Result<Backup, Refused>;

impl Refused {
    /// Whether it is certain that the call made nothing.
    pub(crate) fn made_nothing(&self) -> bool {
        self.class != ErrorClass::Unknown
    }
}

impl SnapshotVolumes {
    /// Asks for the snapshot sets of all prepared backups and records each as its answer comes. Gives those to be
    /// asked for again.
    pub(crate) async fn run_burst(&self, work: &mut Work) -> Result<Vec<Refused>, Failure> {
        let key = self.seal_key(work).await?;
        let seal_key = &key;
        let shared = &*work;
        let prepared = shared
            .backups
            .iter()
            .enumerate()
            .filter(|(_, b)| b.status == BackupStatus::Prepared);
        let results: Vec<(usize, Result<Started, Failure>)> = stream::iter(prepared)
            .map(|(index, backup)| async move { (index, self.start(shared, backup, seal_key).await) })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut refused = Vec::new();
        for (index, result) in results {
            match result? {
                Ok(backup) => work.backups[index] = backup,
                Err(refusal) => refused.push(refusal),
            }
        }
        Ok(refused)
    }

    async fn start(&self, work: &Work, backup: &Backup, key: &SealKey) -> Result<Started, Failure> {
        let (Some(configuration), Some(set)) = (&backup.configuration, &backup.snapshot_set) else {
            let failed = backup.clone().failed("its record lacks the configuration");
            self.catalog.write_backup(&failed).await?;
            return Ok(Ok(failed));
        };
        let tags = snapshot_tags(work, backup, configuration, set, key)?;
        let description = format!("Holdfast: {} of plan {}", backup.resource_id, backup.plan_id);
        match create_snapshot_set(&self.ec2, &backup.resource_id, set, &tags, &description).await {
            Ok(snapshots) => Ok(Ok(self.record(backup, snapshots, &tags).await?)),
            Err(refusal) => match refusal.class {
                ErrorClass::Gone | ErrorClass::Refused => {
                    let failed = backup.clone().failed(refusal.reason);
                    self.catalog.write_backup(&failed).await?;
                    Ok(Ok(failed))
                }
                ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => {
                    tracing::warn!(resource = %backup.resource_id, class = ?refusal.class, reason = refusal.reason, "refused");
                    Ok(Err(Refused { class: refusal.class }))
                }
            },
        }
    }

    /// Records the snapshots of a backup as started, once the source's tags are on them.
    pub(crate) async fn record(
        &self,
        backup: &Backup,
        snapshots: Vec<BackupSnapshot>,
        tags: &SnapshotTags,
    ) -> Result<Backup, Failure> {
        let mut backup = backup.clone();
        if let Err(why) = add_source_tags(&self.ec2, &snapshots, tags).await {
            backup.notes.push(why);
        }
        backup.tags_left_out.clone_from(&tags.left_out);
        if let Some(set) = &backup.snapshot_set {
            // Volumes that came or went since the configuration was read: the snapshots are what counts.
            let taken = |id: &VolumeId| snapshots.iter().any(|snapshot| snapshot.volume_id == *id);
            let gone = set
                .volumes
                .iter()
                .filter(|id| !taken(id))
                .map(|id| format!("{id} was detached meanwhile"));
            let came = snapshots
                .iter()
                .filter(|snapshot| !set.volumes.contains(&snapshot.volume_id));
            let came = came.map(|snapshot| format!("{} was attached meanwhile", snapshot.volume_id));
            let notes: Vec<String> = gone.chain(came).collect();
            backup.notes.extend(notes);
        }
        backup.status = BackupStatus::Started;
        backup.snapshots = snapshots;
        self.catalog.write_backup(&backup).await?;
        Ok(backup)
    }
}

/// The tags that a backup's snapshots get.
pub(crate) fn snapshot_tags(
    work: &Work,
    backup: &Backup,
    configuration: &InstanceConfiguration,
    set: &SnapshotSet,
    key: &SealKey,
) -> Result<SnapshotTags, Failure> {
    let volumes: Vec<&VolumeConfiguration> = configuration
        .volumes
        .iter()
        .filter(|volume| set.volumes.contains(&volume.volume_id))
        .collect();
    let identity = SnapshotIdentity {
        plan_id: backup.plan_id.clone(),
        job_id: backup.job_id.clone(),
        recovery_point_id: backup.recovery_point_id.clone(),
        moment: work.point.moment,
        resource_id: backup.resource_id.clone(),
        devices: volumes
            .iter()
            .map(|volume| (volume.device.clone(), volume.volume_id.clone()))
            .collect(),
    };
    let identity = identity.to_tags(key).map_err(|error| {
        Failure::permanent_from(format!("sealing the tags of {}", backup.resource_id), error)
    })?;
    Ok(decide_snapshot_tags(identity, &work.point.plan.tags, &volumes))
}
