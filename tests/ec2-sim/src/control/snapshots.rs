//! Snapshots behind the API's back: their fate, and what describes do not show.

use axum::Json as Answer;
use axum::extract::Query;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::delete_snapshot::remove;
use crate::clock::{after, iso};
use crate::settings::seconds;
use crate::world::snapshot::{Fate, Planned, Snapshot};

use super::{Json, Refused, World, bad, not_found};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailRequest {
    snapshot_id: Option<String>,
    volume_id: Option<String>,
    copy_of: Option<String>,
    #[serde(default = "internal_error")]
    message: String,
    #[serde(default)]
    after_seconds: f64,
}

fn internal_error() -> String {
    "An internal error occurred.".to_owned()
}

/// Makes a snapshot end in `error`, or the next one of a volume with its whole set, or the next copy here of one.
pub(super) async fn fail(world: World, Json(request): Json<FailRequest>) -> Result<Answer<Value>, Refused> {
    let FailRequest {
        snapshot_id,
        volume_id,
        copy_of,
        message,
        after_seconds,
    } = request;
    let planned = |message| Planned::Fail {
        message,
        after_seconds,
    };
    match (snapshot_id, volume_id, copy_of) {
        (Some(id), None, None) => {
            let at = after(world.lock().now(), seconds(after_seconds));
            set_fate(&world, &id, Fate::Fails { at, message })
        }
        (None, Some(id), None) => plan(&world, &id, planned(message)),
        (None, None, Some(source)) => Ok(plan_copy(&world, source, planned(message))),
        _ => Err(bad("one of snapshot_id, volume_id and copy_of is needed")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HoldRequest {
    volume_id: Option<String>,
    copy_of: Option<String>,
}

/// Makes the next snapshot of a volume stay pending, or the next copy here of a snapshot.
pub(super) async fn hold(world: World, Json(request): Json<HoldRequest>) -> Result<Answer<Value>, Refused> {
    match (request.volume_id, request.copy_of) {
        (Some(id), None) => plan(&world, &id, Planned::Hold),
        (None, Some(source)) => Ok(plan_copy(&world, source, Planned::Hold)),
        _ => Err(bad("one of volume_id and copy_of is needed")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneSnapshot {
    snapshot_id: String,
}

/// Completes a snapshot now.
pub(super) async fn complete(
    world: World,
    Json(request): Json<OneSnapshot>,
) -> Result<Answer<Value>, Refused> {
    let now = world.lock().now();
    set_fate(&world, &request.snapshot_id, Fate::Completes(now))
}

/// Deletes a snapshot without a call.
pub(super) async fn vanish(world: World, Json(request): Json<OneSnapshot>) -> Result<Answer<Value>, Refused> {
    let gone = {
        let mut account = world.lock();
        let mut scope = account.scope(&world.region, &world.app.ids);
        let found = scope.region.snapshots.get(request.snapshot_id.as_str());
        let id = found.ok_or_else(|| not_found(&request.snapshot_id))?.id.clone();
        remove(&mut scope, &id);
        scope.outside.gone
    };
    world.app.fail_copies_of(&gone);
    Ok(Answer(json!({})))
}

fn set_fate(world: &World, id: &str, fate: Fate) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let snapshot = scope.region.snapshots.get_mut(id).ok_or_else(|| not_found(id))?;
    snapshot.fate = fate;
    Ok(Answer(json!({})))
}

fn plan(world: &World, volume: &str, planned: Planned) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let found = scope
        .region
        .volumes
        .get_mut(volume)
        .ok_or_else(|| not_found(volume))?;
    found.planned = Some(planned);
    Ok(Answer(json!({})))
}

/// Copies are planned where they will be made, whosoever the source is.
fn plan_copy(world: &World, source: String, planned: Planned) -> Answer<Value> {
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    scope.region.planned_copies.insert(source, planned);
    Answer(json!({}))
}

#[derive(Deserialize)]
pub(super) struct ListQuery {
    snapshot_id: Option<String>,
    tag: Option<String>,
    value: Option<String>,
}

/// Every snapshot there is or was; the one of an id, or those with a tag or a tag's value, if one is named.
pub(super) async fn list(world: World, Query(query): Query<ListQuery>) -> Answer<Vec<Value>> {
    let mut account = world.lock();
    let now = account.now();
    let region = account.scope(&world.region, &world.app.ids).region;
    let wanted = |snapshot: &&Snapshot| {
        let is_named = query
            .snapshot_id
            .as_ref()
            .is_none_or(|id| snapshot.id.as_str() == id);
        is_named
            && match (&query.tag, &query.value) {
                (None, _) => true,
                (Some(tag), None) => snapshot.tags.get(tag).is_some(),
                (Some(tag), Some(value)) => snapshot.tags.get(tag) == Some(value),
            }
    };
    let tell = |deleted: bool| {
        move |snapshot: &Snapshot| {
            json!({
                "snapshot_id": snapshot.id.as_str(),
                "volume_id": snapshot.volume.as_str(),
                "state": snapshot.state(now).word(),
                "start_time": iso(snapshot.started_at),
                "size_gib": snapshot.size_gib,
                "set": snapshot.set.as_ref().map(super::super::ids::SnapshotId::as_str),
                "tags": snapshot.tags,
                "deleted": deleted,
                "owner": snapshot.owner,
                "kms_key_id": snapshot.key,
                "copy_of": snapshot.copy.as_ref().map(|copy| json!({
                    "account": copy.account,
                    "region": copy.region,
                    "snapshot_id": copy.source.as_str(),
                })),
                "incremental": snapshot.copy.as_ref().map(|copy| copy.incremental),
                "copied_blocks": snapshot.copy.as_ref().map(|copy| copy.blocks),
                "shared_with": snapshot.sharing.words().collect::<Vec<_>>(),
                "locked": snapshot.is_locked(now),
                "tier": snapshot.tiering.tier(now).word(),
            })
        }
    };
    let living = region.snapshots.values().filter(wanted).map(tell(false));
    let deleted = region.deleted_snapshots.iter().filter(wanted).map(tell(true));
    Answer(living.chain(deleted).collect())
}
