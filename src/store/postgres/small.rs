//! Small values that rooms keep by name, and messages set aside.

use sqlx::{PgConnection, PgPool};

use super::Inner;
use super::again::{Trouble, read, step};
use super::lease::Leases;
use super::mirror::SET_ASIDE;
use super::text::{count, limit, number, shown};
use crate::store::record::{decode, encode};
use crate::store::{Duty, SetAside, StoreError};

/// Messages set aside at most; the oldest go first.
const MOST_ASIDE: u64 = 10_000;

/// A value by its name.
pub async fn named(connection: &mut PgConnection, sql: &'static str, name: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let value: Option<(Vec<u8>,)> = sqlx::query_as(sql).bind(name).fetch_optional(connection).await?;
    Ok(value.map(|(value,)| value))
}

pub async fn kept(pool: &PgPool, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
    read!(pool, |connection| named(connection, "select value from kept where name = $1", name))
}

pub async fn keep(pool: &PgPool, name: &str, value: &[u8]) -> Result<(), StoreError> {
    step!(pool, |connection| keep_once(connection, name, value))
}

pub async fn keep_for(
    pool: &PgPool,
    (leases, duty): (&Leases, &Duty),
    name: &str,
    value: &[u8],
) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        leases.fence(connection, duty.name(), number(duty.term())).await?;
        keep_once(connection, name, value).await
    })
}

/// A value under a name.
pub async fn keep_once(connection: &mut PgConnection, name: &str, value: &[u8]) -> Result<(), Trouble> {
    sqlx::query(
        "insert into kept (name, value) values ($1, $2) on conflict (name) do update set value = excluded.value",
    )
    .bind(name)
    .bind(value)
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn set_aside(inner: &Inner, messages: &[SetAside]) -> Result<(), StoreError> {
    if messages.is_empty() {
        return Ok(());
    }
    let (version, left) = step!(&inner.pool, |connection| set_aside_once(connection, messages))?;
    inner.mirror.total_written(SET_ASIDE, version, left)
}

/// Messages set aside; the oldest go where they are too many.
pub async fn set_aside_once(connection: &mut PgConnection, messages: &[SetAside]) -> Result<(i64, u64), Trouble> {
    sqlx::query(
        "insert into set_aside (at, source, record) select * from unnest($1::bigint[], $2::text[], $3::bytea[])",
    )
    .bind(messages.iter().map(|one| one.at.as_millis()).collect::<Vec<_>>())
    .bind(messages.iter().map(|one| shown(&one.source).into_owned()).collect::<Vec<_>>())
    .bind(messages.iter().map(encode).collect::<Vec<_>>())
    .execute(&mut *connection)
    .await?;
    let (version, there) = total(connection, SET_ASIDE, number(messages.len() as u64)).await?;
    let surplus = there.saturating_sub(MOST_ASIDE);
    if surplus == 0 {
        return Ok((version, there));
    }
    let gone = sqlx::query("delete from set_aside where id in (select id from set_aside order by id limit $1)")
        .bind(number(surplus))
        .execute(&mut *connection)
        .await?;
    total(connection, SET_ASIDE, -number(gone.rows_affected())).await
}

/// Adds to a total; its version and value afterwards. Its row is held for the rest of the transaction.
pub async fn total(connection: &mut PgConnection, name: &str, more: i64) -> Result<(i64, u64), Trouble> {
    let (version, value): (i64, i64) = sqlx::query_as(
        "update totals set version = version + 1, value = value + $2 where name = $1 returning version, value",
    )
    .bind(name)
    .bind(more)
    .fetch_one(connection)
    .await?;
    Ok((version, count(value)))
}

pub async fn set_aside_list(pool: &PgPool, max: usize) -> Result<Vec<SetAside>, StoreError> {
    read!(pool, |connection| async {
        let rows: Vec<(Vec<u8>,)> = sqlx::query_as("select record from set_aside order by id desc limit $1")
            .bind(limit(max))
            .fetch_all(connection)
            .await?;
        Ok::<_, Trouble>(rows.iter().map(|(record,)| decode(record)).collect::<Result<_, _>>()?)
    })
}
