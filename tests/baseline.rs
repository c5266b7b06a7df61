//! Real purchases through import and `baseline`, against a computation done apart from it.

mod cdnow;
mod example;

use std::collections::BTreeMap;

use cdnow::{day, sample};
use example::espalier;

#[test]
fn days_between_orders_are_those_that_a_plain_computation_finds() {
    let Some((file, text)) = sample() else { return };
    let mut days: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        days.entry(columns[0]).or_default().push(day(columns[2]));
    }
    let (mut gaps, mut people, mut hit) = (Vec::new(), 0, 0);
    for days in days.values_mut() {
        days.sort_unstable();
        people += i32::from(days.len() > 1);
        hit += i32::from(days.windows(2).any(|pair| pair[1] - pair[0] >= 90));
        gaps.extend(days.windows(2).map(|pair| pair[1] - pair[0]));
    }
    gaps.sort_unstable();
    // The least gap that a share of all gaps does not exceed, found by counting.
    let quantile = |percent: usize| {
        let reaches = |gap: &&i64| gaps.iter().filter(|other| other <= gap).count() * 100 >= percent * gaps.len();
        *gaps.iter().find(reaches).expect("the greatest does") as f64
    };
    let wanted: Vec<f64> = [0, 10, 25, 50, 75, 90, 95, 99, 100].map(quantile).to_vec();

    let folder = tempfile::tempdir().expect("a folder");
    let config = example::copy(folder.path());
    espalier(&config, &["import", file.to_str().expect("a path"), "--mapping", "cdnow"]);

    let json = espalier(&config, &["baseline", "--json", "--threshold", "days-between-orders=90"]);
    let found: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let of_all = |list: &str| {
        let rows = found[list].as_array().expect("a list");
        let wanted = |row: &&serde_json::Value| row["metric"] == "days-between-orders" && row["cohort"] == "all";
        rows.iter().find(wanted).expect("a row of everybody").clone()
    };
    let distribution = of_all("distributions");
    assert_eq!(distribution["cases"], gaps.len());
    assert_eq!(distribution["people"], people);
    assert_eq!(distribution["quantiles"], serde_json::json!(wanted));
    let threshold = of_all("thresholds");
    assert_eq!(threshold["people"], hit);
    assert_eq!(threshold["cases"], gaps.iter().filter(|gap| **gap >= 90).count());

    let table = espalier(&config, &["baseline", "--since", "90d", "--threshold", "days-between-orders=90"]);
    assert!(table.contains("days-between-orders") && table.contains("days-between-orders = 90"), "{table}");
}
