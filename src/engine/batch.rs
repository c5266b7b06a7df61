//! One batch of events: claim, write the step down, decide, commit.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::watch;

use crate::decide;
use crate::model::{Changes, PersonId, StepId, Timestamp};
use crate::rules::Program;
use crate::store::{Claim, Step, StoreError};

use super::state::LATELY;
use super::traced::Traced;
use super::{Engine, EngineState};

impl Engine {
    /// Decides the next batch. Returns how far time has come with its last event, or `None` when nothing waited.
    pub(super) async fn events(&self, program: &Program, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let claim = self.store.claim(self.settings.batch).await?;
        let Some((until, last)) = claim.events.last() else { return Ok(None) };
        let reached = last.arrived.min(last.at);
        let step = self.store.record(Step::Events { until: *until, now }).await?;
        self.decide(claim, Some(step), now, program).await?;
        Ok(Some(reached))
    }

    /// Decides what was claimed.
    pub(super) async fn decide(
        &self,
        mut claim: Claim,
        step: Option<StepId>,
        now: Timestamp,
        program: &Program,
    ) -> Result<(), StoreError> {
        claim.loaded.sales = self.sales.load_full().unwrap_or_default();
        let began = self.clock.now();
        let changes = decide::events(&mut claim.loaded, &claim.events, now, program, &self.names);
        let tally = Tally::of(&changes, claim.events.len() as u64);
        let ended = self.clock.now();
        let traced = Traced::of(&changes, &claim.loaded, &claim.events, (began, ended));
        self.store.commit(claim.loaded, Changes { step, ..changes }).await?;
        traced.tell((ended, self.clock.now()));
        self.tell_low(program, &tally);
        tally.count(&self.state);
        Ok(())
    }

    /// Tells of each pool that this step brought to a mark, or below.
    pub(super) fn tell_low(&self, program: &Program, tally: &Tally) {
        if tally.codes.is_empty() {
            return;
        }
        let counts = self.store.pools();
        for (name, low) in program.pools() {
            let given = tally.codes.get(name).copied().unwrap_or(0);
            let left = counts.iter().find(|pool| *pool.name == *name).map_or(0, |pool| pool.left);
            if left <= low && left + given > low {
                tracing::warn!(
                    pool = name,
                    left,
                    mark = low,
                    "few codes are left; `espalier codes import` brings more"
                );
            }
        }
    }
}

/// What a step decided, for metrics: taken before the commit, counted after it, so that a repeated step counts once.
pub(super) struct Tally {
    events: u64,
    duplicates: u64,
    edges: BTreeMap<(Arc<str>, &'static str), u64>,
    /// Those among them from which nothing leaves, one by one.
    kept: Vec<(Arc<str>, &'static str, Timestamp, PersonId)>,
    /// Triggers whose guard paused them.
    guarded: Vec<Arc<str>>,
    joined: u64,
    kept_apart: u64,
    /// Activations that went to the dead letters because a template failed, by trigger.
    broken: BTreeMap<Arc<str>, u64>,
    /// Codes given, by pool.
    codes: BTreeMap<Arc<str>, u64>,
}

impl Tally {
    pub(super) fn of(changes: &Changes, events: u64) -> Self {
        let mut edges = BTreeMap::new();
        let mut kept = Vec::new();
        for decision in &changes.decisions {
            let word = decision.verdict.word();
            *edges.entry((decision.trigger.clone(), word)).or_insert(0) += 1;
            if decision.verdict.is_kept() {
                kept.push((decision.trigger.clone(), word, decision.at, decision.person));
            }
        }
        let mut broken = BTreeMap::new();
        for activation in changes.activations.iter().filter(|activation| activation.broken.is_some()) {
            *broken.entry(activation.trigger.clone()).or_insert(0) += 1;
        }
        let mut codes = BTreeMap::new();
        for given in &changes.codes {
            *codes.entry(given.pool.clone()).or_insert(0) += 1;
        }
        let kept_apart = changes.joins.iter().filter(|join| join.refused.is_some()).count() as u64;
        Self {
            events: events.saturating_sub(changes.duplicates),
            duplicates: changes.duplicates,
            edges,
            kept,
            guarded: changes.guarded.clone(),
            joined: changes.joins.len() as u64 - kept_apart,
            kept_apart,
            broken,
            codes,
        }
    }

    /// Labels are trigger names, verdicts and results: bounded by the configuration.
    pub(super) fn count(self, state: &watch::Sender<EngineState>) {
        metrics::counter!("espalier_events_decided_total").increment(self.events);
        metrics::counter!("espalier_events_duplicate_total").increment(self.duplicates);
        // Nobody waits for these.
        state.send_if_modified(|state| {
            for (edge, n) in &self.edges {
                *state.edges.entry(edge.clone()).or_default() += n;
            }
            for (trigger, word, at, person) in self.kept {
                let kept = state.kept.entry((trigger, word)).or_default();
                kept.push_back((at, person));
                if kept.len() > LATELY {
                    kept.pop_front();
                }
            }
            false
        });
        for ((trigger, verdict), n) in self.edges {
            metrics::counter!("espalier_trigger_edges_total", "trigger" => trigger.to_string(), "verdict" => verdict)
                .increment(n);
        }
        for trigger in self.guarded {
            tracing::error!(
                %trigger,
                "fires far more often than usual and has paused itself; `espalier triggers held {trigger}` lists what it \
                 held, `espalier triggers resume {trigger}` lets it go"
            );
            metrics::counter!("espalier_trigger_guarded_total", "trigger" => trigger.to_string()).increment(1);
        }
        for (trigger, n) in self.broken {
            metrics::counter!("espalier_payload_broken_total", "trigger" => trigger.to_string()).increment(n);
        }
        metrics::counter!("espalier_identity_joins_total", "result" => "joined").increment(self.joined);
        metrics::counter!("espalier_identity_joins_total", "result" => "kept_apart").increment(self.kept_apart);
    }
}
