//! Pass and Succeed; what states hand on, and variables.

use crate::world::{START, World, events, failure, output};
use rstest::rstest;
use serde_json::{Value, json};

#[rstest]
#[case::input_goes_on(json!({"Type": "Pass", "End": true}), json!({"n": 1}))]
#[case::constant(
    json!({"Type": "Pass", "Output": ["x", {"y": null}, 1.5], "End": true}),
    json!(["x", {"y": null}, 1.5]),
)]
#[case::expression(json!({"Type": "Pass", "Output": "{% $states.input.n + 1 %}", "End": true}), json!(2))]
#[case::expressions_within(
    json!({"Type": "Pass", "Output": {"all": ["{% $states.input %}", "n"], "k": "{%$states.input.n%}"}, "End": true}),
    json!({"all": [{"n": 1}, "n"], "k": 1}),
)]
#[case::succeed_hands_on(json!({"Type": "Succeed"}), json!({"n": 1}))]
#[case::succeed_with_output(
    json!({"Type": "Succeed", "Output": {"n": "{% $states.input.n * 10 %}"}}),
    json!({"n": 10}),
)]
#[tokio::test]
async fn output_is_what_the_state_says_and_else_its_input(#[case] state: Value, #[case] expected: Value) {
    let execution = World::new([])
        .run("Only", json!({"Only": state}), json!({"n": 1}))
        .await;
    assert_eq!(output(&execution), &expected);
}

#[tokio::test]
async fn assign_and_output_see_the_variables_as_they_were_before() {
    let states = json!({
        "Give": {"Type": "Pass", "Assign": {"a": 1, "b": "{% $states.input.n %}"}, "Next": "Swap"},
        "Swap": {
            "Type": "Pass",
            "Assign": {"a": "{% $b %}", "b": "{% $a %}"},
            "Output": "{% [$a, $b] %}",
            "Next": "Tell",
        },
        "Tell": {
            "Type": "Pass",
            "Output": {"before": "{% $states.input %}", "after": "{% [$a, $b] %}"},
            "End": true,
        },
    });
    let execution = World::new([]).run("Give", states, json!({"n": 2})).await;
    assert_eq!(output(&execution), &json!({"before": [1, 2], "after": [2, 1]}));
    assert_eq!(execution.path(), ["Give", "Swap", "Tell"]);
}

#[tokio::test]
async fn a_variable_is_not_there_before_its_state_has_run() {
    let states = json!({
        "Tell": {"Type": "Pass", "Output": "{% $late %}", "Next": "Give"},
        "Give": {"Type": "Pass", "Assign": {"late": 1}, "End": true},
    });
    let execution = World::new([]).run("Tell", states, json!({})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains("'$late'") && cause.contains("'Output'"), "{cause}");
}

#[tokio::test]
async fn the_context_names_the_execution_and_the_state() {
    let tell = "{% $states.context %}";
    let states = json!({"Tell": {"Type": "Pass", "Output": tell, "End": true}});
    let execution = World::new([]).run("Tell", states, json!({"plan_id": "p"})).await;
    let start = START.replace('Z', ".000Z");
    assert_eq!(
        output(&execution),
        &json!({
            "Execution": {
                "Id": "arn:aws:states:us-east-1:111122223333:execution:small:one",
                "Name": "one",
                "Input": {"plan_id": "p"},
                "StartTime": start,
                "RedriveCount": 0,
            },
            "StateMachine": {"Id": "arn:aws:states:us-east-1:111122223333:stateMachine:small", "Name": "small"},
            "State": {"Name": "Tell", "EnteredTime": start, "RetryCount": 0},
        })
    );
}

#[rstest]
#[case::nothing_there("{% $states.input.missing %}", "returned nothing")]
#[case::wrong_types("{% $states.input.n + 'x' %}", "T2002")]
#[case::no_data("{% $count %}", "not data")]
#[tokio::test]
async fn an_expression_that_fails_is_on_record_and_fails_the_execution(
    #[case] expression: &str,
    #[case] expected: &str,
) {
    let states = json!({"Tell": {"Type": "Pass", "Output": {"a": ["", expression]}, "End": true}});
    let execution = World::new([]).run("Tell", states, json!({"n": 1})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(cause.contains(expected), "{cause}");
    assert!(
        cause.contains("the field 'Output/a/1' of the state 'Tell'"),
        "{cause}"
    );
    // The state is entered and never left.
    assert_eq!(
        events(&execution),
        [
            "ExecutionStarted",
            "PassStateEntered",
            "EvaluationFailed",
            "ExecutionFailed"
        ]
    );
}

#[rstest]
#[case::both(json!({"Error": "{% $states.input.error %}", "Cause": "because"}), ("Broken", "because"))]
#[case::neither(json!({}), ("", ""))]
#[tokio::test]
async fn fail_ends_the_execution_with_its_error(#[case] mut state: Value, #[case] expected: (&str, &str)) {
    state["Type"] = json!("Fail");
    let execution = World::new([])
        .run("Only", json!({"Only": state}), json!({"error": "Broken"}))
        .await;
    assert_eq!(failure(&execution), expected);
    // A Fail state is entered and never left.
    assert_eq!(
        events(&execution),
        ["ExecutionStarted", "FailStateEntered", "ExecutionFailed"]
    );
}

#[tokio::test]
async fn fail_must_give_strings() {
    let states = json!({"Only": {"Type": "Fail", "Error": "{% $states.input.error %}"}});
    let execution = World::new([]).run("Only", states, json!({"error": 7})).await;
    let (error, cause) = failure(&execution);
    assert_eq!(error, "States.QueryEvaluationError");
    assert!(
        cause.contains("'Error'") && cause.contains("a string, is 7"),
        "{cause}"
    );
}
