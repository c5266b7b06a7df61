//! A lane's books: what was decided for it, what the vendor has, and what became of the rest.

use serde::{Deserialize, Serialize};

use super::looks::LookReport;
use crate::model::{Outcome, Timestamp};
use crate::store::{DeadLetter, LaneCount, LaneTotals};

/// Dead letters that are told one by one.
const TOLD: usize = 20;

/// A lane's books since they were last added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneReport {
    /// Its name.
    pub lane: String,
    /// Since when; none for the first time.
    pub since: Option<Timestamp>,
    /// What came to it since, and how that and what had waited ended.
    pub of: LaneTotals,
    /// Activations that wait now.
    pub queued: u64,
    /// Of those accepted, so many had been deferred to a night.
    #[serde(default)]
    pub deferred: u64,
    /// Dead letters that there are now.
    pub dead: u64,
    /// Activations that are neither queued nor ended: there is a mistake in the store, or in us.
    pub astray: i64,
    /// The newest dead letters since.
    pub told: Vec<Dead>,
    /// What the vendor shows of what it took; none where it cannot be asked, or is not.
    #[serde(default)]
    pub looked: Option<LookReport>,
}

/// What was decided, and what the vendor does not have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NightDead)]
pub struct Dead {
    /// For `espalier dead-letters show`.
    pub id: u64,
    /// Which trigger.
    pub trigger: String,
    /// The vendor's code, or ours.
    pub code: String,
    /// When it was given up.
    pub at: Timestamp,
}

impl LaneReport {
    /// Of a lane that had `before` when its books were last added up.
    pub fn of(lane: &str, before: Option<&(Timestamp, LaneTotals)>, count: &LaneCount, letters: &[DeadLetter]) -> Self {
        let since = before.map(|(at, _)| *at);
        let (now, was) = (&count.totals, before.map(|(_, totals)| *totals).unwrap_or_default());
        // A dead letter that is raised again is not refused any more.
        let less = |now: u64, was: u64| now.saturating_sub(was);
        let of = LaneTotals {
            made: less(now.made, was.made),
            accepted: less(now.accepted, was.accepted),
            refused: less(now.refused, was.refused),
            expired: less(now.expired, was.expired),
            cancelled: less(now.cancelled, was.cancelled),
            forgotten: less(now.forgotten, was.forgotten),
        };
        let signed = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let new = letters.iter().filter(|letter| since.is_none_or(|since| letter.at >= since));
        Self {
            lane: lane.to_owned(),
            since,
            of,
            queued: count.queued,
            deferred: 0,
            dead: count.dead,
            astray: signed(now.made) - signed(now.ended() + count.queued),
            told: new.take(TOLD).map(Dead::of).collect(),
            looked: None,
        }
    }

    /// What is wrong, in words.
    pub fn findings(&self) -> Vec<String> {
        let (lane, mut findings) = (&self.lane, Vec::new());
        if self.astray != 0 {
            let n = self.astray;
            findings.push(format!(
                "lane {lane}: {n} activations are neither waiting nor ended; run `espalier store verify` and report it"
            ));
        }
        if self.of.refused > 0 {
            let n = self.of.refused;
            findings.push(format!(
                "lane {lane}: the vendor does not have {n} that were decided; `espalier dead-letters list`"
            ));
        }
        if self.of.expired > 0 {
            findings.push(format!("lane {lane}: {} expired while they waited", self.of.expired));
        }
        findings.extend(self.looked.iter().flat_map(|looked| looked.findings(lane)));
        findings
    }
}

impl Dead {
    fn of(letter: &DeadLetter) -> Self {
        let code = letter.attempts.last().and_then(|attempt| match &attempt.outcome {
            Outcome::Refused { code, .. } => Some(code.to_string()),
            _ => None,
        });
        Self {
            id: letter.id.0,
            trigger: letter.activation.trigger.to_string(),
            code: code.unwrap_or_default(),
            at: letter.at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(made: u64, accepted: u64, refused: u64) -> LaneTotals {
        LaneTotals { made, accepted, refused, ..LaneTotals::default() }
    }

    #[test]
    fn books_that_add_up_say_what_came_since() {
        let before = (Timestamp::from_millis(5), totals(10, 8, 1));
        let count = LaneCount { queued: 3, dead: 2, totals: totals(20, 15, 2), ..LaneCount::default() };
        let report = LaneReport::of("klaviyo", Some(&before), &count, &[]);
        assert_eq!((report.of, report.astray), (totals(10, 7, 1), 0));
        assert_eq!(report.findings().len(), 1, "one that the vendor does not have");
    }

    #[test]
    fn one_that_is_nowhere_is_told() {
        let count = LaneCount { queued: 3, totals: totals(20, 15, 1), ..LaneCount::default() };
        let report = LaneReport::of("klaviyo", None, &count, &[]);
        assert_eq!(report.astray, 1);
        assert!(report.findings().iter().any(|words| words.contains("1 activations are neither")));
    }
}
