//! The local API that commands use when a daemon is running.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::access::Documented;
use super::backtest::{Failed, Wanted, bounded};
use super::explain::explain as explained;
use super::health::Watched;
use super::identity::{self, NotTold, Told};
use super::letters::{self, MOST, Replayed, Shown};
use super::payload::{NoPreview, preview};
use super::quota::QuotaHealth;
use super::server::Shared;
use super::{night, triggers};
use crate::model::codes::LONGEST_CODE;
use crate::model::{CatalogueItem, Span};
use crate::rules::is_pool_name;
use crate::store::{StoreError, WorkId, decided};

/// That it is done.
#[derive(Serialize, ToSchema)]
pub struct Done {
    pub done: bool,
}

/// What is wrong, in words.
#[derive(Serialize, ToSchema)]
pub struct Message {
    pub message: String,
}

/// Every route of the API, by the role that it asks for.
pub fn routes() -> Documented {
    let viewer = Router::new()
        .route("/api/status", get(status))
        .route("/api/quota", get(quota))
        .route("/api/explain", get(explain))
        .route("/api/payload", get(payload))
        .route("/api/backtest", post(backtest))
        .route("/api/dead-letters", get(dead_letters))
        .route("/api/dead-letters/{id}", get(dead_letter))
        .route("/api/codes", get(pools))
        .route("/api/identity/audit", get(audit_identities))
        .route("/api/person/receipts", get(receipts))
        .route("/api/person/demands", get(demands))
        .route("/api/nights", get(night::reports))
        .route("/api/nights/state", get(night::state))
        .route("/api/set-aside", get(set_aside))
        .route("/api/audit/{source}", get(audit))
        .route("/api/triggers", get(triggers::get_list))
        .route("/api/triggers/{name}/held", get(triggers::get_held));
    let operator = Router::new()
        .route("/api/dead-letters/{id}/replay", post(replay))
        .route("/api/dead-letters/{id}/drop", post(drop_dead))
        .route("/api/catalogue", post(put_items))
        .route("/api/codes/{pool}", post(add_codes))
        .route("/api/nights", post(night::begin))
        .route("/api/nights/resend/{id}", post(resend))
        .route("/api/triggers/reload", post(reload))
        .route("/api/triggers/{name}/pause", post(triggers::pause))
        .route("/api/triggers/{name}/resume", post(triggers::resume));
    let admin = Router::new()
        .route("/api/identity", post(tell))
        .route("/api/person/export", post(export))
        .route("/api/person/demands/{id}/answered", post(answer_demand));
    Documented { viewer: viewer.into(), operator: operator.into(), admin: admin.into() }
}

pub fn refused(error: &StoreError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": error.to_string() }))).into_response()
}

pub fn missing(words: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "message": words }))).into_response()
}

pub async fn status(State(shared): State<Shared>) -> Response {
    Json(shared.watched.health()).into_response()
}

pub async fn quota(State(shared): State<Shared>) -> Response {
    Json(QuotaHealth::of(&shared.watched)).into_response()
}

#[derive(Deserialize)]
pub struct Asked {
    person: String,
    trigger: Option<String>,
}

pub async fn explain(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load_full();
    let now = watched.clock.now();
    match explained(&*watched.store, &program, &shared.names, &asked.person, asked.trigger.as_deref(), now).await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => missing("nobody goes by that name"),
        Err(error) => refused(&error),
    }
}

/// What is said by hand is usually decided within this.
const DECIDED: Span = Span::from_secs(10);

pub async fn tell(State(shared): State<Shared>, Json(told): Json<Told>) -> Response {
    let Watched { store, clock, .. } = &shared.watched;
    let position = match identity::tell(&**store, &told, &shared.names, clock.now()).await {
        Ok(position) => position,
        Err(NotTold::Store(error)) => return refused(&error),
        Err(other) => {
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": other.to_string() }))).into_response();
        }
    };
    let is_decided = tokio::select! {
        is_decided = decided(&**store, position) => is_decided,
        () = clock.until(clock.now() + DECIDED) => false,
    };
    Json(json!({ "is_decided": is_decided, "position": position.0 })).into_response()
}

pub async fn receipts(State(shared): State<Shared>) -> Response {
    match super::receipts(&*shared.watched.store).await {
        Ok(receipts) => Json(receipts).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn demands(State(shared): State<Shared>) -> Response {
    match super::demands(&*shared.watched.store).await {
        Ok(demands) => Json(demands).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn answer_demand(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Watched { store, clock, .. } = &shared.watched;
    changed(super::answered(&**store, &id, clock.now()).await)
}

#[derive(Deserialize)]
pub struct Audited {
    /// Vendors are asked too.
    #[serde(default)]
    vendors: bool,
}

pub async fn audit_identities(State(shared): State<Shared>, Query(wanted): Query<Audited>) -> Response {
    let Watched { store, clock, askers, .. } = &shared.watched;
    let audit = async {
        let mut audit = identity::audit(&**store).await?;
        if wanted.vendors {
            identity::audit_vendors(&**store, askers, &mut audit, clock).await?;
        }
        Ok(audit)
    };
    match audit.await {
        Ok(audit) => Json(audit).into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize)]
pub struct Exported {
    person: String,
}

/// In the body, since a name is no matter of addresses.
pub async fn export(State(shared): State<Shared>, Json(asked): Json<Exported>) -> Response {
    let Watched { store, clock, .. } = &shared.watched;
    match identity::export(&**store, &shared.names, &asked.person, clock.now()).await {
        Ok(found) => Json(found).into_response(),
        Err(error) => refused(&error),
    }
}

/// What the records of a source's lists were seen to hold, by list; 404 for a source of which none is pulled.
pub async fn audit(State(shared): State<Shared>, Path(source): Path<String>) -> Response {
    let of = shared.watched.streams.iter().filter(|one| *one.source == *source);
    let found: std::collections::BTreeMap<String, _> =
        of.filter_map(|one| Some((one.stream.to_string(), one.findings()?))).collect();
    if found.is_empty() { StatusCode::NOT_FOUND.into_response() } else { Json(found).into_response() }
}

/// A back-test asked for by a command takes at most so long.
const BACKTEST: Duration = Duration::from_secs(20);

pub async fn backtest(State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Response {
    match bounded(&shared, wanted, BACKTEST).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(Failed::Mistakes(mistakes))) => (StatusCode::UNPROCESSABLE_ENTITY, Json(mistakes)).into_response(),
        Some(Err(Failed::Store(error))) => refused(&error),
        Some(Err(failed)) => missing(&failed.to_string()),
        None => (StatusCode::CONFLICT, Json(json!({ "message": "another back-test runs; try again in a moment" })))
            .into_response(),
    }
}

#[derive(Deserialize)]
pub struct Previewed {
    trigger: String,
    person: String,
    key: Option<String>,
}

pub async fn payload(State(shared): State<Shared>, Query(asked): Query<Previewed>) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load_full();
    let wanted = (&*asked.trigger, &*asked.person, asked.key.as_deref());
    let sales = watched.sales.load_full().unwrap_or_default();
    match preview(&*watched.store, &program, &shared.names, wanted, &sales, watched.clock.now()).await {
        Ok(activations) => Json(activations).into_response(),
        Err(NoPreview::Nobody) => missing("nobody goes by that name"),
        Err(NoPreview::Store(error)) => refused(&error),
        Err(other) => (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": other.to_string() }))).into_response(),
    }
}

#[derive(Deserialize)]
pub struct OfLane {
    lane: Option<String>,
}

pub async fn dead_letters(State(shared): State<Shared>, Query(of): Query<OfLane>) -> Response {
    match shared.watched.store.dead_letters(of.lane.as_deref(), MOST).await {
        Ok(letters) => Json(letters.iter().map(Shown::of).collect::<Vec<_>>()).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn dead_letter(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    match shared.watched.store.dead_letter(WorkId(id)).await {
        Ok(Some(letter)) => Json(Shown::of(&letter)).into_response(),
        Ok(None) => missing("there is none of this number"),
        Err(error) => refused(&error),
    }
}

pub async fn replay(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    let Watched { store, program, clock, .. } = &shared.watched;
    replayed(letters::replay(&**store, &program.load(), id, clock.now()).await)
}

pub async fn resend(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    let Watched { store, program, clock, .. } = &shared.watched;
    replayed(letters::resend(&**store, &program.load(), id, clock.now()).await)
}

fn replayed(done: Result<Replayed, StoreError>) -> Response {
    match done {
        Ok(Replayed::Refused(words)) => (StatusCode::CONFLICT, Json(json!({ "message": words }))).into_response(),
        Ok(replayed) => changed(Ok(replayed == Replayed::Done)),
        Err(error) => refused(&error),
    }
}

pub async fn drop_dead(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    changed(shared.watched.store.drop_dead(WorkId(id)).await)
}

fn changed(result: Result<bool, StoreError>) -> Response {
    match result {
        Ok(true) => Json(json!({ "done": true })).into_response(),
        Ok(false) => missing("there is none of this number"),
        Err(error) => refused(&error),
    }
}

pub async fn put_items(State(shared): State<Shared>, Json(items): Json<Vec<CatalogueItem>>) -> Response {
    match shared.watched.store.put_items(items).await {
        Ok(stocked) => Json(stocked).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn pools(State(shared): State<Shared>) -> Response {
    Json(shared.watched.store.pools()).into_response()
}

pub async fn add_codes(
    State(shared): State<Shared>,
    Path(pool): Path<String>,
    Json(codes): Json<Vec<Box<str>>>,
) -> Response {
    if !is_pool_name(&pool) || codes.iter().any(|code| code.len() > LONGEST_CODE) {
        let words = json!({ "message": "a pool's name, or a code, is too long or has what it must not have" });
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(words)).into_response();
    }
    match shared.watched.store.add_codes(&pool, codes).await {
        Ok(added) => Json(added).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn set_aside(State(shared): State<Shared>) -> Response {
    match shared.watched.store.set_aside_list(1_000).await {
        Ok(list) => Json(list).into_response(),
        Err(error) => refused(&error),
    }
}

pub async fn reload(State(shared): State<Shared>) -> Response {
    match shared.reloads.ask().await {
        Some(Ok(compiled)) => Json(compiled).into_response(),
        Some(Err(mistakes)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(mistakes)).into_response(),
        None => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": "the daemon is about to end" }))).into_response()
        }
    }
}
