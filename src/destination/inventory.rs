//! Which of what we sent an account shows when it is asked for it: said without I/O.
//!
//! An acceptance is what a vendor answered; its own record is what marketers see. An inventory is a conversation that
//! compares the two for some activations, within a bounded number of calls.

use std::collections::HashSet;

use super::account::Inquiry;
use super::key::Key;
use crate::model::{ActionKind, Activation};

/// What an account shows of one activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is there.
    There,
    /// All of the place where it would be was read, and it is not there.
    Missing,
    /// It cannot be told, for this reason.
    Untold(String),
}

/// The conversation about some activations: one sight for each, in their order.
pub type Inventory = Box<dyn Inquiry<Vec<Sight>>>;

/// The events that were read where some of ours would be.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    occasions: HashSet<String>,
    /// One named no occasion: it may be any.
    has_nameless: bool,
}

impl Seen {
    /// An event, with the occasion that it names.
    pub fn note(&mut self, occasion: Option<&str>) {
        match occasion {
            Some(occasion) => drop(self.occasions.insert(occasion.to_owned())),
            None => self.has_nameless = true,
        }
    }

    /// Tells these; `unread` says why not all was read, where it was not, and `nameless` that events name no occasion.
    pub fn tell(
        &self,
        sights: &mut Sights,
        (places, sent): (&[usize], &[Activation]),
        unread: Option<&str>,
        nameless: &str,
    ) {
        for place in places {
            let Some(activation) = sent.get(*place) else { continue };
            match unread.or(Some(nameless).filter(|_| self.has_nameless)) {
                _ if self.occasions.contains(&activation.occasion.to_string()) => sights.there(*place),
                Some(words) => sights.untold(&[*place], words),
                None => sights.say(&[*place], &Sight::Missing),
            }
        }
    }
}

/// Sights that are still being gathered.
#[derive(Debug)]
pub(super) struct Sights(Vec<Option<Sight>>);

impl Sights {
    /// Of these; what is no event cannot be told of any vendor.
    pub fn of(sent: &[Activation]) -> Self {
        let untold = |kind: ActionKind| match kind {
            ActionKind::Event => None,
            _ => Some(Sight::Untold("only events are looked for".into())),
        };
        Self(sent.iter().map(|one| untold(one.action.kind())).collect())
    }

    /// The places that are not told yet.
    pub fn open(&self) -> Vec<usize> {
        self.0.iter().enumerate().filter(|(_, sight)| sight.is_none()).map(|(place, _)| place).collect()
    }

    /// The places that are not told yet of whoever has the name by which the vendor finds people; of the others it cannot
    /// be told.
    pub fn named(&mut self, sent: &[Activation], key: &Key) -> Vec<usize> {
        let is_named = |place: &usize| sent.get(*place).is_some_and(|one| key.of(one).is_some());
        let (named, nameless): (Vec<usize>, Vec<usize>) = self.open().into_iter().partition(is_named);
        self.untold(&nameless, &format!("the person has no {}", key.name));
        named
    }

    /// It is there, whatever was said before.
    pub fn there(&mut self, place: usize) {
        if let Some(slot) = self.0.get_mut(place) {
            *slot = Some(Sight::There);
        }
    }

    /// Said of these, unless something was said of them before.
    pub fn say(&mut self, places: &[usize], sight: &Sight) {
        for place in places {
            if let Some(slot) = self.0.get_mut(*place).filter(|slot| slot.is_none()) {
                *slot = Some(sight.clone());
            }
        }
    }

    /// That these cannot be told.
    pub fn untold(&mut self, places: &[usize], words: &str) {
        self.say(places, &Sight::Untold(words.to_owned()));
    }

    /// One for each. What nobody spoke of cannot be told.
    pub fn end(&mut self) -> Vec<Sight> {
        let unsaid = || Sight::Untold("the vendor's answers do not speak of it".into());
        std::mem::take(&mut self.0).into_iter().map(|sight| sight.unwrap_or_else(unsaid)).collect()
    }
}
