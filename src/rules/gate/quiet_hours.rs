//! Quiet hours in the person's time zone: what would leave in them waits until they end, if that is before it expires.
//!
//! An instant is quiet when the clock on the person's wall shows a time from `from` on and before `until`. Nothing else is
//! said of days on which the clock is turned: a time that it skips is passed when it is put forward, and one that it
//! shows twice is quiet both times.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::zone::DAY;
use crate::model::{Gate, Person, Span, TimeOfDay, Timestamp, Zone};
use crate::rules::written::{Reading, Table, Value};

use super::{Dropped, Edge};

/// How often the clock may be turned within one quiet time; no zone does so more than once a day.
const MOST_CHANGES: usize = 16;

/// `[gates.quiet_hours]`
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// When they begin, on the person's clock: "21:00".
    pub from: TimeOfDay,
    /// When they end: "08:00".
    pub until: TimeOfDay,
    /// The zone of people who have none of their own: "Europe/Lisbon".
    pub zone: Zone,
}

/// What a trigger's file says of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Own {
    /// Nothing: those of `[gates]` hold.
    #[default]
    Common,
    /// It may leave at any time.
    Never,
    /// Its own hours; without a zone, in that of `[gates]`, else UTC.
    Hours(TimeOfDay, TimeOfDay, Option<Zone>),
}

impl QuietHours {
    /// True while the clock shows a quiet time.
    fn holds(&self, at: Timestamp) -> bool {
        let (from, until, clock) = (self.from.as_millis(), self.until.as_millis(), self.zone.clock(at));
        if from <= until { from <= clock && clock < until } else { from <= clock || clock < until }
    }

    /// The earliest instant from `at` on that is not quiet; `None` when that is `at` itself.
    pub fn end(&self, at: Timestamp) -> Option<Timestamp> {
        let mut quiet = at;
        for _ in 0..MOST_CHANGES {
            if !self.holds(quiet) {
                return (quiet > at).then_some(quiet);
            }
            let left = (self.until.as_millis() - self.zone.clock(quiet)).rem_euclid(DAY);
            let end = quiet + Span::from_millis(left);
            match self.zone.next_change(quiet).filter(|change| *change <= end) {
                Some(change) => quiet = change,
                None => return (end > at).then_some(end),
            }
        }
        Some(quiet)
    }
}

impl Own {
    /// Reads `quiet_hours`.
    pub fn read(top: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Self {
        let Some(value) = top.get("quiet_hours") else { return Self::Common };
        if value.is_no() {
            return Self::Never;
        }
        if !value.is_table() {
            reading.mistake(value.span(), value.path().to_owned(), "must be false or a table").suggestion =
                Some("{ from = \"21:00\", until = \"08:00\" }".into());
            return Self::Common;
        }
        let Some(mut table) = value.table(reading) else { return Self::Common };
        for key in ["from", "until"].into_iter().filter(|key| !table.has(key)) {
            reading.mistake(table.span(), format!("{}.{key}", table.path()), "is missing");
        }
        let from = table.get("from").and_then(|value| parsed::<TimeOfDay>(&value, reading));
        let end = table.get("until");
        let until = end.as_ref().and_then(|value| parsed::<TimeOfDay>(value, reading));
        let zone = table.get("zone").and_then(|value| parsed::<Zone>(&value, reading));
        table.finish(reading);
        let (Some(from), Some(until)) = (from, until) else { return Self::Common };
        if from == until
            && let Some(end) = end
        {
            reading.mistake(end.span(), end.path().to_owned(), SAME);
        }
        Self::Hours(from, until, zone)
    }
}

/// Hours that begin when they end.
pub const SAME: &str = "is the same as `from`: that is no time at all, or all of it";

fn parsed<T: std::str::FromStr<Err = String>>(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<T> {
    let read = value.text(reading)?.parse();
    read.map_err(|words| {
        reading.mistake(value.span(), value.path().to_owned(), words);
    })
    .ok()
}

/// Until when it has to wait; or why it is dropped: by then it has expired.
pub fn delayed(edge: &Edge<'_>) -> Result<Option<Timestamp>, Dropped> {
    let Some(end) = self::end(edge, edge.leaves()) else { return Ok(None) };
    let expires_at = edge.at + edge.trigger.expires;
    if end < expires_at {
        return Ok(Some(end));
    }
    let words = format!("quiet hours last until {end}, and it expires at {expires_at}");
    Err((Gate::QuietHours, words.into()))
}

/// The end of the quiet time in which an instant lies, for this person and trigger; none where it is not quiet.
pub fn end(edge: &Edge<'_>, at: Timestamp) -> Option<Timestamp> {
    hours(edge).and_then(|hours| hours.end(at))
}

/// The trigger's hours on the person's clock.
fn hours(edge: &Edge<'_>) -> Option<QuietHours> {
    let common = edge.program.settings().gates.quiet_hours.as_ref();
    let hours = match &edge.trigger.gating.quiet_hours {
        Own::Never => return None,
        Own::Common => common?.clone(),
        Own::Hours(from, until, zone) => {
            let zone = zone.clone().or_else(|| Some(common?.zone.clone())).unwrap_or(Zone::UTC);
            QuietHours { from: *from, until: *until, zone }
        }
    };
    Some(match zone_of(edge.person) {
        Some(zone) => QuietHours { zone, ..hours },
        None => hours,
    })
}

/// The zone that a person's traits tell: `timezone` or `time_zone`, at the top or in `address`.
fn zone_of(person: &Person) -> Option<Zone> {
    let address = person.trait_value("address");
    let told = ["timezone", "time_zone"].into_iter().map(|name| person.trait_value(name));
    let told = told.chain(["timezone", "time_zone"].into_iter().map(|name| address?.get(name)));
    told.flatten().filter_map(serde_json::Value::as_str).find_map(Zone::named)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hours(text: &str, zone: &str) -> QuietHours {
        let (from, until) = text.split_once('-').expect("two times");
        let time = |text: &str| text.parse().expect("a time of day");
        QuietHours { from: time(from), until: time(until), zone: Zone::named(zone).expect("a zone") }
    }

    /// Asked at an instant (seconds and `Z` are added), the end, or `now`.
    #[track_caller]
    fn check(zone: &str, text: &str, rows: &[(&str, &str)]) {
        let instant = |text: &str| Timestamp::parse(&format!("{text}:00Z")).expect("an instant");
        for (at, end) in rows {
            let wanted = (*end != "now").then(|| instant(end));
            assert_eq!(hours(text, zone).end(instant(at)), wanted, "{zone} {text} at {at}");
        }
    }

    #[test]
    fn nights_and_noons() {
        check(
            "UTC",
            "21:00-08:00",
            &[
                ("2026-01-01T20:59", "now"),
                ("2026-01-01T21:00", "2026-01-02T08:00"),
                ("2026-01-02T07:59", "2026-01-02T08:00"),
                ("2026-01-02T08:00", "now"),
                ("2026-12-31T23:30", "2027-01-01T08:00"),
                // A leap day, and none.
                ("2028-02-28T22:00", "2028-02-29T08:00"),
                ("2028-02-29T22:00", "2028-03-01T08:00"),
                ("2027-02-28T22:00", "2027-03-01T08:00"),
            ],
        );
        check("UTC", "12:00-13:30", &[("2026-01-01T12:10", "2026-01-01T13:30"), ("2026-01-01T13:30", "now")]);
        check("UTC", "21:00-00:00", &[("2026-01-01T23:59", "2026-01-02T00:00"), ("2026-01-02T00:00", "now")]);
        // Half an hour off the others.
        check("Asia/Kolkata", "21:00-08:00", &[("2026-01-01T15:29", "now"), ("2026-01-01T15:30", "2026-01-02T02:30")]);
    }

    #[test]
    fn a_night_in_which_the_clock_is_turned_is_shorter_or_longer() {
        check(
            "Europe/Lisbon",
            "21:00-08:00",
            &[("2026-03-28T22:00", "2026-03-29T07:00"), ("2026-10-24T21:00", "2026-10-25T08:00")],
        );
        check(
            "America/New_York",
            "21:00-08:00",
            &[
                ("2026-03-08T04:00", "2026-03-08T12:00"),
                ("2026-11-01T02:00", "2026-11-01T13:00"),
                ("2026-11-02T02:00", "2026-11-02T13:00"),
            ],
        );
    }

    /// 01:00 to 02:00 is skipped on 29 March 2026 in Lisbon, at 01:00 UTC.
    #[test]
    fn a_time_that_is_skipped_is_passed_when_the_clock_is_put_forward() {
        check("Europe/Lisbon", "21:00-01:30", &[("2026-03-29T00:30", "2026-03-29T01:00"), ("2026-03-29T01:00", "now")]);
        check("Europe/Lisbon", "01:30-08:00", &[("2026-03-29T00:59", "now"), ("2026-03-29T01:00", "2026-03-29T07:00")]);
        // All of them lie in it: there are none that day.
        check("Europe/Lisbon", "01:10-01:50", &[("2026-03-29T00:59", "now"), ("2026-03-29T01:00", "now")]);
        check("Europe/Lisbon", "01:10-01:50", &[("2026-03-30T00:20", "2026-03-30T00:50")]);
    }

    /// 01:00 to 02:00 comes twice on 25 October 2026 in Lisbon, from 00:00 and from 01:00 UTC.
    #[test]
    fn a_time_that_comes_twice_is_quiet_both_times() {
        check(
            "Europe/Lisbon",
            "21:00-01:30",
            &[
                ("2026-10-25T00:10", "2026-10-25T00:30"),
                ("2026-10-25T00:40", "now"),
                ("2026-10-25T01:10", "2026-10-25T01:30"),
                ("2026-10-25T01:30", "now"),
            ],
        );
        check(
            "Europe/Lisbon",
            "01:30-08:00",
            &[
                // It ends when the clock is put back before it begins again, half an hour later.
                ("2026-10-25T00:40", "2026-10-25T01:00"),
                ("2026-10-25T01:10", "now"),
                ("2026-10-25T01:30", "2026-10-25T08:00"),
            ],
        );
    }

    #[test]
    fn midnight_may_be_skipped() {
        // 00:00 to 01:00, at 03:00 UTC.
        check("America/Sao_Paulo", "21:00-00:00", &[("2018-11-04T01:00", "2018-11-04T03:00")]);
        check("America/Sao_Paulo", "21:00-00:30", &[("2018-11-04T01:00", "2018-11-04T03:00")]);
        check(
            "America/Sao_Paulo",
            "00:00-08:00",
            &[("2018-11-04T02:59", "now"), ("2018-11-04T03:00", "2018-11-04T10:00")],
        );
        // At 22:00 UTC.
        check("Asia/Beirut", "21:00-00:30", &[("2026-03-28T20:00", "2026-03-28T22:00")]);
        // A whole day, 30 December 2011; the clock goes on as if nothing were.
        check("Pacific/Apia", "21:00-08:00", &[("2011-12-30T08:00", "2011-12-30T18:00")]);
        // Half an hour.
        check(
            "Australia/Lord_Howe",
            "21:00-01:45",
            &[("2026-04-04T14:30", "2026-04-04T14:45"), ("2026-04-04T15:10", "2026-04-04T15:15")],
        );
    }

    const ZONES: [&str; 9] = [
        "Europe/Lisbon",
        "America/New_York",
        "Asia/Kolkata",
        "America/Sao_Paulo",
        "Asia/Beirut",
        "Pacific/Apia",
        "Australia/Lord_Howe",
        "Africa/Casablanca",
        "America/St_Johns",
    ];

    proptest! {
        /// Against the clock, looked at each minute.
        #[test]
        fn the_end_is_the_first_minute_that_is_not_quiet(
            zone in proptest::sample::select(&ZONES[..]),
            years in 1990..2040i64,
            change in 0..3usize,
            around in -1_500..1_500i64,
            (from, until) in (0..288u32, 0..288u32),
        ) {
            prop_assume!(from != until);
            let text = |n: u32| format!("{:02}:{:02}", n / 12, n % 12 * 5);
            let hours = hours(&format!("{}-{}", text(from), text(until)), zone);
            let mut at = Timestamp::from_millis((years - 1970) * 31_556_952_000 / 60_000 * 60_000);
            for _ in 0..change {
                at = hours.zone.next_change(at).unwrap_or(at);
            }
            let at = Timestamp::from_millis(at.as_millis() + around * 60_000);
            let mut minute = at;
            while hours.holds(minute) {
                minute = minute + Span::from_minutes(1);
            }
            prop_assert_eq!(hours.end(at).unwrap_or(at), minute, "{} at {}", zone, at);
        }
    }
}
