//! What a survey of a Marketo instance asks, and what it makes of the answers.

use serde_json::json;

use super::*;
use crate::destination::marketo::Marketo;
use crate::destination::testing::{NOW, Surveyed, came, need};
use crate::model::Action;

fn surveyed(needs: Vec<Need>, vendor: impl FnMut(&Request) -> Answer) -> Surveyed {
    let settings = json!({ "base_url": "https://m.example", "client_id": "i", "client_secret": "s", "activity_type": 9,
        "types": { "Left": { "activity_type": 10 }, "Never": { "activity_type": 11 } }, "campaigns": { "12": { "url": "x" } } });
    Surveyed::at(NOW, &Marketo::new("lane", serde_json::from_value(settings).expect("settings")), needs, vendor)
}

fn found(result: Value) -> Answer {
    came(200, json!({ "success": true, "result": result }))
}

fn refused(code: &str) -> Answer {
    came(200, json!({ "success": false, "errors": [{ "code": code, "message": "no" }] }))
}

/// An instance that has all of it.
fn vendor(request: &Request) -> Answer {
    let attributes = json!([{ "apiName": "activationId", "dataType": "string" }]);
    match request.path.as_str() {
        "/rest/v1/activities/external/types.json" => found(json!([
            { "id": 9, "apiName": "raise", "status": "approved" }, { "id": 10, "apiName": "left", "status": "draft" } ])),
        "/rest/v1/activities/external/type/raise/describe.json" => {
            found(json!([{ "id": 9, "apiName": "raise", "attributes": attributes }]))
        }
        "/rest/v1/activities/external/type/left/describe.json" => {
            found(json!([{ "id": 10, "apiName": "left", "attributes": attributes }]))
        }
        "/rest/v1/lists/7.json" => found(json!([{ "id": 7, "name": "Buyers" }])),
        "/rest/asset/v1/smartCampaign/12.json" => {
            found(json!([{ "id": 12, "name": "Back", "type": "trigger", "isActive": true, "isRequestable": true,
                "qualificationRuleType": "any", "parentProgramId": 4 }]))
        }
        "/rest/asset/v1/folder/4/tokens.json" => found(json!([{ "tokens": [{ "name": "url" }] }])),
        path => panic!("{path}"),
    }
}

fn all() -> Vec<Need> {
    [
        Action::Event("E".into()),
        Action::Event("Left".into()),
        Action::AddToList("7".into()),
        Action::Campaign("12".into()),
    ]
    .map(need)
    .into()
}

const UNSEEN: &str = "note permissions Read-Write Lead, Read-Write Activity, Execute Campaign: cannot be seen without sending: a \
                      role that lacks one stops the lane with its first call, and the lane says so";
const UNUSED: &str = "unused types.\"Never\": no trigger sends this event";

#[test]
fn types_lists_campaigns_and_tokens_are_asked_for_once_each() {
    let told = surveyed(all(), vendor);
    assert_eq!(
        told.paths(),
        [
            "/rest/v1/activities/external/types.json",
            "/rest/v1/activities/external/type/raise/describe.json",
            "/rest/v1/activities/external/type/left/describe.json",
            "/rest/v1/lists/7.json",
            "/rest/asset/v1/smartCampaign/12.json",
            "/rest/asset/v1/folder/4/tokens.json",
        ]
    );
    assert_eq!(told.asked[5].query, [("folderType".into(), "Program".to_owned())]);
    let left = "missing activity type left: is not approved: it takes no activities";
    assert_eq!(told.lines(), [UNUSED, left, "note list 7: is `Buyers`", "note campaign 12: is `Back`", UNSEEN]);
    let list = surveyed(vec![need(Action::RemoveFromList("7".into()))], vendor);
    assert_eq!(list.paths(), ["/rest/v1/lists/7.json"], "no type is needed for it");
}

#[test]
fn what_is_not_there_is_by_hand() {
    let needs = || vec![need(Action::AddToList("7".into())), need(Action::Campaign("12".into()))];
    for none in [|| refused("702"), || refused("1013"), || refused("610"), || found(json!([]))] {
        let lines = surveyed(needs(), |_| none()).lines();
        let by_hand: Vec<&String> = lines.iter().filter(|line| line.starts_with("by hand")).collect();
        assert!(by_hand.len() == 2 && by_hand[0].starts_with("by hand list 7: is not there: "), "{lines:?}");
        assert!(by_hand[1].starts_with("by hand campaign 12: is not there: "), "{lines:?}");
    }
    let told = surveyed(needs(), |request| match request.path.ends_with("tokens.json") {
        true => refused("702"),
        false => vendor(request),
    });
    assert!(
        told.lines().contains(&"note tokens of campaign 12: cannot be looked at (702)".to_owned()),
        "{:?}",
        told.lines()
    );
    let types = surveyed(all(), |_| refused("610"));
    assert_eq!(types.differences.err(), Some(Halt::Configuration("610: no".into())), "the address itself is wrong");
}

#[test]
fn a_permission_that_is_missing_is_told_and_the_rest_is_asked() {
    for (part, permission) in [
        ("/activities/", "Read-Only Activity Metadata"),
        ("/lists/", "Read-Only Lead"),
        ("/smartCampaign/", "Read-Only Assets"),
        ("/tokens.json", "Read-Only Assets"),
    ] {
        let told = surveyed(all(), |request| match request.path.contains(part) {
            true => refused("603"),
            false => vendor(request),
        });
        let lines = told.lines();
        let words = format!("by hand permission {permission}: the role of the API user has it not, or our address");
        assert_eq!(lines.iter().filter(|line| line.starts_with(&words)).count(), 1, "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.starts_with("by hand")).count(), 1, "{lines:?}");
        assert!(lines.contains(&UNSEEN.to_owned()));
    }
}
