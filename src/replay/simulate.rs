//! `simulate`: a file of messages through the live evaluator. Arrival is event time, and nothing is late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::decide;
use crate::identity;
use crate::model::{
    Changes, Decision, Event, Gate, Identifier, LaneName, Loaded, OccasionId, PersonId, Position, Priority, Timestamp,
    Verdict, Write,
};
use crate::rules::{self, Condition, Program, Trigger};

/// One fire, as it is printed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Fire {
    /// Which trigger.
    pub trigger: Arc<str>,
    /// Every name of the person: kind to value, or to a list where there are several.
    pub person: Value,
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
    pub payload: Value,
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
pub fn simulate(
    mut events: Vec<Event>,
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Simulation {
    // A stable sort: at one instant they stay in the order they were given.
    events.sort_by_key(|event| event.at);
    let span = events.first().map(|e| e.at).zip(events.last().map(|e| e.at));
    let mut loaded = Loaded::default();
    let mut run = Run { fires: Vec::new(), program, events: 0 };
    for (n, mut event) in events.into_iter().enumerate() {
        event.arrived = event.at;
        let position = Position(n as u64 + 1);
        let at = event.at;
        // Learned at its own instant: nothing has expired.
        let changes = decide::events(&mut loaded, &[(position, event)], Timestamp::MIN, program, names);
        run.take(&loaded, changes, at);
    }
    if let Some(end) = until.or(span.map(|(_, last)| last)) {
        loop {
            let due: Vec<PersonId> =
                loaded.people.values().filter(|p| p.wake().is_some_and(|at| at <= end)).map(|p| p.id).collect();
            if due.is_empty() {
                break;
            }
            let changes = decide::timers(&mut loaded, &due, end, Timestamp::MIN, program);
            run.take(&loaded, changes, Timestamp::MIN);
        }
    }
    let mut fires = run.fires;
    fires.sort_by(|a, b| {
        (a.at, std::cmp::Reverse(a.priority), &a.trigger, &a.key, &a.occasion).cmp(&(
            b.at,
            std::cmp::Reverse(b.priority),
            &b.trigger,
            &b.key,
            &b.occasion,
        ))
    });
    Simulation { fires, people: loaded.people.len(), events: run.events, span }
}

struct Run<'a> {
    fires: Vec<Fire>,
    program: &'a Program,
    events: u64,
}

impl Run<'_> {
    /// What followed from an event at this instant, or from time.
    fn take(&mut self, loaded: &Loaded, changes: Changes, at: Timestamp) {
        self.events += changes.did;
        for decision in &changes.decisions {
            // An edge inside a cool-down, or a second one of a trigger that fires once, is no fire.
            let (gate, not_before) = match &decision.verdict {
                Verdict::Activated(_) => (None, None),
                Verdict::Delayed(_, until) => (Some(Gate::QuietHours.word()), Some(*until)),
                Verdict::Gated(gate, _) => (Some(gate.word()), None),
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
            let activation = changes.activations.iter().find(|a| a.occasion == decision.occasion);
            let Some(trigger) = self.program.triggers().iter().find(|t| t.name == decision.trigger) else { continue };
            let (identifiers, payload) = match (activation, loaded.people.get(&survivor(&changes, decision.person))) {
                (Some(activation), _) => (&activation.identifiers, activation.payload.clone()),
                (None, Some(person)) => {
                    let Decision { key, at, occasion, .. } = decision;
                    (&person.identifiers, rules::payload(self.program, trigger, person, key, *at, *occasion))
                }
                (None, None) => continue,
            };
            let activate = if trigger.is_exit(&decision.key) { &trigger.activate_on_exit } else { &trigger.activate };
            self.fires.push(Fire {
                trigger: decision.trigger.clone(),
                person: named(identifiers),
                key: decision.key.clone(),
                at: decision.at,
                occasion: decision.occasion.to_string(),
                destinations: activate.iter().map(|(lane, _)| lane.clone()).collect(),
                gate,
                not_before,
                payload: payload.to_value(),
                priority: trigger.priority,
                who: decision.person,
            });
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
    /// What still waited at this instant does not leave. All else left at its edge.
    fn call_back(&mut self, occasion: OccasionId, gate: &'static str, at: Timestamp) {
        let occasion = occasion.to_string();
        let waits = |fire: &&mut Fire| fire.occasion == occasion && fire.not_before.is_some_and(|until| until > at);
        if let Some(fire) = self.fires.iter_mut().rev().find(waits) {
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

/// How many people satisfied each condition by itself: every condition as a trigger of its own.
pub fn leaves(
    events: &[Event],
    program: &Program,
    names: &identity::Settings,
    until: Option<Timestamp>,
) -> Vec<LeafCount> {
    let mut alone: Vec<Trigger> = Vec::new();
    let mut counted = Vec::new();
    for trigger in program.triggers() {
        for leaf in trigger.condition.leaves() {
            let name: Arc<str> = format!("{}#{}", trigger.name, counted.len()).into();
            alone.push(Trigger {
                name: name.clone(),
                id: crate::model::TriggerId::of(&name),
                condition: Condition::Leaf(Box::new(leaf.clone())),
                held: None,
                cooldown: None,
                once: false,
                ..trigger.clone()
            });
            counted.push((name, trigger.name.clone(), leaf.words()));
        }
    }
    let program = Program::of(alone, program.settings().clone());
    let simulation = simulate(events.to_vec(), &program, names, until);
    counted
        .into_iter()
        .map(|(name, trigger, condition)| {
            let who: BTreeSet<PersonId> =
                simulation.fires.iter().filter(|f| f.trigger == name).map(|f| f.who).collect();
            LeafCount { trigger, condition, people: who.len() }
        })
        .collect()
}
