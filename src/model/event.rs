//! One thing that happened, as every source's message looks after mapping.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Identifier, RawJson, Timestamp};

/// A place in the journal: the number of the event, counted from 1. Arrival order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Position(pub u64);

/// A step of the engine, by its number in the journal, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId(pub u64);

/// Hash of what makes a message the same message: its id, or (source, object, version).
pub type DedupeKey = [u8; 16];

/// What an event asks to be done with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// Something the person did: remembered in the history and read by triggers.
    Did,
    /// Only identifiers and traits; no history.
    Identify,
    /// Says outright that its identifiers are one person: the only thing that joins two accounts.
    Alias,
    /// The source demands that the person is forgotten (privacy request).
    Erase,
    /// Says outright that its identifiers are somebody else than who goes by them: they leave, with what was done under
    /// them, and are never joined with that person again, but by an alias.
    Unlink,
    /// The source demands that the person sees what is kept of them.
    Access,
}

/// Which sort of system saw it. Only tracking events make sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// The tracking API or the browser snippet.
    Tracking,
    /// A shop, CRM, form endpoint or file.
    System,
    /// An e-mail platform reporting opens, clicks, bounces.
    Email,
}

/// What Segment's specification names for e-mail: said of a message that was sent, not of a visit, so it makes no session.
const OF_EMAIL: [&str; 6] =
    ["Email Delivered", "Email Opened", "Email Link Clicked", "Email Bounced", "Email Marked as Spam", "Unsubscribed"];

impl Origin {
    /// True for the name of an event that an e-mail platform reports.
    pub fn is_of_email(name: &str) -> bool {
        OF_EMAIL.contains(&name)
    }
}

/// One thing that happened to somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// What is to be done with it.
    pub kind: EventKind,
    /// Name in the Segment e-commerce vocabulary: `Product Added`. Trimmed, case kept. Empty unless `kind` is `Did`.
    pub name: Arc<str>,
    /// When it happened. At most 10 minutes after `arrived`: beyond that it is clamped to `arrived`.
    pub at: Timestamp,
    /// What the sender claimed, where `at` was clamped.
    pub claimed_at: Option<Timestamp>,
    /// When intake took it. Never decreases along the journal.
    pub arrived: Timestamp,
    /// The name of the source in the configuration.
    pub source: Arc<str>,
    /// Which sort of system saw it.
    pub origin: Origin,
    /// The event is a repetition if **any** of these was seen within the window. At least one.
    pub dedupe: Vec<DedupeKey>,
    /// Normalised and free of blocked values. At least one.
    pub identifiers: Vec<Identifier>,
    /// `context.sessionId`, where the client sends it.
    pub session: Option<Box<str>>,
    /// A JSON object.
    pub properties: RawJson,
    /// A JSON object of traits to set on the person; empty when there are none.
    pub traits: RawJson,
}

impl Event {
    /// The strongest name it has, by kind, then by value.
    pub fn strongest(&self) -> Option<&Identifier> {
        self.identifiers.iter().min()
    }

    /// The key of one message: 16 bytes of BLAKE3 over the parts, each with its length.
    pub fn dedupe_key(parts: &[&str]) -> DedupeKey {
        let mut hash = blake3::Hasher::new();
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part.as_bytes());
        }
        let mut key = [0; 16];
        key.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        key
    }
}
