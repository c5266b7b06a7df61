//! What the manifests of connectors are made of, those of sources and those of destinations: TOML whose every key is read
//! once and with its place, settings that a user has to say, how requests are let in, and texts with expressions in them.

pub mod access;
pub mod answer;
mod expression;
mod path;
pub mod setting;
mod text;
pub(crate) mod written;

pub use expression::{Expression, Seen};
pub use path::{Path, Paths, text};
pub use text::{Body, Text};
