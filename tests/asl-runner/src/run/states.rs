//! The work of one state, once.

use super::failure::{self, Failure, Interrupt};
use super::{Run, Scope, Visit, check_size, seconds_between};
use crate::definition::{ChoiceWork, FailWork, TaskWork, Transition, WaitWork, Work};
use crate::environment::{Environment, TaskRequest};
use crate::execution::EventKind;
use crate::expression::Variables;
use crate::template::Template;
use jiff::Timestamp;
use serde_json::Value;

/// The longest time that Step Functions can count, in seconds.
const MAX_SECONDS: u64 = 99_999_999;

/// How a state ended.
pub(super) struct Outcome {
    pub(super) output: Value,
    pub(super) assigned: Variables,
    pub(super) transition: Transition,
}

impl<E: Environment> Run<'_, E> {
    /// Does the state's work and evaluates what comes out of it.
    pub(super) async fn attempt(&mut self, visit: &Visit<'_>, scope: &Scope) -> Result<Outcome, Interrupt> {
        let result = match &visit.state.work {
            Work::Choice(choice) => return self.choose(visit, scope, choice),
            Work::Fail(fail) => return self.fail(visit, scope, fail),
            Work::Wait(wait) => {
                self.wait(visit, scope, wait).await?;
                None
            }
            Work::Pass | Work::Succeed => None,
            Work::Task(task) => Some(self.run_task(visit, scope, task).await?),
            Work::Map(map) => Some(Box::pin(self.run_map(visit, scope, map)).await?),
            Work::Parallel(parallel) => Some(Box::pin(self.run_parallel(visit, scope, parallel)).await?),
        };
        let extra = result.as_ref().map(|result| ("result", result));
        let state = visit.state;
        let assigned = self.assign(visit, scope, "Assign", state.assign.as_ref(), extra)?;
        let default = result.as_ref().unwrap_or(visit.input);
        let output = match &state.output {
            Some(template) => self.evaluate(visit, scope, "Output", template, extra)?,
            None => default.clone(),
        };
        check_size(visit.name, "an output", &output)?;
        Ok(Outcome {
            output,
            assigned,
            transition: state.transition.clone(),
        })
    }

    /// What the first catcher makes of a failure; without one the failure goes on.
    pub(super) fn catch(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        failure: Failure,
    ) -> Result<Outcome, Interrupt> {
        let Some((index, catcher)) = failure.catcher(&visit.state.catch) else {
            return Err(failure.into());
        };
        let error_output = failure.to_value();
        let extra = Some(("errorOutput", &error_output));
        let field = format!("Catch[{index}]/Assign");
        let assigned = self.assign(visit, scope, &field, catcher.assign.as_ref(), extra)?;
        let output = match &catcher.output {
            Some(template) => {
                self.evaluate(visit, scope, &format!("Catch[{index}]/Output"), template, extra)?
            }
            None => error_output.clone(),
        };
        check_size(visit.name, "an output", &output)?;
        Ok(Outcome {
            output,
            assigned,
            transition: Transition::Next(catcher.next.clone()),
        })
    }

    /// The new values, all evaluated with the variables as they were.
    fn assign(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        field: &str,
        template: Option<&Template>,
        extra: Option<(&str, &Value)>,
    ) -> Result<Variables, Interrupt> {
        let Some(template) = template else {
            return Ok(Variables::new());
        };
        let value = self.evaluate(visit, scope, field, template, extra)?;
        check_size(visit.name, "an assignment", &value)?;
        Ok(match value {
            Value::Object(entries) => entries.into_iter().collect(),
            _ => Variables::new(),
        })
    }

    fn choose(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        choice: &ChoiceWork,
    ) -> Result<Outcome, Interrupt> {
        for (index, rule) in choice.rules.iter().enumerate() {
            let path = format!("Choices[{index}]");
            let condition = format!("{path}/Condition");
            match self.evaluate(visit, scope, &condition, &rule.condition, None)? {
                Value::Bool(false) => {}
                Value::Bool(true) => {
                    let (assign, output) = (rule.assign.as_ref(), rule.output.as_ref());
                    return self.take(visit, scope, &format!("{path}/"), assign, output, &rule.next);
                }
                other => return Err(self.wrong_value(visit, &condition, "a boolean", &other)),
            }
        }
        let Some(default) = &choice.default else {
            let cause = format!(
                "No rule of the state '{}' matched, and it has no default.",
                visit.name
            );
            return Err(Failure::new(failure::NO_CHOICE_MATCHED, cause).into());
        };
        let state = visit.state;
        self.take(
            visit,
            scope,
            "",
            state.assign.as_ref(),
            state.output.as_ref(),
            default,
        )
    }

    fn take(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        path: &str,
        assign: Option<&Template>,
        output: Option<&Template>,
        next: &str,
    ) -> Result<Outcome, Interrupt> {
        let assigned = self.assign(visit, scope, &format!("{path}Assign"), assign, None)?;
        let output = match output {
            Some(template) => self.evaluate(visit, scope, &format!("{path}Output"), template, None)?,
            None => visit.input.clone(),
        };
        check_size(visit.name, "an output", &output)?;
        Ok(Outcome {
            output,
            assigned,
            transition: Transition::Next(next.to_owned()),
        })
    }

    fn fail(&mut self, visit: &Visit<'_>, scope: &Scope, fail: &FailWork) -> Result<Outcome, Interrupt> {
        let error = self.text(visit, scope, "Error", fail.error.as_ref())?;
        let cause = self.text(visit, scope, "Cause", fail.cause.as_ref())?;
        Err(Failure { error, cause }.into())
    }

    /// Evaluates a field that must be a string, empty if it is not there.
    fn text(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        field: &str,
        template: Option<&Template>,
    ) -> Result<String, Interrupt> {
        let Some(template) = template else {
            return Ok(String::new());
        };
        match self.evaluate(visit, scope, field, template, None)? {
            Value::String(text) => Ok(text),
            other => Err(self.wrong_value(visit, field, "a string", &other)),
        }
    }

    /// The error of a field whose expression gave something else than `expected`.
    pub(super) fn wrong_value(
        &mut self,
        visit: &Visit<'_>,
        field: &str,
        expected: &str,
        value: &Value,
    ) -> Interrupt {
        let cause = format!(
            "The field '{field}' of the state '{}' must be {expected}, is {value}.",
            visit.name
        );
        self.evaluation_failed(visit, cause)
    }

    async fn wait(&mut self, visit: &Visit<'_>, scope: &Scope, wait: &WaitWork) -> Result<(), Interrupt> {
        let seconds = match wait {
            #[expect(clippy::cast_precision_loss, reason = "at most eight digits")]
            WaitWork::Seconds(template) => {
                self.whole(visit, scope, "Seconds", template, 0, MAX_SECONDS)? as f64
            }
            WaitWork::Timestamp(template) => {
                let value = self.evaluate(visit, scope, "Timestamp", template, None)?;
                let Some(until) = value.as_str().and_then(parse_timestamp) else {
                    return Err(self.wrong_value(visit, "Timestamp", "an RFC 3339 timestamp", &value));
                };
                seconds_between(self.environment.now(), until).max(0.0)
            }
        };
        self.pass_time(visit.name, seconds).await
    }

    async fn run_task(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        task: &TaskWork,
    ) -> Result<Value, Interrupt> {
        let name = visit.name;
        let arguments = match &task.arguments {
            Some(template) => self.evaluate(visit, scope, "Arguments", template, None)?,
            None => visit.input.clone(),
        };
        check_size(name, "arguments", &arguments)?;
        let timeout_seconds = match &task.timeout_seconds {
            Some(template) => Some(self.whole(visit, scope, "TimeoutSeconds", template, 1, MAX_SECONDS)?),
            None => None,
        };
        self.add_event(EventKind::TaskScheduled, Some(name), arguments.clone());
        self.add_event(EventKind::TaskStarted, Some(name), Value::Null);
        let started = self.environment.now();
        let request = TaskRequest {
            state: name,
            resource: &task.resource,
            arguments,
            timeout_seconds,
            retry_count: visit.retry_count,
        };
        let answer = self.environment.run_task(request).await;
        if let Some(reason) = self.environment.stop() {
            return Err(Interrupt::Aborted(reason));
        }
        self.check_deadline()?;
        let took = seconds_between(started, self.environment.now());
        #[expect(clippy::cast_precision_loss, reason = "at most eight digits")]
        let late = timeout_seconds.is_some_and(|seconds| took > seconds as f64);
        let checked = match answer {
            _ if late => Err(Failure::new(failure::TIMEOUT, format!("The task took {took} s."))),
            Ok(result) => check_size(name, "a result", &result).map(|()| result),
            Err(error) => Err(Failure::new(error.error, error.cause)),
        };
        let failure = match checked {
            Ok(result) => {
                self.add_event(EventKind::TaskSucceeded, Some(name), result.clone());
                return Ok(result);
            }
            Err(failure) => failure,
        };
        let kind = match failure.error.as_str() {
            failure::TIMEOUT | failure::HEARTBEAT_TIMEOUT => EventKind::TaskTimedOut,
            _ => EventKind::TaskFailed,
        };
        self.add_event(kind, Some(name), failure.to_value());
        Err(failure.into())
    }

    /// Evaluates a field that must be a whole number between `least` and `most`.
    pub(super) fn whole(
        &mut self,
        visit: &Visit<'_>,
        scope: &Scope,
        field: &str,
        template: &Template,
        least: u64,
        most: u64,
    ) -> Result<u64, Interrupt> {
        let value = self.evaluate(visit, scope, field, template, None)?;
        let number = value.as_u64().filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| {
            let expected = format!("a whole number between {least} and {most}");
            self.wrong_value(visit, field, &expected, &value)
        })
    }
}

/// The times that Step Functions takes: RFC 3339 with an upper-case `T`, and `Z` or an offset. As there, what is
/// finer than a second is cut off, so that a wait can end up to a second before the time that was written.
fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let shape = b"0000-00-00T00:00:00";
    let fits = |(byte, shape): (&u8, &u8)| {
        if *shape == b'0' {
            byte.is_ascii_digit()
        } else {
            byte == shape
        }
    };
    let (head, zone) = (text.as_bytes().get(..shape.len())?, text.get(shape.len()..)?);
    let fraction = zone
        .strip_prefix('.')
        .map_or(zone, |rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    let zone_fits = fraction == "Z" || (fraction.len() == 6 && fraction.starts_with(['+', '-']));
    if !head.iter().zip(shape).all(fits) || !zone_fits {
        return None;
    }
    let time: Timestamp = text.parse().ok()?;
    Timestamp::from_second(time.as_second()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("2026-11-24T16:00:00Z", Some(1_795_536_000))]
    #[case("2026-11-24T16:00:00.999Z", Some(1_795_536_000))]
    #[case("2026-11-24T18:00:00+02:00", Some(1_795_536_000))]
    #[case("2026-11-24t16:00:00Z", None)]
    #[case("2026-11-24 16:00:00Z", None)]
    #[case("2026-11-24T16:00:00z", None)]
    #[case("2026-11-24T16:00:00", None)]
    #[case("2026-11-24T16:00Z", None)]
    #[case("2026-13-24T16:00:00Z", None)]
    #[case("2026-11-24T16:00:00+02:00[Europe/Rome]", None)]
    #[case("tomorrow", None)]
    #[case("", None)]
    fn takes_the_timestamps_that_step_functions_takes(#[case] text: &str, #[case] seconds: Option<i64>) {
        assert_eq!(parse_timestamp(text).map(Timestamp::as_second), seconds);
    }
}
