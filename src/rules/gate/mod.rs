//! What may hold an edge back, one file each, in the order they are asked: an answer is a verdict with its words.
//!
//! Consent, quiet hours, caps, holdout and the rate guard have their place here; today there are three.

mod cooldown;
mod expires;
mod once;

use crate::model::{Person, Timestamp, Verdict};

use super::trigger::Trigger;

/// What a gate is asked about: an edge that is about to fire.
pub struct Edge<'a> {
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
}

/// The first gate that holds the edge back, or `None` when it may fire.
pub fn held_back(edge: &Edge<'_>) -> Option<Verdict> {
    once::verdict(edge).or_else(|| cooldown::verdict(edge)).or_else(|| expires::verdict(edge))
}
