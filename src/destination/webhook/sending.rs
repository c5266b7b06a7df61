//! A batch under way: each activation's body, as many of them in one call as the manifest allows, and what became of
//! each.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Value, json};

use super::answer::{Verdict, verdict};
use super::manifest::Batch;
use super::{Way, names};
use crate::destination::outcomes::Outcomes;
use crate::destination::{Exchange, Halt, Item, Next};
use crate::manifest::Seen;
use crate::model::http::{Answer, Request};
use crate::model::{Outcome, Span, Timestamp};

/// One conversation.
pub(super) struct Sending {
    way: Result<Arc<Way>, String>,
    timeout: Option<Span>,
    batch: Vec<Item>,
    /// Of each record that can be sent, until it has its outcome.
    bodies: Vec<Option<Value>>,
    outcomes: Outcomes,
    /// Calls to be made: places in the batch.
    todo: VecDeque<Vec<usize>>,
    asked: Option<Vec<usize>>,
}

impl Sending {
    pub(super) fn new(way: Result<Arc<Way>, String>, timeout: Option<Span>, batch: Vec<Item>) -> Self {
        let (bodies, outcomes) = (vec![None; batch.len()], Outcomes::new(batch.len()));
        let mut sending = Self { way, timeout, batch, bodies, outcomes, todo: VecDeque::new(), asked: None };
        let Ok(way) = sending.way.clone() else { return sending };
        let mut good = Vec::new();
        for n in 0..sending.batch.len() {
            match sending.batch.get(n).map(|item| body(&way, item)) {
                Some(Ok(said)) => {
                    good.push(n);
                    if let Some(slot) = sending.bodies.get_mut(n) {
                        *slot = Some(said);
                    }
                }
                Some(Err((code, words))) => {
                    sending.outcomes.refuse(&[n], 0, code, &words);
                }
                None => {}
            }
        }
        let most = way.manifest.batch.as_ref().map_or(1, |batch| batch.most).max(1);
        sending.todo.extend(good.chunks(most).map(<[usize]>::to_vec));
        sending
    }

    /// The next call that fits into the largest body; those that do not are halved, or refused where they are alone.
    fn next_call(&mut self, way: &Way, now: Timestamp) -> Option<Request> {
        while let Some(places) = self.todo.pop_front() {
            let body = match self.said(way, &places) {
                Ok(body) if body.len() <= way.manifest.bytes => body,
                Ok(_) if places.len() > 1 => {
                    self.halve(&places);
                    continue;
                }
                Ok(body) => {
                    let words = format!("its body is {} bytes, and {} may be sent", body.len(), way.manifest.bytes);
                    self.outcomes.refuse(&places, 0, "too_large", &words);
                    continue;
                }
                Err(words) => {
                    self.outcomes.refuse(&places, 0, "template", &words);
                    continue;
                }
            };
            let (id, uuid) = self.key(&places);
            let timeout = self.timeout.unwrap_or(way.manifest.timeout);
            self.asked = Some(places);
            return Some(way.request(&id, &uuid, body, timeout, now));
        }
        None
    }

    /// The body of a call.
    fn said(&self, way: &Way, places: &[usize]) -> Result<Vec<u8>, String> {
        let mut bodies = places.iter().filter_map(|n| self.bodies.get(*n)?.as_ref());
        let Some(Batch { body, .. }) = &way.manifest.batch else {
            return Ok(bodies.next().map(Value::to_string).unwrap_or_default().into_bytes());
        };
        let records: Vec<&Value> = bodies.collect();
        let said = body.said(&Seen::of(&json!({ "records": records, "settings": way.shown })))?;
        Ok(said.unwrap_or_default().to_string().into_bytes())
    }

    /// The call's key against repeats: the occasion, or, of several, a hash of theirs.
    fn key(&self, places: &[usize]) -> (String, String) {
        let occasions = || places.iter().filter_map(|n| Some(self.batch.get(*n)?.activation.occasion));
        let occasion = match places.len() {
            1 => occasions().next().map(|one| one.0),
            _ => None,
        };
        let id = occasion.unwrap_or_else(|| {
            let mut hash = blake3::Hasher::new();
            for one in occasions() {
                hash.update(&one.0);
            }
            hash.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
        });
        (hex::encode(id), names::uuid(&id))
    }

    fn halve(&mut self, places: &[usize]) {
        let (a, b) = places.split_at(places.len() / 2);
        self.todo.push_front(b.to_vec());
        self.todo.push_front(a.to_vec());
    }

    fn read(&mut self, way: &Way, places: &[usize], answer: &Answer, now: Timestamp) -> Option<Halt> {
        let status = answer.status();
        match verdict(&way.manifest, answer, now) {
            Verdict::Taken(failed) => {
                let place = |index: &Option<usize>| index.and_then(|index| places.get(index).copied());
                let refused = |words: &str| Outcome::Refused { code: "failed".into(), words: words.into() };
                // One that nobody can find may be any: none is said to be taken.
                let lost = failed.iter().find(|(index, _)| place(index).is_none());
                let rest = lost.map_or(Outcome::Accepted, |(_, words)| refused(words));
                self.outcomes.set(places, status, &rest);
                for (index, words) in &failed {
                    if let Some(place) = place(index) {
                        self.outcomes.set(&[place], status, &refused(words));
                    }
                }
                None
            }
            // One bad record refuses the whole call: it is found by halving.
            Verdict::Refused(_) if places.len() > 1 => {
                self.halve(places);
                None
            }
            Verdict::Refused(outcome) | Verdict::Each(outcome) => {
                self.outcomes.set(places, status, &outcome);
                None
            }
            Verdict::Down(outcome, words) => {
                self.outcomes.set(places, status, &outcome);
                Some(Halt::Down(words))
            }
            Verdict::Halt(halt) => Some(halt),
        }
    }
}

impl Exchange for Sending {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Next {
        let way = match self.way.clone() {
            Ok(way) => way,
            Err(words) => {
                let outcomes = self.outcomes.take();
                return Next::Done { outcomes, halt: Some(Halt::Configuration(words)) };
            }
        };
        let mut halt = None;
        if let (Some(places), Some(answer)) = (self.asked.take(), answer) {
            halt = self.read(&way, &places, &answer, now);
        }
        match halt.is_none().then(|| self.next_call(&way, now)).flatten() {
            Some(request) => Next::Ask(Box::new(request)),
            None => Next::Done { outcomes: self.outcomes.take(), halt },
        }
    }

    fn so_far(&mut self) -> Vec<Option<(u16, Outcome)>> {
        self.outcomes.take()
    }
}

/// What is said of one activation, or the code and words of why it cannot be sent.
fn body(way: &Way, item: &Item) -> Result<Value, (&'static str, String)> {
    let values = names::values(&item.activation, &way.shown);
    let seen = Seen::of(&values);
    for (that, words) in &way.manifest.needs {
        match that.holds(&seen) {
            Ok(true) => {}
            Ok(false) => return Err(("missing", words.clone())),
            Err(words) => return Err(("template", words)),
        }
    }
    let said = way.manifest.body.said(&seen).map_err(|words| ("template", words))?;
    Ok(said.unwrap_or_default())
}
