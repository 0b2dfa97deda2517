//! The private addresses of a new instance: whether they come back, are free, and have room.

use super::Mode;
use super::deciding::Deciding;
use super::overrides::AUTOMATIC;
use super::target::free_addresses;
use crate::configuration::InterfaceConfiguration;
use crate::ids::InstanceId;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

impl Deciding<'_> {
    pub(super) fn addresses_of(&mut self, interfaces: &mut [InterfaceConfiguration]) {
        let exact = self.keeps_addresses();
        for interface in interfaces.iter_mut() {
            if !exact {
                let why = match self.mode {
                    Mode::NonDestructive if self.overrides.private_address.is_none() => {
                        "another subnet was asked for"
                    }
                    Mode::NonDestructive => "another address was asked for",
                    _ => "the new instance has addresses of its own",
                };
                free_addresses(interface);
                let root = format!("interfaces.{}", interface.place());
                let fields = [
                    "private_addresses",
                    "elastic_ips",
                    "ipv6_addresses",
                    "ipv4_prefixes",
                    "ipv6_prefixes",
                ];
                for field in fields {
                    self.because(format!("{root}.{field}"), why);
                }
                continue;
            }
            if self.comes_over(&interface.network_interface_id).is_some() {
                continue;
            }
            if let Some(standing) = self.around.interfaces.get(&interface.network_interface_id)
                && self.mode == Mode::Destructive
            {
                let holder = standing
                    .instance_id
                    .as_ref()
                    .map_or("something else than an instance", InstanceId::as_str);
                let problem = format!(
                    "interface {} is attached to {holder}",
                    interface.network_interface_id
                );
                self.block(
                    "mode",
                    problem,
                    ["non_destructive, with overrides.private_address"],
                );
            }
            interface.network_interface_id.clear();
            self.check_addresses(interface);
        }
        if let Some(address) = self
            .overrides
            .private_address
            .clone()
            .filter(|address| address != AUTOMATIC)
        {
            self.set_primary_address(interfaces, &address);
        }
    }

    /// Whether addresses come back as they were.
    fn keeps_addresses(&self) -> bool {
        matches!(self.mode, Mode::NonDestructive | Mode::Destructive)
            && self.overrides.private_address.is_none()
            && self.overrides.subnet_id.is_none()
    }

    /// A captured interface itself as it is now, where the new instance gets it: it is there, and free or falls free.
    pub(super) fn comes_over(&self, id: &str) -> Option<&InterfaceConfiguration> {
        let replaced = self.replaced().and_then(|original| {
            let mut interfaces = original.interfaces.iter();
            interfaces.find(|now| now.network_interface_id == id)
        });
        // One that is there keeps its groups: with others asked for, a new one is made.
        let may_be_taken = self.keeps_addresses() && self.overrides.security_group_ids.is_empty();
        let free = || {
            let standing = self.around.interfaces.get(id)?;
            (may_be_taken && standing.is_free).then_some(&standing.now)
        };
        replaced.or_else(free)
    }

    /// Refuses addresses that others have.
    fn check_addresses(&mut self, interface: &InterfaceConfiguration) {
        let subnet = interface.subnet_id.clone().unwrap_or_default();
        for private in &interface.private_addresses {
            let place = (subnet.clone(), private.address.clone());
            let Some(holder) = self.around.taken_addresses.get(&place) else {
                continue;
            };
            let problem = format!("{} is in use by {}", private.address, holder.in_words());
            if self.mode == Mode::Destructive {
                self.block(
                    "mode",
                    problem,
                    ["non_destructive, with overrides.private_address"],
                );
            } else {
                self.block(
                    "overrides.private_address",
                    problem,
                    [AUTOMATIC.to_owned(), format!("a free address of {subnet}")],
                );
            }
        }
    }

    fn set_primary_address(&mut self, interfaces: &mut [InterfaceConfiguration], address: &str) {
        let Some(primary) = interfaces.iter_mut().find(|interface| interface.is_primary()) else {
            return;
        };
        let subnet_id = primary.subnet_id.clone().unwrap_or_default();
        if let Some(subnet) = self.around.subnets.get(&subnet_id)
            && !holds(&subnet.cidr, address)
        {
            let problem = format!("{address} is not in {subnet_id}, which is {}", subnet.cidr);
            self.block(
                "overrides.private_address",
                problem,
                [format!("an address of {subnet_id}")],
            );
        } else if let Some(holder) = self
            .around
            .taken_addresses
            .get(&(subnet_id.clone(), address.to_owned()))
        {
            let problem = format!("{address} is in use by {}", holder.in_words());
            self.block("overrides.private_address", problem, [AUTOMATIC.to_owned()]);
        }
        if let Some(private) = primary
            .private_addresses
            .iter_mut()
            .find(|private| private.primary)
        {
            address.clone_into(&mut private.address);
        }
    }

    /// Whether there is room for the addresses that a launch takes: of a candidate too, beside the original's own.
    pub(super) fn check_room(&mut self, interfaces: &[InterfaceConfiguration]) {
        let mut needed: BTreeMap<&str, (usize, bool)> = BTreeMap::new();
        for interface in interfaces {
            // A prefix has 16 addresses.
            let addresses = interface.private_addresses.len() + 16 * interface.ipv4_prefixes.len();
            let is_new = interface.network_interface_id.is_empty();
            let times = usize::from(is_new) + usize::from(self.replaced().is_some());
            let subnet = needed
                .entry(interface.subnet_id.as_deref().unwrap_or_default())
                .or_default();
            subnet.0 += addresses * times;
            subnet.1 |= interface.is_primary();
        }
        for (id, (needed, has_primary)) in needed {
            let Some(free) = self.around.subnets.get(id).map(|subnet| subnet.free) else {
                continue;
            };
            if usize::try_from(free).is_ok_and(|free| needed <= free) {
                continue;
            }
            let problem = format!("the subnet {id} has {free} free addresses, and {needed} are needed");
            if has_primary {
                self.block_network("overrides.subnet_id", problem, ["a subnet with more room"]);
            } else {
                self.block_network("overrides.interfaces", problem, ["primary_only"]);
            }
        }
    }
}

/// Whether an IPv4 range such as `10.0.1.0/24` holds an address.
fn holds(cidr: &str, address: &str) -> bool {
    let parsed = cidr.split_once('/').and_then(|(start, bits)| {
        let start: Ipv4Addr = start.parse().ok()?;
        let bits: u32 = bits.parse().ok().filter(|bits| *bits <= 32)?;
        Some((start, bits))
    });
    let (Some((start, bits)), Ok(address)) = (parsed, address.parse::<Ipv4Addr>()) else {
        return false;
    };
    let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
    u32::from(start) & mask == u32::from(address) & mask
}
