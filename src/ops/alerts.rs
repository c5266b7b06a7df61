//! Alerts, for people: what fires, what is silenced, and whether receivers can be reached.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Caller, Documented};
use super::api::{Done, Message, missing};
use super::server::Shared;
use crate::alerts::{Kind, Listing, Refused, Silence, Tested};
use crate::model::Span;

/// What a silence is to cover, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SilenceWanted)]
pub struct Wanted {
    /// Only this kind; all without it.
    pub kind: Option<Kind>,
    /// Only what is about this: `lane klaviyo`; everything without it.
    pub of: Option<String>,
    /// From now on, for so long.
    #[serde(rename = "for")]
    pub length: Span,
}

/// Every route, by the role that it asks for.
pub fn routes() -> Documented {
    Documented {
        viewer: OpenApiRouter::new().routes(routes!(list)),
        operator: OpenApiRouter::new().routes(routes!(test)).routes(routes!(silence)).routes(routes!(unsilence)),
        ..Documented::default()
    }
}

/// What fires, waits to fire, or is over and not yet told to be; silences; receivers.
#[utoipa::path(get, path = "/api/alerts", tag = "alerts", responses((status = 200, body = Listing)))]
pub async fn list(State(shared): State<Shared>) -> Response {
    Json(shared.watched.alerts.list()).into_response()
}

/// Which receiver is tried.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Which {
    /// Its name; all without it.
    receiver: Option<String>,
}

/// Sends a message that says that it is a test.
#[utoipa::path(post, path = "/api/alerts/test", tag = "alerts", params(Which),
    responses((status = 200, body = Vec<Tested>), (status = 404, body = Message)))]
pub async fn test(State(shared): State<Shared>, Query(which): Query<Which>) -> Response {
    match shared.watched.alerts.test(which.receiver.as_deref()).await {
        Ok(tested) => Json(tested).into_response(),
        Err(refused) => missing(&refused.to_string()),
    }
}

/// Begins a silence.
#[utoipa::path(post, path = "/api/alerts/silences", tag = "alerts", request_body = Wanted,
    responses((status = 201, body = Silence), (status = 422, body = Message), (status = 503, body = Message)))]
pub async fn silence(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<Wanted>,
) -> Response {
    match shared.watched.alerts.silence((wanted.kind, wanted.of), wanted.length, &caller.name).await {
        Ok(silence) => (StatusCode::CREATED, Json(silence)).into_response(),
        Err(refused) => unprocessed(&refused),
    }
}

fn unprocessed(refused: &Refused) -> Response {
    let status = match refused {
        Refused::NotYet => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(json!({ "message": refused.to_string() }))).into_response()
}

/// Ends one.
#[utoipa::path(delete, path = "/api/alerts/silences/{id}", tag = "alerts", params(("id" = u64, Path)),
    responses((status = 200, body = Done), (status = 404, body = Message), (status = 422, body = Message),
    (status = 503, body = Message)))]
pub async fn unsilence(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    match shared.watched.alerts.unsilence(id).await {
        Ok(true) => Json(Done { done: true }).into_response(),
        Ok(false) => missing("there is no silence of this number"),
        Err(refused) => unprocessed(&refused),
    }
}
