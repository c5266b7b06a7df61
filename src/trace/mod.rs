//! The way of one event, told as spans: from intake to the vendor's answer, though half an hour lies in between.
//!
//! A trace follows from what it is of: an event's place in the journal, an occasion's id. So no step has to hand anything
//! on, a restart breaks no trace, and who reads an occasion's id in `explain` has its trace. Where an event has made an
//! occasion, both say so by links. Nothing personal is told: places, ids of ours, names of the configuration, words of
//! closed sets. Nobody may be listening; then nothing is made.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use tokio::sync::mpsc;

use crate::model::{OccasionId, Position, Timestamp};

/// Spans that wait to be sent; more are dropped, and counted.
const WAITING: usize = 8_192;

static LISTENER: ArcSwapOption<Listener> = ArcSwapOption::const_empty();

struct Listener {
    sender: mpsc::Sender<Span>,
    /// Traces below this are told: a share of all.
    below: u64,
    dropped: AtomicU64,
}

/// Which trace: the same for the same event or occasion, whoever asks and whenever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// What is told of a step, besides its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A name of the configuration, or a word of a closed set.
    Text(String),
    /// A number.
    Number(i64),
}

/// One step that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// Which trace.
    pub trace: TraceId,
    /// What was done: `accept`, `journal`, `decide`, `commit`, `exchange`, `call`, `settle`.
    pub name: &'static str,
    /// True for the step that the others of its trace lie below.
    pub is_root: bool,
    /// By the daemon's clock.
    pub began: Timestamp,
    /// By the daemon's clock.
    pub ended: Timestamp,
    /// It did not do what it should.
    pub is_failed: bool,
    /// What else is known of it.
    pub facts: Vec<(&'static str, Fact)>,
    /// Traces that it comes from, or leads to.
    pub links: Vec<TraceId>,
}

impl TraceId {
    /// Of an event, by its place in the journal and its time: of two stores, both hardly ever are the same.
    pub fn of_event(position: Position, at: Timestamp) -> Self {
        let mut hash = blake3::Hasher::new();
        hash.update(b"event ").update(&position.0.to_be_bytes()).update(&at.as_millis().to_be_bytes());
        let mut id = [0; 16];
        id.copy_from_slice(&hash.finalize().as_bytes()[..16]);
        Self(id)
    }

    /// Of an occasion: its own id.
    pub fn of_occasion(occasion: &OccasionId) -> Self {
        Self(occasion.0)
    }

    /// Sixteen bytes, as OpenTelemetry has them.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// The span that all others of the trace lie below: known to all of them, whoever told it.
    pub fn root(self) -> [u8; 8] {
        let mut id = [0; 8];
        id.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..8]);
        id
    }

    /// Whether it is one of so many, whichever step asks.
    fn is_below(self, below: u64) -> bool {
        let mut first = [0; 8];
        first.copy_from_slice(&self.0[..8]);
        u64::from_be_bytes(first) <= below
    }
}

impl Span {
    /// A step below the root, that did what it should.
    pub fn new(trace: TraceId, name: &'static str, (began, ended): (Timestamp, Timestamp)) -> Self {
        Self { trace, name, is_root: false, began, ended, is_failed: false, facts: Vec::new(), links: Vec::new() }
    }

    /// The one that the others of its trace lie below.
    #[must_use]
    pub fn root(self) -> Self {
        Self { is_root: true, ..self }
    }

    /// With a name of the configuration, or a word of a closed set.
    #[must_use]
    pub fn with(mut self, key: &'static str, text: impl Into<String>) -> Self {
        self.facts.push((key, Fact::Text(text.into())));
        self
    }

    /// With a number.
    #[must_use]
    pub fn counted(mut self, key: &'static str, number: i64) -> Self {
        self.facts.push((key, Fact::Number(number)));
        self
    }

    /// With the traces that it comes from, or leads to.
    #[must_use]
    pub fn linked(self, links: Vec<TraceId>) -> Self {
        Self { links, ..self }
    }

    /// It did not do what it should.
    #[must_use]
    pub fn failed(self, is_failed: bool) -> Self {
        Self { is_failed, ..self }
    }
}

/// True while somebody listens.
pub fn is_on() -> bool {
    LISTENER.load().is_some()
}

/// Tells of a step. Never waits.
pub fn tell(span: Span) {
    if let Some(listener) = &*LISTENER.load()
        && span.trace.is_below(listener.below)
        && listener.sender.try_send(span).is_err()
    {
        listener.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Hears of this share (0 to 1) of all traces from now on, in place of who did before.
pub fn listen(share: f64) -> mpsc::Receiver<Span> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let below = (share.clamp(0.0, 1.0) * u64::MAX as f64) as u64;
    LISTENER.store(Some(Arc::new(Listener { sender, below, dropped: AtomicU64::new(0) })));
    receiver
}

/// Nobody listens any more. Returns what [`dropped`] would have.
pub fn silence() -> u64 {
    LISTENER.swap(None).map_or(0, |listener| listener.take_dropped())
}

/// Spans that were dropped since this was last asked, since too many waited.
pub fn dropped() -> u64 {
    LISTENER.load().as_ref().map_or(0, |listener| listener.take_dropped())
}

impl Listener {
    fn take_dropped(&self) -> u64 {
        self.dropped.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_follows_from_what_it_is_of() {
        let at = Timestamp::from_millis(1);
        let (one, other) = (TraceId::of_event(Position(7), at), TraceId::of_event(Position(8), at));
        assert_eq!(one, TraceId::of_event(Position(7), at));
        assert_ne!(one, other);
        assert_ne!(one.root(), other.root());
        let occasion = OccasionId([9; 16]);
        assert_eq!(hex::encode(TraceId::of_occasion(&occasion).bytes()), occasion.to_string());
    }

    #[test]
    fn what_was_dropped_is_told_once_also_at_the_end() {
        let waiting = listen(1.0);
        let at = Timestamp::from_millis(1);
        for _ in 0..WAITING + 3 {
            tell(Span::new(TraceId::of_event(Position(7), at), "decide", (at, at)));
        }
        let counted = dropped();
        tell(Span::new(TraceId::of_event(Position(7), at), "decide", (at, at)));
        assert!(counted >= 3 && silence() >= 1, "{counted}");
        assert_eq!((dropped(), silence(), is_on()), (0, 0, false));
        drop(waiting);
    }

    #[test]
    fn a_share_is_the_same_for_all_steps_of_a_trace() {
        let half = u64::MAX / 2;
        let traces = (0..1_000).map(|n| TraceId::of_event(Position(n), Timestamp::MIN));
        let told = traces.filter(|trace| trace.is_below(half)).count();
        assert!((400..600).contains(&told), "{told} of 1000");
        let any = TraceId::of_event(Position(1), Timestamp::MIN);
        assert!(any.is_below(u64::MAX));
    }
}
