//! Instances behind the API's back.

use axum::Json as Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::world::health::Impairment;
use crate::world::root_replacement::Outcome;

use super::{Json, Refused, World, bad, not_found};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vanish {
    instance_id: String,
}

/// Takes an instance away as if it had been terminated long ago.
pub(super) async fn vanish(world: World, Json(request): Json<Vanish>) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    scope.region.release(&request.instance_id);
    let gone = scope.region.instances.remove(request.instance_id.as_str());
    gone.map(|_| Answer(json!({})))
        .ok_or_else(|| not_found(&request.instance_id))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Impair {
    instance_id: Option<String>,
    #[serde(default)]
    next: bool,
    #[serde(default)]
    system: bool,
    #[serde(default)]
    instance: bool,
}

/// Makes status checks of an instance fail, or those of the next one that is launched; without either they pass again.
pub(super) async fn impair(world: World, Json(request): Json<Impair>) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let impairment = Impairment {
        system: request.system,
        instance: request.instance,
    };
    match (request.instance_id, request.next) {
        (Some(id), false) => {
            let instance = scope.region.instances.get_mut(id.as_str());
            instance.ok_or_else(|| not_found(&id))?.impairment = impairment;
        }
        (None, true) => scope.region.next_impairment = Some(impairment),
        _ => return Err(bad("one of instance_id and next is needed")),
    }
    Ok(Answer(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Withhold {
    instance_type: String,
    zone: String,
}

/// Takes a type out of a zone.
pub(super) async fn withhold(world: World, Json(request): Json<Withhold>) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    scope
        .region
        .places
        .withhold(&request.instance_type, &request.zone);
    Ok(Answer(json!({})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailReplacement {
    instance_id: String,
    #[serde(default)]
    detached: bool,
}

/// Makes the next replacement of an instance's root volume fail.
pub(super) async fn fail_replacement(
    world: World,
    Json(request): Json<FailReplacement>,
) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let id = request.instance_id;
    if !scope.region.instances.contains_key(id.as_str()) {
        return Err(not_found(&id));
    }
    let outcome = if request.detached {
        Outcome::FailedDetached
    } else {
        Outcome::Failed
    };
    scope.region.root_replacements.planned.insert(id, outcome);
    Ok(Answer(json!({})))
}
