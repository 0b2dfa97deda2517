//! The two kinds of failure, and what every AWS error code means for a backup.

use crate::ids::InvalidId;
use serde::{Deserialize, Serialize};

/// A value that the user gave and that cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidField {
    /// The path of the field, as in `retention[1].count`.
    pub field: String,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl InvalidField {
    /// Names `field` and says what is wrong with it and what is allowed.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }

    /// Names `field` for an identifier that is none.
    pub fn id(field: impl Into<String>, invalid: &InvalidId) -> Self {
        Self::new(field, invalid.to_string())
    }
}

/// Reads a document whose every field must be known, naming the path of the first that is not as it should be.
///
/// # Errors
/// [`InvalidField`] with the path below `root`: an unknown field, a missing one or a value of the wrong type.
pub fn parse_document<T: serde::de::DeserializeOwned>(
    root: &str,
    document: &serde_json::Value,
) -> Result<T, InvalidField> {
    serde_path_to_error::deserialize(document).map_err(|error| {
        let path = error.path().to_string();
        let field = match (root, path.as_str()) {
            ("", ".") => "input".to_owned(),
            (root, ".") => root.to_owned(),
            ("", path) => path.to_owned(),
            (root, path) => format!("{root}.{path}"),
        };
        InvalidField::new(field, error.inner().to_string())
    })
}

/// What an AWS error code means for the call that got it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ErrorClass {
    /// The request rate is over the account's bucket. Nothing was done; the same call later will do.
    Throttled,
    /// A limit that frees itself as earlier work ends. Nothing was done; waiting is enough.
    Busy,
    /// The thing named in the call is not there (any more), or not in a state the call can take.
    Gone,
    /// AWS had a fault or the reply was lost. The call may have been carried out.
    Unknown,
    /// The call was refused and will be refused again until somebody changes something.
    Refused,
}

/// The one table of AWS error codes. A code that is not in it was refused for good, unless
/// AWS says by its status that the fault was its own.
#[must_use]
pub fn classify(code: &str) -> ErrorClass {
    match code {
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException"
        | "EC2ThrottledException"
        | "SlowDown"
        | "ProvisionedThroughputExceededException"
        | "TransactionInProgressException"
        | "TransactionConflictException"
        | "PriorRequestNotComplete" => ErrorClass::Throttled,
        "SnapshotCreationPerVolumeRateExceeded"
        | "ConcurrentSnapshotLimitExceeded"
        | "PendingSnapshotLimitExceeded"
        | "ResourceLimitExceeded" => ErrorClass::Busy,
        "InvalidInstanceID.NotFound"
        | "InvalidInstanceID.Malformed"
        | "IncorrectInstanceState"
        | "IncorrectState"
        | "InvalidVolume.NotFound"
        | "InvalidSnapshot.NotFound" => ErrorClass::Gone,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServerException"
        | "InternalException"
        | "KMSInternalException"
        | "DependencyTimeoutException"
        | "ServiceUnavailable"
        | "Unavailable"
        | "ServerInternal"
        | "RequestTimeout"
        | "RequestExpired" => ErrorClass::Unknown,
        _ => ErrorClass::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::json;

    #[rstest]
    #[case("RequestLimitExceeded", ErrorClass::Throttled)]
    #[case("SnapshotCreationPerVolumeRateExceeded", ErrorClass::Busy)]
    #[case("ProvisionedThroughputExceededException", ErrorClass::Throttled)]
    #[case("InternalServerException", ErrorClass::Unknown)]
    #[case("InvalidInstanceID.NotFound", ErrorClass::Gone)]
    #[case("InternalError", ErrorClass::Unknown)]
    #[case("SnapshotLimitExceeded", ErrorClass::Refused)]
    #[case("UnauthorizedOperation", ErrorClass::Refused)]
    fn sorts_codes_by_what_a_backup_does_next(#[case] code: &str, #[case] class: ErrorClass) {
        assert_eq!(classify(code), class);
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        count: u32,
    }
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        items: Vec<Inner>,
    }

    #[test]
    fn names_the_path_of_the_field_that_is_wrong() {
        let error = parse_document::<Outer>("plan", &json!({"items": [{"count": "x"}]})).unwrap_err();
        assert_eq!(error.field, "plan.items[0].count");
        let error = parse_document::<Outer>("", &json!({"items": [{"cnt": 1}]})).unwrap_err();
        assert_eq!(error.field, "items[0].cnt");
        assert!(error.problem.contains("expected `count`"), "{error}");
        let error = parse_document::<Outer>("plan", &json!(7)).unwrap_err();
        assert_eq!(error.field, "plan");
    }
}
