//! What may hold an edge back, one file each, in the order they are asked: an answer is a verdict with its words.
//!
//! The rate guard has its place at the end.

mod consent;
mod cooldown;
mod expires;
mod gating;
mod holdout;
mod once;
pub mod settings;
mod suppression;

pub use gating::Gating;
pub use holdout::{Group, Share};
pub use settings::{Policy, Settings};

use crate::model::{Gate, Person, Timestamp, Verdict};

use super::program::Program;
use super::trigger::Trigger;

/// What a gate is asked about: an edge that is about to fire.
pub struct Edge<'a> {
    /// For what holds for all triggers.
    pub program: &'a Program,
    /// Which trigger.
    pub trigger: &'a Trigger,
    /// Whose, as they are at the edge.
    pub person: &'a Person,
    /// The key; empty without `per`.
    pub key: &'a str,
    /// The edge: when the condition became true.
    pub at: Timestamp,
    /// When it is learned of.
    pub now: Timestamp,
    /// It starts something. What a segment only notes about its members goes to nobody.
    pub sends: bool,
}

/// The gate that drops it, and why.
pub type Dropped = (Gate, Box<str>);

/// The first gate that holds the edge back, or `None` when it may fire.
pub fn held_back(edge: &Edge<'_>) -> Option<Verdict> {
    let verdict = once::verdict(edge).or_else(|| cooldown::verdict(edge)).or_else(|| expires::verdict(edge));
    if verdict.is_some() || !edge.sends {
        return verdict;
    }
    let dropped = forbidden(edge.program, edge.trigger, edge.person).or_else(|| holdout::dropped(edge));
    dropped.map(|(gate, words)| Verdict::Gated(gate, words))
}

/// What the gates would say of an edge of nobody's key at this instant, in words.
pub fn now(program: &Program, trigger: &Trigger, person: &Person, now: Timestamp) -> Option<String> {
    if trigger.activate.is_empty() && trigger.activate_on_exit.is_empty() {
        return None;
    }
    let edge = Edge { program, trigger, person, key: "", at: now, now, sends: true };
    forbidden(program, trigger, person).or_else(|| holdout::dropped(&edge)).map(|(_, words)| words.into())
}

/// Why nothing of the trigger may go to the person, whenever that would be: asked at the edge, and of what still waits
/// when something about consent becomes known.
pub fn forbidden(program: &Program, trigger: &Trigger, person: &Person) -> Option<Dropped> {
    consent::dropped(program, trigger, person).or_else(|| suppression::dropped(trigger, person))
}
