//! How vendors write instants. Inside the sandbox an instant is milliseconds UTC.

use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use serde_json::Value;

use super::call::iso;

/// A vendor's way to write an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stamp {
    /// `2026-11-23T10:00:00Z`
    Zulu,
    /// `2026-11-23T10:00:00.000Z`
    ZuluMillis,
    /// `2026-11-23T10:00:00+00:00`
    Offset,
    /// `2026-11-23T10:00:00.000+0000` in whole seconds, which is not RFC 3339.
    NoColon,
    /// `2026-11-23T10:00:00`, so many milliseconds before UTC.
    Bare(i64),
    /// `2026-11-23 10:00:00` in UTC.
    Sql,
    /// `Mon, 23 Nov 2026 10:00:00 +0000`
    Rfc2822,
    /// Milliseconds since 1970, as a number.
    Millis,
}

impl Stamp {
    /// The instant as the vendor writes it; whatever is finer than its form is lost, as it is at the vendor.
    pub fn write(self, ms: i64) -> Value {
        let form = match self {
            Self::Zulu => "%Y-%m-%dT%H:%M:%SZ",
            Self::ZuluMillis => return iso(ms).into(),
            Self::Offset => "%Y-%m-%dT%H:%M:%S+00:00",
            Self::NoColon => "%Y-%m-%dT%H:%M:%S.000+0000",
            Self::Bare(_) => "%Y-%m-%dT%H:%M:%S",
            Self::Sql => "%Y-%m-%d %H:%M:%S",
            Self::Rfc2822 => "%a, %d %b %Y %H:%M:%S +0000",
            Self::Millis => return ms.into(),
        };
        let shown = if let Self::Bare(before) = self { ms.saturating_sub(before) } else { ms };
        match jiff::Timestamp::from_millisecond(shown) {
            Ok(at) => at.strftime(form).to_string().into(),
            Err(_) => Value::Null,
        }
    }

    /// The instant that the text means; text without a zone is read as this form has it, else as UTC.
    pub fn read(self, value: &Value) -> Option<i64> {
        if self == Self::Millis {
            return value.as_i64();
        }
        let before = if let Self::Bare(before) = self { before } else { 0 };
        read(value.as_str()?, before)
    }
}

/// An instant in any of the forms; text without a zone lies `before` milliseconds behind UTC.
pub(super) fn read(text: &str, before: i64) -> Option<i64> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(at.as_millisecond());
    }
    if let Ok(at) = rfc2822::parse(text) {
        return Some(at.timestamp().as_millisecond());
    }
    let bare: DateTime = text.parse().ok()?;
    let at = bare.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(at.timestamp().as_millisecond().saturating_add(before))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_read_as_it_is_written() {
        let at = 1_795_428_000_000;
        for (stamp, text) in [
            (Stamp::Zulu, "2026-11-23T10:00:00Z"),
            (Stamp::ZuluMillis, "2026-11-23T10:00:00.000Z"),
            (Stamp::Offset, "2026-11-23T10:00:00+00:00"),
            (Stamp::NoColon, "2026-11-23T10:00:00.000+0000"),
            (Stamp::Bare(10_800_000), "2026-11-23T07:00:00"),
            (Stamp::Sql, "2026-11-23 10:00:00"),
            (Stamp::Rfc2822, "Mon, 23 Nov 2026 10:00:00 +0000"),
        ] {
            assert_eq!(stamp.write(at), text);
            assert_eq!(stamp.read(&text.into()), Some(at), "{text}");
        }
        assert_eq!(read("2026-11-23", 0), Some(at - 36_000_000));
        assert_eq!(read("yesterday", 0), None);
    }
}
