use serde_json::{Value, json};

use super::answer::{Record, Verdict, verdict};
use super::*;
use crate::destination::testing::{NOW, Talk, came, item};

const LEADS: &str = "/rest/v1/leads.json";
const ADD: &str = "/rest/v1/activities/external.json";
const TOKEN: &str = "/rest/v1/activities/pagingtoken.json";
const READ: &str = "/rest/v1/activities.json";

fn talk(batch: Vec<Item>, vendor: impl FnMut(usize, &Request) -> Answer) -> Talk {
    let settings = json!({ "base_url": "http://m", "client_id": "i", "client_secret": "s", "activity_type": 100_001 });
    let settings = serde_json::from_value(settings).expect("settings");
    Talk::with(Marketo::new("lane", settings).exchange(batch), vendor)
}

fn items(n: u8, may_have_left: bool) -> Vec<Item> {
    (0..n).map(|n| Item { may_have_left, ..item(n) }).collect()
}

fn inputs(request: &Request) -> usize {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    body["input"].as_array().map_or(0, Vec::len)
}

/// As many results as inputs, each done.
fn done(request: &Request) -> Answer {
    let result: Vec<Value> = (0..inputs(request)).map(|n| json!({ "id": 1_000 + n, "status": "updated" })).collect();
    came(200, json!({ "success": true, "result": result }))
}

fn failed(code: &str) -> Answer {
    came(200, json!({ "success": false, "errors": [{ "code": code, "message": "words" }] }))
}

/// The table of vendor answers, row by row.
#[test]
fn each_answer_means_what_the_vendor_says() {
    for code in ["601", "602"] {
        assert_eq!(verdict(&failed(code), NOW), Verdict::Halt(Halt::Token), "{code}");
    }
    for code in ["603", "605", "610", "612", "613", "616", "703"] {
        assert!(matches!(verdict(&failed(code), NOW), Verdict::Halt(Halt::Configuration(_))), "{code}");
    }
    for (code, secs) in [("606", 20), ("615", 2)] {
        let Verdict::Halt(Halt::Quota { until, .. }) = verdict(&failed(code), NOW) else { panic!("{code}") };
        assert_eq!(until.since(NOW), Span::from_secs(secs), "{code}");
    }
    // 2027-01-15T08:00Z is 02:00 at UTC-6: the day ends in 22 hours.
    let Verdict::Halt(Halt::Quota { until, .. }) = verdict(&failed("607"), NOW) else { panic!() };
    assert_eq!(until.since(NOW), Span::from_hours(22));
    for (code, is_unclear) in
        [("604", true), ("611", true), ("608", false), ("614", false), ("713", false), ("719", false)]
    {
        let Verdict::Down { is_unclear: unclear, .. } = verdict(&failed(code), NOW) else { panic!("{code}") };
        assert_eq!(unclear, is_unclear, "{code}");
    }
    for code in ["609", "701", "704", "709", "1003"] {
        assert_eq!(verdict(&failed(code), NOW), Verdict::Refused(code.into(), "words".into()));
    }
    for status in [500, 502, 503, 504] {
        assert!(matches!(verdict(&came(status, Value::Null), NOW), Verdict::Down { is_unclear: true, .. }), "{status}");
    }
    for status in [401, 403] {
        assert!(matches!(verdict(&came(status, Value::Null), NOW), Verdict::Halt(Halt::Credentials(_))), "{status}");
    }
    assert!(matches!(verdict(&came(413, Value::Null), NOW), Verdict::Refused(..)));
    assert!(matches!(verdict(&came(404, Value::Null), NOW), Verdict::Halt(Halt::Configuration(_))));
    // A 200 that is no answer of theirs says nothing of what was done.
    assert!(matches!(verdict(&came(200, json!("hello")), NOW), Verdict::Down { is_unclear: true, .. }));
    assert!(matches!(verdict(&Answer::NotSent("x".into()), NOW), Verdict::Down { is_unclear: false, .. }));
    assert!(matches!(verdict(&Answer::Unclear("x".into()), NOW), Verdict::Down { is_unclear: true, .. }));
}

/// A record's own codes: reasons for leads, errors for activities, codes as text or number.
#[test]
fn each_record_has_its_own_result() {
    let of = |record: Value| match verdict(&came(200, json!({ "success": true, "result": [record] })), NOW) {
        Verdict::Records(mut records) => records.remove(0),
        other => panic!("{other:?}"),
    };
    for status in ["created", "updated", "added"] {
        assert_eq!(of(json!({ "id": 5, "status": status })), Record::Done(Some(5)));
    }
    for (code, passing) in [
        ("1001", false),
        ("1002", false),
        ("1003", false),
        ("1004", false),
        ("1005", false),
        ("1006", false),
        ("1007", false),
        ("1008", false),
        ("1011", false),
        ("1013", false),
        ("1016", true),
        ("1019", true),
        ("1029", true),
        ("1036", false),
        ("1049", false),
    ] {
        for list in ["reasons", "errors"] {
            let record = of(json!({ "status": "skipped", list: [{ "code": code, "message": "m" }] }));
            assert_eq!(record, Record::Skipped { code: code.into(), words: "m".into(), is_passing: passing }, "{code}");
        }
    }
    assert!(matches!(of(json!({ "reasons": [{ "code": 1004 }] })), Record::Skipped { code, .. } if code == "1004"));
}

#[test]
fn leads_first_then_activities() {
    let mut batch = items(3, false);
    batch[2].activation.identifiers = batch[0].activation.identifiers.clone();
    let talk = talk(batch, |_, request| done(request));
    assert_eq!(talk.paths(), [LEADS, ADD]);
    assert_eq!(
        talk.body(0)["input"],
        json!([
            { "email": "p0@example.com", "lastName": "Mota" }, { "email": "p1@example.com", "lastName": "Mota" },
        ])
    );
    let leads: Vec<_> = (0..3).map(|n| talk.body(1)["input"][n]["leadId"].clone()).collect();
    assert_eq!(leads, [1_000, 1_001, 1_000]);
    assert_eq!(talk.words(), vec!["accepted"; 3]);
}

#[test]
fn what_may_have_left_is_looked_for_and_only_the_missing_is_sent() {
    let talk = talk(items(2, true), |_, request| match request.path.as_str() {
        TOKEN => came(200, json!({ "success": true, "nextPageToken": "A" })),
        READ => {
            let token = &request.query.iter().find(|(name, _)| *name == "nextPageToken").expect("a token").1;
            let occasion = json!([{ "apiName": "activationId", "value": item(1).activation.occasion.to_string() }]);
            match token.as_str() {
                "A" => came(200, json!({ "success": true, "nextPageToken": "B", "moreResult": true })),
                _ => came(
                    200,
                    json!({ "success": true, "nextPageToken": "C", "moreResult": false,
                                       "result": [{ "attributes": occasion }] }),
                ),
            }
        }
        _ => done(request),
    });
    assert_eq!(talk.paths(), [LEADS, TOKEN, READ, READ, ADD]);
    assert_eq!(talk.words(), ["accepted", "duplicate"]);
}

/// What could not be read to its end may be there: it is not sent again.
#[test]
fn a_look_without_an_end_sends_nothing() {
    let pages = |token: Value| {
        talk(items(1, true), move |_, request| match request.path.as_str() {
            TOKEN => came(200, json!({ "success": true, "nextPageToken": "A" })),
            READ => came(200, json!({ "success": true, "nextPageToken": token.clone(), "moreResult": true })),
            _ => done(request),
        })
    };
    for token in [json!("B"), Value::Null] {
        let talk = pages(token);
        assert_eq!(talk.words(), ["unclear"]);
        assert!(!talk.paths().contains(&ADD) && talk.asked.len() < 60);
    }
    let no_token = talk(items(1, true), |_, request| match request.path.as_str() {
        TOKEN => came(200, json!({ "success": true })),
        _ => done(request),
    });
    assert_eq!(no_token.words(), ["unclear"]);
}

#[test]
fn only_an_activity_can_have_left() {
    let cut = |at: &'static str, left: bool| {
        talk(items(1, left), move |_, request| match request.path.as_str() {
            path if path == at => Answer::Unclear("cut".into()),
            TOKEN => came(200, json!({ "success": true, "nextPageToken": "A" })),
            _ => done(request),
        })
    };
    assert_eq!(cut(LEADS, false).words(), ["later"]);
    assert_eq!(cut(ADD, false).words(), ["unclear"]);
    // What was unclear before stays so until somebody has looked.
    for at in [LEADS, TOKEN, READ] {
        assert_eq!(cut(at, true).words(), ["unclear"], "{at}");
    }
    let talk = talk(items(1, false), |_, request| if request.path == ADD { failed("608") } else { done(request) });
    assert_eq!(talk.words(), ["later"], "nothing was executed");
}

#[test]
fn a_refused_request_is_halved_to_the_record_at_fault() {
    let talk = talk(items(8, false), |_, request| {
        if request.path == LEADS && request.body.windows(14).any(|w| w == b"p5@example.com") {
            return failed("1003");
        }
        done(request)
    });
    for (n, word) in talk.words().into_iter().enumerate() {
        assert_eq!(word, if n == 5 { "refused" } else { "accepted" }, "{n}");
    }
}

#[test]
fn a_lead_merged_away_is_tried_again() {
    let talk = talk(items(1, false), |_, request| match request.path.as_str() {
        ADD => came(
            200,
            json!({ "success": true, "result": [{ "status": "skipped", "errors": [{ "code": "1004", "message": "Lead not found" }] }] }),
        ),
        _ => done(request),
    });
    assert_eq!(talk.words(), ["later"]);
}
