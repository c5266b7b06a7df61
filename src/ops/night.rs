//! The nights, as people see them.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::api::{Message, refused};
use super::server::Shared;
use super::trouble::{Trouble, TroubleKind};
use crate::model::{Span, Timestamp};
use crate::reconcile::{NightState, Report, Running, Wanted, recent};

/// Reports shown at once.
pub(super) const SHOWN: usize = 30;
/// What troubles of a night are about: the next one's take the place of its own.
pub(super) const THE_NIGHT: &str = "the night";

/// The last night, and the next.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct NightHealth {
    /// The one that is under way.
    pub running: Option<Running>,
    /// When the next is due; none where they are off.
    pub next: Option<Timestamp>,
    /// The last one.
    pub last: Option<Report>,
    /// What the last one found, in words.
    pub findings: Vec<String>,
}

impl NightHealth {
    pub(super) fn of(state: &NightState) -> Self {
        let NightState { running, next, last, .. } = state.clone();
        let findings = last.as_ref().map(Report::findings).unwrap_or_default();
        Self { running, next, last, findings }
    }

    /// For how long a night is due, or under way; nothing while none is.
    pub(super) fn overdue(&self, now: Timestamp) -> Span {
        let due = self.running.as_ref().map(|running| running.of).into_iter().chain(self.next).min();
        due.map_or(Span::ZERO, |due| now.since(due))
    }

    /// What is wrong.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        if self.findings.is_empty() {
            return Vec::new();
        }
        let n = self.findings.len();
        let of = self.last.as_ref().map(|report| format!("of {} UTC ", report.of.minute())).unwrap_or_default();
        let words = format!("{of}found {n} {}", if n == 1 { "thing" } else { "things" });
        vec![
            Trouble::new(TroubleKind::NightDiffers, THE_NIGHT, words)
                .mended_by("`espalier reconcile show`")
                .since(self.last.as_ref().map(|report| report.ended)),
        ]
    }
}

/// The reports that are kept, newest first.
#[utoipa::path(get, path = "/api/nights", tag = "nights",  responses((status = 200, body = Vec<Report>)))]
pub async fn reports(State(shared): State<Shared>) -> Response {
    match recent(&*shared.watched.store, SHOWN).await {
        Ok(reports) => Json(reports).into_response(),
        Err(error) => refused(&error),
    }
}

/// How nights are now.
#[utoipa::path(get, path = "/api/nights/state", tag = "nights",  responses((status = 200, body = NightState)))]
pub async fn state(State(shared): State<Shared>) -> Response {
    let state = shared.watched.nights.state.borrow().clone();
    Json(state).into_response()
}

/// That one began.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Begun {}

/// Begins one.
#[utoipa::path(post, path = "/api/nights", tag = "nights", request_body = Wanted,  responses((status = 202, body = Begun), (status = 409, body = Message)))]
pub async fn begin(State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Response {
    match shared.watched.nights.begin(wanted) {
        Ok(()) => (StatusCode::ACCEPTED, Json(Begun {})).into_response(),
        Err(busy) => (StatusCode::CONFLICT, Json(json!({ "message": busy.to_string() }))).into_response(),
    }
}
