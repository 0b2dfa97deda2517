//! manage-plan: run twice, twice at once, and killed at every AWS call.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and prints its figure"
)]

use holdfast_tests::account::{Account, Stack};
use holdfast_tests::killer::{KillSwitch, Point};
use holdfast_tests::workflow::{Bench, Repeat};
use serde_json::{Value, json};

fn put(schedules: &[&str]) -> Value {
    let schedules: Vec<Value> = schedules
        .iter()
        .map(|expression| json!({"expression": expression}))
        .collect();
    json!({"action": "put", "plan": {
        "plan_id": "nightly",
        "time_zone": "Europe/Rome",
        "selection": {"tags": [{"key": "app", "values": ["shop"]}]},
        "retention": [{"keep": "newest", "count": 3}],
        "schedules": schedules,
    }})
}

async fn schedules(account: &Account) -> Vec<(String, String, String)> {
    let scheduler = account.scheduler();
    let mut found = Vec::new();
    for summary in scheduler.list_schedules().send().await.unwrap().schedules() {
        let name = summary.name().unwrap();
        let one = scheduler.get_schedule().name(name).send().await.unwrap();
        let (expression, zone) = (
            one.schedule_expression().unwrap(),
            one.schedule_expression_timezone().unwrap(),
        );
        found.push((name.to_owned(), expression.to_owned(), zone.to_owned()));
    }
    found.sort();
    found
}

fn both() -> Vec<(String, String, String)> {
    [("nightly.0", "cron(0 2 * * ? *)"), ("nightly.1", "rate(6 hours)")]
        .map(|(name, expression)| (name.to_owned(), expression.to_owned(), "Europe/Rome".to_owned()))
        .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_put_changed_listed_and_deleted_with_its_schedules() {
    let account = Account::new(&Stack::from_environment()).await;
    let mut bench = Bench::new(&account, KillSwitch::never(), Repeat::Once).await;
    let saved = bench
        .invoke("manage-plan", put(&["cron(0 2 * * ? *)", "rate(6 hours)"]))
        .await
        .unwrap();
    assert_eq!(saved["plans"][0]["version"], 1);
    assert_eq!(schedules(&account).await, both());
    let changed = bench.invoke("manage-plan", put(&["rate(1 hour)"])).await.unwrap();
    assert_eq!(changed["plans"][0]["version"], 2);
    assert_eq!(schedules(&account).await.len(), 1);
    let list = bench
        .invoke("manage-plan", json!({"action": "list"}))
        .await
        .unwrap();
    assert_eq!(list["plans"].as_array().unwrap().len(), 1);
    let got = bench
        .invoke("manage-plan", json!({"action": "get", "plan_id": "nightly"}))
        .await
        .unwrap();
    assert_eq!(got["plans"], changed["plans"]);
    let deleted = bench
        .invoke("manage-plan", json!({"action": "delete", "plan_id": "nightly"}))
        .await
        .unwrap();
    assert!(deleted["plans"][0]["deleted_at"].is_string());
    assert!(schedules(&account).await.is_empty());
    let list = bench
        .invoke("manage-plan", json!({"action": "list"}))
        .await
        .unwrap();
    assert!(list["plans"].as_array().unwrap().is_empty());
    let gone = bench
        .invoke("manage-plan", json!({"action": "get", "plan_id": "nightly"}))
        .await
        .unwrap_err();
    assert_eq!(gone.error, "PermanentError");
    let refused = bench.back_up(json!({"plan_id": "nightly"}), "late").await;
    assert!(
        format!("{:?}", refused.status).contains("was deleted"),
        "{:?}",
        refused.status
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_saved_twice_or_twice_at_once_is_saved_once() {
    let stack = Stack::from_environment();
    for repeat in [Repeat::Twice, Repeat::Together] {
        let account = Account::new(&stack).await;
        let mut bench = Bench::new(&account, KillSwitch::never(), repeat).await;
        let saved = bench
            .invoke("manage-plan", put(&["cron(0 2 * * ? *)", "rate(6 hours)"]))
            .await
            .unwrap();
        assert_eq!(saved["plans"][0]["version"], 1, "{repeat:?}");
        assert_eq!(schedules(&account).await, both());
        bench
            .invoke("manage-plan", json!({"action": "delete", "plan_id": "nightly"}))
            .await
            .unwrap();
        assert!(schedules(&account).await.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_whole_after_being_killed_at_any_call() {
    let stack = Stack::from_environment();
    let mut kills = 0;
    for point in Point::ALL {
        for at in 1.. {
            let account = Account::new(&stack).await;
            let switch = KillSwitch::new(at, point);
            let mut bench = Bench::new(&account, switch.clone(), Repeat::Once).await;
            bench
                .invoke(
                    "manage-plan",
                    put(&["rate(1 hour)", "rate(2 hours)", "rate(3 hours)"]),
                )
                .await
                .unwrap();
            bench
                .invoke("manage-plan", put(&["cron(0 2 * * ? *)", "rate(6 hours)"]))
                .await
                .unwrap();
            assert_eq!(schedules(&account).await, both(), "killed {point:?} call {at}");
            bench
                .invoke("manage-plan", json!({"action": "delete", "plan_id": "nightly"}))
                .await
                .unwrap();
            assert!(schedules(&account).await.is_empty(), "killed {point:?} call {at}");
            if !switch.has_killed() {
                break;
            }
            kills += 1;
        }
    }
    println!("R1 manage-plan: killed at {kills} calls: plans and schedules whole");
    assert!(kills > 30);
}
