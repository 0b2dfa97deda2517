//! `DescribeInstanceTypes`, and what a type means for an instance's interfaces.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::page::{DescribeRules, find};
use crate::params::Params;
use crate::world::instance_type::InstanceType;
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

fn write(xml: &mut Xml, kind: &InstanceType) {
    xml.text("instanceType", &kind.name)
        .text("bareMetal", false)
        .text("burstablePerformanceSupported", kind.is_burstable())
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
                .text("ipv6Supported", true);
        });
}
