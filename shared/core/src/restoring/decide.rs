//! The decision, by mode.

use super::announced::announce;
use super::blueprint::Blueprint;
use super::deciding::Deciding;
use super::in_place::decide_in_place;
use super::launching::decide_launch;
use super::machine_image::decide_image;
use super::new_volumes::decide_volumes;
use super::obstacles::Obstacle;
use super::request::RestoreRequest;
use super::surroundings::Surroundings;
use super::{Held, Mode};
use crate::configuration::InstanceConfiguration;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Decides how one resource of a recovery point is given back.
///
/// # Errors
/// Everything that stands in the way, each with what may be chosen instead.
pub fn decide_restore(
    request: &RestoreRequest,
    held: &Held,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Blueprint, Vec<Obstacle>> {
    let resource = &held.backup.resource_id;
    let Some(captured) = &held.backup.configuration else {
        return Err(vec![Obstacle::new(
            "resources",
            format!("the backup of {resource} holds no configuration"),
            ["another recovery point"],
        )]);
    };
    let overrides = request.overrides_of(resource);
    let mut deciding = Deciding {
        mode: request.mode,
        resource,
        held,
        captured,
        overrides: &overrides,
        around,
        default_key: around.default_key.as_ref(),
        obstacles: Vec::new(),
        reasons: BTreeMap::new(),
        sets_cpu_options: false,
        further: Vec::new(),
    };
    let deadline = crate::pacing::later(
        now,
        jiff::SignedDuration::from_mins(i64::from(request.deadline_minutes)),
    );
    let mut blueprint = Blueprint {
        mode: request.mode,
        way: None,
        way_in_words: None,
        target: InstanceConfiguration::default(),
        sets_cpu_options: false,
        volumes: Vec::new(),
        original: None,
        exchanges: Vec::new(),
        attach: None,
        target_groups: Vec::new(),
        image_name: None,
        proof: request.proof.clone(),
        on_failure: request.on_failure,
        undo_until: None,
        steps: Vec::new(),
        back: Vec::new(),
        cut_over: None,
        deadline,
        announced: Vec::new(),
    };
    match request.mode {
        Mode::Clone | Mode::NonDestructive | Mode::Destructive | Mode::Rehearsal => {
            decide_launch(&mut deciding, &overrides, &mut blueprint);
        }
        Mode::InPlace => {
            let only = request
                .volumes
                .as_ref()
                .map_or(&[][..], |volumes| &volumes.devices);
            decide_in_place(&mut deciding, only, &mut blueprint);
            let until = jiff::SignedDuration::from_hours(i64::from(request.undo_hours));
            blueprint.undo_until = Some(crate::pacing::later(now, until));
        }
        Mode::Volumes => {
            let volumes = request.volumes.clone().unwrap_or_default();
            decide_volumes(&mut deciding, &volumes, &mut blueprint);
        }
        Mode::Image => {
            let name = request.image.as_ref().map(|image| image.name.clone());
            blueprint.image_name = name;
            decide_image(&mut deciding, &overrides, &mut blueprint);
        }
        Mode::Undo => deciding.block("mode", "an undo has no recovery point", ["{\"undo\": \"job-…\"}"]),
    }
    if !deciding.obstacles.is_empty() {
        return Err(each_once(deciding.obstacles));
    }
    blueprint.sets_cpu_options = deciding.sets_cpu_options;
    let devices = request.volumes.as_ref().map(|volumes| volumes.devices.as_slice());
    blueprint.announced = announce(&deciding, &blueprint.target, devices.unwrap_or_default());
    Ok(blueprint)
}

/// What several volumes or interfaces have in common is said once.
fn each_once(obstacles: Vec<Obstacle>) -> Vec<Obstacle> {
    let mut each: Vec<Obstacle> = Vec::with_capacity(obstacles.len());
    for obstacle in obstacles {
        if !each.contains(&obstacle) {
            each.push(obstacle);
        }
    }
    each
}
