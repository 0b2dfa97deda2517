//! Elastic addresses, and what they point to.

use std::net::Ipv4Addr;

use crate::filter::{Filterable, Values, View};
use crate::ids::{AllocationId, AssociationId, InstanceId, InterfaceId};
use crate::tags::Tags;
use crate::world::Region;
use crate::world::interface::Interface;

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

impl Address {
    /// Whether it points to a private address of an interface.
    pub(crate) fn is_at(&self, interface: &InterfaceId, private: Ipv4Addr) -> bool {
        self.association
            .as_ref()
            .is_some_and(|association| association.interface == *interface && association.private == private)
    }
}

impl Region {
    /// The elastic address that points to a private address of an interface.
    pub(crate) fn elastic_address(&self, interface: &Interface, private: Ipv4Addr) -> Option<&Address> {
        self.addresses
            .values()
            .find(|address| address.is_at(&interface.id, private))
    }

    /// The address under which the internet sees an interface.
    pub(crate) fn public_address(&self, interface: &Interface) -> Option<Ipv4Addr> {
        self.elastic_address(interface, interface.address)
            .map(|address| address.public)
            .or(interface.lent_public)
    }

    /// What interfaces that are gone, or belong to another instance now, mean for the elastic addresses.
    pub(crate) fn settle_associations(&mut self) {
        for address in self.addresses.values_mut() {
            let Some(association) = &mut address.association else {
                continue;
            };
            match self.interfaces.get(&association.interface) {
                // An address belongs to its interface, and stays with one that is kept.
                Some(interface) => association.instance = interface.instance().cloned(),
                None => address.association = None,
            }
        }
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
