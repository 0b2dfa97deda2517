//! What a function reads from its surroundings, once, at cold start.

use crate::failure::Failure;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use std::time::Duration;

/// Attempts of one call, the first included. A call that may not be repeated asks for one.
const ATTEMPTS: u32 = 5;

/// How long one attempt of a call may take. Longer than that, its reply counts as lost.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads a variable that the template sets.
///
/// # Errors
/// [`Failure::Permanent`] naming the variable, when it is missing or empty.
pub fn variable(name: &str) -> Result<String, Failure> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the edge where configuration is read"
    )]
    match std::env::var(name) {
        Ok(value) if !value.is_empty() => Ok(value),
        _ => Err(Failure::permanent(format!(
            "{name}: the environment variable is not set"
        ))),
    }
}

/// Reads a variable that holds a whole number.
///
/// # Errors
/// [`Failure::Permanent`] naming the variable, when it is missing or no such number.
pub fn number(name: &str) -> Result<u32, Failure> {
    let text = variable(name)?;
    text.parse()
        .map_err(|_| Failure::permanent(format!("{name}: {text:?} is no whole number")))
}

/// The configuration that every client is built from.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                .build(),
        )
        .load()
        .await
}
