//! What every call passes: throttle bucket, planted faults, latency, and the log.

use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::actions::Scope;
use crate::actions::outside::Outside;
use crate::call_log::{Call as LoggedCall, Outcome};
use crate::ebs::EbsError;
use crate::error::Ec2Error;
use crate::faults::{Effect, Refusal};
use crate::params::Params;
use crate::throttle::Bucket;
use crate::world::{Account, App, lock};

use super::caller::Caller;

/// A call of any interface.
pub(super) struct Call<'a> {
    pub(super) action: &'a str,
    pub(super) params: &'a Params,
    pub(super) bucket: Bucket,
}

/// The call was applied and its answer is lost: the connection closes without one.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the reply is lost")]
pub(super) struct LostReply;

impl IntoResponse for LostReply {
    fn into_response(self) -> Response {
        let mut response = StatusCode::NO_CONTENT.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// An error as the log and the gate see it.
pub(super) trait ApiError {
    fn code(&self) -> &str;
    fn is_throttle(&self) -> bool;
    fn from_refusal(refusal: Refusal) -> Self;
}

impl ApiError for Ec2Error {
    fn code(&self) -> &str {
        &self.code
    }

    fn is_throttle(&self) -> bool {
        self.code == "RequestLimitExceeded"
    }

    fn from_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Throttled => Self::throttled(),
            Refusal::Error {
                code,
                message,
                status,
            } => Self {
                code: code.into(),
                message,
                status,
            },
        }
    }
}

impl ApiError for EbsError {
    fn code(&self) -> &str {
        &self.code
    }

    fn is_throttle(&self) -> bool {
        self.code == "RequestThrottledException"
    }

    fn from_refusal(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Throttled => Self::throttled(),
            Refusal::Error {
                code,
                message,
                status,
            } => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
                Self {
                    status,
                    code: code.into(),
                    reason: None,
                    message,
                }
            }
        }
    }
}

/// Applies a call unless its bucket is empty or a fault refuses it, and writes down what became of it.
pub(super) async fn pass<T, E: ApiError>(
    app: &App,
    caller: &Caller,
    call: &Call<'_>,
    act: impl FnOnce(&mut Scope<'_>) -> Result<T, E>,
) -> Result<Result<T, E>, LostReply> {
    let account = app.account(&caller.account);
    let (effect, latency) = {
        let mut account = lock(&account);
        (
            admit(&mut account, app, caller, call),
            Duration::from_millis(account.settings.call_latency_ms),
        )
    };
    let wait = latency + effect.delay;
    if !wait.is_zero() {
        tokio::time::sleep(wait).await;
    }
    let outside = match effect.refusal {
        Some(_) => Outside::default(),
        None => Outside::look(app, caller.place(), call.action, call.params),
    };
    let mut gone = Vec::new();
    let mut account = lock(&account);
    let done = if let Some(refusal) = effect.refusal {
        Err(E::from_refusal(refusal))
    } else {
        let mut scope = account.scope(&caller.region, &app.ids);
        scope.outside = outside;
        let done = act(&mut scope);
        gone = scope.outside.gone;
        done
    };
    let outcome = match &done {
        Ok(_) => Outcome::Ok,
        Err(error) if error.is_throttle() => Outcome::Throttled {
            code: error.code().to_owned(),
        },
        Err(error) => Outcome::Error {
            code: error.code().to_owned(),
        },
    };
    let time = account.now();
    account.log.push(LoggedCall {
        time,
        region: caller.region.clone(),
        action: call.action.to_owned(),
        principal: caller.principal.clone(),
        ids: call.params.resource_ids(),
        outcome,
    });
    drop(account);
    app.fail_copies_of(&gone);
    if effect.lose_reply {
        Err(LostReply)
    } else {
        Ok(done)
    }
}

/// Takes a token, and asks the planted faults. Faults count throttled calls too.
fn admit(account: &mut Account, app: &App, caller: &Caller, call: &Call<'_>) -> Effect {
    let now = account.now();
    let throttling = account.settings.throttling;
    let scope = account.scope(&caller.region, &app.ids);
    let has_token = !throttling || scope.region.buckets.take(call.action, call.bucket, now);
    let mut effect = account.faults.strike(call.action, call.params);
    if !has_token {
        effect.refusal = Some(Refusal::Throttled);
    }
    effect
}
