//! `[store]` in the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::setting::{Secret, Size};
use crate::model::{Schedule, Span, Zone};

/// Where everything is kept, and its bounds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// In what everything is kept.
    pub kind: Kind,
    /// The folder; made when missing. One process at a time. Also beside PostgreSQL, where it has little: the way to the
    /// running daemon, and what its processes need.
    pub path: PathBuf,
    /// Where PostgreSQL is: `postgres://user:password@host/name?sslmode=verify-full`.
    pub url: Option<Secret>,
    /// What this daemon is called among those that share PostgreSQL; its machine's name where this is missing.
    pub name: Option<String>,
    /// Connections to PostgreSQL at most.
    #[schemars(range(min = 2, max = 100))]
    pub connections: u32,
    /// sled's page cache. Resident memory reaches 1.7 times of it.
    pub cache: Size,
    /// Decoded people kept in memory.
    pub people_cache: Size,
    /// A journal segment is closed at this size.
    pub segment: Size,
    /// Journal segments older than this, decided, and covered by a snapshot are removed.
    pub retention: Span,
    /// What became of activations, and the log of joins, is kept this long.
    pub records: Span,
    /// A message is known again for this long: longer than any sender retries (Shopify: 48 h).
    pub dedupe: Span,
    /// Intake answers 503 when more events than this wait to be decided.
    pub backlog: u64,
    /// Products of the catalogue at most. All of them are in memory, about 500 bytes each.
    pub catalogue: usize,
    /// Discount codes at most, in all pools, those given included. Those not yet given are in memory.
    pub codes: u64,
    /// Backups that the daemon makes by itself.
    pub backup: Option<Backups>,
}

/// In what everything is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// In a folder of this machine, by this process alone.
    #[default]
    Embedded,
    /// In PostgreSQL, or what speaks its protocol: several daemons may share it.
    Postgres,
}

/// Backups at set times: each in a folder of its own.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backups {
    /// The folder that they come to lie in, best on another disk.
    pub path: PathBuf,
    /// Older ones are removed.
    #[serde(default = "a_month")]
    pub keep: Span,
    /// When, as cron writes it: minute, hour, day of month, month, day of week.
    #[serde(default = "at_one")]
    pub at: Schedule,
    /// On whose clock.
    #[serde(default = "utc")]
    pub zone: Zone,
}

fn a_month() -> Span {
    Span::from_days(30)
}
fn at_one() -> Schedule {
    "0 1 * * *".parse().unwrap_or(Schedule::OFF)
}
fn utc() -> Zone {
    Zone::UTC
}

impl Settings {
    /// What no single key can know: the key, what is wrong, and a way out.
    pub fn clashes(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut clashes = Vec::new();
        let is_postgres = self.kind == Kind::Postgres;
        match &self.url {
            None if is_postgres => clashes.push((
                "kind",
                "`postgres` needs `url`, which says where it is",
                "url = \"${env:DATABASE_URL}\"",
            )),
            Some(_) if !is_postgres => {
                clashes.push(("url", "is for `kind = \"postgres\"` alone", "kind = \"postgres\""));
            }
            Some(url) if !["postgres://", "postgresql://"].iter().any(|start| url.expose().starts_with(start)) => {
                clashes.push(("url", "must begin with postgres://", "postgres://user:password@host/name"));
            }
            _ => {}
        }
        if is_postgres && self.backup.is_some() {
            let words = "makes backups of the embedded store: PostgreSQL's are made by pg_dump, or are base backups";
            clashes.push(("backup", words, "leave `[store.backup]` out"));
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.chars().count() > 100) {
            clashes.push(("name", "must have 1 to 100 characters", "name = \"shop-1\""));
        }
        if !(2..=100).contains(&self.connections) {
            clashes.push(("connections", "must lie between 2 and 100", "8"));
        }
        clashes
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            kind: Kind::default(),
            path: "data".into(),
            url: None,
            name: None,
            connections: 8,
            cache: Size(64 << 20),
            people_cache: Size(64 << 20),
            segment: Size(64 << 20),
            retention: Span::from_days(30),
            records: Span::from_days(30),
            dedupe: Span::from_days(7),
            backlog: 5_000_000,
            catalogue: 200_000,
            codes: 1_000_000,
            backup: None,
        }
    }
}
