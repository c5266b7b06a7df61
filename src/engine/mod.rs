//! The loop: claim, write the step down, decide, commit; due timers the same way. What was written down and not
//! committed is taken again before anything new.
//!
//! It knows nothing of vendors. What it decides lies in the outbox when a step returns.

mod adopt;
mod batch;
mod orders;
mod replay;
mod sales;
mod settings;
mod state;
mod thread;
mod timers;
mod traced;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::identity;
use crate::model::{Changes, Loaded, Sales, Span, Timestamp};
use crate::rules::Program;
use crate::store::{Step, Store, StoreError};

pub use orders::Orders;
use replay::Restricted;
pub use sales::count_sales;
pub use settings::Settings;
pub use state::{EngineState, LATELY, Stage};

/// Shortest and longest wait after a step that the store refused.
const REFUSED: (Span, Span) = (Span::from_millis(200), Span::from_secs(10));
/// While another daemon has the engine, it is asked for again so often.
const ELSEWHERE: Span = Span::from_millis(300);

/// Decides everything that is in the journal, in its order, and every timer when it is due.
///
/// There is one for each store: a second one would decide nothing wrong (a commit is atomic), but twice the work.
pub struct Engine {
    store: Arc<dyn Store>,
    clock: SharedClock,
    /// Swapped when trigger files change; each step uses the one it began with.
    program: Arc<ArcSwap<Program>>,
    /// Told after a swap by who made it, so that an idle engine adopts people at once.
    swapped: Arc<Notify>,
    orders: Orders,
    settings: Settings,
    /// What counts as a name.
    names: identity::Settings,
    /// The program that was last seen to be the recorded one.
    recorded: tokio::sync::Mutex<Option<Arc<Program>>>,
    /// What was ordered, once a program has asked for it.
    sales: Arc<ArcSwapOption<Sales>>,
    /// For a replay.
    restricted: tokio::sync::Mutex<Option<Restricted>>,
    /// What it is doing, for health and the page.
    state: tokio::sync::watch::Sender<EngineState>,
}

/// What one turn of the loop found to do.
enum Turn {
    /// Something was decided: there may be more at once.
    Worked,
    /// Nothing waits before this instant (`None`: no timer at all).
    Idle(Option<Timestamp>),
}

impl Engine {
    /// Ready to run.
    pub fn new(
        store: Arc<dyn Store>,
        clock: SharedClock,
        program: Arc<ArcSwap<Program>>,
        settings: Settings,
        names: identity::Settings,
    ) -> Self {
        let swapped: Arc<Notify> = Arc::default();
        Self {
            store,
            clock,
            program,
            orders: Orders::new(swapped.clone()),
            swapped,
            settings,
            names,
            recorded: tokio::sync::Mutex::default(),
            sales: Arc::default(),
            restricted: tokio::sync::Mutex::default(),
            state: tokio::sync::watch::Sender::new(EngineState::default()),
        }
    }

    /// What it is doing, whenever that changes.
    pub fn state(&self) -> tokio::sync::watch::Receiver<EngineState> {
        self.state.subscribe()
    }

    /// What was ordered: none until a program asks for it. Whoever counts anew puts it here.
    pub fn sales(&self) -> Arc<ArcSwapOption<Sales>> {
        self.sales.clone()
    }

    /// To be told when the program was swapped.
    pub fn swapped(&self) -> Arc<Notify> {
        self.swapped.clone()
    }

    /// Runs until `stop`. A step that was begun is finished; what is undecided then stays in the journal.
    pub async fn run(self, stop: CancellationToken) {
        let mut wait = REFUSED.0;
        let mut changed = self.store.changed();
        while !stop.is_cancelled() {
            changed.mark_unchanged();
            match self.turn().await {
                Ok(Turn::Worked) => {
                    wait = REFUSED.0;
                    self.state.send_if_modified(|s| s.enter(Stage::Deciding, self.clock.now()));
                }
                Ok(Turn::Idle(next)) => {
                    wait = REFUSED.0;
                    self.state.send_if_modified(|s| s.enter(Stage::Idle, self.clock.now()));
                    tokio::select! {
                        () = stop.cancelled() => break,
                        seen = changed.changed() => if seen.is_err() { break },
                        () = self.swapped.notified() => {}
                        () = self.until(next) => {}
                    }
                }
                Err(StoreError::Elsewhere) => {
                    wait = REFUSED.0;
                    self.state.send_if_modified(|s| s.enter(Stage::Elsewhere, self.clock.now()));
                    self.orders.refuse();
                    let again = self.clock.now() + ELSEWHERE;
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.clock.until(again) => {}
                    }
                }
                Err(refused) => {
                    tracing::error!(reason = %refused, wait_ms = wait.as_millis(), "the engine waits for the store");
                    metrics::counter!("espalier_engine_refused_total").increment(1);
                    self.state.send_if_modified(|s| s.enter(Stage::Refused(refused.to_string()), self.clock.now()));
                    let again = self.clock.now() + wait;
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.clock.until(again) => {}
                    }
                    wait = Span::from_millis(wait.as_millis() * 2).min(REFUSED.1);
                }
            }
        }
        self.state.send_if_modified(|s| s.enter(Stage::Stopped, self.clock.now()));
    }

    /// Decides all that is in the journal and due by the clock, then returns: for imports, and before a halt.
    pub async fn drain(&self) -> Result<(), StoreError> {
        while let Turn::Worked = self.turn().await? {}
        Ok(())
    }

    /// A step that was written down and not taken; else one batch of events and one round of timers; else one page of
    /// people for a trigger that is new.
    async fn turn(&self) -> Result<Turn, StoreError> {
        self.count_first(&self.program.load_full()).await?;
        if let Some(recorded) = self.store.recorded().await? {
            self.again(recorded).await?;
            return Ok(Turn::Worked);
        }
        let program = self.program.load_full();
        self.begin_program(&program).await?;
        // Read before the claim: an empty claim then means that all that arrived by `now` is decided.
        let now = self.clock.now();
        if self.orders_and_releases(&program, now).await? {
            return Ok(Turn::Worked);
        }
        let decided = self.events(&program, now).await?;
        // Behind a backlog, time has only come as far as the newest event decided; in imported history, not even so far.
        let until = decided.map_or(now, |last| last.min(now));
        let timers = self.timers(&program, until, now).await?;
        if decided.is_some() || timers {
            return Ok(Turn::Worked);
        }
        if self.adopt(&program, now).await? {
            return Ok(Turn::Worked);
        }
        Ok(Turn::Idle(self.store.counts().next_timer))
    }

    /// Writes down that this program is asked from now on, if another one was.
    async fn begin_program(&self, program: &Arc<Program>) -> Result<(), StoreError> {
        let mut recorded = self.recorded.lock().await;
        if recorded.as_ref().is_some_and(|recorded| Arc::ptr_eq(recorded, program)) {
            return Ok(());
        }
        let meanings = program.meanings();
        if self.store.progress()?.program.as_deref() != Some(&meanings[..]) {
            let step = Some(self.store.record(Step::Program(meanings)).await?);
            self.store.commit(Loaded::default(), Changes { step, ..Changes::default() }).await?;
        }
        *recorded = Some(program.clone());
        Ok(())
    }

    async fn until(&self, next: Option<Timestamp>) {
        match next {
            Some(at) => self.clock.until(at).await,
            None => std::future::pending().await,
        }
    }
}
