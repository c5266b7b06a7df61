//! What the engine is given: the next events with the people they touch. People whom it has had before are in memory,
//! for as long as the engine's lease is ours.

use std::collections::{HashMap, HashSet};

use sqlx::PgPool;
use uuid::Uuid;

use super::again::{Trouble, read};
use super::{Inner, journal, people};
use crate::model::{DedupeKey, Event, Identifier, Loaded, Person, PersonId, Position, Timestamp};
use crate::store::cache::Cache;
use crate::store::{Claim, Due, StoreError};

/// Events read at once.
const READ: usize = 4_000;

/// People in memory.
pub struct Memory {
    /// The lease for which all this is true.
    pub epoch: i64,
    /// A step failed: what there is in the database may not be what we think.
    pub is_doubted: bool,
    pub cache: Cache<()>,
    /// Those in the engine's hands who are in the database.
    pub lent: HashSet<PersonId>,
}

impl Memory {
    pub fn new(most: u64) -> Self {
        Self { epoch: 0, is_doubted: false, cache: Cache::new(most), lent: HashSet::new() }
    }
}

pub async fn claim(inner: &Inner, max: usize) -> Result<Claim, StoreError> {
    let decided = inner.mirror.engine()?.decided;
    let events = read!(&inner.pool, |connection| journal::after(connection, decided, None, max))?;
    with_people(inner, events).await
}

/// All of them, however many portions they are read in.
pub async fn claim_until(inner: &Inner, until: Position) -> Result<Claim, StoreError> {
    let mut last = inner.mirror.engine()?.decided;
    let mut events = Vec::new();
    while last < until {
        let some = read!(&inner.pool, |connection| journal::after(connection, last, Some(until), READ))?;
        let Some((position, _)) = some.last() else {
            return Err(StoreError::Damaged(format!("the journal has no event {}", last.0 + 1)));
        };
        last = *position;
        events.extend(some);
    }
    with_people(inner, events).await
}

async fn with_people(inner: &Inner, events: Vec<(Position, Event)>) -> Result<Claim, StoreError> {
    let mut loaded = empty(inner)?;
    if events.is_empty() {
        return Ok(Claim { events, loaded });
    }
    let names: HashSet<&Identifier> = events.iter().flat_map(|(_, event)| &event.identifiers).collect();
    let names: Vec<&Identifier> = names.into_iter().collect();
    let keys: Vec<DedupeKey> = events.iter().flat_map(|(_, event)| event.dedupe.iter().copied()).collect();
    loaded.owners = read!(&inner.pool, |connection| people::owners(connection, &names))?;
    loaded.seen = known(&inner.pool, &keys).await?;
    let ids: HashSet<PersonId> = loaded.owners.values().copied().collect();
    load(inner, &mut loaded, ids.into_iter().collect()).await?;
    // Whoever is loaded brings all their names: a merge moves them.
    let names: Vec<_> = loaded.people.values().flat_map(|p| p.identifiers.iter().map(|i| (i.clone(), p.id))).collect();
    loaded.owners.extend(names);
    Ok(Claim { events, loaded })
}

/// Which of these message keys a decided event had.
pub async fn known(pool: &PgPool, keys: &[DedupeKey]) -> Result<HashSet<DedupeKey>, StoreError> {
    if keys.is_empty() {
        return Ok(HashSet::new());
    }
    let keys: Vec<Uuid> = keys.iter().copied().map(Uuid::from_bytes).collect();
    let found = read!(pool, |connection| async {
        let sql = "select key from dedupe where key = any($1)";
        let found: Vec<(Uuid,)> = sqlx::query_as(sql).bind(&keys).fetch_all(connection).await?;
        Ok::<_, Trouble>(found)
    })?;
    Ok(found.into_iter().map(|(key,)| key.into_bytes()).collect())
}

pub async fn due(inner: &Inner, until: Timestamp, max: usize) -> Result<Due, StoreError> {
    let ids = read!(&inner.pool, |connection| people::due(connection, until.as_millis(), max))?;
    let mut loaded = empty(inner)?;
    load(inner, &mut loaded, ids.clone()).await?;
    let people = ids.into_iter().filter(|id| loaded.people.contains_key(id)).collect();
    Ok(Due { people, loaded })
}

/// These people.
pub async fn these(inner: &Inner, ids: Vec<PersonId>) -> Result<Loaded, StoreError> {
    let mut loaded = empty(inner)?;
    load(inner, &mut loaded, ids).await?;
    Ok(loaded)
}

/// What every step is lent.
fn empty(inner: &Inner) -> Result<Loaded, StoreError> {
    let (catalogue, codes) = inner.shelf()?.lend();
    Ok(Loaded { triggers: inner.mirror.triggers()?, catalogue, codes, ..Loaded::default() })
}

/// From memory, else from the database.
async fn load(inner: &Inner, loaded: &mut Loaded, ids: Vec<PersonId>) -> Result<(), StoreError> {
    let mut missing = Vec::new();
    {
        let mut memory = inner.memory()?;
        for id in ids {
            match memory.cache.take(id) {
                Some((person, ())) => {
                    memory.lent.insert(id);
                    loaded.people.insert(id, person);
                }
                None => missing.push(id),
            }
        }
    }
    let found: HashMap<PersonId, Person> = read!(&inner.pool, |connection| people::load(connection, &missing))?;
    inner.memory()?.lent.extend(found.keys().copied());
    loaded.people.extend(found);
    Ok(())
}
