//! Elastic addresses: `AllocateAddress`, `AssociateAddress`, `DisassociateAddress`, `ReleaseAddress` and
//! `DescribeAddresses`.

use crate::error::Ec2Error;
use crate::ids::{AllocationId, AssociationId};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::address::{Address, Association};
use crate::world::interface::Interface;
use crate::xml::Xml;

use super::Scope;
use super::new_interfaces::lent_address;

/// AWS does not page addresses.
const RULES: DescribeRules = DescribeRules {
    ids: "AllocationId",
    ids_in_messages: "allocationId",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found,
};

fn not_found(ids: &[&str]) -> Ec2Error {
    Ec2Error::new(
        "InvalidAllocationID.NotFound",
        format!("The allocation ID '{}' does not exist", ids.join(", ")),
    )
}

pub(super) fn allocate(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let tags = Tags::specified(params, "elastic-ip", &["elastic-ip"])?;
    let address = Address {
        id: AllocationId::next(scope.ids),
        public: lent_address(scope.ids.next()),
        association: None,
        tags,
    };
    let mut xml = Xml::new();
    xml.text("publicIp", address.public)
        .text("allocationId", &address.id)
        .text("domain", "vpc");
    scope.region.addresses.insert(address.id.clone(), address);
    Ok(xml)
}

/// A second association moves the address, unless the call says that it must not.
pub(super) fn associate(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let allocation = params.required("AllocationId")?;
    let may_move = params.flag("AllowReassociation")?.unwrap_or(true);
    let interface = find_target(scope, params)?;
    let private = params.parsed("PrivateIpAddress")?.unwrap_or(interface.address);
    if !interface.addresses().any(|address| address == private) {
        return Err(Ec2Error::invalid_value(format!(
            "The private IP address {private} is not assigned to interface {}",
            interface.id
        )));
    }
    let address = scope.region.addresses.get(allocation);
    let address = address.ok_or_else(|| not_found(&[allocation]))?;
    let is_there = address.is_at(&interface.id, private);
    let current = address
        .association
        .as_ref()
        .map(|association| association.id.clone());
    let other = scope
        .region
        .elastic_address(interface, private)
        .map(|other| other.id.clone());
    if !may_move && !is_there && current.is_some() {
        return Err(already_associated(allocation, "with another interface"));
    }
    if !may_move && !is_there && other.is_some() {
        return Err(already_associated(interface.id.as_str(), "with another address"));
    }
    let association = Association {
        id: current
            .filter(|_| is_there)
            .unwrap_or_else(|| AssociationId::next(scope.ids)),
        interface: interface.id.clone(),
        instance: interface.instance().cloned(),
        private,
    };
    let mut xml = Xml::done();
    xml.text("associationId", &association.id);
    if let Some(other) = other.and_then(|other| scope.region.addresses.get_mut(&other)) {
        other.association = None;
    }
    if let Some(address) = scope.region.addresses.get_mut(allocation) {
        address.association = Some(association);
    }
    Ok(xml)
}

fn already_associated(id: &str, how: &str) -> Ec2Error {
    Ec2Error::new(
        "Resource.AlreadyAssociated",
        format!("resource {id} is already associated {how}"),
    )
}

/// The interface that a call names, or the only one of an instance.
fn find_target<'a>(scope: &'a Scope<'_>, params: &Params) -> Result<&'a Interface, Ec2Error> {
    match (params.text("NetworkInterfaceId"), params.text("InstanceId")) {
        (Some(id), _) => scope.interface(id),
        (None, Some(id)) => scope.only_interface(id),
        (None, None) => Err(Ec2Error::missing("InstanceId")),
    }
}

pub(super) fn disassociate(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("AssociationId")?;
    let is_named = |address: &&mut Address| {
        let association = address.association.as_ref();
        association.is_some_and(|association| association.id.as_str() == id)
    };
    let address = scope.region.addresses.values_mut().find(is_named);
    let address = address.ok_or_else(|| {
        Ec2Error::new(
            "InvalidAssociationID.NotFound",
            format!("The association ID '{id}' does not exist"),
        )
    })?;
    address.association = None;
    Ok(Xml::done())
}

pub(super) fn release(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("AllocationId")?;
    let address = scope.region.addresses.get(id);
    let address = address.ok_or_else(|| not_found(&[id]))?;
    if address.association.is_some() {
        return Err(Ec2Error::new(
            "InvalidIPAddress.InUse",
            format!("Address {} is in use.", address.public),
        ));
    }
    scope.region.addresses.remove(id);
    Ok(Xml::done())
}

pub(super) fn interface_not_found(ids: &[&str]) -> Ec2Error {
    Ec2Error::new(
        "InvalidNetworkInterfaceID.NotFound",
        format!("The networkInterface ID '{}' does not exist", ids.join(", ")),
    )
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let public = params.list("PublicIp");
    let is_known = |ip: &str| {
        scope
            .region
            .addresses
            .values()
            .any(|address| address.public.to_string() == ip)
    };
    if let Some(unknown) = public.iter().find(|ip| !is_known(ip)) {
        return Err(Ec2Error::new(
            "InvalidAddress.NotFound",
            format!("Address '{unknown}' not found."),
        ));
    }
    let wanted =
        |address: &Address| public.is_empty() || public.contains(&address.public.to_string().as_str());
    let found = find(&scope.region.addresses, params, &RULES, scope.view(), wanted)?;
    let mut xml = Xml::new();
    xml.list("addressesSet", found.resources, |xml, address| {
        xml.text("publicIp", address.public)
            .text("allocationId", &address.id)
            .text("domain", "vpc")
            .text("networkBorderGroup", &scope.region.name);
        if let Some(association) = &address.association {
            xml.text("associationId", &association.id)
                .maybe("instanceId", association.instance.as_ref())
                .text("networkInterfaceId", &association.interface)
                .text("networkInterfaceOwnerId", scope.account)
                .text("privateIpAddress", association.private);
        }
        address.tags.write(xml);
    });
    Ok(xml)
}
