//! `DescribeRegions` and `DescribeAvailabilityZones`.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::network::Subnet;
use crate::xml::Xml;

use super::Scope;

/// Regions that are on in every account here.
const REGIONS: [&str; 4] = ["eu-central-1", "eu-west-1", "us-east-1", "us-west-2"];

pub(super) fn describe_regions(_: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let names = params.list("RegionName");
    if let Some(unknown) = names.iter().find(|name| !REGIONS.contains(name)) {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid region provided: {unknown}"
        )));
    }
    let regions = REGIONS
        .iter()
        .filter(|region| names.is_empty() || names.contains(region));
    let mut xml = Xml::new();
    xml.list("regionInfo", regions, |xml, region| {
        xml.text("regionName", region)
            .text("regionEndpoint", format!("ec2.{region}.amazonaws.com"))
            .text("optInStatus", "opt-in-not-required");
    });
    Ok(xml)
}

pub(super) fn describe_zones(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let network = &scope.region.network;
    let names = params.list("ZoneName");
    if let Some(unknown) = names.iter().find(|name| !network.has_zone(name)) {
        return Err(Ec2Error::invalid_value(format!(
            "Invalid availability zone: [{unknown}]"
        )));
    }
    let zones = network
        .subnets
        .iter()
        .filter(|subnet| names.is_empty() || names.contains(&subnet.zone.as_str()));
    let mut xml = Xml::new();
    xml.list("availabilityZoneInfo", zones, |xml, subnet: &Subnet| {
        xml.text("zoneName", &subnet.zone)
            .text("zoneId", &subnet.zone_id)
            .text("zoneState", "available")
            .text("zoneType", "availability-zone")
            .text("regionName", &scope.region.name)
            .text("groupName", &scope.region.name)
            .text("networkBorderGroup", &scope.region.name)
            .text("optInStatus", "opt-in-not-required");
    });
    Ok(xml)
}
