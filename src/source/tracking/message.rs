//! The shape of a message, borrowed from the body.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scalar::Scalar;
use crate::model::IdentifierKind;

/// One message; keys that say nothing to us are left out.
#[derive(Deserialize)]
pub(super) struct Message<'a> {
    #[serde(borrow, default, rename = "type")]
    pub kind: Scalar<'a>,
    #[serde(borrow, default, rename = "messageId")]
    pub message_id: Scalar<'a>,
    #[serde(borrow, default, rename = "userId")]
    pub user_id: Scalar<'a>,
    #[serde(borrow, default, rename = "anonymousId")]
    pub anonymous_id: Scalar<'a>,
    #[serde(borrow, default, rename = "previousId")]
    pub previous_id: Scalar<'a>,
    #[serde(borrow, default, rename = "groupId")]
    pub group_id: Scalar<'a>,
    #[serde(borrow, default)]
    pub timestamp: Scalar<'a>,
    #[serde(borrow, default, rename = "originalTimestamp")]
    pub original_timestamp: Scalar<'a>,
    #[serde(borrow, default, rename = "sentAt")]
    pub sent_at: Scalar<'a>,
    #[serde(borrow, default)]
    pub event: Scalar<'a>,
    #[serde(borrow, default)]
    pub name: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub category: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub properties: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub traits: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "object_or_nothing")]
    pub context: Context<'a>,
}

/// What is read of `context`.
#[derive(Default, Deserialize)]
pub(super) struct Context<'a> {
    #[serde(borrow, default)]
    pub traits: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "object_or_nothing")]
    pub page: Page<'a>,
    #[serde(borrow, default, rename = "sessionId")]
    pub session_id: Scalar<'a>,
    #[serde(borrow, default)]
    pub timezone: Scalar<'a>,
    #[serde(borrow, default, rename = "externalId")]
    pub external_ids: Option<&'a RawValue>,
}

/// What is read of `context.page`.
#[derive(Default, Deserialize)]
pub(super) struct Page<'a> {
    #[serde(borrow, default)]
    pub url: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub path: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub referrer: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub title: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub search: Option<&'a RawValue>,
}

/// The names in `context.externalId`: `[{"type": "shopify_customer", "id": "207119551"}]`.
pub(super) fn external_ids(raw: &RawValue) -> Vec<(IdentifierKind, String)> {
    #[derive(Deserialize)]
    struct External<'a> {
        #[serde(borrow, default, rename = "type")]
        kind: Scalar<'a>,
        #[serde(borrow, default)]
        id: Scalar<'a>,
    }
    let listed: Vec<External<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let known = listed.iter().filter_map(|one| {
        let kind = IdentifierKind::parse(&one.kind.text()?)?;
        Some((kind, one.id.text()?.into_owned()))
    });
    known.collect()
}

/// An object as `T`; anything else as nothing, since a client's `"context": []` must not cost the event.
pub(super) fn object_or_nothing<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    struct Lenient<T>(PhantomData<T>);
    impl<'de, T: Default + Deserialize<'de>> Visitor<'de> for Lenient<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("any value")
        }
        fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(entries))
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok(T::default())
        }
        fn visit_str<E>(self, _: &str) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_i64<E>(self, _: i64) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_u64<E>(self, _: u64) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_f64<E>(self, _: f64) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_bool<E>(self, _: bool) -> Result<T, E> {
            Ok(T::default())
        }
        fn visit_unit<E>(self) -> Result<T, E> {
            Ok(T::default())
        }
    }
    deserializer.deserialize_any(Lenient(PhantomData))
}
