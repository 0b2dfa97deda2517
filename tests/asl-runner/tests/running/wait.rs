//! Wait: how long, by whose clock.

use crate::world::{START, World, events, failure, gives, output, seconds_in};
use asl_runner::{EventKind, StateType};
use rstest::rstest;
use serde_json::{Value, json};

fn waiting(field: &str, value: &Value) -> Value {
    json!({"Hold": {"Type": "Wait", field: value, "End": true}})
}

#[rstest]
#[case::seconds("Seconds", json!(20), 20)]
#[case::none("Seconds", json!(0), 0)]
#[case::seconds_by_expression("Seconds", json!("{% $states.input.n * 2 %}"), 14)]
#[case::timestamp("Timestamp", json!("2026-11-24T02:00:20Z"), 20)]
#[case::timestamp_elsewhere("Timestamp", json!("2026-11-24T03:01:00+01:00"), 60)]
#[case::timestamp_by_expression("Timestamp", json!("{% $states.input.until %}"), 3600)]
#[case::timestamp_by_the_context("Timestamp", json!("{% $states.context.Execution.StartTime %}"), 0)]
#[case::timestamp_that_is_over("Timestamp", json!("2026-11-23T00:00:00Z"), 0)]
#[case::fraction_is_cut("Timestamp", json!("2026-11-24T02:00:20.999Z"), 20)]
#[tokio::test]
async fn waits_as_long_as_it_says(#[case] field: &str, #[case] value: Value, #[case] seconds: i32) {
    let input = json!({"n": 7, "until": "2026-11-24T03:00:00Z"});
    let mut world = World::new([]);
    let execution = world.run("Hold", waiting(field, &value), input.clone()).await;
    assert_eq!(output(&execution), &input, "a wait hands its input on");
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "WaitStateEntered",
            "WaitStateExited",
            "ExecutionSucceeded"
        ]
    );
    let at: Vec<i64> = execution
        .history
        .iter()
        .map(|event| seconds_in(event.time))
        .collect();
    let over = i64::from(seconds);
    assert_eq!(at, [0, 0, over, over]);
    assert_eq!(world.waits, vec![f64::from(seconds)]);
    assert_eq!(world.waits, vec![execution.waited_seconds]);
}

#[tokio::test]
async fn counts_to_a_timestamp_from_the_environments_time() {
    let states = json!({
        "Work": {"Type": "Task", "Resource": "r", "Assign": {"until": "{% $states.result %}"}, "Next": "Hold"},
        "Hold": {"Type": "Wait", "Timestamp": "{% $until %}", "End": true},
    });
    let mut world = World::new([gives(json!(START.replace("00Z", "20Z"))).after(5)]);
    let execution = world.run("Work", states, json!({})).await;
    assert_eq!(world.waits, vec![15.0]);
    let entered = EventKind::StateEntered(StateType::Wait);
    let entered = execution.history.iter().find(|event| event.kind == entered);
    assert_eq!(entered.map(|event| seconds_in(event.time)), Some(5));
}

#[rstest]
#[case::negative("Seconds", json!("{% -1 %}"), "a whole number between 0 and 99999999, is -1")]
#[case::fraction("Seconds", json!("{% 1.5 %}"), "is 1.5")]
#[case::text("Seconds", json!("{% '20' %}"), "is \"20\"")]
#[case::no_time("Timestamp", json!("{% 'tomorrow' %}"), "an RFC 3339 timestamp, is \"tomorrow\"")]
#[case::null("Timestamp", json!("{% null %}"), "is null")]
#[tokio::test]
async fn fails_where_it_cannot_tell_how_long(
    #[case] field: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let mut world = World::new([]);
    let execution = world.run("Hold", waiting(field, &value), json!({})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains(expected) && cause.contains(field), "{cause}");
    assert_eq!(world.waits, Vec::<f64>::new());
}
