//! Restores of every mode, through the real state machine, on the simulator's clock.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{
    Rich, World, back_up, describe, digest, start_rich, succeeded, volumes_of, write,
};
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The digests of an instance's volumes by device.
async fn digests(account: &Account, volumes: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for (device, volume) in volumes {
        digests.insert(device.clone(), digest(account, volume).await);
    }
    digests
}

/// An instance, its backup, and other bytes on its volumes since.
async fn backed_up(stack: &Stack) -> (Account, Rich, BTreeMap<String, String>) {
    let account = Account::new(stack).await;
    let rich = start_rich(&account).await;
    let before = digests(&account, &rich.volumes).await;
    (account, rich, before)
}

async fn damage(account: &Account, rich: &Rich) -> BTreeMap<String, String> {
    for volume in rich.volumes.values() {
        write(account, volume, "damaged", 0).await;
    }
    digests(account, &rich.volumes).await
}

fn restored(output: &Value) -> &Value {
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    assert_eq!(output["restores"].as_array().unwrap().len(), 1);
    &output["restores"][0]
}

#[tokio::test(flavor = "multi_thread")]
async fn clone_a_backup_in_the_same_region_in_one_step() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    damage(&account, &rich).await;
    let world = World::of(&account.ec2()).await;
    let output = succeeded(
        bench
            .restore(json!({"plan_id": "nightly", "mode": "clone"}), "clone")
            .await,
    );
    let instance = restored(&output)["instance_id"].as_str().unwrap().to_owned();
    let ec2 = account.ec2();
    assert_eq!(
        digests(&account, &volumes_of(&ec2, &instance).await).await,
        before
    );
    let after = World::of(&ec2).await;
    assert_eq!(after.leftovers, Vec::<String>::new());
    assert_eq!(after.images, BTreeMap::new());
    assert_eq!(
        after.instances[&rich.id], world.instances[&rich.id],
        "the original is untouched"
    );
    assert_eq!(after.instances.len(), 2);
    assert_eq!(after.volumes.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_iam_does_not_answer_an_instance_comes_back_with_its_profile() {
    let stack = Stack::from_environment();
    let (account, rich, _) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let mut restore = bench.functions().restore_instance.clone();
    let nobody = restore
        .here
        .iam
        .config()
        .to_builder()
        .endpoint_url("http://127.0.0.1:9");
    restore.here.iam = aws_sdk_iam::Client::from_conf(nobody.build());
    let mut bench = bench.with_restore(restore);
    let output = succeeded(
        bench
            .restore(json!({"plan_id": "nightly", "mode": "clone"}), "clone")
            .await,
    );
    let ec2 = account.ec2();
    let clone = describe(&ec2, restored(&output)["instance_id"].as_str().unwrap()).await;
    let captured = describe(&ec2, &rich.id).await;
    assert!(captured.iam_instance_profile().is_some());
    let arn = |instance: &aws_sdk_ec2::types::Instance| instance.iam_instance_profile().unwrap().arn.clone();
    assert_eq!(arn(&clone), arn(&captured));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_keeps_the_original_gives_back_the_whole_configuration() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let ec2 = account.ec2();
    let input = json!({"plan_id": "nightly", "mode": "non_destructive"});
    let refused = bench.restore(input.clone(), "refused").await;
    let words = format!("{:?}", refused.status);
    for field in ["overrides.private_address", "overrides.elastic_ips"] {
        assert!(words.contains(field), "{field} is not named in {words}");
    }
    // The original is lost; its addresses are free.
    ec2.terminate_instances()
        .instance_ids(&rich.id)
        .send()
        .await
        .unwrap();
    let output = succeeded(bench.restore(input, "recovery").await);
    let instance = restored(&output)["instance_id"].as_str().unwrap().to_owned();
    assert_eq!(
        digests(&account, &volumes_of(&ec2, &instance).await).await,
        before
    );
    let view = describe(&ec2, &instance).await;
    assert_eq!(view.private_ip_address(), Some(rich.address.as_str()));
    let announced: Vec<&str> = restored(&output)["announced"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["field"].as_str().unwrap())
        .collect();
    assert_eq!(announced, ["image_id"], "{output:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destructive_recovery_inherits_the_network_and_ends_the_original_last() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    damage(&account, &rich).await;
    let ec2 = account.ec2();
    let old = World::of(&ec2).await;
    let output = succeeded(
        bench
            .restore(
                json!({"plan_id": "nightly", "mode": "destructive"}),
                "destructive",
            )
            .await,
    );
    let instance = restored(&output)["instance_id"].as_str().unwrap().to_owned();
    assert_eq!(
        digests(&account, &volumes_of(&ec2, &instance).await).await,
        before
    );
    let view = describe(&ec2, &instance).await;
    assert_eq!(view.private_ip_address(), Some(rich.address.as_str()));
    let new = World::of(&ec2).await;
    assert_eq!(new.leftovers, Vec::<String>::new());
    assert_eq!(
        new.interfaces.keys().collect::<Vec<_>>(),
        old.interfaces.keys().collect::<Vec<_>>()
    );
    assert_eq!(new.instances.keys().collect::<Vec<_>>(), [&instance]);
    assert_eq!(new.images, BTreeMap::new());
    // The one that was not to end with the instance stays.
    assert_eq!(new.volumes.len(), 4, "{:#?}", new.volumes);
}

#[tokio::test(flavor = "multi_thread")]
async fn restore_in_place_and_undo_it() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let damaged = damage(&account, &rich).await;
    let ec2 = account.ec2();
    let old = describe(&ec2, &rich.id).await;
    let output = succeeded(
        bench
            .restore(json!({"plan_id": "nightly", "mode": "in_place"}), "in-place")
            .await,
    );
    assert_eq!(restored(&output)["instance_id"], rich.id.as_str());
    let now = describe(&ec2, &rich.id).await;
    assert_eq!(now.network_interfaces(), old.network_interfaces());
    assert_eq!(now.state(), old.state());
    assert_eq!(digests(&account, &volumes_of(&ec2, &rich.id).await).await, before);
    let world = World::of(&ec2).await;
    assert_eq!(world.leftovers, Vec::<String>::new());
    for volume in rich.volumes.values() {
        assert!(
            world.volumes[volume].contains("holdfast:undo-until"),
            "{}",
            world.volumes[volume]
        );
    }
    let job = output["job_id"].as_str().unwrap();
    let undone = succeeded(bench.restore(json!({"undo": job}), "undo").await);
    assert_eq!(undone["status"], "COMPLETED", "{undone:#}");
    assert_eq!(volumes_of(&ec2, &rich.id).await, rich.volumes);
    assert_eq!(digests(&account, &rich.volumes).await, damaged);
    let again = bench.restore(json!({"undo": job}), "undo-again").await;
    assert!(
        format!("{:?}", again.status).contains("undo: "),
        "{:?}",
        again.status
    );
}

/// Also what a second restore takes off, which the first had put there.
#[tokio::test(flavor = "multi_thread")]
async fn what_restores_in_place_took_off_goes_when_they_can_no_longer_be_undone() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let ec2 = account.ec2();
    let input = json!({"plan_id": "nightly", "mode": "in_place"});
    restored(&succeeded(bench.restore(input.clone(), "first").await));
    let first = volumes_of(&ec2, &rich.id).await;
    restored(&succeeded(bench.restore(input, "second").await));
    let second = volumes_of(&ec2, &rich.id).await;
    let kept: BTreeSet<&str> = rich
        .volumes
        .values()
        .chain(first.values())
        .map(String::as_str)
        .collect();
    let expire = json!({"action": "expire_undo"});
    let early = bench.invoke("restore-instance", expire.clone()).await.unwrap();
    assert_eq!(early, json!({"deleted": [], "kept": {}}));
    bench.pass(73.0 * 3600.0).await;
    let late = bench.invoke("restore-instance", expire).await.unwrap();
    let deleted = late["deleted"].as_array().unwrap().iter();
    let deleted: BTreeSet<&str> = deleted.map(|id| id.as_str().unwrap()).collect();
    assert_eq!((deleted, &late["kept"]), (kept, &json!({})));
    assert_eq!(volumes_of(&ec2, &rich.id).await, second);
    assert_eq!(digests(&account, &second).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_volume_alone_is_replaced_while_the_instance_runs() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    damage(&account, &rich).await;
    let input = json!({"plan_id": "nightly", "mode": "in_place", "volumes": {"devices": ["/dev/xvda"]}});
    let output = succeeded(bench.restore(input, "root").await);
    assert_eq!(restored(&output)["status"], "COMPLETED");
    let ec2 = account.ec2();
    let now = volumes_of(&ec2, &rich.id).await;
    assert_ne!(now["/dev/xvda"], rich.volumes["/dev/xvda"]);
    assert_eq!(now["/dev/sdf"], rich.volumes["/dev/sdf"]);
    assert_eq!(digest(&account, &now["/dev/xvda"]).await, before["/dev/xvda"]);
    let calls = account.simulator.call_summary().await.unwrap();
    let words = calls.to_string();
    assert!(
        words.contains("CreateReplaceRootVolumeTask") && !words.contains("StopInstances"),
        "{words}"
    );
    let undone = succeeded(bench.restore(json!({"undo": output["job_id"]}), "undo").await);
    assert_eq!(undone["status"], "COMPLETED", "{undone:#}");
    assert_eq!(volumes_of(&ec2, &rich.id).await, rich.volumes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_volume_from_any_snapshot_attached_where_it_is_wanted() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    damage(&account, &rich).await;
    let input = json!({"plan_id": "nightly", "mode": "volumes", "volumes": {
        "devices": ["/dev/sdf"], "attach_to": rich.id, "attach_as": {"/dev/sdf": "/dev/sdz"},
    }});
    let output = succeeded(bench.restore(input, "volumes").await);
    let volume = restored(&output)["volumes"]["/dev/sdf"]
        .as_str()
        .unwrap()
        .to_owned();
    let ec2 = account.ec2();
    assert_eq!(volumes_of(&ec2, &rich.id).await["/dev/sdz"], volume);
    assert_eq!(digest(&account, &volume).await, before["/dev/sdf"]);
    assert_eq!(World::of(&ec2).await.leftovers, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_image_from_which_an_instance_launches() {
    let stack = Stack::from_environment();
    let (account, rich, before) = backed_up(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    damage(&account, &rich).await;
    let input = json!({
        "plan_id": "nightly", "mode": "image", "resources": [rich.id], "image": {"name": "shop of tonight"},
    });
    let output = succeeded(bench.restore(input, "image").await);
    let image = restored(&output)["image_id"]
        .as_str()
        .expect("an image")
        .to_owned();
    let ec2 = account.ec2();
    let launched = ec2
        .run_instances()
        .image_id(&image)
        .min_count(1)
        .max_count(1)
        .send()
        .await
        .unwrap();
    let id = launched.instances()[0].instance_id().unwrap().to_owned();
    assert_eq!(digests(&account, &volumes_of(&ec2, &id).await).await, before);
    assert_eq!(World::of(&ec2).await.leftovers, Vec::<String>::new());
}
