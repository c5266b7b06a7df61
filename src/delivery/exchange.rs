//! One batch: converse with the vendor within the budget, take a halt to heart, settle each record.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::lane::{Inner, REFUSED};
use super::state::Hold;
use crate::destination::{Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Name, Request};
use crate::model::{Action, Attempt, Outcome, Span, Timestamp};
use crate::quota::{For, Pass};
use crate::store::{Settled, StoreError, Work, WorkId};
use crate::trace::{self, TraceId};
use crate::wire::{TokenError, backoff};

/// Calls of one exchange at most: an adapter that never ends is stopped.
const MOST_CALLS: usize = 4_000;
/// How often the vendor is asked what is used of the day.
const USAGE: Span = Span::from_minutes(15);

/// How a conversation ended.
struct Conversed {
    /// One for each record, as far as there is one.
    outcomes: Vec<Option<(u16, Outcome)>>,
    halt: Option<Halt>,
    calls: usize,
    /// Of the last call.
    family: Name,
}

impl Inner {
    /// One batch from taking to settling.
    pub async fn exchange(&self, work: Vec<Work>, stop: &CancellationToken) {
        self.state.send_modify(|state| state.in_flight += 1);
        let now = self.clock.now();
        let triggers: HashMap<WorkId, Arc<str>> = work.iter().map(|w| (w.id, w.activation.trigger.clone())).collect();
        let (expired, work): (Vec<Work>, Vec<Work>) = work.into_iter().partition(|w| w.activation.expires_at < now);
        let mut settled: Vec<Settled> = expired.iter().map(|w| settled(w.id, now, 0, Outcome::Expired)).collect();
        // It was queued when the destination of this name was another.
        let can = self.destination.can();
        let (work, unable): (Vec<Work>, Vec<Work>) =
            work.into_iter().partition(|w| can.contains(&w.activation.action.kind()));
        settled.extend(unable.iter().map(|w| self::settled(w.id, now, 0, cannot(&w.activation.action))));
        let needs_begin = self.destination.needs_begin();
        let (work, behind) = if needs_begin { in_turn(work) } else { (work, Vec::new()) };
        let mut released: Vec<WorkId> = behind.into_iter().map(|w| w.id).collect();
        let ids: Vec<WorkId> = work.iter().map(|w| w.id).collect();
        let begun = if needs_begin { self.store.begin(&self.name, &ids).await } else { Ok(()) };
        match begun {
            Err(refused) => {
                tracing::error!(lane = %self.name, reason = %refused, "nothing is sent that the store cannot note");
                released.extend(ids);
            }
            Ok(()) if work.is_empty() => {}
            Ok(()) => {
                self.ask_usage().await;
                let Conversed { outcomes, halt, calls, family } = self.converse(&work, stop).await;
                let counts_tries = self.note(&halt, calls, &family).await;
                let now = self.clock.now();
                self.state.send_modify(|state| state.spent(calls, work.iter().map(|w| &w.activation.trigger), now));
                for (one, outcome) in work.iter().zip(outcomes.into_iter().chain(std::iter::repeat(None))) {
                    match outcome {
                        Some((status, outcome)) => {
                            let outcome = self.judged(one, outcome, counts_tries, now);
                            settled.push(self::settled(one.id, now, status, outcome));
                        }
                        None => released.push(one.id),
                    }
                }
            }
        }
        let traced = self.traced(&work, &settled, now);
        let begins = self.clock.now();
        self.settle(settled, &triggers).await;
        if let Some(traced) = traced {
            let ended = self.clock.now();
            for span in traced {
                trace::tell(trace::Span::new(span.trace, "settle", (begins, ended)));
                trace::tell(span);
            }
        }
        if !released.is_empty()
            && let Err(refused) = self.store.release(&self.name, &released).await
        {
            tracing::error!(lane = %self.name, reason = %refused, "work could not be given back; a restart does");
        }
        self.state.send_modify(|state| state.in_flight -= 1);
    }

    /// Asks and answers until the adapter has an outcome for each.
    async fn converse(&self, work: &[Work], stop: &CancellationToken) -> Conversed {
        let batch =
            work.iter().map(|w| Item { activation: w.activation.clone(), may_have_left: w.may_have_left }).collect();
        let mut exchange = self.destination.exchange(batch);
        let mut answer = None;
        let mut family = Name::default();
        let ended = |outcomes, halt, calls, family| Conversed { outcomes, halt, calls, family };
        let term = self.store.term(&self.name);
        for calls in 0..MOST_CALLS {
            match exchange.next(answer.take(), self.clock.now()) {
                Next::Done { outcomes, halt } => return ended(outcomes, halt, calls, family),
                Next::Wait(until) => tokio::select! {
                    () = self.clock.until(until) => {}
                    () = stop.cancelled() => return ended(exchange.so_far(), None, calls, family),
                },
                Next::Ask(request) => {
                    family = request.family.clone();
                    // 0 for what was begun: it is not left half done at a day's end.
                    let pass = tokio::select! {
                        pass = self.ledger.enter(&family, For::Sending, u32::from(calls == 0)) => pass,
                        () = stop.cancelled() => return ended(exchange.so_far(), None, calls, family),
                    };
                    let Ok(pass) = pass else {
                        // Another sends by now, and looks what of this has left.
                        return ended(exchange.so_far(), None, calls, family);
                    };
                    let now = self.clock.now();
                    if calls == 0 && work.iter().any(|one| one.activation.expires_at < now) {
                        // It waited too long for its first call: what has expired is told apart when it is taken anew.
                        return ended(Vec::new(), None, calls, family);
                    }
                    if term.is_none() || self.store.term(&self.name) != term {
                        // We were held up, and another sends by now: it looks what of this has left.
                        return ended(exchange.so_far(), None, calls, family);
                    }
                    let began = self.clock.now();
                    let came = self.call(*request, pass).await;
                    self.trace_call(work, &family, &came, began);
                    match came {
                        Ok(came) => answer = Some(came),
                        // The call did not leave, which a vendor without a key against repeats has to be told.
                        Err(no_token) => {
                            let halt = Halt::from(no_token);
                            let not_sent = Answer::NotSent(halt.to_string());
                            let outcomes = end(&mut *exchange, Some(not_sent), self.clock.now());
                            return ended(outcomes.into_iter().map(untried).collect(), Some(halt), calls, family);
                        }
                    }
                }
            }
        }
        let words = "an exchange did not come to an end".into();
        let outcomes = end(&mut *exchange, answer, self.clock.now());
        ended(outcomes, Some(Halt::Configuration(words)), MOST_CALLS, family)
    }

    /// What is told of an exchange where somebody listens: each record with what became of it.
    fn traced(&self, work: &[Work], settled: &[Settled], began: Timestamp) -> Option<Vec<trace::Span>> {
        trace::is_on().then(|| {
            let ended = self.clock.now();
            let by_id: HashMap<WorkId, &Work> = work.iter().map(|work| (work.id, work)).collect();
            let told = settled.iter().filter_map(|one| {
                let activation = &by_id.get(&one.id)?.activation;
                let span = trace::Span::new(TraceId::of_occasion(&activation.occasion), "exchange", (began, ended));
                let outcome = &one.attempt.outcome;
                let span = span.with("lane", &*self.name).with("action", activation.action.kind().key());
                let span = span.with("outcome", outcome.word()).counted("status", one.attempt.status.into());
                Some(span.failed(!outcome.has_effect()))
            });
            told.collect()
        })
    }

    /// Tells of a call, in the trace of each record that it was made for.
    fn trace_call(&self, work: &[Work], family: &Name, came: &Result<Answer, TokenError>, began: Timestamp) {
        if !trace::is_on() {
            return;
        }
        let ended = self.clock.now();
        let status = came.as_ref().map_or(0, Answer::status);
        for one in work {
            let span = trace::Span::new(TraceId::of_occasion(&one.activation.occasion), "call", (began, ended));
            let span = span.with("lane", &*self.name).with("family", &**family).counted("status", status.into());
            trace::tell(span.failed(!(200..400).contains(&status)));
        }
    }

    /// Asks the vendor now and then what is used of the day, where its answers do not tell.
    async fn ask_usage(&self) {
        let now = self.clock.now();
        if now.as_millis() < self.usage_at.load(Ordering::Relaxed) {
            return;
        }
        self.usage_at.store((now + USAGE).as_millis(), Ordering::Relaxed);
        if let Some(request) = self.destination.usage()
            && !self.ledger.windows().is_empty()
            && let Err(refused) = self.ask(request).await
        {
            tracing::warn!(lane = %self.name, reason = %refused, "what is used of the day could not be asked");
        }
    }

    /// One call by itself, when the budget has room for it.
    async fn ask(&self, request: Request) -> Result<Answer, TokenError> {
        let pass = self.ledger.enter(&request.family, For::Sending, 1).await;
        let pass = pass.map_err(|not_ours| TokenError::Unavailable(not_ours.to_string()))?;
        self.call(request, pass).await
    }

    /// One call that may leave.
    async fn call(&self, request: Request, pass: Pass) -> Result<Answer, TokenError> {
        let family = request.family.clone();
        let began = self.clock.now();
        let answer = self.wire.send(request).await;
        drop(pass);
        let answer = answer?;
        if let Answer::Came(response) = &answer {
            self.ledger.learn(&self.destination.learned(&family, response, self.clock.now()));
        }
        let status = match &answer {
            Answer::Came(response) => response.status.to_string(),
            Answer::NotSent(_) => "not_sent".into(),
            Answer::Unclear(_) => "unclear".into(),
        };
        let took = self.clock.now().since(began).as_millis() as f64 / 1_000.0;
        metrics::counter!("espalier_vendor_calls_total", "lane" => self.name.to_string(), "family" => family, "status" => status)
            .increment(1);
        metrics::histogram!("espalier_vendor_call_duration_seconds", "lane" => self.name.to_string()).record(took);
        Ok(answer)
    }

    /// Takes a halt to heart. True when a failure counts as a try of each record.
    async fn note(&self, halt: &Option<Halt>, calls: usize, family: &Name) -> bool {
        let now = self.clock.now();
        let mut breaker = self.breaker.lock().await;
        let counts_tries = !breaker.is_probing();
        let Some(halt) = halt else {
            if calls == 0 {
                // Nothing was asked, so nothing is known of the vendor.
                return true;
            }
            breaker.succeeded();
            self.is_mended(now);
            self.tokens_refused.store(0, Ordering::Relaxed);
            return true;
        };
        let words = halt.to_string();
        self.state.send_modify(|state| state.last_error = Some(words.clone()));
        match halt {
            Halt::Quota { until, window } => {
                metrics::counter!("espalier_lane_throttled_total", "lane" => self.name.to_string()).increment(1);
                // A vendor that says "now" would be asked without end.
                let until = (*until).max(now + Span::from_millis(100));
                self.ledger.block(family, until, window);
                if !self.destination.calls_by_family(1).iter().any(|(known, _)| known == family) {
                    self.rest(until, Hold::Quota, &words);
                }
            }
            Halt::Token => {
                let had_one = self.wire.forget_token().await;
                if !had_one || self.tokens_refused.fetch_add(1, Ordering::Relaxed) > 0 {
                    self.rest(now + self.settings.mended, Hold::Credentials, &words);
                }
            }
            Halt::Credentials(_) | Halt::Configuration(_) => {
                let is_refused = matches!(halt, Halt::Credentials(_));
                let why = if is_refused { Hold::Credentials } else { Hold::Configuration };
                tracing::error!(lane = %self.name, reason = %words, "the lane is held until this is mended");
                self.rest(now + self.settings.mended, why, &words);
            }
            Halt::Down(_) => {
                tracing::warn!(lane = %self.name, reason = %words, "the vendor is down");
                breaker.failed(now, &self.settings);
            }
        }
        counts_tries && matches!(halt, Halt::Down(_))
    }

    /// When to come again, and when to give up.
    fn judged(&self, work: &Work, outcome: Outcome, counts_tries: bool, now: Timestamp) -> Outcome {
        let Outcome::Later { not_before, words, is_throttled, may_have_left } = outcome else { return outcome };
        if is_throttled {
            return Outcome::Later { not_before: not_before.max(now), words, is_throttled, may_have_left };
        }
        let tries = work.tries.saturating_add(1);
        if counts_tries && tries >= self.settings.tries {
            return Outcome::Refused { code: "gave_up".into(), words: format!("after {tries} tries: {words}").into() };
        }
        let not_before = not_before.max(now + backoff::wait((self.settings.backoff, self.settings.longest), tries));
        Outcome::Later { not_before, words, is_throttled: !counts_tries, may_have_left }
    }

    /// Settles, however long the store takes to let us: what is settled must not be sent again.
    async fn settle(&self, settled: Vec<Settled>, triggers: &HashMap<WorkId, Arc<str>>) {
        if settled.is_empty() {
            return;
        }
        loop {
            match self.store.settle(&self.name, settled.clone()).await {
                Ok(()) => break,
                Err(StoreError::Damaged(words)) => {
                    tracing::error!(lane = %self.name, reason = %words, "outcomes cannot be settled");
                    return;
                }
                Err(refused) => {
                    tracing::error!(lane = %self.name, reason = %refused, "outcomes wait for the store");
                    self.clock.until(self.clock.now() + REFUSED).await;
                }
            }
        }
        self.state.send_modify(|state| {
            for one in &settled {
                let word = one.attempt.outcome.word();
                *state.outcomes.entry(word).or_default() += 1;
                if let Some(trigger) = triggers.get(&one.id).filter(|_| one.attempt.outcome.is_settled()) {
                    *state.ends.entry((trigger.clone(), word)).or_default() += 1;
                }
                if one.attempt.outcome.has_effect() {
                    state.last_success = Some(one.attempt.at);
                }
            }
        });
        for one in &settled {
            let word = one.attempt.outcome.word();
            metrics::counter!("espalier_activations_total", "lane" => self.name.to_string(), "outcome" => word)
                .increment(1);
        }
    }
}

/// Without those that are behind something of the same person that may have left: whether that has to be sent again is
/// known only when somebody has looked, and what was decided first leaves first.
fn in_turn(work: Vec<Work>) -> (Vec<Work>, Vec<Work>) {
    let mut unsure = HashSet::new();
    work.into_iter().partition(|one| {
        let person = one.activation.person;
        if one.may_have_left {
            unsure.insert(person);
        }
        one.may_have_left || !unsure.contains(&person)
    })
}

/// Ends an exchange with this last answer: what is known by then.
fn end(exchange: &mut dyn Exchange, answer: Option<Answer>, now: Timestamp) -> Vec<Option<(u16, Outcome)>> {
    match exchange.next(answer, now) {
        Next::Done { outcomes, .. } => outcomes,
        Next::Ask(_) | Next::Wait(_) => exchange.so_far(),
    }
}

fn cannot(action: &Action) -> Outcome {
    let words = format!("`{}` is nothing that this destination can do", action.kind().key());
    Outcome::Refused { code: "cannot".into(), words: words.into() }
}

/// What did not leave for want of a token costs no try.
fn untried(one: Option<(u16, Outcome)>) -> Option<(u16, Outcome)> {
    one.map(|(status, outcome)| match outcome {
        Outcome::Later { not_before, words, may_have_left, .. } => {
            (status, Outcome::Later { not_before, words, is_throttled: true, may_have_left })
        }
        other => (status, other),
    })
}

fn settled(id: WorkId, at: Timestamp, status: u16, outcome: Outcome) -> Settled {
    Settled { id, attempt: Attempt { at, status, outcome } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PersonId;
    use crate::store::contract::activation;

    #[test]
    fn what_is_behind_something_that_may_have_left_goes_back() {
        let one = |n: u64, person: u8, may_have_left: bool| Work {
            id: WorkId(n),
            activation: crate::model::Activation { person: PersonId([person; 16]), ..activation(n, "a", 50) },
            tries: 0,
            may_have_left,
        };
        let taken = vec![one(1, 1, false), one(2, 1, true), one(3, 1, false), one(4, 2, false), one(5, 1, true)];
        let (work, behind) = in_turn(taken);
        let ids = |of: Vec<Work>| of.into_iter().map(|one| one.id.0).collect::<Vec<_>>();
        assert_eq!((ids(work), ids(behind)), (vec![1, 2, 4, 5], vec![3]));
    }
}
