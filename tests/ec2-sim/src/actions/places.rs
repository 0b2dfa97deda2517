//! `DescribeRegions` and `DescribeAvailabilityZones`.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::subnet::Subnet;
use crate::xml::Xml;

use super::Scope;

/// A region of AWS, and whether an account has to opt in to it. None here did.
struct RegionRow {
    name: &'static str,
    needs_opt_in: bool,
    tags: Tags,
}

const REGIONS: [(&str, bool); 13] = [
    ("ap-northeast-1", false),
    ("ap-south-1", false),
    ("ap-southeast-1", false),
    ("ap-southeast-2", false),
    ("ca-central-1", false),
    ("eu-central-1", false),
    ("eu-north-1", false),
    ("eu-south-1", true),
    ("eu-west-1", false),
    ("eu-west-2", false),
    ("us-east-1", false),
    ("us-east-2", false),
    ("us-west-2", false),
];

const RULES: DescribeRules = DescribeRules {
    ids: "RegionName",
    ids_in_messages: "regionName",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |names| Ec2Error::invalid_value(format!("Invalid region names [{}]", names.join(", "))),
};

impl RegionRow {
    fn endpoint(&self) -> String {
        format!("ec2.{}.amazonaws.com", self.name)
    }

    fn opt_in_status(&self) -> &'static str {
        if self.needs_opt_in {
            "not-opted-in"
        } else {
            "opt-in-not-required"
        }
    }
}

impl Filterable for RegionRow {
    const FILTERS: &'static [&'static str] = &["endpoint", "opt-in-status", "region-name"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "endpoint" => values.text(&self.endpoint()),
            "opt-in-status" => values.text(self.opt_in_status()),
            _ => values.text(self.name),
        }
    }
}

/// A region that is off is shown only to who asks for all regions or names it.
pub(super) fn describe_regions(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let all = params.flag("AllRegions")?.unwrap_or_default() || !params.list("RegionName").is_empty();
    let rows: BTreeMap<&str, RegionRow> = REGIONS
        .into_iter()
        .map(|(name, needs_opt_in)| {
            let row = RegionRow {
                name,
                needs_opt_in,
                tags: Tags::default(),
            };
            (name, row)
        })
        .collect();
    let visible = |row: &RegionRow| all || !row.needs_opt_in;
    let found = find(&rows, params, &RULES, scope.view(), visible)?;
    let mut xml = Xml::new();
    xml.list("regionInfo", found.resources, |xml, row| {
        xml.text("regionName", row.name)
            .text("regionEndpoint", row.endpoint())
            .text("optInStatus", row.opt_in_status());
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
        .zones()
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
