//! The engine's steps, and what each is made with.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Event, Loaded, Order, PersonId, Position, StepId, Timestamp, TriggerId};

/// A batch of events in journal order, with everybody they speak of.
#[derive(Debug, Default)]
pub struct Claim {
    /// Never empty, unless nothing waits.
    pub events: Vec<(Position, Event)>,
    /// Complete for the identifiers and message keys of `events`.
    pub loaded: Loaded,
}

/// People whose timers are due, loaded.
#[derive(Debug, Default)]
pub struct Due {
    /// In order of their earliest timer.
    pub people: Vec<PersonId>,
    /// All of them, and nobody else.
    pub loaded: Loaded,
}

/// One step of the engine, written down before what follows from it: a replay takes the same steps, each with the same
/// `now`, and so comes to the same decisions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// From here on these triggers are asked, in what they mean; those among them that are new are made known to
    /// everybody.
    Program(Vec<(TriggerId, u32)>),
    /// The events up to this one are decided.
    Events {
        /// The last of them.
        until: Position,
        /// When.
        now: Timestamp,
    },
    /// People are asked whose timer lies at or before `until`, the earliest first, at most `max` of them.
    Timers {
        /// How far time has come.
        until: Timestamp,
        /// How many people at most.
        max: u32,
        /// When.
        now: Timestamp,
    },
    /// People are asked for triggers that they were never asked for, in order of their ids.
    Adopt {
        /// Those after this one.
        after: Option<PersonId>,
        /// Up to and including this one; `None` says that all have been asked.
        until: Option<PersonId>,
        /// When.
        now: Timestamp,
    },
    /// Somebody wants something of a trigger.
    Order {
        /// Which.
        trigger: TriggerId,
        /// What.
        order: Order,
        /// When.
        now: Timestamp,
    },
    /// Held activations of a trigger go, the oldest first, at most `max` of them.
    Release {
        /// Which.
        trigger: TriggerId,
        /// How many at most.
        max: u32,
        /// When.
        now: Timestamp,
    },
}

/// A step that was written down and not yet taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// For [`Changes::step`] of what follows from it.
    pub id: StepId,
    /// The newest event decided when it was written. Events before it that are not decided have no steps: they come
    /// from a version that wrote none.
    pub after: Position,
    /// What is to be done.
    pub step: Step,
}

/// How far a new program's triggers were made known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Adopted {
    /// To people up to this one.
    UpTo(Option<PersonId>),
    /// To everybody who was there.
    Everybody,
}

impl Default for Adopted {
    fn default() -> Self {
        Self::UpTo(None)
    }
}

/// Where the engine is, after the last step taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The triggers of the last [`Step::Program`]; `None` before the first.
    pub program: Option<Arc<[(TriggerId, u32)]>>,
    /// Who knows them.
    pub adopted: Adopted,
}
