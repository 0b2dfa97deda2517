//! Instances behind the API's back.

use axum::Json as Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::instance_states::release;

use super::{Json, Refused, World, not_found};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vanish {
    instance_id: String,
}

/// Takes an instance away as if it had been terminated long ago.
pub(super) async fn vanish(world: World, Json(request): Json<Vanish>) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let mut scope = account.scope(&world.region, &world.app.ids);
    release(&mut scope, &request.instance_id);
    let gone = scope.region.instances.remove(request.instance_id.as_str());
    gone.map(|_| Answer(json!({})))
        .ok_or_else(|| not_found(&request.instance_id))
}
