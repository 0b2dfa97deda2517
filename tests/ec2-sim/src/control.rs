//! The simulator's own routes: scenes, clock, faults, and looks behind the API.
//!
//! Every route takes `?account=` and `?region=`. A request that cannot be done answers 400 or 404 with a reason.

mod guest;
mod images;
mod instances;
mod keys;
mod scene;
mod snapshots;
mod volumes;
mod world;

use std::sync::{Arc, MutexGuard};

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Ec2Error;
use crate::world::{Account, App, DEFAULT_ACCOUNT, DEFAULT_REGION, lock};

/// The longest piece of a volume's content that one request brings.
const BODY_LIMIT: usize = 256 << 20;

pub(crate) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(world::health))
        .route("/reset", post(world::reset))
        .route("/clock", get(world::clock).post(world::set_clock))
        .route("/clock/advance", post(world::advance_clock))
        .route("/settings", get(world::settings).post(world::change_settings))
        .route("/faults", post(world::plant_fault).delete(world::clear_faults))
        .route("/calls", get(world::calls))
        .route("/calls/summary", get(world::call_summary))
        .route("/tags", get(world::tags).post(world::force_tags))
        .route("/scene", post(scene::make_instances))
        .route("/scene/snapshots", post(scene::make_snapshots))
        .route("/guest/answers", post(guest::answer))
        .route("/guest/commands", post(guest::send))
        .route("/guest/commands/{id}/{instance}", get(guest::look))
        .route("/images", post(images::plant))
        .route("/instance-types/withhold", post(instances::withhold))
        .route("/instances/impair", post(instances::impair))
        .route("/instances/vanish", post(instances::vanish))
        .route("/keys", get(keys::list).post(keys::set))
        .route("/replace-root/fail", post(instances::fail_replacement))
        .route("/snapshots", get(snapshots::list))
        .route("/snapshots/complete", post(snapshots::complete))
        .route("/snapshots/fail", post(snapshots::fail))
        .route("/snapshots/hold", post(snapshots::hold))
        .route("/snapshots/vanish", post(snapshots::vanish))
        .route("/volumes/{id}/content", get(volumes::read).put(volumes::write))
        .route("/volumes/{id}/digest", get(volumes::digest))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
}

/// Which world a request is about.
#[derive(Debug, Deserialize)]
struct Whose {
    #[serde(default = "default_account")]
    account: String,
    #[serde(default = "default_region")]
    region: String,
}

fn default_account() -> String {
    DEFAULT_ACCOUNT.to_owned()
}

fn default_region() -> String {
    DEFAULT_REGION.to_owned()
}

/// An account, with the region that the request names.
struct World {
    app: Arc<App>,
    account: Arc<std::sync::Mutex<Account>>,
    region: String,
}

impl World {
    fn lock(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }
}

impl FromRequestParts<Arc<App>> for World {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Refused> {
        let Query(whose) = Query::<Whose>::from_request_parts(parts, app)
            .await
            .map_err(|error| bad(error.body_text()))?;
        Ok(Self {
            app: Arc::clone(app),
            account: app.account(&whose.account),
            region: whose.region,
        })
    }
}

/// A JSON body of any content type; an unknown field is refused by name.
struct Json<T>(T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Json<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refused> {
        let bytes = axum::body::Bytes::from_request(request, app)
            .await
            .map_err(|error| bad(error.body_text()))?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| bad(error.to_string()))
    }
}

/// Why a request was not done.
#[derive(Debug)]
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, self.1).into_response()
    }
}

impl From<Ec2Error> for Refused {
    fn from(error: Ec2Error) -> Self {
        bad(error.to_string())
    }
}

fn bad(reason: impl Into<String>) -> Refused {
    Refused(StatusCode::BAD_REQUEST, reason.into())
}

fn not_found(id: &str) -> Refused {
    Refused(StatusCode::NOT_FOUND, format!("{id} does not exist"))
}
