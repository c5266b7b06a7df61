//! One account's queue as a state machine: take, ask for budget, converse, settle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::breaker::Breaker;
use super::settings::Settings;
use crate::clock::SharedClock;
use crate::destination::{Destination, Halt, Item, Next};
use crate::model::http::{Answer, Request};
use crate::model::{Attempt, LaneName, Outcome, Span, Timestamp};
use crate::quota::Ledger;
use crate::store::{Settled, Store, StoreError, Work, WorkId};
use crate::wire::{TokenError, Wire, backoff};

/// Calls of one exchange at most: an adapter that never ends is stopped.
const MOST_CALLS: usize = 4_000;
/// The wait after a step that the store refused.
const REFUSED: Span = Span::from_secs(1);

/// What a lane is doing, for health and the page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LaneState {
    /// The vendor's name.
    pub kind: &'static str,
    /// Why it does not send, in words; `None` when nothing stops it.
    pub held: Option<String>,
    /// Until when it is held.
    pub until: Option<Timestamp>,
    /// Since when it is held, or free.
    pub since: Timestamp,
    /// The last time the vendor took something.
    pub last_success: Option<Timestamp>,
    /// The last failure, in words.
    pub last_error: Option<String>,
    /// Exchanges under way.
    pub in_flight: usize,
    /// Outcomes since the start, by word.
    pub outcomes: std::collections::BTreeMap<&'static str, u64>,
}

/// One destination account's lane. Cheap to clone; all clones are one lane.
#[derive(Clone)]
pub struct Lane {
    inner: Arc<Inner>,
}

struct Inner {
    name: LaneName,
    destination: Box<dyn Destination>,
    wire: Wire,
    ledger: Ledger,
    store: Arc<dyn Store>,
    clock: SharedClock,
    settings: Settings,
    breaker: Mutex<Breaker>,
    /// Tokens refused in a row: a second one is no matter of age.
    tokens_refused: AtomicU32,
    state: watch::Sender<LaneState>,
}

impl Lane {
    /// Ready to run.
    pub fn new(
        name: LaneName,
        destination: Box<dyn Destination>,
        store: Arc<dyn Store>,
        clock: SharedClock,
        settings: Settings,
    ) -> Result<Self, crate::wire::NoClient> {
        let wire = Wire::new(destination.base_url(), destination.token(), None, clock.clone())?;
        let ledger = Ledger::new(&destination.windows(), clock.clone());
        let state = LaneState { kind: destination.kind(), since: clock.now(), ..LaneState::default() };
        let state = watch::Sender::new(state);
        let (breaker, tokens_refused) = (Mutex::default(), AtomicU32::new(0));
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
                tokens_refused,
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

    /// Runs until `stop`. Exchanges that were begun are finished and settled.
    pub async fn run(self, stop: CancellationToken) {
        let inner = self.inner;
        let limits = inner.destination.limits();
        let mut changed = inner.store.changed();
        let mut running: JoinSet<()> = JoinSet::new();
        let look_after = inner.destination.look_after();
        if look_after > Span::ZERO && inner.store.lane_count(&inner.name).queued > 0 {
            // What an earlier run may have sent: the vendor needs a moment to show it.
            inner.ledger.block(inner.clock.now() + look_after, "after a restart");
        }
        while !stop.is_cancelled() {
            changed.mark_unchanged();
            let now = inner.clock.now();
            if let Some((until, words)) = inner.held(now).await {
                inner.hold(until, &words, now);
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = inner.clock.until(until) => {}
                    _ = running.join_next(), if !running.is_empty() => {}
                }
                continue;
            }
            inner.free(now);
            let most = if inner.breaker.lock().await.is_probing() { 1 } else { limits.concurrency.max(1) };
            if running.len() >= most {
                tokio::select! {
                    () = stop.cancelled() => break,
                    _ = running.join_next() => {}
                }
                continue;
            }
            match inner.store.work(&inner.name, now, limits.records).await {
                Ok(work) if work.is_empty() => {
                    let next = inner.store.lane_count(&inner.name).next;
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
                Ok(work) => {
                    let inner = inner.clone();
                    running.spawn(async move { inner.exchange(work).await });
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
    /// Why nothing may be sent, and until when.
    async fn held(&self, now: Timestamp) -> Option<(Timestamp, String)> {
        if let Some(until) = self.breaker.lock().await.open_until(now) {
            return Some((until, "the breaker is open: the vendor fails again and again".into()));
        }
        let until = self.ledger.blocked_until().filter(|until| *until > now)?;
        let words = self.state.borrow().last_error.clone().unwrap_or_else(|| "the vendor's limit is reached".into());
        Some((until, words))
    }

    fn hold(&self, until: Timestamp, words: &str, now: Timestamp) {
        self.state.send_if_modified(|state| {
            let is_news = state.held.as_deref() != Some(words) || state.until != Some(until);
            if state.held.is_none() {
                state.since = now;
            }
            (state.held, state.until) = (Some(words.to_owned()), Some(until));
            is_news
        });
    }

    fn free(&self, now: Timestamp) {
        self.state.send_if_modified(|state| {
            if state.held.is_none() {
                return false;
            }
            (state.held, state.until, state.since) = (None, None, now);
            true
        });
    }

    /// One batch from taking to settling.
    async fn exchange(&self, work: Vec<Work>) {
        self.state.send_modify(|state| state.in_flight += 1);
        let now = self.clock.now();
        let (expired, work): (Vec<Work>, Vec<Work>) = work.into_iter().partition(|w| w.activation.expires_at < now);
        let mut settled: Vec<Settled> = expired.iter().map(|w| settled(w.id, now, 0, Outcome::Expired)).collect();
        let ids: Vec<WorkId> = work.iter().map(|w| w.id).collect();
        let begun = match self.destination.needs_begin() {
            true => self.store.begin(&self.name, &ids).await,
            false => Ok(()),
        };
        let mut released = Vec::new();
        match begun {
            Err(refused) => {
                tracing::error!(lane = %self.name, reason = %refused, "nothing is sent that the store cannot note");
                released = ids;
            }
            Ok(()) if work.is_empty() => {}
            Ok(()) => {
                let (outcomes, halt) = self.converse(&work).await;
                let counts_tries = self.note(&halt).await;
                let now = self.clock.now();
                for (one, outcome) in work.iter().zip(outcomes.into_iter().chain(std::iter::repeat(None))) {
                    match outcome {
                        Some((status, outcome)) => {
                            let outcome = self.judged(one, outcome, counts_tries, now);
                            settled.push(self::settled(one.id, now, status, outcome));
                        }
                        None => released.push(one.id),
                    }
                }
            }
        }
        self.settle(settled).await;
        if !released.is_empty()
            && let Err(refused) = self.store.release(&self.name, &released).await
        {
            tracing::error!(lane = %self.name, reason = %refused, "work could not be given back; a restart does");
        }
        self.state.send_modify(|state| state.in_flight -= 1);
    }

    /// Asks and answers until the adapter has an outcome for each.
    async fn converse(&self, work: &[Work]) -> (Vec<Option<(u16, Outcome)>>, Option<Halt>) {
        let batch =
            work.iter().map(|w| Item { activation: w.activation.clone(), may_have_left: w.may_have_left }).collect();
        let mut exchange = self.destination.exchange(batch);
        let mut answer = None;
        for _ in 0..MOST_CALLS {
            match exchange.next(answer.take(), self.clock.now()) {
                Next::Done { outcomes, halt } => return (outcomes, halt),
                Next::Ask(request) => match self.call(*request).await {
                    Ok(came) => answer = Some(came),
                    Err(TokenError::Refused(status)) => {
                        let words = format!("the vendor refuses the client id or secret (HTTP {status})");
                        return (Vec::new(), Some(Halt::Credentials(words)));
                    }
                    Err(TokenError::Unavailable(words)) => return (Vec::new(), Some(Halt::Down(words))),
                },
            }
        }
        (Vec::new(), Some(Halt::Configuration("an exchange did not come to an end".into())))
    }

    /// One call, when the budget has room for it.
    async fn call(&self, request: Request) -> Result<Answer, TokenError> {
        while let Err(until) = self.ledger.spend(&request.family) {
            self.clock.until(until).await;
        }
        let family = request.family.clone();
        let began = self.clock.now();
        let answer = self.wire.send(request).await?;
        let status = match &answer {
            Answer::Came(response) => response.status.to_string(),
            Answer::NotSent(_) => "not_sent".into(),
            Answer::Unclear(_) => "unclear".into(),
        };
        let took = self.clock.now().since(began).as_millis() as f64 / 1_000.0;
        metrics::counter!("espalier_vendor_calls_total", "lane" => self.name.to_string(), "family" => family, "status" => status)
            .increment(1);
        metrics::histogram!("espalier_vendor_call_seconds", "lane" => self.name.to_string()).record(took);
        Ok(answer)
    }

    /// Takes a halt to heart. True when a failure counts as a try of each record.
    async fn note(&self, halt: &Option<Halt>) -> bool {
        let now = self.clock.now();
        let mut breaker = self.breaker.lock().await;
        let counts_tries = !breaker.is_probing();
        let Some(halt) = halt else {
            breaker.succeeded();
            self.tokens_refused.store(0, Ordering::Relaxed);
            return true;
        };
        let words = halt.to_string();
        self.state.send_modify(|state| state.last_error = Some(words.clone()));
        match halt {
            Halt::Quota { until, window } => {
                metrics::counter!("espalier_lane_throttled_total", "lane" => self.name.to_string()).increment(1);
                // A vendor that says "now" would be asked without end.
                self.ledger.block((*until).max(now + Span::from_millis(100)), window);
            }
            Halt::Token => {
                let had_one = self.wire.forget_token().await;
                if !had_one || self.tokens_refused.fetch_add(1, Ordering::Relaxed) > 0 {
                    self.ledger.block(now + self.settings.mended, "credentials");
                }
            }
            Halt::Credentials(_) | Halt::Configuration(_) => {
                tracing::error!(lane = %self.name, reason = %words, "the lane is held until this is mended");
                self.ledger.block(now + self.settings.mended, "credentials");
            }
            Halt::Down(_) => {
                tracing::warn!(lane = %self.name, reason = %words, "the vendor is down");
                breaker.failed(now, &self.settings);
            }
        }
        counts_tries && matches!(halt, Halt::Down(_))
    }

    /// When to come again, and when to give up.
    fn judged(&self, work: &Work, outcome: Outcome, counts_tries: bool, now: Timestamp) -> Outcome {
        let Outcome::Later { not_before, words, is_throttled, may_have_left } = outcome else { return outcome };
        if is_throttled {
            return Outcome::Later { not_before: not_before.max(now), words, is_throttled, may_have_left };
        }
        let tries = work.tries.saturating_add(1);
        if counts_tries && tries >= self.settings.tries {
            return Outcome::Refused { code: "gave_up".into(), words: format!("after {tries} tries: {words}").into() };
        }
        let not_before = not_before.max(now + backoff::wait((self.settings.backoff, self.settings.longest), tries));
        Outcome::Later { not_before, words, is_throttled: !counts_tries, may_have_left }
    }

    /// Settles, however long the store takes to let us: what is settled must not be sent again.
    async fn settle(&self, settled: Vec<Settled>) {
        if settled.is_empty() {
            return;
        }
        loop {
            match self.store.settle(&self.name, settled.clone()).await {
                Ok(()) => break,
                Err(StoreError::Damaged(words)) => {
                    tracing::error!(lane = %self.name, reason = %words, "outcomes cannot be settled");
                    return;
                }
                Err(refused) => {
                    tracing::error!(lane = %self.name, reason = %refused, "outcomes wait for the store");
                    self.clock.until(self.clock.now() + REFUSED).await;
                }
            }
        }
        self.state.send_modify(|state| {
            for one in &settled {
                *state.outcomes.entry(one.attempt.outcome.word()).or_default() += 1;
                if one.attempt.outcome.has_effect() {
                    state.last_success = Some(one.attempt.at);
                }
            }
        });
        for one in &settled {
            let word = one.attempt.outcome.word();
            metrics::counter!("espalier_activations_total", "lane" => self.name.to_string(), "outcome" => word)
                .increment(1);
        }
    }
}

fn settled(id: WorkId, at: Timestamp, status: u16, outcome: Outcome) -> Settled {
    Settled { id, attempt: Attempt { at, status, outcome } }
}
