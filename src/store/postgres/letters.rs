//! What is put back by hand: dead letters, and what a vendor took and lost.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool};

use super::Inner;
use super::again::{Trouble, read, step};
use super::counts::{self, Deltas, Side, Written};
use super::rows::{self, COLUMNS, Queued, State};
use super::text::{limit, number};
use crate::model::{Action, ActionId, Timestamp};
use crate::store::record::Row;
use crate::store::{DeadLetter, Raised, StoreError, WorkId};

/// One, whatever became of it.
pub async fn one(connection: &mut PgConnection, id: WorkId) -> Result<Option<Queued>, Trouble> {
    let sql = format!("select {COLUMNS} from activations where seq = $1");
    let row: Option<PgRow> =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(number(id.0)).fetch_optional(connection).await?;
    row.as_ref().map(Queued::read).transpose()
}

/// The same, held for the rest of the transaction.
async fn held(connection: &mut PgConnection, id: WorkId) -> Result<Option<Queued>, Trouble> {
    let sql = format!("select {COLUMNS} from activations where seq = $1 for update");
    let row: Option<PgRow> =
        sqlx::query(sqlx::AssertSqlSafe(sql)).bind(number(id.0)).fetch_optional(connection).await?;
    row.as_ref().map(Queued::read).transpose()
}

/// Newest first; of one lane or of all.
pub async fn newest(pool: &PgPool, lane: Option<&str>, max: usize) -> Result<Vec<DeadLetter>, StoreError> {
    let rows = read!(pool, |connection| dead(connection, lane, None, max))?;
    Ok(rows.into_iter().map(Queued::into_letter).collect())
}

/// Dead letters of a number below this one, the highest first.
pub async fn dead(
    connection: &mut PgConnection,
    lane: Option<&str>,
    before: Option<WorkId>,
    max: usize,
) -> Result<Vec<Queued>, Trouble> {
    let sql = format!(
        "select {COLUMNS} from activations where dead and seq < $1 and ($2::text is null or lane = $2)
         order by seq desc limit $3"
    );
    let rows: Vec<PgRow> = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(before.map_or(i64::MAX, |before| number(before.0)))
        .bind(lane)
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
    Queued::read_all(&rows)
}

/// Puts a dead letter back, or drops it.
pub async fn raise(inner: &Inner, id: WorkId, replay: Option<Timestamp>) -> Result<Raised, StoreError> {
    let (raised, written) = step!(&inner.pool, |connection| raise_once(connection, id, replay))?;
    told(inner, written)?;
    Ok(raised)
}

async fn raise_once(
    connection: &mut PgConnection,
    id: WorkId,
    replay: Option<Timestamp>,
) -> Result<(Raised, Written), Trouble> {
    let Some(mut letter) = held(connection, id).await?.filter(|one| one.is_dead) else {
        return Ok((Raised::Missing, Written::default()));
    };
    let mut deltas = Deltas::new();
    let delta = deltas.entry(letter.activation.lane.clone()).or_default();
    delta.sums.dead -= 1;
    letter.is_dead = false;
    if let Some(expires_at) = replay {
        if letter.activation.broken.is_some() {
            return Ok((Raised::Broken, Written::default()));
        }
        delta.sums.refused -= 1;
        delta.add(&letter.activation.trigger);
        requeue(&mut letter, expires_at, false);
    } else if letter.activation.action == Action::Erase {
        // It needed the names for as long as it could be replayed.
        letter.activation = letter.activation.nameless();
    }
    rows::update(connection, [&letter]).await?;
    Ok((Raised::Done, counts::write(connection, Side::Others, &deltas).await?))
}

/// Puts an event that the vendor took back.
pub async fn resend(inner: &Inner, id: WorkId, expires_at: Timestamp) -> Result<Raised, StoreError> {
    let (raised, written) = step!(&inner.pool, |connection| resend_once(connection, id, expires_at))?;
    told(inner, written)?;
    Ok(raised)
}

async fn resend_once(
    connection: &mut PgConnection,
    id: WorkId,
    expires_at: Timestamp,
) -> Result<(Raised, Written), Trouble> {
    let is_taken = |one: &Queued| {
        one.state == State::Ended
            && one.row.attempts.last().is_some_and(|last| last.outcome.has_effect())
            && one.activation.action.id() == ActionId::default()
    };
    let Some(mut ended) = held(connection, id).await?.filter(is_taken) else {
        return Ok((Raised::Missing, Written::default()));
    };
    let mut deltas = Deltas::new();
    let delta = deltas.entry(ended.activation.lane.clone()).or_default();
    delta.sums.accepted -= 1;
    delta.add(&ended.activation.trigger);
    requeue(&mut ended, expires_at, true);
    rows::update(connection, [&ended]).await?;
    Ok((Raised::Done, counts::write(connection, Side::Others, &deltas).await?))
}

/// It waits again, with the tries it had.
fn requeue(one: &mut Queued, expires_at: Timestamp, may_have_left: bool) {
    one.activation.expires_at = one.activation.expires_at.max(expires_at);
    let attempts = std::mem::take(&mut one.row.attempts);
    one.row = Row { attempts, may_have_left, ..Row::default() };
    (one.state, one.ended_at) = (State::Ready, None);
}

fn told(inner: &Inner, written: Written) -> Result<(), StoreError> {
    inner.mirror.counted(written)?;
    inner.mirror.tell();
    Ok(())
}
