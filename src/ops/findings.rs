//! What is wrong now, for alerts: the troubles of the page, and figures beyond their marks.

use super::health::{Health, Watched};
use super::quota::{QuotaHealth, clock};
use super::trouble::{Trouble, TroubleKind};
use crate::alerts::settings::Settings;
use crate::alerts::{Finding, Key, Mark};
use crate::model::Span;

impl Watched {
    /// Looks at everything once, for alerts. Counts only; never a scan.
    pub fn findings(&self) -> Vec<Finding> {
        findings(&self.health(), &QuotaHealth::of(self), self.alerts.settings())
    }
}

/// Of one look. Each thing is there once: what has several words of one kind has them in one finding.
fn findings(health: &Health, quota: &QuotaHealth, settings: &Settings) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    let has_figure = |kind| matches!(kind, TroubleKind::DeadLetters | TroubleKind::SyncFailed);
    for trouble in health.troubles.iter().filter(|trouble| !has_figure(trouble.kind)) {
        let finding = Finding::from(trouble.clone());
        match found.iter_mut().find(|one| one.key == finding.key) {
            Some(one) => one.words += &format!("; {}", finding.words),
            None => found.push(finding),
        }
    }
    let figures = Figures { settings, found: &mut found };
    figures.look(health, quota);
    found
}

impl From<Trouble> for Finding {
    fn from(Trouble { kind, of, words, remedy, .. }: Trouble) -> Self {
        Self { key: Key { kind, of }, words, remedy, value: None }
    }
}

struct Figures<'a> {
    settings: &'a Settings,
    found: &'a mut Vec<Finding>,
}

impl Figures<'_> {
    fn look(mut self, health: &Health, quota: &QuotaHealth) {
        for lane in &health.lanes {
            let of = format!("lane {}", lane.name);
            if self.counts(TroubleKind::DeadLetters, lane.dead) {
                let dead = lane.dead_letters().map(Finding::from);
                self.found.extend(dead.map(|dead| dead.valued(lane.dead as f64)));
            }
            let words = "the oldest activation has waited";
            self.longer(TroubleKind::BacklogAge, of, (lane.backlog_age_ms, 0), words);
        }
        let (oldest, words) = (health.journal.backlog_age_ms, "the oldest event that is not decided waits");
        self.longer(TroubleKind::BacklogAge, "the journal".into(), (oldest, 0), words);
        for list in health.streams.iter().filter(|list| !list.is_elsewhere) {
            let of = format!("source {}, {}", list.source, list.stream);
            if !list.is_refused && self.counts(TroubleKind::SyncFailed, u64::from(list.failures)) {
                let words = format!("failed {} times in a row: {}", list.failures, list.state);
                self.found.push(Finding::new(TroubleKind::SyncFailed, &of, words).valued(f64::from(list.failures)));
            }
            let words = "everything is read up to a time that lies back";
            self.longer(TroubleKind::LagOver, of, (list.lag_ms, list.every_ms), words);
        }
        for lane in &quota.lanes {
            let Some(ends) = lane.outlook.ends else { continue };
            let left = ends.since(quota.at);
            if matches!(self.settings.of(TroubleKind::QuotaForecast).mark, Mark::Over(over) if left > over) {
                let words = format!("what waits has left at {} at the earliest", clock(ends, quota.at));
                let finding = Finding::new(TroubleKind::QuotaForecast, format!("lane {}", lane.lane), words);
                let remedy = Some("`espalier quota` tells which trigger takes how much".to_owned());
                self.found.push(Finding { remedy, ..finding.valued(seconds(left)) });
            }
        }
    }

    fn counts(&self, kind: TroubleKind, count: u64) -> bool {
        matches!(self.settings.of(kind).mark, Mark::Times(times) if count >= times)
    }

    /// That a time is longer than its mark and what of it is by design together.
    fn longer(&mut self, kind: TroubleKind, of: String, (ms, by_design): (i64, i64), words: &str) {
        let (length, beyond) = (Span::from_millis(ms), Span::from_millis(ms.saturating_sub(by_design)));
        if matches!(self.settings.of(kind).mark, Mark::Over(over) if beyond > over) {
            // In whole minutes: words that change with each look say nothing more.
            let minutes = Span::from_minutes(ms / 60_000);
            self.found.push(Finding::new(kind, of, format!("{words} {minutes}")).valued(seconds(length)));
        }
    }
}

fn seconds(span: Span) -> f64 {
    span.as_millis() as f64 / 1_000.0
}

#[cfg(test)]
mod tests;
