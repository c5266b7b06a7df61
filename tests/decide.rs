//! `decide` against an oracle that shares no code with it: random rules, random timelines, the same edges at the same
//! instants.

mod oracle;
mod random;

use std::collections::BTreeSet;
use std::fmt;

use espalier::decide;
use espalier::identity;
use espalier::model::{
    Decision, Event, EventKind, Identifier, IdentifierKind, Loaded, Origin, Position, RawJson, Span, Timestamp,
};
use espalier::replay::relive;
use espalier::rules::Files;
use espalier::rules::{self, Program};
use oracle::{
    AllGates, Ask, Bounds, Deed, Edge, Engagement, Gates, Hours, Law, Leaf, Limit, MINUTE, Ms, Named, OfLevel, OfRate,
    Policy, Price, Quiet, Rule, Sync, Test, Tree, Window, World, listed_price,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngAlgorithm;
use random::kept::Kept;

/// 2028-02-28T21:00:00Z: timelines reach into a leap day.
const START: Ms = 1_835_384_400_000;
/// Long after the last event, so that every timer has had its turn.
const HORIZON: Ms = 30 * 24 * 60 * MINUTE;

// === driving it as the engine does ===

/// One thing the engine does.
#[derive(Clone, Debug)]
enum Turn {
    /// Events in the order of their arrival, and then the timers up to the last of them.
    Batch(Vec<Message>, Ms),
    /// Nothing waits: timers up to this instant.
    Idle(Ms),
}

/// One message of the journal. The same number is the same message.
#[derive(Clone)]
struct Message {
    arrived: Ms,
    id: u64,
    deed: Deed,
}

impl Message {
    fn event(&self) -> Event {
        let deed = &self.deed;
        let user = deed.user.map(|user| Identifier::new(IdentifierKind::UserId, user));
        let device = deed.device.map(|device| Identifier::new(IdentifierKind::AnonymousId, device));
        let mut properties = serde_json::Map::new();
        if let Some(colour) = deed.colour {
            properties.insert("colour".into(), colour.into());
        }
        match deed.price {
            Price::None => {}
            Price::Number(cents) => drop(properties.insert("price".into(), (cents as f64 / 100.0).into())),
            Price::Text(cents) => drop(properties.insert("price".into(), oracle::hundredths(cents).into())),
            Price::Junk => drop(properties.insert("price".into(), "ten".into())),
        }
        if let Some(view) = deed.view {
            properties.insert("view_id".into(), view.into());
        }
        for (name, seconds) in [("dwell_seconds", deed.dwell), ("seconds", deed.more)] {
            if let Some(seconds) = seconds {
                properties.insert(name.into(), seconds.into());
            }
        }
        if deed.is_machine {
            properties.insert("is_machine".into(), true.into());
        }
        let mut traits = serde_json::Map::new();
        if let Some(plan) = deed.plan {
            traits.insert("plan".into(), plan.into());
        }
        if let Some(level) = deed.level {
            traits.insert("profile".into(), serde_json::json!({ "level": level }));
        }
        if let Some(channel) = deed.channel {
            properties.insert("channel".into(), channel.into());
        }
        if let Some(zone) = deed.zone {
            traits.insert("timezone".into(), zone.into());
        }
        if let Some(Sync { says, dated }) = deed.sync {
            traits.insert("email_consent".into(), says.into());
            if let Some(at) = dated {
                traits.insert("email_consent_at".into(), instant(at).to_string().into());
            }
        }
        match deed.products.as_slice() {
            [] => {}
            [one] => drop(properties.insert("product_id".into(), (*one).into())),
            several => {
                let price = |p: &str| listed_price(p) as f64 / 100.0;
                let products =
                    several.iter().map(|p| serde_json::json!({ "product_id": p, "price": price(p) })).collect();
                properties.insert("products".into(), products);
            }
        }
        Event {
            kind: if deed.name.is_some() { EventKind::Did } else { EventKind::Identify },
            name: deed.name.unwrap_or_default().into(),
            at: instant(deed.at),
            claimed_at: None,
            arrived: instant(self.arrived),
            source: "web".into(),
            origin: if deed.is_tracking { Origin::Tracking } else { Origin::System },
            dedupe: vec![Event::dedupe_key(&[&self.id.to_string()])],
            identifiers: user.into_iter().chain(device).collect(),
            session: deed.session.map(Into::into),
            properties: RawJson::from_value(&properties.into()),
            traits: RawJson::from_value(&traits.into()),
        }
    }
}

/// On one line, in minutes: a failure is read by people.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deed { at, name, user, device, products, colour, is_tracking, session, .. } = &self.deed;
        let Deed { sync, channel, zone, price, plan, level, view, dwell, more, is_machine, .. } = &self.deed;
        let minutes = |ms: Ms| ms as f64 / MINUTE as f64;
        write!(
            f,
            "#{} {}m (arrived {}m) {}",
            self.id,
            minutes(*at),
            minutes(self.arrived),
            name.unwrap_or("identify")
        )?;
        for part in user.iter().chain(device).chain(products).chain(colour).chain(session) {
            write!(f, " {part}")?;
        }
        if *price != Price::None {
            write!(f, " {price:?}")?;
        }
        for (name, number) in [("level", level), ("dwell", dwell), ("more", more)] {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        if let Some(sync) = sync {
            write!(f, " {sync:?}")?;
        }
        for part in plan.iter().chain(view).chain(channel).chain(zone) {
            write!(f, " {part}")?;
        }
        write!(f, "{}{}", if *is_machine { " machine" } else { "" }, if *is_tracking { "" } else { " (system)" })
    }
}

fn instant(ms: Ms) -> Timestamp {
    Timestamp::from_millis(START + ms)
}

fn compile(law: &Law) -> Program {
    let (triggers, segments, cohorts) = law.to_files();
    let files = Files { triggers: &triggers, segments: &segments, configuration: Some(("espalier.toml", &cohorts)) };
    let gates = toml::from_str(&law.gates.to_toml()).expect("gates");
    let settings = rules::Settings { gates, engagement: engagement(law), ..rules::Settings::default() };
    let program = Program::compile_all(&files, &settings, None);
    program.unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{}", law.to_text()))
}

fn engagement(law: &Law) -> rules::Engagement {
    let Engagement { window, opens, clicks, inactive } = law.engagement;
    rules::Engagement {
        window: Span::from_millis(window),
        opens: opens as f64 / 100.0,
        clicks: clicks as f64 / 100.0,
        inactive: Span::from_millis(inactive),
    }
}

fn decided(program: &Program, turns: &[Turn]) -> Kept {
    let mut kept = Kept::default();
    let mut position = 0;
    for turn in turns {
        let (until, now) = match turn {
            Turn::Batch(messages, now) => {
                let batch: Vec<(Position, Event)> = messages
                    .iter()
                    .map(|message| {
                        position += 1;
                        (Position(position), message.event())
                    })
                    .collect();
                let mut loaded = kept.load(&batch);
                let now = instant(*now);
                let changes = decide::events(&mut loaded, &batch, now, program, &identity::Settings::default());
                kept.commit(&loaded, changes);
                let last = &batch.last().expect("no batch is empty").1;
                (last.arrived.min(last.at).min(now), now)
            }
            Turn::Idle(now) => (instant(*now), instant(*now)),
        };
        let due = kept.wake(until);
        let people = due.iter().map(|id| (*id, kept.people[id].clone())).collect();
        let mut loaded = Loaded { people, ..Loaded::default() };
        let changes = decide::timers(&mut loaded, &due, until, now, program);
        kept.commit(&loaded, changes);
    }
    kept
}

fn foretold(law: &Law, turns: &[Turn]) -> Vec<Edge> {
    let mut world = World::new(law);
    let mut seen = BTreeSet::new();
    let mut order = 0;
    for turn in turns {
        match turn {
            Turn::Batch(messages, now) => {
                for message in messages {
                    order += 1;
                    if seen.insert(message.id) {
                        world.event(&Deed { order, ..message.deed.clone() }, *now);
                    }
                }
                let last = messages.last().expect("no batch is empty");
                world.timers(last.arrived.min(last.deed.at).min(*now), *now);
            }
            Turn::Idle(now) => world.timers(*now, *now),
        }
    }
    world.edges()
}

// === random rules ===

const EVENTS: &[&str] = &["Product Viewed", "Product Added", "Order Completed", "Email Opened"];
const CONSENT: &[&str] =
    &["Subscribed", "Subscribed", "Unsubscribed", "SMS Subscribed", "Email Marked as Spam", "Suppression Lifted"];
/// Zones of people and of the configuration; the last one is none.
const PLACES: &[&str] = &["UTC", "Europe/Lisbon", "America/New_York", "Asia/Kolkata", "Mars/Base"];
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
        &[Test::PlanIs("gold"), Test::PlanIs("none"), Test::HasPlan, Test::LevelAtLeast(2), Test::LevelAtLeast(3)][..],
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

fn rule(name: &'static str) -> impl Strategy<Value = Rule> {
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
    (channel, consent, holdout, quiet, prop::bool::weighted(0.8))
        .prop_map(|(channel, consent, holdout, quiet, is_capped)| Gates { channel, consent, holdout, quiet, is_capped })
}

fn cap() -> impl Strategy<Value = (usize, Ms)> {
    (1..4usize, select(&[30 * MINUTE, 120 * MINUTE, 24 * 60 * MINUTE][..]))
}

fn all_gates() -> impl Strategy<Value = AllGates> {
    let policy = prop_oneof![5 => Just(Policy::OptOut), 1 => Just(Policy::OptIn)];
    let quiet = option::weighted(0.4, (select(HOURS), select(ZONES)));
    let caps = prop_oneof![2 => Just(vec![]), 1 => vec(cap(), 1..3)];
    (policy, prop_oneof![5 => Just(0), 1 => Just(30)], quiet, caps)
        .prop_map(|(consent, holdout, quiet, caps)| AllGates { consent, holdout, quiet, caps })
}

/// The first may name none, each other one those before it.
fn law() -> impl Strategy<Value = Law> {
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

// === random timelines ===

/// Who may be spoken of.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cast {
    One,
    /// Users and devices, some of which turn out to be the same.
    Several,
}

fn names(cast: Cast) -> BoxedStrategy<(Option<&'static str>, Option<&'static str>)> {
    match cast {
        Cast::One => Just((Some("ines"), None)).boxed(),
        Cast::Several => prop_oneof![
            3 => select(&["phone", "laptop", "tablet"][..]).prop_map(|device| (None, Some(device))),
            1 => select(&["ines", "rui"][..]).prop_map(|user| (Some(user), None)),
            2 => (select(&["ines", "rui"][..]), select(&["phone", "laptop", "tablet"][..]))
                .prop_map(|(user, device)| (Some(user), Some(device))),
        ]
        .boxed(),
    }
}

fn deed(cast: Cast) -> impl Strategy<Value = Deed> {
    let name = prop_oneof![
        8 => select(EVENTS).prop_map(Some),
        1 => Just(Some("Page Viewed")),
        2 => select(&["Heartbeat", "Page Left"][..]).prop_map(Some),
        2 => select(CONSENT).prop_map(Some),
        1 => select(&["Email Delivered", "Email Link Clicked"][..]).prop_map(Some),
        1 => Just(None),
    ];
    let products = prop_oneof![
        1 => Just(vec![]),
        3 => select(&["p1", "p2"][..]).prop_map(|p| vec![p]),
        1 => Just(vec!["p1", "p2"]),
    ];
    let price = prop_oneof![
        2 => Just(Price::None),
        2 => select(&[0, 10, 110, 250][..]).prop_map(Price::Number),
        1 => select(&[10, -110][..]).prop_map(Price::Text),
        1 => Just(Price::Junk),
    ];
    let traits =
        (option::weighted(0.15, select(&["gold", "none"][..])), option::weighted(0.15, select(&[1, 2, 3][..])));
    let seconds = (
        option::weighted(0.6, select(&["v1", "v1", "v2"][..])),
        option::weighted(0.5, select(&[30, 60, 90, -5][..])),
        option::weighted(0.3, select(&[15, 45][..])),
    );
    let colour = select(&[None, Some("red"), Some("blue")][..]);
    let session = prop_oneof![5 => Just(None), 1 => select(&["s1", "s2"][..]).prop_map(Some)];
    let sync =
        (select(&["unsubscribed", "subscribed", "pending"][..]), option::of((0..40i64).prop_map(|n| n * 10 * MINUTE)))
            .prop_map(|(says, dated)| Sync { says, dated });
    let says = (
        option::weighted(0.1, sync),
        option::weighted(0.3, select(&["sms", "all"][..])),
        option::weighted(0.1, select(PLACES)),
    );
    let what = (name, products, colour, price, prop::bool::weighted(0.3));
    (what, traits, seconds, session, prop::bool::weighted(0.8), names(cast), says).prop_map(
        |(
            (name, products, colour, price, machine),
            (plan, level),
            (view, dwell, more),
            session,
            tracking,
            who,
            (sync, channel, zone),
        )| Deed {
            at: 0,
            order: 0,
            name,
            user: who.0,
            device: who.1,
            products,
            colour,
            price,
            plan,
            level,
            sync,
            zone,
            channel: channel.filter(|_| name.is_some_and(|name| CONSENT.contains(&name))),
            view,
            dwell,
            more,
            is_machine: machine && name == Some("Email Opened"),
            is_tracking: tracking,
            session,
        },
    )
}

/// Events at instants of their own, ten minutes apart or a multiple, so that they often meet a timer's instant; some
/// at one instant with others, where no timer is.
fn moments(cast: Cast) -> impl Strategy<Value = Vec<(Ms, Vec<Deed>)>> {
    let burst = prop_oneof![5 => vec(deed(cast), 1), 1 => vec(deed(cast), 2..4)];
    vec((1..5i64, burst), 1..12).prop_map(|steps| {
        let mut at = 0;
        let mut moments = Vec::new();
        for (n, (step, mut deeds)) in steps.into_iter().enumerate() {
            at += step * 10 * MINUTE;
            let own = if deeds.len() > 1 { (n as Ms + 1) * 1_000 } else { 0 };
            for deed in &mut deeds {
                deed.at = at + own;
            }
            moments.push((at + own, deeds));
        }
        moments
    })
}

/// How an event travels: how late it is, whether it is sent twice, and whether a batch ends after it.
#[derive(Clone, Copy, Debug)]
struct Travel {
    late: Ms,
    is_repeated: bool,
    ends_batch: bool,
    then_idle: bool,
    lag: Ms,
}

fn travel() -> impl Strategy<Value = Travel> {
    let late = prop_oneof![6 => Just(0), 2 => (1..8i64).prop_map(|n| n * 15 * MINUTE), 1 => Just(-5 * MINUTE)];
    let lag = prop_oneof![4 => Just(0), 1 => Just(120 * MINUTE)];
    (late, prop::bool::weighted(0.1), prop::bool::ANY, prop::bool::weighted(0.3), lag).prop_map(
        |(late, is_repeated, ends_batch, then_idle, lag)| Travel { late, is_repeated, ends_batch, then_idle, lag },
    )
}

fn timeline(cast: Cast) -> impl Strategy<Value = Vec<Turn>> {
    (moments(cast), vec(travel(), 1..36)).prop_map(|(moments, travels)| {
        let mut travels = travels.into_iter().cycle();
        let mut journal = Vec::new();
        for (id, deed) in (0..).zip(moments.into_iter().flat_map(|(_, deeds)| deeds)) {
            let Some(travel) = travels.next() else { continue };
            let message = Message { arrived: (deed.at + travel.late).max(0), id, deed };
            if travel.is_repeated {
                let again = Message { arrived: message.arrived + 7 * MINUTE, ..message.clone() };
                journal.push((again, travel));
            }
            journal.push((message, travel));
        }
        journal.sort_by_key(|(message, _)| (message.arrived, message.id));
        let mut turns = Vec::new();
        let mut batch = Vec::new();
        let mut clock = 0;
        let mut journal = journal.into_iter().peekable();
        while let Some((message, travel)) = journal.next() {
            clock = clock.max(message.arrived);
            batch.push(message);
            let Some((next, _)) = journal.peek() else { break };
            if travel.ends_batch {
                // An engine that lags has not yet been idle.
                turns.push(Turn::Batch(std::mem::take(&mut batch), clock + travel.lag));
                clock += travel.lag;
                if travel.then_idle && clock < next.arrived {
                    turns.push(Turn::Idle(clock + (next.arrived - 1 - clock) / 2));
                }
            }
        }
        turns.push(Turn::Batch(batch, clock));
        // Timers that are heard of not long after their instant, before the last of them.
        turns.extend((1..8).map(|n| Turn::Idle(clock + n * 25 * MINUTE)));
        turns.push(Turn::Idle(HORIZON));
        turns
    })
}

/// Events as they happen, none late, each moment with whether a batch ends after it.
fn punctual(cast: Cast) -> impl Strategy<Value = Vec<(Vec<Message>, bool)>> {
    (moments(cast), vec(prop::bool::ANY, 12)).prop_map(|(moments, ends)| {
        let mut ids = 0..;
        let mut message = |deed: Deed| Message { arrived: deed.at, id: ids.next().unwrap_or_default(), deed };
        let moments =
            moments.into_iter().map(|(_, deeds)| deeds).map(|deeds| deeds.into_iter().map(&mut message).collect());
        moments.collect::<Vec<_>>().into_iter().zip(ends).collect()
    })
}

/// The same journal in one batch, or in several. At one instant events come before timers, so no batch ends within one.
fn cut(journal: &[(Vec<Message>, bool)], is_whole: bool) -> Vec<Turn> {
    let mut turns = Vec::new();
    let mut batch: Vec<Message> = Vec::new();
    for (messages, ends) in journal {
        batch.extend(messages.iter().cloned());
        if *ends && !is_whole {
            let clock = batch.last().map_or(0, |m| m.arrived);
            turns.push(Turn::Batch(std::mem::take(&mut batch), clock));
        }
    }
    if !batch.is_empty() {
        let clock = batch.last().map_or(0, |m| m.arrived);
        turns.push(Turn::Batch(batch, clock));
    }
    turns.push(Turn::Idle(HORIZON));
    turns
}

/// The same with every deed a view or a heartbeat, most of one view: so that it is told of again and again.
fn of_pages(mut turns: Vec<Turn>) -> Vec<Turn> {
    for turn in &mut turns {
        let Turn::Batch(messages, _) = turn else { continue };
        for Message { id, deed, .. } in messages {
            deed.name = Some(["Product Viewed", "Heartbeat", "Page Left"][*id as usize % 3]);
            deed.view = deed.view.or(Some("v1"));
            if deed.dwell.is_none() && deed.more.is_none() {
                deed.more = Some(45);
            }
        }
    }
    turns
}

/// The same with every deed an e-mail that came, or was opened or clicked.
fn of_mail(mut turns: Vec<Turn>) -> Vec<Turn> {
    for turn in &mut turns {
        let Turn::Batch(messages, _) = turn else { continue };
        for Message { id, deed, .. } in messages {
            deed.name =
                Some(["Email Delivered", "Email Opened", "Email Delivered", "Email Link Clicked"][*id as usize % 4]);
            deed.is_machine = *id % 7 == 1;
        }
    }
    turns
}

fn about_mail() -> impl Strategy<Value = Tree> {
    let leaf = |ask| Tree::Leaf(Leaf { ask, event: "", colour: None, any_key: false, machine: false });
    vec(engaged().prop_map(leaf), 1..3).prop_map(Tree::All)
}

fn about_pages() -> impl Strategy<Value = Tree> {
    let known = Known { cohorts: COHORTS.len(), segments: 0 };
    (bounds(&[30_000, 60_000, 120_000], &[120_500, 300_000], known), window(), prop::bool::ANY).prop_map(
        |(bounds, within, any_key)| {
            let ask = Ask::SecondsOn { bounds, within };
            Tree::Leaf(Leaf { ask, event: "Product Viewed", colour: None, any_key, machine: false })
        },
    )
}

fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        rng_algorithm: RngAlgorithm::XorShift,
        ..ProptestConfig::default()
    }
}

fn compare(law: &Law, turns: &[Turn]) -> Result<(), TestCaseError> {
    compare_with(law, &compile(law), turns)
}

fn compare_with(law: &Law, program: &Program, turns: &[Turn]) -> Result<(), TestCaseError> {
    let (decided, foretold) = (decided(program, turns).edges(), foretold(law, turns));
    prop_assert!(decided == foretold, "decided  {decided:?}\nforetold {foretold:?}\n{}\n{turns:#?}", law.to_text());
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn one_person_gets_what_the_law_says(law in law(), turns in timeline(Cast::One)) {
        compare(&law, &turns)?;
    }

    #[test]
    fn people_who_turn_out_to_be_one_get_what_the_law_says(law in law(), turns in timeline(Cast::Several)) {
        compare(&law, &turns)?;
    }

    #[test]
    fn time_on_pages_is_what_the_law_says(law in law(), when in about_pages(), turns in timeline(Cast::One)) {
        let mut law = law;
        law.rules[0].when = when;
        compare(&law, &of_pages(turns))?;
    }

    #[test]
    fn engagement_is_what_the_law_says(law in law(), when in about_mail(), turns in timeline(Cast::Several)) {
        let mut law = law;
        law.rules[0].when = when;
        compare(&law, &of_mail(turns))?;
    }

    /// Where nothing is late, nobody is two and no trait becomes another, a history that is lived again comes to what was
    /// decided at first.
    #[test]
    fn a_history_lived_again_comes_to_the_same(law in law(), journal in punctual(Cast::One)) {
        let (mut law, mut journal) = (law, journal);
        // What comes into quiet hours or under a cap depends on when it is learned of.
        law.rules.iter_mut().for_each(|rule| (rule.expires, rule.gates.quiet) = (HORIZON, Quiet::Never));
        law.gates.caps.clear();
        for message in journal.iter_mut().flat_map(|(messages, _)| messages) {
            (message.deed.plan, message.deed.level, message.deed.sync) = (None, None, None);
        }
        let program = compile(&law);
        let kept = decided(&program, &cut(&journal, false));
        let told = |decisions: &[Decision]| {
            let gone = decisions.iter().filter(|d| !d.verdict.is_afterwards());
            let mut told: Vec<_> =
                gone.map(|d| (d.at, d.trigger.clone(), d.key.clone(), d.occasion, d.verdict.word())).collect();
            told.sort_by_key(|one| (one.0, one.1.clone(), one.2.clone()));
            told
        };
        for person in kept.people.values() {
            let names = identity::Settings::default();
            let lived = relive(person, &program, &names, Timestamp::MIN, instant(HORIZON));
            prop_assert_eq!(told(&lived.decisions), told(&kept.decisions), "{}", law.to_text());
        }
    }

    #[test]
    fn caps_by_night_hold_as_the_law_says(
        law in law(),
        more in rule("c-three"),
        caps in vec(cap(), 1..3),
        priorities in vec(0..4u8, 5),
        turns in select(&[Cast::One, Cast::Several][..]).prop_flat_map(timeline),
    ) {
        // All of the timeline is one night, at the end of which all may leave that is left.
        let mut law = law;
        law.rules.push(more);
        (law.gates.quiet, law.gates.caps) = (Some((Hours(20 * 60, 8 * 60), "UTC")), caps);
        for (rule, priority) in law.rules.iter_mut().zip(priorities) {
            (rule.priority, rule.expires, rule.cooldown, rule.once) = (priority, HORIZON, None, false);
            (rule.gates.quiet, rule.gates.holdout) = (Quiet::AsAll, None);
        }
        compare(&law, &turns)?;
    }

    #[test]
    fn it_does_not_matter_how_the_journal_is_cut(law in law(), journal in punctual(Cast::Several)) {
        // What expires, comes into quiet hours or under a cap depends on when it is learned of, and so on the batches.
        let mut law = law;
        law.rules.iter_mut().for_each(|rule| (rule.expires, rule.gates.quiet) = (HORIZON, Quiet::Never));
        law.gates.caps.clear();
        let program = compile(&law);
        let told = |is_whole| {
            let kept = decided(&program, &cut(&journal, is_whole));
            let tell = |d: &Decision| {
                (d.at, d.trigger.clone(), d.key.clone(), d.person, d.occasion, d.verdict.word())
            };
            let mut told: Vec<_> = kept.decisions.iter().map(tell).collect();
            told.sort();
            told
        };
        prop_assert_eq!(told(true), told(false), "{}", law.to_text());
    }
}

/// Timelines for each rule: what compiles and is drawn once serves for several.
const EACH: u32 = 10;

/// So many pairs of rules and timelines are compared: 2,000 unless told otherwise. `scripts/test` takes 100,000.
#[expect(clippy::disallowed_methods, reason = "a test's own switch, not configuration")]
fn pairs() -> u32 {
    std::env::var("ESPALIER_PAIRS").ok().and_then(|pairs| pairs.parse().ok()).unwrap_or(2_000)
}

/// Half of all pairs, each rule with several timelines.
fn compare_pairs(cast: Cast) {
    let cases = (pairs() / 2).div_ceil(EACH);
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig { cases, ..config() });
    let strategy = (law(), vec(timeline(cast), EACH as usize));
    let ended = runner.run(&strategy, |(law, timelines)| {
        let program = compile(&law);
        timelines.iter().try_for_each(|turns| compare_with(&law, &program, turns))
    });
    ended.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn pairs_of_rules_and_timelines_of_one_person() {
    compare_pairs(Cast::One);
}

#[test]
fn pairs_of_rules_and_timelines_of_several_people() {
    compare_pairs(Cast::Several);
}
