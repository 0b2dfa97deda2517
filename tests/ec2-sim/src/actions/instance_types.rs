//! `DescribeInstanceTypes` and `DescribeInstanceTypeOfferings`, and what a type means for an instance's interfaces.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::filter::{Filterable, Values, View};
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::tags::Tags;
use crate::world::instance_type::InstanceType;
use crate::world::launch::{Launch, Options};
use crate::xml::Xml;

use super::Scope;

const RULES: DescribeRules = DescribeRules {
    ids: "InstanceType",
    ids_in_messages: "instanceTypes",
    page_sizes: 5..=100,
    check_id: |_| Ok(()),
    not_found: |names| {
        Ec2Error::new(
            "InvalidInstanceType",
            format!(
                "The following supplied instance types do not exist: [{}]",
                names.join(", ")
            ),
        )
    },
};

/// Refuses more interfaces than a type takes. A type that the simulator does not know takes any number.
pub(super) fn check_interfaces(instance_type: &str, count: usize) -> Result<(), Ec2Error> {
    match InstanceType::named(instance_type) {
        Some(known) if count > known.most_interfaces => Err(Ec2Error::new(
            "AttachmentLimitExceeded",
            format!("Interface count {count} exceeds the limit for {instance_type}"),
        )),
        _ => Ok(()),
    }
}

/// Refuses what a type does not take. A type that the simulator does not know takes anything.
pub(super) fn check_settings(launch: &Launch, hardware: &Options) -> Result<(), Ec2Error> {
    let Some(known) = InstanceType::named(&launch.instance_type) else {
        return Ok(());
    };
    let is_on = |options: &Options, field: &str| options.get(field) == Some("true");
    let weighting = launch.network_performance.get("BandwidthWeighting");
    let weighting = weighting.filter(|weighting| *weighting != "default");
    let boot_mode = hardware.get("BootMode").filter(|mode| *mode != "uefi-preferred");
    let wrong = [
        (
            "EBS-optimized instances",
            launch.ebs_optimized && known.ebs_optimized_support() == "unsupported",
        ),
        (
            "hibernation",
            is_on(&launch.hibernation, "Configured") && !known.hibernates(),
        ),
        (
            "enclaves",
            is_on(&launch.enclave, "Enabled") && !known.has_enclaves(),
        ),
        (
            "bandwidth weighting",
            weighting.is_some_and(|weighting| !known.bandwidth_weightings().contains(&weighting)),
        ),
        (
            "the boot mode of the image",
            boot_mode.is_some_and(|mode| !known.boot_modes().contains(&mode)),
        ),
        (
            "NitroTPM",
            hardware.get("TpmSupport").is_some() && !known.is_nitro(),
        ),
    ];
    match wrong.into_iter().find(|(_, is_wrong)| *is_wrong) {
        None => Ok(()),
        Some((what, _)) => Err(Ec2Error::new(
            "InvalidParameterCombination",
            format!("The instance type {} does not support {what}.", known.name),
        )),
    }
}

pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let all: BTreeMap<String, InstanceType> = InstanceType::all()
        .map(|kind| (kind.name.clone(), kind))
        .collect();
    let found = find(&all, params, &RULES, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("instanceTypeSet", found.resources, write);
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

/// Offerings have no ids.
const OFFERINGS: DescribeRules = DescribeRules {
    ids: "",
    ids_in_messages: "",
    page_sizes: 5..=1000,
    check_id: |_| Ok(()),
    not_found: |_| Ec2Error::missing("LocationType"),
};

/// A type in a place that has it.
struct Offering {
    kind: String,
    location: String,
    tags: Tags,
}

impl Filterable for Offering {
    const FILTERS: &'static [&'static str] = &["instance-type", "location"];

    fn tags(&self) -> &Tags {
        &self.tags
    }

    fn each_value(&self, filter: &str, _view: View<'_>, values: &mut Values<'_>) {
        values.text(match filter {
            "instance-type" => &self.kind,
            _ => &self.location,
        });
    }
}

/// Every type in every zone, but for those that a test withholds; or in the region.
pub(super) fn describe_offerings(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let region = &scope.region;
    let location_type = params.text("LocationType").unwrap_or("region");
    let locations: Vec<String> = match location_type {
        "region" => vec![region.name.clone()],
        "availability-zone" => region.network.zones().map(|subnet| subnet.zone.clone()).collect(),
        other => {
            return Err(Ec2Error::invalid_value(format!(
                "The simulator knows no offerings by {other}."
            )));
        }
    };
    let mut all: BTreeMap<String, Offering> = BTreeMap::new();
    for kind in InstanceType::all().map(|kind| kind.name) {
        for location in locations
            .iter()
            .filter(|location| region.places.is_offered(&kind, location))
        {
            let offering = Offering {
                kind: kind.clone(),
                location: location.clone(),
                tags: Tags::default(),
            };
            all.insert(format!("{kind} {location}"), offering);
        }
    }
    let found = find(&all, params, &OFFERINGS, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list("instanceTypeOfferingSet", found.resources, |xml, offering| {
        xml.text("instanceType", &offering.kind)
            .text("locationType", location_type)
            .text("location", &offering.location);
    });
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write(xml: &mut Xml, kind: &InstanceType) {
    xml.text("instanceType", &kind.name)
        .text("bareMetal", false)
        .text("burstablePerformanceSupported", kind.is_burstable())
        .text("instanceStorageSupported", kind.has_disks())
        .text("hibernationSupported", kind.hibernates())
        .text("nitroEnclavesSupport", support(kind.has_enclaves()))
        .text("nitroTpmSupport", support(kind.is_nitro()))
        .texts("supportedBootModes", "item", kind.boot_modes())
        .block("ebsInfo", |xml| {
            xml.text("ebsOptimizedSupport", kind.ebs_optimized_support());
        })
        .block("processorInfo", |xml| {
            xml.texts("supportedArchitectures", "item", kind.architectures);
        })
        .block("vCpuInfo", |xml| {
            xml.text("defaultVCpus", kind.cpus)
                .text("defaultCores", kind.cores())
                .text("defaultThreadsPerCore", kind.threads_per_core);
        })
        .block("networkInfo", |xml| {
            xml.text("maximumNetworkInterfaces", kind.most_interfaces)
                .text("maximumNetworkCards", 1)
                .text("ipv6Supported", true)
                .texts("bandwidthWeightings", "item", kind.bandwidth_weightings());
        });
}

fn support(is_there: bool) -> &'static str {
    if is_there { "supported" } else { "unsupported" }
}
