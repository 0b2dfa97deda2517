//! Types, sizes and keys of volumes.

use super::super::Mode::{Clone, Destructive, Image, InPlace, Volumes};
use super::super::scene::{KEY, snapshot};
use super::table::{
    Instance, as_told, imaged, launched, made, nothing, plain, plain_but, replaced, swapped, volume,
    volume_mut,
};
use serde_json::{Value, json};

const OTHER: &str = "arn:aws:kms:eu-west-1:111122223333:key/other";
const SDF: &str = "/dev/sdf";

fn of_sdf(settings: &Value) -> Value {
    json!({"overrides": {"volumes": {SDF: settings}}})
}

pub(super) fn instances() -> Vec<Instance> {
    types().into_iter().chain(least()).chain(keys()).collect()
}

fn typed(name: &'static str, kind: &str, iops: Option<i32>, throughput: Option<i32>) -> Instance {
    let captured = plain_but(|captured| {
        let volume = volume_mut(captured, SDF);
        (volume.volume_type, volume.iops, volume.throughput) = (Some(kind.to_owned()), iops, throughput);
        volume.size_gib = Some(500);
    });
    Instance::new(name, captured)
}

fn types() -> Vec<Instance> {
    let size = "volumes./dev/sdf.size_gib";
    vec![
        typed("io2 with its IOPS", "io2", Some(16_000), None)
            .given(Clone, nothing(), launched(), &[], |blueprint| {
                assert_eq!(volume(&blueprint.target, SDF).iops, Some(16_000));
            })
            .given(
                Clone,
                of_sdf(&json!({"iops": 20_000})),
                launched(),
                &["volumes./dev/sdf.iops"],
                as_told,
            )
            .given(
                InPlace,
                of_sdf(&json!({"volume_type": "gp3"})),
                swapped(),
                &[
                    "volumes./dev/sdf.iops",
                    "volumes./dev/sdf.volume_type",
                    "volumes./dev/sdf.throughput",
                ],
                |blueprint| {
                    let volume = volume(&blueprint.target, SDF);
                    assert_eq!((volume.iops, volume.throughput), (Some(3000), Some(125)));
                },
            )
            .blocked(
                Clone,
                of_sdf(&json!({"throughput": 250})),
                &[(
                    "overrides.volumes./dev/sdf.throughput",
                    &["nothing", "a throughput with volume_type gp3"],
                )],
            ),
        typed("st1", "st1", None, None)
            .given(Clone, nothing(), launched(), &[], as_told)
            .blocked(
                Volumes,
                of_sdf(&json!({"iops": 3000})),
                &[(
                    "overrides.volumes./dev/sdf.iops",
                    &["nothing", "IOPS with a volume_type of gp3, io1 or io2"],
                )],
            )
            .blocked(
                InPlace,
                of_sdf(&json!({"volume_type": "io2"})),
                &[("overrides.volumes./dev/sdf.iops", &["a number of IOPS"])],
            ),
        typed("sc1", "sc1", None, None)
            .given(Destructive, nothing(), replaced(), &[], as_told)
            .given(
                Clone,
                of_sdf(&json!({"volume_type": "gp3", "throughput": 250})),
                launched(),
                &[
                    "volumes./dev/sdf.volume_type",
                    "volumes./dev/sdf.iops",
                    "volumes./dev/sdf.throughput",
                ],
                |blueprint| assert_eq!(volume(&blueprint.target, SDF).throughput, Some(250)),
            ),
        typed("gp2 of another size", "gp2", Some(1500), None)
            .given(Clone, nothing(), launched(), &[], as_told)
            .given(
                Clone,
                of_sdf(&json!({"size_gib": 1000})),
                launched(),
                &["volumes./dev/sdf.iops", size],
                // They follow from the size.
                |blueprint| assert_eq!(volume(&blueprint.target, SDF).iops, None),
            ),
        typed("gp3 of another throughput", "gp3", Some(3000), Some(125)).given(
            InPlace,
            of_sdf(&json!({"throughput": 500})),
            swapped(),
            &["volumes./dev/sdf.throughput"],
            |blueprint| assert_eq!(volume(&blueprint.target, SDF).throughput, Some(500)),
        ),
    ]
}

fn least() -> Vec<Instance> {
    let size = "volumes./dev/sdf.size_gib";
    vec![
        Instance::new("a volume is too small for another type", plain())
            .blocked(
                Clone,
                of_sdf(&json!({"volume_type": "st1"})),
                &[("overrides.volumes./dev/sdf.size_gib", &["125 or more"])],
            )
            .given(
                Volumes,
                of_sdf(&json!({"volume_type": "st1", "size_gib": 125})),
                made(),
                &[
                    "volumes./dev/sdf.iops",
                    size,
                    "volumes./dev/sdf.throughput",
                    "volumes./dev/sdf.volume_type",
                ],
                as_told,
            ),
        Instance::new("less is asked for than a type has", plain()).blocked(
            Clone,
            json!({"overrides": {"volumes": {
                "/dev/sdf": {"volume_type": "gp3", "iops": 2999, "throughput": 124},
                "/dev/sdh": {"volume_type": "io1", "iops": 99},
                "/dev/xvda": {"volume_type": "sc1", "size_gib": 200},
            }}}),
            &[
                ("overrides.volumes./dev/sdf.iops", &["3000 or more"]),
                ("overrides.volumes./dev/sdf.throughput", &["125 or more"]),
                ("overrides.volumes./dev/sdh.iops", &["100 or more"]),
                (
                    "overrides.volumes./dev/xvda.volume_type",
                    &["gp2", "gp3", "io1", "io2", "standard"],
                ),
            ],
        ),
        typed("a volume is to be smaller", "gp3", Some(3000), Some(125))
            .blocked(
                Clone,
                of_sdf(&json!({"size_gib": 499})),
                &[("overrides.volumes./dev/sdf.size_gib", &["500 or more"])],
            )
            .given(
                Volumes,
                of_sdf(&json!({"size_gib": 501})),
                made(),
                &[size],
                as_told,
            ),
    ]
}

#[expect(clippy::too_many_lines, reason = "one instance after the other")]
fn keys() -> Vec<Instance> {
    let unreadable: &[&str] = &["another recovery point", "the same one, once its key can be used"];
    let three = || {
        plain_but(|captured| {
            volume_mut(captured, SDF).kms_key_id = Some(format!("{KEY}-1"));
            volume_mut(captured, "/dev/sdh").kms_key_id = Some(format!("{KEY}-2"));
        })
    };
    let unencrypted = plain_but(|captured| {
        let volume = volume_mut(captured, SDF);
        (volume.encrypted, volume.kms_key_id) = (Some(false), None);
    });
    vec![
        Instance::new("encrypted with three keys", three())
            .given(Clone, nothing(), launched(), &[], |blueprint| {
                assert!(blueprint.volumes.iter().all(|order| order.rekey.is_none()));
            })
            .given(
                Clone,
                json!({"overrides": {"kms_key_id": OTHER, "volumes": {"/dev/sdh": {"kms_key_id": KEY}}}}),
                launched(),
                &[
                    "volumes./dev/sdf.kms_key_id",
                    "volumes./dev/sdh.kms_key_id",
                    "volumes./dev/xvda.kms_key_id",
                ],
                |blueprint| {
                    let rekey: Vec<_> = blueprint
                        .volumes
                        .iter()
                        .map(|order| order.rekey.as_deref())
                        .collect();
                    assert_eq!(rekey, [Some(OTHER), Some(KEY), Some(OTHER)]);
                },
            ),
        Instance::new("a key is disabled", three())
            .around(|around| {
                around
                    .unusable_keys
                    .insert(format!("{KEY}-1"), "the key is disabled".to_owned());
            })
            .blocked(Clone, nothing(), &[("recovery_point_id", unreadable)])
            // Another key for the volume does not make its snapshot readable.
            .blocked(
                Clone,
                json!({"overrides": {"kms_key_id": OTHER}}),
                &[("recovery_point_id", unreadable)],
            )
            .given(
                Volumes,
                json!({"volumes": {"devices": ["/dev/sdh"]}}),
                made(),
                &[],
                as_told,
            ),
        Instance::new("a key is gone", plain())
            .around(|around| {
                around
                    .unusable_keys
                    .insert(KEY.to_owned(), "the key does not exist".to_owned());
            })
            .blocked(
                InPlace,
                nothing(),
                &[
                    ("recovery_point_id", unreadable),
                    ("recovery_point_id", unreadable),
                    ("recovery_point_id", unreadable),
                ],
            ),
        Instance::new("another key is asked for", plain()).given(
            InPlace,
            json!({"overrides": {"kms_key_id": OTHER}, "volumes": {"devices": ["/dev/xvda"]}}),
            // EC2 replaces a root volume under its own key only.
            swapped(),
            &["volumes./dev/xvda.kms_key_id"],
            as_told,
        ),
        Instance::new("the key that is asked for cannot be used", plain())
            .around(|around| {
                around
                    .unusable_keys
                    .insert(OTHER.to_owned(), "the key is pending deletion".to_owned());
            })
            .blocked(
                Volumes,
                of_sdf(&json!({"kms_key_id": OTHER})),
                &[(
                    "overrides.volumes./dev/sdf.kms_key_id",
                    &["a key that can be used here"],
                )],
            ),
        Instance::new("the key that is asked for by an alias cannot be used", plain())
            .around(|around| {
                around.key_arns.insert("alias/off".to_owned(), OTHER.to_owned());
                around
                    .unusable_keys
                    .insert(OTHER.to_owned(), "the key alias/off is Disabled".to_owned());
            })
            .blocked(
                Volumes,
                of_sdf(&json!({"kms_key_id": "alias/off"})),
                &[(
                    "overrides.volumes./dev/sdf.kms_key_id",
                    &["a key that can be used here"],
                )],
            ),
        Instance::new("new volumes are encrypted by default", unencrypted.clone())
            .around(|around| around.default_key = Some(OTHER.to_owned()))
            .given(
                Clone,
                nothing(),
                launched(),
                &["volumes./dev/sdf.encrypted", "volumes./dev/sdf.kms_key_id"],
                |blueprint| {
                    assert_eq!(volume(&blueprint.target, SDF).kms_key_id.as_deref(), Some(OTHER));
                    assert!(blueprint.volumes.iter().all(|order| order.rekey.is_none()));
                    let whys = blueprint.announced.iter().filter_map(|told| told.why.as_deref());
                    assert!(whys.filter(|why| why.contains("by default")).count() == 2);
                },
            )
            .given(
                Volumes,
                of_sdf(&json!({"kms_key_id": KEY})),
                made(),
                &["volumes./dev/sdf.encrypted", "volumes./dev/sdf.kms_key_id"],
                |blueprint| assert_eq!(volume(&blueprint.target, SDF).kms_key_id.as_deref(), Some(KEY)),
            )
            // Nothing is made anew for an image of the snapshots.
            .given(Image, nothing(), imaged(), &[], as_told),
        Instance::new(
            "new volumes are encrypted by default, under a key that is off",
            unencrypted.clone(),
        )
        .around(|around| {
            around.default_key = Some(OTHER.to_owned());
            around
                .unusable_keys
                .insert(OTHER.to_owned(), "the key is Disabled".to_owned());
        })
        .blocked(
            Clone,
            nothing(),
            &[("overrides.kms_key_id", &["a key that can be used here"])],
        )
        .given(Image, nothing(), imaged(), &[], as_told),
        Instance::new(
            "an unencrypted root volume, and new ones are encrypted by default",
            plain_but(|captured| {
                let root = volume_mut(captured, "/dev/xvda");
                (root.encrypted, root.kms_key_id) = (Some(false), None);
            }),
        )
        .around(|around| around.default_key = Some(OTHER.to_owned()))
        .given(
            InPlace,
            json!({"volumes": {"devices": ["/dev/xvda"]}}),
            swapped(),
            &["volumes./dev/xvda.encrypted", "volumes./dev/xvda.kms_key_id"],
            as_told,
        ),
        Instance::new("an unencrypted snapshot is to be encrypted", unencrypted)
            .given(Clone, nothing(), launched(), &[], |blueprint| {
                assert_eq!(volume(&blueprint.target, SDF).encrypted, Some(false));
            })
            .given(
                Clone,
                of_sdf(&json!({"kms_key_id": OTHER})),
                launched(),
                &["volumes./dev/sdf.encrypted", "volumes./dev/sdf.kms_key_id"],
                |blueprint| {
                    let order = blueprint
                        .volumes
                        .iter()
                        .find(|order| order.device == SDF)
                        .unwrap();
                    assert_eq!(order.rekey.as_deref(), Some(OTHER));
                    assert_eq!(volume(&blueprint.target, SDF).encrypted, Some(true));
                },
            ),
        Instance::new("the snapshot is under another key than the volume was", plain())
            .around(|around| {
                around.snapshots.get_mut(&snapshot(1)).unwrap().kms_key_id = Some(OTHER.to_owned());
            })
            .given(
                Clone,
                nothing(),
                launched(),
                &["volumes./dev/sdf.kms_key_id"],
                |blueprint| {
                    let told = blueprint
                        .announced
                        .iter()
                        .find(|told| told.field == "volumes./dev/sdf.kms_key_id");
                    assert!(told.unwrap().why.as_ref().unwrap().contains("another key"));
                    assert!(blueprint.volumes.iter().all(|order| order.rekey.is_none()));
                },
            ),
    ]
}
