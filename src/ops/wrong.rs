//! What of a daemon's figures is wrong, for the page, `status` and alerts: troubles, from one look at everything.

use std::collections::BTreeMap;

use super::health::{Health, LaneHealth, StreamHealth};
use super::night::THE_NIGHT;
use super::store::BackupFailed;
use super::trouble::{Trouble, TroubleKind};
use crate::alerts::settings::Settings;
use crate::alerts::{Failing, Mark};
use crate::delivery::Hold;
use crate::model::{Span, Timestamp};

/// A vendor's clock that is off by more than this is worth a word.
const SKEW: Span = Span::from_minutes(1);
/// What happened once, and was not mended by itself, is worth a word for so long.
pub(super) const TOLD: Span = Span::DAY;

/// Everything that is wrong, with the receivers of alerts that cannot be told, and the marks of `[alerts]`.
pub(super) fn troubles(health: &Health, failing: &BTreeMap<String, Failing>, settings: &Settings) -> Vec<Trouble> {
    let now = health.at;
    let mut troubles = Vec::new();
    if let Some(words) = &health.engine.refused {
        let trouble = Trouble::new(TroubleKind::EngineWaits, "the engine", format!("waits: {words}"));
        troubles.push(trouble.since(health.engine.since));
    }
    troubles.extend(
        health
            .away
            .as_ref()
            .map(|words| Trouble::new(TroubleKind::EngineWaits, "the database", format!("does not answer: {words}"))),
    );
    troubles.extend(health.lanes.iter().flat_map(LaneHealth::troubles));
    let quiet = health.sources.iter().filter_map(|one| Some((&one.name, one.quiet.as_ref()?)));
    troubles.extend(quiet.map(|(name, quiet)| {
        Trouble::new(TroubleKind::Silence, format!("source {name}"), quiet.words()).since(quiet.since)
    }));
    troubles.extend(health.streams.iter().flat_map(|list| list.troubles(now)));
    troubles.extend(health.subscriptions.iter().flat_map(|hooks| hooks.troubles(now)));
    if health.demands > 0 {
        let words = format!("{} want to see what is kept of them, for which the law gives a month", health.demands);
        troubles.push(Trouble::new(TroubleKind::DemandsOpen, "people", words).mended_by("`espalier person demands`"));
    }
    troubles.extend(health.drift.iter().filter(|one| one.is_trouble()).map(|one| {
        let (account, words) = (&one.account, format!("is not as triggers need it: {}, seen at {}", one.words, one.at));
        Trouble::new(TroubleKind::AccountDrift, format!("account {account}"), words)
            .mended_by(format!("`espalier plan --destination {account}`"))
    }));
    for trigger in health.triggers.iter().filter(|trigger| trigger.liveness.state == "guarded") {
        let (name, liveness) = (&trigger.name, &trigger.liveness);
        troubles.push(
            Trouble::new(TroubleKind::RateGuard, format!("trigger {name}"), liveness.words())
                .mended_by(format!("`espalier triggers held {name}`, then `resume`"))
                .since(liveness.since),
        );
    }
    for pool in health.pools.iter().filter(|pool| pool.low.is_some_and(|low| pool.left <= low)) {
        let words = format!("{} codes are left", pool.left);
        troubles.push(
            Trouble::new(TroubleKind::CodesLow, format!("pool {}", pool.name), words)
                .mended_by(format!("`espalier codes import {} FILE` brings more", pool.name)),
        );
    }
    troubles.extend(health.night.troubles());
    troubles.extend(missing(health, settings));
    let failed = health.backup.as_ref().and_then(|backup| backup.failed.as_ref());
    troubles.extend(failed.map(BackupFailed::trouble));
    troubles.extend(low(health, settings));
    troubles.extend(failing.iter().map(|(name, failing)| {
        let words = format!("cannot be told: {}", failing.words);
        Trouble::new(TroubleKind::ReceiverFailing, format!("receiver {name}"), words)
            .mended_by(format!("`espalier alerts test --receiver {name}` tries it"))
            .since(failing.since)
    }));
    troubles
}

/// That a night is due, or under way, for longer than it may.
fn missing(health: &Health, settings: &Settings) -> Option<Trouble> {
    let Mark::Over(over) = settings.of(TroubleKind::NightMissing).mark else { return None };
    let overdue = health.night.overdue(health.at);
    (overdue > over).then(|| {
        let due = health.at - overdue;
        let doing = health.night.running.as_ref().map_or("nothing", |running| running.doing.as_str());
        let words = format!("is due since {due} and has not ended: {doing}");
        Trouble::new(TroubleKind::NightMissing, THE_NIGHT, words).since(due)
    })
}

/// That the disk has less room than it should.
fn low(health: &Health, settings: &Settings) -> Option<Trouble> {
    let Mark::Below(mark) = settings.of(TroubleKind::DiskLow).mark else { return None };
    let free = health.journal.free_bytes.filter(|free| *free < mark.0)?;
    let words = format!("{} MB are free where the store is", free >> 20);
    Some(Trouble::new(TroubleKind::DiskLow, "the disk", words))
}

impl LaneHealth {
    /// What is wrong with it.
    fn troubles(&self) -> Vec<Trouble> {
        let of = format!("lane {}", self.name);
        let mut troubles = Vec::new();
        if let Some(held) = self.held.filter(|held| *held != Hold::Elsewhere) {
            let kind = match held {
                Hold::Breaker => TroubleKind::BreakerOpen,
                Hold::Credentials => TroubleKind::CredentialsRefused,
                Hold::Quota => TroubleKind::QuotaSpent,
                Hold::Configuration | Hold::Looking | Hold::Elsewhere => TroubleKind::LaneHeld,
            };
            troubles.push(Trouble::new(kind, &of, &self.state).since(self.since));
        }
        troubles.extend(self.dead_letters());
        troubles
    }

    /// That it has dead letters.
    pub(super) fn dead_letters(&self) -> Option<Trouble> {
        let words = format!("{} dead letters", self.dead);
        let trouble = Trouble::new(TroubleKind::DeadLetters, format!("lane {}", self.name), words);
        (self.dead > 0).then(|| trouble.mended_by("`espalier dead-letters list`"))
    }
}

impl StreamHealth {
    /// What is wrong with it.
    fn troubles(&self, now: Timestamp) -> Vec<Trouble> {
        let of = format!("source {}, {}", self.source, self.stream);
        let mut troubles = Vec::new();
        if self.until.is_some() {
            let kind = match self.failures {
                _ if self.is_refused => TroubleKind::CredentialsRefused,
                0 => TroubleKind::QuotaSpent,
                _ => TroubleKind::SyncFailed,
            };
            troubles.push(Trouble::new(kind, &of, &self.state).since(self.since));
        }
        if let Some(quiet) = &self.quiet {
            troubles.push(Trouble::new(TroubleKind::Silence, &of, quiet.words()).since(quiet.since));
        }
        if let Some(at) = self.set_aside_at.filter(|at| now.since(*at) < TOLD) {
            let words = format!("{} records could not be read", self.set_aside);
            troubles.push(
                Trouble::new(TroubleKind::SetAside, &of, words).mended_by("`espalier store set-aside`").since(at),
            );
        }
        if self.skew_ms.abs() > SKEW.as_millis() {
            let (by, way) =
                (Span::from_millis(self.skew_ms.abs()), if self.skew_ms > 0 { "behind" } else { "ahead of" });
            troubles.push(Trouble::new(TroubleKind::ClockSkew, &of, format!("the vendor's clock is {by} {way} ours")));
        }
        troubles
    }
}
