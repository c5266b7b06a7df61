//! Events that have nothing to do with each other: they can be decided apart, and at the same time.

use std::collections::HashMap;

use crate::model::{DedupeKey, Event, Identifier, Position};

/// Parts events so that those which share a name or a message key, or are joined by others that do, stay together and
/// in order. At most `most` parts, about equal in size.
pub fn parted(events: Vec<(Position, Event)>, most: usize) -> Vec<Vec<(Position, Event)>> {
    let roots = roots(&events);
    let mut sizes: HashMap<usize, usize> = HashMap::new();
    for root in &roots {
        *sizes.entry(*root).or_default() += 1;
    }
    let mut parts: Vec<Vec<(Position, Event)>> = vec![Vec::new(); most.max(1)];
    let mut promised = vec![0; parts.len()];
    let mut places: HashMap<usize, usize> = HashMap::new();
    for (event, root) in events.into_iter().zip(roots) {
        let place = *places.entry(root).or_insert_with(|| {
            let least = promised.iter().enumerate().min_by_key(|(_, n)| **n).map_or(0, |(place, _)| place);
            if let Some(n) = promised.get_mut(least) {
                *n += sizes.get(&root).copied().unwrap_or(0);
            }
            least
        });
        if let Some(part) = parts.get_mut(place) {
            part.push(event);
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// For each event the first one that it is joined to: a union by names and keys.
fn roots(events: &[(Position, Event)]) -> Vec<usize> {
    let mut union = Union((0..events.len()).collect());
    let mut names: HashMap<&Identifier, usize> = HashMap::new();
    let mut keys: HashMap<&DedupeKey, usize> = HashMap::with_capacity(events.len());
    for (n, (_, event)) in events.iter().enumerate() {
        for name in &event.identifiers {
            union.join(n, *names.entry(name).or_insert(n));
        }
        for key in &event.dedupe {
            union.join(n, *keys.entry(key).or_insert(n));
        }
    }
    (0..events.len()).map(|n| union.root(n)).collect()
}

/// Who stands for whom; the least stands for itself.
struct Union(Vec<usize>);

impl Union {
    fn root(&mut self, mut n: usize) -> usize {
        while let Some(up) = self.0.get(n).copied().filter(|up| *up != n) {
            // Half of the way is spared to those who come after.
            let further = self.0.get(up).copied().unwrap_or(up);
            if let Some(place) = self.0.get_mut(n) {
                *place = further;
            }
            n = further;
        }
        n
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        if let Some(place) = self.0.get_mut(a.max(b)) {
            *place = a.min(b);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, IdentifierKind, Origin, RawJson, Timestamp};

    /// Events by the names they carry and the key of the message; parts by places.
    #[track_caller]
    fn check(events: &[(&[&str], &str)], most: usize, parts: &[&[u64]]) {
        let event = |(n, (names, key)): (usize, &(&[&str], &str))| {
            let event = Event {
                kind: EventKind::Did,
                name: "A".into(),
                at: Timestamp::default(),
                claimed_at: None,
                arrived: Timestamp::default(),
                source: "test".into(),
                origin: Origin::Tracking,
                dedupe: vec![Event::dedupe_key(&[key])],
                identifiers: names.iter().map(|name| Identifier::new(IdentifierKind::UserId, *name)).collect(),
                session: None,
                properties: RawJson::empty(),
                traits: RawJson::empty(),
            };
            (Position(n as u64), event)
        };
        let found = parted(events.iter().enumerate().map(event).collect(), most);
        let found: Vec<Vec<u64>> = found.iter().map(|part| part.iter().map(|(at, _)| at.0).collect()).collect();
        assert_eq!(found, parts);
    }

    #[test]
    fn what_is_joined_later_is_in_one_part() {
        check(&[(&["a"], "1"), (&["b"], "2"), (&["c"], "3"), (&["b", "a"], "4")], 2, &[&[0, 1, 3], &[2]]);
        check(&[(&["a"], "1"), (&["b"], "2"), (&["c"], "3"), (&["d"], "4")], 2, &[&[0, 2], &[1, 3]]);
    }

    #[test]
    fn a_message_that_comes_again_is_in_the_part_of_the_first() {
        check(&[(&["a"], "1"), (&["b"], "2"), (&["c"], "1")], 3, &[&[0, 2], &[1]]);
    }

    #[test]
    fn one_person_is_one_part() {
        check(&[(&["a"], "1"), (&["a"], "2")], 4, &[&[0, 1]]);
        check(&[], 4, &[]);
    }
}
