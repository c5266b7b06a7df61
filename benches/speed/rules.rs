//! What rules cost, without a disk: many triggers of which few read an event, parsing beside a bare evaluator, and
//! somebody who did very much.

use std::hint::black_box;
use std::time::Instant;

use espalier::decide;
use espalier::identity;
use espalier::model::{
    Entry, Event, EventKind, History, Identifier, IdentifierKind, Loaded, Origin, Person, PersonId, Position, RawJson,
    Span, Timestamp,
};
use espalier::rules::{Program, Settings};
use serde_json::Value;

use crate::ROUNDS;
use crate::load::median;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// People, and events of a round.
const PEOPLE: u64 = 1_000;
const EVENTS: u64 = 50_000;
/// Triggers that read the events of a round.
const READ: usize = 10;

fn event(n: u64, person: u64, name: &str, properties: &str) -> Event {
    Event {
        kind: EventKind::Did,
        name: name.into(),
        at: START + Span::from_millis(n as i64 * 100),
        claimed_at: None,
        arrived: START + Span::from_millis(n as i64 * 100),
        source: "bench".into(),
        origin: Origin::Tracking,
        dedupe: Vec::new(),
        identifiers: vec![Identifier::new(IdentifierKind::UserId, format!("u{person}"))],
        session: None,
        properties: RawJson::trusted(properties),
        traits: RawJson::empty(),
    }
}

/// One trigger of `READ` of the shipped kinds over these events.
fn trigger(n: usize, viewed: &str, ordered: &str) -> (String, String) {
    let when = match n % 4 {
        0 => format!(
            "[[when.all]]\nlast = \"{viewed}\"\nover = \"{}m\"\n[[when.all]]\ndid_not = \"{ordered}\"\nsince = \"{viewed}\"\n",
            30 + n
        ),
        1 => format!("[[when.all]]\ndid = \"{viewed}\"\nat_least = {}\nwithin = \"1h\"\n", 3 + n),
        2 => format!("[[when.all]]\nsum = \"price\"\nof = \"{viewed}\"\nover = {}\nwithin = \"1h\"\n", 500 + n),
        _ => format!("[[when.all]]\nlast = \"{ordered}\"\nover = \"{}d\"\n", 30 + n),
    };
    let text =
        format!("name = \"t{n}\"\ncooldown = \"1h\"\n{when}[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n");
    (format!("t{n}.toml"), text)
}

fn compile(files: &[(String, String)], history: usize) -> Program {
    let settings = Settings { history, ..Settings::default() };
    Program::compile(files, &settings, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// `READ` triggers read the events, the others other ones.
fn many(count: usize) -> Program {
    let files: Vec<_> = (0..count)
        .map(|n| {
            if n < READ {
                trigger(n, "Product Viewed", "Order Completed")
            } else {
                trigger(n, &format!("Viewed {n}"), &format!("Ordered {n}"))
            }
        })
        .collect();
    compile(&files, 1_000)
}

/// Microseconds for each of a round's events, of people who are known.
struct Decided {
    loaded: Loaded,
    program: Program,
    n: u64,
}

impl Decided {
    fn new(program: Program) -> Self {
        let mut decided = Self { loaded: Loaded::default(), program, n: 0 };
        decided.round(PEOPLE, |n| n);
        decided
    }

    fn round(&mut self, events: u64, who: impl Fn(u64) -> u64) -> f64 {
        let names = identity::Settings::default();
        let batch: Vec<(Position, Event)> = (0..events)
            .map(|one| {
                let n = self.n + one + 1;
                let name = if n.is_multiple_of(20) { "Order Completed" } else { "Product Viewed" };
                (Position(n), event(n, who(one), name, r#"{"product_id":"p1","price":19.9,"name":"Lamp"}"#))
            })
            .collect();
        self.n += events;
        let began = Instant::now();
        for some in batch.chunks(100) {
            let now = some.last().map_or(START, |(_, event)| event.at);
            black_box(decide::events(&mut self.loaded, some, now, &self.program, &names));
        }
        began.elapsed().as_secs_f64() * 1e6 / events as f64
    }
}

/// What an event costs under 10, 100, 1,000 and 10,000 triggers of which 10 read it.
pub fn many_triggers(counts: &[usize]) {
    let mut all: Vec<(usize, Decided, Vec<f64>)> =
        [READ].iter().chain(counts).map(|count| (*count, Decided::new(many(*count)), Vec::new())).collect();
    for _ in 0..ROUNDS {
        for (_, decided, took) in &mut all {
            took.push(decided.round(EVENTS, |n| n % PEOPLE));
        }
    }
    let bare = median(all[0].2.clone());
    println!("triggers-{READ}: {bare:.2} us an event");
    for (count, _, took) in all.into_iter().skip(1) {
        let took = median(took);
        println!("triggers-{count}: {took:.2} us an event; / {READ} triggers: {:.2} (wanted at most 1.3)", took / bare);
    }
}

const TEXT: &str = r#"{"product_id":"p17","sku":"S-17","name":"Running shoe, grey","brand":"Acme","category":"Shoes","price":"89.90","currency":"EUR","quantity":2,"url":"https://shop.example/p/17","image_url":"https://shop.example/i/17.jpg","variant":{"colour":"grey","size":43},"page":{"path":"/p/17","referrer":"https://search.example"},"experiments":[{"id":"a","group":1},{"id":"b","group":2}]}"#;

/// Paths and what they are compared with: a number at least, or a text.
const TESTS: [(&str, &str); READ] = [
    ("price", "50"),
    ("quantity", "2"),
    ("variant.size", "40"),
    ("category", "Shoes"),
    ("brand", "Acme"),
    ("variant.colour", "grey"),
    ("page.path", "/p/17"),
    ("sku", "S-18"),
    ("currency", "USD"),
    ("name", "Running shoe, red"),
];

/// Parses and walks paths that are split already: what can hardly be less.
fn bare(rules: &[(Vec<&str>, Result<f64, &str>)]) -> usize {
    let value: Value = serde_json::from_str(TEXT).expect("JSON");
    let holds = |(path, wanted): &&(Vec<&str>, Result<f64, &str>)| {
        let found = path.iter().try_fold(&value, |value, part| value.get(*part));
        match (found, wanted) {
            (Some(Value::Number(n)), Ok(least)) => n.as_f64().is_some_and(|n| n >= *least),
            (Some(Value::String(text)), Ok(least)) => text.parse::<f64>().is_ok_and(|n| n >= *least),
            (Some(Value::String(text)), Err(wanted)) => text == wanted,
            _ => false,
        }
    };
    rules.iter().filter(holds).count()
}

/// Parsing an event and asking the 10 of 200 rules that apply.
pub fn parse_and_ask() {
    let number = |wanted: &'static str| wanted.parse::<f64>().map_err(|_| wanted);
    let plain: Vec<_> = TESTS.iter().map(|(path, wanted)| (path.split('.').collect(), number(wanted))).collect();
    let files: Vec<(String, String)> = (0..200)
        .map(|n| {
            let event = if n < READ { "Product Viewed".to_owned() } else { format!("Other {n}") };
            let (path, wanted) = TESTS[n % READ];
            let test = number(wanted).map_or(format!("\"{wanted}\""), |least| format!("{{ at_least = {least} }}"));
            let text = format!("name = \"r{n}\"\nwhen = {{ did = \"{event}\", within = \"1h\", where = {{ \"{path}\" = {test} }} }}\n[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n");
            (format!("r{n}.toml"), text)
        })
        .collect();
    let program = compile(&files, 1_000);
    let name = Identifier::new(IdentifierKind::UserId, "u1");
    let person = Person::new(PersonId::of(&name, Position(1)), Position(1), START);
    let view: std::sync::Arc<str> = "Product Viewed".into();
    let ours = |person: &mut Person| {
        let properties = RawJson::parse(TEXT).expect("JSON");
        let entry = Entry::new(START, Position(1), view.clone(), Origin::Tracking, None, properties);
        person.history = History::from_parts(vec![entry], Default::default());
        let asked = program.concerned_by(person, &person.history.entries()[0]);
        let holds = |one: &&espalier::rules::Asked| {
            program.answer(&program.triggers()[one.trigger], person, &one.key, START).is_true
        };
        asked.iter().filter(holds).count()
    };
    let mut somebody = person.clone();
    assert_eq!((bare(&plain), ours(&mut somebody)), (7, 7), "both find the same");
    let mut ratios = Vec::new();
    for round in 0..ROUNDS {
        let began = Instant::now();
        (0..EVENTS).for_each(|_| {
            black_box(bare(&plain));
        });
        let least = began.elapsed().as_secs_f64();
        let began = Instant::now();
        (0..EVENTS).for_each(|_| {
            black_box(ours(&mut somebody));
        });
        let took = began.elapsed().as_secs_f64();
        ratios.push(least / took);
        let each = |seconds: f64| seconds * 1e6 / EVENTS as f64;
        println!("round {round}: bare {:.2} us, ours {:.2} us an event", each(least), each(took));
    }
    println!("rules-200: parse and ask / bare evaluator over split paths: {:.2} (wanted at least 0.5)", median(ratios));
}

/// One who does very much among others who do not.
pub fn much_of_one() {
    // Each of their events looks at all that is kept: with ten times as much kept, a tenth of the events takes as long.
    for (history, much) in [(1_000, 100_000), (10_000, 10_000)] {
        let files: Vec<_> = (0..READ).map(|n| trigger(n, "Product Viewed", "Order Completed")).collect();
        let mut quiet = Decided::new(compile(&files, history));
        let mut busy = Decided::new(compile(&files, history));
        let (mut others, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS as u64 {
            // Their events come in batches of their own, so that the others' can be timed.
            theirs.push(busy.round(much / ROUNDS as u64, |_| 0));
            // At the same instants, so that the others have done the same.
            quiet.n = busy.n;
            let with = busy.round(EVENTS, |n| 1 + n % (PEOPLE - 1));
            let without = quiet.round(EVENTS, |n| 1 + n % (PEOPLE - 1));
            others.push(with / without);
            println!("round {round}: with them {with:.2} us, without {without:.2} us an event of the others");
        }
        let name = Identifier::new(IdentifierKind::UserId, "u0");
        let person = &busy.loaded.people[&busy.loaded.owners[&name]];
        let entries = person.history.entries();
        let bytes = person.history.weight();
        println!(
            "long-person: history {history}, {much} events: others / without them: {:.2} (wanted at most 1.1); their own {:.2} us an \
             event; {} events kept, about {} bytes each",
            median(others),
            median(theirs),
            entries.len(),
            bytes / entries.len().max(1)
        );
    }
}
