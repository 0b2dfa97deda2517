//! `StartSnapshot`: a new snapshot that waits for its blocks.

use std::collections::BTreeSet;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::actions::Scope;
use crate::clock::after;
use crate::content::{BLOCK_SIZE, Content};
use crate::ids::{SnapshotId, VolumeId};
use crate::params::Params;
use crate::world::sharing::Sharing;
use crate::world::snapshot::{Fate, Snapshot};
use crate::world::tier::Tiering;
use crate::world::{TokenRecord, TokenUse};

use super::request::{Request, read_tags};
use super::{EbsError, epoch_seconds, lookup};

const TOKEN_LIMIT: usize = 64;

pub(super) fn start(scope: &mut Scope<'_>, body: &[u8], params: &Params) -> Result<Response, EbsError> {
    let request = Request::read(body)?;
    if let Some(first) = replay(scope, params)? {
        return Ok(answer(first));
    }
    let snapshot = new_snapshot(scope, &request, params)?;
    let response = answer(&snapshot);
    if let Some(token) = request.client_token {
        let made = BTreeSet::from([snapshot.id.to_string()]);
        let record = TokenRecord {
            params: params.without(&["ClientToken"]),
            made,
        };
        scope
            .region
            .client_tokens
            .insert((TokenUse::StartSnapshot, token), record);
    }
    scope.region.snapshots.insert(snapshot.id.clone(), snapshot);
    Ok(response)
}

/// What an earlier call with the same client token made; none when this call is the first.
fn replay<'a>(scope: &'a Scope<'_>, params: &Params) -> Result<Option<&'a Snapshot>, EbsError> {
    let Some(token) = params.text("ClientToken") else {
        return Ok(None);
    };
    if token.is_empty() || token.len() > TOKEN_LIMIT || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(EbsError::invalid_value(format!(
            "A client token has 1 to {TOKEN_LIMIT} ASCII characters and no space."
        )));
    }
    let key = (TokenUse::StartSnapshot, token.to_owned());
    let Some(record) = scope.region.client_tokens.get(&key) else {
        return Ok(None);
    };
    if record.params != params.without(&["ClientToken"]) {
        return Err(EbsError::conflict(
            "An earlier request with the same client token had other parameters.",
        ));
    }
    let made = record
        .made
        .first()
        .and_then(|id| scope.region.snapshots.get(id.as_str()));
    made.map(Some)
        .ok_or_else(|| EbsError::conflict("The snapshot of this client token no longer exists."))
}

fn new_snapshot(scope: &Scope<'_>, request: &Request, params: &Params) -> Result<Snapshot, EbsError> {
    let parent = request
        .parent_snapshot_id
        .as_deref()
        .map(|id| lookup::readable(scope, id))
        .transpose()?;
    let size_gib = request.size_gib(parent)?;
    let tags = read_tags(params)?;
    let key = request.key(scope, parent)?;
    let timeout_minutes = request.timeout_minutes()?;
    let description = request.description()?;
    if scope.region.snapshots.len() >= scope.settings.snapshot_limit {
        return Err(EbsError::quota(format!(
            "The account has the most snapshots that it may have ({}).",
            scope.settings.snapshot_limit
        )));
    }
    let id = SnapshotId::next(scope.ids);
    Ok(Snapshot {
        owner: scope.account.to_owned(),
        volume: VolumeId::none(),
        size_gib,
        started_at: scope.now,
        description,
        key,
        tags,
        // Until it is completed: only what was put. The parent's blocks come under that at the end.
        content: Content::default(),
        fate: Fate::Uploading {
            deadline: deadline(scope.now, timeout_minutes),
            timeout_minutes,
        },
        visible_at: after(scope.now, scope.settings.visibility_delay()),
        set: None,
        lineage: parent.map_or_else(|| id.to_string(), |parent| parent.lineage.clone()),
        parent: parent.map(|parent| parent.id.clone()),
        copy: None,
        sharing: Sharing::default(),
        lock: None,
        tiering: Tiering::default(),
        id,
    })
}

/// When an upload fails that nothing more is heard of.
pub(super) fn deadline(now: Timestamp, timeout_minutes: u32) -> Timestamp {
    after(now, SignedDuration::from_mins(timeout_minutes.into()))
}

/// A call that is repeated gets the answer of the first: pending, whatever became of the snapshot.
fn answer(snapshot: &Snapshot) -> Response {
    let tags: Vec<Value> = snapshot
        .tags
        .iter()
        .map(|(key, value)| json!({ "Key": key, "Value": value }))
        .collect();
    let mut body = json!({
        "SnapshotId": snapshot.id.as_str(),
        "OwnerId": snapshot.owner,
        "Status": "pending",
        "StartTime": epoch_seconds(snapshot.started_at),
        "VolumeSize": snapshot.size_gib,
        "BlockSize": BLOCK_SIZE,
    });
    if !snapshot.description.is_empty() {
        body["Description"] = snapshot.description.as_str().into();
    }
    if !tags.is_empty() {
        body["Tags"] = tags.into();
    }
    if let Some(parent) = &snapshot.parent {
        body["ParentSnapshotId"] = parent.as_str().into();
    }
    if let Some(key) = &snapshot.key {
        body["KmsKeyArn"] = key.as_str().into();
    }
    (StatusCode::CREATED, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ebs::fixture::World;
    use crate::world::DEFAULT_ACCOUNT;

    const KEY: &str = "arn:aws:kms:us-east-1:000000000000:key/1234";

    fn reason(world: &mut World, body: &Value) -> &'static str {
        let before = world.region.snapshots.len();
        let error = world.try_start(body).unwrap_err();
        assert_eq!(world.region.snapshots.len(), before, "{body}");
        error.reason.unwrap_or_default()
    }

    #[test]
    fn answers_a_pending_snapshot_as_it_was_asked_for() {
        let mut world = World::default();
        let body = json!({
            "VolumeSize": 8, "Description": "a disk", "Encrypted": true, "KmsKeyArn": KEY, "Timeout": 10,
            "Tags": [{ "Key": "b", "Value": "2" }, { "Key": "a", "Value": "1" }],
        });
        let mut answer = world.try_start(&body).unwrap();
        let id = answer["SnapshotId"].take();
        let expected = json!({
            "SnapshotId": null, "OwnerId": DEFAULT_ACCOUNT, "Status": "pending", "StartTime": 0.0,
            "VolumeSize": 8, "BlockSize": 524_288, "Description": "a disk", "KmsKeyArn": KEY,
            "Tags": [{ "Key": "a", "Value": "1" }, { "Key": "b", "Value": "2" }],
        });
        assert_eq!(answer, expected);
        let now = world.now;
        let snapshot = world.snapshot(id.as_str().unwrap());
        assert!(snapshot.is_pending(now));
        assert_eq!(
            snapshot.fate,
            Fate::Uploading {
                deadline: deadline(now, 10),
                timeout_minutes: 10
            }
        );
        assert_eq!(
            (&snapshot.volume, snapshot.lineage.as_str()),
            (&VolumeId::none(), snapshot.id.as_str())
        );
    }

    #[test]
    fn continues_its_parent() {
        let mut world = World::default();
        let root = world.start(&json!({ "VolumeSize": 2, "Encrypted": true, "KmsKeyArn": KEY }));
        let child = |parent: &str, size| json!({ "VolumeSize": size, "ParentSnapshotId": parent });
        assert_eq!(reason(&mut world, &child(&root, 2)), "INVALID_SNAPSHOT_ID");
        let now = world.now;
        world.snapshot_mut(&root).fate = Fate::Completes(now);
        assert_eq!(reason(&mut world, &child(&root, 1)), "INVALID_VOLUME_SIZE");
        assert_eq!(reason(&mut world, &child("snap-0000", 2)), "SNAPSHOT_NOT_FOUND");
        let mut encrypted = child(&root, 2);
        encrypted["Encrypted"] = true.into();
        assert_eq!(reason(&mut world, &encrypted), "INVALID_PARAMETER_VALUE");

        let answer = world.try_start(&child(&root, 3)).unwrap();
        assert_eq!(
            (&answer["ParentSnapshotId"], &answer["KmsKeyArn"]),
            (&json!(root), &json!(KEY))
        );
        assert_eq!(
            world.snapshot(answer["SnapshotId"].as_str().unwrap()).lineage,
            root
        );
    }

    #[test]
    fn starts_once_for_a_client_token() {
        let mut world = World::default();
        let body = json!({ "VolumeSize": 1, "ClientToken": "t-1", "Tags": [{ "Key": "a", "Value": "1" }] });
        let first = world.try_start(&body).unwrap();
        let now = world.now;
        world.snapshot_mut(first["SnapshotId"].as_str().unwrap()).fate = Fate::Completes(now);
        assert_eq!(world.try_start(&body).unwrap(), first);
        assert_eq!(world.region.snapshots.len(), 1);

        let other = json!({ "VolumeSize": 1, "ClientToken": "t-1", "Tags": [{ "Key": "a", "Value": "2" }] });
        let error = world.try_start(&other).unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.code.as_ref()),
            (409, "ConflictException")
        );
        let long = json!({ "VolumeSize": 1, "ClientToken": "x".repeat(65) });
        assert_eq!(reason(&mut world, &long), "INVALID_PARAMETER_VALUE");
        world.region.snapshots.clear();
        assert_eq!(world.try_start(&body).unwrap_err().code, "ConflictException");
    }

    #[test]
    fn forgets_the_client_token_of_a_call_that_failed() {
        let mut world = World::default();
        world.settings.snapshot_limit = 0;
        let body = json!({ "VolumeSize": 1, "ClientToken": "t-1" });
        let error = world.try_start(&body).unwrap_err();
        assert_eq!(
            (error.status.as_u16(), error.code.as_ref()),
            (402, "ServiceQuotaExceededException")
        );
        world.settings.snapshot_limit = 1;
        assert!(world.try_start(&body).is_ok());
    }
}
