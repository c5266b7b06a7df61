//! What each view of the page costs the server, with a million people and 100,000 dead letters in the store.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use espalier::clock::SystemClock;
use espalier::model::setting::Size;
use espalier::model::{
    Action, Activation, Attempt, Changes, Decision, Entry, Event, EventKind, Identifier, IdentifierKind, LaneName,
    Loaded, OccasionId, Origin, Outcome, Person, PersonChange, PersonId, Position, RawJson, Span, Timestamp, Verdict,
    Write,
};
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use espalier::store::{Settled, Store};

use crate::daemon::klaviyo_at;
use crate::load::median;

/// Wanted of each view, in milliseconds.
const WANTED: f64 = 200.0;
/// Written in one step.
const STEP: u64 = 1_000;
/// Events in the journal.
const EVENTS: u64 = 400_000;
/// Times that each view is asked for.
const TIMES: usize = 15;

fn id(n: u64) -> PersonId {
    let mut id = [0; 16];
    id.copy_from_slice(&spread(n)[..16]);
    PersonId(id)
}

/// Spread as hashes are.
fn spread(n: u64) -> [u8; 16] {
    let mut random = fastrand::Rng::with_seed(n.wrapping_mul(0x9E37_79B9_7F4A_7C15) + 1);
    let mut bytes = [0; 16];
    bytes.iter_mut().for_each(|byte| *byte = random.u8(..));
    bytes
}

fn person(n: u64, at: Timestamp) -> Person {
    let mut person = Person::new(id(n), Position(n + 1), at);
    person.identifiers = vec![
        Identifier::new(IdentifierKind::UserId, format!("u{n}")),
        Identifier::new(IdentifierKind::Email, format!("u{n}@example.com")),
    ];
    for event in 0..3 {
        let properties = RawJson::trusted(format!("{{\"product_id\":\"p{event}\",\"cart_id\":\"c{n}\"}}"));
        let at = at + Span::from_secs(event);
        let position = Position(3 * n + event as u64 + 1);
        person.history.push(Entry::new(at, position, "Product Viewed".into(), Origin::Tracking, None, properties));
    }
    person
}

/// Everybody, each with their names and some events.
async fn people(store: &Embedded, count: u64, at: Timestamp) {
    for first in (0..count).step_by(STEP as usize) {
        let some: Vec<Person> = (first..(first + STEP).min(count)).map(|n| person(n, at)).collect();
        let changes = Changes {
            people: some.iter().map(|one| PersonChange { id: one.id, write: Write::Whole }).collect(),
            links: some
                .iter()
                .flat_map(|one| one.identifiers.iter().map(|name| (name.clone(), Some(one.id))))
                .collect(),
            ..Changes::default()
        };
        let people: HashMap<PersonId, Person> = some.into_iter().map(|one| (one.id, one)).collect();
        store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    }
}

fn event(n: u64, at: Timestamp) -> Event {
    Event {
        kind: EventKind::Did,
        name: "Product Viewed".into(),
        at,
        claimed_at: None,
        arrived: at,
        source: "web".into(),
        origin: Origin::Tracking,
        dedupe: vec![spread(n)],
        identifiers: vec![Identifier::new(IdentifierKind::UserId, format!("u{n}"))],
        session: None,
        properties: RawJson::trusted(format!("{{\"product_id\":\"p{n}\",\"note\":\"{}\"}}", "x".repeat(200))),
        traits: RawJson::empty(),
    }
}

/// A journal that is more than one segment, and decided.
async fn events(store: &Embedded, count: u64, at: Timestamp) {
    let mut last = None;
    for first in (0..count).step_by(STEP as usize) {
        let some = (first..(first + STEP).min(count)).map(|n| event(n, at)).collect();
        last = Some(store.append(some, None).await.expect("an append"));
    }
    let changes = Changes { position: last, ..Changes::default() };
    store.commit(Loaded::default(), changes).await.expect("a commit");
}

fn activation(n: u64, at: Timestamp) -> Activation {
    let mut occasion = [7; 16];
    occasion[..8].copy_from_slice(&n.to_be_bytes());
    Activation {
        occasion: OccasionId(occasion),
        lane: "klaviyo".into(),
        trigger: if n.is_multiple_of(10) { "seldom" } else { "ping" }.into(),
        person: id(n),
        identifiers: vec![Identifier::new(IdentifierKind::Email, format!("u{n}@example.com"))],
        traits: RawJson::trusted("{\"first_name\":\"Ines\"}"),
        key: "".into(),
        at,
        action: Action::Event("Pinged".into()),
        priority: 50,
        expires_at: at + Span::from_days(30),
        not_before: None,
        payload: RawJson::trusted(format!(
            "{{\"trigger\":\"ping\",\"items\":[{{\"name\":\"Walnut tray no. {n}\",\"price\":\"19.90\",\"url\":\"https://shop.example/p/{n}\"}}]}}"
        )),
        broken: None,
    }
}

/// Activations of everybody, of which so many were refused and as many were taken.
async fn letters(store: &Embedded, count: u64, at: Timestamp) {
    let lane: LaneName = Arc::from("klaviyo");
    for first in (0..2 * count).step_by(STEP as usize) {
        let some: Vec<Activation> = (first..(first + STEP).min(2 * count)).map(|n| activation(n, at)).collect();
        let decisions = some.iter().map(|of| Decision {
            occasion: of.occasion,
            trigger: of.trigger.clone(),
            person: of.person,
            key: of.key.clone(),
            at: of.at,
            decided: of.at,
            verdict: Verdict::Activated(vec![of.lane.clone()]),
        });
        let changes = Changes { decisions: decisions.collect(), activations: some, ..Changes::default() };
        store.commit(Loaded::default(), changes).await.expect("a commit");
        let work = store.work(&lane, at, STEP as usize).await.expect("work");
        let settled = work.iter().enumerate().map(|(place, one)| {
            let outcome = match place % 2 {
                0 => Outcome::Refused { code: "invalid".into(), words: "the event is invalid".into() },
                _ => Outcome::Accepted,
            };
            Settled { id: one.id, attempt: Attempt { at, status: 400, outcome } }
        });
        store.settle(&lane, settled.collect()).await.expect("a settle");
    }
}

pub async fn served() {
    let (people_count, dead) = match std::env::var("ESPALIER_RECORDS").ok().and_then(|text| text.parse::<u64>().ok()) {
        // Fewer, to see that it runs.
        Some(records) => (records, records / 10),
        None => (1_000_000, 100_000),
    };
    let folder = tempfile::tempdir().expect("a folder");
    let at = espalier::clock::Clock::now(&SystemClock) - Span::HOUR;
    let path = folder.path().join("store");
    let settings = Settings { path: path.clone(), cache: Size(256 << 20), ..Settings::default() };
    let store = Embedded::open(&settings, at).expect("a store");
    let began = Instant::now();
    people(&store, people_count, at).await;
    letters(&store, dead, at).await;
    events(&store, EVENTS.min(people_count), at).await;
    store.compact(at).await.expect("a snapshot");
    store.close().await.expect("an end");
    drop(store);
    println!("views: {people_count} people and {dead} dead letters stored in {:.0} s", began.elapsed().as_secs_f64());

    // Nobody listens there: the lane waits.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port");
    let triggers = [("ping".to_owned(), crate::daemon::PING.to_owned())];
    let daemon = crate::daemon::begin(folder.path(), &klaviyo_at(nobody), &triggers).await;
    let token = std::fs::read_to_string(path.join("admin.token")).expect("the token");
    let client = reqwest::Client::new();
    let person = id(17);
    let newest = daemon.watched.store.letters(&Default::default(), 1).await.expect("a page").found[0].id.0;
    let views = [
        "/".to_owned(),
        "/triggers".into(),
        "/triggers/ping".into(),
        "/people".into(),
        format!("/people/{person}"),
        format!("/people/{person}?trigger=ping"),
        "/activations".into(),
        "/activations?trigger=seldom&end=accepted".into(),
        "/activations?trigger=nowhere".into(),
        "/activations?state=waiting".into(),
        format!("/activations/{newest}"),
        "/letters".into(),
        "/letters?trigger=seldom".into(),
        "/letters?code=nothing".into(),
        format!("/letters?before={}", newest / 2),
        format!("/letters/{newest}"),
        "/nights".into(),
        "/connectors".into(),
        "/connectors/web".into(),
        "/connectors/set-aside".into(),
        "/connectors/events".into(),
        "/connectors/events?source=nowhere".into(),
        "/connectors/products".into(),
        "/quota".into(),
        "/api/series?names=accepted,decided&over=14d".into(),
    ];
    let mut slowest: f64 = 0.0;
    for view in &views {
        let mut took = Vec::new();
        let mut bytes = 0;
        for _ in 0..TIMES {
            let began = Instant::now();
            let answer = client.get(format!("http://{}{view}", daemon.ops)).bearer_auth(token.trim()).send().await;
            let answer = answer.expect("an answer");
            assert!(answer.status().is_success(), "{view}: {}", answer.status());
            bytes = answer.bytes().await.expect("a page").len();
            took.push(began.elapsed().as_secs_f64() * 1_000.0);
        }
        let most = took.iter().copied().fold(0.0, f64::max);
        slowest = slowest.max(most);
        println!("views: {view}: {:.1} ms, at most {most:.1} ms, {} KB", median(took), bytes / 1_024);
    }
    println!("views: the slowest answer took {slowest:.1} ms (wanted under {WANTED:.0})");
    daemon.stop().await.expect("an end");
}
