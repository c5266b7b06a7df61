//! Any webhook: the message as JSON, signed as Standard Webhooks says where it has a secret.

use serde_json::{Value, json};

use super::{Hidden, Untold, post, sent, wire_to};
use crate::alerts::message::{Line, Message};
use crate::alerts::settings;
use crate::clock::SharedClock;
use crate::model::http::Auth;
use crate::model::setting::Secret;
use crate::model::{Timestamp, standard_webhook};
use crate::wire::{NoClient, Wire};

/// One webhook.
pub struct Webhook {
    wire: Wire,
    path: String,
    secrets: Vec<Secret>,
    token: Option<Secret>,
    hidden: Hidden,
}

impl Webhook {
    pub(super) fn new(settings: &settings::Webhook, clock: &SharedClock) -> Result<Self, NoClient> {
        let (wire, path) = wire_to(&settings.url, clock)?;
        let hidden = Hidden::default().address(&settings.url).keys(settings.secret.iter().chain(&settings.token));
        let (secrets, token) = (settings.secret.iter().cloned().collect(), settings.token.clone());
        Ok(Self { wire, path, secrets, token, hidden })
    }

    pub(super) async fn tell(&self, message: &Message, now: Timestamp) -> Result<String, Untold> {
        let auth = self.token.clone().map_or(Auth::Open, |token| Auth::Header("Bearer", token));
        let body = body(message).to_string().into_bytes();
        let headers = standard_webhook::headers(&message.id, now, &body, &self.secrets);
        let mut request = post(&self.path, auth, body);
        request.headers = headers;
        sent(&self.wire, request, &self.hidden, now).await
    }
}

/// What is posted. Lists hold as many lines as are shown; `more` says how many are left out.
pub fn body(message: &Message) -> Value {
    let (sections, more) = message.sections();
    let lines = |head: &str| -> Vec<&Line> {
        let section = sections.iter().find(|(one, _)| *one == head);
        section.map(|(_, lines)| lines.clone()).unwrap_or_default()
    };
    json!({
        "type": if message.is_test { "alerts.test" } else { "alerts.changed" },
        "timestamp": message.at,
        "data": {
            "name": message.name,
            "page": message.page,
            "subject": message.subject(),
            "firing": lines("Firing"),
            "still": lines("Still firing"),
            "resolved": lines("Resolved"),
            "more": more,
        },
    })
}
