//! Which volumes there are, and which snapshots.

use super::super::Mode::{Clone, Destructive, Image, InPlace, NonDestructive, Rehearsal, Volumes};
use super::table::{
    ISOLATED, Instance, as_told, beside, imaged, isolated, launched, made, nothing, plain, plain_but,
    rehearsed, replaced, root_replaced, swapped, volume, volume_mut,
};
use crate::configuration::VolumeConfiguration;
use serde_json::json;

pub(super) fn instances() -> Vec<Instance> {
    let mut all = vec![
        Instance::new("as it was captured", plain())
            .given(Clone, nothing(), launched(), &[], as_told)
            .given(NonDestructive, beside(), launched(), &[], as_told)
            .given(Destructive, nothing(), replaced(), &[], |blueprint| {
                let ids = blueprint
                    .target
                    .interfaces
                    .iter()
                    .map(|interface| interface.network_interface_id.as_str());
                assert_eq!(ids.collect::<Vec<_>>(), ["eni-primary", "eni-second"]);
            })
            .given(InPlace, nothing(), swapped(), &[], as_told)
            .given(Volumes, nothing(), made(), &[], as_told)
            .given(Image, nothing(), imaged(), &[], as_told)
            .given(Rehearsal, isolated(), rehearsed(), ISOLATED, as_told),
        seven_devices(),
        Instance::new(
            "an NVMe name inside, a device name outside",
            plain_but(|captured| {
                // The system says /dev/nvme1n1; EC2 knows the attachment's name only.
                volume_mut(captured, "/dev/sdf")
                    .tags
                    .insert("mount".to_owned(), "/dev/nvme1n1".to_owned());
            }),
        )
        .given(
            InPlace,
            json!({"volumes": {"devices": ["/dev/sdf"]}}),
            swapped(),
            &[],
            |blueprint| {
                assert_eq!(blueprint.exchanges.len(), 1);
                assert_eq!(blueprint.exchanges[0].device, "/dev/sdf");
            },
        )
        .blocked(
            InPlace,
            json!({"volumes": {"devices": ["/dev/nvme1n1"]}}),
            &[("volumes.devices", &["/dev/sdf", "/dev/sdh", "/dev/xvda"])],
        )
        .blocked(
            Clone,
            json!({"overrides": {"volumes": {"/dev/nvme1n1": {"size_gib": 9}}}}),
            &[(
                "overrides.volumes./dev/nvme1n1",
                &["/dev/sdf, /dev/sdh, /dev/xvda"],
            )],
        ),
    ];
    all.extend(host_disks());
    all.extend(parts());
    all.extend(snapshots());
    all
}

fn host_disks() -> Vec<Instance> {
    vec![
        Instance::new(
            "instance-store disks",
            plain_but(|captured| {
                captured
                    .instance_store
                    .insert("/dev/sdb".to_owned(), "ephemeral0".to_owned());
            }),
        )
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            assert_eq!(blueprint.target.instance_store["/dev/sdb"], "ephemeral0");
        })
        .given(Destructive, nothing(), replaced(), &[], as_told)
        .blocked(
            InPlace,
            nothing(),
            &[("overrides.accept_instance_store_loss", &["true"])],
        )
        .given(
            InPlace,
            json!({"overrides": {"accept_instance_store_loss": true}}),
            swapped(),
            &[],
            as_told,
        )
        // A reboot loses nothing; taking an unproved root volume back needs a stop.
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
            &[("overrides.accept_instance_store_loss", &["true"])],
        ),
        Instance::new(
            "NVMe disks of its host, which no mapping names",
            plain_but(|captured| captured.instance_type = Some("i4i.large".to_owned())),
        )
        .given(Clone, nothing(), launched(), &[], as_told)
        .blocked(
            InPlace,
            nothing(),
            &[("overrides.accept_instance_store_loss", &["true"])],
        )
        .given(
            InPlace,
            json!({"overrides": {"accept_instance_store_loss": true}}),
            swapped(),
            &[],
            as_told,
        ),
    ]
}

fn seven_devices() -> Instance {
    let mut captured = plain();
    for (n, device) in (10..).zip(["/dev/sdb", "/dev/sdk", "/dev/sdp", "xvdba"]) {
        let volume = VolumeConfiguration {
            device: device.to_owned(),
            ..VolumeConfiguration::sample(n)
        };
        captured.volumes.push(volume);
    }
    captured.volumes.sort_by(|a, b| a.device.cmp(&b.device));
    Instance::new("seven devices with gaps", captured)
        .given(Clone, nothing(), launched(), &[], |blueprint| {
            assert_eq!(blueprint.volumes.len(), 7);
        })
        .given(InPlace, nothing(), swapped(), &[], |blueprint| {
            let devices: Vec<&str> = blueprint
                .exchanges
                .iter()
                .map(|exchange| exchange.device.as_str())
                .collect();
            assert_eq!(
                devices,
                [
                    "/dev/sdb",
                    "/dev/sdf",
                    "/dev/sdh",
                    "/dev/sdk",
                    "/dev/sdp",
                    "/dev/xvda",
                    "xvdba"
                ]
            );
        })
        .given(
            Volumes,
            json!({"volumes": {"devices": ["/dev/sdp", "xvdba"]}}),
            made(),
            &[],
            |blueprint| assert_eq!(blueprint.volumes.len(), 2),
        )
}

/// Plans that hold a part of the volumes.
fn parts() -> Vec<Instance> {
    let left_out = &["volumes./dev/sdf", "volumes./dev/sdh"];
    vec![
        Instance::new("a plan of boot volumes only", plain())
            .only(&["/dev/xvda"])
            .given(Clone, nothing(), launched(), left_out, |blueprint| {
                let why = blueprint
                    .announced
                    .iter()
                    .find(|told| told.field == "volumes./dev/sdf");
                assert!(why.unwrap().why.as_ref().unwrap().contains("the plan leaves"));
            })
            .given(InPlace, nothing(), root_replaced(), &[], as_told)
            .given(
                InPlace,
                json!({"proof": {}}),
                vec![
                    super::Step::ReplaceRoot,
                    super::Step::ProveOriginal,
                    super::Step::Finish,
                ],
                &[],
                as_told,
            )
            // Another size than the root volume has now: EC2 would take that over.
            .given(
                InPlace,
                json!({"overrides": {"volumes": {"/dev/xvda": {"size_gib": 20}}}}),
                swapped(),
                &["volumes./dev/xvda.size_gib"],
                as_told,
            )
            .given(Volumes, nothing(), made(), left_out, |blueprint| {
                assert_eq!(blueprint.volumes.len(), 1);
            })
            .given(Image, nothing(), imaged(), left_out, as_told)
            // /dev/sdf ends with the original, and the backup does not hold it. /dev/sdh outlives it.
            .blocked(
                Destructive,
                nothing(),
                &[("mode", &["non_destructive", "clone", "in_place", "volumes"])],
            ),
        Instance::new(
            "a plan of boot volumes only, with data that outlives its instance",
            plain(),
        )
        .only(&["/dev/xvda"])
        .now(|now| volume_mut(now, "/dev/sdf").delete_on_termination = Some(false))
        .given(Destructive, nothing(), replaced(), left_out, as_told),
        Instance::new("a plan of data volumes only", plain())
            .only(&["/dev/sdf", "/dev/sdh"])
            .blocked(Clone, nothing(), &[("mode", &["volumes"])])
            .blocked(Image, nothing(), &[("mode", &["volumes"])])
            .given(Volumes, nothing(), made(), &["volumes./dev/xvda"], |blueprint| {
                assert_eq!(blueprint.volumes.len(), 2);
            })
            .given(InPlace, nothing(), swapped(), &[], |blueprint| {
                assert_eq!(
                    volume(&blueprint.target, "/dev/xvda").volume_id,
                    volume(&plain(), "/dev/xvda").volume_id
                );
            }),
    ]
}

fn snapshots() -> Vec<Instance> {
    let snapshot = || super::super::scene::snapshot(1);
    let another: &[&str] = &["another recovery point"];
    vec![
        Instance::new("a snapshot is missing", plain())
            .around(|around| {
                around.snapshots.remove(&snapshot());
            })
            .blocked(Clone, nothing(), &[("recovery_point_id", another)])
            .blocked(InPlace, nothing(), &[("recovery_point_id", another)])
            .given(
                InPlace,
                json!({"volumes": {"devices": ["/dev/sdh"]}}),
                swapped(),
                &[],
                as_told,
            ),
        Instance::new("a snapshot lies in the archive tier", plain())
            .around(|around| {
                let facts = around.snapshots.get_mut(&snapshot()).unwrap();
                (facts.usable, facts.archived) = (false, true);
            })
            .blocked(
                Volumes,
                nothing(),
                &[(
                    "recovery_point_id",
                    &[
                        "another recovery point",
                        "the same one, once RestoreSnapshotTier has brought it back",
                    ],
                )],
            ),
        Instance::new(
            "the boot snapshot lies in the archive tier, and the instance is protected from a stop",
            plain_but(|captured| captured.disable_api_stop = Some(true)),
        )
        .only(&["/dev/xvda"])
        .around(|around| {
            let facts = around
                .snapshots
                .get_mut(&super::super::scene::snapshot(3))
                .unwrap();
            (facts.usable, facts.archived) = (false, true);
        })
        // The root volume would be replaced without a stop: its protection is not in the way.
        .blocked(
            InPlace,
            nothing(),
            &[(
                "recovery_point_id",
                &[
                    "another recovery point",
                    "the same one, once RestoreSnapshotTier has brought it back",
                ],
            )],
        ),
        Instance::new("a snapshot is pending", plain())
            .around(|around| around.snapshots.get_mut(&snapshot()).unwrap().usable = false)
            .blocked(Rehearsal, isolated(), &[("recovery_point_id", another)])
            .blocked(Destructive, nothing(), &[("recovery_point_id", another)]),
    ]
}
