//! AMIs that are made of snapshots.

use crate::convert::filter;
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use holdfast_core::ids::SnapshotId;
use std::collections::HashMap;

/// As many values as one filter takes.
const VALUES: usize = 200;
/// As many as EC2 gives in one page.
const PAGE: i32 = 1000;

/// Finds the account's own AMIs that are made of these snapshots, disabled ones included: for each snapshot in use the
/// id of one of them.
///
/// # Errors
/// EC2's refusal: the listing is incomplete, so each of the snapshots may be in use.
pub async fn find_images(ec2: &Client, ids: &[SnapshotId]) -> Result<HashMap<SnapshotId, String>, Refusal> {
    let mut found = HashMap::new();
    for ids in ids.chunks(VALUES) {
        let mut pages = ec2
            .describe_images()
            .owners("self")
            .include_disabled(true)
            .filters(filter(
                "block-device-mapping.snapshot-id",
                ids.iter().map(SnapshotId::as_str),
            ))
            .max_results(PAGE)
            .into_paginator()
            .send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| refusal(&error))?;
            for image in page.images() {
                let mapped = image.block_device_mappings().iter();
                for snapshot in mapped.filter_map(|device| device.ebs()?.snapshot_id()) {
                    if let Ok(snapshot) = SnapshotId::try_from(snapshot) {
                        found.insert(snapshot, image.image_id().unwrap_or("an AMI").to_owned());
                    }
                }
            }
        }
    }
    Ok(found)
}
