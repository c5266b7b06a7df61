//! Rules and timelines in, fires out. `check` is the only place that calls the API.
//!
//! A timeline is events parted by `|`, each `TIME WHAT WORDS`. TIME is since the start (`26h30m`), and may name a later
//! arrival (`10m@40m`). WHAT is a short name of [`WHAT`]. WORDS: `c1` a cart id, `p1` a product, `#x` a message id,
//! `@name` a user, `~name` a device, `+shop` a system instead of tracking, and `path=value` a property. Without a name it
//! is the user `ines`. One batch is one event; time then runs to the horizon of 200 days.

mod caps;
mod gates;
mod states;

use std::collections::{HashMap, HashSet};

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
        _ => EventKind::Did,
    };
    let name = WHAT.iter().find(|(short, _)| *short == what).map_or("", |(_, name)| name);
    assert_eq!(name.is_empty(), kind != EventKind::Did, "`{what}` is not an event of the test");
    let mut properties = serde_json::Map::new();
    let mut traits = serde_json::Map::new();
    let mut products = Vec::new();
    let mut identifiers = Vec::new();
    let (mut id, mut origin) = (number.to_string(), Origin::Tracking);
    for word in words {
        if let Some(user) = word.strip_prefix('@') {
            identifiers.push(Identifier::new(IdentifierKind::UserId, user));
        } else if let Some(device) = word.strip_prefix('~') {
            identifiers.push(Identifier::new(IdentifierKind::AnonymousId, device));
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
        source: "web".into(),
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

// === triggers that are shipped ===

#[test]
fn a_cart_left_for_thirty_minutes_fires_once() {
    check(CART, "0m add c1 | 2h view", &["30m c1"]);
    check(CART, "0m add c1 | 20m add c1", &["50m c1"]);
    check(CART, "0m add c1", &["30m c1"]);
}

#[test]
fn buying_before_thirty_minutes_stops_it() {
    check(CART, "0m add c1 | 25m buy c1", &[]);
    check(CART, "0m add c1 | 25m buy c1 +shop", &[]);
    // Something else was put in afterwards.
    check(CART, "0m add c1 | 25m buy c1 | 26m add c1", &["56m c1"]);
}

#[test]
fn an_order_without_a_cart_id_stops_every_cart() {
    check(CART, "0m add c1 | 5m add c2 | 25m buy", &[]);
    check(CART, "0m add c1 | 5m add c2 | 25m buy c1", &["35m c2"]);
}

#[test]
fn an_add_without_a_cart_id_is_no_cart() {
    check(CART, "0m add", &[]);
    check(CART, "0m add c1 | 20m add", &["30m c1"]);
}

#[test]
fn a_second_cart_waits_for_the_cooldown() {
    check(CART, "0m add c1 | 1h add c2", &["30m c1", "1h30m c2 cooling_down"]);
    check(CART, "0m add c1 | 26h add c2", &["30m c1", "1d2h30m c2"]);
    // Exactly a day after the first one: no longer within it. What was dropped is not deferred.
    check(CART, "0m add c1 | 24h add c2", &["30m c1", "1d30m c2"]);
    check(CART, "0m add c1 | 23h add c2 | 25h view", &["30m c1", "23h30m c2 cooling_down"]);
}

#[test]
fn a_product_viewed_three_times_and_not_added_fires() {
    check(VIEWED, "0m view p1 | 5m view p1 | 10m view p1", &["10m p1"]);
    check(VIEWED, "0m view p1 | 5m view p2 | 10m view p1 | 15m view p2", &[]);
    check(VIEWED, "0m view p1 | 5m add p1 | 10m view p1 | 15m view p1", &[]);
    // Another one was put in the cart.
    check(VIEWED, "0m view p1 | 5m add p2 | 10m view p1 | 15m view p1", &["15m p1"]);
    // A list of products is a view of each.
    check(VIEWED, "0m view p1 | 5m view p1 p2 | 10m view p1 p2 | 15m view p2", &["10m p1", "15m p2"]);
}

#[test]
fn a_session_ends_with_a_pause_of_thirty_minutes() {
    check(VIEWED, "0m view p1 | 29m view p1 | 58m view p1", &["58m p1"]);
    check(VIEWED, "0m view p1 | 10m view p1 | 40m view p1 | 45m view p1", &[]);
    check(VIEWED, "0m view p1 | 10m view p1 | 40m view p1 | 45m view p1 | 50m view p1", &["50m p1"]);
    // A new session makes it false, so that the next one can fire again.
    check(
        VIEWED,
        "0m view p1 | 1m view p1 | 2m view p1 | 60m view p1 | 61m view p1 | 62m view p1",
        &["2m p1", "1h2m p1"],
    );
    // Any tracked event holds a session together; a shop's does not.
    check(VIEWED, "0m view p1 | 20m page | 40m view p1 | 60m view p1", &["1h p1"]);
    check(VIEWED, "0m view p1 | 20m buy +shop | 40m view p1 | 60m view p1", &[]);
}

#[test]
fn a_purchase_is_followed_up_after_thirty_days() {
    check(FOLLOW_UP, "0m buy", &["30d"]);
    check(FOLLOW_UP, "0m buy | 10d buy", &["40d"]);
    check(FOLLOW_UP, "0m buy | 60d buy", &["30d", "90d"]);
}

#[test]
fn the_last_purchase_is_ninety_days_ago() {
    check(LAPSED, "0m buy | 89d view", &["90d"]);
    check(LAPSED, "0m buy | 89d buy", &["179d"]);
    check(LAPSED, "0m view", &[]);
}

#[test]
fn a_form_fires_when_it_is_sent() {
    check(FORM, "5m form", &["5m"]);
    check(FORM, "5m form | 2h form | 8d form", &["5m", "2h cooling_down", "8d"]);
    // Still true: no second edge.
    check(FORM, "5m form | 10m form", &["5m"]);
}

#[test]
fn a_landing_page_fires_once_for_each_person() {
    check(LANDING, "5m page path=/sale/shoes | 8h page path=/sale", &["5m", "8h already_fired"]);
    check(LANDING, "5m page path=/about", &[]);
    check(LANDING, "5m page path=/sale @a | 6m page path=/sale @b", &["5m", "6m"]);
}

// === time ===

#[test]
fn at_one_instant_events_come_before_timers() {
    check(CART, "0m add c1 | 30m buy c1", &[]);
    check(CART, "0m add c1 | 30m add c1", &["1h c1"]);
    check(CART, "0m add c1 | 30m view | 30m buy c1", &[]);
}

#[test]
fn a_window_is_left_at_exactly_its_length() {
    let twice = "name = \"twice\"\nwhen = { did = \"Product Viewed\", at_least = 2, within = \"10m\" }";
    check(twice, "0m view | 10m view", &[]);
    check(twice, "0m view | 9m view", &["9m"]);
    check(twice, "0m view | 9m view | 18m view", &["9m", "18m"]);
    let seldom = "name = \"seldom\"\nwhen = { did = \"Product Viewed\", at_most = 1, within = \"10m\" }";
    check(seldom, "0m view | 5m view", &["0m", "10m"]);
}

#[test]
fn silence_is_asked_of_those_who_are_known_long_enough() {
    let silent = "name = \"silent\"\nwhen = { did_not = \"Order Completed\", within = \"60d\" }";
    check(silent, "0m view", &["60d"]);
    check(silent, "0m view | 10d buy", &["70d"]);
    check(silent, "0m view | 10d buy | 80d buy", &["70d", "140d"]);
    // Learned later: they were known earlier.
    check(silent, "10d view | 0m@20d view", &["60d"]);
}

#[test]
fn last_can_be_a_span_with_an_end() {
    let between = "name = \"between\"\nwhen = { last = \"Product Added\", over = \"30m\", under = \"60m\" }";
    check(between, "0m add", &["30m"]);
    check(between, "0m add | 45m add", &["30m", "1h15m"]);
    let not_lately = "name = \"not-lately\"\nwhen = { not = { last = \"Product Added\", under = \"1h\" } }";
    check(not_lately, "0m add", &["1h"]);
    check(not_lately, "0m view", &["0m"]);
}

#[test]
fn held_for_means_without_a_break() {
    let held = "name = \"held\"\nfor = \"20m\"\nwhen = { last = \"Product Viewed\", over = \"10m\" }";
    check(held, "0m view", &["30m"]);
    check(held, "0m view | 25m view", &["55m"]);
    check(held, "0m view | 30m view", &["1h"]);
    check(held, "0m view | 31m view", &["30m", "1h1m"]);
}

#[test]
fn an_edge_learned_of_too_late_is_recorded_and_not_sent() {
    check(FORM, "0m@4h form", &["0m"]);
    check(FORM, "0m@4h1s form", &["0m expired"]);
    check_with(FORM, "expires = \"2d\"", "0m@47h form", &["0m"]);
    // What expired did not fire: it cools nothing down.
    check(FORM, "0m@5h form | 6h form", &["0m expired", "6h"]);
}

// === late events ===

#[test]
fn a_purchase_heard_of_late_cancels_what_waits() {
    check(CART, "0m add c1 | 25m@35m buy c1", &["30m c1", "30m c1 cancelled"]);
    check(CART, "0m add c1 | 32m buy c1", &["30m c1", "30m c1 cancelled"]);
    check(CART, "0m add c1 | 25m@35m buy", &["30m c1", "30m c1 cancelled"]);
    // Another cart's order is no reason.
    check(CART, "0m add c1 | 25m@35m buy c2", &["30m c1"]);
    check(CART, "0m add c1 | 25m@35m view", &["30m c1"]);
}

#[test]
fn time_alone_cancels_nothing() {
    let between = "name = \"between\"\nwhen = { all = [{ last = \"Product Added\", over = \"30m\", under = \"60m\" }, \
                   { did_not = \"Order Completed\", since = \"Product Added\", where = { shop = \"a\" } }] }";
    check(between, "0m add | 70m buy shop=b", &["30m"]);
    check(between, "0m add ~phone | 70m identify ~phone @ines", &["30m"]);
    check(between, "0m add ~phone | 1m view @ines | 70m identify ~phone @ines", &["30m"]);
    check(between, "0m add | 70m buy shop=a", &["30m", "30m cancelled"]);
}

#[test]
fn a_break_heard_of_late_cancels_what_was_held() {
    let held = "name = \"held\"\nfor = \"20m\"\nwhen = { last = \"Product Viewed\", over = \"10m\" }";
    check(held, "0m view | 15m@35m view", &["30m", "30m cancelled"]);
}

#[test]
fn a_late_event_changes_truth_from_now_on() {
    let twice = "name = \"twice\"\nwhen = { did = \"Product Viewed\", at_least = 2 }";
    check(twice, "0m view | 30m page | 10m@40m view", &["30m"]);
    check(LAPSED, "10d buy | 0m@20d buy", &["100d"]);
}

#[test]
fn a_message_sent_twice_counts_once() {
    check(VIEWED, "0m view p1 #a | 1m view p1 #b | 2m view p1 #b | 2m view p1 #a", &[]);
    let program = compile(&[FORM], &rules::Settings::default());
    let story = tell(&program, "0m form #a | 8d form #a", "9d");
    assert_eq!((story.fires, story.duplicates), (vec!["0m".to_owned()], 1));
}

// === people ===

#[test]
fn a_guest_who_registers_at_checkout_gets_no_reminder() {
    check(CART, "0m add c1 ~phone | 10m identify ~phone @ines | 20m buy c1 @ines", &[]);
    check(CART, "0m add c1 ~phone | 20m buy c1 @ines | 25m identify ~phone @ines", &[]);
    check(CART, "0m add c1 ~phone | 20m buy @ines +shop | 25m identify ~phone @ines", &[]);
    check(CART, "0m add c1 ~phone | 10m identify ~phone @ines", &["30m c1"]);
    // It turns out after the edge, and before it left.
    check(CART, "0m add c1 ~phone | 20m buy @ines | 35m identify ~phone @ines", &["30m c1", "30m c1 cancelled"]);
}

#[test]
fn a_merge_fires_only_what_was_false_for_both() {
    let thrice = "name = \"thrice\"\nwhen = { did = \"Product Viewed\", at_least = 3 }";
    check(thrice, "0m view ~phone | 1m view ~phone | 2m view @ines | 5m identify ~phone @ines", &["5m"]);
    check(
        thrice,
        "0m view ~phone | 1m view ~phone | 2m view ~phone | 3m view @ines | 5m identify ~phone @ines | 6m view @ines",
        &["2m"],
    );
}

#[test]
fn once_and_cooldown_survive_a_merge() {
    check(
        LANDING,
        "0m page path=/sale ~phone | 3h identify ~phone @ines | 5h page path=/sale @ines",
        &["0m", "5h already_fired"],
    );
    check(FORM, "0m form ~phone | 3h identify ~phone @ines | 5h form @ines", &["0m", "5h cooling_down"]);
}

#[test]
fn two_accounts_on_one_device_stay_two() {
    check(CART, "0m add c1 @a ~ipad | 10m view @b ~ipad | 20m buy @b ~ipad", &["30m c1"]);
}

#[test]
fn who_is_forgotten_is_reminded_of_nothing() {
    check(CART, "0m add c1 | 10m erase @ines", &[]);
    let program = compile(&[CART], &rules::Settings::default());
    let story = tell(&program, "0m add c1 ~phone @ines | 10m erase @ines", "9d");
    assert!(story.loaded.people.is_empty() && story.loaded.owners.is_empty());
}

#[test]
fn erasure_forgets_those_who_are_named_and_nobody_else() {
    #[track_caller]
    fn check(erase: &str, left: &[&str]) {
        let timeline = format!("0m view @a ~ipad | 1m view @b | 2m view ~tv | {erase}");
        let story = tell(&compile(&[], &rules::Settings::default()), &timeline, "1h");
        let mut names: Vec<&str> = story.loaded.owners.keys().map(|name| &*name.value).collect();
        names.sort_unstable();
        assert_eq!(names, left, "{erase}");
        assert!(story.loaded.owners.values().all(|id| story.loaded.people.contains_key(id)));
    }
    check("9m erase @a", &["b", "tv"]);
    check("9m erase @a @b", &["tv"]);
    check("9m erase @nobody", &["a", "b", "ipad", "tv"]);
    // A device does not say who asks to be forgotten.
    check("9m erase ~ipad", &["a", "b", "ipad", "tv"]);
    // Who comes back is somebody new.
    check("9m erase @a | 10m view @a", &["a", "b", "tv"]);
}

// === keys ===

#[test]
fn a_key_exists_from_the_first_event_that_carries_it() {
    let any = "name = \"any\"\nper = \"product_id\"\nwhen = { did = \"Order Completed\", any_key = true }";
    check(any, "0m buy | 5m view p1", &["5m p1"]);
    check(any, "0m view p1 | 1m view p2 | 5m buy", &["5m p1", "5m p2"]);
    let never = "name = \"never\"\nper = \"product_id\"\nwhen = { not = { did = \"Product Added\" } }";
    check(never, "0m view p1 | 1m add p2", &["0m p1"]);
}

#[test]
fn first_seen_is_the_persons_and_not_the_keys() {
    let silent = "name = \"silent\"\nper = \"product_id\"\nwhen = { did_not = \"Product Added\", within = \"1h\" }";
    check(silent, "0m page | 2h view p1", &["2h p1"]);
    check(silent, "0m page | 30m view p1", &["1h p1"]);
}

#[test]
fn with_equal_time_priority_then_name_then_key_decide() {
    let rule = |name: &str, priority: u8| {
        format!(
            "name = \"{name}\"\npriority = {priority}\nper = \"product_id\"\n\
             when = {{ last = \"Product Viewed\", over = \"10m\" }}"
        )
    };
    let texts = [rule("b", 50), rule("c", 90), rule("a", 50)];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let program = compile(&texts, &rules::Settings::default());
    let mut loaded = Loaded::default();
    let batch = [(Position(1), event("0m view p2 p1", 1))];
    super::events(&mut loaded, &batch, START, &program, &identity::Settings::default());
    let people: Vec<PersonId> = loaded.people.keys().copied().collect();
    let later = START + length("10m");
    let decisions = super::timers(&mut loaded, &people, later, later, &program).decisions;
    let order: Vec<String> = decisions.iter().map(|d| format!("{}{}", d.trigger, d.key)).collect();
    assert_eq!(order, ["cp1", "cp2", "ap1", "ap2", "bp1", "bp2"]);
}

// === what is kept ===

#[test]
fn what_was_cut_from_the_history_is_still_known_by_its_time() {
    let settings = rules::Settings { history: 10, ..rules::Settings::default() };
    let many = |from: u32| (0..20).map(|n| format!(" | {}m page", from + n)).collect::<String>();
    #[track_caller]
    fn check(settings: &rules::Settings, rule: &str, timeline: &str, fires: &[&str]) {
        assert_eq!(tell(&compile(&[rule], settings), timeline, "200d").fires, fires);
    }
    check(&settings, LAPSED, &format!("0m buy{}", many(1)), &["90d"]);
    let since = "name = \"since\"\n[[when.all]]\nlast = \"Product Added\"\nover = \"3h\"\n\
                 [[when.all]]\ndid_not = \"Order Completed\"\nsince = \"Product Added\"";
    check(&settings, since, &format!("0m add{}", many(1)), &["3h"]);
    check(&settings, since, &format!("0m add | 1m buy{}", many(2)), &[]);
    check(&settings, since, &format!("0m buy | 1m add{}", many(2)), &["3h1m"]);
    let silent = "name = \"silent\"\nwhen = { did_not = \"Order Completed\", within = \"2h\" }";
    check(&settings, silent, &format!("0m view | 30m buy{}", many(31)), &["2h30m"]);
}

#[test]
fn the_same_journal_gives_the_same_occasions() {
    let program = compile(&[CART, VIEWED, FORM], &rules::Settings::default());
    let occasions = || {
        let mut loaded = Loaded::default();
        let batch: Vec<_> = "0m add c1 | 1m form | 40m view p1 | 41m view p1 | 42m view p1"
            .split('|')
            .enumerate()
            .map(|(n, text)| (Position(n as u64 + 1), event(text.trim(), n)))
            .collect();
        let now = START + length("42m");
        let changes = super::events(&mut loaded, &batch, now, &program, &identity::Settings::default());
        changes.activations.iter().map(|a| a.occasion).collect::<Vec<_>>()
    };
    let once = occasions();
    assert_eq!(once, occasions());
    assert_eq!(once.iter().collect::<HashSet<_>>().len(), 3);
}

#[test]
fn a_trigger_that_is_new_notes_what_is_true_without_firing() {
    let mut story = tell(&compile(&[], &rules::Settings::default()), "0m form | 10m add c1", "20m");
    let program = compile(&[FORM, CART], &rules::Settings::default());
    let people: Vec<PersonId> = story.loaded.people.keys().copied().collect();
    let changes = super::adopt(&mut story.loaded, &people, START + length("20m"), &program);
    assert_eq!((changes.decisions.len(), changes.people.len()), (0, 1));
    run_timers(&mut story, &program, START + length("1d"));
    // The form's edge lies before the trigger's birth; the cart's comes after it.
    assert_eq!(story.fires, ["40m c1"]);
    let watches: HashMap<_, _> = story.loaded.people.values().flat_map(|p| &p.watches).collect();
    assert!(!watches.is_empty());
}

// === engagement ===

fn level(is: &str) -> String {
    format!("name = \"level\"\nwhen = {{ trait = \"engagement.level\", is = \"{is}\" }}\n")
}

#[test]
fn time_alone_makes_somebody_inactive() {
    check(&level("inactive"), "0m mail", &["14d"]);
    check(&level("inactive"), "0m mail | 10d open | 12d mail", &["24d"]);
    check(&level("inactive"), "0m mail | 10d open is_machine=true", &["14d"]);
    // Without an e-mail in the window there is no level; with the next there is one again.
    check(&level("inactive"), "0m page", &[]);
    check(&level("inactive"), "0m mail | 100d mail", &["14d", "100d"]);
}

#[test]
fn both_rates_make_somebody_high_until_time_takes_them_away() {
    check(&level("high"), "0m mail | 1h open | 2h click", &["2h"]);
    check(&level("high"), "0m mail | 1h open", &[]);
    // An open or a click takes the reason from what has not left.
    check(&level("moderate"), "0m mail | 1h open | 2h click", &["0m", "0m cancelled"]);
    // One open of six is too few; when the mails of the first day have left the window it is one of one.
    let mails = "0m mail | 1m mail | 2m mail | 3m mail | 4m mail | 80d mail | 80d1h open | 80d2h click";
    check(&level("high"), mails, &["90d"]);
}

#[test]
fn a_rate_is_asked_when_what_it_counts_leaves() {
    let rate = "name = \"rate\"\nwhen = { trait = \"engagement.open_rate\", at_least = 0.5 }\n";
    check(rate, "0m mail | 1h mail | 2h mail | 3h open", &["90d"]);
    let none = "name = \"none\"\nwhen = { trait = \"engagement.click_rate\", exists = false }\n";
    check(none, "0m mail | 1h click", &["90d"]);
}
