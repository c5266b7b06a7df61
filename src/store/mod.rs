//! The port to what is kept: whole steps, each atomic and durable when it returns.
//!
//! An adapter knows nothing of triggers or vendors. `contract` is the suite that each adapter passes.

pub mod audit;
pub mod backup;
mod cache;
#[cfg(test)]
pub(crate) mod contract;
pub mod copy;
mod counts;
mod decided;
pub mod duty;
pub mod embedded;
mod everybody;
mod forgotten;
mod joined;
mod listed;
mod lists;
pub mod members;
mod news;
pub mod postgres;
pub mod record;
pub mod settings;
mod steps;

pub use backup::{BackedUp, Backup};
pub use counts::{Added, Counts, LaneCount, LaneTotals, PoolCount, Stocked};
pub use decided::decided;
pub use duty::{Duties, Duty};
pub use embedded::give_way;
pub use everybody::each_person;
pub use listed::{Accepted, Came, DeadLetter, End, Listed, Raised, Record, Sought};
pub use members::{Member, Members, Said, Takeover};
pub use steps::{Adopted, Claim, Due, Progress, Recorded, Step};

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::model::{
    Access, Activation, Attempt, Catalogue, CatalogueItem, Changes, Codes, Decision, DedupeKey, Erasure, Event,
    Identifier, Join, LaneName, Loaded, OccasionId, Person, PersonId, Position, Priority, StepId, Timestamp, TriggerId,
    TriggerStates,
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

    /// A page of what was accepted, newest first: before this position, of this source or of all; at most `max`. Who is
    /// forgotten is not in it. What looking costs is bounded.
    async fn came(&self, source: Option<&str>, before: Option<Position>, max: usize) -> Result<Came, StoreError>;

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

    /// What time it is to all who share the store; none where nobody does, and the machine's clock is as good.
    fn time(&self) -> Option<Timestamp>;

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
