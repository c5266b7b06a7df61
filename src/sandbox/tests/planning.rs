//! What accounts say of themselves, and what they refuse to be given: event definitions, activity types, flows.

use serde_json::{Value, json};

use super::World;

const DEFINITIONS: &str = "/events/2026-03/event-definitions";

#[tokio::test]
async fn hubspot_makes_a_definition_once_and_gives_it_properties() {
    let world = World::free();
    let property = |name: &str, kind: &str| json!({ "name": name, "label": name, "type": kind });
    let egg = |name: &str, properties: Value| json!({ "name": name, "label": "L", "includeDefaultProperties": false, "propertyDefinitions": properties });
    let reply = world.hubspot(DEFINITIONS, &egg("cart_left", json!([property("total", "number")]))).await;
    assert_eq!((reply.status, reply.at("/fullyQualifiedName")), (201, &json!("pe1234567_cart_left")));
    let again = world.hubspot(DEFINITIONS, &egg("cart_left", json!([]))).await;
    assert!(again.status == 409 && again.at("/message").as_str().is_some_and(|m| m.contains("already exists")));
    for wrong in [
        egg("Cart Left", json!([])),
        egg("a", json!([property("Total", "number")])),
        egg("b", json!([property("total", "boolean")])),
        egg("c", json!([property("total", "enumeration")])),
        json!({ "name": "d", "label": "L" }),
    ] {
        assert_eq!(world.hubspot(DEFINITIONS, &wrong).await.status, 400, "{wrong}");
    }
    let path = format!("{DEFINITIONS}/pe1234567_cart_left/property");
    assert_eq!(world.hubspot(&path, &property("note", "string")).await.status, 201);
    assert_eq!(world.hubspot(&path, &property("note", "string")).await.status, 409);
    assert_eq!(world.hubspot(&format!("{DEFINITIONS}/pe1_no/property"), &property("n", "string")).await.status, 404);
    let list = |query: &str| {
        let path = format!("/hubspot{DEFINITIONS}{query}");
        let world = &world;
        async move { world.get(&path, &[("authorization", "Bearer sandbox")]).await }
    };
    assert_eq!(list("?includeProperties=true").await.at("/results/0/properties/1/name"), "note");
    assert_eq!(list("").await.at("/results/0/properties"), &json!([]));
    world.hubspot(DEFINITIONS, &egg("zz", json!([]))).await;
    let page = list("?limit=1").await;
    let after = page.at("/paging/next/after").as_str().expect("a second page").to_owned();
    assert_eq!(list(&format!("?limit=1&after={after}")).await.at("/results/0/name"), "zz");
}

#[tokio::test]
async fn marketo_keeps_a_draft_until_it_is_approved() {
    let world = World::free();
    let token = world.token().await;
    let call = |path: String, body: Value| {
        let (world, token) = (&world, &token);
        async move { world.marketo(token, &format!("activities/external/{path}"), &body).await }
    };
    let new = json!({ "apiName": "raise", "name": "R", "triggerName": "T", "filterName": "F", "primaryAttribute": {} });
    let made = call("type.json".into(), new.clone()).await;
    assert_eq!((made.at("/result/0/id"), made.at("/result/0/status")), (&json!(100_002), &json!("draft")));
    assert_eq!(call("type.json".into(), new).await.at("/errors/0/code"), "1017");
    assert_eq!(call("type.json".into(), json!({ "apiName": "x" })).await.at("/errors/0/code"), "1002");
    let attribute = |kind: &str| json!({ "attributes": [{ "apiName": "total", "name": "Total", "dataType": kind }] });
    assert_eq!(call("type/raise/attributes/create.json".into(), attribute("money")).await.at("/errors/0/code"), "1003");
    call("type/raise/attributes/create.json".into(), attribute("currency")).await;
    assert_eq!(call("type/raise/describe.json".into(), Value::Null).await.at("/success"), &json!(false));
    let draft = call("type/raise/describe.json?draft=true".into(), Value::Null).await;
    assert_eq!(draft.at("/result/0/attributes/0/apiName"), "total");
    assert_eq!(call("type/raise/approve.json".into(), json!({})).await.at("/result/0/status"), "approved");
    assert_eq!(call("type/raise/approve.json".into(), json!({})).await.at("/errors/0/code"), "1003");
    assert_eq!(call("type/no/approve.json".into(), json!({})).await.at("/errors/0/code"), "1013");
    assert_eq!(call("types.json".into(), Value::Null).await.at("/result/1/apiName"), "raise");
}

#[tokio::test]
async fn klaviyo_tells_which_flows_a_metric_starts() {
    let world = World::limited();
    let headers = [("authorization", "Klaviyo-API-Key sandbox"), ("revision", "2026-07-15")];
    let metric = json!({ "id": "M1", "name": "A", "integration": { "name": "API", "category": "API" } });
    world.sandbox.put("klaviyo", "metrics", metric).expect("a metric");
    let flow = json!({ "id": "F1", "name": "Win back", "status": "live", "metric": "M1" });
    world.sandbox.put("klaviyo", "flows", flow).expect("a flow");
    let path = "/klaviyo/api/metrics/M1/relationships/flow-triggers";
    assert_eq!(world.get(path, &headers).await.at("/data"), &json!([{ "type": "flow", "id": "F1" }]));
    assert_eq!(world.get("/klaviyo/api/metrics/no/relationships/flow-triggers", &headers).await.status, 404);
    assert_eq!(world.get("/klaviyo/api/flows/F1", &headers).await.at("/data/attributes/status"), "live");
    assert_eq!(world.get("/klaviyo/api/flows/F2", &headers).await.status, 404);
    let mut statuses = Vec::new();
    for _ in 0..12 {
        statuses.push(world.get(path, &headers).await.status);
    }
    assert_eq!((statuses[0], statuses[11]), (200, 429), "ten a second");
}
