//! The rate guard: a trigger that fires far more often within an hour than it used to pauses itself, before a mistake in
//! it, or in what comes in, writes to everybody.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Fires, Gate, Pause, PausePolicy, Timestamp, TriggerState};
use crate::rules::written::{Reading, Table};

use super::super::trigger::Trigger;
use super::{Dropped, Settings};

/// `[gates.guard]`
#[derive(Clone, Copy, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Guard {
    /// An hour may have so many times the fires of an average hour of the week before, 1 or more.
    #[schemars(range(min = 1))]
    pub times: f64,
    /// Up to so many fires in an hour are always well.
    pub least: u64,
    /// And more than so many never are, whatever is usual.
    pub most: Option<u64>,
}

impl Default for Guard {
    fn default() -> Self {
        Self { times: 10.0, least: 500, most: None }
    }
}

/// What a trigger's file says of it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Own {
    /// Nothing: that of `[gates]` holds.
    #[default]
    Common,
    /// It may fire as often as it likes.
    Never,
    /// What it says itself; the rest is as in `[gates]`.
    Bounds {
        /// `times`
        times: Option<f64>,
        /// `least`
        least: Option<u64>,
        /// `most`
        most: Option<u64>,
    },
}

/// Occasions that are held of one trigger at most; further ones are dropped.
pub const MOST_HELD: u64 = 10_000;
/// The least that a multiple can be.
pub const LEAST_TIMES: f64 = 1.0;
const LARGEST: u64 = 1_000_000_000;

impl Own {
    /// Reads `guard`.
    pub fn read(top: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let Some(value) = top.get("guard") else { return Self::Common };
        if value.is_no() {
            return Self::Never;
        }
        if !value.is_table() {
            reading.mistake(value.span(), value.path().to_owned(), "must be false or a table").suggestion =
                Some("{ times = 10, least = 500, most = 5000 }".into());
            return Self::Common;
        }
        let Some(mut table) = value.table(reading) else { return Self::Common };
        let times = table.get("times").and_then(|value| {
            let times = value.number(reading)?;
            if times < LEAST_TIMES {
                reading.mistake(value.span(), value.path().to_owned(), "must be 1 or more");
            }
            Some(times)
        });
        let least = table.get("least").and_then(|value| value.whole_number(reading, 0, LARGEST));
        let most = table.get("most").and_then(|value| value.whole_number(reading, 1, LARGEST));
        table.finish(reading);
        Self::Bounds { times, least, most }
    }

    /// What holds for the trigger.
    pub fn guard(self, common: Option<Guard>) -> Option<Guard> {
        match self {
            Self::Never => None,
            Self::Common => common,
            Self::Bounds { times, least, most } => {
                let base = common.unwrap_or_default();
                Some(Guard {
                    times: times.unwrap_or(base.times),
                    least: least.unwrap_or(base.least),
                    most: most.or(base.most),
                })
            }
        }
    }
}

impl Guard {
    /// Fires that the hour of `at` may have; `None` while nothing is known of the trigger and no bound is set.
    pub fn limit(&self, fires: &Fires, at: Timestamp) -> Option<u64> {
        let learned = fires.rate(at).map(|(fires, hours)| {
            // Divided last, so that a whole number stays one. As casts do: too large becomes the largest.
            ((fires as f64 * self.times / hours as f64).ceil() as u64).max(self.least)
        });
        learned.into_iter().chain(self.most).min()
    }

    /// What it would have done about so many fires in each hour, in order, had somebody resumed the trigger for the next
    /// hour each time, with the guard awake.
    pub fn tripped(&self, hours: impl IntoIterator<Item = (Timestamp, u64)>) -> Tripped {
        let (mut fires, mut tripped) = (Fires::default(), Tripped::default());
        for (at, n) in hours {
            let over = self.limit(&fires, at).map_or(0, |limit| n.saturating_sub(limit));
            fires.count_all(at, n - over);
            if over > 0 {
                tripped.hours += 1;
                tripped.first = tripped.first.or(Some(at));
                tripped.fires += over;
            }
        }
        tripped
    }
}

/// Hours in which a trigger would have paused itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Tripped {
    /// How many.
    pub hours: u64,
    /// The first.
    pub first: Option<Timestamp>,
    /// Fires in them beyond what they may have: these would have been held.
    pub fires: u64,
}

/// How a fire that has passed all other gates goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stand {
    /// It leaves.
    Leaves,
    /// It is held.
    Held(Gate),
    /// It is dropped.
    Dropped(Dropped),
}

/// Asks a trigger's state, which counts the fire. Only of what starts something.
pub fn stand(trigger: &Trigger, settings: &Settings, state: &mut TriggerState, at: Timestamp) -> Stand {
    if state.pause.is_none()
        && let Some(guard) = trigger.gating.guard.guard(settings.guard)
        && at >= state.free_until
        && let Some(limit) = guard.limit(&state.fires, at)
        && state.fires.in_hour(at) >= limit
    {
        let pause = Pause { since: at, policy: PausePolicy::Keep, by_guard: Some(limit), held: 0 };
        state.pause = Some(pause);
    }
    let Some(pause) = &mut state.pause else {
        state.fires.count(at);
        return Stand::Leaves;
    };
    let gate = if pause.by_guard.is_some() { Gate::RateGuard } else { Gate::Paused };
    if pause.policy == PausePolicy::Drop {
        return Stand::Dropped((gate, format!("`{}` is paused since {}", trigger.name, pause.since).into()));
    }
    if pause.held >= MOST_HELD {
        return Stand::Dropped((gate, format!("{MOST_HELD} occasions of `{}` are held already", trigger.name).into()));
    }
    pause.held += 1;
    Stand::Held(gate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[test]
    fn the_limit_is_learned_and_bounded() {
        let at = |hour: i64| Timestamp::from_millis(0) + Span::from_hours(hour);
        let mut fires = Fires::default();
        for hour in 0..48 {
            (0..20).for_each(|_| fires.count(at(hour)));
        }
        let guard = |times, least, most| Guard { times, least, most };
        assert_eq!(guard(3.0, 10, None).limit(&fires, at(48)), Some(60));
        assert_eq!(guard(1.01, 10, None).limit(&fires, at(48)), Some(21));
        assert_eq!(guard(3.0, 100, None).limit(&fires, at(48)), Some(100));
        assert_eq!(guard(3.0, 100, Some(50)).limit(&fires, at(48)), Some(50));
        assert_eq!(guard(3.0, 10, None).limit(&Fires::default(), at(48)), None);
        assert_eq!(guard(3.0, 10, Some(7)).limit(&Fires::default(), at(48)), Some(7));
        let own = Own::Bounds { times: None, least: Some(5), most: None };
        assert_eq!(own.guard(Some(guard(2.0, 9, Some(8)))), Some(guard(2.0, 5, Some(8))));
        assert_eq!(Own::Never.guard(Some(Guard::default())), None);
        assert_eq!(Own::Common.guard(None), None);
    }
}
