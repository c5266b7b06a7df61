//! What a rule depends on: leaves, lengths of time, events.

use super::truth::is_of_key;
use super::*;

impl Leaf {
    pub(super) fn is_did_not(&self) -> bool {
        matches!(self.ask, Ask::DidNotWithin(_) | Ask::DidNotSince(_))
    }

    pub(super) fn window(&self) -> Option<Window> {
        match self.ask {
            Ask::Did { within, .. }
            | Ask::Sum { within, .. }
            | Ask::Ratio { within, .. }
            | Ask::SecondsOn { within, .. }
            | Ask::DidNotWithin(within) => Some(within),
            _ => None,
        }
    }

    /// The cohorts that its limits ask for.
    pub(super) fn cohorts(&self) -> BTreeSet<usize> {
        fn of<T>(limit: Option<&Limit<T>>) -> Vec<usize> {
            match limit {
                Some(Limit::ByCohort(rows, _)) => rows.iter().map(|(n, _)| *n).collect(),
                _ => Vec::new(),
            }
        }
        let of_bounds = |bounds: &Bounds| [of(bounds.over.as_ref()), of(bounds.under.as_ref())].concat();
        let cohorts = match &self.ask {
            Ask::Did { at_least, at_most, .. } => [of(Some(at_least)), of(at_most.as_ref())].concat(),
            Ask::Ratio { bounds, at_least, .. } => [of_bounds(bounds), of(Some(at_least))].concat(),
            Ask::Last(bounds) | Ask::Sum { bounds, .. } | Ask::SecondsOn { bounds, .. } => of_bounds(bounds),
            _ => Vec::new(),
        };
        cohorts.into_iter().collect()
    }
}

impl Tree {
    pub(super) fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Tree::All(trees) | Tree::Any(trees) => trees.iter().flat_map(Tree::leaves).collect(),
            Tree::Not(tree) => tree.leaves(),
            Tree::Leaf(leaf) => vec![leaf],
        }
    }

    /// Its leaves and those of everything it names; each with whether it is asked of the key.
    pub(super) fn every_leaf(&self, law: &Law, is_of_key: bool) -> Vec<(Leaf, bool)> {
        let mut every = Vec::new();
        for leaf in self.leaves() {
            every.push((leaf.clone(), is_of_key));
            if let Ask::Level(_) = leaf.ask {
                every.extend(law.engagement.conditions().iter().flat_map(|tree| tree.every_leaf(law, false)));
            }
            let mut named: Vec<&Named> = leaf.cohorts().into_iter().map(|n| &law.cohorts[n]).collect();
            match leaf.ask {
                Ask::Cohort(n) => named.push(&law.cohorts[n]),
                Ask::Segment(n) => named.push(&law.segments[n]),
                _ => {}
            }
            every.extend(named.into_iter().flat_map(|named| named.when.every_leaf(law, false)));
        }
        every
    }

    /// How long after an event, or after the person was first seen, time alone can change it.
    pub(super) fn offsets(&self, law: &Law) -> BTreeSet<Ms> {
        let mut offsets = BTreeSet::new();
        for leaf in self.leaves() {
            if let Some(Window::Last(length)) = leaf.window() {
                offsets.insert(length);
            }
            if let Ask::Last(bounds) = &leaf.ask {
                for limit in bounds.over.iter().chain(&bounds.under) {
                    match limit {
                        Limit::Same(length) => drop(offsets.insert(*length)),
                        Limit::ByCohort(rows, otherwise) => {
                            offsets.extend(rows.iter().map(|(_, length)| *length).chain(*otherwise));
                        }
                    }
                }
            }
            match leaf.ask {
                Ask::Level(_) => {
                    offsets.extend(law.engagement.conditions().iter().flat_map(|tree| tree.offsets(law)));
                }
                Ask::Rate { .. } => drop(offsets.insert(law.engagement.window)),
                _ => {}
            }
            for n in leaf.cohorts() {
                offsets.extend(law.cohorts[n].when.offsets(law));
            }
            if let Ask::Cohort(n) = leaf.ask {
                offsets.extend(law.cohorts[n].when.offsets(law));
            }
            if let Ask::Segment(n) = leaf.ask {
                let segment = &law.segments[n];
                let inner = segment.when.offsets(law);
                if let Some(held) = segment.held {
                    offsets.extend(inner.iter().map(|offset| offset + held).chain([held]));
                }
                offsets.extend(inner);
            }
        }
        offsets
    }
}

impl Rule {
    pub(super) fn key<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.per.map(|_| key)
    }

    /// True when some leaf reads the event for this key, or a trait that it changed. What no leaf reads changes nothing:
    /// an edge that time makes at its instant is seen by the timer, after all events of the instant.
    pub(super) fn reads(&self, law: &Law, deed: &Deed, key: Option<&str>, changed: &[&str]) -> bool {
        self.when.every_leaf(law, true).iter().any(|(leaf, has_key)| {
            let has_key = *has_key;
            let key = key.filter(|_| has_key);
            let is = |name: &str| deed.name == Some(name);
            let is_read = is(leaf.event) && is_of_key(deed, key, leaf.any_key, leaf.is_did_not());
            is_read
                || match leaf.ask {
                    Ask::DidNotSince(anchor) => is(anchor) && is_of_key(deed, key, leaf.any_key, false),
                    Ask::Ratio { to, .. } => is(to) && is_of_key(deed, key, leaf.any_key, false),
                    Ask::Rate { .. } => Engagement::reads(deed.name),
                    Ask::SecondsOn { .. } => is("Heartbeat") || is("Page Left"),
                    Ask::Trait(Test::PlanIs(_) | Test::PlanIsNot(_) | Test::HasPlan) => changed.contains(&"plan"),
                    Ask::Trait(Test::LevelAtLeast(_)) => changed.contains(&"level"),
                    _ => false,
                }
        })
    }

    pub(super) fn has_session(&self, law: &Law) -> bool {
        self.when.every_leaf(law, true).iter().any(|(leaf, _)| matches!(leaf.window(), Some(Window::Session)))
    }
}
