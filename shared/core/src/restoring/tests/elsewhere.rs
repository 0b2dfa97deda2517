//! Replicas in other regions and accounts.

use super::super::Mode::{Clone, Destructive, Image, InPlace, NonDestructive, Rehearsal, Volumes};
use super::super::surroundings::{Subnet, Surroundings};
use super::table::{Instance, as_told, imaged, launched, made, nothing, plain, plain_but, rehearsed};
use crate::configuration::InstanceConfiguration;
use crate::replica::Destination;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const OTHER_KEY: &str = "arn:aws:kms:eu-central-1:444455556666:key/vault";

/// A region where nothing of the source is, but its snapshots' copies.
fn region(around: &mut Surroundings) {
    let here = Subnet {
        zone: "eu-central-1a".to_owned(),
        vpc_id: "vpc-9".to_owned(),
        cidr: "10.9.0.0/24".to_owned(),
        on_outpost: false,
        free: 100,
    };
    let mut snapshots = std::mem::take(&mut around.snapshots);
    for snapshot in snapshots.values_mut() {
        snapshot.kms_key_id = Some(OTHER_KEY.to_owned());
    }
    let mut instance_types = std::mem::take(&mut around.instance_types);
    for facts in instance_types.values_mut() {
        facts.zones = BTreeSet::from(["eu-central-1a".to_owned()]);
    }
    *around = Surroundings {
        subnets: BTreeMap::from([("subnet-here".to_owned(), here)]),
        security_groups: BTreeMap::from([("sg-here".to_owned(), "vpc-9".to_owned())]),
        zones: BTreeSet::from(["eu-central-1a".to_owned()]),
        instance_types,
        snapshots,
        ..Surroundings::default()
    };
}

fn replica(name: &'static str, captured: InstanceConfiguration) -> Instance {
    Instance::new(name, captured).around(region).held(|held| {
        held.is_replica = true;
        held.place = Destination {
            account_id: "444455556666".to_owned(),
            region: "eu-central-1".to_owned(),
        };
    })
}

fn here(asked: &Value) -> Value {
    let mut overrides = json!({
        "subnet_id": "subnet-here",
        "interfaces": "all",
        "security_group_ids": ["sg-here"],
        "key_name": "",
        "iam_instance_profile_arn": "",
        "elastic_ips": "leave",
    });
    for (key, value) in asked.as_object().unwrap() {
        overrides[key] = value.clone();
    }
    json!({ "overrides": overrides })
}

/// What a replica's destination does to its keys.
const REKEYED: &[&str] = &[
    "volumes./dev/sdf.kms_key_id",
    "volumes./dev/sdh.kms_key_id",
    "volumes./dev/xvda.kms_key_id",
];

const LANDED: &[&str] = &[
    "iam_instance_profile_arn",
    "key_name",
    "placement.availability_zone",
    "vpc_id",
    "volumes./dev/sdf.kms_key_id",
    "volumes./dev/sdh.kms_key_id",
    "volumes./dev/xvda.kms_key_id",
    "interfaces.0.security_groups",
    "interfaces.0.subnet_id",
    "interfaces.0.vpc_id",
    "interfaces.1.security_groups",
    "interfaces.1.subnet_id",
    "interfaces.1.vpc_id",
];

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
pub(super) fn instances() -> Vec<Instance> {
    let missing: &[(&str, &[&str])] = &[
        (
            "overrides.key_name",
            &["a key pair of this region", "\"\" for none"],
        ),
        (
            "overrides.iam_instance_profile_arn",
            &["an instance profile of this account", "\"\" for none"],
        ),
        ("overrides.subnet_id", &["subnet-here"]),
        (
            "overrides.interfaces",
            &["primary_only", "all, with subnet_id: every interface goes there"],
        ),
        ("overrides.security_group_ids", &["groups of the subnet's VPC"]),
        ("overrides.security_group_ids", &["groups of the subnet's VPC"]),
    ];
    let licensed = plain_but(|captured| captured.licenses = super::super::scene::captured().licenses);
    vec![
        replica("a replica in another region and account", plain())
            .blocked(Clone, nothing(), missing)
            .given(Clone, here(&json!({})), launched(), LANDED, |blueprint| {
                assert!(blueprint.volumes.iter().all(|order| order.rekey.is_none()));
                let told = blueprint
                    .announced
                    .iter()
                    .find(|told| told.field == "volumes./dev/sdf.kms_key_id");
                assert!(told.unwrap().why.as_ref().unwrap().contains("destination's key"));
            })
            .given(
                NonDestructive,
                here(&json!({})),
                launched(),
                LANDED,
                |blueprint| {
                    assert_eq!(blueprint.target.interfaces[0].network_interface_id, "");
                },
            )
            .given(Image, nothing(), imaged(), REKEYED, as_told)
            .blocked(
                Volumes,
                nothing(),
                &[("volumes.availability_zone", &["eu-central-1a"])],
            )
            .given(
                Volumes,
                json!({"volumes": {"availability_zone": "eu-central-1a"}}),
                made(),
                REKEYED,
                as_told,
            ),
        replica("a replica of what is to be replaced", plain())
            .blocked(
                InPlace,
                nothing(),
                &[("mode", &["clone", "non_destructive", "volumes", "image"])],
            )
            .blocked(
                Destructive,
                json!({"overrides": {"key_name": "", "iam_instance_profile_arn": ""}}),
                &[
                    ("mode", &["clone", "non_destructive", "volumes", "image"]),
                    ("mode", &["non_destructive, with overrides.subnet_id"]),
                    ("mode", &["non_destructive, with overrides.interfaces"]),
                    ("mode", &["non_destructive, with overrides.security_group_ids"]),
                    ("mode", &["non_destructive, with overrides.security_group_ids"]),
                    ("overrides.elastic_ips", &["leave"]),
                ],
            ),
        replica("a replica with license configurations", licensed).given(
            Clone,
            here(&json!({})),
            launched(),
            &{
                let mut landed = LANDED.to_vec();
                landed.insert(2, "licenses");
                landed
            },
            |blueprint| assert!(blueprint.target.licenses.is_empty()),
        ),
        replica(
            "a replica of what was on a dedicated host",
            plain_but(|captured| {
                captured.placement.host_id = Some("h-1".to_owned());
                captured.placement.tenancy = Some("host".to_owned());
            }),
        )
        .blocked(Clone, here(&json!({})), &[("overrides.placement", &["default"])])
        .given(
            Clone,
            here(&json!({"placement": "default"})),
            launched(),
            &{
                let mut landed = LANDED.to_vec();
                landed.splice(3..3, ["placement.host_id", "placement.tenancy"]);
                landed
            },
            as_told,
        ),
        replica("a replica that is rehearsed where it lies", plain()).given(
            Rehearsal,
            json!({"overrides": {
                "subnet_id": "subnet-here",
                "security_group_ids": ["sg-here"],
                "key_name": "",
                "iam_instance_profile_arn": "",
            }}),
            rehearsed(),
            LANDED,
            as_told,
        ),
    ]
}
