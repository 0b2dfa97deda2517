//! Restores from what lies in another region or account alone, and retention beside a restore.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use holdfast_core::ids::{PlanId, RecoveryPointId};
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::application::blocks;
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::restoring::{Rich, World, execution_arn, plan, start_rich, succeeded, volumes_of};
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Backs an instance up whose volumes go to a vault.
async fn backed_up_to(account: &Account, vault: &Vault, bench: &mut Bench<'_>) -> (Rich, String) {
    let rich = start_rich(account).await;
    let mut input = plan();
    input["plan"]["replicas"] = json!([vault.replica()]);
    let output = succeeded(bench.back_up(input, "backup").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    (rich, output["recovery_point_id"].as_str().unwrap().to_owned())
}

/// What a new instance needs where nothing of the source is.
async fn overrides(vault: &Vault) -> Value {
    let ec2 = vault.ec2();
    let subnets = ec2.describe_subnets().send().await.unwrap();
    let groups = ec2.describe_security_groups().send().await.unwrap();
    json!({
        "subnet_id": subnets.subnets()[0].subnet_id().unwrap(),
        "interfaces": "all",
        "security_group_ids": [groups.security_groups()[0].group_id().unwrap()],
        "key_name": "",
        "iam_instance_profile_arn": "",
        "elastic_ips": "leave",
    })
}

/// The digests of volumes, by device.
async fn digests(
    simulator: &holdfast_tests::simulator::Simulator,
    volumes: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut digests = BTreeMap::new();
    for (device, volume) in volumes {
        let route = format!("volumes/{volume}/digest");
        let answer = simulator.ask(reqwest::Method::GET, &route, None).await.unwrap();
        digests.insert(device.clone(), answer["sha256"].as_str().unwrap().to_owned());
    }
    digests
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vault_in_another_account_restores_with_the_source_out_of_reach() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let (rich, _) = backed_up_to(&account, &vault, &mut bench).await;
    let captured = digests(&account.simulator, &rich.volumes).await;
    // From here on the source answers nothing at all.
    let outage = json!({"action": "*", "kind": "error", "code": "Unavailable", "message": "gone", "status": 503,
        "nth": 1, "times": 1_000_000});
    account.simulator.post("faults", outage).await.unwrap();
    let mut bench = bench.with_restore(vault.restore_instance().await);
    let refused = bench
        .restore(json!({"plan_id": "nightly", "mode": "clone"}), "refused")
        .await;
    let words = format!("{:?}", refused.status);
    for field in [
        "overrides.subnet_id",
        "overrides.security_group_ids",
        "overrides.iam_instance_profile_arn",
    ] {
        assert!(words.contains(field), "{field} is not named: {words}");
    }
    let mut input = json!({"plan_id": "nightly", "mode": "clone", "overrides": overrides(&vault).await});
    let output = succeeded(bench.restore(input.clone(), "clone").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let ec2 = vault.ec2();
    let instance = output["restores"][0]["instance_id"].as_str().unwrap().to_owned();
    assert_eq!(
        digests(&vault.simulator, &volumes_of(&ec2, &instance).await).await,
        captured
    );
    assert_eq!(World::of(&ec2).await.leftovers, Vec::<String>::new());
    for mode in ["destructive", "in_place"] {
        input["mode"] = json!(mode);
        input["overrides"] = json!({});
        let refused = bench.restore(input.clone(), mode).await;
        assert!(
            format!("{:?}", refused.status).contains("mode: "),
            "{:?}",
            refused.status
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_in_another_region_of_the_account_restores_there() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    let vault = Vault::in_region(&account, "eu-west-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let (rich, point) = backed_up_to(&account, &vault, &mut bench).await;
    let captured = digests(&account.simulator, &rich.volumes).await;
    let mut overrides = overrides(&vault).await;
    overrides
        .as_object_mut()
        .unwrap()
        .remove("iam_instance_profile_arn");
    let input = json!({
        "plan_id": "nightly", "mode": "clone", "recovery_point_id": point,
        "source": {"region": "eu-west-1"}, "overrides": overrides,
    });
    let output = succeeded(bench.restore(input, "clone").await);
    assert_eq!(output["status"], "COMPLETED", "{output:#}");
    let ec2 = vault.ec2();
    let instance = output["restores"][0]["instance_id"].as_str().unwrap().to_owned();
    assert_eq!(
        digests(&vault.simulator, &volumes_of(&ec2, &instance).await).await,
        captured
    );
    assert_eq!(World::of(&ec2).await.leftovers, Vec::<String>::new());
    let copies = vault
        .simulator
        .snapshots("holdfast:recovery-point", &point)
        .await
        .unwrap();
    let ebs = holdfast_tests::application::ebs_of(&vault);
    assert!(!blocks(&ebs, &copies[0].snapshot_id).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_leaves_a_point_alone_that_a_restore_reads_from() {
    let stack = Stack::from_environment();
    let account = Account::new(&stack).await;
    start_rich(&account).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let mut input = plan();
    input["plan"]["retention"] = json!([{"keep": "newest", "count": 1}]);
    let first = succeeded(bench.back_up(input.clone(), "first").await);
    let point = first["recovery_point_id"].as_str().unwrap().to_owned();
    // A restore of it begins, and stands still.
    let slow = json!({"instance_transition_seconds": 100_000});
    account.simulator.post("settings", slow).await.unwrap();
    let restore =
        json!({"plan_id": "nightly", "mode": "clone", "recovery_point_id": point, "deadline_minutes": 600});
    let prepare = json!({
        "action": "prepare", "input": restore, "execution_id": execution_arn(&account, "running"),
        "started_at": bench.now(),
    });
    let prepared = bench
        .invoke("restore-instance", prepare)
        .await
        .expect("the restore is prepared");
    let step = json!({"action": "step", "job_id": prepared["job_id"], "wave": 0, "number": 0});
    let stepped = bench
        .invoke("restore-instance", step.clone())
        .await
        .expect("a step is taken");
    assert_eq!(stepped["finished"], false, "{stepped:#}");
    bench.pass(5.0 * 3600.0).await;
    let second = succeeded(bench.back_up(input, "second").await);
    assert_eq!(second["status"], "COMPLETED", "{second:#}");
    let plan_id = PlanId::try_from("nightly").unwrap();
    let id = RecoveryPointId::try_from(point.as_str()).unwrap();
    let kept = account
        .catalog()
        .find_recovery_point(&plan_id, &id)
        .await
        .unwrap()
        .expect("the point is there");
    assert!(kept.retirement.is_none(), "{:?}", kept.retirement);
    let told = bench
        .invoke(
            "apply-retention",
            json!({"action": "apply", "plan_id": "nightly", "dry_run": true}),
        )
        .await;
    let told = told.expect("retention answers");
    let row = told["points"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["recovery_point_id"] == point.as_str())
        .unwrap();
    assert!(
        row["keep"] == true && row["reasons"].to_string().contains("a job works on it"),
        "{row:#}"
    );
    // When nobody reads from it any more, it goes. The restore is long past its deadline, and takes back what it made.
    bench.pass(12.0 * 3600.0).await;
    account
        .simulator
        .post("settings", json!({"instance_transition_seconds": 0}))
        .await
        .unwrap();
    loop {
        let stepped = bench
            .invoke("restore-instance", step.clone())
            .await
            .expect("a step is taken");
        if stepped["finished"] == true {
            break;
        }
        bench.wait_until(&stepped).await;
    }
    assert_eq!(World::of(&account.ec2()).await.leftovers, Vec::<String>::new());
    for _ in 0..5 {
        let gone = bench
            .invoke(
                "apply-retention",
                json!({"action": "apply", "plan_id": "nightly"}),
            )
            .await;
        let gone = gone.expect("retention answers");
        if gone["finished"] == true {
            break;
        }
        bench.wait_until(&gone).await;
    }
    let late = bench
        .restore(
            json!({"plan_id": "nightly", "mode": "clone", "recovery_point_id": point}),
            "late",
        )
        .await;
    assert!(
        format!("{:?}", late.status).contains("recovery_point_id: "),
        "{:?}",
        late.status
    );
}
