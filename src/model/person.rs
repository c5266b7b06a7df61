//! One person: what `decide` is given and gives back.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Activation, Consent, History, Identifier, LaneName, OccasionId, Position, Span, Timestamp};

/// A person's key in the store: 16 bytes of BLAKE3 over the identifier that made them and its place in the journal, so
/// that replay makes the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PersonId(pub [u8; 16]);

/// A trigger's key: 8 bytes of BLAKE3 over its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TriggerId(pub u64);

/// One trait with the event time that set it, so that an older message never overwrites a newer one.
#[derive(Clone, Debug, PartialEq)]
pub struct Trait {
    /// Event time of the message that set it.
    pub at: Timestamp,
    /// Its value.
    pub value: serde_json::Value,
}

/// What is remembered of one trigger for one key of one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Hash of what the trigger meant when this was written; another meaning starts anew.
    pub meaning: u32,
    /// The condition's truth when last asked.
    pub is_true: bool,
    /// With `for`: since when it has been true without a break.
    pub true_since: Option<Timestamp>,
    /// The edge of the last fire for this key, for `once`.
    pub fired: Option<Timestamp>,
    /// When time alone may change the truth: the durable timer.
    pub next: Option<Timestamp>,
}

/// The most activations of one person that are remembered as not yet gone.
const MOST_PENDING: usize = 200;

/// An activation that may not have left yet: looked at when a late event must cancel it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Which occasion.
    pub occasion: OccasionId,
    /// Which trigger made it.
    pub trigger: TriggerId,
    /// For which key; empty when the trigger has no `per`.
    pub key: Box<str>,
    /// The lanes it was given to.
    pub lanes: Vec<LaneName>,
    /// The edge.
    pub at: Timestamp,
    /// After this it is no longer sent, so it need not be remembered.
    pub expires_at: Timestamp,
    /// It does not leave before this.
    pub not_before: Option<Timestamp>,
    /// Should it have left and lose its reason until then, the vendor is told.
    pub void_until: Option<Timestamp>,
}

/// An activation that counts for caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// When it leaves.
    pub leaves: Timestamp,
    /// Which.
    pub occasion: OccasionId,
}

/// The most that are counted; no cap allows more.
const MOST_COUNTED: usize = 100;
/// What leaves sooner than this may be on its way when a step is committed.
const ON_ITS_WAY: Span = Span::from_minutes(1);

/// The most that one person is kept apart from.
const MOST_APART: usize = 50;

/// One person.
#[derive(Clone, Debug, PartialEq)]
pub struct Person {
    /// Key in the store.
    pub id: PersonId,
    /// Every name they go by, in the order they were learned.
    pub identifiers: Vec<Identifier>,
    /// Event time of the first event known.
    pub first_seen: Timestamp,
    /// Where in the journal they were made: the older of two survives a merge.
    pub created: Position,
    /// Current traits, by top-level name.
    pub traits: BTreeMap<Box<str>, Trait>,
    /// What they allow, by channel.
    pub consent: Consent,
    /// What they did.
    pub history: History,
    /// One for each (trigger, key) that was ever asked and is not at rest.
    pub watches: BTreeMap<(TriggerId, Box<str>), Watch>,
    /// The edge of each trigger's last fire, for `cooldown`.
    pub last_fires: BTreeMap<TriggerId, Timestamp>,
    /// The latest instant truth was asked at. A late event is asked at this instant, not at its own.
    pub asked: Timestamp,
    /// What was activated and may still wait.
    pub pending: Vec<Pending>,
    /// What was activated lately under a cap, in order of leaving.
    pub counted: Vec<Counted>,
    /// Who was taken out of them, or they out of whom: never joined again but by an alias.
    pub apart: Vec<PersonId>,
}

impl PersonId {
    /// The person whom `first` makes at this place of the journal.
    pub fn of(first: &Identifier, created: Position) -> Self {
        let mut id = [0; 16];
        let mut hash = blake3::Hasher::new();
        hash.update(first.to_text().as_bytes());
        hash.update(&created.0.to_be_bytes());
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Self(id)
    }
}

impl TriggerId {
    /// The key of the trigger called `name`.
    pub fn of(name: &str) -> Self {
        let hash = blake3::hash(name.as_bytes());
        let mut id = [0; 8];
        id.copy_from_slice(&hash.as_bytes()[..8]);
        Self(u64::from_be_bytes(id))
    }
}

impl Pending {
    /// False once it is no longer sent. What is held may be, however old: whoever resumes its trigger says so.
    pub fn may_leave(&self, now: Timestamp) -> bool {
        self.expires_at >= now || self.not_before == Some(Activation::HELD)
    }

    /// False once nothing can be done about it: it is no longer sent, and nobody is told.
    pub fn matters(&self, now: Timestamp) -> bool {
        self.may_leave(now) || self.void_until.is_some_and(|until| until >= now)
    }

    /// True when at this instant it certainly waits in its lane: it has at least a minute left.
    pub fn waits_at(&self, now: Timestamp) -> bool {
        self.not_before.is_some_and(|not_before| not_before > now + ON_ITS_WAY)
    }
}

impl Person {
    /// Forgets what is remembered of a trigger for a key.
    pub fn unwatch(&mut self, known: &(TriggerId, Box<str>)) {
        self.watches.remove(known);
        if self.watches.is_empty() {
            // An emptied map keeps room for eleven, and most people are at rest.
            self.watches = BTreeMap::new();
        }
    }

    /// One more that may not have left. What is no longer sent goes, and the oldest of too many.
    pub fn remember_pending(&mut self, pending: Pending, now: Timestamp) {
        self.pending.retain(|known| known.matters(now));
        let surplus = (self.pending.len() + 1).saturating_sub(MOST_PENDING);
        self.pending.drain(..surplus);
        self.pending.push(pending);
    }

    /// Somebody new.
    pub fn new(id: PersonId, created: Position, first_seen: Timestamp) -> Self {
        Self {
            id,
            identifiers: Vec::new(),
            first_seen,
            created,
            traits: BTreeMap::new(),
            consent: Consent::default(),
            history: History::default(),
            watches: BTreeMap::new(),
            last_fires: BTreeMap::new(),
            asked: Timestamp::MIN,
            pending: Vec::new(),
            counted: Vec::new(),
            apart: Vec::new(),
        }
    }
    /// Is kept apart from another; the oldest of too many is forgotten.
    pub fn keep_apart(&mut self, other: PersonId) {
        if other != self.id && !self.apart.contains(&other) {
            self.apart.push(other);
        }
        let surplus = self.apart.len().saturating_sub(MOST_APART);
        self.apart.drain(..surplus);
    }

    /// The strongest name they have, by kind, then the first learned.
    pub fn canonical(&self) -> Option<&Identifier> {
        self.identifiers.iter().min_by_key(|i| &i.kind)
    }
    /// True if some identifier says who they are.
    pub fn is_known(&self) -> bool {
        self.identifiers.iter().any(|i| i.kind.names_a_person())
    }
    /// Counts more activations; those that leave after `from` and are the newest are kept.
    pub fn count(&mut self, more: impl IntoIterator<Item = Counted>, from: Timestamp) {
        self.counted.extend(more);
        self.counted.retain(|counted| counted.leaves > from);
        self.counted.sort_unstable_by_key(|counted| (counted.leaves, counted.occasion));
        let surplus = self.counted.len().saturating_sub(MOST_COUNTED);
        self.counted.drain(..surplus);
    }
    /// The earliest of all durable timers.
    pub fn wake(&self) -> Option<Timestamp> {
        self.watches.values().filter_map(|w| w.next).min()
    }
    /// The name of a trait, without its time.
    pub fn trait_value(&self, name: &str) -> Option<&serde_json::Value> {
        self.traits.get(name).map(|t| &t.value)
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
