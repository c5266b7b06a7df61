//! Whose lead it is: lists, look-ups, who is forgotten, and what leads are found by.

use super::*;

#[test]
fn leads_go_into_lists_and_out_of_them() {
    let batch = vec![
        doing(1, Action::AddToList("1044".into())),
        doing(2, Action::AddToList("1044".into())),
        doing(2, Action::RemoveFromList("1045".into())),
        doing(3, Action::Profile),
    ];
    let talk = Talk::with(marketo(json!({})).exchange(batch), |n, request| match request.method {
        Method::Delete => {
            let reason = json!({ "code": "1015", "message": "Lead not in list" });
            came(200, json!({ "success": true, "result": [{ "id": 51, "status": "skipped", "reasons": [reason] }] }))
        }
        _ => does_all(n, request),
    });
    assert_eq!(talk.words(), ["accepted"; 4]);
    assert_eq!(talk.paths(), [LEADS, LEADS, "/rest/v1/lists/1044/leads.json", "/rest/v1/lists/1045/leads.json"]);
    assert_eq!(talk.body(2), json!({ "input": [{ "id": 50 }, { "id": 51 }] }));
    assert_eq!(talk.body(3), json!({ "input": [{ "id": 900 + u64::from(b'2') }] }));
}

/// Who is no lead is in no list: nothing is made of them.
#[test]
fn who_is_taken_out_of_a_list_is_not_made() {
    let batch = (1..4).map(|n| doing(n, Action::RemoveFromList("1045".into()))).collect();
    let talk = Talk::with(marketo(json!({})).exchange(batch), |n, request| match request.path.as_str() {
        LEADS => knows(request, |email| email.starts_with("p2")),
        _ => does_all(n, request),
    });
    assert_eq!((talk.words(), talk.paths()), (vec!["accepted"; 3], vec![LEADS, "/rest/v1/lists/1045/leads.json"]));
    assert_eq!(talk.body(1)["input"].as_array().map(Vec::len), Some(1));
    let asked = &talk.asked[0];
    assert_eq!((asked.method, asked.query.as_slice()), (Method::Post, &[("_method".into(), "GET".to_owned())][..]));
    assert_eq!(find::asked(&asked.body), ["p1@example.com", "p2@example.com", "p3@example.com"]);
    // An address may be that of several leads.
    let batch = vec![doing(1, Action::RemoveFromList("1045".into()))];
    let twice = Talk::with(marketo(json!({})).exchange(batch), |n, request| match request.path.as_str() {
        LEADS => {
            let lead = |id: u64| json!({ "id": id, "email": "P1@example.com" });
            came(200, json!({ "success": true, "result": [lead(7), lead(8)] }))
        }
        _ => does_all(n, request),
    });
    assert_eq!((twice.words(), twice.body(1)), (vec!["accepted"], json!({ "input": [{ "id": 7 }, { "id": 8 }] })));
}

/// All addresses of a person, and all leads of each; who is none is forgotten already. What comes for the same address
/// after that is not written before.
#[test]
fn who_is_forgotten_is_deleted_by_each_address() {
    let mut gone = doing(1, Action::Erase);
    let address = |email: &str| crate::model::Identifier::new(crate::model::IdentifierKind::Email, email);
    gone.activation.identifiers = vec![address("p1@example.com"), address("q1@example.com"), address("p4@example.com")];
    let batch = vec![gone, doing(2, Action::Erase), doing(4, Action::Profile), item(5)];
    let marketo = marketo(json!({}));
    let talk = Talk::with(marketo.exchange(batch), |n, request| match request.path.as_str() {
        LEADS if !request.query.is_empty() => knows(request, |email| !email.starts_with("p2")),
        LEADS => does_all(n, request),
        "/rest/v1/leads/delete.json" => {
            let body: Value = serde_json::from_slice(&request.body).expect("JSON");
            let ids = body["input"].as_array().expect("leads").iter();
            let deleted: Vec<Value> = ids.map(|one| json!({ "id": one["id"], "status": "deleted" })).collect();
            came(200, json!({ "success": true, "result": deleted }))
        }
        _ => does_all(n, request),
    });
    assert_eq!(talk.words(), ["accepted", "accepted", "later", "accepted"]);
    assert_eq!(talk.paths(), [LEADS, LEADS, ADD, "/rest/v1/leads/delete.json"]);
    assert_eq!(talk.body(3)["input"], json!([{ "id": 949 }, { "id": 952 }]), "two of one person share a number here");
    // A lead that was merged meanwhile is looked for once more.
    let mut looks = 0;
    let merged =
        Talk::with(marketo.exchange(vec![doing(1, Action::Erase)]), |_, request| match request.path.as_str() {
            LEADS => {
                looks += 1;
                came(200, json!({ "success": true, "result": [{ "id": looks, "email": "p1@example.com" }] }))
            }
            _ if looks == 1 => failed("1004"),
            _ => came(200, json!({ "success": true, "result": [{ "id": 2, "status": "deleted" }] })),
        });
    assert_eq!((merged.words(), merged.asked.len()), (vec!["accepted"], 4));
    let phone = crate::model::Identifier::new(crate::model::IdentifierKind::Phone, "+351910000000");
    let mut unknown = crate::destination::testing::of(3, vec![phone]);
    unknown.activation.action = Action::Erase;
    let words = Talk::with(marketo.exchange(vec![unknown]), |_, _| unreachable!("nobody to ask for")).outcomes;
    assert!(matches!(&words[0], Some((0, Outcome::Refused { code, .. })) if &**code == "no_email"));
}

#[test]
fn leads_may_be_found_by_a_field_of_their_own() {
    let settings = json!({ "base_url": "https://m.example", "client_id": "i", "client_secret": "s",
        "activity_type": 100_001, "found_by": { "name": "user_id", "field": "accountId" } });
    let settings = serde_json::from_value(settings).expect("settings");
    let user = |n: u8, id: &str| {
        let user = crate::model::Identifier::new(crate::model::IdentifierKind::UserId, id);
        let email = crate::model::Identifier::new(crate::model::IdentifierKind::Email, format!("p{n}@example.com"));
        of(n, vec![user, email])
    };
    let mut removal = user(4, "B1");
    removal.activation.action = Action::RemoveFromList("9".into());
    let batch = vec![user(1, "A7"), item(2), user(3, "a7"), removal];
    let talk = Talk::with(Marketo::new("lane", settings).exchange(batch), |_, request| match request.path.as_str() {
        LEADS if !request.query.is_empty() => {
            let asked = String::from_utf8_lossy(&request.body).into_owned();
            assert!(asked.contains("filterType=accountId") && asked.contains("filterValues=B1"), "{asked}");
            came(200, json!({ "success": true, "result": [{ "id": 54, "accountId": "B1" }] }))
        }
        LEADS => {
            let leads = [50, 51].map(|id| json!({ "id": id, "status": "updated" }));
            came(200, json!({ "success": true, "result": leads }))
        }
        _ => came(
            200,
            json!({ "success": true, "result": [{ "id": 1, "status": "added" }, { "id": 2, "status": "added" }] }),
        ),
    });
    assert_eq!(talk.words(), ["accepted", "refused", "accepted", "accepted"]);
    let synced = talk.asked.iter().find(|one| one.path == LEADS && one.query.is_empty()).expect("a sync");
    let synced: Value = serde_json::from_slice(&synced.body).expect("JSON");
    assert_eq!(synced["lookupField"], "accountId");
    assert_eq!((&synced["input"][0]["accountId"], &synced["input"][1]["accountId"]), (&json!("A7"), &json!("a7")));
    assert_eq!(synced["input"][0]["email"], "p1@example.com");
}

#[test]
fn a_role_that_may_not_delete_stops_nobody_else() {
    let batch = vec![doing(1, Action::Erase), item(2)];
    let talk = talk(batch, |_, request| match request.path.as_str() {
        LEADS if !request.query.is_empty() => {
            came(200, json!({ "success": true, "result": [{ "id": 51, "email": "p1@example.com" }] }))
        }
        "/rest/v1/leads/delete.json" => {
            came(200, json!({ "success": false, "errors": [{ "code": "603", "message": "Access denied" }] }))
        }
        LEADS => came(200, json!({ "success": true, "result": [{ "id": 52, "status": "updated" }] })),
        _ => came(200, json!({ "success": true, "result": [{ "id": 1, "status": "added" }] })),
    });
    assert_eq!((talk.words(), talk.halt.as_ref()), (vec!["refused", "accepted"], None));
}
