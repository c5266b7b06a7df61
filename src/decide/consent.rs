//! What an event says about consent: noted before anything is asked, and what waits against it is called back.

use crate::model::statement::statements;
use crate::model::{Event, Person, PersonId, Position, Timestamp, Verdict};
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
    /// Calls back what may still wait and may not go to the person any more, when truth was last asked at this instant.
    pub(super) fn call_back_what_is_forbidden(&mut self, id: PersonId, asked: Timestamp) {
        let program = self.program;
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let mut forbidden = Vec::new();
        let pending = std::mem::take(&mut person.pending);
        for pending in pending.into_iter().filter(|pending| pending.may_leave(self.now)) {
            let trigger = program.by_id(pending.trigger).map(|(_, trigger)| trigger);
            match trigger.and_then(|trigger| gate::forbidden(program, trigger, person)) {
                Some(why) => forbidden.push((pending, why)),
                None => person.pending.push(pending),
            }
        }
        for (pending, (gate, words)) in forbidden {
            self.call_back(id, pending, Verdict::Recalled(gate, words), asked);
        }
    }
}
