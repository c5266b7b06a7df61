//! Activations a page at a time, for people who look: what has ended, what is dead, what waits, what is held, what a
//! vendor took. A page looks at a bounded number of rows, in the order of an index.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::again::{Trouble, read};
use super::letters;
use super::people;
use super::rows::{COLUMNS, Queued};
use super::text::{self, count, limit, number};
use crate::model::{Activation, Priority, Timestamp, TriggerId};
use crate::store::{Accepted, DeadLetter, End, Listed, Record, Sought, StoreError, WorkId};

/// Activations that are read for one page at most.
const READ: usize = 2_000;
/// Instants that are told apart.
const INSTANTS: usize = 1_000;

/// Those of a page among what was read of it, and where the next one begins.
fn listed(rows: Vec<Queued>, sought: &Sought, max: usize) -> (Vec<Queued>, Option<WorkId>) {
    let mut found = Vec::new();
    for (read, one) in rows.into_iter().enumerate() {
        if found.len() >= max || read >= READ {
            // This one was not looked at.
            return (found, Some(WorkId(one.seq.saturating_add(1))));
        }
        if sought.has(&one.activation, &one.row.attempts) {
            found.push(one);
        }
    }
    (found, None)
}

pub async fn ends(pool: &PgPool, sought: &Sought, max: usize) -> Result<Listed<End>, StoreError> {
    let rows = read!(pool, |connection| ended(connection, sought.before))?;
    let (found, next) = listed(rows, sought, max);
    Ok(Listed { found: found.into_iter().map(Queued::into_end).collect(), next })
}

async fn ended(connection: &mut PgConnection, before: Option<WorkId>) -> Result<Vec<Queued>, Trouble> {
    let sql =
        format!("select {COLUMNS} from activations where state = 'ended' and seq < $1 order by seq desc limit $2");
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(before.map_or(i64::MAX, |before| number(before.0)))
        .bind(limit(READ + 1))
        .fetch_all(connection)
        .await?;
    Queued::read_all(&rows)
}

pub async fn letters(pool: &PgPool, sought: &Sought, max: usize) -> Result<Listed<DeadLetter>, StoreError> {
    let lane = sought.lane.as_deref();
    let rows = read!(pool, |connection| letters::dead(connection, lane, sought.before, READ + 1))?;
    let (found, next) = listed(rows, sought, max);
    Ok(Listed { found: found.into_iter().map(Queued::into_letter).collect(), next })
}

pub async fn waiting(
    pool: &PgPool,
    lane: &str,
    from: Option<(Priority, WorkId)>,
    max: usize,
) -> Result<Vec<(WorkId, Record)>, StoreError> {
    let rows = read!(pool, |connection| queued(connection, lane, from, max))?;
    let told = |one: Queued| {
        // Until then it waits, whatever it was made with.
        let not_before = one.row.not_before.or(one.activation.not_before);
        let (id, mut record) = (WorkId(one.seq), one.into_record());
        record.activation.not_before = not_before;
        (id, record)
    };
    Ok(rows.into_iter().map(told).collect())
}

async fn queued(
    connection: &mut PgConnection,
    lane: &str,
    from: Option<(Priority, WorkId)>,
    max: usize,
) -> Result<Vec<Queued>, Trouble> {
    let (priority, seq) = from.map_or((i16::MAX, 0), |(priority, id)| (i16::from(priority), number(id.0)));
    // The rest of this priority, then those below it: each in the order of the index.
    let sql = format!(
        "(select {COLUMNS}, priority from activations where lane = $1 and state <> 'ended' and priority = $2
          and seq >= $3 order by seq limit $4)
         union all
         (select {COLUMNS}, priority from activations where lane = $1 and state <> 'ended' and priority < $2
          order by priority desc, seq limit $4)
         order by priority desc, seq limit $4"
    );
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(lane)
        .bind(priority)
        .bind(seq)
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
    Queued::read_all(&rows)
}

/// The oldest held ones of a trigger, with whose they are now.
pub async fn held(pool: &PgPool, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, StoreError> {
    read!(pool, |connection| held_once(connection, trigger, max))
}

async fn held_once(connection: &mut PgConnection, trigger: TriggerId, max: usize) -> Result<Vec<Activation>, Trouble> {
    let sql =
        format!("select {COLUMNS} from activations where state = 'held' and trigger_id = $1 order by seq limit $2");
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(text::trigger(trigger))
        .bind(limit(max))
        .fetch_all(&mut *connection)
        .await?;
    let mut found = Vec::with_capacity(rows.len());
    for queued in Queued::read_all(&rows)? {
        let person = people::now(connection, queued.activation.person).await?;
        found.push(Activation { person, ..queued.activation });
    }
    Ok(found)
}

pub async fn accepted(
    pool: &PgPool,
    lane: &str,
    span: (Timestamp, Timestamp),
    max: usize,
) -> Result<Accepted, StoreError> {
    read!(pool, |connection| accepted_once(connection, lane, span, max))
}

async fn accepted_once(
    connection: &mut PgConnection,
    lane: &str,
    (from, until): (Timestamp, Timestamp),
    max: usize,
) -> Result<Accepted, Trouble> {
    let (from, until) = (from.as_millis(), until.as_millis());
    // Nothing but events can be looked for at any vendor.
    let (total,): (i64,) = sqlx::query_as(
        "select count(*) from activations where lane = $1 and state = 'ended' and ended_at > $2 and ended_at <= $3
         and outcome in ('accepted', 'duplicate') and action = 0",
    )
    .bind(lane)
    .bind(from)
    .bind(until)
    .fetch_one(&mut *connection)
    .await?;
    // Nights, as all that cron writes, begin with a minute.
    let waited: Vec<(i64, i64)> = sqlx::query_as(
        "select planned, count(*) from activations where lane = $1 and state = 'ended' and ended_at > $2
         and ended_at <= $3 and outcome in ('accepted', 'duplicate') and planned is not null and planned % 60000 = 0
         group by planned order by planned desc limit $4",
    )
    .bind(lane)
    .bind(from)
    .bind(until)
    .bind(limit(INSTANTS))
    .fetch_all(&mut *connection)
    .await?;
    let sql = format!(
        "select {COLUMNS} from activations where lane = $1 and state = 'ended' and ended_at > $2 and ended_at <= $3
         and outcome in ('accepted', 'duplicate') and action = 0 order by occasion limit $4"
    );
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(lane)
        .bind(from)
        .bind(until)
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
    let sample = Queued::read_all(&rows)?.into_iter().map(|one| (WorkId(one.seq), one.activation)).collect();
    let waited: BTreeMap<Timestamp, u64> = waited.into_iter().map(|(at, n)| (text::at(at), count(n))).collect();
    Ok(Accepted { total: count(total), sample, waited })
}

/// What there is of these occasions, in the order in which it was made.
pub async fn of_occasions(connection: &mut PgConnection, occasions: Vec<Uuid>) -> Result<Vec<Queued>, Trouble> {
    if occasions.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("select {COLUMNS} from activations where occasion = any($1) order by seq");
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(occasions).fetch_all(connection).await?;
    Queued::read_all(&rows)
}
