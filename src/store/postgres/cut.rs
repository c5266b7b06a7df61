//! Nothing is kept for ever: what is too old goes, a bounded number of rows at a time, each found by an index; and who
//! was forgotten is forgotten in the journal, too.

use std::collections::HashMap;

use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqlSafeStr};
use uuid::Uuid;

use super::again::{Trouble, read, step};
use super::counts::{self, Deltas, Side, Written};
use super::mirror::SET_ASIDE;
use super::text::{count, limit, number};
use super::weeks::{self, DECISIONS, EVENTS, Week};
use super::{Inner, journal, small};
use crate::model::{Erasure, LaneName, Position, Span, Timestamp};
use crate::store::StoreError;
use crate::store::forgotten::{self, Names};
use crate::store::record::{decode, encode};

/// Receipts have to be shown for longer than anything else that is told: three years.
const RECEIPTS: Span = Span::from_days(1_096);
/// Rows of a table that go at once.
const AT_ONCE: usize = 2_000;
/// Events of the journal that are looked through at once for what is to be forgotten.
const LOOKED_THROUGH: usize = 2_000;

/// Takes out some of what is too old by `now`; true where there may be more.
pub async fn some(inner: &Inner, now: Timestamp) -> Result<bool, StoreError> {
    let records = now - inner.settings.records;
    let mut more = false;
    let decided = inner.mirror.engine()?.decided;
    more |= cut_events(inner, decided, now - inner.settings.retention).await?;
    for (sql, before) in [
        (
            "delete from dedupe where key in (select key from dedupe where at < $1 order by at limit $2)",
            now - inner.settings.dedupe,
        ),
        (
            "delete from joins where (person, position, n) in
          (select person, position, n from joins where written < $1 order by written limit $2)",
            records,
        ),
        (
            "delete from erased where (id, lane) in (select id, lane from erased where at < $1 order by at limit $2)",
            now - RECEIPTS,
        ),
        (
            "delete from erasures where id in (select id from erasures where decided < $1 order by decided limit $2)",
            now - RECEIPTS,
        ),
        (
            "delete from accesses where id in (select id from accesses where answered is not null and asked < $1
          and written < $1 order by asked limit $2)",
            now - RECEIPTS,
        ),
    ] {
        more |= step!(&inner.pool, |connection| delete(connection, sql, before))? >= AT_ONCE as u64;
    }
    more |= cut_decisions(inner, records).await?;
    for lane in inner.mirror.lanes()? {
        let written = step!(&inner.pool, |connection| cut_ends(connection, &lane, records))?;
        more |= written.1 >= AT_ONCE;
        inner.mirror.counted(written.0)?;
    }
    let (gone, version, left) = step!(&inner.pool, |connection| cut_aside(connection, records))?;
    more |= gone >= AT_ONCE as u64;
    inner.mirror.total_written(SET_ASIDE, version, left)?;
    Ok(more)
}

/// All of it; and what was forgotten is taken out of the journal.
pub async fn all(inner: &Inner, now: Timestamp) -> Result<Position, StoreError> {
    while some(inner, now).await? {}
    // Of those who had something in their hands and died.
    step!(&inner.pool, |connection| async {
        sqlx::query(
            "delete from hands h where not exists
             (select 1 from activations a where a.seq = h.seq and a.state <> 'ended')",
        )
        .execute(connection)
        .await?;
        Ok::<_, Trouble>(())
    })?;
    scrub(inner, now).await?;
    Ok(inner.mirror.engine()?.decided)
}

async fn delete(connection: &mut PgConnection, sql: impl SqlSafeStr, before: Timestamp) -> Result<u64, Trouble> {
    let gone = sqlx::query(sql).bind(before.as_millis()).bind(limit(AT_ONCE)).execute(connection).await?;
    Ok(gone.rows_affected())
}

/// Events go with their week; those of none, in the order in which they came: the first that is young enough ends it.
async fn cut_events(inner: &Inner, decided: Position, before: Timestamp) -> Result<bool, StoreError> {
    let over = weeks::over(&inner.pool, EVENTS, before).await?;
    let rest = EVENTS.rest(over.is_some());
    for week in over.unwrap_or_default() {
        weeks::drop_done(&inner.pool, (EVENTS, week), number(decided.0)).await?;
    }
    step!(&inner.pool, |connection| cut_rest(connection, &rest, decided, before))
}

async fn cut_rest(
    connection: &mut PgConnection,
    rest: &str,
    decided: Position,
    before: Timestamp,
) -> Result<bool, Trouble> {
    let sql = format!("select position, arrived from {rest} where position <= $1 order by position limit $2");
    let oldest: Vec<(i64, i64)> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(number(decided.0))
        .bind(limit(AT_ONCE))
        .fetch_all(&mut *connection)
        .await?;
    let old = oldest.iter().take_while(|(_, arrived)| *arrived < before.as_millis());
    let Some((last, _)) = old.last() else { return Ok(false) };
    let sql = format!("delete from {rest} where position <= $1");
    sqlx::query(AssertSqlSafe(sql)).bind(last).execute(connection).await?;
    Ok(oldest.len() == AT_ONCE && oldest.last().is_some_and(|(position, _)| position == last))
}

/// Decisions go with their week, too; row by row those of none, and those of a week in which one was written late, or
/// is needed still. What still waits keeps its decision: by it, it is found.
async fn cut_decisions(inner: &Inner, before: Timestamp) -> Result<bool, StoreError> {
    let over = weeks::over(&inner.pool, DECISIONS, before).await?;
    let mut parts = vec![DECISIONS.rest(over.is_some())];
    for week in over.unwrap_or_default() {
        if is_needed(&inner.pool, week, before).await? {
            parts.push(week.name(DECISIONS));
        } else {
            weeks::drop_done(&inner.pool, (DECISIONS, week), before.as_millis()).await?;
        }
    }
    let mut more = false;
    for part in parts {
        let sql = format!(
            "delete from {part} where (person, at, occasion, n) in
             (select d.person, d.at, d.occasion, d.n from {part} d where d.written < $1
              and not exists (select 1 from activations a where a.occasion = d.occasion and a.state <> 'ended')
              order by d.written limit $2)"
        );
        more |=
            step!(&inner.pool, |connection| delete(connection, AssertSqlSafe(sql.clone()), before))? >= AT_ONCE as u64;
    }
    Ok(more)
}

/// True where something in a week was written since, or is of what still waits: also where it takes long to know.
async fn is_needed(pool: &PgPool, week: Week, before: Timestamp) -> Result<bool, StoreError> {
    let mut connection = pool.acquire().await.map_err(|error| Trouble::from(error).into_error())?;
    match is_needed_once(&mut connection, week, before).await {
        Err(trouble) if trouble.is_busy() => Ok(true),
        looked => looked.map_err(Trouble::into_error),
    }
}

async fn is_needed_once(connection: &mut PgConnection, week: Week, before: Timestamp) -> Result<bool, Trouble> {
    if !weeks::is_done(&mut *connection, (DECISIONS, week), before.as_millis()).await? {
        return Ok(true);
    }
    // What waits is mostly of the same instant as its decision: this is found by an index.
    let (waits,): (bool,) = sqlx::query_as(
        "select exists (select 1 from lane_counts l, activations a where a.lane = l.lane and a.state <> 'ended'
         and a.at >= $1 and a.at < $2)",
    )
    .bind(week.begins().as_millis())
    .bind(week.ends().as_millis())
    .fetch_one(&mut *connection)
    .await?;
    if waits {
        return Ok(true);
    }
    // Word that something is void is of a later one. All of the week is read for it, once before it goes.
    let sql = format!(
        "select count(*) from activations a where a.state <> 'ended' and a.occasion in (select d.occasion from {} d)",
        week.name(DECISIONS)
    );
    let (waiting,): (i64,) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(connection).await?;
    Ok(waiting > 0)
}

/// What ended so long ago; dead letters among it are counted no more.
async fn cut_ends(
    connection: &mut PgConnection,
    lane: &LaneName,
    before: Timestamp,
) -> Result<(Written, usize), Trouble> {
    let gone: Vec<(bool,)> = sqlx::query_as(
        "delete from activations where seq in (select seq from activations where lane = $1 and state = 'ended'
         and ended_at < $2 order by ended_at limit $3) returning dead",
    )
    .bind(&**lane)
    .bind(before.as_millis())
    .bind(limit(AT_ONCE))
    .fetch_all(&mut *connection)
    .await?;
    let mut deltas = Deltas::new();
    deltas.entry(lane.clone()).or_default().sums.dead -= gone.iter().filter(|(is_dead,)| *is_dead).count() as i64;
    Ok((counts::write(connection, Side::Others, &deltas).await?, gone.len()))
}

async fn cut_aside(connection: &mut PgConnection, before: Timestamp) -> Result<(u64, i64, u64), Trouble> {
    let sql = "delete from set_aside where id in (select id from set_aside where at < $1 order by at limit $2)";
    let gone = delete(connection, sql, before).await?;
    let (version, left) = small::total(connection, SET_ASIDE, -number(gone)).await?;
    Ok((gone, version, left))
}

/// Takes out of the journal what was of somebody who is forgotten: a blank event stays at each position.
async fn scrub(inner: &Inner, now: Timestamp) -> Result<(), StoreError> {
    let names = names(&inner.pool).await?;
    let Some(last) = names.values().max().copied() else { return Ok(()) };
    let first: Option<(i64,)> = read!(&inner.pool, |connection| async {
        let sql = "select position from events order by position limit 1";
        Ok::<_, Trouble>(sqlx::query_as(sql).fetch_optional(connection).await?)
    })?;
    let mut at = Position(count(first.map_or(1, |(first,)| first)).saturating_sub(1));
    while at < last {
        let next = step!(&inner.pool, |connection| scrub_some(connection, (at, last), &names))?;
        let Some(next) = next else { break };
        at = next;
    }
    step!(&inner.pool, |connection| scrubbed(connection, &names, now))
}

/// Those that are still to be forgotten in the journal.
pub async fn names(pool: &PgPool) -> Result<Names, StoreError> {
    let rows: Vec<(Uuid, i64)> = read!(pool, |connection| async {
        Ok::<_, Trouble>(sqlx::query_as("select key, until from forgotten").fetch_all(connection).await?)
    })?;
    let names: HashMap<_, _> =
        rows.into_iter().map(|(key, until)| (key.into_bytes(), Position(count(until)))).collect();
    Ok(names)
}

async fn scrub_some(
    connection: &mut PgConnection,
    (after, until): (Position, Position),
    names: &Names,
) -> Result<Option<Position>, Trouble> {
    let events = journal::left(connection, after, Some(until), LOOKED_THROUGH).await?;
    let last = events.last().map(|(position, _)| *position);
    let theirs: Vec<_> = events
        .into_iter()
        .filter(|(position, event)| forgotten::is_of(event, *position, names))
        .map(|(position, event)| (position, forgotten::nothing(&event)))
        .collect();
    if !theirs.is_empty() {
        journal::replace(connection, theirs).await?;
    }
    Ok(last)
}

/// They are forgotten everywhere. Somebody may have been forgotten by the same name once more since it was read.
async fn scrubbed(connection: &mut PgConnection, names: &Names, now: Timestamp) -> Result<(), Trouble> {
    sqlx::query(
        "delete from forgotten f using unnest($1::uuid[], $2::bigint[]) as t(key, until)
         where f.key = t.key and f.until = t.until",
    )
    .bind(names.keys().map(|key| Uuid::from_bytes(*key)).collect::<Vec<_>>())
    .bind(names.values().map(|until| number(until.0)).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let done = names.values().max().copied().unwrap_or_default();
    let rows: Vec<(Uuid, Vec<u8>)> = sqlx::query_as("select id, record from erasures where position <= $1 for update")
        .bind(number(done.0))
        .fetch_all(&mut *connection)
        .await?;
    for (id, record) in rows {
        let mut erasure: Erasure = decode(&record)?;
        if erasure.journal.is_none() {
            erasure.journal = Some(now);
            sqlx::query("update erasures set record = $2 where id = $1")
                .bind(id)
                .bind(encode(&erasure))
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
