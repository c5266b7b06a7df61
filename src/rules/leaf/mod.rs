//! The conditions that read events. One file each; this enum is where a new one is added.

mod did;
mod did_not;
mod last;

use crate::model::{Entry, Span};

use super::answer::Answer;
use super::view::{Reads, View};
use super::written::{Reading, Table};

pub use did::Did;
pub use did_not::{Against, DidNot};
pub use last::Last;

/// One condition over a person's events.
#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    /// `did = E`: how often.
    Did(Did),
    /// `did_not = E`: not within, or not since.
    DidNot(DidNot),
    /// `last = E`: how long ago.
    Last(Last),
}

/// The keys by which a leaf is known in a file, with the condition each begins.
pub const KINDS: &[&str] = &["did", "did_not", "last"];

/// Conditions of the language that this version does not decide yet: named, so that nobody hunts for a typing error.
pub const LATER: &[&str] = &["sum", "ratio", "trait", "cohort", "segment"];

impl Leaf {
    /// Reads the table of one leaf; every mistake goes to `reading`.
    pub fn read(kind: &str, table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        match kind {
            "did" => Did::read(table, reading).map(Self::Did),
            "did_not" => DidNot::read(table, reading).map(Self::DidNot),
            _ => Last::read(table, reading).map(Self::Last),
        }
    }

    /// Truth at T, and when time alone can change it.
    pub fn answer(&self, view: &View<'_>) -> Answer {
        match self {
            Self::Did(leaf) => leaf.answer(view),
            Self::DidNot(leaf) => leaf.answer(view),
            Self::Last(leaf) => leaf.answer(view),
        }
    }

    /// The newest event that speaks for its answer.
    pub fn evidence<'a>(&self, view: &View<'a>) -> Option<&'a Entry> {
        match self {
            Self::Did(leaf) => leaf.evidence(view),
            Self::DidNot(leaf) => leaf.evidence(view),
            Self::Last(leaf) => leaf.evidence(view),
        }
    }

    /// The names of the events it reads.
    pub fn events(&self) -> Vec<&str> {
        match self {
            Self::Did(leaf) => vec![&leaf.reads.event],
            Self::DidNot(leaf) => match &leaf.against {
                Against::Within(_) => vec![&leaf.reads.event],
                Against::Since(anchor) => vec![&leaf.reads.event, &anchor.event],
            },
            Self::Last(leaf) => vec![&leaf.reads.event],
        }
    }

    /// Which events it is about.
    pub fn reads(&self) -> &Reads {
        match self {
            Self::Did(leaf) => &leaf.reads,
            Self::DidNot(leaf) => &leaf.reads,
            Self::Last(leaf) => &leaf.reads,
        }
    }

    /// Every length of time in it: the windows that history must reach back for.
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Self::Did(leaf) => leaf.spans(),
            Self::DidNot(leaf) => leaf.spans(),
            Self::Last(leaf) => leaf.over.into_iter().chain(leaf.under).collect(),
        }
    }

    /// True when a session's start can change its truth.
    pub fn reads_sessions(&self) -> bool {
        match self {
            Self::Did(leaf) => leaf.within == super::view::Within::Session,
            Self::DidNot(leaf) => leaf.against == Against::Within(super::view::Within::Session),
            Self::Last(_) => false,
        }
    }

    /// What it can be for a key that no event it reads speaks of: (can be true, can be false).
    pub fn on_nothing(&self) -> (bool, bool) {
        match self {
            // What was done for other keys counts for this one too, from the moment it exists.
            Self::Did(Did { reads, .. }) | Self::Last(Last { reads, .. }) if reads.any_key => (true, true),
            Self::Did(leaf) => (leaf.at_least == 0, leaf.at_least > 0),
            Self::DidNot(leaf) => match &leaf.against {
                Against::Within(_) => (true, true),
                Against::Since(anchor) => (anchor.any_key, true),
            },
            Self::Last(_) => (false, true),
        }
    }

    /// In plain words: `"Product Added" at least 30m ago`.
    pub fn words(&self) -> String {
        match self {
            Self::Did(leaf) => leaf.words(),
            Self::DidNot(leaf) => leaf.words(),
            Self::Last(leaf) => leaf.words(),
        }
    }

    /// What it found at T, in plain words.
    pub fn finding(&self, view: &View<'_>) -> String {
        match self {
            Self::Did(leaf) => leaf.finding(view),
            Self::DidNot(leaf) => leaf.finding(view),
            Self::Last(leaf) => leaf.finding(view),
        }
    }
}
