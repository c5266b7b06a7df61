//! What the page draws: a bounded set of series, each in three rings of fixed length. Fed from the same values as
//! `/metrics`, on the daemon's clock; knows nothing of disks and waits for nothing.

mod readings;
mod recorder;
mod ring;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use readings::{FIRES, Reading, readings};
pub use recorder::{Recorder, Shared, begin};
pub use ring::{Fold, Ring};

use crate::model::{Span, Timestamp};

/// Series with all three rings, at 4 KB each.
const MOST: usize = 200;
/// Series of hours alone, at 1.4 KB each.
const MOST_HOURLY: usize = 1_000;
/// A series that is not fed for so long goes.
const FORGOTTEN: Span = Span::from_days(14);
/// The longest value that is kept in the store.
const LONGEST: usize = 48 << 10;

/// How far back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Over {
    /// An hour, in slots of 10 seconds.
    #[serde(rename = "1h")]
    Hour,
    /// A day, in slots of 5 minutes.
    #[serde(rename = "24h")]
    Day,
    /// Two weeks, in slots of an hour.
    #[serde(rename = "14d")]
    Fortnight,
}

impl Over {
    /// All there are.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::Fortnight];

    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Fortnight => "14d",
        }
    }

    /// How long a slot is, and how many there are.
    pub fn shape(self) -> (Span, usize) {
        match self {
            Self::Hour => (Span::from_secs(10), 360),
            Self::Day => (Span::from_minutes(5), 288),
            Self::Fortnight => (Span::HOUR, 336),
        }
    }
}

/// What sort of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// What is now: of a slot the highest is kept.
    Level,
    /// A total that outlives the process: of a slot what was added.
    Total,
    /// A total that begins at zero with the process: of a slot what was added.
    Count,
}

/// One series.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Line {
    kind: Kind,
    /// The finest first; of a series of hours the last alone.
    rings: Vec<Ring>,
    /// What the last reading was, and when. Of another process it means nothing.
    #[serde(skip)]
    last: Option<(Timestamp, f64)>,
    fed: Timestamp,
}

/// All series.
#[derive(Clone, Debug, Default)]
pub struct Series {
    lines: BTreeMap<Box<str>, Line>,
    /// Readings of series for which there was no room.
    left_out: u64,
}

/// A series as it is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// What sort of number.
    pub kind: Kind,
    /// How long a slot is.
    pub step: Span,
    /// The oldest first: when the slot begins, and its value; none for a gap.
    pub slots: Vec<(Timestamp, Option<f64>)>,
}

impl Line {
    fn new(kind: Kind, is_hourly: bool) -> Self {
        let shapes = if is_hourly { &Over::ALL[2..] } else { &Over::ALL[..] };
        let rings = shapes.iter().map(|over| Ring::new(over.shape().0, over.shape().1)).collect();
        Self { kind, rings, last: None, fed: Timestamp::MIN }
    }

    fn note(&mut self, now: Timestamp, value: f64) {
        self.fed = now;
        let last = self.last.replace((now, value));
        let added = match (self.kind, last) {
            (Kind::Level, _) => value,
            // Since when is not known.
            (Kind::Total, None) => return,
            (Kind::Count, None) => value,
            (_, Some((_, before))) if value >= before => value - before,
            // It began anew.
            (_, Some(_)) => value,
        };
        let silence = last.map_or(Span::ZERO, |(at, _)| now.since(at));
        let fold = if self.kind == Kind::Level { Fold::Highest } else { Fold::Sum };
        for ring in &mut self.rings {
            // What was added in a silence of many slots belongs to none of them.
            let is_known = self.kind == Kind::Level || silence.as_millis() <= 2 * ring.step().as_millis();
            if is_known {
                ring.put(now, added, fold);
            }
        }
    }

    fn is_hourly(&self) -> bool {
        self.rings.len() == 1
    }

    fn is_sound(&self) -> bool {
        let shapes = Over::ALL.map(Over::shape);
        let from = shapes.len().saturating_sub(self.rings.len());
        !self.rings.is_empty()
            && self.rings.len() <= shapes.len()
            && self.rings.iter().zip(&shapes[from..]).all(|(ring, (step, slots))| ring.is_sound(*step, *slots))
    }
}

impl Series {
    /// Notes what is now. Those that come first have room first.
    pub fn note(&mut self, now: Timestamp, readings: impl IntoIterator<Item = Reading>) {
        self.lines.retain(|_, line| now.since(line.fed) < FORGOTTEN);
        let hourly = self.lines.values().filter(|line| line.is_hourly()).count();
        let mut room = [MOST.saturating_sub(self.lines.len() - hourly), MOST_HOURLY.saturating_sub(hourly)];
        for Reading { name, kind, value, is_hourly } in readings {
            if let Some(line) = self.lines.get_mut(&*name) {
                line.note(now, value);
                continue;
            }
            let room = &mut room[usize::from(is_hourly)];
            if *room == 0 {
                self.left_out += 1;
                continue;
            }
            *room -= 1;
            let mut line = Line::new(kind, is_hourly);
            line.note(now, value);
            self.lines.insert(name.into(), line);
        }
    }

    /// One of them; none where there is no such series, or none so fine.
    pub fn told(&self, name: &str, over: Over, now: Timestamp) -> Option<Told> {
        let line = self.lines.get(name)?;
        let ring = line.rings.iter().find(|ring| ring.step() == over.shape().0)?;
        Some(Told { kind: line.kind, step: ring.step(), slots: ring.told(now).collect() })
    }

    /// Added in a minute, on average over the last so many whole slots of 10 seconds; none where nothing is known.
    pub fn rate(&self, name: &str, slots: usize, now: Timestamp) -> Option<f64> {
        let told = self.told(name, Over::Hour, now)?;
        // The newest is not yet over.
        let known: Vec<f64> = told.slots.iter().rev().skip(1).take(slots).filter_map(|(_, value)| *value).collect();
        let seconds = known.len() as f64 * told.step.as_millis() as f64 / 1_000.0;
        (!known.is_empty()).then(|| known.iter().sum::<f64>() * 60.0 / seconds)
    }

    /// What was added on each of the last 14 days of UTC, the oldest first; none for a day of which nothing is known.
    pub fn days(&self, name: &str, now: Timestamp) -> Vec<(Timestamp, Option<f64>)> {
        let today = now.whole(Span::DAY);
        let first = |day: i64| Timestamp::from_millis(day.saturating_mul(Span::DAY.as_millis()));
        let mut days: Vec<(Timestamp, Option<f64>)> = (today - 13..=today).map(|day| (first(day), None)).collect();
        for (at, value) in self.told(name, Over::Fortnight, now).into_iter().flat_map(|told| told.slots) {
            let place = usize::try_from(at.whole(Span::DAY) - (today - 13)).ok();
            if let (Some((_, day)), Some(value)) = (place.and_then(|place| days.get_mut(place)), value) {
                *day = Some(day.unwrap_or(0.0) + value);
            }
        }
        days
    }

    /// What was added in all that is known of it, by what follows `prefix` in the name.
    pub fn sums(&self, prefix: &str, now: Timestamp) -> BTreeMap<String, f64> {
        let from: Box<str> = prefix.into();
        let lines = self.lines.range(from..).take_while(|(name, _)| name.starts_with(prefix));
        let sum = |name: &str| -> f64 {
            let told = self.told(name, Over::Fortnight, now).into_iter();
            told.flat_map(|told| told.slots).filter_map(|(_, value)| value).sum()
        };
        lines.map(|(name, _)| (name[prefix.len()..].to_owned(), sum(name))).filter(|(_, n)| *n > 0.0).collect()
    }

    /// Readings for which there was no room.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// As values for the store, each short enough for one.
    pub fn kept(&self) -> Vec<Vec<u8>> {
        let (mut values, mut value) = (Vec::new(), Vec::new());
        for line in &self.lines {
            // Numbers and short names: they can always be written.
            let one = postcard::to_allocvec(&line).unwrap_or_default();
            if !value.is_empty() && value.len() + one.len() > LONGEST {
                values.push(std::mem::take(&mut value));
            }
            value.extend(one);
        }
        values.push(value);
        values
    }

    /// Takes in a value that was kept; what cannot be read of it is left out.
    pub fn take(&mut self, value: &[u8]) {
        let mut rest = value;
        while !rest.is_empty() && self.lines.len() < MOST + MOST_HOURLY {
            match postcard::take_from_bytes::<(Box<str>, Line)>(rest) {
                Ok(((name, line), after)) => {
                    rest = after;
                    if line.is_sound() {
                        self.lines.insert(name, line);
                    }
                }
                Err(_) => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000) + Span::from_secs(s)
    }

    fn reading(name: &str, kind: Kind, value: f64) -> Reading {
        Reading { name: name.into(), kind, value, is_hourly: false }
    }

    fn known(series: &Series, name: &str, over: Over, now: Timestamp) -> Vec<f64> {
        series.told(name, over, now).expect("a series").slots.into_iter().filter_map(|(_, value)| value).collect()
    }

    #[test]
    fn totals_are_told_by_what_was_added() {
        let mut series = Series::default();
        for n in 0..60 {
            let now = at(n * 10);
            series.note(now, [reading("accepted", Kind::Total, 1_000.0 + 5.0 * n as f64)]);
            series.note(now, [reading("backlog", Kind::Level, (n % 7) as f64)]);
        }
        let now = at(590);
        // Of the first reading it is not known since when.
        assert_eq!(known(&series, "accepted", Over::Hour, now), [5.0; 59]);
        assert_eq!(known(&series, "accepted", Over::Day, now).iter().sum::<f64>(), 295.0);
        assert_eq!(known(&series, "accepted", Over::Fortnight, now), [295.0]);
        assert!(known(&series, "backlog", Over::Day, now).iter().all(|n| *n == 6.0));
        assert_eq!(series.rate("accepted", 6, now), Some(30.0));
        assert_eq!(series.rate("nothing", 6, now), None);
    }

    #[test]
    fn what_a_silence_added_belongs_to_no_slot_of_it() {
        let mut series = Series::default();
        series.note(at(0), [reading("accepted", Kind::Total, 0.0)]);
        series.note(at(10), [reading("accepted", Kind::Total, 4.0)]);
        series.note(at(400), [reading("accepted", Kind::Total, 1_000.0)]);
        assert_eq!(known(&series, "accepted", Over::Hour, at(400)), [4.0]);
        assert_eq!(known(&series, "accepted", Over::Fortnight, at(400)), [1_000.0]);
    }

    #[test]
    fn another_process_goes_on_with_what_was_kept() {
        let mut series = Series::default();
        for n in 0..10 {
            series.note(
                at(n * 10),
                [reading("total", Kind::Total, 100.0 + n as f64), reading("count", Kind::Count, n as f64)],
            );
        }
        let mut again = Series::default();
        for value in series.kept() {
            assert!(value.len() < 60_000);
            again.take(&value);
        }
        again.note(at(100), [reading("total", Kind::Total, 500.0), reading("count", Kind::Count, 2.0)]);
        again.note(at(110), [reading("total", Kind::Total, 501.0), reading("count", Kind::Count, 2.0)]);
        assert_eq!(known(&again, "total", Over::Hour, at(110)).iter().sum::<f64>(), 10.0);
        assert_eq!(known(&again, "count", Over::Hour, at(110)).iter().sum::<f64>(), 11.0);
        // What is no series is none.
        again.take(&[1, 2, 3]);
        again.take(&[0xff; 100]);
    }

    #[test]
    fn there_is_a_bound_and_what_is_fed_no_more_makes_room() {
        let mut series = Series::default();
        let many = |from: usize| (from..from + 300).map(|n| reading(&format!("s{n:04}"), Kind::Level, 1.0));
        series.note(at(0), many(0));
        assert_eq!((series.lines.len(), series.left_out()), (MOST, 100));
        assert!(series.kept().iter().all(|value| value.len() < 60_000));
        series.note(at(0) + FORGOTTEN, many(1_000));
        assert!(series.told("s0000", Over::Hour, at(0)).is_none());
        assert!(series.told("s1000", Over::Hour, at(0)).is_some());
    }

    #[test]
    fn days_are_those_of_utc() {
        let mut series = Series::default();
        // 1,800,000,000 is 08:00 UTC.
        for hour in 0..40 {
            series
                .note(at(hour * 3_600), [Reading { is_hourly: true, ..reading("t/fires", Kind::Count, hour as f64) }]);
        }
        let days = series.days("t/fires", at(39 * 3_600));
        assert_eq!(days.len(), 14);
        assert_eq!(days[12].1, Some(15.0), "16 hours of the first day, the first of which added nothing");
        assert_eq!(days[13].1, Some(24.0));
        assert_eq!(days[0].1, None);
        assert_eq!(series.sums("t/", at(39 * 3_600)), BTreeMap::from([("fires".to_owned(), 39.0)]));
    }
}
