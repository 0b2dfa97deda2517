//! What an execution is given, and what comes of it.

use crate::definition::StateType;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;

/// How an execution is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `$states.context.Execution.Name`.
    pub execution_name: String,
    /// `$states.context.Execution.Id`, as in `arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME`.
    pub execution_arn: String,
    /// `$states.context.Execution.StartTime`, and where the machine's `TimeoutSeconds` counts from.
    pub start_time: Timestamp,
    /// After this many transitions the runner gives up ([`Status::GivenUp`]): a loop without an end is a finding.
    pub max_transitions: usize,
}

/// An execution that has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Execution {
    /// How it ended.
    pub status: Status,
    /// What happened, in order: the events that AWS's `GetExecutionHistory` would list, without those of children.
    pub history: Vec<Event>,
    /// State transitions as AWS bills them: one for each state entered and one for each retry, in Map iterations,
    /// branches and children too.
    pub transitions: usize,
    /// How many events AWS would hold against its limit of 25,000: the length of `history`. The kinds and their
    /// order are AWS's for what runs here; redrives, versions and logging add none.
    pub history_events: usize,
    /// Seconds spent in Wait states and before retries, added up. Iterations, branches and children run one after
    /// the other here, so that this is more than the time AWS would take for them.
    pub waited_seconds: f64,
    /// The children of Distributed Maps, in order of their items.
    pub children: Vec<Execution>,
}

/// How an execution ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// `SUCCEEDED`, with the output.
    Succeeded(Value),
    /// `FAILED`: a Fail state, or an error that nothing caught.
    Failed {
        /// The error's name; empty if a Fail state gave none.
        error: String,
        /// For people; empty if a Fail state gave none.
        cause: String,
    },
    /// `TIMED_OUT`: the machine's own `TimeoutSeconds` is over.
    TimedOut,
    /// `ABORTED`: the environment asked to stop, for this reason.
    Aborted(String),
    /// The runner's own limit of transitions was reached. On AWS this execution would go on.
    GivenUp,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// What happened.
    pub kind: EventKind,
    /// The state it happened in; none for the execution's own events.
    pub state: Option<String>,
    /// When, by the environment's clock.
    pub time: Timestamp,
    /// What was entered, scheduled or started with, or what came out, or `Error` and `Cause`; otherwise null.
    pub data: Value,
}

/// The events of AWS's history that can happen here. Displayed as AWS names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "AWS's own words")]
pub enum EventKind {
    ExecutionStarted,
    ExecutionSucceeded,
    ExecutionFailed,
    ExecutionTimedOut,
    ExecutionAborted,
    StateEntered(StateType),
    StateExited(StateType),
    TaskScheduled,
    TaskStarted,
    TaskSucceeded,
    TaskFailed,
    TaskTimedOut,
    EvaluationFailed,
    MapStateStarted,
    MapStateSucceeded,
    MapStateFailed,
    MapIterationStarted,
    MapIterationSucceeded,
    MapIterationFailed,
    MapRunStarted,
    MapRunSucceeded,
    MapRunFailed,
    ParallelStateStarted,
    ParallelStateSucceeded,
    ParallelStateFailed,
}

impl fmt::Display for EventKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StateEntered(state_type) => write!(formatter, "{state_type}StateEntered"),
            Self::StateExited(state_type) => write!(formatter, "{state_type}StateExited"),
            other => fmt::Debug::fmt(other, formatter),
        }
    }
}

impl Execution {
    /// The states in the order in which they were entered, those of children left out.
    #[must_use]
    pub fn path(&self) -> Vec<&str> {
        let entered = |event: &&Event| matches!(event.kind, EventKind::StateEntered(_));
        let events = self.history.iter().filter(entered);
        events.filter_map(|event| event.state.as_deref()).collect()
    }
}
