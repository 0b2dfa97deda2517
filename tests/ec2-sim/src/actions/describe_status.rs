//! `DescribeInstanceStatus`.

use std::collections::BTreeMap;

use crate::error::Ec2Error;
use crate::page::find;
use crate::params::Params;
use crate::world::health::{Checked, Health};
use crate::world::instance::{Instance, InstanceState};
use crate::xml::Xml;

use super::Scope;
use super::instance_states::write_state;
use super::lookup::INSTANCES;

/// Only running instances, unless the call wants all.
pub(super) fn describe(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let all = params.flag("IncludeAllInstances")?.unwrap_or_default();
    let takes = scope.settings.status_check();
    let is_wanted = |instance: &Instance| all || instance.state(scope.now) == InstanceState::Running;
    // One that is named and does not run is there, but not shown.
    let are_named = !params.list("InstanceId").is_empty();
    let seen = |instance: &&Instance| {
        instance.is_visible(scope.now) && instance.is_listed(scope.now) && (are_named || is_wanted(instance))
    };
    let checked: BTreeMap<&str, Checked<'_>> = scope
        .region
        .instances
        .values()
        .filter(seen)
        .map(|instance| (instance.id.as_str(), Checked::look(instance, takes, scope.now)))
        .collect();
    let found = find(&checked, params, &INSTANCES, scope.view(), |_| true)?;
    let mut xml = Xml::new();
    xml.list(
        "instanceStatusSet",
        found
            .resources
            .iter()
            .filter(|checked| is_wanted(checked.instance)),
        |xml, checked| {
            let instance = checked.instance;
            xml.text("instanceId", &instance.id)
                .text("availabilityZone", &instance.zone);
            write_state("instanceState", instance.state(scope.now), xml);
            write_health("systemStatus", checked.system_health, xml);
            write_health("instanceStatus", checked.instance_health, xml);
        },
    );
    xml.maybe("nextToken", found.next_token);
    Ok(xml)
}

fn write_health(name: &str, health: Health, xml: &mut Xml) {
    xml.block(name, |xml| {
        xml.text("status", health.word());
        if let Some(reachability) = health.reachability() {
            xml.list("details", [reachability], |xml, status| {
                xml.text("name", "reachability").text("status", status);
            });
        }
    });
}
