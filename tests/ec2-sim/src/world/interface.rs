//! Network interfaces.

use std::net::{Ipv4Addr, Ipv6Addr};

use jiff::Timestamp;

use crate::filter::{Filterable, Values, View};
use crate::ids::{InstanceId, InterfaceAttachmentId, InterfaceId};
use crate::tags::Tags;
use crate::world::launch::{Fields, Options};
use crate::world::subnet::Subnet;

/// How long an idle connection is remembered.
pub(crate) const CONNECTION_TRACKING: Fields = &[
    ("TcpEstablishedTimeout", None),
    ("UdpStreamTimeout", None),
    ("UdpTimeout", None),
];

/// A network interface.
#[derive(Debug, Clone)]
pub(crate) struct Interface {
    pub(crate) id: InterfaceId,
    pub(crate) subnet: String,
    pub(crate) zone: String,
    pub(crate) address: Ipv4Addr,
    pub(crate) more: MoreAddresses,
    pub(crate) mac: String,
    pub(crate) kind: String,
    pub(crate) description: String,
    pub(crate) groups: Vec<String>,
    pub(crate) source_dest_check: bool,
    pub(crate) tracking: Options,
    /// A public address that AWS lent at launch.
    pub(crate) lent_public: Option<Ipv4Addr>,
    pub(crate) attachment: Option<InterfaceAttachment>,
    pub(crate) tags: Tags,
    /// When describes begin to show it.
    pub(crate) visible_at: Timestamp,
}

/// What an interface has beside its primary address.
#[derive(Debug, Clone, Default)]
pub(crate) struct MoreAddresses {
    pub(crate) secondary: Vec<Ipv4Addr>,
    pub(crate) ipv6: Vec<Ipv6Addr>,
    /// The first addresses of /28 ranges.
    pub(crate) prefixes: Vec<Ipv4Addr>,
    /// The first addresses of /80 ranges.
    pub(crate) prefixes6: Vec<Ipv6Addr>,
    /// Whether the first IPv6 address never changes.
    pub(crate) has_primary_ipv6: bool,
}

/// An interface's attachment to an instance.
#[derive(Debug, Clone)]
pub(crate) struct InterfaceAttachment {
    pub(crate) id: InterfaceAttachmentId,
    pub(crate) instance: InstanceId,
    pub(crate) device_index: u32,
    pub(crate) card_index: u32,
    pub(crate) attached_at: Timestamp,
    pub(crate) delete_on_termination: bool,
}

impl MoreAddresses {
    /// Gives all of them back to the subnet.
    pub(crate) fn give_back(&self, subnet: &mut Subnet) {
        self.secondary.iter().for_each(|address| subnet.release(*address));
        self.ipv6.iter().for_each(|address| subnet.release6(*address));
        self.prefixes
            .iter()
            .for_each(|first| subnet.release_prefix(*first));
        self.prefixes6
            .iter()
            .for_each(|first| subnet.release_prefix6(*first));
    }
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
        std::iter::once(self.address).chain(self.more.secondary.iter().copied())
    }

    /// The instance that it is attached to.
    pub(crate) fn instance(&self) -> Option<&InstanceId> {
        self.attachment.as_ref().map(|attachment| &attachment.instance)
    }

    /// Gives its addresses back to its subnet.
    pub(crate) fn give_back(&self, subnet: &mut Subnet) {
        subnet.release(self.address);
        self.more.give_back(subnet);
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

impl Filterable for Interface {
    const FILTERS: &'static [&'static str] = &[
        "addresses.private-ip-address",
        "association.allocation-id",
        "association.association-id",
        "association.public-ip",
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
        "ipv6-addresses.ipv6-address",
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
            "addresses.private-ip-address" => self.addresses().for_each(|address| values.shown(address)),
            "availability-zone" => values.text(&self.zone),
            "description" => values.text(&self.description),
            "group-id" => self.groups.iter().for_each(|group| values.text(group)),
            "interface-type" => values.text(&self.kind),
            "ipv6-addresses.ipv6-address" => {
                self.more.ipv6.iter().for_each(|address| values.shown(address));
            }
            "mac-address" => values.text(&self.mac),
            "network-interface-id" => values.text(self.id.as_str()),
            "owner-id" => values.text(view.account),
            "private-dns-name" => values.text(&self.private_dns(&view.region.name)),
            "private-ip-address" => values.shown(self.address),
            "source-dest-check" => values.shown(self.source_dest_check),
            "status" => values.text(self.status()),
            "subnet-id" => values.text(&self.subnet),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            association if association.starts_with("association.") => {
                for private in self.addresses() {
                    self.each_association_value(association, private, view, values);
                }
            }
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

impl Interface {
    fn each_association_value(
        &self,
        filter: &str,
        private: Ipv4Addr,
        view: View<'_>,
        values: &mut Values<'_>,
    ) {
        let Some(address) = view.region.elastic_address(self, private) else {
            return;
        };
        match filter {
            "association.allocation-id" => values.text(address.id.as_str()),
            "association.public-ip" => values.shown(address.public),
            _ => values.maybe(
                address
                    .association
                    .as_ref()
                    .map(|association| association.id.as_str()),
            ),
        }
    }
}
