//! What a restore does when AWS, or somebody else, is in its way at the worst moment.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use aws_sdk_ec2::types as ec2types;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{
    Rich, World, back_up, describe, execution_arn, failed, start_rich, succeeded, volumes_of,
};
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::{Value, json};
use std::collections::BTreeMap;

async fn scene() -> (Account, Rich) {
    let account = Account::new(&Stack::from_environment()).await;
    let rich = start_rich(&account).await;
    (account, rich)
}

async fn backed_up(account: &Account) -> Bench<'_> {
    let mut bench = Bench::new(account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    bench
}

fn asked(mode: &str) -> Value {
    json!({"plan_id": "nightly", "mode": mode})
}

async fn refuse(account: &Account, action: &str, code: &str, with: &str) {
    let fault = json!({
        "action": action, "kind": "error", "code": code, "message": "as planned", "times": 100_000, "match": with,
    });
    account.simulator.post("faults", fault).await.unwrap();
}

async fn refuse_no_more(account: &Account) {
    let cleared = account.simulator.ask(reqwest::Method::DELETE, "faults", None);
    cleared.await.unwrap();
}

/// Prepares a restore, and gives what names its only resource.
async fn prepare(account: &Account, bench: &mut Bench<'_>, input: Value, name: &str) -> Value {
    let prepare = json!({
        "action": "prepare", "input": input, "started_at": bench.now(),
        "execution_id": execution_arn(account, name),
    });
    let prepared = bench.invoke("restore-instance", prepare).await.unwrap();
    json!({"action": "step", "job_id": prepared["job_id"], "wave": 0, "number": 0})
}

async fn volumes_there(account: &Account) -> BTreeMap<String, String> {
    World::of(&account.ec2()).await.volumes
}

#[tokio::test(flavor = "multi_thread")]
async fn an_original_that_ec2_does_not_let_go_runs_again_as_it_was() {
    let (account, rich) = scene().await;
    let mut bench = backed_up(&account).await;
    let before = World::of(&account.ec2()).await;
    refuse(&account, "TerminateInstances", "OperationNotPermitted", &rich.id).await;
    let mut input = asked("destructive");
    input["overrides"] = json!({"lift_protection": true});
    let execution = bench.restore(input, "not let go").await;
    assert!(
        failed(&execution.status).contains("OperationNotPermitted"),
        "{execution:?}"
    );
    assert_eq!(World::of(&account.ec2()).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_without_room_for_the_tag_outlives_its_original_and_is_named() {
    let (account, rich) = scene().await;
    let ec2 = account.ec2();
    let full = &rich.volumes["/dev/xvda"];
    let tags = (0..48).map(|number| {
        let tag = ec2types::Tag::builder().key(format!("tag {number}")).value("");
        tag.build()
    });
    let tagged = ec2
        .create_tags()
        .resources(full)
        .set_tags(Some(tags.collect()))
        .send()
        .await;
    tagged.unwrap();
    let mut bench = backed_up(&account).await;
    let mut input = asked("destructive");
    input["overrides"] = json!({"lift_protection": true});
    let output = succeeded(bench.restore(input, "full").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let notes = output["restores"][0]["notes"].to_string();
    assert!(notes.contains(full.as_str()), "{output:#}");
    let volumes = volumes_there(&account).await;
    assert!(volumes[full].starts_with("available"), "{}", volumes[full]);
    assert!(
        !volumes.contains_key(&rich.volumes["/dev/sdf"]),
        "it ended with the original"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn time_deletes_nothing_that_a_failed_restore_could_not_put_back() {
    let (account, rich) = scene().await;
    let mut bench = backed_up(&account).await;
    refuse(&account, "AttachVolume", "InvalidParameterValue", &rich.id).await;
    let execution = bench.restore(asked("in_place"), "stuck").await;
    assert!(
        failed(&execution.status).contains("InvalidParameterValue"),
        "{execution:?}"
    );
    refuse_no_more(&account).await;
    bench.pass(80.0 * 3600.0).await;
    let expire = json!({"action": "expire_undo"});
    let told = bench.invoke("restore-instance", expire).await.unwrap();
    assert_eq!(told["deleted"], json!([]), "{told:#}");
    let volumes = volumes_there(&account).await;
    for volume in rich.volumes.values() {
        assert!(volumes.contains_key(volume), "{volume}");
        let kept = told["kept"][volume].as_str().unwrap();
        assert!(kept.contains("did not come to a good end"), "{kept}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn time_deletes_nothing_that_an_undo_is_about_to_put_back() {
    let (account, rich) = scene().await;
    let mut bench = backed_up(&account).await;
    let done = succeeded(bench.restore(asked("in_place"), "done").await);
    bench.pass(71.9 * 3600.0).await;
    let step = prepare(&account, &mut bench, json!({"undo": done["job_id"]}), "undo").await;
    bench.pass(3600.0).await;
    let expire = json!({"action": "expire_undo"});
    let told = bench.invoke("restore-instance", expire).await.unwrap();
    assert_eq!(told["deleted"], json!([]), "{told:#}");
    while bench.invoke("restore-instance", step.clone()).await.unwrap()["finished"] != true {
        bench.pass(30.0).await;
    }
    assert_eq!(volumes_of(&account.ec2(), &rich.id).await, rich.volumes);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_cut_over_no_deadline_ends_a_restore() {
    let (account, rich) = scene().await;
    let mut bench = backed_up(&account).await;
    let slow = json!({"status_check_seconds": 1000});
    account.simulator.post("settings", slow).await.unwrap();
    let mut input = asked("destructive");
    input["overrides"] = json!({"lift_protection": true});
    input["deadline_minutes"] = json!(30);
    let began = bench.now();
    let output = succeeded(bench.restore(input, "slow").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    assert!(
        bench.now().duration_since(began).as_secs() > 1800,
        "the deadline was over"
    );
    let after = World::of(&account.ec2()).await;
    assert!(!after.instances.contains_key(&rich.id));
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_cut_over_an_instance_that_ec2_ends_is_launched_again() {
    let (account, rich) = scene().await;
    let ec2 = account.ec2();
    let mut bench = backed_up(&account).await;
    let mut input = asked("destructive");
    input["overrides"] = json!({"lift_protection": true});
    let slow = json!({"instance_transition_seconds": 30});
    account.simulator.post("settings", slow).await.unwrap();
    let step = prepare(&account, &mut bench, input, "ended").await;
    let ask = json!({"action": "describe", "job_id": step["job_id"]});
    let mut ended = None;
    while bench.invoke("restore-instance", step.clone()).await.unwrap()["finished"] != true {
        bench.pass(10.0).await;
        let told = bench.invoke("restore-instance", ask.clone()).await.unwrap();
        if let (None, Some(id)) = (&ended, told["restores"][0]["instance_id"].as_str()) {
            let gone = ec2.terminate_instances().instance_ids(id).send().await;
            gone.unwrap();
            ended = Some(id.to_owned());
        }
    }
    let told = bench.invoke("restore-instance", ask).await.unwrap();
    let restored = &told["restores"][0];
    assert_eq!(restored["status"], "COMPLETED", "{told:#}");
    let ended = ended.unwrap();
    assert!(restored["notes"].to_string().contains(&ended), "{told:#}");
    let id = restored["instance_id"].as_str().unwrap();
    assert_ne!(id, ended);
    let view = describe(&ec2, id).await;
    assert_eq!(view.private_ip_address(), Some(rich.address.as_str()));
    let after = World::of(&ec2).await;
    assert_eq!(after.instances.len(), 1, "{after:#?}");
    assert_eq!(after.leftovers, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interface_that_is_taken_over_outlives_a_restore_that_fails() {
    let (account, rich) = scene().await;
    let ec2 = account.ec2();
    let mut bench = backed_up(&account).await;
    let view = describe(&ec2, &rich.id).await;
    for interface in view.network_interfaces() {
        let attachment = interface.attachment().unwrap().attachment_id().unwrap();
        let stays = ec2types::NetworkInterfaceAttachmentChanges::builder()
            .attachment_id(attachment)
            .delete_on_termination(false);
        let modify = ec2.modify_network_interface_attribute().attachment(stays.build());
        let sent = modify
            .network_interface_id(interface.network_interface_id().unwrap())
            .send();
        sent.await.unwrap();
    }
    let protected = ec2types::AttributeBooleanValue::builder().value(false).build();
    let lift = ec2.modify_instance_attribute().instance_id(&rich.id);
    lift.disable_api_termination(protected).send().await.unwrap();
    ec2.terminate_instances()
        .instance_ids(&rich.id)
        .send()
        .await
        .unwrap();
    bench.pass(60.0).await;
    let before = World::of(&ec2).await;
    refuse(&account, "CreateTags", "InvalidParameterValue", "vol-").await;
    let execution = bench.restore(asked("non_destructive"), "dress").await;
    assert!(
        failed(&execution.status).contains("InvalidParameterValue"),
        "{execution:?}"
    );
    assert_eq!(World::of(&ec2).await, before);
}
