//! The store's own upkeep: made small, backed up, and which backups there are.

use std::path::Path;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::access::Routes;
use super::api::{missing, refused};
use super::server::Shared;
use crate::model::Span;
use crate::store::{Backup, backup};

/// A backup that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// Its folder, by its whole path, where the daemon may write: new, or empty.
    pub folder: String,
    /// How long it will be kept, in milliseconds; none where nobody says.
    #[serde(default)]
    pub keep_ms: Option<i64>,
}

/// A backup that is gone.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Gone {
    /// Its folder, as it was known.
    pub folder: String,
}

/// These routes, by the role that they ask for.
pub fn routes() -> Routes {
    Routes {
        viewer: Router::new().route("/api/store/backups", get(backups)),
        operator: Router::new().route("/api/store/compact", post(compact)),
        admin: Router::new().route("/api/store/backup", post(back_up)).route("/api/store/backups/gone", post(gone)),
    }
}

async fn compact(State(shared): State<Shared>) -> Response {
    match shared.watched.store.compact(shared.watched.clock.now()).await {
        Ok(position) => Json(json!({ "position": position.0 })).into_response(),
        Err(error) => refused(&error),
    }
}

async fn back_up(State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Response {
    if !Path::new(&wanted.folder).is_absolute() {
        let message = "name the folder by its whole path: the daemon may run elsewhere";
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": message }))).into_response();
    }
    let now = shared.watched.clock.now();
    let kept_until = wanted.keep_ms.map(|ms| now + Span::from_millis(ms));
    let wanted = Backup { folder: wanted.folder, at: now, kept_until };
    match backup::make(&*shared.watched.store, wanted, now).await {
        Ok(made) => Json(made).into_response(),
        Err(error) => refused(&error),
    }
}

async fn backups(State(shared): State<Shared>) -> Response {
    match backup::known(&*shared.watched.store).await {
        Ok(known) => Json(known).into_response(),
        Err(error) => refused(&error),
    }
}

async fn gone(State(shared): State<Shared>, Json(Gone { folder }): Json<Gone>) -> Response {
    match backup::gone(&*shared.watched.store, &folder).await {
        Ok(true) => Json(json!({ "folder": folder })).into_response(),
        Ok(false) => missing("no backup is known in this folder"),
        Err(error) => refused(&error),
    }
}
