//! What a list's task is doing, and how subscriptions to webhooks are, for health, the page and `status`.

use std::collections::BTreeMap;

use super::night::NightRead;
use crate::model::{Span, Timestamp};

/// What a list's task is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamState {
    /// In one word.
    pub doing: Doing,
    /// Why nothing is read, in words; `None` when nothing stops it.
    pub held: Option<String>,
    /// Since when it is held.
    pub since: Option<Timestamp>,
    /// Until when it is held.
    pub until: Option<Timestamp>,
    /// Times in a row that it could not be read; a vendor's limit is not one.
    pub failures: u32,
    /// True when the vendor does not let us read it.
    pub is_refused: bool,
    /// True when only a person can mend it.
    pub needs_a_person: bool,
    /// Everything that changed before this is read.
    pub read: Timestamp,
    /// How much of the past is still to be read, where any is.
    pub past: Option<Span>,
    /// What the newest night that asked for it has found in it.
    pub night: Option<NightRead>,
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
    /// When the last of them came.
    pub set_aside_at: Option<Timestamp>,
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
    /// Another daemon reads it.
    Elsewhere,
}

impl StreamState {
    /// It is held until then, for this reason.
    pub(super) fn hold(&mut self, words: String, (now, until): (Timestamp, Timestamp)) {
        self.since = self.since.or(Some(now));
        (self.doing, self.held, self.until) = (Doing::Held, Some(words), Some(until));
    }

    /// So many records of a page could not be read.
    pub(super) fn aside(&mut self, count: u64, now: Timestamp) {
        if count > 0 {
            (self.set_aside, self.set_aside_at) = (self.set_aside + count, Some(now));
        }
    }

    /// Another daemon reads it.
    pub(super) fn is_elsewhere(&mut self) {
        self.free(Doing::Elsewhere);
        (self.past, self.night) = (None, None);
    }

    /// Nothing stops it any more.
    pub(super) fn free(&mut self, doing: Doing) {
        (self.doing, self.held, self.since, self.until) = (doing, None, None, None);
        (self.needs_a_person, self.is_refused, self.failures) = (false, false, 0);
    }
}

impl Doing {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Reading => "reading",
            Self::Resting => "in sync",
            Self::Held => "held",
            Self::Elsewhere => "another daemon reads it",
        }
    }
}

/// How a source's subscriptions to webhooks are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HooksState {
    /// Another daemon sees to them.
    pub is_elsewhere: bool,
    /// Where they send to.
    pub address: String,
    /// Topics that should have one.
    pub wanted: usize,
    /// Those that have one which is at work.
    pub standing: usize,
    /// When it was last seen which there are.
    pub looked: Option<Timestamp>,
    /// Why it cannot be seen, in words; `None` when nothing stops it.
    pub held: Option<String>,
    /// Topics that have none and could not be given one, and why.
    pub missing: BTreeMap<String, String>,
    /// Topics whose subscription was lost, and when that was last seen.
    pub lost: BTreeMap<String, Timestamp>,
}
