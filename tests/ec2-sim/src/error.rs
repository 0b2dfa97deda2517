//! EC2's errors: code, message and status as AWS answers them.

use std::borrow::Cow;

/// An error answer of the EC2 query protocol.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct Ec2Error {
    pub(crate) code: Cow<'static, str>,
    pub(crate) message: String,
    pub(crate) status: u16,
}

impl Ec2Error {
    /// An error of the caller, answered with status 400.
    pub(crate) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code: Cow::Borrowed(code),
            message: message.into(),
            status: 400,
        }
    }

    /// The bucket of the action is empty.
    pub(crate) fn throttled() -> Self {
        Self {
            status: 503,
            ..Self::new("RequestLimitExceeded", "Request limit exceeded.")
        }
    }

    /// What AWS answers instead of acting when `DryRun` is set.
    pub(crate) fn dry_run() -> Self {
        Self {
            status: 412,
            ..Self::new(
                "DryRunOperation",
                "Request would have succeeded, but DryRun flag is set.",
            )
        }
    }

    pub(crate) fn invalid_value(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterValue", message)
    }

    pub(crate) fn invalid_combination(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterCombination", message)
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            "MissingParameter",
            format!("The request must contain the parameter {parameter}"),
        )
    }
}
