//! The conditions that are not made of others. One file each; this enum is where a new one is added.

mod current_trait;
mod did;
mod did_not;
mod engaged;
mod last;
mod named;
mod ratio;
mod seconds_on;
mod sum;
mod window;

use std::sync::Arc;

use crate::model::{Entry, Span};

use super::answer::Answer;
use super::names::{Definition, Kind};
use super::view::{Keyless, Reads, View, Within};
use super::written::{Reading, Table};

pub use current_trait::CurrentTrait;
pub use did::Did;
pub use did_not::{Against, DidNot};
pub use engaged::Engaged;
pub use last::Last;
pub use named::Named;
pub use ratio::Ratio;
pub use seconds_on::SecondsOn;
pub use sum::Sum;

/// One condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// `did = E`: how often.
    Did(Did),
    /// `did_not = E`: not within, or not since.
    DidNot(DidNot),
    /// `last = E`: how long ago.
    Last(Last),
    /// `sum = P, of = E`: how much.
    Sum(Sum),
    /// `ratio = E, to = F`: how often of how often.
    Ratio(Ratio),
    /// `seconds_on = E`: how long pages were looked at.
    SecondsOn(SecondsOn),
    /// `trait = path`: what is known of the person.
    Trait(CurrentTrait),
    /// `trait = "engagement..."`: what follows from what they did with e-mail.
    Engaged(Engaged),
    /// `cohort = name`, `segment = name`: what another place says.
    Named(Named),
}

/// The keys by which a leaf is known in a file, with the condition each begins.
pub const KINDS: &[&str] = &["did", "did_not", "last", "sum", "ratio", "seconds_on", "trait", "cohort", "segment"];

/// What every leaf is asked.
pub trait Asks {
    /// Truth at T, and when time alone can change it.
    fn answer(&self, view: &View<'_>) -> Answer;
    /// Which events it is about, the first before all, and how it takes those without the key.
    fn sources(&self) -> Vec<(&Reads, Keyless)>;
    /// The window of the events it counts.
    fn window(&self) -> Within {
        Within::Lifetime
    }
    /// Every length of time in it: the windows that history must reach back for.
    fn spans(&self) -> Vec<Span>;
    /// What it can be for a key that no event it reads speaks of: (can be true, can be false).
    fn on_nothing(&self) -> (bool, bool);
    /// In plain words: `"Product Added" at least 30m ago`.
    fn words(&self) -> String;
    /// What it found at T, in plain words.
    fn finding(&self, view: &View<'_>) -> String;
    /// The newest event that speaks for its answer.
    fn evidence<'a>(&self, _: &View<'a>) -> Option<&'a Entry> {
        None
    }
    /// True when time alone can turn it though no event it reads has come: then a key is asked from its first event on.
    fn turns_on_nothing(&self) -> bool {
        !self.definitions().is_empty()
    }
    /// True when a session's start can change its truth.
    fn reads_sessions(&self) -> bool {
        false
    }
    /// The top name of the trait it reads.
    fn reads_trait(&self) -> Option<&str> {
        None
    }
    /// Cohorts and segments that it asks for.
    fn definitions(&self) -> Vec<&Arc<Definition>> {
        Vec::new()
    }
}

impl Leaf {
    /// Reads the table of one leaf; every mistake goes to `reading`.
    pub fn read(kind: &str, table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        match kind {
            "did" => Did::read(table, reading).map(Self::Did),
            "did_not" => DidNot::read(table, reading).map(Self::DidNot),
            "last" => Last::read(table, reading).map(Self::Last),
            "sum" => Sum::read(table, reading).map(Self::Sum),
            "ratio" => Ratio::read(table, reading).map(Self::Ratio),
            "seconds_on" => SecondsOn::read(table, reading).map(Self::SecondsOn),
            "trait" if table.text_of("trait").is_some_and(Engaged::is_meant) => {
                Engaged::read(table, reading).map(Self::Engaged)
            }
            "trait" => CurrentTrait::read(table, reading).map(Self::Trait),
            "cohort" => Named::read("cohort", Kind::Cohort, table, reading).map(Self::Named),
            _ => Named::read("segment", Kind::Segment, table, reading).map(Self::Named),
        }
    }

    /// What it is.
    pub fn asks(&self) -> &dyn Asks {
        match self {
            Self::Did(leaf) => leaf,
            Self::DidNot(leaf) => leaf,
            Self::Last(leaf) => leaf,
            Self::Sum(leaf) => leaf,
            Self::Ratio(leaf) => leaf,
            Self::SecondsOn(leaf) => leaf,
            Self::Trait(leaf) => leaf,
            Self::Engaged(leaf) => leaf,
            Self::Named(leaf) => leaf,
        }
    }

    /// In plain words: `"Product Added" at least 30m ago`.
    pub fn words(&self) -> String {
        self.asks().words()
    }
}
