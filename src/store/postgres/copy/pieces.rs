//! What lies in the tables, as pieces, a page at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use crate::model::{Decision, LaneName, OccasionId, PersonId, Position, TriggerId};
use crate::store::copy::{Ended, Engine, Kind, Lane, Logged, Page, Piece};
use crate::store::postgres::again::Trouble;
use crate::store::postgres::counts::{self, Lanes};
use crate::store::postgres::mirror::SET_ASIDE;
use crate::store::postgres::rows::{COLUMNS, Queued};
use crate::store::postgres::text::{at, count, number};
use crate::store::postgres::{journal, listing, people, register};
use crate::store::record::{Place, decode, encode};

/// Pieces that are read at once; people bring their histories.
const AT_ONCE: usize = 1_000;
const PEOPLE: usize = 100;

pub async fn page(connection: &mut PgConnection, kind: Kind, after: Option<&[u8]>) -> Result<Page, Trouble> {
    match kind {
        Kind::Events => events(connection, after).await,
        Kind::Cursors => {
            let sql = "select name, value from cursors order by name";
            let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(connection).await?;
            Ok(Page::all(rows.into_iter().map(|(name, value)| Piece::Cursor(name, value))))
        }
        Kind::Keys => keys(connection, after).await,
        Kind::Names => {
            let rows: Vec<(Uuid, Uuid)> = by_id(connection, "key, person", "identifiers", "key", after).await?;
            let name = |(key, person): (Uuid, Uuid)| Ok(Piece::Name(key.into_bytes(), PersonId(person.into_bytes())));
            paged(rows, |row| row.0.into_bytes(), name)
        }
        Kind::People => everybody(connection, after).await,
        Kind::Merged => {
            let rows: Vec<(Uuid, Uuid)> = by_id(connection, "person, survivor", "merged", "person", after).await?;
            let merged = |(person, survivor): (Uuid, Uuid)| {
                Ok(Piece::Merged(PersonId(person.into_bytes()), PersonId(survivor.into_bytes())))
            };
            paged(rows, |row| row.0.into_bytes(), merged)
        }
        Kind::Joins => joins(connection, after).await,
        Kind::Decisions => decisions(connection, after).await,
        Kind::Queued => activations(connection, "state <> 'ended'", after).await,
        Kind::Ended => activations(connection, "state = 'ended'", after).await,
        Kind::Lanes => lanes(connection).await,
        Kind::Triggers => {
            let sql = "select trigger_id, record from trigger_states order by trigger_id";
            let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(sql).fetch_all(connection).await?;
            let state = |(id, record): (i64, Vec<u8>)| {
                Ok::<_, Trouble>(Piece::Trigger(TriggerId(id.cast_unsigned()), Arc::new(decode(&record)?)))
            };
            Ok(Page::all(rows.into_iter().map(state).collect::<Result<Vec<_>, _>>()?))
        }
        Kind::Items => {
            let rows: Vec<(Uuid, Vec<u8>)> = by_id(connection, "key, record", "catalogue", "key", after).await?;
            paged(rows, |row| row.0.into_bytes(), |(_, record)| Ok(Piece::Item(decode(&record)?)))
        }
        Kind::Pools => {
            let sql = "select name, added, next from pools order by name";
            let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(connection).await?;
            Ok(Page::all(
                rows.into_iter().map(|(name, added, next)| Piece::Pool(name.into(), count(added), count(next))),
            ))
        }
        Kind::Codes => codes(connection, after).await,
        Kind::Kept => {
            let sql = "select name, value from kept order by name";
            let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(connection).await?;
            Ok(Page::all(rows.into_iter().map(|(name, value)| Piece::Kept(name, value))))
        }
        Kind::Aside => {
            let after: i64 = last(after)?.unwrap_or(i64::MIN);
            let sql = "select id, record from set_aside where id > $1 order by id limit $2";
            let query = sqlx::query_as(sql).bind(after).bind(number(AT_ONCE as u64));
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(connection).await?;
            paged(rows, |row| row.0, |(_, record)| Ok(Piece::Aside(decode(&record)?)))
        }
        Kind::Erasures => {
            let rows: Vec<(Uuid, Vec<u8>)> = by_id(connection, "id, record", "erasures", "id", after).await?;
            paged(rows, |row| row.0.into_bytes(), |(_, record)| Ok(Piece::Erasure(decode(&record)?)))
        }
        Kind::Erased => erased(connection, after).await,
        Kind::Forgotten => {
            let rows: Vec<(Uuid, i64)> = by_id(connection, "key, until", "forgotten", "key", after).await?;
            let forgotten = |(key, until): (Uuid, i64)| Ok(Piece::Forgotten(key.into_bytes(), Position(count(until))));
            paged(rows, |row| row.0.into_bytes(), forgotten)
        }
        Kind::Accesses => {
            let rows: Vec<(Uuid, i64, Vec<u8>)> =
                by_id(connection, "id, written, record", "accesses", "id", after).await?;
            paged(rows, |row| row.0.into_bytes(), |(_, ms, record)| Ok(Piece::Access(at(ms), decode(&record)?)))
        }
        Kind::Register => {
            let sql = "select version, value from register where id = 1";
            let row: Option<(i64, Vec<u8>)> = sqlx::query_as(sql).fetch_optional(connection).await?;
            Ok(Page::all(row.map(|(version, value)| Piece::Register(count(version), value))))
        }
        Kind::Audit => {
            let log = register::list_once(connection, None, usize::MAX).await?;
            Ok(Page::all(log.into_iter().rev().map(Piece::Audit)))
        }
        Kind::Engine => Ok(Page::all([Piece::Engine(Box::new(engine(connection).await?))])),
    }
}

/// A page of rows, and the place of the last where there may be more.
fn paged<T, P: Serialize>(
    rows: Vec<T>,
    place: impl Fn(&T) -> P,
    piece: impl FnMut(T) -> Result<Piece, Trouble>,
) -> Result<Page, Trouble> {
    let next = rows.last().filter(|_| rows.len() >= AT_ONCE).map(|row| encode(&place(row)));
    Ok(Page { pieces: rows.into_iter().map(piece).collect::<Result<_, _>>()?, next })
}

/// The place that a page follows.
fn last<P: DeserializeOwned>(after: Option<&[u8]>) -> Result<Option<P>, Trouble> {
    Ok(after.map(decode).transpose()?)
}

/// Behind a place, or from the first on, which no place lies before.
fn behind(after: Option<&[u8]>) -> &'static str {
    if after.is_some() { ">" } else { ">=" }
}

/// Rows by an id: a page.
async fn by_id<T>(
    connection: &mut PgConnection,
    columns: &str,
    table: &str,
    id: &str,
    after: Option<&[u8]>,
) -> Result<Vec<T>, Trouble>
where
    T: for<'r> sqlx::FromRow<'r, PgRow> + Send + Unpin,
{
    let place: [u8; 16] = last(after)?.unwrap_or_default();
    let than = behind(after);
    let sql = format!("select {columns} from {table} where {id} {than} $1 order by {id} limit $2");
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(Uuid::from_bytes(place)).bind(number(AT_ONCE as u64));
    Ok(query.fetch_all(connection).await?)
}

async fn events(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let after = match last(after)? {
        Some(after) => Position(after),
        None => Position(super::frame(connection).await?.first.0.saturating_sub(1)),
    };
    let events = journal::after(connection, after, None, AT_ONCE).await?;
    paged(events, |(position, _)| position.0, |(position, event)| Ok(Piece::Event(position, event)))
}

/// By their age: those that are forgotten together come together.
async fn keys(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let (age, key): (i64, [u8; 16]) = last(after)?.unwrap_or((i64::MIN, [0; 16]));
    let than = behind(after);
    let sql = format!("select at, key from dedupe where (at, key) {than} ($1, $2) order by at, key limit $3");
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(age).bind(Uuid::from_bytes(key)).bind(number(AT_ONCE as u64));
    let rows: Vec<(i64, Uuid)> = query.fetch_all(connection).await?;
    paged(rows, |(at, key)| (*at, key.into_bytes()), |(ms, key)| Ok(Piece::Key(key.into_bytes(), at(ms))))
}

async fn everybody(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let people = people::page(connection, last(after)?.map(PersonId), PEOPLE).await?;
    let next = people.last().filter(|_| people.len() >= PEOPLE).map(|person| encode(&person.id.0));
    let pieces = people.into_iter().map(|person| Piece::Person(Box::new(person))).collect();
    Ok(Page { pieces, next })
}

async fn joins(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let (person, position, n): ([u8; 16], i64, i32) = last(after)?.unwrap_or(([0; 16], i64::MIN, i32::MIN));
    let than = behind(after);
    let sql = format!(
        "select person, position, n, written, record from joins where (person, position, n) {than} ($1, $2, $3)
         order by person, position, n limit $4"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(Uuid::from_bytes(person)).bind(position).bind(n);
    let rows: Vec<(Uuid, i64, i32, i64, Vec<u8>)> = query.bind(number(AT_ONCE as u64)).fetch_all(connection).await?;
    let place = |row: &(Uuid, i64, i32, i64, Vec<u8>)| (row.0.into_bytes(), row.1, row.2);
    paged(rows, place, |(person, _, n, written, record)| {
        let (person, n) = (PersonId(person.into_bytes()), u32::try_from(n).unwrap_or(0));
        Ok(Piece::Join(Logged { person, n, written: at(written), entry: decode(&record)? }))
    })
}

/// With where the activations of each lie.
async fn decisions(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let first = ([0; 16], i64::MIN, [0; 16], i16::MIN);
    let (person, when, occasion, n): ([u8; 16], i64, [u8; 16], i16) = last(after)?.unwrap_or(first);
    let than = behind(after);
    let sql = format!(
        "select person, at, occasion, n, written, record from decisions
         where (person, at, occasion, n) {than} ($1, $2, $3, $4) order by person, at, occasion, n limit $5"
    );
    type Told = (Uuid, i64, Uuid, i16, i64, Vec<u8>);
    let rows: Vec<Told> = sqlx::query_as(AssertSqlSafe(sql))
        .bind(Uuid::from_bytes(person))
        .bind(when)
        .bind(Uuid::from_bytes(occasion))
        .bind(n)
        .bind(number(AT_ONCE as u64))
        .fetch_all(&mut *connection)
        .await?;
    let occasions = rows.iter().filter(|row| row.3 == 0).map(|row| row.2).collect();
    let mut places: HashMap<OccasionId, Vec<Place>> = HashMap::new();
    for one in listing::of_occasions(connection, occasions).await? {
        let (action, priority) = (one.activation.action.id(), one.activation.priority);
        let place = Place { lane: one.activation.lane, action, priority, seq: one.seq };
        places.entry(one.activation.occasion).or_default().push(place);
    }
    let place = |row: &Told| (row.0.into_bytes(), row.1, row.2.into_bytes(), row.3);
    paged(rows, place, |(person, _, occasion, n, written, record)| {
        let (person, written) = (PersonId(person.into_bytes()), at(written));
        let entry: Decision = decode(&record)?;
        let of = OccasionId(occasion.into_bytes());
        let places = if n == 0 { places.get(&of).cloned().unwrap_or_default() } else { Vec::new() };
        Ok(Piece::Decision(Logged { person, n: u32::try_from(n).unwrap_or(0), written, entry }, places))
    })
}

async fn activations(connection: &mut PgConnection, state: &str, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let after: u64 = last(after)?.unwrap_or(0);
    let sql = format!("select {COLUMNS} from activations where {state} and seq > $1 order by seq limit $2");
    let query = sqlx::query(AssertSqlSafe(sql)).bind(number(after)).bind(number(AT_ONCE as u64));
    let rows: Vec<PgRow> = query.fetch_all(connection).await?;
    paged(Queued::read_all(&rows)?, |one| one.seq, |one| Ok(activation(one)))
}

fn activation(one: Queued) -> Piece {
    match one.ended_at {
        None => Piece::Queued(one.seq, one.row, Box::new(one.activation)),
        Some(at) => {
            let Queued { seq, is_dead, row, activation, .. } = one;
            Piece::Ended(Ended { seq, at, is_dead, attempts: row.attempts, activation })
        }
    }
}

async fn lanes(connection: &mut PgConnection) -> Result<Page, Trouble> {
    let mut lanes = Lanes::default();
    let counts = counts::all(connection).await?;
    let names: Vec<String> = counts.iter().map(|row| row.lane.clone()).collect();
    let triggers = counts::triggers(connection, &names).await?;
    lanes.note(counts, triggers);
    let pieces = lanes.names().into_iter().map(|name| {
        let of = lanes.count(&name);
        let triggers: BTreeMap<_, _> = of.triggers;
        Lane { name, queued: of.queued, deferred: of.deferred, dead: of.dead, triggers, totals: of.totals }
    });
    Ok(Page::all(pieces.filter(|lane| !lane.is_empty()).map(Piece::Lane)))
}

async fn codes(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let (pool, place): (String, i64) = last(after)?.unwrap_or((String::new(), i64::MIN));
    let than = behind(after);
    let sql = format!(
        "select pool, place, code from codes where (pool, place) {than} ($1, $2) order by pool, place limit $3"
    );
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(pool).bind(place).bind(number(AT_ONCE as u64));
    let rows: Vec<(String, i64, String)> = query.fetch_all(connection).await?;
    let code = |(pool, place, code): (String, i64, String)| Ok(Piece::Code(pool.into(), count(place), code.into()));
    paged(rows, |row| (row.0.clone(), row.1), code)
}

async fn erased(connection: &mut PgConnection, after: Option<&[u8]>) -> Result<Page, Trouble> {
    let (id, lane): ([u8; 16], String) = last(after)?.unwrap_or(([0; 16], String::new()));
    let than = behind(after);
    let sql =
        format!("select id, lane, at, record from erased where (id, lane) {than} ($1, $2) order by id, lane limit $3");
    let query = sqlx::query_as(AssertSqlSafe(sql)).bind(Uuid::from_bytes(id)).bind(lane).bind(number(AT_ONCE as u64));
    let rows: Vec<(Uuid, String, i64, Vec<u8>)> = query.fetch_all(connection).await?;
    paged(
        rows,
        |row| (row.0.into_bytes(), row.1.clone()),
        |(id, lane, ms, record)| {
            let lane: LaneName = lane.into();
            Ok(Piece::Erased(OccasionId(id.into_bytes()), lane, at(ms), decode(&record)?))
        },
    )
}

async fn engine(connection: &mut PgConnection) -> Result<Engine, Trouble> {
    let row = super::engine(connection).await?;
    let (last, aside): (i64, i64) =
        sqlx::query_as("select j.last, t.value from journal j, totals t where j.id = 1 and t.name = $1")
            .bind(SET_ASIDE)
            .fetch_one(connection)
            .await?;
    Ok(Engine {
        journaled: Position(count(last)),
        decided: row.decided,
        step: row.step,
        // The other adapter numbers what is set aside by it, too.
        seq: row.seq.max(count(aside)),
        people: row.people,
        reached: row.reached,
        program: row.program,
        adopted: row.adopted,
        open: row.open,
    })
}
