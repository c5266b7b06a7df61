//! Pluggable sources: how a message is verified and mapped to events. Builds and reads; does no I/O.
//!
//! A source that listens is given the bytes of one request and says which events it holds and which parts of it could
//! not be read. Pulling sources will stand beside it.

pub mod endpoint;
pub mod manifest;
pub mod mapping;
pub mod signature;
pub mod tracking;
pub mod webhook;

use std::sync::Arc;

use crate::identity;
use crate::model::{Event, Timestamp};

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
