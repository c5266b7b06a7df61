//! An incoming webhook as Slack has it: `{"text": ...}` in its mark-up, answered by 200
//! (docs.slack.dev, "Sending messages using incoming webhooks" and "Formatting message text", read 2026-11-29).

use serde_json::{Value, json};

use super::{Hidden, Untold, post, sent, wire_to};
use crate::alerts::message::Message;
use crate::alerts::settings;
use crate::clock::SharedClock;
use crate::model::Timestamp;
use crate::model::http::Auth;
use crate::wire::{NoClient, Wire};

/// One incoming webhook.
pub struct Slack {
    wire: Wire,
    path: String,
    hidden: Hidden,
}

impl Slack {
    pub(super) fn new(settings: &settings::Slack, clock: &SharedClock) -> Result<Self, NoClient> {
        let (wire, path) = wire_to(&settings.url, clock)?;
        Ok(Self { wire, path, hidden: Hidden::default().address(&settings.url) })
    }

    pub(super) async fn tell(&self, message: &Message, now: Timestamp) -> Result<String, Untold> {
        let body = body(message).to_string().into_bytes();
        sent(&self.wire, post(&self.path, Auth::Open, body), &self.hidden, now).await
    }
}

/// What is posted.
pub fn body(message: &Message) -> Value {
    let mut text = format!("*{}*", escaped(&message.subject()));
    let (sections, more) = message.sections();
    for (head, lines) in sections {
        text += &format!("\n*{head}*");
        for line in lines {
            text += &format!("\n• {}", escaped(&line.told()));
        }
    }
    if more > 0 {
        text += &format!("\nand {more} more: `espalier alerts list`");
    }
    if let Some(page) = &message.page {
        text += &format!("\n<{page}|Status>");
    }
    json!({ "text": text })
}

/// Slack's three characters.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
