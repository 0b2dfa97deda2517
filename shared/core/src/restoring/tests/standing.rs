//! What the instance is and was: protections, states, type, placement, tags.

use super::super::Mode::{Clone, Destructive, InPlace, NonDestructive, Volumes};
use super::super::step::Step;
use super::table::{
    Instance, as_told, beside, launched, made, nothing, plain, plain_but, replaced, root_replaced, swapped,
    took_the_place,
};
use crate::configuration::{InstanceConfiguration, Tags};
use serde_json::{Value, json};

const SPOT: &[&str] = &["clone", "non_destructive", "volumes"];

const PROFILE: &str = "arn:aws:iam::111122223333:instance-profile/shop";

const UNUSABLE_PROFILE: (&str, &[&str]) = (
    "overrides.iam_instance_profile_arn",
    &["an instance profile of this account", "\"\" for none"],
);

/// It boots by either mode, and has what only some types have.
fn bound_to_its_type() -> InstanceConfiguration {
    plain_but(|captured| {
        captured.boot_mode = Some("uefi-preferred".to_owned());
        captured.tpm_support = None;
        captured.enclave_enabled = Some(true);
        captured.hibernation_configured = Some(true);
        captured.bandwidth_weighting = Some("vpc-1".to_owned());
    })
}

fn lifted() -> Value {
    json!({"overrides": {"lift_protection": true}})
}

pub(super) fn instances() -> Vec<Instance> {
    let mut all = protected();
    all.extend(states());
    all.extend(kinds());
    all.extend(places());
    all.extend(lost_places());
    all.extend(labels());
    all
}

fn protected() -> Vec<Instance> {
    let lift: (&str, &[&str]) = ("overrides.lift_protection", &["true"]);
    vec![
        Instance::new(
            "protected from being terminated",
            plain_but(|captured| captured.disable_api_termination = Some(true)),
        )
        .blocked(Destructive, nothing(), &[lift])
        .given(Destructive, lifted(), replaced(), &[], |blueprint| {
            assert!(blueprint.original.as_ref().unwrap().termination_protection);
            assert_eq!(blueprint.target.disable_api_termination, Some(true));
        })
        .given(InPlace, nothing(), swapped(), &[], as_told)
        .given(Clone, nothing(), launched(), &[], as_told),
        Instance::new(
            "protected from being stopped",
            plain_but(|captured| captured.disable_api_stop = Some(true)),
        )
        .blocked(Destructive, nothing(), &[lift])
        .blocked(InPlace, nothing(), &[lift])
        .given(InPlace, lifted(), swapped(), &[], |blueprint| {
            assert!(blueprint.original.as_ref().unwrap().stop_protection);
        })
        .given(
            InPlace,
            json!({"volumes": {"devices": ["/dev/xvda"]}}),
            root_replaced(),
            &[],
            as_told,
        )
        .blocked(
            InPlace,
            json!({"volumes": {"devices": ["/dev/xvda"]}, "proof": {}}),
            &[lift],
        ),
        Instance::new("protected from being stopped since", plain())
            .now(|now| now.disable_api_stop = Some(true))
            .blocked(Destructive, nothing(), &[lift])
            .given(Destructive, lifted(), replaced(), &[], |blueprint| {
                assert_eq!(blueprint.target.disable_api_stop, Some(false));
            })
            .given(InPlace, lifted(), swapped(), &["disable_api_stop"], as_told),
        Instance::new(
            "a member of an Auto Scaling group",
            plain_but(|captured| {
                captured
                    .tags
                    .insert("aws:autoscaling:groupName".to_owned(), "web".to_owned());
            }),
        )
        .blocked(Destructive, nothing(), &[("mode", SPOT)])
        .blocked(InPlace, nothing(), &[("mode", SPOT)])
        .given(
            InPlace,
            json!({"volumes": {"devices": ["/dev/xvda"]}}),
            root_replaced(),
            &[],
            as_told,
        )
        .given(
            Clone,
            nothing(),
            launched(),
            &["tags.aws:autoscaling:groupName"],
            as_told,
        ),
    ]
}

fn states() -> Vec<Instance> {
    vec![
        Instance::new(
            "stopped when it was captured",
            plain_but(|captured| captured.state = Some("stopped".to_owned())),
        )
        .now(|now| now.state = Some("running".to_owned()))
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            assert_eq!(blueprint.target.state.as_deref(), Some("stopped"));
        })
        .given(InPlace, nothing(), swapped(), &[], |blueprint| {
            assert!(blueprint.original.as_ref().unwrap().was_running);
        }),
        Instance::new("stopped now", plain())
            .now(|now| {
                now.state = Some("stopped".to_owned());
                now.instance_store
                    .insert("/dev/sdb".to_owned(), "ephemeral0".to_owned());
                now.disable_api_stop = Some(true);
            })
            // What is stopped is not stopped, and has nothing to lose by it.
            .given(
                InPlace,
                nothing(),
                swapped(),
                &["disable_api_stop", "instance_store./dev/sdb"],
                |blueprint| {
                    assert!(!blueprint.original.as_ref().unwrap().was_running);
                },
            )
            .given(
                InPlace,
                json!({"volumes": {"devices": ["/dev/xvda"]}}),
                swapped(),
                &["disable_api_stop", "instance_store./dev/sdb"],
                as_told,
            ),
        Instance::gone("gone", plain())
            .given(Destructive, nothing(), took_the_place(), &[], |blueprint| {
                assert_eq!(
                    blueprint.target.interfaces[0].private_addresses[0].address,
                    "10.0.1.10"
                );
                assert!(blueprint.original.is_none());
            })
            .given(NonDestructive, nothing(), launched(), &[], as_told)
            .blocked(
                InPlace,
                nothing(),
                &[("mode", &["destructive", "non_destructive", "clone", "volumes"])],
            ),
        Instance::new("a backup without a configuration", plain())
            .held(|held| held.backup.configuration = None)
            .blocked(Clone, nothing(), &[("resources", &["another recovery point"])])
            .blocked(Volumes, nothing(), &[("resources", &["another recovery point"])]),
        Instance::new(
            "a spot instance",
            plain_but(|captured| captured.lifecycle = Some("spot".to_owned())),
        )
        .given(Clone, nothing(), launched(), &["lifecycle"], |blueprint| {
            assert_eq!(blueprint.target.lifecycle, None);
        })
        .blocked(Destructive, nothing(), &[("mode", SPOT)])
        .blocked(InPlace, nothing(), &[("mode", SPOT)])
        .given(Volumes, nothing(), made(), &[], as_told),
    ]
}

fn kinds() -> Vec<Instance> {
    let of = |kind: &str| json!({"overrides": {"instance_type": kind}});
    let offered: &[&str] = &["a type that is offered in this region"];
    vec![
        Instance::new("of another type since", plain())
            .now(|now| now.instance_type = Some("t3.micro".to_owned()))
            .given(InPlace, nothing(), swapped(), &["instance_type"], |blueprint| {
                let told = &blueprint.announced[0];
                assert!(
                    told.why.as_ref().unwrap().contains("restores volumes only"),
                    "{told}"
                );
                assert_eq!(blueprint.target.instance_type.as_deref(), Some("t3.micro"));
            })
            .given(Destructive, nothing(), replaced(), &[], |blueprint| {
                assert_eq!(blueprint.target.instance_type.as_deref(), Some("m5.large"));
            }),
        Instance::new("of a type that is no longer offered", plain())
            .around(|around| {
                around.instance_types.remove("m5.large");
            })
            .blocked(Clone, nothing(), &[("overrides.instance_type", offered)])
            .blocked(Destructive, nothing(), &[("overrides.instance_type", offered)])
            .given(Clone, of("t3.micro"), launched(), &["instance_type"], as_told),
        Instance::new("for x86 on a type for Arm", plain()).blocked(
            Clone,
            of("m6g.large"),
            &[("overrides.instance_type", &["a type that runs x86_64"])],
        ),
        Instance::new(
            "for Arm on a type for x86",
            plain_but(|captured| {
                captured.architecture = Some("arm64".to_owned());
                captured.instance_type = Some("m6g.large".to_owned());
            }),
        )
        .given(Clone, nothing(), launched(), &[], as_told)
        .blocked(
            Clone,
            of("m5.large"),
            &[("overrides.instance_type", &["a type that runs arm64"])],
        ),
        Instance::new("with more interfaces than the type takes", plain())
            .around(|around| around.instance_types.get_mut("t3.micro").unwrap().most_interfaces = Some(1))
            .blocked(
                Clone,
                of("t3.micro"),
                &[("overrides.interfaces", &["primary_only"])],
            )
            .given(
                Clone,
                json!({"overrides": {"instance_type": "t3.micro", "interfaces": "primary_only"}}),
                launched(),
                &["instance_type", "interfaces.1"],
                as_told,
            )
            // A destructive recovery keeps every interface, so another type it must be.
            .blocked(
                Destructive,
                of("t3.micro"),
                &[("overrides.instance_type", &["a type that takes 2 interfaces"])],
            ),
        Instance::new(
            "with processor options of its own",
            plain_but(|captured| captured.cpu.threads_per_core = Some(1)),
        )
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            assert!(blueprint.sets_cpu_options);
        })
        .given(
            Clone,
            of("t3.micro"),
            launched(),
            &["cpu.threads_per_core", "instance_type"],
            |blueprint| {
                assert!(!blueprint.sets_cpu_options);
            },
        ),
    ]
}

fn places() -> Vec<Instance> {
    let default = || json!({"overrides": {"placement": "default"}});
    vec![
        Instance::new(
            "on a dedicated host",
            plain_but(|captured| {
                captured.placement.tenancy = Some("host".to_owned());
                captured.placement.host_id = Some("h-1".to_owned());
                captured.placement.affinity = Some("host".to_owned());
            }),
        )
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            assert_eq!(blueprint.target.placement.host_id.as_deref(), Some("h-1"));
        })
        .given(
            Destructive,
            default(),
            replaced(),
            &["placement.affinity", "placement.host_id", "placement.tenancy"],
            |blueprint| {
                assert_eq!(
                    blueprint.target.placement.availability_zone.as_deref(),
                    Some("eu-west-1a")
                );
            },
        )
        .blocked(
            Clone,
            json!({"overrides": {"subnet_id": "subnet-b", "interfaces": "primary_only"}}),
            &[("overrides.placement", &["default"])],
        ),
        Instance::new(
            "in a placement group",
            plain_but(|captured| {
                captured.placement.group_name = Some("near".to_owned());
                captured.placement.partition_number = Some(2);
            }),
        )
        .given(NonDestructive, beside(), launched(), &[], as_told)
        .given(
            Clone,
            default(),
            launched(),
            &["placement.group_name", "placement.partition_number"],
            as_told,
        ),
        Instance::new(
            "in a capacity reservation",
            plain_but(|captured| {
                captured.capacity_reservation.preference = None;
                captured.capacity_reservation.reservation_id = Some("cr-1".to_owned());
            }),
        )
        .given(Clone, nothing(), launched(), &[], as_told)
        .given(
            Clone,
            default(),
            launched(),
            &[
                "capacity_reservation.preference",
                "capacity_reservation.reservation_id",
            ],
            |blueprint| assert_eq!(blueprint.target.capacity_reservation.reservation_id, None),
        ),
    ]
}

/// What an instance stood in, and is gone or elsewhere.
fn lost_places() -> Vec<Instance> {
    let gone: [(&str, &[&str]); 3] = [("overrides.placement", &["default"]); 3];
    vec![
        Instance::new(
            "in a group, on a host and in a reservation that are gone",
            plain_but(|captured| {
                captured.placement.group_name = Some("near".to_owned());
                captured.placement.host_id = Some("h-1".to_owned());
                captured.capacity_reservation.reservation_id = Some("cr-1".to_owned());
            }),
        )
        .around(|around| around.places.clear())
        .blocked(Clone, nothing(), &gone)
        .blocked(Destructive, nothing(), &gone)
        .given(
            Clone,
            json!({"overrides": {"placement": "default"}}),
            launched(),
            &[
                "capacity_reservation.reservation_id",
                "placement.group_name",
                "placement.host_id",
            ],
            as_told,
        ),
        Instance::new("of a type that one zone does not have", plain())
            .around(|around| {
                let facts = around.instance_types.get_mut("m5.large").unwrap();
                facts.zones.remove("eu-west-1b");
            })
            .given(Clone, nothing(), launched(), &[], as_told)
            .blocked(
                Clone,
                json!({"overrides": {"subnet_id": "subnet-b", "interfaces": "primary_only"}}),
                &[(
                    "overrides.instance_type",
                    &["a type that is offered in eu-west-1b"],
                )],
            ),
        Instance::new("on an Outpost, whose types its zone does not have", plain())
            .around(|around| {
                let facts = around.instance_types.get_mut("m5.large").unwrap();
                facts.zones.clear();
                around.subnets.get_mut("subnet-a").unwrap().on_outpost = true;
            })
            .given(Clone, nothing(), launched(), &[], as_told),
    ]
}

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
fn labels() -> Vec<Instance> {
    let full = |captured: &mut crate::configuration::InstanceConfiguration| {
        captured.tags = (0..49)
            .map(|n| (format!("key{n:02}"), "value".to_owned()))
            .collect::<Tags>();
        captured
            .tags
            .insert("aws:cloudformation:stack-name".to_owned(), "shop".to_owned());
    };
    vec![
        Instance::new("fifty tags, one of them AWS's", plain_but(full))
            .given(
                Clone,
                nothing(),
                launched(),
                &["tags.aws:cloudformation:stack-name"],
                as_told,
            )
            .given(
                Destructive,
                nothing(),
                replaced(),
                &["tags.aws:cloudformation:stack-name"],
                as_told,
            )
            .given(
                Clone,
                json!({"overrides": {"tags": {"why": "drill"}}}),
                launched(),
                &[
                    "tags.why",
                    "volumes./dev/sdf.tags.why",
                    "volumes./dev/sdh.tags.why",
                    "volumes./dev/xvda.tags.why",
                    "tags.aws:cloudformation:stack-name",
                ],
                |blueprint| assert_eq!(blueprint.target.tags.len(), 51),
            ),
        Instance::new("a name of its own", plain()).given(
            Clone,
            json!({"overrides": {"name": "shop (copy)"}}),
            launched(),
            &["tags.Name"],
            |blueprint| {
                assert_eq!(blueprint.target.tags["Name"], "shop (copy)");
                assert_eq!(blueprint.target.volumes[0].tags["Name"], "/dev/sdf");
            },
        ),
        Instance::new("with no key pair, profile and user data wanted", plain()).given(
            Clone,
            json!({"overrides": {"key_name": "", "iam_instance_profile_arn": "", "without_user_data": true}}),
            launched(),
            &["iam_instance_profile_arn", "key_name", "user_data"],
            as_told,
        ),
        Instance::new("whose key pair was deleted", plain())
            .around(|around| {
                around.key_pairs.remove("ops");
            })
            .blocked(
                Clone,
                nothing(),
                &[(
                    "overrides.key_name",
                    &["a key pair of this region", "\"\" for none"],
                )],
            )
            .given(
                Destructive,
                json!({"overrides": {"key_name": "other"}}),
                replaced(),
                &["key_name"],
                as_told,
            )
            .given(InPlace, nothing(), swapped(), &[], as_told),
        Instance::new("whose instance profile was deleted", plain())
            .around(|around| {
                let problem = format!("there is no instance profile {PROFILE}");
                around.unusable_profiles.insert(PROFILE.to_owned(), problem);
            })
            .blocked(Clone, nothing(), &[UNUSABLE_PROFILE])
            .blocked(Destructive, nothing(), &[UNUSABLE_PROFILE])
            .blocked(
                Clone,
                json!({"overrides": {"iam_instance_profile_arn": PROFILE}}),
                &[UNUSABLE_PROFILE],
            )
            .given(
                Clone,
                json!({"overrides": {"iam_instance_profile_arn": ""}}),
                launched(),
                &["iam_instance_profile_arn"],
                as_told,
            )
            .given(InPlace, nothing(), swapped(), &[], as_told),
        Instance::new("that another type cannot boot", plain()).blocked(
            Clone,
            json!({"overrides": {"instance_type": "m4.large"}}),
            &[
                ("overrides.instance_type", &["a type that boots by uefi"]),
                ("overrides.instance_type", &["a type with a TPM"]),
            ],
        ),
        Instance::new(
            "with settings that another type does not take",
            bound_to_its_type(),
        )
        .given(Clone, nothing(), launched(), &[], as_told)
        .given(
            Clone,
            json!({"overrides": {"instance_type": "m4.large"}}),
            launched(),
            &[
                "bandwidth_weighting",
                "cpu_credits",
                "ebs_optimized",
                "enclave_enabled",
                "hibernation_configured",
                "instance_type",
            ],
            |blueprint| {
                let target = &blueprint.target;
                assert_eq!(target.bandwidth_weighting.as_deref(), Some("default"));
                assert_eq!(target.ebs_optimized, Some(false));
                assert_eq!(target.enclave_enabled, Some(false));
                assert_eq!(target.hibernation_configured, Some(false));
            },
        )
        .given(
            Destructive,
            json!({"overrides": {"instance_type": "t3.micro"}}),
            replaced(),
            &["instance_type"],
            as_told,
        ),
        Instance::new("with what is said of it alone", plain()).given(
            Clone,
            json!({
                "overrides": {
                    "instance_type": "m6g.large",
                    "name": "of all",
                    "kms_key_id": "arn:of-all",
                    "volumes": {"/dev/sdf": {"size_gib": 20, "volume_type": "gp2"}},
                },
                "overrides_by_resource": {"i-0123456789abcdef0": {
                    "instance_type": "t3.micro",
                    "tags": {"Name": "its own"},
                    "kms_key_id": super::super::scene::KEY,
                    "volumes": {"/dev/sdf": {"volume_type": "io2", "iops": 4000}},
                }},
            }),
            launched(),
            &[
                "instance_type",
                "tags.Name",
                "volumes./dev/sdf.iops",
                "volumes./dev/sdf.size_gib",
                "volumes./dev/sdf.throughput",
                "volumes./dev/sdf.volume_type",
            ],
            |blueprint| {
                assert_eq!(blueprint.target.instance_type.as_deref(), Some("t3.micro"));
                assert_eq!(blueprint.target.tags["Name"], "its own");
                assert!(blueprint.volumes.iter().all(|order| order.rekey.is_none()));
                let sdf = super::table::volume(&blueprint.target, "/dev/sdf");
                assert_eq!(
                    (sdf.size_gib, sdf.volume_type.as_deref(), sdf.iops),
                    (Some(20), Some("io2"), Some(4000))
                );
            },
        ),
        Instance::new("proved by a command", plain()).given(
            Clone,
            json!({"proof": {"ssm": {"document": "AWS-RunShellScript"}}}),
            {
                let mut steps = launched();
                steps.insert(2, Step::Prove(super::super::step::Part::Final));
                steps
            },
            &[],
            as_told,
        ),
    ]
}
