//! Awkward instances, one a row: each is launched as the row says, backed up by the real state machine, changed as the
//! row says, and restored in the modes that the row lists. What comes back is compared with what was captured, by the
//! test's own eyes; what cannot come back is refused by the name of its field, and then nothing was made.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "a test fails by panicking, and its rows are values"
)]

use asl_runner::Status;
use aws_config::retry::RetryConfig;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::awkward::{Description, Scene, portrait};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{World, back_up, describe, digest, ends_in_order, succeeded, volumes_of};
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
        let volumes_to = self.request.get("volumes").and_then(|volumes| volumes.get("attach_to"));
        self.refused.is_none()
            && (matches!(self.mode(), "destructive" | "in_place") || volumes_to.is_some() || self.takes_over)
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
        own_image.into_iter().chain(address).chain(self.announces.iter().cloned()).collect()
    }
}

/// The restores of a row, in scenes of their own where one changes the original.
async fn try_all(description: Value, attempts: Value) {
    let description: Description = serde_json::from_value(description).expect("a description");
    let attempts: Vec<Attempt> = serde_json::from_value(attempts).expect("attempts");
    let mut left = attempts.as_slice();
    while !left.is_empty() {
        let last = left.iter().position(Attempt::changes_original).unwrap_or(left.len() - 1);
        let (now, later) = left.split_at(last + 1);
        Box::pin(try_in_one_scene(&description, now)).await;
        left = later;
    }
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
    // Retried in good time, and soon given up: what is refused then is the product's own affair.
    let mut restore = bench.functions().restore_instance.clone();
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(1));
    let config = restore.here.ec2.config().to_builder().retry_config(retries).build();
    restore.here.ec2 = aws_sdk_ec2::Client::from_conf(config);
    let mut bench = bench.with_restore(restore);
    for (number, attempt) in attempts.iter().enumerate() {
        let before = World::of(&account.ec2()).await;
        let calls = changing_calls(&account).await;
        account.simulator.post("settings", description.settings.clone()).await.unwrap();
        for fault in &description.faults {
            account.simulator.post("faults", fault.clone()).await.unwrap();
        }
        let mut request = scene.fill(&Value::Object(attempt.request.clone()));
        request["plan_id"] = json!("nightly");
        request["resources"] = json!([scene.original]);
        let execution = bench.restore(request, &format!("restore-{number}")).await;
        account.simulator.ask(reqwest::Method::DELETE, "faults", None).await.unwrap();
        // Everything is to be seen by now.
        let settings = json!({"visibility_delay_seconds": 0, "instance_transition_seconds": 0});
        account.simulator.post("settings", settings).await.unwrap();
        bench.pass(200.0).await;
        let label = format!("{} of {}", attempt.mode(), scene.original);
        match (&attempt.refused, &attempt.fails) {
            (Some(field), _) => {
                let words = failed(&execution.status);
                let field = scene.fill(&json!(field));
                let field = field.as_str().unwrap();
                assert!(words.starts_with("PermanentError") && words.contains(&format!("{field}: ")), "{label}: {words}");
                assert_eq!(changing_calls(&account).await, calls, "{label}: something was made");
                assert_eq!(World::of(&account.ec2()).await, before, "{label}");
            }
            (None, Some(why)) => {
                let words = failed(&execution.status);
                assert!(words.contains(why), "{label}: {words}");
                assert_eq!(World::of(&account.ec2()).await, before, "{label}");
            }
            (None, None) => {
                let output = succeeded(execution);
                let seen = Seen { scene: &scene, attempt, before: &before, output: &output, label: &label };
                Box::pin(seen.check()).await;
            }
        }
    }
}

/// A restore that came to its end, and what was there before it.
struct Seen<'a> {
    scene: &'a Scene<'a>,
    attempt: &'a Attempt,
    before: &'a World,
    output: &'a Value,
    label: &'a str,
}

impl Seen<'_> {
    async fn check(&self) {
        let Self { scene, output, label, .. } = self;
        assert_eq!(output["status"], "COMPLETED", "{label}: {output:#}");
        let restored = &output["restores"][0];
        assert!(restored.get("differences").is_none(), "{label}: {output:#}");
        let announced: BTreeSet<String> = restored["announced"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|difference| difference["field"].as_str().unwrap().to_owned())
            .collect();
        let is_coded = !scene.portrait["product_codes"].ends_with("[]")
            || scene.portrait["usage_operation"] != "Some(\"RunInstances\")";
        let expected = self.attempt.all_announced(is_coded);
        let expected: BTreeSet<String> = expected
            .iter()
            .map(|field| scene.fill(&json!(field)).as_str().unwrap().to_owned())
            .collect();
        assert_eq!(announced, expected, "{label}: {output:#}");
        let after = World::of(&scene.account.ec2()).await;
        assert_eq!(after.leftovers, Vec::<String>::new(), "{label}");
        match self.attempt.mode() {
            "clone" | "non_destructive" => self.stands_beside(&after, &announced).await,
            "destructive" => self.stands_instead(&after, &announced).await,
            "in_place" => self.stands_again(&after, &announced).await,
            "volumes" => self.has_volumes(&after).await,
            _ => self.has_image(&after).await,
        }
    }

    /// The instance that was made, with the captured bytes, and differing in nothing but what was announced.
    async fn is_whole(&self, id: &str, announced: &BTreeSet<String>) {
        let (scene, label) = (self.scene, self.label);
        let ec2 = scene.account.ec2();
        let volumes = volumes_of(&ec2, id).await;
        for (device, captured) in &scene.captured {
            let device = self.attempt.moved.get(device).unwrap_or(device);
            let volume = volumes.get(device).unwrap_or_else(|| panic!("{label}: nothing at {device}"));
            assert_eq!(digest(scene.account, volume).await, *captured, "{label}: {device}");
        }
        let found = portrait(&ec2, id).await;
        let fields: BTreeSet<&String> = scene.portrait.keys().chain(found.keys()).collect();
        let is_announced = |field: &str| {
            let mut roots = announced.iter().filter_map(|root| field.strip_prefix(root.as_str()));
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
        assert_eq!(silent, Vec::<String>::new(), "{label}: it differs, and nobody said so");
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
        assert_eq!(after.volumes.len(), before.volumes.len() + self.scene.captured.len(), "{label}");
        assert_eq!(after.images, before.images, "{label}");
        self.is_whole(&self.made(), announced).await;
    }

    async fn stands_instead(&self, after: &World, announced: &BTreeSet<String>) {
        let (before, label) = (self.before, self.label);
        let original = &self.scene.original;
        let was_there = before.instances.contains_key(original);
        assert_eq!(after.instances.len(), before.instances.len() + usize::from(!was_there), "{label}");
        assert!(!after.instances.contains_key(original), "{label}: the original is still there");
        assert_eq!(after.images, before.images, "{label}");
        let id = self.made();
        self.is_whole(&id, announced).await;
        if was_there {
            ends_in_order(self.scene.account, original).await;
            let ids = |world: &World| world.interfaces.keys().cloned().collect::<Vec<_>>();
            assert_eq!(ids(after), ids(before), "{label}: it has the original's interfaces");
        }
        // Of the original's volumes those stay that were not to end with it.
        let (ended, kept) = (format!("Some(\"{original}\")"), "delete_on_termination");
        for (volume, line) in &before.volumes {
            if line.contains(&ended) && after.volumes.contains_key(volume) {
                let device = self.scene.captured.keys().find(|device| line.contains(&format!("Some(\"{device}\")")));
                let ends = device.and_then(|device| self.scene.portrait.get(&format!("volumes.{device}.{kept}")));
                assert_ne!(ends.map(String::as_str), Some("Some(true)"), "{label}: {volume} {line}");
                assert!(after.volumes[volume].starts_with("available"), "{label}: {volume}");
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
        let made = self.output["restores"][0]["volumes"].as_object().expect("volumes were made");
        assert_eq!(after.volumes.len(), before.volumes.len() + made.len(), "{label}");
        let asked = self.attempt.request.get("volumes");
        let devices = asked.and_then(|asked| asked["devices"].as_array()).map(Vec::len);
        assert_eq!(made.len(), devices.unwrap_or(self.scene.captured.len()), "{label}");
        for (device, volume) in made {
            let volume = volume.as_str().unwrap();
            assert_eq!(digest(account, volume).await, self.scene.captured[device], "{label}: {device}");
        }
        let Some(instance) = asked.and_then(|asked| asked["attach_to"].as_str()) else {
            return self.is_untouched(after);
        };
        let instance = self.scene.fill(&json!(instance));
        let there = volumes_of(&account.ec2(), instance.as_str().unwrap()).await;
        for (device, volume) in made {
            let asked = asked.and_then(|asked| asked["attach_as"][device].as_str());
            assert_eq!(Some(there[asked.unwrap_or(device)].as_str()), volume.as_str(), "{label}");
        }
    }

    async fn has_image(&self, after: &World) {
        let (before, label, scene) = (self.before, self.label, self.scene);
        self.is_untouched(after);
        assert_eq!(after.instances.len(), before.instances.len(), "{label}");
        assert_eq!(after.volumes.len(), before.volumes.len(), "{label}");
        assert_eq!(after.interfaces.len(), before.interfaces.len(), "{label}");
        assert_eq!(after.images.len(), before.images.len() + 1, "{label}");
        let image = self.output["restores"][0]["image_id"].as_str().expect("an image was made");
        let ec2 = scene.account.ec2();
        let template = ec2.get_launch_template_data().instance_id(&scene.original).send().await.unwrap();
        let kind = template.launch_template_data().and_then(|data| data.instance_type()).cloned();
        let run = ec2.run_instances().image_id(image).set_instance_type(kind).min_count(1).max_count(1);
        let launched = run.send().await.expect("an instance launches from the image");
        let id = launched.instances()[0].instance_id().unwrap();
        let volumes = volumes_of(&ec2, id).await;
        for (device, captured) in &scene.captured {
            let device = self.attempt.moved.get(device).unwrap_or(device);
            assert_eq!(digest(scene.account, &volumes[device]).await, *captured, "{label}: {device}");
        }
        let found = portrait(&ec2, id).await;
        for field in ["architecture", "usage_operation", "product_codes", "platform", "boot_mode", "tpm_support"] {
            assert_eq!(found[field], scene.portrait[field], "{label}: {field}");
        }
    }
}

async fn changing_calls(account: &Account) -> u64 {
    let summary = account.simulator.call_summary().await.unwrap();
    let actions = summary["by_action"].as_object().unwrap();
    let is_reading = |action: &str| ["Describe", "Get", "List"].iter().any(|read| action.starts_with(read));
    let tallies = actions.iter().filter(|(action, _)| !is_reading(action));
    tallies.map(|(_, tally)| tally["calls"].as_u64().unwrap()).sum()
}

fn failed(status: &Status) -> String {
    match status {
        Status::Failed { error, cause } => format!("{error}: {cause}"),
        other => panic!("{other:?}"),
    }
}

/// Disks of 1 GiB at these devices.
fn of_one_gib(devices: &[&str]) -> Value {
    devices.iter().map(|device| json!({"device": device, "gib": 1})).collect()
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
        {"mode": "volumes", "overrides": {"kms_key_id": "$key.all"}},
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
            "announces": ["volumes./dev/sdf.volume_type", "volumes./dev/sdf.size_gib", "volumes./dev/sdf.iops"]},
        {"mode": "clone", "overrides": {"volumes": {"/dev/sdf": {"size_gib": 2}}},
            "refused": "overrides.volumes./dev/sdf.size_gib"},
        {"mode": "clone", "overrides": {"volumes": {"/dev/xvda": {"volume_type": "io2"}}},
            "refused": "overrides.volumes./dev/xvda.iops"},
        {"mode": "clone", "overrides": {"volumes": {"/dev/sdq": {"size_gib": 2}}},
            "refused": "overrides.volumes./dev/sdq"},
        {"mode": "volumes", "volumes": {"availability_zone": "us-east-1z"}, "refused": "volumes.availability_zone"},
        {"mode": "in_place", "overrides": {"volumes": {"/dev/sdf": {"volume_type": "gp3"}}},
            "announces": ["volumes./dev/sdf.volume_type", "volumes./dev/sdf.iops"]},
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
