//! What has not left is called back when an event takes its reason away.

use crate::model::{
    Decision, Event, EventKind, Gate, OccasionId, Pending, Person, PersonId, Position, Recall, Timestamp, TriggerId,
    Verdict,
};
use crate::rules::{self, Program, Trigger};

use super::step::Step;

/// What has just become known of a person.
pub(super) struct News {
    what: What,
    /// When its truth was asked.
    asked: Timestamp,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// Nothing that was done.
    Nothing,
    /// One event, of this time.
    Event(Timestamp, Position),
    /// Two people are one, and each has the other's events now; or one has become two.
    Merge,
    /// All that is known, to a trigger that is asked for the past.
    Past(TriggerId),
}

impl News {
    /// What an event tells.
    pub fn of(event: &Event, position: Position, asked: Timestamp, is_merge: bool) -> Self {
        let what = match event.kind {
            _ if is_merge => What::Merge,
            EventKind::Did => What::Event(event.at, position),
            _ => What::Nothing,
        };
        Self { what, asked }
    }

    /// A person has lost a part of what they did.
    pub fn parted(asked: Timestamp) -> Self {
        Self { what: What::Merge, asked }
    }

    /// All that is known, to one trigger.
    pub fn past(trigger: TriggerId, asked: Timestamp) -> Self {
        Self { what: What::Past(trigger), asked }
    }
}

impl Step<'_> {
    /// Looks at the person's activations that may still wait.
    pub(super) fn cancel_what_is_void(&mut self, id: PersonId, news: &News) {
        if news.what == What::Nothing {
            return;
        }
        let now = self.now;
        let Some(person) = self.loaded.people.get_mut(&id) else { return };
        // What has expired is never sent, so there is nothing to call back, unless the vendor is to be told.
        person.pending.retain(|pending| pending.matters(now));
        let Some(person) = self.loaded.people.get(&id).filter(|p| !p.pending.is_empty()) else { return };
        let program = self.program;
        let (kept, void): (Vec<Pending>, Vec<Pending>) =
            person.pending.iter().cloned().partition(|pending| !is_void(program, person, pending, news));
        if void.is_empty() {
            return;
        }
        if let Some(person) = self.loaded.people.get_mut(&id) {
            person.pending = kept;
        }
        for pending in void {
            self.call_back(id, pending, Verdict::Cancelled, news.asked);
        }
    }

    /// What gives its place under a cap to an edge of this trigger.
    pub(super) fn displace(&mut self, id: PersonId, occasions: &[OccasionId], by: &Trigger, at: Timestamp) {
        let Some(person) = self.loaded.people.get_mut(&id).filter(|_| !occasions.is_empty()) else { return };
        let pending = std::mem::take(&mut person.pending);
        let (gone, kept) = pending.into_iter().partition(|pending| occasions.contains(&pending.occasion));
        person.pending = kept;
        let gone: Vec<Pending> = gone;
        for pending in gone {
            let words = format!("it gave its place under a cap to `{}`, of a higher priority", by.name);
            self.call_back(id, pending, Verdict::Recalled(Gate::Cap, words.into()), at);
        }
    }

    /// Takes it out of its lanes, as far as it is still there.
    pub(super) fn recall(&mut self, person: PersonId, pending: &Pending) {
        let Pending { occasion, at, .. } = *pending;
        let recalls = pending.lanes.iter().map(|lane| Recall { occasion, lane: lane.clone(), person, at, word: None });
        self.changes.cancelled.extend(recalls);
    }

    /// The same; what has left already is told to be void, where its trigger says so.
    fn recall_or_tell(&mut self, id: PersonId, pending: &Pending, at: Timestamp) {
        let first = self.changes.cancelled.len();
        self.recall(id, pending);
        let told = pending.void_until.is_some_and(|until| until >= self.now);
        let Some((_, trigger)) = self.program.by_id(pending.trigger).filter(|_| told) else { return };
        let Some(person) = self.loaded.people.get(&id) else { return };
        for recall in self.changes.cancelled.iter_mut().skip(first) {
            let word = rules::void(self.program, trigger, person, pending, (&recall.lane, at, self.now));
            recall.word = word.map(Box::new);
        }
    }

    /// Calls back what a person no longer has among what is pending. Its place under a cap is free if it has certainly
    /// not left at this instant.
    pub(super) fn call_back(&mut self, id: PersonId, pending: Pending, verdict: Verdict, at: Timestamp) {
        let Some((_, trigger)) = self.program.by_id(pending.trigger) else { return };
        match verdict {
            Verdict::Cancelled => self.recall_or_tell(id, &pending, at),
            _ => self.recall(id, &pending),
        }
        if pending.waits_at(self.now.max(at))
            && let Some(person) = self.loaded.people.get_mut(&id)
        {
            person.counted.retain(|counted| counted.occasion != pending.occasion);
        }
        self.changes.decisions.push(Decision {
            occasion: pending.occasion,
            trigger: trigger.name.clone(),
            person: id,
            key: pending.key,
            at: pending.at,
            decided: self.now,
            verdict,
        });
    }
}

/// True when, with what is known now, there is no reason for it: its edge was none after all, or an event that it must
/// not have has come since.
fn is_void(program: &Program, person: &Person, pending: &Pending, news: &News) -> bool {
    let Some((_, trigger)) = program.by_id(pending.trigger) else { return false };
    let key = &*pending.key;
    let (is_before, only) = match news.what {
        What::Nothing => return false,
        What::Past(of) if of != trigger.id => return false,
        What::Merge | What::Past(_) => (true, None),
        What::Event(at, position) => (at <= pending.at, Some(position)),
    };
    if is_before && !program.is_borne_out(trigger, person, key, pending.at) {
        return true;
    }
    if trigger.is_exit(key) {
        return false;
    }
    // Time alone calls nothing back: a window that has passed since is no reason.
    let since = person.history.entries().iter().rev().take_while(|entry| entry.at >= pending.at);
    let is_stopped = since
        .filter(|entry| only.is_none_or(|only| entry.position == only))
        .any(|entry| trigger.is_stopped_by(entry, key));
    is_stopped && !program.answer(trigger, person, key, news.asked).is_true
}
