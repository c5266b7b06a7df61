//! The tracking API of Segment and RudderStack: one message or a batch of them to events.
//!
//! The hot path. A body is JSON whatever its content type says. Messages are read into borrowed structs; what nobody
//! here looks into (properties, traits) is kept as the text it came in. One wrong message never costs the others.

mod contact;
mod message;
mod scalar;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use self::contact::Found;
use self::message::{Context, Message};
use self::scalar::Scalar;
use super::{Arrival, Read, Refused, Rejected, names, raw, when};
use crate::model::{Event, EventKind, IdentifierKind, Origin, RawJson, Timestamp};

/// The longest event name, in bytes.
const LONGEST_NAME: usize = 200;
/// The longest session id that is kept, in bytes.
const LONGEST_SESSION: usize = 255;
const NO_BATCH: &str = "the body has no `batch` list";

/// What a path of the API takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `{"batch": [...]}`; each message says its type.
    Batch,
    /// One message of this type.
    One(MessageType),
}

/// The six messages of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// Something the person did.
    Track,
    /// A page was seen.
    Page,
    /// A screen of an app was seen.
    Screen,
    /// Who the person is.
    Identify,
    /// The company or group the person is in.
    Group,
    /// Two ids are one person.
    Alias,
}

impl Call {
    /// From the last part of the path: `track`, `t`, `batch`, `import` ...
    pub fn from_path(last: &str) -> Option<Self> {
        Some(match last {
            "batch" | "b" | "import" => Self::Batch,
            "t" => Self::One(MessageType::Track),
            "p" => Self::One(MessageType::Page),
            "s" => Self::One(MessageType::Screen),
            "i" => Self::One(MessageType::Identify),
            "g" => Self::One(MessageType::Group),
            "a" => Self::One(MessageType::Alias),
            word => Self::One(MessageType::parse(word)?),
        })
    }
}

impl MessageType {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "track" => Self::Track,
            "page" => Self::Page,
            "screen" => Self::Screen,
            "identify" => Self::Identify,
            "group" => Self::Group,
            "alias" => Self::Alias,
            _ => return None,
        })
    }
}

/// The longest `context.timezone` that is kept, in bytes.
const LONGEST_ZONE: usize = 64;

/// The body of a batch.
#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow)]
    batch: Vec<&'a RawValue>,
    #[serde(borrow, default, rename = "sentAt")]
    sent_at: Scalar<'a>,
    #[serde(borrow, default, deserialize_with = "message::object_or_nothing")]
    context: Context<'a>,
}

/// The events that `body` holds.
///
/// # Errors
/// When the body is not JSON or holds no batch, or has more messages than allowed. A single wrong message is no error:
/// it is in [`Read::rejected`].
pub fn read(body: &[u8], path: Call, arrival: &Arrival<'_>) -> Result<Read, Refused> {
    let text = raw::utf8(body).map_err(|wrong| Refused::Unreadable(format!("the body {wrong}")))?;
    let mut read = Read::default();
    match path {
        Call::One(kind) => {
            let one: &RawValue = serde_json::from_str(text).map_err(|e| not_json(&e))?;
            Reading { arrival, kind: Some(kind), sent_at: None, beneath: &Context::default() }.add(0, one, &mut read);
        }
        Call::Batch => {
            let batch: Batch<'_> = serde_json::from_str(text)
                .map_err(|e| if e.is_data() { Refused::Unreadable(NO_BATCH.into()) } else { not_json(&e) })?;
            // Serde would take a list for a struct.
            if text.trim_start().starts_with('[') {
                return Err(Refused::Unreadable(NO_BATCH.into()));
            }
            if batch.batch.len() > arrival.limits.messages {
                let most = arrival.limits.messages;
                return Err(Refused::TooLarge(format!("{} messages in one batch, at most {most}", batch.batch.len())));
            }
            read.events.reserve_exact(batch.batch.len());
            let sent_at = batch.sent_at.time();
            let reading = Reading { arrival, kind: None, sent_at, beneath: &batch.context };
            for (index, message) in batch.batch.iter().enumerate() {
                reading.add(index, message, &mut read);
            }
        }
    }
    Ok(read)
}

/// The `writeKey` in the body, for clients that send it nowhere else.
pub fn write_key(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, default, rename = "writeKey")]
        write_key: Scalar<'a>,
    }
    let body: Body<'_> = serde_json::from_str(raw::utf8(body).ok()?).ok()?;
    body.write_key.text().map(Cow::into_owned)
}

/// Serde's own words may quote the body, so only the place is told.
fn not_json(wrong: &serde_json::Error) -> Refused {
    Refused::Unreadable(format!("the body is not JSON: it breaks at line {}, column {}", wrong.line(), wrong.column()))
}

/// What the messages of one request have in common.
struct Reading<'r> {
    arrival: &'r Arrival<'r>,
    /// What the path says; else each message says it.
    kind: Option<MessageType>,
    sent_at: Option<Timestamp>,
    /// The batch's context, beneath the messages' own.
    beneath: &'r Context<'r>,
}

impl Reading<'_> {
    fn add(&self, index: usize, message: &RawValue, read: &mut Read) {
        let body = message.get();
        match self.one(body) {
            Ok(event) => {
                read.clamped += usize::from(event.claimed_at.is_some());
                read.events.push(event);
            }
            Err(reason) => {
                let message_id = message_id(body);
                read.rejected.push(Rejected { index, message_id, reason, body: body.to_owned() });
            }
        }
    }

    fn one(&self, body: &str) -> Result<Event, String> {
        if body.len() > self.arrival.limits.message {
            return Err(format!("is larger than {} bytes", self.arrival.limits.message));
        }
        if !body.starts_with('{') {
            return Err("is not an object".into());
        }
        let sound = raw::sound(body)?;
        let message: Message<'_> =
            serde_json::from_str(&sound).map_err(|_| "could not be read: is one of its keys given twice?")?;
        let kind = match self.kind {
            Some(kind) => kind,
            None => {
                let word = message.kind.text().ok_or("has no type")?;
                MessageType::parse(&word).ok_or("its type is none of track, identify, page, screen, group and alias")?
            }
        };
        let claimed = self.time(&message)?;
        let (at, claimed_at) = when(claimed, self.arrival.at);
        let mut event = Event {
            kind: EventKind::Did,
            name: "".into(),
            at,
            claimed_at,
            arrived: self.arrival.at,
            source: self.arrival.source.clone(),
            origin: Origin::Tracking,
            dedupe: vec![match message.message_id.text() {
                Some(id) => Event::dedupe_key(&[self.arrival.source, &id]),
                None => Event::dedupe_key(&[self.arrival.source, body]),
            }],
            identifiers: Vec::with_capacity(4),
            session: None,
            properties: RawJson::empty(),
            traits: RawJson::empty(),
        };
        let session = message.context.session_id.text().or_else(|| self.beneath.session_id.text());
        event.session = session.filter(|id| id.len() <= LONGEST_SESSION).map(Into::into);
        self.fill(&mut event, kind, &message)?;
        if event.identifiers.is_empty() {
            return Err("names nobody: it has no userId, anonymousId or e-mail".into());
        }
        Ok(event)
    }

    /// The instant that the message claims; none when it claims none.
    fn time(&self, message: &Message<'_>) -> Result<Option<Timestamp>, String> {
        if message.timestamp.text().is_some() {
            return message.timestamp.time().map(Some).ok_or_else(|| "timestamp is not a time".into());
        }
        // The client's clock may be wrong, but not the time between its two readings.
        let sent = message.sent_at.time().or(self.sent_at);
        Ok(match (sent, message.original_timestamp.time()) {
            (Some(sent), Some(original)) => Some(self.arrival.at - sent.since(original)),
            _ => None,
        })
    }

    /// What each type of message says of its own.
    fn fill(&self, event: &mut Event, kind: MessageType, message: &Message<'_>) -> Result<(), String> {
        use IdentifierKind::{AnonymousId, Cart, Checkout, UserId};
        if kind == MessageType::Alias {
            let user = message.user_id.text().ok_or("has no userId")?;
            let previous = message.previous_id.text().ok_or("has no previousId")?;
            event.kind = EventKind::Alias;
            // Nothing says which sort of id the earlier one was.
            for (kind, value) in [(UserId, &user), (UserId, &previous), (AnonymousId, &previous)] {
                self.name(event, kind, value);
            }
            return Ok(());
        }
        for (kind, id) in [(UserId, &message.user_id), (AnonymousId, &message.anonymous_id)] {
            if let Some(id) = id.text() {
                self.name(event, kind, &id);
            }
        }
        let context_traits = message.context.traits.or(self.beneath.traits).filter(|t| is_object(t));
        let in_context = context_traits.map(|t| Found::within(t.get())).unwrap_or_default();
        match kind {
            MessageType::Track | MessageType::Page | MessageType::Screen => {
                let properties = object(message.properties, "properties")?.unwrap_or("{}");
                let found = Found::within(properties);
                if kind == MessageType::Track {
                    let name = message.event.text().ok_or("has no event name")?;
                    if name.len() > LONGEST_NAME {
                        return Err(format!("its event name is longer than {LONGEST_NAME} bytes"));
                    }
                    if Origin::is_of_email(&name) {
                        event.origin = Origin::Email;
                    }
                    event.name = name.into();
                    event.properties = RawJson::trusted(properties);
                    self.contact(event, &found.only_texts());
                } else {
                    event.name = if kind == MessageType::Page { "Page Viewed" } else { "Screen Viewed" }.into();
                    event.properties = self.page(message, properties, &found);
                }
                for (kind, id) in found.tokens() {
                    let kind = if kind == contact::Token::Cart { Cart } else { Checkout };
                    self.name(event, kind, &id);
                }
            }
            MessageType::Identify => {
                event.kind = EventKind::Identify;
                let own = object(message.traits, "traits")?;
                if let Some(own) = own {
                    self.contact(event, &Found::within(own));
                }
                // RudderStack's libraries send them in the context alone.
                if let Some(traits) = own.or(context_traits.map(RawValue::get)) {
                    event.traits = RawJson::trusted(traits);
                }
                let zone = message.context.timezone.text().or_else(|| self.beneath.timezone.text());
                if let Some(zone) = zone.filter(|zone| zone.len() <= LONGEST_ZONE) {
                    event.traits = contact::with_zone(&event.traits, &zone);
                }
            }
            MessageType::Group => {
                event.kind = EventKind::Identify;
                let id = message.group_id.text().ok_or("has no groupId")?;
                let group = object(message.traits, "traits")?.unwrap_or("{}");
                let id = serde_json::Value::from(id);
                event.traits = RawJson::trusted(format!("{{\"group_id\":{id},\"group\":{group}}}"));
            }
            MessageType::Alias => {}
        }
        self.contact(event, &in_context);
        let external = message.context.external_ids.or(self.beneath.external_ids);
        for (kind, id) in external.map(message::external_ids).unwrap_or_default() {
            self.name(event, kind, &id);
        }
        Ok(())
    }

    /// Properties of a page or screen, with what the message and its context say of it put in where it is missing.
    fn page(&self, message: &Message<'_>, properties: &str, found: &Found<'_>) -> RawJson {
        let page = &message.context.page;
        let beneath = &self.beneath.page;
        let known = [
            ("name", message.name),
            ("category", message.category),
            ("url", page.url.or(beneath.url)),
            ("path", page.path.or(beneath.path)),
            ("referrer", page.referrer.or(beneath.referrer)),
            ("title", page.title.or(beneath.title)),
            ("search", page.search.or(beneath.search)),
        ];
        let inner = properties.trim_end().strip_suffix('}').unwrap_or("{").trim_end();
        let mut said = String::with_capacity(properties.len() + 256);
        said.push_str(inner);
        for (key, value) in known {
            let Some(value) = value.filter(|_| !found.has(key)) else { continue };
            if !said.ends_with('{') {
                said.push(',');
            }
            said.push('"');
            said.push_str(key);
            said.push_str("\":");
            said.push_str(value.get());
        }
        said.push('}');
        RawJson::trusted(said)
    }

    fn contact(&self, event: &mut Event, found: &Found<'_>) {
        for (kind, value) in [(IdentifierKind::Email, &found.email), (IdentifierKind::Phone, &found.phone)] {
            if let Some(value) = value.text() {
                self.name(event, kind, &value);
            }
        }
    }

    fn name(&self, event: &mut Event, kind: IdentifierKind, value: &str) {
        names(&mut event.identifiers, kind, value, self.arrival.names);
    }
}

fn is_object(raw: &RawValue) -> bool {
    raw.get().starts_with('{')
}

/// The text of an object; none when it is absent.
fn object<'a>(raw: Option<&'a RawValue>, what: &str) -> Result<Option<&'a str>, String> {
    match raw {
        Some(raw) if is_object(raw) => Ok(Some(raw.get())),
        Some(_) => Err(format!("{what} is not an object")),
        None => Ok(None),
    }
}

/// The id of a message that is otherwise wrong.
fn message_id(body: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Id<'a> {
        #[serde(borrow, default, rename = "messageId")]
        id: Scalar<'a>,
    }
    serde_json::from_str::<Id<'_>>(body).ok()?.id.text().map(Cow::into_owned)
}

#[cfg(test)]
mod tests;
