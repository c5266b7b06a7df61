//! What is passed on to destinations without a trigger: what somebody said of consent, and that they are to be forgotten.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::consent::Channel;
use super::{LaneName, OccasionId, PersonId, Position, Timestamp};

/// The name that stands in the place of a trigger's for what is said of consent.
pub const CONSENT: &str = "(consent)";
/// The name that stands in the place of a trigger's for erasures.
pub const ERASURE: &str = "(erasure)";

/// Which destinations are told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PassedOn {
    /// Those that can forget somebody.
    pub erasure: Vec<LaneName>,
    /// Those to which consent is written.
    pub consent: Vec<ConsentLane>,
}

/// A destination to which consent is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentLane {
    /// Its name.
    pub lane: LaneName,
    /// Of these channels.
    pub channels: Vec<Channel>,
    /// Unless one of these sources said so: they read the same account.
    pub except: Vec<Arc<str>>,
}

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

impl OccasionId {
    /// Of an erasure: one for each person and demand.
    pub fn of_erasure(person: PersonId, position: Position) -> Self {
        Self::of_parts(&[b"erasure", &person.0, &position.0.to_be_bytes()])
    }

    /// Of what the event at this place says of somebody's consent.
    pub fn of_consent(person: PersonId, position: Position) -> Self {
        Self::of_parts(&[b"consent", &person.0, &position.0.to_be_bytes()])
    }
}
