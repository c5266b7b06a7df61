//! Real purchases through import and the lapsed-customer trigger, against a computation done apart from the engine.

mod cdnow;
mod example;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use cdnow::{day, sample};
use example::espalier;

#[test]
fn lapsed_customers_are_those_that_a_plain_computation_finds() {
    let Some((file, text)) = sample() else { return };
    // Apart from the engine: a gap of 90 days and more between purchases, or after the last, is one lapse each.
    let mut days: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        days.entry(columns[0]).or_default().insert(day(columns[2]));
    }
    let end = day("19990101");
    let mut wanted: BTreeSet<(String, i64)> = BTreeSet::new();
    for (customer, days) in &days {
        let days: Vec<i64> = days.iter().copied().chain([i64::MAX]).collect();
        for pair in days.windows(2) {
            // Bought again on the very day: events come before timers, so it is no lapse.
            if pair[1] > pair[0] + 90 && pair[0] + 90 <= end {
                wanted.insert(((*customer).to_owned(), pair[0] + 90));
            }
        }
    }
    assert_eq!(days.len(), 2_357);

    let folder = tempfile::tempdir().expect("a folder");
    let lines: String = text
        .lines()
        .enumerate()
        .map(|(n, line)| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (y, m, d) = (&columns[2][0..4], &columns[2][4..6], &columns[2][6..8]);
            format!(
                "{{\"type\":\"track\",\"event\":\"Order Completed\",\"messageId\":\"{n}\",\"userId\":\"{}\",\"timestamp\":\"{y}-{m}-{d}T00:00:00Z\",\"properties\":{{\"value\":{}}}}}\n",
                columns[0], columns[4]
            )
        })
        .collect();
    std::fs::write(folder.path().join("events.jsonl"), lines).expect("the events");
    let triggers = concat!(env!("CARGO_MANIFEST_DIR"), "/config/triggers");
    let out = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args([
            "simulate",
            "--triggers",
            triggers,
            "--trigger",
            "lapsed-customer",
            "--until",
            "1999-01-01T00:00:00Z",
            "--events",
        ])
        .arg(folder.path().join("events.jsonl"))
        .output()
        .expect("the program");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let mut found = BTreeSet::new();
    for line in String::from_utf8_lossy(&out.stdout).lines() {
        let fire: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        let at = fire["at"].as_str().expect("an instant");
        assert!(at.ends_with("T00:00:00.000Z"), "{at}");
        found.insert((
            fire["person"]["user_id"].as_str().expect("a customer").to_owned(),
            day(&at[..10].replace('-', "")),
        ));
    }
    assert_eq!(found, wanted);

    // The example mapping reads every row of the file itself, and a second run takes nothing.
    let config = example::copy(folder.path());
    let file = file.display().to_string();
    let import = || espalier(&config, &["import", &file, "--mapping", "cdnow"]);
    let first = import();
    assert!(first.contains("6919 rows taken, 0 could not be read") && first.contains("2357 people known"), "{first}");
    assert!(import().contains("0 rows taken"));
}
