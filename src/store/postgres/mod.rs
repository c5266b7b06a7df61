//! The store on PostgreSQL, and on what speaks its protocol: several daemons may share one.
//!
//! Each step is one transaction of standard SQL. The journal's order is the lock on its one row; the engine's work, and
//! each lane's, is one daemon's at a time, by a fenced lease (`lease`). Nothing is asked again and again but by an index
//! that gives just that, and what is counted is in memory (`mirror`).

mod again;
mod attempts;
mod claim;
mod commit;
pub mod copy;
mod counts;
mod cut;
mod engine;
mod journal;
mod keeper;
mod lease;
mod letters;
mod listing;
mod members;
mod mirror;
mod open;
mod outbox;
mod people;
mod queue;
mod register;
mod reports;
mod rows;
mod shelf;
mod small;
#[cfg(test)]
pub mod tests;
mod text;
mod time;
mod weeks;

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::audit::{Asked, Audited};
use super::settings::Settings;
use super::{
    Accepted, Added, AppendError, BackedUp, Came, Claim, Counts, DeadLetter, Due, Duty, End, LaneCount, Listed,
    Members, PoolCount, Progress, Raised, Receipt, Record, Recorded, Said, SetAside, Settled, Sought, Step, Stocked,
    Store, StoreError, Story, Work, WorkId,
};
use crate::model::{
    Access, Activation, Catalogue, CatalogueItem, Changes, Codes, DedupeKey, Event, Identifier, Join, LaneName, Loaded,
    OccasionId, Person, PersonId, Position, Priority, StepId, Timestamp, TriggerId, TriggerStates,
};
use again::{Trouble, read};
use claim::Memory;
use journal::Append;
use lease::Leases;
use mirror::Mirror;
use outbox::Hands;
use rows::{Queued, State};
use shelf::Shelf;

/// The store on PostgreSQL. Cheap to clone; all clones are one member.
#[derive(Clone)]
pub struct Postgres {
    inner: Arc<Inner>,
}

/// What all steps share. No lock of memory is held while the database is waited for, but each lane's own.
struct Inner {
    settings: Settings,
    /// Where connections live.
    runtime: tokio::runtime::Handle,
    pool: PgPool,
    mirror: Arc<Mirror>,
    leases: Arc<Leases>,
    /// What this daemon is called, and where its page is.
    name: String,
    address: Mutex<Option<String>>,
    /// Held while the engine's lease is taken, and what is remembered for it is read anew.
    entering: tokio::sync::Mutex<()>,
    memory: Mutex<Memory>,
    hands: Mutex<HashMap<LaneName, Arc<tokio::sync::Mutex<Hands>>>>,
    shelf: Mutex<Shelf>,
    /// Held while the shelf is read: one reading follows another.
    shelving: tokio::sync::Mutex<()>,
    journal: Mutex<Option<mpsc::Sender<Append>>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Ends what goes on beside the steps.
    _stop: DropGuard,
    stop: CancellationToken,
}

fn poisoned() -> StoreError {
    StoreError::Unavailable("an earlier step ended badly; restart the daemon".into())
}

/// This transaction need not wait for the disk: what it says is made again, or is told by what follows it.
async fn soon(connection: &mut PgConnection) -> Result<(), Trouble> {
    sqlx::query("set local synchronous_commit = off").execute(connection).await?;
    Ok(())
}

impl Inner {
    fn memory(&self) -> Result<MutexGuard<'_, Memory>, StoreError> {
        self.memory.lock().map_err(|_| poisoned())
    }
    fn shelf(&self) -> Result<MutexGuard<'_, Shelf>, StoreError> {
        self.shelf.lock().map_err(|_| poisoned())
    }
    fn hands(&self, lane: &str) -> Result<Arc<tokio::sync::Mutex<Hands>>, StoreError> {
        let mut hands = self.hands.lock().map_err(|_| poisoned())?;
        Ok(hands.entry(lane.into()).or_default().clone())
    }

    /// The engine's work is ours, by this epoch of its lease. What is remembered for it is true, or forgotten.
    async fn enter(&self) -> Result<i64, StoreError> {
        let _one = self.entering.lock().await;
        let Some(held) = self.leases.take(&self.pool, lease::ENGINE).await? else { return Err(StoreError::Elsewhere) };
        let is_known = {
            let memory = self.memory()?;
            memory.epoch == held.epoch && !memory.is_doubted
        };
        if !is_known {
            self.mirror.forget_engine()?;
            self.mirror.refresh(&self.pool, self.leases.me()).await?;
            shelf::refresh(self).await?;
            *self.memory()? = Memory { epoch: held.epoch, ..Memory::new(self.settings.people_cache.0) };
        }
        Ok(held.epoch)
    }

    /// What became of a step of the engine's is not known, or not what we thought: all is read anew before the next.
    fn doubt(&self) -> Result<(), StoreError> {
        let mut memory = self.memory()?;
        *memory = Memory { epoch: memory.epoch, is_doubted: true, ..Memory::new(self.settings.people_cache.0) };
        Ok(())
    }

    /// As [`Self::enter`], for what follows from what was loaded: under the epoch that this was loaded in, or not at all.
    async fn engine(&self) -> Result<i64, StoreError> {
        let epoch = self.memory()?.epoch;
        if epoch == 0 {
            return self.enter().await;
        }
        if self.leases.epoch(lease::ENGINE) == Some(epoch) { Ok(epoch) } else { Err(StoreError::Elsewhere) }
    }

    async fn read_demands(&self) -> Result<(), StoreError> {
        read!(&self.pool, |connection| self.mirror.read_demands(connection))
    }

    async fn people(&self, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError> {
        read!(&self.pool, |connection| people::page(connection, after, max))
    }

    async fn one(&self, id: WorkId) -> Result<Option<Queued>, StoreError> {
        read!(&self.pool, |connection| letters::one(connection, id))
    }
}

/// Makes a step where the connections live: the engine's own threads wait for nothing but time. It is made to its end
/// also where nobody waits for it any more.
macro_rules! here {
    ($store:expr, |$inner:ident| $step:expr) => {{
        let $inner = $store.inner.clone();
        let made = $store.inner.runtime.spawn(async move { $step.await });
        made.await.map_err(|_| poisoned())?
    }};
}

impl Postgres {
    /// Connects, brings the tables to this version's layout, and reads what is answered from memory.
    ///
    /// # Errors
    /// When the database cannot be reached, or a later version has changed its tables.
    pub async fn open(settings: &Settings) -> Result<Self, StoreError> {
        let pool = open::pool(settings)?;
        open::migrate(&pool, &open::MIGRATIONS).await?;
        if let Err(error) = weeks::ahead(&pool).await {
            tracing::warn!(reason = %error, "the weeks to come have no tables of their own yet");
        }
        let mirror = Arc::new(Mirror::new());
        let (journal, waiting) = mpsc::channel(journal::WAITING);
        let leases = Arc::new(Leases::new());
        let name = members::name(settings);
        members::beat(&pool, leases.me(), &name, None).await?;
        if let Err(refused) = copy::refuse(&pool).await {
            members::leave(&pool, leases.me()).await?;
            return Err(refused);
        }
        let writer = tokio::spawn(journal::write_all(pool.clone(), (mirror.clone(), leases.clone()), waiting));
        let stop = CancellationToken::new();
        let inner = Arc::new(Inner {
            memory: Mutex::new(Memory::new(settings.people_cache.0)),
            settings: settings.clone(),
            runtime: tokio::runtime::Handle::current(),
            pool,
            mirror,
            leases,
            name,
            address: Mutex::default(),
            entering: tokio::sync::Mutex::default(),
            hands: Mutex::default(),
            shelf: Mutex::default(),
            shelving: tokio::sync::Mutex::default(),
            journal: Mutex::new(Some(journal)),
            writer: Mutex::new(Some(writer)),
            _stop: stop.clone().drop_guard(),
            stop: stop.clone(),
        });
        inner.mirror.refresh(&inner.pool, inner.leases.me()).await?;
        shelf::refresh(&inner).await?;
        keeper::begin(&inner, &stop);
        Ok(Self { inner })
    }

    async fn put(
        &self,
        duty: Option<&Duty>,
        events: Vec<Event>,
        cursor: Option<(&str, &[u8])>,
    ) -> Result<Position, AppendError> {
        let refused = |error: StoreError| match error {
            StoreError::Unavailable(words) => AppendError::Unavailable(words),
            StoreError::Elsewhere => AppendError::Elsewhere,
            other => AppendError::Unavailable(other.to_string()),
        };
        let mark = self.inner.settings.backlog;
        let (backlog, journaled) = self.inner.mirror.backlog().map_err(refused)?;
        if backlog >= mark {
            return Err(AppendError::Full { backlog, mark });
        }
        if events.is_empty() && cursor.is_none() {
            return Ok(journaled);
        }
        let cursor = cursor.map(|(name, value)| (name.to_owned(), value.to_vec()));
        let duty = duty.map(|duty| (duty.name().to_owned(), text::number(duty.term())));
        let journal = self.inner.journal.lock().map_err(|_| refused(poisoned()))?.clone();
        let Some(journal) = journal else { return Err(AppendError::Unavailable("the store is closed".into())) };
        let (answer, told) = oneshot::channel();
        // As many as the database can be behind with wait: whoever comes then comes again.
        journal
            .try_send(Append { events, cursor, duty, answer })
            .map_err(|_| AppendError::Unavailable("too many wait for the database".into()))?;
        drop(journal);
        let written = told.await.map_err(|_| AppendError::Unavailable("the journal's writer is gone".into()))?;
        written.map_err(refused)
    }
}

#[async_trait]
impl Store for Postgres {
    async fn append(&self, events: Vec<Event>, cursor: Option<(&str, &[u8])>) -> Result<Position, AppendError> {
        self.put(None, events, cursor).await
    }

    async fn append_for(
        &self,
        duty: &Duty,
        events: Vec<Event>,
        cursor: Option<(&str, &[u8])>,
    ) -> Result<Position, AppendError> {
        self.put(Some(duty), events, cursor).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        here!(self, |inner| journal::cursor(&inner.pool, &name))
    }

    async fn known(&self, keys: Vec<DedupeKey>) -> Result<HashSet<DedupeKey>, StoreError> {
        here!(self, |inner| claim::known(&inner.pool, &keys))
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.inner.mirror.subscribe()
    }

    async fn set_aside(&self, messages: Vec<SetAside>) -> Result<(), StoreError> {
        here!(self, |inner| small::set_aside(&inner, &messages))
    }

    async fn recorded(&self) -> Result<Option<Recorded>, StoreError> {
        here!(self, |inner| async {
            inner.enter().await?;
            Ok(inner.mirror.engine()?.recorded())
        })
    }

    async fn record(&self, step: Step) -> Result<StepId, StoreError> {
        here!(self, |inner| commit::record(&inner, step))
    }

    fn progress(&self) -> Result<Progress, StoreError> {
        self.inner.mirror.progress()
    }

    async fn claim(&self, max: usize) -> Result<Claim, StoreError> {
        here!(self, |inner| async {
            inner.enter().await?;
            claim::claim(&inner, max).await
        })
    }

    async fn claim_until(&self, until: Position) -> Result<Claim, StoreError> {
        here!(self, |inner| async {
            inner.enter().await?;
            claim::claim_until(&inner, until).await
        })
    }

    async fn due(&self, until: Timestamp, max: usize) -> Result<Due, StoreError> {
        here!(self, |inner| async {
            inner.enter().await?;
            claim::due(&inner, until, max).await
        })
    }

    fn triggers(&self) -> TriggerStates {
        self.inner.mirror.triggers().unwrap_or_default()
    }

    async fn held(&self, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, StoreError> {
        here!(self, |inner| listing::held(&inner.pool, trigger, max))
    }

    async fn load(&self, people: Vec<PersonId>) -> Result<Loaded, StoreError> {
        here!(self, |inner| async {
            inner.enter().await?;
            claim::these(&inner, people).await
        })
    }

    async fn commit(&self, loaded: Loaded, changes: Changes) -> Result<(), StoreError> {
        here!(self, |inner| commit::commit(&inner, loaded, changes))
    }

    async fn work(&self, lane: &str, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError> {
        let lane = lane.to_owned();
        here!(self, |inner| outbox::work(&inner, &lane, now, max))
    }

    fn term(&self, lane: &str) -> Option<u64> {
        self.inner.leases.epoch(&lease::of_lane(lane)).map(text::count)
    }

    async fn begin(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
        let (lane, ids) = (lane.to_owned(), ids.to_vec());
        here!(self, |inner| outbox::begin(&inner, &lane, &ids))
    }

    async fn settle(&self, lane: &str, settled: Vec<Settled>) -> Result<(), StoreError> {
        let lane = lane.to_owned();
        here!(self, |inner| outbox::settle(&inner, &lane, &settled))
    }

    async fn release(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
        let (lane, ids) = (lane.to_owned(), ids.to_vec());
        here!(self, |inner| outbox::release(&inner, &lane, &ids))
    }

    async fn accepted(&self, lane: &str, span: (Timestamp, Timestamp), max: usize) -> Result<Accepted, StoreError> {
        let lane = lane.to_owned();
        here!(self, |inner| listing::accepted(&inner.pool, &lane, span, max))
    }

    async fn ended(&self, id: WorkId) -> Result<Option<Record>, StoreError> {
        let one = here!(self, |inner| inner.one(id))?;
        Ok(one.filter(|one| one.state == State::Ended).map(Queued::into_record))
    }

    async fn ends(&self, sought: &Sought, max: usize) -> Result<Listed<End>, StoreError> {
        let sought = sought.clone();
        here!(self, |inner| listing::ends(&inner.pool, &sought, max))
    }

    async fn waiting(
        &self,
        lane: &str,
        from: Option<(Priority, WorkId)>,
        max: usize,
    ) -> Result<Vec<(WorkId, Record)>, StoreError> {
        let lane = lane.to_owned();
        here!(self, |inner| listing::waiting(&inner.pool, &lane, from, max))
    }

    async fn resend(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
        here!(self, |inner| letters::resend(&inner, id, expires_at))
    }

    async fn dead_letters(&self, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let lane = lane.map(str::to_owned);
        here!(self, |inner| letters::newest(&inner.pool, lane.as_deref(), max))
    }

    async fn letters(&self, sought: &Sought, max: usize) -> Result<Listed<DeadLetter>, StoreError> {
        let sought = sought.clone();
        here!(self, |inner| listing::letters(&inner.pool, &sought, max))
    }

    async fn dead_letter(&self, id: WorkId) -> Result<Option<DeadLetter>, StoreError> {
        let one = here!(self, |inner| inner.one(id))?;
        Ok(one.filter(|one| one.is_dead).map(Queued::into_letter))
    }

    async fn replay(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
        here!(self, |inner| letters::raise(&inner, id, Some(expires_at)))
    }

    async fn drop_dead(&self, id: WorkId) -> Result<bool, StoreError> {
        Ok(here!(self, |inner| letters::raise(&inner, id, None))? == Raised::Done)
    }

    async fn put_items(&self, items: Vec<CatalogueItem>) -> Result<Stocked, StoreError> {
        here!(self, |inner| shelf::put_items(&inner, items))
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.shelf().map(|shelf| shelf.catalogue()).unwrap_or_default()
    }

    async fn add_codes(&self, pool: &str, codes: Vec<Box<str>>) -> Result<Added, StoreError> {
        let pool = pool.to_owned();
        here!(self, |inner| shelf::add_codes(&inner, &pool, &codes))
    }

    fn pools(&self) -> Vec<PoolCount> {
        self.inner.shelf().map(|shelf| shelf.count()).unwrap_or_default()
    }

    fn codes(&self) -> Codes {
        self.inner.shelf().map(|shelf| shelf.lend().1).unwrap_or_default()
    }

    async fn access(&self) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        here!(self, |inner| register::access(&inner.pool))
    }

    async fn put_access(&self, version: u64, value: &[u8]) -> Result<bool, StoreError> {
        let value = value.to_vec();
        here!(self, |inner| register::put_access(&inner.pool, version, &value))
    }

    async fn audit(&self, asked: Asked) -> Result<u64, StoreError> {
        here!(self, |inner| register::ask(&inner.pool, &asked))
    }

    async fn audited(&self, id: u64, status: u16, note: &str) -> Result<(), StoreError> {
        let note = note.to_owned();
        here!(self, |inner| register::ended(&inner.pool, id, status, &note))
    }

    async fn audit_log(&self, before: Option<u64>, max: usize) -> Result<Vec<Audited>, StoreError> {
        here!(self, |inner| register::list(&inner.pool, before, max))
    }

    async fn came(&self, source: Option<&str>, before: Option<Position>, max: usize) -> Result<Came, StoreError> {
        let source = source.map(str::to_owned);
        here!(self, |inner| reports::came(&inner.pool, source.as_deref(), before, max))
    }

    async fn find(&self, identifier: &Identifier) -> Result<Option<PersonId>, StoreError> {
        let identifier = identifier.clone();
        here!(self, |inner| reports::find(&inner.pool, &identifier))
    }

    async fn story(&self, id: PersonId) -> Result<Option<Story>, StoreError> {
        here!(self, |inner| reports::story(&inner.pool, id))
    }

    async fn people(&self, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError> {
        here!(self, |inner| inner.people(after, max))
    }

    async fn refused_joins(&self, max: usize) -> Result<Vec<Join>, StoreError> {
        here!(self, |inner| reports::refused_joins(&inner.pool, max))
    }

    async fn accesses(&self, max: usize) -> Result<Vec<Access>, StoreError> {
        here!(self, |inner| reports::accesses(&inner.pool, max))
    }

    fn open_demands(&self) -> u64 {
        self.inner.mirror.open_demands().unwrap_or_default()
    }

    async fn answer(&self, id: OccasionId, now: Timestamp) -> Result<bool, StoreError> {
        here!(self, |inner| async {
            let answered = reports::answer(&inner.pool, id, now).await?;
            if answered {
                inner.read_demands().await?;
            }
            Ok(answered)
        })
    }

    async fn receipts(&self, max: usize) -> Result<Vec<Receipt>, StoreError> {
        here!(self, |inner| reports::receipts(&inner.pool, max))
    }

    async fn set_aside_list(&self, max: usize) -> Result<Vec<SetAside>, StoreError> {
        here!(self, |inner| small::set_aside_list(&inner.pool, max))
    }

    fn counts(&self) -> Counts {
        self.inner.mirror.counts().unwrap_or_default()
    }

    fn lane_count(&self, lane: &str) -> LaneCount {
        let mut count = self.inner.mirror.lane(lane).unwrap_or_default();
        if self.inner.leases.is_elsewhere(&lease::of_lane(lane)) {
            // No time makes one ready for us while another sends.
            count.next = None;
        }
        count
    }

    async fn keep(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_vec());
        here!(self, |inner| small::keep(&inner.pool, &name, &value))
    }

    async fn keep_for(&self, duty: &Duty, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let (duty, name, value) = (duty.clone(), name.to_owned(), value.to_vec());
        here!(self, |inner| small::keep_for(&inner.pool, (&inner.leases, &duty), &name, &value))
    }

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let name = name.to_owned();
        here!(self, |inner| small::kept(&inner.pool, &name))
    }

    async fn duty(&self, name: &str) -> Result<Option<Duty>, StoreError> {
        let name = name.to_owned();
        here!(self, |inner| inner.leases.duty(&inner.pool, &name))
    }

    async fn say(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_vec());
        here!(self, |inner| members::say(&inner.pool, inner.leases.me(), &name, &value))
    }

    async fn heard(&self, name: &str) -> Result<Vec<Said>, StoreError> {
        let name = name.to_owned();
        here!(self, |inner| members::heard(&inner.pool, inner.leases.me(), &name))
    }

    fn members(&self) -> Option<Arc<Members>> {
        Some(self.inner.mirror.members().unwrap_or_default())
    }

    fn introduce(&self, address: &str) {
        if let Ok(mut known) = self.inner.address.lock() {
            *known = Some(address.to_owned());
        }
    }

    fn away(&self) -> Option<String> {
        self.inner.mirror.away()
    }

    fn time(&self) -> Option<Timestamp> {
        self.inner.mirror.time()
    }

    /// Takes out what is too old. A restart reads no event again.
    async fn compact(&self, now: Timestamp) -> Result<Position, StoreError> {
        here!(self, |inner| cut::all(&inner, now))
    }

    async fn back_up(&self, _: &Path, _: Timestamp) -> Result<BackedUp, StoreError> {
        Err(StoreError::Backup(
            "a store on PostgreSQL is backed up by PostgreSQL: pg_dump, or base backups with the archive of its log"
                .into(),
        ))
    }

    async fn close(&self) -> Result<(), StoreError> {
        drop(self.inner.journal.lock().map_err(|_| poisoned())?.take());
        let writer = self.inner.writer.lock().map_err(|_| poisoned())?.take();
        if let Some(writer) = writer {
            // A panic there is one of the appends as well.
            let _ = writer.await;
        }
        self.inner.stop.cancel();
        here!(self, |inner| async {
            let given_back = inner.leases.give_back(&inner.pool).await;
            let left = members::leave(&inner.pool, inner.leases.me()).await;
            inner.pool.close().await;
            given_back.and(left)
        })
    }
}
