//! A receiver that takes anything and keeps it as it came: headers, path and the very text of the body.

use serde_json::{Map, Value, json};

use super::{Receiver, text};
use crate::sandbox::Options;
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::Effect;

pub(super) struct Recorder;

impl Receiver for Recorder {
    fn take(&self, call: &Call, _: &Options) -> Result<(Vec<Effect>, Answer), Answer> {
        if call.bad_record {
            return Err(self.error(422));
        }
        let said = String::from_utf8_lossy(&call.body).into_owned();
        let read: Value = serde_json::from_str(&said).map_err(|_| self.error(400))?;
        let names = |name: &str| !matches!(name, "authorization" | "host");
        let headers = call.headers.iter().filter(|(name, _)| names(name.as_str()));
        let headers: Map<String, Value> =
            headers.filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.into()))).collect();
        let effect = Effect {
            id: call.header("webhook-id").to_owned(),
            event: text(&read, "/type").to_owned(),
            person: text(&read, "/data/person/email").to_owned(),
            at: text(&read, "/timestamp").to_owned(),
            body: json!({ "path": call.path, "headers": headers, "text": said }),
        };
        Ok((vec![effect], Answer::empty(204)))
    }

    fn error(&self, status: u16) -> Answer {
        Answer::json(status, &json!({ "message": "refused on demand, or not JSON" }))
    }

    fn limit(&self) -> u32 {
        1_000
    }

    fn again(&self) -> &'static str {
        "retry-after"
    }
}
