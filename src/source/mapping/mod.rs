//! From a JSON message to an event, as a manifest or a configuration says: paths first, expressions where paths end.

use std::borrow::Cow;
use std::sync::Arc;

use minijinja::value::Serde;
use serde_json::{Map, Value};

use super::{Arrival, epoch, names, when};
use crate::manifest::{Expression, Path, Paths, Seen, text};
use crate::model::{Event, EventKind, IdentifierKind, Origin, RawJson, Span, Timestamp};

/// For so long what is made once for an object counts as new after it came to hold: what is committed or delivered late.
/// Well within the time for which repeats are known.
pub const GRACE: Span = Span::from_days(2);

/// One event that a message of a topic makes.
#[derive(Clone, Debug, PartialEq)]
pub struct Emit {
    /// What is to be done with it.
    pub kind: EventKind,
    /// The event's name; empty unless `kind` is `Did`.
    pub name: Arc<str>,
    /// Made only when this holds.
    pub when: Option<Expression>,
    /// Made once for an object; the instant there says when it came to hold. What came to hold before [`Message::fresh`]
    /// was made then.
    pub once: Option<Paths>,
    /// Made for each element of this list, which then is the record's `element`.
    pub each: Option<Path>,
    /// Made once for each value there, instead of once for the object.
    pub once_each: Option<Paths>,
    /// How its parts are found.
    pub shape: Shape,
}

/// How the parts of an event are found in a message. What a topic leaves out it has from its shape.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Shape {
    /// What sort of object it is about, where neither the topic up to its slash nor the list's name says it.
    pub object: Option<Arc<str>>,
    /// The id of the object that the message is about.
    pub id: Option<Paths>,
    /// What changes with each change of the object: the same id and version are the same event.
    pub version: Option<Version>,
    /// When it happened.
    pub at: Option<Paths>,
    /// The person's names; several of a kind where each of them is meant.
    pub identify: Vec<(IdentifierKind, Paths)>,
    /// The event's properties.
    pub properties: Vec<(String, Take)>,
    /// Traits to set on the person.
    pub traits: Vec<(String, Take)>,
}

/// What changes with each change of an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Version {
    /// The first of these that is there; an instant is the same one however it is written.
    At(Paths),
    /// What is mapped of it: for vendors whose stamps move though nothing changed that anybody reads.
    Content,
}

/// How one value is found.
#[derive(Clone, Debug, PartialEq)]
pub enum Take {
    /// The first that is present, as it is.
    First(Paths),
    /// The same as text: for ids, which are larger than some readers' numbers.
    Text(Paths),
    /// What an expression gives; left out when it gives nothing.
    Value(Expression),
    /// Always this.
    Const(Value),
    /// An object for each element of a list.
    Each {
        /// The list.
        list: Path,
        /// What is taken of each element; paths begin at the element.
        take: Vec<(String, Take)>,
    },
}

/// One message with what its envelope says.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The body.
    pub record: &'a Value,
    /// `orders/create`.
    pub topic: &'a str,
    /// The sender's id of this delivery.
    pub id: Option<&'a str>,
    /// What it is known by where nothing in it says which it is.
    pub body: Body<'a>,
    /// Which sort of system saw it.
    pub origin: Origin,
    /// When it happened, where the mapping finds nothing that says so.
    pub at: Option<Timestamp>,
    /// What is made once for an object, and came to hold before this, was made before.
    pub fresh: Option<Timestamp>,
    /// The connector's settings, but for secrets.
    pub settings: &'a Value,
}

/// A message by its text.
#[derive(Clone, Copy, Debug)]
pub enum Body<'a> {
    /// This text.
    Text(&'a str),
    /// The text of this, written only where it is asked for.
    Of(&'a Value),
}

impl Body<'_> {
    fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Of(value) => Cow::Owned(value.to_string()),
        }
    }
}

impl Shape {
    /// This one with `upper` over it: keys of its tables and single parts win.
    pub fn under(&self, upper: Self) -> Self {
        Self {
            object: upper.object.or_else(|| self.object.clone()),
            id: upper.id.or_else(|| self.id.clone()),
            version: upper.version.or_else(|| self.version.clone()),
            at: upper.at.or_else(|| self.at.clone()),
            identify: instead(&self.identify, upper.identify),
            properties: over(&self.properties, upper.properties),
            traits: over(&self.traits, upper.traits),
        }
    }
}

/// Entries of `lower` in their order, replaced by those of the same key in `upper`, then the rest of `upper`.
fn over<K: Clone + PartialEq, V: Clone>(lower: &[(K, V)], upper: Vec<(K, V)>) -> Vec<(K, V)> {
    let mut all = lower.to_vec();
    for (key, value) in upper {
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some((_, place)) => *place = value,
            None => all.push((key, value)),
        }
    }
    all
}

/// `upper`, and those of `lower` whose kinds it does not have.
fn instead(lower: &[(IdentifierKind, Paths)], upper: Vec<(IdentifierKind, Paths)>) -> Vec<(IdentifierKind, Paths)> {
    let is_said = |kind: &IdentifierKind| upper.iter().any(|(said, _)| said == kind);
    let mut all: Vec<_> = lower.iter().filter(|(kind, _)| !is_said(kind)).cloned().collect();
    all.extend(upper);
    all
}

impl Emit {
    /// The events: one, or one for each element of a list; none when `when` does not hold. What is wrong is said in words
    /// without personal data.
    pub fn events(&self, message: &Message<'_>, arrival: &Arrival<'_>) -> Vec<Result<Event, String>> {
        let Some(each) = &self.each else { return self.event(message, arrival).transpose().into_iter().collect() };
        let elements = each.get(message.record).and_then(Value::as_array).into_iter().flatten();
        let made = elements.filter_map(|element| {
            let mut record = message.record.clone();
            record.as_object_mut()?.insert("element".into(), element.clone());
            // A delivery's id is of all of them.
            let message = Message { record: &record, id: None, body: Body::Of(&record), ..*message };
            self.event(&message, arrival).transpose()
        });
        made.collect()
    }

    fn event(&self, message: &Message<'_>, arrival: &Arrival<'_>) -> Result<Option<Event>, String> {
        if let Some(when) = &self.when
            && !when.holds(&seen(message, None))?
        {
            return Ok(None);
        }
        if let (Some(once), Some(fresh)) = (&self.once, message.fresh)
            && instant(once, message.record)?.is_some_and(|at| at < fresh)
        {
            return Ok(None);
        }
        let claimed = self.shape.at.as_deref().map_or(Ok(None), |paths| instant(paths, message.record))?;
        let claimed = claimed.or(message.at);
        let (at, claimed_at) = when(claimed, arrival.at);
        let mut identifiers = Vec::with_capacity(self.shape.identify.len());
        for (kind, paths) in &self.shape.identify {
            // The first that names somebody: an e-mail may be empty here and given there.
            let mut values = paths.iter().filter_map(|path| text(path.get(message.record)?));
            values.find(|value| names(&mut identifiers, kind.clone(), value, arrival.names));
        }
        if identifiers.is_empty() {
            return Err("names nobody".into());
        }
        let properties = object(&self.shape.properties, message.record, message);
        let traits = object(&self.shape.traits, message.record, message);
        Ok(Some(Event {
            kind: self.kind.clone(),
            name: self.name.clone(),
            at,
            claimed_at,
            arrived: arrival.at,
            source: arrival.source.clone(),
            origin: message.origin,
            dedupe: self.dedupe(message, arrival, (&properties, &traits)),
            identifiers,
            session: None,
            properties,
            traits,
        }))
    }

    /// The delivery's id, and the object with its version: a shop sends one change in several deliveries too. The
    /// emitted event is part of both, since one message may make several.
    fn dedupe(
        &self,
        message: &Message<'_>,
        arrival: &Arrival<'_>,
        (properties, traits): (&RawJson, &RawJson),
    ) -> Vec<[u8; 16]> {
        let source: &str = arrival.source;
        let emitted = match self.kind {
            EventKind::Did => &*self.name,
            EventKind::Identify => "(identify)",
            EventKind::Alias => "(alias)",
            EventKind::Erase => "(erase)",
            EventKind::Unlink => "(unlink)",
            EventKind::Access => "(access)",
        };
        let part = |paths: &Paths| paths.iter().find_map(|path| text(path.get(message.record)?));
        let mut keys = Vec::with_capacity(2);
        if let Some(id) = message.id {
            keys.push(Event::dedupe_key(&[source, "webhook", id, emitted]));
        }
        let version = match (&self.once, &self.shape.version) {
            (Some(_), _) => {
                let each = self.once_each.as_ref().and_then(part);
                Some(each.map_or_else(|| "once".to_owned(), |value| format!("once {value}")))
            }
            (None, Some(Version::At(paths))) => part(paths).map(|text| match time(&text) {
                Some(at) => at.to_string(),
                None => text,
            }),
            (None, Some(Version::Content)) => Some(format!("{}{}", properties.get(), traits.get())),
            (None, None) => None,
        };
        if let (Some(id), Some(version)) = (self.shape.id.as_ref().and_then(part), version) {
            let named = message.topic.split('/').next().unwrap_or_default();
            let object = self.shape.object.as_deref().unwrap_or(named);
            keys.push(Event::dedupe_key(&[source, object, &id, &version, emitted]));
        }
        if keys.is_empty() {
            keys.push(Event::dedupe_key(&[source, message.topic, emitted, &message.body.text()]));
        }
        keys
    }
}

/// The first of `paths` that is a time; none when none is present.
///
/// # Errors
/// When something is there, but no time.
pub fn instant(paths: &[Path], record: &Value) -> Result<Option<Timestamp>, String> {
    let mut wrong = None;
    for path in paths {
        let Some(value) = path.get(record).filter(|value| value.as_str().is_none_or(|text| !text.trim().is_empty()))
        else {
            continue;
        };
        let at = match value {
            Value::String(text) => time(text),
            Value::Number(number) => number.as_f64().and_then(epoch),
            _ => None,
        };
        match at {
            Some(at) => return Ok(Some(at)),
            None => wrong = Some(format!("{} is not a time", path.as_str())),
        }
    }
    wrong.map_or(Ok(None), Err)
}

/// An instant as vendors write it: RFC 3339, with a zone such as `+0000`, without one (it is UTC then), as RFC 2822, or
/// as the number of milliseconds.
pub fn time(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let of = |at: jiff::Timestamp| Timestamp::from_millis(at.as_millisecond());
    Timestamp::parse(text)
        .or_else(|| {
            let bare: jiff::civil::DateTime = text.parse().ok().filter(|_| text.len() > "2026-11-23".len())?;
            Some(of(jiff::tz::TimeZone::UTC.to_timestamp(bare).ok()?))
        })
        .or_else(|| jiff::fmt::rfc2822::parse(text).ok().map(|at| of(at.timestamp())))
        .or_else(|| text.parse::<f64>().ok().filter(|_| text.len() >= 12).and_then(epoch))
}

/// The object that `wanted` makes of `root`.
pub fn object(wanted: &[(String, Take)], root: &Value, message: &Message<'_>) -> RawJson {
    RawJson::from_value(&Value::Object(fields(wanted, root, message)))
}

fn fields(wanted: &[(String, Take)], root: &Value, message: &Message<'_>) -> Map<String, Value> {
    let found = wanted.iter().filter_map(|(name, take)| Some((name.clone(), take.from(root, message)?)));
    found.collect()
}

/// `record`, `topic` and `settings`, and `item` within a list.
fn seen(message: &Message<'_>, item: Option<&Value>) -> Seen {
    let of = |value| minijinja::Value::from(Serde::<&Value>(value));
    let (record, topic, settings) = (of(message.record), message.topic, of(message.settings));
    Seen::from(match item {
        Some(item) => minijinja::context! { record, topic, settings, item => of(item) },
        None => minijinja::context! { record, topic, settings },
    })
}

impl Take {
    fn from(&self, root: &Value, message: &Message<'_>) -> Option<Value> {
        match self {
            Self::First(paths) => paths.iter().find_map(|path| path.get(root)).cloned(),
            Self::Text(paths) => paths.iter().find_map(|path| text(path.get(root)?)).map(Value::from),
            Self::Const(value) => Some(value.clone()),
            Self::Value(expression) => {
                let item = (!std::ptr::eq(root, message.record)).then_some(root);
                expression.value(&seen(message, item))
            }
            Self::Each { list, take } => {
                let items = list.get(root)?.as_array()?;
                Some(items.iter().map(|item| Value::Object(fields(take, item, message))).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests;
