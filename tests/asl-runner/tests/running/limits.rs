//! What AWS does not carry, and where executions end early.

use crate::world::{World, events, fails, failure, gives, output, seconds_in};
use asl_runner::Status;
use rstest::rstest;
use serde_json::{Value, json};

/// What a payload may hold on AWS: 256 KiB of JSON text in UTF-8, quotes included.
const LIMIT: usize = 262_144;

/// A string that is `bytes` long as JSON. An `é` is one character of two bytes.
fn text(bytes: usize) -> Value {
    let rest = "x".repeat(bytes - 4);
    let text = json!(format!("é{rest}"));
    assert_eq!(text.to_string().len(), bytes);
    text
}

fn one_state(state: &Value) -> Value {
    json!({"Only": state})
}

#[rstest]
#[case::result(json!({"Type": "Task", "Resource": "r", "Output": 1, "End": true}))]
#[case::arguments(
    json!({"Type": "Task", "Resource": "r", "Arguments": "{% $states.input %}", "Output": 1, "End": true}),
)]
#[case::output(json!({"Type": "Pass", "Output": "{% $states.input %}", "End": true}))]
#[case::choice(
    json!({"Type": "Choice", "Choices": [{"Condition": true, "Output": "{% $states.input %}", "Next": "Done"}]}),
)]
#[case::branch(json!({
    "Type": "Parallel",
    "Arguments": "{% $states.input %}",
    "Branches": [{"StartAt": "In", "States": {"In": {"Type": "Succeed", "Output": 1}}}],
    "End": true,
}))]
#[case::item(json!({
    "Type": "Map",
    "Items": [1],
    "ItemSelector": "{% $states.input %}",
    "ItemProcessor": {"StartAt": "In", "States": {"In": {"Type": "Succeed", "Output": 1}}},
    "End": true,
}))]
#[tokio::test]
async fn a_payload_may_hold_256_kib_and_not_a_byte_more(#[case] state: Value) {
    for (bytes, fits) in [(LIMIT, true), (LIMIT + 1, false)] {
        let kind = state["Type"].as_str().expect("a type");
        let mut states = one_state(&state);
        if kind == "Choice" {
            states["Done"] = json!({"Type": "Succeed"});
        }
        // Without arguments of its own the task gets a small input and gives a large result.
        let result_is_large = kind == "Task" && state.get("Arguments").is_none();
        let (input, result) = if result_is_large {
            (json!({}), text(bytes))
        } else {
            (text(bytes), json!(1))
        };
        let asked = kind == "Task" && (fits || result_is_large);
        let mut world = World::new(asked.then(|| gives(result)));
        let execution = world.run("Only", states, input).await;
        if fits {
            assert!(
                matches!(execution.status, Status::Succeeded(_)),
                "{:.200?}",
                execution.status
            );
        } else {
            let (error, cause) = failure(&execution);
            assert_eq!(error, "States.DataLimitExceeded");
            assert!(
                cause.contains("262145 bytes") && cause.contains("'Only'"),
                "{cause}"
            );
        }
    }
}

/// Everything that one Assign gives counts together.
#[rstest]
#[case::fits(LIMIT - 6, true)]
#[case::does_not(LIMIT - 5, false)]
#[tokio::test]
async fn an_assignment_is_a_payload_too(#[case] bytes: usize, #[case] fits: bool) {
    // `{"a":` and `}` are six bytes.
    let state =
        json!({"Type": "Pass", "Assign": {"a": "{% $states.input.text %}"}, "Output": 1, "End": true});
    let execution = World::new([])
        .run("Only", one_state(&state), json!({"text": text(bytes)}))
        .await;
    if fits {
        assert_eq!(output(&execution), &json!(1));
    } else {
        assert_eq!(failure(&execution).0, "States.DataLimitExceeded");
    }
}

/// AWS documents it as an end that `States.ALL` does not catch. The task is on record as failed.
#[rstest]
#[case::all("States.ALL", false)]
#[case::by_name("States.DataLimitExceeded", true)]
#[tokio::test]
async fn too_large_a_result_is_a_failed_task(#[case] name: &str, #[case] caught: bool) {
    let states = json!({
        "Work": {
            "Type": "Task",
            "Resource": "r",
            "Catch": [{"ErrorEquals": [name], "Next": "Tidy"}],
            "Next": "Tidy",
        },
        "Tidy": {"Type": "Pass", "End": true},
    });
    let execution = World::new([gives(text(LIMIT + 1))])
        .run("Work", states, json!({}))
        .await;
    let events = events(&execution);
    assert_eq!(events[2..5], ["TaskScheduled", "TaskStarted", "TaskFailed"]);
    assert_eq!(
        events[5],
        if caught {
            "TaskStateExited"
        } else {
            "ExecutionFailed"
        }
    );
}

fn with_timeout(seconds: u64, states: &Value) -> Value {
    json!({"TimeoutSeconds": seconds, "StartAt": "Only", "States": states})
}

#[tokio::test]
async fn a_wait_ends_with_the_machines_time() {
    let machine = with_timeout(
        60,
        &json!({"Only": {"Type": "Wait", "Seconds": 100, "End": true}}),
    );
    let mut world = World::new([]);
    let execution = world.run_machine(machine, json!({})).await;
    assert_eq!(execution.status, Status::TimedOut);
    assert_eq!(world.waits, vec![60.0]);
    assert_eq!(
        events(&execution),
        ["ExecutionStarted", "WaitStateEntered", "ExecutionTimedOut"]
    );
    let last = execution.history.last().expect("an event");
    assert_eq!(seconds_in(last.time), 60);
}

#[tokio::test]
async fn a_machine_that_is_out_of_time_neither_retries_nor_catches() {
    let state = json!({
        "Type": "Task",
        "Resource": "r",
        "TimeoutSeconds": 10,
        "Retry": [{"ErrorEquals": ["States.Timeout"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Tidy"}],
        "Next": "Tidy",
    });
    let machine = with_timeout(60, &json!({"Only": state, "Tidy": {"Type": "Succeed"}}));
    let mut world = World::new([gives(json!(1)).after(60)]);
    let execution = world.run_machine(machine, json!({})).await;
    assert_eq!(execution.status, Status::TimedOut);
    assert_eq!(world.waits, Vec::<f64>::new());
    assert_eq!(execution.path(), ["Only"]);
}

#[tokio::test]
async fn the_machines_time_runs_while_it_waits_for_a_retry() {
    let retry = json!([{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 50}]);
    let state = json!({"Type": "Task", "Resource": "r", "Retry": retry, "End": true});
    let mut world = World::new([fails("E").after(5), fails("E")]);
    let execution = world
        .run_machine(with_timeout(60, &one_state(&state)), json!({}))
        .await;
    assert_eq!(execution.status, Status::TimedOut);
    assert_eq!(world.waits, vec![50.0, 5.0]);
}

#[tokio::test]
async fn an_execution_stopped_in_a_task_ends_there() {
    let state = json!({
        "Type": "Task",
        "Resource": "r",
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Tidy"}],
        "Next": "Tidy",
    });
    let mut world = World::new([fails("E")]);
    world.stop_after = Some(1);
    let states = json!({"Only": state, "Tidy": {"Type": "Succeed"}});
    let execution = world.run("Only", states, json!({})).await;
    assert_eq!(execution.status, Status::Aborted("killed".to_owned()));
    assert_eq!(
        events(&execution)[2..],
        ["TaskScheduled", "TaskStarted", "ExecutionAborted"]
    );
}

fn endless() -> Value {
    let rules = json!([{"Condition": "{% $states.input = 'done' %}", "Next": "Done"}]);
    let states = json!({
        "IsItDone": {"Type": "Choice", "Choices": rules, "Default": "IsItDone"},
        "Done": {"Type": "Succeed"},
    });
    json!({"StartAt": "IsItDone", "States": states})
}

#[tokio::test]
async fn the_runner_gives_up_on_a_loop_without_an_end() {
    let execution = World::new([]).run_at_most(endless(), json!({}), 7).await;
    assert_eq!(execution.status, Status::GivenUp);
    assert_eq!(execution.transitions, 7);
}

/// On AWS the last event of such a loop, the 25,000th, is the failure. Before it, 1 and 2 for each of 12,499 rounds.
#[tokio::test]
async fn a_history_of_25_000_events_is_full() {
    let execution = World::new([]).run_machine(endless(), json!({})).await;
    assert_eq!(
        failure(&execution),
        (
            "States.Runtime",
            "The execution reached the maximum number of history events (25000)."
        )
    );
    assert_eq!(execution.history_events, 25_000);
    assert_eq!(execution.transitions, 12_499);
    let events = events(&execution);
    assert_eq!(events[24_998..], ["ChoiceStateExited", "ExecutionFailed"]);
}

/// Four events for a round, and five more for a task at the end: that is where the 25,000 are passed.
#[tokio::test]
async fn a_history_cannot_run_over_in_its_last_state() {
    let states = json!({
        "Begin": {"Type": "Pass", "Assign": {"n": 0}, "Next": "Count"},
        "Count": {"Type": "Pass", "Assign": {"n": "{% $n + 1 %}"}, "Next": "AreAllCounted"},
        "AreAllCounted": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $n >= $states.context.Execution.Input %}", "Next": "Work"}],
            "Default": "Count",
        },
        "Work": {"Type": "Task", "Resource": "r", "End": true},
    });
    // 1 + 2 + 4 n + 5 + 1: with 6,247 rounds 24,997 events, with 6,248 rounds 25,001.
    for (rounds, events, fits) in [(6_247, 24_997, true), (6_248, 25_000, false)] {
        let mut world = World::new([gives(json!("done"))]);
        let execution = world.run("Begin", states.clone(), json!(rounds)).await;
        assert_eq!(execution.history_events, events);
        if fits {
            assert_eq!(output(&execution), &json!("done"));
        } else {
            assert_eq!(failure(&execution).0, "States.Runtime");
        }
    }
}
