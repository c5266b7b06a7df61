//! What a destination is to do about a person.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::LaneName;
use super::consent::Channel;

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
    /// They agreed to be written to on this channel.
    Subscribe(Channel),
    /// They do not want it on this channel any more.
    Unsubscribe(Channel),
    /// Nothing may be sent to their addresses, whatever they agreed to.
    Suppress,
    /// That is over.
    Unsuppress,
    /// Forget them.
    Erase,
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
    /// [`Action::Subscribe`]
    Subscribe,
    /// [`Action::Unsubscribe`]
    Unsubscribe,
    /// [`Action::Suppress`]
    Suppress,
    /// [`Action::Unsuppress`]
    Unsuppress,
    /// [`Action::Erase`]
    Erase,
}

impl ActionKind {
    /// Those that a trigger may ask for, in the order they are told. The others are passed on without one.
    pub const OF_TRIGGERS: [Self; 5] =
        [Self::Event, Self::AddToList, Self::RemoveFromList, Self::Campaign, Self::Profile];
    /// Those that write to the vendor what somebody said of consent.
    pub const OF_CONSENT: [Self; 4] = [Self::Subscribe, Self::Unsubscribe, Self::Suppress, Self::Unsuppress];

    /// Its word: for those of triggers the key of `[[activate]]` that asks for it.
    pub fn key(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::AddToList => "list",
            Self::RemoveFromList => "remove_from",
            Self::Campaign => "campaign",
            Self::Profile => "profile",
            Self::Subscribe => "subscribe",
            Self::Unsubscribe => "unsubscribe",
            Self::Suppress => "suppress",
            Self::Unsuppress => "unsuppress",
            Self::Erase => "erase",
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
            Self::Subscribe(_) => ActionKind::Subscribe,
            Self::Unsubscribe(_) => ActionKind::Unsubscribe,
            Self::Suppress => ActionKind::Suppress,
            Self::Unsuppress => ActionKind::Unsuppress,
            Self::Erase => ActionKind::Erase,
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

    /// What it is about: the event's name, the list's or campaign's id, the channel. Empty where there is no such thing.
    pub fn of(&self) -> &str {
        match self {
            Self::Event(of) | Self::AddToList(of) | Self::RemoveFromList(of) | Self::Campaign(of) => of,
            Self::Subscribe(channel) | Self::Unsubscribe(channel) => channel.word(),
            Self::Profile | Self::Suppress | Self::Unsuppress | Self::Erase => "",
        }
    }
}

/// In words: an event's name, `list VRgFBd`, `profile`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(name) => f.write_str(name),
            Self::Profile | Self::Suppress | Self::Unsuppress | Self::Erase => f.write_str(self.kind().key()),
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
}

impl Account {
    /// One of which everything can be asked that can be asked of any.
    pub fn any(lane: LaneName) -> Self {
        Self { lane, can: &ActionKind::OF_TRIGGERS, has_numbers: false }
    }
}
