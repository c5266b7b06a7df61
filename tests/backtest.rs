//! `backtest` over a store: against a computation done apart from it, and through a daemon that runs.

mod cdnow;
mod example;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cdnow::{day, sample};
use example::espalier;
use serde_json::{Value, json};
use support::{client, eventually, shop};

/// The same with an hour more, which is the same day.
const FORMER: &str = "name = \"any\"\nwhen = { last = \"Order Completed\", over = \"2161h\" }\n\
                      [[activate]]\ndestination = \"klaviyo\"\nevent = \"Lapsed\"\n";

#[test]
fn lapsed_customers_are_those_that_a_plain_computation_finds() {
    let Some((file, text)) = sample() else { return };
    let mut days: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for line in text.lines() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        days.entry(columns[0]).or_default().insert(day(columns[2]));
    }
    let end = days.values().flatten().copied().max().expect("an order");
    // 90 days after an order, unless they ordered by then.
    let of = |days: &BTreeSet<i64>| {
        let lapsed = |day: &&i64| **day + 90 <= end && days.range(**day + 1..=**day + 90).next().is_none();
        days.iter().filter(lapsed).map(|day| day + 90).collect::<Vec<i64>>()
    };
    let fires: Vec<Vec<i64>> = days.values().map(of).collect();
    let mut by_day: BTreeMap<i64, u64> = BTreeMap::new();
    fires.iter().flatten().for_each(|day| *by_day.entry(*day).or_default() += 1);
    let busiest = by_day.values().copied().max().expect("a fire");
    let total: u64 = by_day.values().sum();
    let hit = fires.iter().filter(|fires| !fires.is_empty()).count();

    let folder = tempfile::tempdir().expect("a folder");
    let config = example::copy(folder.path());
    let former = folder.path().join("former.toml");
    std::fs::write(&former, FORMER).expect("the former version");
    espalier(&config, &["import", file.to_str().expect("a path"), "--mapping", "cdnow"]);

    let against = ["--against", former.to_str().expect("a path")];
    let json = espalier(&config, &[&["backtest", "lapsed-customer", "--format", "json"], &against[..]].concat());
    let found: Value = serde_json::from_str(&json).expect("JSON");
    let tested = &found["triggers"][0];
    assert_eq!((&found["people"], &found["is_whole"]), (&json!(days.len()), &json!(true)));
    assert_eq!((&tested["fires"], &tested["people"]), (&json!(total), &json!(hit)));
    assert_eq!(tested["conditions"][0]["people"], hit, "the one condition there is");
    assert_eq!(tested["verdicts"], json!({ "activated": total }));
    let series: Vec<u64> = tested["days"]
        .as_array()
        .expect("a series")
        .iter()
        .map(|day| day["fires"].as_u64().expect("a number"))
        .collect();
    let first = days.values().flatten().copied().min().expect("an order");
    assert_eq!(series, (first..=end).map(|day| by_day.get(&day).copied().unwrap_or(0)).collect::<Vec<_>>());
    // On the last day the former version had not yet come so far.
    let on_the_last = by_day.get(&end).copied().unwrap_or(0);
    assert_eq!(tested["against"]["both"]["fires"], total - on_the_last);
    assert_eq!(tested["against"]["only_new"]["fires"], on_the_last);
    assert_eq!(tested["against"]["only_old"]["fires"], 0);
    let marketo = found["quota"].as_array().expect("a list").iter().find(|one| one["destination"] == "marketo");
    let marketo = marketo.expect("a destination of the trigger");
    assert_eq!((&marketo["records"], &marketo["calls"]["single"]), (&json!(total), &json!(2 * total)));
    assert_eq!(marketo["busiest_day"]["batched"], 2 * busiest.div_ceil(300));

    let since = espalier(&config, &["backtest", "lapsed-customer", "--since", "30d", "--format", "json"]);
    let since: Value = serde_json::from_str(&since).expect("JSON");
    let late: u64 = by_day.range(end - 30..).map(|(_, n)| n).sum();
    assert_eq!(since["triggers"][0]["fires"], late);
    assert_eq!(since["triggers"][0]["days"].as_array().map(Vec::len), Some(31));

    let table = espalier(&config, &["backtest"]);
    assert!(
        table.contains("lapsed-customer") && table.contains("cart-abandoned") && table.contains("marketo"),
        "{table}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_daemon_is_asked() {
    let added = shop::trigger("added", "title = \"Something was added\"\n", "Product Added", "Added");
    let (folder, _sandbox, daemon) = shop::open(&[("added", &added)]).await;
    let message = |n: u32| {
        let event = if n.is_multiple_of(4) { "Product Viewed" } else { "Product Added" };
        json!({ "type": "track", "event": event, "messageId": n.to_string(), "userId": format!("u{n}") })
    };
    let batch: Vec<Value> = (0..40).map(message).collect();
    assert_eq!(daemon.post(&client(), "/v1/batch", json!({ "batch": batch }).to_string()).await, Some(200));
    eventually("all are decided", Duration::from_secs(30), async || daemon.metric("espalier_people").await == Some(40))
        .await;

    let run =
        |args: &[&str]| support::command(folder.path(), &[&["backtest"], args].concat()).output().expect("the program");
    let ended = run(&["added", "--format", "json"]);
    let found: Value = serde_json::from_slice(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!((&found["people"], &found["triggers"][0]["fires"]), (&json!(40), &json!(30)));
    assert_eq!(found["triggers"][0]["share_of_people"], 0.75);

    // A former version's mistakes are told by the daemon with the file's name.
    let former = folder.path().join("former.toml");
    std::fs::write(&former, added.replace("did =", "dit =")).expect("a former version");
    let ended = run(&["added", "--against", former.to_str().expect("a path")]);
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains("former.toml:5:7: when.all[0].dit: is not a condition"), "{told}");
    let ended = run(&["nothing"]);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("there is no trigger `nothing`"), "{ended:?}");

    let page = daemon.page("/triggers/added/backtest").await.text().await.expect("a page");
    assert!(page.contains("30 fires for 30 people (75.0 %)") && page.contains("<rect"), "{page}");
    assert!(!page.contains("u1"), "nobody is named: {page}");
}
