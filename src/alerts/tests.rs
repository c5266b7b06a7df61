//! The state machine of alerts: rows of what is found and what is told, and against a naive model over random histories.

mod model;

use std::collections::BTreeMap;

use super::settings::{Receiver, Settings, Slack, Wants};
use super::state::{MOST_ALERTS, MOST_SILENCES};
use super::*;
use crate::model::setting::Secret;
use crate::model::{Span, Timestamp};

/// How often is looked.
const EVERY: i64 = 15;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_796_000_000_000) + Span::from_secs(seconds)
}

fn settings(rules: &str) -> Settings {
    toml::from_str(rules).expect("settings")
}

fn all() -> Wants<'static> {
    Wants { kinds: &[], least: Severity::Warning }
}

fn receivers() -> BTreeMap<String, Receiver> {
    let slack = Slack { url: Secret::new("https://x.example"), kinds: Vec::new(), severity: Severity::Warning };
    BTreeMap::from([("chat".to_owned(), Receiver::Slack(slack))])
}

/// Dead letters of the lane that each letter names.
fn found(letters: &str) -> Vec<Finding> {
    let of = letters.chars().filter(|c| c.is_alphabetic());
    of.map(|lane| Finding::new(Kind::DeadLetters, lane.to_string(), "some")).collect()
}

/// `+a ~b -c`: a fires, b fires on, c is over.
fn told(batch: &Batch) -> String {
    let item = |item: &Item| {
        let sign = match item.change {
            Change::Fired => '+',
            Change::Still => '~',
            Change::Over => '-',
        };
        format!("{sign}{}", item.key.of)
    };
    batch.items.iter().map(item).collect::<Vec<_>>().join(" ")
}

/// Looks every 15 seconds: what is found from each second on, and what is told, by second.
#[track_caller]
fn check(rules: &str, timeline: &[(i64, &str)], until: i64, wanted: &[(i64, &str)]) {
    let (settings, mut state, mut heard) = (settings(rules), State::default(), Vec::new());
    for second in (0..=until).step_by(EVERY as usize) {
        let now = timeline.iter().rev().find(|(from, _)| *from <= second).map_or("", |(_, letters)| letters);
        state.look(&found(now), &settings, at(second));
        if let Some(batch) = state.due("chat", &all(), &settings, at(second)) {
            heard.push((second, told(&batch)));
            state.taken("chat", &batch, at(second));
        }
    }
    let wanted: Vec<(i64, String)> = wanted.iter().map(|(second, words)| (*second, (*words).to_owned())).collect();
    assert_eq!(heard, wanted);
}

#[test]
fn what_fires_within_the_wait_goes_in_one_message() {
    check("", &[(0, "a"), (15, "ab"), (60, "abc")], 120, &[(30, "+a +b"), (90, "+c")]);
}

#[test]
fn what_fires_on_is_told_again_after_so_long() {
    check("repeat = \"1m\"", &[(0, "a")], 155, &[(30, "+a"), (90, "~a"), (150, "~a")]);
}

#[test]
fn its_end_is_told_when_it_was_calm_for_long_enough() {
    check("", &[(0, "a"), (60, "")], 300, &[(30, "+a"), (195, "-a")]);
    check("calm = \"30s\"", &[(0, "a"), (60, ""), (75, "a"), (90, "")], 300, &[(30, "+a"), (135, "-a")]);
}

#[test]
fn a_blip_is_not_told() {
    let wait = "rule.dead_letters.for = \"1m\"\ncalm = \"15s\"";
    check(wait, &[(0, "a"), (45, "")], 300, &[]);
    check(wait, &[(0, "a"), (75, "")], 300, &[]);
    check(wait, &[(0, "a")], 120, &[(90, "+a")]);
    // One look that misses it does not begin it anew.
    let patient = "rule.dead_letters.for = \"1m\"";
    check(patient, &[(0, "a"), (30, ""), (45, "a")], 120, &[(90, "+a")]);
}

#[test]
fn what_is_off_never_fires() {
    check("rule.dead_letters.on = false", &[(0, "a")], 120, &[]);
}

#[test]
fn receivers_are_told_what_they_want() {
    let (settings, mut state) = (settings("group_wait = \"0s\""), State::default());
    let both = [found("a"), vec![Finding::new(Kind::BreakerOpen, "b", "open")]].concat();
    state.look(&both, &settings, at(0));
    state.look(&both, &settings, at(600));
    let due = |kinds: &[Kind], least| {
        state.due("chat", &Wants { kinds, least }, &settings, at(600)).map(|batch| told(&batch)).unwrap_or_default()
    };
    // The critical one first.
    assert_eq!(due(&[], Severity::Warning), "+b +a");
    assert_eq!(due(&[], Severity::Critical), "+b");
    assert_eq!(due(&[Kind::DeadLetters], Severity::Warning), "+a");
    assert_eq!(due(&[Kind::DeadLetters], Severity::Critical), "");
}

#[test]
fn a_silence_holds_back_what_is_new_and_not_what_is_over() {
    let (settings, mut state) = (settings(""), State::default());
    let mut heard = Vec::new();
    for second in (0..=600).step_by(15) {
        if second == 60 {
            let silence = Silence { id: 0, kind: None, of: None, from: at(60), until: at(400), by: "me".into() };
            assert_eq!(state.silence(silence).map(|one| one.id), Some(1));
        }
        let now = match second {
            0..60 => "a",
            60..120 => "b",
            _ => "bc",
        };
        state.look(&found(now), &settings, at(second));
        if let Some(batch) = state.due("chat", &all(), &settings, at(second)) {
            heard.push((second, told(&batch)));
            state.taken("chat", &batch, at(second));
        }
    }
    assert_eq!(heard, [(30, "+a".to_owned()), (195, "-a".into()), (405, "+b +c".into())]);
    assert!(state.silences.is_empty(), "one that has ended is forgotten");
}

#[test]
fn planned_work_is_a_silence_by_the_clock() {
    // at(0) is 2026-11-30T00:53:20Z.
    let window = "group_wait = \"0s\"\n[[maintenance]]\nat = \"50 0 * * *\"\nlength = \"5m\"";
    check(window, &[(0, "a")], 150, &[(105, "+a")]);
    let other = format!("{window}\nkinds = [\"disk_low\"]");
    check(&other, &[(0, "a")], 30, &[(0, "+a")]);
    let elsewhere = format!("{window}\nzone = \"Europe/Berlin\"");
    check(&elsewhere, &[(0, "a")], 30, &[(0, "+a")]);
}

#[test]
fn a_restart_neither_repeats_nor_forgets() {
    let settings = settings("");
    let mut state = State::default();
    for second in [0, 15, 30] {
        state.look(&found("a"), &settings, at(second));
    }
    let batch = state.due("chat", &all(), &settings, at(30)).expect("a message");
    // Killed after it was sent and before that was kept: the same message has the same name.
    let bytes = serde_json::to_vec(&state).expect("bytes");
    let again = |bytes: &[u8]| serde_json::from_slice::<State>(bytes).expect("a state");
    let mut killed = again(&bytes).opened(&receivers(), at(3_600));
    killed.look(&found("a"), &settings, at(3_600));
    assert_eq!(killed.due("chat", &all(), &settings, at(3_600)).as_ref(), Some(&batch));
    // Killed after that: nothing is repeated, and what is not found at once is not taken for over.
    state.taken("chat", &batch, at(30));
    let bytes = serde_json::to_vec(&state).expect("bytes");
    let mut state = again(&bytes).opened(&receivers(), at(3_600));
    for second in [3_600, 3_615] {
        state.look(&[], &settings, at(second));
        assert_eq!(state.due("chat", &all(), &settings, at(second)), None);
    }
    state.look(&[], &settings, at(3_600 + 120));
    let over = state.due("chat", &all(), &settings, at(3_600 + 150)).expect("its end");
    assert_eq!(told(&over), "-a");
    // A receiver that is gone is forgotten, and with it what only it knew.
    assert_eq!(again(&bytes).opened(&BTreeMap::new(), at(60)).alerts[0].told, BTreeMap::new());
}

#[test]
fn a_receiver_that_cannot_be_told_is_asked_less_and_less_often() {
    let (settings, mut state, mut tries) = (settings(""), State::default(), Vec::new());
    for second in (0..=3_600).step_by(15) {
        state.look(&found("a"), &settings, at(second));
        if state.due("chat", &all(), &settings, at(second)).is_some() {
            tries.push(second);
            state.failed("chat", "no connection", None, at(second));
        }
    }
    assert!((7..12).contains(&tries.len()), "{tries:?}");
    let failing = &state.failing["chat"];
    assert_eq!((failing.since, failing.words.as_str()), (at(30), "no connection"));
    assert_eq!(failing.tries as usize, tries.len());
    // It says itself when to come again, within an hour.
    state.failed("chat", "too many", Some(at(100_000)), at(3_600));
    assert_eq!(state.failing["chat"].not_before, at(7_200));
    let batch = state.due("chat", &all(), &settings, at(7_200)).expect("what it was not told");
    assert_eq!(told(&batch), "+a");
    state.taken("chat", &batch, at(7_200));
    assert!(state.failing.is_empty());
}

#[test]
fn everything_is_bounded() {
    let (settings, mut state) = (settings("group_wait = \"0s\""), State::default());
    let many: Vec<Finding> =
        (0..MOST_ALERTS + 7).map(|n| Finding::new(Kind::DeadLetters, n.to_string(), "w".repeat(10_000))).collect();
    state.look(&many, &settings, at(0));
    assert_eq!((state.alerts.len(), state.untracked), (MOST_ALERTS, 7));
    assert!(serde_json::to_vec(&state).expect("bytes").len() < 64_000);
    for _ in 0..MOST_SILENCES {
        let silence = Silence { id: 0, kind: None, of: None, from: at(0), until: at(60), by: "me".into() };
        assert!(state.silence(silence).is_some());
    }
    let silence = Silence { id: 0, kind: None, of: None, from: at(0), until: at(60), by: "me".into() };
    assert_eq!(state.silence(silence), None);
    assert!(state.unsilence(1) && !state.unsilence(1));
}

#[test]
fn marks_and_windows_that_make_no_sense_are_told() {
    for (text, wanted) in [
        ("every = \"10ms\"", "every: must lie between 1s and 30d"),
        ("rule.dead_letters.over = \"1h\"", "rule.dead_letters.over: is nothing that this kind measures"),
        ("[[maintenance]]\nat = \"0 2 * * *\"\nlength = \"0s\"", "maintenance.0.length: must be longer than nothing"),
        ("[receiver.a]\nkind = \"slack\"\nurl = \"x\"", "receiver.a.url: is no address of the web"),
        ("[receiver.a]\nkind = \"webhook\"\nurl = \"https://x.example\"\nsecret = \"x\"", "receiver.a.secret: "),
        ("[receiver.a]\nkind = \"pagerduty\"\nrouting_key = \"k\"\nbase_url = \"x\"", "receiver.a.base_url: "),
        (
            "[receiver.a]\nkind = \"email\"\nserver = \"m.example\"\nfrom = \"e@x.example\"\nto = [\"nobody\"]",
            "receiver.a.to: has something in it that is no address",
        ),
        (
            "[receiver.a]\nkind = \"email\"\nserver = \"m.example\"\ntls = \"none\"\nfrom = \"e@x.example\"\nto = [\"e@x.example\"]",
            "receiver.a.tls: may be \"none\" only for a server on this machine",
        ),
    ] {
        let clashes = settings(text).clashes();
        let [(key, words)] = clashes.as_slice() else { panic!("{text}: {clashes:?}") };
        let told = format!("{}: {words}", key.join("."));
        assert!(told.starts_with(wanted), "{told}");
    }
    assert_eq!(settings("").clashes(), Vec::new());
}
