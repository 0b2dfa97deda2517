//! The order of keys.

use super::{Convention, Report, Scope};
use crate::node::Node;

const MACHINE: [&str; 6] = [
    "Comment",
    "QueryLanguage",
    "Version",
    "StartAt",
    "TimeoutSeconds",
    "States",
];

/// All keys of all types: what a state is, what it does, what comes out of it, what if it fails, where it goes on.
const STATE: [&str; 26] = [
    "Comment",
    "Type",
    "QueryLanguage",
    "Resource",
    "Arguments",
    "Items",
    "ItemSelector",
    "Label",
    "MaxConcurrency",
    "ToleratedFailurePercentage",
    "ToleratedFailureCount",
    "ItemProcessor",
    "Branches",
    "Seconds",
    "Timestamp",
    "Error",
    "Cause",
    "Choices",
    "Assign",
    "Output",
    "TimeoutSeconds",
    "Retry",
    "Catch",
    "Default",
    "Next",
    "End",
];

const RETRIER: [&str; 7] = [
    "Comment",
    "ErrorEquals",
    "IntervalSeconds",
    "MaxAttempts",
    "BackoffRate",
    "MaxDelaySeconds",
    "JitterStrategy",
];

const CATCHER: [&str; 5] = ["Comment", "ErrorEquals", "Assign", "Output", "Next"];

const RULE: [&str; 5] = ["Comment", "Condition", "Assign", "Output", "Next"];

const PROCESSOR: [&str; 4] = ["Comment", "ProcessorConfig", "StartAt", "States"];

const PROCESSOR_CONFIG: [&str; 2] = ["Mode", "ExecutionType"];

pub(super) fn check(machine: &Node, scopes: &[Scope<'_>], report: &mut Report) {
    check_object(machine, &MACHINE, None, "the state machine", report);
    for scope in scopes {
        if let Some(around) = scope.around {
            check_object(scope.node, &PROCESSOR, Some(around), "its processor", report);
            if let Some(config) = scope.node.get("ProcessorConfig") {
                check_object(config, &PROCESSOR_CONFIG, Some(around), "ProcessorConfig", report);
            }
        }
        for state in scope.states() {
            let name = Some(state.name);
            check_object(state.node, &STATE, name, "the state", report);
            for (key, order) in [("Retry", &RETRIER[..]), ("Catch", &CATCHER), ("Choices", &RULE)] {
                for entry in state.node.get(key).and_then(Node::items).unwrap_or_default() {
                    check_object(entry, order, name, key, report);
                }
            }
        }
    }
}

/// Keys that the order does not know are the parser's business.
fn check_object(node: &Node, order: &[&str], state: Option<&str>, what: &str, report: &mut Report) {
    let keys = node
        .entries()
        .unwrap_or_default()
        .iter()
        .map(|(key, _)| key.as_str());
    let known: Vec<(usize, &str)> = keys
        .filter_map(|key| {
            order
                .iter()
                .position(|known| *known == key)
                .map(|rank| (rank, key))
        })
        .collect();
    if let Some(pair) = known.windows(2).find(|pair| pair[0].0 > pair[1].0) {
        let problem = format!("in {what} `{}` must stand before `{}`", pair[1].1, pair[0].1);
        report.add(state, Convention::KeyOrder, problem);
    }
}
