//! Definitions that are refused, and where the error says it is.

use crate::world::parse;
use asl_runner::{StateMachine, substitution_names};
use rstest::rstest;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One state of each kind that a case can break.
fn machine() -> Value {
    json!({
        "StartAt": "Work",
        "States": {
            "Work": {
                "Type": "Task",
                "Resource": "r",
                "Arguments": {"id": "{% $states.input.id %}"},
                "Assign": {"finished": "{% $states.result %}"},
                "Retry": [{"ErrorEquals": ["RetryableError"]}],
                "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Broken"}],
                "Next": "IsItDone",
            },
            "IsItDone": {
                "Type": "Choice",
                "Choices": [{"Condition": "{% $finished %}", "Next": "Each"}],
                "Default": "Hold",
            },
            "Hold": {"Type": "Wait", "Seconds": 20, "Next": "Work"},
            "Each": {
                "Type": "Map",
                "ItemProcessor": {"StartAt": "Inner", "States": {"Inner": {"Type": "Pass", "End": true}}},
                "Next": "Split",
            },
            "Split": {
                "Type": "Parallel",
                "Branches": [{"StartAt": "Branch", "States": {"Branch": {"Type": "Succeed"}}}],
                "End": true,
            },
            "Broken": {"Type": "Fail"},
        },
    })
}

#[test]
fn takes_the_machine_that_the_cases_break() {
    parse(machine()).expect("nothing is wrong with it");
}

/// Puts a value at a path, or takes away what is there, and tells what the parser says.
#[rstest]
#[case::no_start("/StartAt", None, "state machine, field StartAt: is missing")]
#[case::unknown_start(
    "/StartAt",
    Some(json!("Nowhere")),
    "state machine, field StartAt: there is no state Nowhere",
)]
#[case::no_states("/States", Some(json!({})), "state machine, field States: must not be empty")]
#[case::no_type("/States/Hold/Type", None, "state Hold, field Type: is missing")]
#[case::unknown_type(
    "/States/Hold/Type",
    Some(json!("Sleep")),
    "state Hold, field Type: must be one of Task",
)]
#[case::unknown_field("/States/Hold/Second", Some(json!(1)), "state Hold, field Second: is not known here")]
#[case::json_path_field(
    "/States/Hold/InputPath",
    Some(json!("$")),
    "state Hold, field InputPath: belongs to JSONPath",
)]
#[case::no_next("/States/Hold/Next", None, "state Hold: must have Next or End, has neither")]
#[case::next_and_end("/States/Hold/End", Some(json!(true)), "state Hold: must have Next or End, has both")]
#[case::next_of_a_choice(
    "/States/IsItDone/Next",
    Some(json!("Hold")),
    "state IsItDone, field Next: is not known",
)]
#[case::unknown_next(
    "/States/Hold/Next",
    Some(json!("Elsewhere")),
    "state Hold, field Next: there is no state Elsewhere",
)]
#[case::unknown_default(
    "/States/IsItDone/Default",
    Some(json!("Elsewhere")),
    "state IsItDone, field Default: there is no state Elsewhere",
)]
#[case::unknown_rule(
    "/States/IsItDone/Choices/0/Next",
    Some(json!("Elsewhere")),
    "state IsItDone, field Choices[0].Next: there is no state Elsewhere",
)]
#[case::unknown_catcher(
    "/States/Work/Catch/0/Next",
    Some(json!("Elsewhere")),
    "state Work, field Catch[0].Next: there is no state Elsewhere",
)]
#[case::into_a_map(
    "/States/Hold/Next",
    Some(json!("Inner")),
    "state Hold, field Next: there is no state Inner",
)]
#[case::unknown_start_within(
    "/States/Each/ItemProcessor/StartAt",
    Some(json!("Outer")),
    "state Each, field ItemProcessor.StartAt: there is no state Outer",
)]
#[case::unreachable(
    "/States/IsItDone/Default",
    Some(json!("Each")),
    "state Hold: cannot be reached from StartAt",
)]
#[case::no_way_out(
    "/States/Aside",
    Some(json!({"Type": "Pass", "Next": "Aside"})),
    "state Aside: cannot be reached from StartAt",
)]
#[case::name_taken_within(
    "/States/Each/ItemProcessor",
    Some(json!({"StartAt": "Hold", "States": {"Hold": {"Type": "Succeed"}}})),
    "state Hold: the name is taken",
)]
#[case::no_way_to_wait(
    "/States/Hold/Seconds",
    None,
    "state Hold: must have either Seconds or Timestamp"
)]
#[case::seconds_as_text(
    "/States/Hold/Seconds",
    Some(json!("20")),
    "state Hold, field Seconds: must be a number or an",
)]
#[case::seconds_below_nothing(
    "/States/Hold/Seconds",
    Some(json!(-1)),
    "state Hold, field Seconds: must be a whole",
)]
#[case::no_resource("/States/Work/Resource", None, "state Work, field Resource: is missing")]
#[case::timeout_of_nothing(
    "/States/Work/TimeoutSeconds",
    Some(json!(0)),
    "state Work, field TimeoutSeconds: must be a whole number between 1",
)]
#[case::no_errors_to_retry(
    "/States/Work/Retry/0/ErrorEquals",
    None,
    "state Work, field Retry[0].ErrorEquals: is missing"
)]
#[case::all_and_another(
    "/States/Work/Catch/0/ErrorEquals",
    Some(json!(["States.ALL", "E"])),
    "state Work, field Catch[0].ErrorEquals: States.ALL must stand alone",
)]
#[case::backoff_backwards(
    "/States/Work/Retry/0/BackoffRate",
    Some(json!(0.5)),
    "state Work, field Retry[0].BackoffRate: must be between 1",
)]
#[case::condition_is_text(
    "/States/IsItDone/Choices/0/Condition",
    Some(json!("yes")),
    "state IsItDone, field Choices[0].Condition: must be an expression or a boolean",
)]
#[case::no_json_ata(
    "/States/Work/Arguments/id",
    Some(json!("{% $states. %}")),
    "state Work, field Arguments.id: `$states.` is not JSONata",
)]
#[case::half_an_expression(
    "/States/Work/Arguments/id",
    Some(json!("{% $states.input")),
    "state Work, field Arguments.id: `{% $states.input` is half an expression",
)]
#[case::unknown_function(
    "/States/Work/Arguments/id",
    Some(json!("{% $unheard(1) %}")),
    "state Work, field Arguments.id: `$unheard()` is no function",
)]
#[case::clock(
    "/States/Work/Arguments/id",
    Some(json!("{% $now() %}")),
    "state Work, field Arguments.id: `$now()` is refused",
)]
#[case::unassigned_variable(
    "/States/IsItDone/Choices/0/Condition",
    Some(json!("{% $finish %}")),
    "state IsItDone, field Choices[0].Condition: reads $finish, which no state of this scope assigns",
)]
#[case::result_before_the_work(
    "/States/Work/Arguments/id",
    Some(json!("{% $states.result %}")),
    "state Work, field Arguments.id: `$states.result` is not there",
)]
#[case::error_without_an_error(
    "/States/Work/Assign/finished",
    Some(json!("{% $states.errorOutput %}")),
    "state Work, field Assign.finished: `$states.errorOutput` is not there",
)]
#[case::reserved_variable(
    "/States/Hold/Assign",
    Some(json!({"states": 1})),
    "state Hold, field Assign.states: is reserved",
)]
#[case::variable_like_a_function(
    "/States/Hold/Assign",
    Some(json!({"count": 1})),
    "state Hold, field Assign.count: is a function of JSONata",
)]
#[case::variable_of_a_scope_around(
    "/States/Each/ItemProcessor/States/Inner/Assign",
    Some(json!({"finished": 1})),
    "state Inner, field Assign.finished: a scope around this one assigns the same name",
)]
#[case::variable_across_executions(
    "/States/Each/ItemProcessor",
    Some(json!({
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
        "StartAt": "Inner",
        "States": {"Inner": {"Type": "Succeed", "Output": "{% $finished %}"}},
    })),
    "state Inner, field Output: reads $finished",
)]
fn says_what_is_wrong_and_where(#[case] path: &str, #[case] value: Option<Value>, #[case] expected: &str) {
    let mut machine = machine();
    let (parent, key) = path.rsplit_once('/').expect("a path");
    let object = machine.pointer_mut(parent).and_then(Value::as_object_mut);
    let object = object.expect("the path leads to an object");
    match value {
        Some(value) => object.insert(key.to_owned(), value),
        None => object.remove(key),
    };
    let error = parse(machine).expect_err("it is refused");
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn a_loop_that_nothing_ends_is_refused() {
    let states = json!({
        "Begin": {"Type": "Pass", "Next": "Round"},
        "Round": {"Type": "Pass", "Next": "Begin"},
    });
    let error = parse(json!({"StartAt": "Begin", "States": states})).expect_err("it is refused");
    assert_eq!(
        error.to_string(),
        "state Begin: no state that ends the execution can be reached from here"
    );
    assert_eq!(error.place.state.as_deref(), Some("Begin"));
    assert_eq!(error.place.field, "");
}

#[rstest]
#[case::no_json("{", "state machine: is not JSON")]
#[case::key_twice(
    r#"{"StartAt": "A", "StartAt": "B"}"#,
    "state machine: is not JSON: the key `StartAt` stands twice"
)]
#[case::json_path(
    r#"{"StartAt": "A", "States": {}}"#,
    "state machine, field QueryLanguage: must be JSONata"
)]
#[case::no_object("[]", "state machine: must be an object, is an array")]
fn says_what_is_wrong_with_the_text(#[case] text: &str, #[case] expected: &str) {
    let error = StateMachine::parse(text, &BTreeMap::new()).expect_err("it is refused");
    assert!(error.to_string().starts_with(expected), "{error}");
}

#[test]
fn substitutions_are_put_in_and_none_may_be_missing() {
    let mut machine = machine();
    machine["QueryLanguage"] = json!("JSONata");
    machine["States"]["Work"]["Arguments"] = json!({"FunctionName": "a-${Function}-${Stage}"});
    let text = machine.to_string();
    let names: Vec<String> = substitution_names(&text)
        .expect("it is JSON")
        .into_iter()
        .collect();
    assert_eq!(names, ["Function", "Stage"]);
    let mut values = BTreeMap::from([("Function".to_owned(), "open-job".to_owned())]);
    let error = StateMachine::parse(&text, &values).expect_err("Stage is missing");
    assert_eq!(
        error.to_string(),
        "state Work, field Arguments.FunctionName: `${Stage}` has no substitution"
    );
    values.insert("Stage".to_owned(), "test".to_owned());
    StateMachine::parse(&text, &values).expect("both are there");
}
