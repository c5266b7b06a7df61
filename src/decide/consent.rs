//! What an event says about consent: noted before anything is asked, and what waits against it is called back.

use crate::model::statement::statements;
use crate::model::{Decision, Event, Pending, Person, PersonId, Position, Verdict};
use crate::rules::gate;

use super::step::Step;

/// Puts what the event says into the person's ledger. True when it said something.
pub(super) fn note(person: &mut Person, event: &Event, position: Position) -> bool {
    let said = statements(event, position);
    let is_news = !said.is_empty();
    for mark in said {
        person.consent.push(mark);
    }
    is_news
}

impl Step<'_> {
    /// Calls back what may still wait and may not go to the person any more.
    pub(super) fn call_back_what_is_forbidden(&mut self, id: PersonId) {
        let program = self.program;
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let mut forbidden = Vec::new();
        let pending = std::mem::take(&mut person.pending);
        for pending in pending.into_iter().filter(|pending| pending.expires_at >= self.now) {
            let trigger = program.by_id(pending.trigger).map(|(_, trigger)| trigger);
            match trigger.and_then(|trigger| Some((trigger, gate::forbidden(program, trigger, person)?))) {
                Some((trigger, why)) => forbidden.push((trigger.name.clone(), pending, why)),
                None => person.pending.push(pending),
            }
        }
        for (trigger, pending, (gate, words)) in forbidden {
            self.recall(id, &pending);
            let Pending { occasion, key, at, .. } = pending;
            let (decided, verdict) = (self.now, Verdict::Recalled(gate, words));
            self.changes.decisions.push(Decision { occasion, trigger, person: id, key, at, decided, verdict });
        }
    }
}
