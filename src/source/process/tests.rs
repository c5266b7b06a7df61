use std::path::Path;

use serde_json::json;

use super::*;
use crate::identity;
use crate::source::stream::Mapped;
use crate::source::{Arrival, Limits};

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/source/process/samples").join(name);
    std::fs::read_to_string(path).expect("a sample")
}

/// What a line says, in a word or two.
fn word(message: &Message) -> String {
    match message {
        Message::Schema { stream, schema } => format!("schema {stream} of {}", fields(schema).len()),
        Message::Record(record) => {
            let value = record.record.as_ref().expect("a record");
            let id = value.get("id").or(value.get("order_id")).expect("an id");
            format!("record {} {id}{}", record.stream, if record.at.is_some() { "" } else { " undated" })
        }
        Message::State(State { of: Reach::Stream(name), records, .. }) => {
            format!("state {name} after {}", records.map_or(-1, |n| n as i64))
        }
        Message::State(state) => format!("state {:?}", state.of).to_lowercase(),
        Message::Log(level, _) => format!("log {level:?}").to_lowercase(),
        Message::Status(name, status) => format!("{name} {status:?}").to_lowercase(),
        Message::Failed(failed) => format!("{:?}: {}", failed.blame, failed.words),
        Message::Settings(settings) => format!("settings {settings}"),
        Message::Catalog(_) => "catalog".into(),
        Message::Checked(checked) => format!("{checked:?}"),
        Message::Other(kind) => kind.clone(),
        Message::Refused(_) => "refused".into(),
        Message::Noise => "noise".into(),
        Message::Broken => "broken".into(),
    }
}

#[track_caller]
fn check(protocol: Protocol, name: &str, wanted: &[&str]) {
    let text = sample(name);
    let mut said: Vec<String> = text.lines().map(|line| word(&protocol.read(line))).collect();
    said.dedup_by(|one, other| one == "log info" && other == "log info");
    assert_eq!(said, wanted, "{name}");
}

#[test]
fn every_capture_of_a_tap_is_read() {
    use Protocol::Singer;
    check(
        Singer,
        "tap_meltano_sdk_first_run.jsonl",
        &[
            "schema orders of 8",
            "record orders \"1001\"",
            "record orders \"1002\"",
            "record orders \"1003\"",
            "state whole",
        ],
    );
    check(Singer, "tap_meltano_sdk_second_run.jsonl", &["state whole", "schema orders of 8"]);
    check(
        Singer,
        "tap_classic_activate_version.jsonl",
        &[
            "schema orders of 4",
            "ACTIVATE_VERSION",
            "record orders 1001",
            "state whole",
            "record orders 1002",
            "ACTIVATE_VERSION",
            "state whole",
        ],
    );
    check(
        Singer,
        "singer_odd_lines_hand.jsonl",
        &[
            "schema orders of 1",
            "record orders 1 undated",
            "refused",
            "record never_declared 9 undated",
            "noise",
            "state whole",
        ],
    );
}

#[test]
fn every_capture_of_a_connector_is_read() {
    use Protocol::Airbyte;
    let read = |state: &[&'static str]| {
        let begin = ["log info", "orders running", "log info", "orders running"];
        let end = ["log info", "orders complete", "log info"];
        [&begin[..], state, &end[..]].concat()
    };
    let all = [
        "record orders 1001",
        "record orders 1002",
        "state orders after 2",
        "record orders 1003",
        "state orders after 1",
    ];
    check(Airbyte, "airbyte_read.jsonl", &read(&all));
    check(Airbyte, "airbyte_read_state.jsonl", &read(&all[3..]));
    check(
        Airbyte,
        "airbyte_read_fatal.jsonl",
        &["log info", "log warn", "Program: Something went wrong in the connector. See the logs for more details."],
    );
    check(Airbyte, "airbyte_discover.jsonl", &["log info", "catalog"]);
    check(Airbyte, "airbyte_spec.jsonl", &["log info", "SPEC"]);
    check(Airbyte, "airbyte_check_ok.jsonl", &["log info", "Ok(())"]);
    check(
        Airbyte,
        "airbyte_check_wrong.jsonl",
        &["log info", "log warn", "Err(\"'the shop answered 401 for this key'\")"],
    );
    check(
        Airbyte,
        "airbyte_check_missing.jsonl",
        &["log info", "Err(\"Config validation error: 'api_key' is a required property\")"],
    );
    check(
        Airbyte,
        "airbyte_other_messages_hand.jsonl",
        &[
            "state global",
            "state whole",
            "settings {\"access_token\":\"new\",\"refresh_token\":\"rotated\"}",
            "TRACE",
            "orders limited(some(2026-11-23t18:38:20.000z))",
            "orders incomplete",
            "record shop_a.orders 1004",
        ],
    );
}

/// Wherever a line is cut, and whatever stands before it, a record that was in it is not passed over.
#[test]
fn a_line_that_was_a_record_is_told_from_noise() {
    for (protocol, name) in [
        (Protocol::Singer, "tap_classic_activate_version.jsonl"),
        (Protocol::Singer, "singer_odd_lines_hand.jsonl"),
        (Protocol::Airbyte, "airbyte_read.jsonl"),
        (Protocol::Airbyte, "airbyte_other_messages_hand.jsonl"),
    ] {
        for line in sample(name).lines() {
            for end in (0..line.len()).filter(|end| line.is_char_boundary(*end)) {
                let (cut, wanted) = (&line[..end], line[..end].contains("\"RECORD\""));
                assert_eq!(protocol.read(cut) == Message::Broken, wanted, "{cut}");
            }
            if line.contains("\"RECORD\"") {
                assert_eq!(protocol.read(&format!("50% done{line}")), Message::Broken);
            }
        }
    }
    let singer = |line: &str| Protocol::Singer.read(line);
    assert_eq!(singer(""), Message::Noise);
    assert_eq!(singer("[1, 2]"), Message::Noise);
    assert_eq!(singer(r#"{"type":"RECORD","record":{}}"#), Message::Broken);
    assert_eq!(singer(r#"{"type":"STATE"}"#), Message::Noise);
    assert_eq!((too_long("{\"record\": {\"a"), too_long("Downloading")), (Message::Broken, Message::Noise));
}

/// What is JSON and no record of ours is set aside by itself: it would stand in the way for ever.
#[test]
fn a_record_that_is_too_deep_is_a_record() {
    let deep = format!("{{\"type\":\"RECORD\",\"stream\":\"a\",\"record\":{}1{}}}", "[".repeat(120), "]".repeat(120));
    let Message::Record(record) = Protocol::Singer.read(&deep) else { panic!("a record") };
    assert_eq!(record.record, Err("is nested deeper than 100 levels".into()));
    let big = r#"{"type":"RECORD","stream":"a","record":{"id":12345678901234567890123,"n":0.10}}"#;
    let Message::Record(record) = Protocol::Singer.read(big) else { panic!("a record") };
    assert_eq!(record.record, Ok(json!({"id": "12345678901234567890123", "n": 0.1})));
}

fn mapping(text: &str) -> Mapping {
    Mapping::read("m.toml", text).expect("a mapping")
}

const MAPPING: &str = "[every_stream]\nidentify = { email = \"email\" }\n[stream.orders]\nid = [\"id\", \"order_id\"]\nversion = \"updated_at\"\n\
                       at = \"updated_at\"\n[[stream.orders.emit]]\nevent = \"Ordered\"\nproperties = { total = \"total\" }\n";

#[test]
fn only_what_is_mapped_is_selected() {
    let catalog = Protocol::Singer.catalog(&sample("tap_meltano_sdk_catalog.json")).expect("a catalogue");
    let selected = Protocol::Singer.select(&catalog, &mapping(MAPPING));
    let stream = &selected.catalog["streams"][0];
    assert_eq!(stream["selected"], true);
    let metadata = stream["metadata"].as_array().expect("a list");
    assert!(metadata.iter().all(|entry| entry["metadata"]["selected"] == true), "{metadata:#?}");
    let names = |selected: &Selected| selected.streams.iter().map(|s| s.0.to_string()).collect::<Vec<_>>();
    assert_eq!((names(&selected), selected.missing), (vec!["orders".to_owned()], Vec::new()));

    let other = mapping(&MAPPING.replace("orders", "people"));
    let selected = Protocol::Singer.select(&catalog, &other);
    let stream = &selected.catalog["streams"][0];
    let of_stream = stream["metadata"].as_array().and_then(|all| all.last()).expect("of the stream");
    assert_eq!((&stream["selected"], &of_stream["metadata"]["selected"]), (&json!(false), &json!(false)));
    assert_eq!((selected.streams.len(), selected.missing), (0, vec!["people".to_owned()]));
    assert_eq!(selected.known, ["orders"]);

    let bare = Protocol::Singer.select(&json!({"streams": [{"tap_stream_id": "orders"}]}), &mapping(MAPPING));
    assert_eq!(bare.catalog["streams"][0]["metadata"], json!([{"breadcrumb": [], "metadata": {"selected": true}}]));
    assert_eq!(Protocol::Singer.select(&json!(7), &mapping(MAPPING)).missing, ["orders"]);
}

#[test]
fn a_connectors_catalogue_is_configured_as_it_asks_for_it() {
    let catalog = Protocol::Airbyte.catalog(&sample("airbyte_discover.jsonl")).expect("a catalogue");
    let selected = Protocol::Airbyte.select(&catalog, &mapping(MAPPING));
    let mut wanted: Value = serde_json::from_str(&sample("airbyte_configured_catalog.json")).expect("JSON");
    wanted["streams"][0]["primary_key"] = json!([["id"]]);
    assert_eq!(selected.catalog, wanted);
    // One that is configured is left as it is.
    assert_eq!(Protocol::Airbyte.select(&wanted, &mapping(MAPPING)), Selected { catalog: wanted, ..selected });
    let catalog = json!({"streams": [{"name": "orders", "namespace": "a", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
        {"name": "people", "json_schema": {}}]});
    let selected =
        Protocol::Airbyte.select(&catalog, &mapping(&MAPPING.replace("stream.orders", "stream.\"a.orders\"")));
    let stream = &selected.catalog["streams"];
    assert_eq!((stream.as_array().map(Vec::len), &stream[0]["sync_mode"]), (Some(1), &json!("full_refresh")));
    assert_eq!(selected.known, ["a.orders", "people"]);
}

/// All states of the lines.
fn states(protocol: Protocol, lines: &str) -> Vec<State> {
    let said = lines.lines().map(|line| protocol.read(line));
    said.filter_map(|message| if let Message::State(state) = message { Some(state) } else { None }).collect()
}

#[test]
fn a_state_is_given_back_word_by_word() {
    use Protocol::{Airbyte, Singer};
    let after = |protocol, lines: &str| {
        let mut progress = Progress::default();
        for state in states(protocol, lines) {
            progress.take(&state);
        }
        let kept = serde_json::to_vec(&progress).expect("JSON");
        assert_eq!(serde_json::from_slice::<Progress>(&kept).ok(), Some(progress.clone()));
        progress.file(protocol)
    };
    assert_eq!(after(Singer, ""), None);
    assert_eq!(after(Airbyte, ""), None);
    let exact = "{\"type\": \"STATE\", \"value\": {\"n\": 12345678901234567890123, \"d\": 0.10}}";
    assert_eq!(after(Singer, exact).as_deref(), Some("{\"n\": 12345678901234567890123, \"d\": 0.10}"));
    let given: Value = serde_json::from_str(&sample("airbyte_state_input.json")).expect("JSON");
    let file = after(Airbyte, &sample("airbyte_read.jsonl")).expect("a state");
    assert_eq!(serde_json::from_str::<Value>(&file).expect("JSON"), given);
    let other = sample("airbyte_other_messages_hand.jsonl");
    let global = other.lines().next().expect("a line");
    assert!(after(Airbyte, global).expect("a state").starts_with("[{\"type\":\"GLOBAL\""));
    // The old form is given back in the old form; one of a stream takes its place.
    assert!(after(Airbyte, &other).expect("a state").starts_with("{\"orders\""));
    let file = after(Airbyte, &(other + &sample("airbyte_read.jsonl"))).expect("a state");
    assert_eq!(serde_json::from_str::<Value>(&file).expect("JSON"), given);
}

#[test]
fn progress_is_what_differs() {
    let first = states(Protocol::Singer, &sample("tap_meltano_sdk_first_run.jsonl"));
    let mut progress = Progress::default();
    assert!(progress.take(&first[0]));
    assert!(!progress.take(&states(Protocol::Singer, &sample("tap_meltano_sdk_second_run.jsonl"))[0]));
}

#[track_caller]
fn ends(protocol: Protocol, lines: &str, code: Option<i32>, wanted: Result<(), Failed>) {
    let mut run = Run::new(protocol, vec![Name::plain("orders")]);
    lines.lines().for_each(|line| run.hear(&protocol.read(line)));
    assert_eq!(run.end(code), wanted);
}

#[test]
fn a_run_is_whole_only_when_it_says_so() {
    use Protocol::{Airbyte, Singer};
    ends(Singer, "", Some(0), Ok(()));
    ends(Singer, "", Some(1), Err(Failed::program("it ended with exit code 1")));
    ends(Singer, "", None, Err(Failed::passing("it was ended by a signal")));
    ends(Singer, "", Some(2), Err(Failed::person("it does not understand how it is called (exit code 2)")));
    let read = sample("airbyte_read.jsonl");
    ends(Airbyte, &read, Some(0), Ok(()));
    ends(Airbyte, &read, Some(1), Err(Failed::program("it ended with exit code 1")));
    let left = Err(Failed::program("it ended without having read all of orders"));
    ends(Airbyte, &read.replace("COMPLETE", "INCOMPLETE"), Some(0), left.clone());
    ends(Airbyte, "", Some(0), left);
    let words = "Something went wrong in the connector. See the logs for more details.";
    let fatal = sample("airbyte_read_fatal.jsonl");
    ends(Airbyte, &fatal, Some(1), Err(Failed::program(words)));
    ends(Airbyte, &fatal.replace("system_error", "transient_error"), Some(1), Err(Failed::passing(words)));
    ends(
        Airbyte,
        &(fatal.clone() + &fatal.replace("system_error", "config_error")),
        Some(1),
        Err(Failed::person(words)),
    );
}

#[test]
fn records_are_counted_against_what_states_say() {
    let counts = |lines: &str| {
        let mut run = Run::new(Protocol::Airbyte, vec![Name::plain("orders")]);
        let mut counts = Vec::new();
        for line in lines.lines() {
            let message = Protocol::Airbyte.read(line);
            run.hear(&message);
            if let Message::State(state) = message {
                counts.push(run.count(&state));
            }
        }
        counts
    };
    let read = sample("airbyte_read.jsonl");
    assert_eq!(counts(&read), [Count::Right, Count::Right]);
    let without: String = read.lines().filter(|line| !line.contains("1002")).map(|line| format!("{line}\n")).collect();
    assert_eq!(counts(&without), [Count::Other, Count::Right]);
    assert_eq!(counts(&format!("printed\n{without}")), [Count::Lost, Count::Right]);
}

/// Maps all records of a sample: each event with its instant, and what could not be read.
fn mapped(protocol: Protocol, lines: &str, mapping: &Mapping, progress: &Progress) -> Mapped {
    let (names, source) = (identity::Settings::default(), "crm".into());
    let limits = Limits { message: usize::MAX, messages: usize::MAX };
    let at = Timestamp::parse("2026-11-25T00:00:00Z").expect("an instant");
    let arrival = Arrival { source: &source, at, names: &names, limits: &limits };
    let mut mapped = Mapped::default();
    for line in lines.lines() {
        if let Message::Record(record) = protocol.read(line) {
            map(mapping, &record, progress, &arrival, &mut mapped);
        }
    }
    mapped
}

#[test]
fn records_become_events_and_keep_their_names() {
    let mapping = mapping(MAPPING);
    let both = [
        mapped(Protocol::Airbyte, &sample("airbyte_read.jsonl"), &mapping, &Progress::default()),
        mapped(Protocol::Singer, &sample("tap_meltano_sdk_first_run.jsonl"), &mapping, &Progress::default()),
    ];
    // The connector leaves the e-mail of one out, which was null: it names nobody.
    assert_eq!(both[0].read.rejected.len(), 1);
    assert_eq!(both[0].read.events.len(), 2);
    // The same orders by another way are the same events, but for the name of the event's source.
    assert_eq!(both[0].read.events[0].dedupe, both[1].read.events[0].dedupe);
    assert_eq!(both[0].read.events[0].at.to_string(), "2026-11-20T10:00:00.000Z");
    let odd = mapped(Protocol::Singer, &sample("singer_odd_lines_hand.jsonl"), &mapping, &Progress::default());
    assert_eq!((odd.read.events.len(), odd.read.rejected.len()), (0, 1), "a stream that is not mapped is passed over");
}

#[test]
fn without_a_time_of_its_own_an_event_happened_when_it_was_read() {
    let bare = mapping(&MAPPING.replace("at = \"updated_at\"\n", "").replace("version = \"updated_at\"\n", ""));
    let read = mapped(Protocol::Singer, &sample("tap_classic_activate_version.jsonl"), &bare, &Progress::default());
    assert_eq!(read.read.events[0].at.to_string(), "2026-11-23T18:00:00.000Z");
}

#[test]
fn what_is_made_once_is_not_made_again_after_a_whole_run() {
    let once = mapping(&MAPPING.replace("event = \"Ordered\"", "event = \"Ordered\"\nonce = \"updated_at\""));
    let count = |progress: &Progress| {
        mapped(Protocol::Airbyte, &sample("airbyte_read.jsonl"), &once, progress).read.events.len()
    };
    let mut progress = Progress::default();
    assert_eq!(count(&progress), 2);
    progress.is_whole("orders", Timestamp::parse("2026-11-23T00:00:00Z").expect("an instant"));
    assert_eq!(count(&progress), 1);
    progress.is_whole("orders", Timestamp::parse("2026-11-29T00:00:00Z").expect("an instant"));
    assert_eq!(count(&progress), 0);
}
