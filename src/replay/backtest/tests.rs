//! People by what they did, counts out. `check` is the only place that calls the API.

use std::sync::Arc;

use super::*;
use crate::model::{Entry, History, Identifier, IdentifierKind, Origin, PersonId, Position, RawJson};
use crate::rules::Settings;

const MIDNIGHT: Timestamp = Timestamp::from_millis(1_767_225_600_000);

const LEFT: &str = r#"
name = "left"
cooldown = "24h"
[[when.all]]
last = "Product Added"
over = "30m"
[[when.all]]
did_not = "Order Completed"
since = "Product Added"
"#;

fn at(minute: i64) -> Timestamp {
    MIDNIGHT + Span::from_minutes(minute)
}

/// Somebody first seen at this minute, who did this since: minute, name.
fn person(n: u64, first_seen: i64, did: &[(i64, &str)]) -> Person {
    let name = Identifier::new(IdentifierKind::UserId, format!("u{n}"));
    let mut person = Person::new(PersonId::of(&name, Position(n)), Position(n), at(first_seen));
    let entry = |(place, (minute, name)): (usize, &(i64, &str))| {
        let position = Position(place as u64 + 100 * n);
        Entry::new(at(*minute), position, (*name).into(), Origin::System, None, RawJson::empty())
    };
    person.history = History::from_parts(did.iter().enumerate().map(entry).collect(), Default::default());
    person.identifiers.push(name);
    person
}

fn file(rule: &str) -> (String, String) {
    ("t.toml".into(), format!("{rule}\n[[activate]]\ndestination = \"esp\"\nevent = \"Go\"\n"))
}

fn test(rule: &str, old: Option<&str>, people: &[Person], since: i64, until: i64) -> Report {
    test_with("", rule, old, people, since, until)
}

fn test_with(gates: &str, rule: &str, old: Option<&str>, people: &[Person], since: i64, until: i64) -> Report {
    let settings = Settings { gates: toml::from_str(gates).expect("gates"), ..Settings::default() };
    let program = Program::compile(&[file(rule)], &settings, None).expect("a trigger");
    let names = identity::Settings::default();
    let since = if since == i64::MIN { Timestamp::MIN } else { at(since) };
    let question = Question::new(Arc::new(program.clone()), names, None, since, at(until));
    let mut question = question.expect("a trigger");
    if let Some(old) = old {
        let (name, text) = file(old);
        question = question.against(program.read_trigger(&name, &text).expect("a trigger"));
    }
    // In two parts, as threads take them.
    let mut all = Backtest::default();
    for part in people.chunks(people.len().div_ceil(2).max(1)) {
        let mut some = Backtest::default();
        part.iter().for_each(|person| some.add(&question, person));
        all.absorb(some);
    }
    all.report(&question, true)
}

#[test]
fn edges_are_counted_by_what_became_of_them() {
    let people = [
        person(1, 0, &[(0, "Product Added"), (60, "Product Added"), (1_500, "Product Added")]),
        person(2, 0, &[(0, "Product Added"), (29, "Order Completed")]),
        person(3, 5, &[(10, "Page Viewed")]),
    ];
    let report = test(LEFT, None, &people, i64::MIN, 3 * 1_440);
    let left = &report.triggers[0];
    assert_eq!((report.people, report.events, report.since), (3, 6, at(0)));
    assert_eq!((left.fires, left.people), (2, 1));
    assert_eq!(left.verdicts, [("activated".into(), 2), ("cooling_down".into(), 1)].into());
    let days: Vec<_> = left.days.iter().map(|day| (day.day.as_str(), day.fires)).collect();
    assert_eq!(days, [("2026-01-01", 1), ("2026-01-02", 1), ("2026-01-03", 0), ("2026-01-04", 0)]);
    let alone: Vec<u64> = left.conditions.iter().map(|one| one.people).collect();
    assert_eq!(alone, [2, 2], "somebody bought after half an hour less a minute; the add is alone for ever");
    assert_eq!((left.destinations[0].records, left.destinations[0].busiest_day), (2, 1));
}

#[test]
fn what_quiet_hours_delay_is_a_fire_unless_it_is_called_back() {
    let quiet = r#"quiet_hours = { from = "21:00", until = "08:00", zone = "UTC" }"#;
    // At 23:00; one buys before eight.
    let people = [
        person(1, 0, &[(1_380, "Product Added")]),
        person(2, 0, &[(1_380, "Product Added"), (1_500, "Order Completed")]),
    ];
    let rule = format!("expires = \"12h\"\n{LEFT}");
    let left = &test_with(quiet, &rule, None, &people, i64::MIN, 3 * 1_440).triggers[0];
    assert_eq!((left.fires, left.people), (1, 1));
    assert_eq!(left.verdicts, [("delayed".into(), 2), ("cancelled".into(), 1)].into());
    let days: Vec<_> = left.days.iter().map(|day| day.fires).collect();
    assert_eq!(days, [1, 0, 0, 0], "by the edge");
    let sent: Vec<_> = left.destinations[0].days.iter().map(|day| (day.day.as_str(), day.fires)).collect();
    assert_eq!(sent, [("2026-01-02", 1)], "when it leaves");
}

#[test]
fn it_says_when_the_rate_guard_would_have_paused_a_trigger() {
    let guard = "guard = { times = 3, least = 2 }";
    // One fire an hour for two days, then five at once, and five after that.
    let mut people: Vec<Person> = (0..48).map(|n| person(n, 0, &[(n as i64 * 60, "Form")])).collect();
    people.extend((50..55).map(|n| person(n, 0, &[(48 * 60, "Form")])));
    people.extend((60..65).map(|n| person(n, 0, &[(49 * 60 + 7, "Form")])));
    let rule = "name = \"form\"\nwhen = { did = \"Form\", within = \"1m\" }";
    let form = &test_with(guard, rule, None, &people, i64::MIN, 3 * 1_440).triggers[0];
    // Three an hour: of the fires that left in the 48 hours before, and then of 51 in 49.
    assert_eq!(form.guard, Some(Tripped { hours: 2, first: Some(at(48 * 60)), fires: 2 + 1 }));
    assert_eq!(test(rule, None, &people, i64::MIN, 3 * 1_440).triggers[0].guard, None);
}

#[test]
fn fires_near_a_purchase_are_counted() {
    let bought = |minute| person(minute as u64, 0, &[(0, "Product Added"), (minute, "Order Completed")]);
    // The edge is at minute 30.
    let people = [bought(30), bought(31), bought(90), bought(91)];
    let left = &test(LEFT, None, &people, i64::MIN, 1_440).triggers[0];
    assert_eq!((left.fires, left.purchases.within_an_hour_after), (3, 2));
    let people = [person(1, 0, &[(0, "Order Completed"), (30, "Product Added")])];
    let left = &test(LEFT, None, &people, i64::MIN, 1_440).triggers[0];
    assert_eq!((left.fires, left.purchases.within_an_hour_before), (1, 1));
}

#[test]
fn the_period_begins_with_what_is_true_by_then() {
    let people =
        [person(1, 0, &[(0, "Product Added"), (2_000, "Page Viewed")]), person(2, 0, &[(1_999, "Page Viewed")])];
    let report = test(LEFT, None, &people, 1_000, 3_000);
    let left = &report.triggers[0];
    assert_eq!((report.since, left.fires), (at(1_000), 0));
    assert_eq!(left.conditions.iter().map(|one| one.people).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn what_was_true_of_what_was_cut_is_no_edge() {
    let twice = "name = \"twice\"\nwhen = { did = \"Order Completed\", at_least = 2 }\n";
    let cut = |n, times: i64| {
        let mut person = person(n, 0, &(0..times).map(|n| (n, "Order Completed")).collect::<Vec<_>>());
        assert_eq!(person.history.cut(at(times - 1), 1), times as usize - 1);
        person
    };
    let report = test(twice, None, &[cut(1, 2), cut(2, 3)], i64::MIN, 1_440);
    assert_eq!((report.cut.people, report.cut.events), (2, 3));
    assert_eq!((report.triggers[0].fires, report.triggers[0].people), (1, 1));
}

#[test]
fn somebody_known_before_they_did_anything_is_asked_from_then_on() {
    let calm = "name = \"calm\"\nwhen = { did_not = \"Product Added\", within = \"60m\" }\n";
    let report = test(calm, None, &[person(1, 0, &[(200, "Page Viewed")]), person(2, 0, &[])], i64::MIN, 300);
    assert_eq!(report.triggers[0].fires, 2);
    assert_eq!(report.triggers[0].days[0].fires, 2);
    // If only by a message of the instant at which they did something, and not by what they did.
    let never = "name = \"never\"\nwhen = { did = \"Page Viewed\", at_most = 0 }\n";
    let known = person(1, 5, &[(5, "Page Viewed")]);
    let new = Person { created: Position(100), ..known.clone() };
    let fires = |person| test(never, None, &[person], i64::MIN, 300).triggers[0].fires;
    assert_eq!((fires(known), fires(new)), (1, 0));
}

#[test]
fn two_versions_are_compared_fire_by_fire() {
    let longer = LEFT.replace("30m", "40m").replace("\"left\"", "\"other-name\"");
    let people = [
        person(1, 0, &[(0, "Product Added")]),
        person(2, 0, &[(0, "Product Added"), (35, "Order Completed")]),
        person(3, 0, &[(1_405, "Product Added")]),
    ];
    let report = test(LEFT, Some(&longer), &people, i64::MIN, 2_000);
    let compared = report.triggers[0].against.as_ref().expect("a comparison");
    assert_eq!((report.triggers[0].fires, compared.fires, compared.people), (3, 2, 2));
    assert_eq!(compared.both, Share { fires: 1, people: 1 });
    assert_eq!(compared.only_new, Share { fires: 2, people: 2 });
    assert_eq!(compared.only_old, Share { fires: 1, people: 1 });
}
