//! The test's side of an execution: who does the tasks, and what time it is.

use jiff::Timestamp;
use serde_json::Value;

/// What a state asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskRequest<'a> {
    /// The state's name.
    pub state: &'a str,
    /// The state's `Resource`, as in `arn:aws:states:::lambda:invoke`.
    pub resource: &'a str,
    /// The evaluated `Arguments`, or the state's input where it has none. For a Lambda function `FunctionName` and
    /// `Payload` are in it.
    pub arguments: Value,
    /// The state's `TimeoutSeconds`. The runner itself ends a task as timed out if [`Environment::now`] has moved on
    /// by more than this; its effects stay, and its result is lost.
    pub timeout_seconds: Option<u64>,
    /// How often this task has been retried since its state was entered.
    pub retry_count: u32,
}

/// A failure, as `Retry` and `Catch` see it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}: {cause}")]
pub struct TaskError {
    /// The name that `ErrorEquals` is compared with. `States.Timeout` makes the task time out.
    pub error: String,
    /// For people.
    pub cause: String,
}

impl TaskError {
    /// Names the error and its cause.
    pub fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: cause.into(),
        }
    }
}

/// What an execution runs against. The execution's future can be sent between threads if these futures can.
pub trait Environment {
    /// Does a task and returns its whole result: for `lambda:invoke` an object with `Payload` and `StatusCode`.
    ///
    /// # Errors
    /// The failure that `Retry` and `Catch` then decide on.
    fn run_task(&mut self, task: TaskRequest<'_>) -> impl Future<Output = Result<Value, TaskError>>;

    /// Lets `seconds` pass, in virtual time: for a Wait state, and before a retry. [`Environment::now`] should then
    /// be later by as much.
    fn wait(&mut self, state: &str, seconds: f64) -> impl Future<Output = ()>;

    /// The time.
    fn now(&self) -> Timestamp;

    /// How long to wait before a retry with `JitterStrategy` `FULL`: AWS takes any time from nothing to `longest`
    /// seconds. Without a choice of its own a test gets the longest, so that runs are alike.
    fn jitter(&mut self, longest: f64) -> f64 {
        longest
    }

    /// Asked before every state and retry and after every task: a reason stops the execution there, as
    /// `StopExecution` would. Nothing is retried or caught. This is how a test kills a run.
    fn stop(&self) -> Option<String> {
        None
    }
}
