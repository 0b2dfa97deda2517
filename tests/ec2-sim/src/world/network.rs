//! The default VPC of a region, with its subnets and security groups.

use std::net::Ipv6Addr;

use crate::filter::{Filterable, Values, View};
use crate::random::fingerprint;
use crate::tags::Tags;

use super::security_group::SecurityGroup;
use super::subnet::{Location, Range, Range6, Subnet};

/// Letters of the zones that every region has.
const ZONES: [char; 3] = ['a', 'b', 'c'];
const VPC_START: u32 = u32::from_be_bytes([172, 31, 0, 0]);
/// The VPC's address range.
pub(crate) const VPC_RANGE: Range = Range::new(VPC_START, 16);
/// Default subnets are /18: wider than AWS's default of 4,096 addresses, so that a scene of 10,000 instances fits.
const SUBNET_BITS: u32 = 18;

/// The default VPC: a subnet for each zone and the default security group, and what was made beside them.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) vpc: Vpc,
    pub(crate) subnets: Vec<Subnet>,
    /// The default group first.
    pub(crate) groups: Vec<SecurityGroup>,
    /// Subnets there ever were: each has an IPv6 range of its own.
    numbered: u16,
}

#[derive(Debug)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) tags: Tags,
}

impl Network {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        let id = |prefix: &str, what: &str| {
            format!(
                "{prefix}-0{:016x}",
                fingerprint(&format!("{account}/{region}/{what}"))
            )
        };
        let mut network = Self {
            vpc: Vpc {
                id: id("vpc", "vpc"),
                tags: Tags::default(),
            },
            subnets: Vec::new(),
            groups: vec![SecurityGroup {
                id: id("sg", "default"),
                name: "default".to_owned(),
                description: "default VPC security group".to_owned(),
                tags: Tags::default(),
            }],
            numbered: 0,
        };
        for (letter, number) in ZONES.iter().zip(0..) {
            let location = Location {
                zone: format!("{region}{letter}"),
                zone_id: zone_id(region, number + 1),
                range: Range::new(VPC_START + (number << (32 - SUBNET_BITS)), SUBNET_BITS),
                range6: network.next_range6(),
            };
            let subnet = id("subnet", &letter.to_string());
            network
                .subnets
                .push(Subnet::new(subnet, location, true, Tags::default()));
        }
        network
    }

    /// The first of the IPv6 addresses of the VPC, which has a /56.
    fn first6(&self) -> u128 {
        let number = fingerprint(&self.vpc.id) & 0x00ff_ffff_ff00;
        (0x2600_1f18 << 96) | (u128::from(number) << 64)
    }

    pub(crate) fn range6(&self) -> String {
        format!("{}/56", Ipv6Addr::from_bits(self.first6()))
    }

    /// An IPv6 range that no other subnet has; after 256 subnets they begin again.
    pub(crate) fn next_range6(&mut self) -> Range6 {
        let number = u128::from(self.numbered % 256);
        self.numbered += 1;
        Range6(Ipv6Addr::from_bits(self.first6() | (number << 64)))
    }

    pub(crate) fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.id == id)
    }

    pub(crate) fn subnet_mut(&mut self, id: &str) -> Option<&mut Subnet> {
        self.subnets.iter_mut().find(|subnet| subnet.id == id)
    }

    /// The default subnets, one for each zone.
    pub(crate) fn zones(&self) -> impl Iterator<Item = &Subnet> {
        self.subnets.iter().filter(|subnet| subnet.is_default)
    }

    pub(crate) fn subnet_of_zone(&self, zone: &str) -> Option<&Subnet> {
        self.zones().find(|subnet| subnet.zone == zone)
    }

    pub(crate) fn has_zone(&self, zone: &str) -> bool {
        self.subnet_of_zone(zone).is_some()
    }

    pub(crate) fn group(&self, id: &str) -> Option<&SecurityGroup> {
        self.groups.iter().find(|group| group.id == id)
    }

    pub(crate) fn group_mut(&mut self, id: &str) -> Option<&mut SecurityGroup> {
        self.groups.iter_mut().find(|group| group.id == id)
    }

    /// The id of the group of interfaces that name none.
    pub(crate) fn default_group(&self) -> Option<String> {
        self.groups.first().map(|group| group.id.clone())
    }
}

/// Zone ids look like `use1-az1`: the region's parts shortened.
fn zone_id(region: &str, number: u32) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let short: String = parts.filter_map(|part| part.chars().next()).collect();
    format!("{area}{short}-az{number}")
}

impl Filterable for Vpc {
    const FILTERS: &'static [&'static str] = &["is-default", "owner-id", "state", "vpc-id"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "is-default" => values.text("true"),
            "owner-id" => values.text(view.account),
            "state" => values.text("available"),
            _ => values.text(&self.id),
        }
    }
}
