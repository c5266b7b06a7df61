//! What is read of the daemon for the series: names of its configuration and numbers, nothing else.

use std::collections::BTreeMap;

use super::Kind;
use crate::model::Timestamp;
use crate::ops::health::Watched;
use crate::ops::quota::QuotaHealth;

/// One number of now.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The series' name.
    pub name: String,
    /// What sort of number.
    pub kind: Kind,
    /// The number.
    pub value: f64,
    /// Of hours alone.
    pub is_hourly: bool,
}

/// Verdicts with which an edge was a fire: something left, or is to.
pub const FIRES: [&str; 4] = ["activated", "delayed", "deferred", "held"];

/// Everything, the most important first: who comes too late has no room.
pub fn readings(watched: &Watched, quota: &QuotaHealth) -> Vec<Reading> {
    let now = watched.clock.now();
    let mut all = Vec::new();
    let mut read = |name: String, kind: Kind, value: f64| all.push(Reading { name, kind, value, is_hourly: false });
    let counts = watched.store.counts();
    let (accepted, decided) = (counts.journaled.0, counts.decided.0);
    read("accepted".into(), Kind::Total, accepted as f64);
    read("decided".into(), Kind::Total, decided as f64);
    read("backlog".into(), Kind::Level, accepted.saturating_sub(decided) as f64);
    let age = counts.oldest_undecided.map_or(0, |at| now.since(at).as_millis());
    read("backlog_age".into(), Kind::Level, age as f64 / 1_000.0);
    for (lane, state) in &watched.lanes {
        let (count, state) = (watched.store.lane_count(lane), state.borrow());
        let outcomes = |word: &str| state.outcomes.get(word).copied().unwrap_or(0) as f64;
        read(format!("lane/{lane}/queued"), Kind::Level, count.queued as f64);
        let age = count.oldest.map_or(0, |at| now.since(at).as_millis());
        read(format!("lane/{lane}/age"), Kind::Level, age as f64 / 1_000.0);
        read(format!("lane/{lane}/accepted"), Kind::Count, outcomes("accepted") + outcomes("duplicate"));
        read(format!("lane/{lane}/refused"), Kind::Count, outcomes("refused"));
        read(format!("lane/{lane}/throttled"), Kind::Count, outcomes("throttled"));
    }
    for account in &quota.accounts {
        for one in account.windows.iter().filter(|one| one.used.is_some()) {
            let used = f64::from(one.used.unwrap_or(0)) * 100.0 / f64::from(one.ours.max(1));
            read(format!("quota/{}/{}/{}", account.name, one.family, one.span_ms / 1_000), Kind::Level, used);
        }
    }
    for one in &watched.streams {
        let state = one.state.borrow();
        // Before the first page nobody knows how far it is behind.
        if state.read > Timestamp::default() {
            let lag = now.since(state.read).as_millis();
            read(format!("stream/{}/{}/lag", one.source, one.stream), Kind::Level, lag as f64 / 1_000.0);
        }
        read(format!("stream/{}/{}/records", one.source, one.stream), Kind::Count, state.records as f64);
    }
    let hourly = |name: String, value: u64| Reading { name, kind: Kind::Count, value: value as f64, is_hourly: true };
    let program = watched.program.load();
    let engine = watched.engine.borrow();
    // Also those that never fired: a day without is a zero, and no gap.
    for trigger in program.triggers() {
        let edges = |verdict: &str| engine.edges.get(&(trigger.name.clone(), verdict)).copied().unwrap_or(0);
        all.push(hourly(format!("trigger/{}/fires", trigger.name), FIRES.into_iter().map(edges).sum()));
    }
    for ((trigger, verdict), n) in &engine.edges {
        all.push(hourly(format!("trigger/{trigger}/edges/{verdict}"), *n));
    }
    // Of all lanes together.
    let mut ends: BTreeMap<_, u64> = BTreeMap::new();
    for (_, state) in &watched.lanes {
        for ((trigger, word), n) in &state.borrow().ends {
            *ends.entry((trigger.clone(), *word)).or_default() += n;
        }
    }
    all.extend(ends.into_iter().map(|((trigger, word), n)| hourly(format!("trigger/{trigger}/ends/{word}"), n)));
    all
}
