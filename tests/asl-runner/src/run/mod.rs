//! Runs a machine: enters states, evaluates their fields, retries and catches.

mod failure;
mod nested;
mod states;

use crate::definition::{Processor, State, StateMachine, Transition};
use crate::environment::Environment;
use crate::execution::{Event, EventKind, Execution, Options, Status};
use crate::expression::Variables;
use crate::template::Template;
use failure::{Failure, Interrupt};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use states::Outcome;

/// What one payload may hold, in bytes of JSON.
const MAX_PAYLOAD: usize = 262_144;

/// How many events one execution may have, the one that ends it included.
const MAX_EVENTS: usize = 25_000;

impl StateMachine {
    /// Runs an execution to its end.
    ///
    /// Iterations of a Map and branches of a Parallel run one after the other. Dropping the future stops the
    /// execution where it is, without a trace: [`Environment::stop`] ends it with one.
    pub async fn start<E: Environment>(
        &self,
        input: Value,
        environment: &mut E,
        options: Options,
    ) -> Execution {
        let deadline = self.timeout_seconds.map(|seconds| {
            let limit = jiff::SignedDuration::from_secs(seconds.cast_signed());
            options.start_time.saturating_add(limit).unwrap_or(Timestamp::MAX)
        });
        let mut run = Run {
            environment,
            deadline,
            max_transitions: options.max_transitions,
            transitions: 0,
            record: Record::new(
                &options.execution_arn,
                &options.execution_name,
                options.start_time,
                &input,
            ),
        };
        let status = run.execute(&self.processor, input).await;
        let transitions = run.transitions;
        run.record.finish(status, transitions)
    }
}

/// One execution and all its children.
struct Run<'e, E> {
    environment: &'e mut E,
    deadline: Option<Timestamp>,
    max_transitions: usize,
    transitions: usize,
    record: Record,
}

/// What belongs to one execution alone.
struct Record {
    /// `$states.context.Execution`.
    execution: Value,
    /// `$states.context.StateMachine`.
    machine: Value,
    arn: String,
    history: Vec<Event>,
    waited_seconds: f64,
    children: Vec<Execution>,
}

/// What is around a state: the variables it sees and the Map iteration it runs in.
struct Scope {
    variables: Variables,
    map_item: Option<Value>,
}

/// One visit of a state.
struct Visit<'a> {
    name: &'a str,
    state: &'a State,
    input: &'a Value,
    /// `$states.context`.
    context: Value,
    retry_count: u32,
}

impl Record {
    fn new(arn: &str, name: &str, start_time: Timestamp, input: &Value) -> Self {
        let machine_arn = arn.replace(":execution:", ":stateMachine:");
        let machine_arn = machine_arn.rsplit_once(':').map_or("", |(machine, _)| machine);
        let machine_name = machine_arn.rsplit_once(':').map_or("", |(_, name)| name);
        Self {
            execution: json!({
                "Id": arn, "Name": name, "Input": input, "StartTime": date_time(start_time), "RedriveCount": 0,
            }),
            machine: json!({"Id": machine_arn, "Name": machine_name}),
            arn: arn.to_owned(),
            history: Vec::new(),
            waited_seconds: 0.0,
            children: Vec::new(),
        }
    }

    fn finish(self, status: Status, transitions: usize) -> Execution {
        Execution {
            status,
            history_events: self.history.len(),
            history: self.history,
            transitions,
            waited_seconds: self.waited_seconds,
            children: self.children,
        }
    }
}

impl<E: Environment> Run<'_, E> {
    /// Runs the record's execution from its first event to its last.
    async fn execute(&mut self, processor: &Processor, input: Value) -> Status {
        self.add_event(EventKind::ExecutionStarted, None, input.clone());
        let scope = Scope {
            variables: Variables::new(),
            map_item: None,
        };
        let mut result = self.run_processor(processor, input, scope).await;
        if self.record.history.len() >= MAX_EVENTS {
            // The last state ran over. On AWS the events from here on never happened.
            self.record.history.truncate(MAX_EVENTS - 1);
            result = Err(history_full().into());
        }
        match result {
            Ok(output) => {
                self.add_event(EventKind::ExecutionSucceeded, None, output.clone());
                Status::Succeeded(output)
            }
            Err(Interrupt::Failed(failure)) => {
                self.add_event(EventKind::ExecutionFailed, None, failure.to_value());
                Status::Failed {
                    error: failure.error,
                    cause: failure.cause,
                }
            }
            Err(Interrupt::TimedOut) => {
                self.add_event(EventKind::ExecutionTimedOut, None, Value::Null);
                Status::TimedOut
            }
            Err(Interrupt::Aborted(reason)) => {
                self.add_event(EventKind::ExecutionAborted, None, json!({"Cause": reason}));
                Status::Aborted(reason)
            }
            Err(Interrupt::GivenUp) => Status::GivenUp,
        }
    }

    /// Runs states from `StartAt` until one ends the processor, and returns that one's output.
    async fn run_processor(
        &mut self,
        processor: &Processor,
        mut input: Value,
        mut scope: Scope,
    ) -> Result<Value, Interrupt> {
        let mut name = &processor.start_at;
        loop {
            let Some((name_in_place, state)) = processor.states.get_key_value(name) else {
                let cause = format!("there is no state {name}");
                return Err(Failure::new(failure::RUNTIME, cause).into());
            };
            let outcome = self.visit(name_in_place, state, &input, &scope).await?;
            scope.variables.extend(outcome.assigned);
            input = outcome.output;
            match outcome.transition {
                Transition::Next(next) => {
                    name = processor
                        .states
                        .get_key_value(&next)
                        .map_or(name_in_place, |(key, _)| key);
                }
                Transition::End => return Ok(input),
            }
        }
    }

    /// Enters a state, does its work until it succeeds or is caught, and leaves it.
    async fn visit(
        &mut self,
        name: &str,
        state: &State,
        input: &Value,
        scope: &Scope,
    ) -> Result<Outcome, Interrupt> {
        self.count_transition()?;
        let state_type = state.state_type();
        self.add_event(EventKind::StateEntered(state_type), Some(name), input.clone());
        let mut visit = Visit {
            name,
            state,
            input,
            context: Value::Null,
            retry_count: 0,
        };
        let entered = self.environment.now();
        let mut attempts = vec![0_u32; state.retry.len()];
        let outcome = loop {
            visit.context = self.context(&visit, entered, scope);
            let failure = match self.attempt(&visit, scope).await {
                Ok(outcome) => break outcome,
                Err(Interrupt::Failed(failure)) => failure,
                Err(interrupt) => return Err(interrupt),
            };
            match failure.retry_delay(&state.retry, &mut attempts) {
                Some(delay) => {
                    let seconds = if delay.full_jitter {
                        self.environment.jitter(delay.seconds).clamp(0.0, delay.seconds)
                    } else {
                        delay.seconds
                    };
                    self.pass_time(name, seconds).await?;
                    self.count_transition()?;
                    visit.retry_count += 1;
                }
                None => break self.catch(&visit, scope, failure)?,
            }
        };
        self.add_event(
            EventKind::StateExited(state_type),
            Some(name),
            outcome.output.clone(),
        );
        Ok(outcome)
    }

    fn context(&self, visit: &Visit<'_>, entered: Timestamp, scope: &Scope) -> Value {
        let mut context = Map::new();
        context.insert("Execution".to_owned(), self.record.execution.clone());
        context.insert("StateMachine".to_owned(), self.record.machine.clone());
        let state = json!({
            "Name": visit.name, "EnteredTime": date_time(entered), "RetryCount": visit.retry_count,
        });
        context.insert("State".to_owned(), state);
        if let Some(item) = &scope.map_item {
            context.insert("Map".to_owned(), json!({"Item": item}));
        }
        Value::Object(context)
    }

    /// Evaluates one field. A failure is on record as `EvaluationFailed`.
    fn evaluate(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        field: &str,
        template: &Template,
        extra: Option<(&str, &Value)>,
    ) -> Result<Value, Interrupt> {
        if let Template::Constant(value) = template {
            return Ok(value.clone());
        }
        let mut states = Map::new();
        states.insert("input".to_owned(), visit.input.clone());
        states.insert("context".to_owned(), visit.context.clone());
        if let Some((key, value)) = extra {
            states.insert(key.to_owned(), value.clone());
        }
        let states = Value::Object(states);
        template.evaluate(&states, &scope.variables).map_err(|problem| {
            let cause = format!(
                "The JSONata expression '{}' specified for the field '{field}{}' of the state '{}' {}.",
                problem.expression, problem.path, visit.name, problem.problem
            );
            self.evaluation_failed(visit, cause)
        })
    }

    /// The error of a field whose expression gave nothing, or something the field cannot take.
    fn evaluation_failed(&mut self, visit: &Visit<'_>, cause: String) -> Interrupt {
        let failure = Failure::new(failure::QUERY_EVALUATION_ERROR, cause);
        self.add_event(EventKind::EvaluationFailed, Some(visit.name), failure.to_value());
        failure.into()
    }

    fn count_transition(&mut self) -> Result<(), Interrupt> {
        if let Some(reason) = self.environment.stop() {
            return Err(Interrupt::Aborted(reason));
        }
        if self.record.history.len() >= MAX_EVENTS - 1 {
            return Err(history_full().into());
        }
        if self.transitions >= self.max_transitions {
            return Err(Interrupt::GivenUp);
        }
        self.transitions += 1;
        Ok(())
    }

    /// Waits, but no longer than the execution may last.
    async fn pass_time(&mut self, state: &str, seconds: f64) -> Result<(), Interrupt> {
        let left = self
            .deadline
            .map(|deadline| seconds_between(self.environment.now(), deadline));
        let seconds = left.map_or(seconds, |left| seconds.min(left)).max(0.0);
        self.record.waited_seconds += seconds;
        self.environment.wait(state, seconds).await;
        self.check_deadline()
    }

    fn check_deadline(&self) -> Result<(), Interrupt> {
        match self.deadline {
            Some(deadline) if self.environment.now() >= deadline => Err(Interrupt::TimedOut),
            _ => Ok(()),
        }
    }

    fn add_event(&mut self, kind: EventKind, state: Option<&str>, data: Value) {
        self.record.history.push(Event {
            kind,
            state: state.map(str::to_owned),
            time: self.environment.now(),
            data,
        });
    }
}

/// A payload that AWS would not carry is an error.
fn check_size(name: &str, what: &str, value: &Value) -> Result<(), Failure> {
    let bytes = value.to_string().len();
    if bytes <= MAX_PAYLOAD {
        return Ok(());
    }
    let cause =
        format!("The state '{name}' has {what} of {bytes} bytes, more than the maximum of {MAX_PAYLOAD}.");
    Err(Failure::new(failure::DATA_LIMIT_EXCEEDED, cause))
}

/// How AWS ends an execution that would have more events than it may.
fn history_full() -> Failure {
    let cause = format!("The execution reached the maximum number of history events ({MAX_EVENTS}).");
    Failure::new(failure::RUNTIME, cause)
}

/// As AWS writes times: to the millisecond, in UTC.
fn date_time(time: Timestamp) -> String {
    format!("{time:.3}")
}

/// Seconds from `from` to `to`; less than nothing if `to` is over.
fn seconds_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64()
}
