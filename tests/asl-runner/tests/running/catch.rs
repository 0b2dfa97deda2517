//! Catch: where failures go, and what they take along.

use crate::world::{World, events, fails, failure, gives, output};
use rstest::rstest;
use serde_json::{Value, json};

fn catching(catch: &Value) -> Value {
    let tell = "{% {'seen': $seen, 'input': $states.input} %}";
    json!({
        "Begin": {"Type": "Pass", "Assign": {"seen": "nothing"}, "Next": "Work"},
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Assign": {"seen": "success"},
            "Output": "{% $states.result.id %}",
            "Catch": catch,
            "Next": "Tell",
        },
        "Tell": {"Type": "Pass", "Output": tell, "End": true},
        "Tidy": {"Type": "Pass", "Output": tell, "End": true},
    })
}

#[rstest]
#[case::error_output_by_default(
    json!({}),
    json!({"seen": "nothing", "input": {"Error": "PermanentError", "Cause": "it broke"}}),
)]
#[case::assign_and_output(
    json!({
        "Assign": {"seen": {"error": "{% $states.errorOutput.Error %}", "was": "{% $seen %}"}},
        "Output": ["{% $states.input.n %}", "{% $states.errorOutput.Cause %}", "{% $seen %}"],
    }),
    json!({"seen": {"error": "PermanentError", "was": "nothing"}, "input": [1, "it broke", "nothing"]}),
)]
#[tokio::test]
async fn a_failure_goes_on_at_the_catchers_state(#[case] mut catcher: Value, #[case] expected: Value) {
    catcher["ErrorEquals"] = json!(["States.ALL"]);
    catcher["Next"] = json!("Tidy");
    let execution = World::new([fails("PermanentError")])
        .run("Begin", catching(&json!([catcher])), json!({"n": 1}))
        .await;
    assert_eq!(execution.path(), ["Begin", "Work", "Tidy"]);
    assert_eq!(output(&execution), &expected);
    // The state that caught is left like any other, with what the catcher made of the failure.
    let events = events(&execution);
    assert_eq!(events[6..8], ["TaskFailed", "TaskStateExited"]);
    assert_eq!(execution.history[7].data, expected["input"]);
}

#[rstest]
#[case::first("PermanentError", Some("Tell"))]
#[case::second("RetryableError", Some("Tidy"))]
#[case::both_would_do("Lambda.Unknown", Some("Tell"))]
#[case::none("States.Timeout", None)]
#[tokio::test]
async fn the_first_catcher_that_names_the_error_takes_it(#[case] error: &str, #[case] next: Option<&str>) {
    let catch = json!([
        {"ErrorEquals": ["PermanentError", "Lambda.Unknown"], "Next": "Tell"},
        {"ErrorEquals": ["States.TaskFailed"], "Next": "Tidy"},
    ]);
    let execution = World::new([fails(error)])
        .run("Begin", catching(&catch), json!({}))
        .await;
    match next {
        Some(next) => assert_eq!(execution.path(), ["Begin", "Work", next]),
        None => assert_eq!(failure(&execution), (error, "it broke")),
    }
}

#[tokio::test]
async fn catches_only_after_the_last_retry() {
    let mut states = catching(&json!([{"ErrorEquals": ["States.ALL"], "Next": "Tidy"}]));
    states["Work"]["Retry"] = json!([{"ErrorEquals": ["RetryableError"], "MaxAttempts": 2}]);
    let mut world = World::new([
        fails("RetryableError"),
        fails("RetryableError"),
        fails("RetryableError"),
    ]);
    let execution = world.run("Begin", states, json!({})).await;
    assert_eq!(execution.path(), ["Begin", "Work", "Tidy"]);
    assert_eq!(world.waits, vec![1.0, 2.0]);
    // Three states entered and two retries.
    assert_eq!(execution.transitions, 5);
}

/// A state that fails assigns nothing, even where only its output failed.
#[tokio::test]
async fn an_expression_that_fails_is_caught_and_leaves_the_variables_alone() {
    let catch =
        json!([{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Error %}", "Next": "Tidy"}]);
    let execution = World::new([gives(json!({}))])
        .run("Begin", catching(&catch), json!({}))
        .await;
    assert_eq!(
        output(&execution),
        &json!({"seen": "nothing", "input": "States.QueryEvaluationError"})
    );
}

#[tokio::test]
async fn a_catcher_that_fails_itself_fails_the_execution() {
    let missing = "{% $states.errorOutput.missing %}";
    let catch = json!([{"ErrorEquals": ["States.ALL"], "Assign": {"seen": missing}, "Next": "Tidy"}]);
    let execution = World::new([fails("PermanentError")])
        .run("Begin", catching(&catch), json!({}))
        .await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains("'Catch[0]/Assign/seen'"), "{cause}");
    assert_eq!(execution.path(), ["Begin", "Work"]);
}
