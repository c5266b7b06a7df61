//! The rooms put together: one daemon, begun, running, drained.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::backups::keep_backups;
use super::reload::Reload;
use super::{Failed, opened};
use crate::alerts::Desk;
use crate::clock::{SharedClock, ToldClock};
use crate::delivery::{Asker, Lane};
use crate::engine::{Engine, count_sales};
use crate::intake::{Intake, SourceSettings};
use crate::model::sales::COUNTED_EVERY;
use crate::model::{LaneName, Sales, Span, Timestamp};
use crate::ops::{Metrics, Ops, Reloads, Watched};
use crate::plan;
use crate::pull;
use crate::quota::Accounts;
use crate::reconcile::Nightly;
use crate::rules::Program;
use crate::settings::{Configured, Log};
use crate::store::Store;

/// Whoever is answered at the end gets so long, when all else is done.
const ANSWERED: Span = Span::from_secs(2);
/// What is told of the last steps gets so long after that.
const TOLD: Span = Span::from_secs(3);
/// How often the state is written out as a snapshot.
const SNAPSHOT: Span = Span::from_hours(24);
/// A machine's clock that is further from the database's is told of.
const APART: Span = Span::from_secs(1);
/// How often metrics are folded.
const UPKEEP: Span = Span::from_secs(10);

/// A daemon that is ready to be begun.
pub struct Daemon {
    configured: Configured,
    clock: SharedClock,
}

/// A daemon at work.
pub struct Running {
    /// Where the tracking API is.
    pub intake: SocketAddr,
    /// Where health and the page are.
    pub ops: SocketAddr,
    /// Lets whoever opens it in once; where there are no accounts yet.
    pub way_in: Option<String>,
    /// What is looked at.
    pub watched: Watched,
    /// To have trigger files read again.
    pub reloads: Reloads,
    accounts: Accounts,
    clock: SharedClock,
    store: Arc<dyn Store>,
    drain: Span,
    listening: CancellationToken,
    working: CancellationToken,
    telling: CancellationToken,
    listeners: JoinSet<()>,
    workers: JoinSet<()>,
    /// Those that tell of the others' last steps, and so outlive them.
    tellers: JoinSet<()>,
}

impl Daemon {
    /// With this configuration, on this clock.
    pub fn new(configured: Configured, clock: SharedClock) -> Self {
        Self { configured, clock }
    }

    /// Opens the store, listens and begins to work.
    pub async fn begin(self) -> Result<Running, Failed> {
        let Configured { settings, program, connected, file, folder: _, stamp, programs } = self.configured;
        let store = opened::open(&settings.store, self.clock.now()).await?;
        let clock = common(self.clock, &store);
        let began = clock.now();
        let shared = store.clone();
        let program = Arc::new(ArcSwap::from_pointee(program));
        let (listening, working) = (CancellationToken::new(), CancellationToken::new());
        let (telling, stopping) = (CancellationToken::new(), CancellationToken::new());
        let (mut listeners, mut workers) = (JoinSet::new(), JoinSet::new());

        let engine = Engine::new(
            shared.clone(),
            clock.clone(),
            program.clone(),
            settings.engine.clone(),
            settings.identity.clone(),
        );
        let (engine_state, sales) = (engine.state(), engine.sales());
        let accounts = Accounts::new(Some(shared.clone()), clock.clone());
        let (mut lanes, mut compared, mut askers) = (Vec::new(), Vec::new(), Vec::new());
        for (name, destination) in settings.destination {
            let name: LaneName = name.into();
            if !settings.plan.at.is_off() {
                let built = destination.clone().build(&name);
                compared.push(plan::Account::new(name.clone(), built, &accounts).map_err(Failed::new)?);
            }
            let asked = destination.clone().build(&name);
            let destination = destination.build(&name);
            askers.push(Arc::new(Asker::new(name.clone(), asked, &accounts).map_err(Failed::new)?));
            let lane = Lane::new(name, destination, shared.clone(), settings.delivery.clone(), &accounts)
                .map_err(Failed::new)?;
            lanes.push(lane);
        }
        let names = settings.identity.clone();
        let comparison = plan::Daily::new(settings.plan, compared, program.clone(), names, clock.clone());
        let mut sources = Vec::new();
        for (name, one) in &connected {
            let Some(SourceSettings::Connector(of)) = settings.source.get(name) else { continue };
            let source = pull::Source::new(name, one, &of.pull, &settings.identity, shared.clone(), &accounts);
            sources.push(source.map_err(Failed::new)?.managing(name, one, of.webhooks.as_ref()));
        }
        // What another daemon has is waited for later.
        accounts.open().await;
        let folder = settings.store.path.join("processes");
        let processes = programs.into_iter().map(|(name, program)| {
            let (store, clock) = (shared.clone(), clock.clone());
            pull::Process::new(&name, program, &settings.identity, &folder, store, clock)
        });
        let processes: Vec<pull::Process> = processes.collect();
        let (reloads, asked) = Reloads::new();
        let reload = Reload {
            file,
            lanes: lanes.iter().map(|lane| lane.name().clone()).collect(),
            program: program.clone(),
            swapped: engine.swapped(),
            clock: clock.clone(),
            stamp,
            asked,
        };
        let names = settings.identity.clone();
        let intake = Intake::bind(&settings.intake, &settings.source, &connected, names, shared.clone(), clock.clone())
            .await
            .map_err(Failed::new)?;
        let coming = intake.tallies().iter().cloned();
        let coming = coming.map(|(source, tally)| pull::Ear { source, stream: None, tally });
        let ears = coming.chain(sources.iter().flat_map(pull::Source::ears)).collect();
        let listening_to = pull::Listening::new(ears, shared.clone(), clock.clone());
        let reread = sources.iter().flat_map(pull::Source::reread).collect();
        let rerun = processes.iter().map(pull::Process::rerun).collect();
        let (window, with) = (settings.store.dedupe, (shared.clone(), clock.clone()));
        let (nightly, nights) = Nightly::new(settings.nightly, (reread, rerun), askers.clone(), window, with);
        let compacts = !nightly.comes();
        let (backups_told, backup) = watch::channel(None);
        let alerts = Desk::new(settings.alerts, shared.clone(), clock.clone()).map_err(Failed::new)?;
        let watched = Watched {
            store: shared.clone(),
            clock: clock.clone(),
            program: program.clone(),
            sales: sales.clone(),
            engine: engine_state,
            lanes: lanes.iter().map(|lane| (lane.name().clone(), lane.state())).collect(),
            queues: lanes.clone(),
            accounts: accounts.clone(),
            streams: {
                let programs = processes.iter().flat_map(pull::Process::watching);
                sources.iter().flat_map(pull::Source::watching).chain(programs).collect()
            },
            hooks: sources.iter().filter_map(pull::Source::watching_hooks).collect(),
            drift: comparison.found(),
            heard: listening_to.heard(),
            nights,
            backup,
            askers: askers.into(),
            sources: settings.source.iter().map(|(name, source)| (name.clone(), kind(source))).collect(),
            alerts: alerts.clone(),
            folder: settings.store.path.clone(),
            began,
            stopping: stopping.clone(),
        };
        let metrics = Metrics::install();
        let ops = Ops::bind(
            &settings.ops,
            watched.clone(),
            metrics.clone(),
            settings.identity.clone(),
            (reloads.clone(), engine.orders()),
            &settings.store.path,
        )
        .await
        .map_err(Failed::new)?;
        let missing = || Failed("the listener has no address".into());
        let (intake_at, ops_at) = (intake.address().ok_or_else(missing)?, ops.address());

        shared.introduce(&ops_at.to_string());
        let way_in = (!ops.has_accounts()).then(|| ops.link());

        // Both answer until the end: what is going on is to be seen while it ends, too.
        listeners.spawn(intake.refusing_from(stopping).run(listening.clone()));
        listeners.spawn(ops.run(listening.clone()));
        workers.spawn(engine.begin(working.clone()).map_err(Failed::new)?);
        for lane in lanes {
            workers.spawn(lane.run(working.clone()));
        }
        for source in sources {
            workers.spawn(source.run(working.clone()));
        }
        for process in processes {
            workers.spawn(process.run(working.clone()));
        }
        workers.spawn(accounts.clone().run(working.clone()));
        workers.spawn(listening_to.run(working.clone()));
        workers.spawn(comparison.run(working.clone()));
        workers.spawn(nightly.run(working.clone()));
        let looked_at = watched.clone();
        let look = move || looked_at.findings();
        workers.spawn(alerts.run(look, working.clone()));
        workers.spawn(reload.run(working.clone()));
        let tellers = tellers(&settings.log, &clock, &telling)?;
        workers.spawn(keep_counts(store.clone(), clock.clone(), (program, sales), working.clone()));
        if let Some(backups) = settings.store.backup {
            let backups = (backups, backups_told);
            workers.spawn(keep_backups(store.clone(), clock.clone(), backups, working.clone()));
        }
        workers.spawn(keep_house(store.clone(), clock.clone(), (metrics, compacts), working.clone()));
        tracing::info!(intake = %intake_at, ops = %ops_at, "espalier runs");
        Ok(Running {
            intake: intake_at,
            ops: ops_at,
            way_in,
            watched,
            reloads,
            accounts,
            clock,
            store,
            drain: settings.ops.drain,
            listening,
            working,
            telling,
            listeners,
            workers,
            tellers,
        })
    }
}

impl Running {
    /// Ends: takes no more messages, finishes what is under way, closes the store. What waits stays on disk. False where
    /// something did not end within `[ops] drain`: it is taken up again at the next start.
    pub async fn stop(mut self) -> Result<bool, Failed> {
        self.watched.stopping.cancel();
        self.working.cancel();
        let deadline = self.clock.now() + self.drain;
        let cut = ended(&mut self.workers, &self.clock, deadline).await;
        if cut > 0 {
            tracing::warn!(cut, "some work did not end in time; it is taken up again at the next start");
        }
        self.listening.cancel();
        let unanswered = ended(&mut self.listeners, &self.clock, self.clock.now() + ANSWERED).await;
        if unanswered > 0 {
            tracing::warn!("somebody was not answered in time: the connection is closed");
        }
        self.telling.cancel();
        let untold = ended(&mut self.tellers, &self.clock, self.clock.now() + TOLD).await;
        if untold > 0 {
            tracing::warn!("spans of the last steps could not be sent in time");
        }
        self.accounts.close().await;
        self.store.close().await.map_err(Failed::new)?;
        Ok(cut == 0)
    }
}

/// Who tells a collector of each step, in builds that can.
#[cfg(feature = "otel")]
fn tellers(log: &Log, clock: &SharedClock, stop: &CancellationToken) -> Result<JoinSet<()>, Failed> {
    let mut tellers = JoinSet::new();
    if let Some(address) = &log.otlp {
        tellers.spawn(super::otlp::Sending::new(address, log.otlp_share, clock)?.run(stop.clone()));
    }
    Ok(tellers)
}

#[cfg(not(feature = "otel"))]
fn tellers(_: &Log, _: &SharedClock, _: &CancellationToken) -> Result<JoinSet<()>, Failed> {
    Ok(JoinSet::new())
}

/// The clock of all who share this store, in the place of the machine's own; that, where nobody does.
fn common(own: SharedClock, store: &Arc<dyn Store>) -> SharedClock {
    let Some(told) = store.time().filter(|_| own.is_the_machines()) else { return own };
    let machine = own.now();
    let apart = machine.since(told).max(told.since(machine));
    if apart > APART {
        let apart_ms = apart.as_millis();
        tracing::warn!(
            apart_ms,
            "this machine's clock is not the database's, by which its daemons go; set both by NTP"
        );
    }
    let store = store.clone();
    Arc::new(ToldClock::new(move || store.time().unwrap_or_else(|| own.now())))
}

/// Waits for all of them until `deadline`, and aborts the others: what they had under way beside the runtime's workers, as a
/// step of the store or a backup, goes on until it ends or the process does. Returns how many those were.
async fn ended(tasks: &mut JoinSet<()>, clock: &SharedClock, deadline: Timestamp) -> usize {
    loop {
        tokio::select! {
            ended = tasks.join_next() => if ended.is_none() { return 0 },
            () = clock.until(deadline) => {
                let cut = tasks.len();
                // None of them begins anything more when this returns.
                tasks.shutdown().await;
                return cut;
            }
        }
    }
}

fn kind(source: &SourceSettings) -> &'static str {
    match source {
        SourceSettings::Tracking(_) => "tracking API",
        SourceSettings::Connector(_) => "connector",
        SourceSettings::Endpoint(_) => "custom endpoint",
        SourceSettings::Singer(_) => "Singer tap",
        SourceSettings::Airbyte(_) => "Airbyte connector",
        SourceSettings::File(_) => "file mapping",
    }
}

/// What was ordered is counted anew now and then, while a trigger asks for it. The engine counts it the first time.
async fn keep_counts(
    store: Arc<dyn Store>,
    clock: SharedClock,
    (program, sales): (Arc<ArcSwap<Program>>, Arc<ArcSwapOption<Sales>>),
    stop: CancellationToken,
) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.until(clock.now() + COUNTED_EVERY) => {}
        }
        if sales.load().is_none() || !program.load().asks_for_sales() {
            continue;
        }
        match count_sales(&*store).await {
            Ok(counted) => sales.store(Some(Arc::new(counted))),
            Err(error) => tracing::warn!(reason = %error, "what was ordered could not be counted"),
        }
    }
}

/// Metrics folded between scrapes; and, where no night does it, the store made small once a day.
async fn keep_house(
    store: Arc<dyn Store>,
    clock: SharedClock,
    (metrics, compacts): (Option<Metrics>, bool),
    stop: CancellationToken,
) {
    let mut next = clock.now() + SNAPSHOT;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = clock.until(clock.now() + UPKEEP) => {}
        }
        if let Some(metrics) = &metrics {
            metrics.upkeep();
        }
        if compacts && clock.now() >= next {
            next = clock.now() + SNAPSHOT;
            // One daemon is enough for it.
            if !matches!(store.duty("house").await, Ok(Some(_))) {
                continue;
            }
            match store.compact(clock.now()).await {
                Ok(position) => tracing::info!(position = position.0, "a snapshot of the state is written"),
                Err(error) => tracing::error!(reason = %error, "no snapshot could be written"),
            }
        }
    }
}
