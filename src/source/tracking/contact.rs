//! The few names that are looked for in properties and traits, found in one pass without keeping the rest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::scalar::Scalar;
use crate::model::RawJson;

/// Keys of a page that the message may say elsewhere too; a bit of [`Found::has`] for each.
const PAGE: [&str; 7] = ["name", "category", "url", "path", "referrer", "title", "search"];

/// What a token stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Cart,
    Checkout,
}

/// What one object of properties or traits holds at its top. A key given twice counts as its last.
#[derive(Debug, Default)]
pub(super) struct Found<'a> {
    pub(super) email: Scalar<'a>,
    pub(super) phone: Scalar<'a>,
    cart_id: Scalar<'a>,
    cart_token: Scalar<'a>,
    checkout_id: Scalar<'a>,
    checkout_token: Scalar<'a>,
    page: u8,
}

impl<'a> Found<'a> {
    /// In the text of an object.
    pub(super) fn within(object: &'a str) -> Self {
        serde_json::from_str(object).unwrap_or_default()
    }

    /// E-mail address and telephone number where they are texts.
    pub(super) fn only_texts(&self) -> Found<'_> {
        Found { email: self.email.only_text(), phone: self.phone.only_text(), ..Found::default() }
    }

    /// Carts and checkouts: what stitches a browser to a shop's own messages.
    pub(super) fn tokens(&self) -> impl Iterator<Item = (Token, Cow<'_, str>)> {
        let all = [
            (Token::Cart, &self.cart_id),
            (Token::Cart, &self.cart_token),
            (Token::Checkout, &self.checkout_id),
            (Token::Checkout, &self.checkout_token),
        ];
        all.into_iter().filter_map(|(token, value)| Some((token, value.text()?)))
    }

    /// True when the object has this key of a page.
    pub(super) fn has(&self, key: &str) -> bool {
        PAGE.iter().position(|known| *known == key).is_some_and(|bit| self.page & (1 << bit) != 0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Found<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Found<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
                let mut found = Found::default();
                while let Some(key) = entries.next_key::<Scalar<'de>>()? {
                    let Scalar::Text(key) = key else { continue };
                    let place = match &*key {
                        "email" => &mut found.email,
                        "phone" => &mut found.phone,
                        "cart_id" => &mut found.cart_id,
                        "cart_token" => &mut found.cart_token,
                        "checkout_id" => &mut found.checkout_id,
                        "checkout_token" => &mut found.checkout_token,
                        other => {
                            if let Some(bit) = PAGE.iter().position(|known| *known == other) {
                                found.page |= 1 << bit;
                            }
                            entries.next_value::<IgnoredAny>()?;
                            continue;
                        }
                    };
                    *place = entries.next_value()?;
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// Traits with the client's time zone among them, unless they say one themselves.
pub(super) fn with_zone(traits: &RawJson, zone: &str) -> RawJson {
    let known: BTreeMap<Cow<'_, str>, IgnoredAny> = serde_json::from_str(traits.get()).unwrap_or_default();
    if known.contains_key("timezone") || known.contains_key("time_zone") {
        return traits.clone();
    }
    let zone = serde_json::Value::from(zone);
    match traits.get().trim_start().strip_prefix('{').filter(|_| !known.is_empty()) {
        Some(others) => RawJson::trusted(format!("{{\"timezone\":{zone},{others}")),
        None => RawJson::trusted(format!("{{\"timezone\":{zone}}}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_top_is_looked_at() {
        let found =
            Found::within(r#"{"x":{"email":"no"},"email":"a","email":"b","cart_id":7,"title":null,"phone":[1]}"#);
        assert_eq!(found.email.text().as_deref(), Some("b"));
        assert_eq!(found.phone, Scalar::Absent);
        assert_eq!(found.tokens().collect::<Vec<_>>(), [(Token::Cart, "7".into())]);
        assert!(found.has("title") && !found.has("url") && !found.has("email"));
    }

    #[test]
    fn numbers_are_no_contact_where_only_texts_are() {
        let found = Found::within(r#"{"email":5,"phone":"+351912345678"}"#);
        let texts = found.only_texts();
        assert_eq!((texts.email.text(), texts.phone.text().as_deref()), (None, Some("+351912345678")));
    }
}
