//! Every change by hand is written down before it is made, and how it was answered after.

use std::sync::{Arc, Mutex};

use axum::extract::{MatchedPath, RawPathParams, Request, State};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::server::Shared;
use super::Caller;
use crate::store::audit::Asked;

/// What a route adds to its entry: which role, which role before. No personal data.
#[derive(Clone, Default)]
pub struct Note(Arc<Mutex<String>>);

impl Note {
    /// Says it; the last word counts.
    pub fn say(&self, words: impl Into<String>) {
        if let Ok(mut note) = self.0.lock() {
            *note = words.into();
        }
    }

    fn take(&self) -> String {
        self.0.lock().map(|mut note| std::mem::take(&mut *note)).unwrap_or_default()
    }
}

/// Notes a change, where it is one. What cannot be written down is not done.
pub async fn written(
    State(shared): State<Shared>,
    params: RawPathParams,
    mut request: Request,
    next: Next,
) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    }
    let by = request.extensions().get::<Caller>().map_or("nobody".into(), |caller| caller.name.clone());
    let path = request.extensions().get::<MatchedPath>().map_or_else(|| request.uri().path(), MatchedPath::as_str);
    let of: Vec<&str> = params.iter().map(|(_, value)| value).collect();
    let did = format!("{} {path}", request.method());
    let asked = Asked { at: shared.access.now(), by: (*by).into(), did: did.into(), of: of.join(" ").into() };
    let store = &shared.watched.store;
    let id = match store.audit(asked).await {
        Ok(id) => id,
        Err(error) => {
            let words = format!("nothing was changed, since the audit log cannot be written: {error}\n");
            return (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
        }
    };
    let note = Note::default();
    request.extensions_mut().insert(note.clone());
    let answer = next.run(request).await;
    if let Err(error) = store.audited(id, answer.status().as_u16(), &note.take()).await {
        tracing::warn!(reason = %error, entry = id, "how a change ended could not be written into the audit log");
    }
    answer
}
