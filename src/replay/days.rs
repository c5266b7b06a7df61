//! Counts by hour, and the days that they come to: UTC, since the people are everywhere.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Span, Timestamp};

/// Hours of a day.
const HOURS: i64 = 24;
/// The most days that are listed one by one: ten years.
pub const MOST_DAYS: i64 = 3_653;

/// A day, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

/// How many in each hour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours(BTreeMap<i64, u64>);

/// A day with its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct OfDay {
    /// `2026-11-02`
    pub day: String,
    /// How many.
    pub fires: u64,
}

impl Day {
    /// The day of an instant.
    pub fn of(at: Timestamp) -> Self {
        Self(at.whole(Span::DAY))
    }

    /// `2026-11-02`
    pub fn to_text(self) -> String {
        Timestamp::from_millis(self.0.saturating_mul(Span::DAY.as_millis())).to_string().chars().take(10).collect()
    }
}

impl Hours {
    /// One more.
    pub fn count(&mut self, at: Timestamp) {
        *self.0.entry(at.whole(Span::HOUR)).or_default() += 1;
    }

    /// Both together.
    pub fn absorb(&mut self, other: Self) {
        for (hour, n) in other.0 {
            *self.0.entry(hour).or_default() += n;
        }
    }

    /// Each hour that has any, by its beginning, in order.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, u64)> {
        let at = |hour: i64| Timestamp::from_millis(hour.saturating_mul(Span::HOUR.as_millis()));
        self.0.iter().map(move |(hour, n)| (at(*hour), *n))
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// The most in one hour of the clock.
    pub fn busiest(&self) -> u64 {
        self.0.values().copied().max().unwrap_or(0)
    }

    /// Days that have any.
    pub fn by_day(&self) -> BTreeMap<Day, u64> {
        let mut days = BTreeMap::new();
        for (hour, n) in &self.0 {
            *days.entry(Day(hour.div_euclid(HOURS))).or_default() += n;
        }
        days
    }

    /// Every day from the one to the other, those without any too; the last [`MOST_DAYS`] of them.
    pub fn series(&self, from: Timestamp, to: Timestamp) -> Vec<OfDay> {
        let days = self.by_day();
        let (from, to) = (Day::of(from).0, Day::of(to).0);
        let from = from.max(to - MOST_DAYS + 1);
        let of = |day| OfDay { day: Day(day).to_text(), fires: days.get(&Day(day)).copied().unwrap_or(0) };
        (from..=to).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_without_any_are_in_the_series() {
        let mut hours = Hours::default();
        let begin = Timestamp::parse("2028-02-28T23:30:00Z").expect("an instant");
        for hours_later in [0, 0, 1, 48] {
            hours.count(begin + Span::from_hours(hours_later));
        }
        let series = hours.series(begin, begin + Span::from_hours(49));
        let told: Vec<_> = series.iter().map(|one| (one.day.as_str(), one.fires)).collect();
        assert_eq!(told, [("2028-02-28", 2), ("2028-02-29", 1), ("2028-03-01", 1), ("2028-03-02", 0)]);
        assert_eq!((hours.total(), hours.busiest()), (4, 2));
    }

    #[test]
    fn a_series_is_bounded() {
        let late = Timestamp::parse("9998-12-31T12:00:00Z").expect("an instant");
        let series = Hours::default().series(Timestamp::MIN, late);
        assert_eq!((series.len() as i64, series.last().map(|one| &*one.day)), (MOST_DAYS, Some("9998-12-31")));
    }
}
