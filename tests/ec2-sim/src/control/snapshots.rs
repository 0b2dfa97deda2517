//! Snapshots behind the API's back: their fate, and what describes do not show.

use axum::Json as Answer;
use axum::extract::Query;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::clock::{after, iso};
use crate::content::Content;
use crate::settings::seconds;
use crate::world::snapshot::{Fate, Planned, Snapshot};

use super::{Json, Refused, World, bad, not_found};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FailRequest {
    snapshot_id: Option<String>,
    volume_id: Option<String>,
    #[serde(default = "internal_error")]
    message: String,
    #[serde(default)]
    after_seconds: f64,
}

fn internal_error() -> String {
    "An internal error occurred.".to_owned()
}

/// Makes a snapshot, or the next one of a volume with its whole set, end in `error`.
pub(super) async fn fail(world: World, Json(request): Json<FailRequest>) -> Result<Answer<Value>, Refused> {
    let FailRequest {
        snapshot_id,
        volume_id,
        message,
        after_seconds,
    } = request;
    match (snapshot_id, volume_id) {
        (Some(id), None) => {
            let at = after(world.lock().now(), seconds(after_seconds));
            set_fate(&world, &id, Fate::Fails { at, message })
        }
        (None, Some(id)) => plan(
            &world,
            &id,
            Planned::Fail {
                message,
                after_seconds,
            },
        ),
        _ => Err(bad("one of snapshot_id and volume_id is needed")),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OneVolume {
    volume_id: String,
}

/// Makes the next snapshot of a volume stay pending.
pub(super) async fn hold(world: World, Json(request): Json<OneVolume>) -> Result<Answer<Value>, Refused> {
    plan(&world, &request.volume_id, Planned::Hold)
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
    let mut account = world.lock();
    let scope = account.scope(&world.region, &world.app.ids);
    let gone = scope.region.snapshots.remove(request.snapshot_id.as_str());
    let mut gone = gone.ok_or_else(|| not_found(&request.snapshot_id))?;
    gone.content = Content::default();
    scope.region.deleted_snapshots.push(gone);
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

#[derive(Deserialize)]
pub(super) struct ListQuery {
    tag: Option<String>,
    value: Option<String>,
}

/// Every snapshot there is or was, with a tag or a tag's value if one is named.
pub(super) async fn list(world: World, Query(query): Query<ListQuery>) -> Answer<Vec<Value>> {
    let mut account = world.lock();
    let now = account.now();
    let region = account.scope(&world.region, &world.app.ids).region;
    let wanted = |snapshot: &&Snapshot| match (&query.tag, &query.value) {
        (None, _) => true,
        (Some(tag), None) => snapshot.tags.get(tag).is_some(),
        (Some(tag), Some(value)) => snapshot.tags.get(tag) == Some(value),
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
            })
        }
    };
    let living = region.snapshots.values().filter(wanted).map(tell(false));
    let deleted = region.deleted_snapshots.iter().filter(wanted).map(tell(true));
    Answer(living.chain(deleted).collect())
}
