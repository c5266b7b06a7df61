//! Rules and timelines in, fires out. `check` is the only place that calls the API.
//!
//! A timeline is events parted by `|`, each `TIME WHAT WORDS`. TIME is since the start (`26h30m`), and may name a later
//! arrival (`10m@40m`). WHAT is a short name of [`WHAT`]. WORDS: `c1` a cart id, `p1` a product, `#x` a message id,
//! `@name` a user, `~name` a device, `&address` an e-mail address, `^number` a phone, `/name` a source, `+shop` a system instead of tracking, and `path=value` a property. Without a name it
//! is the user `ines`. One batch is one event; time then runs to the horizon of 200 days.

mod caps;
mod engagement;
mod gates;
mod kept;
mod keys;
mod late;
mod passed_on;
mod people;
mod shipped;
mod states;
mod time;
mod unlink;

use crate::identity;
use crate::model::{
    Changes, Event, EventKind, Identifier, IdentifierKind, Loaded, Origin, PersonId, Position, RawJson, Span,
    Timestamp, Verdict,
};
use crate::rules::{self, Program};

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const WHAT: &[(&str, &str)] = &[
    ("add", "Product Added"),
    ("remove", "Product Removed"),
    ("view", "Product Viewed"),
    ("page", "Page Viewed"),
    ("buy", "Order Completed"),
    ("form", "Form Submitted"),
    ("mail", "Email Delivered"),
    ("open", "Email Opened"),
    ("click", "Email Link Clicked"),
    ("subscribe", "Subscribed"),
    ("unsubscribe", "Unsubscribed"),
    ("bounce", "Email Bounced"),
    ("spam", "Email Marked as Spam"),
    ("lift", "Suppression Lifted"),
];

// === the rules ===

const CART: &str = r#"
name = "cart"
per = "cart_id"
priority = 80
cooldown = "24h"
expires = "4h"
[[when.all]]
last = "Product Added"
over = "30m"
[[when.all]]
did_not = "Order Completed"
since = "Product Added"
"#;

const VIEWED: &str = r#"
name = "viewed"
per = "product_id"
[[when.all]]
did = "Product Viewed"
at_least = 3
within = "session"
[[when.all]]
did_not = "Product Added"
within = "session"
"#;

const FOLLOW_UP: &str = r#"
name = "follow-up"
when = { last = "Order Completed", over = "30d" }
"#;

const LAPSED: &str = r#"
name = "lapsed"
when = { last = "Order Completed", over = "90d" }
"#;

const FORM: &str = r#"
name = "form"
cooldown = "7d"
when = { did = "Form Submitted", within = "1h" }
"#;

const LANDING: &str = r#"
name = "landing"
once = true
when = { did = "Page Viewed", within = "1h", where = { path = { starts_with = "/sale" } } }
"#;

// === the check ===

/// What a timeline comes to: lines like `30m c1`, with the verdict where it is not an activation.
struct Story {
    fires: Vec<String>,
    loaded: Loaded,
    duplicates: u64,
}

fn length(text: &str) -> Span {
    let mut ms = 0;
    for part in text.split_inclusive(|c: char| c.is_ascii_alphabetic()) {
        ms += part.parse::<Span>().expect("a length of time").as_millis();
    }
    Span::from_millis(ms)
}

/// `1d2h30m`, as short as can be.
fn since_start(at: Timestamp) -> String {
    let mut left = at.since(START).as_millis();
    let mut text = String::new();
    for (unit, ms) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
        if left >= ms {
            text += &format!("{}{unit}", left / ms);
            left %= ms;
        }
    }
    if left > 0 {
        format!("{text}+{left}ms")
    } else if text.is_empty() {
        "0m".into()
    } else {
        text
    }
}

fn event(text: &str, number: usize) -> Event {
    let mut words = text.split_whitespace();
    let time = words.next().expect("a time");
    let (at, arrived) = time.split_once('@').unwrap_or((time, time));
    let what = words.next().expect("what happened");
    let kind = match what {
        "identify" => EventKind::Identify,
        "alias" => EventKind::Alias,
        "erase" => EventKind::Erase,
        "unlink" => EventKind::Unlink,
        _ => EventKind::Did,
    };
    let name = WHAT.iter().find(|(short, _)| *short == what).map_or("", |(_, name)| name);
    assert_eq!(name.is_empty(), kind != EventKind::Did, "`{what}` is not an event of the test");
    let mut properties = serde_json::Map::new();
    let mut traits = serde_json::Map::new();
    let mut products = Vec::new();
    let mut identifiers = Vec::new();
    let (mut id, mut origin, mut source) = (number.to_string(), Origin::Tracking, "web");
    for word in words {
        if let Some(user) = word.strip_prefix('@') {
            identifiers.push(Identifier::new(IdentifierKind::UserId, user));
        } else if let Some(device) = word.strip_prefix('~') {
            identifiers.push(Identifier::new(IdentifierKind::AnonymousId, device));
        } else if let Some(address) = word.strip_prefix('&') {
            identifiers.push(Identifier::new(IdentifierKind::Email, address));
        } else if let Some(number) = word.strip_prefix('^') {
            identifiers.push(Identifier::new(IdentifierKind::Phone, number));
        } else if let Some(name) = word.strip_prefix('/') {
            source = name;
        } else if let Some(message) = word.strip_prefix('#') {
            id = message.to_owned();
        } else if let Some((name, value)) = word.strip_prefix('%').and_then(|word| word.split_once('=')) {
            traits.insert(name.into(), value.into());
        } else if word == "+shop" {
            origin = Origin::System;
        } else if let Some((path, value)) = word.split_once('=') {
            properties.insert(path.into(), value.into());
        } else if word.starts_with('c') {
            properties.insert("cart_id".into(), word.into());
        } else {
            products.push(word);
        }
    }
    match products.as_slice() {
        [] => {}
        [one] => drop(properties.insert("product_id".into(), (*one).into())),
        several => {
            let several = several.iter().map(|p| serde_json::json!({ "product_id": p })).collect();
            properties.insert("products".into(), several);
        }
    }
    if identifiers.is_empty() {
        identifiers.push(Identifier::new(IdentifierKind::UserId, "ines"));
    }
    Event {
        kind,
        name: name.into(),
        at: START + length(at),
        claimed_at: None,
        arrived: START + length(arrived),
        source: source.into(),
        origin,
        dedupe: vec![Event::dedupe_key(&[&id])],
        identifiers,
        session: None,
        properties: RawJson::from_value(&properties.into()),
        traits: RawJson::from_value(&traits.into()),
    }
}

fn compile(rules: &[&str], settings: &rules::Settings) -> Program {
    let complete = |rule: &str| {
        // Keys of the top come before the tables.
        let place = rule.find("[[when").unwrap_or(rule.len());
        let activate = "activate = [{ destination = \"esp\", event = \"Go\" }]\n";
        format!("{}\n{activate}{}", &rule[..place], &rule[place..])
    };
    let files: Vec<_> = rules.iter().map(|rule| ("rule.toml".to_owned(), complete(rule))).collect();
    Program::compile(&files, settings, None).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Decides one event after the other; all that is known stays loaded.
fn tell(program: &Program, timeline: &str, horizon: &str) -> Story {
    let mut story = Story { fires: Vec::new(), loaded: Loaded::default(), duplicates: 0 };
    let mut events: Vec<Event> = timeline.split('|').enumerate().map(|(n, text)| event(text.trim(), n)).collect();
    events.sort_by_key(|e| e.arrived);
    for (n, event) in events.into_iter().enumerate() {
        let now = event.arrived;
        // The engine was idle until just now.
        run_timers(&mut story, program, now - Span::from_millis(1));
        let batch = [(Position(n as u64 + 1), event)];
        let changes = super::events(&mut story.loaded, &batch, now, program, &identity::Settings::default());
        story.note(changes);
    }
    run_timers(&mut story, program, START + length(horizon));
    story
}

/// Time passes: timers are decided each at its own instant.
fn run_timers(story: &mut Story, program: &Program, until: Timestamp) {
    loop {
        let next = story.loaded.people.values().filter_map(|p| Some((p.wake()?, p.id))).min();
        let Some((at, id)) = next.filter(|(at, _)| *at <= until) else { return };
        let changes = super::timers(&mut story.loaded, &[id], at, at, program);
        story.note(changes);
    }
}

impl Story {
    fn note(&mut self, changes: Changes) {
        self.duplicates += changes.duplicates;
        for decision in changes.decisions {
            let mut line = since_start(decision.at);
            if !decision.key.is_empty() {
                line += &format!(" {}", decision.key);
            }
            if decision.verdict.word() != "activated" {
                line += &format!(" {}", decision.verdict.word());
            }
            if let Verdict::Delayed(_, until) = decision.verdict {
                line += &format!(" until {}", since_start(until));
            }
            self.fires.push(line);
        }
    }
}

#[track_caller]
fn check(rule: &str, timeline: &str, fires: &[&str]) {
    let program = compile(&[rule], &rules::Settings::default());
    assert_eq!(tell(&program, timeline, "200d").fires, fires, "{timeline}");
}

/// With more at the top of the rule's file.
#[track_caller]
fn check_with(rule: &str, more: &str, timeline: &str, fires: &[&str]) {
    check(&format!("{more}\n{rule}"), timeline, fires);
}
