//! Retention run twice, twice at once, and while other things go on (target R2).

use asl_runner::Status;
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::audit::audit;
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::retention::{
    apply, audit_retention, daily, plan, retention_of, still_there, whole, write_points, write_replicas,
};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat, start_of_time};
use jiff::SignedDuration;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn retention_run_twice_or_twice_at_once_deletes_what_one_run_deletes() {
    let stack = Stack::from_environment();
    let repeats = [Repeat::Twice, Repeat::Late]
        .into_iter()
        .chain([Repeat::Together; 6]);
    for repeat in repeats {
        let account = Account::new(&stack).await;
        let mut bench = Bench::new(&account, KillSwitch::never(), repeat).await;
        let drafts: Vec<_> = (0..6)
            .map(|days| whole(start_of_time() - SignedDuration::from_hours(10 + 24 * days), 0..9))
            .collect();
        let written = write_points(&account, &plan(&json!([{"keep": "newest", "count": 2}])), &drafts).await;
        apply(&mut bench).await;
        // Of two runs at once, one may leave the end of a point to the next.
        apply(&mut bench).await;
        let left = audit_retention(&account).await;
        assert_eq!(
            (left.kept.len(), left.going.len(), left.gone.len()),
            (2, 0, 4),
            "{repeat:?}"
        );
        let snapshots: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
        assert_eq!(still_there(&account.simulator, &snapshots).await.len(), 18);
    }
    println!("R2 retention: twice, late and 6 times twice at once leaves what one run leaves");
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_of_a_vault_run_twice_or_twice_at_once_deletes_what_one_run_deletes() {
    let stack = Stack::from_environment();
    let repeats = [Repeat::Twice].into_iter().chain([Repeat::Together; 4]);
    for repeat in repeats {
        let account = Account::new(&stack).await;
        let vault = Vault::in_region(&account, "eu-central-1").await;
        let switch = KillSwitch::never();
        let bench = Bench::new(&account, switch.clone(), repeat).await;
        let mut bench = bench.with_retention(retention_of(&vault, &switch, 0));
        let plan = plan(&json!([{"keep": "newest", "count": 2}]));
        let written = write_replicas(&vault, &plan, &daily(5, start_of_time()), bench.now(), |_| {}).await;
        apply(&mut bench).await;
        apply(&mut bench).await;
        let snapshots: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
        assert_eq!(
            still_there(&vault.simulator, &snapshots).await.len(),
            2,
            "{repeat:?}"
        );
        assert_eq!(vault.keys("catalog/").await.len(), 4, "{repeat:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_and_retention_at_once_never_both_win() {
    let stack = Stack::from_environment();
    let mut granted = 0;
    for round in 0..10 {
        let account = Account::new(&stack).await;
        let vault = Vault::in_region(&account, "eu-central-1").await;
        let switch = KillSwitch::never();
        let plan = plan(&json!([{"keep": "newest", "count": 1}]));
        let in_vault = round % 2 == 0;
        let bench = Bench::new(&account, switch.clone(), Repeat::Once).await;
        let drafts = daily(2, start_of_time());
        let (simulator, written, bench) = if in_vault {
            let written = write_replicas(&vault, &plan, &drafts, bench.now(), |_| {}).await;
            let bench = bench.with_retention(retention_of(&vault, &switch, 0));
            (&vault.simulator, written, bench)
        } else {
            (
                &account.simulator,
                write_points(&account, &plan, &drafts).await,
                bench,
            )
        };
        let functions = bench.functions().clone();
        let request = |request| serde_json::from_value(request).unwrap();
        let hold = request(json!({
            "action": "hold", "plan_id": "nightly", "recovery_point_id": written[1].id, "reason": "audit",
        }));
        let apply = request(json!({"action": "apply", "plan_id": "nightly"}));
        let now = bench.now();
        let (retention, hold) = tokio::join!(functions.apply_retention.handle(apply, now), async {
            tokio::time::sleep(std::time::Duration::from_millis(8 * round)).await;
            functions.apply_retention.handle(hold, now).await
        });
        retention.unwrap();
        let there = still_there(simulator, &written[1].snapshots).await;
        if hold.is_ok() {
            granted += 1;
            assert_eq!(
                there, written[1].snapshots,
                "a point whose hold was granted is whole"
            );
        }
    }
    println!(
        "R2 retention: {granted} of 10 holds were granted while retention ran, and every one of them held"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_during_a_running_backup_leaves_that_backup_alone() {
    let account = Account::new(&Stack::from_environment()).await;
    let scene =
        json!({"instances": 2, "volumes_per_instance": 2, "volume_size_gib": 8, "tags": {"app": "shop"}});
    account.simulator.scene(scene).await.unwrap();
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let rules = json!([{"keep": "newest", "count": 1}]);
    let mut input = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": rules,
    }});
    bench.back_up(input.clone(), "first").await;
    bench.pass(86_400.0).await;
    // A slot long ago: by its moment the new point is older than the one that is there, and the rule keeps only one.
    input["scheduled_time"] = json!("2026-11-20T02:00:00Z");
    let execution_id = format!("arn:aws:states:us-east-1:{}:execution:backup:second", account.id);
    let open = json!({"input": input, "execution_id": execution_id, "started_at": bench.now()});
    let job = bench.invoke("open-job", open).await.unwrap()["job_id"].clone();
    apply(&mut bench).await;
    bench
        .invoke("snapshot-volumes", json!({"job_id": job, "batch": 0}))
        .await
        .unwrap();
    apply(&mut bench).await;
    bench.pass(60.0).await;
    apply(&mut bench).await;
    assert_eq!(
        bench
            .invoke("poll-completion", json!({"job_id": job}))
            .await
            .unwrap()["finished"],
        true
    );
    // Its outcome is written, its job is not closed.
    bench.pass(86_400.0).await;
    apply(&mut bench).await;
    let left = audit_retention(&account).await;
    assert_eq!((left.kept.len(), left.going.len(), left.gone.len()), (2, 0, 0));
    let execution = bench.back_up(input, "second").await;
    assert!(
        matches!(execution.status, Status::Succeeded(_)),
        "{:?}",
        execution.status
    );
    assert!(
        audit(&account, "nightly")
            .await
            .iter()
            .all(|point| point.point.outcome.is_some())
    );
}
