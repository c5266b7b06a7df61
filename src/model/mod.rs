//! What everything else speaks of: events, people, activations, instants.
//!
//! Values only. Nothing here waits, fails from outside, or reads a clock.

pub mod action;
pub mod activation;
pub mod build;
pub mod catalogue;
pub mod changes;
pub mod codes;
pub mod consent;
pub mod demand;
pub mod event;
pub mod history;
pub mod http;
pub mod identifier;
pub mod machine;
pub mod mistake;
pub mod need;
pub mod outcome;
pub mod passed_on;
pub mod person;
pub mod raw_json;
pub mod sales;
pub mod schedule;
pub mod setting;
pub mod standard_webhook;
pub mod statement;
pub mod time;
pub mod trigger_state;
pub mod zone;

pub use action::{Account, Action, ActionId, ActionKind};
pub use activation::{Activation, LaneName, OccasionId, Priority};
pub use catalogue::{Catalogue, CatalogueItem};
pub use changes::{Changes, Decision, Gate, Join, Loaded, PersonChange, Recall, Verdict, Write};
pub use codes::{Codes, GivenCode};
pub use consent::{Channel, Consent, Standing};
pub use demand::{Access, Erasure};
pub use event::{DedupeKey, Event, EventKind, Origin, Position, StepId};
pub use history::{Entry, History, Lifetime};
pub use identifier::{Identifier, IdentifierKind};
pub use mistake::Mistake;
pub use need::{Field, FieldKind, Need};
pub use outcome::{Attempt, Outcome};
pub use passed_on::{ConsentLane, PassedOn};
pub use person::{Counted, Pending, Person, PersonId, Trait, TriggerId, Watch};
pub use raw_json::RawJson;
pub use sales::Sales;
pub use schedule::Schedule;
pub use time::{Span, Timestamp};
pub use trigger_state::{Fires, Order, Pause, PausePolicy, Release, Released, TriggerState, TriggerStates};
pub use zone::{TimeOfDay, Zone};
