//! What everything else speaks of: events, people, activations, instants.
//!
//! Values only. Nothing here waits, fails from outside, or reads a clock.

pub mod activation;
pub mod catalogue;
pub mod changes;
pub mod codes;
pub mod event;
pub mod history;
pub mod identifier;
pub mod machine;
pub mod mistake;
pub mod outcome;
pub mod person;
pub mod raw_json;
pub mod sales;
pub mod setting;
pub mod time;

pub use activation::{Activation, LaneName, OccasionId, Priority};
pub use catalogue::{Catalogue, CatalogueItem};
pub use changes::{Changes, Decision, Join, Loaded, PersonChange, Recall, Verdict, Write};
pub use codes::{Codes, GivenCode};
pub use event::{DedupeKey, Event, EventKind, Origin, Position, StepId};
pub use history::{Entry, History, Lifetime};
pub use identifier::{Identifier, IdentifierKind};
pub use mistake::Mistake;
pub use outcome::{Attempt, Outcome};
pub use person::{Pending, Person, PersonId, Trait, TriggerId, Watch};
pub use raw_json::RawJson;
pub use sales::Sales;
pub use time::{Span, Timestamp};
