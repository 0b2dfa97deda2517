//! `RegisterImage` and `CreateImage`: images made of snapshots that are there, and of an instance.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::ids::{ImageId, InstanceId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::billing::Billing;
use crate::world::image::{Image, SETTINGS};
use crate::world::launch::{DeviceSpec, EbsSpec, Options};
use crate::world::snapshot::Snapshot;
use crate::world::volume::{Performance, Volume, VolumeType};
use crate::xml::Xml;

use super::Scope;
use super::create_snapshots::{Start, check_limits, create};
use super::volumes::usable_source;

const NAME_LENGTHS: std::ops::RangeInclusive<usize> = 3..=128;
/// What a name may hold beside letters and digits.
const NAME_CHARACTERS: &str = "()[] ./-'@_";

pub(super) fn register(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let name = read_name(scope, params)?;
    let tags = Tags::specified(params, "image", &["image"])?;
    let root_device = params.required("RootDeviceName")?.to_owned();
    let mut devices = DeviceSpec::read_all(params)?;
    devices.retain(|device| !device.no_device);
    for device in &mut devices {
        settle(scope, device, device.device == root_device)?;
    }
    let has_root = devices
        .iter()
        .any(|device| device.device == root_device && device.ebs.snapshot.is_some());
    if !has_root {
        return Err(Ec2Error::new(
            "InvalidBlockDeviceMapping",
            format!("The root device '{root_device}' has no snapshot in the block device mappings."),
        ));
    }
    let mut settings = Options::default();
    for (field, default) in SETTINGS {
        if let Some(value) = params.text(field).or(*default) {
            settings.set(field, value);
        }
    }
    let image = Image {
        name,
        root_device,
        settings,
        devices,
        tags,
        ..new_image(scope)
    };
    Ok(add(scope, image))
}

pub(super) fn create_from_instance(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    const TAGGABLE: &[&str] = &["image", "snapshot"];
    params.flag("NoReboot")?;
    let instance = scope.instance(params.required("InstanceId")?)?;
    let name = read_name(scope, params)?;
    let tags = Tags::specified(params, "image", TAGGABLE)?;
    let snapshot_tags = Tags::specified(params, "snapshot", TAGGABLE)?;
    let changes = read_changes(params)?;
    let volumes: Vec<&Volume> = instance
        .attached(scope.region)
        .filter(|(_, attachment)| changes.get(&attachment.device) != Some(&None))
        .map(|(volume, _)| volume)
        .collect();
    check_limits(scope, &volumes)?;
    let mut settings = instance.hardware.clone();
    if let Some(description) = params.text("Description") {
        settings.set("Description", description);
    }
    let starts = volumes.iter().map(|volume| Start {
        volume: volume.id.clone(),
        tags: snapshot_tags.clone(),
    });
    let starts: Vec<Start> = starts.collect();
    let devices: Vec<DeviceSpec> = volumes
        .iter()
        .filter_map(|volume| as_device(volume, &instance.id, &changes))
        .collect();
    let image = Image {
        name,
        root_device: instance.root_device.clone(),
        settings,
        tags,
        instance: Some(instance.id.clone()),
        billing: instance.billing.clone(),
        ..new_image(scope)
    };
    let description = format!(
        "Created by CreateImage({}) for {}",
        image.instance.as_ref().map_or("", InstanceId::as_str),
        image.id
    );
    let snapshots = create(scope, starts, &description);
    let image = Image {
        devices: devices
            .into_iter()
            .zip(&snapshots)
            .map(|(device, snapshot)| with_snapshot(device, snapshot))
            .collect(),
        ..image
    };
    Ok(add(scope, image))
}

/// An image that has nothing yet but an id.
fn new_image(scope: &Scope<'_>) -> Image {
    Image {
        id: ImageId::next(scope.ids),
        owner: scope.account.to_owned(),
        name: String::new(),
        root_device: String::new(),
        settings: Options::default(),
        billing: Billing::default(),
        devices: Vec::new(),
        tags: Tags::default(),
        created_at: scope.now,
        visible_at: scope.settings.visible_from(scope.now),
        is_disabled: false,
        is_deprecated: false,
        instance: None,
    }
}

fn add(scope: &mut Scope<'_>, image: Image) -> Xml {
    let mut xml = Xml::new();
    xml.text("imageId", &image.id);
    scope.region.images.insert(image.id.clone(), image);
    xml
}

fn read_name(scope: &Scope<'_>, params: &Params) -> Result<String, Ec2Error> {
    let name = params.required("Name")?;
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || NAME_CHARACTERS.contains(letter);
    if !NAME_LENGTHS.contains(&name.len()) || !name.chars().all(is_allowed) {
        return Err(Ec2Error::new(
            "InvalidAMIName.Malformed",
            "AMI names must be between 3 and 128 characters long, and may contain letters, numbers, and \
             ( ) [ ] . / - ' @ _ and spaces",
        ));
    }
    match scope.region.images.values().find(|image| image.name == name) {
        None => Ok(name.to_owned()),
        Some(image) => Err(Ec2Error::new(
            "InvalidAMIName.Duplicate",
            format!("AMI name {name} is already in use by AMI {}", image.id),
        )),
    }
}

/// The devices that a call takes out of the image. Whatever else AWS lets a call say about devices is refused here.
/// What is said of an instance's devices: that the image has them not, or whether they end with their instances. AWS lets
/// nothing else be changed.
fn read_changes(params: &Params) -> Result<BTreeMap<String, Option<bool>>, Ec2Error> {
    DeviceSpec::read_all(params)?
        .into_iter()
        .map(|device| {
            let ends = device.ebs.delete_on_termination;
            let nothing_else = EbsSpec {
                delete_on_termination: ends,
                ..EbsSpec::default()
            };
            let changes_ends = ends.is_some() && device.virtual_name.is_none() && device.ebs == nothing_else;
            if device.no_device || changes_ends {
                Ok((device.device, ends))
            } else {
                Err(Ec2Error::invalid_value(format!(
                    "The block device mapping of '{}' is invalid: only NoDevice and DeleteOnTermination can be specified.",
                    device.device
                )))
            }
        })
        .collect()
}

/// Fills in what the snapshot and AWS say about a device.
fn settle(scope: &Scope<'_>, device: &mut DeviceSpec, is_root: bool) -> Result<(), Ec2Error> {
    let ebs = &mut device.ebs;
    if device.virtual_name.is_some() {
        return Ok(());
    }
    if let Some(id) = &ebs.snapshot {
        if ebs.encrypted.is_some() {
            return Err(Ec2Error::new(
                "InvalidBlockDeviceMapping",
                format!(
                    "The encrypted flag cannot be specified since device {} has a snapshot specified.",
                    device.device
                ),
            ));
        }
        let source = usable_source(scope, id)?;
        let size = *ebs.size_gib.get_or_insert(source.size_gib);
        if size < source.size_gib {
            return Err(Ec2Error::invalid_value(format!(
                "Volume of size {size}GB is smaller than snapshot '{id}', expect size >= {}GB",
                source.size_gib
            )));
        }
    }
    let size = ebs.size_gib.ok_or_else(|| Ec2Error::missing("size/snapshot"))?;
    let kind = *ebs.kind.get_or_insert(VolumeType::Gp2);
    Performance {
        kind,
        iops: ebs.iops,
        throughput: ebs.throughput,
    }
    .settle(size)?;
    ebs.delete_on_termination.get_or_insert(is_root);
    Ok(())
}

/// An attached volume as a device that an image describes, without a snapshot yet.
fn as_device(
    volume: &Volume,
    instance: &InstanceId,
    changes: &BTreeMap<String, Option<bool>>,
) -> Option<DeviceSpec> {
    let attachment = volume.attachment_to(instance.as_str())?;
    let ends = changes.get(&attachment.device).copied().flatten();
    // gp2 volumes have IOPS that nobody may ask for.
    let iops = volume.iops.filter(|_| volume.kind != VolumeType::Gp2);
    Some(DeviceSpec {
        device: attachment.device.clone(),
        no_device: false,
        virtual_name: None,
        ebs: EbsSpec {
            size_gib: Some(volume.size_gib),
            kind: Some(volume.kind),
            iops,
            throughput: volume.throughput,
            delete_on_termination: Some(ends.unwrap_or(attachment.delete_on_termination)),
            ..EbsSpec::default()
        },
    })
}

fn with_snapshot(mut device: DeviceSpec, snapshot: &Snapshot) -> DeviceSpec {
    device.ebs.snapshot = Some(snapshot.id.to_string());
    device
}
