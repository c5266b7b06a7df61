//! What a survey of a HubSpot account asks, and what it makes of the answers.

use serde_json::json;

use super::*;
use crate::destination::hubspot::HubSpot;
use crate::destination::testing::{NOW, Surveyed, came, need};
use crate::model::Action;

const READ: &str = "crm.objects.contacts.read";
const ALL: [&str; 6] =
    ["crm.objects.contacts.write", READ, "analytics.behavioral_events.send", DEFINITIONS, LISTS, "crm.lists.write"];

fn surveyed(needs: Vec<Need>, vendor: impl FnMut(&Request) -> Answer) -> Surveyed {
    let settings = json!({ "token": "secret", "hub_id": 7 });
    Surveyed::at(NOW, &HubSpot::new("lane", serde_json::from_value(settings).expect("settings")), needs, vendor)
}

fn forbidden() -> Answer {
    came(403, json!({ "category": "MISSING_SCOPES", "message": "no" }))
}

/// An account with one list, and a token of a private app with these scopes.
fn vendor(scopes: &'static [&'static str], list: Value) -> impl FnMut(&Request) -> Answer {
    move |request| match request.path.as_str() {
        TOKEN => came(200, json!({ "hubId": 7, "scopes": scopes })),
        "/crm/lists/2026-03/1" => came(200, json!({ "list": list })),
        "/events/2026-03/event-definitions" => came(200, json!({ "results": [] })),
        _ => came(404, json!({ "category": "OBJECT_NOT_FOUND", "message": "no" })),
    }
}

#[track_caller]
fn check(list: Value, wanted: &str) {
    let told = surveyed(vec![need(Action::AddToList("1".into()))], vendor(&ALL, list));
    assert_eq!(told.paths(), [TOKEN, "/events/2026-03/event-definitions", "/crm/lists/2026-03/1"]);
    assert_eq!(told.lines(), [wanted]);
}

#[test]
fn a_list_has_to_take_contacts_by_hand() {
    let of = |kind: &str, holds: &str| json!({ "name": "VIP", "processingType": kind, "objectTypeId": holds });
    check(of("MANUAL", "0-1"), "note list 1: is `VIP`");
    check(of("SNAPSHOT", "0-1"), "note list 1: is `VIP`");
    let words = "is `VIP`, and dynamic: HubSpot fills it by its filters, and takes no members; make a static one";
    check(of("DYNAMIC", "0-1"), &format!("differs list 1: {words}"));
    let words = "is `VIP`, and holds no contacts (object type 0-2): take another";
    check(of("MANUAL", "0-2"), &format!("differs list 1: {words}"));
    let mut gone = of("MANUAL", "0-1");
    gone["deletedAt"] = "2026-11-01T00:00:00Z".into();
    check(gone, "by hand list 1: is `VIP`, and was deleted: restore it, or take another");
    let none = surveyed(vec![need(Action::RemoveFromList("2".into()))], vendor(&ALL, Value::Null));
    assert!(none.lines()[0].starts_with("by hand list 2: is not there"), "{:?}", none.lines());
}

#[test]
fn the_token_of_a_private_app_says_its_scopes_and_its_account() {
    let needs = || vec![need(Action::Event("E".into())), need(Action::AddToList("1".into()))];
    let list = json!({ "name": "VIP", "processingType": "MANUAL", "objectTypeId": "0-1" });
    let has = &["crm.objects.contacts.write", DEFINITIONS, LISTS];
    let told = surveyed(needs(), vendor(has, list.clone()));
    let scopes: Vec<String> = told.lines().into_iter().filter(|line| line.contains(" scope")).collect();
    assert_eq!(
        scopes,
        ["analytics.behavioral_events.send", "crm.lists.write"]
            .map(|scope| format!("by hand scope {scope}: the token has it not: the vendor refuses what needs it"))
    );
    let body: Value = serde_json::from_slice(&told.asked[0].body).expect("JSON");
    assert_eq!(body, json!({ "tokenKey": "secret" }), "in the body, and never in the address");

    // Who is taken out of a list is read, and never written.
    let removal = || vec![need(Action::RemoveFromList("1".into()))];
    let told = surveyed(removal(), vendor(&[LISTS, "crm.lists.write"], list.clone()));
    let wanted = format!("by hand scope {READ}: the token has it not: the vendor refuses what needs it");
    assert_eq!(told.lines().into_iter().filter(|line| line.contains(" scope")).collect::<Vec<_>>(), [wanted]);

    let told = surveyed(vec![need(Action::Profile)], |request| match request.path.as_str() {
        TOKEN => came(200, json!({ "hubId": 8, "scopes": ["crm.objects.contacts.write"] })),
        _ => came(200, json!({})),
    });
    let words = "by hand hub_id: the token is of account 8: write that number, or take a token of 7";
    assert_eq!(told.lines(), [words]);
}

#[test]
fn what_other_credentials_may_do_is_not_seen_and_told_once() {
    for status in [400, 401, 403, 404] {
        let needs = vec![need(Action::Event("E".into())), need(Action::RemoveFromList("1".into()))];
        let told = surveyed(needs, |request| match request.path.as_str() {
            TOKEN => came(status, json!({ "message": "no such token" })),
            _ => vendor(&[], json!({ "name": "VIP" }))(request),
        });
        let unseen: Vec<String> = told.lines().into_iter().filter(|line| line.contains(" scope")).collect();
        let words = format!("note scopes {}: cannot be seen without sending: only the token of", ALL.join(", "));
        assert!(unseen.len() == 1 && unseen[0].starts_with(&words), "{status}: {unseen:?}");
    }
    let refused = surveyed(vec![need(Action::Event("E".into()))], |_| came(401, json!({ "message": "no" })));
    assert_eq!(refused.differences.err(), Some(Halt::Credentials("no".into())), "the other questions tell that");
}

#[test]
fn a_question_that_is_refused_is_told_and_the_others_are_asked() {
    let needs = || {
        ["1", "2"]
            .map(|id| need(Action::AddToList(id.into())))
            .into_iter()
            .chain([need(Action::Event("E".into()))])
            .collect::<Vec<_>>()
    };
    let refusing = |part: &'static str| {
        move |request: &Request| match request.path.contains(part) {
            true => forbidden(),
            false => vendor(&ALL, json!({ "name": "VIP" }))(request),
        }
    };
    let lists = surveyed(needs(), refusing("/crm/lists"));
    assert_eq!(lists.asked.len(), 3, "the second list is not asked for");
    assert!(
        lists
            .lines()
            .iter()
            .any(|line| line.starts_with("by hand scope crm.lists.read: the token has it not; how lists are"))
    );
    let definitions = surveyed(needs(), refusing("event-definitions"));
    let lines = definitions.lines();
    let words = "by hand scope behavioral_events.event_definitions.read_write: the token has it not, or the account is no Enterprise";
    assert!(lines.iter().any(|line| line.starts_with(words)), "{lines:?}");
    assert!(lines.contains(&"note list 1: is `VIP`".to_owned()), "{lines:?}");
    let moved = surveyed(needs(), |request| match request.path.contains("event-definitions") {
        true => came(404, json!({ "message": "no" })),
        false => vendor(&ALL, json!({ "name": "VIP" }))(request),
    });
    let lines = moved.lines();
    assert!(lines.iter().any(|line| line.starts_with("by hand event definitions: cannot be read (404: ")), "{lines:?}");
    // Below Enterprise there are lists and contacts all the same.
    let profile = surveyed(vec![need(Action::Profile)], refusing("event-definitions"));
    assert_eq!(profile.lines(), [""; 0]);
}

#[test]
fn a_version_is_held_against_the_vendors_table() {
    let told = |version: &str, now: &str| {
        let settings = json!({ "token": "t", "hub_id": 7, "version": version });
        let hubspot = HubSpot::new("lane", serde_json::from_value(settings).expect("settings"));
        let now = Timestamp::parse(now).expect("an instant");
        Surveyed::at(now, &hubspot, [], |_| came(200, json!({}))).lines()
    };
    let way_out = "set `version = \"2026-09\"`, which enforces an administrator's rules on what is written";
    assert_eq!(told("v3", "2026-11-29T00:00:00Z"), [""; 0]);
    assert_eq!(
        told("v3", "2027-04-01T00:00:00Z"),
        [format!("note API version v3: is supported until about 2027-09-01: {way_out}")]
    );
    let past = told("2026-03", "2027-10-01T00:00:00Z");
    assert_eq!(past, [format!("by hand API version 2026-03: has been supported until about 2027-09-30: {way_out}")]);
    assert_eq!(told("2026-09", "2027-08-01T00:00:00Z"), [""; 0]);
    assert_eq!(told("2026-09", "2028-01-01T00:00:00Z").len(), 1);
}
