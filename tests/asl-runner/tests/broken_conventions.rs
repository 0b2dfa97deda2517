//! Shows of each convention that it finds a state machine that breaks it.

use asl_runner::conventions::{
    Convention::{self, *},
    check_conventions,
};
use rstest::rstest;

/// A small machine that keeps all conventions. Each case breaks one.
const GOOD: &str = include_str!("fixtures/keeps-all-conventions.asl.json");

/// Replaces `from`, everywhere, and expects the conventions found broken: state, convention, part of the problem.
/// No state is the machine itself.
#[rstest]
#[case::no_json(r#""States": {"#, r#""States": "#, &[("", Readable, "is not JSON")])]
#[case::key_twice(
    r#""StartAt": "OpenJob""#,
    r#""StartAt": "A", "StartAt": "B""#,
    &[("", Readable, "`StartAt` stands twice")],
)]
#[case::no_states(r#""States": { "OpenJob""#, r#""State": { "OpenJob""#, &[("", Readable, "has no states")])]
#[case::json_path(
    r#""QueryLanguage": "JSONata""#,
    r#""QueryLanguage": "JSONPath""#,
    &[("", QueryLanguage, "at the top")],
)]
#[case::json_path_by_default(r#""QueryLanguage": "JSONata","#, "", &[("", QueryLanguage, "at the top")])]
#[case::language_of_a_state(
    r#""Type": "Pass","#,
    r#""Type": "Pass", "QueryLanguage": "JSONata","#,
    &[("ReportJob", QueryLanguage, "of its own")],
)]
#[case::snake_case("ReportJob", "report_job", &[("report_job", PascalCase, "PascalCase")])]
#[case::spaces("AwaitTurn", "Await Turn", &[("Await Turn", PascalCase, "PascalCase")])]
#[case::all_capitals("ReportJob", "REPORT", &[("REPORT", PascalCase, "PascalCase")])]
#[case::noun_phrase(
    r#"OpenJob""#,
    r#"JobOpening""#,
    &[("JobOpening", VerbPhrase, "`Job` is not among the known verbs")],
)]
#[case::verb_alone("CopyParts", "Copy", &[("Copy", VerbPhrase, "has no object")])]
#[case::task_asks(r#"OpenJob""#, r#"IsJobOpen""#, &[("IsJobOpen", Question, "no choice")])]
#[case::pass_asks("ReportJob", "IsJobDone", &[("IsJobDone", Question, "no choice")])]
#[case::choice_tells("AreThereParts", "CheckParts", &[("CheckParts", Question, "must be a question")])]
#[case::question_word_alone("AreThereParts", "Are", &[("Are", Question, "must be a question")])]
#[case::order_of_the_machine(
    r#""QueryLanguage": "JSONata", "StartAt": "OpenJob","#,
    r#""StartAt": "OpenJob", "QueryLanguage": "JSONata","#,
    &[("", KeyOrder, "in the state machine `QueryLanguage` must stand before `StartAt`")],
)]
#[case::order_of_a_state(
    r#""Type": "Pass", "End": true"#,
    r#""End": true, "Type": "Pass""#,
    &[("ReportJob", KeyOrder, "in the state `Type` must stand before `End`")],
)]
#[case::order_of_a_retrier(
    r#""MaxAttempts": 6, "BackoffRate": 2,"#,
    r#""BackoffRate": 2, "MaxAttempts": 6,"#,
    &[
        ("OpenJob", KeyOrder, "in Retry `MaxAttempts` must stand before `BackoffRate`"),
        ("CloseFailedJob", KeyOrder, "in Retry `MaxAttempts` must stand before `BackoffRate`"),
    ],
)]
#[case::order_of_a_catcher(
    r#""Assign": { "failure": "{% $states.errorOutput %}" }, "Next": "CloseFailedJob""#,
    r#""Next": "CloseFailedJob", "Assign": { "failure": "{% $states.errorOutput %}" }"#,
    &[
        ("OpenJob", KeyOrder, "in Catch `Assign` must stand before `Next`"),
        ("CopyParts", KeyOrder, "in Catch `Assign` must stand before `Next`"),
    ],
)]
#[case::order_of_a_rule(
    r#"{ "Condition": "{% $count($parts) > 0 %}", "Next": "CopyParts" }"#,
    r#"{ "Next": "CopyParts", "Condition": "{% $count($parts) > 0 %}" }"#,
    &[("AreThereParts", KeyOrder, "in Choices `Condition` must stand before `Next`")],
)]
#[case::order_of_a_processor(
    r#""ProcessorConfig": { "Mode": "DISTRIBUTED", "ExecutionType": "STANDARD" }, "StartAt": "AwaitTurn","#,
    r#""StartAt": "AwaitTurn", "ProcessorConfig": { "ExecutionType": "STANDARD", "Mode": "DISTRIBUTED" },"#,
    &[
        ("CopyParts", KeyOrder, "in its processor `ProcessorConfig` must stand before `StartAt`"),
        ("CopyParts", KeyOrder, "in ProcessorConfig `Mode` must stand before `ExecutionType`"),
    ],
)]
#[case::maps(
    "{% $parts %}",
    "{% $map($parts, $string) %}",
    &[("CopyParts", ExpressionsSelect, "Items calls `$map`")],
)]
#[case::filters(
    "{% $parts %}",
    "{% $parts ~> $filter($boolean) %}",
    &[("CopyParts", ExpressionsSelect, "`$filter`")],
)]
#[case::sorts_without_a_call(
    "{% $parts %}",
    "{% $parts ~> $sort %}",
    &[("CopyParts", ExpressionsSelect, "`$sort`")],
)]
#[case::defines_a_function(
    "{% $parts %}",
    "{% ($f := function($x) { $x }; $f($parts)) %}",
    &[("CopyParts", ExpressionsSelect, "Items defines a function")],
)]
#[case::no_timeout(
    r#""parts": "{% $states.result.Payload.parts %}" }, "TimeoutSeconds": 900,"#,
    r#""parts": "{% $states.result.Payload.parts %}" },"#,
    &[("OpenJob", Timeout, "must have TimeoutSeconds")],
)]
#[case::unknown_error(
    r#"["States.ALL"]"#,
    r#"["ThrottledError"]"#,
    &[
        ("OpenJob", ErrorNames, "Catch names `ThrottledError`"),
        ("CopyParts", ErrorNames, "Catch names `ThrottledError`"),
        ("OpenJob", Recorder, "must be for States.ALL"),
        ("CopyParts", Recorder, "must be for States.ALL"),
    ],
)]
#[case::machine_without_comment(
    r#""Comment": "Copies the parts of one job. Input: {\"job_id\": …}.","#,
    "",
    &[("", Comments, "what it does and what its input is")],
)]
#[case::map_without_comment(
    r#""One at a time: they share a bucket.""#,
    r#"" ""#,
    &[("CopyParts", Comments, "runs states of its own")],
)]
#[case::recorder_without_comment(
    r#""Comment": "The one recorder of failure.","#,
    "",
    &[("CloseFailedJob", Comments, "records failures")],
)]
#[case::hard_choice_without_comment(
    r#""Choices": ["#,
    r#""Choices": [{ "Condition": "{% $parts = 1 %}", "Next": "ReportJob" },"#,
    &[("AreThereParts", Comments, "chooses between several ways")],
)]
#[case::function_by_arn(
    "${OpenJobFunctionArn}",
    "arn:aws:lambda:us-east-1:111122223333:function:open-job",
    &[("OpenJob", Substitutions, "by ARN"), ("OpenJob", Substitutions, "must be one substitution")],
)]
#[case::function_by_name(
    "${OpenJobFunctionArn}",
    "open-job",
    &[("OpenJob", Substitutions, "must be one substitution")],
)]
#[case::substitution_and_more(
    "${OpenJobFunctionArn}",
    "${OpenJobFunctionArn}:1",
    &[("OpenJob", Substitutions, "must be one")],
)]
#[case::key_by_arn(
    r#""failure": "{% $failure %}""#,
    r#""key": "arn:aws:kms:us-east-1:111122223333:key/k""#,
    &[("CloseFailedJob", Substitutions, "Arguments.Payload.key names a resource by ARN")],
)]
fn finds_what_breaks_a_convention(
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: &[(&str, Convention, &str)],
) {
    check(from, to, expected);
}

/// What is wrong in both tasks is found in both, and not as a difference between them.
#[rstest]
#[case::no_interval(
    r#""IntervalSeconds": 5,"#,
    "",
    "its second retrier must say IntervalSeconds, 1 or more"
)]
#[case::no_attempts(
    r#""MaxAttempts": 6"#,
    r#""MaxAttempts": 0"#,
    "its first retrier must say MaxAttempts, 1 or more"
)]
#[case::no_longest_delay(
    r#""MaxDelaySeconds": 60,"#,
    "",
    "its first retrier must say MaxDelaySeconds, 1 or more"
)]
#[case::no_backoff(
    r#""MaxAttempts": 8, "BackoffRate": 2"#,
    r#""MaxAttempts": 8, "BackoffRate": 1"#,
    "its second retrier must back off"
)]
#[case::no_jitter(
    r#""MaxDelaySeconds": 120, "JitterStrategy": "FULL""#,
    r#""MaxDelaySeconds": 120, "JitterStrategy": "NONE""#,
    r#"its second retrier must say "JitterStrategy": "FULL""#
)]
#[case::fault_missing(
    r#""Lambda.SdkClientException","#,
    "",
    "must name `Lambda.SdkClientException`"
)]
#[case::no_fault(
    r#""States.Timeout""#,
    r#""PermanentError""#,
    "names `PermanentError`, which is no fault of Lambda itself"
)]
#[case::retries_what_is_permanent(
    r#"["RetryableError"]"#,
    r#"["RetryableError", "PermanentError"]"#,
    "RetryableError and nothing else"
)]
#[case::third_retrier(
    r#""Retry": ["#,
    r#""Retry": [{ "ErrorEquals": ["States.Timeout"] },"#,
    "must have two retriers"
)]
fn finds_bad_retriers_in_every_task(#[case] from: &str, #[case] to: &str, #[case] expected: &str) {
    check(
        from,
        to,
        &[
            ("OpenJob", Retriers, expected),
            ("CloseFailedJob", Retriers, expected),
        ],
    );
}

/// Ways past the one recorder of failure.
#[rstest]
#[case::past_the_recorder(
    r#""CloseFailedJob" } ], "Next": "ReportJob""#,
    r#""FailExecution" } ], "Next": "ReportJob""#,
    &[("CopyParts", Recorder, "must lead to CloseFailedJob")],
)]
#[case::one_does_not_catch(
    r#""ReportJob": {"#,
    r#""CollectParts": { "Comment": "Why.", "Type": "Parallel", "Next": "ReportJob" }, "ReportJob": {"#,
    &[("CollectParts", Recorder, "must have a Catch of States.ALL")],
)]
#[case::two_catchers(
    r#""Catch": ["#,
    r#""Catch": [{ "ErrorEquals": ["PermanentError"], "Next": "CloseFailedJob" },"#,
    &[
        ("OpenJob", Recorder, "must have one Catch, has more"),
        ("CopyParts", Recorder, "must have one Catch, has more"),
    ],
)]
#[case::nothing_catches(
    r#""Catch""#,
    r#""Caught""#,
    &[
        ("OpenJob", Recorder, "must have a Catch"),
        ("CopyParts", Recorder, "must have a Catch"),
        ("CloseFailedJob", Recorder, "must have a Catch"),
    ],
)]
#[case::recorder_catches(
    r#""Next": "FailExecution""#,
    r#""Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "FailExecution" }], "Next": "FailExecution""#,
    &[("CloseFailedJob", Recorder, "must not catch")],
)]
#[case::recorder_records_nothing(
    r#""Next": "CloseFailedJob""#,
    r#""Next": "FailExecution""#,
    &[
        ("CloseFailedJob", Recorder, "must have a Catch"),
        ("FailExecution", Recorder, "must be a task that records"),
        ("FailExecution", Comments, "records failures"),
    ],
)]
fn finds_failures_that_go_unrecorded(
    #[case] from: &str,
    #[case] to: &str,
    #[case] expected: &[(&str, Convention, &str)],
) {
    check(from, to, expected);
}

/// Inside a Map nothing has to be caught, but if one state catches, all do.
#[rstest]
#[case::none_catches("", &[])]
#[case::one_catches(
    r#""Catch": [{ "ErrorEquals": ["States.ALL"], "Next": "RecordPart" }],"#,
    &[("CopyPart", Recorder, "must have a Catch")],
)]
fn states_within_a_map_are_caught_around_it_or_all_by_themselves(
    #[case] catch: &str,
    #[case] expected: &[(&str, Convention, &str)],
) {
    let parallel = |name: &str, catch: &str, next: &str| {
        format!(r#""{name}": {{ "Comment": "Why.", "Type": "Parallel", {catch} "Next": "{next}" }},"#)
    };
    let good = good();
    let start = good.find(r#""CloseFailedJob": {"#).expect("the recorder");
    let end = good.find(r#""FailExecution": {"#).expect("the state after it");
    let recorder = good[start..end].replace("CloseFailedJob", "RecordPart");
    let states = [
        parallel("OpenPart", catch, "CopyPart"),
        parallel("CopyPart", "", "RecordPart"),
        recorder,
    ];
    let before = r#""AwaitTurn": {"#;
    check(before, &format!("{} {before}", states.concat()), expected);
}

#[test]
fn tasks_must_have_the_same_retriers() {
    let second = GOOD.rfind(r#""MaxAttempts": 8"#).expect("the recorder's retrier");
    let (head, tail) = GOOD.split_at(second);
    let text = format!("{head}{}", tail.replacen('8', "9", 1));
    assert_found(
        &text,
        &[("CloseFailedJob", Retriers, "not those of the file's first task")],
    );
}

/// The good machine without its line breaks, so that a case can be written in one line.
fn good() -> String {
    GOOD.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn check(from: &str, to: &str, expected: &[(&str, Convention, &str)]) {
    let good = good();
    assert!(good.contains(from), "there is no {from}");
    assert_found(&good.replace(from, to), expected);
}

#[track_caller]
fn assert_found(text: &str, expected: &[(&str, Convention, &str)]) {
    let found = check_conventions("case.asl.json", text);
    let kinds: Vec<(&str, Convention)> = found
        .iter()
        .map(|violation| {
            (
                violation.state.as_deref().unwrap_or_default(),
                violation.convention,
            )
        })
        .collect();
    let expected_kinds: Vec<_> = expected
        .iter()
        .map(|(state, convention, _)| (*state, *convention))
        .collect();
    assert_eq!(kinds, expected_kinds, "{found:#?}");
    for (violation, (_, _, problem)) in found.iter().zip(expected) {
        assert!(violation.problem.contains(problem), "{violation}");
    }
}
