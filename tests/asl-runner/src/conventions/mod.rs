//! What the house style asks of every state machine's file.

mod expressions;
mod failures;
mod names;
mod order;

use crate::node::Node;
use std::fmt;

/// One thing in a file that the house style does not want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file's name.
    pub file: String,
    /// The state, if it is about one.
    pub state: Option<String>,
    /// Which convention.
    pub convention: Convention,
    /// What is wrong, and what to do about it.
    pub problem: String,
}

/// The conventions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Convention {
    /// The file is JSON, no key stands twice, and it has states.
    Readable,
    /// `JSONata`, said once, at the top.
    QueryLanguage,
    /// States are named in `PascalCase`.
    PascalCase,
    /// Tasks, Maps and Parallels start with a verb and have an object.
    VerbPhrase,
    /// Choices, and nothing else, are questions.
    Question,
    /// The keys stand in the order of the house style.
    KeyOrder,
    /// Expressions select. What maps, filters, folds or defines functions belongs in Rust.
    ExpressionsSelect,
    /// Every task has a timeout.
    Timeout,
    /// Every task has the same two retriers: Lambda's own faults, then `RetryableError`; both with backoff, a
    /// longest delay and full jitter.
    Retriers,
    /// Everything that can fail has one Catch of `States.ALL`, to one recorder of failure, a documented task that
    /// catches nothing itself.
    Recorder,
    /// `Retry` and `Catch` name errors of the product, of Lambda or of Step Functions.
    ErrorNames,
    /// The machine and every hard state say why in a Comment: the recorder, choices between several ways, Maps and
    /// Parallels.
    Comments,
    /// Functions and other resources are named by `${Name}`, never by ARN.
    Substitutions,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ", self.file)?;
        if let Some(state) = &self.state {
            write!(formatter, "state {state}: ")?;
        }
        write!(formatter, "{} ({:?})", self.problem, self.convention)
    }
}

/// Holds one file against the conventions. Nothing found means that it keeps them all.
///
/// That the machine can run at all is not looked at here: [`crate::StateMachine::parse`] tells.
#[must_use]
pub fn check_conventions(file_name: &str, asl_json: &str) -> Vec<Violation> {
    let mut report = Report {
        file: file_name.to_owned(),
        violations: Vec::new(),
    };
    match Node::parse(asl_json) {
        Ok(node) => check_file(&node, &mut report),
        Err(error) => report.add(None, Convention::Readable, format!("is not JSON: {error}")),
    }
    report.violations
}

/// Holds several files, names and texts, against the conventions, and against each other: the retriers must be the
/// same in all of them.
#[must_use]
pub fn check_conventions_together(files: &[(String, String)]) -> Vec<Violation> {
    let mut violations: Vec<Violation> = Vec::new();
    let mut first: Option<(&str, Node)> = None;
    for (name, asl) in files {
        violations.extend(check_conventions(name, asl));
        let Ok(node) = Node::parse(asl) else { continue };
        let Some(retry) = failures::first_retry(&scopes(&node)) else {
            continue;
        };
        match &first {
            None => first = Some((name, retry.clone())),
            Some((other, known)) if known != retry => violations.push(Violation {
                file: name.clone(),
                state: None,
                convention: Convention::Retriers,
                problem: format!("its retriers are not those of {other}"),
            }),
            Some(_) => {}
        }
    }
    violations
}

fn check_file(node: &Node, report: &mut Report) {
    let scopes = scopes(node);
    if scopes.is_empty() {
        report.add(None, Convention::Readable, "has no states");
        return;
    }
    check_query_language(node, &scopes, report);
    names::check(&scopes, report);
    order::check(node, &scopes, report);
    expressions::check(node, &scopes, report);
    failures::check(&scopes, report);
    check_comments(node, &scopes, report);
}

fn check_query_language(node: &Node, scopes: &[Scope<'_>], report: &mut Report) {
    if node.get("QueryLanguage").and_then(Node::text) != Some("JSONata") {
        report.add(
            None,
            Convention::QueryLanguage,
            "must say \"QueryLanguage\": \"JSONata\" at the top",
        );
    }
    for state in scopes.iter().flat_map(Scope::states) {
        if state.node.get("QueryLanguage").is_some() {
            let problem = "must not choose a query language of its own";
            report.add(Some(state.name), Convention::QueryLanguage, problem);
        }
    }
}

fn check_comments(node: &Node, scopes: &[Scope<'_>], report: &mut Report) {
    let has_comment = |node: &Node| {
        let comment = node.get("Comment").and_then(Node::text);
        comment.is_some_and(|comment| !comment.trim().is_empty())
    };
    if !has_comment(node) {
        report.add(
            None,
            Convention::Comments,
            "must say in a Comment what it does and what its input is",
        );
    }
    for scope in scopes {
        let recorder = failures::recorder(scope);
        for state in scope.states() {
            let ways = state
                .node
                .get("Choices")
                .and_then(Node::items)
                .map_or(0, <[Node]>::len);
            let hard = match state.state_type() {
                "Map" | "Parallel" => Some("runs states of its own"),
                "Choice" if ways > 1 => Some("chooses between several ways"),
                _ if recorder == Some(state.name) => Some("records failures"),
                _ => None,
            };
            if let Some(why) = hard.filter(|_| !has_comment(state.node)) {
                let problem = format!("{why} and must say in a Comment why it is as it is");
                report.add(Some(state.name), Convention::Comments, problem);
            }
        }
    }
}

/// The violations found so far.
struct Report {
    file: String,
    violations: Vec<Violation>,
}

impl Report {
    fn add(&mut self, state: Option<&str>, convention: Convention, problem: impl Into<String>) {
        self.violations.push(Violation {
            file: self.file.clone(),
            state: state.map(str::to_owned),
            convention,
            problem: problem.into(),
        });
    }
}

/// The states of the machine, of an `ItemProcessor` or of a branch.
struct Scope<'a> {
    /// The object that has `States`.
    node: &'a Node,
    /// The state around, if this is not the machine itself.
    around: Option<&'a str>,
}

/// A state and its name.
#[derive(Clone, Copy)]
struct NamedState<'a> {
    name: &'a str,
    node: &'a Node,
}

impl<'a> Scope<'a> {
    fn states(&self) -> impl Iterator<Item = NamedState<'a>> + use<'a> {
        let entries = self
            .node
            .get("States")
            .and_then(Node::entries)
            .unwrap_or_default();
        entries.iter().map(|(name, node)| NamedState { name, node })
    }
}

impl<'a> NamedState<'a> {
    fn state_type(&self) -> &'a str {
        self.node.get("Type").and_then(Node::text).unwrap_or_default()
    }
}

/// The machine's own scope first, then those within its states, in the file's order.
fn scopes(node: &Node) -> Vec<Scope<'_>> {
    fn collect<'a>(node: &'a Node, around: Option<&'a str>, scopes: &mut Vec<Scope<'a>>) {
        if node.get("States").and_then(Node::entries).is_none() {
            return;
        }
        let scope = Scope { node, around };
        let states: Vec<NamedState<'_>> = scope.states().collect();
        scopes.push(scope);
        for state in states {
            let processor = state.node.get("ItemProcessor");
            let branches = state
                .node
                .get("Branches")
                .and_then(Node::items)
                .unwrap_or_default();
            for inner in processor.into_iter().chain(branches) {
                collect(inner, Some(state.name), scopes);
            }
        }
    }
    let mut scopes = Vec::new();
    collect(node, None, &mut scopes);
    scopes
}
