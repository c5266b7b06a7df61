//! What accounts let through, and what the lanes' queues cost of it: for the page, `espalier quota` and the metrics.

use serde::Serialize;

use super::health::Watched;
use crate::model::passed_on::{CONSENT, ERASURE, PRIORITY};
use crate::model::{Span, Timestamp};
use crate::quota::{Cost, Outlook, WindowUse};

/// Triggers of a lane that are told: those that leave first.
const TOLD: usize = 100;

/// The budgets and the queues.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct QuotaHealth {
    /// When this was looked at.
    pub at: Timestamp,
    /// Every account that is called.
    pub accounts: Vec<AccountHealth>,
    /// Every lane's queue.
    pub lanes: Vec<QueueHealth>,
}

/// An account.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct AccountHealth {
    /// The name of the lane, or of the source, that uses it.
    pub name: String,
    /// Its windows, by family.
    pub windows: Vec<WindowUse>,
}

/// A lane's queue.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct QueueHealth {
    /// The lane's name.
    pub lane: String,
    /// What it costs.
    #[serde(flatten)]
    pub outlook: Outlook,
    /// The same in words, a line for each trigger.
    pub words: Vec<String>,
}

impl QuotaHealth {
    /// Counts only; never a scan.
    pub fn of(watched: &Watched) -> Self {
        let at = watched.clock.now();
        let program = watched.program.load();
        let priority = |name: &str| match name {
            CONSENT | ERASURE => PRIORITY,
            _ => program.named(name).map_or(0, |trigger| trigger.priority),
        };
        let accounts = watched.accounts.all();
        let accounts = accounts
            .iter()
            .map(|ledger| AccountHealth { name: ledger.name().to_owned(), windows: ledger.windows() })
            .filter(|account| !account.windows.is_empty());
        let lanes = watched.queues.iter().map(|lane| {
            let mut outlook = lane.outlook(priority);
            outlook.triggers.truncate(TOLD);
            let words = outlook.triggers.iter().map(|cost| words(cost, at)).collect();
            QueueHealth { lane: lane.name().to_string(), outlook, words }
        });
        Self { at, accounts: accounts.collect(), lanes: lanes.collect() }
    }
}

/// `dormant-60d needs 41 % of a day's calls and ends at 03:10 UTC`
fn words(cost: &Cost, now: Timestamp) -> String {
    let name = &cost.trigger;
    let spent = if cost.spent >= 0.5 { format!("; it took {:.0} today", cost.spent) } else { String::new() };
    match (cost.queued, cost.of_a_day, cost.ends) {
        (0, ..) => format!("{name} has nothing waiting{spent}"),
        (_, Some(part), Some(ends)) => {
            format!("{name} needs {} of today's calls and ends at {}{spent}", percent(part), clock(ends, now))
        }
        _ => format!("{name} needs {:.0} calls, and nothing limits them{spent}", cost.calls.ceil()),
    }
}

fn percent(part: f64) -> String {
    match part * 100.0 {
        percent if percent < 1.0 => "less than 1 %".into(),
        percent => format!("{percent:.0} %"),
    }
}

/// `03:10 UTC`; with the day where it is more than one away.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> String {
    let text = at.to_string();
    let (day, time) = (text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default());
    if at.since(now) < Span::DAY { format!("{time} UTC") } else { format!("{day} {time} UTC") }
}

/// `a minute`, `10s`, `a day`
pub(super) fn span(ms: i64) -> String {
    match ms {
        1_000 => "a second".into(),
        60_000 => "a minute".into(),
        86_400_000 => "a day".into(),
        ms => Span::from_millis(ms).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_costs_is_said_in_words() {
        let now = Timestamp::parse("2026-11-25T20:00:00Z").expect("an instant");
        let ends = Timestamp::parse("2026-11-26T03:10:59Z");
        let cost =
            Cost { trigger: "dormant-60d".into(), queued: 9, calls: 10.0, spent: 0.0, of_a_day: Some(0.41), ends };
        assert_eq!(words(&cost, now), "dormant-60d needs 41 % of today's calls and ends at 03:10 UTC");
        let later = Cost { ends: ends.map(|at| at + Span::DAY), of_a_day: Some(2.204), spent: 12.4, ..cost.clone() };
        let told = "dormant-60d needs 220 % of today's calls and ends at 2026-11-27 03:10 UTC; it took 12 today";
        assert_eq!(words(&later, now), told);
        let free = Cost { ends: None, of_a_day: None, ..cost.clone() };
        assert_eq!(words(&free, now), "dormant-60d needs 10 calls, and nothing limits them");
        assert_eq!(words(&Cost { queued: 0, ..cost }, now), "dormant-60d has nothing waiting");
    }
}
