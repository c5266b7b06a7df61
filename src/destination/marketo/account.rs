//! The instance's custom activity type, against what is sent: whether it is there, has its attributes, and is approved
//! (documentation "Custom activity types"). A type is made as a draft, given its attributes, and then approved.

use serde_json::{Value, json};

use super::Settings;
use super::answer::{Verdict, verdict};
use crate::destination::Halt;
use crate::destination::account::{Asking, Difference, Made, Sort, Survey};
use crate::model::http::{Answer, Auth, Method, Request};
use crate::model::{FieldKind, Need, Timestamp};

/// The type that is made where the configured number is no type's.
const OURS: &str = "espalierTrigger";
/// Attributes beside the primary one (documentation).
const ATTRIBUTES: usize = 20;
/// "Already exists" (table of error codes).
const EXISTS: &str = "1017";

/// A conversation about an instance.
pub struct Asked {
    settings: Settings,
    needs: Vec<Need>,
    /// The configured type, once it is known.
    found: Option<Value>,
    asked_types: bool,
}

impl Asked {
    pub(super) fn new(settings: Settings, needs: Vec<Need>) -> Self {
        Self { settings, needs, found: None, asked_types: false }
    }

    fn describe(&self, found: &Value) -> Asking {
        let api_name = text(found, "apiName");
        let mut request = call(
            &self.settings,
            Method::Get,
            format!("/rest/v1/activities/external/type/{api_name}/describe.json"),
            None,
        );
        if text(found, "status") != "approved" {
            request.query.push(("draft".into(), "true".into()));
        }
        Asking::Ask(Box::new(request))
    }
}

impl Survey for Asked {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking {
        let Some(answer) = answer else {
            let request = call(&self.settings, Method::Get, "/rest/v1/activities/external/types.json".into(), None);
            return Asking::Ask(Box::new(request));
        };
        match verdict(&answer, now) {
            Verdict::Records(_) => {}
            Verdict::Halt(Halt::Quota { until, .. }) => return Asking::Again(until),
            Verdict::Halt(halt) => return Asking::Done(Err(halt)),
            Verdict::Down { words, .. } => return Asking::Done(Err(Halt::Down(words))),
            Verdict::Refused(code, words) => return Asking::Done(Err(Halt::Configuration(format!("{code}: {words}")))),
        }
        let Answer::Came(response) = answer else { return Asking::Done(Ok(Vec::new())) };
        let types = response.json().get("result").and_then(Value::as_array).cloned().unwrap_or_default();
        if !self.asked_types {
            self.asked_types = true;
            let of = |id: u64| types.iter().find(|one| one.get("id").and_then(Value::as_u64) == Some(id));
            return match of(self.settings.activity_type) {
                Some(found) => {
                    self.found = Some(found.clone());
                    self.describe(found)
                }
                None => {
                    let ours = types.iter().find(|one| text(one, "apiName") == OURS);
                    let (settings, needs) = (&self.settings, &self.needs);
                    match ours {
                        // Begun by an earlier run, and perhaps left half made.
                        Some(found) if text(found, "status") == "draft" => {
                            self.found = Some(found.clone());
                            self.describe(found)
                        }
                        other => Asking::Done(Ok(vec![missing(settings, needs, other)])),
                    }
                }
            };
        }
        let status = self.found.as_ref().map(|found| text(found, "status").to_owned()).unwrap_or_default();
        let described = types.first().cloned().unwrap_or_default();
        Asking::Done(Ok(differences(&self.settings, &self.needs, &described, &status)))
    }
}

/// The type is not there under the configured number.
fn missing(settings: &Settings, needs: &[Need], ours: Option<&Value>) -> Difference {
    let triggers = triggers(needs);
    let what = format!("activity type {}", settings.activity_type);
    if let Some(id) = ours.and_then(|ours| ours.get("id")?.as_u64()) {
        let words = format!("is not there, and `{OURS}` is: write `activity_type = {id}` into the configuration");
        return Difference::new(Sort::ByHand, what, words).of(&triggers);
    }
    let body = json!({
        "apiName": OURS, "name": "Espalier Trigger", "description": "A trigger of Espalier fired",
        "triggerName": "Raises a Trigger - Espalier", "filterName": "Raised a Trigger - Espalier",
        "primaryAttribute": { "apiName": "triggerId", "name": "Trigger ID", "dataType": "string" },
    });
    let attributes: Vec<(String, FieldKind)> = wanted(settings, needs);
    let steps = vec![
        call(settings, Method::Post, "/rest/v1/activities/external/type.json".into(), Some(&body)),
        add(settings, OURS, &attributes),
        approve(settings, OURS),
    ];
    let words =
        format!("is not there; `{OURS}` would be made, with {} attributes, and its number told", attributes.len());
    Difference::new(Sort::Missing, what, words).of(&triggers).made_by(steps)
}

/// What the type lacks. `status` is as the list of types has it.
pub(super) fn differences(settings: &Settings, needs: &[Need], described: &Value, status: &str) -> Vec<Difference> {
    let triggers = triggers(needs);
    let api_name = text(described, "apiName").to_owned();
    let what = format!("activity type {api_name}");
    let has = described.get("attributes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let mut differences = Vec::new();
    let mut lacking = Vec::new();
    for (name, kind) in wanted(settings, needs) {
        match has.iter().find(|attribute| text(attribute, "apiName") == name) {
            None => lacking.push((name, kind)),
            Some(attribute) => {
                let is = text(attribute, "dataType");
                if let Some(words) = unlike(is, kind) {
                    let what = format!("attribute {name} of {api_name}");
                    differences.push(Difference::new(Sort::Differs, what, words).of(&triggers));
                }
            }
        }
    }
    let known = wanted(settings, needs);
    for attribute in has.iter().filter(|a| a.get("isPrimary") != Some(&Value::Bool(true))) {
        let name = text(attribute, "apiName");
        if !known.iter().any(|(known, _)| known == name) {
            let what = format!("attribute {name} of {api_name}");
            differences.push(Difference::new(Sort::Unused, what, "`attributes` in the configuration does not fill it"));
        }
    }
    let is_draft = status != "approved";
    if !lacking.is_empty() {
        let names: Vec<&str> = lacking.iter().map(|(name, _)| name.as_str()).collect();
        let words = format!("lacks the attributes {}", names.join(", "));
        let difference = Difference::new(Sort::Missing, what, words).of(&triggers);
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
        differences.push(
            Difference::new(Sort::Missing, what, words).of(&triggers).made_by(vec![approve(settings, &api_name)]),
        );
    }
    let is_configured = described.get("id").and_then(Value::as_u64) == Some(settings.activity_type);
    if !is_configured && let Some(id) = described.get("id").and_then(Value::as_u64) {
        let words = format!("is `{api_name}`: write `activity_type = {id}` into the configuration");
        differences.push(Difference::new(Sort::ByHand, "activity_type", words).of(&triggers));
    }
    differences
}

/// The attributes that are filled: the occasion's, and those of the configuration by the field that fills them.
fn wanted(settings: &Settings, needs: &[Need]) -> Vec<(String, FieldKind)> {
    let kind = |field: &str| {
        let mut kinds = needs.iter().flat_map(|need| &need.fields).filter(|one| one.name == field).map(|one| one.kind);
        let first = kinds.next().unwrap_or(FieldKind::Text);
        if kinds.all(|kind| kind == first) { first } else { FieldKind::Text }
    };
    let own = std::iter::once((settings.occasion_attribute.clone(), FieldKind::Text));
    let configured = settings.attributes.iter().map(|(attribute, field)| (attribute.clone(), kind(field)));
    own.chain(configured).take(ATTRIBUTES).collect()
}

fn triggers(needs: &[Need]) -> Vec<std::sync::Arc<str>> {
    let mut triggers: Vec<_> = needs.iter().flat_map(|need| need.triggers.iter().cloned()).collect();
    triggers.sort();
    triggers.dedup();
    triggers
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
    call(settings, Method::Post, path, Some(&json!({ "attributes": attributes })))
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
    call(settings, Method::Post, path, Some(&json!({})))
}

fn call(settings: &Settings, method: Method, path: String, body: Option<&Value>) -> Request {
    Request {
        method,
        path,
        query: Vec::new(),
        headers: Vec::new(),
        content_type: "application/json",
        auth: Auth::Token,
        body: body.map(|body| body.to_string().into_bytes()).unwrap_or_default(),
        family: "rest".into(),
        timeout: settings.timeout,
    }
}

/// What an answer to a step means. What was made by a run before is there.
pub(super) fn made(answer: &Answer, now: Timestamp) -> Made {
    match verdict(answer, now) {
        Verdict::Records(_) => Made::Done,
        Verdict::Refused(code, _) if code == EXISTS => Made::There,
        Verdict::Refused(code, words) => Made::Failed(format!("{code}: {words}")),
        Verdict::Halt(Halt::Quota { until, .. }) => Made::Again(until),
        Verdict::Halt(halt) => Made::Halt(halt),
        Verdict::Down { words, .. } => Made::Halt(Halt::Down(words)),
    }
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Field;

    #[track_caller]
    fn check(attributes: &[(&str, &str)], status: &str, wanted: &[&str]) {
        let settings = json!({ "base_url": "https://m.example", "client_id": "i", "client_secret": "s", "activity_type": 9,
            "attributes": { "cartValue": "total" } });
        let settings: Settings = serde_json::from_value(settings).expect("settings");
        let field = Field { name: "total".into(), kind: FieldKind::Number };
        let needs = [Need { event: "E".into(), fields: vec![field], triggers: vec!["t".into()] }];
        let attributes: Vec<Value> =
            attributes.iter().map(|(name, kind)| json!({ "apiName": name, "dataType": kind })).collect();
        let described = json!({ "id": 9, "apiName": "raise", "attributes": attributes });
        let told = differences(&settings, &needs, &described, status);
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
}
