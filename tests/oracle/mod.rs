//! A second reading of docs/triggers.md, by brute force: no index, no timers kept, truth recomputed from the whole list
//! of events at every instant at which it could be another. It shares nothing with `rules` and `decide`.

mod file;

use std::collections::{BTreeMap, BTreeSet};

/// Milliseconds.
pub type Ms = i64;

/// One minute.
pub const MINUTE: Ms = 60_000;
/// A pause from this length on ends a session.
const SESSION_GAP: Ms = 30 * MINUTE;

/// A condition.
#[derive(Clone, Debug)]
pub enum Tree {
    All(Vec<Tree>),
    Any(Vec<Tree>),
    Not(Box<Tree>),
    Leaf(Leaf),
}

/// One condition over events named `event`, of this colour where one is named.
#[derive(Clone, Debug)]
pub struct Leaf {
    pub ask: Ask,
    pub event: &'static str,
    pub colour: Option<&'static str>,
    pub any_key: bool,
}

/// What is asked of the events.
#[derive(Clone, Debug)]
pub enum Ask {
    Did { at_least: usize, at_most: Option<usize>, within: Window },
    DidNotWithin(Window),
    DidNotSince(&'static str),
    Last { over: Option<Ms>, under: Option<Ms> },
}

/// Which of them.
#[derive(Clone, Copy, Debug)]
pub enum Window {
    Lifetime,
    Last(Ms),
    Session,
}

/// One trigger.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: &'static str,
    pub when: Tree,
    pub per: Option<&'static str>,
    pub held: Option<Ms>,
    pub cooldown: Option<Ms>,
    pub once: bool,
    pub expires: Ms,
    pub priority: u8,
}

/// One event as the oracle sees it.
#[derive(Clone, Debug)]
pub struct Deed {
    pub at: Ms,
    /// Arrival order.
    pub order: u64,
    /// `None`: only says who somebody is.
    pub name: Option<&'static str>,
    pub user: Option<&'static str>,
    pub device: Option<&'static str>,
    /// The values of `product_id` it carries.
    pub products: Vec<&'static str>,
    pub colour: Option<&'static str>,
    /// From the tracking API, so that it makes sessions.
    pub is_tracking: bool,
    pub session: Option<&'static str>,
}

/// An edge and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub at: Ms,
    pub rule: String,
    pub key: String,
    pub verdict: &'static str,
    /// Every name of the person in the end.
    pub person: BTreeSet<String>,
}

/// Everybody, and what was found so far.
pub struct World {
    /// In the order in which they fire at one instant.
    rules: Vec<Rule>,
    people: Vec<Somebody>,
    edges: Vec<(usize, Edge)>,
    /// Fires that may not have left: the person, the rule, and the place in `edges`.
    waiting: Vec<(usize, usize, usize)>,
}

struct Somebody {
    names: BTreeSet<String>,
    user: Option<&'static str>,
    deeds: Vec<Deed>,
    first_seen: Ms,
    asked: Ms,
    known: BTreeMap<(usize, String), Known>,
    last_fire: BTreeMap<usize, Ms>,
    merged_into: Option<usize>,
}

/// What is known of one rule for one key.
#[derive(Clone, Copy, Default)]
struct Known {
    is_true: bool,
    since: Option<Ms>,
    has_fired: bool,
}

// === truth ===

impl Somebody {
    /// Events with `at <= T`, in order.
    fn until(&self, now: Ms) -> Vec<&Deed> {
        let mut seen: Vec<&Deed> = self.deeds.iter().filter(|d| d.at <= now).collect();
        seen.sort_by_key(|d| (d.at, d.order));
        seen
    }

    /// The first event of the latest session at T.
    fn session(&self, now: Ms) -> Option<&Deed> {
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

    /// The events a leaf counts for a key, in order.
    fn counted(&self, leaf: &Leaf, key: Option<&str>, now: Ms) -> Vec<&Deed> {
        let is_did_not = matches!(leaf.ask, Ask::DidNotWithin(_) | Ask::DidNotSince(_));
        let mut counted = self.until(now);
        counted.retain(|d| {
            d.name == Some(leaf.event)
                && leaf.colour.is_none_or(|colour| d.colour == Some(colour))
                && is_of_key(d, key, leaf.any_key, is_did_not)
        });
        counted
    }

    /// How many are in the window.
    fn count(&self, leaf: &Leaf, window: Window, key: Option<&str>, now: Ms) -> usize {
        let mut counted = self.counted(leaf, key, now);
        match window {
            Window::Lifetime => {}
            Window::Last(length) => counted.retain(|d| now - length < d.at && d.at <= now),
            Window::Session => match self.session(now) {
                Some(first) => counted.retain(|d| (d.at, d.order) >= (first.at, first.order)),
                None => counted.clear(),
            },
        }
        counted.len()
    }

    fn leaf(&self, leaf: &Leaf, key: Option<&str>, now: Ms) -> bool {
        match leaf.ask {
            Ask::Did { at_least, at_most, within } => {
                let count = self.count(leaf, within, key, now);
                count >= at_least && at_most.is_none_or(|most| count <= most)
            }
            Ask::DidNotWithin(window) => {
                let is_known_long = match window {
                    Window::Last(length) => self.first_seen <= now - length,
                    Window::Session => self.session(now).is_some(),
                    Window::Lifetime => true,
                };
                is_known_long && self.count(leaf, window, key, now) == 0
            }
            Ask::DidNotSince(anchor) => {
                let anchors = Leaf { ask: Ask::Last { over: None, under: None }, event: anchor, colour: None, ..*leaf };
                let Some(anchor) = self.counted(&anchors, key, now).last().copied() else { return false };
                !self.counted(leaf, key, now).iter().any(|d| (d.at, d.order) > (anchor.at, anchor.order))
            }
            Ask::Last { over, under } => match self.counted(leaf, key, now).last() {
                None => false,
                Some(latest) => {
                    let ago = now - latest.at;
                    over.is_none_or(|over| ago >= over) && under.is_none_or(|under| ago < under)
                }
            },
        }
    }

    fn truth(&self, tree: &Tree, key: Option<&str>, now: Ms) -> bool {
        match tree {
            Tree::All(all) => all.iter().all(|t| self.truth(t, key, now)),
            Tree::Any(any) => any.iter().any(|t| self.truth(t, key, now)),
            Tree::Not(one) => !self.truth(one, key, now),
            Tree::Leaf(leaf) => self.leaf(leaf, key, now),
        }
    }

    /// The keys that exist; one without a name where there is no `per`.
    fn keys(&self, rule: &Rule) -> BTreeSet<String> {
        match rule.per {
            None => BTreeSet::from([String::new()]),
            Some(_) => self.deeds.iter().flat_map(|d| &d.products).map(|p| (*p).to_owned()).collect(),
        }
    }

    /// True when time alone, at this very instant, takes a leaf over one of its limits.
    fn turns(&self, leaf: &Leaf, key: Option<&str>, now: Ms) -> bool {
        if let Ask::Did { at_least, at_most, within: Window::Last(length) } = leaf.ask {
            // Events that leave together leave one by one.
            let counted = self.counted(leaf, key, now);
            let after = counted.iter().filter(|d| now - length < d.at).count();
            let before = counted.iter().filter(|d| now - 1 - length < d.at).count();
            let holds = |n: usize| n >= at_least && at_most.is_none_or(|most| n <= most);
            return (after..=before).any(|n| holds(n) != holds(before));
        }
        self.leaf(leaf, key, now - 1) != self.leaf(leaf, key, now)
    }
}

/// Whether an event counts for a key: one that carries none counts against every key in `did_not`, and else for none.
fn is_of_key(deed: &Deed, key: Option<&str>, any_key: bool, is_did_not: bool) -> bool {
    match key {
        None => true,
        Some(_) if any_key => true,
        Some(key) => deed.products.contains(&key) || (is_did_not && deed.products.is_empty()),
    }
}

impl Tree {
    fn leaves(&self) -> Vec<&Leaf> {
        match self {
            Tree::All(trees) | Tree::Any(trees) => trees.iter().flat_map(Tree::leaves).collect(),
            Tree::Not(tree) => tree.leaves(),
            Tree::Leaf(leaf) => vec![leaf],
        }
    }
}

impl Rule {
    fn key<'k>(&self, key: &'k str) -> Option<&'k str> {
        self.per.map(|_| key)
    }

    fn lengths(&self) -> Vec<Ms> {
        let mut lengths = Vec::new();
        for leaf in self.when.leaves() {
            match leaf.ask {
                Ask::Did { within: Window::Last(length), .. } | Ask::DidNotWithin(Window::Last(length)) => {
                    lengths.push(length)
                }
                Ask::Last { over, under } => lengths.extend(over.into_iter().chain(under)),
                _ => {}
            }
        }
        lengths
    }

    /// True when some leaf reads the event for this key. What no leaf reads changes nothing: an edge that time makes at
    /// its instant is seen by the timer, after all events of the instant.
    fn reads(&self, deed: &Deed, key: Option<&str>) -> bool {
        let Some(name) = deed.name else { return false };
        self.when.leaves().iter().any(|leaf| {
            let is_did_not = matches!(leaf.ask, Ask::DidNotWithin(_) | Ask::DidNotSince(_));
            let is_read = leaf.event == name && is_of_key(deed, key, leaf.any_key, is_did_not);
            let is_anchor = matches!(leaf.ask, Ask::DidNotSince(anchor) if anchor == name)
                && is_of_key(deed, key, leaf.any_key, false);
            is_read || is_anchor
        })
    }

    fn has_session(&self) -> bool {
        self.when.leaves().iter().any(|leaf| {
            matches!(leaf.ask, Ask::Did { within: Window::Session, .. } | Ask::DidNotWithin(Window::Session))
        })
    }
}

// === the way of one event ===

impl World {
    pub fn new(rules: &[Rule]) -> Self {
        let mut rules = rules.to_vec();
        rules.sort_by(|a, b| b.priority.cmp(&a.priority).then(a.name.cmp(b.name)));
        Self { rules, people: Vec::new(), edges: Vec::new(), waiting: Vec::new() }
    }

    /// Every edge so far, in order of time.
    pub fn edges(&self) -> Vec<Edge> {
        let finally = |mut person: usize| {
            while let Some(other) = self.people[person].merged_into {
                person = other;
            }
            self.people[person].names.clone()
        };
        let mut edges: Vec<Edge> =
            self.edges.iter().map(|(person, edge)| Edge { person: finally(*person), ..edge.clone() }).collect();
        edges.sort();
        edges
    }

    /// One event, heard of at `now`.
    pub fn event(&mut self, deed: &Deed, now: Ms) {
        let (of_user, of_device) = (self.owner(deed.user), self.owner(deed.device));
        // A device never joins two known people; it follows the one who is named.
        let of_device = of_device.filter(|d| {
            let is_taken = deed.user.is_some() && self.people[*d].user.is_some() && of_user != Some(*d);
            if is_taken && let Some(device) = deed.device {
                self.people[*d].names.remove(device);
            }
            !is_taken
        });
        let involved: BTreeSet<usize> = of_user.into_iter().chain(of_device).collect();
        let is_merge = involved.len() > 1;
        let mut moment = deed.at;
        if is_merge {
            // "Just before" is asked of both at the moment of the merge, which no instant already asked can follow.
            moment = involved.iter().map(|p| self.people[*p].asked).fold(moment, Ms::max);
        }
        for person in &involved {
            self.time(*person, moment - 1, now);
        }
        let is_new = involved.is_empty();
        let id = match (of_user, of_device) {
            (Some(user), Some(device)) if user != device => self.merge(user, device),
            (Some(one), _) | (_, Some(one)) => one,
            (None, None) => {
                self.people.push(Somebody::new(deed.at));
                self.people.len() - 1
            }
        };
        let person = &mut self.people[id];
        person.user = person.user.or(deed.user);
        person.names.extend(deed.user.into_iter().chain(deed.device).map(str::to_owned));
        let is_earlier = deed.at < person.first_seen;
        person.first_seen = person.first_seen.min(deed.at);
        person.asked = person.asked.max(deed.at);
        let at = person.asked;

        let before = self.truths(id, at);
        let session_before = self.people[id].session(at).map(|d| d.order);
        if deed.name.is_some() {
            self.people[id].deeds.push(deed.clone());
        }
        let person = &self.people[id];
        let is_last = person.until(at).last().is_some_and(|d| d.order == deed.order);
        let moves_session = deed.name.is_some()
            && deed.is_tracking
            && (!is_last || person.session(at).map(|d| d.order) != session_before);
        let after = self.truths(id, at);
        for (rule, key) in self.questions(id) {
            let is_new_key = !before.contains_key(&(rule, key.clone()));
            let rules = &self.rules[rule];
            let is_moved = is_merge || is_new || is_earlier || is_new_key || (moves_session && rules.has_session());
            if is_moved || rules.reads(deed, rules.key(&key)) {
                self.ask(id, rule, &key, at, now);
            } else {
                let place = (rule, key);
                assert_eq!(before.get(&place), after.get(&place), "an event that is not read changed the truth");
            }
        }
        if is_merge || deed.name.is_some() {
            self.cancel(id, deed, is_merge, at, now);
        }
    }

    /// Calls back what has not left (here nothing ever leaves before it expires) and has lost its reason.
    fn cancel(&mut self, id: usize, deed: &Deed, is_merge: bool, at: Ms, now: Ms) {
        for (owner, n, place) in std::mem::take(&mut self.waiting) {
            let edge = self.edges[place].1.clone();
            let rule = &self.rules[n];
            let key = rule.key(&edge.key);
            let person = &self.people[id];
            let is_same = owner == id || self.people[owner].merged_into == Some(id);
            if !is_same || now - edge.at > rule.expires {
                self.waiting.push((owner, n, place));
                continue;
            }
            // A late event took the edge away,
            let is_late = is_merge || deed.at <= edge.at;
            let stood = (edge.at - rule.held.unwrap_or(0)..=edge.at)
                .step_by(1_000)
                .all(|instant| person.truth(&rule.when, key, instant));
            // or the person did since what they must not have done.
            let news = person.deeds.iter().filter(|d| d.at >= edge.at && (is_merge || d.order == deed.order));
            let speaks_against = |d: &Deed| {
                rule.when.leaves().iter().any(|leaf| {
                    matches!(leaf.ask, Ask::DidNotWithin(_) | Ask::DidNotSince(_))
                        && d.name == Some(leaf.event)
                        && leaf.colour.is_none_or(|colour| d.colour == Some(colour))
                        && is_of_key(d, key, leaf.any_key, true)
                })
            };
            let is_stopped = news.into_iter().any(speaks_against) && !person.truth(&rule.when, key, at);
            if (is_late && !stood) || is_stopped {
                self.edges.push((id, Edge { verdict: "cancelled", ..edge }));
            } else {
                self.waiting.push((owner, n, place));
            }
        }
    }

    /// Lets time run for everybody up to and including `until`.
    pub fn timers(&mut self, until: Ms, now: Ms) {
        for person in 0..self.people.len() {
            if self.people[person].merged_into.is_none() {
                self.time(person, until, now);
            }
        }
    }

    fn owner(&self, name: Option<&str>) -> Option<usize> {
        let name = name?;
        self.people.iter().position(|p| p.merged_into.is_none() && p.names.contains(name))
    }

    fn questions(&self, id: usize) -> Vec<(usize, String)> {
        let mut questions = Vec::new();
        for (n, rule) in self.rules.iter().enumerate() {
            questions.extend(self.people[id].keys(rule).into_iter().map(|key| (n, key)));
        }
        questions
    }

    fn truths(&self, id: usize, at: Ms) -> BTreeMap<(usize, String), bool> {
        let truth = |n: usize, key: &str| {
            let rule = &self.rules[n];
            self.people[id].truth(&rule.when, rule.key(key), at)
        };
        self.questions(id).into_iter().map(|q| (q.clone(), truth(q.0, &q.1))).collect()
    }

    /// Joins two; whoever has an account stays.
    fn merge(&mut self, user: usize, device: usize) -> usize {
        let gone = std::mem::replace(&mut self.people[device], Somebody::new(0));
        self.people[device].merged_into = Some(user);
        let stays = &mut self.people[user];
        stays.names.extend(gone.names);
        stays.deeds.extend(gone.deeds);
        stays.first_seen = stays.first_seen.min(gone.first_seen);
        stays.asked = stays.asked.max(gone.asked);
        for (place, theirs) in gone.known {
            let ours = stays.known.entry(place).or_default();
            ours.is_true |= theirs.is_true;
            ours.has_fired |= theirs.has_fired;
            ours.since = ours.since.into_iter().chain(theirs.since).min();
        }
        for (rule, theirs) in gone.last_fire {
            let ours = stays.last_fire.entry(rule).or_insert(theirs);
            *ours = theirs.max(*ours);
        }
        user
    }

    /// Asks at every instant, up to and including `until`, at which time alone can change something.
    fn time(&mut self, id: usize, until: Ms, now: Ms) {
        let mut from = self.people[id].asked;
        while let Some(at) = self.next_instant(id, from).filter(|at| *at <= until) {
            self.people[id].asked = at;
            for (rule, key) in self.questions(id) {
                self.ask(id, rule, &key, at, now);
            }
            from = at + 1;
        }
    }

    fn next_instant(&self, id: usize, from: Ms) -> Option<Ms> {
        let person = &self.people[id];
        let mut instants = BTreeSet::new();
        for (n, key) in self.questions(id) {
            let rule = &self.rules[n];
            let begun = person.deeds.iter().map(|d| d.at).chain([person.first_seen]);
            for at in begun.flat_map(|at| rule.lengths().into_iter().map(move |length| at + length)) {
                if at >= from && rule.when.leaves().iter().any(|leaf| person.turns(leaf, rule.key(&key), at)) {
                    instants.insert(at);
                }
            }
            let since = person.known.get(&(n, key)).and_then(|known| known.since);
            if let (Some(since), Some(held)) = (since, rule.held) {
                instants.extend(Some(since + held).filter(|at| *at >= from));
            }
        }
        instants.first().copied()
    }

    fn ask(&mut self, id: usize, n: usize, key: &str, at: Ms, now: Ms) {
        let rule = &self.rules[n];
        let person = &mut self.people[id];
        let truth = person.truth(&rule.when, rule.key(key), at);
        let place = (n, key.to_owned());
        let known = person.known.entry(place).or_default();
        known.since = if truth { known.since.or(Some(at)) } else { None };
        let is_true = truth && rule.held.is_none_or(|held| known.since.is_some_and(|since| at - since >= held));
        let is_edge = is_true && !known.is_true;
        known.is_true = is_true;
        if !is_edge {
            return;
        }
        let is_cooling =
            rule.cooldown.zip(person.last_fire.get(&n)).is_some_and(|(cooldown, last)| at - last < cooldown);
        let verdict = if rule.once && known.has_fired {
            "already_fired"
        } else if is_cooling {
            "cooling_down"
        } else if now - at > rule.expires {
            "expired"
        } else {
            known.has_fired = true;
            person.last_fire.insert(n, at);
            self.waiting.push((id, n, self.edges.len()));
            "activated"
        };
        let edge = Edge { at, rule: rule.name.to_owned(), key: key.to_owned(), verdict, person: BTreeSet::new() };
        self.edges.push((id, edge));
    }
}

impl Somebody {
    fn new(first_seen: Ms) -> Self {
        Self {
            names: BTreeSet::new(),
            user: None,
            deeds: Vec::new(),
            first_seen,
            asked: Ms::MIN,
            known: BTreeMap::new(),
            last_fire: BTreeMap::new(),
            merged_into: None,
        }
    }
}
