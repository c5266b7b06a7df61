//! Sees that a source's subscriptions to webhooks are there: creates what is missing, puts to work what was disabled,
//! removes doubles. Where one was lost that had been there, it says so and has the lists read what came meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::WatchingHooks;
use super::account::Account;
use super::past::Again;
use super::state::HooksState;
use crate::model::{Span, Timestamp};
use crate::source::stream::{Place, Stop, Turn};
use crate::source::subscriptions::{Step, Subscription, Subscriptions};
use crate::store::{Duty, Store};
use crate::wire::backoff;

/// The first wait after a failure, and the longest.
const BACKOFF: (Span, Span) = (Span::from_secs(10), Span::from_minutes(15));
/// The wait when the store refuses.
const REFUSED: Span = Span::from_secs(1);
/// What was on its way when a subscription was last seen is read again, too.
const BEFORE: Span = Span::from_minutes(5);
/// A new subscription sends its first delivery after a while.
const AFTER: Span = Span::from_minutes(2);
/// One that was created so often and is not to be seen afterwards is not created again: there would be ever more of them.
const TRIES: u32 = 3;

/// One source's subscriptions.
pub struct Watchdog {
    source: Arc<str>,
    of: Subscriptions,
    account: Arc<Account>,
    store: Arc<dyn Store>,
    every: Span,
    /// The lists that have a past, and where to ask for it.
    lists: Vec<(Arc<str>, mpsc::Sender<Again>)>,
    state: watch::Sender<HooksState>,
}

/// What is kept from one look to the next, across restarts.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    /// Where they sent to; all else is of this address.
    address: String,
    /// Topics that had one, and until when all that it would have told is known or asked for.
    had: BTreeMap<String, Timestamp>,
    /// How often one was created since it was last there.
    tries: BTreeMap<String, u32>,
    /// Topics whose subscription was lost, and when that was last seen.
    lost: BTreeMap<String, Timestamp>,
    /// What the lists have still to be asked for, by list.
    gaps: BTreeMap<String, (Timestamp, Timestamp)>,
}

impl Watchdog {
    pub fn new(
        source: Arc<str>,
        of: Subscriptions,
        (account, store): (Arc<Account>, Arc<dyn Store>),
        every: Span,
        lists: Vec<(Arc<str>, mpsc::Sender<Again>)>,
    ) -> Self {
        let (address, wanted) = (of.address.clone(), of.wanted.len());
        let state = watch::Sender::new(HooksState { address, wanted, ..HooksState::default() });
        Self { source, of, account, store, every, lists, state }
    }

    pub fn watching(&self) -> WatchingHooks {
        WatchingHooks { source: self.source.clone(), state: self.state.subscribe() }
    }

    /// Looks again and again until `stop`.
    pub async fn run(self: Arc<Self>, duty: Duty, stop: CancellationToken) {
        tokio::select! {
            // Whatever is cut here is seen at the next start: what is there is asked for, and never assumed.
            () = stop.cancelled() => {}
            () = self.looks(&duty) => {}
        }
    }

    /// Another daemon sees to them.
    pub fn is_elsewhere(&self) {
        self.state.send_modify(|state| {
            let (address, wanted) = (std::mem::take(&mut state.address), state.wanted);
            *state = HooksState { address, wanted, is_elsewhere: true, ..HooksState::default() };
        });
    }

    async fn looks(&self, duty: &Duty) {
        self.state.send_modify(|state| state.is_elsewhere = false);
        let mut kept = self.kept().await;
        if kept.address != self.of.address {
            // What an older address had says nothing of this one.
            kept = Kept { address: self.of.address.clone(), gaps: kept.gaps, ..Kept::default() };
        }
        self.state.send_modify(|state| state.lost.clone_from(&kept.lost));
        let (mut failures, mut is_renewed) = (0_u32, false);
        loop {
            self.ask_for_gaps(&mut kept, duty).await;
            let until = match self.look(&mut kept, duty).await {
                Ok(()) => {
                    (failures, is_renewed) = (0, false);
                    self.account.clock.now() + self.every
                }
                Err(Stop::Renew(_)) if !is_renewed && self.account.forget_token().await => {
                    is_renewed = true;
                    self.account.clock.now()
                }
                Err(stop) => {
                    failures = failures.saturating_add(1);
                    self.stopped(&stop, failures)
                }
            };
            self.ask_for_gaps(&mut kept, duty).await;
            self.account.clock.until(until).await;
        }
    }

    /// One look, and what follows from it.
    async fn look(&self, kept: &mut Kept, duty: &Duty) -> Result<(), Stop> {
        let there = self.there().await?;
        let now = self.account.clock.now();
        let standing = self.of.standing(&there);
        kept.had.retain(|topic, _| self.of.wanted.iter().any(|one| one.topic == *topic));
        let lost: Vec<String> = kept.had.keys().filter(|topic| !standing.contains(*topic)).cloned().collect();
        self.tell_lost(&lost, now);
        for topic in &lost {
            let since = kept.had.get(topic).copied().unwrap_or(now);
            for list in self.lists_of(topic) {
                let (from, until) = (since - BEFORE - self.of.back(), now + AFTER);
                let gap = kept.gaps.entry(list).or_insert((from, until));
                *gap = (gap.0.min(from), gap.1.max(until));
            }
            kept.lost.insert(topic.clone(), now);
            kept.had.insert(topic.clone(), now);
        }
        for topic in &standing {
            kept.had.insert(topic.clone(), now);
            kept.tries.remove(topic);
        }
        if !lost.is_empty() {
            // Before one is created: afterwards nothing would show that it was ever lost.
            self.keep(kept, duty).await;
        }
        let (standing, missing, ended) = self.mend(&there, standing, kept, now).await;
        self.keep(kept, duty).await;
        self.state.send_modify(|state| {
            (state.looked, state.held) = (Some(now), None);
            (state.standing, state.missing) = (standing.len(), missing);
            state.lost.clone_from(&kept.lost);
        });
        ended
    }

    /// Takes the steps; what stands afterwards, what does not and why, and what stops all of them.
    async fn mend(
        &self,
        there: &[Subscription],
        mut standing: BTreeSet<String>,
        kept: &mut Kept,
        now: Timestamp,
    ) -> (BTreeSet<String>, BTreeMap<String, String>, Result<(), Stop>) {
        let mut missing = BTreeMap::new();
        for step in self.of.plan(there) {
            let topic = step.topic().to_owned();
            // What could not be removed is in the way of what takes its place.
            if missing.contains_key(&topic) {
                continue;
            }
            if matches!(step, Step::Create(_)) {
                let tries = kept.tries.entry(topic.clone()).or_default();
                if *tries >= TRIES {
                    missing.insert(topic, format!("created {TRIES} times, and not to be seen afterwards"));
                    continue;
                }
                *tries += 1;
            }
            match self.take(&step).await {
                Ok(()) => {
                    self.count(step.word());
                    tracing::info!(source = %self.source, %topic, "a subscription is {}", step.word());
                    if !matches!(step, Step::Remove(..)) {
                        kept.had.insert(topic.clone(), now);
                        standing.insert(topic);
                    }
                }
                Err(stop) => {
                    // A refusal is no creation: it is tried again for as long as it takes.
                    if stop.needs_a_person()
                        && let Some(tries) = kept.tries.get_mut(&topic)
                    {
                        *tries = tries.saturating_sub(1);
                    }
                    let is_news = self.state.borrow().missing.get(&topic) != Some(&stop.to_string());
                    if is_news {
                        let (to, reason) = (step.word(), &stop);
                        tracing::warn!(source = %self.source, %topic, %reason, "a subscription could not be {to}");
                    }
                    missing.insert(topic, stop.to_string());
                    // One topic may be refused by itself; anything else is of all of them.
                    if !matches!(stop, Stop::Configuration(_) | Stop::Scope(_)) {
                        return (standing, missing, Err(stop));
                    }
                }
            }
        }
        (standing, missing, Ok(()))
    }

    async fn take(&self, step: &Step) -> Result<(), Stop> {
        let response = self.account.call(self.of.ask(step)).await?;
        self.of.judge(step, &response, self.account.clock.now())
    }

    /// All that are there, of whichever address.
    async fn there(&self) -> Result<Vec<Subscription>, Stop> {
        let (mut place, mut there) = (Place::at(Timestamp::from_millis(0)), Vec::new());
        let list = &self.of.list;
        // It always opens: it is a whole list that was never read.
        let _ = list.open(&mut place, self.account.clock.now(), None);
        while let Some(request) = list.ask(&place) {
            let response = self.account.call(request).await?;
            match list.read(&place, &response, self.account.clock.now()) {
                Turn::Page(page) => {
                    let read = page.records.iter().map(|record| self.of.read(record));
                    there.extend(read.collect::<Result<Vec<_>, _>>()?);
                    if page.is_end {
                        break;
                    }
                    place = page.next;
                }
                Turn::Again(next) => place = next,
                Turn::Stop(stop) | Turn::Broken(_, stop) => return Err(stop),
            }
        }
        Ok(there)
    }

    /// The lists that hold what a topic tells of; all, where none is called as its object is.
    fn lists_of(&self, topic: &str) -> Vec<String> {
        let parts: Vec<&str> = topic.split(['/', '.']).collect();
        let is_of = |list: &str| parts.iter().any(|part| list == *part || list.strip_suffix('s') == Some(part));
        let names = || self.lists.iter().map(|(name, _)| name.to_string());
        let of: Vec<String> = names().filter(|list| is_of(list)).collect();
        if of.is_empty() { names().collect() } else { of }
    }

    /// Hands each list its gap. It is forgotten here when the store has it there.
    async fn ask_for_gaps(&self, kept: &mut Kept, duty: &Duty) {
        while let Some((list, (from, until))) = kept.gaps.pop_first() {
            let Some((_, sender)) = self.lists.iter().find(|(name, _)| **name == *list) else { continue };
            let (told, is_kept) = oneshot::channel();
            if sender.send(Again { from, until, night: None, kept: Some(told) }).await.is_err()
                || is_kept.await.is_err()
            {
                // The list ends, and so do we: at the next start it is asked again.
                kept.gaps.insert(list, (from, until));
                return;
            }
            self.keep(kept, duty).await;
        }
    }

    fn tell_lost(&self, lost: &[String], now: Timestamp) {
        for topic in lost {
            let missing = self.state.borrow().missing.contains_key(topic);
            if !missing {
                let (source, at) = (&self.source, now);
                tracing::warn!(%source, %topic, %at, "a subscription was lost; what came meanwhile is pulled");
                metrics::counter!("espalier_subscriptions_lost_total", "source" => self.source.to_string())
                    .increment(1);
            }
        }
    }

    fn count(&self, what: &'static str) {
        let source = self.source.to_string();
        metrics::counter!("espalier_subscriptions_changed_total", "source" => source, "change" => what).increment(1);
    }

    fn stopped(&self, stop: &Stop, failures: u32) -> Timestamp {
        let now = self.account.clock.now();
        let words = stop.to_string();
        if self.state.borrow().held.as_deref() != Some(&words) {
            tracing::warn!(source = %self.source, reason = %words, "subscriptions to webhooks cannot be looked at");
        }
        self.state.send_modify(|state| state.held = Some(words));
        let wait = now + backoff::wait(BACKOFF, failures);
        match stop {
            Stop::Wait { until, .. } => {
                let until = until.unwrap_or(wait).max(now + Span::from_millis(100));
                self.account.block(until);
                until
            }
            _ => wait,
        }
    }

    fn name(&self) -> String {
        format!("pull:{}:webhooks", self.source)
    }

    async fn kept(&self) -> Kept {
        loop {
            match self.store.kept(&self.name()).await {
                Ok(bytes) => return bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default(),
                Err(refused) => self.refused(&refused.to_string()).await,
            }
        }
    }

    async fn keep(&self, kept: &Kept, duty: &Duty) {
        let value = serde_json::to_vec(kept).unwrap_or_default();
        while let Err(refused) = self.store.keep_for(duty, &self.name(), &value).await {
            self.refused(&refused.to_string()).await;
        }
    }

    async fn refused(&self, reason: &str) {
        tracing::error!(source = %self.source, %reason, "subscriptions to webhooks wait for the store");
        self.account.clock.until(self.account.clock.now() + REFUSED).await;
    }
}
