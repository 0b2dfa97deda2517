//! Holds every state machine of the product against the house style.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use asl_runner::conventions::{check_conventions, check_conventions_together};
use asl_runner::{StateMachine, substitution_names};
use std::collections::BTreeMap;
use std::path::Path;

/// A small machine that keeps all conventions.
const GOOD: &str = include_str!("fixtures/keeps-all-conventions.asl.json");

/// The product's state machines: names and texts, in the order of their names.
fn machines() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../statemachines");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&folder).expect("the folder of state machines can be read") {
        let path = entry.expect("an entry of the folder").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        if name.ends_with(".asl.json") {
            let text = std::fs::read_to_string(&path).expect("a state machine can be read");
            files.push((name.to_owned(), text));
        }
    }
    files.sort();
    assert!(
        !files.is_empty(),
        "there is no state machine in {}",
        folder.display()
    );
    files
}

fn parse(name: &str, text: &str) -> StateMachine {
    let names = substitution_names(text).expect("the file is JSON");
    let values: BTreeMap<String, String> = names.into_iter().map(|name| (name, "x".to_owned())).collect();
    StateMachine::parse(text, &values).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_state_machine_keeps_the_conventions() {
    let found: Vec<String> = check_conventions_together(&machines())
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_state_machine_can_be_run() {
    for (name, text) in machines() {
        parse(&name, &text);
    }
}

#[test]
fn finds_nothing_in_a_machine_that_keeps_them() {
    parse("good", GOOD);
    assert_eq!(check_conventions("good", GOOD), []);
    let pair = [
        ("a".to_owned(), GOOD.to_owned()),
        ("b".to_owned(), GOOD.to_owned()),
    ];
    assert_eq!(check_conventions_together(&pair), []);
}

#[test]
fn files_must_have_the_same_retriers() {
    let other = GOOD.replace(r#""MaxAttempts": 8"#, r#""MaxAttempts": 9"#);
    let files = [
        ("a.asl.json".to_owned(), GOOD.to_owned()),
        ("b.asl.json".to_owned(), other),
    ];
    let found: Vec<String> = check_conventions_together(&files)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        ["b.asl.json: its retriers are not those of a.asl.json (Retriers)"]
    );
}

#[test]
fn a_violation_names_file_state_and_convention() {
    let text = GOOD.replace("ReportJob", "report_job");
    let found = check_conventions("copy.asl.json", &text);
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        ["copy.asl.json: state report_job: must be named in PascalCase (PascalCase)"]
    );
}
