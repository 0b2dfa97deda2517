//! Retention, killed before, during and after every AWS call it makes (target R1).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints its figure"
)]

use holdfast_core::recovery_point::Retirement;
use holdfast_core::vault::{plan_prefix, retirement_key};
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::{KillSwitch, Point};
use holdfast_tests::retention::{
    apply, audit_retention, plan, retention_of, still_there, whole, write_points, write_replicas,
};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat, start_of_time};
use jiff::SignedDuration;
use serde_json::json;

/// Three points of two backups; the older two go.
fn drafts() -> Vec<holdfast_tests::retention::Draft> {
    (0..3)
        .map(|days| {
            whole(
                start_of_time() - SignedDuration::from_hours(10 + 24 * days),
                [1, 2],
            )
        })
        .collect()
}

/// Lets two points of the account's own go, and checks what is left. Gives the number of AWS calls.
async fn retire_and_audit(stack: &Stack, switch: KillSwitch) -> u32 {
    let account = Account::new(stack).await;
    let mut bench = Bench::new(&account, switch.clone(), Repeat::Once).await;
    let plan = plan(&json!([{"keep": "newest", "count": 1}]));
    let written = write_points(&account, &plan, &drafts()).await;
    apply(&mut bench).await;
    let left = audit_retention(&account).await;
    assert_eq!(left.kept, [drafts()[0].moment]);
    assert_eq!(left.gone, [drafts()[1].moment, drafts()[2].moment]);
    let snapshots: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
    assert_eq!(
        still_there(&account.simulator, &snapshots).await,
        written[0].snapshots
    );
    switch.calls()
}

/// The same over a vault's replicas.
async fn retire_replicas_and_audit(stack: &Stack, switch: KillSwitch) -> u32 {
    let account = Account::new(stack).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let bench = Bench::new(&account, switch.clone(), Repeat::Once).await;
    let mut bench = bench
        .with_vault(&vault)
        .await
        .with_retention(retention_of(&vault, &switch, 0));
    let plan = plan(&json!([{"keep": "newest", "count": 1}]));
    let written = write_replicas(&vault, &plan, &drafts(), bench.now(), |_| {}).await;
    apply(&mut bench).await;
    let snapshots: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
    assert_eq!(
        still_there(&vault.simulator, &snapshots).await,
        written[0].snapshots
    );
    let keys = vault.keys(&plan_prefix(&plan.plan_id)).await;
    assert_eq!(keys.len(), 3, "the point and its two backups: {keys:?}");
    assert!(
        keys.iter().all(|key| key.contains(written[0].id.as_str())),
        "{keys:?}"
    );
    for gone in &written[1..] {
        let record = vault
            .object(&retirement_key(&plan.plan_id, &gone.id))
            .await
            .unwrap();
        let retirement: Retirement = serde_json::from_value(record).unwrap();
        assert!(retirement.ended_at.is_some() && retirement.deferred.is_empty());
    }
    switch.calls()
}

async fn kill_at_every_call(point: Point) {
    let stack = Stack::from_environment();
    let calls = retire_and_audit(&stack, KillSwitch::never()).await;
    assert!(calls > 15, "retention makes more than {calls} calls");
    for at in 1..=calls {
        let switch = KillSwitch::new(at, point);
        retire_and_audit(&stack, switch.clone()).await;
        assert!(switch.has_killed(), "nothing was killed at call {at}");
    }
    let of_vault = retire_replicas_and_audit(&stack, KillSwitch::never()).await;
    assert!(
        of_vault > 15,
        "retention of a vault makes more than {of_vault} calls"
    );
    for at in 1..=of_vault {
        let switch = KillSwitch::new(at, point);
        retire_replicas_and_audit(&stack, switch.clone()).await;
        assert!(switch.has_killed(), "nothing was killed at call {at}");
    }
    println!(
        "R1 retention: killed {point:?} each of {calls} calls, and of {of_vault} in a vault: \
         0 kept snapshots deleted, 0 left of gone points"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_ends_the_same_when_killed_before_any_call() {
    kill_at_every_call(Point::Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_ends_the_same_when_killed_during_any_call() {
    kill_at_every_call(Point::During).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_ends_the_same_when_killed_after_any_call() {
    kill_at_every_call(Point::After).await;
}
