//! Which flows a metric starts, and how a flow is. Facts from the OpenAPI of revision 2026-07-15 for the former; of the
//! latter only the fields that are asked for.
//!
//! Kind of record: `flows` (`name`, `status`, `archived`, `metric`: an id).

use serde_json::{Value, json};

use super::{JSON_API, Klaviyo, error, throttled};
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::lock;

impl Klaviyo {
    /// `GET /api/metrics/{id}/relationships/flow-triggers` and `GET /api/flows/{id}`; none for another path.
    pub(super) fn flows(&self, call: &Call) -> Option<Answer> {
        let parts: Vec<&str> = call.path.split('/').collect();
        let (metric, flow) = match parts.as_slice() {
            ["", "api", "metrics", id, "relationships", "flow-triggers"] => (Some(*id), None),
            ["", "api", "flows", id] => (None, Some(*id)),
            _ => return None,
        };
        if self.options.limits {
            let mut memory = lock(&self.state);
            let quota = if metric.is_some() { &mut memory.flow_triggers } else { &mut memory.flows };
            if let Err(seconds) = quota.take(call.at) {
                return Some(throttled(call, seconds));
            }
        }
        let unknown = || error(call, 404, "not_found", "A resource with this id does not exist.", None);
        let data = match (metric, flow) {
            (Some(metric), _) => {
                if self.records.find("metrics", metric).is_none() {
                    return Some(unknown());
                }
                let flows = self.records.all("flows", call.at);
                let of = flows.iter().filter(|flow| flow.body.get("metric").and_then(Value::as_str) == Some(metric));
                of.map(|flow| json!({ "type": "flow", "id": flow.id })).collect::<Vec<_>>().into()
            }
            (_, flow) => {
                let Some(flow) = self.records.find("flows", flow.unwrap_or_default()) else { return Some(unknown()) };
                let of = |name: &str| flow.body.get(name).cloned().unwrap_or(Value::Null);
                let attributes =
                    json!({ "name": of("name"), "status": of("status"), "archived": of("archived") == true });
                json!({ "type": "flow", "id": flow.id, "attributes": attributes })
            }
        };
        Some(Answer { content_type: JSON_API, ..Answer::json(200, &json!({ "data": data })) })
    }
}
