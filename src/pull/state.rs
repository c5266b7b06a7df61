//! What a list's task is doing, for health, the page and `status`.

use crate::model::{Span, Timestamp};

/// What a list's task is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// In one word.
    pub doing: Doing,
    /// Why nothing is read, in words; `None` when nothing stops it.
    pub held: Option<String>,
    /// Until when it is held.
    pub until: Option<Timestamp>,
    /// True when only a person can mend it.
    pub needs_a_person: bool,
    /// Everything that changed before this is read.
    pub read: Timestamp,
    /// How much of the past is still to be read, where any is.
    pub past: Option<Span>,
    /// The last page that came.
    pub last_success: Option<Timestamp>,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// Pages read since the daemon began.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Events made of them, but those that were made of them before.
    pub events: u64,
    /// Products.
    pub items: u64,
    /// Records that could not be read, and lie with what was set aside.
    pub set_aside: u64,
    /// How far the vendor's clock is behind ours, in milliseconds; negative when it is ahead.
    pub skew_ms: i64,
}

/// What a list's task is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Doing {
    /// It has not asked yet.
    #[default]
    Starting,
    /// Pages are read.
    Reading,
    /// Everything is read; it rests.
    Resting,
    /// Something stops it: [`StreamState::held`].
    Held,
}

impl Doing {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Reading => "reading",
            Self::Resting => "in sync",
            Self::Held => "held",
        }
    }
}
