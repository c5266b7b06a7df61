//! Ledgers against vendors that count in their own way, behind a network that holds each call back for a random time.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use futures_util::FutureExt;

use super::*;
use crate::clock::{Clock as _, SharedClock, VirtualClock};
use crate::model::http::{AccountKey, Counted, Learned, Name, Window};
use crate::model::{Span, Timestamp};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn window(calls: u32, span: Span, counted: Counted, share: f64) -> Window {
    Window { family: "x".into(), calls, share, span, counted }
}

/// A vendor's own count of one window.
struct Vendor {
    calls: usize,
    span: i64,
    /// Fixed windows begin at this phase; `None` for a rolling one.
    phase: Option<i64>,
    /// What counts now.
    arrived: VecDeque<i64>,
}

impl Vendor {
    fn has_room(&mut self, at: i64) -> bool {
        let (span, phase) = (self.span, self.phase);
        let counts = |then: i64| match phase {
            Some(phase) => (then - phase).div_euclid(span) == (at - phase).div_euclid(span),
            None => at - then < span,
        };
        while self.arrived.front().is_some_and(|then| !counts(*then)) {
            self.arrived.pop_front();
        }
        self.arrived.len() < self.calls
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Seen {
    Arrived(usize),
    Answered(usize),
}

/// What came of a flood: calls taken each second after the first window, and calls refused.
struct Flood {
    a_second: f64,
    refused: usize,
}

/// As many calls as `daemons` ledgers let through, each with up to `at_once` on their way, which take `way` ms there and
/// as long back.
fn flood(windows: &[Window], daemons: usize, at_once: usize, way: std::ops::RangeInclusive<i64>, seed: u64) -> Flood {
    let mut random = fastrand::Rng::with_seed(seed);
    let clock = VirtualClock::new(START);
    let shared: SharedClock = Arc::new(clock.clone());
    let ledgers: Vec<Ledger> = (0..daemons)
        .map(|n| {
            let ledger = Ledger::new(&n.to_string(), shared.clone());
            ledger.add(windows);
            ledger
        })
        .collect();
    let mut vendors: Vec<Vendor> = windows
        .iter()
        .map(|w| Vendor {
            calls: w.calls as usize,
            span: w.span.as_millis(),
            phase: (w.counted == Counted::Fixed).then(|| random.i64(0..w.span.as_millis())),
            arrived: VecDeque::new(),
        })
        .collect();
    let longest = windows.iter().map(|w| w.span.as_millis()).max().expect("a window");
    let (first, end) = (longest, longest * 9);
    let mut passes: Vec<Option<(usize, Pass)>> = Vec::new();
    let mut on_their_way = vec![0; daemons];
    let mut events: BinaryHeap<Reverse<(i64, Seen)>> = BinaryHeap::new();
    let (mut taken, mut refused) = (0_usize, 0);
    while (clock.now() - Span::from_millis(end)) < START {
        let now = clock.now().since(START).as_millis();
        let mut next = end;
        for (n, ledger) in ledgers.iter().enumerate() {
            while on_their_way[n] < at_once {
                match ledger.enter(&"x".into(), For::Sending, 1).now_or_never() {
                    Some(pass) => {
                        let pass = pass.expect("ours");
                        on_their_way[n] += 1;
                        passes.push(Some((n, pass)));
                        events.push(Reverse((now + random.i64(way.clone()), Seen::Arrived(passes.len() - 1))));
                    }
                    None => {
                        let until = ledger.closed_until("x", 1).map_or(end, |until| until.since(START).as_millis());
                        next = next.min(until);
                        break;
                    }
                }
            }
        }
        let at = next.min(events.peek().map_or(end, |Reverse((at, _))| *at));
        clock.set(START + Span::from_millis(at.max(now + i64::from(at == now))));
        let at = clock.now().since(START).as_millis();
        while let Some(seen) = due(&mut events, at) {
            match seen {
                Seen::Arrived(call) => {
                    if vendors.iter_mut().all(|vendor| vendor.has_room(at)) {
                        vendors.iter_mut().for_each(|vendor| vendor.arrived.push_back(at));
                        taken += usize::from(at >= first);
                    } else {
                        refused += 1;
                    }
                    events.push(Reverse((at + random.i64(way.clone()), Seen::Answered(call))));
                }
                Seen::Answered(call) => {
                    if let Some((n, pass)) = passes[call].take() {
                        on_their_way[n] -= 1;
                        drop(pass);
                    }
                }
            }
        }
    }
    Flood { a_second: taken as f64 * 1_000.0 / (end - first) as f64, refused }
}

/// The next event that is due.
fn due(events: &mut BinaryHeap<Reverse<(i64, Seen)>>, at: i64) -> Option<Seen> {
    let is_due = events.peek().is_some_and(|Reverse((due, _))| *due <= at);
    if is_due { events.pop().map(|Reverse((_, seen))| seen) } else { None }
}

/// At least this part of the vendor's number is used, and nothing is refused, whatever the network does.
#[track_caller]
fn check(windows: &[Window], daemons: usize, way: std::ops::RangeInclusive<i64>, least: f64) {
    let rate =
        windows.iter().map(|w| f64::from(w.calls) * 1_000.0 / w.span.as_millis() as f64).fold(f64::MAX, f64::min);
    for seed in 0..3 {
        let came = flood(windows, daemons, 64, way.clone(), seed);
        assert_eq!(came.refused, 0, "refused, seed {seed}");
        assert!(came.a_second >= least * rate, "{} of {rate} calls a second, seed {seed}", came.a_second);
        assert!(came.a_second <= rate * 1.001, "{} of {rate} calls a second, seed {seed}", came.a_second);
    }
}

fn klaviyo(calls: [u32; 2], share: f64) -> [Window; 2] {
    [(calls[0], Span::from_secs(1)), (calls[1], Span::from_minutes(1))]
        .map(|(calls, span)| window(calls, span, Counted::Fixed, share))
}

#[test]
fn a_vendors_windows_are_used_up_and_never_exceeded() {
    check(&klaviyo([350, 3_500], 1.0), 1, 0..=400, 0.98);
    check(&klaviyo([10, 150], 1.0), 1, 0..=400, 0.98);
    check(&[window(100, Span::from_secs(10), Counted::Rolling, 1.0)], 1, 0..=80, 0.98);
    check(&[window(100, Span::from_secs(20), Counted::Rolling, 1.0)], 1, 0..=150, 0.98);
}

#[test]
fn two_daemons_with_half_each_keep_within_it_together() {
    check(&klaviyo([350, 3_500], 0.5), 2, 0..=400, 0.98);
    check(&klaviyo([10, 150], 0.5), 2, 0..=400, 0.98);
    check(&[window(100, Span::from_secs(10), Counted::Rolling, 0.5)], 2, 0..=80, 0.98);
    check(&[window(100, Span::from_secs(20), Counted::Rolling, 0.5)], 2, 0..=150, 0.98);
}

#[test]
fn a_network_that_holds_calls_back_for_seconds_costs_rate_and_no_refusal() {
    check(&klaviyo([350, 3_500], 1.0), 1, 0..=5_000, 0.15);
    check(&[window(100, Span::from_secs(10), Counted::Rolling, 1.0)], 1, 0..=5_000, 0.5);
    check(&[window(50, Span::from_secs(20), Counted::Rolling, 1.0)], 1, 100..=5_000, 0.7);
}

#[test]
fn short_windows_are_paced() {
    check(&[window(2, Span::from_secs(1), Counted::Rolling, 1.0)], 1, 0..=15, 0.95);
}

/// A ledger of one account, in the middle of its virtual time.
struct Bench {
    clock: VirtualClock,
    ledger: Ledger,
}

impl Bench {
    fn of(windows: &[Window]) -> Self {
        let clock = VirtualClock::new(START);
        let ledger = Ledger::new("acme", Arc::new(clock.clone()));
        ledger.add(windows);
        Self { clock, ledger }
    }
    /// One call that is answered at once; false where it has to wait.
    fn call(&self, who: For) -> bool {
        self.ledger.enter(&"x".into(), who, 1).now_or_never().is_some()
    }
    fn turn(&self, span: Span) {
        self.clock.set(self.clock.now() + span);
    }
    fn learn(&self, span: Span, calls: Option<u32>, left: Option<u32>, resets: Option<Span>) {
        let resets = resets.map(|span| self.clock.now() + span);
        self.ledger.learn(&[Learned { family: "x".into(), span, calls, left, resets }]);
    }
}

#[test]
fn what_the_vendor_says_is_left_is_heeded_until_it_begins_anew() {
    let bench = Bench::of(&klaviyo([350, 3_500], 1.0));
    assert!(bench.call(For::Sending));
    // Another tool used nearly all of it.
    bench.learn(Span::from_minutes(1), Some(3_500), Some(1), Some(Span::from_secs(20)));
    bench.turn(Span::from_millis(100));
    assert!(bench.call(For::Sending));
    bench.turn(Span::from_millis(100));
    assert!(!bench.call(For::Sending));
    assert_eq!(bench.ledger.closed_until("x", 1), Some(START + Span::from_secs(20)));
    bench.turn(Span::from_secs(20));
    assert!(bench.call(For::Sending));
}

#[test]
fn the_vendors_own_number_takes_the_place_of_what_is_published() {
    let ten = Span::from_secs(10);
    let bench = Bench::of(&[window(100, ten, Counted::Rolling, 0.9)]);
    let ours = || bench.ledger.windows()[0].ours;
    assert_eq!(ours(), 90);
    bench.learn(ten, Some(190), None, None);
    assert_eq!(ours(), 171);
    bench.learn(ten, Some(0), None, None);
    assert_eq!(ours(), 171, "no number at all");
    bench.learn(ten, Some(4_000_000), None, None);
    assert_eq!(ours(), 900, "a word that cannot be right is believed so far");
}

#[test]
fn a_block_is_kept_and_only_grows() {
    let bench = Bench::of(&[]);
    assert!(bench.call(For::Sending), "what has no windows is not waited for");
    bench.ledger.block(&"x".into(), START + Span::from_secs(5), "minute");
    bench.ledger.block(&"x".into(), START + Span::from_secs(2), "second");
    assert_eq!(bench.ledger.closed_until("x", 1), Some(START + Span::from_secs(5)));
    assert!(!bench.call(For::Sending));
    bench.turn(Span::from_secs(5));
    assert!(bench.call(For::Sending));
}

/// Who reads waits for the next day; calls of what was begun are not counted as turns that it is owed.
#[tokio::test]
async fn what_was_begun_is_ended_though_somebody_waits_to_read() {
    let bench = Bench::of(&[window(1, Span::DAY, Counted::Daily { begins: Span::ZERO }, 1.0)]);
    assert!(bench.call(For::Sending));
    let family = Name::from("x");
    let mut reader = Box::pin(bench.ledger.enter(&family, For::Reading, 1));
    assert!(futures_util::poll!(&mut reader).is_pending());
    for n in 0..30 {
        let begun = bench.ledger.enter(&family, For::Sending, 0).now_or_never();
        assert!(begun.is_some(), "call {n} of what was begun waits");
    }
}

/// A lane that waits for room for a whole batch does not keep the last calls of a day from who needs one.
#[tokio::test]
async fn who_needs_fewer_calls_need_not_give_way() {
    let bench = Bench::of(&[window(3, Span::DAY, Counted::Daily { begins: Span::ZERO }, 1.0)]);
    let mut lane = Box::pin(bench.ledger.ready("x", For::Sending, 10));
    assert!(futures_util::poll!(&mut lane).is_pending());
    assert!(bench.call(For::Reading) && bench.call(For::Reading), "there is room for one");
}

#[test]
fn who_has_no_key_has_one_ledger_by_name() {
    let clock: SharedClock = Arc::new(VirtualClock::new(START));
    let accounts = Accounts::new(None, clock);
    let ten = [window(10, Span::from_secs(1), Counted::Rolling, 1.0)];
    for (name, wanted) in [("hook", 1), ("hook", 1), ("other", 2)] {
        accounts.ledger(name, None, &ten);
        assert_eq!(accounts.all().len(), wanted, "{name}");
    }
}

#[test]
fn a_day_has_to_last_for_all_of_an_exchange() {
    let bench = Bench::of(&[window(3, Span::DAY, Counted::Daily { begins: Span::from_hours(6) }, 1.0)]);
    assert!(bench.call(For::Sending) && bench.call(For::Sending));
    let next = Timestamp::parse("2027-01-16T06:00:00Z").expect("an instant");
    assert_eq!(START.to_string(), "2027-01-15T08:00:00.000Z");
    assert_eq!(bench.ledger.closed_until("x", 2), Some(next));
    assert_eq!(bench.ledger.closed_until("x", 1), None);
    assert!(bench.call(For::Sending) && !bench.call(For::Sending));
    let begun = bench.ledger.enter(&"x".into(), For::Sending, 0).now_or_never();
    assert!(begun.is_some(), "what was begun is ended");
    bench.clock.set(next);
    assert!(bench.call(For::Sending));
}

#[test]
fn what_is_read_gets_its_turn_while_more_is_sent_than_may_be() {
    let bench = Bench::of(&[window(100, Span::from_secs(10), Counted::Rolling, 1.0)]);
    let (mut sent, mut read) = (0, 0);
    let family = "x".into();
    let mut sending = Box::pin(bench.ledger.enter(&family, For::Sending, 1));
    let mut reading = Box::pin(bench.ledger.enter(&family, For::Reading, 1));
    for _ in 0..60_000 {
        bench.turn(Span::from_millis(1));
        while sending.as_mut().now_or_never().is_some() {
            sent += 1;
            sending = Box::pin(bench.ledger.enter(&family, For::Sending, 1));
        }
        while reading.as_mut().now_or_never().is_some() {
            read += 1;
            reading = Box::pin(bench.ledger.enter(&family, For::Reading, 1));
        }
    }
    assert!(sent + read >= 588, "{sent} sent and {read} read of 600 calls");
    assert!((50..=75).contains(&read), "{read} of {sent} and {read} were read");
}

#[test]
fn those_who_call_one_account_share_its_ledger() {
    let clock: SharedClock = Arc::new(VirtualClock::new(START));
    let accounts = Accounts::new(None, clock);
    let key = |url: &str, token: &str| {
        Some(AccountKey { base_url: url.into(), credential: Some(crate::model::setting::Secret::new(token)) })
    };
    let ten = |calls| [window(calls, Span::from_secs(10), Counted::Rolling, 1.0)];
    let sending = accounts.ledger("hubspot", key("https://h", "a"), &ten(100));
    let reading = accounts.ledger("source/crm", key("https://h", "a"), &ten(80));
    let other = accounts.ledger("second", key("https://h", "b"), &ten(100));
    accounts.ledger("third", None, &ten(100));
    accounts.ledger("fourth", None, &ten(100));
    assert!(sending.enter(&"x".into(), For::Sending, 1).now_or_never().is_some());
    assert_eq!(reading.windows()[0].used, Some(1));
    let learned = Learned { family: "x".into(), span: Span::from_secs(10), calls: Some(200), left: None, resets: None };
    sending.learn(&[learned]);
    assert_eq!((reading.name(), reading.windows()[0].ours), ("hubspot", 80), "the smaller number holds");
    assert_eq!(other.windows()[0].used, Some(0));
    assert_eq!(accounts.all().len(), 4);
}

/// A store in a folder of its own.
async fn store(folder: &std::path::Path) -> Arc<dyn crate::store::Store> {
    let settings = crate::store::settings::Settings { path: folder.join("store"), ..Default::default() };
    Arc::new(crate::store::embedded::Embedded::open(&settings, START).expect("a store"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_outlives_a_crash_and_is_never_spent_twice() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new(START);
    let store = store(folder.path()).await;
    let begin = || async {
        let ledger = Ledger::durable("acme", "acme", store.clone(), Arc::new(clock.clone()));
        ledger.add(&[window(1_000, Span::DAY, Counted::Daily { begins: Span::ZERO }, 1.0)]);
        ledger.open().await;
        ledger
    };
    let used = |ledger: &Ledger| ledger.windows()[0].used.expect("a count");
    let family = "x".into();
    let (mut left, mut runs) = (0, 0);
    // Each run ends without a word after 37 calls.
    loop {
        let ledger = begin().await;
        assert!(
            used(&ledger) >= left && used(&ledger) <= left + 11 * runs,
            "{} of {left} in {runs} runs",
            used(&ledger)
        );
        if ledger.closed_until("x", 37).is_some() {
            break;
        }
        for _ in 0..37 {
            drop(ledger.enter(&family, For::Sending, 1).await);
            left += 1;
        }
        runs += 1;
    }
    assert!(left > 700, "{left} calls left in {runs} runs");
    // One that ends well keeps what it used, and nothing more.
    clock.set(START + Span::DAY);
    let ledger = begin().await;
    for _ in 0..5 {
        drop(ledger.enter(&family, For::Sending, 1).await);
    }
    ledger.close().await;
    assert_eq!(used(&begin().await), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_window_outlives_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = VirtualClock::new(START);
    let store = store(folder.path()).await;
    let begin = || async {
        let ledger = Ledger::durable("acme", "acme", store.clone(), Arc::new(clock.clone()));
        ledger.add(&[window(40, Span::from_secs(20), Counted::Rolling, 1.0)]);
        ledger.open().await;
        ledger
    };
    let used = |ledger: &Ledger| ledger.windows()[0].used.expect("a count");
    let ledger = begin().await;
    assert_eq!(used(&ledger), 0, "the very first run");
    drop(ledger.enter(&"x".into(), For::Sending, 1).await);
    ledger.close().await;
    let ledger = begin().await;
    assert_eq!(used(&ledger), 1);
    let ledger = begin().await;
    assert_eq!(used(&ledger), 20, "nobody knows what a run spent that did not end well");
    assert!(ledger.closed_until("x", 1).is_none(), "it begins at once all the same");
    clock.set(START + Span::from_secs(21));
    assert_eq!(used(&ledger), 0);
}

/// One account that two daemons call in turn, handed over at random: given back well, or lost while calls are on their
/// way. However often, the vendor never sees more calls in any window than its number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_holds_over_daemons_that_take_it_from_each_other() {
    const WAY: i64 = 80;
    let (mut left, mut lost) = (0, 0);
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, store) = (VirtualClock::new(START), store(folder.path()).await);
        let windows = [
            window(100, Span::from_secs(10), Counted::Rolling, 1.0),
            window(150, Span::from_secs(20), Counted::Rolling, 1.0),
            window(2_000, Span::DAY, Counted::Daily { begins: Span::ZERO }, 1.0),
        ];
        let mut daemons = [0, 1].map(|_| {
            let ledger = Ledger::durable("acme", "acme", store.clone(), Arc::new(clock.clone()));
            ledger.add(&windows);
            (ledger, Vec::<(i64, Pass)>::new())
        });
        let (mut arrived, mut term, mut has) = (Vec::<i64>::new(), 1, 0);
        let mut duty = crate::store::Duty::lent("account:acme", term);
        assert!(daemons[has].0.take_over(duty.clone()).await);
        let family = Name::from("x");
        for _ in 0..3_000 {
            let now = clock.now().since(START).as_millis();
            for (_, way) in &mut daemons {
                way.retain(|(answer, _)| *answer > now);
            }
            if random.u32(0..300) == 0 {
                if random.bool() {
                    // Whoever ends well waits for its answers.
                    clock.set(clock.now() + Span::from_millis(2 * WAY));
                    daemons[has].1.clear();
                    daemons[has].0.close().await;
                } else {
                    lost += 1;
                }
                duty.end();
                has = 1 - has;
                term += 1;
                duty = crate::store::Duty::lent("account:acme", term);
                assert!(daemons[has].0.take_over(duty.clone()).await);
                assert!(matches!(daemons[1 - has].0.enter(&family, For::Sending, 1).await, Err(NotOurs)));
            }
            let now = clock.now().since(START).as_millis();
            let (ledger, way) = &mut daemons[has];
            for _ in 0..5 {
                // A count that has to be written is.
                if ledger.closed_until("x", 1).is_some() || ledger.is_scarce(1) && way.len() > 90 {
                    break;
                }
                let entered =
                    tokio::time::timeout(std::time::Duration::from_millis(50), ledger.enter(&family, For::Sending, 1));
                let Ok(pass) = entered.await else { break };
                arrived.push(now + random.i64(0..WAY));
                way.push((now + 2 * WAY, pass.expect("ours")));
            }
            clock.set(clock.now() + Span::from_millis(random.i64(1..250)));
        }
        arrived.sort_unstable();
        for one in &windows {
            let (span, calls) = (one.span.as_millis(), one.calls as usize);
            let most = arrived
                .iter()
                .enumerate()
                .map(|(n, at)| arrived[n..].iter().take_while(|other| **other - at < span).count());
            assert!(most.max() <= Some(calls), "seed {seed}: more than {calls} calls in {}", one.span);
        }
        left += arrived.len();
    }
    assert!(left > 12 * 500 && lost > 12, "{left} calls left, and the account was lost {lost} times");
}

/// A call that may leave now, if need be after the count is written.
async fn entered(ledger: &Ledger) -> Option<Pass> {
    let family = Name::from("x");
    let at_once = ledger.enter(&family, For::Sending, 1).now_or_never();
    let pass = match at_once {
        Some(pass) => pass,
        None if ledger.closed_until("x", 1).is_some() => return None,
        None => {
            let soon = std::time::Duration::from_secs(1);
            tokio::time::timeout(soon, ledger.enter(&family, For::Sending, 1)).await.ok()?
        }
    };
    Some(pass.expect("ours"))
}

/// An account that is called as fast as may be, or now and then, until its daemon dies: how long after the end of its lease
/// the first call of another leaves, and how often the count was written in the last minute.
async fn taken_over(windows: &[Window], is_busy: bool, seed: u64) -> (Span, usize) {
    const WAY: i64 = 80;
    const LEASE: Span = Span::from_secs(5);
    let mut random = fastrand::Rng::with_seed(seed);
    let folder = tempfile::tempdir().expect("a folder");
    let (clock, store) = (VirtualClock::new(START), store(folder.path()).await);
    let begin = |term| {
        let ledger = Ledger::durable("acme", "acme", store.clone(), Arc::new(clock.clone()));
        ledger.add(windows);
        let duty = crate::store::Duty::lent("account:acme", term);
        async move {
            assert!(ledger.take_over(duty).await);
            ledger
        }
    };
    let mut on_their_way: Vec<(Timestamp, Pass)> = Vec::new();
    let mut arrived = Vec::<i64>::new();
    let dies = START + Span::from_secs(90) + Span::from_millis(random.i64(0..10_000));
    let ledger = begin(1).await;
    let (mut writes, mut written) = (0, None);
    while clock.now() < dies {
        on_their_way.retain(|(answer, _)| *answer > clock.now());
        while let Some(pass) = entered(&ledger).await {
            arrived.push(clock.now().as_millis() + random.i64(0..WAY));
            on_their_way.push((clock.now() + Span::from_millis(2 * WAY), pass));
            let kept = store.kept("quota:acme").await.expect("a value");
            if written != kept {
                writes += usize::from(clock.now() >= dies - Span::from_minutes(1));
                written = kept;
            }
        }
        clock.set(clock.now() + Span::from_millis(if is_busy { random.i64(1..20) } else { 7_000 }));
    }
    clock.set(clock.now() + LEASE);
    let began = clock.now();
    let ledger = begin(2).await;
    let mut first = None;
    on_their_way.clear();
    while clock.now() < began + Span::from_minutes(2) {
        on_their_way.retain(|(answer, _)| *answer > clock.now());
        while let Some(pass) = entered(&ledger).await {
            first.get_or_insert(clock.now().since(began));
            arrived.push(clock.now().as_millis() + random.i64(0..WAY));
            on_their_way.push((clock.now() + Span::from_millis(2 * WAY), pass));
        }
        clock.set(clock.now() + Span::from_millis(random.i64(1..20)));
    }
    arrived.sort_unstable();
    for one in windows.iter().filter(|one| one.span >= Span::from_secs(5)) {
        let (span, calls) = (one.span.as_millis(), one.calls as usize);
        let most = (calls..arrived.len()).find(|n| arrived[*n] - arrived[n - calls] < span);
        assert_eq!(most, None, "seed {seed}: more than {calls} calls in {}", one.span);
    }
    (first.expect("a call"), writes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_an_account_over_calls_it_within_seconds_and_never_too_often() {
    let rolling = |calls, secs| vec![window(calls, Span::from_secs(secs), Counted::Rolling, 1.0)];
    for (windows, calls_a_minute) in [
        (klaviyo([10, 150], 1.0).to_vec(), 150),
        (klaviyo([350, 3_500], 1.0).to_vec(), 3_500),
        (rolling(100, 10), 600),
        (rolling(100, 20), 300),
        (rolling(60, 60), 60),
    ] {
        for seed in 0..3 {
            let (first, writes) = taken_over(&windows, true, seed).await;
            assert!(first <= Span::from_secs(4), "after {first}, seed {seed}, {windows:?}");
            let most = 75.min(calls_a_minute / 2 + 2);
            assert!(writes > 0 && writes <= most, "{writes} writes in a minute, seed {seed}, {windows:?}");
            let (first, _) = taken_over(&windows, false, seed).await;
            assert!(
                first <= Span::from_secs(2),
                "after {first} though hardly anybody called, seed {seed}, {windows:?}"
            );
        }
    }
}
