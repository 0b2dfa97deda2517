//! How a state's work ends without a result, and which retrier or catcher takes it.

use crate::definition::{Catcher, Retrier};
use serde_json::{Value, json};

pub(super) const ALL: &str = "States.ALL";
pub(super) const DATA_LIMIT_EXCEEDED: &str = "States.DataLimitExceeded";
pub(super) const EXCEED_TOLERATED_FAILURE_THRESHOLD: &str = "States.ExceedToleratedFailureThreshold";
pub(super) const HEARTBEAT_TIMEOUT: &str = "States.HeartbeatTimeout";
pub(super) const NO_CHOICE_MATCHED: &str = "States.NoChoiceMatched";
pub(super) const QUERY_EVALUATION_ERROR: &str = "States.QueryEvaluationError";
pub(super) const RUNTIME: &str = "States.Runtime";
pub(super) const TASK_FAILED: &str = "States.TaskFailed";
pub(super) const TIMEOUT: &str = "States.Timeout";

/// Why a state did not end as it should.
#[derive(Debug)]
pub(super) enum Interrupt {
    /// `Retry` and `Catch` may take it.
    Failed(Failure),
    TimedOut,
    Aborted(String),
    GivenUp,
}

/// An error with its name.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) error: String,
    pub(super) cause: String,
}

/// How long to wait before a retry.
#[derive(Debug, PartialEq)]
pub(super) struct Delay {
    pub(super) seconds: f64,
    pub(super) full_jitter: bool,
}

impl From<Failure> for Interrupt {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Failure {
    pub(super) fn new(error: impl Into<String>, cause: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            cause: cause.into(),
        }
    }

    /// `$states.errorOutput`.
    pub(super) fn to_value(&self) -> Value {
        json!({"Error": self.error, "Cause": self.cause})
    }

    /// The delay that the first matching retrier asks for, unless its attempts are used up. `attempts` counts for
    /// each retrier what it has granted so far.
    pub(super) fn retry_delay(&self, retriers: &[Retrier], attempts: &mut [u32]) -> Option<Delay> {
        let mut counted = retriers.iter().zip(attempts);
        let (retrier, attempts) = counted.find(|(retrier, _)| self.matches(&retrier.error_equals))?;
        if *attempts >= retrier.max_attempts {
            return None;
        }
        let seconds = retrier.interval_seconds * retrier.backoff_rate.powf(f64::from(*attempts));
        *attempts += 1;
        Some(Delay {
            seconds: retrier
                .max_delay_seconds
                .map_or(seconds, |longest| seconds.min(longest)),
            full_jitter: retrier.full_jitter,
        })
    }

    pub(super) fn catcher<'a>(&self, catchers: &'a [Catcher]) -> Option<(usize, &'a Catcher)> {
        let mut catchers = catchers.iter().enumerate();
        catchers.find(|(_, catcher)| self.matches(&catcher.error_equals))
    }

    fn matches(&self, names: &[String]) -> bool {
        names.iter().any(|name| self.matches_name(name))
    }

    /// `States.Runtime` is always the end, `States.DataLimitExceeded` unless it is named, and a timeout is no
    /// failed task.
    fn matches_name(&self, name: &str) -> bool {
        let error = self.error.as_str();
        let terminal = matches!(error, RUNTIME | DATA_LIMIT_EXCEEDED);
        match name {
            ALL => !terminal,
            TASK_FAILED => !terminal && error != TIMEOUT && error != HEARTBEAT_TIMEOUT,
            TIMEOUT => error == TIMEOUT || error == HEARTBEAT_TIMEOUT,
            name => name == error && error != RUNTIME,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("RetryableError", "RetryableError", true)]
    #[case("RetryableError", "PermanentError", false)]
    #[case("RetryableError", "retryableerror", false)]
    #[case(ALL, "RetryableError", true)]
    #[case(ALL, TIMEOUT, true)]
    #[case(ALL, QUERY_EVALUATION_ERROR, true)]
    #[case(ALL, RUNTIME, false)]
    #[case(ALL, DATA_LIMIT_EXCEEDED, false)]
    #[case(RUNTIME, RUNTIME, false)]
    #[case(DATA_LIMIT_EXCEEDED, DATA_LIMIT_EXCEEDED, true)]
    #[case(TASK_FAILED, "RetryableError", true)]
    #[case(TASK_FAILED, "Lambda.Unknown", true)]
    #[case(TASK_FAILED, TIMEOUT, false)]
    #[case(TASK_FAILED, HEARTBEAT_TIMEOUT, false)]
    #[case(TASK_FAILED, RUNTIME, false)]
    #[case(TIMEOUT, TIMEOUT, true)]
    #[case(TIMEOUT, HEARTBEAT_TIMEOUT, true)]
    #[case(HEARTBEAT_TIMEOUT, TIMEOUT, false)]
    fn matches_names_as_step_functions_does(#[case] name: &str, #[case] error: &str, #[case] expected: bool) {
        assert_eq!(Failure::new(error, "").matches(&[name.to_owned()]), expected);
    }

    fn retrier(error: &str, interval_seconds: f64, max_attempts: u32, most: Option<f64>) -> Retrier {
        Retrier {
            error_equals: vec![error.to_owned()],
            interval_seconds,
            max_attempts,
            backoff_rate: 2.0,
            max_delay_seconds: most,
            full_jitter: false,
        }
    }

    #[test]
    fn backs_off_up_to_the_longest_delay_and_then_gives_up() {
        let retriers = [retrier("A", 2.0, 5, Some(10.0)), retrier("B", 1.0, 1, None)];
        let mut attempts = [0, 0];
        let mut delays = |error: &str| {
            let delay = Failure::new(error, "").retry_delay(&retriers, &mut attempts);
            delay.map(|delay| delay.seconds)
        };
        assert_eq!(delays("A"), Some(2.0));
        assert_eq!(delays("B"), Some(1.0), "each retrier counts for itself");
        assert_eq!(delays("A"), Some(4.0));
        assert_eq!(delays("A"), Some(8.0));
        assert_eq!(delays("A"), Some(10.0));
        assert_eq!(delays("A"), Some(10.0));
        assert_eq!(delays("A"), None);
        assert_eq!(delays("B"), None);
        assert_eq!(delays("C"), None);
    }

    #[test]
    fn the_first_retrier_that_matches_is_the_one_that_counts() {
        let retriers = [retrier("A", 1.0, 0, None), retrier(ALL, 1.0, 9, None)];
        let mut attempts = [0, 0];
        assert_eq!(Failure::new("A", "").retry_delay(&retriers, &mut attempts), None);
        assert!(
            Failure::new("B", "")
                .retry_delay(&retriers, &mut attempts)
                .is_some()
        );
    }

    #[test]
    fn a_delay_too_long_for_a_number_is_cut_to_the_longest() {
        let retriers = [retrier("A", 1.0, u32::MAX, Some(60.0))];
        let mut attempts = [2_000];
        let delay = Failure::new("A", "")
            .retry_delay(&retriers, &mut attempts)
            .unwrap();
        assert!((delay.seconds - 60.0).abs() < f64::EPSILON);
    }
}
