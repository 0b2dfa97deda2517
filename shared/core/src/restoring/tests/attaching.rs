//! New volumes, attached to an instance or not.

use super::super::Mode::Volumes;
use super::super::step::Step;
use super::table::{Instance, as_told, made, nothing, plain};
use crate::configuration::{InstanceConfiguration, Placement};
use serde_json::{Value, json};

const TARGET: &str = "i-00000000000000001";

fn attach(asked: &Value) -> Value {
    let mut volumes = json!({"devices": ["/dev/sdf"], "attach_to": TARGET});
    for (key, value) in asked.as_object().unwrap() {
        volumes[key] = value.clone();
    }
    json!({"volumes": volumes})
}

/// Another instance without data volumes.
fn other(zone: &str, state: &str) -> InstanceConfiguration {
    let mut other = plain();
    other.volumes.retain(|volume| volume.is_boot);
    InstanceConfiguration {
        state: Some(state.to_owned()),
        placement: Placement {
            availability_zone: Some(zone.to_owned()),
            ..other.placement.clone()
        },
        ..other
    }
}

fn beside(name: &'static str, other: Option<InstanceConfiguration>) -> Instance {
    Instance::new(name, plain()).around(|around| around.attach_to = other)
}

pub(super) fn instances() -> Vec<Instance> {
    let attached = vec![Step::MakeVolumes, Step::AttachVolumes, Step::Finish];
    vec![
        beside("volumes for an instance in another zone", Some(other("eu-west-1b", "running")))
            .given(Volumes, attach(&json!({})), attached.clone(), &[], |blueprint| {
                let zones = blueprint.target.volumes.iter().map(|volume| volume.availability_zone.as_deref());
                assert_eq!(zones.collect::<Vec<_>>(), [Some("eu-west-1b")]);
            })
            .blocked(Volumes, attach(&json!({"availability_zone": "eu-west-1a"})), &[(
                "volumes.availability_zone",
                &["eu-west-1b"],
            )]),
        beside("a device that is taken", Some(plain()))
            .blocked(Volumes, attach(&json!({})), &[("volumes.attach_as./dev/sdf", &["a free device"])])
            .given(Volumes, attach(&json!({"attach_as": {"/dev/sdf": "/dev/sdz"}})), attached.clone(), &[], |blueprint| {
                assert_eq!(blueprint.attach.as_ref().unwrap().devices["/dev/sdf"], "/dev/sdz");
            }),
        beside("a device that an instance-store disk has", {
            let mut other = other("eu-west-1a", "stopped");
            other.instance_store.insert("/dev/sdf".to_owned(), "ephemeral0".to_owned());
            Some(other)
        })
        .blocked(Volumes, attach(&json!({})), &[("volumes.attach_as./dev/sdf", &["a free device"])]),
        beside("two volumes for one device", Some(other("eu-west-1a", "running"))).blocked(
            Volumes,
            json!({"volumes": {
                "devices": ["/dev/sdf", "/dev/sdh"],
                "attach_to": TARGET,
                "attach_as": {"/dev/sdf": "/dev/sdh"},
            }}),
            &[("volumes.attach_as./dev/sdh", &["a free device"])],
        ),
        beside("a device that is not restored", Some(other("eu-west-1a", "running"))).blocked(
            Volumes,
            attach(&json!({"attach_as": {"/dev/sdh": "/dev/sdz"}})),
            &[("volumes.attach_as./dev/sdh", &["/dev/sdf"])],
        ),
        beside("an instance that is shutting down", Some(other("eu-west-1a", "shutting-down"))).blocked(
            Volumes,
            attach(&json!({})),
            &[("volumes.attach_to", &["an instance that runs or is stopped"])],
        ),
        beside("an instance that was terminated", None).blocked(Volumes, attach(&json!({})), &[(
            "volumes.attach_to",
            &["an instance of this region"],
        )]),
        Instance::gone("volumes of an instance that is gone", plain())
            .given(Volumes, nothing(), made(), &[], |blueprint| assert_eq!(blueprint.volumes.len(), 3))
            .given(
                Volumes,
                json!({"volumes": {"availability_zone": "eu-west-1b"}, "overrides": {"tags": {"for": "forensics"}}}),
                made(),
                &["volumes./dev/sdf.tags.for", "volumes./dev/sdh.tags.for", "volumes./dev/xvda.tags.for"],
                |blueprint| assert_eq!(blueprint.target.volumes[0].tags["for"], "forensics"),
            )
            .blocked(Volumes, json!({"volumes": {"availability_zone": "eu-west-2a"}}), &[(
                "volumes.availability_zone",
                &["eu-west-1a", "eu-west-1b"],
            )])
            .given(Volumes, json!({"volumes": {"devices": ["/dev/sdh"]}}), made(), &[], as_told),
    ]
}
