//! Activations as they lie in the database: one row each, from being decided to being forgotten.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::again::Trouble;
use super::attempts;
use super::text::{self, count, number, put_back, shown, taken_out};
use crate::model::{Action, Activation, Attempt, Outcome, Timestamp, TriggerId};
use crate::store::record::{Row, decode, encode};
use crate::store::{DeadLetter, End, Record, WorkId};

/// Where one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may leave.
    Ready,
    /// For a time.
    Waiting,
    /// Until its trigger is resumed.
    Held,
    /// It is in the queue no more.
    Ended,
}

impl State {
    /// As it is written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Held => "held",
            Self::Ended => "ended",
        }
    }

    fn of(word: &str) -> Self {
        match word {
            "ready" => Self::Ready,
            "waiting" => Self::Waiting,
            "held" => Self::Held,
            _ => Self::Ended,
        }
    }

    /// Of one that is queued.
    pub fn queued(activation: &Activation, row: &Row) -> Self {
        if activation.is_held() {
            Self::Held
        } else if row.not_before.is_some() {
            Self::Waiting
        } else {
            Self::Ready
        }
    }
}

/// A row.
#[derive(Clone, Debug)]
pub struct Queued {
    pub seq: u64,
    pub state: State,
    pub activation: Activation,
    pub row: Row,
    pub is_dead: bool,
    pub ended_at: Option<Timestamp>,
}

/// The columns that [`Queued::read`] needs.
pub const COLUMNS: &str = "seq, state, tries, may_have_left, not_before, attempts, dead, ended_at, payload, record";

impl Queued {
    /// From a row with [`COLUMNS`].
    pub fn read(row: &PgRow) -> Result<Self, Trouble> {
        let mut activation: Activation = decode(row.try_get("record")?)?;
        put_back(&mut activation.payload, row.try_get("payload")?);
        let at = |ms: Option<i64>| ms.map(Timestamp::from_millis);
        Ok(Self {
            seq: count(row.try_get("seq")?),
            state: State::of(row.try_get("state")?),
            activation,
            row: Row {
                tries: u32::try_from(row.try_get::<i32, _>("tries")?).unwrap_or(0),
                may_have_left: row.try_get("may_have_left")?,
                not_before: at(row.try_get("not_before")?),
                attempts: attempts::of_text(row.try_get("attempts")?)?,
            },
            is_dead: row.try_get("dead")?,
            ended_at: at(row.try_get("ended_at")?),
        })
    }

    /// All of these rows.
    pub fn read_all(rows: &[PgRow]) -> Result<Vec<Self>, Trouble> {
        rows.iter().map(Self::read).collect()
    }

    /// Ends it: how, and when, is its last try's.
    pub fn end(&mut self, at: Timestamp, attempt: &Attempt) {
        self.row.tried(attempt);
        (self.state, self.ended_at) = (State::Ended, Some(at));
        self.is_dead = matches!(attempt.outcome, Outcome::Refused { .. });
        // Who is forgotten everywhere is named nowhere any more.
        if self.activation.action == Action::Erase && attempt.outcome.has_effect() {
            self.activation = self.activation.nameless();
        }
    }

    /// As it is told of.
    pub fn into_record(self) -> Record {
        let is_queued = self.state != State::Ended;
        Record { activation: self.activation, attempts: self.row.attempts, is_queued }
    }

    /// The same of one that has ended.
    pub fn into_end(self) -> End {
        let at = self.ended_at.unwrap_or_default();
        End { id: WorkId(self.seq), activation: self.activation, attempts: self.row.attempts, at }
    }

    /// The same of one that is dead.
    pub fn into_letter(self) -> DeadLetter {
        let at = self.ended_at.unwrap_or_default();
        DeadLetter { id: WorkId(self.seq), activation: self.activation, attempts: self.row.attempts, at }
    }

    /// It waits for another try: what is behind it waits too.
    fn is_again(&self) -> bool {
        self.state == State::Waiting && !self.row.attempts.is_empty()
    }

    /// The last try's outcome, as a column says it.
    fn outcome(&self) -> Option<&'static str> {
        self.row.attempts.last().map(|attempt| attempt.outcome.word())
    }
}

/// What is written of several rows, by column.
#[derive(Default)]
struct Columns {
    seq: Vec<i64>,
    state: Vec<&'static str>,
    expires_at: Vec<i64>,
    not_before: Vec<Option<i64>>,
    planned: Vec<Option<i64>>,
    tries: Vec<i32>,
    again: Vec<bool>,
    may_have_left: Vec<bool>,
    ended_at: Vec<Option<i64>>,
    outcome: Vec<Option<&'static str>>,
    dead: Vec<bool>,
    attempts: Vec<String>,
    payload: Vec<Option<String>>,
    /// None where what is to be sent, with its payload, stays as it is.
    record: Vec<Option<Vec<u8>>>,
}

impl Columns {
    /// `stays` is true where what is to be sent is there already.
    fn of<'a>(rows: impl IntoIterator<Item = &'a Queued>, stays: impl Fn(&Queued) -> bool) -> Self {
        let ms = |at: Option<Timestamp>| at.map(Timestamp::as_millis);
        let mut columns = Self::default();
        for one in rows {
            columns.seq.push(number(one.seq));
            columns.state.push(one.state.word());
            columns.expires_at.push(one.activation.expires_at.as_millis());
            columns.not_before.push(ms(one.row.not_before));
            columns.planned.push(ms(one.activation.not_before));
            columns.tries.push(i32::try_from(one.row.tries).unwrap_or(i32::MAX));
            columns.again.push(one.is_again());
            columns.may_have_left.push(one.row.may_have_left);
            columns.ended_at.push(ms(one.ended_at));
            columns.outcome.push(one.outcome());
            columns.dead.push(one.is_dead);
            columns.attempts.push(attempts::to_text(&one.row.attempts));
            let mut rest = (!stays(one)).then(|| one.activation.clone());
            columns.payload.push(rest.as_mut().and_then(|rest| taken_out(&mut rest.payload)));
            columns.record.push(rest.as_ref().map(encode));
        }
        columns
    }
}

/// Puts new rows in. Each is one that is not there: the transaction has looked.
pub async fn insert(connection: &mut PgConnection, rows: &[Queued]) -> Result<(), Trouble> {
    if rows.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(rows, |_| false);
    sqlx::query(
        "insert into activations (seq, lane, occasion, action, trigger, trigger_id, person, priority, state, at,
         expires_at, not_before, planned, tries, again, may_have_left, ended_at, outcome, dead, attempts, payload,
         record)
         select * from unnest($1::bigint[], $2::text[], $3::uuid[], $4::bigint[], $5::text[], $6::bigint[], $7::uuid[],
         $8::smallint[], $9::text[], $10::bigint[], $11::bigint[], $12::bigint[], $13::bigint[], $14::int[],
         $15::boolean[], $16::boolean[], $17::bigint[], $18::text[], $19::boolean[], $20::text[], $21::text[],
         $22::bytea[])",
    )
    .bind(columns.seq)
    .bind(rows.iter().map(|one| &*one.activation.lane).collect::<Vec<&str>>())
    .bind(rows.iter().map(|one| text::occasion(one.activation.occasion)).collect::<Vec<Uuid>>())
    .bind(rows.iter().map(|one| i64::from(one.activation.action.id().0)).collect::<Vec<i64>>())
    .bind(rows.iter().map(|one| shown(&one.activation.trigger).into_owned()).collect::<Vec<String>>())
    .bind(rows.iter().map(|one| text::trigger(TriggerId::of(&one.activation.trigger))).collect::<Vec<i64>>())
    .bind(rows.iter().map(|one| text::person(one.activation.person)).collect::<Vec<Uuid>>())
    .bind(rows.iter().map(|one| i16::from(one.activation.priority)).collect::<Vec<i16>>())
    .bind(columns.state)
    .bind(rows.iter().map(|one| one.activation.at.as_millis()).collect::<Vec<i64>>())
    .bind(columns.expires_at)
    .bind(columns.not_before)
    .bind(columns.planned)
    .bind(columns.tries)
    .bind(columns.again)
    .bind(columns.may_have_left)
    .bind(columns.ended_at)
    .bind(columns.outcome)
    .bind(columns.dead)
    .bind(columns.attempts)
    .bind(columns.payload)
    .bind(columns.record)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes rows anew that are there.
pub async fn update<'a>(
    connection: &mut PgConnection,
    rows: impl IntoIterator<Item = &'a Queued>,
) -> Result<(), Trouble> {
    write(connection, Columns::of(rows, |_| false)).await
}

/// The same after a try, which says nothing of what was to be sent: that need not go to the database again. Of an erasure
/// it does, since who was erased is named no more.
pub async fn settle(connection: &mut PgConnection, rows: &[&Queued]) -> Result<(), Trouble> {
    write(connection, Columns::of(rows.iter().copied(), |one| one.activation.action != Action::Erase)).await
}

async fn write(connection: &mut PgConnection, columns: Columns) -> Result<(), Trouble> {
    if columns.seq.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "update activations a set state = t.state, expires_at = t.expires_at, not_before = t.not_before,
         planned = t.planned, tries = t.tries, again = t.again, may_have_left = t.may_have_left,
         ended_at = t.ended_at, outcome = t.outcome, dead = t.dead, attempts = t.attempts,
         payload = case when t.record is null then a.payload else t.payload end, record = coalesce(t.record, a.record)
         from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::int[], $7::boolean[],
         $8::boolean[], $9::bigint[], $10::text[], $11::boolean[], $12::text[], $13::text[], $14::bytea[])
         as t(seq, state, expires_at, not_before, planned, tries, again, may_have_left, ended_at, outcome, dead,
         attempts, payload, record)
         where a.seq = t.seq",
    )
    .bind(columns.seq)
    .bind(columns.state)
    .bind(columns.expires_at)
    .bind(columns.not_before)
    .bind(columns.planned)
    .bind(columns.tries)
    .bind(columns.again)
    .bind(columns.may_have_left)
    .bind(columns.ended_at)
    .bind(columns.outcome)
    .bind(columns.dead)
    .bind(columns.attempts)
    .bind(columns.payload)
    .bind(columns.record)
    .execute(connection)
    .await?;
    Ok(())
}

/// How an erasure ended at a destination: kept longer than its activation.
pub async fn note_erased(connection: &mut PgConnection, at: Timestamp, one: &Queued) -> Result<(), Trouble> {
    let Some(last) = one.row.attempts.last().filter(|_| one.activation.action == Action::Erase) else { return Ok(()) };
    sqlx::query(
        "insert into erased (id, lane, at, record) values ($1, $2, $3, $4)
         on conflict (id, lane) do update set at = excluded.at, record = excluded.record",
    )
    .bind(text::occasion(one.activation.occasion))
    .bind(&*one.activation.lane)
    .bind(at.as_millis())
    .bind(encode(last))
    .execute(connection)
    .await?;
    Ok(())
}
