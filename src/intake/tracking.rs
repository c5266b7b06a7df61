//! The Segment tracking API: whose key it is, which call, and the settings that browser libraries fetch first.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;

use super::accept::failure;
use super::body;
use super::server::{Shared, TrackingSource};
use crate::source::tracking::{self, Call};

/// `?writeKey=`, as beacons send it.
#[derive(Deserialize)]
pub struct Key {
    #[serde(rename = "writeKey")]
    write_key: Option<String>,
}

/// `/v1/track`, `/v1/t`, `/v1/batch` and the others.
pub async fn call(
    State(shared): State<Shared>,
    Path(call): Path<String>,
    Query(key): Query<Key>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let Some(call) = Call::from_path(&call) else { return failure(StatusCode::NOT_FOUND, "there is no such call") };
    let Ok(_permit) = shared.permits.try_acquire() else { return shared.accept.later("too many requests at once") };
    let bytes = match body::read(&headers, body, shared.request).await {
        Ok(bytes) => bytes,
        Err(answer) => return answer,
    };
    let written = named(&headers).or(key.write_key).or_else(|| tracking::write_key(&bytes));
    let Some(source) = written.and_then(|key| find(&shared, &key)) else {
        return failure(StatusCode::UNAUTHORIZED, "the write key is missing or wrong");
    };
    let now = shared.clock.now();
    match tracking::read(&bytes, call, &shared.arrival(&source.name, now)) {
        Ok(read) => shared.accept.read(read, &source.name, now, StatusCode::BAD_REQUEST).await,
        Err(refused) => shared.accept.refused(&refused, &source.name, &bytes, now),
    }
}

/// The key in the authorization header: Basic user name, or Bearer.
fn named(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    if let Some(token) = value.strip_prefix("Bearer ") {
        return Some(token.trim().to_owned());
    }
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, _) = text.split_once(':').unwrap_or((&text, ""));
    (!user.is_empty()).then(|| user.to_owned())
}

/// Compared in constant time, all of them.
fn find<'a>(shared: &'a Shared, key: &str) -> Option<&'a TrackingSource> {
    use subtle::ConstantTimeEq;
    let mut found = None;
    for source in &shared.tracking {
        if bool::from(source.write_key.expose().as_bytes().ct_eq(key.as_bytes())) {
            found = Some(source);
        }
    }
    found
}

/// `/v1/projects/{writeKey}/settings`: what Segment's browser library asks for, so that only hosts have to change.
pub async fn project_settings(State(shared): State<Shared>, Path(key): Path<String>, headers: HeaderMap) -> Response {
    if find(&shared, &key).is_none() {
        return failure(StatusCode::NOT_FOUND, "the write key is wrong");
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
    let scheme = headers.get("x-forwarded-proto").and_then(|p| p.to_str().ok()).unwrap_or("http");
    // The library puts the scheme before the host by itself, and takes it from `protocol`.
    let segment = json!({
        "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": scheme,
        "unbundledIntegrations": [], "addBundledMetadata": false, "maybeBundledConfigIds": {},
    });
    Json(json!({ "integrations": { "Segment.io": segment }, "plan": { "track": { "__default": { "enabled": true } } },
        "edgeFunction": {}, "analyticsNextEnabled": true, "middlewareSettings": {}, "enabledMiddleware": {},
        "metrics": { "sampleRate": 0 }, "remotePlugins": [] }))
    .into_response()
}

/// `/sourceConfig/?writeKey=`: the same for RudderStack's.
pub async fn source_config(State(shared): State<Shared>, Query(key): Query<Key>, headers: HeaderMap) -> Response {
    let key = key.write_key.or_else(|| named(&headers)).unwrap_or_default();
    let Some(source) = find(&shared, &key) else { return failure(StatusCode::NOT_FOUND, "the write key is wrong") };
    Json(json!({ "source": {
        "id": &*source.name, "name": &*source.name, "writeKey": key, "enabled": true, "destinations": [],
        "config": { "statsCollection": { "errors": { "enabled": false }, "metrics": { "enabled": false } } },
    } }))
    .into_response()
}
