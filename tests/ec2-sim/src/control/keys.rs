//! What KMS would say of keys.

use std::collections::BTreeSet;

use axum::Json as Answer;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::kms::{Key, KeyState, Keys, key_arn};

use super::{Json, Refused, World};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyRequest {
    key: String,
    #[serde(default)]
    state: KeyState,
    #[serde(default)]
    usable_by: BTreeSet<String>,
}

/// Says what state a key of the account is in and which other accounts can use it.
pub(super) async fn set(world: World, Json(request): Json<KeyRequest>) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let arn = key_arn(&world.region, scope.account, &request.key);
    let key = Key {
        state: request.state,
        usable_by: request.usable_by,
    };
    scope.region.keys.set(arn.clone(), key);
    Ok(Answer(json!({"arn": arn})))
}

/// Every key that was spoken of.
pub(super) async fn list(world: World) -> Answer<Keys> {
    let mut account = world.lock();
    Answer(account.scope(&world.region, &world.app.ids).region.keys.clone())
}
