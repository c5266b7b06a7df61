//! The lists of a simulated account, what they are like, and who is in them.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

/// Members kept of all lists together.
const MOST: usize = 4_000_000;

/// An account's lists, or other things of an id. Those that there are were made in the vendor's own pages.
pub(super) struct Lists {
    members: HashMap<String, HashSet<u128>>,
    count: usize,
    /// What a list is like, as it was put in, where it is not like others.
    about: HashMap<String, Map<String, Value>>,
}

impl Lists {
    /// These, with nobody in them.
    pub fn new(ids: &[String]) -> Self {
        Self { members: ids.iter().map(|id| (id.clone(), HashSet::new())).collect(), count: 0, about: HashMap::new() }
    }

    /// Makes a list, or changes what it is like: fields in the vendor's form, beside its `id`.
    pub fn put(&mut self, list: &Value) -> Result<String, String> {
        let id = match list.get("id") {
            Some(Value::String(id)) if !id.is_empty() => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => return Err("an `id` is missing".to_owned()),
        };
        self.members.entry(id.clone()).or_default();
        self.about.insert(id.clone(), list.as_object().cloned().unwrap_or_default());
        Ok(id)
    }

    /// A field of a list as it was put in, else what is usual.
    pub fn field(&self, id: &str, name: &str, usual: impl Into<Value>) -> Value {
        self.about.get(id).and_then(|about| about.get(name)).cloned().unwrap_or_else(|| usual.into())
    }

    /// Its name.
    pub fn name(&self, id: &str) -> Value {
        self.field(id, "name", format!("List {id}"))
    }

    /// All of them, in the order of their ids.
    pub fn ids(&self) -> Vec<&str> {
        let mut ids: Vec<&str> = self.members.keys().map(String::as_str).collect();
        ids.sort_unstable();
        ids
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
