//! Triggers that are paused, by somebody or by their own guard, and what was held meanwhile.

use std::sync::Arc;

use crate::model::{
    Activation, Changes, Decision, Gate, Loaded, Order, Pause, Recall, Release, Released, Span, Timestamp, TriggerId,
    TriggerState, Verdict,
};
use crate::rules::gate::{self, guard};
use crate::rules::{Program, Trigger};

use super::step::Step;

/// After somebody resumed a trigger its guard lets it be for so long.
const LOOKED_AT: Span = Span::from_hours(1);

/// Does what somebody wants of a trigger. What is held goes with [`release`].
pub fn order(loaded: &mut Loaded, trigger: TriggerId, order: Order, now: Timestamp, program: &Program) -> Changes {
    let mut step = Step::new(loaded, program, now);
    step.state(trigger, |state| match order {
        Order::Pause(policy) => {
            let before = state.pause.take();
            let since = before.as_ref().map_or(now, |pause| pause.since);
            let held = before.map_or(0, |pause| pause.held);
            state.pause = Some(Pause { since, policy, by_guard: None, held });
        }
        Order::Resume(how) => {
            let Some(pause) = state.pause.take() else { return };
            state.free_until = now + LOOKED_AT;
            state.release = (pause.held > 0).then(|| how.unwrap_or(pause.policy.release()));
        }
    });
    step.finish()
}

/// Lets some of what is held go; `is_last` says that it is all there is.
pub fn release(
    loaded: &mut Loaded,
    trigger: TriggerId,
    held: &[Activation],
    is_last: bool,
    now: Timestamp,
    program: &Program,
) -> Changes {
    let mut step = Step::new(loaded, program, now);
    let how = step.loaded.triggers.get(&trigger).and_then(|state| state.release).unwrap_or(Release::Drop);
    for activation in held {
        step.let_go(activation, trigger, how);
    }
    if is_last {
        step.state(trigger, |state| state.release = None);
    }
    step.finish()
}

impl Step<'_> {
    /// Changes what is known of a trigger.
    fn state<T>(&mut self, trigger: TriggerId, change: impl FnOnce(&mut TriggerState) -> T) -> T {
        let state = self.loaded.triggers.entry(trigger).or_default();
        let told = change(Arc::make_mut(state));
        self.changes.triggers.insert(trigger, state.clone());
        told
    }

    /// Whether a fire that has passed all other gates leaves.
    pub(super) fn stand(&mut self, trigger: &Trigger, sends: bool, at: Timestamp) -> guard::Stand {
        // What only notes who is a member is told to nobody.
        if !sends || self.loaded.is_simulated {
            return guard::Stand::Leaves;
        }
        let gates = &self.program.settings().gates;
        let was_paused = self.loaded.triggers.get(&trigger.id).is_some_and(|state| state.pause.is_some());
        let stand = self.state(trigger.id, |state| guard::stand(trigger, gates, state, at));
        if !was_paused && stand == guard::Stand::Held(Gate::RateGuard) {
            self.changes.guarded.push(trigger.name.clone());
        }
        stand
    }

    /// One held activation: back to its lane, or away.
    fn let_go(&mut self, held: &Activation, trigger: TriggerId, how: Release) {
        let id = held.person;
        let Activation { occasion, at, .. } = *held;
        let not_before = match self.may_go(held, trigger, how) {
            Ok(not_before) => not_before,
            Err((gate, words)) => {
                if let Some(person) = self.loaded.people.get_mut(&id) {
                    person.pending.retain(|pending| pending.occasion != occasion);
                    person.counted.retain(|counted| counted.occasion != occasion);
                    self.touched(id, None);
                }
                self.changes.cancelled.push(Recall { occasion, lane: held.lane.clone(), person: id, at, word: None });
                return self.tell(held, Verdict::Recalled(gate, words));
            }
        };
        let expires_at = match how {
            Release::CatchUp => self.program.by_id(trigger).map_or(held.expires_at, |(_, t)| self.now + t.expires),
            Release::Send | Release::Drop => held.expires_at,
        };
        if let Some(person) = self.loaded.people.get_mut(&id) {
            for pending in person.pending.iter_mut().filter(|pending| pending.occasion == occasion) {
                (pending.not_before, pending.expires_at) = (not_before, expires_at);
            }
            for counted in person.counted.iter_mut().filter(|counted| counted.occasion == occasion) {
                counted.leaves = not_before.unwrap_or(self.now);
            }
            self.touched(id, None);
        }
        let (lane, now) = (held.lane.clone(), self.now);
        self.changes.released.push(Released { occasion, lane, person: id, at, expires_at, not_before, now });
        self.tell(held, Verdict::Released(not_before));
    }

    /// From when on it may leave, or why it does not.
    fn may_go(&self, held: &Activation, trigger: TriggerId, how: Release) -> Result<Option<Timestamp>, gate::Dropped> {
        let no = |words: &str| Err((Gate::Paused, words.into()));
        if how == Release::Drop {
            return no("dropped when the trigger was resumed");
        }
        if how == Release::Send && held.expires_at < self.now {
            return no("it expired while it was held");
        }
        let person = self.loaded.people.get(&held.person);
        let (Some((_, trigger)), Some(person)) = (self.program.by_id(trigger), person) else {
            return no("there is no such trigger, or no such person, any more");
        };
        let now = self.now.max(person.asked);
        if how == Release::CatchUp && !trigger.is_exit(&held.key) {
            let key = if trigger.segment_name().is_some() { "" } else { &*held.key };
            if !self.program.answer(trigger, person, key, now).is_true {
                return no("its condition was no longer true when the trigger was resumed");
            }
        }
        let at = if how == Release::CatchUp { self.now } else { held.at };
        gate::released(&gate::Edge {
            program: self.program,
            trigger,
            person,
            key: &held.key,
            at,
            now: self.now,
            starts: &[],
        })
    }

    fn tell(&mut self, held: &Activation, verdict: Verdict) {
        let known = self.changes.decisions.iter().any(|d| d.occasion == held.occasion && d.verdict == verdict);
        // One occasion may wait for several lanes.
        if !known {
            self.changes.decisions.push(Decision {
                occasion: held.occasion,
                trigger: held.trigger.clone(),
                person: held.person,
                key: held.key.clone(),
                at: held.at,
                decided: self.now,
                verdict,
            });
        }
    }
}
