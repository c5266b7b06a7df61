//! Who does what only one may do: the engine's work, each lane's, each duty. A lease has an end, by the database's clock,
//! and an epoch that is never used twice. Whoever writes by it shows holder and epoch in the same transaction, so that one
//! who was held up, and does not know that another has taken over, is refused.
//!
//! Who has lost one to another was held up for as long as all of them last, and gives all of them back: what is to be
//! done by one daemon (a lane, and the account that it calls) is never parted between two for good.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use sqlx::{PgConnection, PgPool};
use tokio::sync::RwLockReadGuard;
use tokio::time::Instant;
use uuid::Uuid;

use super::again::{Trouble, read, step};
use super::text::{count, number};
use crate::store::{Duty, StoreError};

/// The engine's.
pub const ENGINE: &str = "engine";
/// A lease lasts so long after it was taken or renewed: what a daemon that died held is another's within ten seconds.
const LASTS: Duration = Duration::from_secs(5);
/// Renewed so often.
pub const RENEWED: Duration = Duration::from_secs(2);
/// Whoever works by one that has run out is told within this.
pub const TOLD: Duration = Duration::from_millis(250);
/// Whether one that is another's is free is looked at so often, for all that are wanted at once.
pub const LOOKED: Duration = Duration::from_millis(300);
/// One that was found to be another's is not asked for again for so long, unless it is seen to be free.
const ELSEWHERE: Duration = Duration::from_secs(2);

/// That of a lane.
pub fn of_lane(lane: &str) -> String {
    format!("lane:{lane}")
}

/// Those of this process.
pub struct Leases {
    /// Nobody else is called so.
    me: Uuid,
    known: Mutex<HashMap<String, Known>>,
    /// How often all were lost: what was asked for before counts no more.
    losses: AtomicU64,
    /// Up to which of these losses the database knows of it. Held while it is asked for leases, or told of them; alone while
    /// it is told of a loss. Those who ask for different ones do not wait for each other: whoever takes over takes many.
    told: tokio::sync::RwLock<u64>,
    /// Held by who asks for the one of this name.
    asking: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

enum Known {
    /// Ours, until its end by this machine's time, which began to count before the database's.
    Held(Duty),
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
        Self {
            me: Uuid::new_v4(),
            known: Mutex::default(),
            losses: AtomicU64::new(0),
            told: Default::default(),
            asking: Mutex::default(),
        }
    }

    /// By which this daemon is known.
    pub fn me(&self) -> Uuid {
        self.me
    }

    fn known(&self) -> Result<MutexGuard<'_, HashMap<String, Known>>, StoreError> {
        self.known.lock().map_err(|_| super::poisoned())
    }

    fn held(&self, name: &str) -> Result<Option<Duty>, StoreError> {
        Ok(match self.known()?.get(name) {
            Some(Known::Held(duty)) if duty.is_ours() => Some(duty.clone()),
            _ => None,
        })
    }

    /// Ours, where it is or can be; `None` while another process has it.
    pub async fn take(&self, pool: &PgPool, name: &str) -> Result<Option<Held>, StoreError> {
        if let Some(duty) = self.held(name)? {
            return Ok(Some(Held { epoch: number(duty.term()), is_new: false }));
        }
        let taken = self.ask(pool, name).await?;
        Ok(taken.map(|duty| Held { epoch: number(duty.term()), is_new: true }))
    }

    /// The same, as a duty.
    pub async fn duty(&self, pool: &PgPool, name: &str) -> Result<Option<Duty>, StoreError> {
        match self.held(name)? {
            Some(duty) => Ok(Some(duty)),
            None => self.ask(pool, name).await,
        }
    }

    async fn ask(&self, pool: &PgPool, name: &str) -> Result<Option<Duty>, StoreError> {
        if matches!(self.known()?.get(name), Some(Known::Elsewhere { again }) if *again > Instant::now()) {
            return Ok(None);
        }
        let one = self.asking.lock().map_err(|_| super::poisoned())?.entry(name.to_owned()).or_default().clone();
        let _one = one.lock().await;
        if let Some(duty) = self.held(name)? {
            return Ok(Some(duty));
        }
        let told = self.settled(pool).await?;
        let losses = *told;
        let asked = Instant::now();
        let epoch = step!(pool, |connection| taken(connection, name, self.me))?;
        let mut known = self.known()?;
        if self.losses.load(Ordering::Acquire) != losses {
            // It is given back with all the others.
            return Ok(None);
        }
        let duty = epoch.map(|epoch| Duty::until(name, count(epoch), asked + LASTS));
        let one = duty.clone().map_or(Known::Elsewhere { again: asked + ELSEWHERE }, Known::Held);
        if let Some(Known::Held(before)) = known.insert(name.to_owned(), one) {
            before.end();
        }
        Ok(duty)
    }

    /// The epoch of one that is ours.
    pub fn epoch(&self, name: &str) -> Option<i64> {
        Some(number(self.held(name).ok()??.term()))
    }

    /// True while another process is known to have it.
    pub fn is_elsewhere(&self, name: &str) -> bool {
        self.known().is_ok_and(|known| matches!(known.get(name), Some(Known::Elsewhere { .. })))
    }

    /// Renews all that are ours. Where one is another's by now, none is ours any more.
    pub async fn renew(&self, pool: &PgPool) -> Result<(), StoreError> {
        let told = self.settled(pool).await?;
        let losses = *told;
        let ours: Vec<(String, Duty)> = {
            let known = self.known()?;
            let held = known.iter().filter_map(|(name, one)| match one {
                Known::Held(duty) => Some((name.clone(), duty.clone())),
                Known::Elsewhere { .. } => None,
            });
            held.collect()
        };
        if ours.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = ours.iter().map(|(name, _)| name.clone()).collect();
        let asked = Instant::now();
        let renewed = read!(pool, |connection| renewed(connection, &names, self.me))?;
        if self.note_renewed(ours, &renewed.into_iter().collect(), losses, asked + LASTS)? {
            self.lose()?;
            drop(told);
            drop(self.settled(pool).await?);
        }
        Ok(())
    }

    /// True where one of them is another's.
    fn note_renewed(
        &self,
        ours: Vec<(String, Duty)>,
        renewed: &HashMap<String, i64>,
        losses: u64,
        until: Instant,
    ) -> Result<bool, StoreError> {
        let mut known = self.known()?;
        if self.losses.load(Ordering::Acquire) != losses {
            return Ok(false);
        }
        let mut is_lost = false;
        for (name, duty) in ours {
            let Some(epoch) = renewed.get(&name) else {
                tracing::warn!(lease = %name, "another daemon has taken over");
                is_lost = true;
                continue;
            };
            let is_known = matches!(known.get(&name), Some(Known::Held(now)) if now.term() == duty.term());
            if count(*epoch) != duty.term() || !is_known {
                continue;
            }
            if duty.is_ours() {
                duty.renew(until);
            } else {
                // Its time had run out, and nobody took it: whoever worked by it is told, and begins again.
                duty.end();
                known.insert(name.clone(), Known::Held(Duty::until(&name, duty.term(), until)));
            }
        }
        Ok(is_lost)
    }

    /// Tells who works by a lease whose time has run out.
    pub fn expire(&self) -> Result<(), StoreError> {
        for one in self.known()?.values() {
            if let Known::Held(duty) = one
                && !duty.is_ours()
            {
                duty.end();
            }
        }
        Ok(())
    }

    /// None of them is ours any more: the database said so of one.
    fn lose(&self) -> Result<(), StoreError> {
        let mut known = self.known()?;
        self.losses.fetch_add(1, Ordering::AcqRel);
        known.retain(|_, one| match one {
            Known::Held(duty) => {
                duty.end();
                false
            }
            Known::Elsewhere { .. } => true,
        });
        Ok(())
    }

    /// Gives back in the database what was lost; how often that was, for as long as it is held.
    async fn settled(&self, pool: &PgPool) -> Result<RwLockReadGuard<'_, u64>, StoreError> {
        loop {
            let told = self.told.read().await;
            if *told == self.losses.load(Ordering::Acquire) {
                return Ok(told);
            }
            drop(told);
            let mut told = self.told.write().await;
            let losses = self.losses.load(Ordering::Acquire);
            if *told < losses {
                read!(pool, |connection| given_back(connection, self.me))?;
                *told = losses;
            }
        }
    }

    /// Gives all of them back, so that nobody has to wait for their end.
    pub async fn give_back(&self, pool: &PgPool) -> Result<(), StoreError> {
        self.lose()?;
        self.settled(pool).await.map(drop)
    }

    /// Names of those that were asked for and are another's.
    pub fn wanted(&self) -> Vec<String> {
        let Ok(known) = self.known() else { return Vec::new() };
        known.iter().filter(|(_, one)| matches!(one, Known::Elsewhere { .. })).map(|(name, _)| name.clone()).collect()
    }

    /// Looks which of these have come to their end: they may be asked for at once. True if there are any.
    pub async fn any_free(&self, pool: &PgPool, names: &[String]) -> Result<bool, StoreError> {
        let free = read!(pool, |connection| free(connection, names))?;
        let mut known = self.known()?;
        for name in &free {
            if let Some(Known::Elsewhere { again }) = known.get_mut(name) {
                *again = Instant::now();
            }
        }
        Ok(!free.is_empty())
    }

    /// Holds a lease for the rest of this transaction: nobody takes it meanwhile. [`StoreError::Elsewhere`] where it is
    /// not ours any more.
    pub async fn fence(&self, connection: &mut PgConnection, name: &str, epoch: i64) -> Result<(), Trouble> {
        let sql = "select epoch from leases where name = $1 and holder = $2 and epoch = $3 for share";
        let held: Option<(i64,)> =
            sqlx::query_as(sql).bind(name).bind(self.me).bind(epoch).fetch_optional(connection).await?;
        if held.is_some() {
            return Ok(());
        }
        // Whoever comes late, with what was ours before, has lost nothing anew.
        if self.epoch(name) == Some(epoch) {
            self.lose()?;
        }
        Err(StoreError::Elsewhere.into())
    }
}

async fn taken(connection: &mut PgConnection, name: &str, me: Uuid) -> Result<Option<i64>, Trouble> {
    // A look first: what follows would hold the row of a lease that stays another's, and have its holder wait.
    let sql = "select 1 from leases where name = $1 and until > now() and holder <> $2";
    let elsewhere: Option<(i32,)> = sqlx::query_as(sql).bind(name).bind(me).fetch_optional(&mut *connection).await?;
    if elsewhere.is_some() {
        return Ok(None);
    }
    let taken: Option<(i64, Option<Uuid>)> = sqlx::query_as(
        "insert into leases (name, holder, epoch, until) values ($1, $2, 1, now() + $3 * interval '1 second')
         on conflict (name) do update
         set before = coalesce(leases.holder, leases.before), holder = excluded.holder, epoch = leases.epoch + 1,
         until = excluded.until
         where leases.until <= now() or leases.holder is null or leases.holder = excluded.holder
         returning epoch, before",
    )
    .bind(name)
    .bind(me)
    .bind(LASTS.as_secs_f64())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((epoch, before)) = taken else { return Ok(None) };
    if let Some(before) = before.filter(|before| *before != me) {
        sqlx::query(
            "insert into takeovers (lease, epoch, at, from_whom, to_whom) values ($1, $2, now(),
             coalesce((select name from members where id = $3), 'unknown'),
             coalesce((select name from members where id = $4), 'unknown')) on conflict (lease, epoch) do nothing",
        )
        .bind(name)
        .bind(epoch)
        .bind(before)
        .bind(me)
        .execute(connection)
        .await?;
    }
    Ok(Some(epoch))
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
    let sql = "update leases set before = holder, holder = null, until = now() where holder = $1";
    sqlx::query(sql).bind(me).execute(connection).await?;
    Ok(())
}

async fn free(connection: &mut PgConnection, names: &[String]) -> Result<Vec<String>, Trouble> {
    let sql = "select name from leases where name = any($1) and (until <= now() or holder is null)";
    let free: Vec<(String,)> = sqlx::query_as(sql).bind(names).fetch_all(connection).await?;
    Ok(free.into_iter().map(|(name,)| name).collect())
}
