//! `StartInstances`, `StopInstances` and `TerminateInstances`.

use crate::error::Ec2Error;
use crate::ids::InstanceId;
use crate::params::Params;
use crate::world::instance::{Instance, InstanceState, Lifecycle, Steady};
use crate::xml::Xml;

use super::Scope;

pub(super) fn start(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    change(scope, params, Steady::Running, |instance, state| match state {
        InstanceState::Stopped | InstanceState::Running | InstanceState::Pending => Ok(()),
        _ => Err(wrong_state(instance, "started")),
    })
}

pub(super) fn stop(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    change(scope, params, Steady::Stopped, |instance, state| match state {
        InstanceState::Running | InstanceState::Stopping | InstanceState::Stopped => check_protection(
            instance.launch.protection.stop,
            instance,
            "stopped",
            "disableApiStop",
        ),
        _ => Err(wrong_state(instance, "stopped")),
    })
}

pub(super) fn terminate(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    let xml = change(scope, params, Steady::Terminated, |instance, _| {
        let protected = instance.launch.protection.termination;
        check_protection(protected, instance, "terminated", "disableApiTermination")
    })?;
    for id in params.list("InstanceId") {
        release(scope, id);
    }
    Ok(xml)
}

/// Sends all named instances towards a state, or none of them.
fn change(
    scope: &mut Scope<'_>,
    params: &Params,
    target: Steady,
    check: impl Fn(&Instance, InstanceState) -> Result<(), Ec2Error>,
) -> Result<Xml, Ec2Error> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(Ec2Error::missing("InstanceId"));
    }
    let now = scope.now;
    for id in &ids {
        let instance = scope.instance(id)?;
        check(instance, instance.state(now))?;
    }
    let transition = scope.settings.instance_transition();
    let mut changes = Vec::new();
    for id in ids {
        let instance = scope.instance_mut(id)?;
        let before = instance.state(now);
        if instance.lifecycle.target == target {
            changes.push((id, before, before));
        } else {
            instance.lifecycle = Lifecycle::towards(target, now, transition);
            changes.push((id, before, instance.lifecycle.transitional()));
        }
    }
    let mut xml = Xml::new();
    xml.list("instancesSet", changes, |xml, (id, before, after)| {
        xml.text("instanceId", id);
        write_state("currentState", after, xml);
        write_state("previousState", before, xml);
    });
    Ok(xml)
}

pub(super) fn write_state(name: &str, state: InstanceState, xml: &mut Xml) {
    xml.block(name, |xml| {
        xml.text("code", state.code()).text("name", state.name());
    });
}

fn wrong_state(instance: &Instance, verb: &str) -> Ec2Error {
    Ec2Error::new(
        "IncorrectInstanceState",
        format!(
            "The instance '{}' is not in a state from which it can be {verb}.",
            instance.id
        ),
    )
}

fn check_protection(is_on: bool, instance: &Instance, verb: &str, attribute: &str) -> Result<(), Ec2Error> {
    if !is_on {
        return Ok(());
    }
    Err(Ec2Error::new(
        "OperationNotPermitted",
        format!(
            "The instance '{}' may not be {verb}. Modify its '{attribute}' instance attribute and try again.",
            instance.id
        ),
    ))
}

/// Deletes or detaches what a terminated instance had.
pub(crate) fn release(scope: &mut Scope<'_>, instance: &str) {
    let region = &mut *scope.region;
    let Some(found) = region.instances.get_mut(instance) else {
        return;
    };
    let (volumes, interfaces) = (
        std::mem::take(&mut found.volumes),
        std::mem::take(&mut found.interfaces),
    );
    let id: InstanceId = found.id.clone();
    for volume in volumes {
        let Some(entry) = region.volumes.get_mut(&volume) else {
            continue;
        };
        if entry
            .attachment
            .take()
            .is_some_and(|attachment| attachment.delete_on_termination)
        {
            region.volumes.remove(&volume);
        }
    }
    for interface in interfaces {
        let Some(entry) = region.interfaces.get_mut(&interface) else {
            continue;
        };
        entry.lent_public = None;
        if entry
            .attachment
            .take()
            .is_some_and(|attachment| attachment.delete_on_termination)
        {
            if let Some(subnet) = region.network.subnet_mut(&entry.subnet) {
                entry.addresses().for_each(|address| subnet.release(address));
            }
            region.interfaces.remove(&interface);
        }
    }
    for address in region.addresses.values_mut() {
        // An address belongs to its interface, and stays with one that is kept.
        match &mut address.association {
            Some(association) if !region.interfaces.contains_key(&association.interface) => {
                address.association = None;
            }
            Some(association) if association.instance.as_ref() == Some(&id) => association.instance = None,
            _ => {}
        }
    }
}
