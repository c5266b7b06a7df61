//! Connecting, and bringing the tables to this version's layout.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};

use super::again::{Trouble, read, step};
use super::{members, weeks};
use crate::store::StoreError;
use crate::store::settings::Settings;

/// A connection is waited for no longer.
const ACQUIRED: Duration = Duration::from_secs(5);
/// What a session allows: a statement, a wait for somebody's lock, a transaction that nobody goes on with. The last is
/// shorter than a lease: what a daemon that stands still has locked must not keep others from taking over. And how statements
/// are planned: anew each time, since a plan that was made for a table that is empty, as the outbox is now and then, reads
/// all of it when it is full.
const SESSION: [(&str, &str); 5] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "4s"),
    ("default_transaction_isolation", "read committed"),
    ("plan_cache_mode", "force_custom_plan"),
];

/// One step from a layout to the next.
#[derive(Clone, Copy)]
pub struct Migration {
    pub sql: &'static str,
    /// The oldest layout whose daemons go on working with what this makes: their own, where it only adds.
    pub oldest: u32,
}

/// The layout that each of these brings the tables to, from the one before it.
pub const MIGRATIONS: [Migration; 3] = [
    Migration { sql: include_str!("migrations/0001_first.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0002_members.sql"), oldest: 1 },
    Migration { sql: include_str!("migrations/0003_copies.sql"), oldest: 1 },
];
/// The layout whose tables are parted where the database can.
const FIRST: u32 = 1;
/// The layout from which on members say that they are there.
const MEMBERS: u32 = 2;

/// The newest layout that is known here.
pub fn known() -> i32 {
    i32::try_from(MIGRATIONS.len()).unwrap_or(i32::MAX)
}

/// Connections, none of which is open yet.
pub fn pool(settings: &Settings) -> Result<PgPool, StoreError> {
    let Some(url) = &settings.url else {
        return Err(StoreError::Unavailable("`[store] url` is missing: it says where PostgreSQL is".into()));
    };
    // What is wrong with it is not told: it has a password.
    let options = PgConnectOptions::from_str(url.expose())
        .map_err(|_| {
            StoreError::Unavailable("`[store] url` is no address of PostgreSQL: postgres://user@host/name".into())
        })?
        .application_name("espalier")
        .options(SESSION)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections.max(2))
        .acquire_timeout(ACQUIRED)
        // A step that meets a broken one is made again; asking each time first would cost every step a round.
        .test_before_acquire(false);
    Ok(pool.connect_lazy_with(options))
}

/// Makes the tables, or brings them to the layout of the last of these: one process at a time, all or nothing. Those of a
/// later version are used as they are, where it has only added to them.
pub async fn migrate(pool: &PgPool, migrations: &[Migration]) -> Result<(), StoreError> {
    if !read!(pool, |connection| is_there(connection))? {
        // Two that begin at the same instant: one of them makes it, and the other is told so.
        if let Err(error) = read!(pool, |connection| make(connection))
            && !read!(pool, |connection| is_there(connection))?
        {
            return Err(error);
        }
    }
    step!(pool, |connection| bring(connection, migrations))
}

/// The layout that the tables have; none where there are none.
pub async fn version(connection: &mut PgConnection) -> Result<Option<i32>, Trouble> {
    if !is_there(connection).await? {
        return Ok(None);
    }
    let sql = "select version from espalier_schema where id = 1";
    let version: Option<(i32,)> = sqlx::query_as(sql).fetch_optional(connection).await?;
    Ok(version.map(|(version,)| version))
}

async fn is_there(connection: &mut PgConnection) -> Result<bool, Trouble> {
    match sqlx::query("select version from espalier_schema where id = 1").execute(connection).await {
        Ok(_) => Ok(true),
        Err(sqlx::Error::Database(said)) if said.code().as_deref() == Some("42P01") => Ok(false),
        Err(error) => Err(error.into()),
    }
}

async fn make(connection: &mut PgConnection) -> Result<(), Trouble> {
    sqlx::query(
        "create table if not exists espalier_schema (id smallint primary key check (id = 1), version integer not null,
         oldest integer not null)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

async fn bring(connection: &mut PgConnection, migrations: &[Migration]) -> Result<(), Trouble> {
    sqlx::query("insert into espalier_schema (id, version, oldest) values (1, 0, 0) on conflict (id) do nothing")
        .execute(&mut *connection)
        .await?;
    // Held until all of it is made: others that begin wait.
    let (version, oldest): (i32, i32) =
        sqlx::query_as("select version, oldest from espalier_schema where id = 1 for update")
            .fetch_one(&mut *connection)
            .await?;
    let (version, oldest) = (u32::try_from(version).unwrap_or(0), u32::try_from(oldest).unwrap_or(0));
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if version > known {
        if oldest > known {
            return Err(StoreError::Newer { found: version, known }.into());
        }
        tracing::warn!(found = version, known, "the tables have a later layout, which this version can use");
        return Ok(());
    }
    let missing = migrations.get(usize::try_from(version).unwrap_or(usize::MAX)..).unwrap_or_default();
    let Some(needed) = missing.iter().map(|one| one.oldest).max().map(|needed| needed.max(oldest)) else {
        return Ok(());
    };
    if version >= MEMBERS && needed > oldest {
        refuse_beside(connection, needed).await?;
    }
    if version >= FIRST {
        refuse_unfinished(connection).await?;
    }
    for (layout, migration) in (version + 1..).zip(missing) {
        sqlx::raw_sql(migration.sql).execute(&mut *connection).await?;
        if layout == FIRST && weeks::are_known(connection).await? {
            sqlx::raw_sql(weeks::PARTED).execute(&mut *connection).await?;
        }
    }
    sqlx::query("update espalier_schema set version = $1, oldest = $2 where id = 1")
        .bind(i32::try_from(known).unwrap_or(i32::MAX))
        .bind(i32::try_from(needed).unwrap_or(i32::MAX))
        .execute(connection)
        .await?;
    tracing::info!(from = version, to = known, "the tables have this version's layout");
    Ok(())
}

/// The first layout was changed before it was released: what was made by it until then is not brought here.
async fn refuse_unfinished(connection: &mut PgConnection) -> Result<(), Trouble> {
    let sql = "select 1 from information_schema.columns where table_schema = current_schema()
         and table_name = 'activations' and column_name = 'attempts' and data_type = 'bytea'";
    let found: Option<(i32,)> = sqlx::query_as(sql).fetch_optional(connection).await?;
    match found {
        None => Ok(()),
        Some(_) => Err(StoreError::Unavailable(
            "the tables were made by a version from before their layout was released, and cannot be used: name an empty \
             database in `[store] url`"
                .into(),
        )
        .into()),
    }
}

/// Daemons that could not go on are not taken by surprise.
async fn refuse_beside(connection: &mut PgConnection, needed: u32) -> Result<(), Trouble> {
    let sql = format!("select name from members where schema < $1 and {} order by name", members::ALIVE);
    let names: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(i32::try_from(needed).unwrap_or(i32::MAX))
        .fetch_all(connection)
        .await?;
    if names.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = names.into_iter().map(|(name,)| name).collect();
    let words = format!(
        "this version changes tables that daemons of an earlier one are using: {}; stop all of them first",
        names.join(", ")
    );
    Err(StoreError::Unavailable(words).into())
}
