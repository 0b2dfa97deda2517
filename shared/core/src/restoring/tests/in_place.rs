//! Volumes that were attached, detached and moved since the backup.

use super::super::Mode::{Destructive, InPlace, NonDestructive, Volumes};
use super::super::scene::resource;
use super::super::step::Exchange;
use super::super::tags::RESTORED_FROM;
use super::table::{
    Instance, as_told, beside, launched, made, nothing, plain, plain_but, replaced, swapped, volume,
    volume_mut,
};
use crate::configuration::{InstanceConfiguration, VolumeConfiguration};
use serde_json::{Value, json};

fn devices(devices: &[&str]) -> Value {
    json!({"volumes": {"devices": devices}})
}

fn new_volume(device: &str) -> VolumeConfiguration {
    VolumeConfiguration {
        device: device.to_owned(),
        delete_on_termination: Some(false),
        ..VolumeConfiguration::sample(9)
    }
}

fn exchange<'a>(exchanges: &'a [Exchange], device: &str) -> &'a Exchange {
    exchanges
        .iter()
        .find(|exchange| exchange.device == device)
        .unwrap()
}

fn replace(now: &mut InstanceConfiguration, device: &str) {
    now.volumes.retain(|volume| volume.device != device);
    now.volumes.push(new_volume(device));
}

/// A volume comes to `/dev/sdf` that was restored from a backup of an instance.
fn replace_from(now: &mut InstanceConfiguration, resource: &str) {
    replace(now, "/dev/sdf");
    let origin = format!("rp-20261125T050000Z-0123456789abcdef/{resource}");
    let tags = &mut volume_mut(now, "/dev/sdf").tags;
    tags.insert(RESTORED_FROM.to_owned(), origin);
}

pub(super) fn instances() -> Vec<Instance> {
    let mut all = moved();
    all.extend(shared());
    all
}

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
fn moved() -> Vec<Instance> {
    vec![
        Instance::new("a volume that was detached since", plain())
            .now(|now| now.volumes.retain(|volume| volume.device != "/dev/sdf"))
            .given(InPlace, nothing(), swapped(), &[], |blueprint| {
                let sdf = exchange(&blueprint.exchanges, "/dev/sdf");
                assert!(sdf.before.is_none() && sdf.after.is_some());
            })
            .given(
                InPlace,
                devices(&["/dev/sdh"]),
                swapped(),
                &["volumes./dev/sdf"],
                |blueprint| {
                    let why = blueprint.announced[0].why.as_deref();
                    assert_eq!(why, Some("only other volumes were asked for"));
                },
            )
            .given(Destructive, nothing(), replaced(), &[], as_told),
        Instance::new("a volume that was attached since, at a new device", plain())
            .now(|now| now.volumes.push(new_volume("/dev/sdz")))
            .given(
                InPlace,
                nothing(),
                swapped(),
                &["volumes./dev/sdz"],
                |blueprint| {
                    let why = blueprint.announced[0].why.as_deref();
                    assert_eq!(why, Some("attached since the backup; it stays"));
                    assert_eq!(blueprint.exchanges.len(), 3);
                    assert_eq!(
                        volume(&blueprint.target, "/dev/sdz").volume_id,
                        new_volume("/dev/sdz").volume_id
                    );
                },
            )
            .given(Destructive, nothing(), replaced(), &[], as_told),
        Instance::new(
            "a volume that was attached since, and would end with the original",
            plain(),
        )
        .now(|now| {
            now.volumes.push(VolumeConfiguration {
                delete_on_termination: Some(true),
                ..new_volume("/dev/sdz")
            });
        })
        .blocked(
            Destructive,
            nothing(),
            &[("mode", &["non_destructive", "clone", "in_place", "volumes"])],
        )
        .given(NonDestructive, beside(), launched(), &[], as_told),
        Instance::new("a volume that was attached since, at a captured device", plain())
            .now(|now| replace(now, "/dev/sdf"))
            .given(
                InPlace,
                nothing(),
                swapped(),
                &["volumes./dev/sdf.volume_id"],
                |blueprint| {
                    let sdf = exchange(&blueprint.exchanges, "/dev/sdf");
                    let before = sdf.before.as_ref().unwrap();
                    assert_eq!(before.volume_id.as_ref(), Some(&new_volume("/dev/sdf").volume_id));
                    let why = blueprint.announced[0].why.as_deref().unwrap();
                    assert!(
                        why.contains("the backup, which does not hold it") && why.contains("never deleted"),
                        "{why}"
                    );
                    assert!(sdf.is_foreign);
                },
            )
            .given(Destructive, nothing(), replaced(), &[], as_told),
        Instance::new("a volume that an earlier restore in place put there", plain())
            .now(|now| replace_from(now, resource().as_str()))
            .given(
                InPlace,
                nothing(),
                swapped(),
                &["volumes./dev/sdf.volume_id"],
                |blueprint| {
                    let why = blueprint.announced[0].why.as_deref().unwrap();
                    assert!(why.contains("then deleted"), "{why}");
                    assert!(!exchange(&blueprint.exchanges, "/dev/sdf").is_foreign);
                },
            ),
        Instance::new("a volume that a restore of another instance made", plain())
            .now(|now| replace_from(now, "i-00000000000000009"))
            .given(
                InPlace,
                nothing(),
                swapped(),
                &["volumes./dev/sdf.volume_id"],
                |blueprint| assert!(exchange(&blueprint.exchanges, "/dev/sdf").is_foreign),
            ),
        Instance::new("a captured volume that stands at another device now", plain())
            .now(|now| "/dev/sdz".clone_into(&mut volume_mut(now, "/dev/sdf").device))
            .given(InPlace, nothing(), swapped(), &[], |blueprint| {
                // Its restored twin beside it would give the system one file system twice.
                let sdz = exchange(&blueprint.exchanges, "/dev/sdz");
                assert!(sdz.before.is_some() && sdz.after.is_none());
                assert!(
                    blueprint
                        .target
                        .volumes
                        .iter()
                        .all(|volume| volume.device != "/dev/sdz")
                );
            })
            .given(
                InPlace,
                devices(&["/dev/sdh"]),
                swapped(),
                &["volumes./dev/sdf", "volumes./dev/sdz"],
                |blueprint| {
                    assert_eq!(blueprint.exchanges.len(), 1);
                },
            ),
        Instance::new("two captured volumes that have changed places", plain())
            .now(|now| {
                "/dev/x".clone_into(&mut volume_mut(now, "/dev/sdf").device);
                "/dev/sdf".clone_into(&mut volume_mut(now, "/dev/sdh").device);
                "/dev/sdh".clone_into(&mut volume_mut(now, "/dev/x").device);
            })
            .given(InPlace, nothing(), swapped(), &[], |blueprint| {
                assert_eq!(blueprint.exchanges.len(), 3);
            })
            .blocked(
                InPlace,
                devices(&["/dev/sdf"]),
                &[("volumes.devices", &["/dev/sdh and /dev/sdf together"])],
            )
            .given(
                InPlace,
                devices(&["/dev/sdf", "/dev/sdh"]),
                swapped(),
                &[],
                as_told,
            ),
        Instance::new("a root volume that an earlier restore has put there", plain())
            .now(|now| volume_mut(now, "/dev/xvda").volume_id = new_volume("x").volume_id)
            .given(
                InPlace,
                devices(&["/dev/xvda"]),
                // It is of another lineage for EC2: no root volume task takes the snapshot.
                swapped(),
                &["volumes./dev/xvda.volume_id"],
                as_told,
            ),
        Instance::new("a root volume that was made larger since", plain())
            .now(|now| volume_mut(now, "/dev/xvda").size_gib = Some(100))
            .given(InPlace, devices(&["/dev/xvda"]), swapped(), &[], |blueprint| {
                assert_eq!(volume(&blueprint.target, "/dev/xvda").size_gib, Some(8));
            }),
        Instance::new("a device that is not captured", plain()).blocked(
            InPlace,
            devices(&["/dev/sdq"]),
            &[("volumes.devices", &["/dev/sdf", "/dev/sdh", "/dev/xvda"])],
        ),
    ]
}

fn shared() -> Vec<Instance> {
    let multi = |captured: &mut InstanceConfiguration| {
        let volume = volume_mut(captured, "/dev/sdf");
        volume.volume_type = Some("io2".to_owned());
        volume.throughput = None;
        volume.multi_attach_enabled = Some(true);
    };
    let loses = &["volumes./dev/sdf.multi_attach_enabled"];
    vec![
        Instance::new(
            "a multi-attach volume that other instances have too",
            plain_but(multi),
        )
        .around(|around| {
            around
                .shared_volumes
                .insert(volume(&plain(), "/dev/sdf").volume_id.clone());
        })
        .blocked(InPlace, nothing(), &[("mode", &["volumes"])])
        .given(InPlace, devices(&["/dev/sdh"]), swapped(), &[], as_told)
        .given(Volumes, nothing(), made(), loses, as_told)
        .given(NonDestructive, beside(), launched(), loses, as_told),
        Instance::new("a multi-attach volume that nobody else has", plain_but(multi)).given(
            InPlace,
            nothing(),
            swapped(),
            loses,
            |blueprint| {
                assert_eq!(
                    volume(&blueprint.target, "/dev/sdf").multi_attach_enabled,
                    Some(false)
                );
            },
        ),
    ]
}
