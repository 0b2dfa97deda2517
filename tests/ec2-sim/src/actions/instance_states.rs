//! `StartInstances`, `StopInstances` and `TerminateInstances`.

use crate::error::Ec2Error;
use crate::params::Params;
use crate::world::instance::{Instance, InstanceState, Lifecycle, Steady};
use crate::xml::Xml;

use super::Scope;
use super::replace_root::no_root;

pub(super) fn start(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    change(
        scope,
        params,
        Steady::Running,
        |scope, instance, state| match state {
            InstanceState::Stopped if instance.root_volume(scope.region).is_none() => Err(no_root(instance)),
            InstanceState::Stopped | InstanceState::Running | InstanceState::Pending => Ok(()),
            _ => Err(wrong_state(instance, "started")),
        },
    )
}

pub(super) fn stop(scope: &mut Scope<'_>, params: &Params) -> Result<Xml, Ec2Error> {
    change(scope, params, Steady::Stopped, |_, instance, state| match state {
        _ if instance.launch.is_one_time_spot() => Err(Ec2Error::new(
            "UnsupportedOperation",
            format!(
                "You can't stop the Spot Instance '{}' because it is associated with a one-time Spot Instance \
                 request. You can only stop Spot Instances associated with persistent Spot Instance requests.",
                instance.id
            ),
        )),
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
    let xml = change(scope, params, Steady::Terminated, |_, instance, _| {
        let protected = instance.launch.protection.termination;
        check_protection(protected, instance, "terminated", "disableApiTermination")
    })?;
    let ending = params.list("InstanceId").into_iter().map(str::to_owned);
    scope.region.ending.extend(ending);
    scope.region.settle_terminations(scope.now);
    Ok(xml)
}

/// Sends all named instances towards a state, or none of them.
fn change(
    scope: &mut Scope<'_>,
    params: &Params,
    target: Steady,
    check: impl Fn(&Scope<'_>, &Instance, InstanceState) -> Result<(), Ec2Error>,
) -> Result<Xml, Ec2Error> {
    let ids = params.list("InstanceId");
    if ids.is_empty() {
        return Err(Ec2Error::missing("InstanceId"));
    }
    let now = scope.now;
    for id in &ids {
        let instance = scope.instance(id)?;
        check(scope, instance, instance.state(now))?;
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
