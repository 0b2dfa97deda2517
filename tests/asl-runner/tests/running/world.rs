//! What the machines of these tests run in: answers laid out beforehand, and a clock that only they move.

use asl_runner::{
    DefinitionError, Environment, Execution, Options, StateMachine, Status, TaskError, TaskRequest,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// When every clock starts.
pub(crate) const START: &str = "2026-11-24T02:00:00Z";

/// How long a task takes and what it then answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    seconds: i64,
    result: Result<Value, TaskError>,
}

/// A task's request, kept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Request {
    pub(crate) state: String,
    pub(crate) resource: String,
    pub(crate) arguments: Value,
    pub(crate) timeout_seconds: Option<u64>,
    pub(crate) retry_count: u32,
}

/// The test's side of an execution.
#[derive(Debug)]
pub(crate) struct World {
    now: Timestamp,
    answers: VecDeque<Answer>,
    pub(crate) requests: Vec<Request>,
    /// Every wait, in seconds.
    pub(crate) waits: Vec<f64>,
    /// What part of the longest wait a retry with jitter takes; without it the runner chooses.
    pub(crate) jitter: Option<f64>,
    /// After this many requests the execution is stopped.
    pub(crate) stop_after: Option<usize>,
}

/// The answer of a task that succeeds at once.
pub(crate) fn gives(result: Value) -> Answer {
    Answer {
        seconds: 0,
        result: Ok(result),
    }
}

/// The answer of a task that fails at once, with the cause `it broke`.
pub(crate) fn fails(error: &str) -> Answer {
    Answer {
        seconds: 0,
        result: Err(TaskError::new(error, "it broke")),
    }
}

impl Answer {
    pub(crate) fn after(mut self, seconds: i64) -> Self {
        self.seconds = seconds;
        self
    }
}

impl World {
    /// A world in which the tasks answer so, in this order. One task more than that is a failed test.
    pub(crate) fn new(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self {
            now: start_time(),
            answers: answers.into_iter().collect(),
            requests: Vec::new(),
            waits: Vec::new(),
            jitter: None,
            stop_after: None,
        }
    }

    /// Runs `states` from `start`. Every answer must be used up.
    pub(crate) async fn run(&mut self, start: &str, states: Value, input: Value) -> Execution {
        self.run_machine(json!({"StartAt": start, "States": states}), input)
            .await
    }

    /// Runs a whole machine, of which only the query language is left out.
    pub(crate) async fn run_machine(&mut self, machine: Value, input: Value) -> Execution {
        let execution = self.run_at_most(machine, input, 100_000).await;
        assert!(self.answers.is_empty(), "left over: {:?}", self.answers);
        execution
    }

    pub(crate) async fn run_at_most(
        &mut self,
        machine: Value,
        input: Value,
        max_transitions: usize,
    ) -> Execution {
        let options = Options {
            execution_name: "one".to_owned(),
            execution_arn: "arn:aws:states:us-east-1:111122223333:execution:small:one".to_owned(),
            start_time: start_time(),
            max_transitions,
        };
        let machine = parse(machine).expect("the machine can be read");
        machine.start(input, self, options).await
    }
}

/// Reads a machine, of which only the query language is left out.
pub(crate) fn parse(mut machine: Value) -> Result<StateMachine, DefinitionError> {
    machine["QueryLanguage"] = json!("JSONata");
    StateMachine::parse(&machine.to_string(), &BTreeMap::new())
}

pub(crate) fn start_time() -> Timestamp {
    START.parse().expect("a moment")
}

/// Seconds from the clocks' start to `time`.
pub(crate) fn seconds_in(time: Timestamp) -> i64 {
    time.duration_since(start_time()).as_secs()
}

/// The names of the history's events, as AWS writes them.
pub(crate) fn events(execution: &Execution) -> Vec<String> {
    let events = execution.history.iter();
    events.map(|event| event.kind.to_string()).collect()
}

/// The output of an execution that must have succeeded.
#[track_caller]
pub(crate) fn output(execution: &Execution) -> &Value {
    match &execution.status {
        Status::Succeeded(output) => output,
        other => panic!("not succeeded: {other:?}"),
    }
}

/// The error and the cause of an execution that must have failed.
#[track_caller]
pub(crate) fn failure(execution: &Execution) -> (&str, &str) {
    match &execution.status {
        Status::Failed { error, cause } => (error, cause),
        other => panic!("not failed: {other:?}"),
    }
}

impl Environment for World {
    async fn run_task(&mut self, task: TaskRequest<'_>) -> Result<Value, TaskError> {
        self.requests.push(Request {
            state: task.state.to_owned(),
            resource: task.resource.to_owned(),
            arguments: task.arguments,
            timeout_seconds: task.timeout_seconds,
            retry_count: task.retry_count,
        });
        let answer = self.answers.pop_front();
        let answer = answer.unwrap_or_else(|| panic!("nothing is laid out for {:?}", self.requests.last()));
        self.now += SignedDuration::from_secs(answer.seconds);
        answer.result
    }

    async fn wait(&mut self, _state: &str, seconds: f64) {
        self.waits.push(seconds);
        self.now += SignedDuration::from_secs_f64(seconds);
    }

    fn now(&self) -> Timestamp {
        self.now
    }

    fn jitter(&mut self, longest: f64) -> f64 {
        self.jitter.map_or(longest, |part| part * longest)
    }

    fn stop(&self) -> Option<String> {
        let limit = self.stop_after?;
        (self.requests.len() >= limit).then(|| "killed".to_owned())
    }
}
