//! Retry: what is tried again, how often, and after how long.

use crate::world::{World, events, fails, failure, gives, output};
use rstest::rstest;
use serde_json::{Value, json};

fn retrying(retry: &Value) -> Value {
    json!({"Work": {"Type": "Task", "Resource": "r", "Retry": retry, "End": true}})
}

/// How long the runner waits before each retry of a task that fails until `retry` gives up. AWS's defaults are one
/// second, three attempts and a rate of 2; the attempt that starts it all does not count.
#[rstest]
#[case::defaults(json!({}), None, &[1.0, 2.0, 4.0])]
#[case::interval_and_rate(json!({"IntervalSeconds": 2, "BackoffRate": 1.5}), None, &[2.0, 3.0, 4.5])]
#[case::no_backoff(json!({"IntervalSeconds": 5, "BackoffRate": 1, "MaxAttempts": 2}), None, &[5.0, 5.0])]
#[case::longest_delay(
    json!({"IntervalSeconds": 5, "MaxAttempts": 8, "BackoffRate": 2, "MaxDelaySeconds": 120}),
    None,
    &[5.0, 10.0, 20.0, 40.0, 80.0, 120.0, 120.0, 120.0],
)]
#[case::never(json!({"MaxAttempts": 0}), None, &[])]
#[case::full_jitter(json!({"JitterStrategy": "FULL"}), Some(0.25), &[0.25, 0.5, 1.0])]
#[case::full_jitter_as_long_as_can_be(json!({"JitterStrategy": "FULL"}), None, &[1.0, 2.0, 4.0])]
#[case::no_jitter(json!({"JitterStrategy": "NONE"}), Some(0.25), &[1.0, 2.0, 4.0])]
#[case::jitter_stays_within_bounds(json!({"JitterStrategy": "FULL", "MaxAttempts": 1}), Some(9.0), &[1.0])]
#[tokio::test]
async fn waits_longer_from_retry_to_retry_and_then_gives_up(
    #[case] mut retrier: Value,
    #[case] jitter: Option<f64>,
    #[case] expected: &[f64],
) {
    retrier["ErrorEquals"] = json!(["States.ALL"]);
    let mut world = World::new(vec![fails("RetryableError"); expected.len() + 1]);
    world.jitter = jitter;
    let execution = world.run("Work", retrying(&json!([retrier])), json!({})).await;
    assert_eq!(failure(&execution), ("RetryableError", "it broke"));
    assert_eq!(world.waits, expected.to_vec());
    let counts: Vec<usize> = world
        .requests
        .iter()
        .map(|request| request.retry_count as usize)
        .collect();
    assert_eq!(counts, (0..=expected.len()).collect::<Vec<_>>());
}

#[tokio::test]
async fn goes_on_as_soon_as_a_retry_succeeds() {
    let retry = json!([{"ErrorEquals": ["RetryableError"], "MaxAttempts": 6}]);
    let answers = [
        fails("RetryableError"),
        fails("RetryableError"),
        gives(json!("done")),
    ];
    let mut world = World::new(answers);
    let execution = world.run("Work", retrying(&retry), json!({})).await;
    assert_eq!(output(&execution), &json!("done"));
    assert_eq!(world.waits, vec![1.0, 2.0]);
    assert_eq!(vec![execution.waited_seconds], vec![3.0]);
    // On AWS a retry is not an event of its own: the task is scheduled again, and the state is entered once.
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskFailed",
            "TaskScheduled",
            "TaskStarted",
            "TaskFailed",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "ExecutionSucceeded",
        ]
    );
    // AWS bills the state and each of its retries.
    assert_eq!(execution.transitions, 3);
}

/// Each retrier counts for itself, and only the first that names the error is asked.
#[rstest]
#[case::another_error(&["PermanentError"], &[])]
#[case::name_is_exact(&["retryableError"], &[])]
#[case::each_for_itself(
    &["Lambda.Unknown", "RetryableError", "Lambda.Unknown", "RetryableError", "RetryableError"],
    &[1.0, 10.0, 2.0, 20.0],
)]
#[case::first_is_used_up(&["Lambda.Unknown", "Lambda.Unknown", "Lambda.Unknown"], &[1.0, 2.0])]
#[case::timeout_by_name(&["States.Timeout", "PermanentError"], &[1.0])]
#[tokio::test]
async fn the_first_retrier_that_names_the_error_decides(#[case] errors: &[&str], #[case] expected: &[f64]) {
    let retry = json!([
        {"ErrorEquals": ["Lambda.Unknown", "States.Timeout"], "MaxAttempts": 2},
        {"ErrorEquals": ["RetryableError", "Lambda.Unknown"], "IntervalSeconds": 10, "MaxAttempts": 2},
    ]);
    let mut world = World::new(errors.iter().map(|error| fails(error)));
    let execution = world.run("Work", retrying(&retry), json!({})).await;
    assert_eq!(Some(&failure(&execution).0), errors.last());
    assert_eq!(world.waits, expected.to_vec());
}

#[tokio::test]
async fn attempts_count_afresh_when_the_state_is_entered_again() {
    let states = json!({
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Assign": {"finished": "{% $states.result %}"},
            "Retry": [{"ErrorEquals": ["States.ALL"], "MaxAttempts": 1}],
            "Next": "IsItDone",
        },
        "IsItDone": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $finished %}", "Next": "Done"}],
            "Default": "Work",
        },
        "Done": {"Type": "Succeed"},
    });
    let mut world = World::new([fails("E"), gives(json!(false)), fails("E"), gives(json!(true))]);
    let execution = world.run("Work", states, json!({})).await;
    assert_eq!(execution.path(), ["Work", "IsItDone", "Work", "IsItDone", "Done"]);
    assert_eq!(world.waits, vec![1.0, 1.0]);
    let counts: Vec<u32> = world.requests.iter().map(|request| request.retry_count).collect();
    assert_eq!(counts, [0, 1, 0, 1]);
    // Five states entered and two retries.
    assert_eq!(execution.transitions, 7);
}

#[tokio::test]
async fn every_attempt_evaluates_its_arguments_again() {
    let states = json!({
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Arguments": "{% $states.context.State.RetryCount %}",
            "Retry": [{"ErrorEquals": ["States.ALL"]}],
            "End": true,
        },
    });
    let mut world = World::new([fails("E"), gives(json!(1))]);
    world.run("Work", states, json!({})).await;
    let arguments: Vec<&Value> = world.requests.iter().map(|request| &request.arguments).collect();
    assert_eq!(arguments, [0, 1]);
}

#[tokio::test]
async fn a_result_that_the_output_cannot_read_is_a_failure_that_can_be_retried() {
    let states = json!({
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Output": "{% $states.result.id %}",
            "Retry": [{"ErrorEquals": ["States.QueryEvaluationError"]}],
            "End": true,
        },
    });
    let mut world = World::new([gives(json!({})), gives(json!({"id": "job"}))]);
    let execution = world.run("Work", states, json!({})).await;
    assert_eq!(output(&execution), &json!("job"));
    let events = events(&execution);
    assert_eq!(
        events[4..7],
        ["TaskSucceeded", "EvaluationFailed", "TaskScheduled"]
    );
}
