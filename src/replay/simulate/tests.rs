//! What people buy is everybody's: it must not depend on the cores, nor on when somebody comes again.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::model::sales::ORDER;
use crate::model::{EventKind, Identifier, IdentifierKind, Origin};
use crate::rules;

const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);
const FOLLOWED_UP: &str = r#"
name = "t"
activate = [{ destination = "esp", event = "Go" }]
when = { last = "Order Completed", over = "1d" }
[recommend]
by = ["bought-together", "popular"]
"#;

/// Who, how many hours after the start, and which products they ordered; without any they only look.
type Did = (u8, i64, Vec<u8>);

fn event((who, hour, products): &Did) -> Event {
    let listed: Vec<_> = products.iter().map(|n| json!({ "product_id": format!("p{n}") })).collect();
    let name = if listed.is_empty() { "Page Viewed" } else { ORDER };
    let at = START + Span::from_hours(*hour);
    Event {
        kind: EventKind::Did,
        name: name.into(),
        at,
        claimed_at: None,
        arrived: at,
        source: "test".into(),
        origin: Origin::System,
        dedupe: Vec::new(),
        identifiers: vec![Identifier::new(IdentifierKind::UserId, format!("u{who}"))],
        session: None,
        properties: RawJson::from_value(&json!({ "products": listed })),
        traits: RawJson::empty(),
    }
}

fn fires(did: &[Did], cores: usize, until: i64) -> Vec<Fire> {
    let files = [("t.toml".to_owned(), FOLLOWED_UP.to_owned())];
    let program = Program::compile(&files, &rules::Settings::default(), None).expect("a good file");
    let until = Some(START + Span::from_hours(until));
    let events = did.iter().map(event).collect();
    on_cores(cores, events, &program, &identity::Settings::default(), until, &Sold::default()).fires
}

/// What is deferred is told with when it leaves, until then something may call it back, and nothing of it fires twice.
#[test]
fn what_waits_for_a_night_is_told() {
    const DEFERRED: &str = r#"
name    = "t"
expires = "2d"
activate = [{ destination = "esp", event = "Go", defer = true }]
[[when.all]]
did = "Page Viewed"
[[when.all]]
did_not = "Order Completed"
since   = "Page Viewed"
"#;
    let nights =
        rules::Nights::new(crate::model::Zone::UTC, [("esp".into(), "0 3 * * *".parse().expect("a schedule"))]);
    let settings = rules::Settings { nights, ..Default::default() };
    let program =
        Program::compile(&[("t.toml".to_owned(), DEFERRED.to_owned())], &settings, None).expect("a good file");
    let did = [(1, 4, vec![]), (2, 5, vec![]), (2, 6, vec![9])];
    let events = did.iter().map(event).collect();
    let until = Some(START + Span::from_hours(48));
    let told = on_cores(1, events, &program, &identity::Settings::default(), until, &Sold::default()).fires;
    let told: Vec<_> = told.iter().map(|fire| (fire.gate, fire.not_before, fire.is_dropped())).collect();
    let night = START + Span::from_hours(27);
    assert_eq!(told, [(Some("deferred"), Some(night), false), (Some("cancelled"), None, true)]);
}

/// Who gets which products recommended, after how many hours.
#[track_caller]
fn check(did: &[Did], until: i64, wanted: &[(&str, i64, &[&str])]) {
    let found = fires(did, 1, until);
    let found: Vec<_> = found
        .iter()
        .map(|fire| {
            let (person, payload) = (fire.person.to_value(), fire.payload.to_value());
            let ids = payload["recommended"].as_array().into_iter().flatten();
            let ids: Vec<String> = ids.map(|said| said["product_id"].as_str().unwrap_or_default().into()).collect();
            let hour = fire.at.whole(Span::HOUR) - START.whole(Span::HOUR);
            (person["user_id"].as_str().unwrap_or_default().to_owned(), hour, ids)
        })
        .collect();
    let wanted: Vec<_> = wanted
        .iter()
        .map(|(who, hour, ids)| ((*who).to_owned(), *hour, ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>()))
        .collect();
    assert_eq!(found, wanted);
}

#[test]
fn an_order_counts_from_the_next_count_on() {
    // Counted at 0, 6, 12 ... o'clock. Who orders at 24 is asked at 48, before what counts then.
    let did = [(1, 24, vec![1]), (2, 47, vec![1, 2]), (1, 60, vec![])];
    check(&did, 60, &[("u1", 48, &["p2"])]);
    let did = [(1, 25, vec![1]), (2, 48, vec![1, 2]), (1, 60, vec![])];
    check(&did, 60, &[("u1", 49, &[])]);
}

#[test]
fn what_is_ordered_later_is_not_recommended() {
    let did = [(1, 0, vec![1]), (2, 100, vec![1, 2]), (1, 110, vec![])];
    check(&did, 125, &[("u1", 24, &[]), ("u2", 124, &[])]);
}

proptest! {
    #[test]
    fn it_is_the_same_on_any_number_of_cores(
        did in prop::collection::vec((0_u8..5, 0_i64..200, prop::collection::vec(0_u8..6, 0..4)), 1..40),
        cores in 2_usize..5,
    ) {
        prop_assert_eq!(fires(&did, cores, 400), fires(&did, 1, 400));
    }
}
