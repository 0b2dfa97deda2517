//! Decisions about awkward instances, one by one.

use super::blueprint::Blueprint;
use super::decide::decide_restore;
use super::obstacles::Obstacle;
use super::request::{RestoreInput, RestoreRequest};
use super::scene::{alone, around, captured, coded, held, now};
use super::step::{Part, Step};
use super::surroundings::Surroundings;
use super::{Held, Mode};
use serde_json::{Value, json};

mod attaching;
mod billing;
mod comparing;
mod disks;
mod elsewhere;
mod in_place;
mod network;
mod properties;
mod records;
mod standing;
mod table;
mod undoing;
mod volume_settings;

fn request(mode: Mode, asked: &Value) -> RestoreRequest {
    let mut document = json!({"plan_id": "nightly", "mode": mode});
    for (key, value) in asked.as_object().into_iter().flatten() {
        document[key] = value.clone();
    }
    match RestoreInput::parse(&document) {
        Ok(RestoreInput::Restore(request)) => *request,
        other => panic!("{other:?}"),
    }
}

fn decide(mode: Mode, asked: &Value, held: &Held, around: &Surroundings) -> Result<Blueprint, Vec<Obstacle>> {
    decide_restore(&request(mode, asked), held, around, now())
}

fn fields(obstacles: &[Obstacle]) -> Vec<&str> {
    obstacles.iter().map(|obstacle| obstacle.field.as_str()).collect()
}

#[test]
fn a_clone_stands_beside_the_original_and_says_what_is_its_own() {
    let captured = captured();
    let blueprint = decide(
        Mode::Clone,
        &json!({}),
        &held(captured.clone()),
        &around(&captured),
    )
    .unwrap();
    assert_eq!(
        blueprint.steps,
        [
            Step::ObtainImage,
            Step::Launch(Part::Final),
            Step::Dress,
            Step::Settle,
            Step::Finish
        ]
    );
    assert_eq!(blueprint.back, [Step::RemoveMade]);
    let told: Vec<&str> = blueprint
        .announced
        .iter()
        .map(|difference| difference.field.as_str())
        .collect();
    for field in [
        "interfaces.0.private_addresses",
        "interfaces.0.elastic_ips",
        "interfaces.1.private_addresses",
        "image_id",
    ] {
        assert!(told.contains(&field), "{field} is not among {told:?}");
    }
    assert!(
        blueprint
            .announced
            .iter()
            .all(|difference| difference.why.is_some())
    );
}

#[test]
fn a_recovery_beside_the_original_must_be_told_what_to_do_about_its_addresses() {
    let captured = captured();
    let (held, around) = (held(captured.clone()), around(&captured));
    let obstacles = decide(Mode::NonDestructive, &json!({}), &held, &around).unwrap_err();
    let names = fields(&obstacles);
    assert!(
        names.contains(&"overrides.private_address") && names.contains(&"overrides.elastic_ips"),
        "{names:?}"
    );
    let choices = json!({"overrides": {"private_address": "automatic", "elastic_ips": "leave"}});
    assert!(decide(Mode::NonDestructive, &choices, &held, &around).is_ok());
    // With the original gone everything comes back as it was.
    let blueprint = decide(Mode::NonDestructive, &json!({}), &held, &alone(&captured)).unwrap();
    let told: Vec<&str> = blueprint
        .announced
        .iter()
        .map(|difference| difference.field.as_str())
        .collect();
    assert_eq!(told, ["image_id"]);
}

#[test]
fn a_destructive_recovery_proves_a_candidate_before_it_lets_the_original_go() {
    let captured = captured();
    let lifted = json!({"overrides": {"lift_protection": true}});
    let blueprint = decide(
        Mode::Destructive,
        &lifted,
        &held(captured.clone()),
        &around(&captured),
    )
    .unwrap();
    assert_eq!(
        blueprint.steps,
        [
            Step::ObtainImage,
            Step::StopOriginal,
            Step::Launch(Part::Candidate),
            Step::Prove(Part::Candidate),
            Step::ReleaseOriginal,
            Step::Launch(Part::Final),
            Step::Prove(Part::Final),
            Step::Dress,
            Step::RemoveCandidate,
            Step::Settle,
            Step::Finish,
        ]
    );
    assert_eq!(blueprint.cut_over, Some(4));
    assert_eq!(blueprint.target.interfaces[0].network_interface_id, "eni-primary");
    assert!(
        decide(
            Mode::Destructive,
            &json!({}),
            &held(captured.clone()),
            &around(&captured)
        )
        .is_err_and(|obstacles| fields(&obstacles) == ["overrides.lift_protection"])
    );
    // Nobody is there to be replaced: the new one takes the place at once.
    let blueprint = decide(
        Mode::Destructive,
        &json!({}),
        &held(captured.clone()),
        &alone(&captured),
    )
    .unwrap();
    assert_eq!(blueprint.cut_over, None);
    assert_eq!(
        blueprint.target.interfaces[0].private_addresses[0].address,
        "10.0.1.10"
    );
}

#[test]
fn billing_codes_decide_the_way() {
    let coded = coded();
    let blueprint = decide(Mode::Clone, &json!({}), &held(coded.clone()), &around(&coded)).unwrap();
    assert!(blueprint.steps.contains(&Step::ExchangeBootVolume(Part::Final)));
    assert!(!blueprint.steps.contains(&Step::ObtainImage));
    assert!(blueprint.way_in_words.unwrap().contains("ami-0123456789abcdef0"));
    let mut gone = around(&coded);
    gone.images.clear();
    let blueprint = decide(Mode::Clone, &json!({}), &held(coded.clone()), &gone).unwrap();
    assert_eq!(blueprint.steps[0], Step::ObtainImage);
    let mut lost = alone(&coded);
    lost.images.clear();
    let obstacles = decide(Mode::Clone, &json!({}), &held(coded), &lost).unwrap_err();
    assert_eq!(fields(&obstacles), ["overrides.image_id"]);
}

#[test]
fn in_place_takes_what_the_backup_holds_and_leaves_the_rest() {
    let captured = captured();
    let blueprint = decide(
        Mode::InPlace,
        &json!({}),
        &held(captured.clone()),
        &around(&captured),
    )
    .unwrap();
    assert_eq!(
        blueprint.steps,
        [
            Step::MakeVolumes,
            Step::StopOriginal,
            Step::SwapVolumes,
            Step::StartOriginal,
            Step::Finish
        ]
    );
    assert!(blueprint.announced.is_empty(), "{:?}", blueprint.announced);
    let root = json!({"volumes": {"devices": ["/dev/xvda"]}});
    let only_root = request_in_place(&root, &held(captured.clone()), &around(&captured));
    assert_eq!(only_root.steps, [Step::ReplaceRoot, Step::Finish]);
}

fn request_in_place(asked: &Value, held: &Held, around: &Surroundings) -> Blueprint {
    decide(Mode::InPlace, asked, held, around).unwrap()
}
