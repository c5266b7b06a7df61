//! Prometheus text: the counters that rooms count, and gauges of what is now, set when they are asked for.

mod described;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use metrics_util::MetricKindMask;

pub use described::{Described, METRICS, Sort};

use self::described::{CALL_BUCKETS, CALL_SECONDS, describe};
use super::health::Health;
use super::quota::QuotaHealth;
use super::trouble::TroubleKind;
use crate::delivery::Hold;

/// A gauge that was not set since the scrape before is left out, from the next scrape on: a lane, a trigger or a pool that is
/// gone, a queue that is empty. So every gauge is set in [`Metrics::render`] and nowhere else.
const LEFT_OUT: Duration = Duration::from_nanos(1);

/// Held by a scrape: between setting gauges and writing them down no other may do so.
static SCRAPE: Mutex<()> = Mutex::new(());

/// The recorder of this process. There is one; a second asks for the same.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder, or uses the one that is installed.
    pub fn install() -> Option<Self> {
        static INSTALLED: std::sync::OnceLock<Option<PrometheusHandle>> = std::sync::OnceLock::new();
        let install = || {
            let calls = Matcher::Full(CALL_SECONDS.into());
            let builder = PrometheusBuilder::new().idle_timeout(MetricKindMask::GAUGE, Some(LEFT_OUT));
            builder.set_buckets_for_metric(calls, CALL_BUCKETS).ok()?.install_recorder().ok()
        };
        let handle = INSTALLED.get_or_init(install).clone()?;
        describe();
        Some(Self { handle })
    }

    /// The text for one scrape, with how many alerts fire by kind. Also does the recorder's upkeep, so that nothing grows
    /// between scrapes.
    pub fn render(&self, health: &Health, quota: &QuotaHealth, firing: &BTreeMap<TroubleKind, usize>) -> String {
        let _one = SCRAPE.lock().unwrap_or_else(PoisonError::into_inner);
        let journal = &health.journal;
        metrics::gauge!("espalier_journal_position").set(journal.accepted as f64);
        metrics::gauge!("espalier_backlog_events").set(journal.backlog as f64);
        metrics::gauge!("espalier_backlog_age_seconds").set(journal.backlog_age_ms as f64 / 1_000.0);
        metrics::gauge!("espalier_people").set(journal.people as f64);
        metrics::gauge!("espalier_set_aside_messages").set(journal.set_aside as f64);
        metrics::gauge!("espalier_journal_bytes").set(journal.journal_bytes as f64);
        metrics::gauge!("espalier_ready").set(flag(health.is_ready));
        metrics::gauge!("espalier_build_info", "version" => health.version).set(1.0);
        metrics::gauge!("espalier_demands_open").set(health.demands as f64);
        if let Some(free) = journal.free_bytes {
            metrics::gauge!("espalier_disk_free_bytes").set(free as f64);
        }
        for kind in TroubleKind::ALL {
            let count = health.troubles.iter().filter(|trouble| trouble.kind == kind).count();
            metrics::gauge!("espalier_troubles", "kind" => kind.word()).set(count as f64);
            let firing = firing.get(&kind).copied().unwrap_or(0);
            metrics::gauge!("espalier_alerts_firing", "kind" => kind.word()).set(firing as f64);
        }
        for lane in &health.lanes {
            let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "lane" => lane.name.clone()).set(value);
            gauge("espalier_lane_queued", lane.queued as f64);
            gauge("espalier_lane_deferred", lane.deferred as f64);
            gauge("espalier_lane_dead_letters", lane.dead as f64);
            gauge("espalier_lane_backlog_age_seconds", lane.backlog_age_ms as f64 / 1_000.0);
            for (reason, hold) in HOLDS {
                metrics::gauge!("espalier_lane_held", "lane" => lane.name.clone(), "reason" => reason)
                    .set(flag(lane.held == Some(hold)));
            }
        }
        for trigger in &health.triggers {
            let gauge =
                |name: &'static str, is_so| metrics::gauge!(name, "trigger" => trigger.name.clone()).set(flag(is_so));
            gauge("espalier_trigger_live", trigger.liveness.since.is_none());
            gauge("espalier_trigger_guarded", trigger.liveness.state == "guarded");
        }
        let sources = health.sources.iter().map(|one| (&one.name, "", one.quiet.is_some()));
        let lists = health.streams.iter().map(|one| (&one.source, one.stream.as_str(), one.quiet.is_some()));
        for (source, list, is_quiet) in sources.chain(lists) {
            metrics::gauge!("espalier_source_quiet", "source" => source.clone(), "list" => list.to_owned())
                .set(flag(is_quiet));
        }
        for list in &health.streams {
            let gauge = |name: &'static str, value: f64| {
                metrics::gauge!(name, "source" => list.source.clone(), "list" => list.stream.clone()).set(value);
            };
            gauge("espalier_source_lag_seconds", list.lag_ms as f64 / 1_000.0);
            gauge("espalier_source_every_seconds", list.every_ms as f64 / 1_000.0);
            gauge("espalier_source_failures", f64::from(list.failures));
            gauge("espalier_source_refused", flag(list.is_refused));
        }
        for hooks in health.subscriptions.iter().filter(|hooks| hooks.looked.is_some()) {
            metrics::gauge!("espalier_subscriptions_missing", "source" => hooks.source.clone())
                .set(hooks.wanted.saturating_sub(hooks.standing) as f64);
        }
        for drift in &health.drift {
            metrics::gauge!("espalier_drift", "account" => drift.account.clone())
                .set(drift.to_do.map_or(-1.0, |n| n as f64));
        }
        if let Some(backup) = &health.backup {
            let last = backup.last.map_or(0.0, |at| at.as_millis() as f64 / 1_000.0);
            metrics::gauge!("espalier_backup_last_timestamp_seconds").set(last);
        }
        let overdue = health.night.overdue(health.at).as_millis();
        metrics::gauge!("espalier_night_overdue_seconds").set(overdue as f64 / 1_000.0);
        if let Some(last) = &health.night.last {
            metrics::gauge!("espalier_night_ended_timestamp_seconds").set(last.ended.as_millis() as f64 / 1_000.0);
            metrics::gauge!("espalier_night_findings").set(health.night.findings.len() as f64);
        }
        for pool in &health.pools {
            metrics::gauge!("espalier_codes_left", "pool" => pool.name.clone()).set(pool.left as f64);
            if let Some(low) = pool.low {
                metrics::gauge!("espalier_codes_low_mark", "pool" => pool.name.clone()).set(low as f64);
            }
        }
        set_quota(quota);
        self.upkeep();
        self.handle.render()
    }

    /// Folds what was recorded, so that nothing grows without a scrape.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Why a lane is held, as its label says it.
const HOLDS: [(&str, Hold); 5] = [
    ("breaker", Hold::Breaker),
    ("quota", Hold::Quota),
    ("credentials", Hold::Credentials),
    ("configuration", Hold::Configuration),
    ("looking", Hold::Looking),
];

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

/// Labels are the names of a configuration: accounts, families, windows, lanes and triggers.
fn set_quota(quota: &QuotaHealth) {
    for account in &quota.accounts {
        for one in &account.windows {
            let gauge = |name: &'static str, value: f64| {
                let window = (one.span_ms / 1_000).to_string();
                metrics::gauge!(name, "account" => account.name.clone(), "family" => one.family.clone(), "window_seconds" => window)
                    .set(value);
            };
            gauge("espalier_quota_calls", f64::from(one.ours));
            gauge("espalier_quota_used", f64::from(one.used.unwrap_or(0)));
            if let Some(left) = one.left {
                gauge("espalier_quota_left", f64::from(left));
            }
            let blocked = one.blocked_until.map_or(0, |until| until.since(quota.at).as_millis());
            gauge("espalier_quota_blocked_seconds", blocked as f64 / 1_000.0);
        }
    }
    for lane in &quota.lanes {
        let ends = lane.outlook.ends.map_or(0, |at| at.since(quota.at).as_millis());
        metrics::gauge!("espalier_lane_ends_seconds", "lane" => lane.lane.clone()).set(ends as f64 / 1_000.0);
        for (family, calls) in &lane.outlook.calls {
            metrics::gauge!("espalier_lane_calls_needed", "lane" => lane.lane.clone(), "family" => family.clone())
                .set(*calls as f64);
        }
        for cost in &lane.outlook.triggers {
            let gauge = |name: &'static str, value: f64| {
                metrics::gauge!(name, "lane" => lane.lane.clone(), "trigger" => cost.trigger.clone()).set(value);
            };
            gauge("espalier_trigger_calls_needed", cost.calls);
            gauge("espalier_trigger_calls_today", cost.spent);
        }
    }
}
