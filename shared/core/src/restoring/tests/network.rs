//! Interfaces, subnets, groups and addresses.

use super::super::Mode::{Clone, Destructive, InPlace, NonDestructive, Rehearsal};
use super::super::blueprint::Blueprint;
use super::super::scene::resource;
use super::super::surroundings::{Holder, InterfaceFacts};
use super::table::{
    ISOLATED, Instance, as_told, beside, isolated, launched, nothing, plain, plain_but, rehearsed, replaced,
    swapped, took_the_place,
};
use crate::configuration::{InstanceConfiguration, InterfaceConfiguration, PrivateAddress};
use crate::ids::InstanceId;
use serde_json::{Value, json};

const AS_NON_DESTRUCTIVE: &[&str] = &["non_destructive, with overrides.private_address"];
const EVERY_INTERFACE: &[&str] = &["primary_only", "all, with subnet_id: every interface goes there"];

fn stranger() -> Holder {
    Holder {
        interface_id: Some("eni-stranger".to_owned()),
        instance_id: Some(InstanceId::try_from("i-00000000000000009").unwrap()),
    }
}

fn place(address: &str) -> (String, String) {
    ("subnet-a".to_owned(), address.to_owned())
}

fn automatic() -> Value {
    json!({"overrides": {"private_address": "automatic"}})
}

fn told(blueprint: &Blueprint) -> Vec<&str> {
    blueprint
        .announced
        .iter()
        .map(|told| told.field.as_str())
        .collect()
}

/// The elastic address on the second address of the first interface.
fn on_second(captured: &mut InstanceConfiguration) {
    let addresses = &mut captured.interfaces[0].private_addresses;
    addresses[1].allocation_id = addresses[0].allocation_id.take();
    addresses[1].public_ip = addresses[0].public_ip.take();
}

pub(super) fn instances() -> Vec<Instance> {
    let mut all = several();
    all.extend(elastic());
    all.extend(lent());
    all.extend(private());
    all.extend(kept());
    all.extend(changed_since());
    all.extend(deleted());
    all.extend(isolation());
    all
}

fn several() -> Vec<Instance> {
    vec![
        Instance::gone(
            "three interfaces with several addresses each",
            plain_but(|captured| {
                let address = |address: &str, primary: bool| PrivateAddress {
                    address: address.to_owned(),
                    primary,
                    ..PrivateAddress::default()
                };
                captured.interfaces[1]
                    .private_addresses
                    .push(address("10.0.2.11", false));
                captured.interfaces.push(InterfaceConfiguration {
                    network_interface_id: "eni-third".to_owned(),
                    device_index: Some(2),
                    private_addresses: vec![address("10.0.2.20", true), address("10.0.2.21", false)],
                    ..captured.interfaces[1].clone()
                });
            }),
        )
        .given(NonDestructive, nothing(), launched(), &[], |blueprint| {
            assert_eq!(told(blueprint), ["image_id"]);
            assert_eq!(
                blueprint.target.interfaces[2].private_addresses[1].address,
                "10.0.2.21"
            );
        })
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            let counts = blueprint
                .target
                .interfaces
                .iter()
                .map(|interface| interface.private_addresses.len());
            assert_eq!(counts.collect::<Vec<_>>(), [2, 2, 2]);
            assert!(told(blueprint).contains(&"interfaces.2.private_addresses"));
        })
        .given(
            Clone,
            json!({"overrides": {"interfaces": "primary_only"}}),
            launched(),
            &["interfaces.1", "interfaces.2"],
            as_told,
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
fn elastic() -> Vec<Instance> {
    let third = |instance: Instance| {
        instance.around(|around| {
            around.elastic_ips.insert("eipalloc-1".to_owned(), stranger());
        })
    };
    vec![
        Instance::new("an elastic address on the primary address", plain())
            .blocked(
                NonDestructive,
                automatic(),
                &[("overrides.elastic_ips", &["take", "leave"])],
            )
            .given(
                NonDestructive,
                json!({"overrides": {"private_address": "automatic", "elastic_ips": "take"}}),
                launched(),
                &[],
                |blueprint| {
                    let primary = &blueprint.target.interfaces[0].private_addresses[0];
                    assert_eq!(primary.allocation_id.as_deref(), Some("eipalloc-1"));
                },
            )
            .given(Clone, nothing(), launched(), &[], |blueprint| {
                assert!(told(blueprint).contains(&"interfaces.0.elastic_ips"));
            })
            .given(Destructive, nothing(), replaced(), &[], |blueprint| {
                assert!(!told(blueprint).contains(&"interfaces.0.elastic_ips"));
            }),
        Instance::new("an elastic address on a second address", plain_but(on_second)).given(
            Destructive,
            nothing(),
            replaced(),
            &[],
            |blueprint| {
                let addresses = &blueprint.target.interfaces[0].private_addresses;
                assert_eq!(addresses[1].allocation_id.as_deref(), Some("eipalloc-1"));
                assert_eq!(addresses[0].allocation_id, None);
            },
        ),
        Instance::new(
            "an elastic address that was on a second address and is on the primary one now",
            plain_but(on_second),
        )
        .now(|now| *now = plain())
        .given(Destructive, nothing(), replaced(), &[], |blueprint| {
            let addresses = &blueprint.target.interfaces[0].private_addresses;
            assert_eq!(addresses[1].allocation_id.as_deref(), Some("eipalloc-1"));
            assert_eq!(addresses[0].allocation_id, None);
            assert!(!told(blueprint).contains(&"interfaces.0.elastic_ips"));
        })
        .given(InPlace, nothing(), swapped(), &[], |blueprint| {
            assert!(told(blueprint).contains(&"interfaces.0.elastic_ips"));
        }),
        Instance::new(
            "an elastic address that the original got since",
            plain_but(|captured| {
                captured.interfaces[0].private_addresses[0].allocation_id = None;
                captured.interfaces[0].private_addresses[0].public_ip = None;
            }),
        )
        .now(|now| *now = plain())
        .given(Destructive, nothing(), replaced(), &[], |blueprint| {
            assert_eq!(told(blueprint), ["interfaces.0.elastic_ips", "image_id"]);
        }),
        Instance::gone("an elastic address that was released", plain())
            .around(|around| around.elastic_ips.clear())
            .blocked(
                NonDestructive,
                nothing(),
                &[("overrides.elastic_ips", &["leave"])],
            )
            .blocked(
                NonDestructive,
                json!({"overrides": {"elastic_ips": "take"}}),
                &[("overrides.elastic_ips", &["leave"])],
            )
            .blocked(Destructive, nothing(), &[("overrides.elastic_ips", &["leave"])])
            .given(
                NonDestructive,
                json!({"overrides": {"elastic_ips": "leave"}}),
                launched(),
                &[],
                as_told,
            ),
        third(Instance::gone(
            "an elastic address that a third instance has",
            plain(),
        ))
        .blocked(
            NonDestructive,
            nothing(),
            &[("overrides.elastic_ips", &["take", "leave"])],
        )
        .blocked(
            Destructive,
            nothing(),
            &[("overrides.elastic_ips", &["take", "leave"])],
        )
        .given(
            Clone,
            json!({"overrides": {"elastic_ips": "take"}}),
            launched(),
            &[],
            as_told,
        ),
    ]
}

fn lent() -> Vec<Instance> {
    let no_elastic = |captured: &mut InstanceConfiguration| {
        captured.interfaces.truncate(1);
        captured.interfaces[0].private_addresses[0].allocation_id = None;
    };
    vec![
        Instance::new(
            "no public address",
            plain_but(|captured| {
                no_elastic(captured);
                captured.interfaces[0].private_addresses[0].public_ip = None;
                captured.public_ip_address = None;
            }),
        )
        .given(NonDestructive, automatic(), launched(), &[], as_told)
        .given(Destructive, nothing(), replaced(), &[], |blueprint| {
            assert_eq!(told(blueprint), ["image_id"]);
        }),
        Instance::new("a public address that AWS lent", plain_but(no_elastic))
            .given(Clone, nothing(), launched(), &["public_ip_address"], as_told)
            .given(
                Destructive,
                nothing(),
                replaced(),
                &["public_ip_address"],
                as_told,
            )
            .given(InPlace, nothing(), swapped(), &["public_ip_address"], as_told),
    ]
}

fn private() -> Vec<Instance> {
    let choices: &[&str] = &["automatic", "a free address of subnet-a"];
    vec![
        Instance::gone("a private address that a stranger has", plain())
            .around(|around| {
                around.taken_addresses.insert(place("10.0.1.10"), stranger());
            })
            .blocked(
                NonDestructive,
                nothing(),
                &[("overrides.private_address", choices)],
            )
            .blocked(Destructive, nothing(), &[("mode", AS_NON_DESTRUCTIVE)])
            .given(NonDestructive, automatic(), launched(), &[], |blueprint| {
                assert_eq!(blueprint.target.interfaces[0].private_addresses[0].address, "");
            })
            .blocked(
                NonDestructive,
                json!({"overrides": {"private_address": "10.0.1.10"}}),
                &[("overrides.private_address", &["automatic"])],
            ),
        Instance::new("private addresses that the original has", plain())
            .blocked(
                NonDestructive,
                json!({"overrides": {"elastic_ips": "leave"}}),
                &[
                    ("overrides.private_address", choices),
                    ("overrides.private_address", choices),
                    (
                        "overrides.private_address",
                        &["automatic", "a free address of subnet-a2"],
                    ),
                ],
            )
            .given(
                NonDestructive,
                json!({"overrides": {"elastic_ips": "leave", "private_address": "10.0.1.99"}}),
                launched(),
                &[],
                |blueprint| {
                    assert_eq!(
                        blueprint.target.interfaces[0].private_addresses[0].address,
                        "10.0.1.99"
                    );
                },
            )
            .blocked(
                Clone,
                json!({"overrides": {"private_address": "10.0.9.1"}}),
                &[("overrides.private_address", &["an address of subnet-a"])],
            ),
        Instance::new("a second address that a stranger took from the original", plain())
            .now(|now| {
                now.interfaces[0].private_addresses.pop();
                now.interfaces[0].security_groups = vec!["sg-quiet".to_owned()];
            })
            .around(|around| {
                around.taken_addresses.insert(place("10.0.1.11"), stranger());
            })
            // The interface comes over as it is by now, and that is told.
            .given(
                Destructive,
                nothing(),
                replaced(),
                &["interfaces.0.security_groups"],
                |blueprint| {
                    let changed = "changed since the backup; the interface comes over as it is";
                    let told = blueprint
                        .announced
                        .iter()
                        .find(|told| told.field == "interfaces.0.private_addresses");
                    assert_eq!(told.unwrap().why.as_deref(), Some(changed));
                    assert_eq!(blueprint.target.interfaces[0].private_addresses.len(), 1);
                },
            ),
    ]
}

/// The second captured interface is there, with an instance or free.
fn second(around: &mut super::Surroundings, instance_id: Option<InstanceId>) {
    let holder = Holder {
        interface_id: Some("eni-second".to_owned()),
        instance_id: instance_id.clone(),
    };
    around
        .taken_addresses
        .insert(("subnet-a2".to_owned(), "10.0.2.10".to_owned()), holder);
    let facts = InterfaceFacts {
        is_free: instance_id.is_none(),
        instance_id,
        now: plain().interfaces.remove(1),
    };
    around.interfaces.insert("eni-second".to_owned(), facts);
}

/// It is free, and by now it has another group, the captured one deleted, and the elastic address.
fn changed(around: &mut super::Surroundings) {
    second(around, None);
    around.security_groups.remove("sg-db");
    let now = &mut around.interfaces.get_mut("eni-second").unwrap().now;
    now.security_groups = vec!["sg-quiet".to_owned()];
    now.private_addresses[0].allocation_id = Some("eipalloc-1".to_owned());
    let holder = Holder {
        interface_id: Some("eni-second".to_owned()),
        instance_id: None,
    };
    around.elastic_ips.insert("eipalloc-1".to_owned(), holder);
}

/// The private addresses that get an elastic one.
fn elastic_on(blueprint: &Blueprint) -> Vec<&str> {
    let interfaces = blueprint.target.interfaces.iter();
    let addresses = interfaces.flat_map(|interface| &interface.private_addresses);
    addresses
        .filter(|private| private.allocation_id.is_some())
        .map(|private| private.address.as_str())
        .collect()
}

/// Captured interfaces that are still there.
fn kept() -> Vec<Instance> {
    vec![
        Instance::gone("a captured interface that is free", plain())
            .around(|around| second(around, None))
            .given(NonDestructive, nothing(), launched(), &[], |blueprint| {
                assert_eq!(blueprint.target.interfaces[1].network_interface_id, "eni-second");
                assert_eq!(blueprint.target.interfaces[0].network_interface_id, "");
            })
            .given(Destructive, nothing(), took_the_place(), &[], |blueprint| {
                assert_eq!(blueprint.target.interfaces[1].network_interface_id, "eni-second");
            })
            // An interface that is there keeps its groups, and EC2 takes no others for it.
            .blocked(
                NonDestructive,
                json!({"overrides": {"security_group_ids": ["sg-quiet"]}}),
                &[(
                    "overrides.private_address",
                    &["automatic", "a free address of subnet-a2"],
                )],
            ),
        Instance::gone("a captured interface that another instance has", plain())
            .around(|around| {
                second(around, stranger().instance_id);
            })
            .blocked(
                NonDestructive,
                nothing(),
                &[(
                    "overrides.private_address",
                    &["automatic", "a free address of subnet-a2"],
                )],
            )
            .blocked(
                Destructive,
                nothing(),
                &[("mode", AS_NON_DESTRUCTIVE), ("mode", AS_NON_DESTRUCTIVE)],
            ),
        Instance::new(
            "an interface that was detached from the original and is free",
            plain(),
        )
        .now(|now| {
            now.interfaces.pop();
        })
        .around(|around| second(around, None))
        .given(Destructive, nothing(), replaced(), &[], |blueprint| {
            assert_eq!(blueprint.target.interfaces[1].network_interface_id, "eni-second");
        })
        .given(InPlace, nothing(), swapped(), &["interfaces.1"], as_told),
        Instance::new("an interface that the original still has", plain())
            .around(|around| second(around, Some(resource())))
            .given(Destructive, nothing(), replaced(), &[], as_told),
    ]
}

/// Captured interfaces that have changed since the backup.
fn changed_since() -> Vec<Instance> {
    let with_leave = || json!({"overrides": {"elastic_ips": "leave"}});
    vec![
        Instance::gone(
            "a free interface that has other groups by now, the captured one deleted, and an elastic address",
            plain(),
        )
        .around(changed)
        .given(
            NonDestructive,
            nothing(),
            launched(),
            &["interfaces.1.security_groups"],
            |blueprint| {
                let second = &blueprint.target.interfaces[1];
                assert_eq!(second.network_interface_id, "eni-second");
                assert_eq!(second.security_groups, ["sg-quiet"]);
                // The elastic address goes back to where it was captured.
                assert_eq!(elastic_on(blueprint), ["10.0.1.10"]);
            },
        )
        .given(
            NonDestructive,
            with_leave(),
            launched(),
            &["interfaces.1.security_groups"],
            |blueprint| {
                assert_eq!(elastic_on(blueprint), ["10.0.2.10"]);
                assert!(told(blueprint).contains(&"interfaces.1.elastic_ips"));
            },
        )
        .given(
            Destructive,
            nothing(),
            took_the_place(),
            &["interfaces.1.security_groups"],
            as_told,
        ),
        Instance::new("an elastic address that went to the other interface", plain())
            .now(|now| {
                let (first, second) = now.interfaces.split_at_mut(1);
                let (from, to) = (
                    &mut first[0].private_addresses[0],
                    &mut second[0].private_addresses[0],
                );
                to.allocation_id = from.allocation_id.take();
                to.public_ip = from.public_ip.take();
            })
            .given(Destructive, nothing(), replaced(), &[], |blueprint| {
                assert_eq!(elastic_on(blueprint), ["10.0.1.10"]);
            })
            .given(Destructive, with_leave(), replaced(), &[], |blueprint| {
                assert_eq!(elastic_on(blueprint), ["10.0.2.10"]);
                assert!(told(blueprint).contains(&"interfaces.1.elastic_ips"));
            }),
    ]
}

fn deleted() -> Vec<Instance> {
    vec![
        Instance::gone("a deleted subnet", plain())
            .around(|around| {
                around.subnets.remove("subnet-a");
            })
            .blocked(
                NonDestructive,
                nothing(),
                &[("overrides.subnet_id", &["subnet-a2", "subnet-b"])],
            )
            .blocked(
                Destructive,
                nothing(),
                &[("mode", &["non_destructive, with overrides.subnet_id"])],
            )
            .blocked(
                NonDestructive,
                json!({"overrides": {"subnet_id": "subnet-b", "elastic_ips": "leave"}}),
                &[("overrides.interfaces", EVERY_INTERFACE)],
            )
            .given(
                NonDestructive,
                json!({"overrides": {"subnet_id": "subnet-b", "elastic_ips": "leave", "interfaces": "all"}}),
                launched(),
                &[
                    "placement.availability_zone",
                    "interfaces.0.subnet_id",
                    "interfaces.1.subnet_id",
                ],
                as_told,
            ),
        Instance::gone("a deleted subnet of the second interface", plain())
            .around(|around| {
                around.subnets.remove("subnet-a2");
            })
            .blocked(Clone, nothing(), &[("overrides.interfaces", EVERY_INTERFACE)])
            .given(
                Clone,
                json!({"overrides": {"interfaces": "primary_only"}}),
                launched(),
                &["interfaces.1"],
                as_told,
            ),
        Instance::new("a full subnet", plain())
            .around(|around| around.subnets.get_mut("subnet-a2").unwrap().free = 0)
            .blocked(Clone, nothing(), &[("overrides.interfaces", &["primary_only"])])
            // The candidate has addresses of its own, beside those of the original.
            .blocked(
                Destructive,
                nothing(),
                &[("mode", &["non_destructive, with overrides.interfaces"])],
            )
            .given(InPlace, nothing(), swapped(), &[], as_told),
        Instance::gone("a deleted security group", plain())
            .around(|around| {
                around.security_groups.remove("sg-web");
            })
            .blocked(
                Clone,
                nothing(),
                &[("overrides.security_group_ids", &["groups of the subnet's VPC"])],
            )
            .blocked(
                Destructive,
                nothing(),
                &[("mode", &["non_destructive, with overrides.security_group_ids"])],
            )
            .given(
                NonDestructive,
                json!({"overrides": {"security_group_ids": ["sg-quiet"]}}),
                launched(),
                &["interfaces.0.security_groups", "interfaces.1.security_groups"],
                as_told,
            ),
        Instance::new("a security group in another VPC", plain()).blocked(
            Clone,
            json!({"overrides": {"security_group_ids": ["sg-elsewhere"]}}),
            &[("overrides.security_group_ids", &["groups of vpc-1"])],
        ),
        Instance::new("a security group that is not there", plain()).blocked(
            NonDestructive,
            {
                let mut asked = beside();
                asked["overrides"]["security_group_ids"] = json!(["sg-none"]);
                asked
            },
            &[("overrides.security_group_ids", &["groups of the subnet's VPC"])],
        ),
    ]
}

fn isolation() -> Vec<Instance> {
    vec![
        Instance::new("a rehearsal without a place", plain())
            .blocked(
                Rehearsal,
                nothing(),
                &[
                    ("overrides.subnet_id", &["an isolated subnet"]),
                    ("overrides.security_group_ids", &["groups that let nothing out"]),
                ],
            )
            .blocked(
                Rehearsal,
                json!({"overrides": {"subnet_id": "subnet-b"}}),
                &[("overrides.security_group_ids", &["groups that let nothing out"])],
            ),
        Instance::new("a rehearsal of what has two interfaces", plain()).given(
            Rehearsal,
            isolated(),
            rehearsed(),
            ISOLATED,
            |blueprint| {
                for interface in &blueprint.target.interfaces {
                    assert_eq!(interface.subnet_id.as_deref(), Some("subnet-b"));
                    assert_eq!(interface.security_groups, ["sg-quiet"]);
                }
            },
        ),
    ]
}
