//! What a call says about a network interface.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::interface::CONNECTION_TRACKING;
use crate::world::launch::Options;

/// What a structure of `RunInstances` may say.
const FIELDS: &[&str] = &[
    "AssociatePublicIpAddress",
    "DeleteOnTermination",
    "DeviceIndex",
    "NetworkCardIndex",
    "NetworkInterfaceId",
    "PrimaryIpv6",
];
/// What it may say only of an interface that the call makes, as `CreateNetworkInterface` may.
const FIELDS_OF_NEW: &[&str] = &[
    "ConnectionTrackingSpecification",
    "Description",
    "InterfaceType",
    "Ipv4Prefix",
    "Ipv4PrefixCount",
    "Ipv6AddressCount",
    "Ipv6Addresses",
    "Ipv6Prefix",
    "Ipv6PrefixCount",
    "PrivateIpAddress",
    "PrivateIpAddresses",
    "SecondaryPrivateIpAddressCount",
    "SecurityGroupId",
    "SubnetId",
];
const LAUNCH_TYPES: &[&str] = &["interface", "efa", "efa-only"];
const CREATE_TYPES: &[&str] = &["interface", "efa", "efa-only", "branch", "trunk"];

/// One interface of a call.
#[derive(Debug, Clone, Default)]
pub(super) struct InterfaceSpec {
    /// An interface that exists, to be attached as it is.
    pub(super) existing: Option<String>,
    pub(super) subnet: Option<String>,
    pub(super) device_index: u32,
    pub(super) card_index: u32,
    pub(super) kind: String,
    pub(super) description: String,
    pub(super) groups: Vec<String>,
    pub(super) wanted: Wanted,
    pub(super) tracking: Options,
    pub(super) public: Option<bool>,
    pub(super) delete_on_termination: bool,
}

/// The addresses that an interface shall have.
#[derive(Debug, Clone, Default)]
pub(super) struct Wanted {
    pub(super) primary: Option<Ipv4Addr>,
    pub(super) secondary: Vec<Ipv4Addr>,
    pub(super) secondary_count: u32,
    pub(super) ipv6: Vec<Ipv6Addr>,
    pub(super) ipv6_count: u32,
    pub(super) prefixes: Vec<Ipv4Addr>,
    pub(super) prefix_count: u32,
    pub(super) prefixes6: Vec<Ipv6Addr>,
    pub(super) prefix6_count: u32,
    pub(super) has_primary_ipv6: bool,
}

impl InterfaceSpec {
    /// The interfaces that a launch lists, or the one that its own parameters describe.
    pub(super) fn read_all(params: &Params) -> Result<Vec<Self>, Ec2Error> {
        let listed = params.structs("NetworkInterface");
        if listed.is_empty() {
            return Ok(vec![Self {
                subnet: params.owned("SubnetId"),
                groups: owned_list(params, "SecurityGroupId"),
                kind: "interface".to_owned(),
                wanted: Wanted {
                    primary: params.parsed("PrivateIpAddress")?,
                    ipv6: each(params, "Ipv6Address", "Ipv6Address")?,
                    ipv6_count: params.parsed("Ipv6AddressCount")?.unwrap_or_default(),
                    has_primary_ipv6: params.flag("EnablePrimaryIpv6")?.unwrap_or_default(),
                    ..Wanted::default()
                },
                delete_on_termination: true,
                ..Self::default()
            }]);
        }
        if params.text("SubnetId").is_some() || params.has_prefix("SecurityGroupId.") {
            return Err(Ec2Error::invalid_combination(
                "Network interfaces and an instance-level subnet ID or security groups may not be specified on \
                 the same request",
            ));
        }
        if params.text("PrivateIpAddress").is_some() || params.has_prefix("Ipv6Address") {
            return Err(Ec2Error::invalid_combination(
                "Network interfaces and an instance-level IP address may not be specified on the same request",
            ));
        }
        let specs = listed.iter().map(Self::read).collect::<Result<Vec<_>, _>>()?;
        check_places(&specs)?;
        Ok(specs)
    }

    fn read(params: &Params) -> Result<Self, Ec2Error> {
        check_fields(params)?;
        let existing = params.owned("NetworkInterfaceId");
        let delete_on_termination = params.flag("DeleteOnTermination")?;
        if existing.is_some() {
            let of_new = params.top_names().find(|name| FIELDS_OF_NEW.contains(name));
            if let Some(field) = of_new.or(delete_on_termination
                .unwrap_or_default()
                .then_some("DeleteOnTermination"))
            {
                return Err(Ec2Error::invalid_combination(format!(
                    "A network interface may not specify both a network interface ID and {field}"
                )));
            }
        }
        Ok(Self {
            device_index: params
                .parsed("DeviceIndex")?
                .ok_or_else(|| Ec2Error::missing("DeviceIndex"))?,
            card_index: params.parsed("NetworkCardIndex")?.unwrap_or_default(),
            public: params.flag("AssociatePublicIpAddress")?,
            delete_on_termination: delete_on_termination.unwrap_or(existing.is_none()),
            existing,
            ..Self::of_new(params, "PrimaryIpv6", LAUNCH_TYPES)?
        })
    }

    /// The interface that a `CreateNetworkInterface` call describes.
    pub(super) fn read_created(params: &Params) -> Result<Self, Ec2Error> {
        Self::of_new(params, "EnablePrimaryIpv6", CREATE_TYPES)
    }

    fn of_new(params: &Params, primary_ipv6: &str, kinds: &[&str]) -> Result<Self, Ec2Error> {
        let kind = params.text("InterfaceType").unwrap_or("interface");
        if !kinds.contains(&kind) {
            return Err(Ec2Error::invalid_value(format!(
                "Value ({kind}) for parameter interfaceType is invalid."
            )));
        }
        Ok(Self {
            subnet: params.owned("SubnetId"),
            kind: kind.to_owned(),
            description: params.owned("Description").unwrap_or_default(),
            groups: owned_list(params, "SecurityGroupId"),
            wanted: Wanted {
                has_primary_ipv6: params.flag(primary_ipv6)?.unwrap_or_default(),
                ..Wanted::read(params)?
            },
            tracking: Options::read(params, "ConnectionTrackingSpecification", CONNECTION_TRACKING)?,
            ..Self::default()
        })
    }
}

impl InterfaceSpec {
    /// The card and the device index.
    pub(super) fn place(&self) -> (u32, u32) {
        (self.card_index, self.device_index)
    }
}

impl Wanted {
    fn read(params: &Params) -> Result<Self, Ec2Error> {
        let mut primary = params.parsed("PrivateIpAddress")?;
        let mut secondary = Vec::new();
        for address in params.structs("PrivateIpAddresses") {
            let parsed = address
                .parsed("PrivateIpAddress")?
                .ok_or_else(|| Ec2Error::missing("PrivateIpAddress"))?;
            if !address.flag("Primary")?.unwrap_or_default() {
                secondary.push(parsed);
            } else if primary.replace(parsed).is_some_and(|other| other != parsed) {
                return Err(Ec2Error::invalid_combination(
                    "Only one primary private IP address can be specified.",
                ));
            }
        }
        let ipv6: Vec<Ipv6Addr> = each(params, "Ipv6Addresses", "Ipv6Address")?;
        let ipv4_prefixes: Vec<Ipv4Addr> = prefixes(params, "Ipv4Prefix", "/28")?;
        let ipv6_prefixes: Vec<Ipv6Addr> = prefixes(params, "Ipv6Prefix", "/80")?;
        let count = |name, none_listed| count(params, name, none_listed);
        Ok(Self {
            secondary_count: count("SecondaryPrivateIpAddressCount", secondary.is_empty())?,
            ipv6_count: count("Ipv6AddressCount", ipv6.is_empty())?,
            prefix_count: count("Ipv4PrefixCount", ipv4_prefixes.is_empty())?,
            prefix6_count: count("Ipv6PrefixCount", ipv6_prefixes.is_empty())?,
            primary,
            secondary,
            ipv6,
            prefixes: ipv4_prefixes,
            prefixes6: ipv6_prefixes,
            has_primary_ipv6: false,
        })
    }
}

/// Refuses what no interface of a launch has.
fn check_fields(params: &Params) -> Result<(), Ec2Error> {
    let unknown = params
        .top_names()
        .find(|name| !FIELDS.contains(name) && !FIELDS_OF_NEW.contains(name));
    match unknown {
        None => Ok(()),
        Some(unknown) => Err(Ec2Error::new(
            "UnknownParameter",
            format!("The parameter NetworkInterface.{unknown} is not recognized"),
        )),
    }
}

/// Each interface has a place of its own, one has the first, and only a single one asks for a public address.
fn check_places(specs: &[InterfaceSpec]) -> Result<(), Ec2Error> {
    let mut places: Vec<(u32, u32)> = specs.iter().map(InterfaceSpec::place).collect();
    places.sort_unstable();
    places.dedup();
    if places.len() < specs.len() {
        return Err(Ec2Error::invalid_value(
            "Each network interface requires a unique device index.",
        ));
    }
    if places.first() != Some(&(0, 0)) {
        return Err(Ec2Error::invalid_value(
            "A network interface with device index 0 is required.",
        ));
    }
    if specs.len() > 1 && specs.iter().any(|spec| spec.public.is_some()) {
        return Err(Ec2Error::invalid_combination(
            "The associatePublicIPAddress parameter cannot be specified when launching with multiple network \
             interfaces.",
        ));
    }
    if specs
        .iter()
        .any(|spec| spec.public.is_some() && spec.existing.is_some())
    {
        return Err(Ec2Error::invalid_combination(
            "The associatePublicIPAddress parameter cannot be specified for an existing network interface.",
        ));
    }
    Ok(())
}

fn owned_list(params: &Params, name: &str) -> Vec<String> {
    params.list(name).into_iter().map(str::to_owned).collect()
}

/// How many of what a call can list instead: it does one or the other.
fn count(params: &Params, name: &str, none_listed: bool) -> Result<u32, Ec2Error> {
    let count = params.parsed(name)?.unwrap_or_default();
    if count > 0 && !none_listed {
        return Err(Ec2Error::invalid_combination(format!(
            "The parameter {name} cannot be used together with what it counts."
        )));
    }
    Ok(count)
}

/// One field of each structure of a list.
fn each<T: FromStr>(params: &Params, list: &str, field: &str) -> Result<Vec<T>, Ec2Error> {
    params
        .structs(list)
        .iter()
        .map(|inner| inner.parsed(field)?.ok_or_else(|| Ec2Error::missing(field)))
        .collect()
}

/// The first addresses of ranges of one length, such as `172.31.0.16/28`.
fn prefixes<T: FromStr>(params: &Params, name: &str, length: &str) -> Result<Vec<T>, Ec2Error> {
    let texts: Vec<String> = each(params, name, name)?;
    texts
        .iter()
        .map(|text| {
            let first = text.strip_suffix(length).and_then(|first| first.parse().ok());
            first.ok_or_else(|| {
                Ec2Error::invalid_value(format!(
                    "Invalid value '{text}' for {name}. It must be a {length} range."
                ))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(form: &str) -> String {
        let read = InterfaceSpec::read_all(&Params::from_form(form.as_bytes()));
        read.unwrap_err().code.into_owned()
    }

    #[test]
    fn reads_what_a_captured_instance_has() {
        let form = "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.PrivateIpAddresses.1.PrivateIpAddress=\
                    172.31.0.9&NetworkInterface.1.PrivateIpAddresses.1.Primary=true&NetworkInterface.1.Ipv4Prefix.1.\
                    Ipv4Prefix=172.31.0.16/28&NetworkInterface.1.Ipv6Addresses.1.Ipv6Address=2600::9";
        let specs = InterfaceSpec::read_all(&Params::from_form(form.as_bytes())).unwrap();
        let wanted = &specs[0].wanted;
        assert_eq!(wanted.primary, Some(Ipv4Addr::new(172, 31, 0, 9)));
        assert_eq!(wanted.prefixes, [Ipv4Addr::new(172, 31, 0, 16)]);
        assert_eq!(wanted.ipv6, ["2600::9".parse::<Ipv6Addr>().unwrap()]);
    }

    #[test]
    fn refuses_what_cannot_be() {
        for (form, expected) in [
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.Colour=red",
                "UnknownParameter",
            ),
            ("NetworkInterface.1.DeviceIndex=1", "InvalidParameterValue"),
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.2.DeviceIndex=0",
                "InvalidParameterValue",
            ),
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.NetworkInterfaceId=eni-1&\
                 NetworkInterface.1.DeleteOnTermination=true",
                "InvalidParameterCombination",
            ),
            (
                "NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.Ipv4Prefix.1.Ipv4Prefix=172.31.0.16/27",
                "InvalidParameterValue",
            ),
        ] {
            assert_eq!(code(form), expected, "{form}");
        }
    }
}
