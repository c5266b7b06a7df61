//! Dead letters as people see them.

use serde::{Deserialize, Serialize};

use super::explain::attempt;
use crate::model::Span;
use crate::store::DeadLetter;

/// Dead letters and messages listed at once.
pub const MOST: usize = 10_000;
/// A dead letter that is replayed has so long to reach the vendor.
pub const REPLAY: Span = Span::from_hours(24);

/// Why a broken one stays where it is.
pub const BROKEN: &str = "its payload could not be said, so there is nothing to send; mend the trigger, and drop it";

/// A dead letter for people.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// To replay or drop it by.
    pub id: u64,
    /// Which lane.
    pub lane: String,
    /// Which trigger.
    pub trigger: String,
    /// The occasion.
    pub occasion: String,
    /// The edge.
    pub at: String,
    /// When it was given up.
    pub dead: String,
    /// Why, in the vendor's words.
    pub why: String,
    /// All tries.
    pub attempts: Vec<String>,
    /// What was to be sent.
    pub payload: serde_json::Value,
}

impl Shown {
    /// Of a dead letter.
    pub fn of(letter: &DeadLetter) -> Self {
        let tries: Vec<String> = letter.attempts.iter().map(|a| format!("{}: {}", a.at, attempt(a))).collect();
        Self {
            id: letter.id.0,
            lane: letter.activation.lane.to_string(),
            trigger: letter.activation.trigger.to_string(),
            occasion: letter.activation.occasion.to_string(),
            at: letter.activation.at.to_string(),
            dead: letter.at.to_string(),
            why: letter.attempts.last().map(attempt).unwrap_or_default(),
            attempts: tries,
            payload: letter.activation.payload.to_value(),
        }
    }
}
