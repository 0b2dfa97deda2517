//! Retention in a vault: what it keeps whatever the source says, and what goes to the archive.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use aws_sdk_s3::primitives::ByteStream;
use holdfast_core::archive::Archive;
use holdfast_core::plan::BackupPlan;
use holdfast_core::retention_rule::RetentionRule;
use holdfast_core::tags;
use holdfast_core::vault::{VaultPoint, hold_key, point_key, retirement_key};
use holdfast_tests::account::{Account, Stack};
use holdfast_tests::application::{Encryption, start_instance};
use holdfast_tests::killer::KillSwitch;
use holdfast_tests::retention::{
    Draft, Written, apply, daily, dry_run, instance, plan, retention_of, row, still_there, whole,
    write_replicas,
};
use holdfast_tests::simulator::Simulator;
use holdfast_tests::vault::Vault;
use holdfast_tests::workflow::{Bench, Repeat, start_of_time};
use jiff::SignedDuration;
use serde_json::{Value, json};

struct Case {
    account: Account,
    vault: Vault,
    plan: BackupPlan,
}

impl Case {
    async fn new(rules: Value) -> Self {
        let account = Account::new(&Stack::from_environment()).await;
        let vault = Vault::in_another_account(&account, "eu-central-1").await;
        Self {
            account,
            vault,
            plan: plan(&rules),
        }
    }

    /// The vault's own function on the vault's clock.
    async fn bench(&self, minimum_days: u32) -> Bench<'_> {
        let switch = KillSwitch::never();
        let bench = Bench::new(&self.account, switch.clone(), Repeat::Once).await;
        let bench = bench.with_vault(&self.vault).await;
        bench.with_retention(retention_of(&self.vault, &switch, minimum_days))
    }

    async fn write(&self, drafts: &[Draft], shape: impl Fn(&mut VaultPoint)) -> Vec<Written> {
        write_replicas(&self.vault, &self.plan, drafts, start_of_time(), shape).await
    }

    fn simulator(&self) -> &Simulator {
        &self.vault.simulator
    }

    async fn left(&self, written: &[Written]) -> usize {
        let ids: Vec<String> = written.iter().flat_map(|point| point.snapshots.clone()).collect();
        still_there(self.simulator(), &ids).await.len()
    }

    async fn put(&self, key: &str, body: &str) {
        let body = ByteStream::from(body.as_bytes().to_vec());
        self.vault
            .s3()
            .put_object()
            .bucket(&self.vault.bucket)
            .key(key)
            .body(body)
            .send()
            .await
            .unwrap();
    }
}

fn reason(row: &Value) -> &str {
    row["reasons"][0].as_str().unwrap()
}

#[tokio::test]
async fn replicas_go_by_the_newest_ones_rules_without_their_source() {
    let case = Case::new(json!([{"keep": "newest", "count": 5}])).await;
    let mut bench = case.bench(0).await;
    let drafts = daily(5, start_of_time());
    let written = case
        .write(&drafts, |point| {
            if point.moment == drafts[0].moment {
                point.retention = vec![RetentionRule::Newest { count: 2 }];
            }
        })
        .await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["kept"], &answer["gone"]), (&json!(2), &json!(3)));
    assert_eq!(
        (case.left(&written[..2]).await, case.left(&written[2..]).await),
        (2, 0)
    );
    assert_eq!(case.vault.keys("catalog/").await.len(), 4);
    let record = case
        .vault
        .object(&retirement_key(&case.plan.plan_id, &written[4].id))
        .await
        .unwrap();
    assert!(
        record["ended_at"].is_string()
            && record["reasons"][0]
                .as_str()
                .unwrap()
                .contains("no rule keeps it")
    );
}

#[tokio::test]
async fn real_copies_go_when_nothing_keeps_them() {
    let account = Account::new(&Stack::from_environment()).await;
    start_instance(&account, "db", &[Encryption::None, Encryption::DefaultKey]).await;
    let vault = Vault::in_another_account(&account, "eu-central-1").await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once)
        .await
        .with_vault(&vault)
        .await;
    let mut replica = vault.replica();
    replica["retention"] = json!([{"keep": "newest", "count": 1}]);
    let plan = json!({"plan": {
        "plan_id": "nightly",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 9}],
        "replicas": [replica],
    }});
    let mut points = Vec::new();
    for day in 0..2 {
        let execution = bench.back_up(plan.clone(), &format!("day-{day}")).await;
        assert!(
            matches!(execution.status, asl_runner::Status::Succeeded(_)),
            "{:?}",
            execution.status
        );
        bench.pass(86_400.0).await;
        let all = account
            .catalog()
            .list_recovery_points(&"nightly".try_into().unwrap())
            .await
            .unwrap();
        points.push(all[0].recovery_point_id.clone());
    }
    let mut bench = bench.with_retention(retention_of(&vault, &KillSwitch::never(), 0));
    apply(&mut bench).await;
    assert_eq!(vault.copies(&points[1]).await.len(), 2);
    assert_eq!(vault.copies(&points[0]).await.len(), 0);
    let own = account.simulator.snapshots(tags::PLAN, "nightly").await.unwrap();
    assert_eq!(own.len(), 4, "the vault touches nothing of the source");
}

#[tokio::test]
async fn nothing_younger_than_the_minimum_goes_whatever_records_say() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench(7).await;
    let drafts = daily(10, start_of_time());
    // The source says that everything was copied long ago.
    let written = case
        .write(&drafts, |point| {
            point.copied_at = "2020-01-01T00:00:00Z".parse().unwrap();
        })
        .await;
    apply(&mut bench).await;
    assert_eq!(
        case.left(&written[8..]).await,
        0,
        "what is older than seven days goes, but for the newest of it"
    );
    assert_eq!(case.left(&written[..8]).await, 8);

    // And that it stands for long ago, too: EC2's own start still protects the copies.
    let old: Vec<Draft> = (1..=3)
        .map(|n| whole("2020-01-01T00:00:00Z".parse().unwrap(), [n]))
        .collect();
    let young = write_forged(&case, &old).await;
    apply(&mut bench).await;
    let told = dry_run(&mut bench).await;
    assert_eq!(row(&told, &young)["keep"], true);
    assert_eq!(reason(row(&told, &young)), "younger than the vault's minimum age");
    assert_eq!(case.left(std::slice::from_ref(&young)).await, 1);
    bench.pass(8.0 * 86_400.0).await;
    apply(&mut bench).await;
    assert_eq!(case.left(std::slice::from_ref(&young)).await, 0);
}

#[tokio::test]
async fn what_a_source_in_wrong_hands_writes_today_pushes_nothing_out_today() {
    let case = Case::new(json!([{"keep": "daily", "count": 30}])).await;
    let mut bench = case.bench(7).await;
    let written = case.write(&daily(20, start_of_time()), |_| {}).await;
    // Replicas of a moment to come, with rules that keep nothing else, of every instance and with real copies.
    let mut forged = daily(3, start_of_time());
    for draft in &mut forged {
        draft.moment += SignedDuration::from_hours(24 * 365);
    }
    let attack = write_replicas(&case.vault, &case.plan, &forged, start_of_time(), |point| {
        point.retention = vec![RetentionRule::Newest { count: 1 }];
        point.expire_gone_resources = true;
    })
    .await;
    apply(&mut bench).await;
    assert_eq!(case.left(&written).await, 20);
    // And a record that nobody can read stops nothing either.
    let key = point_key(&case.plan.plan_id, &attack[0].id);
    case.put(&key, "{").await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert!(answer["failed"].is_null(), "{answer}");
    assert_eq!(case.left(&written).await, 20);
}

/// A replica whose record says that it is years old, while its copy was started just now.
async fn write_forged(case: &Case, old: &[Draft]) -> Written {
    let drafts = [old[0].clone()];
    let written = case.write(&drafts, |_| {}).await.remove(0);
    let scene = json!({"count": 1, "tags": {
        tags::PLAN: "nightly", tags::RECOVERY_POINT: written.id, tags::SOURCE_SNAPSHOT: "snap-0123456789abcdef0",
    }});
    let made = case.simulator().post("scene/snapshots", scene).await.unwrap();
    let young = made["snapshot_ids"][0].as_str().unwrap().to_owned();
    let key = format!("catalog/nightly/{}/backups/{}.json", written.id, instance(1));
    let mut record = case.vault.object(&key).await.unwrap();
    record["copies"][0]["snapshot_id"] = json!(young);
    case.put(&key, &record.to_string()).await;
    Written {
        snapshots: vec![young],
        ..written
    }
}

#[tokio::test]
async fn a_vault_deletes_only_copies_of_the_point_that_goes() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench(0).await;
    let written = case.write(&daily(3, start_of_time()), |_| {}).await;
    // The source names copies of the kept point, and a stranger, as leftovers of one that goes.
    let made = case
        .simulator()
        .post("scene/snapshots", json!({"count": 1}))
        .await
        .unwrap();
    let stranger = made["snapshot_ids"][0].as_str().unwrap().to_owned();
    let key = point_key(&case.plan.plan_id, &written[2].id);
    let mut record = case.vault.object(&key).await.unwrap();
    record["leftovers"] = json!([written[0].snapshots[0], stranger]);
    case.put(&key, &record.to_string()).await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!((&answer["gone"], &answer["deferred"]), (&json!(1), &json!(2)));
    assert_eq!(case.left(&written[..1]).await, 1);
    assert_eq!(
        still_there(case.simulator(), std::slice::from_ref(&stranger)).await,
        [stranger]
    );
}

#[tokio::test]
async fn leftovers_of_a_replica_go_with_it_and_an_empty_one_goes_at_once() {
    let case = Case::new(json!([{"keep": "newest", "count": 9}])).await;
    let mut bench = case.bench(0).await;
    let mut drafts = daily(2, start_of_time());
    drafts[1].good.clear();
    drafts[1].failed = vec![instance(1), instance(2)];
    let written = case.write(&drafts, |_| {}).await;
    apply(&mut bench).await;
    assert_eq!(
        (case.left(&written[..1]).await, case.left(&written[1..]).await),
        (1, 0)
    );
    assert_eq!(case.vault.keys("catalog/").await.len(), 2);
}

#[tokio::test]
async fn a_hold_in_a_vault_keeps_a_replica_until_it_is_released() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench(0).await;
    let written = case.write(&daily(2, start_of_time()), |_| {}).await;
    let ask = |action: &str| {
        let mut request = json!({"action": action, "plan_id": "nightly", "recovery_point_id": written[1].id});
        if action == "hold" {
            request["reason"] = json!("audit");
        }
        request
    };
    let answer = bench.invoke("apply-retention", ask("hold")).await.unwrap();
    assert_eq!(reason(&answer["points"][0]), "held");
    apply(&mut bench).await;
    assert_eq!(case.left(&written).await, 2);
    // An intent that met the hold: nothing is deleted as long as the hold stands.
    let intent = json!({"decided_at": bench.now(), "reasons": ["no rule"]});
    case.put(
        &retirement_key(&case.plan.plan_id, &written[1].id),
        &intent.to_string(),
    )
    .await;
    let answer = apply(&mut bench).await.pop().unwrap();
    assert_eq!(answer["finished"], true);
    assert_eq!(case.left(&written).await, 2);
    assert_eq!(row(&dry_run(&mut bench).await, &written[1])["keep"], true);
    bench.invoke("apply-retention", ask("release")).await.unwrap();
    apply(&mut bench).await;
    assert_eq!(case.left(&written).await, 1);
    assert!(
        case.vault
            .object(&hold_key(&case.plan.plan_id, &written[1].id))
            .await
            .is_none()
    );
    let refused = bench.invoke("apply-retention", ask("hold")).await.unwrap_err();
    assert!(
        refused
            .cause
            .contains("recovery_point_id: plan nightly has no recovery point"),
        "{}",
        refused.cause
    );
}

#[tokio::test]
async fn the_last_replica_of_a_resource_stays_unless_the_plan_lets_it_go() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench(0).await;
    let mut drafts = daily(3, start_of_time());
    drafts[1].good = vec![instance(1), instance(2)];
    let written = case.write(&drafts, |_| {}).await;
    apply(&mut bench).await;
    assert_eq!(
        (case.left(&written[1..2]).await, case.left(&written[2..]).await),
        (2, 0)
    );
    assert_eq!(
        reason(row(&dry_run(&mut bench).await, &written[1])),
        format!("last good backup of {}", instance(2))
    );

    // A newest point that is not whole tells of nobody that it is gone.
    let tomorrow = start_of_time() + SignedDuration::from_hours(24);
    bench.pass(2.0 * 86_400.0).await;
    let mut drafts = vec![whole(tomorrow, [1])];
    drafts[0].failed = vec![instance(2)];
    let expire = |point: &mut VaultPoint| point.expire_gone_resources = true;
    write_replicas(&case.vault, &case.plan, &drafts, bench.now(), expire).await;
    apply(&mut bench).await;
    assert_eq!(case.left(&written[1..2]).await, 2);
    let later = [whole(tomorrow + SignedDuration::from_hours(12), [1])];
    write_replicas(&case.vault, &case.plan, &later, bench.now(), expire).await;
    apply(&mut bench).await;
    assert_eq!(case.left(&written[1..2]).await, 0);
}

#[tokio::test]
async fn a_replica_that_cannot_be_read_stays_and_without_the_newest_nothing_goes() {
    let case = Case::new(json!([{"keep": "newest", "count": 1}])).await;
    let mut bench = case.bench(0).await;
    let written = case.write(&daily(4, start_of_time()), |_| {}).await;
    case.put(&point_key(&case.plan.plan_id, &written[3].id), "{}")
        .await;
    case.put(
        &format!("catalog/nightly/{}/backups/{}.json", written[2].id, instance(1)),
        "sideways",
    )
    .await;
    apply(&mut bench).await;
    assert_eq!(
        (case.left(&written[1..2]).await, case.left(&written[2..]).await),
        (0, 2)
    );
    case.put(&point_key(&case.plan.plan_id, &written[0].id), "{}")
        .await;
    let request = json!({"action": "apply", "plan_id": "nightly"});
    let refused = bench.invoke("apply-retention", request).await.unwrap_err();
    assert_eq!(refused.error, "PermanentError");
    assert!(
        refused.cause.contains("point.json") && refused.cause.contains("recovery_point_id"),
        "{}",
        refused.cause
    );
}

#[tokio::test]
async fn copies_of_points_that_stay_long_go_to_the_archive_a_few_at_a_time() {
    let case = Case::new(json!([{"keep": "younger_than", "age": "P1Y"}])).await;
    let mut bench = case.bench(0).await;
    let drafts = [
        whole(start_of_time() - SignedDuration::from_hours(24), [1]),
        whole(start_of_time() - SignedDuration::from_hours(24 * 40), 0..25),
        // Gone within the month: the archive would cost more.
        whole(start_of_time() - SignedDuration::from_hours(24 * 350), [1]),
    ];
    let archive = Archive {
        after_days: 30,
        changed_percent: 60,
    };
    let written = case
        .write(&drafts, |point| point.archive = Some(archive.clone()))
        .await;
    let answers = apply(&mut bench).await;
    assert_eq!(answers.len(), 2, "25 copies in calls of 20");
    bench.pass(3_600.0).await;
    let archived = case
        .simulator()
        .ask(reqwest::Method::GET, "snapshots", None)
        .await
        .unwrap();
    let archived: Vec<&str> = archived
        .as_array()
        .unwrap()
        .iter()
        .filter(|snapshot| snapshot["tier"] == "archive")
        .map(|snapshot| snapshot["snapshot_id"].as_str().unwrap())
        .collect();
    assert_eq!(archived.len(), 25);
    assert!(
        written[1]
            .snapshots
            .iter()
            .all(|copy| archived.contains(&copy.as_str()))
    );
    assert_eq!(apply(&mut bench).await.len(), 1);
}
