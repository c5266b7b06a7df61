//! What activations will cost of an account's budget.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::destination::Destination;
use crate::model::Span;
use crate::model::http::Name;

/// Calls, as the least and the most that they can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Calls {
    /// When all records of a day go together, in batches as large as the vendor takes.
    pub batched: u64,
    /// When every record goes by itself, as soon as it is there.
    pub single: u64,
}

/// What so many records need.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Need {
    /// The vendor.
    pub kind: &'static str,
    /// Records in all.
    pub records: u64,
    /// Records that one batch usually holds.
    pub batch: u64,
    /// Calls in all.
    pub calls: Calls,
    /// Calls on the day that has the most records.
    pub busiest_day: Calls,
    /// What the account's windows let through in a day, by the family of calls. Empty: nothing is limited.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub allowed_a_day: BTreeMap<Name, u64>,
}

/// Of records by day. Retries, refusals and what other tools take are not in it.
pub fn need(destination: &dyn Destination, by_day: &[u64]) -> Need {
    let batch = destination.limits().records.max(1) as u64;
    let calls = |records: u64| {
        let of = |records: u64| destination.calls(usize::try_from(records).unwrap_or(usize::MAX)) as u64;
        Calls { batched: records / batch * of(batch) + of(records % batch), single: records.saturating_mul(of(1)) }
    };
    let each: Vec<Calls> = by_day.iter().map(|records| calls(*records)).collect();
    let mut allowed: BTreeMap<Name, u64> = BTreeMap::new();
    for window in destination.windows() {
        let windows = (Span::DAY.as_millis() / window.span.as_millis().max(1)).max(1);
        let a_day = u64::from(window.ours()).saturating_mul(windows.unsigned_abs());
        let family = window.family;
        let least = allowed.entry(family).or_insert(a_day);
        *least = a_day.min(*least);
    }
    Need {
        kind: destination.kind(),
        records: by_day.iter().sum(),
        batch,
        calls: each
            .iter()
            .fold(Calls::default(), |a, b| Calls { batched: a.batched + b.batched, single: a.single + b.single }),
        busiest_day: calls(by_day.iter().copied().max().unwrap_or(0)),
        allowed_a_day: allowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::destination::Settings;

    #[track_caller]
    fn check(settings: &str, by_day: &[u64], calls: (u64, u64), busiest: (u64, u64), allowed: &[(&'static str, u64)]) {
        let settings: Settings = serde_json::from_str(settings).expect("settings");
        let need = need(&*settings.build("one"), by_day);
        assert_eq!((need.calls.batched, need.calls.single), calls);
        assert_eq!((need.busiest_day.batched, need.busiest_day.single), busiest);
        assert_eq!(need.allowed_a_day, allowed.iter().map(|(family, n)| ((*family).into(), *n)).collect());
    }

    #[test]
    fn batches_and_windows_are_the_destinations_own() {
        // A batch of 1,000, then 49 by themselves; 50 go in bulk.
        let klaviyo = r#"{"kind":"klaviyo","api_key":"k","share":1.0}"#;
        let (slow, many) = (150 * 1_440, 700 * 1_440);
        let sent = [("bulk", slow), ("events", 3_500 * 1_440), ("jobs", slow), ("lists", slow), ("profiles", many)];
        let passed_on = [("consent", many), ("privacy", 60 * 1_440)];
        let looked_at = [("flows", 60 * 1_440), ("looks", many), ("metrics", slow), ("read-events", 3_500 * 1_440)];
        let allowed = [&sent[..], &passed_on, &looked_at].concat();
        check(klaviyo, &[1_049, 50], (1 + 49 + 1, 1_099), (50, 1_049), &allowed);
        let hubspot = r#"{"kind":"hubspot","token":"t","hub_id":1}"#;
        check(hubspot, &[101, 0], (3, 202), (3, 202), &[("crm", 212_500), ("send", 1_062 * 86_400)]);
        let marketo = r#"{"kind":"marketo","base_url":"https://x.example","client_id":"i","client_secret":"s",
            "activity_type":1}"#;
        check(marketo, &[300, 301], (2 + 4, 1_202), (4, 602), &[("rest", 25_000)]);
    }
}
