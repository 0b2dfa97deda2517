//! `RunInstances`: instances with their volumes and interfaces, all or nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::error::Ec2Error;
use crate::ids::{InstanceId, ReservationId, VolumeId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::TokenUse;
use crate::world::billing::Billing;
use crate::world::instance::{Instance, InstanceState, Lifecycle, Steady};
use crate::world::interface::Interface;
use crate::world::launch::{DeviceSpec, EbsSpec, Launch, Options};
use crate::world::subnet::Subnet;
use crate::world::volume::{Attachment, Volume, VolumeType};
use crate::xml::Xml;

use super::Scope;
use super::describe_instances::write_reservation;
use super::instance_types::{check_interfaces, check_settings};
use super::interface_spec::InterfaceSpec;
use super::key_pairs::key_pair_not_found;
use super::launch_image::{check_root, hardware_of, launchable_image, over_image};
use super::new_interfaces::{give_addresses_back, new_interfaces};
use super::subnets::subnet_not_found;
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
    hardware: Options,
    billing: Billing,
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
        let subnet = read_subnet(scope, params, &interfaces)?;
        if let Some(name) = params.text("KeyName")
            && !scope.region.key_pairs.is_there(name)
        {
            return Err(key_pair_not_found(name));
        }
        let image = launchable_image(scope, params.required("ImageId")?)?;
        let mut launch = Launch::read(params, scope.account, &subnet.zone)?;
        check_interfaces(&launch.instance_type, interfaces.len())?;
        scope.region.places.check(&launch, &subnet.zone)?;
        let hardware = hardware_of(image, &mut launch, params)?;
        check_settings(&launch, &hardware)?;
        let specs = DeviceSpec::read_all(params)?;
        if let Some(image) = image {
            check_root(image, &specs)?;
        }
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
            launch,
            devices: read_devices(specs, root_device, &volume_tags)?,
            host_disks,
            interfaces,
            instance_tags: Tags::specified(params, "instance", TAGGABLE)?,
            interface_tags: Tags::specified(params, "network-interface", TAGGABLE)?,
            subnet: subnet.id.clone(),
            zone: subnet.zone.clone(),
            root_device: root_device.to_owned(),
            hardware,
            billing: image.map(|image| image.billing.clone()).unwrap_or_default(),
        })
    }
}

/// The subnet of the first interface. All of them must be in its zone, and their groups and whatever exists be there.
fn read_subnet<'a>(
    scope: &'a Scope<'_>,
    params: &Params,
    interfaces: &[InterfaceSpec],
) -> Result<&'a Subnet, Ec2Error> {
    for spec in interfaces {
        scope.check_groups(spec.groups.iter().map(String::as_str))?;
    }
    let mut named = Vec::new();
    for spec in interfaces {
        if let Some(id) = &spec.existing {
            if params.text("MaxCount") != Some("1") {
                return Err(Ec2Error::invalid_combination(
                    "A network interface can be attached to one instance only.",
                ));
            }
            named.push((spec.place(), scope.free_interface(id)?.subnet.as_str()));
        } else if let Some(id) = &spec.subnet {
            named.push((spec.place(), id.as_str()));
        }
    }
    named.sort_unstable();
    let network = &scope.region.network;
    let zone = params.text("Placement.AvailabilityZone");
    let subnet = match (named.first(), zone) {
        (Some((_, id)), _) => network.subnet(id).ok_or_else(|| subnet_not_found(id))?,
        (None, Some(zone)) => network
            .subnet_of_zone(zone)
            .ok_or_else(|| Ec2Error::invalid_value(format!("Invalid availability zone: [{zone}]")))?,
        (None, None) => network
            .subnets
            .first()
            .ok_or_else(|| subnet_not_found("default"))?,
    };
    if let Some(zone) = zone.filter(|zone| *zone != subnet.zone) {
        return Err(Ec2Error::invalid_value(format!(
            "Value ({zone}) for parameter availabilityZone is invalid. Subnet '{}' is in the availability zone {}",
            subnet.id, subnet.zone
        )));
    }
    for (_, id) in named {
        let other = network.subnet(id).ok_or_else(|| subnet_not_found(id))?;
        if other.zone != subnet.zone {
            return Err(Ec2Error::invalid_combination(
                "All network interfaces must be in the same availability zone.",
            ));
        }
    }
    Ok(subnet)
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
        volume.attachments.push(Attachment {
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
    let launch_snapshot = volumes
        .iter()
        .zip(&request.devices)
        .find(|(_, device)| device.name == request.root_device)
        .and_then(|(volume, _)| volume.snapshot.clone());
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
        hardware: request.hardware.clone(),
        billing: request.billing.clone(),
        launch_snapshot,
        impairment: scope.region.next_impairment.take().unwrap_or_default(),
        rebooted_at: Timestamp::MIN,
        visible_at: scope.settings.visible_from(scope.now),
    };
    Ok(Made {
        instance,
        volumes,
        interfaces,
    })
}
