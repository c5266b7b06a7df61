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

pub use server::{Intake, NotReady};
pub use settings::{Settings, SourceSettings};
