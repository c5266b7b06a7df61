//! Reports: what is read without changing anything; and what is noted of somebody's demands.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

use super::again::{Trouble, read, step};
use super::rows::Queued;
use super::text::{self, limit};
use super::{cut, journal, listing, people};
use crate::model::{
    Access, Attempt, Decision, Erasure, Identifier, Join, LaneName, OccasionId, PersonId, Position, Timestamp,
};
use crate::store::record::{decode, encode};
use crate::store::{Came, Receipt, StoreError, Story};

/// Decisions told of one person.
const MOST_TOLD: usize = 1_000;

/// Events that are looked at for one page at most.
const LOOKED: usize = 2_000;

type Records = Vec<(Vec<u8>,)>;

pub async fn came(
    pool: &PgPool,
    source: Option<&str>,
    before: Option<Position>,
    max: usize,
) -> Result<Came, StoreError> {
    let names = cut::names(pool).await?;
    let looked = read!(pool, |connection| journal::newest(connection, before, LOOKED))?;
    let is_all = looked.len() < LOOKED;
    Ok(Came::of(looked, (source, &names), max, is_all))
}

pub async fn find(pool: &PgPool, identifier: &Identifier) -> Result<Option<PersonId>, StoreError> {
    let owners = read!(pool, |connection| people::owners(connection, &[identifier]))?;
    Ok(owners.into_values().next())
}

pub async fn story(pool: &PgPool, id: PersonId) -> Result<Option<Story>, StoreError> {
    read!(pool, |connection| story_once(connection, id))
}

async fn story_once(connection: &mut PgConnection, id: PersonId) -> Result<Option<Story>, Trouble> {
    let id = people::now(connection, id).await?;
    let Some(person) = people::load(connection, &[id]).await?.remove(&id) else { return Ok(None) };
    let joins: Records = sqlx::query_as("select record from joins where person = $1 order by position, n")
        .bind(text::person(id))
        .fetch_all(&mut *connection)
        .await?;
    let joins = joins.iter().map(|(record,)| decode::<Join>(record)).collect::<Result<_, _>>()?;
    let told: Vec<(Uuid, i16, Vec<u8>)> = sqlx::query_as(
        "select occasion, n, record from decisions where person = $1 order by at desc, occasion desc, n desc limit $2",
    )
    .bind(text::person(id))
    .bind(limit(MOST_TOLD))
    .fetch_all(&mut *connection)
    .await?;
    let mut decisions = Vec::with_capacity(told.len());
    let mut occasions = Vec::new();
    for (occasion, n, record) in told.into_iter().rev() {
        decisions.push(decode::<Decision>(&record)?);
        if n == 0 {
            occasions.push(occasion);
        }
    }
    let mut by_occasion: HashMap<OccasionId, Vec<Queued>> = HashMap::new();
    for one in listing::of_occasions(connection, occasions.clone()).await? {
        by_occasion.entry(one.activation.occasion).or_default().push(one);
    }
    let records = occasions.iter().flat_map(|id| by_occasion.remove(&OccasionId(id.into_bytes())).unwrap_or_default());
    let records = records.map(Queued::into_record).collect();
    Ok(Some(Story { person, joins, decisions, records }))
}

/// A refusal lies under both whom it keeps apart.
pub async fn refused_joins(pool: &PgPool, max: usize) -> Result<Vec<Join>, StoreError> {
    read!(pool, |connection| async {
        let refused: Records = sqlx::query_as(
            "select record from joins where refused and person = survivor order by person, position limit $1",
        )
        .bind(limit(max))
        .fetch_all(connection)
        .await?;
        Ok::<_, Trouble>(refused.iter().map(|(record,)| decode(record)).collect::<Result<_, _>>()?)
    })
}

pub async fn accesses(pool: &PgPool, max: usize) -> Result<Vec<Access>, StoreError> {
    read!(pool, |connection| accesses_once(connection, max))
}

async fn accesses_once(connection: &mut PgConnection, max: usize) -> Result<Vec<Access>, Trouble> {
    let mut found = Vec::new();
    for sql in [
        "select record from accesses where answered is null order by asked, id limit $1",
        "select record from accesses where answered is not null order by asked, id limit $1",
    ] {
        let left = max.saturating_sub(found.len());
        let rows: Records = sqlx::query_as(sql).bind(limit(left)).fetch_all(&mut *connection).await?;
        for (record,) in rows {
            found.push(decode(&record)?);
        }
    }
    Ok(found)
}

pub async fn answer(pool: &PgPool, id: OccasionId, now: Timestamp) -> Result<bool, StoreError> {
    step!(pool, |connection| answer_once(connection, id, now))
}

async fn answer_once(connection: &mut PgConnection, id: OccasionId, now: Timestamp) -> Result<bool, Trouble> {
    let sql = "select record from accesses where id = $1 and answered is null for update";
    let open: Option<(Vec<u8>,)> =
        sqlx::query_as(sql).bind(text::occasion(id)).fetch_optional(&mut *connection).await?;
    let Some((record,)) = open else { return Ok(false) };
    let answered = Access { answered: Some(now), ..decode(&record)? };
    sqlx::query("update accesses set answered = $2, written = $2, record = $3 where id = $1")
        .bind(text::occasion(id))
        .bind(now.as_millis())
        .bind(encode(&answered))
        .execute(connection)
        .await?;
    Ok(true)
}

pub async fn receipts(pool: &PgPool, max: usize) -> Result<Vec<Receipt>, StoreError> {
    read!(pool, |connection| receipts_once(connection, max))
}

async fn receipts_once(connection: &mut PgConnection, max: usize) -> Result<Vec<Receipt>, Trouble> {
    let rows: Records = sqlx::query_as("select record from erasures order by decided desc, id desc limit $1")
        .bind(limit(max))
        .fetch_all(&mut *connection)
        .await?;
    let mut receipts = Vec::with_capacity(rows.len());
    for (record,) in rows {
        let erasure: Erasure = decode(&record)?;
        let mut tries: HashMap<LaneName, Attempt> = HashMap::new();
        for one in listing::of_occasions(connection, vec![text::occasion(erasure.id)]).await? {
            let last = one.row.attempts.last().cloned();
            tries.extend(last.map(|last| (one.activation.lane.clone(), last)));
        }
        // It is kept for longer than the activation.
        let ended: Vec<(String, Vec<u8>)> = sqlx::query_as("select lane, record from erased where id = $1")
            .bind(text::occasion(erasure.id))
            .fetch_all(&mut *connection)
            .await?;
        for (lane, record) in ended {
            tries.insert(lane.into(), decode(&record)?);
        }
        let lanes = erasure.lanes.iter().map(|lane| (lane.clone(), tries.remove(lane))).collect();
        receipts.push(Receipt { erasure, lanes });
    }
    Ok(receipts)
}
