//! Custom endpoints: whatever path and fields the configuration says.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::accept::failure;
use super::body;
use super::server::Shared;
use crate::source::endpoint::Auth;

/// Every path that no other route has.
pub async fn receive(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Some((name, endpoint)) = shared.endpoints.get(parts.uri.path()) else {
        return failure(StatusCode::NOT_FOUND, "there is nothing here");
    };
    if parts.method != Method::POST {
        return failure(StatusCode::METHOD_NOT_ALLOWED, "this takes POST");
    }
    if !is_let_in(&endpoint.settings().auth, &parts.headers) {
        return failure(StatusCode::UNAUTHORIZED, "the token is missing or wrong");
    }
    let Ok(_permit) = shared.permits.try_acquire() else { return shared.accept.later("too many requests at once") };
    let bytes = match take(&shared, &parts.headers, body).await {
        Ok(bytes) => bytes,
        Err(answer) => return answer,
    };
    let now = shared.clock.now();
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok());
    match endpoint.read(&bytes, kind, &shared.arrival(name, now)) {
        Ok(read) => shared.accept.read(read, name, now, StatusCode::BAD_REQUEST).await,
        Err(refused) => shared.accept.refused(&refused, name, &bytes, now),
    }
}

async fn take(shared: &Shared, headers: &HeaderMap, body: Body) -> Result<axum::body::Bytes, Response> {
    body::read(headers, body, shared.request).await
}

fn is_let_in(auth: &Auth, headers: &HeaderMap) -> bool {
    match auth {
        Auth::None => true,
        Auth::Token { header, secrets } => {
            let given = headers.get(header.as_str()).and_then(|v| v.to_str().ok()).unwrap_or_default();
            let given = given.strip_prefix("Bearer ").unwrap_or(given);
            // All are compared, so that the time says nothing.
            secrets.iter().fold(false, |found, s| found | bool::from(s.expose().as_bytes().ct_eq(given.as_bytes())))
        }
    }
}
