//! What holds of every decision, whatever the instance and whatever is asked for.

use super::super::blueprint::Blueprint;
use super::super::decide::decide_restore;
use super::super::fidelity::compare;
use super::super::obstacles::Obstacle;
use super::super::request::{RestoreInput, RestoreRequest};
use super::super::scene::{now, resource};
use super::super::step::{Part, Step};
use super::super::surroundings::Surroundings;
use super::super::{Held, Mode};
use super::table::{self, Instance};
use serde_json::{Value, json};

/// What is asked for beside what the table asks for.
fn general() -> Vec<Value> {
    let kept = json!({"interfaces": "all", "subnet_id": "subnet-b", "security_group_ids": ["sg-quiet"]});
    vec![
        table::nothing(),
        table::beside(),
        table::isolated(),
        json!({"overrides": {"lift_protection": true, "accept_instance_store_loss": true}, "proof": {}}),
        json!({"overrides": {"lift_protection": true}}),
        json!({"overrides": {"elastic_ips": "take"}}),
        json!({"overrides": kept}),
        json!({"overrides": {"volumes": {"/dev/sdf": {"size_gib": 1, "volume_type": "io2"}}}}),
        json!({"volumes": {"devices": ["/dev/sdf"], "attach_to": "i-00000000000000001"}}),
    ]
}

/// Every instance of the table in every mode, with everything that is asked for and can be meant there.
fn decisions(look: impl Fn(&Instance, &RestoreRequest, Result<Blueprint, Vec<Obstacle>>)) -> usize {
    let mut many = 0;
    for instance in &table::all() {
        let mut all_asked: Vec<Value> = instance.tries.iter().map(|one| one.asked.clone()).collect();
        all_asked.extend(general());
        for (mode, asked) in Mode::NAMED
            .into_iter()
            .flat_map(|mode| all_asked.iter().map(move |asked| (mode, asked)))
        {
            let Some(request) = request(mode, asked) else {
                continue;
            };
            let decided = decide_restore(&request, &instance.held, &instance.around, now());
            look(instance, &request, decided);
            many += 1;
        }
    }
    many
}

fn document(mode: Mode, asked: &Value) -> Value {
    let mut document = json!({"plan_id": "nightly", "mode": mode});
    for (key, value) in asked.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn request(mode: Mode, asked: &Value) -> Option<RestoreRequest> {
    match RestoreInput::parse(&document(mode, asked)) {
        Ok(RestoreInput::Restore(request)) => Some(*request),
        _ => None,
    }
}

fn blueprints(look: impl Fn(&Instance, &Blueprint)) {
    let many = decisions(|instance, _, decided| {
        if let Ok(blueprint) = decided {
            look(instance, &blueprint);
        }
    });
    assert!(many > 3_000, "{many} decisions");
}

fn at(blueprint: &Blueprint, step: Step) -> Option<usize> {
    blueprint.steps.iter().position(|other| *other == step)
}

#[test]
fn an_original_is_let_go_only_after_a_candidate_was_proved_good() {
    blueprints(|instance, blueprint| {
        let release = at(blueprint, Step::ReleaseOriginal);
        assert_eq!(blueprint.cut_over, release, "{}", instance.name);
        let replaces = blueprint.mode == Mode::Destructive && instance.around.original.is_some();
        assert_eq!(release.is_some(), replaces, "{}", instance.name);
        if let Some(release) = release {
            assert!(at(blueprint, Step::Prove(Part::Candidate)).is_some_and(|proof| proof < release));
            assert!(at(blueprint, Step::StopOriginal).is_some_and(|stop| stop < release));
            assert!(at(blueprint, Step::Launch(Part::Final)).is_some_and(|launch| release < launch));
            let gone = at(blueprint, Step::RemoveCandidate).unwrap();
            assert!(at(blueprint, Step::Prove(Part::Final)).is_some_and(|proof| proof < gone));
        }
    });
}

#[test]
fn an_original_that_was_not_meant_is_never_touched() {
    blueprints(|instance, blueprint| {
        if matches!(blueprint.mode, Mode::Destructive | Mode::InPlace) {
            return;
        }
        let touching = [
            Step::StopOriginal,
            Step::ReleaseOriginal,
            Step::SwapVolumes,
            Step::ReplaceRoot,
        ];
        let touched = blueprint
            .steps
            .iter()
            .chain(&blueprint.back)
            .find(|step| touching.contains(step));
        assert_eq!(touched, None, "{}", instance.name);
        assert!(
            blueprint.original.is_none() && blueprint.exchanges.is_empty(),
            "{}",
            instance.name
        );
    });
}

#[test]
fn every_way_ends_and_has_a_way_back() {
    blueprints(|instance, blueprint| {
        let last = match blueprint.mode {
            Mode::Rehearsal => &[Step::Finish, Step::RemoveMade][..],
            _ => &[Step::Finish],
        };
        assert!(
            blueprint.steps.ends_with(last),
            "{}: {:?}",
            instance.name,
            blueprint.steps
        );
        assert_eq!(
            blueprint
                .steps
                .iter()
                .filter(|step| **step == Step::Finish)
                .count(),
            1
        );
        assert!(blueprint.back.contains(&Step::RemoveMade), "{}", instance.name);
        assert_eq!(blueprint.in_words().len(), blueprint.steps.len());
        assert!(blueprint.deadline > now());
    });
}

#[test]
fn every_announced_difference_has_a_reason_and_every_difference_is_announced() {
    blueprints(|instance, blueprint| {
        for told in &blueprint.announced {
            assert!(
                told.why.as_ref().is_some_and(|why| !why.is_empty()),
                "{}: {told}",
                instance.name
            );
        }
        if !blueprint.mode.launches() && blueprint.mode != Mode::InPlace {
            return;
        }
        let captured = instance.held.backup.configuration.as_ref().unwrap();
        for difference in compare(captured, &blueprint.target) {
            let told = blueprint
                .announced
                .iter()
                .any(|told| told.field == difference.field);
            assert!(told, "{}, {}: {difference}", instance.name, blueprint.mode);
        }
    });
}

#[test]
fn no_address_gets_two_owners() {
    blueprints(|instance, blueprint| {
        if !blueprint.mode.launches() {
            return;
        }
        let replaces = blueprint.cut_over.is_some();
        for interface in &blueprint.target.interfaces {
            let id = &interface.network_interface_id;
            if !id.is_empty() {
                let standing = &instance.around.interfaces[id];
                assert!(
                    standing.is_free || replaces && standing.instance_id == Some(resource()),
                    "{}: {id}",
                    instance.name
                );
                continue;
            }
            let subnet = interface.subnet_id.clone().unwrap_or_default();
            for private in &interface.private_addresses {
                let place = (subnet.clone(), private.address.clone());
                assert!(
                    !instance.around.taken_addresses.contains_key(&place),
                    "{}: {place:?}",
                    instance.name
                );
            }
        }
    });
}

#[test]
fn every_volume_comes_of_a_snapshot_that_is_there_and_stands_in_the_instances_zone() {
    blueprints(|instance, blueprint| {
        for order in &blueprint.volumes {
            assert!(
                instance.around.snapshots[&order.snapshot_id].usable,
                "{}",
                instance.name
            );
            let wanted = blueprint
                .target
                .volumes
                .iter()
                .find(|volume| volume.device == order.device);
            assert!(
                wanted.is_some_and(|wanted| wanted.is_boot == order.is_boot),
                "{}",
                instance.name
            );
        }
        let mut devices: Vec<&str> = blueprint
            .target
            .volumes
            .iter()
            .map(|volume| volume.device.as_str())
            .collect();
        let many = devices.len();
        devices.sort_unstable();
        devices.dedup();
        assert_eq!(devices.len(), many, "{}", instance.name);
        if blueprint.mode.launches() {
            let boot = blueprint.target.volumes.iter().filter(|volume| volume.is_boot);
            let roots: Vec<&str> = boot.map(|volume| volume.device.as_str()).collect();
            let root = blueprint.target.root_device_name.as_deref().unwrap();
            assert_eq!(roots, [root], "{}", instance.name);
            for volume in &blueprint.target.volumes {
                assert_eq!(
                    volume.availability_zone,
                    blueprint.target.placement.availability_zone
                );
            }
        }
    });
}

#[test]
fn nothing_that_the_backup_does_not_hold_ends_with_a_replaced_original() {
    blueprints(|instance, blueprint| {
        let Some(original) = blueprint
            .original
            .as_ref()
            .filter(|_| blueprint.cut_over.is_some())
        else {
            return;
        };
        let restored = |device: &String| {
            blueprint
                .target
                .volumes
                .iter()
                .any(|volume| volume.device == *device)
        };
        for (device, standing) in &original.volumes {
            let id = standing.volume_id.as_ref().unwrap();
            let held = instance.held.snapshots.contains_key(id) || restored(device);
            assert!(
                held || !standing.delete_on_termination,
                "{}: {id} at {device}",
                instance.name
            );
        }
    });
}

#[test]
fn a_decision_is_the_same_when_it_is_taken_again_and_survives_being_written_down() {
    decisions(|instance, request, decided| {
        let again = decide_restore(request, &instance.held, &instance.around, now());
        assert_eq!(decided, again, "{}", instance.name);
        if let Ok(blueprint) = decided {
            let written = serde_json::to_string(&blueprint).unwrap();
            assert_eq!(
                serde_json::from_str::<Blueprint>(&written).unwrap(),
                blueprint,
                "{}",
                instance.name
            );
        }
    });
}

/// A value that is allowed at a field that an obstacle names.
fn sample(field: &str) -> Value {
    let last = field.rsplit('.').next().unwrap();
    match last {
        "resources" => json!(["i-0123456789abcdef0"]),
        "recovery_point_id" => json!("rp-20261126T020000Z-0123456789abcdef"),
        "mode" => json!("clone"),
        "devices" => json!(["/dev/sdf"]),
        "security_group_ids" => json!(["sg-1"]),
        "interfaces" => json!("primary_only"),
        "placement" => json!("default"),
        "elastic_ips" => json!("leave"),
        "private_address" => json!("automatic"),
        "lift_protection" | "accept_instance_store_loss" => json!(true),
        "size_gib" | "iops" | "throughput" => json!(100),
        "volume_type" => json!("gp3"),
        "attach_to" => json!("i-00000000000000001"),
        "subnet_id"
        | "instance_type"
        | "key_name"
        | "kms_key_id"
        | "image_id"
        | "name"
        | "iam_instance_profile_arn"
        | "availability_zone" => json!("text"),
        device if field.starts_with("volumes.attach_as.") => json!(device),
        _ if field.starts_with("overrides.volumes.") => json!({"size_gib": 100}),
        other => panic!("{field}: no field is called {other}"),
    }
}

/// A choice that can be given as it stands: one word.
fn literal(field: &str, choice: &str) -> Option<Value> {
    if choice.is_empty() || choice.contains([' ', ',', '"', '{']) || choice == "nothing" {
        return None;
    }
    let text = json!(choice);
    Some(match sample(field) {
        Value::Array(_) => json!([choice]),
        Value::Bool(_) => json!(choice.parse::<bool>().unwrap()),
        _ => text,
    })
}

/// A request of this mode that says nothing but `value` at `field`.
fn asking(mode: Mode, field: &str, value: Value) -> Value {
    let mut document = document(mode, &json!({}));
    let mut place = &mut document;
    // A device has dots in no system, but slashes.
    for name in field.split('.') {
        place = &mut place[name];
    }
    *place = value;
    if field.starts_with("volumes.attach_as.") {
        document["volumes"]["attach_to"] = json!("i-00000000000000001");
    }
    if field == "image.name" {
        document["resources"] = json!([resource()]);
    }
    document
}

#[test]
fn every_obstacle_names_a_field_of_the_request_and_choices_that_it_takes() {
    decisions(|instance, request, decided| {
        for obstacle in decided.err().into_iter().flatten() {
            let Obstacle {
                field,
                problem,
                choices,
            } = &obstacle;
            assert!(
                !problem.is_empty() && !choices.is_empty(),
                "{}: {obstacle}",
                instance.name
            );
            let values = choices.iter().filter_map(|choice| literal(field, choice));
            for value in values.chain([sample(field)]) {
                let document = asking(request.mode, field, value);
                let parsed = RestoreInput::parse(&document);
                assert!(
                    parsed.is_ok(),
                    "{}, {}: {obstacle}: {parsed:?}",
                    instance.name,
                    request.mode
                );
            }
        }
    });
}

/// Follows the obstacles' own choices, where a word can be given, until nothing is in the way or nothing more helps.
fn follow(mode: Mode, held: &Held, around: &Surroundings) -> Result<Blueprint, Vec<Obstacle>> {
    let mut document = document(mode, &json!({}));
    let mut last = Vec::new();
    for _ in 0..12 {
        let Ok(RestoreInput::Restore(request)) = RestoreInput::parse(&document) else {
            panic!("{document}");
        };
        let obstacles = match decide_restore(&request, held, around, now()) {
            Ok(blueprint) => return Ok(blueprint),
            Err(obstacles) => obstacles,
        };
        assert_ne!(obstacles, last, "{document}: what was given did not help");
        let choice = obstacles
            .iter()
            .filter(|obstacle| obstacle.field != "mode")
            .find_map(|obstacle| {
                let field = obstacle.field.as_str();
                let mut values = obstacle
                    .choices
                    .iter()
                    .filter_map(|choice| literal(field, choice));
                Some((field.to_owned(), values.next_back()?))
            });
        let Some((field, value)) = choice else {
            return Err(obstacles);
        };
        let mut place = &mut document;
        for name in field.split('.') {
            place = &mut place[name];
        }
        *place = value;
        last = obstacles;
    }
    panic!("{document}: no end of obstacles")
}

#[test]
fn giving_what_an_obstacle_offers_takes_it_out_of_the_way() {
    let mut reached = 0;
    for instance in table::all() {
        for mode in Mode::NAMED {
            reached += usize::from(follow(mode, &instance.held, &instance.around).is_ok());
        }
    }
    assert!(reached > 200, "{reached} decisions without an obstacle");
}
