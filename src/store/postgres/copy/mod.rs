//! These tables copied to another adapter, and made of another's pieces: see [`crate::store::copy`].

mod gate;
mod making;
mod pieces;

use async_trait::async_trait;
use sqlx::{PgConnection, PgPool, Row as _};

pub use gate::refuse;

use super::again::{Trouble, read};
use super::engine::EngineRow;
use super::open;
use super::text::{count, limit, number};
use crate::model::Position;
use crate::store::StoreError;
use crate::store::copy::{Frame, Kind, Page, Source};
use crate::store::settings::Settings;
use gate::Gate;

/// Tables that have nothing in a store that was never used. `journal`, `engine` and `totals` have a row of their own.
pub const TABLES: [&str; 27] = [
    "events",
    "cursors",
    "dedupe",
    "people",
    "history",
    "identifiers",
    "merged",
    "joins",
    "decisions",
    "activations",
    "hands",
    "lane_counts",
    "lane_triggers",
    "trigger_states",
    "catalogue",
    "pools",
    "codes",
    "kept",
    "set_aside",
    "erasures",
    "erased",
    "forgotten",
    "accesses",
    "register",
    "audit",
    "takeovers",
    "said",
];

/// The tables, for who copies them or makes them.
pub struct Database {
    pool: PgPool,
    gate: Gate,
}

impl Database {
    /// Opens those that are copied.
    ///
    /// # Errors
    /// When the database cannot be reached, daemons use it, or it is no store of this version's layout.
    pub async fn source(settings: &Settings) -> Result<Self, StoreError> {
        let pool = open::pool(settings)?;
        let version = read!(&pool, |connection| open::version(connection))?;
        if version != Some(open::known()) {
            return Err(StoreError::Unavailable(
                "the database that is copied does not have this version's tables: start a daemon of this version once, and \
                 stop it"
                    .into(),
            ));
        }
        let gate = Gate::enter(&pool).await?;
        let is_half_made = read!(&pool, |connection| making::stands(connection))?.is_some();
        let database = Self { pool, gate };
        if is_half_made {
            database.close().await?;
            return Err(StoreError::Unavailable(
                "the database that is copied is itself a copy that was begun and not ended".into(),
            ));
        }
        Ok(database)
    }

    /// Opens those that are made, which have nothing, or what an earlier copy left.
    ///
    /// # Errors
    /// When the database cannot be reached, daemons use it, or it has something.
    pub async fn target(settings: &Settings) -> Result<Self, StoreError> {
        let pool = open::pool(settings)?;
        open::migrate(&pool, &open::MIGRATIONS).await?;
        let gate = Gate::enter(&pool).await?;
        let database = Self { pool, gate };
        let found = read!(&database.pool, |connection| used(connection))?;
        if let Some(table) = found {
            database.close().await?;
            return Err(StoreError::Unavailable(format!(
                "there is a store in this database already ({table}): name one that is empty"
            )));
        }
        Ok(database)
    }

    /// Lets others use it again.
    pub async fn close(self) -> Result<(), StoreError> {
        let left = self.gate.leave(&self.pool).await;
        self.pool.close().await;
        left
    }

    async fn frame(&self) -> Result<Frame, StoreError> {
        read!(&self.pool, |connection| frame(connection))
    }
}

/// A table that has something, where no copy is under way.
async fn used(connection: &mut PgConnection) -> Result<Option<&'static str>, Trouble> {
    if making::stands(connection).await?.is_some() {
        return Ok(None);
    }
    let sql = "select last > 0 as journal, (select version > 0 from engine where id = 1) as engine from journal
         where id = 1";
    let row = sqlx::query(sql).fetch_one(&mut *connection).await?;
    for table in ["journal", "engine"] {
        if row.try_get(table)? {
            return Ok(Some(table));
        }
    }
    for table in TABLES.into_iter().filter(|table| !["takeovers", "said"].contains(table)) {
        let sql = sqlx::AssertSqlSafe(format!("select exists (select 1 from {table})"));
        let (has,): (bool,) = sqlx::query_as(sql).fetch_one(&mut *connection).await?;
        if has {
            return Ok(Some(table));
        }
    }
    Ok(None)
}

/// Oldest events among which one may be missing: a week is dropped by when its events came, and others came at its end.
const OLDEST: usize = 100_000;

/// The journal begins behind whatever is missing among the oldest events.
async fn frame(connection: &mut PgConnection) -> Result<Frame, Trouble> {
    let engine = engine(connection).await?;
    let (first,): (i64,) = sqlx::query_as(
        "select coalesce(max(e.position), (select v.position from events v order by v.position limit 1), max(j.last) + 1)
         from journal j left join (select position, lag(position) over (order by position) as before
         from (select position from events order by position limit $1) oldest) e on e.position <> e.before + 1
         where j.id = 1",
    )
    .bind(limit(OLDEST))
    .fetch_one(connection)
    .await?;
    Ok(Frame { first: Position(count(first)), decided: engine.decided, step: engine.step })
}

async fn engine(connection: &mut PgConnection) -> Result<EngineRow, Trouble> {
    EngineRow::read(&sqlx::query("select * from engine where id = 1").fetch_one(connection).await?)
}

/// Of what grows with each write, and of the small values that do not.
async fn mark(connection: &mut PgConnection) -> Result<String, Trouble> {
    let mut hash = blake3::Hasher::new();
    let numbers = sqlx::query(
        "select j.last, j.mark, e.version, coalesce((select max(id) from audit), 0) as audited,
         coalesce((select version from register where id = 1), 0) as register,
         coalesce((select sum(version) from totals), 0)::bigint as totals,
         coalesce((select sum(version) from lane_counts), 0)::bigint as lanes
         from journal j, engine e where j.id = 1 and e.id = 1",
    )
    .fetch_one(&mut *connection)
    .await?;
    for name in ["last", "version", "audited", "register", "totals", "lanes"] {
        hash.update(&numbers.try_get::<i64, _>(name)?.to_le_bytes());
    }
    hash.update(numbers.try_get::<Option<uuid::Uuid>, _>("mark")?.unwrap_or_default().as_bytes());
    for sql in ["select name, value from kept order by name", "select name, value from cursors order by name"] {
        let rows: Vec<(String, Vec<u8>)> = sqlx::query_as(sql).fetch_all(&mut *connection).await?;
        for (name, value) in rows {
            for part in [name.as_bytes(), &value[..]] {
                hash.update(&number(part.len() as u64).to_le_bytes()).update(part);
            }
        }
    }
    Ok(format!("postgres {}", hash.finalize().to_hex()))
}

#[async_trait]
impl Source for Database {
    async fn frame(&mut self) -> Result<Frame, StoreError> {
        Self::frame(self).await
    }

    async fn mark(&mut self) -> Result<String, StoreError> {
        read!(&self.pool, |connection| async {
            self.gate.fence(connection).await?;
            mark(connection).await
        })
    }

    async fn page(&mut self, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError> {
        read!(&self.pool, |connection| pieces::page(connection, kind, after))
    }
}
