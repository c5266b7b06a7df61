//! Tables that are made of another store's pieces: each batch is one transaction, together with how far it brings the
//! copy.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

use super::{Database, TABLES};
use crate::model::{DedupeKey, Event, Person, PersonId, Position, Timestamp};
use crate::store::copy::{Ended, Engine, Frame, Kind, Lane, Piece, Progress, Target};
use crate::store::forgotten::Hash;
use crate::store::postgres::again::{Trouble, read, step};
use crate::store::postgres::counts::{self, Delta, Deltas, Side};
use crate::store::postgres::engine::EngineRow;
use crate::store::postgres::mirror::{CATALOGUE, CODES};
use crate::store::postgres::people::{self, Writes};
use crate::store::postgres::rows::{self, Queued, State};
use crate::store::postgres::text::{self, count, key, number, shown};
use crate::store::postgres::weeks::{self, DECISIONS, EVENTS};
use crate::store::postgres::{commit, journal, queue, register, shelf, small};
use crate::store::record::{Row, encode};
use crate::store::{SetAside, StoreError};

/// How far a copy is.
pub async fn stands(connection: &mut PgConnection) -> Result<Option<Progress>, Trouble> {
    let sql = "select mark, kind, after, batch from copies where id = 1";
    let row: Option<(String, String, Option<Vec<u8>>, i64)> = sqlx::query_as(sql).fetch_optional(connection).await?;
    let Some((of, word, after, batch)) = row else { return Ok(None) };
    let kind = match &*word {
        "" => None,
        word => Some(Kind::of(word)?),
    };
    Ok(Some(Progress { of, kind, after, batch: count(batch) }))
}

async fn note(connection: &mut PgConnection, at: &Progress) -> Result<(), Trouble> {
    sqlx::query(
        "insert into copies (id, mark, kind, after, batch, began) values (1, $1, $2, $3, $4, now())
         on conflict (id) do update set mark = excluded.mark, kind = excluded.kind, after = excluded.after,
         batch = excluded.batch",
    )
    .bind(&at.of)
    .bind(at.kind.map_or("", Kind::word))
    .bind(at.after.as_deref())
    .bind(number(at.batch))
    .execute(connection)
    .await?;
    Ok(())
}

/// As in a store that was never used.
async fn empty(connection: &mut PgConnection) -> Result<(), Trouble> {
    let sql = format!("truncate {} restart identity", TABLES.join(", "));
    sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection).await?;
    for sql in [
        "update journal set last = 0, mark = null",
        "update engine set version = 0, mark = null, decided = 0, step = 0, seq = 0, people = 0, reached = 0,
         program = null, adopted = null, open_step = null",
        "update totals set version = 0, value = 0",
    ] {
        sqlx::query(sql).execute(&mut *connection).await?;
    }
    Ok(())
}

#[async_trait]
impl Target for Database {
    async fn found(&mut self) -> Result<Option<Progress>, StoreError> {
        read!(&self.pool, |connection| stands(connection))
    }

    async fn begin(&mut self, _: &Frame, first: &Progress) -> Result<(), StoreError> {
        step!(&self.pool, |connection| async {
            self.gate.fence(connection).await?;
            empty(connection).await?;
            note(connection, first).await
        })
    }

    async fn put(&mut self, pieces: Vec<Piece>, then: &Progress) -> Result<(), StoreError> {
        step!(&self.pool, |connection| async {
            self.gate.fence(connection).await?;
            let (batch,): (i64,) =
                sqlx::query_as("select batch from copies where id = 1 for update").fetch_one(&mut *connection).await?;
            // It is there: only the answer was lost.
            if count(batch) < then.batch {
                write(connection, &pieces).await?;
                note(connection, then).await?;
            }
            Ok::<_, Trouble>(())
        })
    }

    async fn finish(&mut self) -> Result<(), StoreError> {
        step!(&self.pool, |connection| async {
            self.gate.fence(connection).await?;
            sqlx::query("delete from copies").execute(connection).await?;
            Ok::<_, Trouble>(())
        })
    }
}

/// Pieces of one batch, by what they are written with.
#[derive(Default)]
struct Sorted<'a> {
    events: Vec<(Position, &'a Event)>,
    cursors: Vec<(&'a str, &'a [u8])>,
    keys: Vec<(DedupeKey, Timestamp)>,
    names: Vec<(Hash, PersonId)>,
    people: Vec<&'a Person>,
    merged: Vec<(PersonId, PersonId)>,
    joins: Vec<people::JoinRow<'a>>,
    decisions: Vec<queue::DecisionRow<'a>>,
    activations: Vec<Queued>,
    lanes: Deltas,
    items: Vec<&'a crate::model::CatalogueItem>,
    codes: Vec<(&'a str, u64, &'a str)>,
    aside: Vec<SetAside>,
    log: Vec<&'a crate::store::audit::Audited>,
}

async fn write(connection: &mut PgConnection, pieces: &[Piece]) -> Result<(), Trouble> {
    let mut sorted = Sorted::default();
    for piece in pieces {
        match piece {
            Piece::Event(position, event) => sorted.events.push((*position, event)),
            Piece::Cursor(name, value) => sorted.cursors.push((name, value)),
            Piece::Key(key, at) => sorted.keys.push((*key, *at)),
            Piece::Name(key, person) => sorted.names.push((*key, *person)),
            Piece::Person(person) => sorted.people.push(person),
            Piece::Merged(person, survivor) => sorted.merged.push((*person, *survivor)),
            Piece::Join(one) => sorted.joins.push((one.person, one.n as usize, one.written.as_millis(), &one.entry)),
            Piece::Decision(one, _) => {
                let n = i16::try_from(one.n).unwrap_or(i16::MAX);
                sorted.decisions.push((one.person, n, one.written.as_millis(), &one.entry));
            }
            Piece::Queued(seq, row, activation) => {
                let (activation, row) = ((**activation).clone(), row.clone());
                let state = State::queued(&activation, &row);
                let queued = Queued { seq: *seq, state, activation, row, is_dead: false, ended_at: None };
                sorted.activations.push(queued);
            }
            Piece::Ended(one) => sorted.activations.push(ended(one)),
            Piece::Lane(lane) => drop(sorted.lanes.insert(lane.name.clone(), delta(lane))),
            Piece::Item(item) => sorted.items.push(item),
            Piece::Code(pool, place, code) => sorted.codes.push((pool, *place, code)),
            Piece::Aside(message) => sorted.aside.push(message.clone()),
            Piece::Audit(entry) => sorted.log.push(entry),
            one => write_one(connection, one).await?,
        }
    }
    sorted.write(connection).await
}

fn ended(one: &Ended) -> Queued {
    let Ended { seq, at, is_dead, attempts, activation } = one.clone();
    let row = Row { attempts, ..Row::default() };
    Queued { seq, state: State::Ended, activation, row, is_dead, ended_at: Some(at) }
}

fn delta(lane: &Lane) -> Delta {
    let n = |n: u64| number(n);
    let totals = &lane.totals;
    let sums = counts::Sums {
        queued: n(lane.queued),
        deferred: n(lane.deferred),
        dead: n(lane.dead),
        made: n(totals.made),
        accepted: n(totals.accepted),
        refused: n(totals.refused),
        expired: n(totals.expired),
        cancelled: n(totals.cancelled),
        forgotten: n(totals.forgotten),
    };
    Delta::of(sums, lane.triggers.iter().map(|(trigger, queued)| (trigger.clone(), n(*queued))).collect())
}

/// What there is little of.
async fn write_one(connection: &mut PgConnection, piece: &Piece) -> Result<(), Trouble> {
    match piece {
        Piece::Trigger(id, state) => commit::write_triggers(connection, &[(*id, state.clone())].into()).await,
        Piece::Pool(name, added, next) => {
            sqlx::query("insert into pools (name, added, next) values ($1, $2, $3)")
                .bind(&**name)
                .bind(number(*added))
                .bind(number(*next))
                .execute(connection)
                .await?;
            Ok(())
        }
        Piece::Kept(name, value) => small::keep_once(connection, name, value).await,
        Piece::Erasure(erasure) => commit::note_erasure(connection, erasure, &[]).await,
        Piece::Erased(id, lane, at, last) => {
            sqlx::query("insert into erased (id, lane, at, record) values ($1, $2, $3, $4)")
                .bind(text::occasion(*id))
                .bind(&**lane)
                .bind(at.as_millis())
                .bind(encode(last))
                .execute(connection)
                .await?;
            Ok(())
        }
        Piece::Forgotten(key, until) => {
            sqlx::query("insert into forgotten (key, until) values ($1, $2)")
                .bind(Uuid::from_bytes(*key))
                .bind(number(until.0))
                .execute(connection)
                .await?;
            Ok(())
        }
        Piece::Access(written, access) => commit::note_access(connection, access, *written).await,
        Piece::Register(version, value) => {
            sqlx::query("insert into register (id, version, value) values (1, $1, $2)")
                .bind(number(*version))
                .bind(value)
                .execute(connection)
                .await?;
            Ok(())
        }
        Piece::Engine(engine) => write_engine(connection, engine).await,
        _ => Ok(()),
    }
}

async fn write_engine(connection: &mut PgConnection, engine: &Engine) -> Result<(), Trouble> {
    let Engine { journaled, decided, step, seq, people, reached, program, adopted, open } = engine.clone();
    sqlx::query("update journal set last = $1 where id = 1")
        .bind(number(journaled.0))
        .execute(&mut *connection)
        .await?;
    let version = EngineRow::locked(connection).await?.version;
    let mut row = EngineRow { version, mark: None, decided, step, seq, people, reached, program, adopted, open };
    row.write(connection, Uuid::new_v4()).await
}

impl Sorted<'_> {
    /// What is old has its weeks, as it had where it comes from.
    async fn make_weeks(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let events = weeks::of_each(self.events.iter().map(|(_, event)| event.arrived));
        let decisions = weeks::of_each(self.decisions.iter().map(|(.., decision)| decision.at));
        for (table, weeks) in [(EVENTS, events), (DECISIONS, decisions)] {
            if !weeks.is_empty() {
                weeks::make(connection, table, weeks.into_iter()).await?;
            }
        }
        Ok(())
    }

    async fn write(self, connection: &mut PgConnection) -> Result<(), Trouble> {
        self.make_weeks(connection).await?;
        journal::insert(connection, &self.events).await?;
        if !self.cursors.is_empty() {
            sqlx::query("insert into cursors (name, value) select * from unnest($1::text[], $2::bytea[])")
                .bind(self.cursors.iter().map(|(name, _)| *name).collect::<Vec<_>>())
                .bind(self.cursors.iter().map(|(_, value)| *value).collect::<Vec<_>>())
                .execute(&mut *connection)
                .await?;
        }
        if !self.keys.is_empty() {
            sqlx::query("insert into dedupe (key, at) select * from unnest($1::uuid[], $2::bigint[])")
                .bind(self.keys.iter().map(|(key, _)| Uuid::from_bytes(*key)).collect::<Vec<_>>())
                .bind(self.keys.iter().map(|(_, at)| at.as_millis()).collect::<Vec<_>>())
                .execute(&mut *connection)
                .await?;
        }
        if !self.names.is_empty() {
            // What the names are, who has them says.
            sqlx::query(
                "insert into identifiers (key, name, person) select t.key, '', t.person
                 from unnest($1::uuid[], $2::uuid[]) as t(key, person)",
            )
            .bind(self.names.iter().map(|(key, _)| Uuid::from_bytes(*key)).collect::<Vec<_>>())
            .bind(self.names.iter().map(|(_, person)| text::person(*person)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
        }
        if !self.people.is_empty() {
            let mut writes = Writes::default();
            self.people.iter().for_each(|person| writes.whole(person, false));
            writes.write(connection).await?;
            name(connection, &self.people).await?;
        }
        if !self.merged.is_empty() {
            sqlx::query("insert into merged (person, survivor) select * from unnest($1::uuid[], $2::uuid[])")
                .bind(self.merged.iter().map(|(person, _)| text::person(*person)).collect::<Vec<_>>())
                .bind(self.merged.iter().map(|(_, survivor)| text::person(*survivor)).collect::<Vec<_>>())
                .execute(&mut *connection)
                .await?;
        }
        people::put_joins(connection, &self.joins).await?;
        queue::put_decisions(connection, &self.decisions, false).await?;
        rows::insert(connection, &self.activations).await?;
        counts::write(connection, Side::Others, &self.lanes).await?;
        if !self.items.is_empty() {
            let (version, _) = small::total(connection, CATALOGUE, 0).await?;
            let items: BTreeMap<&str, _> = self.items.into_iter().map(|item| (&*item.id, item)).collect();
            shelf::put(connection, version, &items).await?;
        }
        if !self.codes.is_empty() {
            sqlx::query(
                "insert into codes (code, pool, place) select * from unnest($1::text[], $2::text[], $3::bigint[])",
            )
            .bind(self.codes.iter().map(|(.., code)| *code).collect::<Vec<_>>())
            .bind(self.codes.iter().map(|(pool, ..)| *pool).collect::<Vec<_>>())
            .bind(self.codes.iter().map(|(_, place, _)| number(*place)).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
            small::total(connection, CODES, number(self.codes.len() as u64)).await?;
        }
        if !self.aside.is_empty() {
            small::set_aside_once(connection, &self.aside).await?;
        }
        if self.log.is_empty() { Ok(()) } else { register::put_log(connection, &self.log).await }
    }
}

/// Writes beside what stands for a name what it is.
async fn name(connection: &mut PgConnection, people: &[&Person]) -> Result<(), Trouble> {
    let names = || people.iter().flat_map(|person| person.identifiers.iter().map(|name| (name.to_text(), person.id)));
    sqlx::query(
        "update identifiers i set name = t.name from unnest($1::uuid[], $2::text[], $3::uuid[]) as t(key, name, person)
         where i.key = t.key and i.person = t.person",
    )
    .bind(names().map(|(name, _)| key(&name)).collect::<Vec<_>>())
    .bind(names().map(|(name, _)| shown(&name).into_owned()).collect::<Vec<_>>())
    .bind(names().map(|(_, person)| text::person(person)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}
