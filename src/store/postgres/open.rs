//! Connecting, and bringing the tables to this version's layout.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, PgConnection, PgPool};

use super::again::{Trouble, read, step};
use crate::store::StoreError;
use crate::store::settings::Settings;

/// A connection is waited for no longer.
const ACQUIRED: Duration = Duration::from_secs(5);
/// What a session allows: a statement, a wait for somebody's lock, a transaction that nobody goes on with. The last is
/// shorter than a lease: what a daemon that stands still has locked must not keep others from taking over.
const LIMITS: [(&str, &str); 4] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "4s"),
    ("default_transaction_isolation", "read committed"),
];

/// The layout that each of these brings the tables to, from the one before it.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_first.sql")];

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
        .options(LIMITS)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(settings.connections.max(2))
        .acquire_timeout(ACQUIRED)
        // A step that meets a broken one is made again; asking each time first would cost every step a round.
        .test_before_acquire(false);
    Ok(pool.connect_lazy_with(options))
}

/// Makes the tables, or brings them to this version's layout: one process at a time, all or nothing.
pub async fn migrate(pool: &PgPool) -> Result<(), StoreError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    if !read!(pool, |connection| is_there(connection))? {
        // Two that begin at the same instant: one of them makes it, and the other is told so.
        if let Err(error) = read!(pool, |connection| make(connection))
            && !read!(pool, |connection| is_there(connection))?
        {
            return Err(error);
        }
    }
    let found = step!(pool, |connection| bring(connection))?;
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(())
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
        "create table if not exists espalier_schema (id smallint primary key check (id = 1), version integer not null)",
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The layout that there is afterwards.
async fn bring(connection: &mut PgConnection) -> Result<u32, Trouble> {
    sqlx::query("insert into espalier_schema (id, version) values (1, 0) on conflict (id) do nothing")
        .execute(&mut *connection)
        .await?;
    let (version,): (i32,) = sqlx::query_as("select version from espalier_schema where id = 1 for update")
        .fetch_one(&mut *connection)
        .await?;
    let version = u32::try_from(version).unwrap_or(0);
    let missing = MIGRATIONS.iter().skip(usize::try_from(version).unwrap_or(usize::MAX));
    let mut reached = version;
    for migration in missing {
        sqlx::raw_sql(*migration).execute(&mut *connection).await?;
        reached += 1;
    }
    if reached > version {
        sqlx::query("update espalier_schema set version = $1 where id = 1")
            .bind(i32::try_from(reached).unwrap_or(i32::MAX))
            .execute(connection)
            .await?;
        tracing::info!(from = version, to = reached, "the tables have this version's layout");
    }
    Ok(reached)
}
