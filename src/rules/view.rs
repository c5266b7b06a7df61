//! One person's events as a leaf sees them: up to an instant, for one key.

use crate::model::{Entry, Lifetime, Person, Position, Span, Timestamp, machine};

use super::path::{Path, may_carry};
use super::predicate::Filter;
use super::session;
use super::written::{Reading, Table};

/// No window is longer.
pub const LONGEST: Span = Span::from_days(3_653);

/// What a condition is a function of: (person, key, T).
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Whose.
    pub person: &'a Person,
    /// The trigger's `per` and the key asked for; `None` without `per`.
    pub key: Option<(&'a Path, &'a str)>,
    /// T: only events at or before it are seen.
    pub now: Timestamp,
    /// Gaps from this length on end a session.
    pub session_gap: Span,
}

/// Which of the events one leaf reads.
#[derive(Clone, Debug, PartialEq)]
pub struct Reads {
    /// The event's name.
    pub event: Box<str>,
    /// `where`.
    pub filter: Filter,
    /// Looks at all events of the person, whatever the key.
    pub any_key: bool,
    /// `machine = true`: counts what machines did, too.
    pub with_machines: bool,
}

/// How an event without a value for the key is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Keyless {
    /// It counts for no key: `did`, `last`.
    Ignored,
    /// It counts against every key: `did_not`.
    Counts,
}

/// The window of a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// All there is.
    Lifetime,
    /// `T - W < t <= T`.
    Last(Span),
    /// From the start of the person's latest session.
    Session,
}

impl<'a> View<'a> {
    /// The same at another instant.
    pub fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// The person as a whole, whatever the key.
    pub fn of_person(self) -> Self {
        Self { key: None, ..self }
    }

    /// Events at or before T, oldest first.
    pub fn entries(&self) -> &'a [Entry] {
        let all = self.person.history.entries();
        &all[..all.partition_point(|e| e.at <= self.now)]
    }

    /// The events that `reads` is about, oldest first.
    pub fn matching<'r>(
        &self,
        reads: &'r Reads,
        keyless: Keyless,
    ) -> impl DoubleEndedIterator<Item = &'a Entry> + use<'a, 'r> {
        let key = self.key;
        self.entries().iter().filter(move |entry| reads.matches(entry, key, keyless))
    }

    /// True when there is one of them at this place or after it: what came before is not looked at.
    pub fn has_from(&self, reads: &Reads, keyless: Keyless, from: (Timestamp, Position)) -> bool {
        let entries = self.entries();
        let late = &entries[entries.partition_point(|e| e.order() < from)..];
        late.iter().any(|entry| reads.matches(entry, self.key, keyless))
    }

    /// Those of them in the window.
    pub fn counted<'r>(
        &self,
        reads: &'r Reads,
        within: Within,
    ) -> impl DoubleEndedIterator<Item = &'a Entry> + use<'a, 'r> {
        let entries = self.entries();
        let inside = match within {
            Within::Lifetime => entries,
            Within::Last(window) => {
                let before = self.now - window;
                &entries[entries.partition_point(|e| e.at <= before)..]
            }
            Within::Session => session::latest(entries, self.session_gap),
        };
        let key = self.key;
        inside.iter().filter(move |entry| reads.matches(entry, key, Keyless::Ignored))
    }

    /// What is left of such events that were cut from the history. `None` where more than the name is asked of them, or
    /// where the last one cut is later than T.
    pub fn folded(&self, reads: &Reads) -> Option<Lifetime> {
        let is_plain = reads.filter.is_empty() && (self.key.is_none() || reads.any_key);
        let folded = self.person.history.folded().get(&*reads.event).filter(|_| is_plain)?;
        (folded.last <= self.now).then_some(*folded)
    }

    /// The time of the latest event that `reads` is about, cut ones included.
    pub fn latest(&self, reads: &Reads, keyless: Keyless) -> Option<Timestamp> {
        let kept = self.matching(reads, keyless).next_back().map(|e| e.at);
        kept.max(self.folded(reads).map(|cut| cut.last))
    }

    /// The first entry of the person's latest session at T.
    pub fn session_start(&self) -> Option<&'a Entry> {
        session::latest_start(self.entries(), self.session_gap)
    }
}

impl Reads {
    /// Reads the event's name under `kind`, `where` and `any_key`.
    pub fn read(kind: &'static str, table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let event = table.get(kind).and_then(|v| v.text(reading));
        let filter = table.get("where").map(|v| Filter::read(&v, reading)).unwrap_or_default();
        let any_key = table.get("any_key").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
        let with_machines = table.get("machine").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
        Some(Self::new(&event?, filter, any_key, with_machines))
    }

    /// Events of this name.
    pub fn new(event: &str, filter: Filter, any_key: bool, with_machines: bool) -> Self {
        Self { event: event.into(), filter, any_key, with_machines }
    }

    /// True when the event is one of those, for the key.
    pub fn matches(&self, entry: &Entry, key: Option<(&Path, &str)>, keyless: Keyless) -> bool {
        *entry.name == *self.event
            && (self.with_machines || !machine::made(entry))
            && (self.filter.is_empty() || self.filter.admits(entry))
            && key.filter(|_| !self.any_key).is_none_or(|(path, key)| {
                (may_carry(entry.properties.get(), key) && path.carries(entry.fields(), key))
                    || (keyless == Keyless::Counts && path.keys(entry.fields()).is_empty())
            })
    }

    /// `"Product Added" (filtered)`, for people.
    pub fn words(&self) -> String {
        let filtered = if self.filter.is_empty() { "" } else { " (filtered)" };
        format!("\"{}\"{filtered}", self.event)
    }
}

impl Within {
    /// Reads `within`; its absence is the whole lifetime.
    pub fn read(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        match table.get("within") {
            None => Some(Self::Lifetime),
            Some(value) if value.as_text() == Some("session") => Some(Self::Session),
            Some(value) => {
                let window = value.length(reading)?;
                if window > LONGEST {
                    let words = "reaches back further than ten years";
                    reading.mistake(value.span(), value.path().to_owned(), words).suggestion =
                        Some("leave `within` out: then all there is counts".into());
                    return None;
                }
                Some(Self::Last(window))
            }
        }
    }

    /// How far history must reach back for it.
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Self::Lifetime => vec![Span::MAX],
            Self::Last(window) => vec![*window],
            Self::Session => Vec::new(),
        }
    }

    /// ` within 7d`, for people.
    pub fn words(&self) -> String {
        match self {
            Self::Lifetime => String::new(),
            Self::Last(window) => format!(" within {window}"),
            Self::Session => " in the session".into(),
        }
    }
}
