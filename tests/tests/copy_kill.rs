//! Copies, killed before, during and after every AWS call they make (target R1), and run twice (target R2).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its figure"
)]

use asl_runner::Status;
use holdfast_core::ids::PlanId;
use holdfast_core::job::JobStatus;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::application::{Encryption, start_instance};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::{KillSwitch, Point};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::json;

/// Backs one instance up whose volumes go to another account, one of them over a hop, and checks what lies where.
/// Gives the number of AWS calls before the first copy, and in all.
async fn copy_and_audit(stack: &Stack, switch: KillSwitch, repeat: Repeat) -> (u32, u32) {
    let account = Account::new(stack).await;
    start_instance(&account, "db", &[Encryption::None, Encryption::DefaultKey]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, switch.clone(), repeat)
        .await
        .with_vault(&vault)
        .await;
    let plan = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 3}],
        "replicas": [vault.replica()],
    }});
    let execution = bench.back_up(plan, "first").await;
    if repeat == Repeat::Late {
        bench.double_tasks().await;
    }
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    let audited = audit(&account, "nightly").await.remove(0);
    assert_eq!(
        audited.job.status,
        JobStatus::Completed,
        "{:?}",
        audited.job.message
    );
    let plan = PlanId::try_from("nightly").unwrap();
    let copies = vault
        .audit(&account, &plan, &audited.point.recovery_point_id)
        .await;
    assert_eq!(
        (copies.status, copies.completed, copies.whole),
        (JobStatus::Completed, 2, 1)
    );
    assert_eq!(copies.failed, 0);
    assert_eq!(
        vault.leftovers(&account, &audited.point.recovery_point_id).await,
        0
    );
    (bench.calls_before("copy-region"), switch.calls())
}

async fn kill_at_every_call(point: Point) {
    let stack = Stack::from_environment();
    let (before, calls) = copy_and_audit(&stack, KillSwitch::never(), Repeat::Once).await;
    assert!(before > 10 && calls > before + 30, "{before} calls, then {calls}");
    for at in before + 1..=calls {
        let switch = KillSwitch::new(at, point);
        copy_and_audit(&stack, switch.clone(), Repeat::Once).await;
        assert!(switch.has_killed(), "nothing was killed at call {at}");
    }
    println!(
        "R1 copies: killed {point:?} each of {} calls: 0 orphans, 0 doubles, 0 hops left, 0 shares left",
        calls - before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_lost_or_doubled_when_killed_before_any_call() {
    Box::pin(kill_at_every_call(Point::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_lost_or_doubled_when_killed_during_any_call() {
    Box::pin(kill_at_every_call(Point::During)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_copy_is_lost_or_doubled_when_killed_after_any_call() {
    Box::pin(kill_at_every_call(Point::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_run_twice_or_twice_at_once_or_late_copy_once() {
    let stack = Stack::from_environment();
    for repeat in [
        Repeat::Twice,
        Repeat::Late,
        Repeat::Together,
        Repeat::Together,
        Repeat::Together,
    ] {
        copy_and_audit(&stack, KillSwitch::never(), repeat).await;
    }
    println!("R2 copies: every round twice, twice at once and late leaves what one run leaves");
}
