//! The nights of destinations, as `[nightly]` says them: until when what is deferred waits.

use std::collections::BTreeMap;

use crate::model::{LaneName, Schedule, Span, Timestamp, Zone};

/// Nights that are looked at to find how far apart they are: those of more than a year, where there is one a day.
const LOOKED_AT: usize = 400;
/// From where they are looked at: all turns of the clock and all weekdays come within those that follow.
const FROM: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// When each destination's night is.
#[derive(Clone, Debug, PartialEq)]
pub struct Nights {
    zone: Zone,
    of: BTreeMap<LaneName, Schedule>,
}

impl Default for Nights {
    /// Nobody has any.
    fn default() -> Self {
        Self { zone: Zone::UTC, of: BTreeMap::new() }
    }
}

impl Nights {
    /// On the clock of `zone`; those that are off are none.
    pub fn new(zone: Zone, of: impl IntoIterator<Item = (LaneName, Schedule)>) -> Self {
        Self { zone, of: of.into_iter().filter(|(_, schedule)| !schedule.is_off()).collect() }
    }

    /// A destination's first night after this instant.
    pub fn next(&self, lane: &str, after: Timestamp) -> Option<Timestamp> {
        self.of.get(lane)?.next(after, &self.zone)
    }

    /// The longest that something waits for a destination's night; none where it has none.
    pub fn apart(&self, lane: &str) -> Option<Span> {
        let mut longest = Span::ZERO;
        let mut last = self.next(lane, FROM)?;
        for _ in 0..LOOKED_AT {
            let Some(next) = self.next(lane, last) else { break };
            longest = longest.max(next.since(last));
            last = next;
        }
        Some(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nights_are_as_far_apart_as_the_longest_of_a_year() {
        let of = [("a", "0 3 * * *"), ("b", "0 3 * * 1-5"), ("c", "off"), ("d", "0 3 1 * *")];
        let of = of.map(|(lane, schedule)| (lane.into(), schedule.parse().expect("a schedule")));
        let nights = Nights::new(Zone::named("Europe/Lisbon").expect("a zone"), of);
        let hours = |lane: &str| nights.apart(lane).map(|span| span.as_millis() / 3_600_000);
        // A day has 25 hours when the clock is put back; a month 31 of them, and one of them is longer.
        assert_eq!(["a", "b", "c", "d", "e"].map(hours), [Some(25), Some(73), None, Some(31 * 24 + 1), None]);
        let at = |text: &str| Timestamp::parse(text).expect("an instant");
        assert_eq!(nights.next("a", at("2026-07-01T02:00:00Z")), Some(at("2026-07-02T02:00:00Z")), "after it");
    }
}
