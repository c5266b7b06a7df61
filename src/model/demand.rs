//! What somebody demands of what is kept of them: that it is forgotten, or that they see it. Nothing here is personal.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LaneName, OccasionId, PersonId, Position, Timestamp};

/// That somebody was forgotten: the receipt. It has nothing personal in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Which: the occasion of what the destinations are asked.
    pub id: OccasionId,
    /// The id that the person had here; of somebody who was not known, one that nobody has.
    pub person: PersonId,
    /// When it was asked for.
    pub asked: Timestamp,
    /// When they were forgotten here.
    pub decided: Timestamp,
    /// Who asked for it: a source's name, or `by hand`.
    pub source: Arc<str>,
    /// The place of the demand in the journal.
    pub position: Position,
    /// Names that led to them.
    pub names: u32,
    /// Events of theirs that were remembered.
    pub events: u64,
    /// When the journal had nothing of theirs any more; none while it has.
    pub journal: Option<Timestamp>,
    /// The destinations that are asked to forget them.
    pub lanes: Vec<LaneName>,
}

/// That somebody wants to see what is kept of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Which.
    pub id: OccasionId,
    /// The id that the person has here; none of somebody who was not known then.
    pub person: Option<PersonId>,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Who asked for it: a source's name.
    pub source: Arc<str>,
    /// The place of the demand in the journal.
    pub position: Position,
    /// When it was answered; none while it is open.
    pub answered: Option<Timestamp>,
}

impl OccasionId {
    /// Of an erasure: one for each person and demand.
    pub fn of_erasure(person: PersonId, position: Position) -> Self {
        Self::of_parts(&[b"erasure", &person.0, &position.0.to_be_bytes()])
    }

    /// Of a demand of access.
    pub fn of_access(person: PersonId, position: Position) -> Self {
        Self::of_parts(&[b"access", &person.0, &position.0.to_be_bytes()])
    }

    /// Of what the event at this place says of somebody's consent.
    pub fn of_consent(person: PersonId, position: Position) -> Self {
        Self::of_parts(&[b"consent", &person.0, &position.0.to_be_bytes()])
    }
}
