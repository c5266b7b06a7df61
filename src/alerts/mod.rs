//! Alerts, for those who have no other system for them: what is found wrong becomes an alert that fires, is told to
//! receivers, told again while it lasts, and told to be over.
//!
//! `ops` looks and brings findings; `state.rs` decides what is told to whom, and reads no clock; `desk.rs` keeps that and has
//! it sent. No receiver holds up another, nor the daemon. Nothing personal is in any message: what an alert is about are
//! names of the configuration.

mod desk;
mod finding;
mod kind;
mod message;
mod receiver;
pub mod settings;
mod silence;
mod state;

pub use desk::{Desk, Listing, NoDesk, Refused, Tested};
pub use finding::{Finding, Key};
pub use kind::{Kind, Mark, Severity};
pub use message::{Line, Message};
pub use settings::Settings;
pub use silence::Silence;
pub use state::{Alert, Batch, Change, Failing, Item, State};

#[cfg(test)]
mod tests;
