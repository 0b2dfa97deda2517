//! Subnets: ranges of addresses, and which of them somebody has.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::filter::{Filterable, Values, View};
use crate::tags::Tags;

/// AWS keeps the first four addresses and the last one.
const KEPT: u32 = 4;
/// Addresses of an IPv4 prefix, which is a /28.
const PREFIX_SIZE: u32 = 16;

/// A subnet with an IPv4 range and an IPv6 one.
#[derive(Debug)]
pub(crate) struct Subnet {
    pub(crate) id: String,
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    /// Whether it came with the default VPC.
    pub(crate) is_default: bool,
    pub(crate) range: Range,
    pub(crate) range6: Range6,
    pub(crate) tags: Tags,
    next: u32,
    used: BTreeSet<Ipv4Addr>,
    next6: u64,
    used6: BTreeSet<Ipv6Addr>,
    /// The /80 ranges that interfaces have.
    prefixes6: BTreeSet<Ipv6Addr>,
}

/// A range of IPv4 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: u32,
    bits: u32,
}

/// A /64 of IPv6 addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range6(pub(crate) Ipv6Addr);

impl Range {
    pub(crate) const fn new(first: u32, bits: u32) -> Self {
        Self { first, bits }
    }

    fn last(self) -> u32 {
        self.first | u32::MAX.checked_shr(self.bits).unwrap_or_default()
    }

    pub(crate) fn is_in(self, other: Self) -> bool {
        self.first >= other.first && self.last() <= other.last()
    }

    pub(crate) fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }
}

impl FromStr for Range {
    type Err = ();

    /// Reads `172.31.192.0/24`; the address must be the first of the range.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (first, bits) = text.split_once('/').ok_or(())?;
        let first: Ipv4Addr = first.parse().map_err(|_| ())?;
        let bits: u32 = bits.parse().map_err(|_| ())?;
        let range = Self::new(u32::from(first), bits);
        let inside = u32::MAX.checked_shr(bits).unwrap_or_default();
        if (16..=28).contains(&bits) && range.first & inside == 0 {
            Ok(range)
        } else {
            Err(())
        }
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.first), self.bits)
    }
}

impl fmt::Display for Range6 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/64", self.0)
    }
}

/// Where a new subnet is.
#[derive(Debug)]
pub(crate) struct Location {
    pub(crate) zone: String,
    pub(crate) zone_id: String,
    pub(crate) range: Range,
    pub(crate) range6: Range6,
}

impl Subnet {
    pub(crate) fn new(id: String, location: Location, is_default: bool, tags: Tags) -> Self {
        let Location {
            zone,
            zone_id,
            range,
            range6,
        } = location;
        Self {
            id,
            zone,
            zone_id,
            is_default,
            range,
            range6,
            tags,
            next: KEPT,
            used: BTreeSet::new(),
            next6: u64::from(KEPT),
            used6: BTreeSet::new(),
            prefixes6: BTreeSet::new(),
        }
    }

    fn size(&self) -> u32 {
        self.range.last() - self.range.first + 1
    }

    pub(crate) fn free(&self) -> usize {
        usize::try_from(self.size() - KEPT - 1)
            .unwrap_or_default()
            .saturating_sub(self.used.len())
    }

    /// The next free address, or none when the subnet is full.
    pub(crate) fn take_any(&mut self) -> Option<Ipv4Addr> {
        let size = self.size();
        for _ in 0..size - KEPT - 1 {
            let address = Ipv4Addr::from(self.range.first + self.next);
            self.next = if self.next + 1 < size - 1 {
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
        (self.range.first + KEPT..self.range.last()).contains(&u32::from(address))
    }

    /// Takes one address; false when somebody has it.
    pub(crate) fn take(&mut self, address: Ipv4Addr) -> bool {
        self.used.insert(address)
    }

    pub(crate) fn release(&mut self, address: Ipv4Addr) {
        self.used.remove(&address);
    }

    /// Whether a prefix lies in the subnet, apart from what AWS keeps.
    pub(crate) fn holds_prefix(&self, first: Ipv4Addr) -> bool {
        u32::from(first).is_multiple_of(PREFIX_SIZE) && addresses_of(first).all(|address| self.holds(address))
    }

    /// Takes the 16 addresses of a prefix; false when somebody has one of them.
    pub(crate) fn take_prefix(&mut self, first: Ipv4Addr) -> bool {
        let is_free = addresses_of(first).all(|address| !self.used.contains(&address));
        if is_free {
            self.used.extend(addresses_of(first));
        }
        is_free
    }

    /// Takes the first prefix that is free; none when no 16 addresses are together any more.
    pub(crate) fn take_any_prefix(&mut self) -> Option<Ipv4Addr> {
        let step = usize::try_from(PREFIX_SIZE).unwrap_or(usize::MAX);
        let mut prefixes = (self.range.first..self.range.last())
            .step_by(step)
            .map(Ipv4Addr::from);
        prefixes.find(|first| self.holds_prefix(*first) && self.take_prefix(*first))
    }

    pub(crate) fn release_prefix(&mut self, first: Ipv4Addr) {
        addresses_of(first).for_each(|address| self.release(address));
    }

    pub(crate) fn holds6(&self, address: Ipv6Addr) -> bool {
        address.to_bits() >> 64 == self.range6.0.to_bits() >> 64
    }

    /// Takes one IPv6 address; false when somebody has it, alone or in a prefix.
    pub(crate) fn take6(&mut self, address: Ipv6Addr) -> bool {
        !self.prefixes6.contains(&prefix_of(address)) && self.used6.insert(address)
    }

    /// The next free IPv6 address: there is always one.
    pub(crate) fn take_any6(&mut self) -> Ipv6Addr {
        loop {
            let address = Ipv6Addr::from_bits(self.range6.0.to_bits() | u128::from(self.next6));
            self.next6 += 1;
            if self.take6(address) {
                return address;
            }
        }
    }

    pub(crate) fn release6(&mut self, address: Ipv6Addr) {
        self.used6.remove(&address);
    }

    /// Takes an IPv6 prefix; false when somebody has it or an address in it.
    pub(crate) fn take_prefix6(&mut self, first: Ipv6Addr) -> bool {
        let is_free = self.used6.iter().all(|address| prefix_of(*address) != first);
        is_free && self.prefixes6.insert(first)
    }

    /// Takes the first IPv6 prefix that is free after the one from which single addresses come.
    pub(crate) fn take_any_prefix6(&mut self) -> Ipv6Addr {
        let mut number: u128 = 1;
        loop {
            let first = Ipv6Addr::from_bits(self.range6.0.to_bits() | (number << 48));
            if self.take_prefix6(first) {
                return first;
            }
            number += 1;
        }
    }

    pub(crate) fn release_prefix6(&mut self, first: Ipv6Addr) {
        self.prefixes6.remove(&first);
    }
}

fn addresses_of(prefix: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
    (0..PREFIX_SIZE).map(move |number| Ipv4Addr::from(u32::from(prefix) + number))
}

/// The first address of the /80 that holds an address.
pub(crate) fn prefix_of(address: Ipv6Addr) -> Ipv6Addr {
    Ipv6Addr::from_bits(address.to_bits() >> 48 << 48)
}

impl Filterable for Subnet {
    const FILTERS: &'static [&'static str] = &[
        "availability-zone",
        "availability-zone-id",
        "available-ip-address-count",
        "cidr-block",
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
            "available-ip-address-count" => values.shown(self.free()),
            "cidr-block" => values.shown(self.range),
            "default-for-az" => values.shown(self.is_default),
            "owner-id" => values.text(view.account),
            "state" => values.text("available"),
            "vpc-id" => values.text(&view.region.network.vpc.id),
            _ => values.text(&self.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(range: &str) -> Subnet {
        let location = Location {
            zone: "us-east-1a".to_owned(),
            zone_id: "use1-az1".to_owned(),
            range: range.parse().unwrap(),
            range6: Range6("2600:1f18:1:100::".parse().unwrap()),
        };
        Subnet::new("subnet-1".to_owned(), location, false, Tags::default())
    }

    #[test]
    fn reads_ranges_that_begin_where_they_say() {
        let range: Range = "172.31.192.0/24".parse().unwrap();
        assert_eq!(range.to_string(), "172.31.192.0/24");
        for text in [
            "172.31.192.1/24",
            "172.31.192.0/29",
            "172.31.0.0/8",
            "172.31.192.0",
            "x/24",
        ] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
        assert!(range.is_in("172.31.0.0/16".parse().unwrap()));
        assert!(range.overlaps("172.31.192.128/25".parse().unwrap()));
        assert!(!range.overlaps("172.31.193.0/24".parse().unwrap()));
    }

    #[test]
    fn gives_every_address_once_but_those_that_aws_keeps() {
        let mut subnet = subnet("172.31.192.0/28");
        assert_eq!(subnet.free(), 11);
        let taken: BTreeSet<Ipv4Addr> = std::iter::from_fn(|| subnet.take_any()).collect();
        assert_eq!((taken.len(), subnet.free()), (11, 0));
        assert!(taken.iter().all(|address| subnet.holds(*address)));
        subnet.release(Ipv4Addr::new(172, 31, 192, 7));
        assert_eq!(subnet.take_any(), Some(Ipv4Addr::new(172, 31, 192, 7)));
    }

    #[test]
    fn takes_a_prefix_only_when_all_of_it_is_free() {
        let mut subnet = subnet("172.31.192.0/26");
        let second = Ipv4Addr::new(172, 31, 192, 16);
        assert!(!subnet.holds_prefix(Ipv4Addr::new(172, 31, 192, 0)));
        assert!(!subnet.holds_prefix(Ipv4Addr::new(172, 31, 192, 48)));
        assert!(subnet.holds_prefix(second));
        assert!(subnet.take(Ipv4Addr::new(172, 31, 192, 20)));
        assert!(!subnet.take_prefix(second));
        subnet.release(Ipv4Addr::new(172, 31, 192, 20));
        assert!(subnet.take_prefix(second));
        assert!(!subnet.take(Ipv4Addr::new(172, 31, 192, 20)));
        assert_eq!(subnet.take_any_prefix(), Some(Ipv4Addr::new(172, 31, 192, 32)));
        assert_eq!(subnet.take_any_prefix(), None);
        let wide: Ipv6Addr = "2600:1f18:1:100:7::".parse().unwrap();
        assert!(subnet.take_prefix6(wide));
        assert!(!subnet.take6("2600:1f18:1:100:7::9".parse().unwrap()));
        assert!(subnet.take6("2600:1f18:1:100:8::9".parse().unwrap()));
    }
}
