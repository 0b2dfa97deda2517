//! `RunInstances`: instances with their volumes and interfaces, all or nothing.

use std::collections::BTreeSet;

use crate::error::Ec2Error;
use crate::ids::{InstanceId, ReservationId, VolumeId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::TokenUse;
use crate::world::image::{Image, ImageState};
use crate::world::instance::{Instance, InstanceState, Lifecycle, Steady};
use crate::world::launch::{DeviceSpec, EbsSpec, Launch};
use crate::world::network::Interface;
use crate::world::volume::{Attachment, Volume, VolumeType};
use crate::xml::Xml;

use super::Scope;
use super::describe_instances::write_reservation;
use super::lookup::image_unavailable;
use super::new_interfaces::{InterfaceSpec, give_addresses_back, new_interfaces};
use super::volumes::{new_volume, remember, replay};

/// Every image that nobody registered has its root device under this name.
const ROOT_DEVICE: &str = "/dev/xvda";
/// The size of such an image's root volume.
const ROOT_GIB: u32 = 8;
const TAGGABLE: &[&str] = &["instance", "volume", "network-interface"];

/// What a call says about each of its instances.
struct Request {
    launch: Launch,
    devices: Vec<EbsDevice>,
    host_disks: Vec<(String, String)>,
    interfaces: Vec<InterfaceSpec>,
    instance_tags: Tags,
    interface_tags: Tags,
    subnet: String,
    zone: String,
    root_device: String,
}

struct EbsDevice {
    name: String,
    spec: EbsSpec,
    /// Whether a volume of the instance ends with it.
    delete_on_termination: bool,
}

/// An instance that is not in the region yet.
struct Made {
    instance: Instance,
    volumes: Vec<Volume>,
    interfaces: Vec<Interface>,
}

pub(super) fn run(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let made = match replay(scope, TokenUse::RunInstances, params)? {
        Some(made) => made,
        None => launch(scope, params)?.iter().map(ToString::to_string).collect(),
    };
    let instances: Vec<&Instance> = made
        .iter()
        .filter_map(|id| scope.region.instances.get(id.as_str()))
        .collect();
    let mut xml = Xml::new();
    // However quick the start is, the launching call does not see it.
    write_reservation(&instances, scope, |_, _| InstanceState::Pending, &mut xml);
    Ok(xml)
}

/// Launches what a call describes.
pub(crate) fn launch(scope: &mut Scope<'_>, params: &Params) -> Result<Vec<InstanceId>, Ec2Error> {
    let least: u32 = params
        .parsed("MinCount")?
        .ok_or_else(|| Ec2Error::missing("MinCount"))?;
    let count: u32 = params
        .parsed("MaxCount")?
        .ok_or_else(|| Ec2Error::missing("MaxCount"))?;
    if least == 0 || least > count {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid value '{least}' for minCount. It must be between 1 and maxCount ({count})."
        )));
    }
    let request = Request::read(scope, params)?;
    let reservation = ReservationId::next(scope.ids);
    let mut made = Vec::new();
    for index in 0..count {
        match new_instance(scope, &request, &reservation, index) {
            Ok(instance) => made.push(instance),
            Err(error) => {
                for made in &made {
                    give_addresses_back(scope, &made.interfaces);
                }
                return Err(error);
            }
        }
    }
    let ids: Vec<InstanceId> = made.iter().map(|made| made.instance.id.clone()).collect();
    for Made {
        instance,
        volumes,
        interfaces,
    } in made
    {
        scope
            .region
            .volumes
            .extend(volumes.into_iter().map(|volume| (volume.id.clone(), volume)));
        scope.region.interfaces.extend(
            interfaces
                .into_iter()
                .map(|interface| (interface.id.clone(), interface)),
        );
        scope.region.instances.insert(instance.id.clone(), instance);
    }
    let named: BTreeSet<String> = ids.iter().map(ToString::to_string).collect();
    remember(scope, TokenUse::RunInstances, params, named);
    Ok(ids)
}

impl Request {
    fn read(scope: &Scope<'_>, params: &Params) -> Result<Self, Ec2Error> {
        let interfaces = InterfaceSpec::read_all(params)?;
        for spec in &interfaces {
            scope.check_groups(spec.groups.iter().map(String::as_str))?;
        }
        let existing = interfaces.iter().find_map(|spec| spec.existing.as_deref());
        if existing.is_some() && params.text("MaxCount") != Some("1") {
            return Err(Ec2Error::invalid_combination(
                "A network interface can be attached to one instance only.",
            ));
        }
        let existing = existing.map(|id| scope.free_interface(id)).transpose()?;
        let network = &scope.region.network;
        let named = params
            .text("SubnetId")
            .or_else(|| interfaces.first().and_then(|first| first.subnet.as_deref()))
            .or(existing.map(|interface| interface.subnet.as_str()));
        let subnet = match (named, params.text("Placement.AvailabilityZone")) {
            (Some(id), _) => network.subnet(id).ok_or_else(|| subnet_not_found(id))?,
            (None, Some(zone)) => network
                .subnet_of_zone(zone)
                .ok_or_else(|| Ec2Error::invalid_value(format!("Invalid availability zone: [{zone}]")))?,
            (None, None) => network
                .subnets
                .first()
                .ok_or_else(|| subnet_not_found("default"))?,
        };
        let image = launchable_image(scope, params.required("ImageId")?)?;
        let specs = DeviceSpec::read_all(params)?;
        let root_device = image.map_or(ROOT_DEVICE, |image| &image.root_device);
        let specs = match image {
            Some(image) => over_image(&image.devices, specs),
            None => specs,
        };
        let host_disks = specs
            .iter()
            .filter_map(|spec| Some((spec.device.clone(), spec.virtual_name.clone()?)))
            .collect();
        let volume_tags = Tags::specified(params, "volume", TAGGABLE)?;
        Ok(Self {
            launch: Launch::read(params, scope.account, &subnet.zone)?,
            devices: read_devices(specs, root_device, &volume_tags)?,
            host_disks,
            interfaces,
            instance_tags: Tags::specified(params, "instance", TAGGABLE)?,
            interface_tags: Tags::specified(params, "network-interface", TAGGABLE)?,
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            root_device: root_device.to_owned(),
        })
    }
}

pub(super) fn subnet_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
    )
}

/// The registered image with an id; none for an image that nobody registered, which every other `ami-…` is.
fn launchable_image<'a>(scope: &'a Scope<'_>, id: &str) -> Result<Option<&'a Image>, Ec2Error> {
    if !id.starts_with("ami-") {
        return Err(Ec2Error::new(
            "InvalidAMIID.Malformed",
            format!("Invalid id: \"{id}\""),
        ));
    }
    if scope.region.deregistered_images.contains(id) {
        return Err(image_unavailable(id));
    }
    let Some(image) = scope.region.images.get(id) else {
        return Ok(None);
    };
    match image.state(scope.region, scope.now) {
        ImageState::Available => Ok(Some(image)),
        state => Err(Ec2Error::new(
            "InvalidAMIID.Unavailable",
            format!("The image ID '{id}' is in the '{}' state.", state.word()),
        )),
    }
}

/// An image's devices with what the call says about them, and the call's others.
fn over_image(image: &[DeviceSpec], mut call: Vec<DeviceSpec>) -> Vec<DeviceSpec> {
    for of_image in image {
        match call.iter_mut().find(|spec| spec.device == of_image.device) {
            None => call.push(of_image.clone()),
            Some(spec) if spec.no_device || spec.virtual_name.is_some() => {}
            Some(spec) => spec.ebs = spec.ebs.clone().or(&of_image.ebs),
        }
    }
    call
}

/// The root device, with what the call says about it, and the other EBS devices.
fn read_devices(specs: Vec<DeviceSpec>, root_device: &str, tags: &Tags) -> Result<Vec<EbsDevice>, Ec2Error> {
    let mut devices: Vec<EbsDevice> = Vec::new();
    let root = DeviceSpec {
        device: root_device.to_owned(),
        no_device: false,
        virtual_name: None,
        ebs: EbsSpec::default(),
    };
    let says_root = specs.iter().any(|spec| spec.device == root_device);
    let all = (!says_root).then_some(root).into_iter().chain(specs);
    for DeviceSpec {
        device,
        no_device,
        virtual_name,
        mut ebs,
    } in all
    {
        if no_device || virtual_name.is_some() {
            continue;
        }
        if devices.iter().any(|known| known.name == device) {
            return Err(Ec2Error::new(
                "InvalidBlockDeviceMapping",
                format!("The device '{device}' is used in more than one block-device mapping"),
            ));
        }
        let is_root = device == root_device;
        if is_root && ebs.snapshot.is_none() {
            ebs.size_gib = ebs.size_gib.or(Some(ROOT_GIB));
        }
        ebs.tags = tags.clone();
        devices.push(EbsDevice {
            name: device,
            delete_on_termination: ebs.delete_on_termination.unwrap_or(is_root),
            spec: ebs,
        });
    }
    Ok(devices)
}

fn new_instance(
    scope: &mut Scope<'_>,
    request: &Request,
    reservation: &ReservationId,
    launch_index: u32,
) -> Result<Made, Ec2Error> {
    let id = InstanceId::next(scope.ids);
    let mut volumes = Vec::new();
    for device in &request.devices {
        let mut volume = new_volume(scope, &device.spec, &request.zone, VolumeType::Gp2)?;
        volume.attachment = Some(Attachment {
            instance: id.clone(),
            device: device.name.clone(),
            attached_at: scope.now,
            delete_on_termination: device.delete_on_termination,
        });
        volumes.push(volume);
    }
    let interfaces = new_interfaces(
        scope,
        &request.interfaces,
        &request.subnet,
        &id,
        &request.interface_tags,
    )?;
    let transition = scope.settings.instance_transition();
    let instance = Instance {
        id,
        reservation: reservation.clone(),
        launch_index,
        launched_at: scope.now,
        launch: request.launch.clone(),
        lifecycle: Lifecycle::towards(Steady::Running, scope.now, transition),
        root_device: request.root_device.clone(),
        zone: request.zone.clone(),
        subnet: request.subnet.clone(),
        volumes: volumes
            .iter()
            .map(|volume: &Volume| VolumeId::clone(&volume.id))
            .collect(),
        interfaces: interfaces.iter().map(|interface| interface.id.clone()).collect(),
        host_disks: request.host_disks.clone(),
        tags: request.instance_tags.clone(),
    };
    Ok(Made {
        instance,
        volumes,
        interfaces,
    })
}
