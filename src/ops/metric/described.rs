//! Every metric that there is: its name, its sort, what it means, and its labels. What is measured and not here, or here and
//! not measured, fails a test; docs/metrics.md is this table.

/// Of what sort a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// It only grows, from 0 at the start of the daemon.
    Counter,
    /// What is so now.
    Gauge,
    /// How values are distributed.
    Histogram,
}

impl Sort {
    /// As Prometheus writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// Its name.
    pub name: &'static str,
    /// Of what sort it is.
    pub sort: Sort,
    /// What it means.
    pub help: &'static str,
    /// Its labels, each of which takes names of the configuration, or words of a closed set.
    pub labels: &'static [&'static str],
}

const fn counter(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Described {
    Described { name, sort: Sort::Counter, help, labels }
}

const fn gauge(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Described {
    Described { name, sort: Sort::Gauge, help, labels }
}

/// A call's time, in seconds: the only one that is distributed.
pub const CALL_SECONDS: &str = "espalier_vendor_call_duration_seconds";
/// The upper bounds of its buckets.
pub const CALL_BUCKETS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0];

/// All there are, by name.
pub const METRICS: &[Described] = &[
    counter("espalier_activations_total", "Outcomes of activations.", &["lane", "outcome"]),
    counter("espalier_alert_messages_total", "Messages of alerts, by what became of them.", &["receiver", "result"]),
    gauge("espalier_alerts_firing", "Alerts of our own that fire.", &["kind"]),
    gauge("espalier_backlog_age_seconds", "Age of the oldest event not yet decided.", &[]),
    gauge("espalier_backlog_events", "Events accepted and not yet decided.", &[]),
    counter("espalier_backup_failures_total", "Backups of `[store] backup` that could not be made.", &[]),
    gauge(
        "espalier_backup_last_timestamp_seconds",
        "When the newest backup of `[store] backup` was begun, in Unix time; 0 where there is none yet.",
        &[],
    ),
    gauge("espalier_build_info", "1, with the version of the build.", &["version"]),
    gauge("espalier_codes_left", "Discount codes not yet given.", &["pool"]),
    gauge("espalier_codes_low_mark", "Codes at which that is few, by the triggers that take them.", &["pool"]),
    gauge("espalier_demands_open", "People who wait to see what is kept of them.", &[]),
    gauge("espalier_disk_free_bytes", "Bytes that are free where the store is.", &[]),
    gauge(
        "espalier_drift",
        "Differences between an account and what triggers need; -1 where they cannot be told.",
        &["account"],
    ),
    counter("espalier_engine_refused_total", "Steps that the store refused.", &[]),
    counter("espalier_events_decided_total", "Events decided, repetitions left out.", &[]),
    counter("espalier_events_duplicate_total", "Events that were repetitions.", &[]),
    counter("espalier_identity_joins_total", "Joins of people, made and refused.", &["result"]),
    counter("espalier_intake_aside_dropped_total", "Unreadable messages that were counted but not kept.", &[]),
    counter("espalier_intake_messages_total", "Messages by what became of them at intake.", &["source", "result"]),
    gauge("espalier_journal_bytes", "Bytes of journal on disk.", &[]),
    gauge("espalier_journal_position", "Events accepted since the store was made.", &[]),
    counter("espalier_journal_refused_total", "Writes that the disk refused.", &[]),
    gauge("espalier_lane_backlog_age_seconds", "Age of the oldest activation that waits.", &["lane"]),
    gauge("espalier_lane_calls_needed", "Calls that what waits needs.", &["lane", "family"]),
    gauge("espalier_lane_dead_letters", "Dead letters.", &["lane"]),
    gauge("espalier_lane_deferred", "Activations waiting for a later time.", &["lane"]),
    gauge(
        "espalier_lane_ends_seconds",
        "Seconds until what waits has left at the allowed rate; 0 for nothing.",
        &["lane"],
    ),
    gauge("espalier_lane_held", "1 while the lane is held for this reason.", &["lane", "reason"]),
    gauge("espalier_lane_queued", "Activations waiting to be sent.", &["lane"]),
    counter("espalier_lane_throttled_total", "Times a vendor said that its limit is reached.", &["lane"]),
    gauge("espalier_night_ended_timestamp_seconds", "When the last night ended, in seconds since 1970.", &[]),
    gauge("espalier_night_findings", "What the last night found to differ.", &[]),
    gauge("espalier_night_overdue_seconds", "For how long a night is due, or under way; 0 while none is.", &[]),
    counter("espalier_payload_broken_total", "Activations that a template made dead letters.", &["trigger"]),
    gauge("espalier_people", "People known.", &[]),
    counter("espalier_process_lines_total", "Lines of programs that are no message.", &["source", "result"]),
    counter("espalier_process_runs_total", "Runs of programs that read a vendor.", &["source", "result"]),
    counter(
        "espalier_process_schema_changes_total",
        "Times the records of a stream came to look otherwise.",
        &["source"],
    ),
    counter("espalier_pull_calls_total", "Calls to read lists.", &["source", "status"]),
    counter("espalier_pull_records_total", "Records of lists by what became of them.", &["source", "stream", "result"]),
    gauge(
        "espalier_quota_blocked_seconds",
        "Seconds until the vendor lets us come again; 0 when it does.",
        &["account", "family", "window_seconds"],
    ),
    gauge("espalier_quota_calls", "Calls of a window that are ours.", &["account", "family", "window_seconds"]),
    gauge(
        "espalier_quota_left",
        "Calls of a window that the vendor last said are left for everybody.",
        &["account", "family", "window_seconds"],
    ),
    gauge(
        "espalier_quota_used",
        "Those that left and count now; 0 for windows below 5 seconds.",
        &["account", "family", "window_seconds"],
    ),
    gauge("espalier_ready", "1 when events are taken and decided.", &[]),
    gauge("espalier_set_aside_messages", "Messages set aside as unreadable.", &[]),
    gauge("espalier_source_every_seconds", "How often a list is read.", &["source", "list"]),
    gauge("espalier_source_failures", "Times in a row that a list could not be read.", &["source", "list"]),
    gauge("espalier_source_lag_seconds", "How long ago that is up to which a list is read.", &["source", "list"]),
    gauge(
        "espalier_source_quiet",
        "1 while improbably little comes of a source, or of a list of it.",
        &["source", "list"],
    ),
    gauge("espalier_source_refused", "1 while the vendor does not let us read a list.", &["source", "list"]),
    counter("espalier_spans_total", "Spans by what became of them, in builds with traces.", &["result"]),
    counter("espalier_store_rebuilds_total", "Times the state was made again from the journal.", &[]),
    counter("espalier_store_reopened_total", "Times the state was opened again after an error of the disk.", &[]),
    counter("espalier_store_retries_total", "Steps that PostgreSQL had cut and that were made again.", &[]),
    counter(
        "espalier_subscriptions_changed_total",
        "Subscriptions created, enabled and removed.",
        &["source", "change"],
    ),
    counter("espalier_subscriptions_lost_total", "Subscriptions to webhooks that were gone.", &["source"]),
    gauge("espalier_subscriptions_missing", "Topics that have no subscription at work.", &["source"]),
    gauge("espalier_trigger_calls_needed", "Calls that a trigger's waiting activations need.", &["lane", "trigger"]),
    gauge("espalier_trigger_calls_today", "Calls of today that a trigger's activations took.", &["lane", "trigger"]),
    counter("espalier_trigger_edges_total", "Edges of triggers by what became of them.", &["trigger", "verdict"]),
    gauge("espalier_trigger_guarded", "1 while a trigger has paused itself.", &["trigger"]),
    counter("espalier_trigger_guarded_total", "Times a trigger paused itself.", &["trigger"]),
    gauge("espalier_trigger_live", "0 while the trigger is paused, by somebody or by itself.", &["trigger"]),
    counter("espalier_trigger_reloads_total", "Times the trigger files were read again.", &["result"]),
    gauge("espalier_troubles", "What the page says is wrong, by kind.", &["kind"]),
    Described { name: CALL_SECONDS, sort: Sort::Histogram, help: "Time to a vendor's answer.", labels: &["lane"] },
    counter("espalier_vendor_calls_total", "Calls to send.", &["lane", "family", "status"]),
];

/// Tells the recorder what each means.
pub fn describe() {
    for Described { name, sort, help, .. } in METRICS {
        match sort {
            Sort::Counter => metrics::describe_counter!(*name, *help),
            Sort::Gauge => metrics::describe_gauge!(*name, *help),
            Sort::Histogram => metrics::describe_histogram!(*name, *help),
        }
    }
}
