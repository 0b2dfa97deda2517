//! Parallel: branches, their variables and their failures.

use crate::world::{World, events, fails, failure, gives, output};
use serde_json::{Value, json};

/// Two branches: one with a task that returns what it is given, one that adds.
fn branching(more: &Value) -> Value {
    let mut state = json!({
        "Type": "Parallel",
        "Branches": [
            {
                "StartAt": "Ask",
                "States": {"Ask": {"Type": "Task", "Resource": "r", "Assign": {"inner": 1}, "End": true}},
            },
            {
                "StartAt": "Add",
                "States": {
                    "Add": {"Type": "Pass", "Assign": {"inner": 2}, "Next": "Tell"},
                    "Tell": {"Type": "Pass", "Output": "{% [$outer, $inner, $states.input] %}", "End": true},
                },
            },
        ],
        "Next": "End",
    });
    for (key, value) in more.as_object().expect("an object") {
        state[key] = value.clone();
    }
    json!({
        "Begin": {"Type": "Pass", "Assign": {"outer": "o"}, "Next": "Split"},
        "Split": state,
        "End": {"Type": "Pass", "End": true},
    })
}

#[tokio::test]
async fn gives_the_branches_outputs_in_their_order() {
    let mut world = World::new([gives(json!("asked"))]);
    let execution = world.run("Begin", branching(&json!({})), json!({"n": 1})).await;
    assert_eq!(output(&execution), &json!(["asked", ["o", 2, {"n": 1}]]));
    assert_eq!(
        world.requests[0].arguments,
        json!({"n": 1}),
        "each branch starts with the state's input"
    );
    // Each branch is its states and nothing more; Parallel itself has four events.
    assert_eq!(
        events(&execution)[3..16],
        [
            "ParallelStateEntered",
            "ParallelStateStarted",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "PassStateEntered",
            "PassStateExited",
            "PassStateEntered",
            "PassStateExited",
            "ParallelStateSucceeded",
            "ParallelStateExited",
        ]
    );
    // Begin, Split, Ask, Add, Tell, End.
    assert_eq!(execution.transitions, 6);
}

#[tokio::test]
async fn arguments_are_the_branches_input_and_the_result_can_be_read() {
    let more = json!({
        "Arguments": {"doubled": "{% $states.input.n * 2 %}"},
        "Assign": {"first": "{% $states.result[0] %}"},
        "Output": "{% $states.result[1][2] %}",
    });
    let mut world = World::new([gives(json!("asked"))]);
    let execution = world.run("Begin", branching(&more), json!({"n": 1})).await;
    assert_eq!(world.requests[0].arguments, json!({"doubled": 2}));
    assert_eq!(output(&execution), &json!({"doubled": 2}));
}

#[tokio::test]
async fn a_branch_that_fails_fails_the_state_with_its_own_error() {
    let execution = World::new([fails("PermanentError")])
        .run("Begin", branching(&json!({})), json!({}))
        .await;
    assert_eq!(failure(&execution), ("PermanentError", "it broke"));
    let events = events(&execution);
    assert_eq!(
        events[8..],
        ["TaskFailed", "ParallelStateFailed", "ExecutionFailed"]
    );
}

#[tokio::test]
async fn a_branch_that_fails_can_be_retried_and_caught() {
    let more = json!({
        "Retry": [{"ErrorEquals": ["RetryableError"], "MaxAttempts": 1}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Output": "{% $states.errorOutput.Error %}", "Next": "End"}],
    });
    let mut world = World::new([fails("RetryableError"), fails("PermanentError")]);
    let execution = world.run("Begin", branching(&more), json!({})).await;
    assert_eq!(output(&execution), &json!("PermanentError"));
    assert_eq!(world.waits, vec![1.0]);
    // Begin, Split, Ask, Split again, Ask again, End.
    assert_eq!(execution.transitions, 6);
    let started = events(&execution);
    let started = started.iter().filter(|event| *event == "ParallelStateStarted");
    assert_eq!(started.count(), 2);
}
