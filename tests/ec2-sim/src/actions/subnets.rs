//! `CreateSubnet`, `DeleteSubnet`, `DescribeSubnets` and `DescribeVpcs`.

use crate::error::Ec2Error;
use crate::ids::next_id;
use crate::page::{DescribeRules, find_in};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::network::VPC_RANGE;
use crate::world::subnet::{Location, Range, Subnet};
use crate::xml::Xml;

use super::Scope;
use super::volumes::unknown_zone;

const VPCS: DescribeRules = DescribeRules {
    ids: "VpcId",
    ids_in_messages: "vpcIds",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |ids| vpc_not_found(&ids.join(", ")),
};
const SUBNETS: DescribeRules = DescribeRules {
    ids: "SubnetId",
    ids_in_messages: "subnetIds",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |ids| subnet_not_found(&ids.join(", ")),
};

fn vpc_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidVpcID.NotFound",
        format!("The vpc ID '{id}' does not exist"),
    )
}

pub(super) fn subnet_not_found(id: &str) -> Ec2Error {
    Ec2Error::new(
        "InvalidSubnetID.NotFound",
        format!("The subnet ID '{id}' does not exist"),
    )
}

impl Scope<'_> {
    /// Refuses a VPC that is not there, which every VPC is but the default one.
    pub(super) fn check_vpc(&self, id: &str) -> Result<(), Ec2Error> {
        if self.region.network.vpc.id == id {
            Ok(())
        } else {
            Err(vpc_not_found(id))
        }
    }
}

pub(super) fn create(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    scope.check_vpc(params.required("VpcId")?)?;
    let range = read_range(scope, params.required("CidrBlock")?)?;
    let (zone, zone_id) = read_zone(scope, params)?;
    let tags = Tags::specified(params, "subnet", &["subnet"])?;
    let location = Location {
        zone,
        zone_id,
        range,
        range6: scope.region.network.next_range6(),
    };
    let subnet = Subnet::new(next_id("subnet", scope.ids), location, false, tags);
    let mut xml = Xml::new();
    xml.block("subnet", |xml| write_subnet(&subnet, scope, xml));
    scope.region.network.subnets.push(subnet);
    Ok(xml)
}

fn read_range(scope: &Scope<'_>, text: &str) -> Result<Range, Ec2Error> {
    let range: Range = text.parse().map_err(|()| {
        Ec2Error::invalid_value(format!(
            "Value ({text}) for parameter cidrBlock is invalid. This is not a valid CIDR block."
        ))
    })?;
    if !range.is_in(VPC_RANGE) {
        return Err(Ec2Error::new(
            "InvalidSubnet.Range",
            format!("The CIDR '{text}' is invalid."),
        ));
    }
    let mut others = scope.region.network.subnets.iter();
    if others.any(|other| other.range.overlaps(range)) {
        return Err(Ec2Error::new(
            "InvalidSubnet.Conflict",
            format!("The CIDR '{text}' conflicts with another subnet"),
        ));
    }
    Ok(range)
}

/// The zone that a call names, else the first.
fn read_zone(scope: &Scope<'_>, params: &Params) -> Result<(String, String), Ec2Error> {
    let mut zones = scope.region.network.zones();
    let (named, found) = match (params.text("AvailabilityZone"), params.text("AvailabilityZoneId")) {
        (Some(zone), _) => (zone, zones.find(|subnet| subnet.zone == zone)),
        (None, Some(id)) => (id, zones.find(|subnet| subnet.zone_id == id)),
        (None, None) => ("any", zones.next()),
    };
    let found = found.ok_or_else(|| unknown_zone(named))?;
    Ok((found.zone.clone(), found.zone_id.clone()))
}

pub(super) fn delete(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let id = params.required("SubnetId")?;
    let network = &scope.region.network;
    network.subnet(id).ok_or_else(|| subnet_not_found(id))?;
    let mut interfaces = scope.region.interfaces.values();
    if interfaces.any(|interface| interface.subnet == id) {
        return Err(Ec2Error::new(
            "DependencyViolation",
            format!("The subnet '{id}' has dependencies and cannot be deleted."),
        ));
    }
    scope.region.network.subnets.retain(|subnet| subnet.id != id);
    Ok(Xml::done())
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let subnets = scope.region.network.subnets.iter();
    let all = subnets.map(|subnet| (subnet.id.as_str(), subnet)).collect();
    let found = find_in(&all, params, &SUBNETS, scope.view())?;
    let mut xml = Xml::new();
    xml.list("subnetSet", found.resources, |xml, subnet| {
        write_subnet(subnet, scope, xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write_subnet(subnet: &Subnet, scope: &Scope<'_>, xml: &mut Xml) {
    xml.text("subnetId", &subnet.id)
        .text("vpcId", &scope.region.network.vpc.id)
        .text("ownerId", scope.account)
        .text("state", "available")
        .text("availabilityZone", &subnet.zone)
        .text("availabilityZoneId", &subnet.zone_id)
        .text("cidrBlock", subnet.range)
        .text("availableIpAddressCount", subnet.free())
        .text("defaultForAz", subnet.is_default)
        .text("mapPublicIpOnLaunch", subnet.is_default)
        .text("assignIpv6AddressOnCreation", false);
    xml.list("ipv6CidrBlockAssociationSet", [subnet.range6], |xml, range| {
        xml.text("ipv6CidrBlock", range)
            .block("ipv6CidrBlockState", |xml| {
                xml.text("state", "associated");
            });
    });
    subnet.tags.write(xml);
}

pub(super) fn describe_vpcs(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let network = &scope.region.network;
    let all = [(network.vpc.id.as_str(), &network.vpc)].into();
    let found = find_in(&all, params, &VPCS, scope.view())?;
    let mut xml = Xml::new();
    xml.list("vpcSet", found.resources, |xml, vpc| {
        xml.text("vpcId", &vpc.id)
            .text("ownerId", scope.account)
            .text("state", "available")
            .text("cidrBlock", VPC_RANGE)
            .text("instanceTenancy", "default")
            .text("isDefault", true);
        xml.list("ipv6CidrBlockAssociationSet", [network.range6()], |xml, range| {
            xml.text("ipv6CidrBlock", range)
                .block("ipv6CidrBlockState", |xml| {
                    xml.text("state", "associated");
                });
        });
        vpc.tags.write(xml);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}
