//! Nobody else uses the tables while they are copied, or made. Who copies holds a lease, and what is half made has a row.
//! A daemon says that it is there before it looks for these, and who copies looks for daemons after that: so one of the
//! two sees the other.

use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use uuid::Uuid;

use crate::store::StoreError;
use crate::store::postgres::again::{Trouble, read, step};
use crate::store::postgres::members;

/// The lease.
const LEASE: &str = "copy";
/// How often it is renewed; a fifth of how long it lasts.
const RENEWED: Duration = Duration::from_secs(2);

/// The tables are ours.
pub struct Gate {
    me: Uuid,
    renewing: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.renewing.abort();
    }
}

/// Refuses to whoever would use the tables while they are copied, or half made.
pub async fn refuse(pool: &PgPool) -> Result<(), StoreError> {
    let (is_copied, is_half_made) = read!(pool, |connection| stands(connection))?;
    if is_copied {
        return Err(StoreError::Unavailable(
            "`espalier store copy` is at work on this database: wait until it ends".into(),
        ));
    }
    if is_half_made {
        return Err(StoreError::Unavailable(
            "a copy to this database was begun and not ended: give the same `espalier store copy` again, which goes on \
             with it; or make the database anew"
                .into(),
        ));
    }
    Ok(())
}

/// Whether somebody copies just now, and whether a copy to here is not ended.
async fn stands(connection: &mut PgConnection) -> Result<(bool, bool), Trouble> {
    let sql = "select exists (select 1 from leases where name = $1 and holder is not null and until > now()),
         exists (select 1 from copies)";
    Ok(sqlx::query_as(sql).bind(LEASE).fetch_one(connection).await?)
}

impl Gate {
    /// Takes them, where nobody else has them.
    pub async fn enter(pool: &PgPool) -> Result<Self, StoreError> {
        let me = Uuid::new_v4();
        if !step!(pool, |connection| take(connection, me))? {
            return Err(StoreError::Unavailable("another `espalier store copy` is at work on this database".into()));
        }
        let renewing = tokio::spawn(renew(pool.clone(), me));
        let gate = Self { me, renewing };
        let alive = read!(pool, |connection| alive(connection))?;
        if alive.is_empty() {
            return Ok(gate);
        }
        gate.leave(pool).await?;
        Err(StoreError::Unavailable(format!(
            "daemons use this database: {}; stop all of them first (one that was killed counts for ten seconds more)",
            alive.join(", ")
        )))
    }

    /// They are ours for the rest of this transaction.
    pub async fn fence(&self, connection: &mut PgConnection) -> Result<(), Trouble> {
        let sql = "select 1 from leases where name = $1 and holder = $2 and until > now() for share";
        let held = sqlx::query(sql).bind(LEASE).bind(self.me).fetch_optional(connection).await?;
        match held {
            Some(_) => Ok(()),
            None => Err(StoreError::Unavailable(
                "the database did not answer for so long that somebody else may have used it: give the same command again"
                    .into(),
            )
            .into()),
        }
    }

    /// Gives them back.
    pub async fn leave(self, pool: &PgPool) -> Result<(), StoreError> {
        self.renewing.abort();
        step!(pool, |connection| async {
            let sql = "delete from leases where name = $1 and holder = $2";
            sqlx::query(sql).bind(LEASE).bind(self.me).execute(connection).await?;
            Ok::<_, Trouble>(())
        })
    }
}

async fn take(connection: &mut PgConnection, me: Uuid) -> Result<bool, Trouble> {
    let taken = sqlx::query(
        "insert into leases (name, holder, epoch, until) values ($1, $2, 1, now() + interval '10 seconds')
         on conflict (name) do update set holder = excluded.holder, epoch = leases.epoch + 1, until = excluded.until
         where leases.until <= now() or leases.holder is null or leases.holder = excluded.holder",
    )
    .bind(LEASE)
    .bind(me)
    .execute(connection)
    .await?;
    Ok(taken.rows_affected() == 1)
}

/// One that has run out is not taken again: what was read or written by it is fenced.
async fn renew(pool: PgPool, me: Uuid) {
    let mut ticks = interval(RENEWED);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let sql = "update leases set until = now() + interval '10 seconds' where name = $1 and holder = $2
             and until > now()";
        // Should it fail, the next one may not.
        let _ = sqlx::query(sql).bind(LEASE).bind(me).execute(&pool).await;
    }
}

/// Names of the daemons that are there.
async fn alive(connection: &mut PgConnection) -> Result<Vec<String>, Trouble> {
    let sql = format!("select name from members where {} order by name", members::ALIVE);
    let names: Vec<(String,)> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(connection).await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}
