//! Each kind of what is wrong arises from the figures that should make it, and not from those just short of them.

use std::collections::BTreeMap;

use super::super::health::{
    EngineHealth, HooksHealth, JournalHealth, LaneHealth, NightHealth, PoolHealth, QuietHealth, SourceHealth,
    StreamHealth, TriggerHealth,
};
use super::super::quota::QueueHealth;
use super::super::triggers::Liveness;
use super::super::wrong::troubles;
use super::*;
use crate::alerts::Failing;
use crate::delivery::Hold;
use crate::model::Timestamp;
use crate::ops::store::{BackupFailed, BackupHealth};
use crate::plan::Drift;
use crate::quota::Outlook;
use crate::reconcile::Running;

const HOUR: i64 = 3_600_000;

fn now() -> Timestamp {
    Timestamp::from_millis(1_796_000_000_000)
}

fn ago(span: Span) -> Timestamp {
    now() - span
}

/// A look, its budgets, and the receivers that cannot be told.
struct Seen {
    health: Health,
    quota: QuotaHealth,
    failing: BTreeMap<String, Failing>,
}

/// One of each, and nothing wrong with any.
fn well() -> Seen {
    let lane = LaneHealth {
        name: "esp".into(),
        kind: "klaviyo".into(),
        state: "idle".into(),
        held: None,
        since: now(),
        until: None,
        queued: 0,
        deferred: 0,
        dead: 0,
        backlog_age_ms: 0,
        last_success: None,
        last_error: None,
        outcomes: BTreeMap::new(),
    };
    let stream = StreamHealth {
        source: "shop".into(),
        stream: "orders".into(),
        state: "in sync".into(),
        since: None,
        until: None,
        failures: 0,
        is_refused: false,
        is_elsewhere: false,
        quiet: None,
        lag_ms: 60_000,
        every_ms: 60_000,
        past_ms: None,
        last_success: None,
        last_error: None,
        pages: 0,
        records: 0,
        events: 0,
        products: 0,
        set_aside: 0,
        set_aside_at: None,
        skew_ms: 0,
    };
    let hooks = HooksHealth {
        source: "shop".into(),
        address: "https://in.example".into(),
        state: "complete".into(),
        is_held: false,
        wanted: 1,
        standing: 1,
        looked: Some(now()),
        missing: BTreeMap::new(),
        lost: BTreeMap::new(),
    };
    let liveness = Liveness {
        name: "form".into(),
        state: "live".into(),
        since: None,
        policy: None,
        held: 0,
        this_hour: 0,
        usual: None,
        limit: None,
    };
    let health = Health {
        version: "1",
        commit: None,
        schema: 1,
        at: now(),
        began: now(),
        demands: 0,
        is_ready: true,
        troubles: Vec::new(),
        journal: JournalHealth {
            accepted: 0,
            decided: 0,
            backlog: 0,
            backlog_age_ms: 0,
            people: 0,
            set_aside: 0,
            journal_bytes: 0,
            free_bytes: Some(1 << 30),
            next_timer: None,
        },
        engine: EngineHealth { doing: "idle".into(), refused: None, since: now() },
        lanes: vec![lane],
        pools: vec![PoolHealth { name: "cool".into(), left: 11, low: Some(10) }],
        sources: vec![SourceHealth { name: "shop".into(), kind: "connector".into(), quiet: None }],
        streams: vec![stream],
        subscriptions: vec![hooks],
        drift: vec![Drift { account: "esp".into(), at: now(), to_do: Some(0), words: "nothing".into() }],
        night: NightHealth { running: None, next: Some(now()), last: None, findings: Vec::new() },
        backup: None,
        cluster: None,
        away: None,
        triggers: vec![TriggerHealth {
            name: "form".into(),
            title: String::new(),
            rule: Vec::new(),
            destinations: Vec::new(),
            liveness,
        }],
    };
    let outlook =
        Outlook { account: "esp".into(), queued: 0, calls: BTreeMap::new(), ends: None, triggers: Vec::new() };
    let lanes = vec![QueueHealth { lane: "esp".into(), outlook, words: Vec::new() }];
    Seen { health, quota: QuotaHealth { at: now(), accounts: Vec::new(), lanes }, failing: BTreeMap::new() }
}

fn quiet() -> Option<QuietHealth> {
    Some(QuietHealth { since: now(), came: 0, usual: 40 })
}

fn hold(seen: &mut Seen, hold: Hold) {
    seen.health.lanes[0].held = Some(hold);
}

fn list(seen: &mut Seen) -> &mut StreamHealth {
    &mut seen.health.streams[0]
}

/// It failed so often, and waits to try again.
fn failed(seen: &mut Seen, times: u32) {
    (list(seen).failures, list(seen).until) = (times, Some(now()));
}

type Change = fn(&mut Seen);

/// Of each kind: what makes it, about what, and what is just short of it.
const TABLE: [(TroubleKind, Change, &str, Change); 34] = [
    (TroubleKind::EngineWaits, |s| s.health.engine.refused = Some("full".into()), "the engine", |_| {}),
    (TroubleKind::EngineWaits, |s| s.health.away = Some("no connection".into()), "the database", |_| {}),
    (
        TroubleKind::DiskLow,
        |s| s.health.journal.free_bytes = Some((1 << 30) - 1),
        "the disk",
        |s| s.health.journal.free_bytes = None,
    ),
    (TroubleKind::BreakerOpen, |s| hold(s, Hold::Breaker), "lane esp", |s| s.health.lanes[0].queued = 9),
    (TroubleKind::CredentialsRefused, |s| hold(s, Hold::Credentials), "lane esp", |_| {}),
    (
        TroubleKind::CredentialsRefused,
        |s| {
            failed(s, 9);
            list(s).is_refused = true;
        },
        "source shop, orders",
        |_| {},
    ),
    (TroubleKind::QuotaSpent, |s| hold(s, Hold::Quota), "lane esp", |_| {}),
    (TroubleKind::QuotaSpent, |s| list(s).until = Some(now()), "source shop, orders", |_| {}),
    (
        TroubleKind::QuotaForecast,
        |s| s.quota.lanes[0].outlook.ends = Some(now() + Span::from_millis(12 * HOUR + 1)),
        "lane esp",
        |s| s.quota.lanes[0].outlook.ends = Some(now() + Span::from_hours(12)),
    ),
    (TroubleKind::LaneHeld, |s| hold(s, Hold::Configuration), "lane esp", |_| {}),
    (TroubleKind::LaneHeld, |s| hold(s, Hold::Looking), "lane esp", |_| {}),
    (
        TroubleKind::BacklogAge,
        |s| s.health.lanes[0].backlog_age_ms = HOUR + 1,
        "lane esp",
        |s| s.health.lanes[0].backlog_age_ms = HOUR,
    ),
    (
        TroubleKind::BacklogAge,
        |s| s.health.journal.backlog_age_ms = HOUR + 1,
        "the journal",
        |s| s.health.journal.backlog_age_ms = HOUR,
    ),
    (TroubleKind::DeadLetters, |s| s.health.lanes[0].dead = 1, "lane esp", |s| s.health.lanes[0].deferred = 1),
    (TroubleKind::SyncFailed, |s| failed(s, 3), "source shop, orders", |s| failed(s, 2)),
    (
        TroubleKind::LagOver,
        |s| list(s).lag_ms = HOUR + 60_001,
        "source shop, orders",
        |s| list(s).lag_ms = HOUR + 60_000,
    ),
    (
        // Read once an hour, and late by more than another.
        TroubleKind::LagOver,
        |s| (list(s).lag_ms, list(s).every_ms) = (2 * HOUR + 1, HOUR),
        "source shop, orders",
        |s| (list(s).lag_ms, list(s).every_ms) = (2 * HOUR, HOUR),
    ),
    (
        TroubleKind::SetAside,
        |s| (list(s).set_aside, list(s).set_aside_at) = (2, Some(ago(Span::from_hours(23)))),
        "source shop, orders",
        |s| (list(s).set_aside, list(s).set_aside_at) = (2, Some(ago(Span::DAY))),
    ),
    (TroubleKind::Silence, |s| s.health.sources[0].quiet = quiet(), "source shop", |_| {}),
    (TroubleKind::Silence, |s| list(s).quiet = quiet(), "source shop, orders", |_| {}),
    (TroubleKind::ClockSkew, |s| list(s).skew_ms = 60_001, "source shop, orders", |s| list(s).skew_ms = 60_000),
    (TroubleKind::ClockSkew, |s| list(s).skew_ms = -60_001, "source shop, orders", |s| list(s).skew_ms = -60_000),
    (
        TroubleKind::SubscriptionsUnseen,
        |s| s.health.subscriptions[0].is_held = true,
        "source shop, webhooks",
        |s| s.health.subscriptions[0].looked = None,
    ),
    (
        TroubleKind::SubscriptionMissing,
        |s| s.health.subscriptions[0].missing = BTreeMap::from([("orders".into(), "refused".into())]),
        "source shop",
        |s| s.health.subscriptions[0].standing = 0,
    ),
    (
        TroubleKind::SubscriptionLost,
        |s| s.health.subscriptions[0].lost = BTreeMap::from([("orders".into(), ago(Span::from_hours(23)))]),
        "source shop",
        |s| s.health.subscriptions[0].lost = BTreeMap::from([("orders".into(), ago(Span::DAY))]),
    ),
    (TroubleKind::DemandsOpen, |s| s.health.demands = 1, "people", |_| {}),
    (TroubleKind::AccountDrift, |s| s.health.drift[0].to_do = Some(1), "account esp", |_| {}),
    (TroubleKind::AccountDrift, |s| s.health.drift[0].to_do = None, "account esp", |s| s.health.drift.clear()),
    (
        TroubleKind::RateGuard,
        |s| s.health.triggers[0].liveness.state = "guarded".into(),
        "trigger form",
        |s| s.health.triggers[0].liveness.state = "paused".into(),
    ),
    (TroubleKind::CodesLow, |s| s.health.pools[0].left = 10, "pool cool", |s| s.health.pools[0].low = None),
    (
        TroubleKind::NightMissing,
        |s| {
            let of = ago(Span::from_millis(7 * HOUR + 1));
            s.health.night.running = Some(Running { of, doing: "reading".into(), read: 0, lists: 1 });
        },
        "the night",
        |s| s.health.night.next = Some(ago(Span::from_hours(7))),
    ),
    (
        TroubleKind::BackupFailed,
        |s| {
            let failed = BackupFailed { since: now(), words: "no room".into() };
            s.health.backup = Some(BackupHealth { last: None, failed: Some(failed) });
        },
        "the backup",
        |s| s.health.backup = Some(BackupHealth::default()),
    ),
    (TroubleKind::NightDiffers, |s| s.health.night.findings = vec!["one".into()], "the night", |_| {}),
    (
        TroubleKind::ReceiverFailing,
        |s| {
            let failing = Failing { since: now(), tries: 1, words: "no connection".into(), not_before: now() };
            s.failing.insert("chat".into(), failing);
        },
        "receiver chat",
        |_| {},
    ),
];

/// What is found by the usual marks.
fn found(change: Change) -> Vec<Key> {
    let (mut seen, settings) = (well(), Settings::default());
    change(&mut seen);
    seen.health.troubles = troubles(&seen.health, &seen.failing, &settings);
    findings(&seen.health, &seen.quota, &settings).into_iter().map(|one| one.key).collect()
}

#[test]
fn each_kind_arises_from_its_figures_and_from_no_others() {
    for (n, (kind, is_so, of, is_not)) in TABLE.into_iter().enumerate() {
        assert_eq!(found(is_so), [Key { kind, of: of.into() }], "row {n}");
        assert_eq!(found(is_not), [], "row {n}, {}", kind.word());
    }
    let rows = |kind| TABLE.iter().filter(|row| row.0 == kind).count();
    assert!(TroubleKind::ALL.into_iter().all(|kind| rows(kind) > 0), "a kind has no row");
}

#[test]
fn marks_are_those_that_are_set() {
    let rules = "rule.dead_letters.times = 3\nrule.lag_over.over = \"2h\"\nrule.disk_low.below = \"2 GB\"";
    let settings: Settings = toml::from_str(rules).expect("settings");
    let mut seen = well();
    (seen.health.lanes[0].dead, list(&mut seen).lag_ms) = (2, 2 * HOUR + 60_000);
    seen.health.troubles = troubles(&seen.health, &seen.failing, &settings);
    let of = |seen: &Seen| findings(&seen.health, &seen.quota, &settings);
    assert_eq!(of(&seen).into_iter().map(|one| one.key.kind).collect::<Vec<_>>(), [TroubleKind::DiskLow]);
    (seen.health.lanes[0].dead, list(&mut seen).lag_ms) = (3, 2 * HOUR + 60_001);
    let values: Vec<_> = of(&seen).into_iter().map(|one| (one.key.kind.word(), one.value)).collect();
    assert_eq!(values, [("disk_low", None), ("dead_letters", Some(3.0)), ("lag_over", Some(7_260.001))]);
}

/// Two topics of one source are one finding, of both words.
#[test]
fn what_is_about_the_same_is_found_once() {
    let mut seen = well();
    for topic in ["orders", "products"] {
        seen.health.subscriptions[0].missing.insert(topic.into(), "refused".into());
    }
    seen.health.troubles = troubles(&seen.health, &seen.failing, &Settings::default());
    let [one] = findings(&seen.health, &seen.quota, &Settings::default()).try_into().expect("one finding");
    assert_eq!(one.words, "nothing is subscribed to orders: refused; nothing is subscribed to products: refused");
}
