//! What stands in strings: expressions and names.

use super::{Convention, Report, Scope};
use crate::node::Node;
use crate::place::Place;
use crate::scan::scan;

/// Functions that go through lists: work for Rust.
const FUNCTIONS_FOR_RUST: [&str; 8] = ["map", "filter", "reduce", "sift", "each", "single", "sort", "zip"];

pub(super) fn check(machine: &Node, scopes: &[Scope<'_>], report: &mut Report) {
    machine.each_text(&mut |path, text| {
        let place = Place::from_path(path);
        let field = &place.field;
        let state = place.state.as_deref();
        if let Some(source) = text.strip_prefix("{%") {
            let mentions = scan(source.trim_end_matches("%}"));
            let called = FUNCTIONS_FOR_RUST
                .iter()
                .find(|name| mentions.calls.contains(**name));
            if let Some(name) = called {
                let problem = format!("{field} calls `${name}`, which belongs in Rust");
                report.add(state, Convention::ExpressionsSelect, problem);
            } else if mentions.defines_functions {
                let problem = format!("{field} defines a function, which belongs in Rust");
                report.add(state, Convention::ExpressionsSelect, problem);
            }
        }
        let is_comment = field == "Comment" || field.ends_with(".Comment");
        let is_service = field == "Resource" && text.starts_with("arn:aws:states:::");
        if text.contains("arn:") && !is_service && !is_comment {
            let problem = format!("{field} names a resource by ARN; name it by a substitution");
            report.add(state, Convention::Substitutions, problem);
        }
    });
    for state in scopes.iter().flat_map(Scope::states) {
        let function = state
            .node
            .get("Arguments")
            .and_then(|arguments| arguments.get("FunctionName"));
        let Some(function) = function else { continue };
        if !function.text().is_some_and(is_substitution) {
            let problem = "Arguments.FunctionName must be one substitution, as in `${OpenJobFunctionArn}`";
            report.add(Some(state.name), Convention::Substitutions, problem);
        }
    }
}

fn is_substitution(text: &str) -> bool {
    let name = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    name.is_some_and(|name| {
        !name.is_empty() && name.chars().all(|character| character.is_ascii_alphanumeric())
    })
}
