//! Pluggable sources: how a message is verified and mapped to events. Builds and reads; does no I/O.
//!
//! A source that listens is given the bytes of one request and says which events it holds and which parts of it could
//! not be read. Pulling sources will stand beside it.

pub mod audit;
pub mod catalogue;
pub mod endpoint;
pub mod fixture;
pub mod manifest;
pub mod mapping;
pub mod process;
mod raw;
pub mod signature;
pub mod stream;
pub mod subscriptions;
pub mod tracking;
pub mod volume;
pub mod webhook;

use std::sync::Arc;

use crate::identity;
use crate::model::{Event, Identifier, IdentifierKind, Span, Timestamp};

/// How far ahead of its arrival an event may claim to be.
const AHEAD: Span = Span::from_minutes(10);

/// What every mapping is told.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// The source's name in the configuration.
    pub source: &'a Arc<str>,
    /// When the request came.
    pub at: Timestamp,
    /// What counts as a name.
    pub names: &'a identity::Settings,
    /// Bounds of one request.
    pub limits: &'a Limits,
}

/// Bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one message.
    pub message: usize,
    /// Messages in one batch.
    pub messages: usize,
}

/// What a request held.
#[derive(Clone, Debug, Default)]
pub struct Read {
    /// Mapped, normalised, in the order of the request.
    pub events: Vec<Event>,
    /// What could not be read.
    pub rejected: Vec<Rejected>,
    /// Events whose claimed time lay in the future and was clamped.
    pub clamped: usize,
    /// Messages of a topic that nothing is mapped from: answered 200, counted.
    pub ignored: usize,
    /// Messages that are only to be acknowledged, such as a request for a customer's data.
    pub acknowledged: usize,
}

/// A message, or a part of one, that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the request, from 0.
    pub index: usize,
    /// Its id, where it has one.
    pub message_id: Option<String>,
    /// What is wrong with it; no personal data, safe for an answer.
    pub reason: String,
    /// Itself, as it came.
    pub body: String,
}

/// Why nothing of a request is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Answered 400.
    #[error("{0}")]
    Unreadable(String),
    /// Answered 413.
    #[error("{0}")]
    TooLarge(String),
    /// Answered 401.
    #[error("{0}")]
    Unauthorized(String),
}

/// The instant of an event and, where it claims to be from the future, the claim.
fn when(claimed: Option<Timestamp>, arrived: Timestamp) -> (Timestamp, Option<Timestamp>) {
    match claimed {
        Some(at) if at > arrived + AHEAD => (arrived, Some(at)),
        Some(at) => (at, None),
        None => (arrived, None),
    }
}

/// Below this a number counts seconds, not milliseconds: 1e11 ms is in 1973, 1e11 s in the year 5138.
const SECONDS_BELOW: f64 = 1e11;

/// The instant that a number of seconds or milliseconds since 1970 says.
fn epoch(number: f64) -> Option<Timestamp> {
    let ms = if number.abs() < SECONDS_BELOW { number * 1_000.0 } else { number };
    (ms.abs() < Timestamp::MAX.as_millis() as f64).then(|| Timestamp::from_millis(ms.round() as i64))
}

/// Adds a name, normalised and once. True when it names somebody.
fn names(known: &mut Vec<Identifier>, kind: IdentifierKind, value: &str, settings: &identity::Settings) -> bool {
    let Some(name) = identity::normalise(kind, value, settings) else { return false };
    if !known.contains(&name) {
        known.push(name);
    }
    true
}

/// A file of the sample data that lies beside the repository; none, and a line saying so, where it does not.
#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn shared(path: &str) -> Option<Vec<u8>> {
    let beside = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared").to_owned();
    let root = std::env::var("ESPALIER_SHARED").unwrap_or_else(|_| beside());
    let found = std::fs::read(format!("{root}/{path}")).ok();
    if found.is_none() {
        eprintln!("skipped: there is no {path} here");
    }
    found
}
