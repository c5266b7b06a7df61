//! What payloads are made with beside the person: the catalogue and the pools of codes. All of it is in memory.
//!
//! What is put there lies in the journal first, in records of its own, in one order. A code that is given is noted there
//! before the step that gives it is committed: should the step be taken again, by whatever triggers, the occasion gets
//! the same code, and no other does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::overlay::Batch;
use super::state::State;
use super::tree::{Disk, put};
use super::{Inner, keys, timed};
use crate::model::codes::CodePool;
use crate::model::{Catalogue, Codes, GivenCode, OccasionId};
use crate::store::record::{Noted, decode, encode};
use crate::store::{PoolCount, StoreError};

/// Codes that lie in one value of the tree, and in one record of the journal.
pub const BLOCK: usize = 1_000;
/// So many codes that are given are kept in memory before they go.
const GONE: u64 = 10_000;

/// What is in memory.
#[derive(Default)]
pub struct Shelf {
    pub catalogue: Arc<Catalogue>,
    pools: BTreeMap<Arc<str>, CodePool>,
    /// Given by the journal, to occasions whose step is not in the tree.
    known: Arc<HashMap<OccasionId, GivenCode>>,
}

/// What the tree says of a pool.
#[derive(Serialize, Deserialize)]
pub struct StoredPool {
    pub name: Arc<str>,
    /// Codes that were ever put into it.
    pub added: u64,
    /// Place of the next one.
    pub next: u64,
}

impl Shelf {
    /// From the tree.
    pub fn load(disk: &Disk) -> Result<Self, StoreError> {
        let mut catalogue = Catalogue::default();
        for entry in disk.prefix(&[keys::ITEM]).whole() {
            catalogue.put(decode(&entry?.1)?);
        }
        let mut pools = BTreeMap::new();
        for entry in disk.prefix(&[keys::POOL]).whole() {
            let StoredPool { name, added, next } = decode(&entry?.1)?;
            let mut pool = CodePool { codes: Arc::default(), first: next, next };
            let mut codes: Vec<Box<str>> = Vec::new();
            for entry in disk.prefix(&keys::codes(&name)).whole() {
                let (key, value) = entry?;
                let first = keys::read_seq(&key).unwrap_or_default();
                let block: Vec<Box<str>> = decode(&value)?;
                let gone = next.saturating_sub(first);
                codes.extend(block.into_iter().skip(usize::try_from(gone).unwrap_or(usize::MAX)));
            }
            if added.saturating_sub(next) != codes.len() as u64 {
                return Err(StoreError::Damaged(format!("the pool of codes `{name}` is not whole")));
            }
            pool.codes = Arc::new(codes);
            pools.insert(name, pool);
        }
        let mut known = HashMap::new();
        for entry in disk.prefix(&[keys::GIVEN]).whole() {
            let (_, given): (_, GivenCode) = timed::decode(&entry?.1)?;
            known.insert(given.occasion, given);
        }
        Ok(Self { catalogue: Arc::new(catalogue), pools, known: Arc::new(known) })
    }

    /// For a step.
    pub fn lend(&self) -> (Arc<Catalogue>, Codes) {
        (self.catalogue.clone(), Codes { pools: self.pools.clone(), known: self.known.clone(), made_up: None })
    }

    /// Those whose occasion has no code by the journal.
    pub fn new_among(&self, given: &[GivenCode]) -> Vec<GivenCode> {
        given.iter().filter(|given| !self.known.contains_key(&given.occasion)).cloned().collect()
    }

    /// The journal has them; their step is not yet in the tree.
    pub fn note_given(&mut self, given: Vec<GivenCode>) {
        for given in &given {
            self.move_on(given);
        }
        Arc::make_mut(&mut self.known).extend(given.into_iter().map(|given| (given.occasion, given)));
    }

    /// Their step is in the tree.
    pub fn committed(&mut self, given: &[GivenCode]) {
        let known = Arc::make_mut(&mut self.known);
        for given in given {
            known.remove(&given.occasion);
        }
        for given in given {
            self.move_on(given);
        }
    }

    /// No other occasion gets this code.
    fn move_on(&mut self, given: &GivenCode) {
        let pool = self.pools.entry(given.pool.clone()).or_default();
        pool.next = pool.next.max(given.place + 1);
        if pool.codes.is_empty() {
            pool.first = pool.next;
        }
        let gone = pool.next.saturating_sub(pool.first);
        if gone > GONE && gone * 2 > pool.codes.len() as u64 {
            let gone = usize::try_from(gone).unwrap_or(usize::MAX).min(pool.codes.len());
            Arc::make_mut(&mut pool.codes).drain(..gone);
            pool.first += gone as u64;
        }
    }

    /// Codes come to the end of a pool, from this place on.
    fn add(&mut self, name: &Arc<str>, first: u64, codes: &[Box<str>]) {
        let pool = self.pools.entry(name.clone()).or_default();
        if pool.codes.is_empty() {
            pool.first = first;
        }
        Arc::make_mut(&mut pool.codes).extend(codes.iter().cloned());
    }

    /// Where the next code of the pool would lie.
    pub fn end(&self, name: &str) -> u64 {
        self.pools.get(name).map_or(0, |pool| pool.first + pool.codes.len() as u64)
    }

    /// Every pool, counted.
    pub fn count(&self) -> Vec<PoolCount> {
        self.pools.iter().map(PoolCount::of).collect()
    }

    fn stored(&self, name: &Arc<str>) -> StoredPool {
        let next = self.pools.get(name).map_or(0, |pool| pool.next);
        StoredPool { name: name.clone(), added: self.end(name), next }
    }
}

/// Every code that was ever put into a pool.
pub fn all_codes(inner: &Inner) -> Result<HashSet<Box<str>>, StoreError> {
    let mut all = HashSet::new();
    for entry in inner.disk()?.prefix(&[keys::CODES]).whole() {
        all.extend(decode::<Vec<Box<str>>>(&entry?.1)?);
    }
    Ok(all)
}

/// Brings a record of the journal into the tree; the same one again changes nothing.
pub fn apply(inner: &Inner, ordinal: u64, noted: &Noted) -> Result<(), StoreError> {
    let mut guard = inner.state()?;
    if guard.applied.has(ordinal) {
        return Ok(());
    }
    let mut state = guard.clone();
    let mut batch = Batch::default();
    let mut shelf = inner.shelf()?;
    match noted {
        Noted::Settled(_) => return Ok(()),
        Noted::Catalogue(items) => {
            for item in items {
                put(&mut batch, keys::item(&item.id), &encode(item));
            }
        }
        Noted::CodesAdded { pool, first, codes } => {
            if shelf.end(pool) == *first {
                put(&mut batch, keys::block(pool, *first), &encode(codes));
                let next = shelf.stored(pool).next;
                let stored = StoredPool { name: pool.clone(), added: first + codes.len() as u64, next };
                put(&mut batch, keys::pool(pool), &encode(&stored));
            }
        }
        Noted::CodesGiven(given) => {
            shelf.note_given(given.clone());
            // A state that is made again has come to no time yet: they age from when that began.
            let at = state.reached.max(state.doubtful_until);
            for given in given {
                put(&mut batch, keys::given(given.occasion), &timed::encode(at, given));
                put(&mut batch, keys::pool(&given.pool), &encode(&shelf.stored(&given.pool)));
            }
        }
    }
    state.applied.note(ordinal);
    put(&mut batch, keys::STATE.to_vec(), &encode(&state));
    inner.sinking.note(inner.disk()?.apply(batch)?);
    match noted {
        Noted::Catalogue(items) => {
            let catalogue = Arc::make_mut(&mut shelf.catalogue);
            for item in items {
                catalogue.put(item.clone());
            }
        }
        Noted::CodesAdded { pool, first, codes } if shelf.end(pool) == *first => shelf.add(pool, *first, codes),
        _ => {}
    }
    inner.publish(&mut guard, state);
    Ok(())
}

/// The part of a step that concerns codes: `noted` is their record in the journal, where this step wrote one.
pub fn commit(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    given: &[GivenCode],
    noted: Option<u64>,
) -> Result<(), StoreError> {
    if given.is_empty() {
        return Ok(());
    }
    let shelf = inner.shelf()?;
    for given in given {
        batch.remove(keys::given(given.occasion));
        let mut stored = shelf.stored(&given.pool);
        stored.next = stored.next.max(given.place + 1);
        put(batch, keys::pool(&given.pool), &encode(&stored));
    }
    noted.into_iter().for_each(|ordinal| state.applied.note(ordinal));
    Ok(())
}

impl Inner {
    /// Writes a record down, to be brought into the tree by who calls, who holds the order of records.
    pub async fn note(&self, noted: &Noted) -> Result<u64, StoreError> {
        let written = self.journal_append(super::frame::Kind::Settled, encode(noted), Vec::new(), true).await;
        written.map_err(StoreError::Unavailable)
    }
}
