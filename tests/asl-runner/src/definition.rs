//! The machine as it was read: every reference holds and every expression parses.

use crate::template::Template;
use std::collections::BTreeMap;
use std::fmt;

/// A state machine that can be run.
#[derive(Debug, Clone)]
pub struct StateMachine {
    /// After how many seconds an execution times out.
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) processor: Processor,
}

/// States that hand on to each other: the machine's own, an `ItemProcessor`'s or a branch's.
#[derive(Debug, Clone)]
pub(crate) struct Processor {
    pub(crate) start_at: String,
    pub(crate) states: BTreeMap<String, State>,
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) work: Work,
    pub(crate) assign: Option<Template>,
    pub(crate) output: Option<Template>,
    pub(crate) retry: Vec<Retrier>,
    pub(crate) catch: Vec<Catcher>,
    /// Where it goes after its work. A choice goes elsewhere, and a state that ends the execution ends it.
    pub(crate) transition: Transition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Transition {
    Next(String),
    End,
}

/// What a state does, by its type.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    Task(TaskWork),
    Choice(ChoiceWork),
    Wait(WaitWork),
    Pass,
    Succeed,
    Fail(FailWork),
    Map(Box<MapWork>),
    Parallel(ParallelWork),
}

#[derive(Debug, Clone)]
pub(crate) struct TaskWork {
    pub(crate) resource: String,
    pub(crate) arguments: Option<Template>,
    pub(crate) timeout_seconds: Option<Template>,
}

#[derive(Debug, Clone)]
pub(crate) struct ChoiceWork {
    pub(crate) rules: Vec<Rule>,
    pub(crate) default: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) condition: Template,
    pub(crate) assign: Option<Template>,
    pub(crate) output: Option<Template>,
    pub(crate) next: String,
}

#[derive(Debug, Clone)]
pub(crate) enum WaitWork {
    Seconds(Template),
    Timestamp(Template),
}

#[derive(Debug, Clone)]
pub(crate) struct FailWork {
    pub(crate) error: Option<Template>,
    pub(crate) cause: Option<Template>,
}

#[derive(Debug, Clone)]
pub(crate) struct MapWork {
    pub(crate) items: Option<Template>,
    pub(crate) item_selector: Option<Template>,
    pub(crate) max_concurrency: Option<Template>,
    pub(crate) tolerated_failure_percentage: Option<Template>,
    pub(crate) tolerated_failure_count: Option<Template>,
    /// Whether each item is an execution of its own, with its own history and variables.
    pub(crate) distributed: bool,
    pub(crate) processor: Processor,
}

#[derive(Debug, Clone)]
pub(crate) struct ParallelWork {
    pub(crate) arguments: Option<Template>,
    pub(crate) branches: Vec<Processor>,
}

#[derive(Debug, Clone)]
pub(crate) struct Retrier {
    pub(crate) error_equals: Vec<String>,
    pub(crate) interval_seconds: f64,
    pub(crate) max_attempts: u32,
    pub(crate) backoff_rate: f64,
    pub(crate) max_delay_seconds: Option<f64>,
    pub(crate) full_jitter: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Catcher {
    pub(crate) error_equals: Vec<String>,
    pub(crate) assign: Option<Template>,
    pub(crate) output: Option<Template>,
    pub(crate) next: String,
}

/// The eight types of states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the language's own words")]
pub enum StateType {
    Task,
    Choice,
    Wait,
    Pass,
    Succeed,
    Fail,
    Map,
    Parallel,
}

impl fmt::Display for StateType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, formatter)
    }
}

impl State {
    pub(crate) fn state_type(&self) -> StateType {
        match self.work {
            Work::Task(_) => StateType::Task,
            Work::Choice(_) => StateType::Choice,
            Work::Wait(_) => StateType::Wait,
            Work::Pass => StateType::Pass,
            Work::Succeed => StateType::Succeed,
            Work::Fail(_) => StateType::Fail,
            Work::Map(_) => StateType::Map,
            Work::Parallel(_) => StateType::Parallel,
        }
    }

    /// Every state that it can hand on to, with the field that says so.
    pub(crate) fn targets(&self) -> Vec<(String, &str)> {
        let mut targets = Vec::new();
        if let Transition::Next(next) = &self.transition {
            targets.push(("Next".to_owned(), next.as_str()));
        }
        for (index, catcher) in self.catch.iter().enumerate() {
            targets.push((format!("Catch[{index}].Next"), catcher.next.as_str()));
        }
        if let Work::Choice(choice) = &self.work {
            for (index, rule) in choice.rules.iter().enumerate() {
                targets.push((format!("Choices[{index}].Next"), rule.next.as_str()));
            }
            if let Some(default) = &choice.default {
                targets.push(("Default".to_owned(), default));
            }
        }
        targets
    }

    /// Whether the processor can end here.
    pub(crate) fn ends(&self) -> bool {
        match self.work {
            Work::Succeed | Work::Fail(_) => true,
            Work::Choice(_) => false,
            _ => self.transition == Transition::End,
        }
    }

    /// Every `Assign` of the state, with its path.
    pub(crate) fn assigns(&self) -> Vec<(String, &Template)> {
        let mut assigns = Vec::new();
        assigns.extend(
            self.assign
                .as_ref()
                .map(|template| ("Assign".to_owned(), template)),
        );
        for (index, catcher) in self.catch.iter().enumerate() {
            let template = catcher.assign.as_ref();
            assigns.extend(template.map(|template| (format!("Catch[{index}].Assign"), template)));
        }
        if let Work::Choice(choice) = &self.work {
            for (index, rule) in choice.rules.iter().enumerate() {
                let template = rule.assign.as_ref();
                assigns.extend(template.map(|template| (format!("Choices[{index}].Assign"), template)));
            }
        }
        assigns
    }

    /// Every template of the state that is evaluated in its own scope, with its path.
    pub(crate) fn templates(&self) -> Vec<(String, &Template)> {
        let mut templates = self.assigns();
        let mut optional: Vec<(String, Option<&Template>)> =
            vec![("Output".to_owned(), self.output.as_ref())];
        for (index, catcher) in self.catch.iter().enumerate() {
            optional.push((format!("Catch[{index}].Output"), catcher.output.as_ref()));
        }
        match &self.work {
            Work::Task(task) => {
                optional.push(("Arguments".to_owned(), task.arguments.as_ref()));
                optional.push(("TimeoutSeconds".to_owned(), task.timeout_seconds.as_ref()));
            }
            Work::Choice(choice) => {
                for (index, rule) in choice.rules.iter().enumerate() {
                    optional.push((format!("Choices[{index}].Condition"), Some(&rule.condition)));
                    optional.push((format!("Choices[{index}].Output"), rule.output.as_ref()));
                }
            }
            Work::Wait(WaitWork::Seconds(template)) => optional.push(("Seconds".to_owned(), Some(template))),
            Work::Wait(WaitWork::Timestamp(template)) => {
                optional.push(("Timestamp".to_owned(), Some(template)));
            }
            Work::Fail(fail) => {
                optional.push(("Error".to_owned(), fail.error.as_ref()));
                optional.push(("Cause".to_owned(), fail.cause.as_ref()));
            }
            Work::Map(map) => {
                optional.push(("Items".to_owned(), map.items.as_ref()));
                optional.push(("ItemSelector".to_owned(), map.item_selector.as_ref()));
                optional.push(("MaxConcurrency".to_owned(), map.max_concurrency.as_ref()));
                let percentage = map.tolerated_failure_percentage.as_ref();
                optional.push(("ToleratedFailurePercentage".to_owned(), percentage));
                let count = map.tolerated_failure_count.as_ref();
                optional.push(("ToleratedFailureCount".to_owned(), count));
            }
            Work::Parallel(parallel) => optional.push(("Arguments".to_owned(), parallel.arguments.as_ref())),
            Work::Pass | Work::Succeed => {}
        }
        let there = optional.into_iter();
        templates.extend(there.filter_map(|(path, template)| template.map(|template| (path, template))));
        templates
    }
}
