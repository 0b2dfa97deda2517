//! `DescribeNetworkInterfaces`, and the parts of an interface that an instance shows too.

use std::net::Ipv4Addr;

use crate::clock::iso;
use crate::error::Ec2Error;
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::world::address::public_dns;
use crate::world::interface::{Interface, InterfaceAttachment};
use crate::xml::Xml;

use super::Scope;
use super::addresses::interface_not_found;

const RULES: DescribeRules = DescribeRules {
    ids: "NetworkInterfaceId",
    ids_in_messages: "networkInterfaceIds",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: interface_not_found,
};

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let visible = |interface: &Interface| scope.now >= interface.visible_at;
    let found = find(&scope.region.interfaces, params, &RULES, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list("networkInterfaceSet", found.resources, |xml, interface| {
        write_interface(interface, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

pub(super) fn write_interface(interface: &Interface, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("availabilityZone", &interface.zone)
        .text("requesterManaged", false)
        .text("privateDnsName", interface.private_dns(&scope.region.name))
        .maybe("ipv6Address", interface.more.ipv6.first());
    write_common(interface, scope, xml);
    if let Some(attachment) = &interface.attachment {
        xml.block("attachment", |xml| {
            write_attachment(attachment, xml);
            xml.text("instanceId", &attachment.instance)
                .text("instanceOwnerId", scope.account);
        });
    }
    interface.tags.write(xml);
}

/// An interface as its instance shows it.
pub(super) fn write_of_instance(interface: &Interface, scope: &Scope<'_>, xml: &mut Xml) {
    write_common(interface, scope, xml);
    if let Some(attachment) = &interface.attachment {
        xml.block("attachment", |xml| write_attachment(attachment, xml));
    }
}

fn write_common(interface: &Interface, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("networkInterfaceId", &interface.id)
        .text("subnetId", &interface.subnet)
        .text("vpcId", &scope.region.network.vpc.id)
        .text("description", &interface.description)
        .text("ownerId", scope.account)
        .text("status", interface.status())
        .text("macAddress", &interface.mac)
        .text("privateIpAddress", interface.address)
        .text("sourceDestCheck", interface.source_dest_check)
        .text("interfaceType", &interface.kind);
    write_groups(&interface.groups, scope, xml);
    write_association(interface, interface.address, scope, xml);
    xml.list("privateIpAddressesSet", interface.addresses(), |xml, address| {
        xml.text("privateIpAddress", address)
            .text("primary", address == interface.address);
        write_association(interface, address, scope, xml);
    });
    let more = &interface.more;
    let first = more.ipv6.first();
    xml.list("ipv6AddressesSet", &more.ipv6, |xml, address| {
        let is_primary = more.has_primary_ipv6 && Some(address) == first;
        xml.text("ipv6Address", address).text("isPrimaryIpv6", is_primary);
    });
    if !more.prefixes.is_empty() {
        xml.list("ipv4PrefixSet", &more.prefixes, |xml, first| {
            xml.text("ipv4Prefix", format!("{first}/28"));
        });
    }
    if !more.prefixes6.is_empty() {
        xml.list("ipv6PrefixSet", &more.prefixes6, |xml, first| {
            xml.text("ipv6Prefix", format!("{first}/80"));
        });
    }
    interface.tracking.write("connectionTrackingConfiguration", xml);
}

fn write_attachment(attachment: &InterfaceAttachment, xml: &mut Xml) {
    xml.text("attachmentId", &attachment.id)
        .text("deviceIndex", attachment.device_index)
        .text("networkCardIndex", attachment.card_index)
        .text("status", "attached")
        .text("attachTime", iso(attachment.attached_at))
        .text("deleteOnTermination", attachment.delete_on_termination);
}

pub(super) fn write_groups(groups: &[String], scope: &Scope<'_>, xml: &mut Xml) {
    xml.list("groupSet", groups, |xml, id| {
        let group = scope.region.network.group(id);
        xml.text("groupId", id)
            .text("groupName", group.map_or(id, |group| &group.name));
    });
}

/// The public address that leads to a private one, if any does.
fn write_association(interface: &Interface, private: Ipv4Addr, scope: &Scope<'_>, xml: &mut Xml) {
    let region = &*scope.region;
    let elastic = region.elastic_address(interface, private);
    if let Some((elastic, association)) = elastic.and_then(|found| Some((found, found.association.as_ref()?)))
    {
        xml.block("association", |xml| {
            xml.text("publicIp", elastic.public)
                .text("publicDnsName", public_dns(elastic.public, &region.name))
                .text("ipOwnerId", scope.account)
                .text("allocationId", &elastic.id)
                .text("associationId", &association.id);
        });
    } else if let Some(lent) = interface.lent_public.filter(|_| private == interface.address) {
        xml.block("association", |xml| {
            xml.text("publicIp", lent)
                .text("publicDnsName", public_dns(lent, &region.name))
                .text("ipOwnerId", "amazon");
        });
    }
}
