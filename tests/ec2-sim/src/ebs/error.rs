//! The errors of EBS direct, with the status, code and reason that AWS answers.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::params::lower_first;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// An error answer of the REST protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub(crate) struct EbsError {
    pub(crate) status: StatusCode,
    pub(crate) code: Cow<'static, str>,
    /// AWS's own word for the cause, which says more than the code.
    pub(crate) reason: Option<&'static str>,
    pub(crate) message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

impl EbsError {
    fn new(
        status: StatusCode,
        code: &'static str,
        reason: Option<&'static str>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code: Cow::Borrowed(code),
            reason,
            message: message.into(),
        }
    }

    pub(super) fn validation(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "ValidationException",
            Some(reason),
            message,
        )
    }

    pub(super) fn invalid_value(message: impl Into<String>) -> Self {
        Self::validation("INVALID_PARAMETER_VALUE", message)
    }

    pub(super) fn missing(parameter: &str) -> Self {
        Self::invalid_value(format!("The parameter {} is required.", lower_first(parameter)))
    }

    pub(super) fn snapshot_not_found(id: &str) -> Self {
        let message = format!("The snapshot '{id}' does not exist.");
        Self::new(
            StatusCode::NOT_FOUND,
            "ResourceNotFoundException",
            Some("SNAPSHOT_NOT_FOUND"),
            message,
        )
    }

    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "ConflictException", None, message)
    }

    pub(super) fn quota(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::PAYMENT_REQUIRED,
            "ServiceQuotaExceededException",
            Some("DEPENDENCY_SERVICE_QUOTA_EXCEEDED"),
            message,
        )
    }

    /// The body of a call is not what the protocol asks for.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "SerializationException", None, message)
    }

    pub(super) fn unknown_operation() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            None,
            "No operation has this method and path.",
        )
    }

    /// The bucket of the action is empty.
    pub(crate) fn throttled() -> Self {
        let message = "The request was denied due to request throttling.";
        Self::new(
            StatusCode::BAD_REQUEST,
            "RequestThrottledException",
            Some("ACCOUNT_THROTTLED"),
            message,
        )
    }
}

impl IntoResponse for EbsError {
    fn into_response(self) -> Response {
        let body = Body {
            message: self.message,
            reason: self.reason,
        };
        (self.status, [(ERROR_TYPE, self.code.into_owned())], Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ebs::fixture::json_of;

    #[test]
    fn answers_code_reason_and_message_where_clients_look() {
        let response = EbsError::throttled().into_response();
        assert_eq!(response.status(), 400);
        assert_eq!(
            response.headers()["x-amzn-errortype"],
            "RequestThrottledException"
        );
        assert_eq!(response.headers()["content-type"], "application/json");
        let message = "The request was denied due to request throttling.";
        assert_eq!(
            json_of(response),
            json!({ "Message": message, "Reason": "ACCOUNT_THROTTLED" })
        );
    }

    #[test]
    fn leaves_out_a_reason_that_there_is_none_of() {
        let response = EbsError::conflict("Twice.").into_response();
        assert_eq!(response.status(), 409);
        assert_eq!(json_of(response), json!({ "Message": "Twice." }));
    }
}
