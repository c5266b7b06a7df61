//! Definitions of custom events against the events that are sent: what is missing says the calls that make it, and a type
//! that is another cannot be changed (guide "Custom event definitions").

use serde_json::{Value, json};

use super::text;
use crate::destination::account::{self, Difference, Sort};
use crate::destination::hubspot::Settings;
use crate::destination::hubspot::body::{event_name, snake};
use crate::model::http::Method;
use crate::model::{ActionKind, FieldKind, Need};

/// Properties that a definition is given at most (those of one occurrence).
const PROPERTIES: usize = 50;

/// What is to be made, and what cannot be.
pub(super) fn differences(settings: &Settings, needs: &[Need], found: &[Value]) -> Vec<Difference> {
    let mut differences = Vec::new();
    let full = |definition: &Value| text(definition, "fullyQualifiedName").to_lowercase();
    let events: Vec<&Need> = account::of_kind(needs, ActionKind::Event).collect();
    let names: Vec<String> = events.iter().map(|need| event_name(settings, need.action.of())).collect();
    for (need, name) in events.into_iter().zip(&names) {
        let definition = found.iter().find(|definition| full(definition) == name.to_lowercase());
        match definition {
            None => differences.push(missing(settings, need, name)),
            Some(definition) if definition.get("archived") == Some(&Value::Bool(true)) => {
                let words = "is archived: restore it in HubSpot, or send the event under another name";
                differences.push(Difference::new(Sort::ByHand, format!("event {name}"), words).of(&need.triggers));
            }
            Some(definition) => differences.extend(properties(settings, need, name, definition)),
        }
    }
    for definition in
        found.iter().filter(|definition| !names.iter().any(|name| name.to_lowercase() == full(definition)))
    {
        let name = text(definition, "fullyQualifiedName");
        differences.push(Difference::new(Sort::Unused, format!("event {name}"), "no trigger sends it"));
    }
    differences
}

/// One definition with all its properties is one call.
fn missing(settings: &Settings, need: &Need, name: &str) -> Difference {
    let what = format!("event {name}");
    let Some(own) = name.strip_prefix(&format!("pe{}_", settings.hub_id)) else {
        let words =
            format!("is not there, and cannot be made: names of account {} begin with `pe{0}_`", settings.hub_id);
        return Difference::new(Sort::ByHand, what, words).of(&need.triggers);
    };
    let properties = wanted(need);
    let words = format!("is not there; {} properties", properties.len());
    let definitions: Vec<Value> = properties.iter().map(|(name, kind)| property(name, *kind)).collect();
    let label: String = need.action.of().chars().take(100).collect();
    let body = json!({
        "name": own, "label": label, "description": "Sent by Espalier", "primaryObject": "CONTACT",
        "includeDefaultProperties": false, "propertyDefinitions": definitions,
    });
    let path = settings.definitions();
    Difference::new(Sort::Missing, what, words).of(&need.triggers).made_by(vec![settings.call(
        Method::Post,
        path,
        "crm",
        body.to_string().into_bytes(),
    )])
}

/// Properties are added one by one; a type stays what it is.
fn properties(settings: &Settings, need: &Need, name: &str, definition: &Value) -> Vec<Difference> {
    let has = definition.get("properties").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut differences = Vec::new();
    for (property_name, kind) in wanted(need) {
        let what = format!("property {property_name} of {name}");
        match has.iter().find(|property| text(property, "name") == property_name) {
            None => {
                let path = format!("{}/{name}/property", settings.definitions());
                let body = property(&property_name, kind).to_string().into_bytes();
                let step = settings.call(Method::Post, path, "crm", body);
                let words = format!("is not there; it would be a {}", type_of(kind));
                differences.push(Difference::new(Sort::Missing, what, words).of(&need.triggers).made_by(vec![step]));
            }
            Some(property) => {
                let is = text(property, "type");
                if let Some(words) = unlike(is, kind) {
                    differences.push(Difference::new(Sort::Differs, what, words).of(&need.triggers));
                }
            }
        }
    }
    differences
}

/// What is wrong with a property of this type for such values; none where they fit.
fn unlike(is: &str, kind: FieldKind) -> Option<String> {
    let wanted = type_of(kind);
    if is == wanted || (is == "bool" && kind == FieldKind::Boolean) {
        return None;
    }
    let types = "set `types` in the triggers, or send it under another name: HubSpot changes no type";
    Some(match is {
        "string" => {
            format!("is a string, and values are of type {wanted}: they are kept, but not compared as such; {types}")
        }
        _ => format!("is a {is}, and values are of type {wanted}: HubSpot refuses such events; {types}"),
    })
}

/// The properties of an event, as they are sent.
fn wanted(need: &Need) -> Vec<(String, FieldKind)> {
    let mut wanted: Vec<(String, FieldKind)> = Vec::new();
    for field in &need.fields {
        let name = snake(&field.name);
        if !name.is_empty() && wanted.len() < PROPERTIES && !wanted.iter().any(|(known, _)| *known == name) {
            wanted.push((name, field.kind));
        }
    }
    wanted
}

fn type_of(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Number => "number",
        FieldKind::Datetime => "datetime",
        // There is no boolean: the vendor's own partners take an enumeration of the two words.
        FieldKind::Boolean => "enumeration",
        FieldKind::Text | FieldKind::List | FieldKind::Object => "string",
    }
}

fn property(name: &str, kind: FieldKind) -> Value {
    let label = name.replace('_', " ");
    let mut property = json!({ "name": name, "label": label, "type": type_of(kind) });
    if kind == FieldKind::Boolean {
        let options = ["true", "false"].iter().enumerate();
        let options: Vec<Value> = options
            .map(|(n, word)| json!({ "label": word, "value": word, "hidden": false, "displayOrder": n }))
            .collect();
        property["options"] = options.into();
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::http::Request;
    use crate::model::{Action, Field};

    fn differ(definitions: &[Value]) -> Vec<String> {
        let settings = json!({ "token": "t", "hub_id": 7, "events": { "Other": "pe8_other" } });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let field = |name: &str, kind| Field { name: name.into(), kind };
        let fields = vec![
            field("Cart Total", FieldKind::Number),
            field("cart_total", FieldKind::Text),
            field("is_new", FieldKind::Boolean),
        ];
        let need = |event: &str| Need {
            action: Action::Event(event.into()),
            fields: fields.clone(),
            triggers: vec!["t".into()],
            repeats: true,
        };
        let differences = differences(&settings, &[need("Cart Left"), need("Other")], definitions);
        let told = |one: &Difference| {
            let body = |step: &Request| serde_json::from_slice::<Value>(&step.body).unwrap_or_default().to_string();
            let steps: Vec<String> = one.steps.iter().map(body).collect();
            format!("{} {}: {} {}", one.sort.word(), one.what, one.words, steps.join(" ")).trim().to_owned()
        };
        differences.iter().map(told).collect()
    }

    #[test]
    fn what_is_missing_says_the_call_that_makes_it() {
        let told = differ(&[]);
        assert_eq!(told.len(), 2);
        assert!(told[0].starts_with("missing event pe7_cart_left: is not there; 2 properties {\"name\":\"cart_left\""));
        assert!(
            told[0].contains("{\"name\":\"cart_total\",\"label\":\"cart total\",\"type\":\"number\"}"),
            "{}",
            told[0]
        );
        assert_eq!(
            told[1],
            "by hand event pe8_other: is not there, and cannot be made: names of account 7 begin with `pe7_`"
        );
    }

    #[test]
    fn what_is_there_is_held_against_what_is_sent() {
        let of = |name: &str, properties: Value| json!({ "fullyQualifiedName": name, "properties": properties });
        let of_type = |name: &str, kind: &str| json!({ "name": name, "type": kind });
        let mut archived = of("pe8_other", json!([]));
        archived["archived"] = true.into();
        let left = |total: &str| of("PE7_cart_left", json!([of_type("cart_total", total), of_type("is_new", "bool")]));
        assert_eq!(
            differ(&[left("number"), archived.clone()]),
            ["by hand event pe8_other: is archived: restore it in HubSpot, or send the event under another name"]
        );
        let told = differ(&[left("string"), archived.clone()]);
        assert!(told[0].starts_with("differs property cart_total of pe7_cart_left: is a string, and values are of type number: they are kept"), "{told:?}");
        let told = differ(&[left("datetime"), archived, of("pe7_old", json!([]))]);
        assert!(told[0].contains("HubSpot refuses such events"), "{told:?}");
        assert_eq!(told.last().map(String::as_str), Some("unused event pe7_old: no trigger sends it"));
    }
}
