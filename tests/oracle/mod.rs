//! A second reading of docs/triggers.md, by brute force: no index, no timers kept, truth recomputed from the whole list
//! of events at every instant at which it could be another. It shares nothing with `rules` and `decide`.

mod engagement;
mod file;
mod gates;
mod pause;
mod reach;
mod truth;
mod world;

pub use engagement::{Engagement, OfLevel, OfRate};
pub use file::hundredths;
pub use gates::{AllGates, Gates, Guard, Hours, OwnGuard, Policy, Quiet, Sync};
pub use pause::{Keeps, Lets, Wish};

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
    /// Counts what machines did, too.
    pub machine: bool,
}

/// What is asked.
#[derive(Clone, Debug)]
pub enum Ask {
    Did {
        at_least: Limit<u64>,
        at_most: Option<Limit<u64>>,
        within: Window,
    },
    DidNotWithin(Window),
    DidNotSince(&'static str),
    Last(Bounds),
    /// Cents.
    Sum {
        property: &'static str,
        bounds: Bounds,
        within: Window,
    },
    /// Hundredths.
    Ratio {
        to: &'static str,
        bounds: Bounds,
        at_least: Limit<u64>,
        within: Window,
    },
    /// Milliseconds.
    SecondsOn {
        bounds: Bounds,
        within: Window,
    },
    Trait(Test),
    Level(OfLevel),
    Rate {
        of_clicks: bool,
        test: OfRate,
    },
    Cohort(usize),
    Segment(usize),
}

/// A predicate over a trait.
#[derive(Clone, Copy, Debug)]
pub enum Test {
    PlanIs(&'static str),
    /// Without a plan, too.
    PlanIsNot(&'static str),
    HasPlan,
    LevelAtLeast(i64),
}

/// A limit for everybody, or one by cohort.
#[derive(Clone, Debug)]
pub enum Limit<T> {
    Same(T),
    ByCohort(Vec<(usize, T)>, Option<T>),
}

/// At least `over`, less than `under`.
#[derive(Clone, Debug)]
pub struct Bounds {
    pub over: Option<Limit<i64>>,
    pub under: Option<Limit<i64>>,
}

/// Which events count.
#[derive(Clone, Copy, Debug)]
pub enum Window {
    Lifetime,
    Last(Ms),
    Session,
}

/// A cohort or a segment.
#[derive(Clone, Debug)]
pub struct Named {
    pub name: &'static str,
    pub when: Tree,
    pub held: Option<Ms>,
}

/// Everything that is written.
#[derive(Clone, Debug)]
pub struct Law {
    /// In the order of declaration.
    pub cohorts: Vec<Named>,
    pub segments: Vec<Named>,
    pub gates: AllGates,
    /// What the instants are counted from.
    pub start: Ms,
    pub engagement: Engagement,
    /// Triggers, and what the segments come to.
    pub rules: Vec<Rule>,
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
    pub gates: Gates,
    /// Both edges count.
    pub is_segment: bool,
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
    pub price: Price,
    /// Traits that it sets.
    pub plan: Option<&'static str>,
    pub level: Option<i64>,
    /// What a trait says of consent, and the channel that an act is about.
    pub sync: Option<Sync>,
    pub channel: Option<&'static str>,
    /// The trait `timezone`.
    pub zone: Option<&'static str>,
    /// The id of a view, and seconds: in all, and since the last time.
    pub view: Option<&'static str>,
    pub dwell: Option<i64>,
    pub more: Option<i64>,
    pub is_machine: bool,
    /// From the tracking API, so that it makes sessions.
    pub is_tracking: bool,
    pub session: Option<&'static str>,
}

/// What its `price` is, in cents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    None,
    Number(i64),
    Text(i64),
    Junk,
}

/// The price of each product in a list, in cents.
pub fn listed_price(product: &str) -> i64 {
    if product == "p1" { 110 } else { -225 }
}

/// An edge and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    pub at: Ms,
    pub rule: String,
    pub key: String,
    pub verdict: &'static str,
    /// When it may leave, if not at once.
    pub until: Option<Ms>,
    /// Every name of the person in the end.
    pub person: BTreeSet<String>,
}

/// Everybody, and what was found so far.
pub struct World {
    /// Rules in the order in which they fire at one instant.
    law: Law,
    people: Vec<Somebody>,
    edges: Vec<(usize, Edge)>,
    waiting: Vec<Waiting>,
    /// Of each rule.
    states: Vec<pause::State>,
}

/// A fire that may not have left.
#[derive(Clone)]
struct Waiting {
    person: usize,
    rule: usize,
    /// In `edges`.
    place: usize,
    /// When it leaves, if not at once; for what is held, never.
    until: Option<Ms>,
    /// When it leaves no more.
    expires: Ms,
}

impl Waiting {
    /// What is held.
    const NEVER: Option<Ms> = Some(Ms::MAX / 2);

    /// It leaves no more; what is held may yet, whatever its age.
    fn is_over(&self, now: Ms) -> bool {
        now > self.expires && self.until != Self::NEVER
    }
}

struct Somebody {
    /// A hash of the first name and its place.
    id: [u8; 16],
    names: BTreeSet<String>,
    user: Option<&'static str>,
    deeds: Vec<Deed>,
    first_seen: Ms,
    asked: Ms,
    known: BTreeMap<(usize, String), Known>,
    last_fire: BTreeMap<usize, Ms>,
    /// Name to when it was set, and the value.
    plan: Option<(Ms, &'static str)>,
    level: Option<(Ms, i64)>,
    zone: Option<(Ms, &'static str)>,
    /// About consent: when, for which channel, what.
    said: Vec<(Ms, &'static str, &'static str)>,
    /// What was activated under a cap: when it leaves, and its place in `edges`.
    counted: Vec<(Ms, usize)>,
    merged_into: Option<usize>,
}

/// What is known of one rule for one key.
#[derive(Clone, Copy, Default)]
struct Known {
    is_true: bool,
    since: Option<Ms>,
    has_fired: bool,
}
