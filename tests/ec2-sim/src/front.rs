//! The HTTP front: who calls what, and what happens to a call before and after it is applied.

mod caller;
mod gate;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

use crate::actions::{self, parameters};
use crate::control;
use crate::ebs::{self, EbsCall, EbsError};
use crate::error::Ec2Error;
use crate::params::Params;
use crate::throttle::{ebs_bucket, ec2_bucket};
use crate::world::App;
use crate::xml::error_document;

use self::caller::Caller;
use self::gate::{Call, LostReply};

/// The longest body: a volume's content comes in pieces of this size at most.
const BODY_LIMIT: usize = 64 << 20;

/// Answers connections until the process ends.
///
/// # Errors
/// The listener cannot accept any more.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let service = TowerToHyperService::new(router());
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: hyper::Request<Incoming>| {
                let answer = service.call(request);
                async move {
                    match answer.await {
                        // An error makes hyper close the connection without a word.
                        Ok(response) if response.extensions().get::<LostReply>().is_some() => Err(LostReply),
                        Ok(response) => Ok(response),
                        Err(never) => match never {},
                    }
                }
            });
            if let Err(error) = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await
            {
                tracing::debug!(%error, "a connection ended");
            }
        });
    }
}

fn router() -> Router {
    let app = Arc::new(App::default());
    Router::new()
        .nest("/_sim", control::router())
        .fallback(answer)
        .with_state(app)
}

/// Answers a call of EC2 or EBS direct.
async fn answer(State(app): State<Arc<App>>, request: Request) -> Result<Response, Infallible> {
    let caller = Caller::of(request.headers());
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let query = Params::from_form(parts.uri.query().unwrap_or_default().as_bytes());
    if parts.uri.path() == "/" {
        return Ok(answer_ec2(&app, &caller, query, &body).await);
    }
    let call = EbsCall {
        method: &parts.method,
        path: parts.uri.path(),
        query,
        headers: &parts.headers,
        body,
    };
    Ok(answer_ebs(&app, &caller, &call).await)
}

async fn answer_ec2(app: &App, caller: &Caller, query: Params, body: &Bytes) -> Response {
    let params = if body.is_empty() {
        query
    } else {
        Params::from_form(body)
    };
    let request_id = app.ids.uuid();
    let fail = |error: &Ec2Error| ec2_error(error, &request_id);
    let Some(action) = params.text("Action") else {
        return fail(&Ec2Error::new(
            "MissingAction",
            "The request must contain the parameter Action",
        ));
    };
    let Some(handler) = actions::handler(action) else {
        return fail(&Ec2Error::new(
            "InvalidAction",
            format!("The action {action} is not valid for this web service."),
        ));
    };
    let call = Call {
        action,
        params: &params,
        bucket: ec2_bucket(action, &params),
    };
    let done = gate::pass(app, caller, &call, |scope| {
        parameters::check(action, &params)?;
        if params.flag("DryRun")? == Some(true) {
            return Err(Ec2Error::dry_run());
        }
        handler(scope, &params)
    });
    match done.await {
        Ok(Ok(xml)) => xml_response(StatusCode::OK, xml.into_response(action, &request_id)),
        Ok(Err(error)) => fail(&error),
        Err(lost) => lost.into_response(),
    }
}

async fn answer_ebs(app: &App, caller: &Caller, call: &EbsCall<'_>) -> Response {
    let Some(action) = ebs::action(call.method, call.path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let params = ebs::parameters(call);
    let gated = Call {
        action,
        params: &params,
        bucket: ebs_bucket(action),
    };
    match gate::pass(app, caller, &gated, |scope| ebs::act(scope, call)).await {
        Ok(done) => done.unwrap_or_else(EbsError::into_response),
        Err(lost) => lost.into_response(),
    }
}

fn ec2_error(error: &Ec2Error, request_id: &str) -> Response {
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
    xml_response(status, error_document(&error.code, &error.message, request_id))
}

fn xml_response(status: StatusCode, document: String) -> Response {
    (
        status,
        [(header::CONTENT_TYPE, "text/xml;charset=UTF-8")],
        Body::from(document),
    )
        .into_response()
}
