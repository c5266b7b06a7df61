//! Who shares the tables: each daemon has a row, and says in it every few seconds that it is there.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row as _};
use uuid::Uuid;

use super::again::{Trouble, read, step};
use super::open;
use super::text::{at, shown};
use crate::model::build;
use crate::store::StoreError;
use crate::store::members::{Member, Members, Said, Takeover};
use crate::store::settings::Settings;

/// Takeovers that are shown.
const SHOWN: i64 = 20;

/// One that was heard of within this, and was not stopped, is there.
pub const ALIVE: &str = "not gone and seen > now() - interval '10 seconds'";

/// What a daemon is called where its configuration does not say it.
fn machine() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "espalier".into() } else { name.to_owned() }
}

/// This one's name.
pub fn name(settings: &Settings) -> String {
    shown(&settings.name.clone().unwrap_or_else(machine)).into_owned()
}

/// It is there.
pub async fn beat(pool: &PgPool, me: Uuid, name: &str, address: Option<&str>) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        sqlx::query(
            "insert into members (id, name, version, schema, address, since, seen, gone)
             values ($1, $2, $3, $4, $5, now(), now(), false)
             on conflict (id) do update set seen = now(), gone = false, address = excluded.address",
        )
        .bind(me)
        .bind(name)
        .bind(build::VERSION)
        .bind(open::known())
        .bind(address)
        .execute(connection)
        .await?;
        Ok::<_, Trouble>(())
    })
}

/// It ends.
pub async fn leave(pool: &PgPool, me: Uuid) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        sqlx::query("update members set seen = now(), gone = true where id = $1").bind(me).execute(connection).await?;
        Ok::<_, Trouble>(())
    })
}

/// Rows of the dead go, and what they said.
pub async fn cut(pool: &PgPool) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        sqlx::query("delete from members where seen < now() - interval '1 day'").execute(&mut *connection).await?;
        sqlx::query("delete from said where not exists (select 1 from members m where m.id = said.member)")
            .execute(&mut *connection)
            .await?;
        sqlx::query("delete from takeovers where at < now() - interval '7 days'").execute(connection).await?;
        Ok::<_, Trouble>(())
    })
}

pub async fn say(pool: &PgPool, me: Uuid, name: &str, value: &[u8]) -> Result<(), StoreError> {
    step!(pool, |connection| async {
        sqlx::query(
            "insert into said (member, name, value) values ($1, $2, $3)
             on conflict (member, name) do update set value = excluded.value",
        )
        .bind(me)
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
        Ok::<_, Trouble>(())
    })
}

pub async fn heard(pool: &PgPool, me: Uuid, name: &str) -> Result<Vec<Said>, StoreError> {
    let sql = format!(
        "select m.id, ({ALIVE}) as is_alive, s.value from said s, members m
         where m.id = s.member and m.id <> $1 and s.name = $2"
    );
    read!(pool, |connection| async {
        let query = sqlx::query_as(sqlx::AssertSqlSafe(sql.clone())).bind(me).bind(name);
        let rows: Vec<(Uuid, bool, Vec<u8>)> = query.fetch_all(connection).await?;
        let said = |(by, is_alive, value): (Uuid, bool, _)| Said { by: by.to_string(), is_alive, value };
        Ok::<_, Trouble>(rows.into_iter().map(said).collect())
    })
}

/// All of the last day, what each holds, and what went from one to another.
pub async fn all(connection: &mut PgConnection, me: Uuid) -> Result<Members, Trouble> {
    const MS: &str = "* 1000)::bigint";
    let sql = format!(
        "select id, name, version, schema, address, ({ALIVE}) as is_alive,
         (extract(epoch from since) {MS} as since, (extract(epoch from seen) {MS} as seen from members
         order by members.since, id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&mut *connection).await?;
    let held: Vec<(Uuid, String)> =
        sqlx::query_as("select holder, name from leases where holder is not null and until > now() order by name")
            .fetch_all(&mut *connection)
            .await?;
    let member = |row: &PgRow| {
        let id: Uuid = row.try_get("id")?;
        let schema: i32 = row.try_get("schema")?;
        Ok::<_, Trouble>(Member {
            id: id.to_string(),
            name: row.try_get("name")?,
            version: row.try_get("version")?,
            schema: u32::try_from(schema).unwrap_or(0),
            address: row.try_get("address")?,
            since: at(row.try_get("since")?),
            seen: at(row.try_get("seen")?),
            is_alive: row.try_get("is_alive")?,
            is_me: id == me,
            holds: held.iter().filter(|(holder, _)| *holder == id).map(|(_, name)| name.clone()).collect(),
        })
    };
    let members = rows.iter().map(member).collect::<Result<_, _>>()?;
    let sql = format!(
        "select lease, (extract(epoch from at) {MS}, from_whom, to_whom from takeovers order by takeovers.at desc limit $1"
    );
    let rows: Vec<(String, i64, String, String)> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(SHOWN).fetch_all(connection).await?;
    let takeover = |(of, ms, from, to)| Takeover { of, at: at(ms), from, to };
    Ok(Members { members, takeovers: rows.into_iter().map(takeover).collect() })
}
