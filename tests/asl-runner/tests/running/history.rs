//! What AWS counts: the events of a history against 25,000, and the transitions that it bills.
//!
//! Events: `ExecutionStarted` and how it ended are one each. A state is entered and left, so that Pass, Choice, Wait
//! and Succeed have two; Fail is only entered. A task by a service integration has `TaskScheduled`, `TaskStarted`
//! and its end between the two, and again for every retry. An expression that fails adds one.
//!
//! Transitions: one for every state that is entered, and one for every retry.

use crate::world::{World, events, fails, failure, gives};
use asl_runner::Event;
use rstest::rstest;
use serde_json::{Value, json};

/// A machine with every type of state that has no states within, as polling loops look.
fn polling() -> Value {
    json!({
        "Begin": {"Type": "Pass", "Next": "Work"},
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Assign": {"finished": "{% $states.result %}"},
            "Retry": [{"ErrorEquals": ["RetryableError"]}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}],
            "Next": "IsItDone",
        },
        "IsItDone": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $finished %}", "Next": "Done"}],
            "Default": "Hold",
        },
        "Hold": {"Type": "Wait", "Seconds": 20, "Next": "Work"},
        "Done": {"Type": "Succeed"},
        "Broken": {"Type": "Fail", "Error": "Broken"},
    })
}

/// Begin 2, Work 5, `IsItDone` 2, Done 2, start and end 2: 13 events, 4 states. Another round is Hold 2, Work 5 and
/// `IsItDone` 2: 9 events, 3 states. A retry is 3 events and a transition. A failure that is caught ends with Begin
/// 2, Work 5, Broken 1, start and end 2: 10 events, 3 states. An Assign that fails comes after `TaskSucceeded` and
/// adds 1 before it is caught.
#[rstest]
#[case::at_once(vec![gives(json!(true))], 13, 4)]
#[case::second_round(vec![gives(json!(false)), gives(json!(true))], 13 + 9, 4 + 3)]
#[case::fourth_round(
    vec![gives(json!(false)), gives(json!(false)), gives(json!(false)), gives(json!(true))],
    13 + 3 * 9,
    4 + 3 * 3,
)]
#[case::retried_twice(
    vec![fails("RetryableError"), fails("RetryableError"), gives(json!(true))],
    13 + 2 * 3,
    4 + 2,
)]
#[case::caught(vec![fails("PermanentError")], 10, 3)]
#[case::caught_when_late(vec![fails("States.Timeout")], 10, 3)]
#[case::caught_after_retries(vec![fails("RetryableError"); 4], 10 + 3 * 3, 3 + 3)]
#[tokio::test]
async fn counts_as_aws_does(
    #[case] answers: Vec<crate::world::Answer>,
    #[case] history_events: usize,
    #[case] transitions: usize,
) {
    let execution = World::new(answers).run("Begin", polling(), json!({})).await;
    assert_eq!(execution.history_events, history_events);
    assert_eq!(execution.transitions, transitions);
    assert_eq!(execution.history.len(), history_events);
}

#[tokio::test]
async fn a_history_reads_as_on_aws() {
    let mut world = World::new([gives(json!(false)), fails("PermanentError")]);
    let execution = world.run("Begin", polling(), json!({})).await;
    assert_eq!(failure(&execution), ("Broken", ""));
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "PassStateEntered",
            "PassStateExited",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskSucceeded",
            "TaskStateExited",
            "ChoiceStateEntered",
            "ChoiceStateExited",
            "WaitStateEntered",
            "WaitStateExited",
            "TaskStateEntered",
            "TaskScheduled",
            "TaskStarted",
            "TaskFailed",
            "TaskStateExited",
            "FailStateEntered",
            "ExecutionFailed",
        ]
    );
}

#[tokio::test]
async fn events_say_where_and_with_what() {
    let states = json!({
        "Work": {"Type": "Task", "Resource": "r", "Arguments": "asked", "Output": "told", "End": true},
    });
    let execution = World::new([gives(json!("answered"))])
        .run("Work", states, json!("given"))
        .await;
    let told: Vec<(Option<&str>, &Value)> = execution
        .history
        .iter()
        .map(|Event { state, data, .. }| (state.as_deref(), data))
        .collect();
    let (given, asked, answered, output) = (json!("given"), json!("asked"), json!("answered"), json!("told"));
    let work = Some("Work");
    assert_eq!(
        told,
        [
            (None, &given),
            (work, &given),
            (work, &asked),
            (work, &Value::Null),
            (work, &answered),
            (work, &output),
            (None, &output),
        ]
    );
}
