//! Random rules: conditions, triggers, cohorts, segments, gates, and the law that they make together.

use std::fmt;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{EVENTS, HORIZON, PLACES, START};
use crate::oracle::{
    AllGates, Ask, Bounds, Engagement, Gates, Guard, Hours, Law, Leaf, Limit, MINUTE, Ms, Named, OfLevel, OfRate,
    OwnGuard, Policy, Quiet, Rule, Test, Tree, Window,
};

const ZONES: &[&str] = PLACES.split_at(4).0;
/// The timelines begin at 21:00 UTC.
const HOURS: &[Hours] =
    &[Hours(21 * 60, 8 * 60), Hours(22 * 60 + 30, 23 * 60), Hours(0, 60), Hours(3 * 60 + 15, 4 * 60 + 5)];
const LENGTHS: &[Ms] = &[10 * MINUTE, 20 * MINUTE, 30 * MINUTE, 60 * MINUTE, 90 * MINUTE];
const COHORTS: [&str; 2] = ["new", "returning"];
const SEGMENTS: [&str; 2] = ["calm", "keen"];

/// How many cohorts and segments there are to be named.
#[derive(Clone, Copy)]
struct Known {
    cohorts: usize,
    segments: usize,
}

fn window() -> impl Strategy<Value = Window> {
    prop_oneof![
        2 => Just(Window::Lifetime),
        4 => select(LENGTHS).prop_map(Window::Last),
        1 => Just(Window::Session),
    ]
}

/// One of these for everybody; where there are cohorts, sometimes another for each.
fn limit<T: Copy + fmt::Debug + 'static>(values: &'static [T], known: Known) -> BoxedStrategy<Limit<T>> {
    let same = select(values).prop_map(Limit::Same);
    if known.cohorts == 0 {
        return same.boxed();
    }
    let rows = vec(option::weighted(0.7, select(values)), known.cohorts).prop_filter_map("names a cohort", |rows| {
        let rows: Vec<(usize, T)> = rows.into_iter().enumerate().filter_map(|(n, value)| Some((n, value?))).collect();
        (!rows.is_empty()).then_some(rows)
    });
    let by_cohort = (rows, option::of(select(values))).prop_map(|(rows, other)| Limit::ByCohort(rows, other));
    prop_oneof![3 => same, 1 => by_cohort].boxed()
}

/// `over` of the low ones, `under` of the high ones, or one of any.
fn bounds(low: &'static [i64], high: &'static [i64], known: Known) -> impl Strategy<Value = Bounds> {
    let one = || prop_oneof![limit(low, known), limit(high, known)];
    prop_oneof![
        one().prop_map(|over| Bounds { over: Some(over), under: None }),
        one().prop_map(|under| Bounds { over: None, under: Some(under) }),
        (limit(low, known), limit(high, known))
            .prop_map(|(over, under)| Bounds { over: Some(over), under: Some(under) }),
    ]
}

fn ask(known: Known) -> impl Strategy<Value = Ask> {
    let did = (0..4u64, option::of(0..3u64), window()).prop_map(|(at_least, more, within)| Ask::Did {
        at_least: Limit::Same(if at_least == 0 && more.is_none() { 1 } else { at_least }),
        at_most: more.map(|more| Limit::Same(at_least + more)),
        within,
    });
    let by_cohort = (limit(&[0, 1, 2, 3], known), option::of(limit(&[3, 4], known)), window())
        .prop_map(|(at_least, at_most, within)| Ask::Did { at_least, at_most, within });
    let lasting = prop_oneof![
        4 => select(LENGTHS).prop_map(|length| Ask::DidNotWithin(Window::Last(length))),
        1 => Just(Ask::DidNotWithin(Window::Session)),
    ];
    let sum = (select(&["price", "products.price"][..]), bounds(&[-300, 0, 110, 250], &[251, 1_000], known), window())
        .prop_map(|(property, bounds, within)| Ask::Sum { property, bounds, within });
    let to = select(EVENTS);
    let ratio = (to, bounds(&[0, 33, 50], &[51, 100, 200], known), limit(&[1, 2], known), window())
        .prop_map(|(to, bounds, at_least, within)| Ask::Ratio { to, bounds, at_least, within });
    let seconds = (bounds(&[30_000, 60_000, 120_000], &[120_500, 300_000], known), window())
        .prop_map(|(bounds, within)| Ask::SecondsOn { bounds, within });
    let traits = select(
        &[
            Test::PlanIs("gold"),
            Test::PlanIs("none"),
            Test::PlanIsNot("gold"),
            Test::HasPlan,
            Test::LevelAtLeast(2),
            Test::LevelAtLeast(3),
        ][..],
    );
    prop_oneof![
        3 => did,
        1 => by_cohort,
        2 => bounds(&[10 * MINUTE, 20 * MINUTE, 30 * MINUTE], &[60 * MINUTE, 90 * MINUTE], known).prop_map(Ask::Last),
        2 => lasting,
        2 => select(EVENTS).prop_map(Ask::DidNotSince),
        2 => sum,
        2 => ratio,
        2 => seconds,
        1 => traits.prop_map(Ask::Trait),
        1 => engaged(),
    ]
}

/// What follows from e-mail.
fn engaged() -> impl Strategy<Value = Ask> {
    const LEVELS: &[&str] = &["high", "moderate", "inactive"];
    let level = prop_oneof![
        3 => select(LEVELS).prop_map(OfLevel::Is),
        1 => select(LEVELS).prop_map(OfLevel::IsNot),
        1 => prop::bool::ANY.prop_map(OfLevel::Exists),
    ];
    let rate = prop_oneof![
        2 => select(&[0, 33, 50, 100][..]).prop_map(OfRate::AtLeast),
        2 => select(&[34, 50, 100][..]).prop_map(OfRate::Under),
        1 => prop::bool::ANY.prop_map(OfRate::Exists),
    ];
    prop_oneof![
        3 => level.prop_map(Ask::Level),
        2 => (prop::bool::ANY, rate).prop_map(|(of_clicks, test)| Ask::Rate { of_clicks, test }),
    ]
}

fn levels() -> impl Strategy<Value = Engagement> {
    (select(LENGTHS), select(&[0, 33, 50][..]), select(&[0, 25, 100][..]), select(LENGTHS))
        .prop_map(|(window, opens, clicks, inactive)| Engagement { window, opens, clicks, inactive })
}

fn leaf(known: Known) -> BoxedStrategy<Tree> {
    let colour = prop_oneof![4 => Just(None), 1 => Just(Some("red"))];
    let of_events = (ask(known), 0..EVENTS.len(), colour, prop::bool::weighted(0.15), prop::bool::weighted(0.2))
        .prop_map(|(ask, n, colour, any_key, machine)| {
            let event = match ask {
                Ask::Trait(_) | Ask::Level(_) | Ask::Rate { .. } => "",
                // Nothing is since itself.
                Ask::DidNotSince(anchor) if anchor == EVENTS[n] => EVENTS[(n + 1) % EVENTS.len()],
                _ => EVENTS[n],
            };
            Tree::Leaf(Leaf { ask, event, colour, any_key, machine })
        });
    let plain = |ask| Tree::Leaf(Leaf { ask, event: "", colour: None, any_key: false, machine: false });
    let mut leaves = vec![(12, of_events.boxed())];
    if known.cohorts > 0 {
        leaves.push((1, (0..known.cohorts).prop_map(move |n| plain(Ask::Cohort(n))).boxed()));
    }
    if known.segments > 0 {
        leaves.push((2, (0..known.segments).prop_map(move |n| plain(Ask::Segment(n))).boxed()));
    }
    prop::strategy::Union::new_weighted(leaves).boxed()
}

fn tree(known: Known) -> impl Strategy<Value = Tree> {
    leaf(known).prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(Tree::All),
            1 => vec(inner.clone(), 1..4).prop_map(Tree::Any),
            1 => inner.prop_map(|tree| Tree::Not(Box::new(tree))),
        ]
    })
}

pub fn rule(name: &'static str) -> impl Strategy<Value = Rule> {
    let gates = (option::weighted(0.3, select(LENGTHS)), prop::bool::weighted(0.2), 0..3u8);
    let expires = prop_oneof![3 => Just(HORIZON), 1 => Just(60 * MINUTE)];
    let all = Known { cohorts: COHORTS.len(), segments: SEGMENTS.len() };
    (tree(all), prop::bool::ANY, option::weighted(0.25, select(LENGTHS)), gates, expires, own_gates()).prop_map(
        move |(when, is_per, held, (cooldown, once, priority), expires, gates)| Rule {
            name,
            when,
            per: is_per.then_some("product_id"),
            held,
            cooldown,
            once,
            expires,
            priority,
            gates,
            is_segment: false,
        },
    )
}

fn own_gates() -> impl Strategy<Value = Gates> {
    let consent = option::weighted(0.3, select(&[Policy::OptOut, Policy::OptIn, Policy::None][..]));
    let holdout = prop_oneof![3 => Just(Some(0)), 1 => Just(Some(50)), 1 => Just(None)];
    let own = (select(HOURS), option::of(select(ZONES))).prop_map(|(hours, zone)| Quiet::Own(hours, zone));
    let quiet = prop_oneof![3 => Just(Quiet::AsAll), 1 => Just(Quiet::Never), 1 => own];
    let channel = select(&["email", "email", "sms"][..]);
    (channel, consent, holdout, quiet, prop::bool::weighted(0.8)).prop_map(
        |(channel, consent, holdout, quiet, is_capped)| Gates {
            channel,
            consent,
            holdout,
            quiet,
            is_capped,
            guard: OwnGuard::AsAll,
        },
    )
}

pub fn guard() -> impl Strategy<Value = Guard> {
    let most = option::of(1..4u64);
    (select(&[10, 15, 30, 100][..]), 0..3u64, most).prop_map(|(times, least, most)| Guard { times, least, most })
}

pub fn own_guard() -> impl Strategy<Value = OwnGuard> {
    prop_oneof![2 => Just(OwnGuard::AsAll), 1 => Just(OwnGuard::Never), 2 => guard().prop_map(OwnGuard::Own)]
}

pub fn cap() -> impl Strategy<Value = (usize, Ms)> {
    (1..4usize, select(&[30 * MINUTE, 120 * MINUTE, 24 * 60 * MINUTE][..]))
}

fn all_gates() -> impl Strategy<Value = AllGates> {
    let policy = prop_oneof![5 => Just(Policy::OptOut), 1 => Just(Policy::OptIn)];
    let quiet = option::weighted(0.4, (select(HOURS), select(ZONES)));
    let caps = prop_oneof![2 => Just(vec![]), 1 => vec(cap(), 1..3)];
    (policy, prop_oneof![5 => Just(0), 1 => Just(30)], quiet, caps)
        .prop_map(|(consent, holdout, quiet, caps)| AllGates { consent, holdout, quiet, caps, guard: None })
}

/// The first may name none, each other one those before it.
pub fn law() -> impl Strategy<Value = Law> {
    let cohorts = (leaf(Known { cohorts: 0, segments: 0 }), leaf(Known { cohorts: 1, segments: 0 }));
    let held = || option::weighted(0.4, select(LENGTHS));
    let segments = (
        (tree(Known { cohorts: 2, segments: 0 }), held()),
        (leaf(Known { cohorts: 2, segments: 1 }), held()),
        option::weighted(0.3, 0..SEGMENTS.len()),
    );
    let rules = (rule("b-one"), option::weighted(0.3, rule("a-two")));
    let more = (own_gates(), all_gates(), levels());
    (cohorts, segments, rules, more).prop_map(|((new, returning), (calm, keen, decided), (one, two), more)| {
        let (segment_gates, gates, engagement) = more;
        let named = |name, when, held| Named { name, when, held };
        let segments = vec![named(SEGMENTS[0], calm.0, calm.1), named(SEGMENTS[1], keen.0, keen.1)];
        let segment_rules = segments.iter().zip(["segment:calm", "segment:keen"]).map(|(segment, name)| Rule {
            name,
            when: segment.when.clone(),
            per: None,
            held: segment.held,
            cooldown: None,
            once: false,
            expires: if decided == Some(0) { 60 * MINUTE } else { HORIZON },
            priority: 1,
            gates: segment_gates.clone(),
            is_segment: true,
        });
        let rules = [one].into_iter().chain(two).chain(segment_rules).collect();
        let cohorts = vec![named(COHORTS[0], new, None), named(COHORTS[1], returning, None)];
        Law { cohorts, segments, gates, engagement, start: START, rules }
    })
}

pub fn about_mail() -> impl Strategy<Value = Tree> {
    let leaf = |ask| Tree::Leaf(Leaf { ask, event: "", colour: None, any_key: false, machine: false });
    vec(engaged().prop_map(leaf), 1..3).prop_map(Tree::All)
}

pub fn about_pages() -> impl Strategy<Value = Tree> {
    let known = Known { cohorts: COHORTS.len(), segments: 0 };
    (bounds(&[30_000, 60_000, 120_000], &[120_500, 300_000], known), window(), prop::bool::ANY).prop_map(
        |(bounds, within, any_key)| {
            let ask = Ask::SecondsOn { bounds, within };
            Tree::Leaf(Leaf { ask, event: "Product Viewed", colour: None, any_key, machine: false })
        },
    )
}
