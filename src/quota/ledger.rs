//! One account's budget: its windows by family, who waits for them, and the instants before which the vendor said not to
//! come. Everybody who calls the account shares it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::counting::{Counting, Wait};
use super::family::Family;
use super::kept::Kept;
use super::share::For;
use crate::clock::SharedClock;
use crate::model::http::{Learned, Name, Window};
use crate::model::{Span, Timestamp};
use crate::store::{Duties, Duty, Store, StoreError};

/// The wait after a count that the store did not take.
const REFUSED: Span = Span::from_secs(1);

/// One account's budget. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    /// The account's own, whatever it is called.
    id: String,
    clock: SharedClock,
    book: Mutex<Book>,
    /// Tells those who wait that an answer came, or that it is another's turn.
    changed: Notify,
    /// Tells who keeps the count that it is to be written soon.
    low: Notify,
    /// Where the days' counts are kept. One write at a time.
    store: Option<tokio::sync::Mutex<Arc<dyn Store>>>,
    /// The account is ours to call: one daemon at a time spends its budget.
    duty: watch::Sender<Option<Duty>>,
}

/// Another daemon spends the budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another daemon calls this account")]
pub struct NotOurs;

#[derive(Default)]
struct Book {
    families: BTreeMap<Name, Family>,
    /// Another daemon may take the account over.
    is_shared: bool,
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

/// Why a count is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The account became ours.
    Begins,
    /// What was bought is nearly gone.
    Low,
    /// The run ends well.
    Ends,
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
        Self::made(name, name, None, clock)
    }

    /// Of this account, whose days outlive the process in `store`, under the account's own `id` whatever it is called.
    /// [`Ledger::open`] comes before the first call.
    pub fn durable(name: &str, id: &str, store: Arc<dyn Store>, clock: SharedClock) -> Self {
        Self::made(name, id, Some(store), clock)
    }

    fn made(name: &str, id: &str, store: Option<Arc<dyn Store>>, clock: SharedClock) -> Self {
        let (name, id, store) = (name.to_owned(), id.to_owned(), store.map(tokio::sync::Mutex::new));
        let (book, changed, low, duty) = (Mutex::default(), Notify::new(), Notify::new(), watch::Sender::default());
        Self { inner: Arc::new(Inner { name, id, clock, book, changed, low, store, duty }) }
    }

    /// Its name: that of the first who used it.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// With these windows too. Where two have the same one, the smaller number holds.
    pub fn add(&self, windows: &[Window]) {
        let Inner { clock, .. } = &*self.inner;
        let mut book = self.inner.book();
        let is_shared = book.is_shared;
        for window in windows {
            let family = book.families.entry(window.family.clone()).or_default();
            match family.windows.iter_mut().find(|known| known.window.span == window.span) {
                Some(known) => known.also(window, clock),
                None => {
                    let mut one = Counting::new(window.clone(), clock);
                    one.share(is_shared);
                    family.windows.push(one);
                }
            }
            family.windows.sort_by_key(|one| one.window.span);
        }
    }

    /// The duty of calling this account: whoever calls it by other means takes it, too.
    pub fn duty(&self) -> String {
        format!("account:{}", self.inner.id)
    }

    /// True while the account is ours to call.
    pub fn is_ours(&self) -> bool {
        self.inner.is_ours()
    }

    /// Returns when it is.
    pub async fn ours(&self) {
        // The sender is ours: it does not end.
        let _ = self.inner.duty.subscribe().wait_for(|_| self.inner.is_ours()).await;
    }

    /// Takes over what an earlier run kept, and notes that another one began; false where another daemon has the account.
    pub async fn open(&self) -> bool {
        let Some(store) = &self.inner.store else { return true };
        loop {
            let asked = store.lock().await.duty(&self.duty()).await;
            match asked {
                Ok(Some(duty)) => return self.take_over(duty).await,
                Ok(None) => return false,
                Err(refused) => self.inner.refused(&refused).await,
            }
        }
    }

    /// Has the account whenever that is ours, until `stop`: it is kept then, so that what is under way is finished.
    pub async fn run(self, stop: CancellationToken) {
        let Some(store) = &self.inner.store else { return };
        let mut duties = Duties::new(store.lock().await.clone(), [self.duty()]);
        while let Some(on) = duties.next(&stop, || ()).await {
            let is_taken = tokio::select! {
                is_taken = self.take_over(on.duty()) => is_taken,
                () = on.stop().cancelled() => false,
            };
            if is_taken {
                tracing::info!(account = %self.inner.name, term = on.duty().term(), "the account is ours to call");
            }
            let duty = on.duty();
            tokio::select! {
                () = on.stop().cancelled() => {}
                () = self.inner.keep_on(&duty) => {}
            }
            if !stop.is_cancelled() {
                self.inner.duty.send_replace(None);
                self.inner.changed.notify_waiters();
            }
        }
    }

    /// The account is ours by this duty: what others kept of it is read anew. False where it is another's by now.
    pub(super) async fn take_over(&self, duty: Duty) -> bool {
        let Some(store) = &self.inner.store else { return true };
        let same = |known: &Option<Duty>| known.as_ref().is_some_and(|one| one.is_ours() && one.term() == duty.term());
        if same(&self.inner.duty.borrow()) {
            return true;
        }
        let kept = loop {
            let read = store.lock().await.kept(&self.inner.kept()).await;
            match read {
                Ok(bytes) => break bytes.and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok()),
                Err(refused) => self.inner.refused(&refused).await,
            }
        };
        {
            let (now, mut book) = (self.inner.clock.now(), self.inner.book());
            book.is_shared = duty.is_shared();
            if let Some(kept) = kept {
                kept.take_over(book.windows(), duty.is_shared(), now);
            }
            book.windows().for_each(|window| window.share(duty.is_shared()));
        }
        self.inner.keep(false, &duty).await;
        let is_ours = duty.is_ours();
        self.inner.duty.send_replace(Some(duty));
        is_ours
    }

    /// Keeps what left, for the next run.
    pub async fn close(&self) {
        let duty = self.inner.duty.borrow().clone();
        if let Some(duty) = duty.filter(Duty::is_ours) {
            self.inner.keep(true, &duty).await;
        }
    }

    /// Waits until a call of `family` may leave. `calls` that belong together are counted to the day as one; 0 for a
    /// call of what was begun.
    ///
    /// # Errors
    /// When another daemon calls the account, or does so before the turn comes.
    pub async fn enter(&self, family: &Name, who: For, calls: u32) -> Result<Pass, NotOurs> {
        self.inner.wait(family, who, |family, now| (family.enter(now, who, calls), true)).await?;
        let now = self.inner.clock.now();
        if self.inner.book().families.get_mut(family).is_some_and(|family| family.is_low(now)) {
            self.inner.low.notify_one();
        }
        Ok(Pass { inner: self.inner.clone(), family: family.clone() })
    }

    /// Waits until so many calls of `family` may leave, as far as it can be told, or until the account is another's.
    /// Spends nothing.
    pub async fn ready(&self, family: &str, who: For, calls: u32) {
        // A turn is waited for only while not even one may leave: whoever needs fewer calls need not give way.
        let ask = |family: &mut Family, now| {
            let is_shut = matches!(family.opens(now, 1), Err(Wait::Until(_) | Wait::Answer));
            (family.opens(now, calls), is_shut)
        };
        let _ = self.inner.wait(family, who, ask).await;
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
    async fn wait(
        self: &Arc<Self>,
        name: &str,
        who: For,
        ask: impl Fn(&mut Family, Timestamp) -> (Result<(), Wait>, bool),
    ) -> Result<(), NotOurs> {
        let mut waiting = None;
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            // Last of all: whoever was held up until now finds it another's.
            if !self.is_ours() {
                return Err(NotOurs);
            }
            let now = self.clock.now();
            let (answer, waits) = {
                let mut book = self.book();
                let Some(family) = book.families.get_mut(name) else { return Ok(()) };
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
                Ok(()) => return Ok(()),
                Err(Wait::Unwritten) => {
                    let duty = self.duty.borrow().clone();
                    self.keep_ahead(&duty.unwrap_or_else(|| Duty::always(""))).await;
                }
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

    fn kept(&self) -> String {
        format!("quota:{}", self.id)
    }

    fn is_ours(&self) -> bool {
        self.store.is_none() || self.duty.borrow().as_ref().is_some_and(Duty::is_ours)
    }

    async fn refused(&self, refused: &StoreError) {
        tracing::error!(account = %self.name, reason = %refused, "the quota waits for the store");
        self.clock.until(self.clock.now() + REFUSED).await;
    }

    /// Writes the count before anybody has to wait for it, for as long as it is asked to.
    async fn keep_on(self: &Arc<Self>, duty: &Duty) {
        loop {
            self.low.notified().await;
            self.keep_ahead(duty).await;
        }
    }

    /// Writes the count ahead, unless somebody else has just done so. It is written to its end also where nobody waits for it
    /// any more: an older count must not come after a newer one.
    async fn keep_ahead(self: &Arc<Self>, duty: &Duty) {
        if self.store.is_none() {
            return self.keep_here();
        }
        let (inner, duty) = (self.clone(), duty.clone());
        let written = tokio::spawn(async move { inner.write(&duty, Why::Low).await });
        // A panic in there is the store's own.
        let _ = written.await;
    }

    /// Writes the counts: exactly, or so far ahead that the next write has time.
    async fn keep(&self, is_exact: bool, duty: &Duty) {
        self.write(duty, if is_exact { Why::Ends } else { Why::Begins }).await;
    }

    /// Nobody keeps it: what may leave is what is there.
    fn keep_here(&self) {
        let mut book = self.book();
        let kept = Kept::unbounded(book.windows().map(|one| &*one));
        kept.is_kept(book.windows());
    }

    async fn write(&self, duty: &Duty, why: Why) {
        let Some(store) = &self.store else { return self.keep_here() };
        let store = store.lock().await;
        let is_exact = why == Why::Ends;
        let kept = {
            let (now, mut book) = (self.clock.now(), self.book());
            if why == Why::Low && !book.families.values_mut().any(|family| family.is_low(now)) {
                return;
            }
            Kept::of(book.windows().map(|one| &*one), is_exact)
        };
        let bytes = serde_json::to_vec(&kept).unwrap_or_default();
        match store.keep_for(duty, &self.kept(), &bytes).await {
            Ok(()) => kept.is_kept(self.book().windows()),
            // Whoever has it counts by now.
            Err(StoreError::Elsewhere) => duty.end(),
            Err(refused) => {
                tracing::error!(account = %self.name, reason = %refused, "the quota's count waits for the store");
                if !is_exact {
                    self.clock.until(self.clock.now() + REFUSED).await;
                }
            }
        }
    }
}
