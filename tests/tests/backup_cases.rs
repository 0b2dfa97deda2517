//! The backup workflow against what goes wrong in real accounts.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::{Execution, Status};
use aws_sdk_ec2::types::Filter;
use holdfast_core::backup::BackupStatus;
use holdfast_core::ids::JobId;
use holdfast_core::job::JobStatus;
use holdfast_core::tags;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::{Audited, audit};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::workflow::{Bench, Repeat, start_of_time};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

struct Case {
    account: Account,
    instances: Vec<String>,
    plan: Value,
}

impl Case {
    /// `instances` running instances of `volumes` volumes each, all tagged `app=shop`, and a plan that selects them.
    async fn new(instances: usize, volumes: usize) -> Self {
        let account = Account::new(&Stack::from_environment()).await;
        let scene = json!({
            "instances": instances, "volumes_per_instance": volumes, "volume_size_gib": 8, "tags": {"app": "shop"},
        });
        let instances = account.simulator.scene(scene).await.unwrap();
        let plan = json!({
            "plan_id": "nightly",
            "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
            "retention": [{"keep": "newest", "count": 3}],
        });
        Self {
            account,
            instances,
            plan,
        }
    }

    async fn bench(&self) -> Bench<'_> {
        Bench::new(&self.account, KillSwitch::never(), Repeat::Once).await
    }

    async fn back_up(&self) -> (Execution, Audited) {
        let execution = self
            .bench()
            .await
            .back_up(json!({"plan": self.plan}), "first")
            .await;
        let mut points = audit(&self.account, "nightly").await;
        assert_eq!(points.len(), 1, "{:?}", execution.status);
        (execution, points.remove(0))
    }

    async fn volumes_of(&self, instance: &str) -> Vec<String> {
        let filter = Filter::builder()
            .name("attachment.instance-id")
            .values(instance)
            .build();
        let answer = self
            .account
            .ec2()
            .describe_volumes()
            .filters(filter)
            .send()
            .await
            .unwrap();
        answer
            .volumes()
            .iter()
            .map(|volume| volume.volume_id().unwrap().to_owned())
            .collect()
    }

    async fn set(&self, settings: Value) {
        self.account.simulator.post("settings", settings).await.unwrap();
    }

    async fn calls(&self, action: &str) -> (u64, u64) {
        let summary = self.account.simulator.call_summary().await.unwrap();
        let action = &summary["by_action"][action];
        (
            action["calls"].as_u64().unwrap_or(0),
            action["throttled"].as_u64().unwrap_or(0),
        )
    }
}

fn succeeded(execution: &Execution) -> &Value {
    match &execution.status {
        Status::Succeeded(output) => output,
        other => panic!("the execution ended as {other:?}"),
    }
}

#[tokio::test]
async fn a_snapshot_that_ends_in_error_makes_the_job_partial_and_is_named() {
    let case = Case::new(3, 2).await;
    let volume = case.volumes_of(&case.instances[1]).await.remove(0);
    let fault = json!({"volume_id": volume, "message": "Client.InternalError: the volume failed", "after_seconds": 3});
    case.account
        .simulator
        .post("snapshots/fail", fault)
        .await
        .unwrap();
    let (execution, point) = case.back_up().await;
    assert_eq!(succeeded(&execution)["status"], "PARTIAL");
    assert_eq!(point.job.status, JobStatus::Partial);
    let message = point.job.message.clone().unwrap();
    assert!(
        message.contains(&case.instances[1]) && message.contains("the volume failed"),
        "{message}"
    );
    assert_eq!(point.statuses()[&case.instances[1]], BackupStatus::Failed);
    assert_eq!(point.statuses()[&case.instances[0]], BackupStatus::Completed);
    let outcome = point.point.outcome.unwrap();
    assert_eq!((outcome.completed, outcome.failed, outcome.snapshots), (2, 1, 4));
}

#[tokio::test]
async fn a_third_of_all_calls_throttled_delays_the_job_and_loses_nothing() {
    let case = Case::new(60, 1).await;
    let fault = json!({"action": "*", "kind": "throttle", "share": 0.3, "seed": 7});
    case.account.simulator.post("faults", fault).await.unwrap();
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    let (calls, throttled) = case.calls("CreateSnapshots").await;
    assert_eq!(calls - throttled, 60, "every set is made once");
    let floor = 60.0 / 0.7;
    let calls = f64::from(u32::try_from(calls).unwrap());
    println!(
        "R3 backup at 30 %: {calls} CreateSnapshots calls, {:.2} x 1/(1-p) of the floor",
        calls / floor
    );
    assert!(calls <= floor * 1.25, "{calls} calls for a floor of {floor}");
}

#[tokio::test]
async fn a_volume_snapshotted_a_moment_ago_is_waited_for() {
    let case = Case::new(2, 1).await;
    let volume = case.volumes_of(&case.instances[0]).await.remove(0);
    let mut bench = case.bench().await;
    case.account
        .ec2()
        .create_snapshot()
        .volume_id(&volume)
        .send()
        .await
        .unwrap();
    let execution = bench.back_up(json!({"plan": case.plan}), "first").await;
    succeeded(&execution);
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Completed);
    assert!(
        case.calls("CreateSnapshots").await.0 > 2,
        "the first call for it was refused"
    );
}

#[tokio::test]
async fn a_volume_with_five_pending_snapshots_is_waited_for() {
    let case = Case::new(1, 1).await;
    case.set(json!({"snapshot_base_seconds": 600})).await;
    let volume = case.volumes_of(&case.instances[0]).await.remove(0);
    let mut bench = case.bench().await;
    for _ in 0..5 {
        case.account
            .ec2()
            .create_snapshot()
            .volume_id(&volume)
            .send()
            .await
            .unwrap();
        case.account.simulator.advance(16.0).await.unwrap();
    }
    succeeded(&bench.back_up(json!({"plan": case.plan}), "first").await);
    assert_eq!(
        audit(&case.account, "nightly").await.remove(0).job.status,
        JobStatus::Completed
    );
}

#[tokio::test]
async fn an_instance_that_a_limit_holds_up_does_not_hold_up_other_batches() {
    let case = Case::new(150, 1).await;
    case.set(json!({"pending_per_volume": 1, "per_volume_interval_seconds": 0}))
        .await;
    let mut first = case.instances.clone();
    first.sort();
    // Somebody else's snapshot of this volume stays pending for an hour.
    let volume = case.volumes_of(&first[0]).await.remove(0);
    let held = json!({"volume_id": volume});
    case.account.simulator.post("snapshots/hold", held).await.unwrap();
    let ec2 = case.account.ec2();
    let snapshot = ec2.create_snapshot().volume_id(&volume).send().await.unwrap();
    let fail = json!({"snapshot_id": snapshot.snapshot_id(), "after_seconds": 3600});
    let mut bench = case.bench().await;
    case.account.simulator.post("snapshots/fail", fail).await.unwrap();
    let execution = bench.back_up(json!({"plan": case.plan}), "first").await;
    succeeded(&execution);
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    let starts: Vec<_> = point
        .backups
        .iter()
        .map(|backup| {
            backup.snapshots[0]
                .started_at
                .duration_since(start_of_time())
                .as_secs()
        })
        .collect();
    assert_eq!(starts.iter().filter(|start| **start < 60).count(), 149);
    assert_eq!(starts.iter().filter(|start| **start >= 3600).count(), 1);
    assert!(execution.history_events < 500, "{}", execution.history_events);
}

#[tokio::test]
async fn snapshots_that_appear_late_are_neither_lost_nor_made_twice() {
    let case = Case::new(3, 2).await;
    case.set(json!({"visibility_delay_seconds": 100})).await;
    // The reply of the second create call is lost: the snapshots exist and cannot be seen yet.
    let fault = json!({"action": "CreateSnapshots", "nth": 2, "times": 1, "kind": "lose_reply"});
    case.account.simulator.post("faults", fault).await.unwrap();
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    assert_eq!(point.snapshots.len(), 6);
    assert_eq!(
        case.calls("CreateSnapshots").await.0,
        3,
        "no set is asked for twice"
    );
}

#[tokio::test]
async fn foreign_snapshots_are_left_alone_and_do_not_count() {
    let case = Case::new(2, 2).await;
    let foreign = json!({"count": 1177, "tags": {"made-by": "hand"}});
    case.account
        .simulator
        .post("scene/snapshots", foreign)
        .await
        .unwrap();
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Completed);
    assert_eq!(point.job.progress.started, 4);
    assert_eq!(
        case.account
            .simulator
            .snapshots("made-by", "hand")
            .await
            .unwrap()
            .len(),
        1177
    );
}

#[tokio::test]
async fn snapshots_with_forged_tags_do_not_count() {
    let case = Case::new(1, 1).await;
    let (_, first) = case.back_up().await;
    let id = &first.point.recovery_point_id;
    let volume = case
        .account
        .ec2()
        .create_volume()
        .size(1)
        .availability_zone("us-east-1a")
        .send()
        .await
        .unwrap();
    let snapshot = case
        .account
        .ec2()
        .create_snapshot()
        .volume_id(volume.volume_id().unwrap())
        .send()
        .await
        .unwrap();
    let forged: Vec<_> = first.snapshots[0]
        .tags
        .iter()
        .map(|(key, value)| aws_sdk_ec2::types::Tag::builder().key(key).value(value).build())
        .filter(|tag| tag.key() != Some(tags::SEAL))
        .collect();
    case.account
        .ec2()
        .create_tags()
        .resources(snapshot.snapshot_id().unwrap())
        .set_tags(Some(forged))
        .send()
        .await
        .unwrap();
    let backups = case
        .account
        .catalog()
        .page_of_backups(id, None)
        .await
        .unwrap()
        .backups;
    assert_eq!(
        backups[0].snapshots.len(),
        1,
        "the catalog names what the job made"
    );
}

#[tokio::test]
async fn an_instance_terminated_between_open_and_snapshot_fails_alone() {
    let case = Case::new(3, 1).await;
    let mut bench = case.bench().await;
    let opened = bench
        .invoke(
            "open-job",
            json!({
                "input": {"plan": case.plan},
                "execution_id": format!("arn:aws:states:us-east-1:{}:execution:backup:first", case.account.id),
                "started_at": bench.now(),
            }),
        )
        .await
        .unwrap();
    assert_eq!(opened["batches"], 1);
    case.account
        .ec2()
        .terminate_instances()
        .instance_ids(&case.instances[0])
        .send()
        .await
        .unwrap();
    succeeded(&bench.back_up(json!({"plan": case.plan}), "first").await);
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Partial);
    assert_eq!(point.statuses()[&case.instances[0]], BackupStatus::Failed);
    let message = point.job.message.unwrap();
    assert!(
        message.contains(&case.instances[0]) && message.contains("2 of 3"),
        "{message}"
    );
}

#[tokio::test]
async fn an_instance_that_vanished_without_trace_fails_alone() {
    let case = Case::new(2, 1).await;
    let vanish = json!({"instance_id": case.instances[0]});
    let mut plan = case.plan.clone();
    plan["selection"]["instance_ids"] = json!([case.instances[0]]);
    case.account
        .simulator
        .post("instances/vanish", vanish)
        .await
        .unwrap();
    succeeded(&case.bench().await.back_up(json!({"plan": plan}), "first").await);
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Partial);
    assert!(point.job.message.unwrap().contains("does not exist"));
}

#[tokio::test]
async fn forty_one_volumes_on_one_instance_are_one_backup() {
    let case = Case::new(1, 41).await;
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    assert_eq!(point.snapshots.len(), 41);
    let devices = point.snapshots[0]
        .tags
        .iter()
        .filter(|(key, _)| key.starts_with(tags::DEVICES));
    let named: usize = devices.map(|(_, value)| value.split_whitespace().count()).sum();
    assert_eq!(named, 41, "every device of the set is in the tags");
}

#[tokio::test]
async fn a_plan_that_selects_nothing_is_a_clear_failure() {
    let case = Case::new(1, 1).await;
    let mut plan = case.plan.clone();
    plan["selection"] = json!({"tags": [{"key": "app", "values": ["nothing"]}]});
    let execution = case.bench().await.back_up(json!({"plan": plan}), "first").await;
    let Status::Failed { error, cause } = &execution.status else {
        panic!("{:?}", execution.status)
    };
    assert_eq!(error, "FAILED");
    assert!(
        cause.contains("selected no running or stopped instance"),
        "{cause}"
    );
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Failed);
    assert!(point.snapshots.is_empty());
}

#[tokio::test]
async fn running_and_stopped_instances_are_backed_up_terminated_ones_never() {
    let case = Case::new(3, 1).await;
    let ec2 = case.account.ec2();
    let _bench = case.bench().await;
    ec2.stop_instances()
        .instance_ids(&case.instances[0])
        .send()
        .await
        .unwrap();
    ec2.terminate_instances()
        .instance_ids(&case.instances[1])
        .send()
        .await
        .unwrap();
    case.account.simulator.advance(120.0).await.unwrap();
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Completed);
    let statuses = point.statuses();
    assert_eq!(statuses.len(), 2);
    assert!(!statuses.contains_key(&case.instances[1]));
}

#[tokio::test]
async fn boot_and_data_volumes_are_protected_apart() {
    let case = Case::new(2, 3).await;
    let mut plan = case.plan.clone();
    plan["volumes"] = json!({"include": "boot_only"});
    let mut bench = case.bench().await;
    succeeded(&bench.back_up(json!({"plan": plan}), "boot").await);
    assert_eq!(audit(&case.account, "nightly").await[0].snapshots.len(), 2);
    plan["volumes"] = json!({"include": "data_only"});
    plan["plan_id"] = json!("data");
    succeeded(&bench.back_up(json!({"plan": plan}), "data").await);
    assert_eq!(audit(&case.account, "data").await[0].snapshots.len(), 4);
}

#[tokio::test]
async fn a_snapshot_that_somebody_deletes_while_it_is_made_fails_its_backup() {
    let case = Case::new(2, 1).await;
    case.set(json!({"snapshot_base_seconds": 60})).await;
    let mut bench = case.bench().await;
    let started = start(&mut bench, &case).await;
    let tag = started["recovery_point_id"].as_str().unwrap();
    let snapshots = case
        .account
        .simulator
        .snapshots(tags::RECOVERY_POINT, tag)
        .await
        .unwrap();
    let vanish = json!({"snapshot_id": snapshots[0].snapshot_id});
    case.account
        .simulator
        .post("snapshots/vanish", vanish)
        .await
        .unwrap();
    succeeded(&bench.back_up(json!({"plan": case.plan}), "first").await);
    // The vanished snapshot is named by its failed backup and is no orphan.
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Partial);
    assert!(point.job.message.unwrap().contains("is not there any more"));
}

#[tokio::test]
async fn snapshots_that_stay_pending_end_at_the_plans_deadline() {
    let mut case = Case::new(2, 1).await;
    case.plan["deadline_hours"] = json!(2);
    let volume = case.volumes_of(&case.instances[0]).await.remove(0);
    case.account
        .simulator
        .post("snapshots/hold", json!({"volume_id": volume}))
        .await
        .unwrap();
    let (_, point) = case.back_up().await;
    assert_eq!(point.job.status, JobStatus::Partial);
    assert!(
        point
            .job
            .message
            .clone()
            .unwrap()
            .contains("still pending at the plan's deadline")
    );
    let took = point
        .job
        .ended_at
        .unwrap()
        .duration_since(point.job.created_at)
        .as_hours();
    assert_eq!(took, 2);
}

#[tokio::test]
async fn every_snapshot_carries_the_sealed_tags_from_its_create_call() {
    let case = Case::new(1, 2).await;
    let (_, point) = case.back_up().await;
    for snapshot in &point.snapshots {
        for key in [
            tags::SCHEMA,
            tags::PLAN,
            tags::JOB,
            tags::RECOVERY_POINT,
            tags::MOMENT,
            tags::RESOURCE,
            tags::SEAL,
        ] {
            assert!(snapshot.tags.contains_key(key), "{key} is missing");
        }
        assert!(snapshot.tags[tags::DEVICES].contains(snapshot.volume_id.trim_start_matches("vol-")));
    }
    assert_eq!(
        case.calls("CreateTags").await.0,
        0,
        "nothing is tagged afterwards"
    );
}

#[tokio::test]
async fn the_record_holds_the_whole_configuration() {
    let case = Case::new(1, 2).await;
    let (_, point) = case.back_up().await;
    let resource = point.backups[0].resource_id.clone();
    let backups = case
        .account
        .catalog()
        .backups(&point.point.recovery_point_id, &[resource])
        .await
        .unwrap();
    let configuration = backups[0].configuration.clone().unwrap();
    assert!(configuration.instance_type.is_some() && configuration.image_id.is_some());
    assert_eq!(configuration.volumes.len(), 2);
    assert_eq!(
        configuration
            .volumes
            .iter()
            .filter(|volume| volume.is_boot)
            .count(),
        1
    );
    assert!(
        configuration
            .volumes
            .iter()
            .all(|volume| volume.delete_on_termination.is_some())
    );
    assert!(!configuration.interfaces.is_empty());
    assert!(
        configuration.interfaces[0]
            .private_addresses
            .iter()
            .any(|address| address.primary)
    );
    assert!(configuration.disable_api_termination.is_some());
    assert_eq!(configuration.tags["app"], "shop");
}

#[tokio::test]
async fn a_malformed_input_creates_nothing_and_names_its_field() {
    let case = Case::new(1, 1).await;
    let mut bench = case.bench().await;
    for (input, field) in [
        (json!({}), "plan_id"),
        (json!({"plan_id": "unknown"}), "plan_id: there is no plan unknown"),
        (json!({"plan_id": "nightly", "when": 1}), "when"),
        (
            json!({"plan": {"plan_id": "nightly", "selection": {}, "retention": []}}),
            "plan.selection",
        ),
        (
            json!({"plan_id": "nightly", "scheduled_time": "2062-11-24T02:00:00Z"}),
            "scheduled_time",
        ),
        (
            json!({"plan_id": "nightly", "scheduled_time": "yesterday"}),
            "scheduled_time",
        ),
    ] {
        let execution = bench.back_up(input, "bad").await;
        let Status::Failed { error, cause } = &execution.status else {
            panic!("{:?}", execution.status)
        };
        assert_eq!(error, "PermanentError");
        assert!(cause.contains(field), "{cause}");
    }
    assert!(audit(&case.account, "nightly").await.is_empty());
    let calls = case
        .account
        .simulator
        .ask(Method::GET, "calls/summary", None)
        .await
        .unwrap();
    assert!(calls["by_action"]["CreateSnapshots"].is_null(), "{calls}");
}

#[tokio::test]
async fn a_broken_step_ends_the_job_with_its_cause() {
    let case = Case::new(2, 1).await;
    let refuse = json!({"action": "DescribeVolumes", "nth": 1, "times": 99, "kind": "error",
        "code": "UnauthorizedOperation", "message": "You are not authorized to perform this operation.", "status": 403});
    case.account.simulator.post("faults", refuse).await.unwrap();
    let execution = case
        .bench()
        .await
        .back_up(json!({"plan": case.plan}), "first")
        .await;
    let Status::Failed { error, .. } = &execution.status else {
        panic!("{:?}", execution.status)
    };
    assert_eq!(error, "PermanentError");
    let point = audit(&case.account, "nightly").await.remove(0);
    assert_eq!(point.job.status, JobStatus::Failed);
    assert!(point.job.message.unwrap().contains("not authorized"));
}

#[tokio::test]
async fn a_stopped_execution_ends_its_job_as_aborted() {
    let case = Case::new(2, 1).await;
    let mut bench = case.bench().await;
    start(&mut bench, &case).await;
    let execution_id = format!(
        "arn:aws:states:us-east-1:{}:execution:backup:first",
        case.account.id
    );
    let stopped = json!({"execution_id": execution_id, "failure": {"error": "ABORTED"}});
    let closed = bench.invoke("close-job", stopped.clone()).await.unwrap();
    assert_eq!(closed["status"], "ABORTED");
    assert_eq!(
        bench.invoke("close-job", stopped).await.unwrap()["status"],
        "ABORTED"
    );
    assert_eq!(
        audit(&case.account, "nightly").await[0].job.status,
        JobStatus::Aborted
    );
}

#[rstest]
#[case::of_a_backup("BACKUP#", "status")]
#[case::of_a_batch("BATCH#", "instances")]
#[case::of_the_recovery_point("rp-", "manifest")]
#[tokio::test]
async fn a_malformed_record_is_named_and_ends_the_job_without_a_snapshot(
    #[case] record: &str,
    #[case] attribute: &str,
) {
    let case = Case::new(2, 1).await;
    let mut bench = case.bench().await;
    let opened = open(&mut bench, &case).await;
    let job = JobId::try_from(opened["job_id"].as_str().unwrap()).unwrap();
    let catalog = case.account.catalog();
    let point = catalog
        .recovery_point(&catalog.job(&job).await.unwrap())
        .await
        .unwrap();
    let id = point.recovery_point_id.as_str();
    let (pk, sk) = match record {
        "BACKUP#" => (id.to_owned(), format!("BACKUP#{}", case.instances[0])),
        "BATCH#" => (
            id.to_owned(),
            format!("BATCH#{}#000000", point.manifest.unwrap().id),
        ),
        _ => ("PLAN#nightly".to_owned(), id.to_owned()),
    };
    case.account.spoil_record(&pk, &sk, attribute).await;

    let execution = bench.back_up(json!({"plan": case.plan}), "first").await;
    let Status::Failed { error, cause } = &execution.status else {
        panic!("{:?}", execution.status)
    };
    assert_eq!(error, "PermanentError");
    assert!(cause.contains(&format!("{attribute}: ")), "{cause}");
    let job = catalog.job(&job).await.unwrap();
    assert_eq!(job.status, JobStatus::Failed);
    assert!(job.reported_at.is_some());
    let message = job.message.unwrap();
    assert!(message.contains(&format!("{attribute}: ")), "{message}");
    assert_eq!(case.calls("CreateSnapshots").await, (0, 0));
}

/// Opens the job, as the execution `first` would.
async fn open(bench: &mut Bench<'_>, case: &Case) -> Value {
    let execution_id = format!(
        "arn:aws:states:us-east-1:{}:execution:backup:first",
        case.account.id
    );
    let request =
        json!({"input": {"plan": case.plan}, "execution_id": execution_id, "started_at": bench.now()});
    bench.invoke("open-job", request).await.unwrap()
}

/// Opens the job and runs its first batch, as the execution `first` would.
async fn start(bench: &mut Bench<'_>, case: &Case) -> Value {
    let opened = open(bench, case).await;
    let batch = json!({"job_id": opened["job_id"], "batch": 0});
    let started = bench.invoke("snapshot-volumes", batch).await.unwrap();
    assert_eq!(started["all_started"], true);
    opened
}
