//! How states are named.

use super::{Convention, Report, Scope};

/// The first words of a question.
const QUESTION_WORDS: [&str; 15] = [
    "Is", "Are", "Was", "Were", "Has", "Have", "Had", "Does", "Do", "Did", "Can", "Could", "Should", "Must",
    "Will",
];

/// The first words of a task's name. A verb that is missing here is added here.
const VERBS: [&str; 76] = [
    "Abort",
    "Apply",
    "Approve",
    "Archive",
    "Attach",
    "Await",
    "Begin",
    "Build",
    "Cancel",
    "Capture",
    "Check",
    "Clean",
    "Close",
    "Collect",
    "Compare",
    "Complete",
    "Confirm",
    "Copy",
    "Count",
    "Create",
    "Cut",
    "Decide",
    "Delete",
    "Describe",
    "Detach",
    "Drop",
    "Encrypt",
    "End",
    "Ensure",
    "Enumerate",
    "Expire",
    "Export",
    "Finalize",
    "Find",
    "Finish",
    "Freeze",
    "Grant",
    "Import",
    "Invoke",
    "Launch",
    "List",
    "Lock",
    "Manage",
    "Mark",
    "Measure",
    "Notify",
    "Open",
    "Pause",
    "Plan",
    "Poll",
    "Prepare",
    "Publish",
    "Read",
    "Reconcile",
    "Record",
    "Register",
    "Release",
    "Remove",
    "Replicate",
    "Report",
    "Resolve",
    "Restore",
    "Resume",
    "Revoke",
    "Run",
    "Seal",
    "Select",
    "Send",
    "Share",
    "Snapshot",
    "Start",
    "Step",
    "Stop",
    "Tag",
    "Terminate",
    "Verify",
];

pub(super) fn check(scopes: &[Scope<'_>], report: &mut Report) {
    for state in scopes.iter().flat_map(Scope::states) {
        let name = state.name;
        if !is_pascal_case(name) {
            report.add(Some(name), Convention::PascalCase, "must be named in PascalCase");
            continue;
        }
        let (first, more) = first_word(name);
        let question = QUESTION_WORDS.contains(&first) && more;
        match state.state_type() {
            "Choice" if !question => {
                let problem = format!(
                    "is a choice and must be a question: start with one of {}",
                    QUESTION_WORDS.join(", ")
                );
                report.add(Some(name), Convention::Question, problem);
            }
            "Choice" => {}
            _ if question => {
                report.add(Some(name), Convention::Question, "is a question but no choice");
            }
            "Task" | "Map" | "Parallel" if !VERBS.contains(&first) || !more => {
                let problem = format!(
                    "must be a verb phrase: `{first}` is not among the known verbs, or has no object"
                );
                report.add(Some(name), Convention::VerbPhrase, problem);
            }
            _ => {}
        }
    }
}

fn is_pascal_case(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase())
        && name.chars().all(|character| character.is_ascii_alphanumeric())
        && name.chars().any(|character| character.is_ascii_lowercase())
}

/// The word up to the next capital, and whether there is more.
fn first_word(name: &str) -> (&str, bool) {
    let next = name
        .char_indices()
        .skip(1)
        .find(|(_, character)| character.is_ascii_uppercase());
    next.map_or((name, false), |(index, _)| (&name[..index], true))
}
