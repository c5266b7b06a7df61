//! Time zones: what the clock on somebody's wall shows at an instant.
//!
//! The rules are those that are compiled in, so that the same events are decided alike on every machine.

use std::fmt;
use std::str::FromStr;

use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Deserializer};

use super::{Span, Timestamp};

/// A zone of the IANA database, such as `Europe/Lisbon`.
#[derive(Clone, PartialEq)]
pub struct Zone(TimeZone);

/// A time of day on the clock, in whole minutes. Written `"21:00"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

/// Milliseconds of a day whose clock nobody turns.
pub const DAY: i64 = Span::DAY.as_millis();

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// By its name in the database, whatever the case.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZoneDatabase::bundled().get(name.trim()).ok()?;
        (!zone.is_unknown()).then_some(Self(zone))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// Milliseconds since midnight that the clock shows at this instant.
    pub fn clock(&self, at: Timestamp) -> i64 {
        let offset = instant(at).map_or(0, |at| self.0.to_offset(at).seconds());
        (at.as_millis() + i64::from(offset) * 1_000).rem_euclid(DAY)
    }

    /// What a calendar in it says of this instant; none beyond the years that calendars know.
    pub(super) fn zoned(&self, at: Timestamp) -> Option<jiff::Zoned> {
        Some(instant(at)?.to_zoned(self.0.clone()))
    }

    /// The next instant, after this one, at which the clock is put forward or back.
    pub fn next_change(&self, after: Timestamp) -> Option<Timestamp> {
        let change = self.0.following(instant(after)?).next()?;
        Some(Timestamp::from_millis(change.timestamp().as_millisecond()))
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.as_millis()).ok()
}

impl TimeOfDay {
    /// Milliseconds since midnight.
    pub fn as_millis(self) -> i64 {
        i64::from(self.0) * 60_000
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl FromStr for Zone {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::named(text)
            .ok_or_else(|| format!("`{text}` is not a time zone: write its name, like \"Europe/Lisbon\" or \"UTC\""))
    }
}

impl FromStr for TimeOfDay {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (hours, minutes) = text.trim().split_once(':')?;
            let number = |digits: &str, most: u16| {
                let is_two = digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit());
                digits.parse::<u16>().ok().filter(|n| is_two && *n <= most)
            };
            Some(Self(number(hours, 23)? * 60 + number(minutes, 59)?))
        };
        read().ok_or_else(|| format!("`{text}` is not a time of day: write it like \"21:00\" or \"08:30\""))
    }
}

// === as they are written in files ===

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for TimeOfDay {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Zone {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Zone".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "time-zone",
            "description": "A time zone: \"Europe/Lisbon\"."
        })
    }
}

impl schemars::JsonSchema for TimeOfDay {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TimeOfDay".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "format": "time-of-day",
            "description": "A time of day: \"21:00\"."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_known_by_name() {
        for (text, name) in [
            ("Europe/Lisbon", Some("Europe/Lisbon")),
            (" america/new_york ", Some("America/New_York")),
            ("UTC", Some("UTC")),
            ("Lisbon", None),
            ("Etc/Unknown", None),
            ("+02:00", None),
            ("../../etc/passwd", None),
            ("", None),
        ] {
            assert_eq!(Zone::named(text).as_ref().map(Zone::name), name, "{text}");
        }
    }

    #[test]
    fn times_of_day_have_two_digits_each() {
        for (text, minutes) in [("00:00", Some(0)), ("21:05", Some(1_265)), ("23:59", Some(1_439))] {
            assert_eq!(text.parse::<TimeOfDay>().ok().map(|t| t.0), minutes);
            assert_eq!(text.parse::<TimeOfDay>().map(|t| t.to_string()).as_deref(), Ok(text));
        }
        for text in ["24:00", "9:00", "21:60", "21", "21:00:00", "+1:00", "", "é:00"] {
            assert!(text.parse::<TimeOfDay>().is_err(), "{text}");
        }
    }

    #[test]
    fn no_instant_is_too_far() {
        let zone = Zone::named("Europe/Lisbon").expect("a zone");
        for at in [Timestamp::MIN, Timestamp::MAX, Timestamp::from_millis(0)] {
            assert!((0..DAY).contains(&zone.clock(at)));
            assert!(zone.next_change(at).is_none_or(|next| next > at));
        }
    }
}
