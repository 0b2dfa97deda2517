//! Map: iterations within the execution, and children of their own.

use crate::world::{World, events, fails, failure, gives, output};
use rstest::rstest;
use serde_json::{Value, json};

fn mapping(more: &Value) -> Value {
    let mut state = json!({
        "Type": "Map",
        "Items": "{% $states.input.items %}",
        "ItemProcessor": {
            "StartAt": "Ask",
            "States": {"Ask": {"Type": "Task", "Resource": "r", "Assign": {"inner": 1}, "End": true}},
        },
        "End": true,
    });
    for (key, value) in more.as_object().expect("an object") {
        state[key] = value.clone();
    }
    json!({"Each": state})
}

/// The same with children of their own.
fn distributing(more: &Value) -> Value {
    let mut states = mapping(more);
    states["Each"]["ItemProcessor"]["ProcessorConfig"] =
        json!({"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"});
    states
}

#[tokio::test]
async fn runs_its_states_for_every_item() {
    let more = json!({
        "ItemSelector": {
            "at": "{% $states.context.Map.Item.Index %}",
            "item": "{% $states.context.Map.Item.Value %}",
            "of": "{% $states.input.name %}",
        },
        "MaxConcurrency": 1,
    });
    let mut world = World::new([gives(json!(10)), gives(json!(20))]);
    let execution = world
        .run("Each", mapping(&more), json!({"name": "n", "items": ["a", "b"]}))
        .await;
    assert_eq!(output(&execution), &json!([10, 20]));
    let arguments: Vec<Value> = world
        .requests
        .into_iter()
        .map(|request| request.arguments)
        .collect();
    assert_eq!(
        arguments,
        [
            json!({"at": 0, "item": "a", "of": "n"}),
            json!({"at": 1, "item": "b", "of": "n"})
        ]
    );
    // Entered, started, for each item started, its states and succeeded; then succeeded and left. The order within
    // two iterations is this runner's: on AWS they overlap. Their number is the same.
    let iteration = [
        "MapIterationStarted",
        "TaskStateEntered",
        "TaskScheduled",
        "TaskStarted",
        "TaskSucceeded",
        "TaskStateExited",
        "MapIterationSucceeded",
    ];
    let mut expected = vec!["ExecutionStarted", "MapStateEntered", "MapStateStarted"];
    expected.extend(iteration);
    expected.extend(iteration);
    expected.extend(["MapStateSucceeded", "MapStateExited", "ExecutionSucceeded"]);
    assert_eq!(events(&execution), expected);
    // The Map and one task for each item.
    assert_eq!(execution.transitions, 3);
}

#[tokio::test]
async fn nothing_to_do_is_done_at_once() {
    let execution = World::new([])
        .run("Each", mapping(&json!({})), json!({"items": []}))
        .await;
    assert_eq!(output(&execution), &json!([]));
    assert_eq!(
        events(&execution)[1..5],
        [
            "MapStateEntered",
            "MapStateStarted",
            "MapStateSucceeded",
            "MapStateExited"
        ]
    );
    assert_eq!(execution.transitions, 1);
}

#[tokio::test]
async fn items_must_be_an_array() {
    let execution = World::new([])
        .run("Each", mapping(&json!({})), json!({"items": "a"}))
        .await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(
        cause.contains("'Items'") && cause.contains("an array, is \"a\""),
        "{cause}"
    );
}

#[tokio::test]
async fn the_first_iteration_that_fails_fails_the_map() {
    let mut world = World::new([gives(json!(1)), fails("PermanentError")]);
    let input = json!({"items": [1, 2, 3]});
    let execution = world.run("Each", mapping(&json!({})), input).await;
    assert_eq!(failure(&execution), ("PermanentError", "it broke"));
    assert_eq!(
        events(&execution)[14..],
        [
            "TaskFailed",
            "MapIterationFailed",
            "MapStateFailed",
            "ExecutionFailed"
        ]
    );
}

#[tokio::test]
async fn children_have_a_history_of_their_own() {
    let mut world = World::new([gives(json!(1)), gives(json!(2))]);
    let execution = world
        .run("Each", distributing(&json!({})), json!({"items": ["a", "b"]}))
        .await;
    assert_eq!(output(&execution), &json!([1, 2]));
    // However many items there are, the parent has these.
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "MapStateEntered",
            "MapStateStarted",
            "MapRunStarted",
            "MapRunSucceeded",
            "MapStateSucceeded",
            "MapStateExited",
            "ExecutionSucceeded",
        ]
    );
    let children: Vec<_> = execution.children.iter().map(output).collect();
    assert_eq!(children, [1, 2]);
    // A task in a child: started, five events of the task, succeeded.
    let counts: Vec<_> = execution
        .children
        .iter()
        .map(|child| (child.history_events, child.transitions))
        .collect();
    assert_eq!(counts, [(7, 1), (7, 1)]);
    // The Map, and the children's.
    assert_eq!(execution.transitions, 3);
}

/// Of four items, the first and the third fail. What succeeded is the result.
#[rstest]
#[case::nothing(json!({}), Err(1))]
#[case::too_few(json!({"ToleratedFailureCount": 1}), Err(3))]
#[case::enough(json!({"ToleratedFailureCount": 2}), Ok(json!(["b", "d"])))]
#[case::too_small_a_part(json!({"ToleratedFailurePercentage": 49}), Err(3))]
#[case::a_part_large_enough(json!({"ToleratedFailurePercentage": 50}), Ok(json!(["b", "d"])))]
#[case::either_is_too_much(json!({"ToleratedFailurePercentage": 100, "ToleratedFailureCount": 1}), Err(3))]
#[tokio::test]
async fn children_may_fail_as_far_as_it_is_tolerated(
    #[case] tolerance: Value,
    #[case] expected: Result<Value, usize>,
) {
    let answers = [fails("E"), gives(json!("b")), fails("E"), gives(json!("d"))];
    let children = expected.as_ref().map_or_else(|children| *children, |_| 4);
    let mut world = World::new(answers.into_iter().take(children));
    let input = json!({"items": [1, 2, 3, 4]});
    let execution = world.run("Each", distributing(&tolerance), input).await;
    assert_eq!(execution.children.len(), children);
    if let Ok(results) = expected {
        assert_eq!(output(&execution), &results);
    } else {
        assert_eq!(failure(&execution).0, "States.ExceedToleratedFailureThreshold");
        assert_eq!(
            events(&execution)[4..],
            ["MapRunFailed", "MapStateFailed", "ExecutionFailed"]
        );
    }
}
