//! One account's budget: its windows by family, who waits for them, and the instants before which the vendor said not to
//! come. Everybody who calls the account shares it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::Notify;

use super::counting::{Counting, Wait};
use super::kept::Kept;
use super::share::{For, Turns};
use crate::clock::SharedClock;
use crate::model::http::{Learned, Name, Window};
use crate::model::{Span, Timestamp};
use crate::store::Store;

/// The wait after a count that the store did not take.
const REFUSED: Span = Span::from_secs(1);
/// Whoever gives way looks again after this, should nobody say that the turn is over.
const TURN: Span = Span::from_millis(50);

/// One account's budget. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    /// Under what its days are kept.
    kept: String,
    clock: SharedClock,
    book: Mutex<Book>,
    /// Tells those who wait that an answer came, or that it is another's turn.
    changed: Notify,
    /// Where the days' counts are kept. One write at a time.
    store: Option<tokio::sync::Mutex<Arc<dyn Store>>>,
}

#[derive(Default)]
struct Book {
    families: BTreeMap<Name, Family>,
}

/// Calls that share windows.
#[derive(Default)]
struct Family {
    /// Shortest first.
    windows: Vec<Counting>,
    turns: Turns,
    /// Calls on their way.
    pending: u32,
    blocked: Option<(Timestamp, &'static str)>,
}

impl Family {
    /// Whether a call may leave, as far as it can be told without spending it.
    fn opens(&mut self, now: Timestamp, calls: u32) -> Result<(), Wait> {
        if let Some((until, _)) = self.blocked.filter(|(until, _)| *until > now) {
            return Err(Wait::Until(until));
        }
        // The longest wait of all windows: what opens earlier would be asked in vain.
        let mut longest = Ok(());
        for window in &mut self.windows {
            match (window.opens(now, calls), longest) {
                (Ok(()), _) => {}
                (Err(Wait::Until(at)), Err(Wait::Until(other))) => longest = Err(Wait::Until(at.max(other))),
                (Err(Wait::Answer), Err(Wait::Until(_))) => {}
                (Err(wait), _) => longest = Err(wait),
            }
        }
        longest
    }

    fn enter(&mut self, now: Timestamp, who: For, calls: u32) -> Result<(), Wait> {
        self.opens(now, calls)?;
        // What was begun is ended, whosever turn it is.
        if calls > 0 && !self.turns.is_next(who) {
            return Err(Wait::Until(now + TURN));
        }
        for window in &mut self.windows {
            window.spend(now)?;
        }
        self.windows.iter_mut().for_each(Counting::begin);
        self.pending = self.pending.saturating_add(1);
        self.turns.took(who);
        Ok(())
    }
}

/// A call that may leave. Dropped when its answer came, or when it will have none.
pub struct Pass {
    inner: Arc<Inner>,
    family: Name,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let now = self.inner.clock.now();
        if let Some(family) = self.inner.book().families.get_mut(&self.family) {
            family.pending = family.pending.saturating_sub(1);
            family.windows.iter_mut().for_each(|window| window.end(now));
        }
        self.inner.changed.notify_waiters();
    }
}

/// Somebody who waits for their turn.
struct Waiting<'a> {
    inner: &'a Inner,
    family: &'a str,
    who: For,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(family) = self.inner.book().families.get_mut(self.family) {
            family.turns.leave(self.who);
        }
    }
}

/// A window, as people see it.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct WindowUse {
    /// Which calls share it.
    pub family: String,
    /// How long it is, in milliseconds.
    pub span_ms: i64,
    /// It is counted by the day, and not paced.
    pub is_day: bool,
    /// Calls that the vendor lets through, as published or as it said.
    pub calls: u32,
    /// Those that are ours.
    pub ours: u32,
    /// Ours that count now; none for a short window, which is only paced.
    pub used: Option<u32>,
    /// What the vendor last said is left for everybody, while that holds.
    pub left: Option<u32>,
    /// When it begins anew, where that is known.
    pub resets: Option<Timestamp>,
    /// The vendor said not to come before.
    pub blocked_until: Option<Timestamp>,
}

impl Ledger {
    /// Of this account, with nothing kept: for what lives as long as a command.
    pub fn new(name: &str, clock: SharedClock) -> Self {
        Self::made(name, String::new(), None, clock)
    }

    /// Of this account, whose days outlive the process in `store`, under the account's own `id` whatever it is called.
    /// [`Ledger::open`] comes before the first call.
    pub fn durable(name: &str, id: &str, store: Arc<dyn Store>, clock: SharedClock) -> Self {
        Self::made(name, format!("quota:{id}"), Some(tokio::sync::Mutex::new(store)), clock)
    }

    fn made(name: &str, kept: String, store: Option<tokio::sync::Mutex<Arc<dyn Store>>>, clock: SharedClock) -> Self {
        let (book, changed) = (Mutex::default(), Notify::new());
        Self { inner: Arc::new(Inner { name: name.to_owned(), kept, clock, book, changed, store }) }
    }

    /// Its name: that of the first who used it.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// With these windows too. Where two have the same one, the smaller number holds.
    pub fn add(&self, windows: &[Window]) {
        let Inner { clock, .. } = &*self.inner;
        let mut book = self.inner.book();
        for window in windows {
            let family = book.families.entry(window.family.clone()).or_default();
            match family.windows.iter_mut().find(|known| known.window.span == window.span) {
                Some(known) => known.also(window, clock),
                None => family.windows.push(Counting::new(window.clone(), clock)),
            }
            family.windows.sort_by_key(|one| one.window.span);
        }
    }

    /// Takes over what an earlier run kept, and notes that another one began.
    pub async fn open(&self) {
        let Some(store) = &self.inner.store else { return };
        let kept = loop {
            match store.lock().await.kept(&self.inner.kept).await {
                Ok(bytes) => break bytes.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()),
                Err(refused) => {
                    tracing::error!(account = %self.inner.name, reason = %refused, "the quota waits for the store");
                }
            }
            self.inner.clock.until(self.inner.clock.now() + REFUSED).await;
        };
        if let Some(kept) = kept {
            let now = self.inner.clock.now();
            kept.take_over(self.inner.book().windows(), now);
        }
        self.inner.keep(false).await;
    }

    /// Keeps what left, for the next run.
    pub async fn close(&self) {
        self.inner.keep(true).await;
    }

    /// Waits until a call of `family` may leave. `calls` that belong together are counted to the day as one; 0 for a
    /// call of what was begun.
    pub async fn enter(&self, family: &Name, who: For, calls: u32) -> Pass {
        self.inner.wait(family, who, |family, now| (family.enter(now, who, calls), true)).await;
        Pass { inner: self.inner.clone(), family: family.clone() }
    }

    /// Waits until so many calls of `family` may leave, as far as it can be told. Spends nothing.
    pub async fn ready(&self, family: &str, who: For, calls: u32) {
        // A turn is waited for only while not even one may leave: whoever needs fewer calls need not give way.
        let ask = |family: &mut Family, now| {
            let is_shut = matches!(family.opens(now, 1), Err(Wait::Until(_) | Wait::Answer));
            (family.opens(now, calls), is_shut)
        };
        self.inner.wait(family, who, ask).await;
    }

    /// Until when so many calls of `family` have to wait; none where they may leave now, or when an answer comes.
    pub fn closed_until(&self, family: &str, calls: u32) -> Option<Timestamp> {
        let now = self.inner.clock.now();
        match self.inner.book().families.get_mut(family)?.opens(now, calls) {
            Err(Wait::Until(until)) => Some(until),
            Ok(()) | Err(Wait::Answer | Wait::Unwritten) => None,
        }
    }

    /// Whether so many calls would have to wait in any family.
    pub fn is_scarce(&self, calls: u32) -> bool {
        let now = self.inner.clock.now();
        self.inner.book().families.values_mut().any(|family| family.opens(now, calls).is_err())
    }

    /// The vendor said not to come before `until` with calls of this family.
    pub fn block(&self, family: &Name, until: Timestamp, window: &'static str) {
        let mut book = self.inner.book();
        let family = book.families.entry(family.clone()).or_default();
        if family.blocked.is_none_or(|(old, _)| old < until) {
            family.blocked = Some((until, window));
        }
    }

    /// Takes the vendor's own figures to heart.
    pub fn learn(&self, said: &[Learned]) {
        let now = self.inner.clock.now();
        let mut book = self.inner.book();
        for one in said {
            let Some(family) = book.families.get_mut(&one.family) else { continue };
            let pending = family.pending;
            let window = family.windows.iter_mut().find(|known| known.window.span == one.span);
            if let Some(window) = window {
                window.learn(one, pending, now, &self.inner.clock);
            }
        }
        drop(book);
        self.inner.changed.notify_waiters();
    }

    /// Every window, as it is now.
    pub fn windows(&self) -> Vec<WindowUse> {
        let now = self.inner.clock.now();
        let mut book = self.inner.book();
        let mut all = Vec::new();
        for (name, family) in &mut book.families {
            let blocked_until = family.blocked.map(|(until, _)| until).filter(|until| *until > now);
            all.extend(family.windows.iter_mut().map(|one| WindowUse {
                family: name.to_string(),
                span_ms: one.window.span.as_millis(),
                is_day: one.day.is_some(),
                calls: one.window.calls,
                ours: one.ours(),
                used: one.used(now),
                left: one.left(now),
                resets: one.resets(now),
                blocked_until,
            }));
        }
        all
    }
}

impl Book {
    fn windows(&mut self) -> impl Iterator<Item = &mut Counting> {
        self.families.values_mut().flat_map(|family| &mut family.windows)
    }
}

impl Inner {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until it may be, and whether it waits for a turn. A family without windows is never waited for, unless it is
    /// blocked.
    async fn wait(&self, name: &str, who: For, ask: impl Fn(&mut Family, Timestamp) -> (Result<(), Wait>, bool)) {
        let mut waiting = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let now = self.clock.now();
            let (answer, waits) = {
                let mut book = self.book();
                let Some(family) = book.families.get_mut(name) else { return };
                let (answer, waits) = ask(family, now);
                if answer.is_err() && waits && waiting.is_none() {
                    family.turns.join(who);
                    waiting = Some(Waiting { inner: self, family: name, who });
                }
                (answer, waits)
            };
            if !waits {
                waiting = None;
            }
            match answer {
                Ok(()) => return,
                Err(Wait::Unwritten) => self.keep(false).await,
                Err(Wait::Answer) => changed.await,
                Err(Wait::Until(until)) => {
                    tokio::select! {
                        () = changed => {}
                        () = self.clock.until(until) => {}
                    }
                }
            }
        }
    }

    /// Writes the days' counts: exactly, or so far ahead that the next write has time.
    async fn keep(&self, is_exact: bool) {
        let Some(store) = &self.store else {
            // Nobody keeps it: what may leave is what is there.
            let mut book = self.book();
            let kept = Kept::unbounded(book.windows().map(|one| &*one));
            return kept.is_kept(book.windows());
        };
        let store = store.lock().await;
        let kept = Kept::of(self.book().windows().map(|one| &*one), is_exact);
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        match store.keep(&self.kept, &bytes).await {
            Ok(()) => kept.is_kept(self.book().windows()),
            Err(refused) => {
                tracing::error!(account = %self.name, reason = %refused, "the quota's count waits for the store");
                if !is_exact {
                    self.clock.until(self.clock.now() + REFUSED).await;
                }
            }
        }
    }
}
