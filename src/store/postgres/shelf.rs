//! What payloads are made with beside the person: the catalogue and the pools of codes. All of it is in memory, and what
//! others put there is read each second. A code is given by the very transaction that makes its activation.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use sqlx::PgConnection;

use super::Inner;
use super::again::{Trouble, read, step};
use super::mirror::{CATALOGUE, CODES};
use super::small::total;
use super::text::{count, key, number, shown};
use crate::model::codes::CodePool;
use crate::model::{Catalogue, CatalogueItem, Codes, GivenCode};
use crate::store::news::news;
use crate::store::record::{decode, encode};
use crate::store::{Added, PoolCount, Stocked, StoreError};

/// So many codes that are given are kept in memory before they go.
const GONE: u64 = 10_000;
/// Codes, and products, that are read at once.
const READ: i64 = 20_000;

/// What is in memory.
#[derive(Default)]
pub struct Shelf {
    catalogue: Arc<Catalogue>,
    /// The catalogue's version up to which it was read.
    version: i64,
    pools: BTreeMap<Arc<str>, CodePool>,
}

impl Shelf {
    /// For a step.
    pub fn lend(&self) -> (Arc<Catalogue>, Codes) {
        (self.catalogue.clone(), Codes { pools: self.pools.clone(), ..Codes::default() })
    }

    /// The catalogue as it is now.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        self.catalogue.clone()
    }

    /// Every pool, counted.
    pub fn count(&self) -> Vec<PoolCount> {
        self.pools.iter().map(PoolCount::of).collect()
    }

    /// No other occasion gets these codes.
    pub fn given(&mut self, given: &[GivenCode]) {
        for given in given {
            self.move_on(&given.pool, given.place + 1);
        }
    }

    fn move_on(&mut self, name: &str, next: u64) {
        let Some(pool) = self.pools.get_mut(name) else { return };
        pool.next = pool.next.max(next);
        let gone = pool.next.saturating_sub(pool.first);
        if gone > GONE && gone * 2 > pool.codes.len() as u64 {
            let gone = usize::try_from(gone).unwrap_or(usize::MAX).min(pool.codes.len());
            Arc::make_mut(&mut pool.codes).drain(..gone);
            pool.first += gone as u64;
        }
    }

    /// Where the next code of a pool would lie that is not in memory.
    fn end(&self, name: &str) -> Option<u64> {
        self.pools.get(name).map(|pool| pool.first + pool.codes.len() as u64)
    }

    /// Codes follow from this place on; what is known already is left.
    fn add(&mut self, name: &str, first: u64, codes: Vec<Box<str>>) {
        let name: Arc<str> = name.into();
        let pool = self.pools.entry(name).or_insert_with(|| CodePool { codes: Arc::default(), first, next: first });
        let end = pool.first + pool.codes.len() as u64;
        let known = usize::try_from(end.saturating_sub(first)).unwrap_or(usize::MAX);
        if first <= end {
            Arc::make_mut(&mut pool.codes).extend(codes.into_iter().skip(known));
        }
    }

    fn put(&mut self, version: i64, items: Vec<CatalogueItem>) {
        if !items.is_empty() {
            let catalogue = Arc::make_mut(&mut self.catalogue);
            for item in items {
                catalogue.put(item);
            }
        }
        self.version = self.version.max(version);
    }
}

/// Reads what is new: all of it the first time.
pub async fn refresh(inner: &Inner) -> Result<(), StoreError> {
    // One at a time: what is read follows what was read before.
    let _order = inner.shelving.lock().await;
    let (version, _) = inner.mirror.total(CATALOGUE)?;
    if inner.shelf()?.version < version {
        let known = inner.shelf()?.version;
        let items = read!(&inner.pool, |connection| items(connection, known))?;
        inner.shelf()?.put(version, items);
    }
    let pools = read!(&inner.pool, |connection| async {
        let pools: Vec<(String, i64, i64)> =
            sqlx::query_as("select name, added, next from pools").fetch_all(connection).await?;
        Ok::<_, Trouble>(pools)
    })?;
    for (name, added, next) in pools {
        read_pool(inner, &name, (count(added), count(next))).await?;
    }
    Ok(())
}

async fn read_pool(inner: &Inner, name: &str, (added, next): (u64, u64)) -> Result<(), StoreError> {
    loop {
        let from = inner.shelf()?.end(name).unwrap_or(next);
        if from >= added {
            let mut shelf = inner.shelf()?;
            // A pool all of whose codes are given is one nevertheless.
            shelf.add(name, from, Vec::new());
            shelf.move_on(name, next);
            return Ok(());
        }
        let codes = read!(&inner.pool, |connection| codes_from(connection, name, from))?;
        if codes.is_empty() {
            return Err(StoreError::Damaged(format!("the pool of codes `{name}` is not whole")));
        }
        inner.shelf()?.add(name, from, codes);
    }
}

async fn items(connection: &mut PgConnection, after: i64) -> Result<Vec<CatalogueItem>, Trouble> {
    let rows: Vec<(Vec<u8>,)> =
        sqlx::query_as("select record from catalogue where version > $1").bind(after).fetch_all(connection).await?;
    Ok(rows.iter().map(|(record,)| decode(record)).collect::<Result<_, _>>()?)
}

async fn codes_from(connection: &mut PgConnection, name: &str, from: u64) -> Result<Vec<Box<str>>, Trouble> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select code from codes where pool = $1 and place >= $2 order by place limit $3")
            .bind(name)
            .bind(number(from))
            .bind(READ)
            .fetch_all(connection)
            .await?;
    Ok(rows.into_iter().map(|(code,)| code.into()).collect())
}

pub async fn put_items(inner: &Inner, items: Vec<CatalogueItem>) -> Result<Stocked, StoreError> {
    inner.mirror.refresh(&inner.pool, inner.leases.me()).await?;
    refresh(inner).await?;
    let _order = inner.shelving.lock().await;
    let most = inner.settings.catalogue;
    let (stocked, version, kept) = step!(&inner.pool, |connection| put_once(connection, inner, &items, most))?;
    if !kept.is_empty() {
        inner.shelf()?.put(version, kept);
        inner.mirror.total_written(CATALOGUE, version, 0)?;
    }
    Ok(stocked)
}

async fn put_once(
    connection: &mut PgConnection,
    inner: &Inner,
    given: &[CatalogueItem],
    most: usize,
) -> Result<(Stocked, i64, Vec<CatalogueItem>), Trouble> {
    // Held to the end: nobody else puts anything there meanwhile.
    let (version, _) = total(connection, CATALOGUE, 0).await?;
    let known = inner.shelf()?.version;
    if known < version - 1 {
        let missed = items(connection, known).await?;
        inner.shelf()?.put(version - 1, missed);
    }
    let catalogue = inner.shelf()?.catalogue();
    let (kept, stocked) = news(&catalogue, given.to_vec(), most);
    // Of one product the last word counts.
    let last: BTreeMap<&str, &CatalogueItem> = kept.iter().map(|item| (&*item.id, item)).collect();
    if !last.is_empty() {
        put(connection, version, &last).await?;
    }
    Ok((stocked, version, kept))
}

/// Products by their ids, each of which takes the place of what was there.
pub async fn put(
    connection: &mut PgConnection,
    version: i64,
    items: &BTreeMap<&str, &CatalogueItem>,
) -> Result<(), Trouble> {
    sqlx::query(
        "insert into catalogue (key, id, version, record) select key, id, $1, record
         from unnest($2::uuid[], $3::text[], $4::bytea[]) as t(key, id, record)
         on conflict (key) do update set version = excluded.version, record = excluded.record",
    )
    .bind(version)
    .bind(items.keys().map(|id| key(id)).collect::<Vec<_>>())
    .bind(items.keys().map(|id| shown(id).into_owned()).collect::<Vec<_>>())
    .bind(items.values().map(|item| encode(*item)).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

pub async fn add_codes(inner: &Inner, pool: &str, codes: &[Box<str>]) -> Result<Added, StoreError> {
    let most = inner.settings.codes;
    let added = step!(&inner.pool, |connection| add_once(connection, pool, codes, most))?;
    refresh(inner).await?;
    Ok(added)
}

async fn add_once(connection: &mut PgConnection, pool: &str, codes: &[Box<str>], most: u64) -> Result<Added, Trouble> {
    // Held to the end: nobody else adds any meanwhile.
    let (_, mut there) = total(connection, CODES, 0).await?;
    let asked: BTreeSet<&str> = codes.iter().map(|code| &**code).collect();
    let known: Vec<(String,)> = sqlx::query_as("select code from codes where code = any($1)")
        .bind(asked.into_iter().collect::<Vec<_>>())
        .fetch_all(&mut *connection)
        .await?;
    let mut known: HashSet<Box<str>> = known.into_iter().map(|(code,)| code.into()).collect();
    let mut added = Added::default();
    let mut new: Vec<&str> = Vec::new();
    for code in codes {
        if known.contains(code) {
            added.known += 1;
        } else if there >= most {
            added.too_many += 1;
        } else {
            there += 1;
            known.insert(code.clone());
            new.push(code);
        }
    }
    added.new = new.len() as u64;
    if new.is_empty() {
        return Ok(added);
    }
    let n = number(added.new);
    let (end,): (i64,) = sqlx::query_as(
        "insert into pools (name, added, next) values ($1, $2, 0)
         on conflict (name) do update set added = pools.added + excluded.added returning added",
    )
    .bind(pool)
    .bind(n)
    .fetch_one(&mut *connection)
    .await?;
    sqlx::query(
        "insert into codes (code, pool, place) select t.code, $1, t.place
         from unnest($2::text[], $3::bigint[]) as t(code, place)",
    )
    .bind(pool)
    .bind(&new)
    .bind((end - n..end).collect::<Vec<i64>>())
    .execute(&mut *connection)
    .await?;
    total(connection, CODES, n).await?;
    Ok(added)
}
