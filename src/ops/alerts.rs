//! Alerts, for people: what fires, what is silenced, and whether receivers can be reached.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Extension, Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::{Caller, Documented};
use super::api::missing;
use super::server::Shared;
use crate::alerts::Kind;
use crate::model::Span;

/// What a silence is to cover, and for how long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
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
    let viewer = Router::new().route("/api/alerts", get(list));
    let operator = Router::new()
        .route("/api/alerts/test", post(test))
        .route("/api/alerts/silences", post(silence))
        .route("/api/alerts/silences/{id}", delete(unsilence));
    Documented { viewer: viewer.into(), operator: operator.into(), ..Documented::default() }
}

/// What fires, waits to fire, or is over and not yet told to be; silences; receivers.
pub async fn list(State(shared): State<Shared>) -> Response {
    Json(shared.watched.alerts.list()).into_response()
}

/// Which receiver is tried.
#[derive(Deserialize)]
pub struct Which {
    receiver: Option<String>,
}

/// Sends a message that says that it is a test.
pub async fn test(State(shared): State<Shared>, Query(which): Query<Which>) -> Response {
    match shared.watched.alerts.test(which.receiver.as_deref()).await {
        Ok(tested) => Json(tested).into_response(),
        Err(refused) => missing(&refused.to_string()),
    }
}

/// Begins a silence.
pub async fn silence(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<Wanted>,
) -> Response {
    match shared.watched.alerts.silence((wanted.kind, wanted.of), wanted.length, &caller.name).await {
        Ok(silence) => (StatusCode::CREATED, Json(silence)).into_response(),
        Err(refused) => {
            (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": refused.to_string() }))).into_response()
        }
    }
}

/// Ends one.
pub async fn unsilence(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    match shared.watched.alerts.unsilence(id).await {
        true => Json(json!({})).into_response(),
        false => missing("there is no silence of this number"),
    }
}
