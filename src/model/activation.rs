//! One trigger, one person, one occasion: what a lane carries to the vendor.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Action, Identifier, PersonId, RawJson, Timestamp};

/// The name of a destination account in the configuration, and of its queue.
pub type LaneName = Arc<str>;

/// 0 to 100; higher goes first.
pub type Priority = u8;

/// The edge at which a trigger became true: the idempotency key at every vendor.
///
/// 16 bytes of BLAKE3 over (trigger, its version of meaning, canonical identifier at first fire, key, edge).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OccasionId(pub [u8; 16]);

/// One trigger, one person, one occasion, one payload, for one destination.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Activation {
    /// The idempotency key. With `lane` and `action` it is unique.
    pub occasion: OccasionId,
    /// For which destination account.
    pub lane: LaneName,
    /// Which trigger fired.
    pub trigger: Arc<str>,
    /// For whom.
    pub person: PersonId,
    /// The person's names at the edge. Never empty, but for an erasure that is done.
    pub identifiers: Vec<Identifier>,
    /// Traits that a vendor's profile takes (names, locale ...): a JSON object.
    pub traits: RawJson,
    /// The key of `per`; empty without one.
    pub key: Box<str>,
    /// The edge: when the condition became true.
    pub at: Timestamp,
    /// What the vendor is to do.
    pub action: Action,
    /// Higher goes first.
    pub priority: Priority,
    /// Not sent after this.
    pub expires_at: Timestamp,
    /// Not sent before this: when quiet hours, or the wait for a night, end.
    pub not_before: Option<Timestamp>,
    /// What the marketer's template gets: a JSON object.
    pub payload: RawJson,
    /// Why it must not be sent, in words without personal data: a template could not say its part. It goes straight to
    /// the dead letters.
    pub broken: Option<Box<str>>,
}

impl Activation {
    /// For `not_before`: until the trigger is resumed.
    pub const HELD: Timestamp = Timestamp::MAX;

    /// It waits until somebody resumes its trigger.
    pub fn is_held(&self) -> bool {
        self.not_before == Some(Self::HELD)
    }

    /// When it can first have left.
    pub fn leaves_from(&self) -> Timestamp {
        self.not_before.map_or(self.at, |not_before| not_before.max(self.at))
    }

    /// The same without whose it is.
    #[must_use]
    pub fn nameless(&self) -> Self {
        Self { identifiers: Vec::new(), traits: RawJson::empty(), ..self.clone() }
    }
}

impl OccasionId {
    /// Of the word that it is not valid any more: one for each occasion.
    pub fn voided(self) -> Self {
        Self::of_parts(&[b"void ", &self.0])
    }

    pub(super) fn of_parts(parts: &[&[u8]]) -> Self {
        let mut id = [0; 16];
        let mut hash = blake3::Hasher::new();
        for part in parts {
            hash.update(part);
        }
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Self(id)
    }

    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        hex::decode_to_slice(text, &mut id).ok()?;
        Some(Self(id))
    }
}

impl fmt::Display for OccasionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for OccasionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
