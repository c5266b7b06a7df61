//! A shop in small: a daemon with one simulated vendor, triggers that lead to it, and one customer.

use base64::Engine as _;
use espalier::sandbox::{Options, Sandbox};
use espalier::store::settings::Kind;
use hmac::{KeyInit, Mac};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Daemon, vendors};

/// A ready daemon with these triggers in a folder of its own, and the simulated Klaviyo that they lead to.
pub async fn open(triggers: &[(&str, &str)]) -> (TempDir, Sandbox, Daemon) {
    on(Kind::Embedded, triggers).await
}

/// The same, with everything in a store of this kind.
pub async fn on(kind: Kind, triggers: &[(&str, &str)]) -> (TempDir, Sandbox, Daemon) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, at) = vendors(Options::default()).await;
    let key = "${env:TEST_SANDBOX_KEY}";
    let destination =
        format!("[destination.klaviyo]\nkind = \"klaviyo\"\napi_key = \"{key}\"\nbase_url = \"http://{at}/klaviyo\"\n");
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &destination, triggers).on(kind).await;
    daemon.start_ready().await;
    (folder, sandbox, daemon)
}

/// A trigger's file: whoever did `did` is told of to Klaviyo as `event`. `more` goes below its name.
pub fn trigger(name: &str, more: &str, did: &str, event: &str) -> String {
    format!(
        r#"
name = "{name}"
{more}[[when.all]]
did = "{did}"
[[activate]]
destination = "klaviyo"
event = "{event}"
"#
    )
}

/// What somebody called Ines did.
pub fn track(id: &str, event: &str, properties: Value) -> Value {
    json!({ "type": "track", "event": event, "messageId": id, "userId": "u1", "properties": properties,
        "context": { "traits": { "email": "ines@example.com" } } })
}

/// What a shop signs a webhook's body with.
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).expect("a key");
    mac.update(body.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}
