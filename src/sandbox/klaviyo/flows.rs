//! Which flows a metric or a list starts, and how a flow is. Facts from the OpenAPI of revision 2026-07-15 for the former;
//! of the latter only the fields that are asked for.
//!
//! Kind of record: `flows` (`name`, `status`, `archived`, and an id as `metric` or `list`).

use serde_json::{Value, json};

use super::{JSON_API, Klaviyo, error, throttled};
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::lock;

impl Klaviyo {
    /// `GET /api/metrics/{id}/relationships/flow-triggers`, the same of lists, and `GET /api/flows/{id}`; none for another
    /// path.
    pub(super) fn flows(&self, call: &Call) -> Option<Answer> {
        let parts: Vec<&str> = call.path.split('/').collect();
        let (starts, flow) = match parts.as_slice() {
            ["", "api", "metrics", id, "relationships", "flow-triggers"] => (Some(("metric", *id)), None),
            ["", "api", "lists", id, "relationships", "flow-triggers"] => (Some(("list", *id)), None),
            ["", "api", "flows", id] => (None, Some(*id)),
            _ => return None,
        };
        if self.options.limits {
            let mut memory = lock(&self.state);
            let quota = match starts {
                Some(("metric", _)) => &mut memory.metric_flows,
                Some(_) => &mut memory.list_flows,
                None => &mut memory.flows,
            };
            if let Err(seconds) = quota.take(call.at) {
                return Some(throttled(call, seconds));
            }
        }
        let unknown = || error(call, 404, "not_found", "A resource with this id does not exist.", None);
        let data = match (starts, flow) {
            (Some((kind, id)), _) => {
                let is_there = match kind {
                    "metric" => self.records.find("metrics", id).is_some(),
                    _ => lock(&self.state).lists.has(id),
                };
                if !is_there {
                    return Some(unknown());
                }
                let flows = self.records.all("flows", call.at);
                let of = flows.iter().filter(|flow| flow.body.get(kind).and_then(Value::as_str) == Some(id));
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
