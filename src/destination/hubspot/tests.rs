use serde_json::{Value, json};

use super::answer::{Verdict, verdict};
use super::*;
use crate::destination::testing::{NOW, Talk, came, doing, item, of, with};
use crate::destination::{Halt, Item};
use crate::model::http::Answer;
use crate::model::{Action, Identifier, IdentifierKind, Outcome};

const UPSERT: &str = "/crm/objects/2026-03/contacts/batch/upsert";
const READ: &str = "/crm/objects/2026-03/contacts/batch/read";
const FORGET: &str = "/crm/objects/2026-03/contacts/gdpr-delete";
const SEND: &str = "/events/2026-03/send/batch";

fn talk(batch: Vec<Item>, vendor: impl FnMut(usize, &Request) -> Answer) -> Talk {
    let settings = serde_json::from_value(json!({ "token": "t", "hub_id": 7 })).expect("settings");
    Talk::with(HubSpot::new("lane", settings).exchange(batch), vendor)
}

fn items(n: u8) -> Vec<Item> {
    (0..n).map(item).collect()
}

/// Every contact of an upsert is there, made at `created`.
fn contacts(request: &Request, created: &str) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let results: Vec<Value> = body["inputs"]
        .as_array()
        .expect("inputs")
        .iter()
        .enumerate()
        .rev()
        .map(|(n, input)| json!({ "id": n.to_string(), "createdAt": created, "objectWriteTraceId": input["objectWriteTraceId"] }))
        .collect();
    came(200, json!({ "status": "COMPLETE", "results": results }))
}

const LONG_AGO: &str = "2026-01-02T10:00:00Z";

/// The table of vendor answers, row by row.
#[test]
fn each_answer_means_what_the_vendor_says() {
    let error = json!({ "category": "VALIDATION_ERROR", "message": "Invalid input" });
    for status in [200, 201, 204, 207] {
        assert_eq!(verdict(&came(status, Value::Null), NOW), Verdict::Done, "{status}");
    }
    for status in [400, 404, 413, 414] {
        assert!(matches!(verdict(&came(status, error.clone()), NOW), Verdict::Refused(_)), "{status}");
    }
    assert!(matches!(verdict(&came(401, error.clone()), NOW), Verdict::Halt(Halt::Credentials(_))));
    assert!(matches!(verdict(&came(403, error.clone()), NOW), Verdict::Halt(Halt::Configuration(_))));
    assert_eq!(verdict(&came(409, error), NOW), Verdict::Exists);
    let Verdict::Later(Outcome::Later { not_before, .. }) = verdict(&came(423, Value::Null), NOW) else { panic!() };
    assert_eq!(not_before, NOW + Span::from_secs(2));
    let until = |answer: Answer| match verdict(&answer, NOW) {
        Verdict::Halt(Halt::Quota { until, .. }) => until.since(NOW),
        other => panic!("{other:?}"),
    };
    assert_eq!(until(with("retry-after", "4", 429, Value::Null)), Span::from_secs(4));
    let rolling = json!({ "policyName": "TEN_SECONDLY_ROLLING" });
    assert_eq!(until(with("x-hubspot-ratelimit-interval-milliseconds", "1000", 429, rolling)), Span::from_secs(1));
    assert_eq!(until(came(429, Value::Null)), Span::from_secs(10));
    assert_eq!(until(came(429, json!({ "policyName": "DAILY" }))), Span::from_hours(1));
    assert_eq!(until(with("retry-after", "3600", 477, Value::Null)), Span::from_hours(1));
    assert_eq!(until(came(477, Value::Null)), Span::from_minutes(10));
    for status in [408, 500, 502, 503, 504, 521, 522, 523, 524] {
        assert!(matches!(verdict(&came(status, Value::Null), NOW), Verdict::Down(..)), "{status}");
    }
    for answer in [Answer::NotSent("x".into()), Answer::Unclear("x".into())] {
        assert!(matches!(verdict(&answer, NOW), Verdict::Down(..)));
    }
}

#[test]
fn contacts_go_first_each_once_and_answers_are_matched_by_trace() {
    let mut batch = items(4);
    batch[3].activation.identifiers = batch[1].activation.identifiers.clone();
    let talk = talk(batch, |_, request| match request.path.as_str() {
        UPSERT => contacts(request, LONG_AGO),
        _ => came(204, Value::Null),
    });
    assert_eq!(talk.paths(), [UPSERT, SEND]);
    assert_eq!(talk.body(0)["inputs"].as_array().map(Vec::len), Some(3));
    let ids: Vec<_> =
        talk.body(1)["inputs"].as_array().expect("inputs").iter().map(|e| e["objectId"].clone()).collect();
    assert_eq!(ids, ["0", "1", "2", "1"], "the answer came in another order");
    assert_eq!(talk.words(), vec!["accepted"; 4]);
}

/// Else it enrols nobody.
#[test]
fn no_event_lies_before_its_contact() {
    let occurred = |created: &str| {
        let talk = talk(items(1), |_, request| match request.path.as_str() {
            UPSERT => contacts(request, created),
            _ => came(204, Value::Null),
        });
        talk.body(1)["inputs"][0]["occurredAt"].clone()
    };
    let edge = item(0).activation.at.to_string();
    let made = NOW.to_string();
    assert_eq!(occurred(LONG_AGO), edge);
    assert_eq!(occurred(&made), made);
    assert_eq!(occurred("no instant"), edge);
}

#[test]
fn a_named_contact_is_refused_and_the_others_go_on() {
    let talk = talk(items(3), |_, request| {
        if request.path != UPSERT {
            return came(204, Value::Null);
        }
        let traces = |n: u8| super::body::trace(&super::Key::default(), &format!("p{n}@example.com"));
        came(
            207,
            json!({
                "results": [{ "id": "10", "objectWriteTraceId": traces(0) }],
                "errors": [{ "category": "VALIDATION_ERROR", "message": "p1@example.com is wrong",
                             "context": { "objectWriteTraceId": [traces(1)] } }],
            }),
        )
    });
    assert_eq!(talk.words(), ["accepted", "refused", "later"], "of the third it says nothing");
    let Some((207, Outcome::Refused { code, words })) = &talk.outcomes[1] else { panic!() };
    assert_eq!((&**code, words.contains('@')), ("VALIDATION_ERROR", false));
}

#[test]
fn a_2xx_that_wrote_nothing_is_no_success() {
    let talk = talk(items(2), |_, _| came(200, json!({ "results": [], "errors": [] })));
    assert_eq!(talk.words(), ["later", "later"]);
    assert_eq!(talk.asked.len(), 1);
}

#[test]
fn one_bad_event_is_found_by_halving() {
    let talk = talk(items(16), |_, request| match request.path.as_str() {
        UPSERT => contacts(request, LONG_AGO),
        _ if request.body.windows(16).any(|w| w == b"\"objectId\":\"11\",") => {
            came(400, json!({ "category": "VALIDATION_ERROR" }))
        }
        _ => came(204, Value::Null),
    });
    for (n, word) in talk.words().into_iter().enumerate() {
        assert_eq!(word, if n == 11 { "refused" } else { "accepted" }, "{n}");
    }
    assert_eq!(talk.asked.len(), 1 + 9, "one upsert, and two calls at each of four levels after the first");
}

#[test]
fn a_complaint_that_an_event_is_known_means_it_is_there() {
    let talk = talk(items(2), |_, request| match request.path.as_str() {
        UPSERT => contacts(request, LONG_AGO),
        _ => came(409, json!({ "category": "CONFLICT" })),
    });
    assert_eq!(talk.words(), ["duplicate", "duplicate"]);
}

#[test]
fn a_contact_needs_an_address() {
    let talk = talk(vec![of(1, Vec::new())], |_, _| unreachable!("nothing to send"));
    assert_eq!(talk.words(), ["refused"]);
}

#[test]
fn every_version_has_its_paths() {
    for (version, upsert, send) in [
        ("v3", "/crm/v3/objects/contacts/batch/upsert", "/events/v3/send/batch"),
        ("2026-03", UPSERT, SEND),
        ("2026-09", "/crm/objects/2026-09/contacts/batch/upsert", "/events/custom/2026-09/send/batch"),
    ] {
        let settings =
            serde_json::from_value(json!({ "token": "t", "hub_id": 7, "version": version })).expect("settings");
        let talk = Talk::with(HubSpot::new("lane", settings).exchange(items(1)), |_, request| {
            if request.path == upsert { contacts(request, LONG_AGO) } else { came(204, Value::Null) }
        });
        assert_eq!(talk.paths(), [upsert, send]);
    }
}

// === lists and contacts ===

/// Where members of a list are put, or taken out.
fn members(list: &str, verb: &str) -> String {
    format!("/crm/lists/2026-03/{list}/memberships/{verb}")
}

#[test]
fn contacts_go_into_their_lists_when_they_are_there() {
    let into = |n, list: &str| doing(n, Action::AddToList(list.into()));
    let batch = vec![into(1, "7"), into(2, "7"), into(1, "8"), doing(1, Action::RemoveFromList("9".into())), item(3)];
    let talk = talk(batch, |_, request| match request.path.as_str() {
        UPSERT => contacts(request, "2020-01-01T00:00:00Z"),
        READ => read(request, |_| true),
        SEND => came(204, Value::Null),
        _ => members_changed(),
    });
    assert_eq!(talk.words(), ["accepted"; 5]);
    let (seven, eight, nine) = (members("7", "add"), members("8", "add"), members("9", "remove"));
    assert_eq!(talk.paths(), [UPSERT, READ, SEND, &seven, &eight, &nine]);
    assert_eq!(talk.body(0)["inputs"].as_array().map(Vec::len), Some(3), "each contact once");
    assert_eq!(talk.body(3).as_array().map(Vec::len), Some(2));
}

fn members_changed() -> Answer {
    came(200, json!({ "recordIdsMissing": [], "recordsIdsAdded": [], "recordIdsRemoved": [] }))
}

/// A batch read of those who are contacts: 207 where an address is nobody's.
fn read(request: &Request, is_known: impl Fn(&str) -> bool) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!(body["idProperty"], "email");
    let asked: Vec<&str> =
        body["inputs"].as_array().expect("inputs").iter().map(|input| input["id"].as_str().expect("an id")).collect();
    let (known, missing): (Vec<&str>, Vec<&str>) = asked.into_iter().partition(|email| is_known(email));
    let results: Vec<Value> =
        known.iter().map(|email| json!({ "id": format!("of {email}"), "properties": { "email": email } })).collect();
    if missing.is_empty() {
        return came(200, json!({ "status": "COMPLETE", "results": results }));
    }
    let error = json!({ "category": "OBJECT_NOT_FOUND", "context": { "ids": missing } });
    came(207, json!({ "status": "COMPLETE", "results": results, "numErrors": 1, "errors": [error] }))
}

/// Who is no contact is in no list: nothing is made of them.
#[test]
fn who_is_taken_out_of_a_list_is_not_made() {
    let batch = || (1..4).map(|n| doing(n, Action::RemoveFromList("9".into()))).collect();
    let nine = members("9", "remove");
    let some = talk(batch(), |_, request| match request.path.as_str() {
        READ => read(request, |email| email.starts_with("p2")),
        _ => members_changed(),
    });
    assert_eq!((some.words(), some.paths()), (vec!["accepted"; 3], vec![READ, nine.as_str()]));
    assert_eq!(some.body(1), json!(["of p2@example.com"]));
    assert!(some.asked.iter().all(|request| !request.path.contains('@') && request.query.is_empty()));
    let none = talk(batch(), |_, request| read(request, |_| false));
    assert_eq!((none.words(), none.paths()), (vec!["accepted"; 3], vec![READ]));
    // A path that is wrong tells of nobody.
    let lost = talk(batch(), |_, _| came(404, json!({ "message": "resource not found" })));
    assert_eq!(lost.words(), ["refused"; 3]);
}

/// A contact may answer by another of its addresses than the one that was asked for.
#[test]
fn a_contact_is_known_by_its_further_addresses() {
    let batch = || vec![doing(1, Action::RemoveFromList("9".into())), doing(2, Action::RemoveFromList("9".into()))];
    let with = |further: Value| {
        talk(batch(), move |_, request| match request.path.as_str() {
            READ if String::from_utf8_lossy(&request.body).contains("p1@example.com") => {
                let properties = json!({ "email": "other@example.com", "hs_additional_emails": further });
                came(207, json!({ "results": [{ "id": "51", "properties": properties }], "errors": [{}] }))
            }
            READ => came(207, json!({ "results": [], "errors": [{}] })),
            _ => members_changed(),
        })
    };
    let told = with(json!("x@example.com;P1@example.com"));
    assert_eq!((told.words(), told.paths().len(), told.body(1)), (vec!["accepted"; 2], 2, json!(["51"])));
    // Where it does not tell them, each is asked for by itself.
    let silent = with(Value::Null);
    assert_eq!((silent.words(), silent.paths()[..3].to_vec()), (vec!["accepted"; 2], vec![READ, READ, READ]));
    assert_eq!((silent.paths().len(), silent.body(3)), (4, json!(["51"])));
}

#[test]
fn who_is_forgotten_is_so_by_each_address() {
    let address = |email: &str| crate::model::Identifier::new(crate::model::IdentifierKind::Email, email);
    let gone = || {
        let mut gone = doing(1, Action::Erase);
        gone.activation.identifiers = vec![address("p1@example.com"), address("q1@example.com")];
        gone
    };
    let forgets = |status: u16| {
        talk(vec![item(1), gone()], move |_, request| match request.path.as_str() {
            FORGET => came(status, json!({ "message": "x" })),
            UPSERT => contacts(request, LONG_AGO),
            _ => came(204, Value::Null),
        })
    };
    let well = forgets(204);
    // Whoever is met anew at the address is written after that.
    assert_eq!((well.words(), well.paths()), (vec!["accepted"; 2], vec![FORGET, FORGET, UPSERT, SEND]));
    assert_eq!(well.body(1), json!({ "objectId": "q1@example.com", "idProperty": "email" }));
    // A missing scope stops nobody else, and a path that is not there forgets nobody.
    // One refused address keeps no other from being forgotten; without the scope there is none to be asked for.
    let both = vec![FORGET, FORGET, UPSERT, SEND];
    for (status, paths) in [(403, both[1..].to_vec()), (404, both.clone()), (400, both)] {
        let refused = forgets(status);
        assert_eq!((refused.words(), refused.halt.is_none()), (vec!["accepted", "refused"], true), "{status}");
        assert_eq!(refused.paths(), paths, "{status}");
    }
    assert_eq!(forgets(502).words(), ["untried", "later"]);
}

/// One address in the rows of two people, or twice in a batch: one contact, and what came last is known.
#[test]
fn an_address_of_two_people_is_one_contact() {
    let mut batch = vec![doing(1, Action::Profile), item(2), doing(3, Action::Profile)];
    let other = crate::model::Identifier::new(crate::model::IdentifierKind::Email, "P1@Example.com");
    batch[2].activation.identifiers = vec![other];
    batch[2].activation.traits = crate::model::RawJson::trusted(r#"{"last_name":"Braga"}"#);
    let talk = talk(batch, |_, request| match request.path.as_str() {
        UPSERT => contacts(request, LONG_AGO),
        _ => came(204, Value::Null),
    });
    assert_eq!((talk.words(), talk.paths()), (vec!["accepted"; 3], vec![UPSERT, SEND]));
    let inputs = talk.body(0)["inputs"].clone();
    assert_eq!(inputs.as_array().map(Vec::len), Some(2), "duplicates refuse the whole batch");
    assert_eq!(
        (&inputs[0]["properties"]["lastname"], &inputs[0]["properties"]["firstname"]),
        (&json!("Braga"), &json!("Ines"))
    );
}

/// A refusal is about the list, and a missing contact about itself: nothing is halved for either.
#[test]
fn a_list_refuses_all_and_misses_some() {
    let batch = || (1..5).map(|n| doing(n, Action::AddToList("7".into()))).collect();
    let refused = talk(batch(), |_, request| match request.path.as_str() {
        UPSERT => contacts(request, "2020-01-01T00:00:00Z"),
        _ => came(400, json!({ "category": "VALIDATION_ERROR", "message": "the list is dynamic" })),
    });
    assert_eq!((refused.words(), refused.asked.len()), (vec!["refused"; 4], 2));
    let mut first = String::new();
    let missed = talk(batch(), |_, request| match request.path.as_str() {
        UPSERT => contacts(request, "2020-01-01T00:00:00Z"),
        _ => {
            let ids: Vec<String> = serde_json::from_slice(&request.body).expect("a list");
            first.clone_from(&ids[0]);
            came(200, json!({ "recordIdsMissing": [ids[0]], "recordsIdsAdded": ids[1..], "recordIdsRemoved": [] }))
        }
    });
    assert_eq!(missed.words().iter().filter(|word| **word == "later").count(), 1);
    assert_eq!(missed.words().iter().filter(|word| **word == "accepted").count(), 3);
}

#[test]
fn a_contact_alone_is_written_with_the_properties_of_the_settings() {
    let settings = json!({ "token": "t", "hub_id": 7, "properties": {
        "plan": "tier", "last_cart_value": "payload.total", "first_product": "payload.products.0.name", "none": "absent" } });
    let hubspot = HubSpot::new("lane", serde_json::from_value(settings).expect("settings"));
    let mut item_of_profile = doing(1, Action::Profile);
    item_of_profile.activation.traits = crate::model::RawJson::trusted(r#"{"first_name":"Ines","tier":"gold"}"#);
    let talk = Talk::with(hubspot.exchange(vec![item_of_profile, item(1)]), |_, request| match request.path.as_str() {
        UPSERT => contacts(request, "2020-01-01T00:00:00Z"),
        _ => came(204, Value::Null),
    });
    assert_eq!(talk.words(), ["accepted", "accepted"]);
    assert_eq!(talk.paths(), [UPSERT, SEND]);
    let properties = &talk.body(0)["inputs"][0]["properties"];
    for (name, value) in
        [("plan", "gold"), ("last_cart_value", "20.50"), ("first_product", "Cup"), ("firstname", "Ines")]
    {
        assert_eq!(properties[name], value, "{name}");
    }
    assert_eq!(properties.get("none"), None);
}

#[test]
fn five_hundred_events_are_five_upserts_and_one_call() {
    let batch: Vec<Item> = (0..500u16)
        .map(|n| {
            let mut one = item(0);
            one.activation.identifiers =
                vec![crate::model::Identifier::new(crate::model::IdentifierKind::Email, format!("p{n}@example.com"))];
            one
        })
        .collect();
    let talk = talk(batch, |_, request| match request.path.as_str() {
        UPSERT => contacts(request, "2020-01-01T00:00:00Z"),
        _ => came(204, Value::Null),
    });
    assert_eq!(talk.paths(), [UPSERT, UPSERT, UPSERT, UPSERT, UPSERT, SEND]);
    assert_eq!(talk.body(5)["inputs"].as_array().map(Vec::len), Some(500));
    assert!(talk.words().iter().all(|word| *word == "accepted"));
}

#[test]
fn each_family_of_paths_can_lie_elsewhere() {
    let settings = json!({ "token": "t", "hub_id": 7, "version": "2026-09", "paths": { "events": "/events/2026-03" } });
    let hubspot = HubSpot::new("lane", serde_json::from_value(settings).expect("settings"));
    let batch = vec![item(1), doing(1, Action::AddToList("7".into()))];
    let talk = Talk::with(hubspot.exchange(batch), |_, request| match request.path.as_str() {
        "/crm/objects/2026-09/contacts/batch/upsert" => contacts(request, "2020-01-01T00:00:00Z"),
        _ => came(204, Value::Null),
    });
    assert_eq!(talk.paths()[1..], [SEND, "/crm/lists/2026-09/7/memberships/add"]);
}

#[test]
fn contacts_may_be_found_by_a_property_of_their_own() {
    let settings = json!({ "token": "t", "hub_id": 7, "found_by": { "name": "shop_customer", "field": "shop_id" } });
    let settings = || serde_json::from_value(settings.clone()).expect("settings");
    let customer = |n: u8, id: &str| {
        let customer = Identifier::new(IdentifierKind::Customer("shop".into()), id);
        of(n, vec![customer, Identifier::new(IdentifierKind::Email, format!("p{n}@example.com"))])
    };
    // Without it nobody is found, whatever else they have; values differ by their case.
    let mut batch = vec![customer(1, "A7"), item(2), customer(3, "a7")];
    let mut removal = customer(4, "B1");
    removal.activation.action = Action::RemoveFromList("9".into());
    batch.push(removal);
    let talk = Talk::with(HubSpot::new("lane", settings()).exchange(batch), |_, request| {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let inputs = body["inputs"].as_array().cloned().unwrap_or_default();
        match request.path.rsplit('/').next() {
            Some("upsert") => {
                let made = inputs
                    .iter()
                    .enumerate()
                    .map(|(n, one)| json!({ "id": n.to_string(), "properties": { "shop_id": one["id"] } }));
                came(200, json!({ "results": made.collect::<Vec<_>>() }))
            }
            Some("read") => came(200, json!({ "results": [{ "id": "50", "properties": { "shop_id": "B1" } }] })),
            Some("remove") => came(200, json!({ "recordIdsMissing": [] })),
            _ => came(204, Value::Null),
        }
    });
    assert_eq!(talk.words(), ["accepted", "refused", "accepted", "accepted"]);
    let upserted = &talk.body(0)["inputs"];
    assert_eq!(upserted[0]["idProperty"], "shop_id");
    assert_eq!(upserted[0]["properties"]["shop_id"], "A7");
    assert_eq!(upserted[0]["properties"]["email"], "p1@example.com");
    assert_eq!(upserted.as_array().map(Vec::len), Some(2));
    assert_eq!(talk.body(1)["idProperty"], "shop_id");
    let events = talk.asked.iter().find(|one| one.path.ends_with("/send/batch")).expect("events");
    let events: Value = serde_json::from_slice(&events.body).expect("JSON");
    assert_eq!((&events["inputs"][0]["objectId"], &events["inputs"][1]["objectId"]), (&json!("0"), &json!("1")));
    let members = talk.asked.iter().find(|one| one.path.ends_with("/memberships/remove")).expect("a removal");
    assert_eq!(serde_json::from_slice::<Value>(&members.body).expect("JSON"), json!(["50"]));
}
