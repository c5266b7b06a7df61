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
    Activation, Catalogue, Changes, Codes, Decision, Event, Gate, Identifier, LaneName, Loaded, OccasionId, Person,
    PersonId, Position, Priority, RawJson, Timestamp, Verdict, Write,
};
use crate::rules::{self, Program, Trigger};

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

/// Decides `events`, in any order, and lets time run on to `until` (the last event unless told otherwise).
///
/// People who have nothing to do with each other are decided in parallel; what comes out is the same. Nothing is for
/// sale, and pools of codes have made-up codes without end.
pub fn simulate(
    events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Simulation {
    simulate_with(events, program, names, until, Arc::default())
}

/// The same with this for sale.
pub fn simulate_with(
    mut events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
    catalogue: Arc<Catalogue>,
) -> Simulation {
    // A stable sort: at one instant they stay in the order they were given.
    events.sort_by_key(|event| event.at);
    let span = events.first().map(|e| e.at).zip(events.last().map(|e| e.at));
    let end = until.or(span.map(|(_, last)| last));
    let events: Vec<(Position, Event)> = (1..).map(Position).zip(events).collect();
    // What is sold, and codes, are everybody's.
    let cores = if events.len() < FEW || program.speaks_of_others() {
        1
    } else {
        std::thread::available_parallelism().map_or(1, usize::from)
    };
    let parts = if cores == 1 { vec![events] } else { parted(events, cores) };
    let runs: Vec<Run<'_>> = std::thread::scope(|scope| {
        let run = |part| {
            let catalogue = catalogue.clone();
            move || Run::through(part, program, names, end, catalogue)
        };
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
    /// Places of those that wait for quiet hours to end: only these can be called back.
    waiting: HashMap<OccasionId, usize>,
    program: &'a Program,
    triggers: HashMap<&'a str, &'a Trigger>,
    events: u64,
    people: usize,
}

impl<'a> Run<'a> {
    fn through(
        part: Vec<(Position, Event)>,
        program: &'a Program,
        names: &identity::Settings,
        end: Option<Timestamp>,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        let mut loaded = Loaded { catalogue, codes: Codes::made_up(), is_simulated: true, ..Loaded::default() };
        let asks_for_sales = program.asks_for_sales();
        let triggers = program.triggers().iter().map(|trigger| (&*trigger.name, trigger)).collect();
        let mut run = Run { fires: Vec::new(), waiting: HashMap::new(), program, triggers, events: 0, people: 0 };
        for (position, mut event) in part {
            event.arrived = event.at;
            let at = event.at;
            let names_of_order = if asks_for_sales { event.identifiers.clone() } else { Vec::new() };
            // Learned at its own instant: nothing has expired.
            let changes = decide::events(&mut loaded, &[(position, event)], Timestamp::MIN, program, names);
            run.take(&mut loaded, &changes, at);
            count(&mut loaded, &names_of_order, position);
        }
        if let Some(end) = end {
            let mut due: Vec<PersonId> =
                loaded.people.values().filter(|p| p.wake().is_some_and(|at| at <= end)).map(|p| p.id).collect();
            while !due.is_empty() {
                for some in due.chunks(SOME) {
                    let changes = decide::timers(&mut loaded, some, end, Timestamp::MIN, program);
                    run.take(&mut loaded, &changes, Timestamp::MIN);
                }
                due.retain(|id| loaded.people.get(id).and_then(Person::wake).is_some_and(|at| at <= end));
            }
        }
        run.people = loaded.people.len();
        run
    }

    /// What followed from an event at this instant, or from time.
    fn take(&mut self, loaded: &mut Loaded, changes: &Changes, at: Timestamp) {
        self.events += changes.did;
        let mut activations: HashMap<OccasionId, &Activation> = HashMap::new();
        for activation in &changes.activations {
            activations.entry(activation.occasion).or_insert(activation);
        }
        for decision in &changes.decisions {
            // An edge inside a cool-down, or a second one of a trigger that fires once, is no fire.
            let (gate, not_before) = match &decision.verdict {
                Verdict::Activated(_) => (None, None),
                Verdict::Delayed(_, until) => (Some(Gate::QuietHours.word()), Some(*until)),
                Verdict::Gated(gate, _) | Verdict::Held(_, gate) => (Some(gate.word()), None),
                Verdict::Cancelled => {
                    self.call_back(decision.occasion, Verdict::Cancelled.word(), at);
                    continue;
                }
                // A cap calls back at an edge, and only what waits then: long before the event that let time run on.
                Verdict::Recalled(Gate::Cap, _) => {
                    self.call_back(decision.occasion, Gate::Cap.word(), Timestamp::MIN);
                    continue;
                }
                Verdict::Recalled(gate, _) => {
                    self.call_back(decision.occasion, gate.word(), at);
                    continue;
                }
                _ => continue,
            };
            let activation = activations.get(&decision.occasion);
            let Some(trigger) = self.triggers.get(&*decision.trigger) else { continue };
            let person = || loaded.people.get(&survivor(changes, decision.person));
            let (identifiers, payload, broken) = match activation {
                Some(activation) => (&activation.identifiers, activation.payload.clone(), activation.broken.clone()),
                None => {
                    let Some(person) = person() else { continue };
                    let said = self.said(loaded, trigger, person, decision);
                    (&person.identifiers, said.payload, said.broken)
                }
            };
            let activate = if trigger.is_exit(&decision.key) { &trigger.activate_on_exit } else { &trigger.activate };
            if not_before.is_some() {
                self.waiting.insert(decision.occasion, self.fires.len());
            }
            self.fires.push(Fire {
                trigger: decision.trigger.clone(),
                person: RawJson::from_value(&named(identifiers)),
                key: decision.key.clone(),
                at: decision.at,
                occasion: decision.occasion.to_string(),
                destinations: activate.iter().map(|(lane, _)| lane.clone()).collect(),
                gate,
                not_before,
                payload,
                broken: broken.map(String::from),
                priority: trigger.priority,
                who: decision.person,
            });
        }
        // Only what waits for quiet hours to end can still be called back: nobody need remember more.
        for change in &changes.people {
            if let Some(person) = loaded.people.get_mut(&change.id) {
                person.pending.retain(|pending| pending.not_before.is_some_and(|until| until > at));
            }
        }
    }
}

/// Who has what was somebody's before they were merged by this step.
fn survivor(changes: &Changes, id: PersonId) -> PersonId {
    let merged = changes.people.iter().find_map(|change| match change.write {
        Write::MergedInto(survivor) if change.id == id => Some(survivor),
        _ => None,
    });
    merged.unwrap_or(id)
}

impl Run<'_> {
    /// What a fire that a gate holds back would have said.
    fn said(&self, loaded: &Loaded, trigger: &Trigger, person: &Person, decision: &Decision) -> rules::Rendered {
        let Decision { ref key, at, occasion, .. } = *decision;
        let (program, shelf) = (self.program, rules::Shelf::of(loaded));
        rules::payload(&rules::Fire { program, trigger, person, key, at, occasion, shelf })
    }

    /// What still waited at this instant does not leave. All else left at its edge.
    fn call_back(&mut self, occasion: OccasionId, gate: &'static str, at: Timestamp) {
        let fire = self.waiting.get(&occasion).and_then(|place| self.fires.get_mut(*place));
        if let Some(fire) = fire.filter(|fire| fire.not_before.is_some_and(|until| until > at)) {
            fire.gate = Some(gate);
            fire.not_before = None;
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

/// Counts an order that was just decided.
fn count(loaded: &mut Loaded, names: &[Identifier], position: Position) {
    let person = names.iter().find_map(|name| loaded.people.get(loaded.owners.get(name)?));
    let entry = person.and_then(|p| Some((p, p.history.entries().iter().rfind(|entry| entry.position == position)?)));
    if let Some((person, entry)) = entry
        && let Some(sales) = Arc::get_mut(&mut loaded.sales)
    {
        sales.count_one(&person.history, entry);
    }
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
