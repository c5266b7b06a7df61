//! Asking: truth, edge, and the timer for the next time.

use std::collections::BTreeSet;

use crate::model::{PersonId, Timestamp, Watch};
use crate::rules::{Asked, Passage, Program, Trigger, TriggerKind};

use super::Until;
use super::fire::Fire;
use super::step::Step;

/// How truth changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    Rising,
    Falling,
}

impl Step<'_> {
    /// Asks everything whose timer lies in the person's past, in order of time, then of firing.
    pub(super) fn run_timers(&mut self, id: PersonId, until: Until) {
        loop {
            let Some(person) = self.loaded.people.get(&id) else { return };
            let reached = |at: Timestamp| match until {
                Until::Before(limit) => at < limit,
                Until::Including(limit) => at <= limit,
            };
            let Some(at) = person.wake().filter(|at| reached(*at)) else { return };
            let due: Vec<_> =
                person.watches.iter().filter(|(_, w)| w.next == Some(at)).map(|(k, _)| k.clone()).collect();
            let mut asked = BTreeSet::new();
            let mut gone = Vec::new();
            for (trigger, key) in due {
                match self.program.by_id(trigger) {
                    Some((n, _)) => drop(asked.insert(Asked { trigger: n, key })),
                    // The trigger is no more: neither is its timer.
                    None => gone.push((trigger, key)),
                }
            }
            let Some(person) = self.loaded.people.get_mut(&id) else { return };
            for key in gone {
                person.unwatch(&key);
            }
            // Never before an instant that was asked already.
            let at = at.max(person.asked);
            person.asked = at;
            self.touched(id, None);
            for asked in asked {
                self.ask(id, &asked, at);
            }
        }
    }

    /// Asks one trigger for one key at T, and fires on the rising edge.
    pub(super) fn ask(&mut self, id: PersonId, asked: &Asked, at: Timestamp) {
        let program = self.program;
        let Some(trigger) = program.triggers().get(asked.trigger) else { return };
        let Some(edge) = self.note(id, program, trigger, &asked.key, at) else { return };
        let started = match (trigger.kind, edge) {
            (TriggerKind::Plain, Some(Edge::Rising)) => Some((&*asked.key, &trigger.activate)),
            (TriggerKind::Segment, Some(Edge::Rising)) => Some((Passage::Enter.word(), &trigger.activate)),
            (TriggerKind::Segment, Some(Edge::Falling)) => Some((Passage::Exit.word(), &trigger.activate_on_exit)),
            _ => None,
        };
        if let Some((key, activate)) = started {
            self.fire(id, &Fire { trigger, key, at, activate });
        }
        self.put_to_rest(id, trigger, asked);
    }

    /// Notes truth and timer, and returns the edge; `None` when the person has no room for another key.
    pub(super) fn note(
        &mut self,
        id: PersonId,
        program: &Program,
        trigger: &Trigger,
        key: &str,
        at: Timestamp,
    ) -> Option<Option<Edge>> {
        let person = self.loaded.people.get_mut(&id)?;
        let known = (trigger.id, Box::from(key));
        let before = person.watches.get(&known).copied();
        if before.is_none() && person.watches.len() >= program.settings().watches {
            return None;
        }
        // A trigger that means something else now was never asked.
        let mut watch = before.unwrap_or(Watch {
            meaning: trigger.meaning,
            is_true: false,
            true_since: None,
            fired: None,
            next: None,
        });
        if watch.meaning != trigger.meaning {
            watch = Watch { meaning: trigger.meaning, is_true: false, true_since: None, next: None, ..watch };
        }
        let mut answer = program.answer(trigger, person, key, at);
        if let Some(held) = trigger.held {
            watch.true_since = answer.is_true.then(|| watch.true_since.unwrap_or(at));
            answer = answer.held(held, watch.true_since, at);
        }
        let edge = match (watch.is_true, answer.is_true) {
            (false, true) => Some(Edge::Rising),
            (true, false) => Some(Edge::Falling),
            _ => None,
        };
        watch.is_true = answer.is_true;
        watch.next = answer.next;
        person.watches.insert(known, watch);
        Some(edge)
    }

    /// A watch that is false, waits for nothing and remembers nothing is the same as none.
    pub(super) fn put_to_rest(&mut self, id: PersonId, trigger: &Trigger, asked: &Asked) {
        if self.program.holds_on_nothing(asked.trigger) {
            return;
        }
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let known = (trigger.id, asked.key.clone());
        let rests = person.watches.get(&known).is_some_and(|watch| {
            !watch.is_true
                && watch.next.is_none()
                && watch.true_since.is_none()
                && (watch.fired.is_none() || !trigger.once)
        });
        if rests {
            person.unwatch(&known);
        }
    }
}
