//! What receivers are told, byte by byte, and what is shown of their answers.

use serde_json::json;

use super::*;
use crate::alerts::Key;
use crate::alerts::kind::{Kind, Severity};
use crate::alerts::message::Line;
use crate::alerts::settings::Settings;

fn line(of: &str, kind: Kind, severity: Severity, over: Option<Timestamp>) -> Line {
    Line {
        key: Key { kind, of: of.into() },
        severity,
        words: "a <b> & c".into(),
        remedy: Some("`espalier x`".into()),
        value: Some(3.0),
        since: Timestamp::from_millis(1_796_000_000_000),
        over,
    }
}

fn message() -> Message {
    let now = Timestamp::from_millis(1_796_000_030_000);
    let settings = Settings { name: "shop".into(), page: Some("https://e.example/".into()), ..Settings::default() };
    let mut message = Message::test("id1".into(), &settings, now);
    message.is_test = false;
    message.firing = vec![line("lane esp", Kind::BreakerOpen, Severity::Critical, None)];
    message.resolved = vec![line("pool x", Kind::CodesLow, Severity::Warning, Some(now))];
    message
}

#[test]
fn slack_is_told_in_its_mark_up() {
    let text = "*shop: 1 firing, 1 resolved; lane esp: a &lt;b&gt; &amp; c*\n*Firing*\n\
        • critical: lane esp: a &lt;b&gt; &amp; c (since 2026-11-30 00:53 UTC); `espalier x`\n*Resolved*\n\
        • warning: pool x: a &lt;b&gt; &amp; c (from 2026-11-30 00:53 until 2026-11-30 00:53 UTC)\n\
        <https://e.example/|Status>";
    assert_eq!(slack::body(&message()), json!({ "text": text }));
}

#[test]
fn pagerduty_gets_an_event_for_each_alert() {
    let opened = json!({
        "event_action": "trigger",
        "dedup_key": "shop:breaker_open:lane esp",
        "client": "Espalier",
        "client_url": "https://e.example/",
        "payload": {
            "summary": "lane esp: a <b> & c",
            "source": "shop",
            "severity": "critical",
            "timestamp": "2026-11-30T00:53:20.000Z",
            "component": "lane esp",
            "class": "breaker_open",
            "custom_details": { "remedy": "`espalier x`", "value": 3.0 },
        },
    });
    let over = json!({ "event_action": "resolve", "dedup_key": "shop:codes_low:pool x" });
    assert_eq!(pagerduty::events(&message()), [opened, over]);
    let test = Message { is_test: true, ..message() };
    let actions = pagerduty::events(&test);
    assert_eq!((&actions[0]["event_action"], &actions[1]["event_action"]), (&json!("trigger"), &json!("resolve")));
    assert_eq!(actions[0]["dedup_key"], actions[1]["dedup_key"]);
}

#[test]
fn a_message_shows_so_many_lines_and_says_how_many_more() {
    let mut message = message();
    message.firing = (0..30).map(|n| line(&n.to_string(), Kind::Silence, Severity::Warning, None)).collect();
    message.shown = 20;
    let body = webhook::body(&message);
    assert_eq!(body["data"]["firing"].as_array().map(Vec::len), Some(20));
    assert_eq!((&body["data"]["resolved"], &body["data"]["more"]), (&json!([]), &json!(11)));
    assert!(message.text().contains("and 11 more"), "{}", message.text());
    assert_eq!(pagerduty::events(&message).len(), 31, "each incident is opened and closed");
}

#[test]
fn an_answer_that_shows_a_secret_is_not_shown() {
    let answer = |body: &str| Response { status: 404, headers: Vec::new(), body: body.as_bytes().to_vec() };
    let (secret, now) = (Secret::new("https://x.example/T0/B0/s3cr3t"), Timestamp::MIN);
    let hidden = Hidden::default().address(&secret);
    let words = |body: &str| judged(&answer(body), &hidden, now).expect_err("a refusal").words;
    assert_eq!(words("no_service\n"), "HTTP 404: no_service");
    assert_eq!(words("nothing at https://x.example/T0/B0/s3cr3t"), "HTTP 404");
    assert_eq!(words(""), "HTTP 404");
}
