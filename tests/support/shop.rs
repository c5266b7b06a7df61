//! One simulated vendor, one customer, and commands beside the daemon.

use std::path::Path;
use std::sync::Arc;

use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use serde_json::{Value, json};

use super::WRITE_KEY;

/// A simulated Klaviyo, and the destination that leads to it.
pub async fn klaviyo() -> (Sandbox, String) {
    let sandbox = Sandbox::new(Arc::new(SystemClock), Options::default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let at = listener.local_addr().expect("an address");
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the vendor") });
    let key = "${env:TEST_SANDBOX_KEY}";
    let text =
        format!("[destination.klaviyo]\nkind = \"klaviyo\"\napi_key = \"{key}\"\nbase_url = \"http://{at}/klaviyo\"\n");
    (sandbox, text)
}

/// A command beside the daemon: whether it ended well, and all that it said.
pub fn espalier(folder: &Path, args: &[&str]) -> (bool, String) {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_espalier"));
    command.args(args).arg("--config").arg(folder.join("espalier.toml"));
    command.env("TEST_WRITE_KEY", WRITE_KEY).env("TEST_SANDBOX_KEY", "sandbox");
    let out = command.output().expect("the program");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// What somebody called Ines did.
pub fn track(id: &str, event: &str, properties: Value) -> String {
    json!({ "type": "track", "event": event, "messageId": id, "userId": "u1", "properties": properties,
        "context": { "traits": { "email": "ines@example.com" } } })
    .to_string()
}
