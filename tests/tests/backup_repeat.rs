//! Every handler run twice, and twice at once, on the same input (target R2).

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::Status;
use holdfast_core::backup::BackupStatus;
use holdfast_core::job::JobStatus;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::{Audited, audit};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::json;
use std::collections::BTreeMap;

fn input() -> serde_json::Value {
    json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 3}],
    }})
}

async fn back_up(stack: &Stack, repeat: Repeat) -> Audited {
    let account = Account::new(stack).await;
    let scene =
        json!({"instances": 5, "volumes_per_instance": 2, "volume_size_gib": 8, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), repeat).await;
    let execution = bench.back_up(input(), "first").await;
    if repeat == Repeat::Late {
        bench.double_tasks().await;
    }
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{repeat:?}: {:?}",
        execution.status
    );
    let mut points = audit(&account, "nightly").await;
    assert_eq!(points.len(), 1);
    points.remove(0)
}

/// The state without what every run makes anew: ids of EC2 and the exact seconds.
fn essence(audited: &Audited) -> (JobStatus, BTreeMap<String, usize>, usize, Option<String>) {
    let mut statuses = BTreeMap::new();
    for backup in &audited.backups {
        *statuses
            .entry(format!("{:?} {}", backup.status, backup.snapshots.len()))
            .or_insert(0) += 1;
    }
    (
        audited.job.status,
        statuses,
        audited.snapshots.len(),
        audited.job.message.clone(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_handler_run_twice_changes_nothing() {
    let stack = Stack::from_environment();
    let once = back_up(&stack, Repeat::Once).await;
    assert_eq!(once.job.status, JobStatus::Completed);
    assert!(
        once.backups
            .iter()
            .all(|backup| backup.status == BackupStatus::Completed)
    );
    let twice = back_up(&stack, Repeat::Twice).await;
    assert_eq!(essence(&once), essence(&twice));
    println!("R2 backup: every handler run twice leaves what one run leaves");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_handler_run_twice_at_once_changes_nothing() {
    let stack = Stack::from_environment();
    let once = back_up(&stack, Repeat::Once).await;
    for _ in 0..10 {
        let together = back_up(&stack, Repeat::Together).await;
        assert_eq!(essence(&once), essence(&together));
    }
    println!("R2 backup: every handler run twice at once, 10 times over, leaves what one run leaves");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_doubles_of_every_task_change_nothing() {
    let stack = Stack::from_environment();
    let once = back_up(&stack, Repeat::Once).await;
    let late = back_up(&stack, Repeat::Late).await;
    assert_eq!(essence(&once), essence(&late));
    println!("R2 backup: every task run again before each later one leaves what one run leaves");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intent_that_comes_late_does_not_set_a_backup_back() {
    let account = Account::new(&Stack::from_environment()).await;
    let scene = json!({"instances": 2, "volumes_per_instance": 1, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    bench.back_up(input(), "first").await;
    let before = audit(&account, "nightly").await.remove(0);
    let intents = before.backups.iter().cloned().map(|mut backup| {
        backup.status = BackupStatus::Intended;
        backup.snapshots.clear();
        backup
    });
    account.catalog().ensure_backups(intents).await.unwrap();
    let after = audit(&account, "nightly").await.remove(0);
    assert_eq!(before.backups, after.backups);
    assert_eq!(before.backups.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_event_finds_the_first_job_and_starts_no_second() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    let scene =
        json!({"instances": 2, "volumes_per_instance": 1, "volume_size_gib": 8, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let mut input = input();
    input["scheduled_time"] = json!("2026-11-24T02:00:00Z");
    let first = bench.back_up(input.clone(), "first").await;
    let second = bench.back_up(input.clone(), "second").await;
    let (Status::Succeeded(first), Status::Succeeded(second)) = (first.status, second.status) else {
        panic!("both executions succeed");
    };
    assert_eq!(first["job_id"], second["job_id"]);
    assert_eq!(second["opened"], json!(false));
    assert_eq!(audit(&account, "nightly").await.len(), 1);

    input["scheduled_time"] = json!("2026-11-23T02:00:00Z");
    bench.back_up(input, "third").await;
    assert_eq!(
        audit(&account, "nightly").await.len(),
        2,
        "another slot is another recovery point"
    );
}
