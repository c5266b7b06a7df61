//! The configuration that ships: run with its secrets made up, and copied to where a store of its own may lie.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where it lies.
pub const CONFIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/config/espalier.toml");

/// What it reads from the environment.
const SECRETS: [&str; 7] = [
    "ESPALIER_WRITE_KEY",
    "SHOPIFY_WEBHOOK_SECRET",
    "ESPALIER_FORM_TOKEN",
    "KLAVIYO_API_KEY",
    "HUBSPOT_TOKEN",
    "MARKETO_CLIENT_ID",
    "MARKETO_CLIENT_SECRET",
];

/// Runs the program with every secret made up; what it prints.
pub fn espalier(config: &Path, args: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espalier"));
    command.args(args).arg("--config").arg(config);
    command.envs(SECRETS.map(|name| (name, name)));
    let out = command.output().expect("the program");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// A copy with the triggers that ship, and a store in this folder.
pub fn copy(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(CONFIG).expect("the example");
    let text = text.replace("path         = \"../data\"", "path = \"store\"");
    let triggers = concat!("triggers = \"", env!("CARGO_MANIFEST_DIR"), "/config/triggers\"");
    let config = folder.join("espalier.toml");
    std::fs::write(&config, text.replace("triggers = \"triggers\"", triggers)).expect("a copy");
    config
}
