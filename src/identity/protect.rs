//! What must never join.

use std::collections::HashMap;

use crate::model::{EventKind, Identifier, IdentifierKind, Person};

use super::settings::Limits;

/// The reason, in words, why two people stay two; `None` when they may become one.
///
/// `because` are the names of the other one that this event carries.
pub fn kept_apart(
    a: &Person,
    b: &Person,
    because: &[&Identifier],
    kind: &EventKind,
    limits: &Limits,
) -> Option<&'static str> {
    // An alias says outright that two are one.
    if *kind == EventKind::Alias {
        return None;
    }
    let by_name = because.iter().all(|i| i.kind.names_a_person());
    if a.is_known() && b.is_known() && !by_name {
        return Some("both are known, and a device, cart or order never joins two known people");
    }
    let mut counts: HashMap<&IdentifierKind, usize> = HashMap::new();
    let others = b.identifiers.iter().filter(|i| !a.identifiers.contains(i));
    for identifier in a.identifiers.iter().chain(others) {
        *counts.entry(&identifier.kind).or_default() += 1;
    }
    counts
        .into_iter()
        .any(|(kind, n)| n > limits.of(kind))
        .then_some("together they would have more names of one kind than one person may have")
}

/// True when the person may take one more name of this kind.
pub fn may_take(person: &Person, kind: &IdentifierKind, event: &EventKind, limits: &Limits) -> bool {
    let has = person.identifiers.iter().filter(|i| i.kind == *kind).count();
    // An alias may give a second account, and no more than a few: chains are followed one by one.
    let most = if *event == EventKind::Alias { limits.of(kind).saturating_add(9) } else { limits.of(kind) };
    has < most
}
