//! The API's document against what the API really answers: every operation is called, and each answer has the form that
//! is said of it, with no field that is not.

mod support;

use std::collections::BTreeSet;

use espalier::sandbox::Options;
use reqwest::Method;
use serde_json::{Value, json};
use support::{Daemon, accounts, client};

const TRIGGER: &str = r#"
name = "form"
[[when.all]]
did = "Form Submitted"
[[activate]]
destination = "klaviyo"
event = "Form Submitted"
"#;

/// The document, in which an object has no fields but those that are said of it.
fn strict(document: &Value) -> Value {
    let mut strict = document.clone();
    let mut parts = BTreeSet::new();
    parts_of(document, &mut parts);
    for (name, schema) in strict["components"]["schemas"].as_object_mut().expect("schemas") {
        if !parts.contains(&format!("#/components/schemas/{name}")) {
            close(schema);
        }
    }
    strict
}

/// Schemas that are a part of another object's.
fn parts_of(value: &Value, parts: &mut BTreeSet<String>) {
    if let Some(all) = value["allOf"].as_array() {
        parts.extend(all.iter().filter_map(|one| Some(one["$ref"].as_str()?.to_owned())));
    }
    match value {
        Value::Object(map) => map.values().for_each(|value| parts_of(value, parts)),
        Value::Array(list) => list.iter().for_each(|value| parts_of(value, parts)),
        _ => {}
    }
}

fn close(value: &mut Value) {
    match value {
        Value::Object(map) if map.contains_key("allOf") => {
            map.insert("unevaluatedProperties".into(), json!(false));
        }
        Value::Object(map) => {
            if map.get("properties").is_some_and(Value::is_object) && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".into(), json!(false));
            }
            map.values_mut().for_each(close);
        }
        Value::Array(list) => list.iter_mut().for_each(close),
        _ => {}
    }
}

struct Api {
    daemon: Daemon,
    token: String,
    document: Value,
    /// What was called, and how it was answered.
    called: BTreeSet<(String, String, u16)>,
}

impl Api {
    /// Calls an operation with what its path is to have, and holds the answer against the document.
    async fn call(
        &mut self,
        method: &str,
        path: &str,
        with: &[(&str, &str)],
        query: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let mut at = path.to_owned();
        for (name, value) in with {
            at = at.replace(&format!("{{{name}}}"), value);
        }
        assert!(!at.contains('{'), "{at}");
        let method_of = Method::from_bytes(method.to_uppercase().as_bytes()).expect("a method");
        let mut call =
            client().request(method_of, format!("http://{}{at}{query}", self.daemon.ops)).bearer_auth(&self.token);
        if let Some(body) = &body {
            let asked = &self.document["paths"][path][method]["requestBody"]["content"]["application/json"]["schema"];
            assert!(asked.is_object(), "{method} {path} says no body");
            self.fits(
                &format!("/paths/{}/{method}/requestBody/content/application~1json/schema", path.replace('/', "~1")),
                body,
            );
            call = call.json(body);
        }
        let answer = call.send().await.expect("an answer");
        let status = answer.status().as_u16();
        let text = answer.text().await.expect("a body");
        let said: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{method} {path}: {status} {text}"));
        let place = format!("/paths/{}/{method}/responses/{status}", path.replace('/', "~1"));
        assert!(
            self.document.pointer(&place).is_some(),
            "{method} {path} answers {status}, of which nothing is said: {said}"
        );
        self.fits(&format!("{place}/content/application~1json/schema"), &said);
        self.called.insert((method.to_owned(), path.to_owned(), status));
        (status, said)
    }

    fn fits(&self, pointer: &str, value: &Value) {
        let mut schema = self.document.clone();
        assert!(schema.pointer(pointer).is_some(), "nothing is said at {pointer}");
        schema["$ref"] = format!("#{}", pointer.replace('{', "%7B").replace('}', "%7D")).into();
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(wrong.is_empty(), "{pointer}: {wrong:#?}\n{value:#}");
    }

    async fn get(&mut self, path: &str) -> Value {
        let (status, said) = self.call("get", path, &[], "", None).await;
        assert_eq!(status, 200, "{path}: {said}");
        said
    }

    /// Asks until it is so.
    async fn until(&mut self, path: &str, with: &[(&str, &str)], is_so: impl Fn(&Value) -> bool) -> Value {
        for _ in 0..600 {
            let (_, said) = self.call("get", path, with, "", None).await;
            if is_so(&said) {
                return said;
            }
            support::pause(50).await;
        }
        panic!("{path} never came to be so");
    }

    async fn post(&mut self, path: &str, with: &[(&str, &str)], body: Option<Value>) -> (u16, Value) {
        self.call("post", path, with, "", body).await
    }

    async fn track(&self, id: &str, user: &str, event: &str) {
        let body = json!({ "messageId": id, "userId": user, "event": event, "properties": { "form": id },
            "context": { "traits": { "email": format!("{user}@shop.example") } } });
        assert_eq!(self.daemon.post(&client(), "/v1/track", body.to_string()).await, Some(200));
    }
}

fn has_some(value: &Value) -> bool {
    value.as_array().is_some_and(|list| !list.is_empty())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_operation_answers_as_its_document_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_sandbox, at) = support::vendors(Options::default()).await;
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &accounts(at), &[("form", TRIGGER)]);
    daemon.start_ready().await;
    let token = daemon.admin_token();
    let url = format!("http://{}/api/openapi.json", daemon.ops);
    let answer = client().get(&url).bearer_auth(&token).send().await.expect("the document");
    let document: Value = answer.json().await.expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document["info"]["title"], "Espalier");
    let mut api = Api { daemon, token, document: strict(&document), called: BTreeSet::new() };

    // Something to tell of: a dead letter, a message set aside, two people, one who is forgotten.
    support::fault(&format!("http://{at}"), json!({ "vendor": "klaviyo", "kind": "bad_record", "times": 1000 })).await;
    api.track("1", "a", "Form Submitted").await;
    api.track("2", "b", "Page Viewed").await;
    let unread = json!({ "batch": [{ "type": "nonsense", "messageId": "9", "userId": "c" }] }).to_string();
    api.daemon.post(&client(), "/v1/batch", unread).await;
    let status = "/api/status";
    let letters = api.until("/api/dead-letters", &[], has_some).await;
    let letter = letters[0]["id"].as_u64().expect("a dead letter").to_string();
    assert_eq!(api.call("get", "/api/dead-letters/{id}", &[("id", &letter)], "", None).await.0, 200);
    assert_eq!(api.call("get", "/api/dead-letters/{id}", &[("id", "9999999")], "", None).await.0, 404);
    assert!(api.get(status).await["troubles"].as_array().is_some_and(|troubles| !troubles.is_empty()));
    api.get("/api/quota").await;
    assert_eq!(api.call("get", "/api/series", &[], "?names=accepted&over=1h", None).await.0, 200);
    assert_eq!(api.get("/api/set-aside").await.as_array().map(Vec::len), Some(1));

    let about = json!({ "person": "a@shop.example", "trigger": "form" });
    let (_, why) = api.post("/api/explain", &[], Some(about)).await;
    assert!(why["edges"].as_array().is_some_and(|edges| !edges.is_empty()), "{why}");
    assert_eq!(api.post("/api/explain", &[], Some(json!({ "person": "nobody@shop.example" }))).await.0, 404);
    let preview = json!({ "person": "b@shop.example", "trigger": "form" });
    assert_eq!(api.post("/api/payload", &[], Some(preview)).await.0, 200);
    assert_eq!(api.post("/api/payload", &[], Some(json!({ "person": "b@shop.example", "trigger": "x" }))).await.0, 422);
    assert_eq!(api.post("/api/backtest", &[], Some(json!({ "trigger": "form", "since": "30d" }))).await.0, 200);
    assert_eq!(api.post("/api/backtest", &[], Some(json!({ "trigger": "x" }))).await.0, 404);

    api.get("/api/triggers").await;
    assert_eq!(api.call("post", "/api/triggers/{name}/pause", &[("name", "form")], "?policy=keep", None).await.0, 200);
    api.track("3", "b", "Form Submitted").await;
    api.until("/api/triggers/{name}/held", &[("name", "form")], has_some).await;
    assert_eq!(api.call("post", "/api/triggers/{name}/resume", &[("name", "form")], "?held=drop", None).await.0, 200);
    assert_eq!(api.call("post", "/api/triggers/{name}/pause", &[("name", "x")], "", None).await.0, 404);
    assert_eq!(api.call("post", "/api/triggers/{name}/pause", &[("name", "form")], "?policy=drop", None).await.0, 200);
    api.track("4", "d", "Form Submitted").await;
    let kept = api.until("/api/triggers/{name}/kept", &[("name", "form")], has_some).await;
    assert_eq!(kept[0]["by"], "paused");
    assert_eq!(api.call("get", "/api/triggers/{name}/kept", &[("name", "x")], "", None).await.0, 404);
    assert_eq!(api.call("post", "/api/triggers/{name}/resume", &[("name", "form")], "", None).await.0, 200);
    let (_, events) = api.call("get", "/api/events", &[], "?source=web&max=2", None).await;
    assert_eq!(events["found"][0]["name"], "Form Submitted", "{events}");
    assert_eq!(events["found"][0]["person"], kept[0]["person"]);
    let before = format!("?before={}", events["next"]);
    let (_, older) = api.call("get", "/api/events", &[], &before, None).await;
    assert_eq!(older["found"].as_array().map(Vec::len), Some(2), "{older}");
    assert_eq!(older["next"], Value::Null);
    assert_eq!(api.post("/api/triggers/reload", &[], None).await.0, 200);

    let ends = api.get("/api/activations").await;
    let id = ends["found"][0]["id"].as_u64().unwrap_or_default().to_string();
    api.call("get", "/api/activations/{id}", &[("id", &id)], "", None).await;
    assert_eq!(api.get("/api/replays").await, Value::Null);
    let of = |began: &Value| Some(json!({ "began": began }));
    let early = json!("2026-11-27T18:00:00Z");
    assert_eq!(api.post("/api/replays/begin", &[], of(&early)).await.0, 409, "nothing is counted");
    assert_eq!(api.post("/api/replays", &[], Some(json!({ "lane": "klaviyo", "trigger": "form" }))).await.0, 202);
    let counted = api.until("/api/replays", &[], |batch| batch["stage"]["stage"] == "counted").await;
    assert_eq!(api.post("/api/replays/begin", &[], of(&early)).await.0, 409, "another wish is meant");
    assert_eq!(api.post("/api/replays/begin", &[], of(&counted["began"])).await.0, 202);
    let replayed = api.until("/api/replays", &[], |batch| batch["stage"]["stage"] == "ended").await;
    assert_eq!((&replayed["stage"]["of"], &replayed["stage"]["replayed"]), (&json!(1), &json!(1)), "{replayed}");
    api.call("get", "/api/activations/waiting/{lane}", &[("lane", "klaviyo")], "?from=50-1&max=1", None).await;
    let nowhere = api.call("get", "/api/activations/waiting/{lane}", &[("lane", "klaviyo")], "?from=x", None).await;
    assert_eq!(nowhere.0, 422);
    assert_eq!(api.call("get", "/api/activations/waiting/{lane}", &[("lane", "x")], "", None).await.0, 404);
    let letters = api.until("/api/dead-letters", &[], has_some).await;
    let letter = letters[0]["id"].as_u64().expect("it was refused again").to_string();
    assert_eq!(api.post("/api/dead-letters/{id}/replay", &[("id", &letter)], None).await.0, 200);
    assert_eq!(api.post("/api/dead-letters/{id}/drop", &[("id", "9999999")], None).await.0, 404);
    assert_eq!(api.post("/api/nights/resend/{id}", &[("id", "9999999")], None).await.0, 404);
    assert_eq!(api.post("/api/nights", &[], Some(json!({}))).await.0, 202);
    api.until("/api/nights", &[], has_some).await;
    api.get("/api/nights/state").await;

    let item = json!([{ "id": "p1", "name": "Shoe", "price": "12.5", "updated": "2026-11-27T18:00:00Z" }]);
    assert_eq!(api.post("/api/catalogue", &[], Some(item)).await.0, 200);
    assert_eq!(api.get("/api/catalogue").await[0]["id"], "p1");
    assert_eq!(api.post("/api/codes/{pool}", &[("pool", "welcome")], Some(json!(["A1", "A2"]))).await.0, 200);
    assert_eq!(api.post("/api/codes/{pool}", &[("pool", "No Pool")], Some(json!(["A1"]))).await.0, 422);
    api.get("/api/codes").await;
    assert_eq!(api.call("get", "/api/audit/{source}", &[("source", "web")], "", None).await.0, 404);

    assert_eq!(api.post("/api/person/export", &[], Some(json!({ "person": "a@shop.example" }))).await.0, 200);
    let forget = json!({ "word": "erase", "names": ["email:b@shop.example"] });
    let told = api.post("/api/identity", &[], Some(forget)).await;
    assert_eq!(told.0, 200, "{told:?}");
    api.get("/api/identity/audit").await;
    assert_eq!(api.get("/api/person/receipts").await.as_array().map(Vec::len), Some(1));
    api.get("/api/person/demands").await;
    assert_eq!(api.post("/api/person/demands/{id}/answered", &[("id", "x")], None).await.0, 404);

    api.get("/api/access/me").await;
    let new = json!({ "name": "ines", "role": "admin", "password": "a long enough password" });
    assert_eq!(api.post("/api/access/accounts", &[], Some(new.clone())).await.0, 200);
    assert_eq!(api.post("/api/access/accounts", &[], Some(new)).await.0, 409);
    let account = [("name", "ines")];
    assert_eq!(api.post("/api/access/accounts/{name}", &account, Some(json!({ "role": "viewer" }))).await.0, 200);
    assert_eq!(api.post("/api/access/accounts/{name}", &account, Some(json!({ "password": "short" }))).await.0, 422);
    let token = json!({ "name": "stock", "role": "operator", "areas": ["catalogue"], "for": "30d" });
    assert_eq!(api.post("/api/access/tokens", &[], Some(token)).await.0, 200);
    api.get("/api/access").await;
    assert_eq!(api.call("delete", "/api/access/tokens/{name}", &[("name", "stock")], "", None).await.0, 200);
    assert_eq!(api.call("delete", "/api/access/accounts/{name}", &account, "", None).await.0, 200);
    assert_eq!(api.call("delete", "/api/access/accounts/{name}", &account, "", None).await.0, 404);
    assert_eq!(api.post("/api/access/link", &[], None).await.0, 200);
    assert!(api.get("/api/access/log").await.as_array().is_some_and(|log| log.len() > 10));

    api.get("/api/alerts").await;
    assert_eq!(api.post("/api/alerts/test", &[], None).await, (200, json!([])));
    assert_eq!(api.call("post", "/api/alerts/test", &[], "?receiver=nobody", None).await.0, 404);
    let (status, silence) =
        api.post("/api/alerts/silences", &[], Some(json!({ "for": "2h", "kind": "silence" }))).await;
    assert_eq!((status, &silence["by"]), (201, &json!("command line")));
    assert_eq!(api.post("/api/alerts/silences", &[], Some(json!({ "for": "90d" }))).await.0, 422);
    let id = [("id", "1")];
    assert_eq!(api.call("delete", "/api/alerts/silences/{id}", &id, "", None).await.0, 200);
    assert_eq!(api.call("delete", "/api/alerts/silences/{id}", &id, "", None).await.0, 404);

    let copy = folder.path().join("copy").display().to_string();
    assert_eq!(api.post("/api/store/backup", &[], Some(json!({ "folder": "here" }))).await.0, 422);
    assert_eq!(api.post("/api/store/backup", &[], Some(json!({ "folder": copy, "keep_ms": 86_400_000 }))).await.0, 200);
    assert_eq!(api.get("/api/store/backups").await.as_array().map(Vec::len), Some(1));
    assert_eq!(api.post("/api/store/backups/gone", &[], Some(json!({ "folder": copy }))).await.0, 200);
    assert_eq!(api.post("/api/store/compact", &[], None).await.0, 200);

    // Nothing is said of what was not called, and everything is held to some role and area.
    let verbs = ["get", "post", "put", "delete"];
    for (path, item) in document["paths"].as_object().expect("paths") {
        assert!(path.starts_with("/api/") && espalier::ops::Area::of(path).is_some(), "{path} is of no area");
        for (verb, operation) in item.as_object().expect("operations") {
            assert!(verbs.contains(&&**verb), "{verb}");
            let was = api.called.iter().any(|(method, at, status)| method == verb && at == path && *status < 400);
            // These need what this daemon has not: a connector that is pulled, a demand, a lost event.
            let needs_more = ["/api/audit/{source}", "/api/person/demands/{id}/answered", "/api/nights/resend/{id}"];
            let drops = path == "/api/dead-letters/{id}/drop";
            assert!(was || needs_more.contains(&&**path) || drops, "{verb} {path} was not called");
            let said = operation["description"].as_str().unwrap_or_default();
            assert!(said.contains("Asks for the role "), "{verb} {path}");
            assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{verb} {path} has no summary");
        }
    }
    assert!(api.daemon.terminate().success());
}
