//! Who does what only one may do: the engine's work, and each lane's. A lease has an end, by the database's clock, and an
//! epoch that is never used twice. Whoever writes by it shows holder and epoch in the same transaction, so that one who
//! was held up, and does not know that another has taken over, is refused.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::time::Instant;
use uuid::Uuid;

use super::again::{Trouble, read, step};
use crate::store::StoreError;

/// The engine's.
pub const ENGINE: &str = "engine";
/// A lease lasts so long after it was taken or renewed: what a daemon that died held is another's within ten seconds.
const LASTS: Duration = Duration::from_secs(5);
/// Renewed so often.
pub const RENEWED: Duration = Duration::from_secs(2);
/// After somebody else was found to hold it, it is not asked for again for so long.
const ELSEWHERE: Duration = Duration::from_millis(500);

/// That of a lane.
pub fn of_lane(lane: &str) -> String {
    format!("lane:{lane}")
}

/// Those of this process.
pub struct Leases {
    /// Nobody else is called so.
    me: Uuid,
    known: Mutex<HashMap<String, Known>>,
}

enum Known {
    /// Ours, until then by this machine's time, which began to count before the database's.
    Held { epoch: i64, until: Instant },
    /// Another's; asked for again after this.
    Elsewhere { again: Instant },
}

/// A lease is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its epoch.
    pub epoch: i64,
    /// It was taken just now: whatever is remembered of what it is about may be old.
    pub is_new: bool,
}

impl Leases {
    /// None yet.
    pub fn new() -> Self {
        Self { me: Uuid::new_v4(), known: Mutex::default() }
    }

    fn known(&self) -> Result<MutexGuard<'_, HashMap<String, Known>>, StoreError> {
        self.known.lock().map_err(|_| super::poisoned())
    }

    /// Ours, where it is or can be; `None` while another process has it.
    pub async fn take(&self, pool: &PgPool, name: &str) -> Result<Option<Held>, StoreError> {
        match self.known()?.get(name) {
            Some(Known::Held { epoch, until }) if *until > Instant::now() => {
                return Ok(Some(Held { epoch: *epoch, is_new: false }));
            }
            Some(Known::Elsewhere { again }) if *again > Instant::now() => return Ok(None),
            _ => {}
        }
        let asked = Instant::now();
        let epoch = step!(pool, |connection| taken(connection, name, self.me))?;
        let known = match epoch {
            Some(epoch) => Known::Held { epoch, until: asked + LASTS },
            None => Known::Elsewhere { again: asked + ELSEWHERE },
        };
        self.known()?.insert(name.to_owned(), known);
        Ok(epoch.map(|epoch| Held { epoch, is_new: true }))
    }

    /// The epoch of one that is ours.
    pub fn epoch(&self, name: &str) -> Option<i64> {
        match self.known().ok()?.get(name) {
            Some(Known::Held { epoch, until }) if *until > Instant::now() => Some(*epoch),
            _ => None,
        }
    }

    /// True while another process is known to have it.
    pub fn is_elsewhere(&self, name: &str) -> bool {
        self.known().is_ok_and(|known| matches!(known.get(name), Some(Known::Elsewhere { .. })))
    }

    /// Renews all that are ours. One that is another's by now is ours no more.
    pub async fn renew(&self, pool: &PgPool) -> Result<(), StoreError> {
        let ours: Vec<String> = {
            let known = self.known()?;
            known.iter().filter(|(_, one)| matches!(one, Known::Held { .. })).map(|(name, _)| name.clone()).collect()
        };
        if ours.is_empty() {
            return Ok(());
        }
        let asked = Instant::now();
        let renewed = read!(pool, |connection| renewed(connection, &ours, self.me))?;
        let renewed: HashMap<String, i64> = renewed.into_iter().collect();
        let mut known = self.known()?;
        for name in ours {
            let Some(Known::Held { epoch, until }) = known.get_mut(&name) else { continue };
            if renewed.get(&name) == Some(epoch) {
                *until = asked + LASTS;
            } else if !renewed.contains_key(&name) {
                tracing::warn!(lease = %name, "another daemon has taken over");
                known.remove(&name);
            }
        }
        Ok(())
    }

    /// Forgets that it is ours: the database said that it is not.
    pub fn lost(&self, name: &str) {
        if let Ok(mut known) = self.known() {
            known.remove(name);
        }
    }

    /// Gives all of them back, so that nobody has to wait for their end.
    pub async fn give_back(&self, pool: &PgPool) -> Result<(), StoreError> {
        self.known()?.clear();
        read!(pool, |connection| given_back(connection, self.me))
    }

    /// Names of those that were asked for and are another's.
    pub fn wanted(&self) -> Vec<String> {
        let Ok(known) = self.known() else { return Vec::new() };
        known.iter().filter(|(_, one)| matches!(one, Known::Elsewhere { .. })).map(|(name, _)| name.clone()).collect()
    }

    /// True if one of these has come to its end.
    pub async fn any_free(&self, pool: &PgPool, names: &[String]) -> Result<bool, StoreError> {
        read!(pool, |connection| any_free(connection, names))
    }

    /// Holds a lease for the rest of this transaction: nobody takes it meanwhile. [`StoreError::Elsewhere`] where it is
    /// not ours any more.
    pub async fn fence(&self, connection: &mut PgConnection, name: &str, epoch: i64) -> Result<(), Trouble> {
        let sql = "select epoch from leases where name = $1 and holder = $2 and epoch = $3 for share";
        let held: Option<(i64,)> =
            sqlx::query_as(sql).bind(name).bind(self.me).bind(epoch).fetch_optional(connection).await?;
        if held.is_none() {
            self.lost(name);
            return Err(StoreError::Elsewhere.into());
        }
        Ok(())
    }
}

async fn taken(connection: &mut PgConnection, name: &str, me: Uuid) -> Result<Option<i64>, Trouble> {
    let taken: Option<(i64,)> = sqlx::query_as(
        "insert into leases (name, holder, epoch, until) values ($1, $2, 1, now() + $3 * interval '1 second')
         on conflict (name) do update
         set holder = excluded.holder, epoch = leases.epoch + 1, until = excluded.until
         where leases.until <= now() or leases.holder is null or leases.holder = excluded.holder
         returning epoch",
    )
    .bind(name)
    .bind(me)
    .bind(LASTS.as_secs_f64())
    .fetch_optional(connection)
    .await?;
    Ok(taken.map(|(epoch,)| epoch))
}

async fn renewed(connection: &mut PgConnection, names: &[String], me: Uuid) -> Result<Vec<(String, i64)>, Trouble> {
    let renewed = sqlx::query_as(
        "update leases set until = now() + $3 * interval '1 second' where name = any($1) and holder = $2
         returning name, epoch",
    )
    .bind(names)
    .bind(me)
    .bind(LASTS.as_secs_f64())
    .fetch_all(connection)
    .await?;
    Ok(renewed)
}

async fn given_back(connection: &mut PgConnection, me: Uuid) -> Result<(), Trouble> {
    let sql = "update leases set holder = null, until = now() where holder = $1";
    sqlx::query(sql).bind(me).execute(connection).await?;
    Ok(())
}

async fn any_free(connection: &mut PgConnection, names: &[String]) -> Result<bool, Trouble> {
    let sql = "select count(*) from leases where name = any($1) and (until <= now() or holder is null)";
    let (free,): (i64,) = sqlx::query_as(sql).bind(names).fetch_one(connection).await?;
    Ok(free > 0)
}
