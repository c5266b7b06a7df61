//! Names that were somebody else's all along: they leave, with what was done under them.

use std::collections::BTreeSet;

use crate::model::{Event, Identifier, Join, Person, PersonId, Position, Timestamp};
use crate::rules::Asked;

use super::Until;
use super::cancel::News;
use super::step::Step;

impl Step<'_> {
    /// Parts each person whom the event names in two: the one who goes by those names, and the one who stays. Neither
    /// fires for it: what is true of one of them now was not seen to become so. What still waits is called back where it
    /// has no reason any more.
    pub(super) fn unlink(&mut self, position: Position, event: &Event) {
        let mut named: Vec<(PersonId, Vec<Identifier>)> = Vec::new();
        for name in &event.identifiers {
            let Some(owner) = self.loaded.owners.get(name).copied() else { continue };
            match named.iter_mut().find(|(id, _)| *id == owner) {
                Some((_, names)) if names.contains(name) => {}
                Some((_, names)) => names.push(name.clone()),
                None => named.push((owner, vec![name.clone()])),
            }
        }
        for (id, names) in named {
            // What was due before was due to the one they were.
            self.run_timers(id, Until::Before(event.at));
            self.part(id, names, position, event);
        }
    }

    fn part(&mut self, id: PersonId, names: Vec<Identifier>, position: Position, event: &Event) {
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        // Who would keep no name stays whole.
        let (Some(first), true) = (names.first(), person.identifiers.iter().any(|name| !names.contains(name))) else {
            return;
        };
        let at = event.at.max(person.asked);
        let mut other = Person::new(PersonId::of(first, position), position, event.at);
        person.identifiers.retain(|name| !names.contains(name));
        other.identifiers.clone_from(&names);
        let by: Vec<u32> = names.iter().map(Identifier::tag).collect();
        other.history = person.history.part(&by);
        if let Some(oldest) = other.history.entries().first() {
            other.first_seen = oldest.at;
        }
        // Of a no nobody knows who said it: it holds for both. So do cool-downs and caps.
        other.consent = person.consent.clone();
        other.last_fires.clone_from(&person.last_fires);
        other.counted.clone_from(&person.counted);
        other.watches.clone_from(&person.watches);
        for watch in other.watches.values_mut() {
            // Its timers are set when it is asked.
            (watch.is_true, watch.true_since, watch.next) = (false, None, None);
        }
        other.asked = at;
        person.asked = at;
        person.keep_apart(other.id);
        other.keep_apart(id);
        super::set_traits(&mut other, event);
        let new = other.id;
        self.changes.joins.push(Join {
            survivor: id,
            other: new,
            carried: names.clone(),
            position,
            source: event.source.clone(),
            at: event.at,
            because: names.clone(),
            refused: Some("somebody took these names out of them".into()),
        });
        self.loaded.people.insert(new, other);
        for name in &names {
            self.own(name, Some(new));
        }
        for id in [id, new] {
            self.touched_whole(id);
            self.ask_anew(id, at);
            self.cancel_what_is_void(id, &News::parted(at));
        }
    }

    /// Notes what is true of a person now, and when that may change, as of somebody who was just met.
    fn ask_anew(&mut self, id: PersonId, at: Timestamp) {
        let program = self.program;
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let (known, keys) = (program.all(person), person.watches.keys().cloned().collect::<Vec<_>>());
        let watched = keys.into_iter().filter_map(|(trigger, key)| {
            let (n, _) = program.by_id(trigger)?;
            Some(Asked { trigger: n, key })
        });
        let all: BTreeSet<Asked> = known.into_iter().chain(watched).collect();
        for asked in all {
            let Some(trigger) = program.triggers().get(asked.trigger) else { continue };
            self.note(id, program, trigger, &asked.key, at);
            self.put_to_rest(id, trigger, &asked);
        }
    }
}
