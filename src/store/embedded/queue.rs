//! The part of a step that concerns lanes: activations that are queued, those that are called back, and the log of
//! decisions, which knows where each activation lies.

use std::collections::{HashMap, HashSet};

use super::outbox::{self, Lane, Queued};
use super::overlay::Batch;
use super::state::State;
use super::tree::put;
use super::{Inner, delivery, held, keys, timed};
use crate::model::{
    ActionId, Activation, Attempt, Changes, Decision, LaneName, OccasionId, Outcome, PersonId, Recall, Released,
    Timestamp, Verdict,
};
use crate::store::StoreError;
use crate::store::joined::{erased, merged, survivor};
use crate::store::record::{self, Place, Row, StoredDecision};

/// What a step means for the lanes' memory, once it is in the tree.
#[derive(Default)]
pub struct Written {
    queued: Vec<Queued>,
    gone: Vec<Place>,
}

impl Written {
    /// Brings the lanes up to the tree.
    pub fn tell(self, lanes: &mut HashMap<LaneName, Lane>) {
        for place in &self.gone {
            lanes.entry(place.lane.clone()).or_insert_with(|| Lane::new(&place.lane)).forget(place);
        }
        // What waits for a time is found in the tree when that has come.
        for one in self.queued.into_iter().filter(|one| one.row.not_before.is_none()) {
            let name = one.activation.lane.clone();
            lanes.entry(name.clone()).or_insert_with(|| Lane::new(&name)).insert(one);
        }
    }
}

/// What became of the wish to call an activation back.
enum Recalled {
    /// It was there, or is a dead letter.
    Back,
    /// It has left, or may have.
    Left,
    /// There was none, or it has come to nothing.
    Nothing,
}

/// The lanes' part of a step being written.
struct Writing<'a> {
    inner: &'a Inner,
    batch: &'a mut Batch,
    state: &'a mut State,
    now: Timestamp,
    /// Who was merged into whom by this step.
    merged: HashMap<PersonId, PersonId>,
    /// Decisions of this step, by their key.
    decided: HashMap<Vec<u8>, StoredDecision>,
    /// Those of this step that ended as they were made, by number.
    ended: HashMap<u64, Outcome>,
    written: Written,
}

/// Puts the step's activations into their lanes, unless they were there before, takes out what is called back, and
/// keeps the decisions.
pub fn write(
    inner: &Inner,
    batch: &mut Batch,
    state: &mut State,
    changes: &mut Changes,
    now: Timestamp,
) -> Result<Written, StoreError> {
    let merged = merged(changes);
    let erased = erased(changes, &merged);
    let mut writing = Writing {
        inner,
        batch,
        state,
        now,
        merged,
        decided: HashMap::new(),
        ended: HashMap::new(),
        written: Written::default(),
    };
    for id in &erased {
        writing.erase(*id)?;
    }
    let mut activations: HashMap<OccasionId, Vec<Activation>> = HashMap::new();
    for activation in changes.activations.drain(..) {
        activations.entry(activation.occasion).or_default().push(activation);
    }
    for decision in changes.decisions.iter().filter(|d| !d.verdict.is_afterwards()) {
        let made = activations.remove(&decision.occasion).unwrap_or_default();
        writing.decision(decision, made)?;
    }
    let mut called_back = HashSet::new();
    // What was of somebody who is forgotten is gone already.
    for recall in changes.cancelled.iter().filter(|recall| !erased.contains(&recall.person)) {
        let (is_back, has_left) = writing.recall(recall)?;
        if is_back {
            called_back.insert(recall.occasion);
        }
        if let Some(word) = recall.word.as_ref().filter(|_| has_left) {
            writing.tell(recall, word)?;
        }
    }
    for released in &changes.released {
        if writing.release(released)? {
            called_back.insert(released.occasion);
        }
    }
    // Neither is told unless something was there.
    for decision in changes.decisions.iter().filter(|d| d.verdict.is_afterwards()) {
        if called_back.contains(&decision.occasion) {
            let person = survivor(&writing.merged, decision.person);
            let n = if matches!(decision.verdict, Verdict::Released(_)) { 2 } else { 1 };
            let key = keys::decision(person, decision.at, decision.occasion, n);
            let stored = StoredDecision { decision: decision.clone(), places: Vec::new() };
            put(writing.batch, key, &timed::encode(now, &stored));
        }
    }
    let Writing { batch, decided, written, .. } = writing;
    for (key, stored) in decided {
        put(batch, key, &timed::encode(now, &stored));
    }
    Ok(written)
}

impl Writing<'_> {
    /// A decision as it was, in this step or before.
    fn known(&self, key: &[u8]) -> Result<Option<StoredDecision>, StoreError> {
        if let Some(stored) = self.decided.get(key) {
            return Ok(Some(stored.clone()));
        }
        let bytes = self.inner.disk()?.get(key)?;
        bytes.map(|bytes| Ok(timed::decode::<StoredDecision>(&bytes)?.1)).transpose()
    }

    fn decision(&mut self, decision: &Decision, made: Vec<Activation>) -> Result<(), StoreError> {
        let person = survivor(&self.merged, decision.person);
        let key = keys::decision(person, decision.at, decision.occasion, 0);
        let known = self.known(&key)?.map(|known| known.places);
        let is_new = known.is_none();
        let mut places = known.unwrap_or_default();
        let before = places.len();
        for activation in made {
            // The same action of an occasion is never queued again.
            let action = activation.action.id();
            if !places.iter().any(|place| place.lane == activation.lane && place.action == action) {
                places.push(self.activation(activation)?);
            }
        }
        if is_new || places.len() > before {
            self.decided.insert(key, StoredDecision { decision: decision.clone(), places });
        }
        Ok(())
    }

    /// Queues an activation. Returns its place.
    fn activation(&mut self, activation: Activation) -> Result<Place, StoreError> {
        let lane = keys::lane(&activation.lane);
        let place = Place {
            lane: activation.lane.clone(),
            action: activation.action.id(),
            priority: activation.priority,
            seq: self.state.next(),
        };
        self.state.lane(&place.lane).totals.made += 1;
        // After a rebuild: it was settled at the vendor before, or is a dead letter.
        if self.state.orphans > 0 {
            let key = keys::orphan(activation.occasion, lane, place.action);
            if let Some(bytes) = self.inner.disk()?.get(&key)? {
                let (at, attempt): (_, Attempt) = timed::decode(&bytes)?;
                self.state.orphans -= 1;
                self.batch.remove(key);
                self.end(at, place.seq, attempt, &activation);
                return Ok(place);
            }
        }
        if let Some(words) = activation.broken.clone() {
            let refused =
                Attempt { at: self.now, status: 0, outcome: Outcome::Refused { code: record::BROKEN.into(), words } };
            self.end(self.now, place.seq, refused, &activation);
            return Ok(place);
        }
        let row = Row {
            may_have_left: activation.leaves_from() <= self.state.doubtful_until,
            not_before: activation.not_before,
            ..Row::default()
        };
        let queued = Queued { seq: place.seq, activation, row };
        queued.put(self.batch, lane);
        let counts = self.state.lane(&place.lane);
        counts.add(&queued.activation.trigger);
        counts.deferred += u64::from(queued.row.not_before.is_some());
        if queued.activation.is_held() {
            held::note(self.batch, &queued, &place);
        } else if let Some(at) = queued.row.not_before {
            self.batch.insert(keys::waiting(lane, at, place.priority, place.seq), &[]);
        }
        self.written.queued.push(queued);
        Ok(place)
    }

    /// It never comes to wait.
    fn end(&mut self, at: Timestamp, seq: u64, attempt: Attempt, of: &Activation) {
        outbox::put_end(self.batch, self.state, at, seq, std::slice::from_ref(&attempt), of);
        self.ended.insert(seq, attempt.outcome);
    }

    /// Lets the held rows of an occasion go to their lane. True when there was one.
    fn release(&mut self, released: &Released) -> Result<bool, StoreError> {
        let Released { occasion, person, at, .. } = *released;
        let recall = Recall { occasion, lane: released.lane.clone(), person, at, word: None };
        let mut any = false;
        for place in self.places(&recall)? {
            any |= self.release_one(released, place)?;
        }
        Ok(any)
    }

    fn release_one(&mut self, released: &Released, place: Place) -> Result<bool, StoreError> {
        let Some(mut queued) = outbox::read(&*self.inner.disk()?, &keys::place(&place))? else { return Ok(false) };
        if !queued.activation.is_held() {
            return Ok(false);
        }
        self.batch.remove(held::key(&queued));
        queued.activation.not_before = released.not_before;
        queued.activation.expires_at = released.expires_at;
        queued.row.not_before = released.not_before;
        queued.row.may_have_left = released.not_before.unwrap_or(released.now) <= self.state.doubtful_until;
        let lane = keys::lane(&place.lane);
        queued.put(self.batch, lane);
        match released.not_before {
            Some(at) => self.batch.insert(keys::waiting(lane, at, place.priority, place.seq), &[]),
            None => {
                let counts = self.state.lane(&place.lane);
                counts.deferred = counts.deferred.saturating_sub(1);
            }
        }
        self.written.queued.push(queued);
        Ok(true)
    }

    /// Takes the rows of an occasion out that nobody holds yet. Whether there was one, or a dead letter; and whether its
    /// event has left, or may have.
    fn recall(&mut self, recall: &Recall) -> Result<(bool, bool), StoreError> {
        let (mut is_back, mut has_left) = (false, false);
        for place in self.places(recall)? {
            let is_event = place.action == ActionId::default();
            match self.recall_one(place)? {
                Recalled::Back => is_back = true,
                Recalled::Left => has_left |= is_event,
                Recalled::Nothing => {}
            }
        }
        Ok((is_back, has_left))
    }

    /// Queues the word that an event which has left is void. The same word is never queued again.
    fn tell(&mut self, recall: &Recall, word: &Activation) -> Result<(), StoreError> {
        let decision = recall.voided(word, self.now);
        self.decision(&decision, vec![word.clone()])
    }

    fn recall_one(&mut self, place: Place) -> Result<Recalled, StoreError> {
        // The tree does not have it yet.
        if let Some(outcome) = self.ended.get(&place.seq) {
            return Ok(match outcome {
                Outcome::Refused { .. } => Recalled::Back,
                outcome if outcome.has_effect() => Recalled::Left,
                _ => Recalled::Nothing,
            });
        }
        let mut queued = match self.written.queued.iter().position(|q| q.seq == place.seq) {
            Some(own) => self.written.queued.remove(own),
            None => {
                let Some(queued) = outbox::read(&*self.inner.disk()?, &keys::place(&place))? else {
                    // A dead letter stays one: it is told of, so that nobody replays it.
                    if self.inner.disk()?.has(&keys::dead(place.seq))? {
                        return Ok(Recalled::Back);
                    }
                    let ended = delivery::ended(self.inner, place.seq)?;
                    let last = ended.as_ref().and_then(|(_, (attempts, _))| attempts.last());
                    let has_left = last.is_some_and(|attempt| attempt.outcome.has_effect());
                    return Ok(if has_left { Recalled::Left } else { Recalled::Nothing });
                };
                let is_taken = self.inner.lanes()?.get(&place.lane).is_some_and(|lane| lane.taken(place.seq).is_some());
                // Since the state was made again it was not tried, and the journal has no outcome: it was called back
                // before, or did not leave. Whatever is unclear of it, it is void now, and not sent again.
                let is_doubt = queued.row.tries == 0 && queued.activation.leaves_from() <= self.state.doubtful_until;
                if is_taken || (queued.row.may_have_left && !is_doubt) {
                    return Ok(Recalled::Left);
                }
                queued
            }
        };
        queued.remove(self.batch, self.state);
        queued.row.attempts.push(Attempt { at: self.now, status: 0, outcome: Outcome::Cancelled });
        outbox::put_end(self.batch, self.state, self.now, place.seq, &queued.row.attempts, &queued.activation);
        self.written.gone.push(place);
        Ok(Recalled::Back)
    }

    /// Where the activations of an occasion lie in a lane. Its decision may still be under somebody whom this step merges.
    fn places(&self, recall: &Recall) -> Result<Vec<Place>, StoreError> {
        let whose = self.merged.keys().filter(|id| survivor(&self.merged, **id) == recall.person).copied();
        for person in whose.chain([recall.person]) {
            if let Some(mut known) = self.known(&keys::decision(person, recall.at, recall.occasion, 0))? {
                known.places.retain(|place| place.lane == recall.lane);
                if !known.places.is_empty() {
                    return Ok(known.places);
                }
            }
        }
        Ok(Vec::new())
    }

    /// Forgets the log of a person, with their activations, whether they wait, are in a lane's hands, or have ended.
    fn erase(&mut self, id: PersonId) -> Result<(), StoreError> {
        let disk = self.inner.disk()?;
        for entry in disk.prefix(&keys::decisions(id)).whole() {
            let (key, value) = entry?;
            let (_, stored): (_, StoredDecision) = timed::decode(&value)?;
            for place in stored.places {
                if let Some(queued) = outbox::read(&disk, &keys::place(&place))? {
                    queued.remove(self.batch, self.state);
                    self.state.lane(&place.lane).totals.forgotten += 1;
                }
                let dead = keys::dead(place.seq);
                if disk.has(&dead)? {
                    let counts = self.state.lane(&place.lane);
                    counts.dead = counts.dead.saturating_sub(1);
                }
                self.batch.remove(dead);
                self.batch.remove(keys::ended(place.seq));
                self.written.gone.push(place);
            }
            self.batch.remove(key);
        }
        Ok(())
    }
}
