//! What was accepted. Appends that wait together are one transaction: the lock on the journal's one row, and with it the
//! order of all daemons, is held as seldom as can be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, PgPool, Postgres, Row as _};
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use super::again::{Trouble, asked, read, tried};
use super::lease::Leases;
use super::mirror::Mirror;
use super::text::{count, limit, number, put_back, shown, taken_out};
use crate::model::{Event, Position};
use crate::store::StoreError;
use crate::store::record::{decode, encode};

/// Appends that wait at most: whoever comes then is told to come again.
pub const WAITING: usize = 4_096;
/// Appends, and events, written by one transaction at most.
const GROUP: (usize, usize) = (512, 5_000);

/// One caller's.
pub struct Append {
    pub events: Vec<Event>,
    pub cursor: Option<(String, Vec<u8>)>,
    /// What it is made for: its name and term.
    pub duty: Option<(String, i64)>,
    /// The last one's position, when the database has them.
    pub answer: oneshot::Sender<Result<Position, StoreError>>,
}

/// Writes what waits until nobody can send any more.
pub async fn write_all(pool: PgPool, (mirror, leases): (Arc<Mirror>, Arc<Leases>), mut from: mpsc::Receiver<Append>) {
    let mut group = Vec::new();
    let mut refused = false;
    while let Some(first) = from.recv().await {
        let mut events = first.events.len();
        group.push(first);
        while group.len() < GROUP.0 && events < GROUP.1 {
            let Ok(next) = from.try_recv() else { break };
            events += next.events.len();
            group.push(next);
        }
        let written = write(&pool, &leases, &group).await;
        match written {
            Ok(first) => {
                if std::mem::take(&mut refused) {
                    tracing::info!("the journal can be written again");
                }
                answer(&mirror, first, &mut group);
            }
            // One of them may be what the database does not take, or another's: it must not take the others with it.
            Err(trouble) if group.len() > 1 && (trouble.is_of_values() || trouble.is_elsewhere()) => {
                for one in std::mem::take(&mut group) {
                    let mut alone = vec![one];
                    match write(&pool, &leases, &alone).await {
                        Ok(first) => answer(&mirror, first, &mut alone),
                        Err(trouble) => refuse(trouble.into_error(), &mut alone, &mut refused),
                    }
                }
            }
            Err(trouble) => refuse(trouble.into_error(), &mut group, &mut refused),
        }
    }
}

fn answer(mirror: &Mirror, first: u64, group: &mut Vec<Append>) {
    let mut last = first - 1;
    let arrived = group.iter().find_map(|append| append.events.first()).map(|event| event.arrived);
    let answers: Vec<_> = group
        .drain(..)
        .map(|append| {
            last += append.events.len() as u64;
            (append.answer, last)
        })
        .collect();
    if let Some(arrived) = arrived {
        mirror.appended(first, arrived, last);
    }
    for (answer, last) in answers {
        // A caller that went away does not want to know.
        let _ = answer.send(Ok(Position(last)));
    }
}

fn refuse(error: StoreError, group: &mut Vec<Append>, refused: &mut bool) {
    if matches!(error, StoreError::Elsewhere) {
        for append in group.drain(..) {
            let _ = append.answer.send(Err(StoreError::Elsewhere));
        }
        return;
    }
    // Said once, however many are refused.
    if !std::mem::replace(refused, true) {
        tracing::error!(reason = %error, "the journal cannot be written; intake answers 503");
    }
    metrics::counter!("espalier_journal_refused_total").increment(1);
    let words = match error {
        StoreError::Unavailable(words) => words,
        other => other.to_string(),
    };
    for append in group.drain(..) {
        let _ = append.answer.send(Err(StoreError::Unavailable(words.clone())));
    }
}

/// Writes all of them; the first event's position.
async fn write(pool: &PgPool, leases: &Leases, group: &[Append]) -> Result<u64, Trouble> {
    // Should the answer be lost, the next try knows by this that they are there.
    let mark = Uuid::new_v4();
    if group.iter().all(|append| append.duty.is_none() && append.cursor.is_none()) {
        // A statement by itself is a transaction, and one round to the database instead of five.
        return asked!(pool, |connection| place(connection, group, mark));
    }
    tried!(pool, |connection| write_once(connection, leases, group, mark))
}

pub async fn write_once(
    connection: &mut PgConnection,
    leases: &Leases,
    group: &[Append],
    mark: Uuid,
) -> Result<u64, Trouble> {
    let first = place(connection, group, mark).await?;
    let duties: BTreeSet<&(String, i64)> = group.iter().filter_map(|append| append.duty.as_ref()).collect();
    for (name, term) in duties {
        leases.fence(connection, name, *term).await?;
    }
    // Of one name the last counts.
    let cursors: BTreeMap<&str, &[u8]> =
        group.iter().filter_map(|append| append.cursor.as_ref()).map(|(name, value)| (&**name, &**value)).collect();
    if !cursors.is_empty() {
        sqlx::query(
            "insert into cursors (name, value) select * from unnest($1::text[], $2::bytea[])
             on conflict (name) do update set value = excluded.value",
        )
        .bind(cursors.keys().copied().collect::<Vec<_>>())
        .bind(cursors.values().copied().collect::<Vec<_>>())
        .execute(connection)
        .await?;
    }
    Ok(first)
}

/// Gives all of them their places, and writes them there; the first one's.
async fn place(connection: &mut PgConnection, group: &[Append], mark: Uuid) -> Result<u64, Trouble> {
    let mut columns = Columns::default();
    for (event, n) in group.iter().flat_map(|append| &append.events).zip(1..) {
        columns.push(n, event);
    }
    let n = limit(columns.position.len());
    if let Some(last) = columns.append(connection, mark).await? {
        return Ok(count(last - n + 1));
    }
    // They are there already. Should another daemon have gone on since, who asks is told of a place behind theirs.
    let (last,): (i64,) = sqlx::query_as("select last from journal where id = 1").fetch_one(connection).await?;
    Ok(count(last - n + 1))
}

/// Puts events at their positions.
pub async fn insert(connection: &mut PgConnection, events: &[(Position, &Event)]) -> Result<(), Trouble> {
    if events.is_empty() {
        return Ok(());
    }
    let mut columns = Columns::default();
    for (position, event) in events {
        columns.push(number(position.0), event);
    }
    columns.insert(connection).await
}

#[derive(Default)]
struct Columns {
    position: Vec<i64>,
    arrived: Vec<i64>,
    at: Vec<i64>,
    source: Vec<String>,
    name: Vec<String>,
    properties: Vec<Option<String>>,
    traits: Vec<Option<String>>,
    record: Vec<Vec<u8>>,
}

impl Columns {
    fn push(&mut self, position: i64, event: &Event) {
        let mut rest = event.clone();
        self.position.push(position);
        self.arrived.push(event.arrived.as_millis());
        self.at.push(event.at.as_millis());
        self.source.push(shown(&event.source).into_owned());
        self.name.push(shown(&event.name).into_owned());
        self.properties.push(taken_out(&mut rest.properties));
        self.traits.push(taken_out(&mut rest.traits));
        self.record.push(encode(&rest));
    }

    /// A statement with all of them as its first eight parameters.
    fn with(self, sql: &'static str) -> Query<'static, Postgres, PgArguments> {
        sqlx::query(sql)
            .bind(self.position)
            .bind(self.arrived)
            .bind(self.at)
            .bind(self.source)
            .bind(self.name)
            .bind(self.properties)
            .bind(self.traits)
            .bind(self.record)
    }

    /// Behind what there is: `position` counts from there. The newest place; none where what has this mark was the last
    /// to be written.
    async fn append(self, connection: &mut PgConnection, mark: Uuid) -> Result<Option<i64>, Trouble> {
        let n = limit(self.position.len());
        let placed = self.with(
            "with placed as (
              update journal set last = last + $9, mark = $10 where id = 1 and mark is distinct from $10
              returning last),
             written as (
              insert into events (position, arrived, at, source, name, properties, traits, record)
              select p.last - $9 + t.position, t.arrived, t.at, t.source, t.name, t.properties, t.traits, t.record
              from placed p, unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
              $7::text[], $8::bytea[]) as t(position, arrived, at, source, name, properties, traits, record))
             select last from placed",
        );
        let placed = placed.bind(n).bind(mark).fetch_optional(connection).await?;
        Ok(placed.map(|row| row.try_get("last")).transpose()?)
    }

    async fn insert(self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let inserted = self.with(
            "insert into events (position, arrived, at, source, name, properties, traits, record)
             select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[],
             $7::text[], $8::bytea[])",
        );
        inserted.execute(connection).await?;
        Ok(())
    }
}

/// A row as it is read.
type Row = (i64, Option<String>, Option<String>, Vec<u8>);

fn event((position, properties, traits, record): Row) -> Result<(Position, Event), Trouble> {
    let mut event: Event = decode(&record)?;
    put_back(&mut event.properties, properties);
    put_back(&mut event.traits, traits);
    Ok((Position(count(position)), event))
}

/// At most `max` events after this position, and none after the other: each follows the one before.
pub async fn after(
    connection: &mut PgConnection,
    after: Position,
    until: Option<Position>,
    max: usize,
) -> Result<Vec<(Position, Event)>, Trouble> {
    let events = left(connection, after, until, max).await?;
    if let Some((first, _)) = events.first().filter(|(first, _)| first.0 != after.0 + 1) {
        return Err(StoreError::Damaged(format!("the journal goes on at event {} after {}", first.0, after.0)).into());
    }
    Ok(events)
}

/// The same of those that are decided: some of them may be gone.
pub async fn left(
    connection: &mut PgConnection,
    after: Position,
    until: Option<Position>,
    max: usize,
) -> Result<Vec<(Position, Event)>, Trouble> {
    let rows: Vec<Row> = sqlx::query_as(
        "select position, properties, traits, record from events where position > $1 and position <= $2
         order by position limit $3",
    )
    .bind(number(after.0))
    .bind(until.map_or(i64::MAX, |until| number(until.0)))
    .bind(limit(max))
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(event).collect()
}

/// The newest events before this position, at most `max`, newest first.
pub async fn newest(
    connection: &mut PgConnection,
    before: Option<Position>,
    max: usize,
) -> Result<Vec<(Position, Event)>, Trouble> {
    let rows: Vec<Row> = sqlx::query_as(
        "select position, properties, traits, record from events where position < $1 order by position desc limit $2",
    )
    .bind(before.map_or(i64::MAX, |before| number(before.0)))
    .bind(limit(max))
    .fetch_all(connection)
    .await?;
    rows.into_iter().map(event).collect()
}

/// A caller's own position.
pub async fn cursor(pool: &PgPool, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    read!(pool, |connection| super::small::named(connection, "select value from cursors where name = $1", name))
}

/// Puts an event in the place of one that is to be forgotten.
pub async fn replace(connection: &mut PgConnection, events: Vec<(Position, Event)>) -> Result<(), Trouble> {
    let mut columns = Columns::default();
    for (position, event) in &events {
        columns.push(number(position.0), event);
    }
    sqlx::query(
        "update events set name = t.name, properties = t.properties, traits = t.traits, record = t.record
         from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bytea[])
         as t(position, arrived, name, properties, traits, record)
         where events.position = t.position and events.arrived = t.arrived",
    )
    .bind(columns.position)
    .bind(columns.arrived)
    .bind(columns.name)
    .bind(columns.properties)
    .bind(columns.traits)
    .bind(columns.record)
    .execute(connection)
    .await?;
    Ok(())
}
