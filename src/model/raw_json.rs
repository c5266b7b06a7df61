//! JSON kept as the text it came in, so that what nobody reads is never parsed.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Valid JSON text. In JSON it is embedded as it is; in stored bytes it is a string.
///
/// `Debug` shows its length only: it holds what customers did.
#[derive(Clone, PartialEq, Eq)]
pub struct RawJson(Box<str>);

impl RawJson {
    /// `{}`
    pub fn empty() -> Self {
        Self("{}".into())
    }
    /// Checks that `text` is one JSON value.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str::<serde::de::IgnoredAny>(text)?;
        Ok(Self(text.trim().into()))
    }
    /// What `value` looks like as JSON.
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self::of(value)
    }
    /// The same of what is like a value: texts are its only keys, so that nothing can fail.
    pub fn of(value: &impl Serialize) -> Self {
        serde_json::to_string(value).map_or_else(|_| Self("null".into()), |text| Self(text.into()))
    }
    /// For text already checked: from our own store, or from serde's raw value.
    pub fn trusted(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }
    /// The text.
    pub fn get(&self) -> &str {
        &self.0
    }
    /// The value; `null` if the text is broken, which only a damaged store can make it.
    pub fn to_value(&self) -> serde_json::Value {
        serde_json::from_str(&self.0).unwrap_or(serde_json::Value::Null)
    }
    /// True for `{}` and `null`.
    pub fn is_empty(&self) -> bool {
        matches!(&*self.0, "{}" | "null" | "")
    }
}

impl Default for RawJson {
    fn default() -> Self {
        Self::empty()
    }
}

impl fmt::Debug for RawJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RawJson({} bytes)", self.0.len())
    }
}

impl Serialize for RawJson {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        if s.is_human_readable() {
            let raw: &serde_json::value::RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
            raw.serialize(s)
        } else {
            s.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for RawJson {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        if d.is_human_readable() {
            let raw = Box::<serde_json::value::RawValue>::deserialize(d)?;
            Ok(Self(raw.get().into()))
        } else {
            Box::<str>::deserialize(d).map(Self)
        }
    }
}
