//! What a lane is doing, for health and the page.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::{Span, Timestamp};

/// Why a lane does not send, by who or what ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = LaneHold)]
pub enum Hold {
    /// The vendor fails again and again: one call is tried now and then.
    Breaker,
    /// A limit is reached: it begins anew.
    Quota,
    /// The vendor refuses the credentials: somebody has to mend them.
    Credentials,
    /// The configuration does not fit the account: somebody has to mend it.
    Configuration,
    /// What may have left is not yet to be seen at the vendor.
    Looking,
    /// Another daemon calls the account.
    Elsewhere,
}

/// What a lane is doing, for health and the page.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaneState {
    /// The vendor's name.
    pub kind: &'static str,
    /// Why it does not send, in words; `None` when nothing stops it.
    pub held: Option<String>,
    /// Of what sort that reason is.
    pub why: Option<Hold>,
    /// Until when it is held.
    pub until: Option<Timestamp>,
    /// Since when it is held, or free.
    pub since: Timestamp,
    /// The last time the vendor took something.
    pub last_success: Option<Timestamp>,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// Exchanges under way.
    pub in_flight: usize,
    /// Outcomes since the start, by word.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// Those with which the lane was done since the start, by trigger and word.
    pub ends: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Calls of today by trigger, since the start at the earliest; a batch's calls are parted among its records.
    pub calls: BTreeMap<Arc<str>, f64>,
    /// The day of UTC of which [`LaneState::calls`] tells.
    pub(super) day: i64,
}

impl LaneState {
    /// So many calls were made for records of these triggers.
    pub fn spent<'a>(&mut self, calls: usize, triggers: impl ExactSizeIterator<Item = &'a Arc<str>>, now: Timestamp) {
        self.turn(now);
        let each = calls as f64 / triggers.len().max(1) as f64;
        for trigger in triggers {
            *self.calls.entry(trigger.clone()).or_default() += each;
        }
    }

    /// Calls are told of one day only.
    pub fn turn(&mut self, now: Timestamp) {
        let day = now.whole(Span::DAY);
        if day != self.day {
            self.day = day;
            self.calls.clear();
        }
    }
}
