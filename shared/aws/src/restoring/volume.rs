//! Volumes: made of snapshots, attached, detached, deleted.

use super::{VALUES, filter, is_gone, refused, tag_specification};
use crate::configuration::volume_alone;
use crate::copies::refusal;
use crate::snapshots::Refusal;
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{Filter, ResourceType, Volume, VolumeType};
use holdfast_core::configuration::{Tags, VolumeConfiguration};
use holdfast_core::ids::{InstanceId, VolumeId};
use holdfast_core::restoring::target::VolumeOrder;
use std::collections::BTreeMap;

/// A volume as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeView {
    /// `creating`, `available`, `in-use`, `error` and so on.
    pub state: String,
    /// Where it is attached: instance, device, and whether that is `attached` by now.
    pub attachment: Option<(InstanceId, String, String)>,
    /// Its tags.
    pub tags: Tags,
}

/// Whether EC2 lets a caller say the IOPS of this type.
#[must_use]
pub fn takes_iops(kind: Option<&str>) -> bool {
    matches!(kind, Some("gp3" | "io1" | "io2"))
}

/// Makes a volume of a snapshot. Asked again with the same token, EC2 gives the same volume.
///
/// # Errors
/// EC2's refusal.
pub async fn create(
    ec2: &Client,
    order: &VolumeOrder,
    wanted: &VolumeConfiguration,
    zone: &str,
    token: &str,
    tags: &Tags,
) -> Result<VolumeId, Refusal> {
    let kind = wanted.volume_type.as_deref();
    let answer = ec2
        .create_volume()
        .snapshot_id(order.snapshot_id.as_str())
        .availability_zone(zone)
        .set_size(wanted.size_gib)
        .set_volume_type(kind.map(VolumeType::from))
        .set_iops(wanted.iops.filter(|_| takes_iops(kind)))
        .set_throughput(wanted.throughput.filter(|_| kind == Some("gp3")))
        .set_encrypted(order.rekey.is_some().then_some(true))
        .set_kms_key_id(order.rekey.clone())
        .client_token(token)
        .tag_specifications(tag_specification(ResourceType::Volume, tags))
        .send()
        .await
        .map_err(|error| refusal(&error))?;
    VolumeId::try_from(answer.volume_id().unwrap_or_default()).map_err(|error| refused(error.to_string()))
}

/// Looks at volumes; those that EC2 does not show are left out.
///
/// # Errors
/// EC2's refusal.
pub async fn look<'a>(
    ec2: &Client,
    ids: impl IntoIterator<Item = &'a VolumeId>,
) -> Result<BTreeMap<VolumeId, VolumeView>, Refusal> {
    let ids: Vec<&str> = ids.into_iter().map(VolumeId::as_str).collect();
    let mut found = BTreeMap::new();
    for ids in ids.chunks(VALUES) {
        list(ec2, filter("volume-id", ids.iter().copied()), |id, volume| {
            found.insert(id, view(volume));
        })
        .await?;
    }
    Ok(found)
}

/// Volumes as configurations, by the device each is to be known by.
///
/// # Errors
/// EC2's refusal.
pub async fn configurations(
    ec2: &Client,
    volumes: &BTreeMap<String, VolumeId>,
) -> Result<Vec<VolumeConfiguration>, Refusal> {
    let mut found = Vec::new();
    let ids: Vec<&str> = volumes.values().map(VolumeId::as_str).collect();
    for ids in ids.chunks(VALUES) {
        list(ec2, filter("volume-id", ids.iter().copied()), |id, volume| {
            let device = volumes.iter().find(|(_, known)| **known == id);
            found.extend(device.and_then(|(device, _)| volume_alone(volume, device)));
        })
        .await?;
    }
    Ok(found)
}

pub(super) fn view(volume: &Volume) -> VolumeView {
    let attachment = volume.attachments().first().and_then(|attachment| {
        Some((
            InstanceId::try_from(attachment.instance_id()?).ok()?,
            attachment.device()?.to_owned(),
            attachment
                .state()
                .map_or("unknown", |state| state.as_str())
                .to_owned(),
        ))
    });
    VolumeView {
        state: volume
            .state()
            .map_or("unknown", |state| state.as_str())
            .to_owned(),
        attachment,
        tags: crate::convert::tags_from(volume.tags()),
    }
}

/// Attaches a volume. One that another run has just attached there is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn attach(
    ec2: &Client,
    volume: &VolumeId,
    instance: &InstanceId,
    device: &str,
) -> Result<(), Refusal> {
    let sent = ec2
        .attach_volume()
        .volume_id(volume.as_str())
        .instance_id(instance.as_str())
        .device(device)
        .send()
        .await;
    let Err(refused) = sent.map_err(|error| refusal(&error)) else {
        return Ok(());
    };
    let standing = look(ec2, [volume]).await?;
    match standing.get(volume).and_then(|view| view.attachment.as_ref()) {
        Some((there, at, _)) if there == instance && at == device => Ok(()),
        _ => Err(refused),
    }
}

/// Detaches a volume. One that is not attached is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn detach(ec2: &Client, volume: &VolumeId) -> Result<(), Refusal> {
    let sent = ec2.detach_volume().volume_id(volume.as_str()).send().await;
    match sent.map_err(|error| refusal(&error)) {
        Err(refusal) if !is_gone(&refusal) && refusal.code.as_deref() != Some("IncorrectState") => {
            Err(refusal)
        }
        _ => Ok(()),
    }
}

/// Deletes a volume. One that is gone is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn delete(ec2: &Client, volume: &VolumeId) -> Result<(), Refusal> {
    let sent = ec2.delete_volume().volume_id(volume.as_str()).send().await;
    match sent.map_err(|error| refusal(&error)) {
        Err(refusal) if !is_gone(&refusal) => Err(refusal),
        _ => Ok(()),
    }
}

/// Lists the account's volumes with this tag, whatever its value, handing each to `take`.
///
/// # Errors
/// EC2's refusal: the listing is incomplete.
pub async fn list_tagged(
    ec2: &Client,
    key: &str,
    mut take: impl FnMut(VolumeId, VolumeView),
) -> Result<(), Refusal> {
    list(ec2, filter("tag-key", [key]), |id, volume| take(id, view(volume))).await
}

/// Lists volumes, handing each to `take`. A page may be short, or empty, and another one follow.
pub(super) async fn list(
    ec2: &Client,
    which: Filter,
    mut take: impl FnMut(VolumeId, &Volume),
) -> Result<(), Refusal> {
    let mut pages = ec2
        .describe_volumes()
        .filters(which)
        .max_results(500)
        .into_paginator()
        .send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| refusal(&error))?;
        for volume in page.volumes() {
            if let Some(Ok(id)) = volume.volume_id().map(VolumeId::try_from) {
                take(id, volume);
            }
        }
    }
    Ok(())
}
