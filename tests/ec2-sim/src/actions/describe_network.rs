//! `DescribeNetworkInterfaces`, `DescribeVpcs`, `DescribeSubnets` and `DescribeSecurityGroups`.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::filter::Filterable;
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::world::network::{Interface, InterfaceAttachment, public_dns};
use crate::xml::Xml;

use super::Scope;
use super::addresses::interface_not_found;
use super::run_instances::subnet_not_found;

/// The VPC's address range.
const VPC_CIDR: &str = "172.31.0.0/16";

const INTERFACES: DescribeRules = rules("NetworkInterfaceId", "networkInterfaceIds", interface_not_found);
const VPCS: DescribeRules = rules("VpcId", "vpcIds", |ids| {
    Ec2Error::new(
        "InvalidVpcID.NotFound",
        format!("The vpc ID '{}' does not exist", ids.join(", ")),
    )
});
const SUBNETS: DescribeRules = rules("SubnetId", "subnetIds", |ids| subnet_not_found(&ids.join(", ")));
const GROUPS: DescribeRules = rules("GroupId", "groupIds", |ids| group_not_found(&ids.join(", ")));

pub(super) fn group_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidGroup.NotFound",
        format!("The security group '{id}' does not exist"),
    )
}

const fn rules(
    ids: &'static str,
    ids_in_messages: &'static str,
    not_found: fn(&[&str]) -> Ec2Error,
) -> DescribeRules {
    DescribeRules {
        ids,
        ids_in_messages,
        page_sizes: 5..=1000,
        check_id: |_| Ok(()),
        not_found,
    }
}

pub(super) fn describe_interfaces(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let found = find(
        &scope.region.interfaces,
        params,
        &INTERFACES,
        scope.view(),
        |_| true,
    )?;
    let mut xml = Xml::new();
    xml.list("networkInterfaceSet", found.resources, |xml, interface| {
        write(interface, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(interface: &Interface, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("networkInterfaceId", &interface.id)
        .text("subnetId", &interface.subnet)
        .text("vpcId", &scope.region.network.vpc.id)
        .text("availabilityZone", &interface.zone)
        .text("description", &interface.description)
        .text("ownerId", scope.account)
        .text("requesterManaged", false)
        .text("status", interface.status())
        .text("macAddress", &interface.mac)
        .text("privateIpAddress", interface.address)
        .text("privateDnsName", interface.private_dns(&scope.region.name))
        .text("sourceDestCheck", interface.source_dest_check)
        .text("interfaceType", "interface");
    write_groups(&interface.groups, scope, xml);
    if let Some(attachment) = &interface.attachment {
        xml.block("attachment", |xml| {
            write_attachment(attachment, xml);
            xml.text("instanceId", &attachment.instance)
                .text("instanceOwnerId", scope.account);
        });
    }
    interface.tags.write(xml);
    write_association(interface, interface.address, scope, xml);
    write_private_addresses(interface, scope, xml);
}

/// An attachment as an instance shows it.
pub(super) fn write_interface_attachment(attachment: &InterfaceAttachment, xml: &mut Xml) {
    xml.block("attachment", |xml| write_attachment(attachment, xml));
}

fn write_attachment(attachment: &InterfaceAttachment, xml: &mut Xml) {
    xml.text("attachmentId", &attachment.id)
        .text("deviceIndex", attachment.device_index)
        .text("networkCardIndex", 0)
        .text("status", "attached")
        .text("attachTime", iso(attachment.attached_at))
        .text("deleteOnTermination", attachment.delete_on_termination);
}

pub(super) fn write_groups(groups: &[String], scope: &Scope<'_>, xml: &mut Xml) {
    let default = &scope.region.network.group;
    xml.list("groupSet", groups, |xml, group| {
        let name = if *group == default.id {
            &default.name
        } else {
            group
        };
        xml.text("groupId", group).text("groupName", name);
    });
}

/// The private addresses, each with the public one that leads to it.
pub(super) fn write_private_addresses(interface: &Interface, scope: &Scope<'_>, xml: &mut Xml) {
    xml.list("privateIpAddressesSet", interface.addresses(), |xml, address| {
        xml.text("privateIpAddress", address)
            .text("primary", address == interface.address);
        write_association(interface, address, scope, xml);
    });
}

/// The public address that leads to a private one, if any does.
fn write_association(interface: &Interface, private: Ipv4Addr, scope: &Scope<'_>, xml: &mut Xml) {
    let region = &*scope.region;
    let elastic = region.elastic_address(interface);
    if let Some((elastic, association)) = elastic.and_then(|found| Some((found, found.association.as_ref()?)))
    {
        if association.private == private {
            xml.block("association", |xml| {
                xml.text("publicIp", elastic.public)
                    .text("publicDnsName", public_dns(elastic.public, &region.name))
                    .text("ipOwnerId", scope.account)
                    .text("allocationId", &elastic.id)
                    .text("associationId", &association.id);
            });
        }
    } else if let Some(lent) = interface.lent_public.filter(|_| private == interface.address) {
        xml.block("association", |xml| {
            xml.text("publicIp", lent)
                .text("publicDnsName", public_dns(lent, &region.name))
                .text("ipOwnerId", "amazon");
        });
    }
}

pub(super) fn describe_vpcs(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let vpc = &scope.region.network.vpc;
    list(
        scope,
        params,
        &VPCS,
        "vpcSet",
        [(vpc.id.as_str(), vpc)],
        |xml, vpc| {
            xml.text("vpcId", &vpc.id)
                .text("ownerId", scope.account)
                .text("state", "available")
                .text("cidrBlock", VPC_CIDR)
                .text("instanceTenancy", "default")
                .text("isDefault", true);
            vpc.tags.write(xml);
        },
    )
}

pub(super) fn describe_subnets(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let network = &scope.region.network;
    let subnets = network.subnets.iter().map(|subnet| (subnet.id.as_str(), subnet));
    list(scope, params, &SUBNETS, "subnetSet", subnets, |xml, subnet| {
        xml.text("subnetId", &subnet.id)
            .text("vpcId", &network.vpc.id)
            .text("ownerId", scope.account)
            .text("state", "available")
            .text("availabilityZone", &subnet.zone)
            .text("availabilityZoneId", &subnet.zone_id)
            .text("cidrBlock", subnet.cidr())
            .text("availableIpAddressCount", subnet.free())
            .text("defaultForAz", true)
            .text("mapPublicIpOnLaunch", true);
        subnet.tags.write(xml);
    })
}

pub(super) fn describe_groups(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let group = &scope.region.network.group;
    list(
        scope,
        params,
        &GROUPS,
        "securityGroupInfo",
        [(group.id.as_str(), group)],
        |xml, group| {
            xml.text("groupId", &group.id)
                .text("groupName", &group.name)
                .text("groupDescription", "default VPC security group")
                .text("ownerId", scope.account)
                .text("vpcId", &scope.region.network.vpc.id);
            group.tags.write(xml);
        },
    )
}

/// Describes what is kept as a list, by the rules that hold for all describes.
fn list<'a, R: Filterable + 'a>(
    scope: &Scope<'_>,
    params: &Params,
    rules: &DescribeRules,
    name: &str,
    all: impl IntoIterator<Item = (&'a str, &'a R)>,
    mut write: impl FnMut(&mut Xml, &R),
) -> Result<Xml, Ec2Error> {
    let all: BTreeMap<&str, &R> = all.into_iter().collect();
    let found = find(&all, params, rules, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list(name, found.resources, |xml, resource| write(xml, resource));
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}
