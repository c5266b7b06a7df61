//! A custom endpoint: any JSON or form post to events, as a configuration says. The token is checked by intake.

mod form;

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::mapping::{Body, Message, Take, instant, object};
use super::{Arrival, Read, Refused, Rejected, names, raw, when};
use crate::manifest::{Path, Paths, text};
use crate::model::setting::Secret;
use crate::model::{Event, EventKind, IdentifierKind, Origin, RawJson};

/// The longest event name and session id, in bytes.
const LONGEST: usize = 200;

/// `[source.NAME]` of a custom endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens, e.g. `"/in/newsletter"`.
    pub path: String,
    /// Who may send.
    #[serde(default)]
    pub auth: Auth,
    /// The name of every event. Without it and `event_from`, only names and traits are taken.
    pub event: Option<String>,
    /// Where in the message the event's name is.
    pub event_from: Option<String>,
    /// Where the person's names are, by kind: `{ email = "contact.email", user_id = ["uid", "user.id"] }`.
    pub identify: BTreeMap<String, Places>,
    /// The event's properties and where they are. Without it, the whole message but the names.
    pub properties: Option<BTreeMap<String, Places>>,
    /// Traits to set on the person and where they are.
    #[serde(default)]
    pub traits: BTreeMap<String, Places>,
    /// Where the time is: RFC 3339, or seconds or milliseconds since 1970. Without it, the time of arrival.
    pub at: Option<Places>,
    /// Where the message's id is, by which a repetition is known. Without it, by its whole content.
    pub message_id: Option<Places>,
    /// Where the session's id is.
    pub session: Option<Places>,
    /// Which sort of system sends; only `tracking` makes sessions.
    #[serde(default)]
    pub origin: Sender,
}

/// Who may send.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Auth {
    /// Everybody who can reach it.
    #[default]
    None,
    /// Who sends one of these secrets in a header.
    Token {
        /// The header's name.
        header: String,
        /// Any of them is valid.
        secrets: Vec<Secret>,
    },
}

/// Which sort of system sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Sender {
    /// A site or an app, while the person uses it.
    Tracking,
    /// Another system.
    #[default]
    System,
}

/// One path or several that are tried in turn.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Places {
    /// `"customer.email"`
    One(String),
    /// `["email", "customer.email"]`
    Several(Vec<String>),
}

/// A configured endpoint.
#[derive(Clone, Debug)]
pub struct Endpoint {
    settings: Settings,
    name: Name,
    identify: Vec<(IdentifierKind, Paths)>,
    properties: Option<Vec<(String, Take)>>,
    traits: Vec<(String, Take)>,
    at: Paths,
    message_id: Paths,
    session: Paths,
}

#[derive(Clone, Debug)]
enum Name {
    /// Only names and traits.
    Nothing,
    Always(Arc<str>),
    From(Path),
}

impl Endpoint {
    /// # Errors
    /// Every mistake in the settings, each a sentence that begins with its key.
    pub fn new(settings: Settings) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
        if settings.path.len() < 2 || !settings.path.starts_with('/') || !settings.path.chars().all(plain) {
            mistakes.push(format!("path: `{}` is not a path: write it like \"/in/newsletter\"", settings.path));
        }
        if let Auth::Token { header, secrets } = &settings.auth {
            if header.is_empty() || !header.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                mistakes.push("auth.token.header: must be the name of a header, like \"X-Token\"".into());
            }
            if secrets.is_empty() || secrets.iter().any(|s| s.expose().is_empty()) {
                mistakes.push("auth.token.secrets: needs at least one secret, and none may be empty".into());
            }
        }
        let name = name(&settings, &mut mistakes);
        let mut identify = Vec::new();
        for (key, places) in &settings.identify {
            match IdentifierKind::parse(key) {
                Some(kind) => identify.push((kind, places.paths(&format!("identify.{key}"), &mut mistakes))),
                None => mistakes.push(format!(
                    "identify.{key}: is no kind of name: user_id, email, phone, order, checkout, cart, anonymous_id or \
                     SOURCE_customer"
                )),
            }
        }
        if settings.identify.is_empty() {
            mistakes.push("identify: needs at least one name, like { email = \"email\" }".into());
        }
        // The strongest name first, whatever the alphabet says.
        identify.sort_by(|a, b| a.0.cmp(&b.0));
        let mut takes = |table: &str, all: &BTreeMap<String, Places>| {
            let all = all.iter();
            all.map(|(key, places)| (key.clone(), Take::First(places.paths(&format!("{table}.{key}"), &mut mistakes))))
                .collect::<Vec<_>>()
        };
        let properties = settings.properties.as_ref().map(|all| takes("properties", all));
        let traits = takes("traits", &settings.traits);
        let mut places = |key: &str, places: &Option<Places>| {
            places.as_ref().map(|places| places.paths(key, &mut mistakes)).unwrap_or_default()
        };
        let at = places("at", &settings.at);
        let message_id = places("message_id", &settings.message_id);
        let session = places("session", &settings.session);
        match name {
            Some(name) if mistakes.is_empty() => {
                Ok(Self { settings, name, identify, properties, traits, at, message_id, session })
            }
            _ => Err(mistakes),
        }
    }

    /// Where it listens and who may send.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The events that a request holds: a JSON object, a list of them, or a form.
    ///
    /// # Errors
    /// When the body is none of the three, or has more messages than allowed.
    pub fn read(&self, body: &[u8], content_type: Option<&str>, arrival: &Arrival<'_>) -> Result<Read, Refused> {
        let text = raw::utf8(body).map_err(|wrong| Refused::Unreadable(format!("the body {wrong}")))?;
        let mut read = Read::default();
        let begins = text.trim_start().bytes().next();
        // Some clients post JSON and call it a form, so the body says what it is.
        if begins == Some(b'[') {
            let all: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| not_json())?;
            if all.len() > arrival.limits.messages {
                let most = arrival.limits.messages;
                return Err(Refused::TooLarge(format!("{} messages in one request, at most {most}", all.len())));
            }
            for (index, one) in all.iter().enumerate() {
                self.add(index, one.get(), &Self::json(one.get(), arrival), arrival, &mut read);
            }
        } else if begins == Some(b'{') {
            let one: &RawValue = serde_json::from_str(text).map_err(|_| not_json())?;
            self.add(0, one.get(), &Self::json(one.get(), arrival), arrival, &mut read);
        } else if content_type.is_some_and(is_form) {
            let sized =
                if text.len() > arrival.limits.message { Err(too_large(arrival)) } else { Ok(form::parse(text)) };
            self.add(0, text, &sized, arrival, &mut read);
        } else {
            return Err(not_json());
        }
        Ok(read)
    }

    fn json(text: &str, arrival: &Arrival<'_>) -> Result<Value, String> {
        if text.len() > arrival.limits.message {
            return Err(too_large(arrival));
        }
        if !text.starts_with('{') {
            return Err("is not an object".into());
        }
        Ok(raw::value(text.as_bytes())?)
    }

    fn add(&self, index: usize, text: &str, record: &Result<Value, String>, arrival: &Arrival<'_>, read: &mut Read) {
        let message_id = record.as_ref().ok().and_then(|record| first(&self.message_id, record));
        let event = match record {
            Ok(record) => self.event(record, text, message_id.as_deref(), arrival),
            Err(reason) => Err(reason.clone()),
        };
        match event {
            Ok(event) => {
                read.clamped += usize::from(event.claimed_at.is_some());
                read.events.push(event);
            }
            Err(reason) => read.rejected.push(Rejected { index, message_id, reason, body: text.to_owned() }),
        }
    }

    fn event(&self, record: &Value, body: &str, id: Option<&str>, arrival: &Arrival<'_>) -> Result<Event, String> {
        let name: Arc<str> = match &self.name {
            Name::Nothing => "".into(),
            Name::Always(name) => name.clone(),
            Name::From(path) => {
                let name = path.get(record).and_then(text);
                let name = name.ok_or_else(|| format!("has no event name in {}", path.as_str()))?;
                if name.len() > LONGEST {
                    return Err(format!("its event name is longer than {LONGEST} bytes"));
                }
                name.into()
            }
        };
        let (at, claimed_at) = when(instant(&self.at, record)?, arrival.at);
        let mut identifiers = Vec::with_capacity(self.identify.len());
        for (kind, paths) in &self.identify {
            let mut values = paths.iter().filter_map(|path| text(path.get(record)?));
            values.find(|value| names(&mut identifiers, kind.clone(), value, arrival.names));
        }
        if identifiers.is_empty() {
            return Err("names nobody".into());
        }
        let message = Message {
            record,
            topic: "",
            id,
            body: Body::Text(body),
            origin: Origin::System,
            at: None,
            fresh: None,
            settings: &Value::Null,
        };
        let kind = if matches!(self.name, Name::Nothing) { EventKind::Identify } else { EventKind::Did };
        let properties = match &self.properties {
            _ if kind == EventKind::Identify => RawJson::empty(),
            Some(wanted) => object(wanted, record, &message),
            None => {
                let mut rest = record.clone();
                self.identify.iter().flat_map(|(_, paths)| paths).for_each(|path| path.remove(&mut rest));
                RawJson::from_value(&rest)
            }
        };
        Ok(Event {
            kind,
            name,
            at,
            claimed_at,
            arrived: arrival.at,
            source: arrival.source.clone(),
            origin: match self.settings.origin {
                Sender::Tracking => Origin::Tracking,
                Sender::System => Origin::System,
            },
            dedupe: vec![Event::dedupe_key(&[arrival.source, id.unwrap_or(body)])],
            identifiers,
            session: first(&self.session, record).filter(|id| id.len() <= LONGEST).map(Into::into),
            properties,
            traits: object(&self.traits, record, &message),
        })
    }
}

impl Places {
    fn paths(&self, key: &str, mistakes: &mut Vec<String>) -> Paths {
        let all = match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(all) => all,
        };
        if all.is_empty() {
            mistakes.push(format!("{key}: must not be empty"));
        }
        let mut paths = Vec::with_capacity(all.len());
        for text in all {
            match Path::parse(text) {
                Some(path) => paths.push(path),
                None => mistakes.push(format!("{key}: `{text}` is not a path: write it like \"customer.email\"")),
            }
        }
        paths
    }
}

fn name(settings: &Settings, mistakes: &mut Vec<String>) -> Option<Name> {
    match (&settings.event, &settings.event_from) {
        (Some(_), Some(_)) => {
            mistakes.push("event_from: stands beside `event`; only one of them can name events".into())
        }
        (Some(name), None) if name.trim().is_empty() || name.len() > LONGEST => {
            mistakes.push(format!("event: must have 1 to {LONGEST} bytes"));
        }
        (Some(name), None) => return Some(Name::Always(name.trim().into())),
        (None, Some(place)) => match Path::parse(place) {
            Some(path) => return Some(Name::From(path)),
            None => mistakes.push(format!("event_from: `{place}` is not a path: write it like \"event.name\"")),
        },
        (None, None) => return Some(Name::Nothing),
    }
    None
}

fn first(paths: &[Path], record: &Value) -> Option<String> {
    paths.iter().find_map(|path| text(path.get(record)?))
}

fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn not_json() -> Refused {
    Refused::Unreadable("the body is neither JSON (an object or a list of them) nor a form".into())
}

fn too_large(arrival: &Arrival<'_>) -> String {
    format!("is larger than {} bytes", arrival.limits.message)
}

#[cfg(test)]
mod tests;
