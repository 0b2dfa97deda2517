//! Elastic addresses: `AllocateAddress`, `AssociateAddress` and `DescribeAddresses`.

use crate::error::Ec2Error;
use crate::ids::{AllocationId, AssociationId, InterfaceId};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::network::{Address, Association};
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

pub(super) fn associate(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let allocation = params.required("AllocationId")?;
    let interface = match (params.text("NetworkInterfaceId"), params.text("InstanceId")) {
        (Some(id), _) => scope
            .region
            .interfaces
            .get(id)
            .ok_or_else(|| interface_not_found(&[id]))?,
        (None, Some(id)) => scope
            .instance(id)?
            .primary_interface(scope.region)
            .ok_or_else(|| {
                Ec2Error::new(
                    "InvalidInstanceID",
                    format!("The instance '{id}' has no network interface"),
                )
            })?,
        (None, None) => return Err(Ec2Error::missing("InstanceId")),
    };
    let association = Association {
        id: AssociationId::next(scope.ids),
        interface: InterfaceId::clone(&interface.id),
        instance: interface
            .attachment
            .as_ref()
            .map(|attachment| attachment.instance.clone()),
        private: params.parsed("PrivateIpAddress")?.unwrap_or(interface.address),
    };
    let address = scope
        .region
        .addresses
        .get_mut(allocation)
        .ok_or_else(|| not_found(&[allocation]))?;
    if address.association.is_some() && params.flag("AllowReassociation")? == Some(false) {
        return Err(Ec2Error::new(
            "Resource.AlreadyAssociated",
            format!("resource {allocation} is already associated with an interface"),
        ));
    }
    let mut xml = Xml::done();
    xml.text("associationId", &association.id);
    address.association = Some(association);
    Ok(xml)
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
