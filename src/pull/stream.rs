//! The newest of one list: its task, and what it has in common with the task of its past.

use std::collections::HashSet;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::account::Account;
use super::behind::Behind;
use super::kept::{Kept, REFUSED, beginning};
use super::page::{self, Ahead};
use super::past::Again;
use super::recent::Recent;
use super::state::{Doing, StreamState};
use super::{Watching, audit_name};
use crate::identity;
use crate::model::{DedupeKey, Event, Span, Timestamp};
use crate::source::audit::Audit;
use crate::source::stream::{Mapped, Place, Stop, Stream};
use crate::source::volume::Tally;
use crate::store::{Duty, SetAside, Store};
use crate::wire::backoff;

/// The first wait after a failure, and the longest.
const BACKOFF: (Span, Span) = (Span::from_secs(1), Span::from_minutes(15));
/// What only a person can mend is tried again after so long, at first.
const MENDED: Span = Span::from_minutes(1);
/// Records of a page that are held against what the connector reads.
const AUDITED: usize = 20;
/// How often what was seen of them is kept.
const AUDIT_KEPT: Span = Span::from_minutes(10);
/// Stretches of the past that may wait.
const STRETCHES: usize = 16;

/// One list and the tasks that read it.
pub struct Pulling {
    /// The source's name in the configuration.
    pub source: Arc<str>,
    /// The list.
    pub stream: Stream,
    /// Whose it is.
    pub account: Arc<Account>,
    /// Where what is read is kept.
    pub store: Arc<dyn Store>,
    /// How far back the first run goes.
    pub start: Span,
    /// What is being done.
    pub state: watch::Sender<StreamState>,
    names: identity::Settings,
    audit: watch::Sender<Audit>,
    /// How much of it is new.
    pub tally: Tally,
    /// The duty that it is pulled by, once it is.
    duty: watch::Sender<Duty>,
    /// Stretches of the past to be read again.
    pub again: (mpsc::Sender<Again>, Mutex<mpsc::Receiver<Again>>),
}

/// How a task of a list goes on after a failure.
#[derive(Default)]
pub struct Failures {
    /// In a row.
    pub tries: u32,
    /// Tokens refused in a row.
    tokens: u32,
}

impl Pulling {
    pub fn new(
        source: Arc<str>,
        stream: Stream,
        (account, store): (Arc<Account>, Arc<dyn Store>),
        start: Span,
        names: identity::Settings,
    ) -> Self {
        let state = watch::Sender::new(StreamState::default());
        let (sender, receiver) = mpsc::channel(STRETCHES);
        let again = (sender, Mutex::new(receiver));
        let audit = watch::Sender::new(Audit::default());
        let duty = watch::Sender::new(Duty::always(""));
        Self { source, stream, account, store, start, state, names, audit, tally: Tally::default(), duty, again }
    }

    pub fn watching(&self) -> Watching {
        Watching {
            source: self.source.clone(),
            stream: self.stream.name.clone(),
            every: self.stream.declared().every,
            state: self.state.subscribe(),
            audited: Some((self.audit.subscribe(), Arc::new(self.stream.declared().clone()))),
        }
    }

    /// It is pulled by this duty from now on.
    pub fn is_ours(&self, duty: Duty) {
        self.duty.send_replace(duty);
        self.state.send_if_modified(|state| {
            let was_elsewhere = state.doing == Doing::Elsewhere;
            state.free(Doing::Starting);
            was_elsewhere
        });
    }

    /// Under what name the place is kept.
    pub fn cursor(&self, of: &str) -> String {
        format!("pull:{}:{}{of}", self.source, self.stream.name)
    }

    /// What is kept under this name; waits for a store that refuses.
    pub async fn kept<T: serde::de::DeserializeOwned>(&self, cursor: &str) -> Option<T> {
        loop {
            match self.store.cursor(cursor).await {
                Ok(bytes) => return bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()),
                Err(refused) => {
                    tracing::error!(source = %self.source, stream = %self.stream.name, reason = %refused, "the place of a list waits for the store");
                    self.rest(REFUSED).await;
                }
            }
        }
    }

    /// Which message keys of these events are known; waits for a store that refuses.
    pub async fn known(&self, events: &[Event]) -> HashSet<DedupeKey> {
        loop {
            let keys = events.iter().flat_map(|event| event.dedupe.iter().copied()).collect();
            match self.store.known(keys).await {
                Ok(known) => return known,
                Err(refused) => {
                    tracing::warn!(source = %self.source, stream = %self.stream.name, reason = %refused, "a night waits for the store");
                    self.rest(REFUSED).await;
                }
            }
        }
    }

    async fn rest(&self, span: Span) {
        self.account.clock.until(self.account.clock.now() + span).await;
    }

    /// Reads what is new until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let cursor = self.cursor("");
        let mut place: Place = match self.kept(&cursor).await {
            Some(place) => place,
            None => {
                let now = self.account.clock.now();
                // What did not change for a year is on sale all the same.
                let is_catalogue = !self.stream.declared().makes.item.is_empty();
                let start = if is_catalogue { Timestamp::from_millis(0) } else { now - self.start };
                Place { owes: self.stream.has_past().then_some((start, now)), ..Place::at(now) }
            }
        };
        if let Some((from, until)) = place.owes {
            // Where it begins is kept before anything is read: after a crash the past would be longer, and be read anew.
            let value = serde_json::to_vec(&place).unwrap_or_default();
            let (kept, is_kept) = oneshot::channel();
            let is_owed = self.keep(Mapped::default(), (&cursor, &value), &stop).await
                && self.again.0.send(Again { from, until, night: None, kept: Some(kept) }).await.is_ok()
                && is_kept.await.is_ok();
            if !is_owed {
                return;
            }
            place.owes = None;
        }
        let audit_name = audit_name(&self.source, &self.stream.name);
        if let Ok(Some(kept)) = self.store.kept(&audit_name).await {
            self.audit.send_replace(serde_json::from_slice(&kept).unwrap_or_default());
        }
        let mut audited = self.account.clock.now();
        let (mut failures, mut recent, mut reading) = (Failures::default(), Recent::default(), None);
        let (mut ahead, mut behind) = (Ahead::default(), Behind::default());
        self.state.send_modify(|state| (state.read, state.skew_ms) = (place.read, place.skew));
        while !stop.is_cancelled() {
            if let Err(rest) = self.stream.open(&mut place, self.account.clock.now(), None) {
                if !behind.done().await {
                    break;
                }
                reading = None;
                if self.account.clock.now() >= audited + AUDIT_KEPT {
                    audited = self.account.clock.now();
                    let value = serde_json::to_vec(&*self.audit.borrow()).unwrap_or_default();
                    let duty = self.duty.borrow().clone();
                    if let Err(refused) = self.store.keep_for(&duty, &audit_name, &value).await {
                        tracing::warn!(source = %self.source, reason = %refused, "an audit could not be kept");
                    }
                }
                self.state.send_if_modified(|state| {
                    let is_news = state.doing != Doing::Resting;
                    state.free(Doing::Resting);
                    is_news
                });
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = self.account.clock.until(rest) => {}
                }
                continue;
            }
            if reading.is_none() {
                reading = Some(self.account.reads_newest());
            }
            let window = place.open.as_ref().map(|open| (open.from, open.until));
            let step = tokio::select! {
                () = stop.cancelled() => break,
                step = self.page(&mut place, &mut recent, &mut ahead) => step,
            };
            match step {
                Ok(None) => {}
                Ok(Some(mapped)) => {
                    // A record is of the time in which it changed, whatever it says of when it was made.
                    let (from, until) = window.unwrap_or((place.read, place.read));
                    let at = mapped.read.events.iter().map(|event| event.at.max(from).min(until));
                    at.for_each(|at| self.tally.count_of(at));
                    failures = Failures::default();
                    let value = serde_json::to_vec(&place).unwrap_or_default();
                    let (read, skew) = (place.read, place.skew);
                    let kept = move |of: &Self| {
                        of.state.send_modify(|state| {
                            state.free(Doing::Reading);
                            (state.read, state.skew_ms) = (read, skew);
                        });
                    };
                    if !behind.keep(&self, mapped, (&cursor, value), &stop, kept).await {
                        break;
                    }
                }
                Err(stopped) => {
                    if !behind.done().await {
                        break;
                    }
                    let until = self.stopped(&stopped, &mut failures).await;
                    reading = None;
                    tokio::select! {
                        () = stop.cancelled() => break,
                        () = self.account.clock.until(until) => {}
                    }
                }
            }
        }
        // Not given up for `stop`: what is read is kept, or read again.
        behind.done().await;
    }

    /// One page at `place`, which then is where the list goes on; nothing, where it only has to be asked again.
    pub async fn page(
        &self,
        place: &mut Place,
        recent: &mut Recent,
        ahead: &mut Ahead,
    ) -> Result<Option<Mapped>, Stop> {
        let Some(page) = page::fetch(&self.stream, &self.account, place, ahead).await? else { return Ok(None) };
        if !page.is_end {
            ahead.ask(&self.stream, &self.account, &page.next);
        }
        let now = self.account.clock.now();
        let mut mapped = page::map(&self.stream, &page, place, (&self.source, &self.names), now);
        self.audit.send_modify(|audit| {
            let some = page.records.iter().take(AUDITED);
            some.for_each(|record| audit.see(record, self.stream.declared(), now));
        });
        let count = page.records.len();
        recent.only_new(&mut mapped.read.events);
        *place = page.next;
        self.state.send_modify(|state| {
            state.pages += 1;
            state.records += count as u64;
            state.events += mapped.read.events.len() as u64;
            state.items += mapped.items.len() as u64;
            state.aside(mapped.read.rejected.len() as u64, now);
            state.last_success = Some(now);
        });
        let counted = |what: &'static str, n: usize| {
            let (source, stream) = (self.source.to_string(), self.stream.name.to_string());
            metrics::counter!("espalier_pull_records_total", "source" => source, "stream" => stream, "result" => what)
                .increment(n as u64);
        };
        counted("read", count);
        counted("events", mapped.read.events.len());
        counted("products", mapped.items.len());
        counted("set_aside", mapped.read.rejected.len());
        Ok(Some(mapped))
    }

    /// Keeps what a page held, and the place after it in the same step as its events. However long the store takes to let
    /// us: this is what holds a list back. False when it was given up for `stop`.
    pub async fn keep(&self, mapped: Mapped, (cursor, place): (&str, &[u8]), stop: &CancellationToken) -> bool {
        let now = self.account.clock.now();
        let Mapped { read, items } = mapped;
        let source: Arc<str> = Arc::from(format!("{}/{}", self.source, self.stream.name));
        let aside = read.rejected.into_iter().map(|one| {
            let (reason, body) = (one.reason.into(), beginning(&one.body));
            SetAside { at: now, source: source.clone(), reason, body }
        });
        let cursor = Some((cursor.to_owned(), place.to_vec()));
        let kept = Kept { events: read.events, items, aside: aside.collect(), cursor };
        let mut is_told = false;
        let told = |refused: String| {
            if !is_told {
                tracing::warn!(source = %self.source, stream = %self.stream.name, reason = %refused, "a list waits for the store");
                is_told = true;
            }
            self.state.send_modify(|state| {
                (state.doing, state.held) = (Doing::Held, Some(format!("waits for the store: {refused}")));
            });
        };
        let duty = self.duty.borrow().clone();
        kept.put((&self.store, &duty), &self.account.clock, stop, told).await
    }

    /// Takes a stop to heart, and says until when.
    pub async fn stopped(&self, stopped: &Stop, failures: &mut Failures) -> Timestamp {
        let now = self.account.clock.now();
        let mut stopped = stopped.clone();
        if let Stop::Renew(words) = &stopped {
            failures.tokens += 1;
            if self.account.forget_token().await && failures.tokens == 1 {
                return now;
            }
            stopped = Stop::Credentials(words.clone());
        }
        failures.tries = failures.tries.saturating_add(1);
        let until = match &stopped {
            Stop::Wait { until, .. } => {
                let until = until.unwrap_or_else(|| now + backoff::wait(BACKOFF, failures.tries));
                // A vendor that says "now" would be asked without end.
                let until = until.max(now + Span::from_millis(100));
                self.account.block(until);
                until
            }
            person if person.needs_a_person() => now + backoff::wait((MENDED, BACKOFF.1), failures.tries),
            _ => now + backoff::wait(BACKOFF, failures.tries),
        };
        let (words, needs_a_person) = (stopped.to_string(), stopped.needs_a_person());
        let is_news = self.state.borrow().held.as_deref() != Some(&words);
        if is_news && needs_a_person {
            tracing::error!(source = %self.source, stream = %self.stream.name, reason = %words, "a list is held until this is mended");
        } else if is_news {
            tracing::warn!(source = %self.source, stream = %self.stream.name, reason = %words, "a list is held");
        }
        self.state.send_modify(|state| {
            state.hold(words.clone(), (now, until));
            let is_failure = !matches!(stopped, Stop::Wait { .. });
            state.failures = state.failures.saturating_add(u32::from(is_failure));
            state.is_refused = matches!(stopped, Stop::Credentials(_) | Stop::Scope(_));
            (state.needs_a_person, state.last_error) = (needs_a_person, Some(words));
        });
        until
    }
}
