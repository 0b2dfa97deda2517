//! The backup workflow, killed before, during and after every AWS call it makes (target R1).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::Status;
use holdfast_core::backup::BackupStatus;
use holdfast_core::job::JobStatus;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::{KillSwitch, Point};
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::{Value, json};

const INSTANCES: usize = 3;

/// Three instances of two volumes each, selected by tag and one of them by id too; tags that EC2 cannot copy.
async fn scene(stack: &Stack) -> (Account, Value) {
    let account = Account::new(stack).await;
    let scene = json!({"instances": INSTANCES, "volumes_per_instance": 2, "volume_size_gib": 8, "tags": {"app": "shop"}});
    let ids = account.simulator.scene(scene).await.unwrap();
    let volumes = account.ec2().describe_volumes().send().await.unwrap();
    let volume = volumes.volumes()[0].volume_id().unwrap();
    let tags =
        json!({"resource_id": volume, "tags": {"aws:cloudformation:stack-name": "shop", "Name": "root"}});
    account.simulator.post("tags", tags).await.unwrap();
    let plan = json!({
        "plan_id": "nightly",
        "selection": {"instance_ids": [ids[0]], "tags": [{"key": "app", "values": ["shop"]}]},
        "tags": {"team": "shop"},
        "retention": [{"keep": "newest", "count": 3}],
    });
    (account, json!({"plan": plan}))
}

/// Runs a backup under a switch to its end and checks what it leaves. Gives the number of AWS calls.
async fn back_up_and_audit(stack: &Stack, switch: KillSwitch) -> u32 {
    let (account, input) = scene(stack).await;
    let execution = Bench::new(&account, switch.clone(), Repeat::Once)
        .await
        .back_up(input, "first")
        .await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );

    let points = audit(&account, "nightly").await;
    assert_eq!(points.len(), 1);
    let point = &points[0];
    assert_eq!(point.job.status, JobStatus::Completed, "{:?}", point.job.message);
    assert_eq!(point.backups.len(), INSTANCES);
    assert!(
        point
            .backups
            .iter()
            .all(|backup| backup.status == BackupStatus::Completed)
    );
    assert_eq!(point.snapshots.len(), 2 * INSTANCES);
    assert!(
        point
            .snapshots
            .iter()
            .all(|snapshot| snapshot.tags["team"] == "shop")
    );
    assert_eq!(
        point
            .snapshots
            .iter()
            .filter(|snapshot| snapshot.tags.contains_key("Name"))
            .count(),
        1
    );
    switch.calls()
}

async fn kill_at_every_call(point: Point) {
    let stack = Stack::from_environment();
    let calls = back_up_and_audit(&stack, KillSwitch::never()).await;
    assert!(calls > 30, "a backup makes more than {calls} calls");
    let mut kills = 0;
    for at in 1..=calls {
        let switch = KillSwitch::new(at, point);
        back_up_and_audit(&stack, switch.clone()).await;
        assert!(switch.has_killed(), "nothing was killed at call {at}");
        kills += 1;
    }
    println!(
        "R1 backup: killed {point:?} each of {kills} calls: 0 orphans, 0 duplicates, 0 lost backups, 0 open jobs"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_killed_before_any_call() {
    kill_at_every_call(Point::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_killed_during_any_call() {
    kill_at_every_call(Point::During).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_killed_after_any_call() {
    kill_at_every_call(Point::After).await;
}
