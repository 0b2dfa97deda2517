//! How every function meets the Lambda runtime: logging, parsing, the clock and the names of errors.

use crate::environment::variable;
use crate::failure::Failure;
use holdfast_core::failure::parse_document;
use jiff::Timestamp;
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::future::Future;
use tracing::Instrument;
use tracing_subscriber::EnvFilter;

/// Serves one kind of request until the environment is taken down.
///
/// `build` makes the function's clients, once; `handle` answers one request at the moment it is given.
///
/// # Errors
/// The Lambda runtime's own, and a configuration that `build` cannot take.
pub async fn serve<H, Request, Response, Build, Handle, Answer>(
    function: &'static str,
    build: Build,
    handle: Handle,
) -> Result<(), lambda_runtime::Error>
where
    Build: Future<Output = Result<H, Failure>>,
    Handle: Fn(&'static H, Request, Timestamp) -> Answer,
    Answer: Future<Output = Result<Response, Failure>>,
    Request: DeserializeOwned,
    Response: Serialize,
    H: 'static,
{
    let filter = EnvFilter::new(variable("HOLDFAST_LOG").unwrap_or_else(|_| "info".to_owned()));
    tracing_subscriber::fmt()
        .json()
        .with_env_filter(filter)
        .with_target(false)
        .flatten_event(true)
        .init();
    // One handler for the life of the process.
    let handler: &'static H = Box::leak(Box::new(Box::pin(build).await?));
    let handle = &handle;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        let span = tracing::info_span!("invocation", function, request_id = event.context.request_id);
        async move {
            let answer = match parse_document::<Request>("", &event.payload) {
                Ok(request) => Box::pin(handle(handler, request, now())).await,
                Err(invalid) => Err(Failure::permanent(invalid.to_string())),
            };
            answer.map_err(|failure| {
                let (error, cause) = (failure.name(), failure.chain());
                tracing::error!(error, cause, "the invocation failed");
                Diagnostic {
                    error_type: error.to_owned(),
                    error_message: cause,
                }
            })
        }
        .instrument(span)
        .await
    }))
    .await
}

fn now() -> Timestamp {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge where the clock is read"
    )]
    Timestamp::now()
}
