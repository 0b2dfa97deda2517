//! The last round: what lies in the destination is written down there, so that it can be restored and retired without
//! its source.

use crate::{CopyRegion, Saved, Work, finished, taken};
use holdfast_aws::failure::Failure;
use holdfast_aws::sessions::Session;
use holdfast_aws::vault::VaultCatalog;
use holdfast_core::backup::Backup;
use holdfast_core::copying::{CopyKey, CopyState, SnapshotCopy, Stopped};
use holdfast_core::ids::{InstanceId, SnapshotId};
use holdfast_core::message::CopyRegionResponse;
use holdfast_core::replica::Destination;
use holdfast_core::vault::{VaultBackup, VaultCopy, VaultPoint};
use std::collections::BTreeMap;

/// Snapshots whose records are read at once, and after which the copy job is written.
const PAGE: usize = 500;

impl CopyRegion {
    /// Writes every whole backup and then the replica itself into the destination's catalog, and ends the copy job.
    pub(crate) async fn finish(
        &self,
        mut work: Work,
        session: &Session,
    ) -> Result<CopyRegionResponse, Failure> {
        let vault = self.vault_of(&work, session);
        if let Err(failure) = self.catalogue(&mut work, &vault).await {
            if !matches!(failure, Failure::Permanent { .. }) {
                return Err(failure);
            }
            // Copies that nobody can find again are no replica.
            work.copies.stop(Stopped {
                why: format!("what was copied cannot be written down: {}", failure.chain()),
                aborted: false,
                lands: false,
            });
            work.copies.first_reason = Some(failure.chain());
            work.copies.lacking += work.copies.whole;
            work.copies.whole = 0;
        }
        self.give_up(work).await
    }

    /// Ends the copy job with what it has come to.
    pub(crate) async fn give_up(&self, mut work: Work) -> Result<CopyRegionResponse, Failure> {
        let (status, message) = work.copies.decide_end();
        work.copies.status = status;
        work.copies.message = Some(message);
        work.copies.ended_at = Some(work.now);
        if let Saved::Taken = self.save(&mut work).await? {
            return Ok(taken(&work));
        }
        self.catalog
            .remove_copier(&work.destination, &work.point.recovery_point_id)
            .await?;
        tracing::info!(
            recovery_point = %work.point.recovery_point_id,
            destination = %work.destination,
            status = %work.copies.status,
            message = work.copies.message,
            "copies ended"
        );
        Ok(finished(work.now))
    }

    async fn catalogue(&self, work: &mut Work, vault: &VaultCatalog) -> Result<(), Failure> {
        let point = &work.point.recovery_point_id.clone();
        let mut leftovers: Vec<SnapshotId> = Vec::new();
        let mut open: Vec<SnapshotCopy> = Vec::new();
        let mut after: Option<CopyKey> = None;
        (work.copies.whole, work.copies.lacking, work.copies.first_reason) = (0, 0, None);
        loop {
            let page = self
                .catalog
                .copies_after(point, &work.destination, after.as_ref(), PAGE)
                .await?;
            let is_last = page.is_empty();
            after = page.last().map(|copy| copy.key.clone()).or(after);
            leftovers.extend(page.iter().flat_map(|copy| copy.leftovers.iter().cloned()));
            open.extend(page);
            // The last resource of a page may go on in the next one.
            let going_on = open
                .last()
                .filter(|_| !is_last)
                .map(|copy| copy.key.resource_id.clone());
            let mut by_resource: BTreeMap<InstanceId, Vec<SnapshotCopy>> = BTreeMap::new();
            for copy in open.drain(..) {
                by_resource
                    .entry(copy.key.resource_id.clone())
                    .or_default()
                    .push(copy);
            }
            if let Some(resource) = going_on {
                open = by_resource.remove(&resource).unwrap_or_default();
            }
            leftovers.extend(self.write_backups(work, vault, by_resource).await?);
            if is_last {
                break;
            }
        }
        if work.copies.whole == 0 && leftovers.is_empty() {
            return Ok(());
        }
        vault
            .write_point(&vault_point(work, self.sessions.own(), leftovers)?)
            .await
    }

    /// Writes the backups of which every snapshot has its copy. Gives the copies of the others: they count for nothing.
    async fn write_backups(
        &self,
        work: &mut Work,
        vault: &VaultCatalog,
        copies: BTreeMap<InstanceId, Vec<SnapshotCopy>>,
    ) -> Result<Vec<SnapshotId>, Failure> {
        let is_whole = |copies: &[SnapshotCopy]| copies.iter().all(|copy| copy.state == CopyState::Completed);
        let (whole, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            copies.into_iter().partition(|(_, copies)| is_whole(copies));
        let mut leftovers = Vec::new();
        for (resource, copies) in &others {
            let why = copies.iter().find_map(|copy| copy.reason.as_deref());
            lack(work, resource, why.unwrap_or("its copies were not begun"));
            leftovers.extend(copies.iter().filter_map(|copy| copy.copy_id.clone()));
        }
        let mut records = Vec::with_capacity(whole.len());
        for backup in self.read_backups(work, &whole).await? {
            match backup {
                Ok(backup) => records.push(VaultBackup {
                    copies: whole[&backup.resource_id].iter().filter_map(vault_copy).collect(),
                    backup,
                }),
                Err((resource, why)) => {
                    lack(work, &resource, &why);
                    leftovers.extend(whole[&resource].iter().filter_map(|copy| copy.copy_id.clone()));
                }
            }
        }
        vault.write_backups(&records).await?;
        work.copies.whole += u32::try_from(records.len()).unwrap_or(u32::MAX);
        Ok(leftovers)
    }

    /// The records of backups. One that cannot be read does not take the others with it.
    async fn read_backups(
        &self,
        work: &Work,
        whole: &BTreeMap<InstanceId, Vec<SnapshotCopy>>,
    ) -> Result<Vec<Result<Backup, (InstanceId, String)>>, Failure> {
        let point = &work.point.recovery_point_id;
        let resources: Vec<InstanceId> = whole.keys().cloned().collect();
        if resources.is_empty() {
            return Ok(Vec::new());
        }
        match self.catalog.backups(point, &resources).await {
            Ok(backups) => return Ok(backups.into_iter().map(Ok).collect()),
            Err(failure @ Failure::Retryable { .. }) => return Err(failure),
            Err(_) => {}
        }
        let mut backups = Vec::with_capacity(resources.len());
        for resource in resources {
            match self.catalog.backups(point, std::slice::from_ref(&resource)).await {
                Ok(one) => backups.extend(one.into_iter().map(Ok)),
                Err(failure @ Failure::Retryable { .. }) => return Err(failure),
                Err(failure) => backups.push(Err((resource, failure.chain()))),
            }
        }
        Ok(backups)
    }
}

/// Counts a backup that the destination does not hold whole.
fn lack(work: &mut Work, resource: &InstanceId, why: &str) {
    work.copies.lacking += 1;
    work.copies
        .first_reason
        .get_or_insert_with(|| format!("{resource}: {why}"));
}

fn vault_copy(copy: &SnapshotCopy) -> Option<VaultCopy> {
    Some(VaultCopy {
        snapshot_id: copy.copy_id.clone()?,
        source_snapshot_id: copy.key.snapshot_id.clone(),
        volume_id: copy.volume_id.clone(),
    })
}

/// The replica as its destination keeps it.
fn vault_point(work: &Work, source: &Destination, leftovers: Vec<SnapshotId>) -> Result<VaultPoint, Failure> {
    let (point, replica, copies) = (&work.point, &work.replica, &work.copies);
    let Some(outcome) = point.outcome.clone() else {
        let id = &point.recovery_point_id;
        return Err(Failure::permanent(format!("{id} has copies but no outcome")));
    };
    Ok(VaultPoint {
        recovery_point_id: point.recovery_point_id.clone(),
        plan_id: point.plan_id.clone(),
        job_id: point.job_id.clone(),
        moment: point.moment,
        source: source.clone(),
        outcome,
        whole: copies.whole,
        lacking: copies.lacking,
        copied_at: work.now,
        retention: replica.rules(&point.plan.retention).to_vec(),
        time_zone: point.plan.time_zone.clone(),
        expire_gone_resources: point.plan.expire_gone_resources,
        lock: replica.lock.clone(),
        archive: replica.archive.clone(),
        leftovers,
    })
}
