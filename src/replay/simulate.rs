//! `simulate`: a file of messages through the live evaluator. Arrival is event time, and nothing is late.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::resume_unwind;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use super::alone::Alone;
use super::parts::parted;
use crate::decide;
use crate::identity;
use crate::model::{
    Activation, Changes, Event, Identifier, LaneName, Loaded, OccasionId, Person, PersonId, Position, Priority,
    RawJson, Timestamp, Verdict,
};
use crate::rules::Program;

/// Fewer events are not worth a thread.
const FEW: usize = 10_000;
/// So many people are asked for their timers at once: what comes of it is in memory.
const SOME: usize = 500;

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
    /// Where it would go.
    pub destinations: Vec<LaneName>,
    /// The gate that would hold it back.
    pub gate: Option<String>,
    /// What the marketer would get; `None` where a gate holds it back.
    pub payload: Option<RawJson>,
    /// For the order of printing.
    #[serde(skip)]
    pub priority: Priority,
    /// For counting people.
    #[serde(skip)]
    pub who: PersonId,
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

/// Decides `events`, in any order, and lets time run on to `until` (the last event unless told otherwise).
///
/// People who have nothing to do with each other are decided in parallel; what comes out is the same.
pub fn simulate(
    mut events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Simulation {
    // A stable sort: at one instant they stay in the order they were given.
    events.sort_by_key(|event| event.at);
    let span = events.first().map(|e| e.at).zip(events.last().map(|e| e.at));
    let end = until.or(span.map(|(_, last)| last));
    let events: Vec<(Position, Event)> = (1..).map(Position).zip(events).collect();
    let cores = if events.len() < FEW { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let parts = if cores == 1 { vec![events] } else { parted(events, cores) };
    let runs: Vec<Run<'_>> = std::thread::scope(|scope| {
        let run = |part| move || Run::through(part, program, names, end);
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(run(part))).collect();
        // A panic in one is one of the whole.
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    let (mut fires, mut people, mut events) = (Vec::new(), 0, 0);
    for run in runs {
        fires.extend(run.fires);
        people += run.people;
        events += run.events;
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
    Simulation { fires, people, events, span }
}

struct Run<'a> {
    fires: Vec<Fire>,
    priorities: HashMap<&'a str, Priority>,
    events: u64,
    people: usize,
}

impl<'a> Run<'a> {
    fn through(
        part: Vec<(Position, Event)>,
        program: &'a Program,
        names: &identity::Settings,
        end: Option<Timestamp>,
    ) -> Self {
        let mut loaded = Loaded::default();
        let priorities = program.triggers().iter().map(|trigger| (&*trigger.name, trigger.priority)).collect();
        let mut run = Run { fires: Vec::new(), priorities, events: 0, people: 0 };
        for (position, mut event) in part {
            event.arrived = event.at;
            // Learned at its own instant: nothing has expired.
            let changes = decide::events(&mut loaded, &[(position, event)], Timestamp::MIN, program, names);
            run.take(&mut loaded, &changes);
        }
        if let Some(end) = end {
            let mut due: Vec<PersonId> =
                loaded.people.values().filter(|p| p.wake().is_some_and(|at| at <= end)).map(|p| p.id).collect();
            while !due.is_empty() {
                for some in due.chunks(SOME) {
                    let changes = decide::timers(&mut loaded, some, end, Timestamp::MIN, program);
                    run.take(&mut loaded, &changes);
                }
                due.retain(|id| loaded.people.get(id).and_then(Person::wake).is_some_and(|at| at <= end));
            }
        }
        run.people = loaded.people.len();
        run
    }

    fn take(&mut self, loaded: &mut Loaded, changes: &Changes) {
        self.events += changes.did;
        let mut activations: HashMap<OccasionId, &Activation> = HashMap::new();
        for activation in &changes.activations {
            activations.entry(activation.occasion).or_insert(activation);
        }
        for decision in &changes.decisions {
            // An edge inside a cool-down, or a second one of a trigger that fires once, is no fire.
            let (lanes, gate) = match &decision.verdict {
                Verdict::Activated(lanes) => (lanes.clone(), None),
                Verdict::Gated(words) => (Vec::new(), Some(words.to_string())),
                _ => continue,
            };
            let activation = activations.get(&decision.occasion);
            let identifiers = match (activation, loaded.people.get(&decision.person)) {
                (Some(activation), _) => &activation.identifiers,
                (None, Some(person)) => &person.identifiers,
                (None, None) => continue,
            };
            self.fires.push(Fire {
                trigger: decision.trigger.clone(),
                person: RawJson::from_value(&named(identifiers)),
                key: decision.key.clone(),
                at: decision.at,
                occasion: decision.occasion.to_string(),
                destinations: lanes,
                gate,
                payload: activation.map(|a| a.payload.clone()),
                priority: self.priorities.get(&*decision.trigger).copied().unwrap_or(0),
                who: decision.person,
            });
        }
        // Nothing is called back here, so nobody need remember what may still wait.
        for change in &changes.people {
            if let Some(person) = loaded.people.get_mut(&change.id) {
                person.pending.clear();
            }
        }
    }
}

/// `{"email": "...", "anonymous_id": ["...", "..."]}`
fn named(identifiers: &[Identifier]) -> Value {
    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for identifier in identifiers {
        by_kind.entry(identifier.kind.to_string()).or_default().push((&*identifier.value).into());
    }
    let entries = by_kind.into_iter().map(|(kind, mut values)| {
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        (kind, value)
    });
    Value::Object(entries.collect::<Map<_, _>>())
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
