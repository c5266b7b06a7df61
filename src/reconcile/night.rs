//! The task that waits for nights, and one night from its beginning to its report.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::lanes::LaneReport;
use super::looks::{DELAY, FURTHEST, LookReport};
use super::report::{ListReport, MEMORY, ProgramReport, Report, Why, recent};
use super::settings::Settings;
use super::targets::{Due, Memory, Targets};
use crate::clock::SharedClock;
use crate::delivery::Asker;
use crate::model::{Span, Timestamp};
use crate::pull::{Reread, Rerun};
use crate::store::{Duties, Duty, Store, StoreError, decided};

/// The duty of having nights.
const DUTY: &str = "night";
/// Under what name a night that is under way is kept.
pub(super) const OPEN: &str = "night:open";
/// What came before a night is decided within this, or the night goes on without.
const DECIDED: Span = Span::from_minutes(10);
/// What is to leave with a night is waited for so long: a lane that is held is not.
const FLUSHED: Span = Span::from_minutes(10);
/// How often that is looked at.
const LOOKED: Span = Span::from_secs(1);
/// A store that refuses is asked again after so long.
const REFUSED: Span = Span::from_secs(5);
/// Dead letters looked at in each lane.
const LETTERS: usize = 500;

/// A night that is under way, as it is kept: taken up again after a crash, and seen by those that do a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    pub of: Timestamp,
    why: Why,
    pub due: Due,
}

/// What somebody wants compared, by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NightWanted)]
pub struct Wanted {
    /// Only this source; none for all of them, and the lanes.
    pub source: Option<String>,
    /// Since when; none for the last good night.
    pub since: Option<Timestamp>,
}

/// Why a night cannot be begun by hand.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// There is one at a time.
    #[error("a night is under way; `espalier reconcile show` tells of it when it has ended")]
    UnderWay,
    /// No list of it can be read again.
    #[error("no list of a source `{0}` can be read again; there are: {1}")]
    Unknown(String, String),
    /// Further back than repeats are known.
    #[error(
        "messages are known to be repeats for {0}: what came before that would count twice. Choose a later `--since`"
    )]
    TooFar(Span),
    /// One daemon has the nights.
    #[error("another daemon that shares the store has the nights: ask that one, which `espalier status` names")]
    Elsewhere,
    /// The daemon ends.
    #[error("the daemon is about to end")]
    Ends,
}

/// A night that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = NightRunning)]
pub struct Running {
    /// When it began.
    pub of: Timestamp,
    /// What is being done, in words.
    pub doing: String,
    /// Lists that are read to their end.
    pub read: usize,
    /// Lists in all.
    pub lists: usize,
}

/// How nights are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct NightState {
    /// The one that is under way.
    pub running: Option<Running>,
    /// When the next is due.
    pub next: Option<Timestamp>,
    /// The last one.
    pub last: Option<Report>,
    /// Another daemon has the nights.
    #[serde(default)]
    pub is_elsewhere: bool,
}

/// The way to the nights: to look at them, and to begin one. Cheap to clone.
#[derive(Clone)]
pub struct Nights {
    /// How they are.
    pub state: watch::Receiver<NightState>,
    asked: mpsc::Sender<Wanted>,
    sources: Arc<[String]>,
    window: Span,
    clock: SharedClock,
}

impl Nights {
    /// Begins one by hand.
    ///
    /// # Errors
    /// Why it cannot be begun.
    pub fn begin(&self, wanted: Wanted) -> Result<(), Busy> {
        if let Some(source) = wanted.source.as_ref().filter(|source| !self.sources.contains(source)) {
            return Err(Busy::Unknown(source.clone(), self.sources.join(", ")));
        }
        if wanted.since.is_some_and(|since| since < self.clock.now() - self.window) {
            return Err(Busy::TooFar(self.window));
        }
        if self.state.borrow().is_elsewhere {
            return Err(Busy::Elsewhere);
        }
        if self.state.borrow().running.is_some() {
            return Err(Busy::UnderWay);
        }
        self.asked.try_send(wanted).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => Busy::UnderWay,
            mpsc::error::TrySendError::Closed(_) => Busy::Ends,
        })
    }
}

/// The task that waits for nights.
pub struct Nightly {
    pub(super) settings: Settings,
    targets: Targets,
    pub(super) lists: Vec<Reread>,
    pub(super) programs: Vec<Rerun>,
    /// The accounts of the lanes.
    pub(super) askers: Vec<Arc<Asker>>,
    /// How long a message is known to be a repetition.
    window: Span,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: SharedClock,
    /// By which there are nights here.
    pub(super) duty: Duty,
    pub(super) memory: Memory,
    pub(super) state: watch::Sender<NightState>,
    asked: mpsc::Receiver<Wanted>,
}

impl Nightly {
    /// Over these lists and lanes; and the way to it. `window` is how long a message is known to be a repetition.
    pub fn new(
        settings: Settings,
        (lists, programs): (Vec<Reread>, Vec<Rerun>),
        askers: Vec<Arc<Asker>>,
        window: Span,
        (store, clock): (Arc<dyn Store>, SharedClock),
    ) -> (Self, Nights) {
        let all = lists.iter().map(|list| &list.source).chain(programs.iter().map(|program| &program.source));
        let mut sources: Vec<String> = all.map(|source| source.to_string()).collect();
        sources.dedup();
        let targets = Targets { sources, lanes: askers.iter().map(|one| one.name.to_string()).collect() };
        let (state, (sender, asked)) = (watch::Sender::default(), mpsc::channel(1));
        let nights = Nights {
            state: state.subscribe(),
            asked: sender,
            sources: targets.sources.clone().into(),
            window,
            clock: clock.clone(),
        };
        (
            Self {
                settings,
                targets,
                lists,
                programs,
                askers,
                window,
                store,
                clock,
                duty: Duty::always(DUTY),
                memory: Memory::default(),
                state,
                asked,
            },
            nights,
        )
    }

    /// True when there will be one, which then makes the store small.
    pub fn comes(&self) -> bool {
        self.targets.next(&self.settings, self.clock.now()).is_some()
    }

    /// Waits for nights until `stop`, where they are ours; where they are another daemon's, does its part of them.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut duties = Duties::new(self.store.clone(), [DUTY.to_owned()]);
        while let Some(on) = duties.next_or_help(&stop, self.help()).await {
            self.duty = on.duty();
            self.state.send_modify(|state| state.is_elsewhere = false);
            self.work(on.stop().clone()).await;
        }
    }

    async fn work(&mut self, stop: CancellationToken) {
        let begun = tokio::select! {
            () = stop.cancelled() => return,
            begun = self.remember() => begun,
        };
        if let Some(open) = begun {
            tracing::info!(night = %open.of, "a night that was under way goes on");
            self.night(open, &stop).await;
        }
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let due = self.targets.due(&self.memory, &self.settings, self.window, now);
            if !due.is_empty() {
                self.begin(Open { of: now, why: Why::Due, due }, &stop).await;
                continue;
            }
            let next = self.targets.next(&self.settings, now);
            self.state.send_if_modified(|state| std::mem::replace(&mut state.next, next) != next);
            let wanted = tokio::select! {
                () = stop.cancelled() => break,
                () = async { match next { Some(at) => self.clock.until(at).await, None => std::future::pending().await } } => continue,
                wanted = self.asked.recv() => wanted,
            };
            let Some(wanted) = wanted else { break };
            let of = self.clock.now();
            let due = self.wanted(&wanted, of);
            self.begin(Open { of, why: Why::ByHand, due }, &stop).await;
        }
    }

    /// What is kept of nights; and the one that was under way.
    async fn remember(&mut self) -> Option<Open> {
        let kept = loop {
            let all = async {
                Ok((self.store.kept(MEMORY).await?, self.store.kept(OPEN).await?, recent(&*self.store, 1).await?))
            };
            match all.await {
                Ok(kept) => break kept,
                Err(refused) => self.rest(&refused).await,
            }
        };
        let (memory, open, last) = kept;
        self.memory = memory.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        self.targets.meet(&mut self.memory, &self.settings, self.clock.now());
        self.keep_memory().await;
        self.state.send_modify(|state| state.last = last.into_iter().next());
        open.and_then(|bytes| serde_json::from_slice(&bytes).ok())
    }

    fn wanted(&self, wanted: &Wanted, now: Timestamp) -> Due {
        let sources = self.targets.sources.iter().filter(|name| wanted.source.as_ref().is_none_or(|one| one == *name));
        let since = |name: &str| Targets::since(&self.memory, &self.settings, self.window, name, now);
        Due {
            sources: sources.map(|name| (name.clone(), wanted.since.unwrap_or_else(|| since(name)))).collect(),
            lanes: if wanted.source.is_none() { self.targets.lanes.clone() } else { Vec::new() },
        }
    }

    async fn begin(&mut self, open: Open, stop: &CancellationToken) {
        // Kept before anything is done: after a crash it is this night that goes on.
        self.keep(OPEN, &serde_json::to_vec(&open).unwrap_or_default()).await;
        tracing::info!(night = %open.of, sources = open.due.sources.len(), lanes = open.due.lanes.len(), "a night begins");
        self.night(open, stop).await;
    }

    /// One night; given up for `stop`, and then taken up again at the next start.
    async fn night(&mut self, open: Open, stop: &CancellationToken) {
        let lists: Vec<Reread> =
            self.lists.iter().filter(|list| open.due.sources.contains_key(&*list.source)).cloned().collect();
        let report = tokio::select! {
            () = stop.cancelled() => return,
            report = self.compare(&open, &lists) => report,
        };
        let findings = report.findings();
        for words in &findings {
            tracing::warn!(night = %open.of, finding = %words, "a night found this");
        }
        tracing::info!(night = %open.of, findings = findings.len(), "a night has ended");
        self.memory.note(&open.due, self.clock.now());
        for source in open.due.sources.keys() {
            let mut of_source = report.lists.iter().filter(|list| list.source == *source);
            if of_source.all(|list| list.read.is_done) {
                let good = self.memory.good.entry(source.clone()).or_insert(open.of);
                *good = (*good).max(open.of);
            }
        }
        self.memory.reports += 1;
        let number = self.memory.reports - 1;
        while let Err(refused) = report.keep((&*self.store, &self.duty), number).await {
            self.rest(&refused).await;
        }
        self.keep_memory().await;
        self.keep(OPEN, b"null").await;
        self.state.send_modify(|state| (state.running, state.last) = (None, Some(report)));
    }

    async fn compare(&mut self, open: &Open, lists: &[Reread]) -> Report {
        self.tell(open, "waits until everything is decided that came before", (0, lists.len()));
        self.decided().await;
        let deadline = open.of + self.settings.longest;
        for list in lists.iter().filter(|list| list.is_here()) {
            let from = open.due.sources.get(&*list.source).copied().unwrap_or(open.of);
            tokio::select! {
                is_asked = list.ask(open.of, (from, open.of)) => if !is_asked {
                    tracing::warn!(source = %list.source, stream = %list.stream, "a list has ended, and is not read again");
                },
                () = self.clock.until(deadline) => {}
            }
        }
        for (n, list) in lists.iter().enumerate() {
            self.tell(open, &format!("reads {}, {}", list.source, list.stream), (n, lists.len()));
            self.read_whole(open, list, deadline).await;
        }
        let programs = self.rerun(open, lists.len(), deadline).await;
        self.tell(open, "waits until what was missing is decided", (lists.len(), lists.len()));
        self.decided().await;
        self.tell(open, "waits until what was deferred has left", (lists.len(), lists.len()));
        self.flushed(open, deadline).await;
        self.tell(open, "adds the lanes' books up", (lists.len(), lists.len()));
        let mut lanes = Vec::new();
        for lane in &open.due.lanes {
            let letters = loop {
                match self.store.dead_letters(Some(lane), LETTERS).await {
                    Ok(letters) => break letters,
                    Err(refused) => self.rest(&refused).await,
                }
            };
            let count = self.store.lane_count(lane);
            let mut report = LaneReport::of(lane, self.memory.books.get(lane), &count, &letters);
            let now = self.clock.now();
            report.deferred = self.deferred(lane, (report.since.unwrap_or(now - Span::DAY), now)).await;
            lanes.push(report);
            self.memory.books.insert(lane.clone(), (now, count.totals));
        }
        for report in &mut lanes {
            self.tell(open, &format!("asks {} what it has", report.lane), (lists.len(), lists.len()));
            report.looked = self.look(open, &report.lane, deadline).await;
        }
        self.tell(open, "makes the store small", (lists.len(), lists.len()));
        let not_compacted = self.store.compact(self.clock.now()).await.err().map(|refused| refused.to_string());
        let counts = self.store.counts();
        let before = std::mem::replace(&mut self.memory.journaled, counts.journaled.0);
        let mut reads = Vec::new();
        for list in lists {
            reads.push((list, self.read_so_far(list, open.of).await.unwrap_or_default()));
        }
        let lists = reads.into_iter().map(|(list, read)| ListReport {
            source: list.source.to_string(),
            stream: list.stream.to_string(),
            from: open.due.sources.get(&*list.source).copied().unwrap_or(open.of),
            held: list.held().filter(|_| !read.is_done),
            read,
        });
        Report {
            of: open.of,
            ended: self.clock.now(),
            why: open.why,
            accepted: counts.journaled.0.saturating_sub(before),
            undecided: counts.journaled.0.saturating_sub(counts.decided.0),
            lists: lists.collect(),
            programs,
            lanes,
            not_compacted,
        }
    }

    /// Has each program run once more, from where it is.
    async fn rerun(&self, open: &Open, lists: usize, deadline: Timestamp) -> Vec<ProgramReport> {
        let mut reports = Vec::new();
        for program in self.programs.iter().filter(|program| open.due.sources.contains_key(&*program.source)) {
            self.tell(open, &format!("runs {} once more", program.source), (lists, lists));
            let name = format!("program:{}", program.source);
            if let Some(brought) = self.part(open.of, &name, || program.is_here(), deadline).await {
                reports.push(ProgramReport { source: program.source.to_string(), brought });
                continue;
            }
            let brought = tokio::select! {
                brought = program.run() => brought,
                () = self.clock.until(deadline) => None,
            };
            reports.push(ProgramReport { source: program.source.to_string(), brought });
        }
        reports
    }

    /// Waits, within bounds, until the lanes have tried what was to leave with this night.
    async fn flushed(&self, open: &Open, deadline: Timestamp) {
        let deadline = deadline.min(self.clock.now() + FLUSHED);
        let is_due = |lane: &String| self.store.lane_count(lane).next.is_some_and(|next| next <= open.of);
        while open.due.lanes.iter().any(is_due) && self.clock.now() < deadline {
            self.clock.until(self.clock.now() + LOOKED).await;
        }
    }

    /// How many of what the lane's vendor took in this stretch of time had waited for one of its nights.
    async fn deferred(&self, lane: &str, span: (Timestamp, Timestamp)) -> u64 {
        let accepted = loop {
            match self.store.accepted(lane, span, 0).await {
                Ok(accepted) => break accepted,
                Err(refused) => self.rest(&refused).await,
            }
        };
        let schedule = self.settings.of_lane(lane);
        let is_night = |at: &Timestamp| schedule.last(*at, &self.settings.zone) == Some(*at);
        accepted.waited.iter().filter(|(at, _)| is_night(at)).map(|(_, n)| n).sum()
    }

    /// What the lane's vendor shows of what it took since it was last asked.
    pub(super) async fn look(&mut self, open: &Open, lane: &str, deadline: Timestamp) -> Option<LookReport> {
        let most = self.settings.look(lane);
        let name = format!("look:{lane}");
        let is_ours = || self.askers.iter().any(|asker| &*asker.name == lane && asker.is_ours());
        if let Some(looked) = self.part::<Option<LookReport>>(open.of, &name, is_ours, deadline).await {
            if let Some(of) = looked.as_ref().filter(|of| of.failed.is_none()) {
                self.memory.looked.insert(lane.to_owned(), of.until.max(of.since));
            }
            return looked;
        }
        let asker = self.askers.iter().find(|asker| &*asker.name == lane).filter(|_| most > 0)?.clone();
        // Nothing is read for who cannot be asked.
        asker.destination.inventory(Vec::new())?;
        let until = open.of - DELAY;
        let since = self.memory.looked.get(lane).copied().unwrap_or(until - Span::DAY).max(until - FURTHEST);
        let accepted = loop {
            match self.store.accepted(lane, (since, until), most).await {
                Ok(accepted) => break accepted,
                Err(refused) => self.rest(&refused).await,
            }
        };
        let looked = tokio::select! {
            looked = LookReport::of(&asker, (since, until), accepted) => looked?,
            () = self.clock.until(deadline) => LookReport {
                since,
                until,
                failed: Some("the night was over".into()),
                ..LookReport::default()
            },
        };
        if looked.failed.is_none() {
            self.memory.looked.insert(lane.to_owned(), until.max(since));
        }
        Some(looked)
    }

    fn tell(&self, open: &Open, doing: &str, (read, lists): (usize, usize)) {
        let running = Running { of: open.of, doing: doing.to_owned(), read, lists };
        self.state.send_modify(|state| state.running = Some(running));
    }

    /// Waits, within bounds, until everything is decided that the journal has now.
    async fn decided(&self) {
        tokio::select! {
            _ = decided(&*self.store, self.store.counts().journaled) => {}
            () = self.clock.until(self.clock.now() + DECIDED) => {}
        }
    }

    async fn keep_memory(&self) {
        self.keep(MEMORY, &serde_json::to_vec(&self.memory).unwrap_or_default()).await;
    }

    /// However long the store takes to let us.
    async fn keep(&self, name: &str, value: &[u8]) {
        while let Err(refused) = self.store.keep_for(&self.duty, name, value).await {
            self.rest(&refused).await;
        }
    }

    pub(super) async fn rest(&self, refused: &StoreError) {
        tracing::warn!(reason = %refused, "the night waits for the store");
        self.clock.until(self.clock.now() + REFUSED).await;
    }
}
