//! New volumes, perhaps attached to an instance: mode `volumes`.

use super::blueprint::{Attach, Blueprint};
use super::deciding::Deciding;
use super::request::VolumesRequest;
use super::step::Step;
use std::collections::BTreeMap;

/// New volumes, perhaps attached.
pub(super) fn decide_volumes(
    deciding: &mut Deciding<'_>,
    request: &VolumesRequest,
    blueprint: &mut Blueprint,
) {
    let (orders, mut wanted) = deciding.volumes(&request.devices);
    let attach_to = deciding.around.attach_to.clone();
    let there = attach_to
        .as_ref()
        .and_then(|instance| instance.placement.availability_zone.clone());
    if let Some(id) = &request.attach_to
        && attach_to.is_none()
    {
        deciding.block(
            "volumes.attach_to",
            format!("{id} does not exist here"),
            ["an instance of this region"],
        );
    }
    let asked = request.availability_zone.clone();
    if let (Some(asked), Some(there)) = (&asked, &there)
        && asked != there
    {
        let problem = format!("the instance is in {there}, and a volume is attached in its own zone only");
        deciding.block("volumes.availability_zone", problem, [there.clone()]);
    }
    for volume in &mut wanted {
        let zone = there
            .clone()
            .or_else(|| asked.clone())
            .or_else(|| volume.availability_zone.clone());
        if let Some(zone) = zone
            .as_ref()
            .filter(|zone| !deciding.around.zones.contains(*zone))
        {
            let zones: Vec<String> = deciding.around.zones.iter().cloned().collect();
            deciding.block(
                "volumes.availability_zone",
                format!("{zone} is no zone of this region"),
                zones,
            );
        }
        volume.availability_zone = zone;
        for (key, value) in &deciding.overrides.tags {
            volume.tags.insert(key.clone(), value.clone());
        }
    }
    for device in request.attach_as.keys() {
        if !orders.iter().any(|order| order.device == *device) {
            let mut devices: Vec<String> = orders.iter().map(|order| order.device.clone()).collect();
            if devices.is_empty() {
                devices.push("nothing".to_owned());
            }
            let problem = format!("{device} is not restored");
            deciding.block(&format!("volumes.attach_as.{device}"), problem, devices);
        }
    }
    if let (Some(instance_id), Some(instance)) = (request.attach_to.clone(), &attach_to) {
        if !matches!(instance.state.as_deref(), Some("running" | "stopped")) {
            let state = instance.state.as_deref().unwrap_or("in an unknown state");
            let problem = format!("{instance_id} is {state}");
            deciding.block(
                "volumes.attach_to",
                problem,
                ["an instance that runs or is stopped"],
            );
        }
        let mut devices = BTreeMap::new();
        for order in &orders {
            let device = request
                .attach_as
                .get(&order.device)
                .unwrap_or(&order.device)
                .clone();
            let volume = instance.volumes.iter().find(|volume| volume.device == device);
            let taken = volume
                .map(|volume| volume.volume_id.to_string())
                .or_else(|| instance.instance_store.get(&device).cloned());
            if let Some(taken) = taken {
                let problem = format!("{device} of {instance_id} holds {taken}");
                deciding.block(
                    &format!("volumes.attach_as.{}", order.device),
                    problem,
                    ["a free device"],
                );
            }
            if devices.values().any(|other| *other == device) {
                let problem = format!("two volumes are to go to {device} of {instance_id}");
                deciding.block(
                    &format!("volumes.attach_as.{}", order.device),
                    problem,
                    ["a free device"],
                );
            }
            devices.insert(order.device.clone(), device);
        }
        blueprint.attach = Some(Attach { instance_id, devices });
        blueprint.steps = vec![Step::MakeVolumes, Step::AttachVolumes, Step::Finish];
    } else {
        blueprint.steps = vec![Step::MakeVolumes, Step::Finish];
    }
    blueprint.back = vec![Step::RemoveMade];
    blueprint.target.volumes = wanted;
    blueprint.volumes = orders;
}
