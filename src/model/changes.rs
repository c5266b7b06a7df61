//! What `decide` is given and what it returns: values, to be committed in one atomic write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Activation, Catalogue, Codes, DedupeKey, GivenCode, Identifier, LaneName, OccasionId, Person, PersonId, Position,
    Sales, StepId, Timestamp,
};

/// The people a batch speaks of, and what the store knows of its identifiers and message keys.
///
/// `decide` changes it in place; after the commit it is the store's truth and goes back to its cache.
#[derive(Debug, Default)]
pub struct Loaded {
    /// Everybody that any identifier of the batch points to.
    pub people: HashMap<PersonId, Person>,
    /// Who an identifier belongs to. One that is missing belongs to nobody.
    pub owners: HashMap<Identifier, PersonId>,
    /// Message keys of the batch that were seen before, within the window.
    pub seen: HashSet<DedupeKey>,
    /// What is for sale: for payloads only.
    pub catalogue: Arc<Catalogue>,
    /// Discount codes that may be given.
    pub codes: Codes,
    /// What was ordered, counted: for payloads only. The engine's to say, not the store's.
    pub sales: Arc<Sales>,
}

/// How a touched person is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// The header (everything but the history) and these new entries, by position.
    Appended(Vec<Position>),
    /// Everything: after a merge, a cut, or for somebody new.
    Whole,
    /// Merged into another, who has everything now. Links to it are in [`Changes::links`].
    MergedInto(PersonId),
    /// Forgotten at their own wish: history, traits, links and waiting activations.
    Erased,
}

/// One person of [`Loaded::people`] that the step touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonChange {
    /// Whom.
    pub id: PersonId,
    /// How to write them.
    pub write: Write,
}

/// Why two persons became one, or did not: the log that explains and undoes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Join {
    /// The one who stays.
    pub survivor: PersonId,
    /// The other one, and the names they went by then.
    pub other: PersonId,
    /// Names the other one had.
    pub carried: Vec<Identifier>,
    /// The event that did it.
    pub position: Position,
    /// Its source.
    pub source: Arc<str>,
    /// Its time.
    pub at: Timestamp,
    /// The shared identifiers.
    pub because: Vec<Identifier>,
    /// `None` when they were joined; else the protection that kept them apart, in words.
    pub refused: Option<Box<str>>,
}

/// What became of an edge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// An activation was made for each of these lanes.
    Activated(Vec<LaneName>),
    /// Within `cooldown` of the trigger's last fire for this person, at this instant.
    CoolingDown(Timestamp),
    /// `once`, and it fired at this instant.
    AlreadyFired(Timestamp),
    /// Learned of more than `expires` after the edge.
    Expired,
    /// A gate dropped it, in the gate's words.
    Gated(Box<str>),
    /// A later event made the condition false before the activation left.
    Cancelled,
}

impl Verdict {
    /// One word for logs, metric labels and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Activated(_) => "activated",
            Self::CoolingDown(_) => "cooling_down",
            Self::AlreadyFired(_) => "already_fired",
            Self::Expired => "expired",
            Self::Gated(_) => "gated",
            Self::Cancelled => "cancelled",
        }
    }
}

/// One edge and what became of it: kept for `explain` and counted by `metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Which occasion.
    pub occasion: OccasionId,
    /// Which trigger.
    pub trigger: Arc<str>,
    /// Whose.
    pub person: PersonId,
    /// The key of `per`; empty without one.
    pub key: Box<str>,
    /// The edge.
    pub at: Timestamp,
    /// When it was learned of.
    pub decided: Timestamp,
    /// What became of it.
    pub verdict: Verdict,
}

/// An activation that a late event took the reason from: taken out of the outbox, if it is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recall {
    /// Which occasion.
    pub occasion: OccasionId,
    /// From which lane.
    pub lane: LaneName,
    /// Whose it is now.
    pub person: PersonId,
    /// The edge.
    pub at: Timestamp,
}

/// Everything that follows from one batch or one round of timers.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// The written step that this follows from, which is taken with it: the engine's to say, not `decide`'s.
    pub step: Option<StepId>,
    /// The last event decided; `None` for a round of timers.
    pub position: Option<Position>,
    /// Who was touched and how to write them.
    pub people: Vec<PersonChange>,
    /// New owners of identifiers; `None` takes the identifier away.
    pub links: Vec<(Identifier, Option<PersonId>)>,
    /// Message keys now seen, with the arrival that starts their window.
    pub dedupe: Vec<(DedupeKey, Timestamp)>,
    /// To be put into the outbox, unless their (occasion, lane) was already settled.
    pub activations: Vec<Activation>,
    /// To be taken out of the outbox, if still there; also of what this step puts into it.
    pub cancelled: Vec<Recall>,
    /// Discount codes that occasions of this step have.
    pub codes: Vec<GivenCode>,
    /// Joins made and refused.
    pub joins: Vec<Join>,
    /// Edges and what became of them.
    pub decisions: Vec<Decision>,
    /// Events that were repetitions.
    pub duplicates: u64,
    /// Things done among the events: they went into a history.
    pub did: u64,
}
