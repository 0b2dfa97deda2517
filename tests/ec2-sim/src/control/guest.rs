//! What runs inside instances. The front of the local stack sends the commands of Systems Manager here.

use axum::Json as Answer;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::world::guest::{Answer as Planted, AnswerStatus};
use crate::world::instance::InstanceState;

use super::{Json, Refused, World, bad, not_found};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AnswerRequest {
    instance_id: Option<String>,
    #[serde(default)]
    any: bool,
    #[serde(default)]
    status: AnswerStatus,
    #[serde(default)]
    output: String,
    #[serde(default)]
    after_seconds: f64,
}

/// Says how an instance, or every one that has no answer of its own, answers commands from now on.
pub(super) async fn answer(
    world: World,
    Json(request): Json<AnswerRequest>,
) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let guests = &mut account.scope(&world.region, &world.app.ids).region.guests;
    let planted = Planted {
        status: request.status,
        output: request.output,
        after_seconds: request.after_seconds,
    };
    match (request.instance_id, request.any) {
        (Some(id), false) => {
            guests.answers.insert(id, planted);
        }
        (None, true) => guests.any = Some(planted),
        _ => return Err(bad("one of instance_id and any is needed")),
    }
    Ok(Answer(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CommandRequest {
    instance_ids: Vec<String>,
    document_name: String,
    #[serde(default)]
    parameters: Value,
}

/// Sends a command to instances, all of which must run.
pub(super) async fn send(world: World, Json(request): Json<CommandRequest>) -> Response {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    if let Some(id) = request.instance_ids.iter().find(|id| !is_running(&scope, id)) {
        let message = format!(
            "Instances [[{id}]] not in a valid state for account {}",
            scope.account
        );
        let body = json!({"code": "InvalidInstanceId", "message": message});
        return (StatusCode::BAD_REQUEST, Answer(body)).into_response();
    }
    let command = scope.ids.uuid();
    let guests = &mut scope.region.guests;
    let invocations = request.instance_ids.into_iter().map(|id| {
        let sent = guests.invoke(&id, &request.document_name, &request.parameters, scope.now);
        (id, sent)
    });
    let invocations = invocations.collect();
    guests.commands.insert(command.clone(), invocations);
    Answer(json!({"command_id": command})).into_response()
}

fn is_running(scope: &Scope<'_>, id: &str) -> bool {
    scope
        .region
        .instances
        .get(id)
        .is_some_and(|instance| instance.state(scope.now) == InstanceState::Running)
}

/// What became of a command on an instance.
pub(super) async fn look(
    world: World,
    Path((command, instance)): Path<(String, String)>,
) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let sent = scope.region.guests.commands.get(&command);
    let sent = sent.ok_or_else(|| not_found(&command))?;
    let sent = sent.get(&instance).ok_or_else(|| not_found(&instance))?;
    Ok(Answer(json!({
        "status": sent.word(scope.now),
        "output": sent.output(scope.now),
        "document_name": sent.document,
        "parameters": sent.parameters,
    })))
}
