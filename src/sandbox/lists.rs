//! The lists of a simulated account, and who is in them.

use std::collections::{HashMap, HashSet};

/// Members kept of all lists together.
const MOST: usize = 4_000_000;

/// An account's lists. Those that there are were made in the vendor's own pages.
pub(super) struct Lists {
    members: HashMap<String, HashSet<u128>>,
    count: usize,
}

impl Lists {
    /// These, with nobody in them.
    pub fn new(ids: &[String]) -> Self {
        Self { members: ids.iter().map(|id| (id.clone(), HashSet::new())).collect(), count: 0 }
    }

    /// Whether there is a list of this id.
    pub fn has(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// Puts somebody in; false when they were in it, or there is no such list.
    pub fn add(&mut self, id: &str, who: u128) -> bool {
        let is_new = self.count < MOST && self.members.get_mut(id).is_some_and(|members| members.insert(who));
        self.count += usize::from(is_new);
        is_new
    }

    /// Takes somebody out; false when they were not in it.
    pub fn remove(&mut self, id: &str, who: u128) -> bool {
        let was_there = self.members.get_mut(id).is_some_and(|members| members.remove(&who));
        self.count -= usize::from(was_there);
        was_there
    }
}

/// What an effect on a list is called: `added to UwQxX4`.
pub(super) fn effect(is_removal: bool, id: &str) -> String {
    format!("{} {id}", if is_removal { "removed from" } else { "added to" })
}
