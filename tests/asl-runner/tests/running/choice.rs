//! Choice: the first rule that is true, the default, or a failure.

use crate::world::{World, events, failure, output};
use rstest::rstest;
use serde_json::{Value, json};

fn sizes() -> Value {
    let tell = "{% {'kind': $kind, 'input': $states.input} %}";
    json!({
        "Begin": {"Type": "Pass", "Assign": {"kind": "unknown"}, "Next": "IsItBig"},
        "IsItBig": {
            "Type": "Choice",
            "Choices": [
                {
                    "Condition": "{% $states.input.size > 100 %}",
                    "Assign": {"kind": "huge"},
                    "Output": "{% $states.input.size %}",
                    "Next": "TellHuge",
                },
                {"Condition": "{% $states.input.size > 10 %}", "Next": "TellBig"},
                {"Condition": false, "Next": "TellNever"},
            ],
            "Default": "TellSmall",
            "Assign": {"kind": "small"},
            "Output": "by default",
        },
        "TellHuge": {"Type": "Pass", "Output": tell, "End": true},
        "TellBig": {"Type": "Pass", "Output": tell, "End": true},
        "TellNever": {"Type": "Pass", "Output": tell, "End": true},
        "TellSmall": {"Type": "Pass", "Output": tell, "End": true},
    })
}

/// A rule assigns and outputs for itself; what the state itself says is for its default alone.
#[rstest]
#[case::first_of_two_that_are_true(500, "TellHuge", json!({"kind": "huge", "input": 500}))]
#[case::rule_without_assign_and_output(50, "TellBig", json!({"kind": "unknown", "input": {"size": 50}}))]
#[case::default(5, "TellSmall", json!({"kind": "small", "input": "by default"}))]
#[tokio::test]
async fn takes_the_first_rule_that_is_true_or_the_default(
    #[case] size: u32,
    #[case] next: &str,
    #[case] expected: Value,
) {
    let execution = World::new([]).run("Begin", sizes(), json!({"size": size})).await;
    assert_eq!(execution.path(), ["Begin", "IsItBig", next]);
    assert_eq!(output(&execution), &expected);
}

#[rstest]
#[case::no_rule("{% false %}", "States.NoChoiceMatched", "has no default")]
#[case::undefined(
    "{% $states.input.missing %}",
    "States.QueryEvaluationError",
    "returned nothing"
)]
#[case::not_a_boolean(
    "{% $states.input.size %}",
    "States.QueryEvaluationError",
    "must be a boolean, is 5"
)]
#[tokio::test]
async fn fails_without_an_answer(#[case] condition: &str, #[case] error: &str, #[case] cause: &str) {
    let states = json!({
        "IsIt": {"Type": "Choice", "Choices": [{"Condition": condition, "Next": "Done"}]},
        "Done": {"Type": "Succeed"},
    });
    let execution = World::new([]).run("IsIt", states, json!({"size": 5})).await;
    let found = failure(&execution);
    assert_eq!(found.0, error);
    assert!(found.1.contains(cause), "{}", found.1);
    let mut expected = vec!["ExecutionStarted", "ChoiceStateEntered"];
    if error == "States.QueryEvaluationError" {
        assert!(found.1.contains("'Choices[0]/Condition'"), "{}", found.1);
        expected.push("EvaluationFailed");
    }
    expected.push("ExecutionFailed");
    assert_eq!(events(&execution), expected);
}
