//! Jobs that import profiles (OpenAPI, bulk import profiles): malformed input refuses all of it; what fails later is told
//! when the job is complete, a few seconds on.

use axum::http::Method;
use serde_json::{Value, json};

use super::check::{self, At, Wrong};
use super::lists::profile_id;
use super::{JSON_API, Klaviyo, error, refused};
use crate::sandbox::call::{Answer, Call, iso};
use crate::sandbox::lists::effect;
use crate::sandbox::received::{Effect, lock};

/// Profiles of a job (OpenAPI).
const PROFILES: usize = 10_000;
/// Jobs that are remembered.
const JOBS: usize = 10_000;
/// Milliseconds until a job is worked on, and until it is complete.
const STARTS: i64 = 500;
const ENDS: i64 = 2_500;

/// A job that was taken.
pub(super) struct Job {
    at: i64,
    total: usize,
    failed: Vec<Value>,
}

/// What a path is about.
pub(super) enum Ask {
    Make,
    Status(usize),
    Errors(usize),
}

impl Ask {
    /// Of a call.
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/api/profile-bulk-import-jobs")?;
        let number = |id: &str| id.strip_prefix("job-")?.parse().ok();
        match (rest, *method == Method::POST) {
            ("", true) => Some(Self::Make),
            (rest, false) if *method == Method::GET => match rest.strip_prefix('/')?.strip_suffix("/import-errors") {
                Some(id) => number(id).map(Self::Errors),
                None => number(rest.strip_prefix('/')?).map(Self::Status),
            },
            _ => None,
        }
    }
}

impl Klaviyo {
    /// The job's own calls.
    pub(super) fn import_job(&self, call: &Call, ask: &Ask) -> Answer {
        match ask {
            Ask::Make => self.make_job(call),
            Ask::Status(n) => match lock(&self.state).jobs.get(*n) {
                Some(job) => show(200, *n, job, call.at),
                None => error(call, 404, "not_found", "A job with the specified id does not exist.", None),
            },
            Ask::Errors(n) => {
                let failed = lock(&self.state).jobs.get(*n).map(|job| job.failed.clone()).unwrap_or_default();
                let body = json!({ "data": failed, "links": { "self": call.path, "next": null } });
                Answer { content_type: JSON_API, ..Answer::json(200, &body) }
            }
        }
    }

    fn make_job(&self, call: &Call) -> Answer {
        if call.body.len() > super::EVENT_BYTES {
            return error(call, 413, "payload_too_large", "The payload is too large.", None);
        }
        let Ok(payload) = serde_json::from_slice::<Value>(&call.body) else {
            return error(call, 400, "invalid", "The body is not valid JSON.", Some("/data"));
        };
        let mut wrong = Vec::new();
        let profiles = check::profiles_import(&payload, &mut wrong);
        if profiles.is_empty() || profiles.len() > PROFILES {
            let words = format!("A job takes 1 to {PROFILES} profiles.");
            wrong.push(Wrong::new(&At::root("/data/attributes/profiles/data"), words));
        }
        if !wrong.is_empty() {
            return refused(call, &wrong);
        }
        let lists: Vec<&str> = payload
            .pointer("/data/relationships/lists/data")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|list| list.get("id")?.as_str())
            .collect();
        let mut memory = lock(&self.state);
        if lists.iter().any(|list| !memory.lists.has(list)) {
            return error(call, 404, "not_found", "A list with the specified id does not exist.", None);
        }
        let mut failed = Vec::new();
        let mut ledger = self.ledger.open();
        for (place, (identifiers, person)) in profiles.iter().enumerate() {
            if call.bad_record && place == 0 {
                ledger.counts.refused += 1;
                failed.push(json!({
                    "type": "import-error", "id": format!("error-{place}"),
                    "attributes": {
                        "code": "invalid", "title": "Invalid input.", "detail": "Invalid on demand.",
                        "source": { "pointer": format!("/data/attributes/profiles/data/{place}/attributes/email") },
                        "original_payload": payload.pointer(&format!("/data/attributes/profiles/data/{place}")),
                    },
                }));
                continue;
            }
            let profile = memory.people.whose(identifiers);
            memory.people.learn(identifiers, profile);
            for list in &lists {
                if !memory.lists.add(list, profile) {
                    ledger.counts.duplicates += 1;
                    continue;
                }
                let (event, at) = (effect(false, list), iso(call.at));
                let one = Effect { id: String::new(), event, person: (*person).to_owned(), at, body: Value::Null };
                ledger.effect(one, &json!({ "profile": profile_id(profile) }));
            }
        }
        if memory.jobs.len() >= JOBS {
            return error(call, 400, "invalid", "Too many jobs.", None);
        }
        memory.jobs.push(Job { at: call.at, total: profiles.len(), failed });
        let n = memory.jobs.len() - 1;
        memory.jobs.last().map_or_else(|| Answer::empty(202), |job| show(202, n, job, call.at))
    }
}

fn show(status: u16, n: usize, job: &Job, now: i64) -> Answer {
    let age = now - job.at;
    let (word, done) = match age {
        _ if age >= ENDS => ("complete", job.total),
        _ if age >= STARTS => ("processing", job.total / 2),
        _ => ("queued", 0),
    };
    let failed = if word == "complete" { job.failed.len() } else { 0 };
    let link = format!("https://a.klaviyo.com/api/profile-bulk-import-jobs/job-{n}");
    let body = json!({ "data": {
        "type": "profile-bulk-import-job", "id": format!("job-{n}"), "links": { "self": link },
        "attributes": {
            "status": word, "created_at": iso(job.at), "total_count": job.total, "completed_count": done - failed.min(done),
            "failed_count": failed,
        },
    }});
    Answer { content_type: JSON_API, ..Answer::json(status, &body) }
}
