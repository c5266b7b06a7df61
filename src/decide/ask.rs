//! Asking: truth, edge, gates, activation, and the timer for the next time.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::model::{Activation, Counted, Decision, Gate, LaneName, Pending, PersonId, Timestamp, Verdict, Watch};
use crate::rules::gate::guard::Stand;
use crate::rules::{self, Asked, Passage, Program, Trigger, TriggerKind, gate};

use super::Until;
use super::step::Step;

/// The most activations of one person that are remembered as not yet gone.
const MOST_PENDING: usize = 200;

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
                person.watches.remove(&key);
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
        match (trigger.kind, edge) {
            (TriggerKind::Plain, Some(Edge::Rising)) => self.fire(id, trigger, &asked.key, &trigger.activate, at),
            (TriggerKind::Segment, Some(Edge::Rising)) => {
                self.fire(id, trigger, Passage::Enter.word(), &trigger.activate, at);
            }
            (TriggerKind::Segment, Some(Edge::Falling)) => {
                self.fire(id, trigger, Passage::Exit.word(), &trigger.activate_on_exit, at);
            }
            _ => {}
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

    /// One edge: gates, activations, and what is remembered of it. `key` is a segment's `enter` or `exit`.
    fn fire(&mut self, id: PersonId, trigger: &Trigger, key: &str, activate: &[(LaneName, Arc<str>)], at: Timestamp) {
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let occasion = rules::occasion(trigger, person.canonical(), key, at);
        let passed = gate::pass(&gate::Edge {
            program: self.program,
            trigger,
            person,
            key,
            at,
            now: self.now,
            sends: !activate.is_empty(),
        });
        let lanes: Vec<LaneName> = activate.iter().map(|(lane, _)| lane.clone()).collect();
        let (verdict, passed) = match passed {
            Err(verdict) => (verdict, gate::Passed::default()),
            Ok(passed) => match (self.stand(trigger, !lanes.is_empty(), at), passed.not_before) {
                (Stand::Leaves, Some(until)) => (Verdict::Delayed(lanes, until), passed),
                (Stand::Leaves, None) => (Verdict::Activated(lanes), passed),
                (Stand::Dropped((gate, words)), _) => (Verdict::Gated(gate, words), gate::Passed::default()),
                // It takes nobody's place while it is held.
                (Stand::Held(gate), _) => (Verdict::Held(lanes, gate), gate::Passed::held()),
            },
        };
        let not_before = passed.not_before;
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        // Who is held out is compared with who fired, and so has the same cool-downs.
        let counts_as_fire = !verdict.lanes().is_empty() || matches!(verdict, Verdict::Gated(Gate::Holdout, _));
        if counts_as_fire {
            person.last_fires.insert(trigger.id, at);
            if let Some(watch) = person.watches.get_mut(&(trigger.id, key.into())) {
                watch.fired = Some(at);
            }
        }
        if !verdict.lanes().is_empty() {
            // Of the pool of the trigger's file, where it has one; it is given only if all can be said.
            let pool = trigger.payload.as_ref().and_then(|payload| payload.pool());
            let given = pool.and_then(|(pool, _)| self.loaded.codes.of(pool, occasion));
            let code = given.as_ref().map(|given| &*given.code);
            let shelf = rules::Shelf { catalogue: &self.loaded.catalogue, sales: &self.loaded.sales, code };
            let said =
                rules::payload(&rules::Fire { program: self.program, trigger, person, key, at, occasion, shelf });
            if let Some(given) = given.filter(|_| said.broken.is_none()) {
                self.loaded.codes.give(&given);
                self.changes.codes.push(given);
            }
            let traits = rules::traits(self.program, person, at);
            let identifiers = rules::identifiers(person);
            let expires_at = at + trigger.expires;
            person.pending.retain(|p| p.expires_at >= self.now);
            let surplus = (person.pending.len() + 1).saturating_sub(MOST_PENDING);
            person.pending.drain(..surplus);
            person.pending.push(Pending {
                occasion,
                trigger: trigger.id,
                key: key.into(),
                lanes: verdict.lanes().to_vec(),
                at,
                expires_at,
                not_before,
            });
            let gates = &self.program.settings().gates;
            if let Some(reach) = gates.cap.reach().filter(|_| !trigger.gating.is_exempt_from_caps) {
                let leaves = self.now.max(at);
                let counted = Counted { leaves: not_before.unwrap_or(leaves), occasion };
                person.count([counted], leaves - reach);
            }
            for (lane, event) in activate {
                self.changes.activations.push(Activation {
                    occasion,
                    lane: lane.clone(),
                    trigger: trigger.name.clone(),
                    person: id,
                    identifiers: identifiers.clone(),
                    traits: traits.clone(),
                    key: key.into(),
                    at,
                    event: event.clone(),
                    priority: trigger.priority,
                    expires_at,
                    not_before,
                    payload: said.payload.clone(),
                    broken: said.broken.clone(),
                });
            }
        }
        self.changes.decisions.push(Decision {
            occasion,
            trigger: trigger.name.clone(),
            person: id,
            key: key.into(),
            at,
            decided: self.now,
            verdict,
        });
        self.displace(id, &passed.displaced, trigger, at);
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
            person.watches.remove(&known);
        }
    }
}
