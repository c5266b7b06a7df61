//! Legacy e-mail events: newest first, with an opaque offset that belongs to its window (legacy e-mail analytics page).

use serde_json::{Value, json};

use super::{Hubspot, error};
use crate::sandbox::call::{Answer, Call};

/// Events in a page: usual and most (unverified).
const PAGE: (usize, usize) = (100, 1_000);

impl Hubspot {
    /// `GET /email/public/v1/events`. Both bounds are milliseconds; the first is inclusive.
    pub(super) fn email_events(&self, call: &Call) -> Answer {
        let invalid = |name: &str| error(call, 400, "VALIDATION_ERROR", &format!("Invalid value for {name}"));
        let millis =
            |name: &'static str, usual: i64| call.param(name).map_or(Ok(usual), |v| v.parse().map_err(|_| name));
        let (from, until) = match (millis("startTimestamp", i64::MIN), millis("endTimestamp", i64::MAX)) {
            (Ok(from), Ok(until)) => (from, until),
            (Err(name), _) | (_, Err(name)) => return invalid(name),
        };
        let limit = match call.param("limit").map_or(Ok(PAGE.0), str::parse) {
            Ok(limit) if limit > 0 => PAGE.1.min(limit),
            _ => return invalid("limit"),
        };
        let mut rows = self.records.between("email_events", from, until, call.at);
        let is = |body: &Value, name: &str, wanted: &str| body.get(name).and_then(Value::as_str) == Some(wanted);
        for (param, name) in [("eventType", "type"), ("recipient", "recipient")] {
            if let Some(wanted) = call.param(param) {
                rows.retain(|r| is(&r.body, name, wanted));
            }
        }
        rows.reverse();
        let window = format!("{from}/{until}/{}", call.param("eventType").unwrap_or(""));
        let skip = match call.param("offset").filter(|o| !o.is_empty()) {
            None => 0,
            Some(offset) => match read_offset(offset, &window) {
                Some(skip) => skip,
                None => return invalid("offset"),
            },
        };
        let total = rows.len();
        rows.drain(..skip.min(total));
        rows.truncate(limit);
        let next = if call.is_stuck { skip } else { skip + rows.len() };
        self.records.note("email_events", &call.asked(), &rows, call.at);
        let events: Vec<&Value> = rows.iter().map(|r| &r.body).collect();
        let has_more = next < total || call.is_stuck;
        Answer::json(
            200,
            &json!({"hasMore": has_more, "offset": hex::encode(format!("{next}/{window}")), "events": events}),
        )
    }
}

/// How many events lie before this offset; none when it is of another window.
fn read_offset(offset: &str, window: &str) -> Option<usize> {
    let text = String::from_utf8(hex::decode(offset).ok()?).ok()?;
    let (skip, of) = text.split_once('/')?;
    (of == window).then(|| skip.parse().ok()).flatten()
}
