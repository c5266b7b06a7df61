//! What identity planned, done: people made, joined, forgotten.

use crate::identity::{self, Plan};
use crate::model::{Event, EventKind, Identifier, Person, PersonId, Position, Write};

use super::step::Step;

impl Step<'_> {
    /// Joins and links. Returns whose the event is and whether they are new; `None` for an event that names nobody.
    pub(super) fn link(&mut self, plan: Plan, position: Position, event: &Event) -> Option<(PersonId, bool)> {
        let (id, is_new) = match plan.person {
            Some(id) => (id, false),
            None => (PersonId::of(plan.taken.first()?, position), true),
        };
        if is_new {
            self.loaded.people.insert(id, Person::new(id, position, event.at));
        }
        for other in plan.absorbed {
            self.absorb(id, other);
        }
        for name in plan.taken {
            self.take(id, name);
        }
        self.changes.joins.extend(plan.joins);
        Some((id, is_new))
    }

    fn absorb(&mut self, survivor: PersonId, other: PersonId) {
        let Some(gone) = self.loaded.people.remove(&other) else { return };
        for name in &gone.identifiers {
            if self.loaded.owners.get(name) == Some(&other) {
                self.own(name, Some(survivor));
            }
        }
        if let Some(person) = self.loaded.people.get_mut(&survivor) {
            identity::merge(person, gone);
        }
        self.write(other, Write::MergedInto(survivor));
    }

    /// Gives a name to a person; a former owner loses it.
    fn take(&mut self, id: PersonId, name: Identifier) {
        if let Some(former) = self.loaded.owners.get(&name).copied().filter(|former| *former != id) {
            if let Some(person) = self.loaded.people.get_mut(&former) {
                person.identifiers.retain(|i| *i != name);
            }
            self.touched(former, None);
        }
        self.own(&name, Some(id));
        if let Some(person) = self.loaded.people.get_mut(&id)
            && !person.identifiers.contains(&name)
        {
            person.identifiers.push(name);
        }
    }

    pub(super) fn own(&mut self, name: &Identifier, owner: Option<PersonId>) {
        match owner {
            Some(id) => self.loaded.owners.insert(name.clone(), id),
            None => self.loaded.owners.remove(name),
        };
        self.changes.links.push((name.clone(), owner));
    }

    /// Forgets everybody whom the event names by a name that says who they are.
    pub(super) fn erase(&mut self, event: &Event) {
        debug_assert_eq!(event.kind, EventKind::Erase);
        let named = event.identifiers.iter().filter(|i| i.kind.names_a_person());
        let mut ids: Vec<PersonId> = named.filter_map(|name| self.loaded.owners.get(name).copied()).collect();
        ids.sort_unstable();
        ids.dedup();
        for id in ids {
            let Some(gone) = self.loaded.people.remove(&id) else { continue };
            for name in &gone.identifiers {
                if self.loaded.owners.get(name) == Some(&id) {
                    self.own(name, None);
                }
            }
            self.changes.activations.retain(|activation| activation.person != id);
            self.changes.decisions.retain(|decision| decision.person != id);
            for pending in gone.pending {
                self.recall(id, &pending);
            }
            self.write(id, Write::Erased);
        }
    }
}
