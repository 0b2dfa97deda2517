//! Proof before cut-over, what becomes of a restore that fails, rehearsals, order, dry runs and refusals.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{
    Rich, World, back_up, describe, ends_in_order, execution_arn, failed, start_rich, succeeded,
};
use holdfast_tests::workflow::{Bench, Repeat};
use rstest::rstest;
use serde_json::{Value, json};

async fn scene(stack: &Stack) -> (Account, Rich) {
    let account = Account::new(stack).await;
    let rich = start_rich(&account).await;
    (account, rich)
}

async fn mutating_calls(account: &Account) -> u64 {
    let summary = account.simulator.call_summary().await.unwrap();
    let actions = summary["by_action"].as_object().unwrap().clone();
    let reads = ["Describe", "Get", "List"];
    actions
        .iter()
        .filter(|(action, _)| !reads.iter().any(|read| action.starts_with(read)))
        .map(|(_, tally)| tally["calls"].as_u64().unwrap())
        .sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_is_not_proved_good_leaves_the_original_as_it_was() {
    let stack = Stack::from_environment();
    let (account, rich) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let ec2 = account.ec2();
    let before = World::of(&ec2).await;
    account
        .simulator
        .post(
            "instances/impair",
            json!({"next": true, "instance": true, "system": false}),
        )
        .await
        .unwrap();
    let input = json!({"plan_id": "nightly", "mode": "destructive", "proof": {"deadline_minutes": 5}});
    let words = failed(&bench.restore(input, "restore").await.status);
    assert!(words.contains("was not proved good within 5 minutes"), "{words}");
    assert_eq!(World::of(&ec2).await, before);
    let view = describe(&ec2, &rich.id).await;
    assert_eq!(view.state().unwrap().name().unwrap().as_str(), "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_of_the_users_own_decides() {
    let stack = Stack::from_environment();
    let (account, rich) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let ec2 = account.ec2();
    let before = World::of(&ec2).await;
    let input = json!({"plan_id": "nightly", "mode": "destructive", "proof": {"ssm": {
        "document": "AWS-RunShellScript", "parameters": {"commands": ["systemctl is-active shop"]},
    }}});
    let answer = |status: &str| json!({"any": true, "status": status, "output": "shop is inactive", "after_seconds": 40});
    account
        .simulator
        .post("guest/answers", answer("Failed"))
        .await
        .unwrap();
    let words = failed(&bench.restore(input.clone(), "refused").await.status);
    assert!(words.contains("shop is inactive"), "{words}");
    assert_eq!(World::of(&ec2).await, before);
    account
        .simulator
        .post("guest/answers", answer("Success"))
        .await
        .unwrap();
    let output = succeeded(bench.restore(input, "proved").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    ends_in_order(&account, &rich.id).await;
}

#[rstest]
#[case::beside_the_original("clone")]
#[case::before_the_cut_over("destructive")]
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_can_be_left_for_somebody_to_look_at(#[case] mode: &str) {
    let stack = Stack::from_environment();
    let (account, rich) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let before = World::of(&account.ec2()).await;
    account
        .simulator
        .post(
            "instances/impair",
            json!({"next": true, "instance": false, "system": true}),
        )
        .await
        .unwrap();
    let input = json!({
        "plan_id": "nightly", "mode": mode, "on_failure": "leave", "proof": {"deadline_minutes": 5},
    });
    let words = failed(&bench.restore(input, "restore").await.status);
    assert!(words.contains("was not proved good"), "{words}");
    let after = World::of(&account.ec2()).await;
    let original = rich.id.as_str();
    assert_eq!(after.instances.len(), 2);
    assert_eq!(after.instances[original], before.instances[original]);
    assert_eq!((after.leftovers.len(), after.images.len()), (0, 0));
    // Nothing lies about: each volume is the original's or hangs on what was left.
    let left = after.instances.keys().find(|id| *id != original).unwrap();
    let view = describe(&account.ec2(), left).await;
    assert_eq!(view.state().unwrap().name().unwrap().as_str(), "running");
    let hung = view.block_device_mappings().len();
    assert_eq!(after.volumes.len(), before.volumes.len() + hung);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_made_by_a_dry_run_and_it_says_what_would_be_done() {
    let stack = Stack::from_environment();
    let (account, _) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let before = mutating_calls(&account).await;
    for mode in [
        "clone",
        "non_destructive",
        "destructive",
        "in_place",
        "volumes",
        "image",
    ] {
        let input = json!({"plan_id": "nightly", "mode": mode, "dry_run": true});
        let output = succeeded(bench.restore(input, mode).await);
        let planned = &output["planned"][0];
        if mode == "non_destructive" {
            let fields: Vec<&str> = planned["obstacles"]
                .as_array()
                .unwrap()
                .iter()
                .map(|obstacle| obstacle["field"].as_str().unwrap())
                .collect();
            assert!(fields.contains(&"overrides.private_address"), "{planned:#}");
            assert!(
                planned["obstacles"][0]["choices"].as_array().unwrap().len() > 1,
                "{planned:#}"
            );
        } else {
            assert!(
                planned["steps"].as_array().unwrap().len() > 1,
                "{mode}: {planned:#}"
            );
        }
    }
    assert_eq!(mutating_calls(&account).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_restores_proves_times_and_removes_everything() {
    let stack = Stack::from_environment();
    let (account, _) = scene(&stack).await;
    let slow = json!({"instance_transition_seconds": 45, "status_check_seconds": 90});
    account.simulator.post("settings", slow).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    bench.pass(200.0).await;
    let ec2 = account.ec2();
    let subnet = ec2
        .create_subnet()
        .vpc_id(
            ec2.describe_vpcs().send().await.unwrap().vpcs()[0]
                .vpc_id()
                .unwrap(),
        )
        .cidr_block("172.31.200.0/24")
        .availability_zone("us-east-1b")
        .send()
        .await
        .unwrap();
    let subnet = subnet.subnet().unwrap().subnet_id().unwrap().to_owned();
    let group = ec2
        .create_security_group()
        .group_name("quiet")
        .description("lets nothing out")
        .send()
        .await
        .unwrap();
    let group = group.group_id().unwrap().to_owned();
    let mut plan = holdfast_tests::restoring::plan()["plan"].clone();
    plan["rehearsal"] = json!({
        "subnet_id": subnet, "security_group_ids": [group],
        "overrides": {"interfaces": "primary_only", "iam_instance_profile_arn": ""},
        "schedules": [{"expression": "cron(0 4 ? * SUN *)"}],
    });
    let saved = bench
        .invoke("manage-plan", json!({"action": "put", "plan": plan}))
        .await;
    saved.expect("the plan is saved");
    let schedules = account.scheduler().list_schedules().send().await.unwrap();
    let names: Vec<&str> = schedules
        .schedules()
        .iter()
        .filter_map(|schedule| schedule.name())
        .collect();
    assert_eq!(names, ["nightly.rehearsal.0"]);
    let backup = bench.back_up(json!({"plan_id": "nightly"}), "backup").await;
    assert_eq!(succeeded(backup)["status"], "COMPLETED");
    let before = World::of(&ec2).await;
    let output = succeeded(bench.restore(json!({"rehearse": "nightly"}), "rehearsal").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let seconds = output["restores"][0]["seconds"].as_i64().unwrap();
    assert!((90..600).contains(&seconds), "{output:#}");
    assert_eq!(World::of(&ec2).await, before, "nothing is left");
    // One that cannot be proved good fails, and leaves nothing either.
    account
        .simulator
        .post(
            "instances/impair",
            json!({"next": true, "instance": true, "system": false}),
        )
        .await
        .unwrap();
    let words = failed(&bench.restore(json!({"rehearse": "nightly"}), "bad").await.status);
    assert!(words.contains("was not proved good"), "{words}");
    assert_eq!(World::of(&ec2).await, before, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_the_field_and_what_it_may_be() {
    let stack = Stack::from_environment();
    let (account, rich) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let point = back_up(&mut bench).await;
    let before = mutating_calls(&account).await;
    let stranger = "i-0ffffffffffffffff";
    let gone = "rp-20200101T000000Z-0123456789abcdef";
    let cases: Vec<(Value, &str, &str)> = vec![
        (json!({"mode": "copy"}), "mode: ", "non_destructive"),
        (json!({"recovery_point_id": gone}), "recovery_point_id: ", &point),
        (json!({"plan_id": "weekly"}), "plan_id: ", "has none here"),
        (json!({"before": "2020-01-01T00:00:00Z"}), "before: ", &point),
        (json!({"resources": [stranger]}), "resources[0]: ", &rich.id),
        (
            json!({"mode": "destructive", "overrides": {"subnet_id": "subnet-1"}}),
            "overrides.subnet_id: ",
            "clone",
        ),
        (
            json!({"overrides": {"subnet_id": "subnet-1"}}),
            "overrides.subnet_id: ",
            "subnet-",
        ),
        (
            json!({"overrides": {"instance_type": "x9.mega"}}),
            "overrides.instance_type: ",
            "offered",
        ),
        (
            json!({"overrides": {"instance_type": "m6g.large"}}),
            "overrides.instance_type: ",
            "x86_64",
        ),
        (
            json!({"overrides": {"security_group_ids": ["sg-1"]}}),
            "overrides.security_group_ids: ",
            "not there",
        ),
        (
            json!({"mode": "volumes", "volumes": {"devices": ["/dev/sdz"]}}),
            "volumes.devices: ",
            "/dev/sdf",
        ),
        (
            json!({"mode": "volumes", "volumes": {"attach_to": stranger}}),
            "volumes.attach_to: ",
            "does not exist",
        ),
        (
            json!({"mode": "volumes", "volumes": {"attach_to": rich.id}}),
            "volumes.attach_as./dev/sdf: ",
            "a free device",
        ),
        (json!({"mode": "rehearsal"}), "overrides.subnet_id: ", "isolated"),
        (
            json!({"source": {"region": "us-east-1", "account_id": "999999999999"}}),
            "source.account_id: ",
            "start",
        ),
    ];
    for (number, (more, field, words)) in cases.into_iter().enumerate() {
        let mut input = json!({"plan_id": "nightly", "mode": "clone"});
        for (key, value) in more.as_object().unwrap() {
            input[key] = value.clone();
        }
        let status = bench.restore(input, &format!("bad-{number}")).await.status;
        let said = failed(&status);
        assert!(
            said.starts_with("PermanentError") && said.contains(field) && said.contains(words),
            "{more}: {said}"
        );
    }
    for (input, field) in [
        (json!({"undo": "job-20200101T000000Z-0123456789abcdef"}), "undo: "),
        (json!({"rehearse": "weekly"}), "rehearse: "),
        (json!({"rehearse": "nightly"}), "rehearse: "),
    ] {
        let said = failed(&bench.restore(input, field).await.status);
        assert!(said.contains(field), "{said}");
    }
    assert_eq!(mutating_calls(&account).await, before, "nothing was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn resources_come_back_in_the_order_of_a_tag() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    let mut ids = Vec::new();
    for order in ["2", "10", "1"] {
        let scene = json!({
            "instances": 1, "volumes_per_instance": 1, "volume_size_gib": 1,
            "tags": {"app": "shop", "boot-order": order},
        });
        ids.extend(account.simulator.scene(scene).await.unwrap());
    }
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let slow = json!({"instance_transition_seconds": 30});
    account.simulator.post("settings", slow).await.unwrap();
    let input = json!({"plan_id": "nightly", "mode": "clone", "order": {"by_tag": "boot-order"}});
    let output = succeeded(bench.restore(input, "restore").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let ec2 = account.ec2();
    let mut started = Vec::new();
    for restored in output["restores"].as_array().unwrap() {
        let view = describe(&ec2, restored["instance_id"].as_str().unwrap()).await;
        started.push((
            view.launch_time().unwrap().secs(),
            restored["resource_id"].as_str().unwrap().to_owned(),
        ));
    }
    started.sort();
    let order: Vec<&String> = started.iter().map(|(_, id)| id).collect();
    assert_eq!(order, [&ids[2], &ids[0], &ids[1]]);
    assert!(
        started[1].0 - started[0].0 >= 30,
        "a wave begins when the one before has ended: {started:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_resource_does_not_stop_the_others() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    let scene =
        json!({"instances": 3, "volumes_per_instance": 1, "volume_size_gib": 1, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let fault = json!({"action": "RunInstances", "kind": "error", "code": "InsufficientInstanceCapacity",
        "message": "We currently do not have sufficient capacity", "status": 500, "nth": 1, "times": 1});
    account.simulator.post("faults", fault).await.unwrap();
    let output = succeeded(
        bench
            .restore(json!({"plan_id": "nightly", "mode": "clone"}), "restore")
            .await,
    );
    let statuses: Vec<&str> = output["restores"]
        .as_array()
        .unwrap()
        .iter()
        .map(|restored| restored["status"].as_str().unwrap())
        .collect();
    let good = statuses.iter().filter(|status| **status == "COMPLETED").count();
    assert!(good >= 2, "{output:#}");
    let after = World::of(&account.ec2()).await;
    assert_eq!(after.leftovers, Vec::<String>::new());
    assert_eq!(after.instances.len(), 3 + good);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_two_restores_change_one_instance_at_once() {
    let stack = Stack::from_environment();
    let (account, rich) = scene(&stack).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    back_up(&mut bench).await;
    let prepare = |mode: &str, name: &str, bench: &Bench<'_>| {
        json!({
            "action": "prepare", "input": {"plan_id": "nightly", "mode": mode},
            "execution_id": execution_arn(&account, name), "started_at": bench.now(),
        })
    };
    let first = prepare("in_place", "first", &bench);
    let first = bench
        .invoke("restore-instance", first)
        .await
        .expect("the first is prepared");
    let second = prepare("destructive", "second", &bench);
    let refused = bench
        .invoke("restore-instance", second.clone())
        .await
        .unwrap_err();
    let job = first["job_id"].as_str().unwrap();
    assert!(
        refused.cause.contains("resources: ") && refused.cause.contains(job),
        "{}",
        refused.cause
    );
    // A clone changes nothing of it.
    let clone = prepare("clone", "clone", &bench);
    bench
        .invoke("restore-instance", clone)
        .await
        .expect("a clone is prepared");
    let step = json!({"action": "step", "job_id": job, "wave": 0, "number": 0});
    loop {
        let stepped = bench
            .invoke("restore-instance", step.clone())
            .await
            .expect("a step");
        if stepped["finished"] == true {
            break;
        }
        bench.wait_until(&stepped).await;
    }
    let ending = json!({"action": "close", "execution_id": execution_arn(&account, "first")});
    let closed = bench
        .invoke("restore-instance", ending)
        .await
        .expect("the first is closed");
    assert_eq!(closed["status"], "COMPLETED", "{closed:#}");
    bench
        .invoke("restore-instance", second)
        .await
        .expect("the claim ended with its job");
    assert_eq!(
        describe(&account.ec2(), &rich.id).await.instance_id(),
        Some(rich.id.as_str())
    );
}
