//! What accounts say of themselves, and what they refuse to be given: event definitions, activity types, flows, lists,
//! campaigns, scopes.

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
    assert_eq!((made.at("/result/0/id"), made.at("/result/0/status")), (&json!(100_003), &json!("draft")));
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
    assert_eq!(call("types.json".into(), Value::Null).await.at("/result/2/apiName"), "raise");
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

#[tokio::test]
async fn klaviyo_shows_its_lists_and_the_flows_that_they_start() {
    let world = World::free();
    let headers = [("authorization", "Klaviyo-API-Key sandbox"), ("revision", "2026-07-15")];
    let get = |path: &str| {
        let path = format!("/klaviyo/api/{path}");
        let world = &world;
        async move { world.get(&path, &headers).await }
    };
    world.sandbox.put("klaviyo", "lists", json!({ "id": "Vip1", "name": "VIP" })).expect("a list");
    world.sandbox.put("klaviyo", "flows", json!({ "id": "F1", "status": "live", "list": "Vip1" })).expect("a flow");
    assert_eq!(get("lists/Vip1?fields[list]=name").await.at("/data/attributes/name"), "VIP");
    assert_eq!(get("lists/UwQxX4").await.at("/data/attributes/name"), "List UwQxX4");
    assert_eq!(get("lists/no").await.status, 404);
    assert_eq!(get("lists?page[size]=2").await.at("/data").as_array().map(Vec::len), Some(2));
    assert_eq!(get("lists?page[size]=11").await.status, 400);
    assert_eq!(get("lists/Vip1/relationships/flow-triggers").await.at("/data/0/id"), "F1");
    assert_eq!(get("lists/UwQxX4/relationships/flow-triggers").await.at("/data"), &json!([]));
    assert_eq!(get("lists/no/relationships/flow-triggers").await.status, 404);
    assert!(world.sandbox.put("klaviyo", "lists", json!({ "name": "without an id" })).is_err());
}

#[tokio::test]
async fn hubspot_shows_its_lists_and_takes_members_by_hand_only() {
    let world = World::free();
    let headers = [("authorization", "Bearer sandbox"), ("content-type", "application/json")];
    let path = "/hubspot/crm/lists/2026-03";
    world
        .sandbox
        .put("hubspot", "lists", json!({ "id": 7, "name": "Buyers", "processingType": "DYNAMIC" }))
        .expect("a list");
    let list = world.get(&format!("{path}/7"), &headers).await;
    assert_eq!((list.at("/list/name"), list.at("/list/processingType")), (&json!("Buyers"), &json!("DYNAMIC")));
    let list = world.get(&format!("{path}/1044"), &headers).await;
    assert_eq!((list.at("/list/objectTypeId"), list.at("/list/processingType")), (&json!("0-1"), &json!("MANUAL")));
    assert_eq!(world.get(&format!("{path}/8"), &headers).await.status, 404);
    for (id, status) in [("7", 400), ("1044", 200), ("8", 404)] {
        let added = world.send("PUT", &format!("{path}/{id}/memberships/add"), &headers, "[\"608051\"]".into()).await;
        assert_eq!(added.status, status, "{id}");
    }
}

#[tokio::test]
async fn hubspot_tells_the_scopes_of_a_private_app_and_keeps_to_them() {
    let world = World::free();
    let info = "/oauth/v2/private-apps/get/access-token-info";
    let asked = json!({ "tokenKey": "sandbox" });
    let told = world.hubspot(info, &asked).await;
    assert_eq!((told.status, told.at("/hubId")), (200, &json!(1_234_567)));
    assert_eq!(world.hubspot(info, &json!({ "tokenKey": "other" })).await.status, 404);
    world.sandbox.put("hubspot", "scopes", json!({ "has": ["crm.lists.read"] })).expect("scopes");
    assert_eq!(world.hubspot(info, &asked).await.at("/scopes"), &json!(["crm.lists.read"]));
    let refused = world.hubspot("/events/2026-03/send/batch", &json!({ "inputs": [] })).await;
    assert_eq!((refused.status, refused.at("/category")), (403, &json!("MISSING_SCOPES")));
    assert_eq!(world.hubspot(DEFINITIONS, &json!({})).await.status, 403);
    assert_eq!(world.get("/hubspot/crm/lists/v3/1044", &[("authorization", "Bearer sandbox")]).await.status, 200);
    world.sandbox.put("hubspot", "scopes", json!({ "has": [], "is_service_key": true })).expect("scopes");
    assert_eq!(world.hubspot(info, &asked).await.status, 404);
}

#[tokio::test]
async fn marketo_shows_lists_campaigns_and_tokens_and_requests_only_what_it_can() {
    let world = World::free();
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let get = |path: &str| {
        let path = format!("/marketo/rest/{path}");
        let (world, bearer) = (&world, &bearer);
        async move { world.get(&path, &[("authorization", bearer)]).await }
    };
    let put = |kind: &str, record: Value| world.sandbox.put("marketo", kind, record).expect("a record");
    put("lists", json!({ "id": 1044, "name": "Buyers" }));
    assert_eq!(get("v1/lists/1044.json").await.at("/result/0/name"), "Buyers");
    assert_eq!(get("v1/lists/8.json").await.at("/errors/0/code"), "1013");
    let campaign = get("asset/v1/smartCampaign/3712.json").await;
    assert_eq!(
        (campaign.at("/result/0/isRequestable"), campaign.at("/result/0/type")),
        (&json!(true), &json!("trigger"))
    );
    assert_eq!(get("asset/v1/smartCampaign/8.json").await.at("/errors/0/code"), "702");
    put("programs", json!({ "id": 1004, "tokens": ["checkoutUrl"] }));
    let tokens = get("asset/v1/folder/1004/tokens.json?folderType=Program").await;
    assert_eq!(tokens.at("/result/0/tokens/0/name"), "checkoutUrl");
    assert_eq!(get("asset/v1/folder/1004/tokens.json").await.at("/errors/0/code"), "1003");
    let ask = json!({ "input": { "leads": [{ "id": 1 }] } });
    let request = || world.marketo(&token, "campaigns/3712/trigger.json", &ask);
    assert_eq!(request().await.at("/errors/0/code"), "1004", "it could be requested, and there is no such lead");
    for change in [json!({ "isActive": false }), json!({ "isRequestable": false }), json!({ "type": "batch" })] {
        let mut campaign = json!({ "id": 3712 });
        campaign.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        put("campaigns", campaign);
        assert_eq!(request().await.at("/errors/0/code"), "1003", "{change}");
    }
    let campaign = get("asset/v1/smartCampaign/3712.json").await;
    assert_eq!(campaign.at("/result/0/type"), "batch");
}
