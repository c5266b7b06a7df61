//! Bulk imports: for whom, what is in the file, how the vendor is asked, and what becomes of each record.

use super::*;
use crate::model::RawJson;

const MAKE: &str = "/bulk/v1/leads.json";
const POLL: &str = "/bulk/v1/leads/batch/7.json";
const FAILURES: &str = "/bulk/v1/leads/batch/7/failures.json";

/// From three leads on.
fn importing() -> Marketo {
    marketo(json!({ "bulk_from": 3 }))
}

fn profiles(people: std::ops::Range<u8>) -> Vec<Item> {
    people.map(|n| doing(n, Action::Profile)).collect()
}

fn said(one: Value) -> Answer {
    came(200, json!({ "success": true, "result": [one] }))
}

fn queued() -> Answer {
    said(json!({ "batchId": 7, "importId": "7", "status": "Queued" }))
}

fn complete(failed: u64) -> Answer {
    said(json!({ "batchId": 7, "status": "Complete", "numOfLeadsProcessed": 9, "numOfRowsFailed": failed }))
}

fn csv(text: &str) -> Answer {
    Answer::Came(Response { status: 200, headers: Vec::new(), body: text.as_bytes().to_vec() })
}

/// A vendor that imports everything, and else does everything.
fn imports(n: usize, request: &Request) -> Answer {
    match request.path.as_str() {
        MAKE => queued(),
        POLL => complete(0),
        _ => does_all(n, request),
    }
}

/// The file of an import.
fn file(request: &Request) -> String {
    let body = String::from_utf8(request.body.clone()).expect("text");
    let boundary = request.content_type.split_once("boundary=").expect("a boundary").1;
    let head = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"leads.csv\"\r\nContent-Type: text/csv\r\n\r\n"
    );
    let file = body.strip_prefix(&head).expect("a form").strip_suffix(&format!("\r\n--{boundary}--\r\n"));
    file.expect("an end").to_owned()
}

#[test]
fn many_leads_are_one_import_and_who_failed_stands_in_its_file() {
    let talk = Talk::with(importing().exchange(profiles(0..5)), |n, request| match request.path.as_str() {
        POLL if n == 1 => said(json!({ "batchId": 7, "status": "Queued" })),
        POLL if n == 2 => said(json!({ "batchId": 7, "status": "Importing" })),
        POLL => complete(2),
        FAILURES => csv(
            "email,lastName,Import Failure Reason\np3@example.com,Mota,Bad p3@example.com\nP1@example.com,Mota,Lead is ambiguous\n",
        ),
        _ => imports(n, request),
    });
    assert_eq!(talk.paths(), [MAKE, POLL, POLL, POLL, FAILURES]);
    assert_eq!(talk.words(), ["accepted", "refused", "accepted", "refused", "accepted"]);
    let query = [("format".into(), "csv".to_owned()), ("lookupField".into(), "email".to_owned())];
    assert_eq!((talk.asked[0].method, talk.asked[0].query.as_slice()), (Method::Post, &query[..]));
    let rows: String = (0..5).map(|n| format!("p{n}@example.com,Mota\n")).collect();
    assert_eq!(file(&talk.asked[0]), format!("email,lastName\n{rows}"));
    let Some((200, Outcome::Refused { code, words })) = &talk.outcomes[3] else { panic!() };
    assert_eq!((&**code, &**words), ("import_failed", "Bad …"));
}

#[test]
fn an_import_is_asked_for_every_five_to_thirty_seconds() {
    let mut exchange = importing().exchange(profiles(0..3));
    let (mut now, mut answer, mut waits) = (NOW, None, Vec::new());
    let outcomes = loop {
        match exchange.next(answer.take(), now) {
            Next::Ask(request) if request.path == MAKE => answer = Some(queued()),
            Next::Ask(_) => answer = Some(said(json!({ "batchId": 7, "status": "Importing" }))),
            Next::Wait(until) => {
                waits.push(until.since(now));
                now = until;
            }
            Next::Done { outcomes, halt } => {
                assert_eq!(halt, None);
                break outcomes;
            }
        }
    };
    assert_eq!(waits[..5], [5, 10, 20, 30, 30].map(Span::from_secs));
    assert_eq!(waits.len(), 40, "it ends");
    // It may be at work still, so it is not made again at once.
    assert!(
        matches!(&outcomes[0], Some((_, Outcome::Later { not_before, .. })) if *not_before >= now + Span::from_minutes(1))
    );
}

/// Whoever has something in the batch that needs their number, or goes into two lists, is written by calls, once.
#[test]
fn what_needs_a_number_is_no_import() {
    let into = |n, list: &str| doing(n, Action::AddToList(list.into()));
    let mut batch = profiles(0..4);
    batch.extend([into(1, "1044"), into(2, "1044"), into(2, "1045"), item(3), into(5, "1044"), into(6, "1044")]);
    let talk = Talk::with(importing().exchange(batch), imports);
    assert_eq!(talk.words(), vec!["accepted"; 10]);
    // For list 1044: 1, 5 and 6. By calls: 2 and 3, and 0, who is the only one without a list.
    assert_eq!(talk.paths()[..2], [MAKE, LEADS]);
    assert!(talk.asked[0].query.contains(&("listId".into(), "1044".to_owned())));
    assert_eq!(file(&talk.asked[0]), "email,lastName\np1@example.com,Mota\np5@example.com,Mota\np6@example.com,Mota\n");
    assert_eq!(inputs(&talk.asked[1]), 3);
    let few = Talk::with(importing().exchange(profiles(0..2)), imports);
    let never = Talk::with(marketo(json!({ "bulk_from": 0 })).exchange(profiles(0..9)), imports);
    assert_eq!((few.paths(), never.paths()), (vec![LEADS], vec![LEADS]));
}

/// Each file has leads of whom the same is known, so that it has no empty fields; what a file could mean otherwise than a
/// call is called.
#[test]
fn a_file_says_what_a_call_would_say() {
    let mut batch = profiles(0..9);
    for (n, name) in [(3, r#""""#), (4, r#""Null""#), (5, r#""--espalier-1f6b9e11-leads""#), (6, "null")] {
        batch[n].activation.traits = RawJson::trusted(format!(r#"{{"last_name":{name}}}"#));
    }
    batch[7].activation.traits = RawJson::trusted(r#"{"last_name":"M\"ota, \r\n--x"}"#);
    let talk = Talk::with(importing().exchange(batch), imports);
    assert_eq!((talk.words(), talk.paths()), (vec!["accepted"; 9], vec![MAKE, LEADS, POLL]));
    assert_eq!(inputs(&talk.asked[1]), 4);
    let file = file(&talk.asked[0]);
    let mut rows = csv::Reader::from_reader(file.as_bytes());
    let names: Vec<String> = rows.records().map(|row| row.expect("a row")[1].to_owned()).collect();
    assert_eq!(names, ["Mota", "Mota", "Mota", "M\"ota, \r\n--x", "Mota"]);
}

#[test]
fn a_full_queue_is_waited_for_and_then_calls_are_made() {
    for code in ["1016", "1019"] {
        let mut met = 0;
        let talk = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
            MAKE if met < 2 => {
                met += 1;
                failed(code)
            }
            _ => imports(n, request),
        });
        assert_eq!((talk.paths(), talk.words()), (vec![MAKE, MAKE, MAKE, POLL], vec!["accepted"; 3]), "{code}");
    }
    let full = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
        MAKE => failed("1016"),
        _ => imports(n, request),
    });
    assert_eq!((full.words(), full.asked.len()), (vec!["accepted"; 3], 12), "eleven times, and a call of leads");
}

/// What an instance cannot import is called; a list that is not there is its trigger's matter.
#[test]
fn a_refused_import_takes_nothing_from_calls() {
    let refusing = |code: &'static str| {
        let batch = (0..3).map(|n| doing(n, Action::AddToList("1044".into()))).collect();
        Talk::with(importing().exchange(batch), move |n, request| match request.path.as_str() {
            MAKE => failed(code),
            _ => imports(n, request),
        })
    };
    for code in ["1006", "603", "613", "703", "1003"] {
        let talk = refusing(code);
        assert_eq!(talk.paths(), [MAKE, LEADS, "/rest/v1/lists/1044/leads.json"], "{code}");
        assert_eq!((talk.words(), talk.halt.is_none()), (vec!["accepted"; 3], true), "{code}");
    }
    let missing = refusing("1013");
    assert_eq!((missing.words(), missing.asked.len()), (vec!["refused"; 3], 1));
    let broken = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
        POLL => said(json!({ "batchId": 7, "status": "Failed", "message": "x" })),
        _ => imports(n, request),
    });
    assert_eq!((broken.paths(), broken.words()), (vec![MAKE, POLL, LEADS], vec!["accepted"; 3]));
}

/// A file of failures that does not name all of them: the others are written once more, by calls.
#[test]
fn who_failed_and_is_not_named_is_written_by_a_call() {
    for file in ["email,lastName,reason\np1@example.com,Mota,x\n", "", "<html>"] {
        let talk = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
            POLL => complete(2),
            FAILURES => csv(file),
            _ => imports(n, request),
        });
        assert_eq!(talk.paths(), [MAKE, POLL, FAILURES, LEADS], "{file}");
        let is_named = file.contains("p1@");
        assert_eq!(talk.words()[1], if is_named { "refused" } else { "accepted" });
        assert_eq!(inputs(&talk.asked[3]), if is_named { 2 } else { 3 });
    }
}

/// What the vendor works on is asked for again, and not made a second time.
#[test]
fn trouble_while_an_import_is_at_work_does_not_make_it_again() {
    for trouble in [failed("606"), failed("608"), failed("604"), came(502, Value::Null), Answer::Unclear("cut".into())]
    {
        let talk = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
            POLL if n < 3 => trouble.clone(),
            _ => imports(n, request),
        });
        assert_eq!((talk.paths(), talk.halt.is_none()), (vec![MAKE, POLL, POLL, POLL], true));
        assert_eq!(talk.words(), ["accepted"; 3]);
    }
    // A token that is refused stops the lane; the import's leads stay away from calls while it may be at work.
    for stops in ["601", "607"] {
        let talk = Talk::with(importing().exchange(profiles(0..3)), |n, request| match request.path.as_str() {
            POLL => failed(stops),
            _ => imports(n, request),
        });
        assert!(talk.halt.is_some(), "{stops}");
        let is_away = |outcome: &Option<(u16, Outcome)>| match outcome {
            Some((_, Outcome::Later { not_before, is_throttled: true, .. })) => {
                *not_before >= NOW + Span::from_minutes(2)
            }
            _ => false,
        };
        assert!(talk.outcomes.iter().all(is_away), "{stops}");
    }
}

/// A daemon that stops takes what is known; leads of an import that is at work stay away for a while.
#[test]
fn what_is_known_at_a_stop_is_kept() {
    let mut batch = profiles(0..3);
    batch.extend([item(4), campaign(5, "5")]);
    let mut exchange = importing().exchange(batch);
    let mut answer = None;
    let mut calls = 0;
    loop {
        match exchange.next(answer.take(), NOW) {
            Next::Ask(request) => {
                answer = Some(imports(calls, &request));
                calls += 1;
            }
            Next::Wait(_) => break,
            Next::Done { .. } => panic!("it is not through"),
        }
    }
    let outcomes = exchange.so_far();
    for outcome in &outcomes[..3] {
        let Some((_, Outcome::Later { not_before, is_throttled: true, may_have_left: false, .. })) = outcome else {
            panic!("{outcome:?}")
        };
        assert_eq!(not_before.since(NOW), Span::from_minutes(2));
    }
    assert!(outcomes[3..].iter().all(|one| matches!(one, Some((_, Outcome::Accepted)))), "{outcomes:?}");
    // What did not leave is told to have stayed: nobody could look for it.
    let mut exchange = importing().exchange(vec![campaign(5, "5")]);
    assert!(matches!(exchange.next(None, NOW), Next::Ask(_)));
    let outcomes = exchange.so_far();
    assert!(matches!(&outcomes[0], Some((_, Outcome::Later { may_have_left: false, is_throttled: true, .. }))));
}

/// The vendor works on two imports: the lane's third exchange has calls, and so is through first.
#[test]
fn two_exchanges_import_and_a_third_makes_calls() {
    let marketo = importing();
    assert_eq!(marketo.limits().concurrency, 3);
    let at_work = |from: u8| {
        let mut exchange = marketo.exchange(profiles(from..from + 3));
        let Next::Ask(request) = exchange.next(None, NOW) else { panic!() };
        assert_eq!(request.path, MAKE);
        assert!(matches!(exchange.next(Some(queued()), NOW), Next::Wait(_)));
        exchange
    };
    let (first, _second) = (at_work(0), at_work(10));
    let third = Talk::with(marketo.exchange(profiles(20..23)), imports);
    assert_eq!((third.paths(), third.words()), (vec![LEADS], vec!["accepted"; 3]));
    drop(first);
    let fourth = Talk::with(marketo.exchange(profiles(20..23)), imports);
    assert_eq!(fourth.paths(), [MAKE, POLL]);
}

#[test]
fn a_file_that_is_too_large_is_two() {
    let mut batch = profiles(0..6);
    for item in &mut batch {
        item.activation.traits = RawJson::trusted(format!(r#"{{"last_name":"{}"}}"#, "x".repeat(3_000_000)));
    }
    let talk = Talk::with(importing().exchange(batch), imports);
    assert_eq!(talk.words(), ["accepted"; 6]);
    let made: Vec<usize> = talk.asked.iter().filter(|r| r.path == MAKE).map(|r| r.body.len()).collect();
    assert!(made.len() == 2 && made.iter().all(|bytes| *bytes < 10_000_000), "{made:?}");
}

/// Only what is imported makes a batch larger.
#[test]
fn a_large_batch_is_for_what_is_imported() {
    let settings = marketo(json!({}));
    let of = |marketo: &Marketo, action: Action| marketo.together(&doing(1, action).activation);
    assert_eq!((of(&settings, Action::Profile), of(&settings, Action::AddToList("1".into()))), (5_000, 5_000));
    for action in
        [Action::Event("E".into()), Action::Campaign("1".into()), Action::RemoveFromList("1".into()), Action::Erase]
    {
        assert_eq!(of(&settings, action), 300);
    }
    assert_eq!(of(&marketo(json!({ "bulk_from": 0 })), Action::Profile), 300);
    // By calls of 300 it goes too.
    let batch: Vec<Item> = (0..700u16)
        .map(|n| {
            let mut one = doing(0, Action::AddToList("1044".into()));
            let email = format!("p{n}@example.com");
            one.activation.identifiers =
                vec![crate::model::Identifier::new(crate::model::IdentifierKind::Email, email)];
            one
        })
        .collect();
    let talk =
        Talk::with(marketo(json!({ "bulk_from": 0 })).exchange(batch), |n, request| match request.path.as_str() {
            LEADS => {
                let result: Vec<Value> =
                    (0..inputs(request)).map(|lead| json!({ "id": 1_000 * n + lead, "status": "updated" })).collect();
                came(200, json!({ "success": true, "result": result }))
            }
            _ => does_all(n, request),
        });
    let sizes: Vec<usize> = talk.asked.iter().map(inputs).collect();
    assert_eq!((sizes, talk.words()), (vec![300, 300, 100, 300, 300, 100], vec!["accepted"; 700]));
}
