//! Subscriptions to webhooks: created, changed and deleted by mutations (vendor page on `WebhookSubscription`). Nothing is
//! ever delivered from here.

use serde_json::{Value, json};

use super::Shopify;
use super::graphql::Field;
use super::select::{Wrong, select};
use crate::sandbox::call::Call;

/// What the schema knows of a subscription. `callbackUrl` is deprecated for `uri`.
pub(super) fn sample() -> Value {
    json!({
        "id": "gid://shopify/WebhookSubscription/1", "legacyResourceId": "1", "topic": "ORDERS_CREATE",
        "uri": "https://espalier.example/hook", "callbackUrl": "https://espalier.example/hook", "format": "JSON",
        "filter": null, "includeFields": [], "metafieldNamespaces": [], "name": null,
        "apiVersion": {"handle": "2026-07", "displayName": "2026-07", "supported": true},
        "createdAt": "2026-11-23T10:00:00Z", "updatedAt": "2026-11-23T10:00:00Z",
    })
}

impl Shopify {
    /// One mutation's payload. What is wrong with the input comes as `userErrors`, with HTTP 200.
    pub(super) fn mutate(&self, call: &Call, field: &Field) -> Result<Value, Wrong> {
        let user_error = |place: &str, words: &str| json!([{"field": [place], "message": words}]);
        let id = field.argument("id").and_then(Value::as_str).unwrap_or("");
        let known = || self.records.find("webhookSubscriptions", id).is_some();
        let gone = || user_error("id", "Webhook subscription does not exist");
        let mut payload = json!({"webhookSubscription": null, "deletedWebhookSubscriptionId": null, "userErrors": []});
        let input = field.argument("webhookSubscription").cloned().unwrap_or(json!({}));
        let uri = input.get("uri").or_else(|| input.get("callbackUrl")).and_then(Value::as_str).unwrap_or("");
        let outcome = match field.name.as_str() {
            "webhookSubscriptionCreate" => self.create(call, field, &input, uri).map(Some),
            "webhookSubscriptionUpdate" if !known() => Err(gone()),
            "webhookSubscriptionUpdate" => {
                let changed = self.records.change("webhookSubscriptions", id, input.clone(), call.at);
                changed.map(|()| Some(id.to_owned())).map_err(|words| user_error("id", &words))
            }
            "webhookSubscriptionDelete" if !self.records.remove("webhookSubscriptions", id) => Err(gone()),
            "webhookSubscriptionDelete" => {
                crate::sandbox::records::set(&mut payload, "/deletedWebhookSubscriptionId", id.into());
                Ok(None)
            }
            other => return Err((format!("Field '{other}' doesn't exist on type 'Mutation'"), "undefinedField")),
        };
        match outcome {
            Ok(Some(id)) => {
                let body = self.records.find("webhookSubscriptions", &id).map_or(Value::Null, |r| r.body.clone());
                crate::sandbox::records::set(&mut payload, "/webhookSubscription", body);
            }
            Ok(None) => {}
            Err(errors) => crate::sandbox::records::set(&mut payload, "/userErrors", errors),
        }
        let schema = json!({
            "webhookSubscription": sample(), "deletedWebhookSubscriptionId": "", "userErrors": [{"field": [""], "message": ""}],
        });
        select(&field.fields, &payload, &schema, &field.name)
    }

    fn create(&self, call: &Call, field: &Field, input: &Value, uri: &str) -> Result<String, Value> {
        let user_error = |place: &[&str], words: &str| json!([{"field": place, "message": words}]);
        let topic = field.argument("topic").and_then(Value::as_str).unwrap_or("");
        if topic.is_empty() || !topic.bytes().all(|b| b.is_ascii_uppercase() || b == b'_') {
            return Err(user_error(&["topic"], "Topic is invalid"));
        }
        if !uri.starts_with("https://") {
            return Err(user_error(
                &["webhookSubscription", "callbackUrl"],
                "Address protocol http:// is not supported",
            ));
        }
        let all = self.records.all("webhookSubscriptions", call.at);
        let is_same = |body: &Value| body.get("topic") == Some(&topic.into()) && body.get("uri") == Some(&uri.into());
        if all.iter().any(|row| is_same(&row.body)) {
            return Err(user_error(
                &["webhookSubscription", "callbackUrl"],
                "Address for this topic has already been taken",
            ));
        }
        let body = json!({
            "topic": topic, "uri": uri, "callbackUrl": uri,
            "format": input.get("format").cloned().unwrap_or("JSON".into()), "filter": input.get("filter"),
            "includeFields": input.get("includeFields").cloned().unwrap_or(json!([])), "metafieldNamespaces": [],
            "name": input.get("name"), "apiVersion": {"handle": "2026-07", "displayName": "2026-07", "supported": true},
        });
        let put = self.records.put("webhookSubscriptions", body, call.at, i64::MIN);
        put.map_err(|words| user_error(&["webhookSubscription"], &words))
    }
}
