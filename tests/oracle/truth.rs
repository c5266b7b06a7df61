//! Truth at T, from the whole list of events.

use super::*;

impl Somebody {
    /// Events with `at <= T`, in order.
    pub(super) fn until(&self, now: Ms) -> Vec<&Deed> {
        let mut seen: Vec<&Deed> = self.deeds.iter().filter(|d| d.at <= now).collect();
        seen.sort_by_key(|d| (d.at, d.order));
        seen
    }

    /// The first event of the latest session at T.
    pub(super) fn session(&self, now: Ms) -> Option<&Deed> {
        let mut first: Option<&Deed> = None;
        let mut before: Option<&Deed> = None;
        for deed in self.until(now).into_iter().filter(|d| d.is_tracking) {
            let is_another = match before {
                None => true,
                Some(before) => match (before.session, deed.session) {
                    (Some(a), Some(b)) => a != b,
                    _ => deed.at - before.at >= SESSION_GAP,
                },
            };
            if is_another {
                first = Some(deed);
            }
            before = Some(deed);
        }
        first
    }

    /// The events of this name that a leaf counts for a key, in order.
    pub(super) fn counted_of(&self, name: &str, leaf: &Leaf, key: Option<&str>, now: Ms) -> Vec<&Deed> {
        let mut counted = self.until(now);
        counted.retain(|d| {
            d.name == Some(name)
                && leaf.colour.is_none_or(|colour| d.colour == Some(colour))
                && (leaf.machine || !d.is_machine || !name.starts_with("Email"))
                && is_of_key(d, key, leaf.any_key, leaf.is_did_not())
        });
        counted
    }

    pub(super) fn counted(&self, leaf: &Leaf, key: Option<&str>, now: Ms) -> Vec<&Deed> {
        self.counted_of(leaf.event, leaf, key, now)
    }

    /// Those of them in the window.
    pub(super) fn in_window<'d>(&self, mut counted: Vec<&'d Deed>, window: Window, now: Ms) -> Vec<&'d Deed> {
        match window {
            Window::Lifetime => {}
            Window::Last(length) => counted.retain(|d| now - length < d.at && d.at <= now),
            Window::Session => match self.session(now) {
                Some(first) => counted.retain(|d| (d.at, d.order) >= (first.at, first.order)),
                None => counted.clear(),
            },
        }
        counted
    }

    pub(super) fn count(&self, leaf: &Leaf, window: Window, key: Option<&str>, now: Ms) -> u64 {
        self.in_window(self.counted(leaf, key, now), window, now).len() as u64
    }

    /// Milliseconds that views were looked at.
    pub(super) fn dwell(&self, leaf: &Leaf, window: Window, key: Option<&str>, now: Ms) -> i64 {
        let all = self.counted(leaf, key, now);
        let views = self.in_window(all.clone(), window, now);
        let without_id = views.iter().filter(|d| d.view.is_none()).map(|d| match (d.dwell, d.more) {
            (Some(whole), _) if whole > 0 => whole,
            (_, more) => more.unwrap_or(0).max(0),
        });
        let ids: BTreeSet<&str> = views.iter().filter_map(|d| d.view).collect();
        let mut total: i64 = without_id.sum();
        for id in ids {
            let seen = self.until(now);
            let beats = seen.into_iter().filter(|d| matches!(d.name, Some("Heartbeat" | "Page Left")));
            // A view whose name is a heartbeat's too is heard once.
            let views = all.iter().copied().filter(|d| !matches!(d.name, Some("Heartbeat" | "Page Left")));
            let told: Vec<&Deed> = beats.chain(views).filter(|d| d.view == Some(id)).collect();
            let whole = told.iter().filter_map(|d| d.dwell).filter(|s| *s > 0).max();
            total += whole.unwrap_or_else(|| told.iter().filter_map(|d| d.more).filter(|s| *s > 0).sum());
        }
        total * 1_000
    }

    pub(super) fn leaf(&self, law: &Law, leaf: &Leaf, key: Option<&str>, now: Ms) -> bool {
        let lies = |bounds: &Bounds, holds: &dyn Fn(Option<i64>, Option<i64>) -> bool| {
            let (over, under) = (bounds.over.as_ref(), bounds.under.as_ref());
            let (over, under) = (over.map(|l| self.limit(law, l, now)), under.map(|l| self.limit(law, l, now)));
            over != Some(None) && under != Some(None) && holds(over.flatten(), under.flatten())
        };
        let between = |bounds: &Bounds, n: i64| {
            lies(bounds, &|over, under| over.is_none_or(|over| n >= over) && under.is_none_or(|under| n < under))
        };
        match &leaf.ask {
            Ask::Did { within, .. } => {
                let count = self.count(leaf, *within, key, now);
                self.is_count(law, leaf, count, now)
            }
            Ask::DidNotWithin(window) => {
                let is_known_long = match window {
                    Window::Last(length) => self.first_seen <= now - length,
                    Window::Session => self.session(now).is_some(),
                    Window::Lifetime => true,
                };
                is_known_long && self.count(leaf, *window, key, now) == 0
            }
            Ask::DidNotSince(anchor) => {
                let anchors = Leaf { ask: Ask::DidNotWithin(Window::Lifetime), colour: None, ..leaf.clone() };
                let mut anchors = self.counted_of(anchor, &anchors, key, now);
                // Of the anchor there must be one for this very key.
                anchors.retain(|d| is_of_key(d, key, leaf.any_key, false));
                let Some(anchor) = anchors.last().copied() else { return false };
                !self.counted(leaf, key, now).iter().any(|d| (d.at, d.order) > (anchor.at, anchor.order))
            }
            Ask::Last(bounds) => match self.counted(leaf, key, now).last() {
                None => false,
                Some(latest) => between(bounds, now - latest.at),
            },
            Ask::Sum { property, bounds, within } => {
                let counted = self.in_window(self.counted(leaf, key, now), *within, now);
                let amount = |d: &&Deed| match (*property, d.price) {
                    ("price", Price::Number(cents) | Price::Text(cents)) => cents,
                    ("price", _) => 0,
                    _ if d.products.len() > 1 => d.products.iter().map(|p| listed_price(p)).sum(),
                    _ => 0,
                };
                between(bounds, counted.iter().map(amount).sum())
            }
            Ask::Ratio { to, bounds, at_least, within } => {
                let above = self.count(leaf, *within, key, now) as i64;
                let below = self.in_window(self.counted_of(to, leaf, key, now), *within, now).len() as i64;
                let is_enough = self.limit(law, at_least, now).is_some_and(|least| below >= least as i64);
                is_enough
                    && lies(bounds, &|over, under| {
                        over.is_none_or(|over| 100 * above >= over * below)
                            && under.is_none_or(|under| 100 * above < under * below)
                    })
            }
            Ask::SecondsOn { bounds, within } => between(bounds, self.dwell(leaf, *within, key, now)),
            Ask::Trait(test) => match test {
                Test::PlanIs(plan) => self.plan.is_some_and(|(_, known)| known == *plan),
                Test::PlanIsNot(plan) => self.plan.is_none_or(|(_, known)| known != *plan),
                Test::HasPlan => self.plan.is_some(),
                Test::LevelAtLeast(least) => self.level.is_some_and(|(_, known)| known >= *least),
            },
            Ask::Level(test) => self.is_level(law, *test, now),
            Ask::Rate { of_clicks, test } => self.is_rate(law, *of_clicks, *test, now),
            Ask::Cohort(n) => self.named(law, &law.cohorts[*n], now),
            Ask::Segment(n) => self.named(law, &law.segments[*n], now),
        }
    }

    pub(super) fn is_count(&self, law: &Law, leaf: &Leaf, count: u64, now: Ms) -> bool {
        let Ask::Did { at_least, at_most, .. } = &leaf.ask else { return false };
        let is_enough = self.limit(law, at_least, now).is_some_and(|least| count >= least);
        let is_few = |most: &Limit<u64>| self.limit(law, most, now).is_some_and(|most| count <= most);
        // Without a limit the leaf is false, whatever the other says.
        is_enough && at_most.as_ref().is_none_or(is_few)
    }

    pub(super) fn limit<T: Copy>(&self, law: &Law, limit: &Limit<T>, now: Ms) -> Option<T> {
        match limit {
            Limit::Same(value) => Some(*value),
            Limit::ByCohort(rows, otherwise) => {
                let mut rows: Vec<_> = rows.iter().collect();
                rows.sort_by_key(|(n, _)| *n);
                let mine = rows.into_iter().find(|(n, _)| self.named(law, &law.cohorts[*n], now));
                mine.map(|(_, value)| *value).or(*otherwise)
            }
        }
    }

    /// A named condition at T; with `for`, at every instant of it at which it could be another.
    pub(super) fn named(&self, law: &Law, named: &Named, now: Ms) -> bool {
        let Some(held) = named.held else { return self.truth(law, &named.when, None, now) };
        if now - held < self.first_seen {
            return false;
        }
        let mut offsets = named.when.offsets(law);
        offsets.insert(0);
        let begun: Vec<Ms> = self.deeds.iter().map(|d| d.at).chain([self.first_seen]).collect();
        let turns = begun.iter().flat_map(|at| offsets.iter().map(move |offset| at + offset));
        let asked: BTreeSet<Ms> = turns.filter(|at| now - held < *at && *at <= now).chain([now - held, now]).collect();
        asked.into_iter().all(|at| self.truth(law, &named.when, None, at))
    }

    pub(super) fn truth(&self, law: &Law, tree: &Tree, key: Option<&str>, now: Ms) -> bool {
        match tree {
            Tree::All(all) => all.iter().all(|t| self.truth(law, t, key, now)),
            Tree::Any(any) => any.iter().any(|t| self.truth(law, t, key, now)),
            Tree::Not(one) => !self.truth(law, one, key, now),
            Tree::Leaf(leaf) => self.leaf(law, leaf, key, now),
        }
    }

    /// The keys that exist; one without a name where there is no `per`.
    pub(super) fn keys(&self, rule: &Rule) -> BTreeSet<String> {
        match rule.per {
            None => BTreeSet::from([String::new()]),
            Some(_) => self.deeds.iter().flat_map(|d| &d.products).map(|p| (*p).to_owned()).collect(),
        }
    }

    /// True when time alone, at this very instant, takes a leaf over one of its limits.
    pub(super) fn turns(&self, law: &Law, leaf: &Leaf, key: Option<&str>, now: Ms) -> bool {
        if let Ask::Did { within: Window::Last(length), .. } = leaf.ask {
            // Events that leave together leave one by one.
            let counted = self.counted(leaf, key, now);
            let after = counted.iter().filter(|d| now - length < d.at).count() as u64;
            let before = counted.iter().filter(|d| now - 1 - length < d.at).count() as u64;
            let holds = |n| self.is_count(law, leaf, n, now);
            return (after..=before).any(|n| holds(n) != holds(before));
        }
        self.leaf(law, leaf, key, now - 1) != self.leaf(law, leaf, key, now)
    }
}

/// Whether an event counts for a key: one that carries none counts against every key in `did_not`, and else for none.
pub(super) fn is_of_key(deed: &Deed, key: Option<&str>, any_key: bool, is_did_not: bool) -> bool {
    match key {
        None => true,
        Some(_) if any_key => true,
        Some(key) => deed.products.contains(&key) || (is_did_not && deed.products.is_empty()),
    }
}
