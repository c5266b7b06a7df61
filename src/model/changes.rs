//! What `decide` is given and what it returns: values, to be committed in one atomic write.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    Access, Activation, Catalogue, Codes, DedupeKey, Erasure, GivenCode, Identifier, LaneName, OccasionId, Person,
    PersonId, Position, Released, Sales, StepId, Timestamp, TriggerStates,
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
    /// Every trigger's state; one that is missing is live and never fired.
    pub triggers: TriggerStates,
    /// People are asked one after another, and not in the order of time: how often a trigger fires cannot be told, and
    /// no guard pauses it.
    pub is_simulated: bool,
    /// Only what is decided is asked for: no activation is made, and nothing said.
    pub is_mute: bool,
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
    /// The same, but nothing leaves before this instant: quiet hours last until then, or what is on its way
    /// is there.
    Delayed(Vec<LaneName>, Timestamp),
    /// The same, but it is held until somebody resumes the trigger, which this gate paused.
    Held(Vec<LaneName>, Gate),
    /// Within `cooldown` of the trigger's last fire for this person, at this instant.
    CoolingDown(Timestamp),
    /// `once`, and it fired at this instant.
    AlreadyFired(Timestamp),
    /// Learned of more than `expires` after the edge.
    Expired,
    /// A gate dropped it, in the gate's words.
    Gated(Gate, Box<str>),
    /// A later event made the condition false before the activation left.
    Cancelled,
    /// A gate called it back before it left, in the gate's words.
    Recalled(Gate, Box<str>),
    /// It was held, and goes to its lanes after all; not before this instant, where there is one.
    Released(Option<Timestamp>),
    /// It had left already when a later event took its reason away: these lanes tell the vendor.
    Voided(Vec<LaneName>),
    /// Like [`Verdict::Activated`], but all of it is deferred, and leaves with its destinations' nights: nothing before
    /// this instant.
    Deferred(Vec<LaneName>, Timestamp),
}

/// What may hold an edge back that is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// The person does not want it on this channel.
    Consent,
    /// Nothing may be sent to them on this channel.
    Suppression,
    /// Quiet hours last longer than it does.
    QuietHours,
    /// As many as may leave for one person have left, or wait to.
    Cap,
    /// They are among those who get nothing, to compare the others with.
    Holdout,
    /// Somebody paused the trigger.
    Paused,
    /// The trigger fired so often that it paused itself.
    RateGuard,
}

impl Gate {
    /// One word for metric labels, tables and `simulate`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Consent => "consent",
            Self::Suppression => "suppression",
            Self::QuietHours => "quiet_hours",
            Self::Cap => "cap",
            Self::Holdout => "holdout",
            Self::Paused => "paused",
            Self::RateGuard => "rate_guard",
        }
    }
}

impl Verdict {
    /// One word for logs, metric labels and tables.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Activated(_) => "activated",
            Self::Delayed(..) => "delayed",
            Self::Held(..) => "held",
            Self::CoolingDown(_) => "cooling_down",
            Self::AlreadyFired(_) => "already_fired",
            Self::Expired => "expired",
            Self::Gated(gate, _) => gate.word(),
            Self::Cancelled => "cancelled",
            Self::Recalled(..) => "recalled",
            Self::Released(_) => "released",
            Self::Voided(_) => "voided",
            Self::Deferred(..) => "deferred",
        }
    }

    /// The lanes it was given to, at once or for later.
    pub fn lanes(&self) -> &[LaneName] {
        match self {
            Self::Activated(lanes) | Self::Delayed(lanes, _) | Self::Deferred(lanes, _) | Self::Held(lanes, _) => lanes,
            _ => &[],
        }
    }

    /// True for an edge from which nothing leaves.
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::CoolingDown(_) | Self::AlreadyFired(_) | Self::Expired | Self::Gated(..))
    }

    /// True for what is told of an activation that was there: it was taken out again, or is held no longer.
    pub fn is_afterwards(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Recalled(..) | Self::Released(_))
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
#[derive(Clone, Debug, PartialEq)]
pub struct Recall {
    /// Which occasion.
    pub occasion: OccasionId,
    /// From which lane.
    pub lane: LaneName,
    /// Whose it is now.
    pub person: PersonId,
    /// The edge.
    pub at: Timestamp,
    /// The word that goes to the vendor where its event has left already.
    pub word: Option<Box<Activation>>,
}

impl Recall {
    /// That this word is queued, since the event has left.
    pub fn voided(&self, word: &Activation, decided: Timestamp) -> Decision {
        Decision {
            occasion: word.occasion,
            trigger: word.trigger.clone(),
            person: self.person,
            key: word.key.clone(),
            at: self.at,
            decided,
            verdict: Verdict::Voided(vec![word.lane.clone()]),
        }
    }
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
    /// Held activations that go to their lanes after all.
    pub released: Vec<Released>,
    /// States of triggers that are others now.
    pub triggers: TriggerStates,
    /// Triggers whose guard paused them.
    pub guarded: Vec<Arc<str>>,
    /// People who were forgotten, each with all the names that led to them.
    pub erased: Vec<(Erasure, Vec<Identifier>)>,
    /// Those who want to see what is kept of them.
    pub accesses: Vec<Access>,
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
