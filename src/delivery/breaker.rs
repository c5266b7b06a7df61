//! A lane that fails again and again stops asking for a while, then tries one call.

use super::settings::Settings;
use crate::model::Timestamp;

/// The breaker of one lane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breaker {
    /// Calls that failed in a row.
    failures: u32,
    /// Open until then.
    until: Option<Timestamp>,
}

impl Breaker {
    /// The vendor answered as it should. Closed.
    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// A call failed. Opens when there were too many in a row; a probe that fails opens it again.
    pub fn failed(&mut self, now: Timestamp, settings: &Settings) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= settings.breaker {
            self.until = Some(now + settings.probe);
        }
    }

    /// Open until then; `None` when calls may be made.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }

    /// True when the next call is only a probe: one, and not several at once.
    pub fn is_probing(&self) -> bool {
        self.until.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Span;

    #[test]
    fn opens_after_failures_in_a_row_and_closes_with_a_success() {
        let settings = Settings { breaker: 2, probe: Span::from_secs(30), ..Settings::default() };
        let at = |s: i64| Timestamp::from_millis(s * 1_000);
        let mut breaker = Breaker::default();
        breaker.failed(at(0), &settings);
        breaker.succeeded();
        breaker.failed(at(1), &settings);
        assert_eq!(breaker.open_until(at(1)), None);
        breaker.failed(at(2), &settings);
        assert_eq!(breaker.open_until(at(3)), Some(at(32)));
        assert_eq!((breaker.open_until(at(32)), breaker.is_probing()), (None, true));
        breaker.failed(at(33), &settings);
        assert_eq!(breaker.open_until(at(34)), Some(at(63)));
        breaker.succeeded();
        assert!(!breaker.is_probing());
    }
}
