//! Network interfaces that a call makes, and those of a new instance.

use std::net::Ipv4Addr;

use crate::error::Ec2Error;
use crate::ids::{InstanceId, InterfaceAttachmentId, InterfaceId};
use crate::tags::Tags;
use crate::world::interface::{Interface, InterfaceAttachment, MoreAddresses};
use crate::world::subnet::{Subnet, prefix_of};

use super::Scope;
use super::addresses::interface_not_found;
use super::interface_spec::{InterfaceSpec, Wanted};
use super::security_groups::group_not_found;
use super::subnets::subnet_not_found;

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
        let interface = if let Some(id) = &spec.existing {
            scope.free_interface(id).cloned()
        } else {
            let id = spec.subnet.as_deref().unwrap_or(subnet);
            // A default subnet lends a public address to a launch with one interface.
            let found = scope.region.network.subnet(id);
            let is_default = found.is_some_and(|found| found.is_default);
            let lends = spec.public.unwrap_or(specs.len() == 1 && is_default);
            new_interface(scope, spec, id, tags, lends)
        };
        match interface {
            Ok(mut interface) => {
                interface.attachment = Some(InterfaceAttachment {
                    id: InterfaceAttachmentId::next(scope.ids),
                    instance: instance.clone(),
                    device_index: spec.device_index,
                    card_index: spec.card_index,
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
            interface.give_back(subnet);
        }
    }
}

/// Makes an interface that is not in the region yet; its addresses are taken.
pub(super) fn new_interface(
    scope: &mut Scope<'_>,
    spec: &InterfaceSpec,
    subnet: &str,
    tags: &Tags,
    lend_public: bool,
) -> Result<Interface, Ec2Error> {
    let default_group = scope.region.network.default_group();
    let found = scope
        .region
        .network
        .subnet_mut(subnet)
        .ok_or_else(|| subnet_not_found(subnet))?;
    let (address, more) = take_addresses(found, &spec.wanted)?;
    let number = scope.ids.next().to_be_bytes();
    Ok(Interface {
        id: InterfaceId::next(scope.ids),
        subnet: subnet.to_owned(),
        zone: found.zone.clone(),
        address,
        more,
        mac: format!(
            "0a:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}",
            number[0], number[1], number[2], number[3], number[4]
        ),
        kind: spec.kind.clone(),
        description: spec.description.clone(),
        groups: if spec.groups.is_empty() {
            default_group.into_iter().collect()
        } else {
            spec.groups.clone()
        },
        source_dest_check: true,
        tracking: spec.tracking.clone(),
        lent_public: lend_public.then(|| lent_address(scope.ids.next())),
        attachment: None,
        tags: tags.clone(),
        visible_at: scope.settings.visible_from(scope.now),
    })
}

impl Scope<'_> {
    /// An interface, seen by describes or not.
    pub(super) fn interface(&self, id: &str) -> Result<&Interface, Ec2Error> {
        let interface = self.region.interfaces.get(id);
        interface.ok_or_else(|| interface_not_found(&[id]))
    }

    /// The interface that a call means which names its instance instead.
    pub(super) fn only_interface(&self, instance: &str) -> Result<&Interface, Ec2Error> {
        let mut interfaces = self.instance(instance)?.interfaces(self.region);
        let message = match (interfaces.next(), interfaces.next()) {
            (Some(interface), None) => return Ok(interface),
            (None, _) => format!("The instance '{instance}' has no network interface"),
            (Some(_), Some(_)) => format!(
                "There are multiple interfaces attached to instance '{instance}'. Please specify an interface ID for \
                 the operation instead."
            ),
        };
        Err(Ec2Error::new("InvalidInstanceID", message))
    }

    /// An interface that is not attached.
    pub(super) fn free_interface(&self, id: &str) -> Result<&Interface, Ec2Error> {
        let interface = self.interface(id)?;
        if interface.attachment.is_some() {
            return Err(interface_in_use(id));
        }
        Ok(interface)
    }

    /// Refuses security groups that are not there.
    pub(super) fn check_groups<'a>(&self, groups: impl IntoIterator<Item = &'a str>) -> Result<(), Ec2Error> {
        let network = &self.region.network;
        match groups.into_iter().find(|group| network.group(group).is_none()) {
            None => Ok(()),
            Some(unknown) => Err(group_not_found(unknown)),
        }
    }
}

pub(super) fn interface_in_use(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidNetworkInterface.InUse",
        format!("Interface: [{id}] in use."),
    )
}

/// The primary address and the others; nothing is taken when one of them cannot be had.
fn take_addresses(subnet: &mut Subnet, wanted: &Wanted) -> Result<(Ipv4Addr, MoreAddresses), Ec2Error> {
    let mut more = MoreAddresses::default();
    match take_all(subnet, wanted, &mut more) {
        Ok(primary) => Ok((primary, more)),
        Err(error) => {
            more.give_back(subnet);
            Err(error)
        }
    }
}

/// Takes what is named before anything that is free: the first free address is the primary one if none was named.
fn take_all(subnet: &mut Subnet, wanted: &Wanted, more: &mut MoreAddresses) -> Result<Ipv4Addr, Ec2Error> {
    // The primary address is kept among the others until all are taken, for a failure to give it back.
    for address in wanted.primary.iter().chain(&wanted.secondary) {
        check(subnet.holds(*address), address)?;
        free(subnet.take(*address), address)?;
        more.secondary.push(*address);
    }
    for first in &wanted.prefixes {
        check(subnet.holds_prefix(*first), first)?;
        free(subnet.take_prefix(*first), first)?;
        more.prefixes.push(*first);
    }
    for address in &wanted.ipv6 {
        check(subnet.holds6(*address), address)?;
        free(subnet.take6(*address), address)?;
        more.ipv6.push(*address);
    }
    for first in &wanted.prefixes6 {
        check(subnet.holds6(*first) && prefix_of(*first) == *first, first)?;
        free(subnet.take_prefix6(*first), first)?;
        more.prefixes6.push(*first);
    }
    let any = u32::from(wanted.primary.is_none()) + wanted.secondary_count;
    for number in 0..any {
        let address = subnet.take_any().ok_or_else(is_full)?;
        if number == 0 && wanted.primary.is_none() {
            more.secondary.insert(0, address);
        } else {
            more.secondary.push(address);
        }
    }
    for _ in 0..wanted.prefix_count {
        more.prefixes.push(subnet.take_any_prefix().ok_or_else(is_full)?);
    }
    for _ in 0..wanted.ipv6_count {
        more.ipv6.push(subnet.take_any6());
    }
    for _ in 0..wanted.prefix6_count {
        more.prefixes6.push(subnet.take_any_prefix6());
    }
    more.has_primary_ipv6 = wanted.has_primary_ipv6;
    Ok(more.secondary.remove(0))
}

fn is_full() -> Ec2Error {
    Ec2Error::new(
        "InsufficientFreeAddressesInSubnet",
        "There are not enough free addresses in the subnet.",
    )
}

fn check(is_inside: bool, address: impl std::fmt::Display) -> Result<(), Ec2Error> {
    if is_inside {
        return Ok(());
    }
    Err(Ec2Error::invalid_value(format!(
        "Address {address} does not fall within the subnet's address range"
    )))
}

fn free(was_free: bool, address: impl std::fmt::Display) -> Result<(), Ec2Error> {
    if was_free {
        return Ok(());
    }
    Err(Ec2Error::new(
        "InvalidIPAddress.InUse",
        format!("Address {address} is in use."),
    ))
}

/// An address that looks public; nothing answers there.
pub(super) fn lent_address(number: u64) -> Ipv4Addr {
    let [first, second, third, ..] = number.to_be_bytes();
    Ipv4Addr::new(54, first, second, third)
}
