//! A receiver that one kind of call serves: `destination.toml` of a connector says what is sent and what answers mean;
//! where none is named, the activation itself is posted as JSON, signed as Standard Webhooks has it.
//!
//! The receiver's key against repeats is `webhook-id`, or what the manifest makes of the occasion. What may have left
//! without an answer is sent again with the same key.

mod answer;
pub mod fixture;
pub mod manifest;
mod names;
mod sending;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use self::manifest::Manifest;
use self::sending::Sending;
use super::{Destination, Exchange, Item, Limits, pretend};
use crate::manifest::access::{self, named};
use crate::manifest::setting::{Given, Unfit, Written};
use crate::model::http::{self, AccountKey, Counted, Request, Response, TokenRequest, Window};
use crate::model::setting::Secret;
use crate::model::{ActionKind, Span, standard_webhook};

/// What triggers may ask for: a receiver knows events only.
pub const CAN: &[ActionKind] = &[ActionKind::Event];

/// `[destination.NAME]` with `kind = "webhook"`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The connector whose `destination.toml` says what is sent; without one, the activation is posted to `url`.
    pub connector: Option<String>,
    /// What the connector asks for.
    #[serde(default)]
    pub settings: Written,
    /// Where to post, without a connector.
    pub url: Option<String>,
    /// Without a connector: signs as Standard Webhooks has it; `whsec_` and 24 to 64 bytes in base64.
    pub secret: Option<Secret>,
    /// Without a connector: goes along as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// How much of the receiver's limits we take; the rest is left to other tools.
    #[serde(default = "share")]
    #[schemars(range(min = 0.01, max = 1.0))]
    pub share: f64,
    /// No budget of our own: for a local simulator.
    #[serde(default)]
    pub unlimited: bool,
    /// One call takes at most so long; the manifest says how long, unless this does.
    pub timeout: Option<Span>,
    /// What comes of it with the manifest: see [`Settings::resolve`].
    #[serde(skip)]
    #[schemars(skip)]
    way: Option<Arc<Way>>,
}

fn share() -> f64 {
    0.85
}

impl Settings {
    /// What the manifest's settings are given: for the default one `url`, `secret` and `token` are.
    pub fn written(&self) -> Written {
        let mut written = self.settings.clone();
        if self.connector.is_some() {
            return written;
        }
        if let Some(url) = &self.url {
            written = written.and("url", url.as_str());
        }
        for (key, secret) in [("secret", &self.secret), ("token", &self.token)] {
            if let Some(secret) = secret {
                written = written.and(key, secret.expose());
            }
        }
        written
    }

    /// Takes the manifest in, with what it is given.
    ///
    /// # Errors
    /// What no single setting can know.
    pub fn resolve(&mut self, manifest: Manifest, given: &Given) -> Result<(), Unfit> {
        self.way = Some(Arc::new(Way::of(manifest, given)?));
        Ok(())
    }

    /// As far as it can be resolved without a folder of connectors.
    fn shipped(&self) -> Result<Arc<Way>, String> {
        let name = self.connector.as_deref().unwrap_or(manifest::DEFAULT);
        let text = manifest::shipped(name).ok_or_else(|| format!("there is no connector `{name}` that ships"))?;
        let manifest = Manifest::read("destination.toml", text).map_err(|_| format!("`{name}` cannot be read"))?;
        let given = Given::read(&manifest.settings, &self.written());
        let given = given.map_err(|unfit| unfit.into_iter().map(|one| one.words).collect::<Vec<_>>().join("; "))?;
        Way::of(manifest, &given).map(Arc::new).map_err(|wrong| wrong.words)
    }
}

/// A manifest with what a configuration says of it.
#[derive(Clone, Debug)]
struct Way {
    manifest: Manifest,
    base_url: String,
    path: String,
    auth: http::Auth,
    token: Option<TokenRequest>,
    credential: Option<Secret>,
    secrets: Vec<Secret>,
    /// The settings that may be shown, for templates.
    shown: Value,
}

impl Way {
    fn of(manifest: Manifest, given: &Given) -> Result<Self, Unfit> {
        let wrong = |key: Option<&str>, words: String| Unfit { key: key.map(str::to_owned), words, way: None };
        let seen = given.seen();
        let base_url = access::base_url(&manifest.base_url, &seen);
        let base_url = base_url.ok_or_else(|| wrong(None, "no address can be made of these settings".into()))?;
        let path = manifest.path.text(&seen).unwrap_or_default();
        let is_optional = |name: &&str| manifest.settings.iter().any(|s| s.name == **name && s.optional);
        let (auth, token, credential) = match access::way_in(&manifest.auth, given) {
            Ok(way) => (way.auth, way.token, way.credential),
            Err(_) if manifest.auth.iter().all(|way| way.needs().iter().all(is_optional)) => {
                (http::Auth::Open, None, None)
            }
            Err(words) => return Err(wrong(None, format!("no credentials: {words}"))),
        };
        let secrets = manifest.sign.as_ref().map(|name| given.secrets(name).to_vec()).unwrap_or_default();
        if let Some(words) = secrets.iter().find_map(|secret| standard_webhook::key(secret).err()) {
            let way = Some(standard_webhook::WAY.to_owned());
            return Err(Unfit { way, ..wrong(manifest.sign.as_deref(), words.to_owned()) });
        }
        let shown = json!(given.all_shown());
        Ok(Self { base_url, path, auth, token, credential, secrets, shown, manifest })
    }

    /// The call with this body. `id` is its key against repeats.
    fn request(&self, id: &str, uuid: &str, body: Vec<u8>, timeout: Span, now: crate::model::Timestamp) -> Request {
        let seen = json!({ "occasion": id, "uuid": uuid, "settings": self.shown });
        let mut headers = named(&self.manifest.headers, &crate::manifest::Seen::of(&seen));
        if self.manifest.sign.is_some() {
            headers.extend(standard_webhook::headers(id, now, &body, &self.secrets));
        }
        Request {
            method: self.manifest.method,
            path: self.path.clone(),
            query: Vec::new(),
            headers,
            content_type: "application/json",
            auth: self.auth.clone(),
            body,
            family: "calls".into(),
            timeout,
        }
    }
}

/// One receiver.
pub struct Webhook {
    way: Result<Arc<Way>, String>,
    share: f64,
    unlimited: bool,
    timeout: Option<Span>,
}

impl Webhook {
    /// With these settings. Those that were not resolved can only name what ships.
    pub fn new(settings: Settings) -> Self {
        let way = settings.way.clone().map_or_else(|| settings.shipped(), Ok);
        Self { way, share: settings.share, unlimited: settings.unlimited, timeout: settings.timeout }
    }

    fn most(&self) -> usize {
        let batch = self.way.as_ref().ok().and_then(|way| way.manifest.batch.as_ref());
        batch.map_or(1, |batch| batch.most)
    }
}

impl Destination for Webhook {
    fn kind(&self) -> &'static str {
        "webhook"
    }

    fn can(&self) -> &'static [ActionKind] {
        CAN
    }

    fn base_url(&self) -> &str {
        self.way.as_ref().map(|way| way.base_url.as_str()).unwrap_or_default()
    }

    fn limits(&self) -> Limits {
        let (bytes, concurrency) =
            self.way.as_ref().map_or((0, 1), |way| (way.manifest.bytes, way.manifest.concurrency));
        Limits { records: self.most(), bytes, concurrency }
    }

    fn windows(&self) -> Vec<Window> {
        let windows = self.way.as_ref().map(|way| way.manifest.windows.as_slice()).unwrap_or_default();
        if self.unlimited {
            return Vec::new();
        }
        let window = |(_, calls, span): &(String, u32, Span)| Window {
            family: "calls".into(),
            calls: *calls,
            share: self.share,
            span: *span,
            counted: Counted::usual(*span),
        };
        windows.iter().map(window).collect()
    }

    fn account(&self) -> Option<AccountKey> {
        let way = self.way.as_ref().ok()?;
        let is_let_in = !matches!(way.auth, http::Auth::Open);
        is_let_in.then(|| AccountKey { base_url: way.base_url.clone(), credential: way.credential.clone() })
    }

    fn calls(&self, records: usize) -> usize {
        records.div_ceil(self.most())
    }

    fn calls_by_family(&self, records: usize) -> Vec<(&'static str, usize)> {
        vec![("calls", self.calls(records))]
    }

    fn token(&self) -> Option<TokenRequest> {
        self.way.as_ref().ok().and_then(|way| way.token.clone())
    }

    fn exchange(&self, batch: Vec<Item>) -> Box<dyn Exchange> {
        Box::new(Sending::new(self.way.clone(), self.timeout, batch))
    }

    /// The first success that the manifest knows.
    fn pretended(&self, _: &Request) -> Response {
        let Ok(way) = &self.way else { return Response::default() };
        let success = &way.manifest.success;
        let said = success.is.first().map_or(Value::Bool(true), |text| Value::from(text.as_str()));
        let body = success
            .path
            .as_ref()
            .map(|path| path.as_str().rsplit('.').fold(said.clone(), |inner, name| json!({ name: inner })));
        let status = success.status.first().copied().unwrap_or(200);
        Response { status, ..pretend(&body.unwrap_or(Value::Null)) }
    }
}
