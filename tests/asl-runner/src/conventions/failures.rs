//! Timeouts, retriers, and the one recorder of failure.

use super::{Convention, NamedState, Report, Scope};
use crate::node::Node;

/// The product's own names of errors, as they travel.
const RETRYABLE: &str = "RetryableError";
const PERMANENT: &str = "PermanentError";

/// Faults of Lambda itself, none of which says that the function refused. The first retrier must name all of them.
const LAMBDA_FAULTS: [&str; 6] = [
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    // The process was killed, for want of memory for one.
    "Runtime.ExitError",
];

pub(super) fn check(scopes: &[Scope<'_>], report: &mut Report) {
    let first_retry = first_retry(scopes);
    for scope in scopes {
        for state in scope.states() {
            check_error_names(state, report);
            if state.state_type() == "Task" {
                if state.node.get("TimeoutSeconds").is_none() {
                    report.add(
                        Some(state.name),
                        Convention::Timeout,
                        "is a task and must have TimeoutSeconds",
                    );
                }
                check_retriers(state, first_retry, report);
            }
        }
        check_recorder(scope, report);
    }
}

/// The retriers of the first task that has any.
pub(super) fn first_retry<'a>(scopes: &[Scope<'a>]) -> Option<&'a Node> {
    let mut states = scopes.iter().flat_map(Scope::states);
    states.find_map(|state| state.node.get("Retry").filter(|_| state.state_type() == "Task"))
}

/// Where the scope's first Catch leads.
pub(super) fn recorder<'a>(scope: &Scope<'a>) -> Option<&'a str> {
    scope
        .states()
        .find_map(|state| catchers(state.node).first()?.get("Next")?.text())
}

fn catchers(state: &Node) -> &[Node] {
    state.get("Catch").and_then(Node::items).unwrap_or_default()
}

fn error_names(entry: &Node) -> Vec<&str> {
    let names = entry.get("ErrorEquals").and_then(Node::items).unwrap_or_default();
    names.iter().filter_map(Node::text).collect()
}

fn check_error_names(state: NamedState<'_>, report: &mut Report) {
    for key in ["Retry", "Catch"] {
        for entry in state.node.get(key).and_then(Node::items).unwrap_or_default() {
            for name in error_names(entry) {
                let known = matches!(name, RETRYABLE | PERMANENT);
                // Lambda's runtime and sandbox have names of their own for a process that died or took too long.
                let prefixes = ["Lambda.", "Runtime.", "Sandbox.", "States."];
                if !known && !prefixes.iter().any(|prefix| name.starts_with(prefix)) {
                    let problem = format!(
                        "{key} names `{name}`, which is neither {RETRYABLE} nor {PERMANENT} nor a fault of AWS"
                    );
                    report.add(Some(state.name), Convention::ErrorNames, problem);
                }
            }
        }
    }
}

fn check_retriers(state: NamedState<'_>, first_retry: Option<&Node>, report: &mut Report) {
    let retry = state.node.get("Retry");
    let mut add = |problem: String| report.add(Some(state.name), Convention::Retriers, problem);
    let Some([faults, retryable]) = retry.and_then(Node::items) else {
        add(format!(
            "must have two retriers: Lambda's own faults, and {RETRYABLE}"
        ));
        return;
    };
    let names = error_names(faults);
    if let Some(missing) = LAMBDA_FAULTS.iter().find(|fault| !names.contains(fault)) {
        add(format!("its first retrier must name `{missing}`"));
    }
    let is_fault = |name: &str| {
        let prefixes = ["Lambda.", "Runtime.", "Sandbox."];
        name == "States.Timeout" || prefixes.iter().any(|prefix| name.starts_with(prefix))
    };
    if let Some(name) = names.iter().find(|name| !is_fault(name)) {
        add(format!(
            "its first retrier names `{name}`, which is no fault of Lambda itself"
        ));
    }
    if error_names(retryable) != [RETRYABLE] {
        add(format!(
            "its second retrier must name {RETRYABLE} and nothing else"
        ));
    }
    for (which, retrier) in [("first", faults), ("second", retryable)] {
        let number = |key: &str| match retrier.get(key) {
            Some(Node::Number(number)) => number.as_f64(),
            _ => None,
        };
        for key in ["IntervalSeconds", "MaxAttempts", "MaxDelaySeconds"] {
            if number(key).is_none_or(|number| number < 1.0) {
                add(format!("its {which} retrier must say {key}, 1 or more"));
            }
        }
        if number("BackoffRate").is_none_or(|rate| rate <= 1.0) {
            add(format!("its {which} retrier must back off: BackoffRate above 1"));
        }
        if retrier.get("JitterStrategy").and_then(Node::text) != Some("FULL") {
            add(format!(
                "its {which} retrier must say \"JitterStrategy\": \"FULL\""
            ));
        }
    }
    if retry != first_retry {
        add("its retriers are not those of the file's first task".to_owned());
    }
}

/// In the machine itself everything that can fail must be caught. Within a Map or Parallel nothing needs to be:
/// the state around catches it. But if one state catches, all do.
fn check_recorder(scope: &Scope<'_>, report: &mut Report) {
    let recorder = recorder(scope);
    if recorder.is_none() && scope.around.is_some() {
        return;
    }
    for state in scope.states() {
        if Some(state.name) == recorder {
            check_recorder_itself(state, report);
            continue;
        }
        if !matches!(state.state_type(), "Task" | "Map" | "Parallel") {
            continue;
        }
        let mut add = |problem: String| report.add(Some(state.name), Convention::Recorder, problem);
        match catchers(state.node) {
            [catcher] => {
                if error_names(catcher) != ["States.ALL"] {
                    add("its Catch must be for States.ALL".to_owned());
                }
                let next = catcher.get("Next").and_then(Node::text);
                if next != recorder {
                    let recorder = recorder.unwrap_or_default();
                    add(format!(
                        "its Catch must lead to {recorder}, the one recorder of failure"
                    ));
                }
            }
            [] => add("must have a Catch of States.ALL to the one recorder of failure".to_owned()),
            _ => add("must have one Catch, has more".to_owned()),
        }
    }
}

/// The recorder is the last resort: a Catch of its own could only lead back to itself or past the record.
fn check_recorder_itself(state: NamedState<'_>, report: &mut Report) {
    if state.state_type() != "Task" {
        report.add(
            Some(state.name),
            Convention::Recorder,
            "is where failures lead and must be a task that records them",
        );
    }
    if state.node.get("Catch").is_some() {
        report.add(
            Some(state.name),
            Convention::Recorder,
            "is the recorder of failure and must not catch",
        );
    }
}
