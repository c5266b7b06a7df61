//! One step of the engine: people, links, message keys, activations and the position, in one transaction.

use std::collections::{BTreeMap, HashSet};

use sqlx::PgConnection;
use uuid::Uuid;

use super::again::{Trouble, step};
use super::counts::{self, Deltas, Side, Written};
use super::engine::EngineRow;
use super::people::Writes;
use super::text::{self, at, key, number};
use super::{Inner, lease, people, queue};
use crate::model::{Access, Changes, Erasure, Identifier, Loaded, PersonId, Timestamp, TriggerStates, Write};
use crate::store::joined;
use crate::store::record::encode;
use crate::store::{Step, StoreError};

/// What memory is told of a step that is committed.
pub struct Done {
    engine: EngineRow,
    written: Written,
    /// The next event that waits, and the next timer.
    oldest: Option<(u64, Timestamp)>,
    next_timer: Option<Timestamp>,
    /// Those written who are there now, and those who are not.
    people: (HashSet<PersonId>, HashSet<PersonId>),
}

/// Writes the step. What it means for memory happens only after it is committed.
pub async fn commit(inner: &Inner, loaded: Loaded, changes: Changes) -> Result<(), StoreError> {
    let epoch = inner.engine().await?;
    // Should the answer be lost, the next try knows by this that it is done.
    let mark = Uuid::new_v4();
    let lent = inner.memory()?.lent.clone();
    let context = (inner, epoch, mark);
    let committed = step!(&inner.pool, |connection| once(connection, context, &lent, &loaded, &changes));
    let done = match committed {
        Ok(done) => done,
        Err(error) => {
            // Whoever was in the engine's hands is loaded again.
            inner.doubt()?;
            return Err(error);
        }
    };
    let is_asked = !changes.accesses.is_empty();
    let triggers: TriggerStates = changes.triggers;
    let triggers = (!triggers.is_empty()).then_some(triggers);
    let waits = done.written.waits.clone();
    inner.mirror.counted(done.written)?;
    inner.mirror.stepped(done.engine, triggers, done.oldest, done.next_timer)?;
    if !changes.codes.is_empty() {
        inner.shelf()?.given(&changes.codes);
    }
    {
        let (there, gone) = done.people;
        let mut memory = inner.memory()?;
        let mut known = std::mem::take(&mut memory.lent);
        known.extend(there);
        for id in gone {
            known.remove(&id);
            memory.cache.forget(id);
        }
        for (id, person) in loaded.people {
            // Somebody who came with a page of people, and is not written, lies in the database as before.
            if known.contains(&id) {
                memory.cache.put(person, ());
            }
        }
    }
    // The step is done whatever becomes of this: it is read again each second.
    let _ = inner.mirror.refresh_waits(&inner.pool, &waits).await;
    if is_asked {
        let _ = inner.read_demands().await;
    }
    inner.mirror.tell();
    Ok(())
}

pub async fn once(
    connection: &mut PgConnection,
    (inner, epoch, mark): (&Inner, i64, Uuid),
    lent: &HashSet<PersonId>,
    loaded: &Loaded,
    changes: &Changes,
) -> Result<Done, Trouble> {
    inner.leases.fence(connection, lease::ENGINE, epoch).await?;
    let mut engine = EngineRow::locked(connection).await?;
    let mut deltas = Deltas::new();
    let is_done = engine.mark == Some(mark);
    let mut there = HashSet::new();
    let mut gone = HashSet::new();
    if !is_done {
        engine.take(changes.step)?;
    }
    let merged = joined::merged(changes);
    let erased = joined::erased(changes, &merged);
    let ids: Vec<PersonId> = changes.people.iter().map(|change| change.id).collect();
    let unknown: Vec<PersonId> = ids.iter().copied().filter(|id| !lent.contains(id)).collect();
    let before: HashSet<PersonId> = if is_done { HashSet::new() } else { people::there(connection, &unknown).await? };
    let was_there = |id: PersonId| lent.contains(&id) || before.contains(&id);
    let mut writes = Writes::default();
    for change in &changes.people {
        match (&change.write, loaded.people.get(&change.id)) {
            (Write::MergedInto(_) | Write::Erased, _) => {
                gone.insert(change.id);
            }
            (Write::Whole, Some(person)) => {
                writes.whole(person, was_there(change.id));
                there.insert(change.id);
            }
            (Write::Appended(new), Some(person)) => {
                writes.appended(person, new);
                there.insert(change.id);
            }
            (_, None) => {}
        }
    }
    if is_done {
        // Counts are read again each second; nothing else is known only by the write.
        let (oldest, next_timer) = firsts(connection, engine.decided.0 + 1).await?;
        let written = Written { counts: counts::all(connection).await?, ..Written::default() };
        return Ok(Done { engine, written, oldest, next_timer, people: (there, gone) });
    }
    let decided = changes.decisions.iter().map(|d| d.decided).max().unwrap_or_default();
    let arrived = changes.dedupe.last().map(|d| d.1).unwrap_or_default();
    let now = engine.reached.max(decided).max(arrived);

    for change in &changes.people {
        match &change.write {
            Write::MergedInto(survivor) => {
                people::remove(connection, change.id).await?;
                if erased.contains(&change.id) {
                    // They became somebody who is forgotten in the same step.
                    people::forget_joins(connection, change.id).await?;
                } else {
                    let last = joined::survivor(&merged, change.id);
                    people::merge(connection, change.id, *survivor, last).await?;
                }
            }
            Write::Erased => {
                people::remove(connection, change.id).await?;
                people::forget_joins(connection, change.id).await?;
            }
            Write::Whole | Write::Appended(_) => {}
        }
    }
    writes.write(connection).await?;
    engine.people += there.iter().filter(|id| !was_there(**id)).count() as u64;
    engine.people = engine.people.saturating_sub(gone.iter().filter(|id| was_there(**id)).count() as u64);
    people::link(connection, &changes.links).await?;
    see(connection, changes).await?;
    people::log_joins(connection, now.as_millis(), &changes.joins).await?;
    for (erasure, names) in &changes.erased {
        note_erasure(connection, erasure, names).await?;
    }
    for access in &changes.accesses {
        note_access(connection, access, now).await?;
    }
    write_triggers(connection, &changes.triggers).await?;
    queue::write(connection, (&mut engine, &mut deltas), changes, (&merged, &erased), now).await?;
    move_on(connection, changes).await?;
    if let Some(position) = changes.position {
        engine.decided = position;
    }
    engine.reached = now;
    engine.write(connection, mark).await?;
    let (oldest, next_timer) = firsts(connection, engine.decided.0 + 1).await?;
    let written = counts::write(connection, Side::Engine, &deltas).await?;
    Ok(Done { engine, written, oldest, next_timer, people: (there, gone) })
}

/// Arrival of the event at this position, and the first timer.
async fn firsts(
    connection: &mut PgConnection,
    position: u64,
) -> Result<(Option<(u64, Timestamp)>, Option<Timestamp>), Trouble> {
    let (arrived, timer): (Option<i64>, Option<i64>) = sqlx::query_as(
        "select (select v.arrived from events v where v.position = $1),
         (select p.wake from people p where p.wake is not null order by p.wake limit 1)",
    )
    .bind(number(position))
    .fetch_one(connection)
    .await?;
    Ok((arrived.map(|ms| (position, at(ms))), timer.map(at)))
}

/// No other step gives these codes: of each pool the last one counts.
async fn move_on(connection: &mut PgConnection, changes: &Changes) -> Result<(), Trouble> {
    let mut next: BTreeMap<&str, u64> = BTreeMap::new();
    for given in &changes.codes {
        let next = next.entry(&given.pool).or_default();
        *next = (*next).max(given.place + 1);
    }
    if next.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update pools set next = greatest(next, t.place) from unnest($1::text[], $2::bigint[]) as t(pool, place)
         where name = t.pool",
    )
    .bind(next.keys().copied().collect::<Vec<_>>())
    .bind(next.values().map(|place| number(*place)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Message keys of what is decided now.
async fn see(connection: &mut PgConnection, changes: &Changes) -> Result<(), Trouble> {
    if changes.dedupe.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into dedupe (key, at) select * from unnest($1::uuid[], $2::bigint[]) on conflict (key) do nothing",
    )
    .bind(changes.dedupe.iter().map(|(key, _)| Uuid::from_bytes(*key)).collect::<Vec<_>>())
    .bind(changes.dedupe.iter().map(|(_, at)| at.as_millis()).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// That somebody is forgotten; these are names of theirs that the journal still has.
pub async fn note_erasure(
    connection: &mut PgConnection,
    erasure: &Erasure,
    names: &[Identifier],
) -> Result<(), Trouble> {
    sqlx::query(
        "insert into erasures (id, decided, person, position, record) values ($1, $2, $3, $4, $5)
         on conflict (id) do update set decided = excluded.decided, person = excluded.person,
         position = excluded.position, record = excluded.record",
    )
    .bind(text::occasion(erasure.id))
    .bind(erasure.decided.as_millis())
    .bind(text::person(erasure.person))
    .bind(number(erasure.position.0))
    .bind(encode(erasure))
    .execute(&mut *connection)
    .await?;
    let names: HashSet<Uuid> = names.iter().map(|name| key(&name.to_text())).collect();
    sqlx::query(
        "insert into forgotten (key, until) select t.key, $2 from unnest($1::uuid[]) as t(key)
         on conflict (key) do update set until = greatest(forgotten.until, excluded.until)",
    )
    .bind(names.into_iter().collect::<Vec<_>>())
    .bind(number(erasure.position.0))
    .execute(connection)
    .await?;
    Ok(())
}

/// One that was answered stays so.
pub async fn note_access(connection: &mut PgConnection, access: &Access, now: Timestamp) -> Result<(), Trouble> {
    sqlx::query(
        "insert into accesses (id, asked, written, answered, record) values ($1, $2, $3, $4, $5)
         on conflict (id) do nothing",
    )
    .bind(text::occasion(access.id))
    .bind(access.asked.as_millis())
    .bind(now.as_millis())
    .bind(access.answered.map(Timestamp::as_millis))
    .bind(encode(access))
    .execute(connection)
    .await?;
    Ok(())
}

/// States of triggers that are others now.
pub async fn write_triggers(connection: &mut PgConnection, changed: &TriggerStates) -> Result<(), Trouble> {
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "insert into trigger_states (trigger_id, record) select * from unnest($1::bigint[], $2::bytea[])
         on conflict (trigger_id) do update set record = excluded.record",
    )
    .bind(changed.keys().map(|id| text::trigger(*id)).collect::<Vec<_>>())
    .bind(changed.values().map(|state| encode(&**state)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes a step down. Only what changes by time alone is waited for on disk: an event's step lies in the database's log
/// before whatever follows from it.
pub async fn record(inner: &Inner, step: Step) -> Result<crate::model::StepId, StoreError> {
    let epoch = inner.engine().await?;
    let mark = Uuid::new_v4();
    let recorded = step!(&inner.pool, |connection| record_once(connection, (inner, epoch, mark), &step));
    if recorded.is_err() {
        inner.doubt()?;
    }
    let (engine, id) = recorded?;
    inner.mirror.recorded(engine)?;
    Ok(id)
}

async fn record_once(
    connection: &mut PgConnection,
    (inner, epoch, mark): (&Inner, i64, Uuid),
    step: &Step,
) -> Result<(EngineRow, crate::model::StepId), Trouble> {
    inner.leases.fence(connection, lease::ENGINE, epoch).await?;
    let mut engine = EngineRow::locked(connection).await?;
    if let Some(recorded) = engine.recorded().filter(|_| engine.mark == Some(mark)) {
        return Ok((engine, recorded.id));
    }
    if matches!(step, Step::Events { .. }) {
        super::soon(connection).await?;
    }
    let id = engine.record(step.clone())?;
    engine.write(connection, mark).await?;
    Ok((engine, id))
}
