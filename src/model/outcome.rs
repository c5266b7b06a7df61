//! What became of one activation at the vendor.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// What the vendor's answer means for one record, named by what the lane does next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// The vendor has it.
    Accepted,
    /// The vendor had this occasion already: settled.
    Duplicate,
    /// Keeps its place; a durable timer brings it back.
    Later {
        /// Not tried before this.
        not_before: Timestamp,
        /// Why, in the vendor's or our words; no personal data.
        words: Box<str>,
        /// True when the failure was the vendor's limit and not an error: it costs no try.
        is_throttled: bool,
        /// True when the vendor may have taken it all the same: whoever has no dedupe key looks before a resend.
        may_have_left: bool,
    },
    /// Never to be sent as it is: a dead letter, in the vendor's words.
    Refused {
        /// The vendor's code, or ours.
        code: Box<str>,
        /// The vendor's words, redacted.
        words: Box<str>,
    },
    /// Its time ran out while it waited.
    Expired,
    /// A late event took its reason away before it left.
    Cancelled,
}

/// One try, kept with the activation for `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When the answer came.
    pub at: Timestamp,
    /// HTTP status; 0 when there was no answer.
    pub status: u16,
    /// What it meant.
    pub outcome: Outcome,
}

impl Outcome {
    /// True when the lane is done with the record.
    pub fn is_settled(&self) -> bool {
        !matches!(self, Self::Later { .. })
    }
    /// True when the activation had its effect at the vendor.
    pub fn has_effect(&self) -> bool {
        matches!(self, Self::Accepted | Self::Duplicate)
    }
    /// One word for logs and metric labels.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Later { is_throttled: true, .. } => "throttled",
            Self::Later { .. } => "later",
            Self::Refused { .. } => "refused",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}
