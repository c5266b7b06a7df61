//! What a destination is to do about a person.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{LaneName, Span};

/// What the vendor is to do about the person of an activation. With the occasion and the lane it is unique.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Take in an event of this name: what a flow, workflow or campaign has as its trigger.
    Event(Arc<str>),
    /// Put them into the list of this number or id.
    AddToList(Arc<str>),
    /// Take them out of it.
    RemoveFromList(Arc<str>),
    /// Run the campaign of this number for them.
    Campaign(Arc<str>),
    /// Take over what is known of them, and nothing else.
    Profile,
}

/// What tells the actions of one occasion in one lane apart: 0 for the event, of which there is one at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActionId(pub u32);

/// An [`Action`] without what it is about: what a vendor can or cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// [`Action::Event`]
    Event,
    /// [`Action::AddToList`]
    AddToList,
    /// [`Action::RemoveFromList`]
    RemoveFromList,
    /// [`Action::Campaign`]
    Campaign,
    /// [`Action::Profile`]
    Profile,
}

impl ActionKind {
    /// All of them, in the order they are told.
    pub const ALL: [Self; 5] = [Self::Event, Self::AddToList, Self::RemoveFromList, Self::Campaign, Self::Profile];

    /// The key of `[[activate]]` that asks for it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::AddToList => "list",
            Self::RemoveFromList => "remove_from",
            Self::Campaign => "campaign",
            Self::Profile => "profile",
        }
    }
}

impl Action {
    /// Without what it is about.
    pub fn kind(&self) -> ActionKind {
        match self {
            Self::Event(_) => ActionKind::Event,
            Self::AddToList(_) => ActionKind::AddToList,
            Self::RemoveFromList(_) => ActionKind::RemoveFromList,
            Self::Campaign(_) => ActionKind::Campaign,
            Self::Profile => ActionKind::Profile,
        }
    }

    /// What tells it from the others of its occasion and lane.
    pub fn id(&self) -> ActionId {
        if self.kind() == ActionKind::Event {
            return ActionId::default();
        }
        let mut hash = blake3::Hasher::new();
        hash.update(self.kind().key().as_bytes()).update(b" ").update(self.of().as_bytes());
        let mut id = [0; 4];
        id.copy_from_slice(&hash.finalize().as_bytes()[..4]);
        ActionId(u32::from_be_bytes(id).max(1))
    }

    /// What it is about: the event's name, the list's or campaign's id. Empty for a profile.
    pub fn of(&self) -> &str {
        match self {
            Self::Event(of) | Self::AddToList(of) | Self::RemoveFromList(of) | Self::Campaign(of) => of,
            Self::Profile => "",
        }
    }
}

/// In words: an event's name, `list VRgFBd`, `profile`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(name) => f.write_str(name),
            Self::Profile => f.write_str(self.kind().key()),
            _ => write!(f, "{} {}", self.kind().key(), self.of()),
        }
    }
}

/// A destination account as triggers may ask things of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its name in the configuration.
    pub lane: LaneName,
    /// What it can do.
    pub can: &'static [ActionKind],
    /// The vendor's lists and campaigns are called by numbers.
    pub has_numbers: bool,
    /// The longest that something waits for its night; none where it has none.
    pub night_every: Option<Span>,
}

impl Account {
    /// One that can do everything that any vendor can.
    pub fn any(lane: LaneName) -> Self {
        Self { lane, can: &ActionKind::ALL, has_numbers: false, night_every: Some(Span::ZERO) }
    }
}
