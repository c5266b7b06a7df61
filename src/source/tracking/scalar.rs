//! One plain value of a message, as lenient as the libraries are: ids come as texts and as numbers.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::model::Timestamp;
use crate::source::epoch;

/// A text or a number; everything else counts as absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Scalar<'a> {
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Whole(i64),
    Large(u64),
    Broken(f64),
}

/// Digits from which a text of digits is a time: seconds since 1973.
const TIME_DIGITS: usize = 9;

impl Scalar<'_> {
    /// Trimmed; none when it is empty.
    pub(super) fn text(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Absent => return None,
            Self::Text(text) => match text.trim() {
                "" => return None,
                text => Cow::Borrowed(text),
            },
            Self::Whole(n) => n.to_string().into(),
            Self::Large(n) => n.to_string().into(),
            Self::Broken(n) => n.to_string().into(),
        })
    }

    /// The same, when it is a text and not a number.
    pub(super) fn only_text(&self) -> Self
    where
        Self: Clone,
    {
        if matches!(self, Self::Text(_)) { self.clone() } else { Self::Absent }
    }

    /// The instant it says: RFC 3339, or seconds or milliseconds since 1970.
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Absent => None,
            Self::Text(text) => {
                let text = text.trim();
                let is_number = text.len() >= TIME_DIGITS && text.bytes().all(|b| b.is_ascii_digit());
                if is_number { epoch(text.parse().ok()?) } else { Timestamp::parse(text) }
            }
            Self::Whole(n) => epoch(*n as f64),
            Self::Large(n) => epoch(*n as f64),
            Self::Broken(n) => epoch(*n),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Scalar<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Scalar<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any value")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Scalar::Text(Cow::Owned(text)))
            }
            fn visit_i64<E>(self, n: i64) -> Result<Self::Value, E> {
                Ok(Scalar::Whole(n))
            }
            fn visit_u64<E>(self, n: u64) -> Result<Self::Value, E> {
                Ok(Scalar::Large(n))
            }
            fn visit_f64<E>(self, n: f64) -> Result<Self::Value, E> {
                Ok(Scalar::Broken(n))
            }
            fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
                Ok(Scalar::Absent)
            }
            fn visit_unit<E>(self) -> Result<Self::Value, E> {
                Ok(Scalar::Absent)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Scalar::Absent)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Scalar::Absent)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, text: Option<&str>, ms: Option<i64>) {
        let scalar: Scalar<'_> = serde_json::from_str(json).expect("valid JSON");
        assert_eq!(scalar.text().as_deref(), text, "text of {json}");
        assert_eq!(scalar.time().map(Timestamp::as_millis), ms, "time of {json}");
    }

    #[test]
    fn ids_are_texts_or_numbers() {
        check(r#"" u1 ""#, Some("u1"), None);
        check(r#""a\"b""#, Some("a\"b"), None);
        check("42", Some("42"), Some(42_000));
        check("-7", Some("-7"), Some(-7_000));
        check("18446744073709551615", Some("18446744073709551615"), None);
        for absent in ["null", "true", "\"\"", "\" \"", "[1,[2]]", "{\"a\":{\"b\":1}}"] {
            check(absent, None, None);
        }
    }

    #[test]
    fn times_are_texts_seconds_or_milliseconds() {
        check(r#""2026-11-23T18:53:39.837Z""#, Some("2026-11-23T18:53:39.837Z"), Some(1_795_460_019_837));
        check("1795460019837", Some("1795460019837"), Some(1_795_460_019_837));
        check("1795460019", Some("1795460019"), Some(1_795_460_019_000));
        check("1795460019.837", Some("1795460019.837"), Some(1_795_460_019_837));
        check(r#""1795460019""#, Some("1795460019"), Some(1_795_460_019_000));
        check("1e300", Some(&1e300.to_string()), None);
    }
}
