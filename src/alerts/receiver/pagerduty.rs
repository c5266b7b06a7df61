//! PagerDuty's Events API v2: `POST /v2/enqueue`, an event for each alert, `trigger` and `resolve` under one `dedup_key`,
//! answered by 202 (developer.pagerduty.com, "Send an Alert Event", read 2026-11-29).

use serde_json::{Value, json};

use super::{Hidden, Untold, post, sent};
use crate::alerts::kind::Severity;
use crate::alerts::message::{Line, Message};
use crate::alerts::settings;
use crate::clock::SharedClock;
use crate::model::Timestamp;
use crate::model::http::Auth;
use crate::model::setting::Secret;
use crate::wire::{NoClient, Wire};

/// The longest summary that is taken.
const SUMMARY: usize = 1_024;

/// One integration.
pub struct PagerDuty {
    wire: Wire,
    routing_key: Secret,
    hidden: Hidden,
}

impl PagerDuty {
    pub(super) fn new(settings: &settings::PagerDuty, clock: &SharedClock) -> Result<Self, NoClient> {
        let wire = Wire::new(&settings.base_url, None, None, clock.clone())?;
        let routing_key = settings.routing_key.clone();
        Ok(Self { wire, hidden: Hidden::default().keys([&routing_key]), routing_key })
    }

    /// One after the other; what was sent before a failure is sent again, which its key makes harmless.
    pub(super) async fn tell(&self, message: &Message, now: Timestamp) -> Result<String, Untold> {
        let mut words = "nothing to say".to_owned();
        for (n, mut event) in events(message).into_iter().enumerate() {
            event["routing_key"] = self.routing_key.expose().into();
            let request = post("/v2/enqueue", Auth::Open, event.to_string().into_bytes());
            let told = sent(&self.wire, request, &self.hidden, now).await;
            words = told.map_err(|untold| Untold { may_know: untold.may_know || n > 0, ..untold })?;
        }
        Ok(words)
    }
}

/// The events of a message, without the routing key. A test opens an incident and closes it.
pub fn events(message: &Message) -> Vec<Value> {
    if message.is_test {
        let key = format!("{}:test", message.name);
        let payload = json!({
            "summary": message.subject(), "source": message.name, "severity": "info", "timestamp": message.at,
        });
        let open = json!({ "event_action": "trigger", "dedup_key": key, "payload": payload });
        return vec![open, json!({ "event_action": "resolve", "dedup_key": key })];
    }
    let open = message.firing.iter().chain(&message.still).map(|line| trigger(message, line));
    let over =
        message.resolved.iter().map(|line| json!({ "event_action": "resolve", "dedup_key": key(message, line) }));
    open.chain(over).collect()
}

fn trigger(message: &Message, line: &Line) -> Value {
    let severity = match line.severity {
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let mut event = json!({
        "event_action": "trigger",
        "dedup_key": key(message, line),
        "client": "Espalier",
        "payload": {
            "summary": line.sentence().chars().take(SUMMARY).collect::<String>(),
            "source": message.name,
            "severity": severity,
            "timestamp": line.since,
            "component": line.key.of,
            "class": line.key.kind.word(),
            "custom_details": { "remedy": line.remedy, "value": line.value },
        },
    });
    if let Some(page) = &message.page {
        event["client_url"] = page.as_str().into();
    }
    event
}

/// At most 255 characters are taken, so that a long name is kept by its hash.
fn key(message: &Message, line: &Line) -> String {
    let key = format!("{}:{}:{}", message.name, line.key.kind.word(), line.key.of);
    if key.len() <= 255 { key } else { blake3::hash(key.as_bytes()).to_hex().to_string() }
}
