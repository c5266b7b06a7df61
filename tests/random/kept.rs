//! A store in memory: written only as `Changes` says, so that what is not said is not kept.

use std::collections::{HashMap, HashSet};

use espalier::model::{
    Activation, Changes, Decision, DedupeKey, Entry, Event, History, Identifier, Loaded, Person, PersonId, Position,
    Timestamp, TriggerId, TriggerStates, Verdict, Write,
};

use super::START;
use crate::oracle::Edge;

/// Everything that is kept, written only as `Changes` says.
#[derive(Default)]
pub struct Kept {
    pub people: HashMap<PersonId, Person>,
    owners: HashMap<Identifier, PersonId>,
    seen: HashSet<DedupeKey>,
    merged: HashMap<PersonId, PersonId>,
    pub decisions: Vec<Decision>,
    pub triggers: TriggerStates,
    held: Vec<Activation>,
}

impl Kept {
    /// The people that a batch speaks of.
    pub fn load(&self, batch: &[(Position, Event)]) -> Loaded {
        let mut loaded = Loaded { triggers: self.triggers.clone(), ..Loaded::default() };
        for (_, event) in batch {
            for name in &event.identifiers {
                if let Some(id) = self.owners.get(name) {
                    loaded.owners.insert(name.clone(), *id);
                    loaded.people.insert(*id, self.people[id].clone());
                }
            }
            loaded.seen.extend(event.dedupe.iter().filter(|key| self.seen.contains(*key)));
        }
        loaded
    }

    pub fn commit(&mut self, loaded: &Loaded, changes: Changes) {
        for change in changes.people {
            match change.write {
                Write::Whole => {
                    self.people.insert(change.id, loaded.people[&change.id].clone());
                }
                Write::Appended(positions) => {
                    let new = &loaded.people[&change.id];
                    let entries = new.history.entries().iter().filter(|e| positions.contains(&e.position)).cloned();
                    let old = self.people.get(&change.id).expect("somebody new is written whole");
                    let entries: Vec<Entry> = old.history.entries().iter().cloned().chain(entries).collect();
                    let history = History::from_parts(entries, old.history.folded().clone());
                    self.people.insert(change.id, Person { history, ..new.clone() });
                }
                Write::MergedInto(survivor) => {
                    self.people.remove(&change.id);
                    self.merged.insert(change.id, survivor);
                }
                Write::Erased => {
                    self.people.remove(&change.id);
                }
            }
        }
        for (name, owner) in changes.links {
            match owner {
                Some(id) => self.owners.insert(name, id),
                None => self.owners.remove(&name),
            };
        }
        self.seen.extend(changes.dedupe.into_iter().map(|(key, _)| key));
        self.decisions.extend(changes.decisions);
        self.triggers.extend(changes.triggers);
        self.held.extend(changes.activations.into_iter().filter(Activation::is_held));
        let gone = changes.cancelled.iter().map(|recall| recall.occasion);
        let gone: HashSet<_> = gone.chain(changes.released.iter().map(|released| released.occasion)).collect();
        self.held.retain(|held| !gone.contains(&held.occasion));
        for (id, person) in &loaded.people {
            assert_eq!(self.people.get(id), Some(person), "what was decided is not what was written");
        }
    }

    /// Some of what is held of a trigger, and whether that is all.
    pub fn held(&self, trigger: TriggerId, max: usize) -> (Vec<Activation>, bool) {
        let all = self.held.iter().filter(|held| TriggerId::of(&held.trigger) == trigger);
        let some = all.clone().take(max).map(|held| Activation { person: self.now(held.person), ..held.clone() });
        (some.collect(), all.count() <= max)
    }

    /// Who has what was somebody's.
    fn now(&self, mut id: PersonId) -> PersonId {
        while let Some(survivor) = self.merged.get(&id) {
            id = *survivor;
        }
        id
    }

    pub fn wake(&self, until: Timestamp) -> Vec<PersonId> {
        let mut due: Vec<(Timestamp, PersonId)> =
            self.people.values().filter_map(|p| Some((p.wake()?, p.id))).filter(|(at, _)| *at <= until).collect();
        due.sort();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// The edges, as the oracle tells them.
    pub fn edges(&self) -> Vec<Edge> {
        let mut edges: Vec<Edge> = self.decisions.iter().map(|d| self.edge(d)).collect();
        edges.sort();
        edges
    }

    fn edge(&self, decision: &Decision) -> Edge {
        edge(decision, &self.people[&self.now(decision.person)])
    }
}

/// A decision about somebody, as the oracle tells it.
pub fn edge(decision: &Decision, person: &Person) -> Edge {
    Edge {
        at: decision.at.as_millis() - START,
        rule: decision.trigger.to_string(),
        key: decision.key.to_string(),
        verdict: decision.verdict.word(),
        until: match decision.verdict {
            Verdict::Delayed(_, until) | Verdict::Released(Some(until)) => Some(until.as_millis() - START),
            _ => None,
        },
        person: person.identifiers.iter().map(|i| i.value.to_string()).collect(),
    }
}
