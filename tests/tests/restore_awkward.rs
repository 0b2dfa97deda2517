//! Awkward instances, one a row: each is launched as the row says, backed up by the real state machine, changed as the
//! row says, and restored in the modes that the row lists. What comes back is compared with what was captured, by the
//! test's own eyes; what cannot come back is refused by the name of its field, and then nothing was made.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, and its rows are values"
)]

use aws_config::retry::RetryConfig;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::awkward::{Description, Scene, portrait};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{
    World, back_up, describe, digest, ends_in_order, failed, succeeded, volumes_of,
};
use holdfast_tests::workflow::{Bench, Repeat};
use rstest::rstest;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One restore of a row.
#[derive(Debug, Clone, Deserialize)]
struct Attempt {
    /// What is announced to differ, beside what always does.
    #[serde(default)]
    announces: Vec<String>,
    /// The field that is refused; nothing is made then.
    #[serde(default)]
    refused: Option<String>,
    /// Words of a failure on the way, after which everything is as before.
    #[serde(default)]
    fails: Option<String>,
    /// What is found to differ in the end: the restore is PARTIAL, and says so.
    #[serde(default)]
    differs: BTreeSet<String>,
    /// What differs as part of something that is announced: what another type of volume has by itself.
    #[serde(default)]
    follows: BTreeSet<String>,
    /// Devices of the original that come back elsewhere.
    #[serde(default)]
    moved: BTreeMap<String, String>,
    /// Whether things of others change with it: an elastic address or a free interface is taken over.
    #[serde(default)]
    takes_over: bool,
    /// The request.
    #[serde(flatten)]
    request: Map<String, Value>,
}

impl Attempt {
    fn mode(&self) -> &str {
        self.request["mode"].as_str().unwrap()
    }

    /// Whether the original is another one after it.
    fn changes_original(&self) -> bool {
        let volumes_to = self
            .request
            .get("volumes")
            .and_then(|volumes| volumes.get("attach_to"));
        self.refused.is_none()
            && (matches!(self.mode(), "destructive" | "in_place") || volumes_to.is_some() || self.takes_over)
    }

    /// The devices that are asked for; none where all are.
    fn asked_devices(&self) -> Option<Vec<String>> {
        let devices = self.request.get("volumes")?.get("devices")?.as_array()?;
        Some(
            devices
                .iter()
                .filter_map(|device| device.as_str().map(str::to_owned))
                .collect(),
        )
    }

    /// What it announces in all.
    fn all_announced(&self, is_coded: bool) -> BTreeSet<String> {
        let overrides = self.request.get("overrides");
        let says = |field: &str| overrides.is_some_and(|overrides| overrides.get(field).is_some());
        let launches = matches!(self.mode(), "clone" | "non_destructive" | "destructive");
        let moves = self.mode() == "clone"
            || self.mode() == "non_destructive" && (says("private_address") || says("subnet_id"));
        let own_image = (launches && !is_coded && !says("image_id")).then(|| "image_id".to_owned());
        let address = moves.then(|| "interfaces.0.private_addresses".to_owned());
        own_image
            .into_iter()
            .chain(address)
            .chain(self.announces.iter().cloned())
            .collect()
    }
}

/// The restores of a row, in scenes of their own where one changes the original.
async fn try_all(description: Value, attempts: Value) {
    let description: Description = serde_json::from_value(description).expect("a description");
    let attempts: Vec<Attempt> = serde_json::from_value(attempts).expect("attempts");
    let mut left = attempts.as_slice();
    while !left.is_empty() {
        let last = left
            .iter()
            .position(Attempt::changes_original)
            .unwrap_or(left.len() - 1);
        let (now, later) = left.split_at(last + 1);
        Box::pin(try_in_one_scene(&description, now)).await;
        left = later;
    }
}

/// Lets the client try each call three times in good time: what is refused then is the product's own affair.
fn with_short_retries(bench: Bench<'_>) -> Bench<'_> {
    let mut restore = bench.functions().restore_instance.clone();
    let retries = RetryConfig::standard()
        .with_max_attempts(3)
        .with_initial_backoff(Duration::from_millis(1));
    let config = restore
        .here
        .ec2
        .config()
        .to_builder()
        .retry_config(retries)
        .build();
    restore.here.ec2 = aws_sdk_ec2::Client::from_conf(config);
    bench.with_restore(restore)
}

async fn try_in_one_scene(description: &Description, attempts: &[Attempt]) {
    let account = Account::new(&Stack::from_environment()).await;
    let mut scene = Scene::launch(&account, description).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    scene.damage().await;
    for since in &description.since {
        scene.let_happen(since).await;
    }
    let mut bench = with_short_retries(bench);
    let mut before = World::of(&account.ec2()).await;
    for (number, attempt) in attempts.iter().enumerate() {
        let calls = changing_calls(&account).await;
        let snapshots = scene.snapshots().await;
        account
            .simulator
            .post("settings", description.settings.clone())
            .await
            .unwrap();
        for fault in &description.faults {
            account.simulator.post("faults", fault.clone()).await.unwrap();
        }
        let mut request = scene.fill(&Value::Object(attempt.request.clone()));
        request["plan_id"] = json!("nightly");
        request["resources"] = json!([scene.original]);
        let execution = bench.restore(request, &format!("restore-{number}")).await;
        account
            .simulator
            .ask(reqwest::Method::DELETE, "faults", None)
            .await
            .unwrap();
        // Everything is to be seen by now.
        let settings = json!({"visibility_delay_seconds": 0, "instance_transition_seconds": 0});
        account.simulator.post("settings", settings).await.unwrap();
        bench.pass(200.0).await;
        let label = format!("{} of {}", attempt.mode(), scene.original);
        let after = World::of(&account.ec2()).await;
        if let Some(field) = &attempt.refused {
            let words = failed(&execution.status);
            let field = scene.fill(&json!(field));
            let field = field.as_str().unwrap();
            let is_named = words.starts_with("PermanentError") && words.contains(&format!("{field}: "));
            assert!(is_named, "{label}: {words}");
            let made = changing_calls(&account).await - calls;
            assert_eq!(made, 0, "{label}: something was made");
            assert_eq!(after, before, "{label}");
        } else if let Some(why) = &attempt.fails {
            let words = failed(&execution.status);
            assert!(words.contains(why), "{label}: {words}");
            assert_eq!(after, before, "{label}");
        } else {
            let output = succeeded(execution);
            let now = scene.snapshots().await;
            assert_eq!(now, snapshots, "{label}: the backup is not as it was");
            let seen = Seen {
                scene: &scene,
                attempt,
                before: &before,
                after: &after,
                output: &output,
                label: &label,
            };
            Box::pin(seen.check()).await;
        }
        // An instance was launched from an image to look at it.
        before = if attempt.mode() == "image" {
            World::of(&account.ec2()).await
        } else {
            after
        };
    }
}

/// A restore that came to its end, and what was there before it.
struct Seen<'a> {
    scene: &'a Scene<'a>,
    attempt: &'a Attempt,
    before: &'a World,
    after: &'a World,
    output: &'a Value,
    label: &'a str,
}

impl Seen<'_> {
    async fn check(&self) {
        let Self {
            scene, output, label, ..
        } = self;
        let attempt = self.attempt;
        let status = if attempt.differs.is_empty() {
            "COMPLETED"
        } else {
            "PARTIAL"
        };
        assert_eq!(output["status"], status, "{label}: {output:#}");
        let restored = &output["restores"][0];
        let fields = |differences: &Value| -> BTreeSet<String> {
            let differences = differences.as_array().into_iter().flatten();
            let fields = differences.filter_map(|difference| difference["field"].as_str());
            fields.map(str::to_owned).collect()
        };
        assert_eq!(
            fields(&restored["differences"]),
            attempt.differs,
            "{label}: {output:#}"
        );
        let announced = fields(&restored["announced"]);
        let is_coded = !scene.portrait["product_codes"].ends_with("[]")
            || scene.portrait["usage_operation"] != "Some(\"RunInstances\")";
        let expected = self.attempt.all_announced(is_coded);
        let expected: BTreeSet<String> = expected
            .iter()
            .map(|field| scene.fill(&json!(field)).as_str().unwrap().to_owned())
            .collect();
        assert_eq!(announced, expected, "{label}: {output:#}");
        let after = self.after;
        assert_eq!(after.leftovers, Vec::<String>::new(), "{label}");
        match self.attempt.mode() {
            "clone" | "non_destructive" => self.stands_beside(after, &announced).await,
            "destructive" => self.stands_instead(after, &announced).await,
            "in_place" => self.stands_again(after, &announced).await,
            "volumes" => self.has_volumes(after).await,
            _ => self.has_image(after).await,
        }
    }

    /// The instance that was made, with the captured bytes, and differing in nothing but what was announced.
    async fn is_whole(&self, id: &str, announced: &BTreeSet<String>) {
        let (scene, label) = (self.scene, self.label);
        let ec2 = scene.account.ec2();
        let volumes = volumes_of(&ec2, id).await;
        let asked = self.attempt.asked_devices();
        let is_asked = |device: &String| asked.as_ref().is_none_or(|asked| asked.contains(device));
        for (device, captured) in scene.captured.iter().filter(|(device, _)| is_asked(device)) {
            let device = self.attempt.moved.get(device).unwrap_or(device);
            let volume = volumes
                .get(device)
                .unwrap_or_else(|| panic!("{label}: nothing at {device}"));
            assert_eq!(
                digest(scene.account, volume).await,
                *captured,
                "{label}: {device}"
            );
        }
        let found = portrait(&ec2, id).await;
        let fields: BTreeSet<&String> = scene.portrait.keys().chain(found.keys()).collect();
        let is_announced = |field: &str| {
            let told = [&self.attempt.follows, &self.attempt.differs];
            let roots = announced.iter().chain(told.into_iter().flatten());
            let mut roots = roots.filter_map(|root| field.strip_prefix(root.as_str()));
            roots.any(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        // An exchange in place says nothing of the state, which is the instance's own.
        let in_place = self.attempt.mode() == "in_place";
        let silent: Vec<String> = fields
            .into_iter()
            .filter(|field| scene.portrait.get(*field) != found.get(*field) && !is_announced(field))
            .filter(|field| !(in_place && *field == "state"))
            .map(|field| format!("{field}: {:?}, {:?}", scene.portrait.get(field), found.get(field)))
            .collect();
        assert_eq!(
            silent,
            Vec::<String>::new(),
            "{label}: it differs, and nobody said so"
        );
    }

    /// What was there is there as it was.
    fn is_untouched(&self, after: &World) {
        let label = self.label;
        let all = |world: &World| {
            let mut all = world.instances.clone();
            all.extend(world.volumes.clone());
            if !self.attempt.takes_over {
                all.extend(world.interfaces.clone());
            }
            all.extend(world.images.clone());
            all
        };
        let after = all(after);
        for (id, before) in all(self.before) {
            assert_eq!(after.get(&id), Some(&before), "{label}: {id}");
        }
    }

    fn made(&self) -> String {
        let id = self.output["restores"][0]["instance_id"].as_str();
        id.expect("an instance was made").to_owned()
    }

    async fn stands_beside(&self, after: &World, announced: &BTreeSet<String>) {
        let (before, label) = (self.before, self.label);
        self.is_untouched(after);
        assert_eq!(after.instances.len(), before.instances.len() + 1, "{label}");
        assert_eq!(
            after.volumes.len(),
            before.volumes.len() + self.scene.captured.len(),
            "{label}"
        );
        assert_eq!(after.images, before.images, "{label}");
        self.is_whole(&self.made(), announced).await;
    }

    async fn stands_instead(&self, after: &World, announced: &BTreeSet<String>) {
        let (before, label) = (self.before, self.label);
        let original = &self.scene.original;
        let was_there = before.instances.contains_key(original);
        assert_eq!(
            after.instances.len(),
            before.instances.len() + usize::from(!was_there),
            "{label}"
        );
        assert!(
            !after.instances.contains_key(original),
            "{label}: the original is still there"
        );
        assert_eq!(after.images, before.images, "{label}");
        let id = self.made();
        self.is_whole(&id, announced).await;
        if was_there {
            ends_in_order(self.scene.account, original).await;
            let ids = |world: &World| world.interfaces.keys().cloned().collect::<Vec<_>>();
            assert_eq!(
                ids(after),
                ids(before),
                "{label}: it has the original's interfaces"
            );
        }
        // Of the original's volumes those stay that were not to end with it.
        let (ended, kept) = (format!("Some(\"{original}\")"), "delete_on_termination");
        for (volume, line) in &before.volumes {
            if line.contains(&ended) && after.volumes.contains_key(volume) {
                let device = self
                    .scene
                    .captured
                    .keys()
                    .find(|device| line.contains(&format!("Some(\"{device}\")")));
                let ends =
                    device.and_then(|device| self.scene.portrait.get(&format!("volumes.{device}.{kept}")));
                assert_ne!(
                    ends.map(String::as_str),
                    Some("Some(true)"),
                    "{label}: {volume} {line}"
                );
                let is_free = !after.volumes[volume].contains(&ended);
                assert!(is_free, "{label}: {volume} {}", after.volumes[volume]);
            }
        }
    }

    async fn stands_again(&self, after: &World, announced: &BTreeSet<String>) {
        let (before, label) = (self.before, self.label);
        let original = &self.scene.original;
        assert_eq!(self.made(), *original, "{label}");
        assert_eq!(after.instances.len(), before.instances.len(), "{label}");
        assert_eq!(after.interfaces, before.interfaces, "{label}");
        assert_eq!(after.images, before.images, "{label}");
        // State, interfaces, protections and tags; the volumes are others.
        let itself = |world: &World| {
            let line = world.instances[original].clone();
            let (volumes, rest) = line.split_once("} ").unwrap();
            (volumes.split(' ').next().unwrap().to_owned(), rest.to_owned())
        };
        assert_eq!(itself(after), itself(before), "{label}");
        for volume in before.volumes.keys() {
            assert!(after.volumes.contains_key(volume), "{label}: {volume} is gone");
        }
        self.is_whole(original, announced).await;
    }

    async fn has_volumes(&self, after: &World) {
        let (before, label) = (self.before, self.label);
        let account = self.scene.account;
        let made = self.output["restores"][0]["volumes"]
            .as_object()
            .expect("volumes were made");
        assert_eq!(after.volumes.len(), before.volumes.len() + made.len(), "{label}");
        let asked = self.attempt.request.get("volumes");
        let devices = self.attempt.asked_devices().map(|devices| devices.len());
        assert_eq!(
            made.len(),
            devices.unwrap_or(self.scene.captured.len()),
            "{label}"
        );
        for (device, volume) in made {
            let volume = volume.as_str().unwrap();
            assert_eq!(
                digest(account, volume).await,
                self.scene.captured[device],
                "{label}: {device}"
            );
        }
        let Some(instance) = asked.and_then(|asked| asked["attach_to"].as_str()) else {
            return self.is_untouched(after);
        };
        let instance = self.scene.fill(&json!(instance));
        let there = volumes_of(&account.ec2(), instance.as_str().unwrap()).await;
        for (device, volume) in made {
            let asked = asked.and_then(|asked| asked["attach_as"][device].as_str());
            assert_eq!(
                Some(there[asked.unwrap_or(device)].as_str()),
                volume.as_str(),
                "{label}"
            );
        }
    }

    async fn has_image(&self, after: &World) {
        let (before, label, scene) = (self.before, self.label, self.scene);
        self.is_untouched(after);
        assert_eq!(after.instances.len(), before.instances.len(), "{label}");
        assert_eq!(after.volumes.len(), before.volumes.len(), "{label}");
        assert_eq!(after.interfaces.len(), before.interfaces.len(), "{label}");
        assert_eq!(after.images.len(), before.images.len() + 1, "{label}");
        let image = self.output["restores"][0]["image_id"]
            .as_str()
            .expect("an image was made");
        let ec2 = scene.account.ec2();
        let run = ec2.run_instances().image_id(image).min_count(1).max_count(1);
        let run = run.instance_type(scene.kind.as_str().into());
        let launched = run.send().await.expect("an instance launches from the image");
        let id = launched.instances()[0].instance_id().unwrap();
        let volumes = volumes_of(&ec2, id).await;
        for (device, captured) in &scene.captured {
            let device = self.attempt.moved.get(device).unwrap_or(device);
            assert_eq!(
                digest(scene.account, &volumes[device]).await,
                *captured,
                "{label}: {device}"
            );
        }
        let found = portrait(&ec2, id).await;
        for captured in scene.captured.keys() {
            let device = self.attempt.moved.get(captured).unwrap_or(captured);
            for name in [
                "size_gib",
                "volume_type",
                "iops",
                "throughput",
                "delete_on_termination",
            ] {
                assert_eq!(
                    found[&format!("volumes.{device}.{name}")],
                    scene.portrait[&format!("volumes.{captured}.{name}")],
                    "{label}: {device}, {name}"
                );
            }
        }
        for field in [
            "architecture",
            "usage_operation",
            "product_codes",
            "platform",
            "boot_mode",
            "tpm_support",
        ] {
            assert_eq!(found[field], scene.portrait[field], "{label}: {field}");
        }
    }
}

async fn changing_calls(account: &Account) -> u64 {
    let is_reading = |action: &str| {
        ["Describe", "Get", "List"]
            .iter()
            .any(|read| action.starts_with(read))
    };
    let calls = calls_of(account).await;
    let changing = calls.iter().filter(|(action, _)| !is_reading(action));
    changing.map(|(_, calls)| calls).sum()
}

/// Disks of 1 GiB at these devices.
fn of_one_gib(devices: &[&str]) -> Value {
    devices
        .iter()
        .map(|device| json!({"device": device, "gib": 1}))
        .collect()
}

/// Every mode, one after the other, with nothing of note.
fn every_mode() -> Value {
    json!([
        {"mode": "clone"}, {"mode": "non_destructive", "overrides": {"private_address": "automatic"}},
        {"mode": "volumes"}, {"mode": "image"}, {"mode": "in_place"}, {"mode": "destructive"},
    ])
}

#[rstest]
#[case::seven_devices_with_gaps(
    json!({"disks": of_one_gib(&["/dev/sdf", "/dev/sdg", "/dev/sdj", "/dev/sdm", "/dev/sdp", "/dev/xvdba"])}),
    every_mode(),
)]
#[case::one_disk_alone(json!({}), every_mode())]
#[case::device_names_of_nvme_and_xen(
    json!({"disks": of_one_gib(&["/dev/nvme1n1", "xvdb", "/dev/sdf1"])}),
    json!([
        {"mode": "clone"}, {"mode": "in_place"}, {"mode": "destructive"},
        {"mode": "volumes", "volumes": {"attach_to": "$original", "attach_as": {
            "/dev/xvda": "/dev/nvme5n1", "/dev/nvme1n1": "/dev/nvme6n1", "xvdb": "xvdc", "/dev/sdf1": "/dev/sdf2",
        }}},
    ]),
)]
#[case::boot_volume_at_sda1(
    json!({
        "images": {"debian": {"root_device": "/dev/sda1", "devices": [{"device": "/dev/sda1", "size_gib": 2}]}},
        "image": "debian", "disks": of_one_gib(&["/dev/sdb"]),
    }),
    every_mode(),
)]
#[case::instance_store(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "instance_store": {"/dev/sdb": "ephemeral0", "/dev/sdc": "ephemeral1"}}),
    json!([
        {"mode": "clone"}, {"mode": "image"},
        {"mode": "in_place", "refused": "overrides.accept_instance_store_loss"},
        {"mode": "volumes", "volumes": {"devices": ["/dev/sdf"], "attach_to": "$original",
            "attach_as": {"/dev/sdf": "/dev/sdb"}}, "refused": "volumes.attach_as./dev/sdf"},
        {"mode": "in_place", "overrides": {"accept_instance_store_loss": true}},
        {"mode": "destructive"},
    ]),
)]
#[case::io2_and_st1(
    json!({"disks": [
        {"device": "/dev/sdf", "gib": 4, "kind": "io2", "iops": 500},
        {"device": "/dev/sdg", "gib": 125, "kind": "st1"},
        {"device": "/dev/xvda", "gib": 9, "kind": "gp3", "iops": 4000, "throughput": 250},
    ]}),
    every_mode(),
)]
#[case::io1_sc1_gp2_and_magnetic(
    json!({"disks": [
        {"device": "/dev/sdf", "gib": 4, "kind": "io1", "iops": 100}, {"device": "/dev/sdg", "gib": 125, "kind": "sc1"},
        {"device": "/dev/sdh", "gib": 300, "kind": "gp2"}, {"device": "/dev/sdi", "gib": 1, "kind": "standard"},
    ]}),
    every_mode(),
)]
#[case::encrypted_with_three_keys(
    json!({"disks": [
        {"device": "/dev/xvda", "key": "a"}, {"device": "/dev/sdf", "gib": 1, "key": "b"},
        {"device": "/dev/sdg", "gib": 1, "key": "c"}, {"device": "/dev/sdh", "gib": 1, "encrypted": true},
    ]}),
    every_mode(),
)]
#[case::another_key_for_all_and_one_for_one(
    json!({"disks": [{"device": "/dev/xvda"}, {"device": "/dev/sdf", "gib": 1, "key": "a"}], "keys": ["all", "one"]}),
    json!([
        {"mode": "clone", "overrides": {"kms_key_id": "$key.all", "volumes": {"/dev/sdf": {"kms_key_id": "$key.one"}}},
            "announces": ["volumes./dev/xvda.encrypted", "volumes./dev/xvda.kms_key_id",
                "volumes./dev/sdf.kms_key_id"]},
        {"mode": "volumes", "overrides": {"kms_key_id": "$key.all"},
            "announces": ["volumes./dev/xvda.encrypted", "volumes./dev/xvda.kms_key_id",
                "volumes./dev/sdf.kms_key_id"]},
        {"mode": "in_place", "overrides": {"kms_key_id": "$key.all"},
            "announces": ["volumes./dev/xvda.encrypted", "volumes./dev/xvda.kms_key_id",
                "volumes./dev/sdf.kms_key_id"]},
        {"mode": "clone", "overrides": {"kms_key_id": "alias/nobody-made-this"},
            "refused": "overrides.volumes./dev/xvda.kms_key_id"},
    ]),
)]
#[case::key_disabled_since(
    json!({"disks": [{"device": "/dev/sdf", "gib": 1, "key": "a"}], "since": [{"disable_key": "a"}]}),
    json!([
        {"mode": "clone", "refused": "recovery_point_id"}, {"mode": "destructive", "refused": "recovery_point_id"},
        {"mode": "in_place", "refused": "recovery_point_id"},
        {"mode": "volumes", "volumes": {"devices": ["/dev/xvda"]}},
    ]),
)]
#[case::volume_detached_since(
    json!({"disks": of_one_gib(&["/dev/sdf", "/dev/sdg"]), "since": [{"detach": "/dev/sdf"}]}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "announces": []}, {"mode": "destructive"},
    ]),
)]
#[case::volume_deleted_since(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "since": [{"delete": "/dev/sdf"}]}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "volumes": {"devices": ["/dev/sdf"]}},
        {"mode": "in_place"}, {"mode": "destructive"},
    ]),
)]
#[case::new_volume_since(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "since": [{"new_volume": ["/dev/sdz", false]}]}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "announces": ["volumes./dev/sdz"]}, {"mode": "destructive"},
    ]),
)]
#[case::new_volume_since_that_ends_with_the_original(
    json!({"since": [{"new_volume": ["/dev/sdz", true]}]}),
    json!([
        {"mode": "destructive", "refused": "mode"}, {"mode": "clone"},
        {"mode": "in_place", "announces": ["volumes./dev/sdz"]},
    ]),
)]
#[case::another_volume_where_one_was(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "since": [{"new_volume": ["/dev/sdf", true]}]}),
    json!([
        {"mode": "in_place", "announces": ["volumes./dev/sdf.volume_id"]},
        {"mode": "destructive", "announces": ["volumes./dev/sdf.volume_id"]},
    ]),
)]
#[case::volume_moved_since(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "since": [{"move": {"/dev/sdf": "/dev/sdg"}}]}),
    json!([{"mode": "clone"}, {"mode": "in_place"}, {"mode": "destructive"}]),
)]
#[case::volumes_swapped_since(
    json!({"disks": of_one_gib(&["/dev/sdf", "/dev/sdg"]),
        "since": [{"move": {"/dev/sdf": "/dev/sdg", "/dev/sdg": "/dev/sdf"}}]}),
    json!([
        {"mode": "in_place", "volumes": {"devices": ["/dev/sdf"]}, "refused": "volumes.devices"},
        {"mode": "in_place"}, {"mode": "destructive"},
    ]),
)]
#[case::boot_volume_that_stays_and_data_that_ends(
    json!({"disks": [
        {"device": "/dev/xvda", "ends": false}, {"device": "/dev/sdf", "gib": 1, "ends": true},
        {"device": "/dev/sdg", "gib": 1, "ends": false},
    ]}),
    every_mode(),
)]
#[case::volume_that_two_instances_have(
    json!({"disks": [{"device": "/dev/sdf", "gib": 4, "kind": "io2", "iops": 100, "shared": true}]}),
    json!([
        {"mode": "clone", "announces": ["volumes./dev/sdf.multi_attach_enabled"]},
        {"mode": "in_place", "refused": "mode"},
        {"mode": "destructive", "announces": ["volumes./dev/sdf.multi_attach_enabled"]},
    ]),
)]
#[case::volumes_of_other_types_and_sizes_asked_for(
    json!({"disks": [{"device": "/dev/sdf", "gib": 4, "kind": "io2", "iops": 500}]}),
    json!([
        {"mode": "clone", "overrides": {"volumes": {"/dev/sdf": {"volume_type": "gp3", "size_gib": 6}}},
            "announces": ["volumes./dev/sdf.volume_type", "volumes./dev/sdf.size_gib", "volumes./dev/sdf.iops",
                "volumes./dev/sdf.throughput"]},
        {"mode": "clone", "overrides": {"volumes": {"/dev/sdf": {"size_gib": 2}}},
            "refused": "overrides.volumes./dev/sdf.size_gib"},
        {"mode": "clone", "overrides": {"volumes": {"/dev/xvda": {"volume_type": "io2"}}},
            "refused": "overrides.volumes./dev/xvda.iops"},
        {"mode": "clone", "overrides": {"volumes": {"/dev/sdq": {"size_gib": 2}}},
            "refused": "overrides.volumes./dev/sdq"},
        {"mode": "volumes", "volumes": {"availability_zone": "us-east-1z"}, "refused": "volumes.availability_zone"},
        {"mode": "in_place", "overrides": {"volumes": {"/dev/sdf": {"volume_type": "gp3"}}},
            "announces": ["volumes./dev/sdf.volume_type", "volumes./dev/sdf.iops", "volumes./dev/sdf.throughput"]},
    ]),
)]
#[case::snapshots_gone(
    json!({"since": ["lose_snapshots"]}),
    json!([
        {"mode": "clone", "refused": "recovery_point_id"}, {"mode": "destructive", "refused": "recovery_point_id"},
        {"mode": "in_place", "refused": "recovery_point_id"}, {"mode": "volumes", "refused": "recovery_point_id"},
        {"mode": "image", "refused": "recovery_point_id"},
    ]),
)]
#[case::snapshots_archived(
    json!({"since": ["archive_snapshots"]}),
    json!([{"mode": "clone", "refused": "recovery_point_id"}, {"mode": "image", "refused": "recovery_point_id"}]),
)]
#[tokio::test(flavor = "multi_thread")]
async fn disks(#[case] description: Value, #[case] attempts: Value) {
    Box::pin(try_all(description, attempts)).await;
}

#[rstest]
#[case::several_interfaces_and_addresses(
    json!({"instance_type": "m5.large", "interfaces": [
        {"secondary": 2, "ipv6": 2, "prefixes": 1, "groups": ["front", "more"]},
        {"secondary": 1, "groups": ["back"], "open": true, "stays": true}, {"ipv6": 1},
    ]}),
    json!([
        {"mode": "clone", "announces": ["interfaces.0.ipv6_addresses", "interfaces.0.ipv4_prefixes",
            "interfaces.0.ipv6_prefixes", "interfaces.1.private_addresses", "interfaces.2.private_addresses",
            "interfaces.2.ipv6_addresses"]},
        {"mode": "non_destructive", "refused": "overrides.private_address"},
        {"mode": "image"}, {"mode": "in_place"}, {"mode": "destructive"},
    ]),
)]
#[case::several_interfaces_of_one_that_is_gone(
    json!({"instance_type": "m5.large", "interfaces": [
        {"secondary": 2, "ipv6": 2, "prefixes": 1, "groups": ["front"]},
        {"secondary": 1, "open": true, "stays": true}, {"ipv6": 1},
    ], "since": ["terminate"]}),
    json!([{"mode": "non_destructive", "takes_over": true}, {"mode": "destructive"}, {"mode": "image"}]),
)]
#[case::several_network_cards(
    json!({"instance_type": "m5.large", "interfaces": [{}, {"card": 1, "groups": ["back"]}, {"card": 2, "stays": true}]}),
    json!([
        {"mode": "clone", "announces": ["interfaces.card 1:1.private_addresses", "interfaces.card 2:1.private_addresses"]},
        {"mode": "in_place"}, {"mode": "destructive"},
    ]),
)]
#[case::several_network_cards_of_one_that_is_gone(
    json!({"instance_type": "m5.large", "interfaces": [{}, {"card": 1}, {"card": 2, "secondary": 1, "open": true}],
        "since": ["terminate"]}),
    json!([{"mode": "non_destructive"}]),
)]
#[case::too_many_interfaces_for_another_type(
    json!({"instance_type": "m5.large", "interfaces": [{}, {}, {}]}),
    json!([
        {"mode": "clone", "overrides": {"instance_type": "m5.24xlarge"},
            "announces": ["instance_type", "cpu.core_count", "interfaces.1.private_addresses",
                "interfaces.2.private_addresses"]},
        {"mode": "clone", "overrides": {"instance_type": "t3.micro"}, "refused": "overrides.interfaces"},
        {"mode": "clone", "overrides": {"instance_type": "t3.micro", "interfaces": "primary_only"},
            "announces": ["instance_type", "cpu_credits", "interfaces.1", "interfaces.2"]},
        {"mode": "destructive", "overrides": {"instance_type": "t3.micro"}, "refused": "overrides.instance_type"},
    ]),
)]
#[case::no_public_address(
    json!({"public": false}),
    json!([{"mode": "clone"}, {"mode": "destructive"}]),
)]
#[case::public_address_that_aws_lends(
    json!({"public": true}),
    json!([
        {"mode": "clone", "announces": ["public_ip_address"]}, {"mode": "in_place"},
        {"mode": "destructive", "announces": ["public_ip_address"]},
    ]),
)]
#[case::elastic_addresses_on_the_first_and_a_further_address(
    json!({"interfaces": [{"secondary": 2}, {}], "elastic": [[0, 0], [0, 2], [1, 0]]}),
    json!([
        {"mode": "clone", "announces": ["interfaces.0.elastic_ips", "interfaces.1.elastic_ips",
            "interfaces.1.private_addresses"], "follows": ["public_ip_address"]},
        {"mode": "non_destructive", "overrides": {"private_address": "automatic"}, "refused": "overrides.elastic_ips"},
        {"mode": "non_destructive", "overrides": {"private_address": "automatic", "elastic_ips": "take"},
            "announces": ["interfaces.0.elastic_ips", "interfaces.1.private_addresses", "interfaces.1.elastic_ips"],
            "takes_over": true},
        {"mode": "in_place"}, {"mode": "destructive"},
    ]),
)]
#[case::elastic_address_of_one_that_is_gone(
    json!({"interfaces": [{"secondary": 1}], "elastic": [[0, 1]], "since": ["terminate"]}),
    json!([{"mode": "clone", "announces": ["interfaces.0.elastic_ips"]},
        {"mode": "non_destructive", "takes_over": true}, {"mode": "destructive"}]),
)]
#[case::elastic_address_released_since(
    json!({"elastic": [[0, 0]], "since": ["release_elastic", "terminate"]}),
    json!([
        {"mode": "non_destructive", "refused": "overrides.elastic_ips"},
        {"mode": "destructive", "refused": "overrides.elastic_ips"},
        {"mode": "non_destructive", "overrides": {"elastic_ips": "leave"},
            "announces": ["interfaces.0.elastic_ips"], "follows": ["public_ip_address"]},
    ]),
)]
#[case::elastic_address_with_another_by_now(
    json!({"elastic": [[0, 0]], "since": ["move_elastic"]}),
    json!([
        {"mode": "destructive", "refused": "overrides.elastic_ips"},
        {"mode": "non_destructive", "overrides": {"private_address": "automatic"}, "refused": "overrides.elastic_ips"},
        {"mode": "in_place", "announces": ["interfaces.0.elastic_ips"], "follows": ["public_ip_address"]},
        {"mode": "non_destructive", "overrides": {"private_address": "automatic", "elastic_ips": "take"},
            "announces": ["interfaces.0.elastic_ips"], "takes_over": true},
        {"mode": "destructive", "overrides": {"elastic_ips": "take"}},
    ]),
)]
#[case::address_taken_by_another(
    json!({"since": ["terminate", "take_address"]}),
    json!([
        {"mode": "non_destructive", "refused": "overrides.private_address"},
        {"mode": "destructive", "refused": "mode"}, {"mode": "in_place", "refused": "mode"},
        {"mode": "non_destructive", "overrides": {"private_address": "$address"},
            "refused": "overrides.private_address"},
        {"mode": "clone", "overrides": {"private_address": "10.9.9.9"}, "refused": "overrides.private_address"},
        {"mode": "non_destructive", "overrides": {"private_address": "automatic"}},
    ]),
)]
#[case::address_of_ones_own_choice(
    json!({"subnet": "172.31.200.0/24"}),
    json!([{"mode": "clone", "overrides": {"private_address": "172.31.200.77"}}]),
)]
#[case::subnet_deleted(
    json!({"subnet": "172.31.200.0/24", "since": ["terminate", {"delete_subnet": "subnet"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.subnet_id"},
        {"mode": "non_destructive", "refused": "overrides.subnet_id"}, {"mode": "destructive", "refused": "mode"},
        {"mode": "non_destructive", "overrides": {"subnet_id": "$elsewhere"},
            "announces": ["interfaces.0.subnet_id", "placement.availability_zone"]},
        {"mode": "volumes"},
    ]),
)]
#[case::subnet_of_a_further_interface_deleted(
    json!({"interfaces": [{}, {"subnet": "172.31.201.0/24"}], "since": ["terminate", {"delete_subnet": "subnet.1"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.interfaces"}, {"mode": "destructive", "refused": "mode"},
        {"mode": "clone", "overrides": {"interfaces": "primary_only"}, "announces": ["interfaces.1"]},
        {"mode": "clone", "overrides": {"interfaces": "all", "subnet_id": "$elsewhere"},
            "announces": ["interfaces.0.subnet_id", "interfaces.1.subnet_id", "interfaces.1.private_addresses",
                "placement.availability_zone"]},
    ]),
)]
#[case::subnet_in_another_zone(
    json!({"interfaces": [{}, {}]}),
    json!([
        {"mode": "clone", "overrides": {"subnet_id": "$elsewhere"}, "refused": "overrides.interfaces"},
        {"mode": "clone", "overrides": {"subnet_id": "$elsewhere", "interfaces": "primary_only"},
            "announces": ["interfaces.0.subnet_id", "interfaces.1", "placement.availability_zone"]},
        {"mode": "clone", "overrides": {"subnet_id": "subnet-0123456789abcdef0"}, "refused": "overrides.subnet_id"},
    ]),
)]
#[case::subnet_without_room(
    json!({"subnet": "172.31.200.0/28", "since": ["fill_subnet"]}),
    json!([
        {"mode": "clone", "refused": "overrides.subnet_id"}, {"mode": "destructive", "refused": "mode"},
        {"mode": "in_place"},
    ]),
)]
#[case::group_deleted(
    json!({"interfaces": [{"groups": ["front"]}], "since": ["terminate", {"delete_group": "front"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.security_group_ids"}, {"mode": "destructive", "refused": "mode"},
        {"mode": "clone", "overrides": {"security_group_ids": ["sg-0123456789abcdef0"]},
            "refused": "overrides.security_group_ids"},
    ]),
)]
#[case::groups_changed_since(
    json!({"interfaces": [{"groups": ["front"]}], "since": [{"change_groups": "back"}]}),
    json!([
        {"mode": "clone"},
        {"mode": "clone", "overrides": {"security_group_ids": ["$group.back"]},
            "announces": ["interfaces.0.security_groups"]},
        {"mode": "in_place", "announces": ["interfaces.0.security_groups"]},
        {"mode": "destructive", "announces": ["interfaces.0.security_groups"]},
    ]),
)]
#[case::free_interface_with_other_groups_by_now(
    json!({"interfaces": [{"groups": ["front"], "stays": true}], "since": [{"change_groups": "back"}, "terminate"]}),
    json!([
        {"mode": "non_destructive", "announces": ["interfaces.0.security_groups"], "takes_over": true},
        {"mode": "destructive", "announces": ["interfaces.0.security_groups"], "takes_over": true},
    ]),
)]
#[case::free_interface_whose_captured_group_is_deleted(
    json!({"interfaces": [{"groups": ["front"], "stays": true}],
        "since": [{"change_groups": "back"}, "terminate", {"delete_group": "front"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.security_group_ids"},
        {"mode": "non_destructive", "announces": ["interfaces.0.security_groups"], "takes_over": true},
    ]),
)]
#[case::interface_attached_since(
    json!({"since": ["new_interface"]}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "announces": ["interfaces.1"]}, {"mode": "destructive"},
    ]),
)]
#[tokio::test(flavor = "multi_thread")]
async fn networks(#[case] description: Value, #[case] attempts: Value) {
    Box::pin(try_all(description, attempts)).await;
}

/// An image that is billed as something.
fn billed(operation: &str, codes: Value) -> Value {
    json!({
        "root_device": "/dev/sda1", "usage_operation": operation, "platform_details": "not plain Linux",
        "devices": [{"device": "/dev/sda1", "size_gib": 2}, {"device": "/dev/sdw", "size_gib": 1}],
        "product_codes": codes,
    })
}

fn windows() -> Value {
    let mut image = billed("RunInstances:0002", json!([]));
    image["platform"] = json!("windows");
    image
}

fn from_marketplace() -> Value {
    billed(
        "RunInstances:0010",
        json!([{"id": "abc123", "kind": "marketplace"}]),
    )
}

#[rstest]
#[case::windows(
    json!({"images": {"windows": windows()}, "image": "windows", "disks": of_one_gib(&["/dev/sdf"]),
        "options": {"user_data": "PHBvd2Vyc2hlbGw+"}}),
    every_mode(),
)]
#[case::windows_without_a_device_of_its_image(
    json!({"images": {"windows": windows()}, "image": "windows", "without": ["/dev/sdw"]}),
    every_mode(),
)]
#[case::marketplace_code(
    json!({"images": {"market": from_marketplace()}, "image": "market", "disks": of_one_gib(&["/dev/sdf"])}),
    every_mode(),
)]
#[case::marketplace_image_withdrawn(
    json!({"images": {"market": from_marketplace()}, "image": "market", "disks": of_one_gib(&["/dev/sdf"]),
        "since": [{"deregister": "market"}]}),
    every_mode(),
)]
#[case::marketplace_image_and_original_gone(
    json!({"images": {"market": from_marketplace(), "newer": from_marketplace(), "windows": windows()},
        "image": "market", "since": [{"deregister": "market"}, "terminate"]}),
    json!([
        {"mode": "clone", "refused": "overrides.image_id"}, {"mode": "image", "refused": "overrides.image_id"},
        {"mode": "destructive", "refused": "overrides.image_id"},
        {"mode": "clone", "overrides": {"image_id": "$image.windows"}, "refused": "overrides.image_id"},
        {"mode": "clone", "overrides": {"image_id": "ami-00000000000000001"}, "refused": "overrides.image_id"},
        {"mode": "clone", "overrides": {"image_id": "$image.newer"}},
        {"mode": "volumes"}, {"mode": "non_destructive", "overrides": {"image_id": "$image.newer"}},
    ]),
)]
#[case::plain_instance_from_an_image_with_another_boot_device(
    json!({"images": {"debian": {"root_device": "/dev/sda1", "devices": [{"device": "/dev/sda1", "size_gib": 2}]}},
        "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "clone", "overrides": {"image_id": "$image.debian"}, "moved": {"/dev/xvda": "/dev/sda1"},
            "announces": ["root_device_name", "volumes./dev/xvda", "volumes./dev/sda1"]},
    ]),
)]
#[case::graviton(
    json!({"instance_type": "t4g.small", "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "clone", "overrides": {"instance_type": "t3.micro"}, "refused": "overrides.instance_type"},
        {"mode": "clone", "overrides": {"instance_type": "z9.mega"}, "refused": "overrides.instance_type"},
        {"mode": "clone", "overrides": {"instance_type": "m6g.medium"},
            "announces": ["instance_type", "cpu.core_count", "cpu_credits"]},
        {"mode": "clone"}, {"mode": "image"}, {"mode": "destructive"},
    ]),
)]
#[case::uefi_with_tpm(
    json!({"images": {"secure": {"root_device": "/dev/xvda", "boot_mode": "uefi", "ena_support": true,
        "tpm_support": "v2.0", "devices": [{"device": "/dev/xvda", "size_gib": 2}]}}, "image": "secure"}),
    every_mode(),
)]
#[case::type_that_cannot_boot_it(
    json!({"images": {"secure": {"root_device": "/dev/xvda", "boot_mode": "uefi",
        "devices": [{"device": "/dev/xvda", "size_gib": 2}]}}, "image": "secure"}),
    json!([
        {"mode": "clone", "overrides": {"instance_type": "t2.small"}, "refused": "overrides.instance_type"},
        {"mode": "destructive", "overrides": {"instance_type": "t2.small"}, "refused": "overrides.instance_type"},
        {"mode": "clone", "overrides": {"instance_type": "t3.small"}, "announces": ["instance_type"]},
    ]),
)]
#[case::protected_from_termination(
    json!({"protected": ["termination"]}),
    json!([
        {"mode": "destructive", "refused": "overrides.lift_protection"}, {"mode": "clone"}, {"mode": "in_place"},
        {"mode": "destructive", "overrides": {"lift_protection": true}},
    ]),
)]
#[case::protected_from_stop_and_termination(
    json!({"protected": ["stop", "termination"], "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "destructive", "refused": "overrides.lift_protection"},
        {"mode": "in_place", "refused": "overrides.lift_protection"}, {"mode": "clone"},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}, "proof": {},
            "refused": "overrides.lift_protection"},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}},
        {"mode": "in_place", "overrides": {"lift_protection": true}, "proof": {}},
        {"mode": "destructive", "overrides": {"lift_protection": true}},
    ]),
)]
#[case::stopped(
    json!({"stopped": true, "disks": of_one_gib(&["/dev/sdf"])}),
    every_mode(),
)]
#[case::stopped_and_from_marketplace(
    json!({"stopped": true, "images": {"market": from_marketplace()}, "image": "market"}),
    every_mode(),
)]
#[case::type_changed_since(
    json!({"since": [{"change_type": "t3.large"}]}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "announces": ["instance_type"]}, {"mode": "destructive"},
        {"mode": "destructive", "overrides": {"instance_type": "t3.large"}, "announces": ["instance_type"]},
    ]),
)]
#[case::spot(
    json!({"options": {"spot": true}, "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "destructive", "refused": "mode"}, {"mode": "in_place", "refused": "mode"}, {"mode": "image"},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}}, {"mode": "clone", "announces": ["lifecycle"]},
    ]),
)]
#[case::spot_that_was_taken_back(
    json!({"options": {"spot": true}, "since": ["terminate"]}),
    json!([{"mode": "destructive", "announces": ["lifecycle"]}]),
)]
#[case::dedicated_host(
    json!({"instance_type": "m5.large", "options": {"tenancy": "host", "host_id": "h-0123456789abcdef0"}}),
    json!([
        {"mode": "clone"},
        {"mode": "clone", "overrides": {"placement": "default"},
            "announces": ["placement.tenancy", "placement.host_id"]},
        {"mode": "destructive"},
    ]),
)]
#[case::partition_of_a_placement_group(
    json!({"instance_type": "m5.large", "options": {"group_name": "shards", "partition_number": 3}}),
    json!([
        {"mode": "clone"}, {"mode": "clone", "overrides": {"placement": "default"},
            "announces": ["placement.group_name", "placement.partition_number"]},
        {"mode": "destructive"},
    ]),
)]
#[case::capacity_reservation(
    json!({"instance_type": "m5.large", "options": {"reservation_id": "cr-0123456789abcdef0"}}),
    json!([
        {"mode": "clone"}, {"mode": "clone", "overrides": {"placement": "default"},
            "announces": ["capacity_reservation.reservation_id"]},
        {"mode": "destructive"},
    ]),
)]
#[case::dedicated_host_released(
    json!({"instance_type": "m5.large", "options": {"tenancy": "host", "host_id": "h-0123456789abcdef0"},
        "since": ["terminate", {"release_host": "h-0123456789abcdef0"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.placement"},
        {"mode": "non_destructive", "refused": "overrides.placement"},
        {"mode": "clone", "overrides": {"placement": "default"},
            "announces": ["placement.tenancy", "placement.host_id"]},
    ]),
)]
#[case::placement_group_deleted(
    json!({"instance_type": "m5.large", "options": {"group_name": "shards"},
        "since": ["terminate", {"delete_placement_group": "shards"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.placement"},
        {"mode": "clone", "overrides": {"placement": "default"}, "announces": ["placement.group_name"]},
    ]),
)]
#[case::capacity_reservation_cancelled(
    json!({"instance_type": "m5.large", "options": {"reservation_id": "cr-0123456789abcdef0"},
        "since": [{"cancel_reservation": "cr-0123456789abcdef0"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.placement"},
        {"mode": "destructive", "refused": "overrides.placement"},
        {"mode": "in_place"},
        {"mode": "destructive", "overrides": {"placement": "default"},
            "announces": ["capacity_reservation.reservation_id"]},
    ]),
)]
#[case::type_that_a_zone_does_not_have(
    json!({"instance_type": "m5.large", "since": [{"withhold": ["m5.large", "us-east-1b"]}]}),
    json!([
        {"mode": "clone"},
        {"mode": "clone", "overrides": {"subnet_id": "$elsewhere"}, "refused": "overrides.instance_type"},
        {"mode": "clone", "overrides": {"subnet_id": "$elsewhere", "instance_type": "t3.micro"},
            "announces": ["instance_type", "cpu_credits", "interfaces.0.subnet_id", "placement.availability_zone"]},
    ]),
)]
#[case::fewer_cores_than_the_type_has(
    json!({"instance_type": "m5.2xlarge", "options": {"cpu": [2, 1]}}),
    json!([
        {"mode": "clone"}, {"mode": "clone", "overrides": {"instance_type": "m5.xlarge"},
            "announces": ["instance_type", "cpu.threads_per_core"]},
        {"mode": "destructive"},
    ]),
)]
#[case::enclave_bandwidth_and_license(
    json!({"instance_type": "m7i.xlarge", "options": {
        "enclave": true, "bandwidth": "ebs-1", "auto_recovery": "disabled", "monitoring": true, "ebs_optimized": true,
        "license": "arn:aws:license-manager:us-east-1:123456789012:license-configuration:lic-0123", "profile": "shop",
        "key_name": "ops", "user_data": "IyEvYmluL3NoCg==", "without_metadata": true,
    }}),
    json!([
        {"mode": "clone"}, {"mode": "destructive"},
        {"mode": "clone", "overrides": {"key_name": "", "iam_instance_profile_arn": "", "without_user_data": true},
            "announces": ["key_name", "iam_instance_profile_arn", "user_data"]},
        {"mode": "clone", "overrides": {"instance_type": "t2.large"}, "announces": ["instance_type", "ebs_optimized",
            "enclave_enabled", "bandwidth_weighting", "cpu_credits", "cpu.threads_per_core"]},
        {"mode": "clone", "overrides": {"name": "copy", "tags": {"stage": "test"}},
            "announces": ["tags.Name", "tags.stage", "volumes./dev/xvda.tags.stage"]},
    ]),
)]
#[case::encrypted_by_default_since(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "keys": ["account"], "since": [{"encrypt_by_default": "account"}]}),
    json!([
        {"mode": "clone", "announces": encrypted(&["/dev/xvda", "/dev/sdf"])},
        {"mode": "volumes", "announces": encrypted(&["/dev/xvda", "/dev/sdf"])},
        {"mode": "image"},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}, "announces": encrypted(&["/dev/xvda"])},
        {"mode": "destructive", "announces": encrypted(&["/dev/xvda", "/dev/sdf"])},
    ]),
)]
#[case::encrypted_by_default_under_a_key_that_is_off(
    json!({"keys": ["account", "other"],
        "since": [{"encrypt_by_default": "account"}, {"disable_key": "account"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.kms_key_id"}, {"mode": "in_place", "refused": "overrides.kms_key_id"},
        {"mode": "image"},
        {"mode": "volumes", "overrides": {"kms_key_id": "$key.other"}, "announces": encrypted(&["/dev/xvda"])},
    ]),
)]
#[case::key_pair_deleted(
    json!({"options": {"key_name": "ops"}, "since": [{"delete_key_pair": "ops"}]}),
    json!([
        {"mode": "clone", "refused": "overrides.key_name"}, {"mode": "destructive", "refused": "overrides.key_name"},
        {"mode": "clone", "overrides": {"key_name": "new"}, "announces": ["key_name"]}, {"mode": "image"},
    ]),
)]
#[case::instance_profile_deleted(
    json!({"options": {"profile": "web"}, "since": [{"lose_profile": ["web", "deleted"]}]}),
    json!([
        {"mode": "clone", "refused": "overrides.iam_instance_profile_arn"},
        {"mode": "destructive", "refused": "overrides.iam_instance_profile_arn"},
        {"mode": "in_place"},
        {"mode": "destructive", "overrides": {"iam_instance_profile_arn": ""}, "announces": ["iam_instance_profile_arn"]},
    ]),
)]
#[case::instance_profile_without_a_role(
    json!({"options": {"profile": "web"}, "since": [{"lose_profile": ["web", "emptied"]}]}),
    json!([
        {"mode": "clone", "refused": "overrides.iam_instance_profile_arn"},
        {"mode": "clone", "overrides": {"iam_instance_profile_arn": ""}, "announces": ["iam_instance_profile_arn"]},
    ]),
)]
#[case::tags_at_the_limit(
    json!({"tags": 50, "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "clone"}, {"mode": "volumes"}, {"mode": "image"}, {"mode": "in_place"},
        {"mode": "destructive", "refused": "mode"},
    ]),
)]
#[case::tags_just_below_the_limit(
    json!({"tags": 49, "disks": of_one_gib(&["/dev/sdf"])}),
    every_mode(),
)]
#[case::disks_of_its_host_that_no_mapping_names(
    json!({"instance_type": "m5d.large", "disks": of_one_gib(&["/dev/sdf"])}),
    json!([
        {"mode": "clone"}, {"mode": "in_place", "refused": "overrides.accept_instance_store_loss"},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}},
        {"mode": "in_place", "overrides": {"accept_instance_store_loss": true}},
    ]),
)]
#[case::deprecated_image_of_an_original_that_is_gone(
    json!({"images": {"market": deprecated(from_marketplace())}, "image": "market", "since": ["terminate"]}),
    json!([{"mode": "clone"}, {"mode": "clone", "overrides": {"image_id": "$image.market"}}, {"mode": "image"}]),
)]
#[case::tags_of_aws(
    json!({"aws_tags": {"aws:cloudformation:stack-name": "shop"}}),
    json!([
        {"mode": "clone", "announces": ["tags.aws:cloudformation:stack-name"]}, {"mode": "image"}, {"mode": "in_place"},
        {"mode": "destructive", "announces": ["tags.aws:cloudformation:stack-name"]},
    ]),
)]
#[case::in_an_auto_scaling_group(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "aws_tags": {"aws:autoscaling:groupName": "web"}}),
    json!([
        {"mode": "destructive", "refused": "mode"}, {"mode": "in_place", "refused": "mode"},
        {"mode": "clone", "announces": ["tags.aws:autoscaling:groupName"]},
        {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}},
    ]),
)]
#[case::credits_of_its_own(
    json!({"options": {"credits": "standard"}}),
    json!([{"mode": "clone"}, {"mode": "clone", "overrides": {"instance_type": "m5.large"},
        "announces": ["instance_type", "cpu_credits"]}]),
)]
#[case::image_name_taken(
    json!({"since": [{"take_name": "shop of tonight"}]}),
    json!([
        {"mode": "image", "image": {"name": "shop of tonight"}, "refused": "image.name"},
        {"mode": "image", "image": {"name": "shop of tomorrow"}},
    ]),
)]
#[case::original_gone(
    json!({"disks": of_one_gib(&["/dev/sdf"]), "since": ["terminate"]}),
    json!([
        {"mode": "in_place", "refused": "mode"}, {"mode": "clone"}, {"mode": "volumes"}, {"mode": "image"},
        {"mode": "volumes", "volumes": {"attach_to": "$original"}, "refused": "volumes.attach_to"},
        {"mode": "non_destructive"}, {"mode": "destructive", "refused": "mode"},
    ]),
)]
#[tokio::test(flavor = "multi_thread")]
async fn instances(#[case] description: Value, #[case] attempts: Value) {
    Box::pin(try_all(description, attempts)).await;
}

/// An image that AWS shows to nobody any more who does not ask for it.
fn deprecated(mut image: Value) -> Value {
    image["deprecated"] = json!(true);
    image
}

/// What is told of volumes that were not encrypted and come back so.
fn encrypted(devices: &[&str]) -> Value {
    let fields = devices
        .iter()
        .flat_map(|device| ["encrypted", "kms_key_id"].map(|field| format!("volumes.{device}.{field}")));
    json!(fields.collect::<Vec<_>>())
}

/// A description with two disks under other settings of the simulator.
fn slow(settings: Value) -> Value {
    json!({"disks": of_one_gib(&["/dev/sdf"]), "elastic": [[0, 0]], "settings": settings})
}

/// The same under a fault.
fn at_fault(fault: Value) -> Value {
    json!({"disks": of_one_gib(&["/dev/sdf"]), "faults": [fault]})
}

fn throttled(seed: u64) -> Value {
    at_fault(json!({"action": "*", "kind": "throttle", "share": 0.3, "seed": seed}))
}

fn refusing(action: &str, code: &str, nth: u64) -> Value {
    at_fault(json!({"action": action, "kind": "error", "code": code, "message": "as planned", "nth": nth}))
}

#[rstest]
#[case::seen_late(
    slow(json!({"visibility_delay_seconds": 90})),
    json!([
        {"mode": "clone", "announces": ["interfaces.0.elastic_ips"], "follows": ["public_ip_address"]},
        {"mode": "volumes"}, {"mode": "image"}, {"mode": "destructive"}, {"mode": "in_place"},
    ]),
)]
#[case::slow_to_change_state(
    slow(json!({"instance_transition_seconds": 30, "status_check_seconds": 60, "replace_root_seconds": 40})),
    json!([
        {"mode": "clone", "proof": {}, "announces": ["interfaces.0.elastic_ips"], "follows": ["public_ip_address"]},
        {"mode": "destructive"}, {"mode": "in_place"}, {"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}},
    ]),
)]
#[case::throttled_clone(throttled(1), json!([{"mode": "clone"}]))]
#[case::throttled_non_destructive(
    throttled(2),
    json!([{"mode": "non_destructive", "overrides": {"private_address": "automatic"}}]),
)]
#[case::throttled_destructive(throttled(3), json!([{"mode": "destructive"}]))]
#[case::throttled_in_place(throttled(4), json!([{"mode": "in_place"}]))]
#[case::throttled_in_place_of_the_boot_volume(
    throttled(5), json!([{"mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}}]),
)]
#[case::throttled_volumes(throttled(6), json!([{"mode": "volumes"}]))]
#[case::throttled_image(throttled(7), json!([{"mode": "image"}]))]
#[case::no_capacity(
    at_fault(no_room("RunInstances", "InsufficientInstanceCapacity", 1, 3)),
    json!([
        {"mode": "clone", "fails": "InsufficientInstanceCapacity"},
        {"mode": "destructive", "fails": "InsufficientInstanceCapacity"},
    ]),
)]
#[case::limit_of_instances(
    refusing("RunInstances", "VcpuLimitExceeded", 1),
    json!([{"mode": "destructive", "fails": "VcpuLimitExceeded"}]),
)]
#[case::name_of_the_temporary_image_in_use_for_a_while(
    refusing("RegisterImage", "InvalidAMIName.Duplicate", 1),
    json!([{"mode": "clone"}, {"mode": "destructive"}]),
)]
#[case::volume_that_cannot_be_made(
    refusing("CreateVolume", "VolumeLimitExceeded", 2),
    json!([
        {"mode": "volumes", "fails": "VolumeLimitExceeded"}, {"mode": "in_place", "fails": "VolumeLimitExceeded"},
    ]),
)]
#[case::volume_that_cannot_be_attached(
    refusing("AttachVolume", "AttachmentLimitExceeded", 2),
    json!([{"mode": "in_place", "fails": "AttachmentLimitExceeded"}]),
)]
#[case::original_that_does_not_stop(
    refusing("StopInstances", "UnsupportedOperation", 1),
    json!([
        {"mode": "in_place", "fails": "UnsupportedOperation"}, {"mode": "destructive", "fails": "UnsupportedOperation"},
    ]),
)]
#[case::reply_to_a_launch_lost(
    at_fault(json!({"action": "RunInstances", "kind": "lose_reply", "times": 2})),
    json!([{"mode": "clone"}, {"mode": "destructive"}]),
)]
#[tokio::test(flavor = "multi_thread")]
async fn weather(#[case] description: Value, #[case] attempts: Value) {
    Box::pin(try_all(description, attempts)).await;
}

/// How often each action was asked for.
async fn calls_of(account: &Account) -> BTreeMap<String, u64> {
    let summary = account.simulator.call_summary().await.unwrap();
    let actions = summary["by_action"].as_object().unwrap().iter();
    actions
        .map(|(action, tally)| (action.clone(), tally["calls"].as_u64().unwrap()))
        .collect()
}

/// Refusals for want of room, from the `nth` on, `times` in a row.
fn no_room(action: &str, code: &str, nth: u64, times: u64) -> Value {
    json!({"action": action, "kind": "error", "code": code, "message": "as planned", "nth": nth, "times": times})
}

/// Past the cut-over there is no way back: what may pass is waited out, and room is made.
#[tokio::test(flavor = "multi_thread")]
async fn past_the_cut_over_room_is_made_and_waited_for() {
    let fault = no_room("RunInstances", "InsufficientInstanceCapacity", 2, 4);
    let description: Description = serde_json::from_value(at_fault(json!({}))).expect("a description");
    let account = Account::new(&Stack::from_environment()).await;
    let scene = Scene::launch(&account, &description).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let mut bench = with_short_retries(bench);
    account.simulator.post("faults", fault).await.unwrap();
    let before = calls_of(&account).await;
    let request = json!({"plan_id": "nightly", "mode": "destructive"});
    let output = succeeded(bench.restore(request, "in need of room").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let calls = calls_of(&account).await;
    let made = |action: &str| calls[action] - before.get(action).unwrap_or(&0);
    // The candidate, four refusals, the new instance; the original is stopped, and the candidate.
    assert_eq!((made("RunInstances"), made("StopInstances")), (6, 2));
    let after = World::of(&account.ec2()).await;
    let stands: Vec<&String> = after.instances.keys().collect();
    assert_eq!(stands, [output["restores"][0]["instance_id"].as_str().unwrap()]);
    assert!(!after.instances.contains_key(&scene.original));
    assert_eq!(after.leftovers, Vec::<String>::new());
}

/// An original that is to run again is waited for, forward and on the way back.
#[rstest]
#[case::forward(json!({"mode": "in_place"}), "COMPLETED")]
#[case::back(json!({"mode": "destructive", "proof": {"deadline_minutes": 5}}), "FAILED")]
#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_finds_no_room_for_a_while_runs_in_the_end(
    #[case] mut request: Value,
    #[case] status: &str,
) {
    let description: Description = serde_json::from_value(at_fault(json!({}))).expect("a description");
    let account = Account::new(&Stack::from_environment()).await;
    let scene = Scene::launch(&account, &description).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let mut bench = with_short_retries(bench);
    let simulator = &account.simulator;
    let impaired = json!({"next": true, "instance": true, "system": false});
    simulator.post("instances/impair", impaired).await.unwrap();
    let fault = no_room("StartInstances", "InsufficientInstanceCapacity", 1, 3);
    simulator.post("faults", fault).await.unwrap();
    request["plan_id"] = json!("nightly");
    let execution = bench.restore(request, "no room to start").await;
    if status == "FAILED" {
        assert!(failed(&execution.status).contains("was not proved good"));
    } else {
        assert_eq!(succeeded(execution)["status"], status);
    }
    assert_eq!(calls_of(&account).await["StartInstances"], 4);
    let original = describe(&account.ec2(), &scene.original).await;
    assert_eq!(original.state().unwrap().name().unwrap().as_str(), "running");
}

/// Where it cannot be had, the candidate stays, and what is free is named.
#[rstest]
#[case::no_room_for_the_last_launch("VcpuLimitExceeded", json!({}))]
#[case::what_does_not_pass("Unsupported", json!({}))]
#[case::though_nothing_is_to_be_left("Unsupported", json!({"on_failure": "remove"}))]
#[tokio::test(flavor = "multi_thread")]
async fn past_the_cut_over_what_stands_is_kept_and_named(#[case] code: &str, #[case] mut request: Value) {
    let fault = no_room("RunInstances", code, 2, 1000);
    let description: Description = serde_json::from_value(at_fault(fault)).expect("a description");
    let account = Account::new(&Stack::from_environment()).await;
    let scene = Scene::launch(&account, &description).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let ec2 = account.ec2();
    let before = World::of(&ec2).await;
    account
        .simulator
        .post("faults", description.faults[0].clone())
        .await
        .unwrap();
    request["plan_id"] = json!("nightly");
    request["mode"] = json!("destructive");
    let words = failed(&bench.restore(request, "stranded").await.status);
    let after = World::of(&ec2).await;
    let stands: Vec<&String> = after.instances.keys().collect();
    assert_eq!(stands.len(), 1, "{after:#?}");
    assert!(!after.instances.contains_key(&scene.original));
    let candidate = describe(&ec2, stands[0]).await;
    assert_eq!(candidate.state().unwrap().name().unwrap().as_str(), "running");
    let candidate_volumes = volumes_of(&ec2, stands[0]).await;
    for (device, captured) in &scene.captured {
        assert_eq!(
            digest(&account, &candidate_volumes[device]).await,
            *captured,
            "{device}"
        );
    }
    let interface = scene.named("interface.0");
    assert!(
        after.interfaces[&interface].starts_with("available"),
        "{}",
        after.interfaces[&interface]
    );
    for volume in before.volumes.keys() {
        assert!(
            after.volumes[volume].starts_with("available"),
            "{volume}: {}",
            after.volumes[volume]
        );
    }
    for named in [
        stands[0],
        &interface,
        &scene.original,
        &scene.named("volume./dev/xvda"),
    ] {
        assert!(words.contains(named.as_str()), "{named} is not named in {words}");
    }
    assert!(words.contains(code), "{words}");
    assert_eq!(after.leftovers, Vec::<String>::new());
    assert_eq!(after.images, BTreeMap::new());
}
