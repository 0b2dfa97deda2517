//! The default VPC of a region, network interfaces and elastic addresses.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use jiff::Timestamp;

use crate::filter::{Filterable, Values, View};
use crate::ids::{AllocationId, AssociationId, InstanceId, InterfaceAttachmentId, InterfaceId};
use crate::random::fingerprint;
use crate::tags::Tags;
use crate::world::Region;

/// Letters of the zones that every region has.
const ZONES: [char; 3] = ['a', 'b', 'c'];

/// The default VPC: a subnet for each zone and the default security group.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) vpc: Vpc,
    pub(crate) subnets: Vec<Subnet>,
    pub(crate) group: SecurityGroup,
}

#[derive(Debug)]
pub(crate) struct Vpc {
    pub(crate) id: String,
    pub(crate) tags: Tags,
}

#[derive(Debug)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    first: u32,
    next: u32,
    used: BTreeSet<Ipv4Addr>,
    pub(crate) tags: Tags,
}

#[derive(Debug)]
pub(crate) struct SecurityGroup {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) tags: Tags,
}

/// Addresses in a subnet: wider than AWS's default of 4,096, so that a scene of 10,000 instances fits.
const SUBNET_SIZE: u32 = 1 << 14;
const VPC_START: u32 = u32::from_be_bytes([172, 31, 0, 0]);
/// AWS keeps the first four addresses and the last one.
const KEPT: u32 = 4;

impl Network {
    pub(crate) fn new(region: &str, account: &str) -> Self {
        let id = |prefix: &str, what: &str| {
            format!(
                "{prefix}-0{:016x}",
                fingerprint(&format!("{account}/{region}/{what}"))
            )
        };
        let subnets = ZONES
            .iter()
            .zip(0..)
            .map(|(letter, number)| Subnet {
                id: id("subnet", &letter.to_string()),
                zone: format!("{region}{letter}"),
                zone_id: zone_id(region, number + 1),
                first: VPC_START + number * SUBNET_SIZE,
                next: KEPT,
                used: BTreeSet::new(),
                tags: Tags::default(),
            })
            .collect();
        Self {
            vpc: Vpc {
                id: id("vpc", "vpc"),
                tags: Tags::default(),
            },
            subnets,
            group: SecurityGroup {
                id: id("sg", "default"),
                name: "default".to_owned(),
                tags: Tags::default(),
            },
        }
    }

    pub(crate) fn subnet(&self, id: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.id == id)
    }

    pub(crate) fn subnet_mut(&mut self, id: &str) -> Option<&mut Subnet> {
        self.subnets.iter_mut().find(|subnet| subnet.id == id)
    }

    pub(crate) fn subnet_of_zone(&self, zone: &str) -> Option<&Subnet> {
        self.subnets.iter().find(|subnet| subnet.zone == zone)
    }

    pub(crate) fn has_zone(&self, zone: &str) -> bool {
        self.subnet_of_zone(zone).is_some()
    }
}

/// Zone ids look like `use1-az1`: the region's parts shortened.
fn zone_id(region: &str, number: u32) -> String {
    let mut parts = region.split('-');
    let area = parts.next().unwrap_or_default();
    let short: String = parts.filter_map(|part| part.chars().next()).collect();
    format!("{area}{short}-az{number}")
}

impl Subnet {
    pub(crate) fn cidr(&self) -> String {
        format!("{}/18", Ipv4Addr::from(self.first))
    }

    pub(crate) fn free(&self) -> usize {
        usize::try_from(SUBNET_SIZE - KEPT - 1)
            .unwrap_or_default()
            .saturating_sub(self.used.len())
    }

    /// The next free address, or none when the subnet is full.
    pub(crate) fn take_any(&mut self) -> Option<Ipv4Addr> {
        let room = SUBNET_SIZE - KEPT - 1;
        for _ in 0..room {
            let address = Ipv4Addr::from(self.first + self.next);
            self.next = if self.next + 1 < SUBNET_SIZE - 1 {
                self.next + 1
            } else {
                KEPT
            };
            if self.used.insert(address) {
                return Some(address);
            }
        }
        None
    }

    pub(crate) fn holds(&self, address: Ipv4Addr) -> bool {
        (self.first + KEPT..self.first + SUBNET_SIZE - 1).contains(&u32::from(address))
    }

    /// Takes one address; false when somebody has it.
    pub(crate) fn take(&mut self, address: Ipv4Addr) -> bool {
        self.used.insert(address)
    }

    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }
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

impl Filterable for Subnet {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "availability-zone-id",
        "default-for-az",
        "owner-id",
        "state",
        "subnet-id",
        "vpc-id",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "availability-zone" => values.text(&self.zone),
            "availability-zone-id" => values.text(&self.zone_id),
            "default-for-az" => values.text("true"),
            "owner-id" => values.text(view.account),
            "state" => values.text("available"),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            _ => values.text(&self.id),
        }
    }
}

impl Filterable for SecurityGroup {
    const FILTERS: &'static [&'static str] = &["group-id", "group-name", "owner-id", "vpc-id"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "group-name" => values.text(&self.name),
            "owner-id" => values.text(view.account),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            _ => values.text(&self.id),
        }
    }
}

/// A network interface.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) id: InterfaceId,
    pub(crate) subnet: String,
    pub(crate) zone: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) more_addresses: Vec<Ipv4Addr>,
    pub(crate) mac: String,
    pub(crate) description: String,
    pub(crate) groups: Vec<String>,
    pub(crate) source_dest_check: bool,
    /// A public address that AWS lent at launch.
    pub(crate) lent_public: Option<Ipv4Addr>,
    pub(crate) attachment: Option<InterfaceAttachment>,
    pub(crate) tags: Tags,
}

/// An interface's attachment to an instance.
#[derive(Debug, Clone)]
pub(crate) struct InterfaceAttachment {
    pub(crate) id: InterfaceAttachmentId,
    pub(crate) instance: InstanceId,
    pub(crate) device_index: u32,
    pub(crate) attached_at: Timestamp,
    pub(crate) delete_on_termination: bool,
}

impl Interface {
    pub(crate) fn status(&self) -> &'static str {
        if self.attachment.is_some() {
            "in-use"
        } else {
            "available"
        }
    }

    pub(crate) fn private_dns(&self, region: &str) -> String {
        private_dns(self.address, region)
    }

    /// Its private addresses, the primary one first.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.address).chain(self.more_addresses.iter().copied())
    }
}

impl Region {
    /// The elastic address that points to an interface.
    pub(crate) fn elastic_address(&self, interface: &Interface) -> Option<&Address> {
        self.addresses.values().find(|address| {
            address
                .association
                .as_ref()
                .is_some_and(|association| association.interface == interface.id)
        })
    }

    /// The address under which the internet sees an interface.
    pub(crate) fn public_address(&self, interface: &Interface) -> Option<Ipv4Addr> {
        self.elastic_address(interface)
            .map(|address| address.public)
            .or(interface.lent_public)
    }
}

/// The host name that AWS makes of a private address.
pub(crate) fn private_dns(address: Ipv4Addr, region: &str) -> String {
    let host = format!("ip-{}", address.to_string().replace('.', "-"));
    if region == "us-east-1" {
        format!("{host}.ec2.internal")
    } else {
        format!("{host}.{region}.compute.internal")
    }
}

/// The host name that AWS makes of a public address.
pub(crate) fn public_dns(address: Ipv4Addr, region: &str) -> String {
    let host = format!("ec2-{}", address.to_string().replace('.', "-"));
    if region == "us-east-1" {
        format!("{host}.compute-1.amazonaws.com")
    } else {
        format!("{host}.{region}.compute.amazonaws.com")
    }
}

impl Filterable for Interface {
    const FILTERS: &'static [&'static str] = &[
        "addresses.private-ip-address",
        "attachment.attachment-id",
        "attachment.delete-on-termination",
        "attachment.device-index",
        "attachment.instance-id",
        "attachment.instance-owner-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "mac-address",
        "network-interface-id",
        "owner-id",
        "private-dns-name",
        "private-ip-address",
        "source-dest-check",
        "status",
        "subnet-id",
        "vpc-id",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "addresses.private-ip-address" => {
                values.shown(self.address);
                self.more_addresses
                    .iter()
                    .for_each(|address| values.shown(address));
            }
            "availability-zone" => values.text(&self.zone),
            "description" => values.text(&self.description),
            "group-id" => self.groups.iter().for_each(|group| values.text(group)),
            "interface-type" => values.text("interface"),
            "mac-address" => values.text(&self.mac),
            "network-interface-id" => values.text(self.id.as_str()),
            "owner-id" => values.text(view.account),
            "private-dns-name" => values.text(&self.private_dns(&view.region.name)),
            "private-ip-address" => values.shown(self.address),
            "source-dest-check" => values.shown(self.source_dest_check),
            "status" => values.text(self.status()),
            "subnet-id" => values.text(&self.subnet),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            _ => {
                if let Some(attachment) = &self.attachment {
                    match filter {
                        "attachment.attachment-id" => values.text(attachment.id.as_str()),
                        "attachment.delete-on-termination" => values.shown(attachment.delete_on_termination),
                        "attachment.device-index" => values.shown(attachment.device_index),
                        "attachment.instance-id" => values.text(attachment.instance.as_str()),
                        "attachment.instance-owner-id" => values.text(view.account),
                        "attachment.status" => values.text("attached"),
                        _ => {}
                    }
                }
            }
        }
    }
}

/// An elastic address.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) id: AllocationId,
    pub(crate) public: Ipv4Addr,
    pub(crate) association: Option<Association>,
    pub(crate) tags: Tags,
}

/// What an elastic address points to.
#[derive(Debug, Clone)]
pub(crate) struct Association {
    pub(crate) id: AssociationId,
    pub(crate) interface: InterfaceId,
    pub(crate) instance: Option<InstanceId>,
    pub(crate) private: Ipv4Addr,
}

impl Filterable for Address {
    const FILTERS: &'static [&'static str] = &[
        "allocation-id",
        "association-id",
        "domain",
        "instance-id",
        "network-border-group",
        "network-interface-id",
        "network-interface-owner-id",
        "private-ip-address",
        "public-ip",
    ];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, view: View<'_>, values: &mut Values<'_>) {
        match filter {
            "allocation-id" => values.text(self.id.as_str()),
            "domain" => values.text("vpc"),
            "network-border-group" => values.text(&view.region.name),
            "public-ip" => values.shown(self.public),
            _ => {
                if let Some(association) = &self.association {
                    match filter {
                        "association-id" => values.text(association.id.as_str()),
                        "instance-id" => values.maybe(association.instance.as_ref().map(InstanceId::as_str)),
                        "network-interface-id" => values.text(association.interface.as_str()),
                        "network-interface-owner-id" => values.text(view.account),
                        "private-ip-address" => values.shown(association.private),
                        _ => {}
                    }
                }
            }
        }
    }
}
