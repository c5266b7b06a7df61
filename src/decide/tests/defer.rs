//! What waits for the night of its destination.

use super::*;
use crate::model::Zone;
use crate::rules::gate::QuietHours;

/// One thing goes at once where `esp` is said, and one waits for the night of `crm`, at three.
fn program(starts: &[&str], quiet: Option<&str>, most: Option<u32>) -> Program {
    let quiet_hours = quiet.map(|zone| QuietHours {
        from: "21:00".parse().expect("a time"),
        until: "08:00".parse().expect("a time"),
        zone: Zone::named(zone).expect("a zone"),
    });
    let cap = most.map(|most| rules::gate::Cap { most, within: Span::from_hours(48) });
    let cap = rules::gate::Caps(cap.into_iter().collect());
    let gates = rules::gate::Settings { quiet_hours, cap, ..Default::default() };
    let nights = rules::Nights::new(Zone::UTC, [("crm".into(), "0 3 * * *".parse().expect("a schedule"))]);
    let settings = rules::Settings { gates, nights, ..Default::default() };
    let starts = starts.iter().map(|lane| {
        let defer = if *lane == "esp" { "" } else { ", defer = true" };
        format!("{{ destination = \"{lane}\", event = \"Go\"{defer} }}")
    });
    let starts = starts.collect::<Vec<_>>().join(", ");
    let rule = CART.replace("\"4h\"", "\"2d\"");
    let place = rule.find("[[when").expect("a condition");
    let text = format!("{}\nactivate = [{starts}]\n{}", &rule[..place], &rule[place..]);
    Program::compile(&[("rule.toml".to_owned(), text)], &settings, None)
        .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[track_caller]
fn told(program: &Program, timeline: &str, fires: &[&str]) {
    assert_eq!(tell(program, timeline, "10d").fires, fires, "{timeline}");
}

/// It begins at midnight of UTC.
#[test]
fn what_is_deferred_waits_for_the_night_and_is_called_back_until_then() {
    let crm = program(&["crm"], None, None);
    told(&crm, "0m add c1", &["30m c1 deferred until 3h"]);
    told(&crm, "2h30m add c1", &["3h c1 deferred until 1d3h"]);
    told(&crm, "0m add c1 | 2h buy c1", &["30m c1 deferred until 3h", "30m c1 cancelled"]);
    // Of what leaves at once and of what does not: the recall takes out what is still there.
    told(&program(&["esp", "crm"], None, None), "0m add c1 | 2h buy c1", &["30m c1", "30m c1 cancelled"]);
    // A destination without a night.
    told(&program(&["other"], None, None), "0m add c1", &["30m c1"]);
}

#[test]
fn of_the_night_and_quiet_hours_the_later_holds() {
    // In Lisbon the night of UTC lies within quiet hours: it leaves when they end.
    told(&program(&["crm"], Some("Europe/Lisbon"), None), "0m add c1", &["30m c1 delayed until 8h"]);
    told(&program(&["crm"], Some("Europe/Lisbon"), None), "12h add c1", &["12h30m c1 deferred until 1d8h"]);
    // In Auckland it is day then, and was when it fired.
    told(&program(&["crm"], Some("Pacific/Auckland"), None), "0m add c1", &["30m c1 deferred until 3h"]);
    // Quiet when it fires, and at night, which is the evening there.
    told(&program(&["crm"], Some("America/New_York"), None), "12h add c1", &["12h30m c1 deferred until 1d13h"]);
}

/// What waits has its place under a cap until it leaves, and each activation says when it does.
#[test]
fn each_says_when_it_leaves() {
    let both = program(&["esp", "crm"], None, None);
    let mut loaded = Loaded::default();
    let events = [(Position(1), event("0m add c1", 0))];
    super::super::events(&mut loaded, &events, START, &both, &identity::Settings::default());
    let id = *loaded.people.keys().next().expect("somebody");
    let edge = START + Span::from_minutes(30);
    let changes = super::super::timers(&mut loaded, &[id], edge, edge, &both);
    let leave: Vec<_> = changes.activations.iter().map(|one| (&*one.lane, one.not_before)).collect();
    assert_eq!(leave, [("esp", None), ("crm", Some(START + Span::from_hours(3)))]);
    assert_eq!(loaded.people[&id].pending[0].not_before, None, "something of it has left");
    // A cap of one: the second edge comes while the first waits.
    let capped = program(&["crm"], None, Some(1));
    told(&capped, "0m add c1 | 25h add c2", &["30m c1 deferred until 3h", "1d1h30m c2 cap"]);
    told(
        &capped,
        "0m add c1 | 2h buy c1 | 25h add c2",
        &["30m c1 deferred until 3h", "30m c1 cancelled", "1d1h30m c2 deferred until 1d3h"],
    );
}
