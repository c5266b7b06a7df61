//! Two people become one: the union of all that is kept of them.

use std::collections::btree_map::Entry;

use crate::model::{Person, Timestamp};

/// Puts everything of `other` into `survivor`. Truth is asked anew afterwards by the caller.
pub fn merge(survivor: &mut Person, other: Person) {
    for identifier in other.identifiers {
        if !survivor.identifiers.contains(&identifier) {
            survivor.identifiers.push(identifier);
        }
    }
    survivor.first_seen = survivor.first_seen.min(other.first_seen);
    survivor.asked = survivor.asked.max(other.asked);
    for (name, theirs) in other.traits {
        match survivor.traits.entry(name) {
            Entry::Vacant(place) => drop(place.insert(theirs)),
            Entry::Occupied(mut ours) if ours.get().at < theirs.at => drop(ours.insert(theirs)),
            Entry::Occupied(_) => {}
        }
    }
    survivor.consent.absorb(other.consent);
    survivor.history.absorb(other.history);
    for (key, theirs) in other.watches {
        match survivor.watches.entry(key) {
            Entry::Vacant(place) => drop(place.insert(theirs)),
            Entry::Occupied(mut place) => {
                let ours = place.get_mut();
                // What fired has fired, whatever the trigger means by now.
                ours.fired = ours.fired.max(theirs.fired);
                if ours.meaning != theirs.meaning {
                    // Only one of them was asked since the trigger changed; either is asked anew.
                    continue;
                }
                // An edge only if the condition was false for both just before.
                ours.is_true |= theirs.is_true;
                ours.true_since = match (ours.true_since, theirs.true_since) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
            }
        }
    }
    for (trigger, theirs) in other.last_fires {
        let ours = survivor.last_fires.entry(trigger).or_insert(theirs);
        *ours = (*ours).max(theirs);
    }
    survivor.apart.retain(|id| *id != other.id);
    other.apart.into_iter().for_each(|id| survivor.keep_apart(id));
    survivor.pending.extend(other.pending);
    survivor.count(other.counted, Timestamp::MIN);
}
