//! The listening edge: tracking API, webhooks, custom endpoints, files.
//!
//! It does one thing with what it is given: verify, map, append, and answer when the disk has it. It never waits for the
//! engine, and never answers 2xx for what is not kept.

mod accept;
mod body;
pub mod catalogue;
mod endpoint;
pub mod import;
mod server;
pub mod settings;
mod snippet;
mod tracking;
mod webhook;

use std::path::PathBuf;

pub use server::{Intake, NotReady};
pub use settings::{Settings, SourceSettings};

/// The text of a connector's manifest and the file it is in: from the user's folder, else of those that ship.
pub fn connector_text(name: &str, folder: Option<PathBuf>) -> Result<(String, String), String> {
    if let Some(path) = folder.map(|folder| folder.join(name).join("connector.toml")).filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        return Ok((path.display().to_string(), text));
    }
    match crate::source::manifest::shipped(name) {
        Some(text) => Ok((format!("connectors/{name}/connector.toml"), text.to_owned())),
        None => Err(format!("there is no connector `{name}`")),
    }
}
