//! `simulate`: a file of messages through the live evaluator. Arrival is event time, and nothing is late.

use std::collections::{BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::{Arc, mpsc};

use serde::Serialize;

use super::alone::Alone;
use super::parts::parted;
use super::run::{Ran, Run};
use crate::identity;
use crate::model::sales::{COUNTED_EVERY, Purchase};
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
    let runs: Vec<Run<'_>> = parts.into_iter().map(new).collect();
    let lived = through_counts(runs, end, program.asks_for_sales().then_some(sold.counted_every));
    let (people, did) = lived.iter().fold((0, 0), |(people, did), one| (people + one.people, did + one.did));
    let mut fires: Vec<Fire> = lived.into_iter().flat_map(|one| one.fires).collect();
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

/// All to the end, each on a core of its own, from count to count: what people order is everybody's from the next on.
fn through_counts<'a>(runs: Vec<Run<'a>>, end: Timestamp, every: Option<Span>) -> Vec<Ran> {
    std::thread::scope(|scope| {
        let mut next: Option<Timestamp> = runs.iter().filter_map(Run::next).min();
        // A thread lasts to the end: what one has allocated is dear to free for another.
        let start = |mut run: Run<'a>| {
            let (lend, lent) = mpsc::channel::<(Timestamp, Arc<Sales>)>();
            let (tell, told) = mpsc::channel();
            let thread = scope.spawn(move || {
                for (until, sales) in lent {
                    run.through(until, sales);
                    let _ = tell.send((run.next(), run.ordered()));
                }
                run.end()
            });
            (lend, told, thread)
        };
        let workers: Vec<_> = runs.into_iter().map(start).collect();
        let mut sales = Sales::default();
        while let Some(at) = next.filter(|next| *next <= end) {
            let until = every.map_or(end, |every| end_of(at, every).min(end));
            let lent = Arc::new(sales);
            // Who does not listen, or tell, has panicked: that comes out below.
            workers.iter().for_each(|(lend, ..)| _ = lend.send((until, lent.clone())));
            let told: Option<Vec<_>> = workers.iter().map(|(_, told, _)| told.recv().ok()).collect();
            let Some(told) = told else { break };
            next = told.iter().filter_map(|(next, _)| *next).min();
            // All gave it back: nobody else holds it.
            sales = Arc::into_inner(lent).unwrap_or_default();
            // However people are parted, orders are counted in one order.
            let mut orders: Vec<(Position, Purchase)> = told.into_iter().flat_map(|(_, orders)| orders).collect();
            orders.sort_by_key(|(position, _)| *position);
            orders.iter().for_each(|(_, order)| sales.add(order));
        }
        let threads: Vec<_> = workers.into_iter().map(|(.., thread)| thread).collect();
        // A panic in one is one of the whole.
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// The last instant of the span of this length, counted from 1970, that `at` lies in.
fn end_of(at: Timestamp, every: Span) -> Timestamp {
    let next = at.whole(every).saturating_add(1).saturating_mul(every.as_millis().max(1));
    Timestamp::from_millis(next - 1)
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
