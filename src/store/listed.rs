//! Activations as they are looked for and listed, and what became of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::WorkId;
use super::forgotten::{self, Names};
use crate::model::{Activation, Attempt, Event, LaneName, Position, Timestamp};

/// Where an activation is, and what was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The activation.
    pub activation: Activation,
    /// The tries kept (the last ten), oldest first. Empty while it waits for its first.
    pub attempts: Vec<Attempt>,
    /// True while it is in the outbox.
    pub is_queued: bool,
}

/// An activation that can never be sent as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    /// Its place; stable until it is replayed or dropped.
    pub id: WorkId,
    /// What was to be sent.
    pub activation: Activation,
    /// The tries kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it was given up.
    pub at: Timestamp,
}

/// An activation that has ended, whichever way.
#[derive(Clone, Debug, PartialEq)]
pub struct End {
    /// Its number.
    pub id: WorkId,
    /// What was, or was to be, sent.
    pub activation: Activation,
    /// The tries kept, oldest first.
    pub attempts: Vec<Attempt>,
    /// When it ended.
    pub at: Timestamp,
}

/// What is looked for among those that have ended, or among dead letters. What is not said is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Sought {
    /// Of this lane.
    #[schema(value_type = Option<String>)]
    pub lane: Option<LaneName>,
    /// Of this trigger.
    #[schema(value_type = Option<String>)]
    pub trigger: Option<Arc<str>>,
    /// With this end: [`crate::model::Outcome::word`] of the last try, or the code of its refusal.
    #[schema(value_type = Option<String>)]
    pub end: Option<Box<str>>,
    /// Only those of a lower number: where another page begins.
    #[schema(value_type = Option<u64>)]
    pub before: Option<WorkId>,
}

impl Sought {
    /// True for one that is looked for.
    pub fn has(&self, activation: &Activation, attempts: &[Attempt]) -> bool {
        let is_end = |end: &str| {
            attempts.last().is_some_and(|last| match &last.outcome {
                crate::model::Outcome::Refused { code, .. } => **code == *end || last.outcome.word() == end,
                outcome => outcome.word() == end,
            })
        };
        self.lane.as_ref().is_none_or(|lane| *lane == activation.lane)
            && self.trigger.as_ref().is_none_or(|trigger| *trigger == activation.trigger)
            && self.end.as_deref().is_none_or(is_end)
    }
}

/// A page of what was looked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// Newest first. May be empty before the end: a page looks at a bounded number of others, too.
    pub found: Vec<T>,
    /// For [`Sought::before`] of the next page; none at the end.
    pub next: Option<WorkId>,
}

/// A page of what was accepted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Came {
    /// Newest first. May be empty before the end: a page looks at a bounded number of others, too.
    pub found: Vec<(Position, Event)>,
    /// Where the next page begins, which has what is before it; none at the end.
    pub next: Option<Position>,
}

impl Came {
    /// A page of these, which are newest first: of one source or of all, and of nobody who is forgotten. `is_all` where
    /// nothing is behind them.
    pub(super) fn of(
        looked: Vec<(Position, Event)>,
        (source, names): (Option<&str>, &Names),
        max: usize,
        is_all: bool,
    ) -> Self {
        let (mut found, mut next) = (Vec::new(), None);
        for (position, event) in looked {
            if found.len() >= max {
                return Self { found, next };
            }
            next = Some(position);
            let is_nobody_s = forgotten::is_nothing(&event) || forgotten::is_of(&event, position, names);
            if !is_nobody_s && source.is_none_or(|source| *source == *event.source) {
                found.push((position, event));
            }
        }
        Self { found, next: next.filter(|_| !is_all) }
    }
}

/// What the vendor of a lane took in a stretch of time, and some of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accepted {
    /// All events of it, among the two million newest ends.
    pub total: u64,
    /// Those of the lowest occasions, which are as good as drawn by lot.
    pub sample: Vec<(WorkId, Activation)>,
    /// How many of it had waited for which instant ([`Activation::not_before`]): of a thousand instants at most.
    pub waited: BTreeMap<Timestamp, u64>,
}

/// What became of the wish to put a dead letter back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raised {
    /// It waits in its lane again, or is gone for good, as was asked.
    Done,
    /// There is none of this number.
    Missing,
    /// Its payload could not be said when it was made ([`Activation::broken`]), so that there is nothing to send: it
    /// stays where it is until it is dropped.
    Broken,
}
