//! What the marketer gets: what every payload says, and what the trigger's file adds to it by templates.
//!
//! docs/payload.md has the names and the language. Everything here is a function of the person, the trigger and what
//! it is handed; no template can wait, look elsewhere, or work without end.

mod activation;
mod cart;
mod code;
mod language;
mod names;
mod plain;
mod product;
mod reads;
mod recommend;
mod said;
mod scene;
mod short;
mod source;
mod template;
#[cfg(test)]
mod tests;
mod urgency;

pub use activation::{activations, void};
pub use code::is_pool_name;
pub use plain::occasion;
pub use said::{Payload, Rendered, payload};
pub use scene::{Fire, Shelf};
