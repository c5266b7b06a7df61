//! What somebody demands: to be forgotten, here at once and at the destinations that can; or to see what is kept.

use std::collections::BTreeMap;

use crate::model::passed_on::ERASURE;
use crate::model::{
    Access, Action, Erasure, Event, EventKind, Identifier, LaneName, OccasionId, PersonId, Position, Span, Verdict,
    Write,
};

use super::passed_on::{ALWAYS, Words};
use super::step::Step;

/// What is on its way to a vendor, and what it has taken and not yet worked off, is there by then: whoever is forgotten
/// before it would be met anew.
const SETTLED: Span = Span::from_hours(1);

impl Step<'_> {
    /// Forgets everybody whom the event names by a name that says who they are. A destination may know somebody who is
    /// not known here, so it is asked in any case.
    pub(super) fn erase(&mut self, position: Position, event: &Event) {
        debug_assert_eq!(event.kind, EventKind::Erase);
        let mut people: BTreeMap<PersonId, Vec<Identifier>> = BTreeMap::new();
        let mut nobodys = Vec::new();
        for name in event.identifiers.iter().filter(|i| i.kind.names_a_person()) {
            match self.loaded.owners.get(name) {
                Some(id) => people.entry(*id).or_default().push(name.clone()),
                None => nobodys.push(name.clone()),
            }
        }
        // What the demand names besides leads to the same human being.
        match (people.first_entry(), nobodys.first()) {
            (Some(mut first), _) => first.get_mut().append(&mut nobodys),
            (None, Some(first)) => {
                people.insert(PersonId::of(first, position), nobodys);
            }
            (None, None) => {}
        }
        for (id, names) in people {
            let (all, events) = self.forget(id, names);
            let names: Vec<Identifier> = all.iter().filter(|name| name.kind.names_a_person()).cloned().collect();
            let number = u32::try_from(names.len()).unwrap_or(u32::MAX);
            let receipt = Erasure {
                id: OccasionId::of_erasure(id, position),
                person: id,
                asked: event.at,
                decided: self.now,
                source: event.source.clone(),
                position,
                names: number,
                events,
                journal: None,
                lanes: self.have_forgotten(id, names, position, event),
            };
            self.changes.erased.push((receipt, all));
        }
    }

    /// Notes that whoever the event names wants to see what is kept of them. They are answered by somebody.
    pub(super) fn access(&mut self, position: Position, event: &Event) {
        let named = event.identifiers.iter().filter(|i| i.kind.names_a_person());
        let mut people: Vec<PersonId> =
            named.clone().filter_map(|name| self.loaded.owners.get(name).copied()).collect();
        people.sort_unstable();
        people.dedup();
        let nobody = named.take(usize::from(people.is_empty())).map(|name| (PersonId::of(name, position), None));
        for (id, person) in people.iter().map(|id| (*id, Some(*id))).chain(nobody) {
            self.changes.accesses.push(Access {
                id: OccasionId::of_access(id, position),
                person,
                asked: event.at,
                source: event.source.clone(),
                position,
                answered: None,
            });
        }
    }

    /// Forgets one person. Returns all the names that led to them, and how many events were remembered.
    fn forget(&mut self, id: PersonId, mut names: Vec<Identifier>) -> (Vec<Identifier>, u64) {
        let Some(gone) = self.loaded.people.remove(&id) else { return (names, 0) };
        for name in &gone.identifiers {
            if self.loaded.owners.get(name) == Some(&id) {
                self.own(name, None);
            }
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        // Whoever was joined with them just now is them.
        let ids = self.merged_into(id);
        self.changes.activations.retain(|activation| !ids.contains(&activation.person));
        self.changes.decisions.retain(|decision| !ids.contains(&decision.person));
        self.changes.joins.retain(|join| !ids.contains(&join.survivor) && !ids.contains(&join.other));
        for pending in &gone.pending {
            self.recall(id, pending);
        }
        self.write(id, Write::Erased);
        let folded: u64 = gone.history.folded().values().map(|cut| cut.count).sum();
        (names, folded + gone.history.entries().len() as u64)
    }

    /// Asks the destinations that can to forget them. Returns which.
    fn have_forgotten(
        &mut self,
        id: PersonId,
        names: Vec<Identifier>,
        position: Position,
        event: &Event,
    ) -> Vec<LaneName> {
        let lanes = self.told().map(|told| &*told.erasure).unwrap_or_default();
        let words = Words {
            occasion: OccasionId::of_erasure(id, position),
            name: ERASURE,
            person: id,
            at: event.at,
            not_before: Some(self.now + SETTLED),
        };
        for lane in lanes {
            self.pass_on(&words, lane, Action::Erase, names.clone(), ALWAYS);
        }
        self.note_words(&words, Verdict::Delayed(lanes.to_vec(), self.now + SETTLED));
        lanes.to_vec()
    }
}
