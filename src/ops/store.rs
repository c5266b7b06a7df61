//! The store's own upkeep: made small, backed up, and which backups there are.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::Documented;
use super::api::{Message, missing, refused};
use super::server::Shared;
use super::trouble::{Trouble, TroubleKind};
use crate::model::{Span, Timestamp};
use crate::store::{BackedUp, Backup, StoreError, backup};

/// A backup that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BackupWanted)]
pub struct Wanted {
    /// Its folder, by its whole path, where the daemon may write: new, or empty.
    pub folder: String,
    /// How long it will be kept, in milliseconds; none where nobody says.
    #[serde(default)]
    pub keep_ms: Option<i64>,
}

/// A backup that is gone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = BackupGone)]
pub struct Gone {
    /// Its folder, as it was known.
    pub folder: String,
}

/// That the store was made small.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
pub struct Compacted {
    /// The newest event that a restart need not read again.
    pub position: u64,
}

/// The backups of `[store] backup`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackupHealth {
    /// When the newest that is whole was begun; none before the first.
    pub last: Option<Timestamp>,
    /// That the one after it could not be made.
    pub failed: Option<BackupFailed>,
}

/// That the last backup of `[store] backup` could not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct BackupFailed {
    /// When it was first tried in vain.
    pub since: Timestamp,
    /// Why, of the last try.
    pub words: String,
}

impl BackupFailed {
    pub(super) fn trouble(&self) -> Trouble {
        Trouble::new(TroubleKind::BackupFailed, "the backup", format!("could not be made: {}", self.words))
            .mended_by("`espalier store backup FOLDER` tries it at once")
            .since(self.since)
    }
}

/// The routes.
pub fn routes() -> Documented {
    Documented {
        viewer: OpenApiRouter::new().routes(routes!(backups)),
        operator: OpenApiRouter::new().routes(routes!(compact)),
        admin: OpenApiRouter::new().routes(routes!(back_up)).routes(routes!(gone)),
    }
}

/// Does it to its end, whether or not whoever asked for it is still there.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
) -> Result<T, StoreError> {
    let badly = |_| StoreError::Unavailable("it ended badly; the daemon's log says more".into());
    tokio::spawn(work).await.map_err(badly)?
}

/// Others are at it: whoever asks again and again must not have them wait in a row.
fn busy() -> Response {
    let message = "the store is being backed up or made small already; ask again when that is done";
    (StatusCode::CONFLICT, Json(json!({ "message": message }))).into_response()
}

/// Writes a snapshot, and removes the journal that it covers and that is old enough.
#[utoipa::path(post, path = "/api/store/compact", tag = "store",
    responses((status = 200, body = Compacted), (status = 409, body = Message), (status = 503, body = Message)))]
async fn compact(State(shared): State<Shared>) -> Response {
    let Ok(alone) = shared.upkeep.clone().try_lock_owned() else { return busy() };
    let (store, now) = (shared.watched.store.clone(), shared.watched.clock.now());
    let work = async move {
        let _alone = alone;
        store.compact(now).await
    };
    match to_its_end(work).await {
        Ok(position) => Json(Compacted { position: position.0 }).into_response(),
        Err(error) => refused(&error),
    }
}

/// Copies the store to a folder of the daemon's machine; answers when it is done, which may take long.
#[utoipa::path(post, path = "/api/store/backup", tag = "store", request_body = Wanted,
    responses((status = 200, body = BackedUp), (status = 409, body = Message), (status = 422, body = Message),
        (status = 503, body = Message)))]
async fn back_up(State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Response {
    if !Path::new(&wanted.folder).is_absolute() {
        let message = "name the folder by its whole path: the daemon may run elsewhere";
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(json!({ "message": message }))).into_response();
    }
    let Ok(alone) = shared.upkeep.clone().try_lock_owned() else { return busy() };
    let (store, now) = (shared.watched.store.clone(), shared.watched.clock.now());
    let kept_until = wanted.keep_ms.map(|ms| now + Span::from_millis(ms));
    let wanted = Backup { folder: wanted.folder, at: now, kept_until };
    let work = async move {
        let _alone = alone;
        backup::make(&*store, wanted, now).await
    };
    match to_its_end(work).await {
        Ok(made) => Json(made).into_response(),
        Err(error) => refused(&error),
    }
}

/// The backups that are known, the oldest first.
#[utoipa::path(get, path = "/api/store/backups", tag = "store",
    responses((status = 200, body = Vec<Backup>), (status = 503, body = Message)))]
async fn backups(State(shared): State<Shared>) -> Response {
    match backup::known(&*shared.watched.store).await {
        Ok(known) => Json(known).into_response(),
        Err(error) => refused(&error),
    }
}

/// Notes that a backup is gone: receipts of erasures tell of it no more.
#[utoipa::path(post, path = "/api/store/backups/gone", tag = "store", request_body = Gone,
    responses((status = 200, body = Gone), (status = 404, body = Message), (status = 503, body = Message)))]
async fn gone(State(shared): State<Shared>, Json(Gone { folder }): Json<Gone>) -> Response {
    let (store, at) = (shared.watched.store.clone(), folder.clone());
    match to_its_end(async move { backup::gone(&*store, &at).await }).await {
        Ok(true) => Json(Gone { folder }).into_response(),
        Ok(false) => missing("no backup is known in this folder"),
        Err(error) => refused(&error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it_any_more() {
        let (begins, begun) = tokio::sync::oneshot::channel();
        let (go_on, told) = tokio::sync::oneshot::channel();
        let (ends, ended) = tokio::sync::oneshot::channel();
        let caller = tokio::spawn(to_its_end(async move {
            begins.send(()).expect("a test");
            let word: u8 = told.await.expect("a word");
            ends.send(word).expect("a test");
            Ok(())
        }));
        begun.await.expect("work");
        caller.abort();
        assert!(caller.await.expect_err("it has left").is_cancelled());
        go_on.send(7).expect("work that waits");
        assert_eq!(ended.await, Ok(7));
        let told = to_its_end::<()>(async { panic!("a test's") }).await.expect_err("it ended badly");
        assert!(told.to_string().contains("ended badly"));
    }
}
