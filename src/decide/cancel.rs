//! What has not left is called back when an event takes its reason away.

use crate::model::{Decision, Event, EventKind, Pending, Person, PersonId, Timestamp, Verdict};
use crate::rules::Program;

use super::step::Step;

impl Step<'_> {
    /// Looks at the person's activations that may still wait, after `event` was asked at `at`.
    pub(super) fn cancel_what_is_void(&mut self, id: PersonId, event: &Event, at: Timestamp, is_merge: bool) {
        if event.kind != EventKind::Did && !is_merge {
            return;
        }
        let Some(person) = self.loaded.people.get(&id).filter(|p| !p.pending.is_empty()) else { return };
        let program = self.program;
        let (kept, void): (Vec<Pending>, Vec<Pending>) = person
            .pending
            .iter()
            .cloned()
            .partition(|pending| !is_void(program, person, pending, event, at, is_merge));
        if void.is_empty() {
            return;
        }
        if let Some(person) = self.loaded.people.get_mut(&id) {
            person.pending = kept;
        }
        for pending in void {
            self.call_back(id, pending);
        }
    }

    fn call_back(&mut self, id: PersonId, pending: Pending) {
        let Some((_, trigger)) = self.program.by_id(pending.trigger) else { return };
        self.changes.cancelled.extend(pending.lanes.iter().map(|lane| (pending.occasion, lane.clone())));
        self.changes.decisions.push(Decision {
            occasion: pending.occasion,
            trigger: trigger.name.clone(),
            person: id,
            key: pending.key,
            at: pending.at,
            decided: self.now,
            verdict: Verdict::Cancelled,
        });
    }
}

/// True when, with what is known now, there is no reason for it: the condition was false at its edge after all, or an
/// event that it must not have has come since.
fn is_void(program: &Program, person: &Person, pending: &Pending, event: &Event, at: Timestamp, is_merge: bool) -> bool {
    let Some((_, trigger)) = program.by_id(pending.trigger) else { return false };
    if !is_merge && !trigger.events().contains(&&*event.name) {
        return false;
    }
    let is_true_at = |at: Timestamp| program.answer(trigger, person, &pending.key, at).is_true;
    let came_before_the_edge = is_merge || event.at <= pending.at;
    let speaks_against = is_merge || trigger.is_stopped_by(&event.name);
    (came_before_the_edge && !is_true_at(pending.at)) || (speaks_against && !is_true_at(at))
}
