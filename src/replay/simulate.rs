//! `simulate`: a file of messages through the live evaluator. Arrival is event time, and nothing is late.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::Arc;

use serde::Serialize;

use super::alone::Alone;
use super::parts::parted;
use super::run::Run;
use crate::identity;
use crate::model::sales::{COUNTED_EVERY, Order};
use crate::model::{Catalogue, Event, LaneName, PersonId, Position, Priority, RawJson, Sales, Span, Timestamp};
use crate::rules::Program;

/// Fewer events are not worth a thread.
const FEW: usize = 10_000;

/// One fire, as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fire {
    /// Which trigger.
    pub trigger: Arc<str>,
    /// Every name of the person: kind to value, or to a list where there are several.
    pub person: RawJson,
    /// The key; empty without `per`.
    pub key: Box<str>,
    /// The edge.
    pub at: Timestamp,
    /// The vendor's dedupe key.
    pub occasion: String,
    /// Where it would go, gates aside.
    pub destinations: Vec<LaneName>,
    /// The gate that would hold it back: until `not_before`, or for good where that is missing.
    pub gate: Option<&'static str>,
    /// When it would leave, if that is later than the edge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// What the marketer would get, gates aside.
    pub payload: RawJson,
    /// Why it would be a dead letter and not be sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// For the order of printing.
    #[serde(skip)]
    pub priority: Priority,
    /// For counting people.
    #[serde(skip)]
    pub who: PersonId,
}

impl Fire {
    /// A gate drops it: nothing leaves.
    pub fn is_dropped(&self) -> bool {
        self.gate.is_some() && self.not_before.is_none()
    }
}

/// One condition of a trigger by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafCount {
    /// Which trigger.
    pub trigger: Arc<str>,
    /// The condition in words.
    pub condition: String,
    /// People who satisfied it at some time.
    pub people: usize,
}

/// What a simulation came to.
#[derive(Debug)]
pub struct Simulation {
    /// In order of edge, then priority, then name.
    pub fires: Vec<Fire>,
    /// People there were at the end.
    pub people: usize,
    /// Events that were no repetitions.
    pub events: u64,
    /// First and last event.
    pub span: Option<(Timestamp, Timestamp)>,
}

/// What payloads may speak of besides the person.
#[derive(Clone, Debug)]
pub struct Sold {
    /// What is for sale.
    pub catalogue: Arc<Catalogue>,
    /// What was ordered is counted so often, beginning with 1970: what comes between counts next time.
    pub counted_every: Span,
}

impl Default for Sold {
    /// Nothing is for sale, and orders are counted as often as the daemon counts them.
    fn default() -> Self {
        Self { catalogue: Arc::default(), counted_every: COUNTED_EVERY }
    }
}

/// Decides `events`, in any order, and lets time run on to `until`, or to the last event where that is later.
///
/// People who have nothing to do with each other are decided in parallel; what comes out is the same. Nothing is for
/// sale, and pools of codes have made-up codes without end.
pub fn simulate(
    events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Simulation {
    simulate_with(events, program, names, until, &Sold::default())
}

/// The same with this for sale.
pub fn simulate_with(
    events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
    sold: &Sold,
) -> Simulation {
    // Codes are everybody's, in the order of giving.
    let cores = if events.len() < FEW || !program.pools().is_empty() {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    };
    on_cores(cores, events, program, names, until, sold)
}

fn on_cores(
    cores: usize,
    mut events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
    sold: &Sold,
) -> Simulation {
    // A stable sort: at one instant they stay in the order they were given.
    events.sort_by_key(|event| event.at);
    let span = events.first().map(|e| e.at).zip(events.last().map(|e| e.at));
    let end = until.max(span.map(|(_, last)| last)).unwrap_or(Timestamp::MIN);
    let events: Vec<(Position, Event)> = (1..).map(Position).zip(events).collect();
    let parts = if cores == 1 { vec![events] } else { parted(events, cores) };
    let new = |part| Run::new(part, program, names, sold.catalogue.clone());
    let mut runs: Vec<Run<'_>> = parts.into_iter().map(new).collect();
    if program.asks_for_sales() {
        counting(&mut runs, end, sold.counted_every);
    } else {
        all_through(&mut runs, end);
    }
    let (mut fires, mut people, mut did) = (Vec::new(), 0, 0);
    for run in runs {
        people += run.people();
        did += run.did;
        fires.extend(run.fires);
    }
    fires.sort_by(|a, b| {
        (a.at, std::cmp::Reverse(a.priority), &a.trigger, &a.key, &a.occasion).cmp(&(
            b.at,
            std::cmp::Reverse(b.priority),
            &b.trigger,
            &b.key,
            &b.occasion,
        ))
    });
    Simulation { fires, people, events: did, span }
}

/// To the end from count to count: what people order is everybody's from the next one on.
fn counting(runs: &mut [Run<'_>], end: Timestamp, every: Span) {
    let mut sales = Sales::default();
    while let Some(next) = runs.iter().filter_map(Run::next).min().filter(|next| *next <= end) {
        let lent = Arc::new(sales);
        runs.iter_mut().for_each(|run| run.lend(lent.clone()));
        all_through(runs, end_of(next, every).min(end));
        let mut orders: Vec<(Position, Order)> = runs.iter_mut().flat_map(Run::give_back).collect();
        // However people are parted, they are counted in one order.
        orders.sort_by_key(|(position, _)| *position);
        // All gave it back: nobody else holds it.
        sales = Arc::into_inner(lent).unwrap_or_default();
        orders.iter().for_each(|(_, order)| sales.add(order));
    }
}

/// The last instant of the span of this length, counted from 1970, that `at` lies in.
fn end_of(at: Timestamp, every: Span) -> Timestamp {
    let next = at.whole(every).saturating_add(1).saturating_mul(every.as_millis().max(1));
    Timestamp::from_millis(next - 1)
}

/// All to this instant, each on a core of its own.
fn all_through(runs: &mut [Run<'_>], until: Timestamp) {
    if let [only] = runs {
        return only.through(until);
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = runs.iter_mut().map(|run| scope.spawn(|| run.through(until))).collect();
        // A panic in one is one of the whole.
        threads.into_iter().for_each(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)));
    });
}

/// How many people satisfied each condition by itself: every condition as a trigger of its own.
pub fn leaves(
    events: &[Event],
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Vec<LeafCount> {
    let alone = Alone::of(program, |_| true);
    let simulation = simulate(events.to_vec(), &alone.program, names, until);
    let mut who: HashMap<&str, BTreeSet<PersonId>> = HashMap::new();
    for fire in &simulation.fires {
        who.entry(&fire.trigger).or_default().insert(fire.who);
    }
    alone
        .conditions
        .into_iter()
        .map(|one| LeafCount {
            people: who.get(&*one.name).map_or(0, BTreeSet::len),
            trigger: one.trigger,
            condition: one.words,
        })
        .collect()
}

#[cfg(test)]
mod tests;
