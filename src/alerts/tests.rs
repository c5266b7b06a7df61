//! The state machine of alerts: rows of what is found and what is told, and against a naive model over random histories.

mod desk;
mod model;

use std::collections::BTreeMap;

use super::receiver::Untold;
use super::settings::{MOST_WINDOWS, Receiver, Settings, Slack, Wants};
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

/// It certainly did not hear.
fn refused(again: Option<Timestamp>) -> Untold {
    Untold { words: "no connection".into(), again, may_know: false }
}

/// It may have heard.
fn cut() -> Untold {
    Untold { words: "the connection was cut".into(), again: None, may_know: true }
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
        if let Some(batch) = state.due("chat", &all(), &settings.round(at(second))) {
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
        let wants = Wants { kinds, least };
        state.due("chat", &wants, &settings.round(at(600))).map(|batch| told(&batch)).unwrap_or_default()
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
        if let Some(batch) = state.due("chat", &all(), &settings.round(at(second))) {
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
    let batch = state.due("chat", &all(), &settings.round(at(30))).expect("a message");
    // Killed after it was sent and before that was kept: the same message has the same name.
    let bytes = serde_json::to_vec(&state).expect("bytes");
    let again = |bytes: &[u8]| serde_json::from_slice::<State>(bytes).expect("a state");
    let mut killed = again(&bytes).opened(&receivers(), at(3_600));
    killed.look(&found("a"), &settings, at(3_600));
    assert_eq!(killed.due("chat", &all(), &settings.round(at(3_600))).as_ref(), Some(&batch));
    // Killed after that: nothing is repeated, and what is not found at once is not taken for over.
    state.taken("chat", &batch, at(30));
    let bytes = serde_json::to_vec(&state).expect("bytes");
    let mut state = again(&bytes).opened(&receivers(), at(3_600));
    for second in [3_600, 3_615] {
        state.look(&[], &settings, at(second));
        assert_eq!(state.due("chat", &all(), &settings.round(at(second))), None);
    }
    state.look(&[], &settings, at(3_600 + 120));
    let over = state.due("chat", &all(), &settings.round(at(3_600 + 150))).expect("its end");
    assert_eq!(told(&over), "-a");
    // A receiver that is gone is forgotten, and with it what only it knew.
    assert_eq!(again(&bytes).opened(&BTreeMap::new(), at(60)).alerts[0].told, BTreeMap::new());
}

#[test]
fn a_receiver_that_cannot_be_told_is_asked_less_and_less_often() {
    let (settings, mut state, mut tries) = (settings(""), State::default(), Vec::new());
    for second in (0..=3_600).step_by(15) {
        state.look(&found("a"), &settings, at(second));
        if let Some(batch) = state.due("chat", &all(), &settings.round(at(second))) {
            tries.push(second);
            state.asked("chat", &batch);
            state.failed("chat", &batch, &refused(None), at(second));
        }
    }
    assert!((7..12).contains(&tries.len()), "{tries:?}");
    let failing = &state.failing["chat"];
    assert_eq!((failing.since, failing.words.as_str()), (at(30), "no connection"));
    assert_eq!(failing.tries as usize, tries.len());
    // It says itself when to come again, within an hour.
    let none = Batch { id: String::new(), items: Vec::new() };
    state.failed("chat", &none, &refused(Some(at(100_000))), at(3_600));
    assert_eq!(state.failing["chat"].not_before, at(7_200));
    let batch = state.due("chat", &all(), &settings.round(at(7_200))).expect("what it was not told");
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
        ("[receiver.a]\nkind = \"slack\"\nurl = \"https:///x\"", "receiver.a.url: is no address of the web"),
        (
            "[receiver.a]\nkind = \"slack\"\nurl = \"http://chat.example/127.0.0.1\"",
            "receiver.a.url: would be called in the clear, with what lets in: write https://",
        ),
        (
            "[receiver.a]\nkind = \"webhook\"\nurl = \"http://localhost@chat.example:80/x\"",
            "receiver.a.url: would be called in the clear",
        ),
        (
            "[receiver.a]\nkind = \"pagerduty\"\nrouting_key = \"k\"\nbase_url = \"http://127.0.0.1.example\"",
            "receiver.a.base_url: would be called in the clear",
        ),
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
        (
            "[receiver.a]\nkind = \"email\"\nserver = \"m.example\"\nfrom = \"e@x.example\"\nto = [\"e@x.example\"]\nca = \"/ca.pem\"",
            "receiver.a.ca: is no certificate in PEM; it is written ${file:/path/to/ca.pem}",
        ),
    ] {
        let clashes = settings(text).clashes();
        let [(key, words)] = clashes.as_slice() else { panic!("{text}: {clashes:?}") };
        let told = format!("{}: {words}", key.join("."));
        assert!(told.starts_with(wanted), "{told}");
    }
    assert_eq!(settings("").clashes(), Vec::new());
    for here in ["http://localhost", "http://127.0.0.1:8065/hooks/x", "http://[::1]:80/x", "https://chat.example/x"] {
        let text = format!("[receiver.a]\nkind = \"slack\"\nurl = \"{here}\"");
        assert_eq!(settings(&text).clashes(), Vec::new(), "{here}");
    }
    let windows = |n| settings(&"[[maintenance]]\nat = \"0 2 * * *\"\nlength = \"1h\"\n".repeat(n)).clashes();
    assert_eq!(windows(MOST_WINDOWS), Vec::new());
    assert!(windows(MOST_WINDOWS + 1)[0].1.starts_with("there may be 50 times of planned work"));
}

/// Each row: what is found by turns of 15 seconds, what becomes of the try at that look, and what is told at the end.
#[test]
fn who_may_have_heard_is_told_the_end() {
    #[derive(Clone, Copy)]
    enum Try {
        Heard,
        Refused,
        Cut,
        /// It has no end before the next look.
        Slow,
        /// The daemon is killed meanwhile.
        Killed,
    }
    use Try::{Cut, Heard, Killed, Refused, Slow};
    let rules = "group_wait = \"0s\"\ncalm = \"15s\"\nrepeat = \"1m\"";
    let check = |found_at: &[&str], tries: &[Try], wanted: &[&str]| {
        let (settings, mut state) = (settings(rules), State::default());
        let (mut heard, mut slow, mut tries) = (Vec::new(), None, tries.iter());
        for look in 0..40_i64 {
            // Far apart, so that a receiver that failed is asked again at each.
            let now = at(look * 1_200);
            state.look(&found(found_at.get(look as usize).copied().unwrap_or_default()), &settings, now);
            if let Some(batch) = slow.take() {
                heard.push(told(&batch));
                state.taken("chat", &batch, now);
                continue;
            }
            let Some(batch) = state.due("chat", &all(), &settings.round(now)) else { continue };
            state.asked("chat", &batch);
            match tries.next().unwrap_or(&Heard) {
                Heard => {
                    heard.push(told(&batch));
                    state.taken("chat", &batch, now);
                }
                Refused => state.failed("chat", &batch, &refused(None), now),
                Cut => state.failed("chat", &batch, &cut(), now),
                Slow => slow = Some(batch),
                Killed => {
                    let bytes = serde_json::to_vec(&state).expect("bytes");
                    state = serde_json::from_slice::<State>(&bytes).expect("a state").opened(&receivers(), now);
                }
            }
        }
        assert_eq!(heard, wanted);
        assert_eq!(state.alerts, Vec::new(), "nothing is left to be told");
    };
    check(&["a", ""], &[Heard], &["+a", "-a"]);
    // Who certainly heard nothing is told of no end.
    check(&["a", ""], &[Refused], &[]);
    check(&["a", "a", ""], &[Refused, Refused], &[]);
    // It ended while it was told, after a try that was cut, or while the daemon was down.
    check(&["a", ""], &[Slow], &["+a", "-a"]);
    check(&["a", ""], &[Cut], &["-a"]);
    check(&["a", "a", ""], &[Cut, Refused], &["-a"]);
    check(&["a", ""], &[Killed], &["-a"]);
    // What was cut is told again, and its end as well.
    check(&["a", "a", ""], &[Cut], &["+a", "-a"]);
    check(&["a", "", ""], &[Heard, Cut], &["+a", "-a"]);
    // It comes back while its end may have been heard: that is told anew.
    check(&["a", "", "a", ""], &[Heard, Cut], &["+a", "+a", "-a"]);
    check(&["a", "", "a", "a", ""], &[Heard, Slow], &["+a", "-a", "+a", "-a"]);
    check(&["a", "", "a", ""], &[Heard, Refused], &["+a", "~a", "-a"]);
}

#[test]
fn the_end_is_told_in_a_silence_in_planned_work_and_with_other_wishes() {
    // at(0) is 2026-11-30T00:53:20Z.
    let window = "group_wait = \"0s\"\ncalm = \"15s\"\n[[maintenance]]\nat = \"54 0 * * *\"\nlength = \"5h\"";
    check(window, &[(0, "a"), (60, "")], 150, &[(0, "+a"), (60, "-a")]);
    let settings = settings("group_wait = \"0s\"\ncalm = \"15s\"");
    for wants in
        [Wants { kinds: &[Kind::DiskLow], least: Severity::Warning }, Wants { kinds: &[], least: Severity::Critical }]
    {
        let mut state = State::default();
        state.look(&found("a"), &settings, at(0));
        let batch = state.due("chat", &all(), &settings.round(at(0))).expect("a message");
        state.taken("chat", &batch, at(0));
        let silence = Silence { id: 0, kind: None, of: None, from: at(0), until: at(9_000), by: "me".into() };
        state.silence(silence).expect("a silence");
        state.look(&[], &settings, at(60));
        let over = state.due("chat", &wants, &settings.round(at(60))).map(|batch| told(&batch));
        assert_eq!(over.as_deref(), Some("-a"));
    }
}
