//! Custom event definitions: listed with their properties, made once, given properties (specification of event
//! definitions 2026-03).

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::{Hubspot, error};
use crate::sandbox::call::{Answer, Call, is_lower_name};
use crate::sandbox::received::lock;

/// Definitions of an account, and characters of a name (guide).
const MOST: usize = 500;
const NAME_CHARS: usize = 50;
const LABEL_CHARS: usize = 100;
const TYPES: [&str; 4] = ["string", "number", "enumeration", "datetime"];

/// What is asked about definitions.
pub(super) enum Ask {
    List,
    Create,
    Read(String),
    Property(String),
}

impl Ask {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let bases = [
            "/events/v3/event-definitions",
            "/events/2026-03/event-definitions",
            "/events/custom/2026-09/event-definitions",
        ];
        let rest = bases.iter().find_map(|base| path.strip_prefix(base))?;
        let is_post = *method == Method::POST;
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            [""] if is_post => Some(Self::Create),
            [""] => Some(Self::List),
            ["", name] if !is_post => Some(Self::Read((*name).to_owned())),
            ["", name, "property"] if is_post => Some(Self::Property((*name).to_owned())),
            _ => None,
        }
    }
}

/// By full name.
pub(super) type Definitions = BTreeMap<String, Value>;

impl Hubspot {
    pub(super) fn definitions(&self, ask: &Ask, call: &Call) -> Answer {
        let body = || match serde_json::from_slice::<Value>(&call.body) {
            Ok(Value::Object(body)) if call.has_type(&["application/json"]) => Ok(body),
            _ => Err(error(call, 400, "VALIDATION_ERROR", "Invalid input JSON")),
        };
        let mut memory = lock(&self.state);
        let definitions = &mut memory.definitions;
        match ask {
            Ask::List => list(call, definitions),
            Ask::Read(name) => match definitions.get(name) {
                Some(definition) => Answer::json(200, definition),
                None => error(call, 404, "OBJECT_NOT_FOUND", "Event definition not found"),
            },
            Ask::Create => match body().map(|body| create(self.options.hub_id, &body, definitions)) {
                Ok(Ok(made)) => Answer::json(201, &made),
                Ok(Err((status, category, words))) => error(call, status, category, &words),
                Err(answer) => answer,
            },
            Ask::Property(name) => match body() {
                Ok(body) => add(call, name, &body, definitions),
                Err(answer) => answer,
            },
        }
    }
}

fn list(call: &Call, definitions: &Definitions) -> Answer {
    let limit = call.param("limit").and_then(|n| n.parse().ok()).unwrap_or(10).clamp(1, 100);
    let after = call.param("after").unwrap_or_default();
    let has_properties = call.param("includeProperties") == Some("true");
    let rest = definitions.iter().filter(|(name, _)| name.as_str() > after);
    let page: Vec<(&String, &Value)> = rest.take(limit).collect();
    let results: Vec<Value> = page
        .iter()
        .map(|(_, definition)| {
            let mut shown = (*definition).clone();
            if !has_properties && let Some(map) = shown.as_object_mut() {
                map.insert("properties".to_owned(), json!([]));
            }
            shown
        })
        .collect();
    let mut answer = json!({ "total": definitions.len(), "results": results });
    if page.len() == limit
        && let Some((last, _)) = page.last()
    {
        answer["paging"] = json!({ "next": { "after": last } });
    }
    Answer::json(200, &answer)
}

type Refusal = (u16, &'static str, String);

fn create(hub_id: u64, body: &Map<String, Value>, definitions: &mut Definitions) -> Result<Value, Refusal> {
    let invalid = |words: &str| (400, "VALIDATION_ERROR", words.to_owned());
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    for name in ["label", "includeDefaultProperties", "propertyDefinitions"] {
        if !body.contains_key(name) {
            return Err(invalid(&format!("Some required fields were not set: [{name}]")));
        }
    }
    let name = text("name");
    if !is_lower_name(&name.replace('-', "_"), NAME_CHARS) || text("label").chars().count() > LABEL_CHARS {
        return Err(invalid("The name or label of the event definition is invalid"));
    }
    let full = format!("pe{hub_id}_{name}");
    if definitions.contains_key(&full) {
        return Err((409, "CONFLICT", format!("Event definition {full} already exists")));
    }
    if definitions.len() >= MOST {
        return Err(invalid("The limit of event definitions is reached"));
    }
    let mut properties = Vec::new();
    for property in body.get("propertyDefinitions").and_then(Value::as_array).into_iter().flatten() {
        properties.push(checked(property).map_err(|words| invalid(&words))?);
    }
    let definition = json!({
        "id": (definitions.len() + 1).to_string(), "name": name, "fullyQualifiedName": full, "archived": false,
        "labels": { "singular": text("label"), "plural": text("label") }, "objectTypeId": format!("6-{}", definitions.len() + 1),
        "associations": [], "description": text("description"), "properties": properties,
    });
    definitions.insert(full, definition.clone());
    Ok(definition)
}

fn add(call: &Call, name: &str, body: &Map<String, Value>, definitions: &mut Definitions) -> Answer {
    let property = match checked(&Value::Object(body.clone())) {
        Ok(property) => property,
        Err(words) => return error(call, 400, "VALIDATION_ERROR", &words),
    };
    let Some(definition) = definitions.get_mut(name) else {
        return error(call, 404, "OBJECT_NOT_FOUND", "Event definition not found");
    };
    let Some(properties) = definition.get_mut("properties").and_then(Value::as_array_mut) else {
        return error(call, 500, "INTERNAL_ERROR", "no properties");
    };
    if properties.iter().any(|known| known.get("name") == property.get("name")) {
        return error(call, 409, "CONFLICT", "A property with that name already exists");
    }
    properties.push(property.clone());
    Answer::json(201, &property)
}

/// A property as it is kept.
fn checked(property: &Value) -> Result<Value, String> {
    let text = |name: &str| property.get(name).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    if !is_lower_name(name, NAME_CHARS) || text("label").is_empty() {
        return Err(format!("Property \"{name}\" has an invalid name or no label"));
    }
    if !TYPES.contains(&text("type")) {
        return Err(format!("Property \"{name}\" has no valid type"));
    }
    let options = property.get("options").cloned().unwrap_or_else(|| json!([]));
    if text("type") == "enumeration" && options.as_array().is_none_or(Vec::is_empty) {
        return Err(format!("Property \"{name}\" is an enumeration without options"));
    }
    Ok(json!({
        "name": name, "label": text("label"), "type": text("type"), "options": options, "description": "", "groupName": "",
        "fieldType": "text",
    }))
}
