//! Random timelines: who does what when, how it travels, and in which turns it is taken.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::message::{Message, Turn};
use super::{EVENTS, HORIZON, PLACES};
use crate::oracle::{Deed, Keeps, Lets, MINUTE, Ms, Price, Sync, Wish};

const CONSENT: &[&str] =
    &["Subscribed", "Subscribed", "Unsubscribed", "SMS Subscribed", "Email Marked as Spam", "Suppression Lifted"];

/// Who may be spoken of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Cast {
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

pub fn timeline(cast: Cast) -> impl Strategy<Value = Vec<Turn>> {
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
pub fn punctual(cast: Cast) -> impl Strategy<Value = Vec<(Vec<Message>, bool)>> {
    (moments(cast), vec(prop::bool::ANY, 12)).prop_map(|(moments, ends)| {
        let mut ids = 0..;
        let mut message = |deed: Deed| Message { arrived: deed.at, id: ids.next().unwrap_or_default(), deed };
        let moments =
            moments.into_iter().map(|(_, deeds)| deeds).map(|deeds| deeds.into_iter().map(&mut message).collect());
        moments.collect::<Vec<_>>().into_iter().zip(ends).collect()
    })
}

/// The same journal in one batch, or in several. At one instant events come before timers, so no batch ends within one.
pub fn cut(journal: &[(Vec<Message>, bool)], is_whole: bool) -> Vec<Turn> {
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
pub fn of_pages(mut turns: Vec<Turn>) -> Vec<Turn> {
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
pub fn of_mail(mut turns: Vec<Turn>) -> Vec<Turn> {
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

/// The same over days instead of hours; not where clocks would be turned meanwhile, of which the oracle knows nothing.
pub fn of_days(mut turns: Vec<Turn>) -> Vec<Turn> {
    const LONGER: Ms = 18;
    const UNTURNED: Ms = 11 * 24 * 60 * MINUTE;
    let ends = turns.iter().filter_map(|turn| match turn {
        Turn::Idle(HORIZON) => None,
        Turn::Batch(_, now) | Turn::Idle(now) | Turn::Wish(_, _, now) => Some(*now),
    });
    if ends.max().is_some_and(|end| end * LONGER > UNTURNED) {
        return turns;
    }
    for turn in &mut turns {
        match turn {
            Turn::Batch(messages, now) => {
                *now *= LONGER;
                for message in messages {
                    message.arrived *= LONGER;
                    message.deed.at *= LONGER;
                }
            }
            Turn::Idle(HORIZON) => {}
            Turn::Idle(now) | Turn::Wish(_, _, now) => *now *= LONGER,
        }
    }
    turns
}

/// Wishes, each after one of the turns.
pub fn wishes() -> impl Strategy<Value = Vec<(prop::sample::Index, &'static str, Wish)>> {
    let keeps = select(&[Keeps::Drop, Keeps::Keep, Keeps::CatchUp][..]);
    let lets = option::of(select(&[Lets::Send, Lets::CatchUp, Lets::Drop][..]));
    let wish = prop_oneof![keeps.prop_map(Wish::Pause), lets.prop_map(Wish::Resume)];
    vec((any::<prop::sample::Index>(), select(&["b-one", "b-one", "a-two", "segment:calm"][..]), wish), 1..8)
}

/// The same with wishes in between.
pub fn with(turns: Vec<Turn>, wishes: &[(prop::sample::Index, &'static str, Wish)]) -> Vec<Turn> {
    // None at the horizon: clocks have been turned by then, of which the oracle knows nothing.
    let count = turns.len() - 1;
    let mut all = Vec::new();
    for (n, turn) in turns.into_iter().enumerate() {
        let now = match &turn {
            Turn::Batch(_, now) | Turn::Idle(now) | Turn::Wish(_, _, now) => *now,
        };
        all.push(turn);
        let after = wishes.iter().filter(|(place, ..)| place.index(count) == n);
        all.extend(after.map(|(_, rule, wish)| Turn::Wish(rule, *wish, now)));
    }
    all
}
