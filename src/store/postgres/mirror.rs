//! What is answered without asking the database: counts, the engine's place, states of triggers. It is read when the
//! store is opened, follows from what this process writes, and is read again each second for what others write. Nothing
//! here is asked of a table that grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlx::{PgConnection, PgPool, Row};
use tokio::sync::watch;
use tokio::time::Instant;
use uuid::Uuid;

use super::again::{Trouble, read};
use super::counts::{self, Lanes, Written};
use super::engine::EngineRow;
use super::members;
use super::text::{at, count};
use super::time::Time;
use crate::model::{Position, Timestamp, TriggerId, TriggerStates};
use crate::store::record::decode;
use crate::store::{Counts, LaneCount, Members, Progress, StoreError};

/// Demands of access that are counted.
const MOST_DEMANDS: usize = 1_000;

/// What was read longer ago is old: it is read each second.
const AWAY: Duration = Duration::from_secs(4);

/// Messages set aside.
pub const SET_ASIDE: &str = "set_aside";
/// Codes in all pools.
pub const CODES: &str = "codes";
/// The catalogue; its version says what of it was read.
pub const CATALOGUE: &str = "catalogue";

/// Shared by all steps.
pub struct Mirror {
    known: Mutex<Known>,
    changed: watch::Sender<u64>,
    /// When all of it was last read, and why not since.
    read: Mutex<(Instant, Option<String>)>,
    time: Time,
}

#[derive(Default)]
struct Known {
    journaled: u64,
    engine: EngineRow,
    /// The version of the engine's row for which `triggers` were read.
    triggers_of: i64,
    triggers: TriggerStates,
    /// The next event that is not decided: its position, and when it arrived.
    oldest: Option<(u64, Timestamp)>,
    next_timer: Option<Timestamp>,
    lanes: Lanes,
    totals: BTreeMap<String, (i64, u64)>,
    open_demands: u64,
    members: Arc<Members>,
}

impl Mirror {
    /// Knows nothing yet.
    pub fn new() -> Self {
        let read = Mutex::new((Instant::now(), None));
        Self { known: Mutex::default(), changed: watch::Sender::new(0), read, time: Time::default() }
    }

    fn known(&self) -> Result<MutexGuard<'_, Known>, StoreError> {
        self.known.lock().map_err(|_| super::poisoned())
    }

    /// Tells who waits that there is news.
    pub fn tell(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    /// To be told.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Reads what others may have written.
    pub async fn refresh(&self, pool: &PgPool, me: Uuid) -> Result<(), StoreError> {
        let is_news = read!(pool, |connection| self.read(connection, me))?;
        *self.read.lock().map_err(|_| super::poisoned())? = (Instant::now(), None);
        if is_news {
            self.tell();
        }
        Ok(())
    }

    /// What time it is to all who share the database.
    pub fn time(&self) -> Option<Timestamp> {
        self.time.now()
    }

    /// It could not be read.
    pub fn failed(&self, refused: &StoreError) {
        if let Ok(mut read) = self.read.lock() {
            read.1 = Some(refused.to_string());
        }
    }

    /// Why it is old, where it is.
    pub fn away(&self) -> Option<String> {
        let read = self.read.lock().ok()?;
        (read.0.elapsed() > AWAY).then(|| read.1.clone().unwrap_or_else(|| "it does not answer".into()))
    }

    async fn read(&self, connection: &mut PgConnection, me: Uuid) -> Result<bool, Trouble> {
        let asked = Instant::now();
        let row = sqlx::query(
            "select e.*, j.last, (extract(epoch from clock_timestamp()) * 1000)::bigint as told,
             (select v.arrived from events v where v.position = e.decided + 1) as waits_since,
             (select p.wake from people p where p.wake is not null order by p.wake limit 1) as next_timer
             from engine e, journal j where e.id = 1 and j.id = 1",
        )
        .fetch_one(&mut *connection)
        .await?;
        self.time.note(at(row.try_get("told")?), asked, Instant::now());
        let engine = EngineRow::read(&row)?;
        let journaled = count(row.try_get("last")?);
        let oldest = row.try_get::<Option<i64>, _>("waits_since")?.map(|ms| (engine.decided.0 + 1, at(ms)));
        let next_timer = row.try_get::<Option<i64>, _>("next_timer")?.map(at);
        let mut is_news = self.known()?.note(journaled, engine, oldest, next_timer);
        if self.known()?.is_behind_on_triggers() {
            self.read_triggers(connection).await?;
        }
        let rows = counts::all(connection).await?;
        let changed = self.known()?.lanes.note(rows, Vec::new());
        if !changed.is_empty() {
            is_news = true;
            let triggers = counts::triggers(connection, &changed).await?;
            self.known()?.lanes.note(Vec::new(), triggers);
        }
        let names = self.known()?.lanes.names();
        // Two readings may have crossed: whoever waits for a time is told of another.
        is_news |= self.read_firsts(connection, &names).await?;
        let totals: Vec<(String, i64, i64)> =
            sqlx::query_as("select name, version, value from totals").fetch_all(&mut *connection).await?;
        for (name, version, value) in totals {
            self.known()?.note_total(&name, version, count(value));
        }
        self.read_demands(connection).await?;
        let members = members::all(connection, me).await?;
        self.known()?.members = Arc::new(members);
        Ok(is_news)
    }

    /// Whatever is read next is what there is, also where it is older than what is known: a database that crashed has lost
    /// what it was not asked to sync.
    pub fn forget_engine(&self) -> Result<(), StoreError> {
        let mut known = self.known()?;
        (known.engine.version, known.triggers_of) = (0, 0);
        Ok(())
    }

    async fn read_triggers(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let of = self.known()?.engine.version;
        let states: Vec<(i64, Vec<u8>)> =
            sqlx::query_as("select trigger_id, record from trigger_states").fetch_all(connection).await?;
        let mut triggers = TriggerStates::new();
        for (id, record) in states {
            triggers.insert(TriggerId(id.cast_unsigned()), Arc::new(decode(&record)?));
        }
        let mut known = self.known()?;
        if of >= known.triggers_of {
            (known.triggers, known.triggers_of) = (triggers, of);
        }
        Ok(())
    }

    async fn read_firsts(&self, connection: &mut PgConnection, names: &[Arc<str>]) -> Result<bool, Trouble> {
        if names.is_empty() {
            return Ok(false);
        }
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let firsts = counts::firsts(connection, &names).await?;
        Ok(self.known()?.lanes.note_firsts(firsts))
    }

    /// Demands of access are few: so they are counted anew whenever there may be others.
    pub async fn read_demands(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let open = counts::open_demands(connection, MOST_DEMANDS).await?;
        self.known()?.open_demands = open;
        Ok(())
    }

    /// Reads anew what waits for a time in lanes where this has changed.
    pub async fn refresh_waits(&self, pool: &PgPool, lanes: &[Arc<str>]) -> Result<(), StoreError> {
        if lanes.is_empty() {
            return Ok(());
        }
        read!(pool, |connection| self.read_firsts(connection, lanes)).map(drop)
    }

    /// Where the engine is after a write of ours, and what it changed.
    pub fn stepped(
        &self,
        engine: EngineRow,
        triggers: Option<TriggerStates>,
        oldest: Option<(u64, Timestamp)>,
        next_timer: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let mut known = self.known()?;
        let journaled = known.journaled;
        if known.triggers_of == engine.version - 1 {
            known.triggers_of = engine.version;
        }
        if let Some(changed) = triggers {
            known.triggers.extend(changed);
        }
        known.note(journaled, engine, oldest, next_timer);
        Ok(())
    }

    /// The engine's row alone was written.
    pub fn recorded(&self, engine: EngineRow) -> Result<(), StoreError> {
        let mut known = self.known()?;
        let (oldest, next_timer) = (known.oldest, known.next_timer);
        if known.triggers_of == engine.version - 1 {
            known.triggers_of = engine.version;
        }
        let journaled = known.journaled;
        known.note(journaled, engine, oldest, next_timer);
        Ok(())
    }

    /// Events were appended: the first of them, when it arrived, and the last.
    pub fn appended(&self, first: u64, arrived: Timestamp, last: u64) {
        if let Ok(mut known) = self.known() {
            known.journaled = known.journaled.max(last);
            if known.engine.decided.0 + 1 == first {
                known.oldest = Some((first, arrived));
            }
        }
        self.tell();
    }

    /// Counts of lanes were written.
    pub fn counted(&self, written: Written) -> Result<(), StoreError> {
        self.known()?.lanes.note(written.counts, written.triggers);
        Ok(())
    }

    /// A total was written.
    pub fn total_written(&self, name: &str, version: i64, value: u64) -> Result<(), StoreError> {
        self.known()?.note_total(name, version, value);
        Ok(())
    }

    /// The engine's row.
    pub fn engine(&self) -> Result<EngineRow, StoreError> {
        Ok(self.known()?.engine.clone())
    }

    /// Events accepted and not yet decided, and the newest.
    pub fn backlog(&self) -> Result<(u64, Position), StoreError> {
        let known = self.known()?;
        Ok((known.journaled.saturating_sub(known.engine.decided.0), Position(known.journaled)))
    }

    /// Where the engine is.
    pub fn progress(&self) -> Result<Progress, StoreError> {
        let known = self.known()?;
        Ok(Progress { program: known.engine.program.clone(), adopted: known.engine.adopted })
    }

    /// States of triggers.
    pub fn triggers(&self) -> Result<TriggerStates, StoreError> {
        Ok(self.known()?.triggers.clone())
    }

    /// When the first row of a lane that waits for a time is due.
    pub fn next(&self, lane: &str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.known()?.lanes.next(lane))
    }

    /// A lane, counted.
    pub fn lane(&self, lane: &str) -> Result<LaneCount, StoreError> {
        Ok(self.known()?.lanes.count(lane))
    }

    /// Names of lanes that were ever used.
    pub fn lanes(&self) -> Result<Vec<Arc<str>>, StoreError> {
        Ok(self.known()?.lanes.names())
    }

    /// A total: its version and its value.
    pub fn total(&self, name: &str) -> Result<(i64, u64), StoreError> {
        Ok(self.known()?.totals.get(name).copied().unwrap_or_default())
    }

    /// Who shares the tables.
    pub fn members(&self) -> Result<Arc<Members>, StoreError> {
        Ok(self.known()?.members.clone())
    }

    /// Open demands of access.
    pub fn open_demands(&self) -> Result<u64, StoreError> {
        Ok(self.known()?.open_demands)
    }

    /// The whole store, counted.
    pub fn counts(&self) -> Result<Counts, StoreError> {
        let known = self.known()?;
        let decided = known.engine.decided;
        let oldest = known.oldest.filter(|(position, _)| *position == decided.0 + 1);
        Ok(Counts {
            upkeep: 0,
            journaled: Position(known.journaled.max(decided.0)),
            decided,
            oldest_undecided: oldest.map(|(_, arrived)| arrived).filter(|_| known.journaled > decided.0),
            people: known.engine.people,
            next_timer: known.next_timer,
            set_aside: known.totals.get(SET_ASIDE).map_or(0, |(_, n)| *n),
            journal_bytes: 0,
            step: known.engine.step,
        })
    }
}

impl Known {
    /// Takes in what is newer; true where something is.
    fn note(
        &mut self,
        journaled: u64,
        engine: EngineRow,
        oldest: Option<(u64, Timestamp)>,
        next_timer: Option<Timestamp>,
    ) -> bool {
        let mut is_news = journaled > self.journaled;
        self.journaled = self.journaled.max(journaled);
        if engine.version >= self.engine.version {
            is_news |= engine.version > self.engine.version || next_timer != self.next_timer;
            // An event that was appended meanwhile stays the first.
            let is_known = |(position, _): &(u64, Timestamp)| *position == engine.decided.0 + 1;
            self.oldest = oldest.or_else(|| self.oldest.filter(is_known));
            (self.engine, self.next_timer) = (engine, next_timer);
        }
        is_news
    }

    fn is_behind_on_triggers(&self) -> bool {
        self.triggers_of != self.engine.version || self.engine.version == 0
    }

    fn note_total(&mut self, name: &str, version: i64, value: u64) {
        let known = self.totals.entry(name.to_owned()).or_default();
        if version >= known.0 {
            *known = (version, value);
        }
    }
}
