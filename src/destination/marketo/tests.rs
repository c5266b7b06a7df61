mod imports;
mod whose;

use serde_json::{Value, json};

use super::answer::{Record, Verdict, verdict};
use super::*;
use crate::destination::testing::{NOW, Talk, came, doing, item, of};
use crate::destination::{Halt, Item, Next};
use crate::model::http::{Answer, Method};
use crate::model::{Action, Outcome};

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
    for status in [413, 414] {
        assert!(matches!(verdict(&came(status, Value::Null), NOW), Verdict::Refused(..)), "{status}");
    }
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

const NOT_FOUND: &str = "Lead not found";

/// The lead of its number is gone: it is written once more, and what was said of it is said again.
#[test]
fn a_lead_merged_away_is_written_once_more() {
    let gone = || json!({ "status": "skipped", "errors": [{ "code": "1004", "message": NOT_FOUND }] });
    let mut syncs = 0;
    let cured = talk(items(2, false), |_, request| match request.path.as_str() {
        LEADS => {
            syncs += 1;
            done(request)
        }
        _ if syncs == 1 => came(200, json!({ "success": true, "result": [{ "status": "added" }, gone()] })),
        _ => done(request),
    });
    assert_eq!((cured.paths(), cured.words()), (vec![LEADS, ADD, LEADS, ADD], vec!["accepted"; 2]));
    assert_eq!((inputs(&cured.asked[2]), inputs(&cured.asked[3])), (1, 1), "only the one that was gone");
    let lost = talk(items(1, false), |_, request| match request.path.as_str() {
        ADD => came(200, json!({ "success": true, "result": [gone()] })),
        _ => done(request),
    });
    assert_eq!((lost.paths(), lost.words()), (vec![LEADS, ADD, LEADS, ADD], vec!["later"]));
}

/// The same where the call is refused as a whole: the one lead that stays gone is the only dead letter.
#[test]
fn activities_refused_as_a_whole_for_a_lead_are_said_once_more() {
    let mut syncs = 0;
    let cured = talk(items(8, false), |_, request| {
        syncs += usize::from(request.path == LEADS);
        if request.path == ADD && syncs == 1 { failed("1004") } else { done(request) }
    });
    assert_eq!((cured.paths(), cured.words()), (vec![LEADS, ADD, LEADS, ADD], vec!["accepted"; 8]));
    let lost = talk(items(8, false), |_, request| {
        let speaks_of_it = String::from_utf8_lossy(&request.body).contains("\"leadId\":1003,");
        if request.path == ADD && speaks_of_it { failed("1004") } else { done(request) }
    });
    assert_eq!(lost.paths().iter().filter(|path| **path == LEADS).count(), 2);
    for (n, word) in lost.words().into_iter().enumerate() {
        assert_eq!(word, if n == 3 { "refused" } else { "accepted" }, "{n}");
    }
}

/// HTTP 414 is about one call: the lane goes on. A look has its fields in its body then.
#[test]
fn an_address_that_is_too_long_stops_nothing() {
    let mut looks = Vec::new();
    let looked = talk(items(2, true), |_, request| match (request.path.as_str(), request.method) {
        (LEADS | ADD, _) => done(request),
        (path, Method::Get) => {
            looks.push(path.to_owned());
            came(414, Value::Null)
        }
        (TOKEN, _) => came(200, json!({ "success": true, "nextPageToken": "A" })),
        _ => came(200, json!({ "success": true, "moreResult": false })),
    });
    assert_eq!((looked.words(), looked.halt.is_none()), (vec!["accepted"; 2], true));
    assert_eq!((looks, looked.paths()), (vec![TOKEN.to_owned()], vec![LEADS, TOKEN, TOKEN, READ, ADD]));
    let posted = &looked.asked[3];
    assert_eq!(posted.query, [("_method".into(), "GET".to_owned())]);
    assert_eq!(form::field(&posted.body, "leadIds").as_deref(), Some("1000,1001"));
    assert_eq!(posted.content_type, form::TYPE);
    let parted = talk(items(4, false), |_, request| match inputs(request) > 1 {
        true => came(414, Value::Null),
        false => done(request),
    });
    assert_eq!((parted.words(), parted.halt.is_none()), (vec!["accepted"; 4], true));
    let refused = talk(items(2, false), |_, _| came(414, Value::Null));
    assert_eq!((refused.words(), refused.halt.is_none()), (vec!["refused"; 2], true));
}

// === one lead, one hand ===

/// After two people were merged, or while they are not yet, an address can be in the rows of both.
#[test]
fn an_address_of_two_people_is_one_lead() {
    let mut batch = items(3, false);
    batch[2].activation.identifiers = batch[0].activation.identifiers.clone();
    batch[2].activation.traits = crate::model::RawJson::trusted(r#"{"last_name":"Braga"}"#);
    let talk = talk(batch, |_, request| done(request));
    assert_eq!(talk.words(), vec!["accepted"; 3]);
    let leads = json!([
        { "email": "p0@example.com", "lastName": "Braga" }, { "email": "p1@example.com", "lastName": "Mota" },
    ]);
    assert_eq!(talk.body(0)["input"], leads, "each once, and what came last is known");
}

/// Two upserts of one address at once can make two leads.
#[test]
fn no_two_exchanges_have_one_lead_in_hand() {
    let marketo = marketo(json!({}));
    let mut first = marketo.exchange(vec![item(1), item(2)]);
    assert!(matches!(first.next(None, NOW), Next::Ask(_)));
    let second = Talk::with(marketo.exchange(vec![Item { may_have_left: true, ..item(2) }, item(3)]), does_all);
    assert_eq!(second.words(), ["unclear", "accepted"], "what may have left may have left still");
    let Some((0, Outcome::Later { not_before, is_throttled, .. })) = &second.outcomes[0] else { panic!() };
    assert_eq!((not_before.since(NOW), is_throttled), (Span::from_secs(5), &true), "it costs no try");
    assert_eq!(inputs(&second.asked[0]), 1);
    drop(first);
    let third = Talk::with(marketo.exchange(vec![item(1), item(2)]), does_all);
    assert_eq!(third.words(), ["accepted"; 2]);
}

// === lists, campaigns, leads ===

/// Settings with what a campaign and a type of its own need.
fn marketo(more: Value) -> Marketo {
    let mut settings = json!({ "base_url": "http://m", "client_id": "i", "client_secret": "s", "activity_type": 100_001,
        "campaigns": { "12": { "cartTotal": "total", "none": "absent" } } });
    for (name, value) in more.as_object().into_iter().flatten() {
        settings[name] = value.clone();
    }
    Marketo::new("lane", serde_json::from_value(settings).expect("settings"))
}

/// Leads are there by numbers that follow from their places; all else is done.
fn does_all(_: usize, request: &Request) -> Answer {
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let each = |status: &str| {
        let results = body["input"].as_array().into_iter().flatten().enumerate();
        let results: Vec<Value> = results.map(|(n, _)| json!({ "id": 50 + n, "status": status })).collect();
        came(200, json!({ "success": true, "result": results }))
    };
    match request.path.as_str() {
        LEADS if !request.query.is_empty() => knows(request, |email| email.starts_with('p')),
        LEADS => each("updated"),
        path if path.ends_with("/trigger.json") => came(200, json!({ "success": true, "result": [{ "id": 12 }] })),
        _ => each("added"),
    }
}

/// The leads whose addresses are these, by numbers that follow from them.
fn knows(request: &Request, is_known: impl Fn(&str) -> bool) -> Answer {
    let asked = find::asked(&request.body);
    let lead = |email: &String| Some(json!({ "id": 900 + u64::from(email.as_bytes()[1]), "email": email }));
    let leads: Vec<Value> = asked.iter().filter(|email| is_known(email)).filter_map(lead).collect();
    came(200, json!({ "success": true, "result": leads }))
}

fn campaign(n: u8, total: &str) -> Item {
    let mut item = doing(n, Action::Campaign("12".into()));
    item.activation.payload = crate::model::RawJson::trusted(format!(r#"{{"total":"{total}"}}"#));
    item
}

#[test]
fn leads_with_equal_tokens_are_one_request_of_a_campaign() {
    let batch = vec![campaign(1, "5"), campaign(2, "7"), campaign(3, "5"), campaign(1, "5")];
    let talk = Talk::with(marketo(json!({})).exchange(batch), does_all);
    assert_eq!(talk.words(), ["accepted"; 4]);
    let trigger = "/rest/v1/campaigns/12/trigger.json";
    assert_eq!(talk.paths(), [LEADS, trigger, trigger, trigger]);
    let of = |leads: &[u64], total: &str| {
        let leads: Vec<Value> = leads.iter().map(|id| json!({ "id": id })).collect();
        json!({ "input": { "leads": leads, "tokens": [{ "name": "{{my.cartTotal}}", "value": total }] } })
    };
    // Two occasions of one lead are two requests.
    assert_eq!([talk.body(1), talk.body(2), talk.body(3)], [of(&[50, 52], "5"), of(&[50], "5"), of(&[51], "7")]);
}

#[test]
fn a_request_has_a_hundred_leads_at_most() {
    let batch = (0..201u8).map(|n| campaign(n, "5")).collect();
    let talk = Talk::with(marketo(json!({})).exchange(batch), does_all);
    assert!(talk.words().iter().all(|word| *word == "accepted"));
    let leads: Vec<usize> =
        (1..talk.asked.len()).map(|n| talk.body(n)["input"]["leads"].as_array().expect("leads").len()).collect();
    assert_eq!(leads, [100, 100, 1]);
}

/// Nobody can look for it: after an unclear answer it is made again, or somebody has to say so.
#[test]
fn an_unclear_request_of_a_campaign_goes_as_the_settings_say() {
    let cut = |n: usize, request: &Request| match request.path.as_str() {
        LEADS => does_all(n, request),
        _ => Answer::Unclear("cut".into()),
    };
    let first = Talk::with(marketo(json!({})).exchange(vec![campaign(1, "5")]), cut);
    assert_eq!(first.words(), ["unclear"]);
    let again = || vec![Item { may_have_left: true, ..campaign(1, "5") }];
    let made = Talk::with(marketo(json!({})).exchange(again()), does_all);
    assert_eq!((made.words(), made.asked.len()), (vec!["accepted"], 2));
    let careful = marketo(json!({ "unclear_campaigns": "dead_letter" }));
    let kept = Talk::with(careful.exchange(again()), does_all);
    assert_eq!((kept.words(), kept.asked.len()), (vec!["refused"], 0));
    // What a spent quota stopped before it left is not unclear.
    let spent = Talk::with(careful.exchange(vec![campaign(1, "5")]), |_, _| {
        came(200, json!({ "success": false, "errors": [{ "code": "606", "message": "x" }] }))
    });
    assert_eq!((spent.words(), spent.halt.is_some()), (vec!["later"], true));
}

/// What is wrong with the campaign is not looked for among its leads; a lead that is gone is.
#[test]
fn a_refused_request_is_parted_only_for_a_lead() {
    let batch = || (0..8).map(|n| campaign(n, "5")).collect();
    let refusing = |code: &'static str| {
        move |n: usize, request: &Request| match request.path.as_str() {
            LEADS => does_all(n, request),
            _ if code == "1013" || String::from_utf8_lossy(&request.body).contains("53") => {
                came(200, json!({ "success": false, "errors": [{ "code": code, "message": "x" }] }))
            }
            _ => does_all(n, request),
        }
    };
    let all = Talk::with(marketo(json!({})).exchange(batch()), refusing("1013"));
    assert_eq!((all.words(), all.asked.len()), (vec!["refused"; 8], 2));
    let one = Talk::with(marketo(json!({})).exchange(batch()), refusing("1004"));
    assert_eq!(one.words().iter().filter(|word| **word == "accepted").count(), 7);
}

/// Lists and leads may be written twice: after an unclear answer they simply are.
#[test]
fn only_what_has_no_key_is_unclear() {
    let batch = vec![doing(1, Action::AddToList("1044".into()))];
    let talk = Talk::with(marketo(json!({})).exchange(batch), |n, request| match request.path.as_str() {
        LEADS => does_all(n, request),
        _ => Answer::Unclear("cut".into()),
    });
    assert_eq!(talk.words(), ["later"]);
}

#[test]
fn events_may_have_types_of_their_own() {
    let types =
        json!({ "types": { "Cart Abandoned": { "activity_type": 100_002, "attributes": { "cartTotal": "total" } } } });
    let batch = vec![item(1), doing(2, Action::Event("Winback".into()))];
    let talk = Talk::with(marketo(types.clone()).exchange(batch), does_all);
    assert_eq!(talk.words(), ["accepted"; 2]);
    let sent = talk.body(1);
    assert_eq!(
        (&sent["input"][0]["activityTypeId"], &sent["input"][1]["activityTypeId"]),
        (&json!(100_002), &json!(100_001))
    );
    assert_eq!(sent["input"][0]["attributes"][1], json!({ "apiName": "cartTotal", "value": "20.50" }));
    assert_eq!(sent["input"][1]["attributes"].as_array().map(Vec::len), Some(1));
    // Each type is looked for by itself.
    let batch = vec![
        Item { may_have_left: true, ..item(1) },
        Item { may_have_left: true, ..doing(2, Action::Event("Winback".into())) },
    ];
    let talk = Talk::with(marketo(types).exchange(batch), |n, request| match request.path.as_str() {
        TOKEN => came(200, json!({ "success": true, "nextPageToken": "T" })),
        READ => came(200, json!({ "success": true, "moreResult": false })),
        _ => does_all(n, request),
    });
    let asked: Vec<&str> = talk
        .asked
        .iter()
        .flat_map(|r| &r.query)
        .filter(|(n, _)| n == "activityTypeIds")
        .map(|(_, v)| v.as_str())
        .collect();
    assert_eq!((asked, talk.words()), (vec!["100001", "100002"], vec!["accepted"; 2]));
}
