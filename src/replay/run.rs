//! One part of the people of a simulation, who have nothing to do with the others: their events, and their timers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::mem;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::simulate::Fire;
use crate::decide;
use crate::identity;
use crate::model::sales::{ORDER, Purchase};
use crate::model::{
    Activation, Catalogue, Changes, Codes, Decision, Event, Gate, Identifier, Loaded, OccasionId, Person, PersonId,
    Position, RawJson, Sales, Timestamp, Verdict, Write,
};
use crate::rules::{self, Program, Trigger};

/// So many people are asked for their timers at once: what comes of it is in memory.
const SOME: usize = 500;

/// What came of them.
pub struct Ran {
    /// What fired.
    pub fires: Vec<Fire>,
    /// People there were in the end.
    pub people: usize,
    /// Events that were no repetitions.
    pub did: u64,
}

/// How far they are.
pub struct Run<'a> {
    fires: Vec<Fire>,
    did: u64,
    program: &'a Program,
    names: &'a identity::Settings,
    triggers: HashMap<&'a str, &'a Trigger>,
    /// Those that are to come, in order of time.
    events: std::vec::IntoIter<(Position, Event)>,
    loaded: Loaded,
    /// When somebody has to be asked. What is so no more stays in it until its time.
    wakes: BinaryHeap<Reverse<(Timestamp, PersonId)>>,
    /// Places of those fires that wait for quiet hours to end, or for a night: only these can be called back.
    waiting: HashMap<OccasionId, usize>,
    /// Orders that are in no count yet.
    orders: Vec<(Position, Purchase)>,
    asks_for_sales: bool,
}

impl<'a> Run<'a> {
    /// `events` are in order of time.
    pub fn new(
        events: Vec<(Position, Event)>,
        program: &'a Program,
        names: &'a identity::Settings,
        catalogue: Arc<Catalogue>,
    ) -> Self {
        Self {
            fires: Vec::new(),
            did: 0,
            program,
            names,
            triggers: program.triggers().iter().map(|trigger| (&*trigger.name, trigger)).collect(),
            events: events.into_iter(),
            loaded: Loaded { catalogue, codes: Codes::made_up(), is_simulated: true, ..Loaded::default() },
            wakes: BinaryHeap::new(),
            waiting: HashMap::new(),
            orders: Vec::new(),
            asks_for_sales: program.asks_for_sales(),
        }
    }

    /// When there is something to do; perhaps nothing then, but nothing before it.
    pub fn next(&self) -> Option<Timestamp> {
        let event = self.events.as_slice().first().map(|(_, event)| event.at);
        let wake = self.wakes.peek().map(|Reverse((at, _))| *at);
        event.into_iter().chain(wake).min()
    }

    /// Everything up to and including this instant. Payloads speak of these counts.
    pub fn through(&mut self, until: Timestamp, sales: Arc<Sales>) {
        self.loaded.sales = sales;
        self.run(until);
        self.loaded.sales = Arc::default();
    }

    fn run(&mut self, until: Timestamp) {
        while self.events.as_slice().first().is_some_and(|(_, event)| event.at <= until) {
            let Some((position, mut event)) = self.events.next() else { break };
            event.arrived = event.at;
            let (at, is_order) = (event.at, *event.name == *ORDER);
            // Learned at its own instant: nothing has expired.
            let events = [(position, event)];
            let changes = decide::events(&mut self.loaded, &events, Timestamp::MIN, self.program, self.names);
            self.take(&changes, at);
            if is_order && self.asks_for_sales {
                self.orders.extend(self.order(&changes, position).map(|order| (position, order)));
            }
        }
        loop {
            let due = self.due(until);
            if due.is_empty() {
                return;
            }
            let changes = decide::timers(&mut self.loaded, &due, until, Timestamp::MIN, self.program);
            self.take(&changes, Timestamp::MIN);
        }
    }

    /// Some of the people who have to be asked by this instant; nobody when all are.
    fn due(&mut self, until: Timestamp) -> Vec<PersonId> {
        let mut due = Vec::new();
        while let Some(Reverse((at, id))) = self.wakes.peek().copied()
            && at <= until
            && due.len() < SOME
        {
            self.wakes.pop();
            if self.loaded.people.get(&id).and_then(Person::wake).is_some_and(|at| at <= until) {
                due.push(id);
            }
        }
        due
    }

    /// The order that came with this event.
    fn order(&self, changes: &Changes, position: Position) -> Option<Purchase> {
        changes.people.iter().find_map(|change| {
            let history = &self.loaded.people.get(&change.id)?.history;
            Purchase::first_told(history, history.entries().iter().rfind(|entry| entry.position == position)?)
        })
    }

    /// What was ordered since this was last asked.
    pub fn ordered(&mut self) -> Vec<(Position, Purchase)> {
        mem::take(&mut self.orders)
    }

    /// What came of it all.
    pub fn end(self) -> Ran {
        Ran { fires: self.fires, people: self.loaded.people.len(), did: self.did }
    }

    /// What followed from an event at this instant, or from time.
    fn take(&mut self, changes: &Changes, at: Timestamp) {
        self.did += changes.did;
        let mut activations: HashMap<OccasionId, &Activation> = HashMap::new();
        for activation in &changes.activations {
            activations.entry(activation.occasion).or_insert(activation);
        }
        for decision in &changes.decisions {
            // An edge inside a cool-down, or a second one of a trigger that fires once, is no fire.
            let (gate, not_before) = match &decision.verdict {
                Verdict::Activated(_) => (None, None),
                Verdict::Delayed(_, until) => (Some(Gate::QuietHours.word()), Some(*until)),
                Verdict::Deferred(_, until) => (Some(decision.verdict.word()), Some(*until)),
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
            let (identifiers, payload, broken) = match activation {
                Some(activation) => (&activation.identifiers, activation.payload.clone(), activation.broken.clone()),
                None => {
                    let person = self.loaded.people.get(&survivor(changes, decision.person));
                    let Some(person) = person else { continue };
                    let said = self.said(trigger, person, decision);
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
                destinations: rules::Start::lanes(activate),
                gate,
                not_before,
                payload,
                broken: broken.map(String::from),
                priority: trigger.priority,
                who: decision.person,
            });
        }
        // Only what waits, for quiet hours to end or for a night, can still be called back: nobody need remember more.
        for change in &changes.people {
            if let Some(person) = self.loaded.people.get_mut(&change.id) {
                person.pending.retain(|pending| pending.not_before.is_some_and(|until| until > at));
                self.wakes.extend(person.wake().map(|at| Reverse((at, person.id))));
            }
        }
    }

    /// What a fire that a gate holds back would have said.
    fn said(&self, trigger: &Trigger, person: &Person, decision: &Decision) -> rules::Rendered {
        let Decision { ref key, at, occasion, .. } = *decision;
        let (program, shelf) = (self.program, rules::Shelf::of(&self.loaded));
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

/// Who has what was somebody's before they were merged by this step.
fn survivor(changes: &Changes, id: PersonId) -> PersonId {
    let merged = changes.people.iter().find_map(|change| match change.write {
        Write::MergedInto(survivor) if change.id == id => Some(survivor),
        _ => None,
    });
    merged.unwrap_or(id)
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
