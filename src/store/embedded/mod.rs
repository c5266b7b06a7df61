//! The store of one machine: an append-only journal in front of sled.
//!
//! The journal (`segments`, `frame`, `committer`) is the record of what was accepted and of each outcome settled at a
//! vendor, and of each step of the engine. sled holds what follows from it, in ONE tree with a prefix byte (`keys`), so that one batch is atomic; it can
//! be made again from the journal. One process at a time.

mod accepted;
mod anew;
pub mod backup;
mod came;
mod claim;
mod commit;
mod committer;
pub mod copy;
mod delivery;
mod durable;
mod frame;
mod held;
mod inner;
mod keys;
mod listing;
mod mend;
mod migrate;
mod names;
mod open;
mod outbox;
mod overlay;
mod people;
mod queue;
mod register;
mod restore;
mod rush;
mod scan;
mod scrub;
mod seen;
mod segments;
mod shelf;
mod sinking;
mod snapshot;
mod state;
mod steps;
mod sweep;
#[cfg(test)]
mod tests;
mod timed;
mod transfer;
mod tree;
mod turns;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::model::{
    Access, Activation, Catalogue, CatalogueItem, Changes, Codes, DedupeKey, Event, Identifier, Join, LaneName, Loaded,
    OccasionId, Person, PersonId, Position, Priority, StepId, Timestamp, TriggerId, TriggerStates,
};

use super::audit::{Asked, Audited};
use super::news::news;
use super::settings::Settings;
use super::{
    Accepted, Added, AppendError, BackedUp, Came, Claim, Counts, DeadLetter, Due, Duty, End, LaneCount, Listed,
    Members, PoolCount, Progress, Raised, Receipt, Record, Recorded, Said, SetAside, Settled, Sought, Step, Stocked,
    Store, StoreError, Story, Work, WorkId, record,
};
use frame::Kind;
use inner::{Inner, Journal, poisoned};
use record::Noted;

pub use open::{Verified, rebuild, verify, verify_backup};
pub use restore::restore;
pub use sinking::give_way;
pub use transfer::{Counted, export, export_backup, import};

/// Messages set aside at most; the oldest go first.
const MOST_ASIDE: u64 = 10_000;

/// The embedded store. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Embedded {
    inner: Arc<Inner>,
}

/// Waits until nothing is read ahead: whoever is loaded from now on must not be put into the cache by it.
async fn finish(ahead: &mut Option<JoinHandle<()>>) {
    if let Some(reading) = ahead.take() {
        // A panic there is one of the claim as well.
        let _ = reading.await;
    }
}

impl Embedded {
    /// Opens the store in `settings.path`, making it when it is missing.
    ///
    /// A sled that does not open, or has fallen behind what the journal can still replay, is put aside and made again:
    /// see [`rebuild`]. [`StoreError::Damaged`] means that the journal itself is broken.
    /// `now` is when: should the state be made again, whatever became due before may have left.
    pub fn open(settings: &Settings, now: Timestamp) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::new(open::open(settings, now)?) })
    }

    /// Runs one blocking step beside the runtime's workers.
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        let stepped = tokio::task::spawn_blocking(move || {
            if inner.disk().is_err() {
                mend::mend(&inner)?;
            }
            let result = {
                let _pass = inner.mending.read().map_err(|_| poisoned())?;
                step(&inner)
            };
            if matches!(result, Err(StoreError::Unavailable(_))) {
                // The step itself is repeated by its caller; should this not succeed, the next one tries again.
                let _ = mend::mend(&inner);
            }
            result
        });
        stepped.await.map_err(|_| poisoned())?
    }

    /// The same for the register, which has nothing to do with sled.
    async fn registered<T: Send + 'static>(
        &self,
        step: impl FnOnce(&register::Register) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let register = self.inner.register.clone();
        tokio::task::spawn_blocking(move || step(&register)).await.map_err(|_| poisoned())?
    }

    /// Writes a record of the shelf down and brings it into the tree. Whoever calls holds the order of records.
    async fn shelve(&self, noted: Noted) -> Result<(), StoreError> {
        let ordinal = self.inner.note(&noted).await?;
        self.step(move |inner| {
            shelf::apply(inner, ordinal, &noted)?;
            inner.disk()?.sync()
        })
        .await
    }

    /// Bytes of sled on disk.
    pub fn state_bytes(&self) -> u64 {
        self.inner.disk().map_or(0, |disk| disk.size())
    }
}

#[async_trait]
impl Store for Embedded {
    async fn append(&self, events: Vec<Event>, cursor: Option<(&str, &[u8])>) -> Result<Position, AppendError> {
        let unavailable = |e: StoreError| AppendError::Unavailable(e.to_string());
        let mark = self.inner.settings.backlog;
        let decided = self.inner.decided.load(Ordering::Acquire);
        self.inner.requests.fetch_add(1, Ordering::Relaxed);
        let backlog = self.inner.journal.0.journaled.load(Ordering::Acquire).saturating_sub(decided);
        if backlog >= mark {
            return Err(AppendError::Full { backlog, mark });
        }
        if events.is_empty() && cursor.is_none() {
            return Ok(Position(decided + backlog));
        }
        let cursor = cursor.map(|(name, value)| (name.to_owned(), value.to_vec()));
        let payload = record::encode(&record::EventBatch { cursor: cursor.clone(), events: events.iter().collect() });
        let position = if events.is_empty() {
            Position(decided + backlog)
        } else {
            let written = self.inner.journal_append(Kind::Events, payload, events, true).await;
            Position(written.map_err(AppendError::Unavailable)?)
        };
        if let Some((name, value)) = cursor {
            // The events are kept, and with them the cursor: where the tree loses it with a crash, it is read from there.
            let alone = position.0 == decided + backlog;
            let value = record::encode(&record::Cursor { at: position, value });
            let kept = self.step(move |inner| scan::keep(inner, keys::CURSOR, &name, &value, alone)).await;
            kept.map_err(unavailable)?;
        }
        Ok(position)
    }

    async fn append_for(
        &self,
        _: &Duty,
        events: Vec<Event>,
        cursor: Option<(&str, &[u8])>,
    ) -> Result<Position, AppendError> {
        self.append(events, cursor).await
    }

    async fn cursor(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let kept = self.inner.disk()?.get(&keys::named(keys::CURSOR, name))?;
        kept.map(|bytes| Ok(record::decode::<record::Cursor>(&bytes)?.value)).transpose()
    }

    async fn known(&self, keys: Vec<DedupeKey>) -> Result<HashSet<DedupeKey>, StoreError> {
        self.step(move |inner| {
            let seen = {
                // Held: a step that ends in between would be missing from what is opened.
                let state = inner.state()?;
                let mut seen = inner.seen()?;
                seen.open(state.decided.0)?;
                seen
            };
            let mut known = HashSet::new();
            for key in keys {
                if seen.has(&key)? {
                    known.insert(key);
                }
            }
            Ok(known)
        })
        .await
    }

    fn changed(&self) -> watch::Receiver<u64> {
        self.inner.changed.subscribe()
    }

    async fn set_aside(&self, messages: Vec<SetAside>) -> Result<(), StoreError> {
        self.step(move |inner| scan::set_aside(inner, &messages)).await
    }

    async fn recorded(&self) -> Result<Option<Recorded>, StoreError> {
        match steps::known(&self.inner)? {
            Some(known) => Ok(known),
            None => self.step(steps::read).await,
        }
    }

    async fn record(&self, step: Step) -> Result<StepId, StoreError> {
        steps::record(&self.inner, step).await
    }

    fn progress(&self) -> Result<Progress, StoreError> {
        steps::progress(&self.inner)
    }

    async fn claim_until(&self, until: Position) -> Result<Claim, StoreError> {
        finish(&mut *self.inner.ahead.lock().await).await;
        self.step(move |inner| claim::claim_until(inner, until)).await
    }

    async fn claim(&self, max: usize) -> Result<Claim, StoreError> {
        self.inner.rush.lock().await.pass(&self.inner.requests).await;
        let mut ahead = self.inner.ahead.lock().await;
        finish(&mut ahead).await;
        let claim = self.step(move |inner| claim::claim(inner, max)).await?;
        let inner = self.inner.clone();
        *ahead = Some(tokio::task::spawn_blocking(move || {
            let Ok(_pass) = inner.mending.read() else { return };
            // What it could not read, the claim itself will meet.
            if let Err(error) = claim::ahead(&inner, max) {
                tracing::debug!(reason = %error, "nothing is read ahead");
            }
        }));
        Ok(claim)
    }

    async fn due(&self, until: Timestamp, max: usize) -> Result<Due, StoreError> {
        finish(&mut *self.inner.ahead.lock().await).await;
        self.step(move |inner| claim::due(inner, until, max)).await
    }

    fn triggers(&self) -> TriggerStates {
        self.inner.told.load().triggers.clone()
    }

    async fn held(&self, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, StoreError> {
        self.step(move |inner| held::list(inner, trigger, max)).await
    }

    async fn load(&self, people: Vec<PersonId>) -> Result<Loaded, StoreError> {
        finish(&mut *self.inner.ahead.lock().await).await;
        self.step(move |inner| claim::people(inner, &people)).await
    }

    async fn commit(&self, loaded: Loaded, changes: Changes) -> Result<(), StoreError> {
        if changes.codes.is_empty() {
            return self.step(move |inner| commit::commit(inner, loaded, changes, None)).await;
        }
        let _order = self.inner.noted.lock().await;
        let new = self.inner.shelf()?.new_among(&changes.codes);
        if new.is_empty() {
            return self.step(move |inner| commit::commit(inner, loaded, changes, None)).await;
        }
        // On disk before anything follows from it: whoever has a code keeps it, and nobody else gets it.
        let given = Noted::CodesGiven(new.clone());
        let ordinal = self.inner.note(&given).await?;
        self.inner.shelf()?.note_given(new);
        self.step(move |inner| {
            let done = commit::commit(inner, loaded, changes, Some(ordinal));
            if done.is_err() {
                // Given they are, though the step is yet to be taken.
                shelf::apply(inner, ordinal, &given)?;
            }
            done
        })
        .await
    }

    async fn work(&self, lane: &str, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError> {
        if steps::is_replay(&self.inner)? {
            return Ok(Vec::new());
        }
        let lane: LaneName = lane.into();
        self.step(move |inner| delivery::work(inner, &lane, now, max)).await
    }

    fn term(&self, _: &str) -> Option<u64> {
        // Nobody else ever sends.
        Some(0)
    }

    async fn begin(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
        let (lane, ids): (LaneName, _) = (lane.into(), ids.to_vec());
        self.step(move |inner| delivery::begin(inner, &lane, &ids)).await
    }

    async fn settle(&self, lane: &str, settled: Vec<Settled>) -> Result<(), StoreError> {
        let lane: LaneName = lane.into();
        let batch = delivery::record(&self.inner, &lane, &settled)?;
        if batch.items.is_empty() {
            return Ok(());
        }
        let batch = Noted::Settled(batch);
        let payload = record::encode(&batch);
        let Noted::Settled(batch) = batch else { return Ok(()) };
        let written = self.inner.journal_append(Kind::Settled, payload, Vec::new(), true).await;
        let ordinal = written.map_err(StoreError::Unavailable)?;
        // The journal has it: the tree follows without waiting for the disk, and is made to agree at the next opening.
        self.step(move |inner| delivery::apply(inner, ordinal, &batch)).await?;
        self.inner.changed.send_modify(|n| *n += 1);
        Ok(())
    }

    async fn release(&self, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
        delivery::release(&self.inner, &lane.into(), ids)
    }

    async fn accepted(&self, lane: &str, span: (Timestamp, Timestamp), max: usize) -> Result<Accepted, StoreError> {
        let lane = lane.to_owned();
        self.step(move |inner| accepted::accepted(inner, &lane, span, max)).await
    }

    async fn ended(&self, id: WorkId) -> Result<Option<Record>, StoreError> {
        self.step(move |inner| {
            let ended = delivery::ended(inner, id.0)?;
            Ok(ended.map(|(_, (attempts, activation))| Record { activation, attempts, is_queued: false }))
        })
        .await
    }

    async fn ends(&self, sought: &Sought, max: usize) -> Result<Listed<End>, StoreError> {
        let sought = sought.clone();
        self.step(move |inner| listing::ends(inner, &sought, max)).await
    }

    async fn waiting(
        &self,
        lane: &str,
        from: Option<(Priority, WorkId)>,
        max: usize,
    ) -> Result<Vec<(WorkId, Record)>, StoreError> {
        let lane = lane.to_owned();
        self.step(move |inner| listing::waiting(inner, &lane, from, max)).await
    }

    async fn resend(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
        self.step(move |inner| delivery::resend(inner, id, expires_at)).await
    }

    async fn dead_letters(&self, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
        let lane = lane.map(str::to_owned);
        self.step(move |inner| delivery::dead_letters(inner, lane.as_deref(), max)).await
    }

    async fn letters(&self, sought: &Sought, max: usize) -> Result<Listed<DeadLetter>, StoreError> {
        let sought = sought.clone();
        self.step(move |inner| listing::letters(inner, &sought, max)).await
    }

    async fn dead_letter(&self, id: WorkId) -> Result<Option<DeadLetter>, StoreError> {
        self.step(move |inner| delivery::dead_letter(inner, id)).await
    }

    async fn replay(&self, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
        self.step(move |inner| delivery::raise(inner, id, Some(expires_at))).await
    }

    async fn drop_dead(&self, id: WorkId) -> Result<bool, StoreError> {
        Ok(self.step(move |inner| delivery::raise(inner, id, None)).await? == Raised::Done)
    }

    async fn put_items(&self, items: Vec<CatalogueItem>) -> Result<Stocked, StoreError> {
        let _order = self.inner.noted.lock().await;
        let (items, stocked) = news(&self.inner.shelf()?.catalogue, items, self.inner.settings.catalogue);
        if !items.is_empty() {
            self.shelve(Noted::Catalogue(items)).await?;
        }
        Ok(stocked)
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        self.inner.shelf().map(|shelf| shelf.catalogue.clone()).unwrap_or_default()
    }

    async fn add_codes(&self, pool: &str, codes: Vec<Box<str>>) -> Result<Added, StoreError> {
        let _order = self.inner.noted.lock().await;
        let mut all = self.step(shelf::all_codes).await?;
        let mut added = Added::default();
        let mut new = Vec::new();
        for code in codes {
            if all.contains(&code) {
                added.known += 1;
            } else if all.len() as u64 >= self.inner.settings.codes {
                added.too_many += 1;
            } else {
                all.insert(code.clone());
                new.push(code);
            }
        }
        for block in new.chunks(shelf::BLOCK) {
            let first = self.inner.shelf()?.end(pool);
            self.shelve(Noted::CodesAdded { pool: pool.into(), first, codes: block.to_vec() }).await?;
            added.new += block.len() as u64;
        }
        Ok(added)
    }

    fn pools(&self) -> Vec<PoolCount> {
        self.inner.shelf().map(|shelf| shelf.count()).unwrap_or_default()
    }

    fn codes(&self) -> Codes {
        self.inner.shelf().map(|shelf| shelf.lend().1).unwrap_or_default()
    }

    async fn came(&self, source: Option<&str>, before: Option<Position>, max: usize) -> Result<Came, StoreError> {
        let source = source.map(str::to_owned);
        self.step(move |inner| came::came(inner, source.as_deref(), before, max)).await
    }

    async fn find(&self, identifier: &Identifier) -> Result<Option<PersonId>, StoreError> {
        scan::find(&self.inner, identifier)
    }

    async fn story(&self, id: PersonId) -> Result<Option<Story>, StoreError> {
        self.step(move |inner| scan::story(inner, id)).await
    }

    async fn people(&self, after: Option<PersonId>, max: usize) -> Result<Vec<Person>, StoreError> {
        self.step(move |inner| scan::people(inner, after, max)).await
    }

    async fn refused_joins(&self, max: usize) -> Result<Vec<Join>, StoreError> {
        self.step(move |inner| scan::refused_joins(inner, max)).await
    }

    async fn accesses(&self, max: usize) -> Result<Vec<Access>, StoreError> {
        self.step(move |inner| scan::accesses(inner, max)).await
    }

    fn open_demands(&self) -> u64 {
        scan::open_demands(&self.inner).unwrap_or_default()
    }

    async fn answer(&self, id: OccasionId, now: Timestamp) -> Result<bool, StoreError> {
        self.step(move |inner| scan::answer(inner, id, now)).await
    }

    async fn receipts(&self, max: usize) -> Result<Vec<Receipt>, StoreError> {
        self.step(move |inner| scan::receipts(inner, max)).await
    }

    async fn access(&self) -> Result<(u64, Option<Vec<u8>>), StoreError> {
        self.registered(register::Register::access).await
    }

    async fn put_access(&self, version: u64, value: &[u8]) -> Result<bool, StoreError> {
        let value = value.to_vec();
        self.registered(move |register| register.put_access(version, &value)).await
    }

    async fn audit(&self, asked: Asked) -> Result<u64, StoreError> {
        self.registered(move |register| register.ask(asked)).await
    }

    async fn audited(&self, id: u64, status: u16, note: &str) -> Result<(), StoreError> {
        let note = note.to_owned();
        self.registered(move |register| register.ended(id, status, &note)).await
    }

    async fn audit_log(&self, before: Option<u64>, max: usize) -> Result<Vec<Audited>, StoreError> {
        self.registered(move |register| register.list(before, max)).await
    }

    async fn set_aside_list(&self, max: usize) -> Result<Vec<SetAside>, StoreError> {
        self.step(move |inner| scan::set_aside_list(inner, max)).await
    }

    fn counts(&self) -> Counts {
        scan::counts(&self.inner).unwrap_or_default()
    }

    fn lane_count(&self, lane: &str) -> LaneCount {
        let mut count = scan::lane_count(&self.inner, lane).unwrap_or_default();
        if steps::is_replay(&self.inner).unwrap_or(true) {
            // No time makes one ready while none is given out.
            count.next = None;
        }
        count
    }

    async fn keep(&self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_vec());
        self.step(move |inner| scan::keep(inner, keys::KEPT, &name, &value, true)).await
    }

    async fn keep_for(&self, _: &Duty, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.keep(name, value).await
    }

    async fn kept(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.inner.disk()?.get(&keys::named(keys::KEPT, name))
    }

    /// Nobody else shares this store.
    async fn duty(&self, name: &str) -> Result<Option<Duty>, StoreError> {
        Ok(Some(Duty::always(name)))
    }

    async fn say(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        Ok(())
    }

    async fn heard(&self, _: &str) -> Result<Vec<Said>, StoreError> {
        Ok(Vec::new())
    }

    fn members(&self) -> Option<Arc<Members>> {
        None
    }

    fn introduce(&self, _: &str) {}

    /// What its disk refuses, each step says.
    fn away(&self) -> Option<String> {
        None
    }

    fn time(&self) -> Option<Timestamp> {
        None
    }

    /// Writes a snapshot of the state and removes the journal that it covers and that is old enough.
    async fn compact(&self, now: Timestamp) -> Result<Position, StoreError> {
        let alone = self.inner.keeping.clone().lock_owned().await;
        self.step(move |inner| {
            let _alone = alone;
            inner.disk()?.sync()?;
            let ((position, ..), _) = snapshot::write(inner)?;
            snapshot::prune(inner, now)?;
            scrub::scrub(inner, now)?;
            Ok(Position(position))
        })
        .await
    }

    async fn back_up(&self, folder: &Path, now: Timestamp) -> Result<BackedUp, StoreError> {
        let alone = self.inner.keeping.clone().lock_owned().await;
        let (inner, folder) = (self.inner.clone(), folder.to_owned());
        let made = tokio::task::spawn_blocking(move || {
            let _alone = alone;
            backup::take(&inner, &folder, now)
        });
        let made = made.await.map_err(|_| poisoned())??;
        Ok(BackedUp { position: made.position, size_bytes: made.bytes() })
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.step(|inner| {
            inner.journal.0.close();
            inner.sinking.end();
            inner.disk()?.sync()
        })
        .await
    }
}
