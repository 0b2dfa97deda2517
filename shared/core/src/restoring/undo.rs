//! Putting back what an in-place restore took off.

use super::Mode;
use super::announced::lost_by_a_stop;
use super::blueprint::{Blueprint, Original};
use super::obstacles::Obstacle;
use super::record::{Restore, RestoreStatus};
use super::request::OnFailure;
use super::step::{Exchange, Standing, Step};
use super::stopping::auto_scaling_group;
use super::surroundings::Surroundings;
use crate::configuration::InstanceConfiguration;
use jiff::Timestamp;

/// Decides how an in-place restore is undone: the volumes that it took off go back to where they were, and what it put
/// there is kept as they were, until the same deadline.
///
/// # Errors
/// Why it cannot be undone.
pub fn decide_undo(
    done: &Restore,
    around: &Surroundings,
    now: Timestamp,
) -> Result<Blueprint, Vec<Obstacle>> {
    let refuse = |problem: String| Err(vec![obstacle(problem)]);
    let blueprint = &done.blueprint;
    let resource = &done.resource_id;
    if blueprint.mode != Mode::InPlace {
        return refuse(format!(
            "{} is no in-place restore but {}",
            done.job_id, blueprint.mode
        ));
    }
    if !matches!(done.status, RestoreStatus::Completed | RestoreStatus::Partial) {
        return refuse(format!(
            "the restore of {resource} changed nothing that could be undone"
        ));
    }
    let until = blueprint.undo_until.unwrap_or(now);
    if now >= until {
        return refuse(format!("the restore of {resource} could be undone until {until}"));
    }
    let Some(original) = &around.original else {
        return refuse(format!("{resource} does not exist any more"));
    };
    let (exchanges, mut problems) = mirror(done, original, around);
    let facts = Original::of(original);
    if facts.was_running {
        problems.extend(stop_problems(done, original, &facts, around));
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let announced = if facts.was_running {
        lost_by_a_stop(original).collect()
    } else {
        Vec::new()
    };
    Ok(Blueprint {
        mode: Mode::Undo,
        way: None,
        way_in_words: None,
        target: InstanceConfiguration::default(),
        sets_cpu_options: false,
        volumes: Vec::new(),
        original: Some(facts),
        exchanges,
        attach: None,
        target_groups: Vec::new(),
        image_name: None,
        proof: None,
        on_failure: OnFailure::Remove,
        undo_until: Some(until),
        steps: vec![
            Step::StopOriginal,
            Step::SwapVolumes,
            Step::StartOriginal,
            Step::Finish,
        ],
        back: vec![Step::SwapBack, Step::ReturnOriginal],
        cut_over: None,
        deadline: crate::pacing::later(now, jiff::SignedDuration::from_hours(4)),
        announced,
    })
}

/// The restore's exchanges the other way round, and what keeps them from being made.
fn mirror(
    done: &Restore,
    original: &InstanceConfiguration,
    around: &Surroundings,
) -> (Vec<Exchange>, Vec<Obstacle>) {
    let (blueprint, resource) = (&done.blueprint, &done.resource_id);
    let mut problems = Vec::new();
    let mut exchanges = Vec::new();
    for exchange in &blueprint.exchanges {
        let made = done.made.volumes.get(&exchange.device);
        let now_there = original
            .volumes
            .iter()
            .find(|volume| volume.device == exchange.device);
        let as_left = match (&exchange.after, now_there) {
            (Some(_), Some(volume)) => made == Some(&volume.volume_id),
            (None, None) => true,
            _ => false,
        };
        if !as_left {
            problems.push(obstacle(format!(
                "{} of {resource} does not hold what the restore put there",
                exchange.device
            )));
        }
        if let Some(kept) = exchange
            .before
            .as_ref()
            .and_then(|before| before.volume_id.as_ref())
        {
            match around.kept_volumes.get(kept) {
                Some(true) => {}
                Some(false) => problems.push(obstacle(format!("{kept}, which is to go back, is not free"))),
                None => problems.push(obstacle(format!(
                    "{kept}, which is to go back, is not there any more"
                ))),
            }
        }
        exchanges.push(Exchange {
            device: exchange.device.clone(),
            is_foreign: false,
            before: exchange.after.as_ref().map(|after| Standing {
                volume_id: made.cloned(),
                delete_on_termination: after.delete_on_termination,
            }),
            after: exchange.before.clone(),
        });
    }
    (exchanges, problems)
}

fn obstacle(problem: String) -> Obstacle {
    let none: [&str; 0] = [];
    Obstacle::new("undo", problem, none)
}

/// Why the running instance may not be stopped. What was agreed to for the restore holds for its undo.
fn stop_problems(
    done: &Restore,
    original: &InstanceConfiguration,
    facts: &Original,
    around: &Surroundings,
) -> Vec<Obstacle> {
    let resource = &done.resource_id;
    let stopped = done
        .blueprint
        .original
        .as_ref()
        .filter(|before| before.was_running && done.blueprint.steps.contains(&Step::StopOriginal));
    let mut problems = Vec::new();
    if original.lifecycle.as_deref() == Some("spot") {
        problems.push(format!("{resource} is a spot instance and cannot be stopped"));
    }
    if facts.stop_protection && !stopped.is_some_and(|before| before.stop_protection) {
        problems.push(format!(
            "{resource} is protected from being stopped; lift that, or stop it first"
        ));
    }
    if let Some(disks) = around.host_disks_of(original).filter(|_| stopped.is_none()) {
        problems.push(format!(
            "what is on {disks} of {resource} is lost by a stop; stop it first"
        ));
    }
    if let Some(group) = auto_scaling_group(original) {
        problems.push(format!(
            "{resource} belongs to Auto Scaling group {group}, which terminates an instance that stops; detach it \
             from the group first"
        ));
    }
    problems.into_iter().map(obstacle).collect()
}
