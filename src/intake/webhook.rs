//! Webhooks: verify the raw body, map, accept.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::accept::failure;
use super::body;
use super::server::Shared;

/// `/hooks/{source}`
pub async fn receive(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some((name, webhooks)) = shared.webhooks.get_key_value(name.as_str()) else {
        return failure(StatusCode::NOT_FOUND, "there is no such webhook");
    };
    let Ok(_permit) = shared.permits.try_acquire() else { return shared.accept.later("too many requests at once") };
    let bytes = match body::read(&headers, body, shared.request).await {
        Ok(bytes) => bytes,
        Err(answer) => return answer,
    };
    let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
    if webhooks.is_ping(&header, &bytes) {
        return StatusCode::OK.into_response();
    }
    let now = shared.clock.now();
    let read =
        webhooks.verify(&header, &bytes).and_then(|()| webhooks.read(&header, &bytes, &shared.arrival(name, now)));
    match read {
        Ok(read) => {
            // A vendor that is told of errors stops sending: only what is no JSON at all is refused, the rest set aside.
            let is_json = read.rejected.is_empty() || serde_json::from_slice::<serde::de::IgnoredAny>(&bytes).is_ok();
            let on_nothing = if is_json { StatusCode::OK } else { StatusCode::BAD_REQUEST };
            shared.accept.read(read, name, now, on_nothing).await
        }
        Err(refused) => shared.accept.refused(&refused, name, &bytes, now),
    }
}
