//! Prometheus text: the counters that rooms count, and gauges of what is now, set when they are asked for.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

use super::health::Health;
use super::quota::QuotaHealth;

/// The recorder of this process. There is one; a second asks for the same.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
}

impl Metrics {
    /// Installs the recorder, or uses the one that is installed.
    pub fn install() -> Option<Self> {
        static INSTALLED: std::sync::OnceLock<Option<PrometheusHandle>> = std::sync::OnceLock::new();
        let handle = INSTALLED.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).clone()?;
        describe();
        Some(Self { handle })
    }

    /// The text for one scrape. Also does the recorder's upkeep, so that nothing grows between scrapes.
    pub fn render(&self, health: &Health, quota: &QuotaHealth) -> String {
        let journal = &health.journal;
        metrics::gauge!("espalier_journal_position").set(journal.accepted as f64);
        metrics::gauge!("espalier_backlog_events").set(journal.backlog as f64);
        metrics::gauge!("espalier_backlog_age_seconds").set(journal.backlog_age_ms as f64 / 1_000.0);
        metrics::gauge!("espalier_people").set(journal.people as f64);
        metrics::gauge!("espalier_set_aside_messages").set(journal.set_aside as f64);
        metrics::gauge!("espalier_journal_bytes").set(journal.journal_bytes as f64);
        metrics::gauge!("espalier_ready").set(f64::from(u8::from(health.is_ready)));
        for lane in &health.lanes {
            let gauge = |name: &'static str, value: f64| metrics::gauge!(name, "lane" => lane.name.clone()).set(value);
            gauge("espalier_lane_queued", lane.queued as f64);
            gauge("espalier_lane_deferred", lane.deferred as f64);
            gauge("espalier_lane_dead_letters", lane.dead as f64);
            gauge("espalier_lane_backlog_age_seconds", lane.backlog_age_ms as f64 / 1_000.0);
            gauge("espalier_lane_held", f64::from(u8::from(lane.until.is_some())));
        }
        for trigger in &health.triggers {
            let is_live = trigger.liveness.since.is_none();
            let live = metrics::gauge!("espalier_trigger_live", "trigger" => trigger.name.clone());
            live.set(f64::from(u8::from(is_live)));
        }
        let sources = health.sources.iter().map(|one| (&one.name, "", one.quiet.is_some()));
        let lists = health.streams.iter().map(|one| (&one.source, one.stream.as_str(), one.quiet.is_some()));
        for (source, list, is_quiet) in sources.chain(lists) {
            metrics::gauge!("espalier_source_quiet", "source" => source.clone(), "list" => list.to_owned())
                .set(f64::from(u8::from(is_quiet)));
        }
        if let Some(last) = &health.night.last {
            metrics::gauge!("espalier_night_ended_seconds").set(last.ended.as_millis() as f64 / 1_000.0);
            metrics::gauge!("espalier_night_findings").set(health.night.findings.len() as f64);
        }
        for pool in &health.pools {
            metrics::gauge!("espalier_codes_left", "pool" => pool.name.clone()).set(pool.left as f64);
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

fn describe() {
    use metrics::{describe_counter, describe_gauge, describe_histogram};
    describe_counter!("espalier_intake_messages_total", "Messages by source and what became of them at intake.");
    describe_counter!("espalier_intake_aside_dropped_total", "Unreadable messages that were counted but not kept.");
    describe_counter!("espalier_journal_refused_total", "Writes that the disk refused.");
    describe_counter!("espalier_events_decided_total", "Events decided, repetitions left out.");
    describe_counter!("espalier_events_duplicate_total", "Events that were repetitions.");
    describe_counter!("espalier_trigger_edges_total", "Edges by trigger and what became of them.");
    describe_counter!("espalier_trigger_reloads_total", "Times the trigger files were read again, by result.");
    describe_counter!("espalier_identity_joins_total", "Joins of people, made and refused.");
    describe_counter!("espalier_engine_refused_total", "Steps that the store refused.");
    describe_counter!("espalier_store_rebuilds_total", "Times the state was made again from the journal.");
    describe_counter!("espalier_vendor_calls_total", "Calls by lane, family and status.");
    describe_counter!("espalier_activations_total", "Outcomes by lane.");
    describe_counter!("espalier_lane_throttled_total", "Times a vendor said that its limit is reached.");
    describe_counter!("espalier_process_runs_total", "Runs of programs that read a vendor, by source and result.");
    describe_counter!("espalier_process_lines_total", "Lines of such programs that are no message, by source.");
    describe_counter!("espalier_process_schema_changes_total", "Times the records of a stream came to look otherwise.");
    describe_counter!("espalier_subscriptions_lost_total", "Subscriptions to webhooks that were gone, by source.");
    describe_counter!("espalier_subscriptions_changed_total", "Subscriptions created, enabled and removed, by source.");
    describe_gauge!("espalier_night_ended_seconds", "When the last night ended, in seconds since 1970.");
    describe_gauge!("espalier_night_findings", "What the last night found to differ.");
    describe_gauge!("espalier_source_quiet", "1 while improbably little comes of a source, or of a list of it.");
    describe_gauge!("espalier_subscriptions_missing", "Topics that have no subscription at work, by source.");
    describe_histogram!("espalier_vendor_call_seconds", "Time to a vendor's answer.");
    describe_gauge!("espalier_journal_position", "Events accepted since the store was made.");
    describe_gauge!("espalier_backlog_events", "Events accepted and not yet decided.");
    describe_gauge!("espalier_backlog_age_seconds", "Age of the oldest event not yet decided.");
    describe_gauge!("espalier_people", "People known.");
    describe_gauge!("espalier_set_aside_messages", "Messages set aside as unreadable.");
    describe_gauge!("espalier_journal_bytes", "Bytes of journal on disk.");
    describe_gauge!("espalier_ready", "1 when events are taken and decided.");
    describe_counter!("espalier_payload_broken_total", "Activations that a template made dead letters, by trigger.");
    describe_gauge!("espalier_codes_left", "Discount codes not yet given, by pool.");
    describe_gauge!("espalier_lane_queued", "Activations waiting to be sent.");
    describe_gauge!("espalier_lane_deferred", "Activations waiting for a later time.");
    describe_gauge!("espalier_lane_dead_letters", "Dead letters.");
    describe_gauge!("espalier_lane_backlog_age_seconds", "Age of the oldest activation that waits.");
    describe_counter!("espalier_trigger_guarded_total", "Times a trigger paused itself.");
    describe_gauge!("espalier_trigger_live", "0 while the trigger is paused, by somebody or by itself.");
    describe_gauge!("espalier_quota_calls", "Calls of a window that are ours, by account and family.");
    describe_gauge!("espalier_quota_used", "Those that left and count now; 0 for windows below 5 seconds.");
    describe_gauge!("espalier_quota_left", "Calls of a window that the vendor last said are left for everybody.");
    describe_gauge!("espalier_quota_blocked_seconds", "Seconds until the vendor lets us come again; 0 when it does.");
    describe_gauge!(
        "espalier_lane_ends_seconds",
        "Seconds until what waits has left at the allowed rate; 0 for nothing."
    );
    describe_gauge!("espalier_lane_calls_needed", "Calls that what waits needs, by family.");
    describe_gauge!("espalier_trigger_calls_needed", "Calls that a trigger's waiting activations need, by lane.");
    describe_gauge!("espalier_trigger_calls_today", "Calls of today that a trigger's activations took, by lane.");
    describe_gauge!("espalier_lane_held", "1 when the lane is held: quota, breaker or credentials.");
}
