//! Who may come in, and who changed what.

use sqlx::{AssertSqlSafe, PgConnection, PgPool};

use super::again::{Trouble, read, step};
use super::text::{at, count, limit, number, shown};
use crate::store::StoreError;
use crate::store::audit::{Asked, Audited};

/// Entries of the audit log that are kept: the newest.
const KEPT: i64 = 40_000;

pub async fn access(pool: &PgPool) -> Result<(u64, Option<Vec<u8>>), StoreError> {
    let read = read!(pool, |connection| async {
        let sql = "select version, value from register where id = 1";
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(sql).fetch_optional(connection).await?;
        Ok::<_, Trouble>(row)
    })?;
    Ok(read.map_or((0, None), |(version, value)| (count(version), Some(value))))
}

pub async fn put_access(pool: &PgPool, version: u64, value: &[u8]) -> Result<bool, StoreError> {
    step!(pool, |connection| put_once(connection, version, value))
}

async fn put_once(connection: &mut PgConnection, version: u64, value: &[u8]) -> Result<bool, Trouble> {
    // The first is put where there is none; every other one in the place of the version that was read.
    let sql = if version == 0 {
        "insert into register (id, version, value) values (1, $1 + 1, $2) on conflict (id) do nothing"
    } else {
        "update register set version = $1 + 1, value = $2 where id = 1 and version = $1"
    };
    let put = sqlx::query(sql).bind(number(version)).bind(value).execute(connection).await?;
    Ok(put.rows_affected() == 1)
}

pub async fn ask(pool: &PgPool, asked: &Asked) -> Result<u64, StoreError> {
    step!(pool, |connection| ask_once(connection, asked))
}

async fn ask_once(connection: &mut PgConnection, asked: &Asked) -> Result<u64, Trouble> {
    let (id,): (i64,) =
        sqlx::query_as("insert into audit (at, by_whom, did, of_what, note) values ($1, $2, $3, $4, '') returning id")
            .bind(asked.at.as_millis())
            .bind(shown(&asked.by))
            .bind(shown(&asked.did))
            .bind(shown(&asked.of))
            .fetch_one(&mut *connection)
            .await?;
    sqlx::query("delete from audit where id <= $1").bind(id - KEPT).execute(connection).await?;
    Ok(count(id))
}

pub async fn ended(pool: &PgPool, id: u64, status: u16, note: &str) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        sqlx::query("update audit set status = $2, note = $3 where id = $1")
            .bind(number(id))
            .bind(i32::from(status))
            .bind(shown(note))
            .execute(connection)
            .await?;
        Ok::<_, Trouble>(())
    })
}

type Row = (i64, i64, String, String, String, Option<i32>, String);

pub async fn list(pool: &PgPool, before: Option<u64>, max: usize) -> Result<Vec<Audited>, StoreError> {
    read!(pool, |connection| list_once(connection, before, max))
}

/// The log, newest first, those before `before`.
pub async fn list_once(
    connection: &mut PgConnection,
    before: Option<u64>,
    max: usize,
) -> Result<Vec<Audited>, Trouble> {
    let rows: Vec<Row> = sqlx::query_as(
        "select id, at, by_whom, did, of_what, status, note from audit where id < $1 order by id desc limit $2",
    )
    .bind(before.map_or(i64::MAX, number))
    .bind(limit(max))
    .fetch_all(connection)
    .await?;
    let entry = |(id, ms, by, did, of, status, note): Row| Audited {
        id: count(id),
        asked: Asked { at: at(ms), by: by.into(), did: did.into(), of: of.into() },
        status: status.and_then(|status| u16::try_from(status).ok()),
        note: note.into(),
    };
    Ok(rows.into_iter().map(entry).collect())
}

/// What another store's log is, oldest first: numbers go on behind it.
pub async fn put_log(connection: &mut PgConnection, log: &[&Audited]) -> Result<(), Trouble> {
    let text =
        |pick: fn(&Audited) -> &str| log.iter().map(|one| shown(pick(one)).into_owned()).collect::<Vec<String>>();
    sqlx::query(
        "insert into audit (id, at, by_whom, did, of_what, status, note) overriding system value
         select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::int[], $7::text[])",
    )
    .bind(log.iter().map(|one| number(one.id)).collect::<Vec<_>>())
    .bind(log.iter().map(|one| one.asked.at.as_millis()).collect::<Vec<_>>())
    .bind(text(|one| &one.asked.by))
    .bind(text(|one| &one.asked.did))
    .bind(text(|one| &one.asked.of))
    .bind(log.iter().map(|one| one.status.map(i32::from)).collect::<Vec<_>>())
    .bind(text(|one| &one.note))
    .execute(&mut *connection)
    .await?;
    let next = log.iter().map(|one| one.id).max().unwrap_or(0) + 1;
    let sql = format!("alter table audit alter column id restart with {next}");
    sqlx::query(AssertSqlSafe(sql)).execute(connection).await?;
    Ok(())
}
