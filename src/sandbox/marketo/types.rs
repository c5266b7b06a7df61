//! Custom activity types: made as drafts, given attributes, approved (developer page "Custom activity types", table of
//! error codes). The types of `Options::activity_type` and `Options::activity_types` are there and approved from the
//! beginning.

use axum::http::Method;
use serde_json::{Value, json};

use super::{Marketo, Refusal, success};
use crate::sandbox::call::{Answer, Call};
use crate::sandbox::received::lock;

/// Types of a subscription, and secondary attributes of a type (documentation).
const TYPES: usize = 10;
const ATTRIBUTES: usize = 20;
const DATA_TYPES: [&str; 11] =
    ["string", "text", "boolean", "integer", "float", "currency", "link", "email", "phone", "date", "datetime"];

/// One type: what is live, and the draft over it.
#[derive(Clone)]
pub(super) struct Type {
    id: u64,
    head: Value,
    /// None until it is approved for the first time.
    live: Option<Vec<Value>>,
    draft: Option<Vec<Value>>,
}

impl Type {
    /// One that is there from the beginning; other numbers than the first have it in their names.
    pub fn of(id: u64, is_first: bool) -> Self {
        let (api, name) = match is_first {
            true => ("activation".to_owned(), "Activation".to_owned()),
            false => (format!("activation{id}"), format!("Activation {id}")),
        };
        let head = json!({
            "apiName": api, "name": name, "triggerName": format!("Raises an {name}"),
            "filterName": format!("Raised an {name}"),
            "primaryAttribute": { "apiName": "trigger", "name": "Trigger", "dataType": "string" },
        });
        let attribute = json!({ "apiName": "activationId", "name": "Activation ID", "dataType": "string" });
        Self { id, head, live: Some(vec![attribute]), draft: None }
    }

    /// Activities of this number are taken.
    pub fn takes(&self, id: u64) -> bool {
        self.id == id && self.live.is_some()
    }

    fn status(&self) -> &'static str {
        match (&self.live, &self.draft) {
            (None, _) => "draft",
            (Some(_), None) => "approved",
            (Some(_), Some(_)) => "approved with draft",
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.head.get("apiName").and_then(Value::as_str) == Some(name)
    }

    fn shown(&self, attributes: Option<&Vec<Value>>) -> Value {
        let mut shown = self.head.clone();
        shown["id"] = self.id.into();
        shown["status"] = self.status().into();
        if let Some(attributes) = attributes {
            shown["attributes"] = attributes.clone().into();
        }
        shown
    }
}

/// What is asked about types.
pub(super) enum Ask {
    List,
    Create,
    Describe(String),
    Add(String),
    Approve(String),
}

impl Ask {
    pub fn of(method: &Method, path: &str) -> Option<Self> {
        let rest = path.strip_prefix("/rest/v1/activities/external/")?;
        let is_post = *method == Method::POST;
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["types.json"] if !is_post => Some(Self::List),
            ["type.json"] if is_post => Some(Self::Create),
            ["type", name, "describe.json"] if !is_post => Some(Self::Describe((*name).to_owned())),
            ["type", name, "attributes", "create.json"] if is_post => Some(Self::Add((*name).to_owned())),
            ["type", name, "approve.json"] if is_post => Some(Self::Approve((*name).to_owned())),
            _ => None,
        }
    }
}

impl Marketo {
    pub(super) fn types(&self, ask: &Ask, call: &Call) -> Result<Answer, Refusal> {
        let mut memory = lock(&self.state);
        let types = &mut memory.types;
        let unknown = || ("1013", "Custom activity type not found".to_owned());
        let shown = match ask {
            Ask::List => types.iter().map(|one| one.shown(None)).collect(),
            Ask::Describe(name) => {
                let one = types.iter().find(|one| one.is_called(name)).ok_or_else(unknown)?;
                let attributes = match call.param("draft") {
                    Some("true") => one.draft.as_ref().or(one.live.as_ref()),
                    _ => one.live.as_ref(),
                };
                // Of a draft there is nothing live to be described.
                vec![one.shown(Some(attributes.ok_or_else(unknown)?))]
            }
            Ask::Create => {
                let head = super::body(call)?;
                let made = create(&head, types)?;
                vec![made]
            }
            Ask::Add(name) => {
                let body = super::body(call)?;
                let one = types.iter_mut().find(|one| one.is_called(name)).ok_or_else(unknown)?;
                add(&body, one)?;
                vec![one.shown(one.draft.as_ref())]
            }
            Ask::Approve(name) => {
                let one = types.iter_mut().find(|one| one.is_called(name)).ok_or_else(unknown)?;
                let Some(draft) = one.draft.take() else {
                    return Err(("1003", "There is no draft to approve".to_owned()));
                };
                one.live = Some(draft);
                vec![one.shown(one.live.as_ref())]
            }
        };
        Ok(success(call, shown.into()))
    }
}

fn create(head: &Value, types: &mut Vec<Type>) -> Result<Value, Refusal> {
    for name in ["apiName", "name", "triggerName", "filterName", "primaryAttribute"] {
        if head.get(name).is_none() {
            return Err(("1002", format!("Missing value for required parameter '{name}'")));
        }
    }
    let name = head.get("apiName").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
        return Err(("1003", "apiName must be alphanumeric".to_owned()));
    }
    if types.iter().any(|one| one.is_called(name)) {
        return Err(("1017", "Object already exists".to_owned()));
    }
    if types.len() >= TYPES {
        return Err(("1027", "Maximum number of custom activity types reached".to_owned()));
    }
    let id = types.iter().map(|one| one.id).max().unwrap_or(100_000) + 1;
    let made = Type { id, head: head.clone(), live: None, draft: Some(Vec::new()) };
    let shown = made.shown(made.draft.as_ref());
    types.push(made);
    Ok(shown)
}

fn add(body: &Value, one: &mut Type) -> Result<(), Refusal> {
    let mut draft = one.draft.clone().or_else(|| one.live.clone()).unwrap_or_default();
    for attribute in body.get("attributes").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| attribute.get(name).and_then(Value::as_str).unwrap_or_default();
        if text("apiName").is_empty() || text("name").is_empty() {
            return Err(("1002", "Missing value for required parameter 'apiName' or 'name'".to_owned()));
        }
        if !DATA_TYPES.contains(&text("dataType")) {
            return Err(("1003", format!("Invalid dataType of '{}'", text("apiName"))));
        }
        if draft.iter().any(|known| known.get("apiName") == attribute.get("apiName")) {
            return Err(("1017", "Object already exists".to_owned()));
        }
        draft.push(attribute.clone());
    }
    if draft.len() > ATTRIBUTES {
        return Err(("1028", format!("More than {ATTRIBUTES} attributes")));
    }
    one.draft = Some(draft);
    Ok(())
}
