//! Whose an event is: normalising, linking by shared identifiers, protection, merges.
//!
//! Pure: it changes the people it is given and says what it did. It never joins two known people through a device, a
//! cart or an anonymous id, and never takes a name away from somebody without a log.

mod merge;
pub mod normalise;
mod protect;
mod resolve;
mod settings;

pub use merge::merge;
pub use normalise::normalise;
pub use resolve::{Plan, resolve};
pub use settings::Settings;

#[cfg(test)]
mod tests;
