//! Images: registered from snapshots, made of instances, looked at, deregistered.

use super::volume::takes_iops;
use super::{PAGE, filter, is_gone, refused, tag_specification};
use crate::configuration::product_code;
use crate::copies::refusal;
use crate::snapshots::{Refusal, once};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, Image, ResourceType,
    TpmSupportValues, VolumeType,
};
use holdfast_core::configuration::{InstanceConfiguration, Tags, VolumeConfiguration};
use holdfast_core::ids::{InstanceId, SnapshotId};
use holdfast_core::restoring::target::VolumeOrder;
use std::collections::BTreeMap;

/// An image as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageView {
    /// Its id.
    pub image_id: String,
    /// `pending`, `available`, `failed` and so on.
    pub state: String,
    /// Why it failed.
    pub reason: Option<String>,
    /// The snapshots it is made of.
    pub snapshots: Vec<SnapshotId>,
    /// Its tags.
    pub tags: Tags,
}

/// Registers an image of a backup's snapshots, all devices in it.
///
/// Its name is taken by one image only: registered again, the call is refused, and the name finds the first.
///
/// # Errors
/// EC2's refusal.
pub async fn register(
    ec2: &Client,
    name: &str,
    captured: &InstanceConfiguration,
    orders: &[VolumeOrder],
    tags: &Tags,
) -> Result<String, Refusal> {
    let devices = orders.iter().filter_map(|order| {
        let wanted = captured
            .volumes
            .iter()
            .find(|volume| volume.device == order.device)?;
        Some(device(order, wanted))
    });
    let stores = captured.instance_store.iter().map(|(device, name)| {
        BlockDeviceMapping::builder()
            .device_name(device)
            .virtual_name(name)
            .build()
    });
    let boot_mode = captured.boot_mode.as_deref().map(BootModeValues::from);
    let sent = ec2
        .register_image()
        .name(name)
        .description("Made by Holdfast of a backup's snapshots")
        .set_architecture(captured.architecture.as_deref().map(ArchitectureValues::from))
        .set_root_device_name(captured.root_device_name.clone())
        .virtualization_type(captured.virtualization_type.as_deref().unwrap_or("hvm"))
        .set_boot_mode(boot_mode)
        .set_tpm_support(captured.tpm_support.as_deref().map(TpmSupportValues::from))
        .set_ena_support(captured.ena_support)
        .set_sriov_net_support(captured.sriov_net_support.clone())
        .set_kernel_id(captured.kernel_id.clone())
        .set_ramdisk_id(captured.ramdisk_id.clone())
        .set_block_device_mappings(Some(devices.chain(stores).collect()))
        .tag_specifications(tag_specification(ResourceType::Image, tags))
        .customize()
        .config_override(once())
        .send()
        .await;
    named(
        ec2,
        name,
        sent.map(|answer| answer.image_id)
            .map_err(|error| refusal(&error)),
    )
    .await
}

/// Makes an image of an instance, without the devices that are left out. It keeps the billing codes. `ends` says of which
/// devices the image's instances are to delete the volumes with themselves: EC2 takes that, and nothing else, of a device.
///
/// # Errors
/// EC2's refusal.
pub async fn create(
    ec2: &Client,
    name: &str,
    instance: &InstanceId,
    left_out: &[String],
    ends: &BTreeMap<String, bool>,
    tags: &Tags,
) -> Result<String, Refusal> {
    let without = left_out.iter().map(|device| {
        BlockDeviceMapping::builder()
            .device_name(device)
            .no_device("")
            .build()
    });
    let ends = ends.iter().map(|(device, ends)| {
        let ebs = EbsBlockDevice::builder().delete_on_termination(*ends);
        BlockDeviceMapping::builder()
            .device_name(device)
            .ebs(ebs.build())
            .build()
    });
    let changes: Vec<BlockDeviceMapping> = without.chain(ends).collect();
    let sent = ec2
        .create_image()
        .name(name)
        .instance_id(instance.as_str())
        .description("Made by Holdfast")
        .no_reboot(true)
        .set_block_device_mappings((!changes.is_empty()).then_some(changes))
        .tag_specifications(tag_specification(ResourceType::Image, tags))
        .tag_specifications(tag_specification(ResourceType::Snapshot, tags))
        .customize()
        .config_override(once())
        .send()
        .await;
    named(
        ec2,
        name,
        sent.map(|answer| answer.image_id)
            .map_err(|error| refusal(&error)),
    )
    .await
}

/// The image that a call made, or that an earlier one made under the same name.
async fn named(ec2: &Client, name: &str, sent: Result<Option<String>, Refusal>) -> Result<String, Refusal> {
    match sent {
        Ok(Some(image)) if !image.is_empty() => Ok(image),
        Ok(_) => Err(refused("EC2 answered without an image")),
        Err(refusal) if refusal.code.as_deref() == Some("InvalidAMIName.Duplicate") => {
            let found = find(ec2, "name", name).await?;
            found.map(|image| image.image_id).ok_or_else(|| Refusal {
                // Made just now, and not shown yet.
                class: holdfast_core::failure::ErrorClass::Busy,
                code: None,
                reason: format!("an image named {name:?} is there and not shown yet"),
            })
        }
        Err(refusal) => Err(refusal),
    }
}

fn device(order: &VolumeOrder, wanted: &VolumeConfiguration) -> BlockDeviceMapping {
    let kind = wanted.volume_type.as_deref();
    let ebs = EbsBlockDevice::builder()
        .snapshot_id(order.snapshot_id.as_str())
        .set_volume_size(wanted.size_gib)
        .set_volume_type(kind.map(VolumeType::from))
        .set_iops(wanted.iops.filter(|_| takes_iops(kind)))
        .set_throughput(wanted.throughput.filter(|_| kind == Some("gp3")))
        .set_delete_on_termination(wanted.delete_on_termination)
        .build();
    BlockDeviceMapping::builder()
        .device_name(&order.device)
        .ebs(ebs)
        .build()
}

/// Finds an image of the account's own by one filter; none while EC2 does not show it.
///
/// # Errors
/// EC2's refusal.
pub async fn find(ec2: &Client, name: &str, value: &str) -> Result<Option<ImageView>, Refusal> {
    Ok(describe(ec2, name, value).await?.as_ref().map(view))
}

async fn describe(ec2: &Client, name: &str, value: &str) -> Result<Option<Image>, Refusal> {
    let mut images = ec2
        .describe_images()
        .owners("self")
        .filters(filter(name, [value]))
        .max_results(PAGE)
        .into_paginator()
        .items()
        .send();
    images.next().await.transpose().map_err(|error| refusal(&error))
}

pub(super) fn view(image: &Image) -> ImageView {
    let snapshots = image
        .block_device_mappings()
        .iter()
        .filter_map(|mapping| SnapshotId::try_from(mapping.ebs()?.snapshot_id()?).ok());
    ImageView {
        image_id: image.image_id().unwrap_or_default().to_owned(),
        state: image.state().map_or("unknown", |state| state.as_str()).to_owned(),
        reason: image
            .state_reason()
            .and_then(|reason| reason.message())
            .map(str::to_owned),
        snapshots: snapshots.collect(),
        tags: crate::convert::tags_from(image.tags()),
    }
}

/// What an instance gets from an image: `wanted`, with all that the image says of it in its place; none while EC2 does
/// not show the image. What it does not say, an image leaves to the launch.
///
/// # Errors
/// EC2's refusal.
pub async fn configuration(
    ec2: &Client,
    id: &str,
    wanted: &InstanceConfiguration,
) -> Result<Option<InstanceConfiguration>, Refusal> {
    let image = describe(ec2, "image-id", id).await?;
    Ok(image.as_ref().map(|image| said(image, wanted)))
}

fn said(image: &Image, wanted: &InstanceConfiguration) -> InstanceConfiguration {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let mappings = image.block_device_mappings();
    let volumes = wanted.volumes.iter().filter_map(|wanted| {
        let there = |mapping: &&BlockDeviceMapping| mapping.device_name() == Some(&wanted.device);
        let ebs = mappings.iter().find(there)?.ebs()?;
        let kind = ebs.volume_type().map(|kind| kind.as_str().to_owned());
        Some(VolumeConfiguration {
            size_gib: ebs.volume_size().or(wanted.size_gib),
            volume_type: kind.or_else(|| wanted.volume_type.clone()),
            iops: ebs.iops().or(wanted.iops),
            throughput: ebs.throughput().or(wanted.throughput),
            delete_on_termination: ebs.delete_on_termination().or(wanted.delete_on_termination),
            encrypted: ebs.encrypted().or(wanted.encrypted),
            ..wanted.clone()
        })
    });
    let stores = mappings.iter().filter_map(|mapping| {
        let name = mapping
            .virtual_name()
            .filter(|name| name.starts_with("ephemeral"))?;
        Some((mapping.device_name()?.to_owned(), name.to_owned()))
    });
    InstanceConfiguration {
        architecture: image.architecture().map(|one| one.as_str().to_owned()),
        platform_details: text(image.platform_details()),
        usage_operation: text(image.usage_operation()),
        product_codes: image.product_codes().iter().filter_map(product_code).collect(),
        boot_mode: image.boot_mode().map(|mode| mode.as_str().to_owned()),
        tpm_support: image.tpm_support().map(|support| support.as_str().to_owned()),
        kernel_id: text(image.kernel_id()),
        ramdisk_id: text(image.ramdisk_id()),
        ena_support: image.ena_support().or(wanted.ena_support),
        sriov_net_support: text(image.sriov_net_support()),
        root_device_name: text(image.root_device_name()),
        tags: crate::convert::tags_from(image.tags()),
        volumes: volumes.collect(),
        instance_store: stores.collect(),
        ..wanted.clone()
    }
}

/// Deregisters an image. One that is gone is fine.
///
/// # Errors
/// EC2's refusal.
pub async fn deregister(ec2: &Client, image: &str) -> Result<(), Refusal> {
    let sent = ec2.deregister_image().image_id(image).send().await;
    match sent.map_err(|error| refusal(&error)) {
        Err(refusal) if !is_gone(&refusal) => Err(refusal),
        _ => Ok(()),
    }
}
