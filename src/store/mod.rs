//! The port to what is kept: whole steps, each atomic and durable when it returns.
//!
//! An adapter knows nothing of triggers or vendors. `contract` is the suite that each adapter passes.

pub mod audit;
pub mod backup;
mod cache;
#[cfg(test)]
pub(crate) mod contract;
mod decided;
pub mod duty;
pub mod embedded;
mod everybody;
mod forgotten;
mod joined;
mod lists;
pub mod members;
mod news;
pub mod postgres;
pub mod record;
pub mod settings;

pub use backup::{BackedUp, Backup};
pub use decided::decided;
pub use duty::{Duties, Duty};
pub use embedded::give_way;
pub use everybody::each_person;
pub use members::{Member, Members, Said, Takeover};

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{
    Access, Activation, Attempt, Catalogue, CatalogueItem, Changes, Codes, Decision, DedupeKey, Erasure, Event,
    Identifier, Join, LaneName, Loaded, OccasionId, Order, Person, PersonId, Position, Priority, StepId, Timestamp,
    TriggerId, TriggerStates,
};

/// The layout of what is stored, by this version. An older one is migrated when it is opened.
pub const SCHEMA: u32 = 3;

/// Why an append was not made. Nothing of it was kept.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The backlog is over its mark: the caller should come again.
    #[error("the backlog of {backlog} events is over its mark of {mark}")]
    Full {
        /// Events accepted and not yet decided.
        backlog: u64,
        /// The configured mark.
        mark: u64,
    },
    /// The disk refused (full, read-only, failing). The next append tries again.
    #[error("the journal cannot be written: {0}")]
    Unavailable(String),
    /// What it was to be made for is another daemon's duty by now.
    #[error("another daemon does this work")]
    Elsewhere,
}

/// Why another step was not made. Nothing of it was kept; the same step may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The disk or database refused; repeat the step later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// Another daemon does this work: it is asked again whether it still does.
    #[error("another daemon has this work")]
    Elsewhere,
    /// What was read is not what was written. `espalier store verify` says where.
    #[error("the store is damaged: {0}; run `espalier store verify`, then `espalier store rebuild`")]
    Damaged(String),
    /// A backup or an export is not as it was written, or was cut. Nothing was taken from it.
    #[error("{0}")]
    Backup(String),
    /// A later version wrote it. Nothing was changed.
    #[error(
        "the store has schema {found}, and this version knows up to {known}: run the version that wrote it, or restore \
         a backup from before"
    )]
    Newer {
        /// The store's layout.
        found: u32,
        /// The newest that is known here.
        known: u32,
    },
}

/// A batch of events in journal order, with everybody they speak of.
#[derive(Debug, Default)]
pub struct Claim {
    /// Never empty, unless nothing waits.
    pub events: Vec<(Position, Event)>,
    /// Complete for the identifiers and message keys of `events`.
    pub loaded: Loaded,
}

/// People whose timers are due, loaded.
#[derive(Debug, Default)]
pub struct Due {
    /// In order of their earliest timer.
    pub people: Vec<PersonId>,
    /// All of them, and nobody else.
    pub loaded: Loaded,
}

/// One step of the engine, written down before what follows from it: a replay takes the same steps, each with the same
/// `now`, and so comes to the same decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// From here on these triggers are asked, in what they mean; those among them that are new are made known to
    /// everybody.
    Program(Vec<(TriggerId, u32)>),
    /// The events up to this one are decided.
    Events {
        /// The last of them.
        until: Position,
        /// When.
        now: Timestamp,
    },
    /// People are asked whose timer lies at or before `until`, the earliest first, at most `max` of them.
    Timers {
        /// How far time has come.
        until: Timestamp,
        /// How many people at most.
        max: u32,
        /// When.
        now: Timestamp,
    },
    /// People are asked for triggers that they were never asked for, in order of their ids.
    Adopt {
        /// Those after this one.
        after: Option<PersonId>,
        /// Up to and including this one; `None` says that all have been asked.
        until: Option<PersonId>,
        /// When.
        now: Timestamp,
    },
    /// Somebody wants something of a trigger.
    Order {
        /// Which.
        trigger: TriggerId,
        /// What.
        order: Order,
        /// When.
        now: Timestamp,
    },
    /// Held activations of a trigger go, the oldest first, at most `max` of them.
    Release {
        /// Which.
        trigger: TriggerId,
        /// How many at most.
        max: u32,
        /// When.
        now: Timestamp,
    },
}

/// A step that was written down and not yet taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// For [`Changes::step`] of what follows from it.
    pub id: StepId,
    /// The newest event decided when it was written. Events before it that are not decided have no steps: they come
    /// from a version that wrote none.
    pub after: Position,
    /// What is to be done.
    pub step: Step,
}

/// How far a new program's triggers were made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adopted {
    /// To people up to this one.
    UpTo(Option<PersonId>),
    /// To everybody who was there.
    Everybody,
}

impl Default for Adopted {
    fn default() -> Self {
        Self::UpTo(None)
    }
}

/// Where the engine is, after the last step taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The triggers of the last [`Step::Program`]; `None` before the first.
    pub program: Option<Arc<[(TriggerId, u32)]>>,
    /// Who knows them.
    pub adopted: Adopted,
}

/// A queued activation's place in its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WorkId(pub u64);

/// One activation handed to a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Work {
    /// To settle it by.
    pub id: WorkId,
    /// What to send.
    pub activation: Activation,
    /// Tries that counted so far (throttling does not).
    pub tries: u32,
    /// True when an earlier try was begun ([`Store::begin`]) and its end is not known.
    pub may_have_left: bool,
}

/// How one try ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Which.
    pub id: WorkId,
    /// With what.
    pub attempt: Attempt,
}

/// A lane's queue, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneCount {
    /// Ready or waiting for a later time.
    pub queued: u64,
    /// Those among them that wait for a later time.
    pub deferred: u64,
    /// The earliest `not_before` of the deferred.
    pub next: Option<Timestamp>,
    /// The edge of the oldest that is queued.
    pub oldest: Option<Timestamp>,
    /// Dead letters.
    pub dead: u64,
    /// Of the queued, how many each trigger has; none that has none.
    pub triggers: BTreeMap<Arc<str>, u64>,
    /// Everything that ever came to it.
    pub totals: LaneTotals,
}

/// What ever came to a lane, and how it ended. Every activation that was made is queued, has one end, or was forgotten
/// with its person: [`LaneTotals::made`] is the sum of all the others and of [`LaneCount::queued`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LaneTotals {
    /// Activations that were decided for it.
    pub made: u64,
    /// The vendor has them: taken now, or known to it already.
    pub accepted: u64,
    /// Dead letters, and those of them that were dropped.
    pub refused: u64,
    /// Their time ran out while they waited.
    pub expired: u64,
    /// Called back before they left.
    pub cancelled: u64,
    /// They waited for somebody who was forgotten.
    pub forgotten: u64,
}

impl LaneTotals {
    /// Those that have left the queue.
    pub fn ended(&self) -> u64 {
        self.accepted + self.refused + self.expired + self.cancelled + self.forgotten
    }
}

/// The whole store, counted. Kept in memory by the adapter; never a scan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The newest event on disk.
    pub journaled: Position,
    /// The newest event decided.
    pub decided: Position,
    /// Arrival of the oldest event not yet decided.
    pub oldest_undecided: Option<Timestamp>,
    /// People there are.
    pub people: u64,
    /// The earliest durable timer.
    pub next_timer: Option<Timestamp>,
    /// Messages set aside as unreadable.
    pub set_aside: u64,
    /// Bytes of journal on disk.
    pub journal_bytes: u64,
    /// The engine's last step.
    pub step: u64,
    /// Grows while a snapshot is written or the journal rewritten, for which the engine may have to wait.
    pub upkeep: u64,
}

/// Where an activation is, and what was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The activation.
    pub activation: Activation,
    /// The tries kept (the last ten), oldest first. Empty while it waits for its first.
    pub attempts: Vec<Attempt>,
    /// True while it is in the outbox.
    pub is_queued: bool,
}

/// An activation that can never be sent as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its place; stable until it is replayed or dropped.
    pub id: WorkId,
    /// What was to be sent.
    pub activation: Activation,
    /// The tries kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was given up.
    pub at: Timestamp,
}

/// An activation that has ended, whichever way.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Its number.
    pub id: WorkId,
    /// What was, or was to be, sent.
    pub activation: Activation,
    /// The tries kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it ended.
    pub at: Timestamp,
}

/// What is looked for among those that have ended, or among dead letters. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sought {
    /// Of this lane.
    #[schema(value_type = Option<String>)]
    pub lane: Option<LaneName>,
    /// Of this trigger.
    #[schema(value_type = Option<String>)]
    pub trigger: Option<Arc<str>>,
    /// With this end: [`crate::model::Outcome::word`] of the last try, or the code of its refusal.
    #[schema(value_type = Option<String>)]
    pub end: Option<Box<str>>,
    /// Only those of a lower number: where another page begins.
    #[schema(value_type = Option<u64>)]
    pub before: Option<WorkId>,
}

impl Sought {
    /// True for one that is looked for.
    pub fn has(&self, activation: &Activation, attempts: &[Attempt]) -> bool {
        let is_end = |end: &str| {
            attempts.last().is_some_and(|last| match &last.outcome {
                crate::model::Outcome::Refused { code, .. } => **code == *end || last.outcome.word() == end,
                outcome => outcome.word() == end,
            })
        };
        self.lane.as_ref().is_none_or(|lane| *lane == activation.lane)
            && self.trigger.as_ref().is_none_or(|trigger| *trigger == activation.trigger)
            && self.end.as_deref().is_none_or(is_end)
    }
}

/// A page of what was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Newest first. May be empty before the end: a page looks at a bounded number of others, too.
    pub found: Vec<T>,
    /// For [`Sought::before`] of the next page; none at the end.
    pub next: Option<WorkId>,
}

/// What the vendor of a lane took in a stretch of time, and some of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// All events of it, among the two million newest ends.
    pub total: u64,
    /// Those of the lowest occasions, which are as good as drawn by lot.
    pub sample: Vec<(WorkId, Activation)>,
    /// How many of it had waited for which instant ([`Activation::not_before`]): of a thousand instants at most.
    pub waited: BTreeMap<Timestamp, u64>,
}

/// What became of the wish to put a dead letter back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It waits in its lane again, or is gone for good, as was asked.
    Done,
    /// There is none of this number.
    Missing,
    /// Its payload could not be said when it was made ([`Activation::broken`]), so that there is nothing to send: it
    /// stays where it is until it is dropped.
    Broken,
}

/// What became of products that were put into the catalogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Stocked {
    /// They were not there before.
    pub new: u64,
    /// They took the place of an older word.
    pub changed: u64,
    /// The same word, or a newer one, was there.
    pub known: u64,
    /// There was no room for them.
    pub too_many: u64,
}

/// What became of codes that were put into a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = CodesAdded)]
pub struct Added {
    /// They wait to be given.
    pub new: u64,
    /// A pool had them before.
    pub known: u64,
    /// There was no room for them.
    pub too_many: u64,
}

/// A pool of codes, counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PoolCount {
    /// Its name.
    pub name: Arc<str>,
    /// Codes that were ever put into it.
    pub added: u64,
    /// Those not yet given.
    pub left: u64,
}

/// A message, or a part of one, that could not be read: kept for inspection, bounded in number and age.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SetAside {
    /// When it came.
    pub at: Timestamp,
    /// The source it came to.
    pub source: Arc<str>,
    /// What is wrong with it; no personal data.
    pub reason: Box<str>,
    /// The message as it came, cut at 32 KB; UTF-8, broken bytes replaced.
    pub body: Box<str>,
}

/// That somebody was forgotten, and how far the destinations are with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// Here.
    pub erasure: Erasure,
    /// The last try at each destination that was asked; none where it waits for its first.
    pub lanes: Vec<(LaneName, Option<Attempt>)>,
}

/// Everything kept of one person, for `explain`.
#[derive(Clone, Debug)]
pub struct Story {
    /// Themselves.
    pub person: Person,
    /// Joins they had part in, oldest first.
    pub joins: Vec<Join>,
    /// Edges and what became of them, oldest first (the last 1,000).
    pub decisions: Vec<Decision>,
    /// Activations with their tries, oldest first (the last 1,000).
    pub records: Vec<Record>,
}

/// The port. Every method is one step: atomic, and when it returns `Ok` a crash does not lose it. That is so because it
/// is on disk, or, for [`Store::commit`], because its step and all that it follows from are in the journal.
///
/// Methods never panic on stored bytes; they may block their own threads, never the caller's.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    // === journal ===

    /// Puts events at the journal's end, all or none, and returns the last one's position when the disk has them.
    /// With `cursor`, a named position of the caller's own is kept in the same step (import, pull).
    async fn append(&self, events: Vec<Event>, cursor: Option<(&str, &[u8])>) -> Result<Position, AppendError>;

    /// The same for a duty: refused where that is not ours any more.
    async fn append_for(
        &self,
        duty: &Duty,
        events: Vec<Event>,
        cursor: Option<(&str, &[u8])>,
    ) -> Result<Position, AppendError>;

    /// The last value given to [`Store::append`] under this name.
    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Those of these message keys that a decided event had, within the window of repeats.
    async fn known(&self, keys: Vec<DedupeKey>) -> Result<HashSet<DedupeKey>, StoreError>;

    /// Changes whenever events were appended or activations queued: await it instead of polling.
    fn changed(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Keeps unreadable messages for inspection. Best effort: bounded, and not awaited by the sender's answer.
    async fn set_aside(&self, messages: Vec<SetAside>) -> Result<(), StoreError>;

    // === engine ===

    /// The step that was written down and is not yet taken: after a crash, a refused commit, a state made again. It is
    /// taken before another is made.
    async fn recorded(&self) -> Result<Option<Recorded>, StoreError>;

    /// Writes a step down; refused while one is open. It survives the end of the process, and a power cut unless it is
    /// [`Step::Events`]: such a one is on disk with whatever comes there after it.
    async fn record(&self, step: Step) -> Result<StepId, StoreError>;

    /// Where the engine is.
    fn progress(&self) -> Result<Progress, StoreError>;

    /// At most `max` of the next events after the last commit, with the people they touch. Empty when nothing waits.
    async fn claim(&self, max: usize) -> Result<Claim, StoreError>;

    /// All events after the last commit up to `until`, with the people they touch.
    async fn claim_until(&self, until: Position) -> Result<Claim, StoreError>;

    /// Up to `max` people with a timer at or before `until`.
    async fn due(&self, until: Timestamp, max: usize) -> Result<Due, StoreError>;

    /// Every trigger's state, after the last commit.
    fn triggers(&self) -> TriggerStates;

    /// The oldest held activations of a trigger, at most `max`, with whose they are now. It takes nothing.
    async fn held(&self, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, StoreError>;

    /// These people, for a step that changes them.
    async fn load(&self, people: Vec<PersonId>) -> Result<Loaded, StoreError>;

    /// Writes `changes`, the new position, and that their step is taken, atomically. `loaded` is what `decide` left; it becomes the cache.
    /// An activation whose (occasion, lane) was queued or settled before is not queued again.
    async fn commit(&self, loaded: Loaded, changes: Changes) -> Result<(), StoreError>;

    // === delivery ===

    /// Up to `max` activations of `lane` ready at `now`: higher priority first, then older. They are this caller's
    /// until settled or released; what a crash leaves is ready again. None while steps of the journal are taken again: a
    /// later one may call them back.
    async fn work(&self, lane: &str, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError>;

    /// Which holder of this lane we are, where several daemons share a store: another number after somebody else has sent,
    /// and none while one does. Asked before each call to a vendor, since a daemon that was held up does not know.
    fn term(&self, lane: &str) -> Option<u64>;

    /// Notes durably that these are about to leave: for vendors without a dedupe key, who must be asked after a crash.
    async fn begin(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError>;

    /// Commits each record's own outcome: done, later, or dead letter.
    async fn settle(&self, lane: &str, settled: Vec<Settled>) -> Result<(), StoreError>;

    /// Gives work back untried.
    async fn release(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError>;

    /// What the vendor of this lane took after the first instant and not after the second, as far as it is kept; at most `max` of it.
    async fn accepted(&self, lane: &str, span: (Timestamp, Timestamp), max: usize) -> Result<Accepted, StoreError>;

    /// The activation of this number, where it has ended and is kept.
    async fn ended(&self, id: WorkId) -> Result<Option<Record>, StoreError>;

    /// A page of those that have ended, those that were made last first; at most `max`. What looking costs is bounded.
    async fn ends(&self, sought: &Sought, max: usize) -> Result<Listed<End>, StoreError>;

    /// What waits in a lane, in the order in which it leaves but for what has to wait: from the place of this priority
    /// and number on, or from the first; at most `max`. It takes nothing.
    async fn waiting(
        &self,
        lane: &str,
        from: Option<(Priority, WorkId)>,
        max: usize,
    ) -> Result<Vec<(WorkId, Record)>, StoreError>;

    /// Puts an event that the vendor took back into its lane, with `expires_at` moved to `expires_at`: as one that may
    /// have left, so that a vendor without a key against repeats is asked first. A state that is made again from the
    /// journal does not know of it.
    async fn resend(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError>;

    // === dead letters ===

    /// Newest first, at most `max`; of one lane or of all.
    async fn dead_letters(&self, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError>;

    /// A page of those that are looked for, newest first; at most `max`. What looking costs is bounded.
    async fn letters(&self, sought: &Sought, max: usize) -> Result<Listed<DeadLetter>, StoreError>;

    /// The one of this number.
    async fn dead_letter(&self, id: WorkId) -> Result<Option<DeadLetter>, StoreError>;

    /// Puts a dead letter back into its lane, with `expires_at` moved to `expires_at`. One that is broken stays.
    async fn replay(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError>;

    /// Removes a dead letter for good; false if there is none.
    async fn drop_dead(&self, id: WorkId) -> Result<bool, StoreError>;

    // === what payloads are made with ===

    /// Takes products into the catalogue: each takes the place of an older word of it. What there is no room for is
    /// counted, and not kept.
    async fn put_items(&self, items: Vec<CatalogueItem>) -> Result<Stocked, StoreError>;

    /// The catalogue as it is now.
    fn catalogue(&self) -> Arc<Catalogue>;

    /// Puts codes at the end of a pool. One that any pool ever had is not taken again.
    async fn add_codes(&self, pool: &str, codes: Vec<Box<str>>) -> Result<Added, StoreError>;

    /// Every pool, counted.
    fn pools(&self) -> Vec<PoolCount>;

    /// The codes as a step would find them now.
    fn codes(&self) -> Codes;

    // === who may come in, and who changed what by hand ===

    /// The register of who may come in, and its version; 0 before there is one. It outlives a state that is made again.
    async fn access(&self) -> Result<(u64, Option<Vec<u8>>), StoreError>;

    /// Takes the place of the register, if it is still of this version; false if somebody else was quicker.
    async fn put_access(&self, version: u64, value: &[u8]) -> Result<bool, StoreError>;

    /// Writes down what is about to be done by hand; the entry's number. The log is bounded: the oldest go.
    async fn audit(&self, asked: audit::Asked) -> Result<u64, StoreError>;

    /// Writes down how that was answered, and what else there is to say of it.
    async fn audited(&self, id: u64, status: u16, note: &str) -> Result<(), StoreError>;

    /// The audit log, newest first: those before `before`, at most `max`.
    async fn audit_log(&self, before: Option<u64>, max: usize) -> Result<Vec<audit::Audited>, StoreError>;

    // === reports: read only ===

    /// Who this identifier belongs to.
    async fn find(&self, identifier: &Identifier) -> Result<Option<PersonId>, StoreError>;

    /// Everything kept of one person. An id that was merged away leads to the survivor.
    async fn story(&self, id: PersonId) -> Result<Option<Story>, StoreError>;

    /// Everybody, a page at a time, in order of id: those after `after`, at most `max`.
    async fn people(&self, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError>;

    /// Joins that were refused to keep two people apart, at most `max`, in no order; each once.
    async fn refused_joins(&self, max: usize) -> Result<Vec<Join>, StoreError>;

    /// Demands of access, those that are open first, the oldest first; at most `max`. What was answered is kept for three
    /// years.
    async fn accesses(&self, max: usize) -> Result<Vec<Access>, StoreError>;

    /// Demands of access that nobody has answered, counted up to a thousand.
    fn open_demands(&self) -> u64;

    /// Notes that a demand of access was answered; false where no such one is open. It is not in the journal: a state that
    /// is made again from before forgets it.
    async fn answer(&self, id: OccasionId, now: Timestamp) -> Result<bool, StoreError>;

    /// People who were forgotten, the newest first, at most `max`: kept for three years.
    async fn receipts(&self, max: usize) -> Result<Vec<Receipt>, StoreError>;

    /// Messages set aside, newest first.
    async fn set_aside_list(&self, max: usize) -> Result<Vec<SetAside>, StoreError>;

    /// The store, counted.
    fn counts(&self) -> Counts;

    /// A lane, counted.
    fn lane_count(&self, lane: &str) -> LaneCount;

    /// A small named value for a room's own state (quota ledger, adopted triggers): last write wins.
    async fn keep(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// The same for a duty: refused where that is not ours any more.
    async fn keep_for(&self, duty: &Duty, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// What was kept under this name.
    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// The duty of this name: of the daemons that share the store one has it at a time, until its time runs out or it
    /// closes. Ours, where it is, or where nobody has it; `None` while another daemon does.
    async fn duty(&self, name: &str) -> Result<Option<Duty>, StoreError>;

    /// Tells the others that share the store: the last word of each name is theirs to hear while this daemon lives, and
    /// for a day. Nothing, where nobody can.
    async fn say(&self, name: &str, value: &[u8]) -> Result<(), StoreError>;

    /// What each of the others said last under this name.
    async fn heard(&self, name: &str) -> Result<Vec<Said>, StoreError>;

    /// The daemons that share the store, this one among them; none where nobody can. Kept in memory by the adapter.
    fn members(&self) -> Option<Arc<Members>>;

    /// Tells the others where this daemon's page is.
    fn introduce(&self, address: &str);

    /// Why nothing can be read or written, where that has been so for some seconds, and whatever was answered before.
    fn away(&self) -> Option<String>;

    /// Makes the store as small and as quick to open as it can be: for the hours when little happens. The engine may wait
    /// meanwhile; intake does not. Returns the newest event that a restart need not read again.
    async fn compact(&self, now: Timestamp) -> Result<Position, StoreError>;

    /// Makes a copy of the store in `folder`, which is made or empty, and says what it has. Everything that was
    /// acknowledged before is in it; steps and intake go on meanwhile. The list of backups is not touched: see
    /// [`backup::make`].
    async fn back_up(&self, folder: &Path, now: Timestamp) -> Result<BackedUp, StoreError>;

    /// Writes out what is buffered and closes. No step may follow.
    async fn close(&self) -> Result<(), StoreError>;
}
