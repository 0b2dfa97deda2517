//! Finding what a restore has made, by its tag, and removing it.

use super::{PAGE, filter, image, instance, interface, volume};
use crate::copies::{delete_temporary, refusal};
use crate::failure::Failure;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use holdfast_core::failure::ErrorClass;
use holdfast_core::ids::{InstanceId, VolumeId};
use holdfast_core::restoring::tags::RESTORE;

/// What carries a restore's tag.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// Instances that are not terminated yet.
    pub instances: Vec<InstanceId>,
    /// Those of them that are on their way out.
    pub ending: Vec<InstanceId>,
    /// Volumes, with whether each can be deleted now.
    pub volumes: Vec<(VolumeId, volume::VolumeView)>,
    /// Interfaces, with the state of each.
    pub interfaces: Vec<(String, String)>,
    /// Images.
    pub images: Vec<image::ImageView>,
    /// Snapshots that were made with images.
    pub snapshots: Vec<holdfast_core::ids::SnapshotId>,
}

impl Leftovers {
    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
            && self.volumes.is_empty()
            && self.interfaces.is_empty()
            && self.images.is_empty()
            && self.snapshots.is_empty()
    }
}

/// Finds everything that carries a restore's tag. A page may be short, or empty, and another one follow.
///
/// # Errors
/// EC2's refusal: the listing is incomplete.
pub async fn find(ec2: &Client, restore: &str) -> Result<Leftovers, Refusal> {
    let tag = || filter(format!("tag:{RESTORE}"), [restore]);
    let mut left = Leftovers::default();
    let mut pages = ec2
        .describe_instances()
        .filters(tag())
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        let reservations = page.reservations().iter();
        for found in reservations.flat_map(aws_sdk_ec2::types::Reservation::instances) {
            let state = found
                .state()
                .and_then(|state| state.name())
                .map_or("unknown", |name| name.as_str());
            if let (Some(Ok(id)), true) = (
                found.instance_id().map(InstanceId::try_from),
                state != "terminated",
            ) {
                if state == "shutting-down" {
                    left.ending.push(id.clone());
                }
                left.instances.push(id);
            }
        }
    }
    volume::list(ec2, tag(), |id, found| {
        left.volumes.push((id, volume::view(found)));
    })
    .await?;
    let mut pages = ec2
        .describe_network_interfaces()
        .filters(tag())
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        for found in page.map_err(|error| refusal(&error))?.network_interfaces() {
            let state = found.status().map_or("unknown", |state| state.as_str());
            if let Some(id) = found.network_interface_id() {
                left.interfaces.push((id.to_owned(), state.to_owned()));
            }
        }
    }
    let mut pages = ec2
        .describe_images()
        .owners("self")
        .filters(tag())
        .max_results(PAGE)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        left.images.extend(page.images().iter().map(image::view));
    }
    crate::snapshots::list_snapshots(ec2, vec![tag()], "the snapshots of a restore", |listed| {
        left.snapshots.push(listed.snapshot.snapshot_id);
    })
    .await
    .map_err(|failure| as_refusal(&failure))?;
    Ok(left)
}

fn as_refusal(failure: &Failure) -> Refusal {
    Refusal {
        class: match failure {
            Failure::Retryable { .. } => ErrorClass::Unknown,
            Failure::Permanent { .. } => ErrorClass::Refused,
        },
        code: None,
        reason: failure.chain(),
    }
}

/// Removes what can be removed now: instances first, then what they held.
///
/// # Errors
/// EC2's refusal.
pub async fn remove(ec2: &Client, left: &Leftovers) -> Result<(), Refusal> {
    let standing: Vec<InstanceId> = left
        .instances
        .iter()
        .filter(|id| !left.ending.contains(id))
        .cloned()
        .collect();
    for id in &standing {
        instance::protect_from_termination(ec2, id, false).await?;
    }
    instance::terminate(ec2, &standing).await?;
    for found in &left.images {
        image::deregister(ec2, &found.image_id).await?;
    }
    for (id, view) in &left.volumes {
        match (&view.attachment, view.state.as_str()) {
            (None, "available" | "error") => volume::delete(ec2, id).await?,
            // One that hangs on an instance which stays; those of ours end with theirs.
            (Some((instance, _, state)), _) if !left.instances.contains(instance) && state == "attached" => {
                volume::detach(ec2, id).await?;
            }
            _ => {}
        }
    }
    for (id, state) in &left.interfaces {
        if state == "available" {
            interface::delete(ec2, id).await?;
        }
    }
    if left.images.is_empty() {
        for snapshot in &left.snapshots {
            delete_temporary(ec2, snapshot)
                .await
                .map_err(|failure| as_refusal(&failure))?;
        }
    }
    Ok(())
}
