//! What a trigger means: files to a compiled program, conditions to truth and the next instant it can change.
//!
//! docs/triggers.md is the law. Nothing here waits, fails from outside, or reads a clock.

mod amount;
mod answer;
mod condition;
mod engagement;
mod explain;
pub mod gate;
mod leaf;
mod names;
mod nights;
mod path;
mod payload;
mod predicate;
mod program;
mod session;
mod settings;
mod start;
mod threshold;
mod timeline;
mod trigger;
mod view;
mod visit;
mod written;

pub use answer::Answer;
pub use condition::Condition;
pub use engagement::{Engagement, Level};
pub use explain::{ConditionFinding, KeyFinding, TriggerFinding, explain};
pub use leaf::KINDS;
pub use nights::Nights;
pub use path::Path;
pub use payload::{Fire, Payload, Rendered, Shelf, activations, is_pool_name, occasion, payload, void};
pub use program::{Asked, Files, Program};
pub use settings::Settings;
pub use start::Start;
pub use timeline::{Expected, Timeline, since_start};
pub use trigger::{Passage, Trigger, TriggerKind};
pub use view::LONGEST;
pub use visit::{Visit, visits};

#[cfg(test)]
mod tests;
