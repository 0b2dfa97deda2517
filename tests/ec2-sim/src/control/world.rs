//! An account as a whole: reset, clock, settings, faults, calls, tags.

use std::sync::Arc;

use axum::Json as Answer;
use axum::extract::{Query, State};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::actions::tag_resources::tags_of;
use crate::clock::{Clock, iso};
use crate::faults::FaultRequest;
use crate::settings::{Settings, seconds};
use crate::tags::Tags;
use crate::world::{Account, App};

use super::{Json, Refused, World, bad};

pub(super) async fn health() -> Answer<Value> {
    Answer(json!({"ok": true}))
}

#[derive(Deserialize)]
pub(super) struct ResetQuery {
    account: Option<String>,
}

/// Forgets one account, or all of them.
pub(super) async fn reset(State(app): State<Arc<App>>, Query(query): Query<ResetQuery>) -> Answer<Value> {
    app.reset(query.account.as_deref());
    Answer(json!({}))
}

pub(super) async fn clock(world: World) -> Answer<Value> {
    tell_clock(&world.lock())
}

fn tell_clock(account: &Account) -> Answer<Value> {
    let mode = match account.clock {
        Clock::Real { .. } => "real",
        Clock::Frozen { .. } => "frozen",
    };
    Answer(json!({"mode": mode, "now": iso(account.now())}))
}

#[derive(Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClockRequest {
    Frozen { now: Option<Timestamp> },
    Real,
}

/// Freezes the clock at a moment, by default at its own, or lets it go with the machine's again.
pub(super) async fn set_clock(world: World, Json(request): Json<ClockRequest>) -> Answer<Value> {
    let mut account = world.lock();
    account.clock = match request {
        ClockRequest::Real => Clock::Real {
            offset: SignedDuration::ZERO,
        },
        ClockRequest::Frozen { now } => Clock::Frozen {
            now: now.unwrap_or(account.now()),
        },
    };
    tell_clock(&account)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Advance {
    seconds: f64,
}

pub(super) async fn advance_clock(
    world: World,
    Json(request): Json<Advance>,
) -> Result<Answer<Value>, Refused> {
    if !request.seconds.is_finite() || request.seconds < 0.0 {
        return Err(bad("seconds: a clock only moves forward"));
    }
    let mut account = world.lock();
    account.clock.advance(seconds(request.seconds));
    Ok(tell_clock(&account))
}

pub(super) async fn settings(world: World) -> Answer<Settings> {
    Answer(world.lock().settings.clone())
}

/// Replaces the settings that are given.
pub(super) async fn change_settings(
    world: World,
    Json(given): Json<serde_json::Map<String, Value>>,
) -> Result<Answer<Settings>, Refused> {
    let mut account = world.lock();
    let mut all = serde_json::to_value(&account.settings).map_err(|error| bad(error.to_string()))?;
    if let Some(all) = all.as_object_mut() {
        all.extend(given);
    }
    account.settings = serde_json::from_value(all).map_err(|error| bad(error.to_string()))?;
    Ok(Answer(account.settings.clone()))
}

pub(super) async fn plant_fault(world: World, Json(request): Json<FaultRequest>) -> Answer<Value> {
    Answer(json!({"id": world.lock().faults.plant(request)}))
}

pub(super) async fn clear_faults(world: World) -> Answer<Value> {
    world.lock().faults.clear();
    Answer(json!({}))
}

#[derive(Deserialize)]
pub(super) struct CallsQuery {
    #[serde(default)]
    since: usize,
    limit: Option<usize>,
}

pub(super) async fn calls(world: World, Query(query): Query<CallsQuery>) -> Answer<Value> {
    Answer(
        world
            .lock()
            .log
            .list(query.since, query.limit.unwrap_or(usize::MAX)),
    )
}

pub(super) async fn call_summary(world: World, Query(query): Query<CallsQuery>) -> Answer<Value> {
    Answer(world.lock().log.summary(query.since))
}

#[derive(Deserialize)]
pub(super) struct TagsQuery {
    resource: String,
}

/// The tags of one resource, whatever a describe shows.
pub(super) async fn tags(world: World, Query(query): Query<TagsQuery>) -> Result<Answer<Tags>, Refused> {
    let mut account = world.lock();
    let mut scope = account.scope(&world.region, &world.app.ids);
    Ok(Answer(tags_of(&mut scope, &query.resource)?.clone()))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForceTags {
    resource_id: String,
    tags: Tags,
}

/// Sets tags that the API refuses too, as AWS's own services do.
pub(super) async fn force_tags(
    world: World,
    Json(request): Json<ForceTags>,
) -> Result<Answer<Value>, Refused> {
    let mut account = world.lock();
    let mut scope = account.scope(&world.region, &world.app.ids);
    tags_of(&mut scope, &request.resource_id)?.force(&request.tags);
    Ok(Answer(json!({})))
}
