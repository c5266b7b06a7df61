//! The local API that commands use when a daemon is running.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Info, License, OpenApi};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Documented;
use super::backtest::{Failed, Wanted, bounded};
use super::demands::{Demand, Shown as Receipt};
use super::explain::{Explained, explain as explained};
use super::health::{Health, Watched};
use super::identity::{self, Audit, NotTold, Told};
use super::letters::{self, MOST, Replayed, Shown};
use super::page::charts;
use super::payload::{NoPreview, preview};
use super::quota::QuotaHealth;
use super::reload::Compiled;
use super::server::Shared;
use super::{events, night, triggers};
use crate::model::codes::LONGEST_CODE;
use crate::model::{CatalogueItem, Mistake, Span};
use crate::pull::Findings;
use crate::replay::Report;
use crate::rules::is_pool_name;
use crate::store::{Added, PoolCount, SetAside, Stocked, StoreError, WorkId, decided};

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

/// What is said of the API, as OpenAPI 3.1.
async fn document(State(shared): State<Shared>) -> Response {
    Json(&shared.document).into_response()
}

/// What is said of the API as a whole.
pub fn introduce(document: &mut OpenApi) {
    let words = "What the page shows and does, and what commands do on a running daemon. Times are UTC. Every change is \
                 written into the audit log before it is made.";
    let info = Info::builder().title("Espalier").version(env!("CARGO_PKG_VERSION")).description(Some(words));
    document.info = info.license(Some(License::new("Apache-2.0"))).build();
    let way = "A token of `espalier token add`. Commands on the daemon's machine send that of the store's folder.";
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(way)).build();
    let components = document.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    document.security = Some(vec![SecurityRequirement::new("token", Vec::<String>::new())]);
}

/// Every route of the API, by the role that it asks for.
pub fn routes() -> Documented {
    let viewer = OpenApiRouter::new()
        .routes(routes!(status))
        .routes(routes!(quota))
        .routes(routes!(charts::series))
        .routes(routes!(explain))
        .routes(routes!(payload))
        .routes(routes!(backtest))
        .routes(routes!(dead_letters))
        .routes(routes!(dead_letter))
        .routes(routes!(pools))
        .routes(routes!(audit_identities))
        .routes(routes!(receipts))
        .routes(routes!(demands))
        .routes(routes!(set_aside))
        .routes(routes!(audit))
        .routes(routes!(night::reports))
        .routes(routes!(night::state))
        .routes(routes!(triggers::get_list))
        .routes(routes!(triggers::get_held))
        .routes(routes!(triggers::get_kept))
        .routes(routes!(get_items))
        .routes(routes!(events::get_came))
        .route("/api/openapi.json", get(document));
    let operator = OpenApiRouter::new()
        .routes(routes!(replay))
        .routes(routes!(drop_dead))
        .routes(routes!(put_items))
        .routes(routes!(add_codes))
        .routes(routes!(resend))
        .routes(routes!(reload))
        .routes(routes!(night::begin))
        .routes(routes!(triggers::pause))
        .routes(routes!(triggers::resume));
    let admin = OpenApiRouter::new().routes(routes!(tell)).routes(routes!(export)).routes(routes!(answer_demand));
    Documented { viewer, operator, admin }
}

pub fn refused(error: &StoreError) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": error.to_string() }))).into_response()
}

pub fn missing(words: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "message": words }))).into_response()
}

/// How the daemon is.
#[utoipa::path(get, path = "/api/status", tag = "health",  responses((status = 200, body = Health)))]
pub async fn status(State(shared): State<Shared>) -> Response {
    Json(shared.watched.health()).into_response()
}

/// What accounts let through, and what waits for it.
#[utoipa::path(get, path = "/api/quota", tag = "health",  responses((status = 200, body = QuotaHealth)))]
pub async fn quota(State(shared): State<Shared>) -> Response {
    Json(QuotaHealth::of(&shared.watched)).into_response()
}

#[derive(Deserialize, ToSchema)]
#[schema(as = Explain)]
pub struct Asked {
    /// Any name of theirs: `email:ines@example.com`, an address, a customer's number.
    person: String,
    /// Only this trigger.
    trigger: Option<String>,
}

/// Why somebody did or did not get an activation.
#[utoipa::path(post, path = "/api/explain", tag = "people", request_body = Asked,  responses((status = 200, body = Explained), (status = 404, body = Message)))]
pub async fn explain(State(shared): State<Shared>, Json(asked): Json<Asked>) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load_full();
    let now = watched.clock.now();
    match explained(&*watched.store, &program, &shared.names, &asked.person, asked.trigger.as_deref(), now).await {
        Ok(Some(answer)) => Json(answer).into_response(),
        Ok(None) => missing("nobody goes by that name"),
        Err(error) => refused(&error),
    }
}

/// What became of a word that was said by hand.
#[derive(Serialize, ToSchema)]
pub struct Decided {
    /// Whether it is decided already; else it will be.
    is_decided: bool,
    /// Its place in the journal.
    position: u64,
}

/// What is said by hand is usually decided within this.
const DECIDED: Span = Span::from_secs(10);

/// Joins two people, or parts them, by hand.
#[utoipa::path(post, path = "/api/identity", tag = "people", request_body = Told,  responses((status = 200, body = Decided), (status = 422, body = Message)))]
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
    Json(Decided { is_decided, position: position.0 }).into_response()
}

/// Who was forgotten, and how far the destinations are with it.
#[utoipa::path(get, path = "/api/person/receipts", tag = "people",  responses((status = 200, body = Vec<Receipt>)))]
pub async fn receipts(State(shared): State<Shared>) -> Response {
    match super::receipts(&*shared.watched.store).await {
        Ok(receipts) => Json(receipts).into_response(),
        Err(error) => refused(&error),
    }
}

/// Who wants to see what is kept of them.
#[utoipa::path(get, path = "/api/person/demands", tag = "people",  responses((status = 200, body = Vec<Demand>)))]
pub async fn demands(State(shared): State<Shared>) -> Response {
    match super::demands(&*shared.watched.store).await {
        Ok(demands) => Json(demands).into_response(),
        Err(error) => refused(&error),
    }
}

/// Notes that a demand was answered.
#[utoipa::path(post, path = "/api/person/demands/{id}/answered", tag = "people", params(("id" = String, Path)),  responses((status = 200, body = Done), (status = 404, body = Message)))]
pub async fn answer_demand(State(shared): State<Shared>, Path(id): Path<String>) -> Response {
    let Watched { store, clock, .. } = &shared.watched;
    changed(super::answered(&**store, &id, clock.now()).await)
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Audited {
    /// Vendors are asked too.
    #[serde(default)]
    vendors: bool,
}

/// Where who is who conflicts.
#[utoipa::path(get, path = "/api/identity/audit", tag = "people", params(Audited),  responses((status = 200, body = Audit)))]
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

#[derive(Deserialize, ToSchema)]
#[schema(as = Export)]
pub struct Exported {
    /// Any name of theirs.
    person: String,
}

/// In the body, since a name is no matter of addresses.
/// Everything that is kept of somebody; null where nobody goes by that name.
#[utoipa::path(post, path = "/api/person/export", tag = "people", request_body = Exported,  responses((status = 200, body = serde_json::Value)))]
pub async fn export(State(shared): State<Shared>, Json(asked): Json<Exported>) -> Response {
    let Watched { store, clock, .. } = &shared.watched;
    match identity::export(&**store, &shared.names, &asked.person, clock.now()).await {
        Ok(found) => Json(found).into_response(),
        Err(error) => refused(&error),
    }
}

/// What the records of a source's lists were seen to hold, by list; 404 for a source of which none is pulled.
#[utoipa::path(get, path = "/api/audit/{source}", tag = "connectors", params(("source" = String, Path)),  responses((status = 200, body = std::collections::BTreeMap<String, Findings>), (status = 404, body = Message)))]
pub async fn audit(State(shared): State<Shared>, Path(source): Path<String>) -> Response {
    let of = shared.watched.streams.iter().filter(|one| *one.source == *source);
    let found: std::collections::BTreeMap<String, _> =
        of.filter_map(|one| Some((one.stream.to_string(), one.findings()?))).collect();
    if found.is_empty() { missing("no list of this source is pulled") } else { Json(found).into_response() }
}

/// A back-test asked for by a command takes at most so long.
const BACKTEST: Duration = Duration::from_secs(20);

/// What triggers would have done over the stored history.
#[utoipa::path(post, path = "/api/backtest", tag = "triggers", request_body = Wanted,  responses((status = 200, body = Report), (status = 404, body = Message), (status = 409, body = Message), (status = 422, body = Vec<Mistake>)))]
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

#[derive(Deserialize, ToSchema)]
#[schema(as = Preview)]
pub struct Previewed {
    trigger: String,
    /// Any name of theirs.
    person: String,
    /// The key of `per`.
    key: Option<String>,
}

/// What each vendor would get if a trigger fired for somebody now.
#[utoipa::path(post, path = "/api/payload", tag = "people", request_body = Previewed,  responses((status = 200, body = Vec<serde_json::Value>), (status = 404, body = Message), (status = 422, body = Message)))]
pub async fn payload(State(shared): State<Shared>, Json(asked): Json<Previewed>) -> Response {
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfLane {
    /// Only of this lane.
    lane: Option<String>,
}

/// Dead letters, newest first.
#[utoipa::path(get, path = "/api/dead-letters", tag = "letters", params(OfLane),  responses((status = 200, body = Vec<Shown>)))]
pub async fn dead_letters(State(shared): State<Shared>, Query(of): Query<OfLane>) -> Response {
    match shared.watched.store.dead_letters(of.lane.as_deref(), MOST).await {
        Ok(letters) => Json(letters.iter().map(Shown::of).collect::<Vec<_>>()).into_response(),
        Err(error) => refused(&error),
    }
}

/// One dead letter.
#[utoipa::path(get, path = "/api/dead-letters/{id}", tag = "letters", params(("id" = u64, Path)),  responses((status = 200, body = Shown), (status = 404, body = Message)))]
pub async fn dead_letter(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    match shared.watched.store.dead_letter(WorkId(id)).await {
        Ok(Some(letter)) => Json(Shown::of(&letter)).into_response(),
        Ok(None) => missing("there is none of this number"),
        Err(error) => refused(&error),
    }
}

/// Puts a dead letter back into its lane.
#[utoipa::path(post, path = "/api/dead-letters/{id}/replay", tag = "letters", params(("id" = u64, Path)),  responses((status = 200, body = Done), (status = 404, body = Message), (status = 409, body = Message)))]
pub async fn replay(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    let Watched { store, program, clock, .. } = &shared.watched;
    replayed(letters::replay(&**store, &program.load(), id, clock.now()).await)
}

/// Sends an event once more that the vendor took and does not show.
#[utoipa::path(post, path = "/api/nights/resend/{id}", tag = "nights", params(("id" = u64, Path)),  responses((status = 200, body = Done), (status = 404, body = Message), (status = 409, body = Message)))]
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

/// Removes a dead letter for good.
#[utoipa::path(post, path = "/api/dead-letters/{id}/drop", tag = "letters", params(("id" = u64, Path)),  responses((status = 200, body = Done), (status = 404, body = Message)))]
pub async fn drop_dead(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    changed(shared.watched.store.drop_dead(WorkId(id)).await)
}

fn changed(result: Result<bool, StoreError>) -> Response {
    match result {
        Ok(true) => Json(Done { done: true }).into_response(),
        Ok(false) => missing("there is none of this number"),
        Err(error) => refused(&error),
    }
}

/// Takes products into the catalogue.
#[utoipa::path(post, path = "/api/catalogue", tag = "catalogue", request_body = Vec<CatalogueItem>,  responses((status = 200, body = Stocked)))]
pub async fn put_items(State(shared): State<Shared>, Json(items): Json<Vec<CatalogueItem>>) -> Response {
    match shared.watched.store.put_items(items).await {
        Ok(stocked) => Json(stocked).into_response(),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Products {
    /// Those behind this id.
    after: Option<String>,
    /// So many, 100 where nothing is said, 500 at most.
    max: Option<usize>,
}

/// Products as they are for sale, in order of their ids.
#[utoipa::path(get, path = "/api/catalogue", tag = "catalogue", params(Products),  responses((status = 200, body = Vec<CatalogueItem>)))]
pub async fn get_items(State(shared): State<Shared>, Query(asked): Query<Products>) -> Response {
    let (catalogue, most) = (shared.watched.store.catalogue(), asked.max.unwrap_or(100).clamp(1, 500));
    Json(catalogue.after(asked.after.as_deref()).take(most).collect::<Vec<_>>()).into_response()
}

/// Every pool of codes, counted.
#[utoipa::path(get, path = "/api/codes", tag = "catalogue",  responses((status = 200, body = Vec<PoolCount>)))]
pub async fn pools(State(shared): State<Shared>) -> Response {
    Json(shared.watched.store.pools()).into_response()
}

/// Puts codes at the end of a pool.
#[utoipa::path(post, path = "/api/codes/{pool}", tag = "catalogue", params(("pool" = String, Path)), request_body = Vec<String>,  responses((status = 200, body = Added), (status = 422, body = Message)))]
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

/// Messages that could not be read, newest first.
#[utoipa::path(get, path = "/api/set-aside", tag = "letters",  responses((status = 200, body = Vec<SetAside>)))]
pub async fn set_aside(State(shared): State<Shared>) -> Response {
    match shared.watched.store.set_aside_list(1_000).await {
        Ok(list) => Json(list).into_response(),
        Err(error) => refused(&error),
    }
}

/// Reads the trigger files again.
#[utoipa::path(post, path = "/api/triggers/reload", tag = "triggers",  responses((status = 200, body = Compiled), (status = 422, body = Vec<Mistake>), (status = 503, body = Message)))]
pub async fn reload(State(shared): State<Shared>) -> Response {
    match shared.reloads.ask().await {
        Some(Ok(compiled)) => Json(compiled).into_response(),
        Some(Err(mistakes)) => (StatusCode::UNPROCESSABLE_ENTITY, Json(mistakes)).into_response(),
        None => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": "the daemon is about to end" }))).into_response()
        }
    }
}
