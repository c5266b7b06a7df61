//! Many profiles at once: the job, its questions, and what failed of it.

use super::*;

const JOBS: &str = "/api/profile-bulk-import-jobs";

/// Sixty, by what `of` says of each.
fn sixty(of: impl Fn(u8) -> Action) -> Vec<Item> {
    (0..60).map(|n| doing(n, of(n))).collect()
}

fn listed(_: u8) -> Action {
    Action::AddToList("L1".into())
}

/// How a job is, as the vendor says it.
fn job(status: &str, failed: usize) -> Answer {
    let attributes = json!({ "status": status, "total_count": 60, "failed_count": failed });
    came(200, json!({ "data": { "type": "profile-bulk-import-job", "id": "job-1", "attributes": attributes } }))
}

fn failure(pointer: &str) -> Value {
    let source = json!({ "pointer": pointer });
    json!({ "type": "import-error", "id": "e", "attributes": { "code": "invalid", "title": "T", "detail": "no", "source": source } })
}

#[test]
fn many_people_are_one_job_that_puts_them_into_their_list() {
    let talk = talk(sixty(listed), |n, _| job(["queued", "processing", "complete"][n.min(2)], 0));
    assert!(talk.words().iter().all(|word| *word == "accepted"));
    let of_job = format!("{JOBS}/job-1");
    assert_eq!(talk.paths(), [JOBS, &of_job, &of_job]);
    let made = talk.body(0);
    assert_eq!(made["data"]["attributes"]["profiles"]["data"].as_array().map(Vec::len), Some(60));
    assert_eq!(made["data"]["relationships"]["lists"]["data"], json!([{ "type": "list", "id": "L1" }]));
}

/// Profiles and each list have jobs of their own; taking somebody out needs their id, and few are no many.
#[test]
fn what_is_not_alike_does_not_go_together() {
    let mut batch = sixty(|_| Action::Profile);
    batch.extend(sixty(listed));
    batch.push(doing(61, Action::AddToList("L2".into())));
    batch.push(doing(62, Action::RemoveFromList("L1".into())));
    let talk = talk(batch, |n, request| match request.path.starts_with(JOBS) {
        true => job("complete", 0),
        false => has_all(n, request),
    });
    assert!(talk.words().iter().all(|word| *word == "accepted"), "{:?}", talk.words());
    let count = |path: &str| talk.paths().iter().filter(|known| **known == path).count();
    assert_eq!((count(JOBS), count("/api/profile-import")), (2, 2));
}

#[test]
fn whoever_failed_in_a_job_is_refused_and_nobody_else() {
    let talk = talk(sixty(listed), |_, request| match request.path.ends_with("/import-errors") {
        true if request.query.is_empty() => came(
            200,
            json!({ "data": [failure("/data/attributes/profiles/data/3/attributes/email")],
                "links": { "next": format!("https://x{JOBS}/job-1/import-errors?page%5Bcursor%5D=bmV4dA%3D%3D") } }),
        ),
        true => came(200, json!({ "data": [failure("/data/attributes/profiles/data/7/attributes/email")] })),
        false => job("complete", 2),
    });
    assert_eq!(talk.asked[3].query, [("page[cursor]".into(), "bmV4dA==".to_owned())]);
    let refused: Vec<usize> =
        talk.words().iter().enumerate().filter(|(_, word)| **word == "refused").map(|(n, _)| n).collect();
    assert_eq!(refused, [3, 7]);
    assert_eq!(talk.words().iter().filter(|word| **word == "accepted").count(), 58);
}

/// Where it cannot be told who failed, everybody else is written again, one by one.
#[test]
fn a_failure_without_a_name_is_looked_for_one_by_one() {
    let talk = talk(sixty(|_| Action::Profile), |n, request| match request.path.as_str() {
        "/api/profile-import" => {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            if text.contains("p9@") {
                came(400, json!({ "errors": [{ "code": "invalid" }] }))
            } else {
                has_all(n, request)
            }
        }
        path if path.ends_with("/import-errors") => came(200, json!({ "data": [failure("/data")] })),
        _ => job("complete", 1),
    });
    assert_eq!((talk.words()[9], talk.words().iter().filter(|word| **word == "accepted").count()), ("refused", 59));
}

#[test]
fn a_refused_job_is_made_again_without_those_it_names() {
    let talk = talk(sixty(listed), |n, _| match n {
        0 => {
            let source = json!({ "pointer": "/data/attributes/profiles/data/5/attributes/email" });
            came(400, json!({ "errors": [{ "code": "invalid", "detail": "no", "source": source }] }))
        }
        _ => job("complete", 0),
    });
    assert_eq!((talk.words()[5], talk.paths()[1]), ("refused", JOBS));
    assert_eq!(talk.body(1)["data"]["attributes"]["profiles"]["data"].as_array().map(Vec::len), Some(59));
    assert_eq!(talk.words().iter().filter(|word| **word == "accepted").count(), 59);
}

/// A job that is lost is made again later: writing a profile twice is writing it once.
#[test]
fn a_job_that_does_not_end_is_tried_again() {
    for answer in [job("processing", 0), job("cancelled", 0), came(404, Value::Null), came(200, Value::Null)] {
        let talk = talk(sixty(listed), |n, _| if n == 0 { job("queued", 0) } else { answer.clone() });
        assert!(talk.words().iter().all(|word| *word == "later"), "{:?}", talk.words());
        assert!(talk.halt.is_none() && talk.asked.len() <= 41);
    }
}

#[test]
fn a_list_that_is_missing_refuses_its_job() {
    let talk = talk(sixty(listed), |_, _| came(404, json!({ "errors": [{ "code": "not_found" }] })));
    assert_eq!((talk.words(), &talk.halt, talk.asked.len()), (vec!["refused"; 60], &None, 1));
}

/// When the daemon stops while a job is worked on, what is known is kept; the rest is as it was.
#[test]
fn what_was_taken_is_known_before_a_job_is_through() {
    let klaviyo = Klaviyo::new("lane", serde_json::from_value(json!({ "api_key": "k" })).expect("settings"));
    let mut batch = sixty(listed);
    batch.push(item(61));
    let mut exchange = klaviyo.exchange(batch);
    assert!(matches!(exchange.next(None, NOW), Next::Ask(_)));
    assert!(matches!(exchange.next(Some(came(202, Value::Null)), NOW), Next::Ask(_)));
    let Next::Wait(until) = exchange.next(Some(job("queued", 0)), NOW) else { panic!("it waits") };
    assert!(until > NOW);
    let known = exchange.so_far();
    assert_eq!(known.iter().flatten().count(), 1);
    assert_eq!(known[60], Some((202, Outcome::Accepted)));
}
