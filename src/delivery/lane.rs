//! One account's queue as a state machine: take, ask for budget, converse, settle.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32};

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::settings::Settings;
use super::state::{Hold, LaneState};
use crate::clock::SharedClock;
use crate::destination::Destination;
use crate::model::{LaneName, Priority, Span, Timestamp};
use crate::quota::{self, Accounts, For, Ledger, NotOurs, Outlook, Part};
use crate::store::{LaneCount, Store, Work, WorkId};
use crate::wire::Wire;

/// The wait after a step that the store refused.
pub(super) const REFUSED: Span = Span::from_secs(1);
/// A wait for the budget that is longer is told.
const TOLD: Span = Span::from_secs(5);

/// One destination account's lane. Cheap to clone; all clones are one lane.
#[derive(Clone)]
pub struct Lane {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub name: LaneName,
    pub destination: Box<dyn Destination>,
    pub wire: Wire,
    pub ledger: Ledger,
    pub store: Arc<dyn Store>,
    pub clock: SharedClock,
    pub settings: Settings,
    pub breaker: Mutex<Breaker>,
    /// Held for a reason of its own, not of the budget's: until when, and why.
    pub holds: watch::Sender<Option<(Timestamp, Hold, String)>>,
    /// Tokens refused in a row: a second one is no matter of age.
    pub tokens_refused: AtomicU32,
    /// When the vendor is asked next what is used, in milliseconds.
    pub usage_at: AtomicI64,
    pub state: watch::Sender<LaneState>,
}

impl Lane {
    /// Ready to run. Of `accounts` it shares the ledger of whoever calls the same one.
    pub fn new(
        name: LaneName,
        destination: Box<dyn Destination>,
        store: Arc<dyn Store>,
        settings: Settings,
        accounts: &Accounts,
    ) -> Result<Self, crate::wire::NoClient> {
        let clock = accounts.clock();
        let wire = Wire::new(destination.base_url(), destination.token(), None, clock.clone())?;
        let ledger = accounts.ledger(&name, destination.account(), &destination.windows());
        let state = LaneState { kind: destination.kind(), since: clock.now(), ..LaneState::default() };
        let state = watch::Sender::new(state);
        let (breaker, tokens_refused, usage_at) = (Mutex::default(), AtomicU32::new(0), AtomicI64::new(0));
        let holds = watch::Sender::new(None);
        Ok(Self {
            inner: Arc::new(Inner {
                name,
                destination,
                wire,
                ledger,
                store,
                clock,
                settings,
                breaker,
                holds,
                tokens_refused,
                usage_at,
                state,
            }),
        })
    }

    /// Its name.
    pub fn name(&self) -> &LaneName {
        &self.inner.name
    }

    /// What it is doing, whenever that changes.
    pub fn state(&self) -> watch::Receiver<LaneState> {
        self.inner.state.subscribe()
    }

    /// What its queue costs, and when it is through; `priority` is that of a trigger.
    pub fn outlook(&self, priority: impl Fn(&str) -> Priority) -> Outlook {
        let Inner { name, destination, ledger, store, clock, state, .. } = &*self.inner;
        let now = clock.now();
        state.send_if_modified(|state| {
            state.turn(now);
            false
        });
        let spent = state.borrow().calls.clone();
        let mut queued = store.lane_count(name).triggers;
        for trigger in spent.keys() {
            queued.entry(trigger.clone()).or_default();
        }
        let part = |(trigger, queued): (Arc<str>, u64)| Part {
            priority: priority(&trigger),
            spent: spent.get(&trigger).copied().unwrap_or(0.0),
            trigger,
            queued,
        };
        let parts = queued.into_iter().map(part).collect();
        quota::outlook(&**destination, ledger.name(), &ledger.windows(), parts, now)
    }

    /// Runs until `stop`. Exchanges that were begun are finished and settled.
    pub async fn run(self, stop: CancellationToken) {
        let inner = self.inner;
        let limits = inner.destination.limits();
        let mut changed = inner.store.changed();
        let mut running: JoinSet<()> = JoinSet::new();
        let look_after = inner.destination.look_after();
        let mut term = inner.store.term(&inner.name);
        if look_after > Span::ZERO && term.is_some() && inner.store.lane_count(&inner.name).queued > 0 {
            inner.look_after(look_after);
        }
        while !stop.is_cancelled() {
            changed.mark_unchanged();
            let now = inner.clock.now();
            if !inner.ledger.is_ours() {
                inner.is_elsewhere(now);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = inner.ledger.ours() => inner.free(inner.clock.now()),
                    _ = running.join_next(), if !running.is_empty() => {}
                }
                continue;
            }
            if let Some((until, why, words)) = inner.held(now).await {
                inner.hold(until, why, &words, now);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = inner.clock.until(until) => {}
                    _ = running.join_next(), if !running.is_empty() => {}
                }
                continue;
            }
            let spent = inner.spent(limits.records, running.len());
            let is_probing = inner.breaker.lock().await.is_probing();
            // One call that is tried mends nothing: it is held until the vendor has answered as it should.
            let is_tried = is_probing || inner.is_to_be_mended();
            if !is_tried && spent.as_ref().is_none_or(|(_, _, until)| *until <= now + TOLD) {
                inner.free(now);
            }
            let most = if is_probing { 1 } else { limits.concurrency.max(1) };
            if running.len() >= most {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = running.join_next() => {}
                }
                continue;
            }
            if let Some((family, calls, until)) = spent {
                if until > now + TOLD {
                    inner.hold(until, Hold::Quota, "the quota is used up", now);
                }
                // What is taken can no longer be called back, so nothing is taken that cannot leave.
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = inner.ledger.ready(family, For::Sending, calls) => {}
                    _ = running.join_next(), if !running.is_empty() => {}
                }
                continue;
            }
            match inner.store.work(&inner.name, now, limits.records).await {
                Ok(work) if work.is_empty() => {
                    let LaneCount { next, queued, .. } = inner.store.lane_count(&inner.name);
                    if queued == 0 {
                        // Whoever sent before left nothing.
                        term = inner.store.term(&inner.name);
                    }
                    let idle = tokio::select! {
                        () = stop.cancelled() => break,
                        seen = changed.changed() => { if seen.is_err() { break } true }
                        () = until(&inner.clock, next) => false,
                        _ = running.join_next(), if !running.is_empty() => false,
                    };
                    // Something came after a rest: a short linger lets a batch fill.
                    if idle && inner.settings.linger > Span::ZERO {
                        inner.clock.until(inner.clock.now() + inner.settings.linger).await;
                    }
                }
                Ok(work) if look_after > Span::ZERO && inner.store.term(&inner.name) != term => {
                    term = inner.store.term(&inner.name);
                    inner.look_after(look_after);
                    inner.give_back(work).await;
                }
                Ok(work) => {
                    // A probe is to tell soon whether the vendor is well.
                    let work = if is_probing { work } else { inner.more(work, now).await };
                    let (inner, stop) = (inner.clone(), stop.clone());
                    running.spawn(async move { inner.exchange(work, &stop).await });
                }
                Err(refused) => {
                    tracing::error!(lane = %inner.name, reason = %refused, "the lane waits for the store");
                    let again = inner.clock.now() + REFUSED;
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = inner.clock.until(again) => {}
                    }
                }
            }
        }
        while running.join_next().await.is_some() {}
    }
}

async fn until(clock: &SharedClock, at: Option<Timestamp>) {
    match at {
        Some(at) => clock.until(at).await,
        None => std::future::pending().await,
    }
}

impl Inner {
    /// What an earlier run, or another daemon, may have sent: the vendor needs a moment to show it.
    fn look_after(&self, time: Span) {
        self.rest(self.clock.now() + time, Hold::Looking, "what an earlier run sent is not yet to be seen");
    }

    /// Gives work back untried.
    async fn give_back(&self, work: Vec<Work>) {
        let back: Vec<WorkId> = work.into_iter().map(|one| one.id).collect();
        if !back.is_empty()
            && let Err(refused) = self.store.release(&self.name, &back).await
        {
            tracing::error!(lane = %self.name, reason = %refused, "work could not be given back; a restart does");
        }
    }

    /// Why nothing may be sent, and until when.
    async fn held(&self, now: Timestamp) -> Option<(Timestamp, Hold, String)> {
        if let Some(until) = self.breaker.lock().await.open_until(now) {
            return Some((until, Hold::Breaker, "the breaker is open: the vendor fails again and again".into()));
        }
        self.holds.borrow().clone().filter(|(until, ..)| *until > now)
    }

    /// Somebody has to mend something, and nothing has shown yet that it is mended.
    fn is_to_be_mended(&self) -> bool {
        matches!(&*self.holds.borrow(), Some((_, Hold::Credentials | Hold::Configuration, _)))
    }

    /// The vendor answered as it should: what was to be mended is.
    pub fn is_mended(&self, now: Timestamp) {
        self.holds.send_if_modified(|hold| hold.take_if(|(until, ..)| *until <= now).is_some());
    }

    /// Nothing is sent before.
    pub fn rest(&self, until: Timestamp, why: Hold, words: &str) {
        self.holds.send_if_modified(|hold| {
            let is_later = hold.as_ref().is_none_or(|(old, ..)| *old < until);
            if is_later {
                *hold = Some((until, why, words.to_owned()));
            }
            is_later
        });
    }

    /// More of the same, where a full batch mostly holds what is cheaper the more of it goes together. What came along and
    /// is none of that goes back to its place.
    async fn more(&self, mut work: Vec<Work>, now: Timestamp) -> Vec<Work> {
        let records = self.destination.limits().records;
        let together = |one: &Work| self.destination.together(&one.activation);
        let most = work.iter().map(together).max().unwrap_or(records);
        let many = work.iter().filter(|one| together(one) > records).count();
        if work.len() < records || most <= records || many * 2 < work.len() {
            return work;
        }
        match self.store.work(&self.name, now, most - work.len()).await {
            Ok(more) => {
                let (more, back): (Vec<Work>, Vec<Work>) = more.into_iter().partition(|one| together(one) > records);
                work.extend(more);
                self.give_back(back).await;
            }
            Err(refused) => tracing::error!(lane = %self.name, reason = %refused, "the batch stays as small as it is"),
        }
        work
    }

    /// The family whose budget has no room for the next batch, for how many calls, and until when.
    fn spent(&self, most: usize, running: usize) -> Option<(&'static str, u32, Timestamp)> {
        if !self.ledger.is_scarce(u32::try_from(most.saturating_mul(running + 1)).unwrap_or(u32::MAX)) {
            return None;
        }
        let queued = usize::try_from(self.store.lane_count(&self.name).queued).unwrap_or(usize::MAX);
        if queued == 0 {
            return None;
        }
        let needs = self.destination.calls_by_family(queued.min(most));
        let closed = needs.into_iter().filter_map(|(family, calls)| {
            // Those under way may need as many, of a day that has to last for all.
            let calls = u32::try_from(calls.saturating_mul(running + 1)).unwrap_or(u32::MAX);
            Some((family, calls, self.ledger.closed_until(family, calls)?))
        });
        closed.max_by_key(|(_, _, until)| *until)
    }

    pub fn hold(&self, until: Timestamp, why: Hold, words: &str, now: Timestamp) {
        self.state.send_if_modified(|state| {
            let is_news = state.held.as_deref() != Some(words) || state.until != Some(until);
            if state.held.is_none() {
                state.since = now;
            }
            (state.held, state.why, state.until) = (Some(words.to_owned()), Some(why), Some(until));
            is_news
        });
    }

    /// Another daemon has the account, and sends.
    fn is_elsewhere(&self, now: Timestamp) {
        self.state.send_if_modified(|state| {
            let is_news = state.why != Some(Hold::Elsewhere);
            if is_news {
                (state.held, state.until, state.since) = (Some(NotOurs.to_string()), None, now);
                state.why = Some(Hold::Elsewhere);
            }
            is_news
        });
    }

    fn free(&self, now: Timestamp) {
        self.state.send_if_modified(|state| {
            if state.held.is_none() {
                return false;
            }
            (state.held, state.why, state.until, state.since) = (None, None, None, now);
            true
        });
    }
}
