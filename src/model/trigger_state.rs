//! Whether a trigger is live: what has been ordered of it, and how often it fires, for the guard that pauses it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LaneName, OccasionId, PersonId, Span, Timestamp, TriggerId};

/// Those of all triggers that ever fired or were paused.
pub type TriggerStates = BTreeMap<TriggerId, Arc<TriggerState>>;

/// One trigger's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerState {
    /// It lets nothing leave; `None` while it is live.
    pub pause: Option<Pause>,
    /// What was held is on its way out, as this says.
    pub release: Option<Release>,
    /// The guard looks away until then: somebody has just looked.
    pub free_until: Timestamp,
    /// How often it fired.
    pub fires: Fires,
}

/// A trigger that lets nothing leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// What becomes of its edges.
    pub policy: PausePolicy,
    /// The guard paused it, at so many fires within an hour; `None`: a person did.
    pub by_guard: Option<u64>,
    /// Occasions held since then.
    pub held: u64,
}

/// What becomes of the edges of a paused trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PausePolicy {
    /// They are recorded, and nothing starts.
    #[default]
    Drop,
    /// Their activations are held. Those that have not expired by then leave when the trigger is resumed.
    Keep,
    /// The same; but those leave for whom the condition is true when the trigger is resumed, however old they are.
    CatchUp,
}

/// How what was held goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Release {
    /// To the vendors, unless it has expired.
    Send,
    /// To the vendors, if the condition is true.
    CatchUp,
    /// Nowhere.
    Drop,
}

/// What somebody wants of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// Let nothing leave.
    Pause(PausePolicy),
    /// Be live again. What is held goes as this says, or, without it, as the pause's policy does.
    Resume(Option<Release>),
}

/// How often a trigger fired, by hour of the edge, within the week before the newest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fires {
    /// The hour of the first.
    since: i64,
    hours: BTreeMap<i64, u64>,
}

/// One held activation that goes to its lane after all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Released {
    /// Which occasion.
    pub occasion: OccasionId,
    /// To which lane.
    pub lane: LaneName,
    /// Whose it is now.
    pub person: PersonId,
    /// The edge.
    pub at: Timestamp,
    /// Not sent after this.
    pub expires_at: Timestamp,
    /// Nor before this.
    pub not_before: Option<Timestamp>,
    /// When it is released.
    pub now: Timestamp,
}

/// Hours that are remembered before the newest.
const WEEK: i64 = 7 * 24;
/// A rate is known only after so many.
const LEARNED: i64 = 24;

impl PausePolicy {
    /// As they are written.
    pub const WORDS: [(&str, Self); 3] = [("drop", Self::Drop), ("keep", Self::Keep), ("catch-up", Self::CatchUp)];

    /// How what is held goes when nobody says otherwise.
    pub fn release(self) -> Release {
        match self {
            Self::Drop => Release::Drop,
            Self::Keep => Release::Send,
            Self::CatchUp => Release::CatchUp,
        }
    }

    /// As it is written.
    pub fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, policy)| *policy == self).map_or("", |(word, _)| word)
    }
}

impl Release {
    /// As they are written.
    pub const WORDS: [(&str, Self); 3] = [("send", Self::Send), ("catch-up", Self::CatchUp), ("drop", Self::Drop)];
}

impl Fires {
    fn hour(at: Timestamp) -> i64 {
        at.whole(Span::HOUR)
    }

    /// Fires in the hour of `at`.
    pub fn in_hour(&self, at: Timestamp) -> u64 {
        self.hours.get(&Self::hour(at)).copied().unwrap_or(0)
    }

    /// One more, with its edge at `at`.
    pub fn count(&mut self, at: Timestamp) {
        self.count_all(at, 1);
    }

    /// So many more, with their edges in the hour of `at`.
    pub fn count_all(&mut self, at: Timestamp, n: u64) {
        let hour = Self::hour(at);
        if self.hours.is_empty() {
            self.since = hour;
        }
        self.since = self.since.min(hour);
        *self.hours.entry(hour).or_default() += n;
        let newest = self.hours.last_key_value().map_or(hour, |(newest, _)| *newest);
        self.hours = self.hours.split_off(&(newest - WEEK));
        // What is older than the week is no part of a rate any more.
        self.since = self.since.max(newest - WEEK);
    }

    /// Fires in an hour, on average over the week before the hour of `at`, or as much of it as there was: the fires, and
    /// the hours. `None` in the first day.
    pub fn rate(&self, at: Timestamp) -> Option<(u64, u64)> {
        let hour = Self::hour(at);
        let lived = u64::try_from((hour - self.since).min(WEEK)).ok()?;
        let is_learned = !self.hours.is_empty() && hour - self.since >= LEARNED;
        is_learned.then(|| (self.hours.range(hour - WEEK..hour).map(|(_, n)| n).sum(), lived))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(0) + Span::from_hours(hours)
    }

    #[test]
    fn a_rate_is_that_of_the_week_before() {
        let mut fires = Fires::default();
        for hour in 0..400 {
            for _ in 0..=(hour % 2) {
                fires.count(at(hour));
            }
            let lived = hour.min(168);
            let before = (hour - lived..hour).map(|h| h % 2 + 1).sum::<i64>();
            let known = (hour >= 24).then_some((before as u64, lived as u64));
            assert_eq!(fires.rate(at(hour)), known, "{hour}");
            assert_eq!(fires.in_hour(at(hour)), (hour % 2 + 1) as u64);
        }
        assert!(fires.hours.len() <= 169);
        // After a silence the hours without a fire count too.
        assert_eq!(fires.rate(at(400 + 100)), Some(((400 - 68..400).map(|h| h % 2 + 1).sum::<i64>() as u64, 168)));
    }

    #[test]
    fn a_late_edge_counts_in_its_own_hour() {
        let mut fires = Fires::default();
        fires.count(at(1_000));
        fires.count(at(990));
        fires.count(at(10));
        assert_eq!((fires.in_hour(at(990)), fires.in_hour(at(10))), (1, 0));
        assert_eq!(Fires::default().rate(at(5_000)), None);
    }
}
