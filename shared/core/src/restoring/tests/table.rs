//! Awkward instances, each with the modes it is tried in and what must come out.

use super::super::blueprint::Blueprint;
use super::super::scene::{alone, around, captured, held};
use super::super::step::{Part, Step};
use super::super::surroundings::Surroundings;
use super::super::{Held, Mode};
use super::{attaching, billing, decide, disks, elsewhere, in_place, network, standing, volume_settings};
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};
use serde_json::{Value, json};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One awkward instance.
pub(super) struct Instance {
    pub(super) name: &'static str,
    pub(super) held: Held,
    pub(super) around: Surroundings,
    pub(super) tries: Vec<Try>,
}

/// One mode that it is tried in.
pub(super) struct Try {
    pub(super) mode: Mode,
    pub(super) asked: Value,
    comes: Comes,
}

enum Comes {
    /// These steps, with these differences beside those of addresses and image, and more to be looked at.
    Given(Vec<Step>, Vec<&'static str>, Box<dyn Fn(&Blueprint)>),
    /// These fields are in the way, with these choices.
    Blocked(Vec<(&'static str, Vec<&'static str>)>),
}

/// A captured instance that nothing is awkward about.
pub(super) fn plain() -> InstanceConfiguration {
    InstanceConfiguration {
        disable_api_termination: Some(false),
        licenses: Vec::new(),
        ..captured()
    }
}

/// The captured instance, changed.
pub(super) fn plain_but(change: impl FnOnce(&mut InstanceConfiguration)) -> InstanceConfiguration {
    let mut configuration = plain();
    change(&mut configuration);
    configuration
}

pub(super) fn volume<'a>(configuration: &'a InstanceConfiguration, device: &str) -> &'a VolumeConfiguration {
    configuration
        .volumes
        .iter()
        .find(|volume| volume.device == device)
        .unwrap()
}

pub(super) fn volume_mut<'a>(
    configuration: &'a mut InstanceConfiguration,
    device: &str,
) -> &'a mut VolumeConfiguration {
    configuration
        .volumes
        .iter_mut()
        .find(|volume| volume.device == device)
        .unwrap()
}

impl Instance {
    /// As it was captured, it still runs.
    pub(super) fn new(name: &'static str, captured: InstanceConfiguration) -> Self {
        Self {
            name,
            around: around(&captured),
            held: held(captured),
            tries: Vec::new(),
        }
    }

    /// It is gone, and its addresses are free.
    pub(super) fn gone(name: &'static str, captured: InstanceConfiguration) -> Self {
        Self {
            name,
            around: alone(&captured),
            held: held(captured),
            tries: Vec::new(),
        }
    }

    pub(super) fn now(mut self, change: impl FnOnce(&mut InstanceConfiguration)) -> Self {
        change(self.around.original.as_mut().unwrap());
        self
    }

    pub(super) fn around(mut self, change: impl FnOnce(&mut Surroundings)) -> Self {
        change(&mut self.around);
        self
    }

    pub(super) fn held(mut self, change: impl FnOnce(&mut Held)) -> Self {
        change(&mut self.held);
        self
    }

    /// The plan holds the volumes at these devices only.
    pub(super) fn only(self, devices: &[&str]) -> Self {
        self.held(|held| {
            let configuration = held.backup.configuration.as_ref().unwrap();
            let kept: Vec<_> = devices
                .iter()
                .map(|device| volume(configuration, device).volume_id.clone())
                .collect();
            held.snapshots.retain(|id, _| kept.contains(id));
        })
    }

    pub(super) fn given(
        mut self,
        mode: Mode,
        asked: Value,
        steps: Vec<Step>,
        told: &[&'static str],
        check: impl Fn(&Blueprint) + 'static,
    ) -> Self {
        let comes = Comes::Given(steps, told.to_vec(), Box::new(check));
        self.tries.push(Try { mode, asked, comes });
        self
    }

    pub(super) fn blocked(
        mut self,
        mode: Mode,
        asked: Value,
        obstacles: &[(&'static str, &[&'static str])],
    ) -> Self {
        let obstacles = obstacles
            .iter()
            .map(|(field, choices)| (*field, choices.to_vec()))
            .collect();
        let comes = Comes::Blocked(obstacles);
        self.tries.push(Try { mode, asked, comes });
        self
    }
}

/// Nothing more to be looked at.
pub(super) fn as_told(_: &Blueprint) {}

pub(super) fn nothing() -> Value {
    json!({})
}

/// What is asked for beside an original that lives.
pub(super) fn beside() -> Value {
    json!({"overrides": {"private_address": "automatic", "elastic_ips": "leave"}})
}

/// An isolated place.
pub(super) fn isolated() -> Value {
    json!({"overrides": {"subnet_id": "subnet-b", "security_group_ids": ["sg-quiet"]}})
}

/// What differs in an isolated place.
pub(super) const ISOLATED: &[&str] = &[
    "placement.availability_zone",
    "interfaces.0.security_groups",
    "interfaces.0.subnet_id",
    "interfaces.1.security_groups",
    "interfaces.1.subnet_id",
];

pub(super) fn launched() -> Vec<Step> {
    vec![
        Step::ObtainImage,
        Step::Launch(Part::Final),
        Step::Dress,
        Step::Settle,
        Step::Finish,
    ]
}

pub(super) fn donated() -> Vec<Step> {
    let last = Part::Final;
    vec![
        Step::Launch(last),
        Step::ExchangeBootVolume(last),
        Step::Dress,
        Step::Settle,
        Step::Finish,
    ]
}

pub(super) fn rehearsed() -> Vec<Step> {
    let last = Part::Final;
    let first = [Step::ObtainImage, Step::Launch(last), Step::Prove(last)];
    first
        .into_iter()
        .chain([Step::Dress, Step::Finish, Step::RemoveMade])
        .collect()
}

pub(super) fn replaced() -> Vec<Step> {
    vec![
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
}

/// A destructive recovery with nobody there to be replaced.
pub(super) fn took_the_place() -> Vec<Step> {
    let last = Part::Final;
    let first = [Step::ObtainImage, Step::Launch(last), Step::Prove(last)];
    first
        .into_iter()
        .chain([Step::Dress, Step::Settle, Step::Finish])
        .collect()
}

pub(super) fn swapped() -> Vec<Step> {
    vec![
        Step::MakeVolumes,
        Step::StopOriginal,
        Step::SwapVolumes,
        Step::StartOriginal,
        Step::Finish,
    ]
}

pub(super) fn root_replaced() -> Vec<Step> {
    vec![Step::ReplaceRoot, Step::Finish]
}

pub(super) fn made() -> Vec<Step> {
    vec![Step::MakeVolumes, Step::Finish]
}

pub(super) fn imaged() -> Vec<Step> {
    vec![Step::MakeImage, Step::Finish]
}

/// The whole table.
pub(super) fn all() -> Vec<Instance> {
    [
        disks::instances(),
        volume_settings::instances(),
        attaching::instances(),
        billing::instances(),
        standing::instances(),
        network::instances(),
        in_place::instances(),
        elsewhere::instances(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Whether a difference is of the kind that every new instance has: an address of its own, an image of its own.
fn is_usual(field: &str) -> bool {
    let addresses = [
        "private_addresses",
        "elastic_ips",
        "ipv6_addresses",
        "ipv4_prefixes",
        "ipv6_prefixes",
    ];
    field == "image_id"
        || field.starts_with("interfaces.") && addresses.iter().any(|name| field.ends_with(name))
}

fn check(instance: &Instance, one: &Try) {
    let decided = decide(one.mode, &one.asked, &instance.held, &instance.around);
    match (&one.comes, decided) {
        (Comes::Given(steps, told, check), Ok(blueprint)) => {
            assert_eq!(blueprint.steps, *steps);
            let found: Vec<&str> = blueprint
                .announced
                .iter()
                .map(|difference| difference.field.as_str())
                .filter(|field| !is_usual(field))
                .collect();
            assert_eq!(found, *told);
            check(&blueprint);
        }
        (Comes::Blocked(wanted), Err(obstacles)) => {
            let found: Vec<(&str, Vec<&str>)> = obstacles
                .iter()
                .map(|obstacle| {
                    let choices = obstacle.choices.iter().map(String::as_str).collect();
                    (obstacle.field.as_str(), choices)
                })
                .collect();
            assert_eq!(found, *wanted);
        }
        (Comes::Given(..), Err(obstacles)) => panic!("blocked by {obstacles:#?}"),
        (Comes::Blocked(wanted), Ok(_)) => panic!("not blocked, and {wanted:?} should be in the way"),
    }
}

#[test]
fn every_instance_comes_to_what_the_table_says() {
    let mut wrong = Vec::new();
    let all = all();
    assert!(all.len() >= 45, "{} instances", all.len());
    for instance in &all {
        assert!(!instance.tries.is_empty(), "{}", instance.name);
        for one in &instance.tries {
            let failed = catch_unwind(AssertUnwindSafe(|| check(instance, one))).is_err();
            if failed {
                wrong.push(format!("{}, {} {}", instance.name, one.mode, one.asked));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_two_instances_have_one_name() {
    let mut names: Vec<&str> = all().iter().map(|instance| instance.name).collect();
    let many = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), many);
}
