//! When something is due again and again, as cron writes it, on the clock of a zone.

use std::fmt;
use std::str::FromStr;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use serde::{Deserialize, Deserializer};

use super::{Timestamp, Zone};

/// `"0 3 * * *"`: minute, hour, day of month, month, day of week. Or `"off"`: never.
///
/// A time that the clock leaves out is due at once after the gap; one that it shows twice is due once.
#[derive(Clone, PartialEq)]
pub struct Schedule(Option<Box<Cron>>);

impl Schedule {
    /// Never.
    pub const OFF: Self = Self(None);

    /// True when it is never due.
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// The last instant, at or before this one, at which it was due.
    pub fn last(&self, at: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let due = self.0.as_ref()?.find_previous_occurrence(&zone.zoned(at)?, true).ok()?;
        Some(Timestamp::from_millis(due.timestamp().as_millisecond()))
    }

    /// The first instant after this one at which it is due.
    pub fn next(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        let due = self.0.as_ref()?.find_next_occurrence(&zone.zoned(after)?, false).ok()?;
        Some(Timestamp::from_millis(due.timestamp().as_millisecond()))
    }
}

impl FromStr for Schedule {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "off" {
            return Ok(Self::OFF);
        }
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text.trim());
        cron.map(|cron| Self(Some(Box::new(cron)))).map_err(|why| {
            format!("`{text}` is not when: write minute, hour, day, month and weekday, like \"0 3 * * *\", or \"off\" ({why})")
        })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("off", |cron| cron.as_str()))
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Schedule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Schedule".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "schedule",
            "description": "When, as cron writes it: minute, hour, day of month, month, day of week. \"0 3 * * *\" is each night at three; \"off\" is never."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).expect("an instant")
    }

    #[track_caller]
    fn check(schedule: &str, zone: &str, now: &str, last: &str, next: &str) {
        let (schedule, zone) = (schedule.parse::<Schedule>().expect("a schedule"), Zone::named(zone).expect("a zone"));
        assert_eq!((schedule.last(at(now), &zone), schedule.next(at(now), &zone)), (Some(at(last)), Some(at(next))));
    }

    #[test]
    fn it_is_due_by_the_clock_of_its_zone() {
        check("0 3 * * *", "UTC", "2026-11-24T03:00:00Z", "2026-11-24T03:00:00Z", "2026-11-25T03:00:00Z");
        check("0 3 * * *", "UTC", "2026-11-24T02:59:59.999Z", "2026-11-23T03:00:00Z", "2026-11-24T03:00:00Z");
        check("30 2 * * 1-5", "Europe/Lisbon", "2026-07-11T12:00:00Z", "2026-07-10T01:30:00Z", "2026-07-13T01:30:00Z");
    }

    #[test]
    fn a_night_is_neither_left_out_nor_doubled_when_the_clock_is_turned() {
        // At two it is three in Berlin on 29 March 2026, and at three it is two on 25 October.
        let (schedule, zone) = ("30 2 * * *".parse::<Schedule>().expect("a schedule"), Zone::named("Europe/Berlin"));
        let zone = zone.expect("a zone");
        for (from, until) in [("2026-03-27T12:00:00Z", 4), ("2026-10-23T12:00:00Z", 4)] {
            let (mut now, mut days) = (at(from), std::collections::BTreeSet::new());
            for _ in 0..until {
                now = schedule.next(now, &zone).expect("it is due again");
                assert!(days.insert(now.to_string().chars().take(10).collect::<String>()), "twice on one day: {now}");
            }
        }
    }

    #[test]
    fn what_is_no_schedule_is_refused_with_the_way_out() {
        for wrong in ["", "3", "0 3 * *", "0 25 * * *", "61 3 * * *", "0 0 3 * * *", "@whenever", "every night"] {
            let words = wrong.parse::<Schedule>().expect_err(wrong);
            assert!(words.contains("\"0 3 * * *\""), "{words}");
        }
        assert!("off".parse::<Schedule>().is_ok_and(|schedule| schedule.is_off()));
    }
}
