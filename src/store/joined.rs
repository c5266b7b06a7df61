//! Who becomes whom in a step, and who is forgotten in it.

use std::collections::{HashMap, HashSet};

use crate::model::{Changes, PersonId, Write};

/// Who the log of a person goes on under: follows what this step merges.
pub fn survivor(merged: &HashMap<PersonId, PersonId>, id: PersonId) -> PersonId {
    let mut id = id;
    while let Some(next) = merged.get(&id) {
        id = *next;
    }
    id
}

/// Those whom a step merges, and into whom.
pub fn merged(changes: &Changes) -> HashMap<PersonId, PersonId> {
    let merges = changes.people.iter().filter_map(|change| match change.write {
        Write::MergedInto(survivor) => Some((change.id, survivor)),
        _ => None,
    });
    merges.collect()
}

/// Those whom a step forgets, and those who became one of them in it.
pub fn erased(changes: &Changes, merged: &HashMap<PersonId, PersonId>) -> HashSet<PersonId> {
    let erased: HashSet<PersonId> =
        changes.people.iter().filter(|change| change.write == Write::Erased).map(|change| change.id).collect();
    let joined = merged.keys().copied().filter(|id| erased.contains(&survivor(merged, *id)));
    joined.chain(erased.iter().copied()).collect()
}
