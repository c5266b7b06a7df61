//! How the daemon is, in one value: what the page, `status`, `/readyz` and the metrics are made from.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::Serialize;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use super::hooks::HooksHealth;
pub use super::night::NightHealth;
pub use super::quiet::QuietHealth;
use super::room::free_bytes;
use super::store::BackupHealth;
use super::triggers::Liveness;
use super::trouble::Trouble;
use super::wrong::troubles;
use crate::alerts::Desk;
use crate::clock::SharedClock;
use crate::delivery::{Asker, Hold, Lane, LaneState};
use crate::engine::{EngineState, Stage};
use crate::model::{LaneName, Sales, Span, Timestamp, build};
use crate::plan::Drift;
use crate::pull::{Doing, Heard, Watching, WatchingHooks};
use crate::quota::Accounts;
use crate::reconcile::Nights;
use crate::rules::{Program, Trigger};
use crate::store::{Members, SCHEMA, Store};

/// What is looked at.
#[derive(Clone)]
pub struct Watched {
    /// The store.
    pub store: Arc<dyn Store>,
    /// The daemon's clock.
    pub clock: SharedClock,
    /// The triggers.
    pub program: Arc<ArcSwap<Program>>,
    /// What was ordered, where a trigger asks for it.
    pub sales: Arc<ArcSwapOption<Sales>>,
    /// The engine.
    pub engine: watch::Receiver<EngineState>,
    /// The lanes, by name.
    pub lanes: Vec<(LaneName, watch::Receiver<LaneState>)>,
    /// The same lanes, to be asked what their queues cost.
    pub queues: Vec<Lane>,
    /// The accounts that are called.
    pub accounts: Accounts,
    /// The lists that are pulled.
    pub streams: Vec<Watching>,
    /// The subscriptions to webhooks that are seen to.
    pub hooks: Vec<WatchingHooks>,
    /// What the daily comparison of accounts found.
    pub drift: watch::Receiver<Vec<Drift>>,
    /// How quiet sources and lists are.
    pub heard: watch::Receiver<Vec<Heard>>,
    /// The nights.
    pub nights: Nights,
    /// The backups at set times, where there are any.
    pub backup: watch::Receiver<Option<BackupHealth>>,
    /// The accounts of the destinations, to be asked.
    pub askers: Arc<[Arc<Asker>]>,
    /// Names and kinds of the sources.
    pub sources: Vec<(String, &'static str)>,
    /// The alerts.
    pub alerts: Desk,
    /// The store's folder.
    pub folder: PathBuf,
    /// When the daemon began.
    pub began: Timestamp,
    /// The daemon is told to stop: it is not ready any more.
    pub stopping: CancellationToken,
}

/// How the daemon is.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Health {
    /// The build.
    pub version: &'static str,
    /// The commit it was built from, where that is known.
    pub commit: Option<&'static str>,
    /// The layout of the store; of the tables that this daemon knows, where several share them.
    pub schema: u32,
    /// When this was looked at.
    pub at: Timestamp,
    /// When the daemon began.
    pub began: Timestamp,
    /// People who wait to see what is kept of them.
    pub demands: u64,
    /// True when it takes events and decides them.
    pub is_ready: bool,
    /// What is wrong; empty when nothing is.
    pub troubles: Vec<Trouble>,
    /// The journal and what follows from it.
    pub journal: JournalHealth,
    /// What the engine does.
    pub engine: EngineHealth,
    /// The daemons that share the store, where several can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Members>,
    /// Why the database does not answer, where it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub away: Option<String>,
    /// Every lane.
    pub lanes: Vec<LaneHealth>,
    /// Every pool of codes that is there, or that a trigger takes from.
    pub pools: Vec<PoolHealth>,
    /// Every source.
    pub sources: Vec<SourceHealth>,
    /// Every list that is pulled.
    pub streams: Vec<StreamHealth>,
    /// The subscriptions to webhooks that are seen to, by source.
    pub subscriptions: Vec<HooksHealth>,
    /// What the daily comparison found of every account that can be compared; empty before the first.
    pub drift: Vec<Drift>,
    /// The nights.
    pub night: NightHealth,
    /// The backups of `[store] backup`; none where it is not set.
    pub backup: Option<BackupHealth>,
    /// Every trigger.
    pub triggers: Vec<TriggerHealth>,
}

/// The journal.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct JournalHealth {
    /// Events accepted since the store was made.
    pub accepted: u64,
    /// Those decided.
    pub decided: u64,
    /// Accepted and not yet decided.
    pub backlog: u64,
    /// Age of the oldest of them, in milliseconds.
    pub backlog_age_ms: i64,
    /// People known.
    pub people: u64,
    /// Messages set aside as unreadable.
    pub set_aside: u64,
    /// Bytes of journal on disk.
    pub journal_bytes: u64,
    /// Bytes that are free on that disk; none where it does not tell.
    pub free_bytes: Option<u64>,
    /// The next durable timer.
    pub next_timer: Option<Timestamp>,
}

/// The engine.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct EngineHealth {
    /// In words.
    pub doing: String,
    /// Why the store refuses its steps, in words; none while it does not.
    pub refused: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

/// A lane.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct LaneHealth {
    /// Its name in the configuration.
    pub name: String,
    /// The vendor.
    pub kind: String,
    /// `sending`, `idle`, or why it is held.
    pub state: String,
    /// Of what sort that reason is, where it is held.
    pub held: Option<Hold>,
    /// Since when it is held, or free.
    pub since: Timestamp,
    /// Until when, where it is held.
    pub until: Option<Timestamp>,
    /// Waiting to be sent.
    pub queued: u64,
    /// Those among them that wait for a time.
    pub deferred: u64,
    /// Dead letters.
    pub dead: u64,
    /// Age of the oldest activation that waits, in milliseconds.
    pub backlog_age_ms: i64,
    /// When the vendor last took something.
    pub last_success: Option<Timestamp>,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// Outcomes since the daemon began, by word.
    pub outcomes: std::collections::BTreeMap<String, u64>,
}

/// A pool of codes.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct PoolHealth {
    /// Its name.
    pub name: String,
    /// Codes not yet given.
    pub left: u64,
    /// The highest mark of the triggers that take from it, at which that is low.
    pub low: Option<u64>,
}

/// A source.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct SourceHealth {
    /// Its name in the configuration.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// That less comes by itself than could be by chance.
    pub quiet: Option<QuietHealth>,
}

/// A list that is pulled.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct StreamHealth {
    /// The source's name in the configuration.
    pub source: String,
    /// The list's name in the connector.
    pub stream: String,
    /// `in sync`, `reading`, or why it is held.
    pub state: String,
    /// Since when, where it is held.
    pub since: Option<Timestamp>,
    /// Until when, where it is held.
    pub until: Option<Timestamp>,
    /// Times in a row that it could not be read.
    pub failures: u32,
    /// True where the vendor does not let us read it.
    pub is_refused: bool,
    /// True where another daemon reads it: what is said of it here is of the time before.
    pub is_elsewhere: bool,
    /// That less is new than could be by chance.
    pub quiet: Option<QuietHealth>,
    /// How long ago that was up to which everything is read, in milliseconds.
    pub lag_ms: i64,
    /// How often it is read, in milliseconds: so long ago that may be by design.
    pub every_ms: i64,
    /// How much of the past is still to be read, in milliseconds of it; none where all of it is.
    pub past_ms: Option<i64>,
    /// When the vendor last gave a page.
    pub last_success: Option<Timestamp>,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// Pages read since the daemon began.
    pub pages: u64,
    /// Records in them.
    pub records: u64,
    /// Events made of them.
    pub events: u64,
    /// Products.
    pub products: u64,
    /// Records that could not be read, since the daemon began.
    pub set_aside: u64,
    /// When the last of them came.
    pub set_aside_at: Option<Timestamp>,
    /// How far the vendor's clock is behind ours, in milliseconds; negative when it is ahead.
    pub skew_ms: i64,
}

impl StreamHealth {
    fn of(watching: &Watching, heard: &[Heard], now: Timestamp) -> Self {
        let state = watching.state.borrow().clone();
        Self {
            source: watching.source.to_string(),
            stream: watching.stream.to_string(),
            state: state.held.unwrap_or_else(|| state.doing.word().to_owned()),
            since: state.since,
            until: state.until,
            failures: state.failures,
            is_refused: state.is_refused,
            is_elsewhere: state.doing == Doing::Elsewhere,
            quiet: QuietHealth::of(heard, &watching.source, Some(&watching.stream)),
            lag_ms: now.since(state.read).as_millis(),
            every_ms: watching.every.as_millis(),
            past_ms: state.past.map(Span::as_millis),
            last_success: state.last_success,
            last_error: state.last_error,
            pages: state.pages,
            records: state.records,
            events: state.events,
            products: state.items,
            set_aside: state.set_aside,
            set_aside_at: state.set_aside_at,
            skew_ms: state.skew_ms,
        }
    }
}

/// A trigger.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct TriggerHealth {
    /// Its name.
    pub name: String,
    /// Its title.
    pub title: String,
    /// Its rule in plain words, a line for each condition.
    pub rule: Vec<String>,
    /// Its destinations.
    pub destinations: Vec<String>,
    /// Whether it is live, and how often it fires.
    pub liveness: Liveness,
}

impl TriggerHealth {
    fn of(trigger: &Trigger, liveness: Liveness) -> Self {
        let started = trigger.activate.iter().chain(&trigger.activate_on_exit);
        Self {
            name: trigger.name.to_string(),
            title: trigger.title.clone(),
            rule: trigger.words(),
            destinations: started.map(|start| format!("{}: {}", start.lane, start.action)).collect(),
            liveness,
        }
    }
}

impl Watched {
    /// Looks at everything once. Counts only; never a scan.
    pub fn health(&self) -> Health {
        let now = self.clock.now();
        let counts = self.store.counts();
        let age = |at: Option<Timestamp>| at.map_or(Span::ZERO, |at| now.since(at)).as_millis();
        // Not what it counts: that may be much.
        let (stage, since) = {
            let engine = self.engine.borrow();
            (engine.stage.clone(), engine.since)
        };
        let (away, cluster) = (self.store.away(), self.store.members());
        let lanes: Vec<LaneHealth> =
            self.lanes.iter().map(|(name, state)| self.lane(name, &state.borrow(), now)).collect();
        let heard = self.heard.borrow().clone();
        let sources: Vec<SourceHealth> = self
            .sources
            .iter()
            .map(|(name, kind)| SourceHealth {
                name: name.clone(),
                kind: (*kind).to_owned(),
                quiet: QuietHealth::of(&heard, name, None),
            })
            .collect();
        let streams: Vec<StreamHealth> = self.streams.iter().map(|one| StreamHealth::of(one, &heard, now)).collect();
        let subscriptions: Vec<HooksHealth> = self.hooks.iter().map(HooksHealth::of).collect();
        let (program, states) = (self.program.load(), self.store.triggers());
        let triggers: Vec<TriggerHealth> = program
            .triggers()
            .iter()
            .map(|trigger| TriggerHealth::of(trigger, Liveness::of(trigger, &program, &states, now)))
            .collect();
        let mut health = Health {
            version: build::VERSION,
            commit: build::COMMIT,
            schema: cluster.as_ref().and_then(|all| all.me()).map_or(SCHEMA, |me| me.schema),
            at: now,
            began: self.began,
            demands: self.store.open_demands(),
            is_ready: !self.stopping.is_cancelled()
                && away.is_none()
                && matches!(stage, Stage::Deciding | Stage::Idle | Stage::Elsewhere),
            troubles: Vec::new(),
            journal: JournalHealth {
                accepted: counts.journaled.0,
                decided: counts.decided.0,
                backlog: counts.journaled.0.saturating_sub(counts.decided.0),
                backlog_age_ms: age(counts.oldest_undecided),
                people: counts.people,
                set_aside: counts.set_aside,
                journal_bytes: counts.journal_bytes,
                free_bytes: free_bytes(&self.folder),
                next_timer: counts.next_timer,
            },
            engine: EngineHealth {
                doing: self.doing(&stage, cluster.as_deref(), away.as_deref()),
                refused: match &stage {
                    Stage::Refused(words) => Some(words.clone()),
                    _ => None,
                },
                since,
            },
            cluster: cluster.map(|all| Members::clone(&all)),
            away,
            lanes,
            pools: self.pools(),
            sources,
            streams,
            subscriptions,
            drift: self.drift.borrow().clone(),
            night: NightHealth::of(&self.nights.state.borrow()),
            backup: self.backup.borrow().clone(),
            triggers,
        };
        health.troubles = troubles(&health, &self.alerts.failing(), self.alerts.settings());
        health
    }

    fn doing(&self, stage: &Stage, cluster: Option<&Members>, away: Option<&str>) -> String {
        if self.stopping.is_cancelled() {
            return "being stopped: what is under way is finished".into();
        }
        let decides = cluster.and_then(|all| all.holder("engine")).filter(|one| !one.is_me);
        match (stage, away, decides) {
            (_, Some(words), _) => format!("waiting for the database: {words}"),
            (Stage::Elsewhere, None, Some(one)) => format!("waiting: another daemon decides, {}", one.name),
            _ => doing(stage),
        }
    }

    fn pools(&self) -> Vec<PoolHealth> {
        let program = self.program.load();
        let of = |name: &str, low| PoolHealth { name: name.to_owned(), left: 0, low };
        let asked = program.pools().into_iter().map(|(name, low)| (name.to_owned(), of(name, Some(low))));
        let mut pools: std::collections::BTreeMap<String, PoolHealth> = asked.collect();
        for count in self.store.pools() {
            pools.entry(count.name.to_string()).or_insert_with(|| of(&count.name, None)).left = count.left;
        }
        pools.into_values().collect()
    }

    fn lane(&self, name: &LaneName, state: &LaneState, now: Timestamp) -> LaneHealth {
        let count = self.store.lane_count(name);
        let words = match (&state.held, state.in_flight) {
            (Some(held), _) => held.clone(),
            (None, 0) if count.queued == 0 => "idle".into(),
            (None, 0) => "waiting".into(),
            (None, _) => "sending".into(),
        };
        LaneHealth {
            name: name.to_string(),
            kind: state.kind.to_owned(),
            state: words,
            held: state.why,
            since: state.since,
            until: state.until,
            queued: count.queued,
            deferred: count.deferred,
            dead: count.dead,
            backlog_age_ms: count.oldest.map_or(0, |at| now.since(at).as_millis()),
            last_success: state.last_success,
            last_error: state.last_error.clone(),
            outcomes: state.outcomes.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect(),
        }
    }
}

fn doing(stage: &Stage) -> String {
    match stage {
        Stage::Starting => "starting".into(),
        Stage::Deciding => "deciding".into(),
        Stage::Idle => "idle: everything that arrived is decided".into(),
        Stage::Elsewhere => "waiting: another daemon decides".into(),
        Stage::Refused(words) => format!("waiting for the store: {words}"),
        Stage::Stopped => "stopped".into(),
    }
}
