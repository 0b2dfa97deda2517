//! The network interfaces of a new instance.

use std::net::Ipv4Addr;

use crate::error::Ec2Error;
use crate::ids::{InstanceId, InterfaceAttachmentId, InterfaceId};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::network::{Interface, InterfaceAttachment, Subnet};

use super::Scope;
use super::addresses::interface_not_found;
use super::describe_network::group_not_found;
use super::run_instances::subnet_not_found;

/// What a call says about one interface.
#[derive(Debug, Clone, Default)]
pub(super) struct InterfaceSpec {
    /// An interface that exists, to be attached as it is.
    pub(super) existing: Option<String>,
    pub(super) subnet: Option<String>,
    device_index: u32,
    description: String,
    pub(super) groups: Vec<String>,
    primary: Option<Ipv4Addr>,
    secondary: Vec<Ipv4Addr>,
    secondary_count: u32,
    public: Option<bool>,
    delete_on_termination: bool,
}

impl InterfaceSpec {
    /// The interfaces that a call lists, or the one that its own parameters describe.
    pub(super) fn read_all(params: &Params) -> Result<Vec<Self>, Ec2Error> {
        let listed = params.structs("NetworkInterface");
        if listed.is_empty() {
            return Ok(vec![Self {
                subnet: params.owned("SubnetId"),
                groups: owned_list(params, "SecurityGroupId"),
                primary: params.parsed("PrivateIpAddress")?,
                delete_on_termination: true,
                ..Self::default()
            }]);
        }
        if params.text("SubnetId").is_some() || params.has_prefix("SecurityGroupId.") {
            return Err(Ec2Error::invalid_combination(
                "Network interfaces and an instance-level subnet ID or security groups may not be specified on \
                 the same request",
            ));
        }
        listed.iter().map(Self::read).collect()
    }

    fn read(params: &Params) -> Result<Self, Ec2Error> {
        let mut primary = params.parsed("PrivateIpAddress")?;
        let mut secondary = Vec::new();
        for address in params.structs("PrivateIpAddresses") {
            let parsed = address
                .parsed("PrivateIpAddress")?
                .ok_or_else(|| Ec2Error::missing("PrivateIpAddress"))?;
            if address.flag("Primary")?.unwrap_or_default() {
                primary = Some(parsed);
            } else {
                secondary.push(parsed);
            }
        }
        let existing = params.owned("NetworkInterfaceId");
        Ok(Self {
            subnet: params.owned("SubnetId"),
            device_index: params
                .parsed("DeviceIndex")?
                .ok_or_else(|| Ec2Error::missing("DeviceIndex"))?,
            description: params.owned("Description").unwrap_or_default(),
            groups: owned_list(params, "SecurityGroupId"),
            primary,
            secondary,
            secondary_count: params
                .parsed("SecondaryPrivateIpAddressCount")?
                .unwrap_or_default(),
            public: params.flag("AssociatePublicIpAddress")?,
            delete_on_termination: params.flag("DeleteOnTermination")?.unwrap_or(existing.is_none()),
            existing,
        })
    }
}

fn owned_list(params: &Params, name: &str) -> Vec<String> {
    params.list(name).into_iter().map(str::to_owned).collect()
}

/// Makes interfaces that are not in the region yet, or takes ones that are. Addresses are taken; a failure gives them
/// back.
pub(super) fn new_interfaces(
    scope: &mut Scope<'_>,
    specs: &[InterfaceSpec],
    subnet: &str,
    instance: &InstanceId,
    tags: &Tags,
) -> Result<Vec<Interface>, Ec2Error> {
    let mut made: Vec<Interface> = Vec::new();
    for spec in specs {
        let interface = match &spec.existing {
            Some(id) => scope.free_interface(id).cloned(),
            // A default subnet lends a public address to a launch with one interface.
            None => new_interface(scope, spec, subnet, tags, specs.len() == 1),
        };
        match interface {
            Ok(mut interface) => {
                interface.attachment = Some(InterfaceAttachment {
                    id: InterfaceAttachmentId::next(scope.ids),
                    instance: instance.clone(),
                    device_index: spec.device_index,
                    attached_at: scope.now,
                    delete_on_termination: spec.delete_on_termination,
                });
                made.push(interface);
            }
            Err(error) => {
                give_addresses_back(scope, &made);
                return Err(error);
            }
        }
    }
    Ok(made)
}

/// Frees the addresses of interfaces that come to nothing.
pub(super) fn give_addresses_back(scope: &mut Scope<'_>, interfaces: &[Interface]) {
    for interface in interfaces {
        if scope.region.interfaces.contains_key(&interface.id) {
            continue;
        }
        if let Some(subnet) = scope.region.network.subnet_mut(&interface.subnet) {
            interface.addresses().for_each(|address| subnet.release(address));
        }
    }
}

fn new_interface(
    scope: &mut Scope<'_>,
    spec: &InterfaceSpec,
    subnet: &str,
    tags: &Tags,
    lend_public: bool,
) -> Result<Interface, Ec2Error> {
    let default_group = scope.region.network.group.id.clone();
    let id = spec.subnet.as_deref().unwrap_or(subnet);
    let subnet = scope
        .region
        .network
        .subnet_mut(id)
        .ok_or_else(|| subnet_not_found(id))?;
    let mut addresses = take_addresses(subnet, spec)?;
    let more_addresses = addresses.split_off(1);
    let number = scope.ids.next().to_be_bytes();
    Ok(Interface {
        id: InterfaceId::next(scope.ids),
        subnet: id.to_owned(),
        zone: subnet.zone.clone(),
        address: addresses[0],
        more_addresses,
        mac: format!(
            "0a:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            number[0], number[1], number[2], number[3], number[4]
        ),
        description: spec.description.clone(),
        groups: if spec.groups.is_empty() {
            vec![default_group]
        } else {
            spec.groups.clone()
        },
        source_dest_check: true,
        lent_public: spec
            .public
            .unwrap_or(lend_public)
            .then(|| lent_address(scope.ids.next())),
        attachment: None,
        tags: tags.clone(),
    })
}

impl Scope<'_> {
    /// An interface that is not attached.
    pub(super) fn free_interface(&self, id: &str) -> Result<&Interface, Ec2Error> {
        let interface = self.region.interfaces.get(id);
        let interface = interface.ok_or_else(|| interface_not_found(&[id]))?;
        if interface.attachment.is_some() {
            return Err(Ec2Error::new(
                "InvalidNetworkInterface.InUse",
                format!("Interface: [{id}] in use."),
            ));
        }
        Ok(interface)
    }

    /// Refuses security groups that are not there.
    pub(super) fn check_groups<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Result<(), Ec2Error> {
        let known = &self.region.network.group.id;
        match groups.into_iter().find(|group| group != known) {
            None => Ok(()),
            Some(unknown) => Err(group_not_found(unknown)),
        }
    }
}

/// The primary address first; nothing is taken when one of them cannot be had.
fn take_addresses(subnet: &mut Subnet, spec: &InterfaceSpec) -> Result<Vec<Ipv4Addr>, Ec2Error> {
    let wanted: Vec<Ipv4Addr> = spec.primary.iter().chain(&spec.secondary).copied().collect();
    let mut taken = Vec::new();
    let mut failure = None;
    for address in wanted {
        if !subnet.holds(address) {
            failure = Some(Ec2Error::invalid_value(format!(
                "Address {address} does not fall within the subnet's address range"
            )));
        } else if subnet.take(address) {
            taken.push(address);
            continue;
        } else {
            failure = Some(Ec2Error::new(
                "InvalidIPAddress.InUse",
                format!("Address {address} is in use."),
            ));
        }
        break;
    }
    let any = u32::from(spec.primary.is_none()) + spec.secondary_count;
    for _ in 0..any {
        match subnet.take_any() {
            // The first free address is the primary one when none was asked for.
            Some(address) if spec.primary.is_none() && taken.len() == spec.secondary.len() => {
                taken.insert(0, address);
            }
            Some(address) => taken.push(address),
            None => {
                failure = Some(Ec2Error::new(
                    "InsufficientFreeAddressesInSubnet",
                    "There are not enough free addresses in the subnet.",
                ));
            }
        }
    }
    match failure {
        None => Ok(taken),
        Some(error) => {
            for address in taken {
                subnet.release(address);
            }
            Err(error)
        }
    }
}

/// An address that looks public; nothing answers there.
pub(super) fn lent_address(number: u64) -> Ipv4Addr {
    let [first, second, third, ..] = number.to_be_bytes();
    Ipv4Addr::new(54, first, second, third)
}
