//! What must never join.

use std::collections::{HashMap, HashSet};

use crate::model::{EventKind, Identifier, IdentifierKind, Person};

use super::settings::Limits;

/// The reason, in words, why `other` does not become one with `group`; `None` when they may.
///
/// `because` are the names of the other one that this event carries.
pub fn kept_apart(
    group: &[&Person],
    other: &Person,
    because: &[&Identifier],
    kind: &EventKind,
    limits: &Limits,
) -> Option<&'static str> {
    // An alias says outright that two are one.
    if *kind == EventKind::Alias {
        return None;
    }
    if taken_apart(group, other) {
        return Some("somebody took them apart; `espalier identity link` joins them again");
    }
    let by_name = because.iter().all(|i| i.kind.names_a_person());
    if group.iter().any(|person| person.is_known()) && other.is_known() && !by_name {
        return Some("both are known, and a device, cart or order never joins two known people");
    }
    let names: HashSet<&Identifier> = group.iter().chain([&other]).flat_map(|person| &person.identifiers).collect();
    let mut counts: HashMap<&IdentifierKind, usize> = HashMap::new();
    for name in names {
        *counts.entry(&name.kind).or_default() += 1;
    }
    counts
        .into_iter()
        .any(|(kind, n)| n > limits.of(kind))
        .then_some("together they would have more names of one kind than one person may have")
}

/// True when somebody took them apart by hand.
pub fn taken_apart(group: &[&Person], other: &Person) -> bool {
    group.iter().any(|person| person.apart.contains(&other.id) || other.apart.contains(&person.id))
}

/// True when somebody who goes by `names` may take one more of this kind.
pub fn may_take<'a>(
    names: impl Iterator<Item = &'a Identifier>,
    kind: &IdentifierKind,
    event: &EventKind,
    limits: &Limits,
) -> bool {
    let has = names.filter(|i| i.kind == *kind).count();
    // An alias may give a second account, and no more than a few: chains are followed one by one.
    let most = if *event == EventKind::Alias { limits.of(kind).saturating_add(9) } else { limits.of(kind) };
    has < most
}
