//! One edge: the gates, what starts, and what is remembered of it.

use crate::model::{Counted, Decision, Gate, OccasionId, Pending, PersonId, Timestamp, Verdict};
use crate::rules::gate::guard::Stand;
use crate::rules::{self, Start, Trigger, gate};

use super::step::Step;

/// An edge of a trigger.
pub(super) struct Fire<'a> {
    pub trigger: &'a Trigger,
    /// A segment's is `enter` or `exit`.
    pub key: &'a str,
    pub at: Timestamp,
    /// What it starts.
    pub activate: &'a [Start],
}

impl Step<'_> {
    /// Asks the gates, and says what became of the edge.
    pub(super) fn fire(&mut self, id: PersonId, fire: &Fire<'_>) {
        let Fire { trigger, key, at, activate } = *fire;
        let Some(person) = self.loaded.people.get(&id) else { return };
        let occasion = rules::occasion(trigger, person.canonical(), key, at);
        let (program, now, sends) = (self.program, self.now, !activate.is_empty());
        let starts = activate;
        let passed = gate::pass(&gate::Edge { program, trigger, person, key, at, now, starts });
        let lanes = Start::lanes(activate);
        let (verdict, passed) = match passed {
            Err(verdict) => (verdict, gate::Passed::default()),
            Ok(passed) => match (self.stand(trigger, sends, at), passed.not_before) {
                (Stand::Leaves, Some(until)) if passed.is_deferred => (Verdict::Deferred(lanes, until), passed),
                (Stand::Leaves, Some(until)) => (Verdict::Delayed(lanes, until), passed),
                (Stand::Leaves, None) => (Verdict::Activated(lanes), passed),
                (Stand::Dropped((gate, words)), _) => (Verdict::Gated(gate, words), gate::Passed::default()),
                // It takes nobody's place while it is held.
                (Stand::Held(gate), _) => (Verdict::Held(lanes, gate), gate::Passed::held()),
            },
        };
        // Who is held out is compared with who fired, and so has the same cool-downs.
        let counts_as_fire = !verdict.lanes().is_empty() || matches!(verdict, Verdict::Gated(Gate::Holdout, _));
        if counts_as_fire && let Some(person) = self.loaded.people.get_mut(&id) {
            person.last_fires.insert(trigger.id, at);
            if let Some(watch) = person.watches.get_mut(&(trigger.id, key.into())) {
                watch.fired = Some(at);
            }
        }
        if !verdict.lanes().is_empty() {
            self.start(id, fire, occasion, &passed);
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

    /// Remembers what may still wait, and makes an activation for each lane.
    fn start(&mut self, id: PersonId, fire: &Fire<'_>, occasion: OccasionId, passed: &gate::Passed) {
        let Fire { trigger, key, at, activate } = *fire;
        let not_before = passed.not_before;
        if !self.loaded.is_mute
            && let Some(person) = self.loaded.people.get(&id)
        {
            let shelf = rules::Shelf::of(self.loaded);
            let fire = rules::Fire { program: self.program, trigger, person, key, at, occasion, shelf };
            let (activations, given) = rules::activations(&fire, activate, passed);
            self.changes.activations.extend(activations);
            if let Some(given) = given {
                self.loaded.codes.give(&given);
                self.changes.codes.push(given);
            }
        }
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        let lanes = Start::lanes(activate);
        let expires_at = at + trigger.expires;
        let void_until = trigger.void_within.map(|within| at + within);
        let pending =
            Pending { occasion, trigger: trigger.id, key: key.into(), lanes, at, expires_at, not_before, void_until };
        person.remember_pending(pending, self.now);
        let gates = &self.program.settings().gates;
        if let Some(reach) = gates.cap.reach().filter(|_| !trigger.gating.is_exempt_from_caps) {
            let leaves = self.now.max(at);
            person.count([Counted { leaves: not_before.unwrap_or(leaves), occasion }], leaves - reach);
        }
    }
}
