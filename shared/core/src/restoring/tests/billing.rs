//! Windows, Red Hat and marketplace software.

use super::super::Mode::{Clone, Destructive, Image, NonDestructive, Rehearsal};
use super::super::boot::BootWay;
use super::super::scene::{coded, resource};
use super::super::step::{Part, Step};
use super::super::surroundings::ImageFacts;
use super::table::{
    Instance, as_told, donated, imaged, isolated, launched, nothing, plain, plain_but, rehearsed, volume,
};
use crate::configuration::{InstanceConfiguration, ProductCode};
use serde_json::{Value, json};

const OWN: &str = "ami-0123456789abcdef0";
const OTHER: &str = "ami-0aaaaaaaaaaaaaaaa";
const ROOT: [&str; 3] = ["root_device_name", "volumes./dev/xvda", "volumes./dev/sda1"];

fn windows() -> InstanceConfiguration {
    InstanceConfiguration {
        product_codes: Vec::new(),
        disable_api_termination: Some(false),
        licenses: Vec::new(),
        root_device_name: Some("/dev/sda1".to_owned()),
        volumes: plain()
            .volumes
            .into_iter()
            .map(|mut volume| {
                if volume.is_boot {
                    "/dev/sda1".clone_into(&mut volume.device);
                }
                volume
            })
            .collect(),
        ..coded()
    }
}

fn from_other() -> Value {
    json!({"overrides": {"image_id": OTHER}})
}

fn with_other(instance: Instance, change: impl FnOnce(&mut ImageFacts)) -> Instance {
    instance.around(|around| {
        let mut facts = around.images[OWN].clone();
        change(&mut facts);
        around.images.insert(OTHER.to_owned(), facts);
    })
}

/// The ways of a replaced one, with the image made of the original while it rests.
fn of_original() -> Vec<Step> {
    let mut steps = vec![Step::StopOriginal, Step::ObtainImage];
    for part in [Part::Candidate, Part::Final] {
        steps.extend([
            Step::Launch(part),
            Step::ExchangeBootVolume(part),
            Step::Prove(part),
        ]);
        if part == Part::Candidate {
            steps.push(Step::ReleaseOriginal);
        }
    }
    steps.extend([Step::Dress, Step::RemoveCandidate, Step::Settle, Step::Finish]);
    steps
}

pub(super) fn instances() -> Vec<Instance> {
    let mut all = platforms();
    all.extend(images());
    all
}

fn platforms() -> Vec<Instance> {
    let same: &[&str] = &["an image of this region that carries the same billing"];
    let imaged_from_donor = vec![
        Step::Launch(Part::Candidate),
        Step::ExchangeBootVolume(Part::Candidate),
        Step::MakeImage,
        Step::RemoveCandidate,
        Step::Finish,
    ];
    let rhel = || {
        plain_but(|captured| {
            captured.usage_operation = Some("RunInstances:0010".to_owned());
            captured.platform_details = Some("Red Hat Enterprise Linux".to_owned());
        })
    };
    vec![
        Instance::new("Windows with its own image there", windows())
            .given(Clone, nothing(), donated(), &[], |blueprint| {
                assert!(matches!(&blueprint.way, Some(BootWay::Donor { image_id, .. }) if image_id == OWN));
            })
            .given(Image, nothing(), imaged_from_donor, &[], |blueprint| {
                assert_eq!(blueprint.target.key_name, None);
                assert_eq!(blueprint.target.interfaces.len(), 1);
            }),
        Instance::new("Windows with its image gone and the original there", windows())
            .around(|around| around.images.clear())
            .given(
                Clone,
                nothing(),
                [vec![Step::ObtainImage], donated()].concat(),
                &[],
                |blueprint| {
                    assert_eq!(blueprint.way, Some(BootWay::OfOriginal));
                    assert!(blueprint.original.is_none());
                },
            )
            .given(Destructive, nothing(), of_original(), &[], |blueprint| {
                assert_eq!(blueprint.cut_over, Some(5));
            }),
        Instance::gone("Windows with both gone", windows())
            .around(|around| around.images.clear())
            .blocked(Clone, nothing(), &[("overrides.image_id", same)])
            .blocked(NonDestructive, nothing(), &[("overrides.image_id", same)])
            .blocked(Image, nothing(), &[("overrides.image_id", same)]),
        Instance::new("Windows in a replica, with its image elsewhere", windows())
            .held(|held| held.is_replica = true)
            .around(|around| around.images.clear())
            .blocked(Clone, nothing(), &[("overrides.image_id", same)]),
        Instance::new("Red Hat without a product code", rhel())
            .given(Clone, nothing(), donated(), &ROOT, as_told)
            .given(
                Rehearsal,
                isolated(),
                {
                    let mut steps = rehearsed();
                    steps[0] = Step::Launch(Part::Final);
                    steps[1] = Step::ExchangeBootVolume(Part::Final);
                    steps
                },
                &[
                    "placement.availability_zone",
                    "root_device_name",
                    "volumes./dev/xvda",
                    "volumes./dev/sda1",
                    "interfaces.0.security_groups",
                    "interfaces.0.subnet_id",
                    "interfaces.1.security_groups",
                    "interfaces.1.subnet_id",
                ],
                as_told,
            ),
        Instance::gone("Red Hat with its image deregistered", rhel())
            .around(|around| around.images.get_mut(OWN).unwrap().available = false)
            .blocked(Clone, nothing(), &[("overrides.image_id", same)]),
    ]
}

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
fn images() -> Vec<Instance> {
    let carrying: &[&str] = &["an image that carries it"];
    let marketplace = || {
        plain_but(|captured| {
            captured.product_codes = vec![ProductCode {
                id: "abc123".to_owned(),
                kind: Some("marketplace".to_owned()),
            }];
        })
    };
    vec![
        Instance::new("a marketplace code", marketplace()).given(
            Clone,
            nothing(),
            donated(),
            &ROOT,
            |blueprint| {
                let words = blueprint.way_in_words.as_ref().unwrap();
                assert!(words.contains("abc123"), "{words}");
            },
        ),
        with_other(
            Instance::gone("a marketplace code that the named image lacks", marketplace()),
            |facts| {
                facts.product_codes.clear();
            },
        )
        .blocked(Clone, from_other(), &[("overrides.image_id", carrying)])
        .given(Clone, nothing(), donated(), &ROOT, as_told),
        with_other(
            Instance::gone("Windows of which no usage operation is known", {
                InstanceConfiguration {
                    usage_operation: None,
                    ..windows()
                }
            }),
            |facts| facts.usage_operation = Some("RunInstances".to_owned()),
        )
        .blocked(Clone, from_other(), &[("overrides.image_id", carrying)]),
        with_other(
            Instance::new("an image with its boot volume at another device", windows()),
            |facts| {
                facts.root_device_name = Some("/dev/xvda".to_owned());
            },
        )
        .given(
            Clone,
            from_other(),
            donated(),
            &["root_device_name", "volumes./dev/sda1", "volumes./dev/xvda"],
            |blueprint| {
                assert!(volume(&blueprint.target, "/dev/xvda").is_boot);
                let boot = blueprint.volumes.iter().find(|order| order.is_boot).unwrap();
                assert_eq!(boot.device, "/dev/xvda");
            },
        ),
        with_other(
            Instance::new("an image with its boot volume where a data volume is", windows()),
            |facts| {
                facts.root_device_name = Some("/dev/sdf".to_owned());
            },
        )
        .blocked(
            Clone,
            from_other(),
            &[(
                "overrides.image_id",
                &["an image whose boot volume is at /dev/sda1"],
            )],
        ),
        Instance::new("an image that is not there", plain()).blocked(
            Clone,
            from_other(),
            &[(
                "overrides.image_id",
                &["an image of this region that carries the same billing"],
            )],
        ),
        Instance::new("an image of what has no billing codes", plain())
            .given(
                Image,
                json!({"overrides": {"tags": {"for": "golden"}}}),
                imaged(),
                &["tags.for"],
                |blueprint| {
                    assert_eq!(blueprint.target.tags["for"], "golden");
                },
            )
            .blocked(
                Image,
                json!({"overrides": {"subnet_id": "subnet-b"}}),
                &[("overrides.subnet_id", &["nothing"])],
            )
            .blocked(
                Image,
                json!({"image": {"name": "taken"}, "resources": [resource()]}),
                &[("image.name", &["another name"])],
            )
            .given(Clone, nothing(), launched(), &[], as_told),
        Instance::gone("an image of Windows whose subnet is gone", windows())
            .around(|around| {
                around.subnets.remove("subnet-a");
            })
            .blocked(
                Image,
                nothing(),
                &[("overrides.subnet_id", &["subnet-a2", "subnet-b"])],
            )
            .given(
                Image,
                json!({"overrides": {"subnet_id": "subnet-b"}}),
                vec![
                    Step::Launch(Part::Candidate),
                    Step::ExchangeBootVolume(Part::Candidate),
                    Step::MakeImage,
                    Step::RemoveCandidate,
                    Step::Finish,
                ],
                &[],
                as_told,
            ),
    ]
}
