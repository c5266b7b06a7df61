//! One edge: the gates, what starts, and what is remembered of it.

use std::sync::Arc;

use crate::model::{Activation, Counted, Decision, Gate, LaneName, OccasionId, Pending, PersonId, Timestamp, Verdict};
use crate::rules::gate::guard::Stand;
use crate::rules::{self, Rendered, Trigger, gate};

use super::step::Step;

/// The most activations of one person that are remembered as not yet gone.
const MOST_PENDING: usize = 200;

/// An edge of a trigger.
pub(super) struct Fire<'a> {
    pub trigger: &'a Trigger,
    /// A segment's is `enter` or `exit`.
    pub key: &'a str,
    pub at: Timestamp,
    /// What it starts.
    pub activate: &'a [(LaneName, Arc<str>)],
}

impl Step<'_> {
    /// Asks the gates, and says what became of the edge.
    pub(super) fn fire(&mut self, id: PersonId, fire: &Fire<'_>) {
        let Fire { trigger, key, at, activate } = *fire;
        let Some(person) = self.loaded.people.get(&id) else { return };
        let occasion = rules::occasion(trigger, person.canonical(), key, at);
        let (program, now, sends) = (self.program, self.now, !activate.is_empty());
        let passed = gate::pass(&gate::Edge { program, trigger, person, key, at, now, sends });
        let lanes: Vec<LaneName> = activate.iter().map(|(lane, _)| lane.clone()).collect();
        let (verdict, passed) = match passed {
            Err(verdict) => (verdict, gate::Passed::default()),
            Ok(passed) => match (self.stand(trigger, sends, at), passed.not_before) {
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
            self.start(id, fire, occasion, passed.not_before);
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
    fn start(&mut self, id: PersonId, fire: &Fire<'_>, occasion: OccasionId, not_before: Option<Timestamp>) {
        let Fire { trigger, key, at, activate } = *fire;
        let expires_at = at + trigger.expires;
        let said = if self.loaded.is_mute { None } else { self.say(id, fire, occasion) };
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        person.pending.retain(|p| p.expires_at >= self.now);
        let surplus = (person.pending.len() + 1).saturating_sub(MOST_PENDING);
        person.pending.drain(..surplus);
        let lanes = activate.iter().map(|(lane, _)| lane.clone()).collect();
        let pending = Pending { occasion, trigger: trigger.id, key: key.into(), lanes, at, expires_at, not_before };
        person.pending.push(pending);
        let gates = &self.program.settings().gates;
        if let Some(reach) = gates.cap.reach().filter(|_| !trigger.gating.is_exempt_from_caps) {
            let leaves = self.now.max(at);
            person.count([Counted { leaves: not_before.unwrap_or(leaves), occasion }], leaves - reach);
        }
        let Some(said) = said else { return };
        let traits = rules::traits(self.program, person, at);
        let identifiers = rules::identifiers(person);
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

    /// The payload; with a code of the pool of the trigger's file, where it has one. It is given only if all can be said.
    fn say(&mut self, id: PersonId, fire: &Fire<'_>, occasion: OccasionId) -> Option<Rendered> {
        let Fire { trigger, key, at, .. } = *fire;
        let person = self.loaded.people.get(&id)?;
        let pool = trigger.payload.as_ref().and_then(|payload| payload.pool());
        let given = pool.and_then(|(pool, _)| self.loaded.codes.of(pool, occasion));
        let code = given.as_ref().map(|given| &*given.code);
        let shelf = rules::Shelf { catalogue: &self.loaded.catalogue, sales: &self.loaded.sales, code };
        let said = rules::payload(&rules::Fire { program: self.program, trigger, person, key, at, occasion, shelf });
        if let Some(given) = given.filter(|_| said.broken.is_none()) {
            self.loaded.codes.give(&given);
            self.changes.codes.push(given);
        }
        Some(said)
    }
}
