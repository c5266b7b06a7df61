//! What the embedded store promises beside the contract: a torn journal, a lost state, one process.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::*;
use crate::model::setting::Size;
use crate::model::{
    Attempt, Changes, Erasure, EventKind, Identifier, IdentifierKind, OccasionId, Outcome, RawJson, Span,
};
use crate::store::contract::{self, event};
use crate::store::record::{EventBatch, decode};

fn settings(folder: &Path) -> Settings {
    Settings { path: folder.to_owned(), cache: Size(8 << 20), segment: Size(4 << 10), ..Settings::default() }
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    contract::run(&|| Arc::new(Embedded::open(&settings, Timestamp::MIN).expect("a store"))).await;
    let found = verify(&settings).expect("a check");
    assert_eq!(found.damage, Vec::<String>::new());
    assert_eq!((found.events, found.steps), (54, 5));
}

#[tokio::test]
async fn a_record_torn_anywhere_is_cut_and_the_rest_is_kept() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { segment: Size(1 << 20), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    for n in 1..=3 {
        store.append(vec![event(n)], None).await.expect("an append");
    }
    store.close().await.expect("a close");
    drop(store);
    let segment = segments::list(&journal(folder.path())).expect("segments").pop().expect("a segment").path;
    let whole = fs::read(&segment).expect("a segment");
    let frame::Found::Record(_, _, second) = frame::read(&whole, segments::START) else { panic!("the first record") };
    let frame::Found::Record(_, _, third) = frame::read(&whole, second) else { panic!("the second record") };
    // Cut at every byte of the last record, and every byte of it turned.
    for at in third..whole.len() {
        for turned in [false, true] {
            let mut torn = whole.clone();
            if turned {
                torn[at] ^= 0x55
            } else {
                torn.truncate(at)
            }
            fs::write(&segment, &torn).expect("a torn segment");
            let end = segments::end_of(&segments::list(&journal(folder.path())).expect("segments")[0]).expect("an end");
            assert_eq!((end.position, end.length as usize), (2, third), "torn at {at}, turned {turned}");
        }
    }
    let store = Embedded::open(&settings, Timestamp::MIN).expect("the store with a torn record");
    assert_eq!(store.claim(10).await.expect("a claim").events.len(), 2);
    assert_eq!(store.append(vec![event(4)], None).await.expect("an append"), Position(3));
    store.close().await.expect("a close");
    drop(store);
    // A broken record that was synced, because a later write follows it, is damage and is not passed over.
    let mut broken = fs::read(&segment).expect("a segment");
    broken[second + frame::HEAD + 3] ^= 1;
    fs::write(&segment, &broken).expect("a broken segment");
    assert!(matches!(Embedded::open(&settings, Timestamp::MIN), Err(StoreError::Damaged(_))));
    assert!(!verify(&settings).expect("a check").damage.is_empty());
}

fn journal(folder: &Path) -> std::path::PathBuf {
    folder.join("journal")
}

/// The records of the last segment: kind, first number, group, where each begins.
fn records(folder: &Path) -> Vec<(Kind, u64, u32, usize)> {
    let segment = segments::list(&journal(folder)).expect("segments").pop().expect("a segment");
    let bytes = fs::read(&segment.path).expect("a segment");
    let (mut found, mut at) = (Vec::new(), segment.start);
    while let frame::Found::Record(head, _, next) = frame::read(&bytes, at) {
        found.push((head.kind, head.first, head.group, at));
        at = next;
    }
    found
}

/// Writes a step down for `n` more events, and takes it.
async fn decide(store: &Embedded, n: u64) -> StepId {
    let until = Position(store.counts().decided.0 + n);
    let id = store.record(Step::Events { until, now: Timestamp::from_millis(7) }).await.expect("a step");
    let claim = store.claim_until(until).await.expect("a claim");
    let changes = Changes { step: Some(id), position: Some(until), ..Changes::default() };
    store.commit(claim.loaded, changes).await.expect("a commit");
    id
}

#[tokio::test]
async fn a_step_that_was_torn_before_a_sync_is_no_damage_and_after_one_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { segment: Size(1 << 20), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append(vec![event(1), event(2)], None).await.expect("an append");
    decide(&store, 1).await;
    decide(&store, 1).await;
    store.append(vec![event(3)], None).await.expect("an append");
    store.append(vec![event(4)], None).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    let found = records(folder.path());
    let told: Vec<_> = found.iter().map(|(kind, first, group, _)| (*kind, *first, *group)).collect();
    let synced_after = [(Kind::Step, 1, 2), (Kind::Step, 2, 2), (Kind::Events, 3, 2), (Kind::Events, 4, 3)];
    assert_eq!(told[1..], synced_after, "steps have the group of the sync after them");
    let segment = segments::list(&journal(folder.path())).expect("segments").pop().expect("a segment");
    let whole = fs::read(&segment.path).expect("a segment");
    let (first, second, third, fourth) = (found[1].3, found[2].3, found[3].3, found[4].3);
    let ends = |bytes: &[u8]| {
        fs::write(&segment.path, bytes).expect("a torn segment");
        segments::end_of(&segment).map(|end| (end.position, end.step, end.length as usize))
    };
    for at in first..third {
        let kept = if at < second { (2, 0, first) } else { (2, 1, second) };
        for until in [third, fourth] {
            // The file's end, or the whole event of the same write, behind a page that did not reach the disk.
            let mut torn = whole[..until].to_vec();
            torn[at] ^= 0x55;
            assert_eq!(ends(&torn).expect("a torn end"), kept, "turned at {at}, file until {until}");
        }
        assert_eq!(ends(&whole[..at]).expect("a torn end"), kept, "cut at {at}");
        let mut broken = whole.clone();
        broken[at] ^= 0x55;
        assert!(ends(&broken).is_err(), "a later sync follows: turned at {at}");
    }
}

#[tokio::test]
async fn steps_that_the_power_took_are_given_back_by_the_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { segment: Size(1 << 20), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append((1..=100).map(event).collect(), None).await.expect("an append");
    let begin = records(folder.path()).len();
    for _ in 0..40 {
        decide(&store, 1).await;
    }
    // The state reached the disk, and what the journal was told without a sync did not.
    store.inner.disk().expect("sled is open").sync().expect("a sync");
    drop(store);
    let before = records(folder.path());
    assert_eq!(before.len(), begin + 40);
    // All that no sync had brought to the disk is gone; of forty steps one was synced.
    let last = before.last().expect("a record").2;
    let lost = before.iter().find(|(.., group, _)| *group == last).expect("the last group").3;
    assert!(before.iter().any(|(kind, _, group, _)| *kind == Kind::Step && *group < last), "not for ever unsynced");
    let segment = segments::list(&journal(folder.path())).expect("segments").pop().expect("a segment").path;
    let whole = fs::read(&segment).expect("a segment");
    fs::write(&segment, &whole[..lost]).expect("a cut segment");
    let store = Embedded::open(&settings, Timestamp::MIN).expect("the store after a power cut");
    assert_eq!(store.recorded().await.expect("a read"), None, "the state has them");
    assert_eq!(decide(&store, 1).await, StepId(41));
    drop(store);
    let numbers = |found: Vec<(Kind, u64, u32, usize)>| -> Vec<u64> {
        found.into_iter().filter(|r| r.0 == Kind::Step).map(|r| r.1).collect()
    };
    assert_eq!(numbers(records(folder.path())), (1..=41).collect::<Vec<_>>());
    rebuild(&settings, Timestamp::MIN).expect("a rebuild");
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    for n in 1..=41 {
        let recorded = store.recorded().await.expect("a read").expect("a step");
        assert_eq!((recorded.id, recorded.after), (StepId(n), Position(n - 1)));
        let changes = Changes { step: Some(recorded.id), position: Some(Position(n)), ..Changes::default() };
        store.commit(Loaded::default(), changes).await.expect("a commit");
    }
    assert_eq!(store.recorded().await.expect("a read"), None);
}

#[tokio::test]
async fn a_segment_from_before_steps_is_read_and_written_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { segment: Size(1 << 20), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append((1..=3).map(event).collect(), None).await.expect("an append");
    drop(store);
    let segment = segments::list(&journal(folder.path())).expect("segments").pop().expect("a segment").path;
    let whole = fs::read(&segment).expect("a segment");
    let mut older = whole[..24].to_vec();
    older[7] = 1;
    older.extend_from_slice(&whole[segments::START..]);
    fs::write(&segment, &older).expect("an older segment");
    rebuild(&settings, Timestamp::MIN).expect("a rebuild");
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    assert_eq!(store.recorded().await.expect("a read"), None);
    assert_eq!(decide(&store, 3).await, StepId(1));
    drop(store);
    let found = verify(&settings).expect("a check");
    assert_eq!((found.damage, found.events, found.steps), (Vec::new(), 3, 1));
}

#[tokio::test]
async fn a_lost_state_is_made_again_and_nothing_settled_is_queued_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append((1..=2).map(event).collect(), None).await.expect("an append");
    let decided = || async {
        let store = Embedded::open(&settings, Timestamp::MAX).expect("a store");
        let claim = store.claim(10).await.expect("a claim");
        let activations = claim.events.iter().map(|(p, _)| contract::activation(p.0, "a", 5)).collect();
        let position = claim.events.last().map(|(p, _)| *p);
        let changes = Changes { position, ..contract::queueing(activations) };
        store.commit(claim.loaded, changes).await.expect("a commit");
        store
    };
    drop(store);
    let store = decided().await;
    let work = store.work("a", Timestamp::MAX, 1).await.expect("work");
    let attempt = Attempt { at: Timestamp::from_millis(5), status: 202, outcome: Outcome::Accepted };
    store.settle("a", vec![Settled { id: work[0].id, attempt }]).await.expect("a settle");
    drop(store);
    fs::write(folder.path().join("state/db"), b"not a database at all").expect("a broken state");
    fs::write(folder.path().join("state/conf"), b"nor a configuration").expect("a broken state");
    let store = decided().await;
    assert_eq!(store.lane_count("a").queued, 1);
    let left = store.work("a", Timestamp::MAX, 10).await.expect("work");
    assert_eq!(left.len(), 1);
    assert_ne!(left[0].activation.occasion, work[0].activation.occasion);
    assert!(left[0].may_have_left, "what was begun is not known any more");
    assert!(folder.path().join("state.broken-1").exists());
}

#[tokio::test]
async fn an_outcome_is_kept_though_that_of_another_lane_came_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append(vec![event(1)], None).await.expect("an append");
    let claim = store.claim(10).await.expect("a claim");
    let activations = ["a", "b"].map(|lane| contract::activation(1, lane, 5)).to_vec();
    let changes = Changes { position: Some(Position(1)), ..contract::queueing(activations) };
    store.commit(claim.loaded, changes).await.expect("a commit");
    let mut records = Vec::new();
    for lane in ["a", "b"] {
        let work = store.work(lane, Timestamp::MAX, 1).await.expect("work");
        let not_before = Timestamp::from_millis(100);
        let outcome = Outcome::Later { not_before, is_throttled: false, may_have_left: true, words: "busy".into() };
        let attempt = Attempt { at: Timestamp::from_millis(5), status: 503, outcome };
        let batch = delivery::record(&store.inner, &lane.into(), &[Settled { id: work[0].id, attempt }]);
        let batch = batch.expect("a record");
        records.push((store.inner.note(&Noted::Settled(batch.clone())).await.expect("a write"), batch));
    }
    // The process ends before the first of the two is in the tree.
    delivery::apply(&store.inner, records[1].0, &records[1].1).expect("an outcome");
    store.close().await.expect("a close");
    drop(store);
    let store = Embedded::open(&settings, Timestamp::MIN).expect("the store");
    for lane in ["a", "b"] {
        let work = store.work(lane, Timestamp::MAX, 1).await.expect("work");
        assert_eq!((work[0].tries, work[0].may_have_left), (1, true), "lane {lane}");
    }
}

#[tokio::test]
async fn a_snapshot_stands_in_for_the_journal_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { retention: Span::ZERO, segment: Size(512), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    for n in 1..=20 {
        store.append(vec![event(n)], None).await.expect("an append");
    }
    let claim = store.claim(20).await.expect("a claim");
    store.commit(claim.loaded, Changes { position: Some(Position(20)), ..Changes::default() }).await.expect("a commit");
    store.keep("told", b"before").await.expect("a keep");
    let before = segments::list(&journal(folder.path())).expect("segments").len();
    // Of a daemon that was killed meanwhile.
    let unfinished = folder.path().join("snapshots/1.unfinished");
    fs::create_dir_all(folder.path().join("snapshots")).expect("a folder");
    fs::write(&unfinished, "half of one").expect("a file");
    let upkeep = store.counts().upkeep;
    assert_eq!(store.compact(Timestamp::MAX).await.expect("a snapshot"), Position(20));
    assert!(!unfinished.exists());
    assert!(store.counts().upkeep > upkeep + 1, "who watches the daemon sees that something is done");
    assert!(segments::list(&journal(folder.path())).expect("segments").len() < before);
    store.append(vec![event(21)], None).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    rebuild(&settings, Timestamp::MIN).expect("a rebuild");
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    assert_eq!(store.kept("told").await.expect("a read"), Some(b"before".to_vec()));
    assert_eq!(store.claim(10).await.expect("a claim").events.iter().map(|(p, _)| p.0).collect::<Vec<_>>(), [21]);
}

#[tokio::test]
async fn who_was_forgotten_is_in_no_file_after_the_second_night() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    let named = |n: u64, who: &str, device: &str| {
        let identifiers =
            vec![Identifier::new(IdentifierKind::Email, who), Identifier::new(IdentifierKind::AnonymousId, device)];
        Event { identifiers, properties: RawJson::trusted(format!("{{\"of\":\"{who}\"}}")), ..event(n) }
    };
    let told = [named(1, "ines@x.example", "tablet"), named(2, "rui@x.example", "tablet"), event(3)];
    store.append(told.to_vec(), Some(("pull", b"here"))).await.expect("an append");
    store
        .append(vec![Event { kind: EventKind::Erase, ..named(4, "ines@x.example", "tablet") }], None)
        .await
        .expect("one");
    let erasure = |until: u64| {
        let erasure = Erasure {
            id: OccasionId([1; 16]),
            person: PersonId([1; 16]),
            asked: Timestamp::from_millis(4),
            decided: Timestamp::from_millis(5),
            source: "shop".into(),
            position: Position(until),
            names: 1,
            events: 1,
            journal: None,
            lanes: vec!["esp".into()],
        };
        (erasure, told[0].identifiers.clone())
    };
    let changes = Changes { position: Some(Position(4)), erased: vec![erasure(4)], ..Changes::default() };
    store.commit(Loaded::default(), changes).await.expect("a commit");
    let hers = || {
        let files = ["journal", "snapshots"].map(|part| std::fs::read_dir(folder.path().join(part)).expect("a folder"));
        let files: Vec<_> = files.into_iter().flatten().map(|file| file.expect("a file").path()).collect();
        let has = |file: &&std::path::PathBuf| {
            let bytes = std::fs::read(file).expect("a file");
            bytes.windows(4).any(|w| w == b"ines")
        };
        files.iter().filter(has).count()
    };
    let gone = async || store.receipts(9).await.expect("receipts")[0].erasure.journal;
    store.compact(Timestamp::from_millis(10)).await.expect("a night");
    assert_eq!((hers(), gone().await), (1, None), "it was being written to");
    // The next write goes into another segment, and a crash between changes nothing.
    store.append(vec![named(5, "ines@x.example", "phone")], None).await.expect("she comes back");
    let changes = Changes { position: Some(Position(5)), ..Changes::default() };
    store.commit(Loaded::default(), changes).await.expect("a commit");
    let bytes = store.counts().journal_bytes;
    store.compact(Timestamp::from_millis(20)).await.expect("another");
    assert_eq!(gone().await, Some(Timestamp::from_millis(20)));
    assert!(store.counts().journal_bytes < bytes);
    // What she did since then is hers, and is kept.
    assert_eq!(hers(), 1);
    store.close().await.expect("a close");
    drop(store);
    let mut reader = segments::Reader::from(&journal(folder.path()), (1, u64::MAX, u64::MAX)).expect("it");
    let mut left = Vec::new();
    while let Some((head, payload)) = reader.next(segments::Limit::default()).expect("a whole journal") {
        if head.kind == frame::Kind::Events {
            let batch: EventBatch<Event> = decode(&payload).expect("a batch");
            assert!(head.first != 1 || batch.cursor.is_some(), "cursors stay");
            left.extend(batch.events.into_iter().map(|event| (event.name.to_string(), event.identifiers.len())));
        }
    }
    let ping = |names| ("Ping".to_owned(), names);
    let nothing = || (String::new(), 0);
    assert_eq!(left, [nothing(), ping(2), ping(1), nothing(), ping(2)]);
    rebuild(&settings, Timestamp::MIN).expect("a rebuild");
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    // The snapshot was written before: what it does not know to be done is done again.
    store.compact(Timestamp::from_millis(30)).await.expect("a night");
    assert_eq!(store.receipts(9).await.expect("receipts")[0].erasure.journal, Some(Timestamp::from_millis(30)));
}

#[tokio::test]
async fn one_process_at_a_time_and_a_bounded_backlog() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { backlog: 3, ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    assert!(matches!(Embedded::open(&settings, Timestamp::MIN), Err(StoreError::Unavailable(_))));
    store.append((1..=3).map(event).collect(), None).await.expect("an append");
    assert!(matches!(store.append(vec![event(4)], None).await, Err(AppendError::Full { backlog: 3, mark: 3 })));
}

#[tokio::test]
async fn what_is_too_old_goes_and_what_waits_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { records: Span::from_millis(10), ..settings(folder.path()) };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append((1..=50).map(event).collect(), None).await.expect("an append");
    let claim = store.claim(50).await.expect("a claim");
    let activations = (1..=20).map(|n| contract::activation(n, "a", 5)).collect();
    let changes = Changes { position: Some(Position(50)), ..contract::queueing(activations) };
    store.commit(claim.loaded, changes).await.expect("a commit");
    for one in store.work("a", Timestamp::MAX, 19).await.expect("work") {
        let attempt = Attempt { at: event(1).at, status: 202, outcome: Outcome::Accepted };
        store.settle("a", vec![Settled { id: one.id, attempt }]).await.expect("a settle");
    }
    let much_later = event(100_000);
    for n in 0..40 {
        let dedupe = vec![(Event::dedupe_key(&["x", &n.to_string()]), much_later.arrived)];
        store.commit(Loaded::default(), Changes { dedupe, ..Changes::default() }).await.expect("a commit");
    }
    let left = |prefix: u8| store.inner.disk().expect("sled is open").prefix(&[prefix]).count();
    assert_eq!([keys::ROW, keys::ENDED, keys::DECISION].map(left), [1, 0, 1]);
    assert_eq!(store.work("a", Timestamp::MAX, 5).await.expect("work").len(), 1);
}

#[tokio::test]
async fn an_engine_that_is_behind_sees_what_comes_meanwhile() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append((1..=10).map(event).collect(), None).await.expect("an append");
    drop(store);
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    let mut decided = 0;
    for n in 11..=40 {
        // Fewer are claimed at once than come: the reader meets its end again and again.
        store.append(vec![event(n)], None).await.expect("an append");
        let claim = store.claim(3).await.expect("a claim");
        let last = claim.events.last().map(|(p, _)| *p);
        decided += claim.events.len();
        store.commit(claim.loaded, Changes { position: last, ..Changes::default() }).await.expect("a commit");
    }
    assert_eq!(decided, 40);
}

/// Codes through crashes, restarts, old states and rebuilds, whatever is decided again and in what order: an occasion has
/// one code for all time, and a code has one occasion.
#[tokio::test]
async fn no_code_is_given_twice_whatever_is_lost() {
    // When the events come: nothing ages.
    let now = event(0).arrived;
    for seed in 0..12 {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { segment: Size(2 << 10), ..settings(folder.path()) };
        let kept = tempfile::tempdir().expect("a folder");
        let mut store = Embedded::open(&settings, now).expect("a store");
        let mut had: HashMap<u64, (String, String)> = HashMap::new();
        // The occasions of each event: an event that is decided again has them again, in another order, and more.
        let mut of_event: HashMap<u64, Vec<u64>> = HashMap::new();
        let (mut code, mut made, mut has_old) = (0, 0, false);
        for n in 0..80 {
            // What is read ahead holds the folder.
            finish(&mut *store.inner.ahead.lock().await).await;
            match random.u32(0..10) {
                0..2 => {
                    let pool = if random.bool() { "a" } else { "b" };
                    let codes = (0..random.usize(1..9)).map(|_| {
                        code += 1;
                        format!("C{}", if random.u8(0..5) == 0 { random.u32(1..=code) } else { code }).into()
                    });
                    store.add_codes(pool, codes.collect()).await.expect("an import");
                }
                2..7 => {
                    store.append(vec![event(n)], None).await.expect("an append");
                    let claim = store.claim(random.usize(1..4)).await.expect("a claim");
                    let mut codes = claim.loaded.codes;
                    let position = claim.events.last().map(|(position, _)| *position);
                    let keys = claim.events.iter().flat_map(|(_, e)| e.dedupe.iter().map(|key| (*key, e.arrived)));
                    let mut changes = Changes { position, dedupe: keys.collect(), ..Changes::default() };
                    for (position, _) in claim.events {
                        let occasions = of_event.entry(position.0).or_default();
                        for _ in 0..random.u64(0..3) {
                            made += 1;
                            occasions.push(made);
                        }
                        random.shuffle(occasions);
                        for n in occasions {
                            let pool = if *n % 2 == 0 { "a" } else { "b" };
                            let mut id = [0; 16];
                            id[..8].copy_from_slice(&n.to_be_bytes());
                            let Some(given) = codes.of(pool, crate::model::OccasionId(id)) else {
                                assert!(!had.contains_key(n), "seed {seed}: {n} had a code");
                                continue;
                            };
                            codes.give(&given);
                            let got = (pool.to_owned(), given.code.to_string());
                            if let Some(before) = had.insert(*n, got.clone()) {
                                assert_eq!(before, got, "seed {seed}: {n} has another code than before");
                            }
                            changes.codes.push(given);
                        }
                    }
                    store.commit(Loaded::default(), changes).await.expect("a commit");
                }
                7 => {
                    // A clean end; the state as it is now may come back later.
                    store.close().await.expect("a close");
                    drop(store);
                    if random.bool() {
                        copy(&folder.path().join("state"), &kept.path().join("state"));
                        has_old = true;
                    }
                    store = Embedded::open(&settings, now).expect("the store");
                }
                8 => {
                    if random.bool() {
                        store.compact(now).await.expect("a snapshot");
                    }
                    // The end of the process, with what sled has not yet been given.
                    drop(store);
                    store = Embedded::open(&settings, now).expect("the store");
                }
                _ => {
                    drop(store);
                    if has_old && random.bool() {
                        copy(&kept.path().join("state"), &folder.path().join("state"));
                    } else {
                        rebuild(&settings, now).expect("a rebuild");
                    }
                    store = Embedded::open(&settings, now).expect("the store");
                }
            }
            let codes: std::collections::HashSet<&String> = had.values().map(|(_, code)| code).collect();
            assert_eq!(codes.len(), had.len(), "seed {seed}: a code was given twice");
        }
        assert!(had.len() > 10, "seed {seed} gave {} codes", had.len());
    }
}

/// What a crash takes of the tree, the journal gives back: a cursor goes with the events that it follows.
#[tokio::test]
async fn a_cursor_is_as_durable_as_its_events() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = settings(folder.path());
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append(vec![event(1), event(2)], Some(("list", b"two"))).await.expect("an append");
    store.append(Vec::new(), Some(("other", b"alone"))).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    let kept = tempfile::tempdir().expect("a folder");
    copy(&folder.path().join("state"), &kept.path().join("state"));
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append(vec![event(3), event(4)], Some(("list", b"four"))).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    fs::remove_dir_all(folder.path().join("state")).expect("a folder");
    copy(&kept.path().join("state"), &folder.path().join("state"));
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    assert_eq!(store.cursor("list").await.expect("a read"), Some(b"four".to_vec()));
    assert_eq!(store.cursor("other").await.expect("a read"), Some(b"alone".to_vec()));
    // An older one in the journal never takes the place of what was kept since.
    store.append(Vec::new(), Some(("list", b"five"))).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    assert_eq!(store.cursor("list").await.expect("a read"), Some(b"five".to_vec()));
    store.close().await.expect("a close");
}

/// A folder as another is.
fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("a file");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copy");
        }
    }
}
