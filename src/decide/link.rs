//! What identity planned, done: people made and joined.

use crate::identity::{self, Plan};
use crate::model::{Event, Identifier, Person, PersonId, Position, Write};

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
}
