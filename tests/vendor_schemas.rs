//! The bodies that the adapters build, and what the simulated vendors say of their lists, against the vendors' own published
//! schemas.
//!
//! The schemas are not ours to ship: where they are not at hand, each test says so and passes.
#![expect(clippy::disallowed_methods, reason = "a test finds its material by an environment variable")]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use espalier::destination::account::Asking;
use espalier::destination::{Item, Next, Settings};
use espalier::model::http::{Answer, Response};
use espalier::model::{
    Action, Activation, Channel, Field, FieldKind, Identifier, Need, OccasionId, PersonId, RawJson, Timestamp,
};
use espalier::sandbox::Options;
use serde_json::{Value, json};

/// Where the specifications lie: `specs` in `$ESPALIER_SHARED`, or in `../shared` beside the crate.
fn specs() -> PathBuf {
    let shared = std::env::var("ESPALIER_SHARED").map(PathBuf::from);
    shared.unwrap_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")).join("specs")
}

/// Checks `body` against the schema at `pointer` of the specification `file`.
#[track_caller]
fn check(file: &str, pointer: &str, body: &Value) {
    let path = specs().join(file);
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not there", path.display());
        return;
    };
    let mut schema: Value = serde_json::from_str(&text).expect("a specification in JSON");
    assert!(schema.pointer(pointer).is_some(), "{file} has no {pointer}");
    schema["$ref"] = format!("#{pointer}").into();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(!validator.is_valid(&json!({})), "{file}{pointer} lets anything through");
    let wrong: Vec<_> =
        validator.iter_errors(body).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{file}{pointer}: {wrong:#?}\n{body:#}");
}

fn item(n: u8) -> Item {
    let names = [format!("email:p{n}@example.com"), format!("user_id:u{n}"), "phone:+351912345678".to_owned()];
    let activation = Activation {
        occasion: OccasionId([n; 16]),
        lane: Arc::from("shop"),
        trigger: Arc::from("cart-abandoned"),
        person: PersonId([n; 16]),
        identifiers: names.iter().filter_map(|name| Identifier::parse(name)).collect(),
        traits: RawJson::from_value(&json!({"first_name": "Ines", "last_name": "Faria"})),
        key: "".into(),
        at: Timestamp::from_millis(1_795_450_000_000),
        action: Action::Event("Cart Abandoned".into()),
        priority: 50,
        expires_at: Timestamp::MAX,
        not_before: None,
        payload: RawJson::from_value(&json!({
            "value": "74.50", "currency": "EUR", "URL": "https://shop.example/c/1", "first": true,
            "Items": [{"SKU": "WT-1", "Quantity": 1}], "ItemNames": ["Walnut tray", "Oil cloth"]})),
        broken: None,
    };
    Item { activation, may_have_left: false }
}

/// The bodies of an exchange about two events, each call answered as written.
fn bodies(settings: Value, answers: Vec<(u16, Value)>) -> Vec<Value> {
    bodies_of(settings, vec![item(1), item(2)], answers)
}

/// The same of something else to do.
fn doing(n: u8, action: Action) -> Item {
    let mut item = item(n);
    item.activation.action = action;
    item
}

fn bodies_of(settings: Value, batch: Vec<Item>, answers: Vec<(u16, Value)>) -> Vec<Value> {
    let settings: Settings = serde_json::from_value(settings).expect("settings");
    let mut exchange = settings.build("shop").exchange(batch);
    let mut answers = answers.into_iter();
    let (mut answer, mut bodies) = (None, Vec::new());
    while let Next::Ask(request) = exchange.next(answer.take(), Timestamp::default()) {
        bodies.push(serde_json::from_slice(&request.body).expect("a body of JSON"));
        let (status, body) = answers.next().expect("an answer for each call");
        answer = Some(Answer::Came(Response { status, body: body.to_string().into_bytes(), ..Response::default() }));
    }
    bodies
}

#[test]
fn klaviyo_takes_jobs_of_profiles() {
    let job = json!({"data": {"type": "profile-bulk-import-job", "id": "job-1"}});
    for action in [Action::Profile, Action::AddToList("L1".into())] {
        let settings = json!({"kind": "klaviyo", "api_key": "key", "bulk_from": 2});
        let batch = vec![doing(1, action.clone()), doing(2, action)];
        let bodies = bodies_of(settings, batch, vec![(202, job.clone())]);
        check("klaviyo.json", "/components/schemas/ProfileImportJobCreateQuery", &bodies[0]);
    }
}

#[test]
fn klaviyo_takes_what_is_said_of_consent_and_erasures() {
    for (action, schema) in [
        (Action::Subscribe(Channel::Email), "SubscriptionCreateJobCreateQuery"),
        (Action::Unsubscribe(Channel::Email), "SubscriptionDeleteJobCreateQuery"),
        (Action::Suppress, "SuppressionCreateJobCreateQuery"),
        (Action::Unsuppress, "SuppressionDeleteJobCreateQuery"),
        (Action::Erase, "DataPrivacyCreateDeletionJobQuery"),
    ] {
        let settings = json!({"kind": "klaviyo", "api_key": "key", "consent": {"list": "VRgFBd"}});
        let bodies = bodies_of(settings, vec![doing(1, action)], vec![(202, Value::Null); 2]);
        check("klaviyo.json", &format!("/components/schemas/{schema}"), &bodies[0]);
    }
}

#[test]
fn klaviyo_takes_single_events_and_jobs() {
    for (bulk_from, pointer) in
        [(0, "/components/schemas/EventCreateQueryV2"), (1, "/components/schemas/EventsBulkCreateJob")]
    {
        let settings = json!({"kind": "klaviyo", "api_key": "key", "bulk_from": bulk_from});
        for body in bodies(settings, vec![(202, Value::Null); 2]) {
            check("klaviyo.json", pointer, &body);
        }
    }
}

#[test]
fn hubspot_takes_contacts_and_events() {
    let found = json!({"results": [{"id": "1", "properties": {"email": "p1@example.com"}},
        {"id": "2", "properties": {"email": "p2@example.com"}}]});
    let settings = json!({"kind": "hubspot", "token": "key", "hub_id": 7});
    let bodies = bodies(settings, vec![(200, found), (204, Value::Null)]);
    let contacts = "/components/schemas/BatchInputSimplePublicObjectBatchInputUpsert";
    check("hubspot-contacts-2026-03.json", contacts, &bodies[0]);
    let events = "/components/schemas/BatchedBehavioralEventHttpCompletionRequest";
    check("hubspot-events-send-2026-03.json", events, &bodies[1]);
}

#[test]
fn marketo_takes_leads_and_activities() {
    let ok = |result: Value| (200, json!({"success": true, "result": result}));
    let leads = ok(json!([{"id": 50, "status": "created"}, {"id": 51, "status": "updated"}]));
    let activities = ok(json!([{"id": 1, "status": "added"}, {"id": 2, "status": "added"}]));
    let settings = json!({"kind": "marketo", "base_url": "https://m.example", "client_id": "id", "client_secret": "s",
        "activity_type": 100_001, "attributes": {"cartValue": "value", "items": "Items"}});
    let bodies = bodies(settings, vec![leads, activities]);
    check("marketo-mapi.json", "/definitions/SyncLeadRequest", &bodies[0]);
    check("marketo-mapi.json", "/definitions/CustomActivityRequest", &bodies[1]);
}

#[test]
fn klaviyo_takes_profiles_and_members() {
    let settings = json!({"kind": "klaviyo", "api_key": "key", "backfill_after": "1ms"});
    let found = (200, json!({"data": {"type": "profile", "id": "01A"}}));
    let batch = vec![doing(1, Action::Profile), doing(2, Action::AddToList("L1".into()))];
    let bodies = bodies_of(settings.clone(), batch, vec![found.clone(), found.clone(), (204, Value::Null)]);
    for body in &bodies[..2] {
        check("klaviyo.json", "/components/schemas/ProfileUpsertQuery", body);
    }
    check("klaviyo.json", "/components/schemas/ListMembersAddQuery", &bodies[2]);
    let batch = vec![doing(2, Action::RemoveFromList("L1".into()))];
    let bodies = bodies_of(settings, batch, vec![found, (204, Value::Null)]);
    check("klaviyo.json", "/components/schemas/ListMembersDeleteQuery", &bodies[1]);
}

#[test]
fn hubspot_takes_members_as_a_bare_list() {
    let found = json!({"results": [{"id": "1", "properties": {"email": "p1@example.com"}}]});
    let changed = json!({"recordIdsMissing": [], "recordsIdsAdded": ["1"], "recordIdsRemoved": []});
    check("hubspot-lists-2026-03.json", "/components/schemas/MembershipsUpdateResponse", &changed);
    let settings = json!({"kind": "hubspot", "token": "key", "hub_id": 7, "properties": {"plan": "first_name"}});
    let batch = vec![doing(1, Action::AddToList("7".into())), doing(1, Action::Profile)];
    let bodies = bodies_of(settings, batch, vec![(200, found), (200, changed)]);
    let contacts = "/components/schemas/BatchInputSimplePublicObjectBatchInputUpsert";
    check("hubspot-contacts-2026-03.json", contacts, &bodies[0]);
    assert_eq!(bodies[1], json!(["1"]));
}

#[test]
fn marketo_takes_members_and_requests() {
    let ok = |result: Value| (200, json!({"success": true, "result": result}));
    let leads = ok(json!([{"id": 50, "status": "created"}, {"id": 51, "status": "updated"}]));
    let settings = json!({"kind": "marketo", "base_url": "https://m.example", "client_id": "id", "client_secret": "s",
        "activity_type": 100_001, "campaigns": {"12": {"checkoutUrl": "URL", "total": "value"}}});
    let batch = vec![doing(1, Action::AddToList("7".into())), doing(2, Action::Campaign("12".into()))];
    let answers = vec![leads, ok(json!([{"id": 50, "status": "added"}])), ok(json!([{"id": 12}]))];
    let bodies = bodies_of(settings, batch, answers);
    check("marketo-mapi.json", "/definitions/SyncLeadRequest", &bodies[0]);
    check("marketo-mapi.json", "/definitions/ListOperationRequest", &bodies[1]);
    check("marketo-mapi.json", "/definitions/TriggerCampaignRequest", &bodies[2]);
}

#[test]
fn hubspot_reads_contacts_by_address() {
    let settings = json!({"kind": "hubspot", "token": "key", "hub_id": 7});
    let batch = vec![doing(1, Action::RemoveFromList("7".into())), doing(2, Action::RemoveFromList("7".into()))];
    let bodies = bodies_of(settings, batch, vec![(207, json!({"results": [], "errors": [{}]}))]);
    let read = "/components/schemas/BatchReadInputSimplePublicObjectId";
    check("hubspot-contacts-2026-03.json", read, &bodies[0]);
}

/// The bodies of the calls that make what an empty account lacks.
fn steps(settings: Value, empty: &[Value]) -> Vec<Value> {
    let settings: Settings = serde_json::from_value(settings).expect("settings");
    let field = |(name, kind)| Field { name: String::from(name), kind };
    let fields = [
        ("value", FieldKind::Number),
        ("is_new", FieldKind::Boolean),
        ("at", FieldKind::Datetime),
        ("products", FieldKind::List),
        ("note", FieldKind::Text),
    ];
    let need = Need {
        action: Action::Event("Cart Abandoned".into()),
        fields: fields.map(field).into(),
        triggers: vec!["cart".into()],
        repeats: true,
    };
    let mut survey = settings.build("shop").survey(vec![need]).expect("a survey");
    let (mut answer, mut answers) = (None, empty.iter());
    loop {
        match survey.next(answer.take(), Timestamp::default()) {
            Asking::Ask(_) => {
                let body = answers.next().expect("an answer for each call").to_string().into_bytes();
                answer = Some(Answer::Came(Response { status: 200, body, ..Response::default() }));
            }
            Asking::Again(_) => panic!("nothing is limited here"),
            Asking::Done(differences) => {
                let steps = differences.expect("differences").into_iter().flat_map(|one| one.steps);
                return steps.map(|step| serde_json::from_slice(&step.body).expect("a body of JSON")).collect();
            }
        }
    }
}

#[test]
fn hubspot_takes_definitions_and_properties() {
    let settings = json!({"kind": "hubspot", "token": "key", "hub_id": 7});
    let file = "hubspot-event-definitions-2026-03.json";
    let made = steps(settings.clone(), &[json!({}), json!({"results": []})]);
    assert_eq!(made.len(), 1);
    check(file, "/components/schemas/ExternalBehavioralEventTypeDefinitionEgg", &made[0]);
    let bare = json!({"results": [{"fullyQualifiedName": "pe7_cart_abandoned", "properties": []}]});
    let made = steps(settings, &[json!({}), bare]);
    assert_eq!(made.len(), 5);
    made.iter().for_each(|body| check(file, "/components/schemas/ExternalBehavioralEventPropertyCreate", body));
}

#[test]
fn marketo_takes_types_and_attributes() {
    let settings = json!({"kind": "marketo", "base_url": "https://m.example", "client_id": "id", "client_secret": "s",
        "activity_type": 100_001, "attributes": {"cartValue": "value", "isNew": "is_new", "items": "products"}});
    let made = steps(settings, &[json!({"success": true, "result": []})]);
    assert_eq!(made.len(), 3, "the type, its attributes, the approval");
    check("marketo-mapi.json", "/definitions/CustomActivityTypeRequest", &made[0]);
    for attribute in made[1]["attributes"].as_array().expect("a list") {
        check("marketo-mapi.json", "/definitions/CustomActivityTypeAttribute", attribute);
    }
}

/// What adapters read in a survey is what the vendors say, and not what the simulators made up.
#[tokio::test]
async fn simulated_lists_are_as_the_vendors_show_them() {
    let (sandbox, at) = support::vendors(Options::default()).await;
    let flow = json!({ "id": "F1", "name": "Thanks", "status": "live", "list": "UwQxX4" });
    sandbox.put("klaviyo", "flows", flow).expect("a flow");
    let http = support::client();
    let token = format!("http://{at}/marketo/identity/oauth/token");
    let login = [("grant_type", "client_credentials"), ("client_id", "sandbox"), ("client_secret", "sandbox")];
    let token: Value = http.get(token).query(&login).send().await.expect("the vendor").json().await.expect("JSON");
    let bearer = format!("Bearer {}", token["access_token"].as_str().expect("a token"));
    for (path, key, file, pointer) in [
        (
            "klaviyo/api/lists/UwQxX4",
            "Klaviyo-API-Key sandbox",
            "klaviyo.json",
            "/components/schemas/GetListRetrieveResponseCompoundDocument",
        ),
        (
            "klaviyo/api/lists/UwQxX4/relationships/flow-triggers",
            "Klaviyo-API-Key sandbox",
            "klaviyo.json",
            "/components/schemas/GetListFlowTriggersRelationshipsResponseCollection",
        ),
        (
            "hubspot/crm/lists/2026-03/1044",
            "Bearer sandbox",
            "hubspot-lists-2026-03.json",
            "/components/schemas/ListFetchResponse",
        ),
        ("marketo/rest/v1/lists/1044.json", &bearer, "marketo-mapi.json", "/definitions/ResponseOfStaticList"),
    ] {
        let asked =
            http.get(format!("http://{at}/{path}")).header("authorization", key).header("revision", "2026-07-15");
        let said = asked.send().await.expect("the vendor").json().await.expect("JSON");
        check(file, pointer, &said);
    }
}
