//! Custom activity types against the events that are sent as them: whether each is there, has the attributes that are
//! filled, and is approved. A type is made as a draft, given its attributes, and then approved.

use std::sync::Arc;

use std::collections::HashMap;

use serde_json::{Value, json};

use super::text;
use crate::destination::account::{self, Difference, Sort};
use crate::destination::marketo::Settings;
use crate::model::http::{Method, Request};
use crate::model::{ActionKind, FieldKind, Need};

/// The generic type that is made where the configured number is no type's.
const OURS: &str = "espalierTrigger";
/// Attributes beside the primary one (documentation).
const ATTRIBUTES: usize = 20;
/// Characters of an API name (documentation).
const NAME: usize = 255;

/// A type that activities are of, by its number: of one event or of several.
#[derive(Debug)]
pub struct Type {
    /// As the configuration says it.
    pub number: u64,
    /// Where it says so.
    key: String,
    /// How it is called if it has to be made; none where its event has no letters for a name.
    made_as: Option<Named>,
    /// The attributes that are filled.
    wanted: Vec<(String, FieldKind)>,
    triggers: Vec<Arc<str>>,
}

/// The names of a type to be made.
#[derive(Debug)]
struct Named {
    api: String,
    words: String,
}

/// What is known of a type by the list of them.
#[derive(Debug)]
pub enum Look {
    /// It is there: what it is like has to be asked.
    Describe(Value),
    /// It is not, and this is to be said.
    Told(Box<Difference>),
}

/// The types of the events that are sent, each once.
pub fn needed(settings: &Settings, needs: &[Need]) -> Vec<Type> {
    let mut types: Vec<Type> = Vec::new();
    // What is known of each attribute's sort: of an event without the field nothing.
    let mut kinds: HashMap<(usize, &str), FieldKind> = HashMap::new();
    for need in account::of_kind(needs, ActionKind::Event) {
        let event = need.action.of();
        let (number, filled) = settings.activity(event);
        let place = types.iter().position(|one| one.number == number).unwrap_or_else(|| {
            let is_own = settings.types.contains_key(event);
            types.push(Type {
                number,
                key: if is_own { format!("types.\"{event}\".activity_type") } else { "activity_type".to_owned() },
                made_as: if is_own { Named::of(event) } else { Some(Named::generic()) },
                wanted: vec![(settings.occasion_attribute.clone(), FieldKind::Text)],
                triggers: Vec::new(),
            });
            types.len() - 1
        });
        let Some(of) = types.get_mut(place) else { continue };
        of.triggers.extend(need.triggers.iter().cloned());
        of.triggers.sort();
        of.triggers.dedup();
        let wanted = &mut of.wanted;
        for (attribute, field) in filled {
            if !wanted.iter().any(|(known, _)| known == attribute) && wanted.len() < ATTRIBUTES {
                wanted.push((attribute.clone(), FieldKind::Text));
            }
            if let Some(one) = need.fields.iter().find(|one| one.name == *field) {
                let kind = kinds.entry((place, attribute)).or_insert(one.kind);
                *kind = if *kind == one.kind { one.kind } else { FieldKind::Text };
            }
        }
    }
    for ((place, attribute), kind) in kinds {
        let wanted = types.get_mut(place).map(|of| of.wanted.as_mut_slice()).unwrap_or_default();
        if let Some((_, known)) = wanted.iter_mut().find(|(known, _)| known == attribute) {
            *known = kind;
        }
    }
    types
}

/// Types that the configuration has for events that no trigger sends.
pub fn unused(settings: &Settings, needs: &[Need]) -> Vec<Difference> {
    let is_sent = |event: &&String| account::of_kind(needs, ActionKind::Event).any(|need| need.action.of() == *event);
    let unsent = settings.types.keys().filter(|event| !is_sent(event));
    unsent
        .map(|event| Difference::new(Sort::Unused, format!("types.\"{event}\""), "no trigger sends this event"))
        .collect()
}

/// Which of the instance's types it is.
pub fn look(settings: &Settings, of: &Type, found: &[Value]) -> Look {
    let what = format!("activity type {}", of.number);
    let told = |sort, words: String| Look::Told(Box::new(Difference::new(sort, &*what, words).of(&of.triggers)));
    let is_deleted = |one: &Value| text(one, "status") == "deleted";
    if let Some(one) = found.iter().find(|one| one.get("id").and_then(Value::as_u64) == Some(of.number)) {
        if is_deleted(one) {
            return told(Sort::ByHand, format!("was deleted: write another number as `{}`", of.key));
        }
        return Look::Describe(one.clone());
    }
    let Some(named) = &of.made_as else {
        return told(Sort::ByHand, format!("is not there: make one in Marketo, and write its number as `{}`", of.key));
    };
    let ours = found.iter().find(|one| text(one, "apiName") == named.api && !is_deleted(one));
    if let Some(one) = ours {
        // Begun by an earlier run, and perhaps left half made.
        if text(one, "status") == "draft" {
            return Look::Describe(one.clone());
        }
        if let Some(id) = one.get("id").and_then(Value::as_u64) {
            let words =
                format!("is not there, and `{}` is: write `{} = {id}` into the configuration", named.api, of.key);
            return told(Sort::ByHand, words);
        }
    }
    let attributes = of.wanted.len();
    let words =
        format!("is not there; `{}` would be made, with {attributes} attributes, and its number told", named.api);
    let steps = vec![
        settings.call(Method::Post, "/rest/v1/activities/external/type.json", named.body().to_string().into_bytes()),
        add(settings, &named.api, &of.wanted),
        approve(settings, &named.api),
    ];
    Look::Told(Box::new(Difference::new(Sort::Missing, what, words).of(&of.triggers).made_by(steps)))
}

impl Named {
    fn generic() -> Self {
        Self { api: OURS.to_owned(), words: "Trigger".to_owned() }
    }

    /// `Cart Abandoned` is `espalierCartAbandoned`: API names are letters and digits, other names those and blanks.
    fn of(event: &str) -> Option<Self> {
        let parts = event.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
        let parts: Vec<&str> = parts.collect();
        let words = parts.join(" ");
        if !words.contains(|c: char| c.is_ascii_alphabetic()) {
            return None;
        }
        let mut api = "espalier".to_owned();
        for part in parts {
            let (first, rest) = part.split_at(1);
            api.push_str(&first.to_uppercase());
            api.push_str(rest);
        }
        // The generic type's own.
        if api == OURS {
            api.push_str("Event");
        }
        (api.len() <= NAME).then_some(Self { api, words })
    }

    fn body(&self) -> Value {
        let words = &self.words;
        json!({
            "apiName": self.api, "name": format!("Espalier {words}"), "description": "A trigger of Espalier fired",
            "triggerName": format!("Raises a {words} - Espalier"), "filterName": format!("Raised a {words} - Espalier"),
            "primaryAttribute": { "apiName": "triggerId", "name": "Trigger ID", "dataType": "string" },
        })
    }
}

/// What the type lacks. `status` is as the list of types has it.
pub fn differences(settings: &Settings, of: &Type, described: &Value, status: &str) -> Vec<Difference> {
    let (triggers, known) = (&of.triggers, &of.wanted);
    let api_name = text(described, "apiName").to_owned();
    let what = format!("activity type {api_name}");
    let has = described.get("attributes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut differences = Vec::new();
    let mut lacking = Vec::new();
    for (name, kind) in known.iter().cloned() {
        match has.iter().find(|attribute| text(attribute, "apiName") == name) {
            None => lacking.push((name, kind)),
            Some(attribute) => {
                let is = text(attribute, "dataType");
                if let Some(words) = unlike(is, kind) {
                    let what = format!("attribute {name} of {api_name}");
                    differences.push(Difference::new(Sort::Differs, what, words).of(triggers));
                }
            }
        }
    }
    for attribute in has.iter().filter(|a| a.get("isPrimary") != Some(&Value::Bool(true))) {
        let name = text(attribute, "apiName");
        if !known.iter().any(|(known, _)| known == name) {
            let what = format!("attribute {name} of {api_name}");
            differences.push(Difference::new(Sort::Unused, what, "nothing in the configuration fills it"));
        }
    }
    let is_draft = status != "approved";
    if !lacking.is_empty() {
        let names: Vec<&str> = lacking.iter().map(|(name, _)| name.as_str()).collect();
        let words = format!("lacks the attributes {}", names.join(", "));
        let difference = Difference::new(Sort::Missing, what, words).of(triggers);
        differences.push(match status {
            // What else stands in the draft would be approved along with ours.
            "approved with draft" => Difference {
                sort: Sort::ByHand,
                words: format!("{}; it has a draft of somebody's: approve or discard that first", difference.words),
                ..difference
            },
            _ => difference.made_by(vec![add(settings, &api_name, &lacking), approve(settings, &api_name)]),
        });
    } else if is_draft {
        let words = match status {
            "draft" => "is not approved: it takes no activities",
            _ => "has a draft that is not approved",
        };
        differences
            .push(Difference::new(Sort::Missing, what, words).of(triggers).made_by(vec![approve(settings, &api_name)]));
    }
    let is_configured = described.get("id").and_then(Value::as_u64) == Some(of.number);
    if !is_configured && let Some(id) = described.get("id").and_then(Value::as_u64) {
        let words = format!("is `{api_name}`: write `{} = {id}` into the configuration", of.key);
        differences.push(Difference::new(Sort::ByHand, &*of.key, words).of(triggers));
    }
    differences
}

fn type_of(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "string",
        FieldKind::Number => "float",
        FieldKind::Boolean => "boolean",
        FieldKind::Datetime => "datetime",
        FieldKind::List | FieldKind::Object => "text",
    }
}

/// What is wrong with an attribute of this type for such values; none where it holds them.
fn unlike(is: &str, kind: FieldKind) -> Option<String> {
    let holds = match is {
        "string" | "text" | "link" | "email" | "phone" => true,
        "integer" | "float" | "currency" => kind == FieldKind::Number,
        "boolean" => kind == FieldKind::Boolean,
        "date" | "datetime" => kind == FieldKind::Datetime,
        _ => true,
    };
    (!holds).then(|| format!("is of type {is}, and values are of type {}: Marketo refuses them; set `types` in the triggers, or another attribute", type_of(kind)))
}

fn add(settings: &Settings, api_name: &str, attributes: &[(String, FieldKind)]) -> Request {
    let attributes: Vec<Value> = attributes
        .iter()
        .map(|(name, kind)| json!({ "apiName": name, "name": words(name), "dataType": type_of(*kind) }))
        .collect();
    let path = format!("/rest/v1/activities/external/type/{api_name}/attributes/create.json");
    settings.call(Method::Post, path, json!({ "attributes": attributes }).to_string().into_bytes())
}

/// `cartValue` is `Cart Value`.
fn words(name: &str) -> String {
    let mut words = String::new();
    for (n, c) in name.chars().enumerate() {
        match c {
            c if n == 0 => words.extend(c.to_uppercase()),
            c if c.is_uppercase() => words.extend([' ', c]),
            c if c.is_alphanumeric() => words.push(c),
            _ => words.push(' '),
        }
    }
    words
}

fn approve(settings: &Settings, api_name: &str) -> Request {
    let path = format!("/rest/v1/activities/external/type/{api_name}/approve.json");
    settings.call(Method::Post, path, b"{}".to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Field};

    fn settings() -> Settings {
        let settings = json!({ "base_url": "https://m.example", "client_id": "i", "client_secret": "s", "activity_type": 9,
            "attributes": { "cartValue": "total" }, "types": {
                "Left": { "activity_type": 10, "attributes": { "total": "total", "at": "left_at" } },
                "Gone": { "activity_type": 10, "attributes": { "total": "left_at" } }, "Never": { "activity_type": 11 },
                "Trigger": { "activity_type": 12 }, "Wieder da!": { "activity_type": 13 }, "再": { "activity_type": 14 } } });
        serde_json::from_value(settings).expect("settings")
    }

    fn need(event: &str) -> Need {
        let field = |name: &str, kind| Field { name: name.into(), kind };
        let fields = vec![field("total", FieldKind::Number), field("left_at", FieldKind::Datetime)];
        Need { action: Action::Event(event.into()), fields, triggers: vec!["t".into()], repeats: true }
    }

    #[track_caller]
    fn check(attributes: &[(&str, &str)], status: &str, wanted: &[&str]) {
        let of = needed(&settings(), &[need("E")]).remove(0);
        let attributes: Vec<Value> =
            attributes.iter().map(|(name, kind)| json!({ "apiName": name, "dataType": kind })).collect();
        let described = json!({ "id": 9, "apiName": "raise", "attributes": attributes });
        let told = differences(&settings(), &of, &described, status);
        let told = told.iter().map(|one| format!("{} {}, {} calls", one.sort.word(), one.what, one.steps.len()));
        assert_eq!(told.collect::<Vec<_>>(), wanted);
    }

    const BOTH: [(&str, &str); 2] = [("activationId", "string"), ("cartValue", "float")];

    #[test]
    fn a_type_is_there_whole_and_approved_or_is_made_so() {
        check(&BOTH, "approved", &[]);
        check(&BOTH, "draft", &["missing activity type raise, 1 calls"]);
        check(&BOTH, "approved with draft", &["missing activity type raise, 1 calls"]);
        check(&BOTH[..1], "approved", &["missing activity type raise, 2 calls"]);
    }

    #[test]
    fn a_draft_of_somebody_elses_is_not_approved_along() {
        check(&BOTH[..1], "approved with draft", &["by hand activity type raise, 0 calls"]);
    }

    #[test]
    fn a_type_of_data_has_to_hold_the_values() {
        let with = |kind| [("activationId", "string"), ("cartValue", kind)];
        check(&with("currency"), "approved", &[]);
        check(&with("string"), "approved", &[]);
        check(&with("datetime"), "approved", &["differs attribute cartValue of raise, 0 calls"]);
        let more = [("activationId", "string"), ("cartValue", "float"), ("old", "string")];
        check(&more, "approved", &["unused attribute old of raise, 0 calls"]);
        assert_eq!(words("checkoutUrl_2"), "Checkout Url 2");
    }

    #[test]
    fn each_number_is_one_type_with_the_attributes_of_all_its_events() {
        let needs = ["E", "Left", "Gone"].map(need);
        let told: Vec<_> =
            needed(&settings(), &needs).into_iter().map(|one| (one.number, one.key, one.wanted)).collect();
        let wanted = |of: &[(&str, FieldKind)]| -> Vec<_> {
            of.iter().map(|(name, kind)| ((*name).to_owned(), *kind)).collect()
        };
        let occasion = ("activationId", FieldKind::Text);
        assert_eq!(
            told,
            [
                (9, "activity_type".to_owned(), wanted(&[occasion, ("cartValue", FieldKind::Number)])),
                (
                    10,
                    "types.\"Left\".activity_type".to_owned(),
                    wanted(&[occasion, ("at", FieldKind::Datetime), ("total", FieldKind::Text)])
                ),
            ]
        );
        let unused: Vec<_> = unused(&settings(), &needs).into_iter().map(|one| one.what).collect();
        assert_eq!(unused, ["types.\"Never\"", "types.\"Trigger\"", "types.\"Wieder da!\"", "types.\"再\""]);
    }

    #[track_caller]
    fn check_look(event: &str, found: Value, wanted: &str) {
        let of = needed(&settings(), &[need(event)]).remove(0);
        let told = match look(&settings(), &of, found.as_array().expect("a list")) {
            Look::Describe(one) => format!("described {}", one["id"]),
            Look::Told(one) => format!("{} {}, {} calls", one.sort.word(), one.words, one.steps.len()),
        };
        assert!(told.starts_with(wanted), "{told}");
    }

    #[test]
    fn a_type_of_an_event_is_made_under_a_name_of_its_own() {
        let typed = |id: u64, name: &str, status: &str| json!([{ "id": id, "apiName": name, "status": status }]);
        check_look("Left", json!([]), "missing is not there; `espalierLeft` would be made, with 3 attributes");
        check_look("Trigger", json!([]), "missing is not there; `espalierTriggerEvent` would be made");
        check_look("Wieder da!", json!([]), "missing is not there; `espalierWiederDa` would be made");
        check_look("再", json!([]), "by hand is not there: make one in Marketo, and write its number as `types.\"再\"");
        check_look("Left", typed(10, "any", "approved"), "described 10");
        check_look("Left", typed(10, "any", "deleted"), "by hand was deleted");
        check_look("Left", typed(7, "espalierLeft", "draft"), "described 7");
        let words = "by hand is not there, and `espalierLeft` is: write `types.\"Left\".activity_type = 7`";
        check_look("Left", typed(7, "espalierLeft", "approved"), words);
        check_look("Left", typed(7, "espalierLeft", "deleted"), "missing");
    }
}
