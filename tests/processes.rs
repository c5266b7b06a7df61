//! Programs that read a vendor, run by a whole daemon: nothing is lost or taken twice whoever is killed, and what goes
//! wrong is told. The program is `tests/taps/fake.py`; `tests/taps.rs` has real ones.

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use espalier::clock::SystemClock;
use espalier::model::setting::Secret;
use espalier::model::{Person, Span, Timestamp};
use espalier::pull::{Doing, Process};
use espalier::source::manifest::records::Mapping;
use espalier::source::process::{Program, Protocol};
use espalier::store::Store as _;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::{Value, json};
use support::{Daemon, client, espalier, eventually, pause};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const MAPPING: &str = "[stream.orders]\nid = \"id\"\nidentify = { email = \"email\" }\n[[stream.orders.emit]]\nevent = \"Ordered\"\n\
                       properties = { n = \"id\" }\n";

/// A daemon with a program that does what `runs` say, each in its turn.
struct Place {
    folder: TempDir,
    daemon: Daemon,
}

impl Place {
    fn new(kind: &str, more: &str, play: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().display();
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/taps/fake.py").display().to_string();
        let source = format!(
            "[source.crm]\nkind = \"{kind}\"\ncommand = [\"python3\", \"{fake}\"]\nmapping = \"crm.toml\"\n\
             settings = {{ play = \"{path}/play.json\", password = \"${{env:TEST_SECRET}}\", \
             startDate = \"2026-01-01\", Lists = [{{ Key = \"${{env:TEST_SANDBOX_KEY}}\", n = 7 }}] }}\n{more}\n"
        );
        std::fs::write(folder.path().join("crm.toml"), MAPPING).expect("a mapping");
        std::fs::write(folder.path().join("play.json"), play.to_string()).expect("a play");
        let daemon = Daemon::new(folder.path(), &folder.path().join("store"), &source, &[]);
        Self { folder, daemon }
    }

    async fn singer(runs: Value) -> Self {
        Self::begun("singer", "every = \"1s\"", runs).await
    }

    async fn begun(kind: &str, more: &str, runs: Value) -> Self {
        let mut place = Self::new(kind, more, &json!({ "streams": ["orders", "people"], "runs": runs }));
        place.daemon.start_ready().await;
        place
    }

    /// What each run was given.
    fn runs(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.folder.path().join("runs.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    async fn has_run(&self, times: usize) {
        eventually("it is run", Duration::from_secs(40), || async { self.runs().len() >= times }).await;
    }

    /// What is said of its only stream.
    async fn state(&self) -> Value {
        let token = std::fs::read_to_string(self.folder.path().join("store/admin.token")).expect("a token");
        let call = client().get(format!("http://{}/api/status", self.daemon.ops)).bearer_auth(token.trim());
        let health: Value = call.send().await.expect("an answer").json().await.expect("JSON");
        health["streams"][0].clone()
    }

    async fn until_state(&self, what: &str, mut is_so: impl FnMut(&Value) -> bool) {
        for _ in 0..1_000 {
            if is_so(&self.state().await) {
                return;
            }
            pause(20).await;
        }
        panic!("not {what}: {}\n{}", self.state().await, self.daemon.log_end());
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).expect("a log")
    }

    /// Ends the daemon and looks who is in its store.
    async fn people(&mut self) -> Vec<Person> {
        eventually("all is decided", Duration::from_secs(20), || async {
            self.daemon.metric("espalier_backlog_events").await == Some(0)
        })
        .await;
        assert!(self.daemon.terminate().success());
        let settings = Settings { path: self.folder.path().join("store"), ..Settings::default() };
        let store = Embedded::open(&settings, Timestamp::default()).expect("the store");
        let mut people = Vec::new();
        loop {
            let page = store.people(people.last().map(|person: &Person| person.id), 1_000).await.expect("a page");
            if page.is_empty() {
                break;
            }
            people.extend(page);
        }
        store.close().await.expect("an end");
        people
    }
}

fn record(n: u32) -> Value {
    json!({ "say": { "type": "RECORD", "stream": "orders", "record": { "id": n, "email": format!("p{n}@example.com") } } })
}

fn state(n: u32) -> Value {
    json!({ "say": { "type": "STATE", "value": { "n": n } } })
}

/// Which orders of whom: each once, of people of their own.
fn orders(people: &[Person]) -> Vec<u64> {
    let entries = people.iter().flat_map(|person| person.history.entries());
    let mut numbers: Vec<u64> = entries.filter_map(|entry| entry.fields()["n"].as_u64()).collect();
    numbers.sort_unstable();
    numbers
}

/// A state that was kept before its records would leave some out: the program goes on after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_state_is_never_kept_before_its_records() {
    const ALL: u32 = 3_000;
    let mut place = Place::singer(json!([[{ "count": [ALL, 7, 0.002] }]])).await;
    let mut random = fastrand::Rng::with_seed(7);
    // However slow the machine is: a state is kept before the first kill.
    place.until_state("under way", |state| state["records"].as_u64() > Some(14)).await;
    for _ in 0..6 {
        pause(random.u64(700..1_600)).await;
        place.daemon.kill();
        place.daemon.start_ready().await;
    }
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    let runs = place.runs();
    let states: Vec<u64> = runs.iter().map(|run| run["state"]["n"].as_u64().unwrap_or(0)).collect();
    assert!(states.is_sorted() && states.last() > Some(&0), "it goes on where it was: {states:?}");
    let taken = orders(&place.people().await);
    // Not the lists themselves: they are long.
    assert!(taken.iter().copied().eq(1..=u64::from(ALL)), "all of them, each once; there are {}", taken.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_run_again_later_and_says_why() {
    let fails = json!([record(1), state(1), { "err": "the vendor says 503 to PASSWORD" }, { "exit": 1 }]);
    let mut place = Place::singer(json!([fails, fails, [record(2), state(2)]])).await;
    place.until_state("held", |state| state["state"].as_str().is_some_and(|words| words.contains("exit code 1"))).await;
    let told = place.state().await;
    assert_eq!(told["state"], "it ended with exit code 1: the vendor says 503 to ****");
    place.has_run(3).await;
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    let runs = place.runs();
    let at = |n: usize| runs[n]["at"].as_f64().expect("a time");
    assert!(at(1) - at(0) > 0.8 && at(2) - at(1) > 1.7, "each wait is twice the one before");
    assert_eq!((&runs[0]["state"], &runs[1]["state"]), (&Value::Null, &json!({ "n": 1 })));
    let log = place.log();
    assert!(log.contains("the vendor says 503 to ****") && !log.contains("to secret"), "{log}");
    assert_eq!(orders(&place.people().await), [1, 2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_given_only_what_is_meant_for_it() {
    let place =
        Place::begun("singer", "every = \"1h\"\nenvironment = [\"PATH\", \"RUST_LOG\"]", json!([[record(1)]])).await;
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    let run = &place.runs()[0];
    let variables: Vec<&str> = run["variables"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    for variable in ["PATH", "RUST_LOG", "HOME"] {
        assert!(variables.contains(&variable), "{variables:?}");
    }
    assert!(!variables.iter().any(|variable| variable.starts_with("TEST_")), "{variables:?}");
    assert_eq!(run["modes"], json!(["0o700", "0o600", "0o600"]));
    let settings = &run["settings"];
    assert_eq!((&settings["password"], &settings["startDate"]), (&json!("secret"), &json!("2026-01-01")));
    assert_eq!(settings["Lists"], json!([{ "Key": "sandbox", "n": 7 }]));
    assert!(!Path::new(run["folder"].as_str().expect("a folder")).exists(), "its files are gone");
    let selected: Vec<&Value> =
        run["catalog"]["streams"].as_array().expect("a list").iter().map(|s| &s["selected"]).collect();
    assert_eq!(selected, [true, false], "what is not mapped is not asked for");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_person_can_mend_is_held() {
    let error = json!({ "type": "ERROR", "emitted_at": 1.5, "error": { "message": "wrong key secret", "failure_type": "config_error" } });
    let runs = json!([[{ "say": { "type": "TRACE", "trace": error } }, { "exit": 1 }]]);
    let place = Place::begun("airbyte", "every = \"1s\"", runs).await;
    place.until_state("held", |state| state["state"] == "wrong key ****").await;
    pause(2_500).await;
    assert_eq!(place.runs().len(), 1, "it is not asked again and again");
    let (_, told) = espalier(place.folder.path(), &["status"]);
    assert!(told.contains("wrong key ****"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_without_its_streams_is_held() {
    let mut place = Place::new("singer", "", &json!({ "streams": ["people"], "runs": [[]] }));
    place.daemon.start_ready().await;
    let words = "it has none of the streams that are mapped; it has: people";
    place.until_state("held", |state| state["state"] == words).await;
    let mut place = Place::new("airbyte", "", &json!({ "streams": [], "secretive": true, "runs": [[]] }));
    place.daemon.start_ready().await;
    let words = "it ended with exit code 1: there is nothing to see";
    place.until_state("held", |state| state["state"] == words).await;
}

/// Whatever else is printed is passed over; where it may have been a record, no later state is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lines_that_cannot_be_read_lose_no_record() {
    let runs = json!([
        [record(1), state(1), { "raw": "a library prints" }, { "big": "noise" }, record(2), state(2),
         { "raw": "{\"type\":\"RECORD\",\"stream\":\"orders\",\"record\":{\"id\":3" }, state(3), { "wait": 60 }],
        [record(3), state(3), { "big": "{\"type\":\"RECORD\",\"stream\":\"orders\",\"record\":{\"id\":\"" }, state(4), { "wait": 60 }],
        [record(4), state(4)],
    ]);
    let mut place = Place::singer(runs).await;
    place.has_run(3).await;
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    let given: Vec<Value> = place.runs().iter().take(3).map(|run| run["state"].clone()).collect();
    assert_eq!(given, [Value::Null, json!({ "n": 2 }), json!({ "n": 3 })]);
    assert!(place.log().contains("a library prints"));
    assert_eq!(place.daemon.metric("espalier_process_lines_total{source=\"crm\",result=\"noise\"}").await, Some(2));
    assert_eq!(place.daemon.metric("espalier_process_lines_total{source=\"crm\",result=\"broken\"}").await, Some(2));
    assert_eq!(orders(&place.people().await), [1, 2, 3, 4]);
}

/// A refresh token that is good for one use must not be lost with anything that happens afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changed_settings_are_kept_at_once() {
    let play = json!({ "streams": ["orders"], "runs": [[]] });
    let mut place = Place::new("airbyte", "every = \"1s\"", &play);
    let file = place.folder.path().join("play.json").display().to_string();
    let settings = json!({ "play": file, "password": "secret", "refresh": "rotated-token" });
    let control = json!({ "type": "CONTROL", "control": { "type": "CONNECTOR_CONFIG", "emitted_at": 1.0, "connectorConfig": { "config": settings } } });
    let complete = json!({ "type": "TRACE", "trace": { "type": "STREAM_STATUS", "emitted_at": 1.0,
        "stream_status": { "stream_descriptor": { "name": "orders" }, "status": "COMPLETE" } } });
    let play = json!({ "streams": ["orders"], "runs": [
        [{ "say": control }, { "wait": 0.7 }, { "err": "now it is rotated-token" }, { "wait": 60 }],
        [{ "say": complete }],
    ] });
    std::fs::write(&file, play.to_string()).expect("a play");
    place.daemon.start_ready().await;
    eventually("they are kept", Duration::from_secs(20), || async { place.log().contains("changed its settings") })
        .await;
    eventually("no secret is shown", Duration::from_secs(20), || async { place.log().contains("now it is ****") })
        .await;
    place.daemon.kill();
    place.daemon.start_ready().await;
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    assert_eq!(place.runs()[1]["settings"], settings);
    assert!(!place.log().contains("rotated-token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_looks_otherwise_is_told() {
    let schema = |fields: Value| json!({ "say": { "type": "SCHEMA", "stream": "orders", "schema": { "properties": fields }, "key_properties": [] } });
    let place = Place::singer(json!([
        [schema(json!({ "id": { "type": "integer" }, "email": { "type": "string" } }))],
        [schema(json!({ "id": { "type": "string" }, "mail": { "type": "string" } }))],
    ]))
    .await;
    let told = "look otherwise than before: new: mail; gone: email; of another type: id";
    eventually("it is told", Duration::from_secs(20), || async { place.log().contains(told) }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_says_nothing_is_ended() {
    let runs = json!([[record(1), state(1), { "wait": 60 }], [record(2)]]);
    let place = Place::begun("singer", "every = \"1s\"\nsilence = \"2s\"", runs).await;
    place.until_state("held", |state| state["state"] == "it said nothing for 2s, and was ended").await;
    place.has_run(2).await;
    assert_eq!(place.runs()[1]["state"], json!({ "n": 1 }));
}

fn is_alive(pid: &str) -> bool {
    // One that has ended and that nobody has asked for yet is `Z`.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| !text.contains(") Z"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_it_outlives_the_daemon() {
    let mut place =
        Place::singer(json!([[{ "deaf": true }, { "child": true }, record(1), state(1), { "wait": 300 }]])).await;
    place.until_state("read", |state| state["events"] == 1).await;
    let child = std::fs::read_to_string(place.folder.path().join("child")).expect("its child");
    assert!(is_alive(&child));
    assert_eq!(orders(&place.people().await), [1], "the daemon ends well though it is deaf");
    assert!(!is_alive(&child), "what it began has ended with it");

    // After a daemon that was killed, the next one sees to it.
    place.daemon.start_ready().await;
    eventually("it runs", Duration::from_secs(20), || async {
        std::fs::read_to_string(place.folder.path().join("child")).is_ok_and(|now| now != child && !now.is_empty())
    })
    .await;
    let child = std::fs::read_to_string(place.folder.path().join("child")).expect("its child");
    place.daemon.kill();
    assert!(is_alive(&child));
    place.daemon.start_ready().await;
    eventually("it has ended", Duration::from_secs(20), || async { !is_alive(&child) }).await;
}

/// A store without an engine beside it, and a program that does what `runs` say.
struct Bare {
    folder: TempDir,
    store: Embedded,
}

impl Bare {
    fn new(backlog: u64, runs: &Value) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let play = json!({ "streams": ["orders"], "runs": runs });
        std::fs::write(folder.path().join("play.json"), play.to_string()).expect("a play");
        let settings = Settings { path: folder.path().join("store"), backlog, ..Settings::default() };
        let store = Embedded::open(&settings, Timestamp::default()).expect("the store");
        Self { folder, store }
    }

    fn process(&self) -> Process {
        let fake = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/taps/fake.py").display().to_string();
        let path = Command::new("sh").args(["-c", "printf %s \"$PATH\""]).output().expect("a shell");
        let program = Program {
            protocol: Protocol::Singer,
            command: vec!["python3".into(), fake],
            arguments: Vec::new(),
            settings: Secret::new(json!({ "play": self.folder.path().join("play.json") }).to_string()),
            secrets: Vec::new(),
            catalog: None,
            mapping: Mapping::read("crm.toml", MAPPING).expect("a mapping"),
            environment: vec![("PATH".into(), Secret::new(String::from_utf8(path.stdout).expect("a path")))],
            every: Span::HOUR,
            silence: Span::from_secs(3),
        };
        let (root, store) = (self.folder.path().join("processes"), Arc::new(self.store.clone()));
        Process::new("crm", program, &Default::default(), &root, store, Arc::new(SystemClock))
    }
}

/// A program that says everything each time is not believed anew, however long that goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_is_not_appended_again() {
    let bare =
        Bare::new(1_000, &json!([[record(1), record(2)], [record(2), record(1)], [record(1), record(2), record(3)]]));
    for journaled in [2, 2, 3] {
        let process = bare.process();
        let mut state = process.watching().remove(0).state;
        let stop = CancellationToken::new();
        let task = tokio::spawn(process.run(stop.clone()));
        state.wait_for(|state| state.doing == Doing::Resting).await.expect("a run");
        stop.cancel();
        task.await.expect("an end");
        assert_eq!(bare.store.counts().journaled.0, journaled);
    }
    bare.store.close().await.expect("an end");
}

/// What the store does not take is not read either: the program waits, with all that it still has to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_takes_nothing_holds_the_program_back() {
    // Nobody decides, so that the backlog stays as it is.
    let bare = Bare::new(1_000, &json!([[{ "flood": 200_000 }]]));
    let process = bare.process();
    let state = process.watching().remove(0).state;
    let stop = CancellationToken::new();
    let task = tokio::spawn(process.run(stop.clone()));
    let said = || std::fs::read_to_string(bare.folder.path().join("flood")).ok().and_then(|n| n.parse::<u64>().ok());
    eventually("it waits for the store", Duration::from_secs(20), || async {
        state.borrow().held.as_deref().is_some_and(|words| words.starts_with("waits for the store"))
    })
    .await;
    pause(500).await;
    let before = said().expect("it floods");
    // Longer than it may say nothing: it is we who do not listen.
    pause(4_000).await;
    assert_eq!(said(), Some(before), "it waits");
    assert!(before < 10_000, "so much lies in pipes and in memory: {before}");
    assert!(!state.borrow().needs_a_person);
    stop.cancel();
    task.await.expect("an end");
    assert!(!bare.folder.path().join("processes/crm").exists());
    bare.store.close().await.expect("an end");
}

/// A night has a program run once more, from where it is, and counts what is new by its own word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_night_runs_a_program_once_more() {
    let runs = json!([[record(1), state(1)], [record(1), record(2), record(3), state(3)], [{ "exit": 3 }]]);
    let place = Place::begun("singer", "every = \"24h\"", runs).await;
    place.until_state("in sync", |state| state["state"] == "in sync").await;
    let night = || {
        let (_, said) = espalier(place.folder.path(), &["reconcile", "--now", "--source", "crm", "--json"]);
        let report: Value = serde_json::from_str(&said[said.find('{').expect("a report")..]).expect("JSON");
        report["programs"][0].clone()
    };
    let counted = |program: &Value| ["records", "events", "set_aside"].map(|name| program["brought"][name].as_u64());
    let first = night();
    assert_eq!((first["source"].as_str(), counted(&first)), (Some("crm"), [Some(3), Some(2), Some(0)]));
    assert_eq!((first["brought"]["failed"].clone(), place.runs().len()), (Value::Null, 2));
    assert_eq!(place.runs()[1]["state"]["n"], 1, "from where it was");
    let second = night();
    assert!(second["brought"]["failed"].as_str().is_some_and(|why| why.contains("exit code 3")), "{second}");
}
