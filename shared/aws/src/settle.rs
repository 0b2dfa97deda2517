//! Settling a recovery point: what each of its backups came to, and what it came to itself.

use crate::catalog::Catalog;
use crate::failure::Failure;
use crate::snapshots::describe_recovery_point;
use aws_sdk_ec2::Client;
use holdfast_core::backup::Backup;
use holdfast_core::close::{Ending, Reckoning, SnapshotVerdict, judge_backup};
use holdfast_core::ids::SnapshotId;
use holdfast_core::job::Job;
use jiff::Timestamp;
use std::collections::HashMap;

/// Judges every backup of a job by what EC2 says of its snapshots, page by page, and writes the outcome.
///
/// Done once the snapshots have ended, so that the recovery point counts and its copies can begin; and again when the
/// job is closed, in case that it never came so far. What is settled stays: the second time only adds it up.
///
/// # Errors
/// A call failed. Trying again goes on where it stopped.
pub async fn settle_recovery_point(
    ec2: &Client,
    catalog: &Catalog,
    job: &Job,
    ending: &Ending,
    now: Timestamp,
) -> Result<Reckoning, Failure> {
    let point = &job.recovery_point_id;
    let settled = catalog.recorded_outcome(job).await?.is_some();
    let mut verdicts: HashMap<SnapshotId, SnapshotVerdict> = HashMap::new();
    if !settled {
        describe_recovery_point(ec2, point, None, |listed| {
            let verdict = SnapshotVerdict {
                state: listed.state,
                message: listed.message,
            };
            verdicts.insert(listed.snapshot.snapshot_id, verdict);
        })
        .await?;
    }
    let mut reckoning = Reckoning::default();
    let mut after = None;
    loop {
        let page = catalog.page_of_backups(point, after.as_ref()).await?;
        for (resource, reason) in &page.unreadable {
            reckoning.count_failed(resource, reason);
        }
        let mut endings: Vec<(&Backup, Option<String>)> = Vec::new();
        for backup in &page.backups {
            let reason = match judge_backup(backup, ending, |id| verdicts.get(id).cloned()) {
                Ok(()) => {
                    reckoning.count_completed(backup);
                    None
                }
                Err(reason) => {
                    reckoning.count_failed(&backup.resource_id, &reason);
                    Some(reason)
                }
            };
            if !backup.status.is_terminal() {
                endings.push((backup, reason));
            }
        }
        catalog.end_backups(&endings).await?;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    if !settled {
        catalog.record_outcome(job, &reckoning.outcome(now)).await?;
    }
    Ok(reckoning)
}
