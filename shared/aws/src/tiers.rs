//! The archive tier: which copies are not in it yet, and sending them there.

use crate::convert::filter;
use crate::copies::refusal;
use crate::failure::Failure;
use crate::snapshots::{ListedSnapshot, Refusal, list_snapshots};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{TargetStorageTier, TieringOperationStatus};
use holdfast_core::ids::{PlanId, RecoveryPointId, SnapshotId};
use holdfast_core::tags;
use std::collections::HashSet;

/// As many values as one filter takes.
const VALUES: usize = 200;
/// As many as EC2 gives in one page.
const PAGE: i32 = 1000;

/// Lists the snapshots in the standard tier that carry the tags of a recovery point.
///
/// # Errors
/// A page that cannot be read.
pub async fn describe_standard(
    ec2: &Client,
    plan: &PlanId,
    point: &RecoveryPointId,
) -> Result<Vec<ListedSnapshot>, Failure> {
    let filters = vec![
        filter(format!("tag:{}", tags::RECOVERY_POINT), [point.as_str()]),
        filter(format!("tag:{}", tags::PLAN), [plan.as_str()]),
        filter("storage-tier", ["standard"]),
    ];
    let mut found = Vec::new();
    let what = format!("the copies of {point} in the standard tier");
    list_snapshots(ec2, filters, &what, |listed| found.push(listed)).await?;
    Ok(found)
}

/// Finds those of these snapshots that are on their way to the archive tier, or were brought back from it. EC2 shows both
/// in the standard tier.
///
/// # Errors
/// A page that cannot be read.
pub async fn find_archiving(ec2: &Client, ids: &[SnapshotId]) -> Result<HashSet<SnapshotId>, Failure> {
    let mut found = HashSet::new();
    for ids in ids.chunks(VALUES) {
        let mut pages = ec2
            .describe_snapshot_tier_status()
            .filters(filter("snapshot-id", ids.iter().map(SnapshotId::as_str)))
            .max_results(PAGE)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| Failure::call("looking up what is on its way to the archive", error))?;
            for status in page.snapshot_tier_statuses() {
                let last = status
                    .last_tiering_operation_status()
                    .map(TieringOperationStatus::as_str);
                let is_moving = last == Some(TieringOperationStatus::ArchivalInProgress.as_str());
                // Somebody needs what was brought back.
                let is_needed = last.is_some_and(|last| last.contains("restore"));
                let snapshot = status.snapshot_id().map(SnapshotId::try_from);
                if let (true, Some(Ok(snapshot))) = (is_moving || is_needed, snapshot) {
                    found.insert(snapshot);
                }
            }
        }
    }
    Ok(found)
}

/// Sends a complete snapshot to the archive tier.
///
/// # Errors
/// EC2's refusal.
pub async fn archive_snapshot(ec2: &Client, snapshot: &SnapshotId) -> Result<(), Refusal> {
    ec2.modify_snapshot_tier()
        .snapshot_id(snapshot.as_str())
        .storage_tier(TargetStorageTier::Archive)
        .send()
        .await
        .map(drop)
        .map_err(|error| refusal(&error))
}
