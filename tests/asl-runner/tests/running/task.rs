//! Task: what it is asked, what it answers, how it fails.

use crate::world::{Request, World, events, fails, failure, gives, output, seconds_in};
use asl_runner::TaskError;
use rstest::rstest;
use serde_json::{Value, json};

const LAMBDA: &str = "arn:aws:states:::lambda:invoke";

#[tokio::test]
async fn asks_with_its_arguments_and_reads_the_result() {
    let states = json!({
        "Work": {
            "Type": "Task",
            "Resource": LAMBDA,
            "Arguments": {"FunctionName": "f", "Payload": {"id": "{% $states.input.id %}"}},
            "Assign": {"batches": "{% $states.result.Payload.batches %}"},
            "Output": "{% $states.result.Payload %}",
            "TimeoutSeconds": "{% $states.input.limit %}",
            "Next": "Tell",
        },
        "Tell": {"Type": "Pass", "Output": "{% [$batches, $states.input.name] %}", "End": true},
    });
    let mut world = World::new([gives(
        json!({"StatusCode": 200, "Payload": {"batches": 3, "name": "n"}}),
    )]);
    let execution = world
        .run("Work", states, json!({"id": "job", "limit": 900}))
        .await;
    assert_eq!(output(&execution), &json!([3, "n"]));
    let expected = Request {
        state: "Work".to_owned(),
        resource: LAMBDA.to_owned(),
        arguments: json!({"FunctionName": "f", "Payload": {"id": "job"}}),
        timeout_seconds: Some(900),
        retry_count: 0,
    };
    assert_eq!(world.requests, [expected]);
}

#[tokio::test]
async fn without_arguments_gets_the_input_and_without_output_hands_on_the_result() {
    let states = json!({"Work": {"Type": "Task", "Resource": "r", "End": true}});
    let mut world = World::new([gives(json!({"done": true}))]);
    let execution = world.run("Work", states, json!({"n": 1})).await;
    assert_eq!(world.requests[0].arguments, json!({"n": 1}));
    assert_eq!(world.requests[0].timeout_seconds, None);
    assert_eq!(output(&execution), &json!({"done": true}));
}

#[tokio::test]
async fn a_failure_that_nothing_takes_fails_the_execution() {
    let states = json!({"Work": {"Type": "Task", "Resource": "r", "End": true}});
    let execution = World::new([fails("PermanentError")])
        .run("Work", states, json!({}))
        .await;
    assert_eq!(failure(&execution), ("PermanentError", "it broke"));
    let failed = json!({"Error": "PermanentError", "Cause": "it broke"});
    let told: Vec<&Value> = execution
        .history
        .iter()
        .rev()
        .take(2)
        .map(|event| &event.data)
        .collect();
    assert_eq!(
        told,
        [&failed, &failed],
        "the task's and the execution's last events"
    );
}

/// A task that takes exactly its time is in time.
#[rstest]
#[case::in_time(gives(json!("done")).after(10), None)]
#[case::late(gives(json!("done")).after(11), Some("States.Timeout"))]
#[case::failed_late(fails("PermanentError").after(11), Some("States.Timeout"))]
#[case::failed_in_time(fails("PermanentError").after(10), Some("PermanentError"))]
#[case::said_so_itself(fails("States.Timeout"), Some("States.Timeout"))]
#[tokio::test]
async fn a_task_that_is_late_times_out(#[case] answer: crate::world::Answer, #[case] error: Option<&str>) {
    let states = json!({"Work": {"Type": "Task", "Resource": "r", "TimeoutSeconds": 10, "End": true}});
    let execution = World::new([answer]).run("Work", states, json!({})).await;
    let kind = match error {
        None => {
            assert_eq!(output(&execution), &json!("done"));
            "TaskSucceeded"
        }
        Some(error) => {
            assert_eq!(failure(&execution).0, error);
            let timed_out = error == "States.Timeout";
            if timed_out { "TaskTimedOut" } else { "TaskFailed" }
        }
    };
    assert_eq!(events(&execution)[4], kind);
}

#[tokio::test]
async fn an_argument_that_fails_starts_no_task() {
    let states = json!({
        "Work": {"Type": "Task", "Resource": "r", "Arguments": {"id": "{% $states.input.id %}"}, "End": true},
    });
    let mut world = World::new([]);
    let execution = world.run("Work", states, json!({})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains("'Arguments/id'"), "{cause}");
    assert_eq!(world.requests, []);
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "TaskStateEntered",
            "EvaluationFailed",
            "ExecutionFailed"
        ]
    );
}

#[tokio::test]
async fn a_timeout_that_is_no_number_of_seconds_is_an_error() {
    let limit = "{% $states.input.limit %}";
    let states = json!({"Work": {"Type": "Task", "Resource": "r", "TimeoutSeconds": limit, "End": true}});
    let execution = World::new([]).run("Work", states, json!({"limit": 0})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(
        cause.contains("'TimeoutSeconds'") && cause.contains("is 0"),
        "{cause}"
    );
}

#[tokio::test]
async fn events_carry_the_time_at_which_they_happened() {
    let states = json!({"Work": {"Type": "Task", "Resource": "r", "End": true}});
    let execution = World::new([gives(json!(1)).after(7)])
        .run("Work", states, json!({}))
        .await;
    let at: Vec<i64> = execution
        .history
        .iter()
        .map(|event| seconds_in(event.time))
        .collect();
    assert_eq!(at, [0, 0, 0, 0, 7, 7, 7]);
}

#[test]
fn a_tasks_error_says_its_name_and_cause() {
    assert_eq!(
        TaskError::new("RetryableError", "throttled").to_string(),
        "RetryableError: throttled"
    );
}
