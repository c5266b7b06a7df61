//! A lane's steps: take, begin, settle, give back. One process at a time sends for a lane, by the lane's lease; what it
//! has in its hands is noted with the lease's epoch, so that whoever takes over finds it ready again, and what comes
//! late from the one before is refused row by row.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::again::{Trouble, read, step};
use super::counts::{self, Deltas, Side, Written};
use super::rows::{self, COLUMNS, Queued, State};
use super::text::{self, limit, number};
use super::{Inner, lease};
use crate::model::{LaneName, Outcome, Timestamp};
use crate::store::lists::Lists;
use crate::store::{Settled, StoreError, Work, WorkId};

/// Of so many rows that are given out, one goes to whom waits longest behind the highest priority.
const ONE_IN: usize = 10;
/// Rows whose time has come that are made ready at once, at least.
const WOKEN: usize = 1_000;

/// What this process knows of a lane that it sends for.
#[derive(Default)]
pub struct Hands {
    /// The lease for which `credit` and `is_unsure` are told.
    epoch: i64,
    /// In our hands, each with the epoch it was taken in.
    taken: HashMap<u64, (i64, Queued)>,
    /// Rows given out since one went to whom waits longest.
    credit: usize,
    /// A taking was begun and its end is not known: the database may note more than we have.
    is_unsure: bool,
}

pub async fn work(inner: &Inner, lane: &str, now: Timestamp, max: usize) -> Result<Vec<Work>, StoreError> {
    let Some(held) = inner.leases.take(&inner.pool, &lease::of_lane(lane)).await? else { return Ok(Vec::new()) };
    let hands = inner.hands(lane)?;
    // One at a time: nobody else takes meanwhile what this one has found.
    let mut hands = hands.lock().await;
    if hands.epoch != held.epoch {
        (hands.epoch, hands.credit, hands.is_unsure) = (held.epoch, 0, true);
    }
    if hands.is_unsure {
        let ours: Vec<i64> = hands.ours(held.epoch).map(|(seq, _)| number(*seq)).collect();
        step!(&inner.pool, |connection| put_down_all_but(connection, (lane, held.epoch), &ours))?;
        hands.is_unsure = false;
    }
    if held.is_new || inner.mirror.next(lane)?.is_some_and(|next| next <= now) {
        step!(&inner.pool, |connection| wake(connection, lane, now, max.max(WOKEN)))?;
        inner.mirror.refresh_waits(&inner.pool, &[Arc::from(lane)]).await?;
    }
    let found = read!(&inner.pool, |connection| find(connection, (lane, held.epoch), max, hands.credit))?;
    let mut lists = Lists::default();
    let mut chosen: Vec<Queued> = Vec::with_capacity(found.rows.len());
    chosen.extend(found.rows.into_iter().filter(|one| lists.agree(&one.activation)));
    if chosen.is_empty() {
        hands.credit = found.credit;
        return Ok(Vec::new());
    }
    hands.is_unsure = true;
    let taken = step!(&inner.pool, |connection| take(connection, inner, (lane, held.epoch), &chosen))?;
    chosen.retain(|one| taken.contains(&one.seq));
    for one in &chosen {
        hands.taken.insert(one.seq, (held.epoch, one.clone()));
    }
    (hands.is_unsure, hands.credit) = (false, found.credit);
    Ok(chosen.into_iter().map(|one| one.row.into_work(one.seq, one.activation)).collect())
}

impl Hands {
    fn ours(&self, epoch: i64) -> impl Iterator<Item = (&u64, &(i64, Queued))> {
        self.taken.iter().filter(move |(_, (taken, _))| *taken == epoch)
    }
}

/// Rows whose time has come are ready.
async fn wake(connection: &mut PgConnection, lane: &str, now: Timestamp, max: usize) -> Result<(), Trouble> {
    super::soon(connection).await?;
    sqlx::query(
        "update activations set state = 'ready' where seq in (
         select seq from activations where lane = $1 and state = 'waiting' and not_before <= $2
         order by not_before limit $3)",
    )
    .bind(lane)
    .bind(now.as_millis())
    .bind(limit(max))
    .execute(connection)
    .await?;
    Ok(())
}

/// What may leave next.
struct Found {
    rows: Vec<Queued>,
    credit: usize,
}

/// Finds up to `max` rows, in order; of one person nothing that is behind what somebody has, or what is tried again.
/// Behind more than that, those that wait longest have a bounded part of it, at its end.
async fn find(connection: &mut PgConnection, of: (&str, i64), max: usize, credit: usize) -> Result<Found, Trouble> {
    let mut rows = ready(connection, of, None, max + 1).await?;
    if rows.len() <= max {
        return Ok(Found { rows, credit });
    }
    let credit = credit + max;
    let mut behind = Vec::new();
    if credit >= ONE_IN
        && let Some(priority) = longest(connection, of).await?
    {
        behind = ready(connection, of, Some(priority), credit / ONE_IN).await?;
    }
    behind.truncate(max);
    rows.retain(|one| !behind.iter().any(|longest| longest.seq == one.seq));
    rows.truncate(max - behind.len());
    rows.append(&mut behind);
    Ok(Found { rows, credit: credit % ONE_IN })
}

async fn ready(
    connection: &mut PgConnection,
    (lane, epoch): (&str, i64),
    priority: Option<i16>,
    max: usize,
) -> Result<Vec<Queued>, Trouble> {
    const MAY_LEAVE: &str = "not exists (select 1 from hands h where h.lane = o.lane and h.person = o.person
         and h.epoch = $2)
         and not exists (select 1 from activations a where a.lane = o.lane and a.person = o.person
         and a.priority = o.priority and a.again and a.seq < o.seq)";
    let rows: Vec<PgRow> = match priority {
        None => {
            let sql = format!(
                "select {COLUMNS} from activations o where o.lane = $1 and o.state = 'ready' and {MAY_LEAVE}
                 order by o.priority desc, o.seq limit $3"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(lane).bind(epoch).bind(limit(max));
            query.fetch_all(connection).await?
        }
        Some(priority) => {
            let sql = format!(
                "select {COLUMNS} from activations o where o.lane = $1 and o.state = 'ready' and o.priority = $4
                 and {MAY_LEAVE} order by o.seq limit $3"
            );
            let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(lane).bind(epoch).bind(limit(max)).bind(priority);
            query.fetch_all(connection).await?
        }
    };
    Queued::read_all(&rows)
}

/// The priority, the highest one aside, whose first ready row waits longest. Each is found by one look at the index.
async fn longest(connection: &mut PgConnection, (lane, epoch): (&str, i64)) -> Result<Option<i16>, Trouble> {
    let found: Option<(i16,)> = sqlx::query_as(
        "with recursive firsts (priority, seq) as (
         (select o.priority, o.seq from activations o where o.lane = $1 and o.state = 'ready'
          and not exists (select 1 from hands h where h.seq = o.seq and h.epoch = $2)
          order by o.priority desc, o.seq limit 1)
         union all
         select n.priority, n.seq from firsts f, lateral (
          select o.priority, o.seq from activations o where o.lane = $1 and o.state = 'ready'
          and o.priority < f.priority
          and not exists (select 1 from hands h where h.seq = o.seq and h.epoch = $2)
          order by o.priority desc, o.seq limit 1) n)
         select priority from firsts where priority < (select max(priority) from firsts) order by seq limit 1",
    )
    .bind(lane)
    .bind(epoch)
    .fetch_optional(connection)
    .await?;
    Ok(found.map(|(priority,)| priority))
}

/// Notes that these are in our hands. Those that were called back meanwhile are not among what is returned.
async fn take(
    connection: &mut PgConnection,
    inner: &Inner,
    (lane, epoch): (&str, i64),
    chosen: &[Queued],
) -> Result<Vec<u64>, Trouble> {
    inner.leases.fence(connection, &lease::of_lane(lane), epoch).await?;
    super::soon(connection).await?;
    let seqs: Vec<i64> = chosen.iter().map(|one| number(one.seq)).collect();
    // Held, so that no step calls them back while they are noted.
    let rows: Vec<(i64, Uuid)> = sqlx::query_as(
        "select seq, person from activations where seq = any($1) and state = 'ready' order by seq for share",
    )
    .bind(seqs)
    .fetch_all(&mut *connection)
    .await?;
    sqlx::query(
        "insert into hands (seq, lane, person, epoch) select t.seq, $1, t.person, $2
         from unnest($3::bigint[], $4::uuid[]) as t(seq, person)
         on conflict (seq) do update set epoch = excluded.epoch",
    )
    .bind(lane)
    .bind(epoch)
    .bind(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, person)| *person).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(rows.into_iter().map(|(seq, _)| text::count(seq)).collect())
}

/// Whatever is noted as ours, and is not: an answer was lost. What is of an earlier epoch is nobody's, but the outcome of
/// who had it still counts until it is taken again.
async fn put_down_all_but(
    connection: &mut PgConnection,
    (lane, epoch): (&str, i64),
    ours: &[i64],
) -> Result<(), Trouble> {
    sqlx::query("delete from hands where lane = $1 and epoch = $2 and seq <> all($3)")
        .bind(lane)
        .bind(epoch)
        .bind(ours)
        .execute(connection)
        .await?;
    Ok(())
}

/// Notes durably that these are about to leave.
pub async fn begin(inner: &Inner, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
    let hands = inner.hands(lane)?;
    let mut hands = hands.lock().await;
    let ours: Vec<(i64, i64)> = ids.iter().filter_map(|id| Some((number(id.0), hands.taken.get(&id.0)?.0))).collect();
    if ours.is_empty() {
        return Ok(());
    }
    let begun = step!(&inner.pool, |connection| begin_once(connection, &ours))?;
    if begun < ours.len() as u64 {
        // Another sends for this lane by now, and has them.
        return Err(StoreError::Elsewhere);
    }
    for id in ids {
        if let Some((_, queued)) = hands.taken.get_mut(&id.0) {
            queued.row.may_have_left = true;
        }
    }
    Ok(())
}

async fn begin_once(connection: &mut PgConnection, ours: &[(i64, i64)]) -> Result<u64, Trouble> {
    let begun = sqlx::query(
        "update activations a set may_have_left = true
         from hands h, unnest($1::bigint[], $2::bigint[]) as t(seq, epoch)
         where a.seq = t.seq and h.seq = t.seq and h.epoch = t.epoch",
    )
    .bind(ours.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
    .bind(ours.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(begun.rows_affected())
}

/// Gives work back untried.
pub async fn release(inner: &Inner, lane: &str, ids: &[WorkId]) -> Result<(), StoreError> {
    let hands = inner.hands(lane)?;
    let mut hands = hands.lock().await;
    let ours: Vec<(i64, i64)> = ids.iter().filter_map(|id| Some((number(id.0), hands.taken.get(&id.0)?.0))).collect();
    if ours.is_empty() {
        return Ok(());
    }
    // What was unsure before is so afterwards.
    let was_unsure = std::mem::replace(&mut hands.is_unsure, true);
    for id in ids {
        hands.taken.remove(&id.0);
    }
    step!(&inner.pool, |connection| released(connection, &ours))?;
    hands.is_unsure = was_unsure;
    inner.mirror.tell();
    Ok(())
}

async fn released(connection: &mut PgConnection, ours: &[(i64, i64)]) -> Result<(), Trouble> {
    super::soon(connection).await?;
    put_down(connection, ours).await.map(drop)
}

/// Takes these out of our hands; those that were in them.
async fn put_down(connection: &mut PgConnection, ours: &[(i64, i64)]) -> Result<Vec<u64>, Trouble> {
    let rows: Vec<PgRow> = sqlx::query(
        "delete from hands h using unnest($1::bigint[], $2::bigint[]) as t(seq, epoch)
         where h.seq = t.seq and h.epoch = t.epoch returning h.seq",
    )
    .bind(ours.iter().map(|(seq, _)| *seq).collect::<Vec<_>>())
    .bind(ours.iter().map(|(_, epoch)| *epoch).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(text::count(row.try_get("seq")?))).collect()
}

/// Commits each record's own outcome. What is another's by now is left to them.
pub async fn settle(inner: &Inner, lane: &str, settled: &[Settled]) -> Result<(), StoreError> {
    let hands = inner.hands(lane)?;
    // Not held while the database works: who takes what is next need not wait for it.
    let ours: Vec<(i64, Queued)> = {
        let hands = hands.lock().await;
        let after = |one: &Settled| {
            let (epoch, queued) = hands.taken.get(&one.id.0)?;
            let mut queued = queued.clone();
            tried(&mut queued, one);
            Some((*epoch, queued))
        };
        settled.iter().filter_map(after).collect()
    };
    if ours.is_empty() {
        return Ok(());
    }
    let lane: LaneName = lane.into();
    let written = step!(&inner.pool, |connection| settle_once(connection, &lane, &ours))?;
    {
        let mut hands = hands.lock().await;
        for (_, queued) in &ours {
            hands.taken.remove(&queued.seq);
        }
    }
    let waits = written.waits.clone();
    inner.mirror.counted(written)?;
    // It is settled whatever becomes of this: it is read again each second.
    let _ = inner.mirror.refresh_waits(&inner.pool, &waits).await;
    inner.mirror.tell();
    Ok(())
}

/// What a row is after a try.
fn tried(queued: &mut Queued, one: &Settled) {
    match &one.attempt.outcome {
        Outcome::Later { not_before, is_throttled, may_have_left, .. } => {
            queued.row.not_before = Some(*not_before);
            queued.row.tries += u32::from(!is_throttled);
            queued.row.may_have_left = *may_have_left;
            queued.row.tried(&one.attempt);
            queued.state = State::Waiting;
        }
        _ => queued.end(one.attempt.at, &one.attempt),
    }
}

async fn settle_once(
    connection: &mut PgConnection,
    lane: &LaneName,
    ours: &[(i64, Queued)],
) -> Result<Written, Trouble> {
    let seqs: Vec<(i64, i64)> = ours.iter().map(|(epoch, one)| (number(one.seq), *epoch)).collect();
    let down = put_down(connection, &seqs).await?;
    let ours: Vec<&Queued> = ours.iter().map(|(_, one)| one).filter(|one| down.contains(&one.seq)).collect();
    if ours.is_empty() {
        return Ok(Written::default());
    }
    let seqs: Vec<i64> = ours.iter().map(|one| number(one.seq)).collect();
    // As they were: what is deferred is counted by it.
    let before: Vec<(i64, Option<i64>)> =
        sqlx::query_as("select seq, not_before from activations where seq = any($1) order by seq for update")
            .bind(seqs)
            .fetch_all(&mut *connection)
            .await?;
    let was_deferred: HashMap<u64, bool> =
        before.into_iter().map(|(seq, not_before)| (text::count(seq), not_before.is_some())).collect();
    let mut deltas = Deltas::new();
    let delta = deltas.entry(lane.clone()).or_default();
    for one in &ours {
        let Some(was_deferred) = was_deferred.get(&one.seq) else { continue };
        if one.state == State::Waiting {
            delta.sums.deferred += i64::from(!was_deferred);
            delta.waits = true;
        } else {
            delta.take(&one.activation.trigger);
            delta.sums.deferred -= i64::from(*was_deferred);
            delta.sums.dead += i64::from(one.is_dead);
            if let Some(last) = one.row.attempts.last() {
                delta.ended(&last.outcome);
            }
            rows::note_erased(connection, one.ended_at.unwrap_or_default(), one).await?;
        }
    }
    rows::settle(connection, &ours).await?;
    counts::write(connection, Side::Sender, &deltas).await
}
