//! What a lane's queue costs of its account's calls, by trigger, and when it is through.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use super::ledger::WindowUse;
use crate::destination::Destination;
use crate::model::{Priority, Span, Timestamp};

/// One trigger's part of a queue.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Which.
    pub trigger: Arc<str>,
    /// Activations of it that wait.
    pub queued: u64,
    /// Higher goes first.
    pub priority: Priority,
    /// Calls of today that were made for it.
    pub spent: f64,
}

/// What a trigger's part of a queue costs.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Cost {
    /// Which.
    pub trigger: String,
    /// Activations of it that wait.
    pub queued: u64,
    /// Calls that they need.
    pub calls: f64,
    /// Calls of today that were made for it, since the daemon began at the earliest.
    pub spent: f64,
    /// The part of a day's calls that they need, of the family that has the fewest; none where nothing is limited.
    pub of_a_day: Option<f64>,
    /// When the last of them leaves, at the rate that is allowed; none where nothing waits or nothing is limited.
    pub ends: Option<Timestamp>,
}

/// What a queue costs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Outlook {
    /// The account's name.
    pub account: String,
    /// Activations that wait.
    pub queued: u64,
    /// Calls that they need, by family, in batches as large as the vendor takes.
    pub calls: BTreeMap<String, u64>,
    /// When the last of them leaves; none where nothing waits or nothing is limited.
    pub ends: Option<Timestamp>,
    /// By trigger, in the order in which they leave.
    pub triggers: Vec<Cost>,
}

/// Of a queue with these parts. Retries, refusals and what comes meanwhile are not in it, nor what waits for a time.
pub fn outlook(
    destination: &dyn Destination,
    account: &str,
    windows: &[WindowUse],
    mut parts: Vec<Part>,
    now: Timestamp,
) -> Outlook {
    let queued: u64 = parts.iter().map(|part| part.queued).sum();
    let calls = calls(destination, queued);
    // Triggers share batches: each has its part of them.
    let each = |family: &str| calls.get(family).copied().unwrap_or(0) as f64 / queued.max(1) as f64;
    let families: Vec<(&str, f64)> = calls.keys().map(|family| (family.as_str(), each(family))).collect();
    let ends = |records: f64| {
        let through = families.iter().filter_map(|(family, each)| through(windows, family, each * records, now));
        through.max()
    };
    parts.sort_by(|a, b| b.priority.cmp(&a.priority).then_with(|| a.trigger.cmp(&b.trigger)));
    let mut before = 0.0;
    let triggers = parts.iter().map(|part| {
        let records = part.queued as f64;
        before += records;
        let of_a_day = families.iter().filter_map(|(family, each)| Some(each * records / a_day(windows, family)?));
        Cost {
            trigger: part.trigger.to_string(),
            queued: part.queued,
            // A sum of nothing would be -0.
            calls: families.iter().map(|(_, each)| each * records).fold(0.0, |sum, one| sum + one),
            spent: part.spent,
            of_a_day: of_a_day.reduce(f64::max),
            ends: (part.queued > 0).then(|| ends(before)).flatten(),
        }
    });
    let triggers = triggers.collect();
    let ends = (queued > 0).then(|| ends(queued as f64)).flatten();
    Outlook { account: account.to_owned(), queued, calls, ends, triggers }
}

/// Calls of so many records, by family.
fn calls(destination: &dyn Destination, records: u64) -> BTreeMap<String, u64> {
    let batch = destination.limits().records.max(1) as u64;
    let mut calls = BTreeMap::new();
    for (times, records) in [(records / batch, batch), (1, records % batch)] {
        for (family, each) in destination.calls_by_family(usize::try_from(records).unwrap_or(usize::MAX)) {
            *calls.entry(family.to_owned()).or_default() += times.saturating_mul(each as u64);
        }
    }
    calls.retain(|_, calls| *calls > 0);
    calls
}

fn of_family<'a>(windows: &'a [WindowUse], family: &str) -> impl Iterator<Item = &'a WindowUse> {
    windows.iter().filter(move |window| window.family == family)
}

/// Calls of a family that are ours in a day.
fn a_day(windows: &[WindowUse], family: &str) -> Option<f64> {
    let day = Span::DAY.as_millis() as f64;
    let each = of_family(windows, family).map(|one| f64::from(one.ours) * day / one.span_ms.max(1) as f64);
    each.reduce(f64::min)
}

/// When so many calls of a family have left.
fn through(windows: &[WindowUse], family: &str, calls: f64, now: Timestamp) -> Option<Timestamp> {
    let blocked = of_family(windows, family).filter_map(|one| one.blocked_until).max();
    let begins = blocked.map_or(now, |until| until.max(now));
    let after = |at: Timestamp, ms: f64| at + Span::from_millis(ms.min(1e15) as i64);
    // Milliseconds of a call, by the pace alone.
    let paced = of_family(windows, family).filter(|one| !one.is_day);
    let each = paced.map(|one| one.span_ms as f64 / f64::from(one.ours.max(1))).reduce(f64::max);
    let mut ends = each.map(|each| after(begins, calls * each));
    for day in of_family(windows, family).filter(|one| one.is_day) {
        let ours = f64::from(day.ours.max(1));
        let own = day.ours.saturating_sub(day.used.unwrap_or(0));
        let today = f64::from(day.left.map_or(own, |left| left.min(own)));
        let at = match day.resets {
            Some(resets) if calls > today => {
                let rest = calls - today;
                let days = (rest / ours).ceil() - 1.0;
                after(resets, days * day.span_ms as f64 + (rest - days * ours) * each.unwrap_or(0.0))
            }
            _ => begins,
        };
        ends = Some(ends.map_or(at, |other| other.max(at)));
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::VirtualClock;
    use crate::destination::Settings;
    use crate::quota::Ledger;

    #[test]
    fn a_queue_is_told_by_trigger_in_the_order_in_which_it_leaves() {
        let now = Timestamp::parse("2026-11-25T20:00:00Z").expect("an instant");
        let settings = r#"{"kind":"marketo","base_url":"https://x.example","client_id":"i","client_secret":"s",
            "activity_type":1,"share":0.5}"#;
        let settings: Settings = serde_json::from_str(settings).expect("settings");
        let destination = settings.build("one");
        let ledger = Ledger::new("one", std::sync::Arc::new(VirtualClock::new(now)));
        ledger.add(&destination.windows());
        let part = |trigger: &str, queued, priority| Part { trigger: trigger.into(), queued, priority, spent: 0.0 };
        let parts = vec![part("dormant-60d", 1_537_500, 20), part("cart", 3_000, 80), part("idle", 0, 50)];
        let told = outlook(&*destination, "one", &ledger.windows(), parts, now);
        assert_eq!(told.calls, BTreeMap::from([("rest".to_owned(), 10_270)]));
        let [cart, idle, dormant] = &told.triggers[..] else { panic!("{told:?}") };
        assert_eq!((&*cart.trigger, cart.calls.round(), idle.ends), ("cart", 20.0, None));
        // 50 in 20 seconds.
        assert_eq!(cart.ends, Some(now + Span::from_millis(8_000)));
        assert_eq!(dormant.of_a_day.map(|part| (part * 1_000.0).round()), Some(410.0));
        assert_eq!(dormant.ends, Some(now + Span::from_millis(10_270 * 400)));
        assert_eq!(told.ends, dormant.ends);
        // More than is left of the day: the rest leaves from its end on, at 06:00.
        let told = outlook(&*destination, "one", &ledger.windows(), vec![part("all", 150 * 30_000, 50)], now);
        let six = Timestamp::parse("2026-11-26T06:00:00Z").expect("an instant");
        assert_eq!(told.ends, Some(six + Span::from_millis(5_000 * 400)));
    }
}
