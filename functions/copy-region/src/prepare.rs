//! The first round: what is to be copied is written down.

use crate::CopyRegion;
use holdfast_aws::failure::Failure;
use holdfast_core::backup::{Backup, BackupStatus};
use holdfast_core::copying::{CopyJob, CopyKey, CopyState, SnapshotCopy};
use holdfast_core::recovery_point::RecoveryPoint;
use holdfast_core::replica::{Destination, Replica};
use jiff::Timestamp;

impl CopyRegion {
    /// Writes a record for every snapshot of every good backup that the replica asks for, then the copy job. Backups do
    /// not change any more, so two runs write the same.
    pub(crate) async fn prepare(
        &self,
        point: &RecoveryPoint,
        number: u32,
        replica: &Replica,
        destination: &Destination,
        now: Timestamp,
    ) -> Result<CopyJob, Failure> {
        let id = &point.recovery_point_id;
        if point.outcome.is_none() {
            return Err(Failure::permanent(format!(
                "job_id: the snapshots of {id} are not complete yet"
            )));
        }
        let mut total = 0;
        let mut after = None;
        loop {
            let page = self.catalog.page_of_backups(id, after.as_ref()).await?;
            let wanted = page.backups.iter().filter(|backup| is_wanted(backup, replica));
            let copies: Vec<SnapshotCopy> = wanted.flat_map(copies_of).collect();
            total += u32::try_from(copies.len()).unwrap_or(u32::MAX);
            self.catalog.ensure_copies(id, destination, copies).await?;
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let copies = CopyJob::new(point, number, destination.clone(), total, now);
        if self.catalog.create_copy_job(&copies).await? {
            return Ok(copies);
        }
        let found = self.catalog.find_copy_job(id, destination).await?;
        found.ok_or_else(|| Failure::retryable(format!("opening the copies of {id}: they vanished")))
    }
}

fn is_wanted(backup: &Backup, replica: &Replica) -> bool {
    let tags = backup
        .configuration
        .as_ref()
        .map(|configuration| &configuration.tags);
    let matches = tags.map_or(replica.only_tags.is_empty(), |tags| {
        replica.only_tags.iter().all(|filter| filter.matches(tags))
    });
    backup.status == BackupStatus::Completed && matches
}

fn copies_of(backup: &Backup) -> impl Iterator<Item = SnapshotCopy> + '_ {
    backup.snapshots.iter().map(|snapshot| SnapshotCopy {
        key: CopyKey {
            resource_id: backup.resource_id.clone(),
            snapshot_id: snapshot.snapshot_id.clone(),
        },
        volume_id: snapshot.volume_id.clone(),
        size_gib: snapshot.size_gib,
        encrypted: snapshot.encrypted,
        state: CopyState::Waiting,
        copy_id: None,
        leftovers: Vec::new(),
        reason: None,
    })
}
