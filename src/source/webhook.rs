//! Webhooks of a connector: who sent it, which topic it is of, which events that makes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use super::manifest::{Manifest, Topic, Webhook};
use super::mapping::{Body, GRACE, Message};
use super::{Arrival, Read, Refused, Rejected, raw};
use crate::manifest::setting::Given;
use crate::model::setting::Secret;
use crate::model::{Origin, Span};

/// One connector as it is configured.
#[derive(Clone, Debug)]
pub struct Webhooks {
    webhook: Webhook,
    topics: Arc<BTreeMap<String, Topic>>,
    secrets: Vec<Secret>,
    account: Option<String>,
    shown: serde_json::Value,
    /// What is made once for an object was made before, when it came to hold longer ago than this.
    young: Option<Span>,
}

/// A request's headers, by name; names are compared without case.
pub type Headers<'h> = &'h dyn Fn(&str) -> Option<String>;

impl Webhooks {
    /// Of a connector, where it has any and `given` has a secret that they are signed with.
    pub fn of(manifest: &Manifest, given: &Given) -> Option<Self> {
        let webhook = manifest.webhook.clone()?;
        let secrets = given.secrets(&webhook.secrets).to_vec();
        let account = webhook.account.as_ref().and_then(|(_, setting)| given.shown(setting)).map(str::to_owned);
        let (topics, shown) = (Arc::new(manifest.topics.clone()), json!(given.all_shown()));
        (!secrets.is_empty()).then(|| Self { webhook, topics, secrets, account, shown, young: Some(GRACE) })
    }

    /// The same for messages of any age: samples.
    pub fn of_any_age(self) -> Self {
        Self { young: None, ..self }
    }

    /// What its topics make.
    pub fn topics(&self) -> &BTreeMap<String, Topic> {
        &self.topics
    }

    /// How its requests come.
    pub fn webhook(&self) -> &Webhook {
        &self.webhook
    }

    /// True for what only asks whether anybody is there: it is not signed, and says nothing.
    pub fn is_ping(&self, headers: Headers<'_>, body: &[u8]) -> bool {
        let Some(field) = &self.webhook.ping else { return false };
        let value = std::str::from_utf8(body).ok().and_then(|text| text.strip_prefix(field)?.strip_prefix('='));
        let is_word =
            |value: &str| (1..=40).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric());
        value.is_some_and(is_word) && headers(self.webhook.signature.header()).is_none()
    }

    /// Checks the signature over the body as it came, and the account.
    ///
    /// # Errors
    /// [`Refused::Unauthorized`].
    pub fn verify(&self, headers: Headers<'_>, body: &[u8]) -> Result<(), Refused> {
        let webhook = &self.webhook;
        webhook.signature.verify(&self.secrets, headers(webhook.signature.header()).as_deref(), body)?;
        if let (Some(shop), Some((header, _))) = (&self.account, &webhook.account) {
            let sender = headers(header).unwrap_or_default();
            if !domain(shop).eq_ignore_ascii_case(domain(&sender)) {
                return Err(Refused::Unauthorized(format!("{header} is not the shop that is configured")));
            }
        }
        Ok(())
    }

    /// The events of a request that was verified. What cannot be read is set aside, not refused: a vendor that is told
    /// of an error sends the same bytes again and, in the end, stops sending.
    ///
    /// # Errors
    /// [`Refused::Unreadable`] when the request says no topic.
    pub fn read(&self, headers: Headers<'_>, body: &[u8], arrival: &Arrival<'_>) -> Result<Read, Refused> {
        let webhook = &self.webhook;
        let topic = headers(&webhook.topic_header)
            .ok_or_else(|| Refused::Unreadable(format!("the header {} is missing", webhook.topic_header)))?;
        let mut read = Read::default();
        let emits = match self.topics.get(topic.trim()) {
            None => {
                read.ignored = 1;
                return Ok(read);
            }
            Some(Topic::Acknowledge) => {
                read.acknowledged = 1;
                return Ok(read);
            }
            Some(Topic::Emit(emits)) => emits,
        };
        let id = webhook.id_header.as_deref().and_then(headers).filter(|id| !id.trim().is_empty());
        let text = String::from_utf8_lossy(body);
        let reject =
            |reason: String| Rejected { index: 0, message_id: id.clone(), reason, body: text.clone().into_owned() };
        let record = match raw::value(body) {
            Ok(record) => record,
            Err(reason) => {
                read.rejected.push(reject(reason.to_owned()));
                return Ok(read);
            }
        };
        let message = Message {
            record: &record,
            topic: topic.trim(),
            id: id.as_deref(),
            body: Body::Text(&text),
            origin: Origin::System,
            at: None,
            fresh: self.young.map(|young| arrival.at - young),
            settings: &self.shown,
        };
        for emit in emits {
            for made in emit.events(&message, arrival) {
                match made {
                    Ok(event) => {
                        read.clamped += usize::from(event.claimed_at.is_some());
                        read.events.push(event);
                    }
                    Err(reason) => read.rejected.push(reject(reason)),
                }
            }
        }
        if read.events.is_empty() && read.rejected.is_empty() {
            read.ignored = 1;
        }
        Ok(read)
    }
}

/// A domain without what people paste with it.
fn domain(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("https://").unwrap_or(text).trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity;
    use crate::model::Timestamp;
    use crate::source::Limits;
    use crate::source::manifest::shipped;

    const BODY: &str = r#"{"token":"c1","line_items":[{"product_id":1}],"updated_at":"2026-11-23T11:00:00Z"}"#;

    fn shop() -> Webhooks {
        let manifest = Manifest::read("connector.toml", shipped("shopify").expect("its text")).expect("right");
        let said = serde_json::json!({"shop": "https://Example.myshopify.com/", "secrets": ["hush"]});
        let written = serde_json::from_value(said).expect("settings");
        Webhooks::of(&manifest, &Given::read(&manifest.settings, &written).expect("fits")).expect("webhooks")
    }

    fn headers(topic: &'static str, shop: &'static str, signature: String) -> impl Fn(&str) -> Option<String> {
        move |name| match name.to_ascii_lowercase().as_str() {
            "x-shopify-topic" => Some(topic.to_owned()),
            "x-shopify-shop-domain" => Some(shop.to_owned()),
            "x-shopify-hmac-sha256" => Some(signature.clone()),
            "x-shopify-webhook-id" => Some("w1".to_owned()),
            _ => None,
        }
    }

    fn sign(body: &[u8]) -> String {
        use base64::Engine;
        use hmac::{KeyInit, Mac};
        let mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"hush").expect("a key");
        base64::engine::general_purpose::STANDARD.encode(mac.chain_update(body).finalize().into_bytes())
    }

    /// `events rejected ignored acknowledged`.
    #[track_caller]
    fn check(topic: &'static str, body: &str, wanted: [usize; 4]) {
        let (names, source) = (identity::Settings::default(), Arc::from("shop"));
        let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
        let limits = Limits { message: 10, messages: 1 };
        let arrival = Arrival { source: &source, at, names: &names, limits: &limits };
        let headers = headers(topic, "example.myshopify.com", sign(body.as_bytes()));
        assert_eq!(shop().verify(&headers, body.as_bytes()), Ok(()));
        let read = shop().read(&headers, body.as_bytes(), &arrival).expect("read");
        assert_eq!([read.events.len(), read.rejected.len(), read.ignored, read.acknowledged], wanted, "{topic}");
        assert!(read.rejected.iter().all(|r| r.message_id.as_deref() == Some("w1")));
    }

    #[test]
    fn topics_make_events_or_nothing() {
        check("carts/update", BODY, [1, 0, 0, 0]);
        check("carts/update", r#"{"token":"c1","line_items":[]}"#, [0, 0, 1, 0]);
        check("carts/update", "{", [0, 1, 0, 0]);
        check("carts/update", r#"{"line_items":[1]}"#, [0, 1, 0, 0]);
        check("themes/publish", BODY, [0, 0, 1, 0]);
        check("shop/redact", "{}", [0, 0, 0, 1]);
    }

    #[test]
    fn what_came_to_hold_long_ago_was_made_then() {
        let manifest = Manifest::read("connector.toml", shipped("shopify").expect("its text")).expect("right");
        let given = crate::manifest::setting::Given::anything(&manifest.settings);
        let webhooks = Webhooks::of(&manifest, &given).expect("webhooks");
        let (names, source) = (identity::Settings::default(), Arc::from("shop"));
        let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
        let limits = Limits { message: 10, messages: 1 };
        let arrival = Arrival { source: &source, at, names: &names, limits: &limits };
        let headers = headers("orders/paid", "hush", String::new());
        for (at, made) in [("2026-11-21T12:00:00Z", 1), ("2026-11-21T11:59:59Z", 0)] {
            let body = format!(r#"{{"id":1,"email":"ines@example.com","updated_at":"{at}"}}"#);
            let read =
                |webhooks: &Webhooks| webhooks.read(&headers, body.as_bytes(), &arrival).expect("read").events.len();
            assert_eq!((read(&webhooks), read(&webhooks.clone().of_any_age())), (made, 1), "{at}");
        }
    }

    #[test]
    fn a_ping_says_nothing_and_is_let_in() {
        let text = shipped("shopify").expect("its text").replacen("[webhook]", "[webhook]\nping = \"webhook_id\"", 1);
        let manifest = Manifest::read("connector.toml", &text).expect("right");
        let given = crate::manifest::setting::Given::anything(&manifest.settings);
        let webhooks = Webhooks::of(&manifest, &given).expect("webhooks");
        let none = |_: &str| None;
        assert!(webhooks.is_ping(&none, b"webhook_id=123"));
        for other in ["webhook_id=", "webhook_id=1&a=b", "webhook_ids=1", "{}", ""] {
            assert!(!webhooks.is_ping(&none, other.as_bytes()), "{other}");
        }
        assert!(!webhooks.is_ping(&headers("carts/update", "", sign(b"")), b"webhook_id=123"), "signed, so no ping");
        assert!(!shop().is_ping(&none, b"webhook_id=123"), "of a vendor that sends none");
    }

    #[test]
    fn only_the_shop_itself_is_heard() {
        let body = BODY.as_bytes();
        assert_eq!(shop().verify(&headers("carts/update", "example.myshopify.com", sign(body)), body), Ok(()));
        for (sender, signature) in [("other.myshopify.com", sign(body)), ("example.myshopify.com", sign(b"other"))] {
            let refused = shop().verify(&headers("carts/update", sender, signature), body);
            assert!(matches!(refused, Err(Refused::Unauthorized(_))), "{sender}");
        }
        let none = |_: &str| None;
        assert!(matches!(shop().verify(&none, body), Err(Refused::Unauthorized(_))));
    }
}
