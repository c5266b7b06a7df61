//! What a store keeps, one piece at a time, in a form that belongs to no adapter: what is read of one store is written to
//! another, and two stores are the same where their pieces are.
//!
//! Left out is what each adapter makes of these (indexes, the caches of people), and who has what in hand just now.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::model::{
    Access, Activation, Attempt, CatalogueItem, Decision, DedupeKey, Erasure, Event, Join, LaneName, OccasionId,
    Person, PersonId, Position, Timestamp, TriggerId, TriggerState,
};
use crate::store::audit::Audited;
use crate::store::forgotten::Hash;
use crate::store::record::{Header, Place, Row, StepRecord, StoredEntry, encode};
use crate::store::{Adopted, LaneTotals, SetAside, StoreError};

/// Kinds of pieces, in the order in which they are copied: whoever reads a store that is half copied finds where the
/// engine is last of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The journal.
    Events,
    /// Callers' own positions.
    Cursors,
    /// Message keys of decided events.
    Keys,
    /// Who names belong to.
    Names,
    /// People with their histories and timers.
    People,
    /// Who was merged away.
    Merged,
    /// The log of joins.
    Joins,
    /// The log of decisions.
    Decisions,
    /// Activations that wait.
    Queued,
    /// Activations that have ended.
    Ended,
    /// Lanes, counted.
    Lanes,
    /// States of triggers.
    Triggers,
    /// The catalogue.
    Items,
    /// Pools of codes.
    Pools,
    /// Their codes.
    Codes,
    /// Rooms' small values.
    Kept,
    /// What could not be read.
    Aside,
    /// Who was forgotten.
    Erasures,
    /// How that ended at each destination.
    Erased,
    /// Names that are still to be forgotten in the journal.
    Forgotten,
    /// Demands to see what is kept.
    Accesses,
    /// Who may come in.
    Register,
    /// Who changed what by hand.
    Audit,
    /// Where the engine is.
    Engine,
}

impl Kind {
    /// All of them, in their order, as they are called.
    pub const ALL: [(Self, &'static str); 24] = [
        (Self::Events, "events"),
        (Self::Cursors, "cursors"),
        (Self::Keys, "message keys"),
        (Self::Names, "identifiers"),
        (Self::People, "people"),
        (Self::Merged, "merged people"),
        (Self::Joins, "joins"),
        (Self::Decisions, "decisions"),
        (Self::Queued, "queued activations"),
        (Self::Ended, "ended activations"),
        (Self::Lanes, "lanes"),
        (Self::Triggers, "trigger states"),
        (Self::Items, "catalogue"),
        (Self::Pools, "pools"),
        (Self::Codes, "codes"),
        (Self::Kept, "kept values"),
        (Self::Aside, "set aside"),
        (Self::Erasures, "erasures"),
        (Self::Erased, "ends of erasures"),
        (Self::Forgotten, "names to forget"),
        (Self::Accesses, "demands of access"),
        (Self::Register, "access register"),
        (Self::Audit, "audit log"),
        (Self::Engine, "engine"),
    ];

    /// As it is called.
    pub fn word(self) -> &'static str {
        Self::ALL.into_iter().find(|(kind, _)| *kind == self).map_or("", |(_, word)| word)
    }

    /// The one that is called so.
    ///
    /// # Errors
    /// When a later version wrote of it.
    pub fn of(word: &str) -> Result<Self, StoreError> {
        let known = Self::ALL.into_iter().find(|(_, known)| *known == word).map(|(kind, _)| kind);
        known.ok_or_else(|| {
            StoreError::Damaged(format!("the copy stands at `{word}`, which this version does not know"))
        })
    }

    /// The one after it.
    pub fn next(self) -> Option<Self> {
        Self::ALL.into_iter().map(|(kind, _)| kind).find(|kind| *kind > self)
    }
}

/// One piece.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Of the journal, at its position.
    Event(Position, Event),
    /// A caller's position, by its name.
    Cursor(String, Vec<u8>),
    /// A message key, with about when it came: a store that forgets many together knows it of the newest.
    Key(DedupeKey, Timestamp),
    /// Whose the name is that this stands for.
    Name(Hash, PersonId),
    /// Somebody, whole.
    Person(Box<Person>),
    /// Who was merged away, and into whom.
    Merged(PersonId, PersonId),
    /// A join in somebody's log.
    Join(Logged<Join>),
    /// A decision in somebody's log, and where its activations lie: that follows from them.
    Decision(Logged<Decision>, Vec<Place>),
    /// An activation that waits.
    Queued(u64, Row, Box<Activation>),
    /// One that has ended.
    Ended(Ended),
    /// A lane, counted.
    Lane(Lane),
    /// A trigger's state.
    Trigger(TriggerId, Arc<TriggerState>),
    /// A product.
    Item(CatalogueItem),
    /// A pool: codes that were ever put into it, and the place of the next one.
    Pool(Arc<str>, u64, u64),
    /// A code, at its place in its pool.
    Code(Arc<str>, u64, Box<str>),
    /// A small value by its name.
    Kept(String, Vec<u8>),
    /// A message that could not be read.
    Aside(SetAside),
    /// Somebody was forgotten.
    Erasure(Erasure),
    /// How that ended at a destination, and when.
    Erased(OccasionId, LaneName, Timestamp, Attempt),
    /// What stands for a name that is still to be forgotten up to this position.
    Forgotten(Hash, Position),
    /// A demand of access, and when it was written.
    Access(Timestamp, Access),
    /// The register of who may come in, of this version.
    Register(u64, Vec<u8>),
    /// An entry of the audit log.
    Audit(Audited),
    /// Where the engine is.
    Engine(Box<Engine>),
}

/// An entry of somebody's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged<T> {
    /// In whose log.
    pub person: PersonId,
    /// Which of several.
    pub n: u32,
    /// When it was written: it goes by this.
    pub written: Timestamp,
    /// What it says.
    pub entry: T,
}

/// An activation that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// Its number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// It is a dead letter.
    pub is_dead: bool,
    /// The tries that are kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// What was to be sent.
    pub activation: Activation,
}

/// A lane, counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Lane {
    /// Its name.
    pub name: LaneName,
    /// What waits.
    pub queued: u64,
    /// Of this, what waits for a time.
    pub deferred: u64,
    /// Dead letters.
    pub dead: u64,
    /// Of what waits, how much each trigger has.
    pub triggers: BTreeMap<Arc<str>, u64>,
    /// What ever came to it.
    pub totals: LaneTotals,
}

/// Where the engine is.
#[derive(Clone, Debug, PartialEq)]
pub struct Engine {
    /// The newest event.
    pub journaled: Position,
    /// The newest event decided.
    pub decided: Position,
    /// The last step taken.
    pub step: u64,
    /// The last number given to an activation.
    pub seq: u64,
    /// People there are.
    pub people: u64,
    /// The newest arrival decided.
    pub reached: Timestamp,
    /// The triggers in force.
    pub program: Option<Arc<[(TriggerId, u32)]>>,
    /// Who knows them.
    pub adopted: Adopted,
    /// The step that is written down and not yet taken.
    pub open: Option<StepRecord>,
}

impl Lane {
    /// It was never used.
    pub fn is_empty(&self) -> bool {
        *self == Self { name: self.name.clone(), ..Self::default() }
    }
}

impl Piece {
    /// The same bytes for the same piece, whichever store it was read from.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Event(position, event) => encode(&(position, event)),
            Self::Cursor(name, value) | Self::Kept(name, value) => encode(&(name, value)),
            Self::Key(key, _) => encode(key),
            Self::Name(key, person) => encode(&(key, person)),
            Self::Person(person) => {
                let entries = person.history.entries().iter().map(StoredEntry::of).collect();
                encode(&(person.id, Header::of(person, entries, 0)))
            }
            Self::Merged(person, survivor) => encode(&(person, survivor)),
            Self::Join(Logged { person, n, written, entry }) => encode(&(person, n, written, entry)),
            Self::Decision(Logged { person, n, written, entry }, _) => encode(&(person, n, written, entry)),
            Self::Queued(seq, row, activation) => encode(&(seq, row, activation)),
            Self::Ended(Ended { seq, at, is_dead, attempts, activation }) => {
                encode(&(seq, at, is_dead, attempts, activation))
            }
            Self::Lane(Lane { name, queued, deferred, dead, triggers, totals }) => {
                encode(&(name, queued, deferred, dead, triggers, totals))
            }
            Self::Trigger(id, state) => encode(&(id, &**state)),
            Self::Item(item) => encode(item),
            Self::Pool(name, added, next) => encode(&(name, added, next)),
            Self::Code(pool, place, code) => encode(&(pool, place, code)),
            Self::Aside(message) => encode(message),
            Self::Erasure(erasure) => encode(erasure),
            Self::Erased(id, lane, at, attempt) => encode(&(id, lane, at, attempt)),
            Self::Forgotten(key, until) => encode(&(key, until)),
            Self::Access(written, access) => encode(&(written, access)),
            Self::Register(version, value) => encode(&(version, value)),
            // Of what people look at the database leaves out what it cannot keep.
            Self::Audit(Audited { id, asked, status, note }) => {
                let [by, did, of, note] = [&asked.by, &asked.did, &asked.of, note].map(|text| text.replace('\0', ""));
                encode(&(id, asked.at, by, did, of, status, note))
            }
            Self::Engine(engine) => {
                let Engine { journaled, decided, step, seq, people, reached, program, adopted, open } = &**engine;
                encode(&(journaled, decided, step, seq, people, reached, program.as_deref(), adopted, open))
            }
        }
    }
}

/// How many pieces of a kind there are, and a checksum of them that no order changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: u64,
    sum: u128,
}

impl Sum {
    /// One more.
    pub fn add(&mut self, piece: &Piece) {
        self.count += 1;
        let mut half = [0; 16];
        half.copy_from_slice(&blake3::hash(&piece.bytes()).as_bytes()[..16]);
        self.sum = self.sum.wrapping_add(u128::from_le_bytes(half));
    }
}
