//! Metrics, their reference, the dashboards and Prometheus's alert rules: what is measured is described, what is described is
//! measured, and everything that is asked of Prometheus is there. By promtool, which `scripts/test` installs.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use espalier::alerts::{Kind, Mark};
use espalier::model::Span;
use espalier::ops::{METRICS, Sort};
use serde_json::{Value, json};
use support::client;
use support::world::World;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Runs it with this input: whether it ended well, and all that it said.
fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let own = root().join("target/promtool/promtool");
    let program = if own.exists() { own } else { PathBuf::from("promtool") };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool, which scripts/test installs");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("its input");
    let out = child.wait_with_output().expect("its end");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// Words that are names of metrics, in any text; parts of a histogram count as the histogram.
fn names(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_part(c)).filter(|word| word.starts_with("espalier_"));
    let whole = |word: &str| {
        let is_known = METRICS.iter().any(|one| one.name == word);
        let cut = ["_bucket", "_sum", "_count"].iter().find_map(|end| word.strip_suffix(end));
        cut.filter(|_| !is_known).unwrap_or(word).to_owned()
    };
    words.map(whole).collect()
}

fn known() -> BTreeSet<String> {
    METRICS.iter().map(|one| one.name.to_owned()).collect()
}

/// Every Rust file below a folder.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("a file of ours").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_is_measured_is_described_and_what_is_described_is_measured() {
    let mut found = Vec::new();
    files(&root().join("src"), &mut found);
    found.retain(|path| !path.ends_with("ops/metric/described.rs"));
    let text: String = found.iter().map(|path| std::fs::read_to_string(path).expect("a file")).collect();
    // A scrape leaves out what it does not set itself.
    found.retain(|path| !path.ends_with("ops/metric/mod.rs"));
    for path in &found {
        let text = std::fs::read_to_string(path).expect("a file");
        assert!(!text.contains("gauge!("), "{}: gauges are set by a scrape alone", path.display());
    }
    // Names stand in quotes: what else begins so, a cookie and a table, is none.
    let quoted = text.split('"').filter(|part| part.starts_with("espalier_") && !part.contains(char::is_whitespace));
    let mut measured: BTreeSet<String> = quoted.map(str::to_owned).collect();
    measured.remove("espalier_id");
    measured.remove("espalier_schema");
    assert_eq!(measured, known());
    let sorted: Vec<&str> = METRICS.iter().map(|one| one.name).collect();
    assert!(sorted.is_sorted(), "they are in order, so that one is found");
}

#[test]
fn names_and_labels_keep_the_conventions() {
    for one in METRICS {
        let name = one.name;
        assert_eq!(
            one.sort == Sort::Counter,
            name.ends_with("_total"),
            "{name}: counters end in _total, and only they"
        );
        for unit in ["_ms", "_millis", "_minutes", "_hours", "_days", "_kb", "_mb", "_percent"] {
            assert!(!name.ends_with(unit), "{name}: the base units are seconds and bytes");
        }
        assert!(one.help.ends_with('.') && !one.help.contains('\n'), "{name}: {}", one.help);
        for label in one.labels {
            assert!(!matches!(*label, "person" | "email" | "user" | "id" | "message"), "{name}: {label} has no bound");
        }
    }
}

/// docs/metrics.md holds this table; `UPDATE=1` writes it.
#[expect(clippy::disallowed_methods, reason = "a test is told by its environment")]
#[test]
fn the_reference_is_the_table() {
    let mut table = String::from("| metric | sort | labels | what it means |\n| --- | --- | --- | --- |\n");
    for one in METRICS {
        let labels = one.labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        table += &format!("| `{}` | {} | {labels} | {} |\n", one.name, one.sort.word(), one.help);
    }
    let text = read("docs/metrics.md");
    let (before, rest) = text.split_once("<!-- table -->\n").expect("a beginning");
    let (now, after) = rest.split_once("<!-- end of table -->\n").expect("an end");
    if std::env::var("UPDATE").is_ok() {
        let text = format!("{before}<!-- table -->\n{table}<!-- end of table -->\n{after}");
        std::fs::write(root().join("docs/metrics.md"), text).expect("the reference");
    } else {
        assert_eq!(now, table, "UPDATE=1 cargo test --test metrics");
    }
}

/// The guides speak of no metric that there is none of.
#[test]
fn guides_name_metrics_that_there_are() {
    for entry in std::fs::read_dir(root().join("docs")).expect("the guides") {
        let path = entry.expect("a guide").path();
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a guide");
        let mut wrong: BTreeSet<String> = names(&text).difference(&known()).cloned().collect();
        wrong.remove("espalier_id");
        assert!(wrong.is_empty(), "{}: {wrong:?}", path.display());
    }
}

/// The name and the labels of a line of a scrape.
fn sample(line: &str) -> (String, BTreeSet<String>) {
    let (name, rest) = line.split_once(['{', ' ']).expect("a sample");
    let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
    let keys = labels.split("\",").filter_map(|part| part.split_once('=')).map(|(key, _)| key.to_owned());
    (name.to_owned(), keys.collect())
}

/// A real scrape of a daemon that has decided and sent something.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scrape_pleases_promtool() {
    let trigger = "name = \"form\"\nper = \"form\"\nwhen = { did = \"form\" }\nactivate = [{ destination = \"esp\", event = \"form\" }]\n";
    let lane = |vendors: &str| {
        format!(
            "[destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\nbase_url = \"{vendors}/klaviyo\"\n"
        )
    };
    let mut world = World::begin(&[("form", trigger.to_owned())], lane).await;
    world.does("form", 3).await;
    world.until("all sent", Span::from_millis(100), |w| w.is_through("esp")).await;
    world.turn(Span::from_minutes(1), Span::from_secs(15)).await;
    let url = format!("http://{}/metrics", world.daemon.ops);
    let text = client().get(url).send().await.expect("an answer").text().await.expect("a scrape");
    let (is_well, said) = promtool(&["check", "metrics"], &text);
    assert!(is_well && said.trim().is_empty(), "{said}");
    assert!(text.contains("espalier_build_info{version=\""), "{text}");
    assert!(text.contains("espalier_vendor_call_duration_seconds_bucket{lane=\"esp\",le=\"+Inf\"}"), "{text}");
    assert!(text.contains("espalier_troubles{kind=\"disk_low\"}"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, labels) = sample(line);
        let name = names(&name).pop_first().expect("a name of ours");
        let one = METRICS.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{line}"));
        let bound = ["le"].into_iter().filter(|_| line.split('{').next().is_some_and(|name| name.ends_with("_bucket")));
        let wanted: BTreeSet<String> = one.labels.iter().copied().chain(bound).map(str::to_owned).collect();
        assert_eq!(labels, wanted, "{line}");
    }
    world.daemon.stop().await.expect("an end");
}

/// What was so at one scrape and is not at the next is left out of that; and scrapes beside each other are whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gauge_that_nothing_stands_behind_is_left_out() {
    let trigger = "name = \"form\"\nper = \"form\"\nexpires = \"7d\"\nwhen = { did = \"form\" }\n\
                   activate = [{ destination = \"one\", event = \"form\" }]\n";
    let lane = |vendors: &str| {
        format!(
            "[destination.one]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\nbase_url = \"{vendors}/klaviyo\"\n"
        )
    };
    let mut world = World::begin(&[("form", trigger.to_owned())], lane).await;
    let url = format!("http://{}/metrics", world.daemon.ops);
    let scrape = || async {
        let answer = client().get(&url).send().await.expect("an answer");
        answer.text().await.expect("a scrape")
    };
    world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    world.does("form", 3).await;
    let (needed, queued) =
        ("espalier_lane_calls_needed{lane=\"one\",family=\"events\"}", "espalier_lane_queued{lane=\"one\"}");
    let value = |text: &str, series: &str| {
        text.lines().find_map(|line| line.strip_prefix(series)).map(|value| value.trim().to_owned())
    };
    let waits = scrape().await;
    assert_eq!(value(&waits, queued).as_deref(), Some("3"));
    assert_eq!(value(&waits, needed).as_deref(), Some("3"), "one for each: {waits}");
    world.heal().await;
    world.until("all sent", Span::from_secs(10), |w| w.is_through("one")).await;
    for text in futures_util::future::join_all((0..20).map(|_| scrape())).await {
        assert_eq!(value(&text, queued).as_deref(), Some("0"), "{text}");
        assert_eq!(value(&text, needed), None);
    }
    world.daemon.stop().await.expect("an end");
}

const RULES: &str = "config/alerts/espalier.yml";

#[test]
fn promtool_takes_the_alert_rules_and_they_fire_as_their_tests_say() {
    let (is_well, said) = promtool(&["check", "rules", RULES], "");
    assert!(is_well, "{said}");
    let (is_well, said) = promtool(&["test", "rules", "tests/prometheus/espalier.test.yml"], "");
    assert!(is_well, "{said}");
    let tests = read("tests/prometheus/espalier.test.yml");
    for line in read(RULES).lines().filter_map(|line| line.trim().strip_prefix("- alert: ").map(str::to_owned)) {
        assert!(tests.contains(&format!("alertname: {line}\n")), "{line} has no test");
    }
}

/// The same conditions as our own alerts, with the same urgency and the same wait.
#[test]
fn the_alert_rules_are_those_of_our_own_alerts() {
    let text = read(RULES);
    let wrong: Vec<String> = names(&text).difference(&known()).cloned().collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    let mut rules: BTreeMap<&str, (&str, &str)> = BTreeMap::new();
    let mut asked: BTreeMap<&str, &str> = BTreeMap::new();
    let (mut wait, mut expression) = ("", "");
    for line in text.lines().map(str::trim) {
        if let Some(asks) = line.strip_prefix("expr: ") {
            expression = asks;
        }
        if let Some(span) = line.strip_prefix("for: ") {
            wait = span;
        }
        if let Some(labels) = line.strip_prefix("labels: { severity: ") {
            let (severity, kind) = labels.trim_end_matches(" }").split_once(", kind: ").expect("a kind");
            rules.insert(kind, (severity, wait));
            asked.insert(kind, expression);
        }
    }
    // Of these Espalier has no alert of its own.
    assert_eq!(rules.remove("absent"), Some(("critical", "5m")));
    assert_eq!(rules.remove("backup_missing"), Some(("warning", "15m")));
    for kind in Kind::ALL {
        let usual = kind.usual();
        let rule = rules.remove(kind.word());
        if usual.is_on {
            let (severity, wait) = rule.unwrap_or_else(|| panic!("{} has no rule", kind.word()));
            assert_eq!(severity, usual.severity.word(), "{}", kind.word());
            assert_eq!(wait.parse::<Span>().expect("a span"), usual.wait, "{}", kind.word());
            let mark = match usual.mark {
                Mark::None => continue,
                Mark::Times(times) => format!(">= {times}"),
                Mark::Below(size) => format!("< {}", size.0),
                Mark::Over(span) => format!("{}", span.as_millis() / 1_000),
            };
            let words: Vec<&str> = asked[kind.word()].split(' ').collect();
            let is_asked = words.windows(2).any(|two| two.join(" ") == mark || two[1] == mark);
            assert!(is_asked, "{}: {mark} is not in {}", kind.word(), asked[kind.word()]);
        } else {
            assert_eq!(rule, None, "{} is off", kind.word());
        }
    }
    assert!(rules.is_empty(), "{rules:?} are no kinds");
}

/// Every expression of a dashboard, with Grafana's variables filled in.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let filled = |target: &Value| {
        let text = target["expr"].as_str().expect("an expression");
        ["instance", "lane", "trigger", "source"]
            .iter()
            .fold(text.replace("$__rate_interval", "5m"), |text, name| text.replace(&format!("${name}"), ".*"))
    };
    targets.map(filled).collect()
}

#[test]
fn dashboards_are_whole_and_ask_for_what_there_is() {
    let mut uids = BTreeSet::new();
    for name in ["health", "delivery", "triggers"] {
        let text = read(&format!("config/dashboards/{name}.json"));
        let dashboard: Value = serde_json::from_str(&text).expect("JSON");
        assert!(dashboard["schemaVersion"].as_u64().is_some_and(|version| version >= 39), "{name}");
        assert!(dashboard["title"].is_string() && uids.insert(dashboard["uid"].to_string()), "{name}");
        assert_eq!(dashboard.get("id"), None, "{name}: an id is of one Grafana");
        let variables = dashboard["templating"]["list"].as_array().expect("variables");
        assert_eq!(
            (&variables[0]["name"], &variables[0]["type"]),
            (&"datasource".into(), &"datasource".into()),
            "{name}"
        );
        let declared: BTreeSet<&str> = variables.iter().filter_map(|one| one["name"].as_str()).collect();
        let wrong: Vec<String> = names(&text).difference(&known()).cloned().collect();
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let (mut ids, mut places) = (BTreeSet::new(), Vec::new());
        for panel in dashboard["panels"].as_array().expect("panels") {
            let title = panel["title"].as_str().expect("a title");
            assert!(ids.insert(panel["id"].to_string()), "{name}, {title}: its id is there twice");
            let at = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
            let place = (at("x"), at("y"), at("w"), at("h"));
            assert!(place.0 + place.2 <= 24, "{name}, {title}: it is wider than the page");
            let meets = |other: &(u64, u64, u64, u64)| {
                place.0 < other.0 + other.2
                    && other.0 < place.0 + place.2
                    && place.1 < other.1 + other.3
                    && other.1 < place.1 + place.3
            };
            assert!(!places.iter().any(meets), "{name}, {title}: it lies on another");
            places.push(place);
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{name}, {title}");
            for target in panel["targets"].as_array().expect("targets") {
                assert_eq!(target["datasource"]["uid"], "${datasource}", "{name}, {title}");
            }
        }
        for asked in text.split('$').skip(1) {
            let variable: String = asked.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let is_own = variable.is_empty() || variable.starts_with("__");
            assert!(is_own || declared.contains(variable.as_str()), "{name}: ${variable} is no variable of it");
        }
        // promtool knows the language: each expression is one as a recording rule.
        let mut rules = String::from("groups:\n  - name: dashboard\n    rules:\n");
        for (n, expression) in expressions(&dashboard).iter().enumerate() {
            rules += &format!("      - record: panel:{n}\n        expr: {}\n", Value::from(expression.as_str()));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("rules.yml");
        std::fs::write(&file, rules).expect("rules");
        let (is_well, said) = promtool(&["check", "rules", &file.display().to_string()], "");
        assert!(is_well, "{name}: {said}");
    }
}
