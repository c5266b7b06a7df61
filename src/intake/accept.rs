//! Append, wait for the disk, answer. Full or unwritable becomes 503 with Retry-After.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::sync::mpsc;

use crate::clock::SharedClock;
use crate::model::{Position, Span, Timestamp};
use crate::source::volume::Tally;
use crate::source::{Read, Refused};
use crate::store::{AppendError, SetAside, Store};
use crate::trace::{self, TraceId};

/// Messages waiting to be set aside; more are only counted.
const ASIDE_QUEUE: usize = 1_000;
/// Bytes of a message that are kept for inspection.
const ASIDE_BYTES: usize = 32 << 10;

/// The way into the store, shared by all routes.
pub struct Accept {
    store: Arc<dyn Store>,
    aside: mpsc::Sender<SetAside>,
    retry_after: HeaderValue,
    clock: SharedClock,
    /// How much comes of each source.
    tallies: HashMap<Arc<str>, Tally>,
    /// The last request could not be kept.
    refuses: AtomicBool,
}

impl Accept {
    /// With a task beside it that keeps unreadable messages.
    pub fn new(
        (store, clock): (Arc<dyn Store>, SharedClock),
        retry_after: Span,
        tallies: HashMap<Arc<str>, Tally>,
    ) -> Self {
        let (aside, mut waiting) = mpsc::channel::<SetAside>(ASIDE_QUEUE);
        let keeper = store.clone();
        tokio::spawn(async move {
            let mut several = Vec::new();
            while waiting.recv_many(&mut several, 100).await > 0 {
                if let Err(refused) = keeper.set_aside(std::mem::take(&mut several)).await {
                    tracing::warn!(reason = %refused, "unreadable messages could not be kept for inspection");
                }
            }
        });
        let seconds = retry_after.as_millis().div_euclid(1_000).max(1);
        let retry_after = HeaderValue::from(seconds);
        Self { store, aside, retry_after, clock, tallies, refuses: AtomicBool::new(false) }
    }

    /// Keeps what was read, then answers: 200, `on_nothing` when nothing could be read, 503 when nothing could be kept.
    pub async fn read(&self, read: Read, source: &Arc<str>, now: Timestamp, on_nothing: StatusCode) -> Response {
        let taken = read.events.len();
        let count = |what: &'static str, n: usize| {
            if n > 0 {
                metrics::counter!("espalier_intake_messages_total", "source" => source.to_string(), "result" => what)
                    .increment(n as u64);
            }
        };
        if !read.events.is_empty() {
            let traced = trace::is_on().then(|| read.events.iter().map(|event| event.at).collect::<Vec<_>>());
            let began = self.clock.now();
            match self.store.append(read.events, None).await {
                Ok(last) => self.trace(&traced.unwrap_or_default(), last, source, (now, began)),
                Err(error) => {
                    count("refused", taken);
                    return self.unavailable(&error);
                }
            }
        }
        if taken > 0 && self.refuses.load(Ordering::Relaxed) && self.refuses.swap(false, Ordering::Relaxed) {
            tracing::info!("intake accepts again");
        }
        if let Some(tally) = self.tallies.get(source) {
            tally.count(taken as u64);
        }
        count("accepted", taken);
        count("rejected", read.rejected.len());
        count("clamped", read.clamped);
        count("ignored", read.ignored);
        let mut rejected = Vec::with_capacity(read.rejected.len());
        for one in read.rejected {
            rejected.push(json!({ "index": one.index, "messageId": one.message_id, "reason": one.reason }));
            self.keep_aside(source, &one.reason, &one.body, now);
        }
        match (taken, rejected.is_empty()) {
            (_, true) => success(),
            (0, false) => (on_nothing, Json(json!({ "success": false, "rejected": rejected }))).into_response(),
            (_, false) => Json(json!({ "success": true, "rejected": rejected })).into_response(),
        }
    }

    /// Tells of the events up to the `last`, by their times: taken at `now`, and given to the journal when that `began`.
    fn trace(&self, events: &[Timestamp], last: Position, source: &Arc<str>, (now, began): (Timestamp, Timestamp)) {
        let ended = self.clock.now();
        for (back, at) in events.iter().rev().enumerate() {
            let position = Position(last.0.saturating_sub(back as u64));
            let trace = TraceId::of_event(position, *at);
            trace::tell(trace::Span::new(trace, "accept", (now, ended)).root().with("source", &**source));
            trace::tell(trace::Span::new(trace, "journal", (began, ended)));
        }
    }

    /// Nothing of the request is taken.
    pub fn refused(&self, refused: &Refused, source: &Arc<str>, body: &[u8], now: Timestamp) -> Response {
        let status = match refused {
            Refused::Unreadable(_) => StatusCode::BAD_REQUEST,
            Refused::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Refused::Unauthorized(_) => StatusCode::UNAUTHORIZED,
        };
        let result = if status == StatusCode::UNAUTHORIZED { "unauthorized" } else { "unreadable" };
        metrics::counter!("espalier_intake_messages_total", "source" => source.to_string(), "result" => result)
            .increment(1);
        if status == StatusCode::BAD_REQUEST {
            self.keep_aside(source, &refused.to_string(), &String::from_utf8_lossy(body), now);
        }
        failure(status, &refused.to_string())
    }

    fn keep_aside(&self, source: &Arc<str>, reason: &str, body: &str, now: Timestamp) {
        let cut = (0..=ASIDE_BYTES.min(body.len())).rev().find(|i| body.is_char_boundary(*i)).unwrap_or(0);
        let aside = SetAside { at: now, source: source.clone(), reason: reason.into(), body: body[..cut].into() };
        if self.aside.try_send(aside).is_err() {
            metrics::counter!("espalier_intake_aside_dropped_total").increment(1);
        }
    }

    fn unavailable(&self, error: &AppendError) -> Response {
        let words = match error {
            AppendError::Full { .. } => "the backlog is over its mark; send this again later",
            AppendError::Unavailable(_) | AppendError::Elsewhere => {
                "the message could not be kept; send it again later"
            }
        };
        // Said once, however many are refused.
        if !self.refuses.swap(true, Ordering::Relaxed) {
            tracing::warn!(reason = %error, "intake refuses with 503");
        }
        self.later(words)
    }

    /// 503: the same request is welcome later.
    pub fn later(&self, words: &str) -> Response {
        let mut answer = failure(StatusCode::SERVICE_UNAVAILABLE, words);
        answer.headers_mut().insert(header::RETRY_AFTER, self.retry_after.clone());
        answer
    }
}

/// What the libraries expect.
pub fn success() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], "{\"success\":true}").into_response()
}

/// An error in words that hold nothing of the message.
pub fn failure(status: StatusCode, words: &str) -> Response {
    (status, Json(json!({ "success": false, "message": words }))).into_response()
}
