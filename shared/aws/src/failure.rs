//! The one boundary type of failure, with the two names that state machines know.

use aws_sdk_ec2::error::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use holdfast_core::failure::{ErrorClass, classify};
use std::error::Error as StdError;

type Source = Box<dyn StdError + Send + Sync>;

/// Why a function could not do what it was asked. A message says what was attempted, on which id and where.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Trying again may help: `RetryableError` on the wire.
    #[error("{what}")]
    Retryable {
        /// What was attempted.
        what: String,
        /// What stood in the way.
        #[source]
        source: Option<Source>,
    },
    /// Trying again cannot help: `PermanentError` on the wire.
    #[error("{what}")]
    Permanent {
        /// What was attempted, or which field is wrong and what it may be.
        what: String,
        /// What stood in the way.
        #[source]
        source: Option<Source>,
    },
}

impl Failure {
    /// A failure that trying again may cure.
    pub fn retryable(what: impl Into<String>) -> Self {
        Self::Retryable {
            what: what.into(),
            source: None,
        }
    }

    /// A failure that only a change by somebody can cure.
    pub fn permanent(what: impl Into<String>) -> Self {
        Self::Permanent {
            what: what.into(),
            source: None,
        }
    }

    /// A failure for good, for `source`.
    pub fn permanent_from(what: impl Into<String>, source: impl Into<Source>) -> Self {
        Self::Permanent {
            what: what.into(),
            source: Some(source.into()),
        }
    }

    /// The failure of an AWS call, sorted by the one table of error codes.
    pub fn call<E>(what: impl Into<String>, error: SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
    {
        let class = class_of(&error);
        let source = Some(match error.code() {
            Some(code) => Source::from(format!(
                "{code}: {}",
                error.message().unwrap_or("AWS gives no message")
            )),
            None => Box::new(error),
        });
        match class {
            ErrorClass::Throttled | ErrorClass::Busy | ErrorClass::Unknown => Self::Retryable {
                what: what.into(),
                source,
            },
            ErrorClass::Gone | ErrorClass::Refused => Self::Permanent {
                what: what.into(),
                source,
            },
        }
    }

    /// The name that state machines match on.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Retryable { .. } => "RetryableError",
            Self::Permanent { .. } => "PermanentError",
        }
    }

    /// The failure and everything behind it in one line.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        text
    }
}

/// What a failed AWS call means. Without an answer of AWS the call may have been carried out.
pub fn class_of<E: ProvideErrorMetadata>(error: &SdkError<E>) -> ErrorClass {
    match error {
        SdkError::ServiceError(context) => match error.code().map_or(ErrorClass::Refused, classify) {
            ErrorClass::Refused if context.raw().status().is_server_error() => ErrorClass::Unknown,
            class => class,
        },
        SdkError::ConstructionFailure(_) => ErrorClass::Refused,
        _ => ErrorClass::Unknown,
    }
}

/// The code and message of a failed AWS call, for records that people read.
pub fn reason_of<E>(error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + StdError + 'static,
{
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        (Some(code), None) => code.to_owned(),
        _ => {
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                text = format!("{text}: {cause}");
                source = cause.source();
            }
            text
        }
    }
}
