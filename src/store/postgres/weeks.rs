//! Tables that are cut by age are parted into weeks, where the database can: what is too old goes with all of its week,
//! at once. Weeks are made ahead; what is of none of them lies in the rest, a partition as well. Where there is no
//! rest, the table is one.

use std::collections::BTreeSet;

use sqlx::{PgConnection, PgPool};

use super::again::{ONE_TRY, Trouble, read};
use super::text::at;
use crate::model::{Span, Timestamp};
use crate::store::StoreError;

/// A table that is parted.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    name: &'static str,
    /// The column that says of which week a row is.
    by: &'static str,
    /// True of a week that is over where nothing in it is needed any more, given a bound.
    is_done: &'static str,
}

/// What was accepted, by when it came. The bound is the last event decided.
pub const EVENTS: Table = Table { name: "events", by: "arrived", is_done: "coalesce(max(position) <= $1, true)" };
/// What became of edges, by when they were. Some are learned of late: the bound is when the last of them was written.
pub const DECISIONS: Table = Table { name: "decisions", by: "at", is_done: "coalesce(max(written) < $1, true)" };

/// Parts the tables, right after they were made.
pub const PARTED: &str = include_str!("migrations/parted.sql");

const LENGTH: Span = Span::from_days(7);
/// From the first day of 1970, a Thursday, to the first Monday.
const MONDAY: Span = Span::from_days(4);
/// This week and those that follow it are there.
const AHEAD: i64 = 3;
/// Weeks that are made at once for what is put into them; the rest takes what is of others.
const AT_ONCE: usize = 16;
/// Whoever changes the parts of a table keeps others from it, and so waits no longer than this for those who are at it.
const PATIENCE: &str = "set local lock_timeout = '250ms'";

/// From a Monday to the next, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Week(i64);

impl Week {
    fn of(instant: Timestamp) -> Self {
        Self((instant - MONDAY).whole(LENGTH))
    }

    /// Its first instant.
    pub fn begins(self) -> Timestamp {
        Timestamp::from_millis(self.0.saturating_mul(LENGTH.as_millis())) + MONDAY
    }

    /// The first instant of the next.
    pub fn ends(self) -> Timestamp {
        self.begins() + LENGTH
    }

    /// Of its partition: the table's and the Monday's, as in `events_2026_11_23`.
    pub fn name(self, table: Table) -> String {
        let day: String = self.begins().to_string().chars().take(10).collect();
        format!("{}_{}", table.name, day.replace('-', "_"))
    }

    fn named(name: &str, table: Table) -> Option<Self> {
        let day = name.strip_prefix(table.name)?.strip_prefix('_')?.replace('_', "-");
        let week = Self::of(Timestamp::parse(&format!("{day}T00:00:00Z"))?);
        // What somebody else made is not ours to drop.
        (week.name(table) == name).then_some(week)
    }
}

impl Table {
    /// True of a partition's name.
    #[cfg(test)]
    pub fn has_part(self, name: &str) -> bool {
        name == self.rest(true) || Week::named(name, self).is_some()
    }

    /// Where rows are that are of no week: all of them, where the table is one.
    pub fn rest(self, is_parted: bool) -> String {
        if is_parted { format!("{}_rest", self.name) } else { self.name.to_owned() }
    }
}

/// So many, from the one of an instant on.
pub fn from(instant: Timestamp, most: i64) -> impl Iterator<Item = Week> + Clone {
    let first = Week::of(instant).0;
    (first..first.saturating_add(most)).map(Week)
}

/// Those of these instants, the first ones where they are of many.
pub fn of_each(instants: impl Iterator<Item = Timestamp>) -> Vec<Week> {
    let weeks: BTreeSet<Week> = instants.map(Week::of).collect();
    weeks.into_iter().take(AT_ONCE).collect()
}

/// True where tables can be parted by what PostgreSQL says for it. CockroachDB says it in another way.
pub async fn are_known(connection: &mut PgConnection) -> Result<bool, Trouble> {
    let (version,): (String,) = sqlx::query_as("select version()").fetch_one(connection).await?;
    Ok(!version.contains("CockroachDB"))
}

/// The weeks that a table has, the first one first; none where it is not parted.
pub async fn of(connection: &mut PgConnection, table: Table) -> Result<Option<Vec<Week>>, Trouble> {
    let names: Vec<(String,)> = sqlx::query_as(
        "select c.relname::text from pg_inherits i, pg_class c where i.inhparent = to_regclass($1)::oid
         and c.oid = i.inhrelid",
    )
    .bind(table.name)
    .fetch_all(connection)
    .await?;
    let rest = table.rest(true);
    if !names.iter().any(|(name,)| *name == rest) {
        return Ok(None);
    }
    let mut weeks: Vec<Week> = names.iter().filter_map(|(name,)| Week::named(name, table)).collect();
    weeks.sort_unstable();
    Ok(Some(weeks))
}

/// Those of a table that are over by this instant.
pub async fn over(pool: &PgPool, table: Table, by: Timestamp) -> Result<Option<Vec<Week>>, StoreError> {
    let weeks = read!(pool, |connection| of(connection, table))?;
    Ok(weeks.map(|weeks| weeks.into_iter().filter(|week| week.ends() <= by).collect()))
}

/// Makes the weeks that come next. Where others are at a table for longer than we may keep the rest of them waiting, they
/// are made the next time.
pub async fn ahead(pool: &PgPool) -> Result<(), StoreError> {
    for table in [EVENTS, DECISIONS] {
        in_passing(make_next(pool, table)).await?;
    }
    Ok(())
}

async fn make_next(pool: &PgPool, table: Table) -> Result<(), Trouble> {
    let mut begun = pool.begin().await?;
    let (now,): (i64,) =
        sqlx::query_as("select (extract(epoch from now()) * 1000)::bigint").fetch_one(&mut *begun).await?;
    make(&mut begun, table, from(at(now), AHEAD)).await?;
    Ok(begun.commit().await?)
}

/// Nothing is lost where it is not made now.
async fn in_passing(made: impl Future<Output = Result<(), Trouble>>) -> Result<(), StoreError> {
    match tokio::time::timeout(ONE_TRY, made).await.unwrap_or(Err(Trouble::HANGS)) {
        Err(trouble) if !trouble.is_busy() => Err(trouble.into_error()),
        _ => Ok(()),
    }
}

/// Makes those of these weeks that are not there. What is of one of them, and came before it was made, moves there.
pub async fn make(
    connection: &mut PgConnection,
    table: Table,
    weeks: impl Iterator<Item = Week> + Clone,
) -> Result<(), Trouble> {
    let Some(there) = of(connection, table).await? else { return Ok(()) };
    if weeks.clone().all(|week| there.contains(&week)) {
        return Ok(());
    }
    // One daemon at a time.
    sqlx::query("select version from espalier_schema where id = 1 for update").execute(&mut *connection).await?;
    sqlx::query(PATIENCE).execute(&mut *connection).await?;
    let there = of(connection, table).await?.unwrap_or_default();
    let (Table { name, by, .. }, rest) = (table, table.rest(true));
    for week in weeks.filter(|week| !there.contains(week)) {
        let (new, from, to) = (week.name(table), week.begins().as_millis(), week.ends().as_millis());
        for sql in [
            format!("create table {new} (like {name} including all)"),
            format!(
                "with moved as (delete from {rest} where {by} >= {from} and {by} < {to} returning *)
                 insert into {new} select * from moved"
            ),
            format!("alter table {name} attach partition {new} for values from ({from}) to ({to})"),
        ] {
            sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// True where nothing in a week is needed any more.
pub async fn is_done(connection: &mut PgConnection, (table, week): (Table, Week), bound: i64) -> Result<bool, Trouble> {
    let sql = format!("select {} from {}", table.is_done, week.name(table));
    let (is_done,): (bool,) = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(bound).fetch_one(connection).await?;
    Ok(is_done)
}

/// Drops a week in which nothing is needed any more. Where others are at it for longer than we may keep the rest of them
/// waiting, it goes the next time.
pub async fn drop_done(pool: &PgPool, of: (Table, Week), bound: i64) -> Result<(), StoreError> {
    in_passing(drop_once(pool, of, bound)).await
}

async fn drop_once(pool: &PgPool, (table, week): (Table, Week), bound: i64) -> Result<(), Trouble> {
    if !is_done(&mut *pool.acquire().await?, (table, week), bound).await? {
        return Ok(());
    }
    let mut begun = pool.begin().await?;
    sqlx::query(PATIENCE).execute(&mut *begun).await?;
    let lock = format!("lock table {} in access exclusive mode", table.name);
    sqlx::query(sqlx::AssertSqlSafe(lock)).execute(&mut *begun).await?;
    // Somebody may have written to it meanwhile.
    if !is_done(&mut begun, (table, week), bound).await? {
        return Ok(begun.rollback().await?);
    }
    let gone = format!("drop table {}", week.name(table));
    sqlx::query(sqlx::AssertSqlSafe(gone)).execute(&mut *begun).await?;
    begun.commit().await?;
    tracing::info!(table = %week.name(table), "a week that is too old is gone");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_week_is_known_by_its_name() {
        let instant = |text: &str| Timestamp::parse(text).expect("an instant");
        for (at, name) in [
            ("2026-11-29T23:59:59.999Z", "events_2026_11_23"),
            ("2026-11-30T00:00:00Z", "events_2026_11_30"),
            ("1970-01-01T00:00:00Z", "events_1969_12_29"),
            ("0001-01-01T00:00:00Z", "events_0001_01_01"),
        ] {
            let week = Week::of(instant(at));
            assert_eq!(week.name(EVENTS), name);
            assert_eq!(Week::named(name, EVENTS), Some(week));
            assert!(week.begins() <= instant(at) && instant(at) < week.ends());
        }
        for other in
            ["events_rest", "events_2026_11_24", "events_2026-11-23", "decisions_2026_11_23", "events_9999_99_99"]
        {
            assert_eq!(Week::named(other, EVENTS), None, "{other}");
        }
    }
}
