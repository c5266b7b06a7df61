//! Instants in milliseconds UTC, and spans between them.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An instant, in milliseconds since 1970-01-01T00:00:00Z.
///
/// In text (JSON, TOML) it is RFC 3339 with milliseconds, UTC; in stored bytes it is the number.
/// Arithmetic saturates: no input can make it wrap or panic.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

/// A length of time in milliseconds, never negative. Written `"90s"`, `"30m"`, `"24h"`, `"14d"`, `"2w"`, `"250ms"`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span(i64);

/// The last instant that RFC 3339 can write: 9999-12-31T23:59:59.999Z.
const LAST: i64 = 253_402_300_799_999;
/// The first one: 0000-01-01T00:00:00Z.
const FIRST: i64 = -62_167_219_200_000;

impl Timestamp {
    /// The first instant that can be written.
    pub const MIN: Self = Self(FIRST);
    /// The last instant that can be written.
    pub const MAX: Self = Self(LAST);

    /// Clamped to the years 0 to 9999.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < FIRST {
            FIRST
        } else if ms > LAST {
            LAST
        } else {
            ms
        })
    }

    /// Milliseconds since the epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// How many whole spans of this length lie between 1970 and this instant: with a day, the day of UTC.
    pub const fn whole(self, span: Span) -> i64 {
        self.0.div_euclid(if span.0 < 1 { 1 } else { span.0 })
    }

    /// To the minute, for people: `2026-11-29 12:00`, UTC.
    pub fn minute(self) -> String {
        self.to_string().replace('T', " ").chars().take(16).collect()
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Span {
        Span::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// Reads RFC 3339 in the forms that libraries send: `Z` or an offset, any number of decimals,
    /// `T` or a space. A date-time without an offset is not an instant and is refused.
    pub fn parse(text: &str) -> Option<Self> {
        let at: jiff::Timestamp = text.trim().parse().ok()?;
        Some(Self::from_millis(at.as_millisecond()))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Self = Self(0);
    /// An hour.
    pub const HOUR: Self = Self::from_hours(1);
    /// 24 hours.
    pub const DAY: Self = Self::from_days(1);
    /// The longest span there is.
    pub const MAX: Self = Self(i64::MAX);

    /// A negative number is taken as zero.
    pub const fn from_millis(ms: i64) -> Self {
        Self(if ms < 0 { 0 } else { ms })
    }
    /// Whole seconds.
    pub const fn from_secs(s: i64) -> Self {
        Self::from_millis(s.saturating_mul(1_000))
    }
    /// Whole minutes.
    pub const fn from_minutes(m: i64) -> Self {
        Self::from_secs(m.saturating_mul(60))
    }
    /// Whole hours.
    pub const fn from_hours(h: i64) -> Self {
        Self::from_minutes(h.saturating_mul(60))
    }
    /// Days of exactly 24 hours.
    pub const fn from_days(d: i64) -> Self {
        Self::from_hours(d.saturating_mul(24))
    }
    /// Milliseconds.
    pub const fn as_millis(self) -> i64 {
        self.0
    }
    /// The same length for the standard library.
    pub const fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0 as u64)
    }
}

// === arithmetic: saturating, so that hostile timestamps cannot panic ===

impl Add<Span> for Timestamp {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Timestamp {
    type Output = Self;
    fn sub(self, span: Span) -> Self {
        Self::from_millis(self.0.saturating_sub(span.0))
    }
}

// === text ===

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it exactly: `90m` stays `90m`, `120m` is `2h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if self.0 != 0 && self.0 % ms == 0 {
                return write!(f, "{}{unit}", self.0 / ms);
            }
        }
        write!(f, "{}ms", self.0)
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Span {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a length of time: write it like \"30m\", \"24h\" or \"14d\"");
        let text_ = text.trim();
        let digits = text_.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: i64 = text_[..digits].parse().map_err(|_| wrong())?;
        let unit = match text_[digits..].trim() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 7 * 86_400_000,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if !d.is_human_readable() {
            return i64::deserialize(d).map(Self::from_millis);
        }
        let text = String::deserialize(d)?;
        Self::parse(&text)
            .ok_or_else(|| serde::de::Error::custom("an instant is written like 2026-11-23T16:05:12.000Z"))
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() { s.collect_str(self) } else { s.serialize_i64(self.0) }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if !d.is_human_readable() {
            return i64::deserialize(d).map(Self::from_millis);
        }
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl utoipa::PartialSchema for Timestamp {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
        let format = SchemaFormat::KnownFormat(KnownFormat::DateTime);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}
impl utoipa::ToSchema for Timestamp {}

impl utoipa::PartialSchema for Span {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::{ObjectBuilder, Type};
        let words = "A number and its unit: ms, s, m, h, d or w.";
        ObjectBuilder::new().schema_type(Type::String).description(Some(words)).into()
    }
}
impl utoipa::ToSchema for Span {}

impl schemars::JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "pattern": "^[0-9]+ ?(ms|s|m|h|d|w)$",
            "description": "A length of time: \"30m\", \"24h\", \"14d\"."
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_read_what_libraries_send() {
        for (text, ms) in [
            ("2026-11-23T18:53:39.837Z", 1_795_460_019_837),
            ("2026-11-23T18:53:42.489091+00:00", 1_795_460_022_489),
            ("2026-11-23T13:53:39-05:00", 1_795_460_019_000),
        ] {
            assert_eq!(Timestamp::parse(text).map(Timestamp::as_millis), Some(ms), "{text}");
        }
        assert_eq!(Timestamp::parse("2026-11-23T13:53:39"), None);
        assert_eq!(Timestamp::from_millis(1_795_460_019_837).to_string(), "2026-11-23T18:53:39.837Z");
    }

    #[test]
    fn spans_are_written_as_they_are_read() {
        for text in ["250ms", "90s", "30m", "24h", "14d"] {
            let span: Span = text.parse().expect("a span");
            let again: Span = span.to_string().parse().expect("its own text");
            assert_eq!(span, again);
        }
        for text in ["", "30", "m", "-5m", "5 weeks", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(Timestamp::MAX + Span::MAX, Timestamp::MAX);
        assert_eq!(Timestamp::MIN - Span::MAX, Timestamp::MIN);
    }
}
