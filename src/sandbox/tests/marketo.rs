//! Marketo: tokens, leads record by record, activities, codes, quotas.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{World, with};

fn activity(lead: u64) -> Value {
    json!({
        "leadId": lead, "activityDate": "2026-11-23T15:59:00+00:00", "activityTypeId": 100_001,
        "primaryAttributeValue": "cart-left",
        "attributes": [{"apiName": "activationId", "value": "act-1"}, {"apiName": "cartValue", "value": 74.5}],
    })
}

#[tokio::test]
async fn marketo_tokens_live_an_hour() {
    let world = World::limited();
    let token = world.token().await;
    world.turn(600_000);
    let path = "/marketo/identity/oauth/token?grant_type=client_credentials&client_id=sandbox&client_secret=";
    let again = world.send("POST", &format!("{path}sandbox"), &[], String::new()).await;
    assert_eq!((again.at("/access_token"), again.at("/expires_in")), (&json!(token), &json!(2_999)));
    assert_eq!(world.send("GET", &format!("{path}wrong"), &[], String::new()).await.status, 401);
    let usage = "stats/usage.json";
    assert_eq!(world.marketo(&token, usage, &Value::Null).await.at("/success"), &json!(true));
    assert_eq!(world.marketo("nonsense", usage, &Value::Null).await.at("/errors/0/code"), "601");
    world.turn(3_600_000);
    let reply = world.marketo(&token, usage, &Value::Null).await;
    assert_eq!((reply.status, reply.at("/errors/0/code")), (200, &json!("602")));
    let new = world.token().await;
    assert_ne!(new, token);
    assert_eq!(world.marketo(&new, usage, &Value::Null).await.at("/result/0/total"), &json!(2));
}

#[tokio::test]
async fn marketo_syncs_leads_record_by_record() {
    let world = World::free();
    let token = world.token().await;
    let input = json!({"action": "createOrUpdate", "lookupField": "email", "input": [
        {"email": "a@e.com", "firstName": "A"}, {"firstName": "B"}, {"email": "ç@e.com"}, {"email": "nobody"},
        {"email": "A@e.com"}, {"email": "c@e.com", "first name": "C"}, {"email": "c@e.com", "x": {}},
    ]});
    let reply = world.marketo(&token, "leads.json", &input).await;
    assert_eq!(reply.at("/success"), &json!(true));
    let results: Vec<&str> = (0..7)
        .map(|i| {
            let code = reply.at(&format!("/result/{i}/reasons/0/code")).as_str();
            code.unwrap_or_else(|| reply.at(&format!("/result/{i}/status")).as_str().unwrap_or(""))
        })
        .collect();
    assert_eq!(results, ["created", "1002", "1003", "1003", "updated", "1006", "1003"]);
    assert_eq!((reply.at("/result/0/id"), reply.at("/result/4/id")), (&json!(1_001), &json!(1_001)));
    let found = world.marketo(&token, "leads.json?filterType=email&filterValues=A@e.com,b@e.com", &Value::Null).await;
    assert_eq!((found.at("/result/0/id"), found.at("/result/1")), (&json!(1_001), &Value::Null));
    let double = json!({"action": "createDuplicate", "input": [{"email": "a@e.com"}]});
    assert_eq!(world.marketo(&token, "leads.json", &double).await.at("/result/0/status"), "created");
    let reply = world.marketo(&token, "leads.json", &input).await;
    assert_eq!(reply.at("/result/0/reasons/0/code"), "1007");
    let found = world.marketo(&token, "leads.json?filterType=email&filterValues=a@e.com", &Value::Null).await;
    assert_eq!(found.at("/result").as_array().map(Vec::len), Some(2));
    let many = json!({"input": (0..301).map(|i| json!({"email": format!("{i}@e.com")})).collect::<Vec<_>>()});
    let reply = world.marketo(&token, "leads.json", &many).await;
    assert_eq!((reply.status, reply.at("/success"), reply.at("/errors/0/code")), (200, &json!(false), &json!("1003")));
}

#[tokio::test]
async fn marketo_deletes_leads_and_knows_them_no_more() {
    let world = World::free();
    let token = world.token().await;
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]})).await;
    let double = json!({"action": "createDuplicate", "input": [{"email": "a@e.com"}]});
    world.marketo(&token, "leads.json", &double).await;
    let gone = json!({"input": [{"id": 1_001}, {"id": 9}, {"id": 1_001}]});
    let reply = world.marketo(&token, "leads/delete.json", &gone).await;
    assert_eq!(reply.at("/result/0/status"), "deleted");
    assert_eq!(
        (reply.at("/result/1/reasons/0/code"), reply.at("/result/2/reasons/0/code")),
        (&json!("1004"), &json!("1004"))
    );
    // Of the two with one address the other is left, and it is no longer ambiguous.
    let again = world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}]})).await;
    assert_eq!((again.at("/result/0/status"), again.at("/result/0/id")), (&json!("updated"), &json!(1_003)));
    let reply = world.marketo(&token, "activities/external.json", &json!({"input": [activity(1_001)]})).await;
    assert_eq!(reply.at("/result/0/errors/0/code"), "1004");
    world.marketo(&token, "leads/delete.json", &json!({"input": [{"id": 1_003}]})).await;
    let again = world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}]})).await;
    assert_eq!(again.at("/result/0/status"), "created");
    let deleted = world.sandbox.effects("marketo").into_iter().filter(|e| e.event == "deleted");
    assert_eq!(deleted.map(|e| e.person).collect::<Vec<_>>(), ["a@e.com", "a@e.com"]);
}

/// A question whose fields stand in the body is the same question.
#[tokio::test]
async fn marketo_is_asked_by_post_too() {
    let world = World::free();
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let ask = async |path: &str, body: &str| {
        let path = format!("/marketo/rest/v1/{path}?_method=GET");
        world.send("POST", &path, &headers, body.to_owned()).await
    };
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a+1@e.com"}]})).await;
    world.marketo(&token, "activities/external.json", &json!({"input": [activity(1_001)]})).await;
    let found = ask("leads.json", "filterType=email&filterValues=a%2B1%40e.com%2Cb%40e.com").await;
    assert_eq!((found.at("/result/0/id"), found.at("/result/1")), (&json!(1_001), &Value::Null));
    let page = ask("activities/pagingtoken.json", "sinceDatetime=2026-11-23T00%3A00%3A00Z").await;
    let place = page.at("/nextPageToken").as_str().expect("a token").to_owned();
    let read = ask("activities.json", &format!("nextPageToken={place}&activityTypeIds=100001&leadIds=1001%2C7")).await;
    assert_eq!(read.at("/result").as_array().map(Vec::len), Some(1));
}

/// Sends a file of leads.
async fn import(world: &World, token: &str, query: &str, file: &str) -> super::Reply {
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "multipart/form-data; boundary=XX")];
    let head = "Content-Disposition: form-data; name=\"file\"; filename=\"l.csv\"\r\nContent-Type: text/csv";
    let body = format!("--XX\r\n{head}\r\n\r\n{file}\r\n--XX--\r\n");
    world.send("POST", &format!("/marketo/bulk/v1/leads.json?{query}"), &headers, body).await
}

#[tokio::test]
async fn marketo_imports_files_two_at_a_time() {
    let world = World::free();
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let auth = [("authorization", bearer.as_str())];
    let status = async |n: usize| {
        let path = format!("/marketo/bulk/v1/leads/batch/{n}.json");
        let reply = world.send("GET", &path, &auth, String::new()).await;
        reply.at("/result/0/status").as_str().unwrap_or_default().to_owned()
    };
    let file = "email,firstName\na@e.com,A\nnobody,B\n\"c@e.com\",\"C, \"\"D\"\"\nE\"\n";
    let reply = import(&world, &token, "format=csv&lookupField=email&listId=1044", file).await;
    assert_eq!((reply.at("/result/0/batchId"), reply.at("/result/0/status")), (&json!(1), &json!("Queued")));
    assert_eq!(import(&world, &token, "format=csv&listId=1044", file).await.at("/errors/0/code"), "1019");
    for _ in 2..=10 {
        assert_eq!(import(&world, &token, "format=csv", "email\na@e.com\n").await.at("/success"), &json!(true));
    }
    assert_eq!(import(&world, &token, "format=csv", file).await.at("/errors/0/code"), "1016");
    world.turn(1_000);
    assert_eq!([status(1).await, status(2).await, status(3).await], ["Importing", "Importing", "Queued"]);
    world.turn(4_000);
    assert_eq!([status(1).await, status(3).await, status(5).await], ["Complete", "Importing", "Queued"]);
    let shown = world.send("GET", "/marketo/bulk/v1/leads/batch/1.json", &auth, String::new()).await;
    let figures = (shown.at("/result/0/numOfLeadsProcessed"), shown.at("/result/0/numOfRowsFailed"));
    assert_eq!(figures, (&json!(2), &json!(1)));
    let failures = world.send("GET", "/marketo/bulk/v1/leads/batch/1/failures.json", &auth, String::new()).await;
    assert_eq!((failures.status, failures.header("content-type")), (200, "text/csv"));
    let members: Vec<String> = world.sandbox.effects("marketo").into_iter().map(|e| e.person).collect();
    assert_eq!(members, ["a@e.com", "c@e.com"]);
    world.turn(60_000);
    for (query, file, code) in [
        ("format=tsv", file, "1003"),
        ("format=csv&lookupField=id", file, "1011"),
        ("format=csv&listId=9", file, "1013"),
        ("format=csv", "firstName\nA\n", "1002"),
        ("format=csv", "email\nx\r\n--XX\r\n@e.com\n", "613"),
    ] {
        assert_eq!(import(&world, &token, query, file).await.at("/errors/0/code"), code, "{query} {file}");
    }
    assert_eq!(status(99).await, "");
    let big = format!("email\n{}@e.com\n", "x".repeat(10_000_000));
    assert_eq!(import(&world, &token, "format=csv", &big).await.status, 413);
}

#[tokio::test]
async fn marketo_adds_an_activity_each_time() {
    let world = World::free();
    let token = world.token().await;
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]})).await;
    let many: Vec<Value> = (0..21).map(|i| json!({"apiName": format!("a{i}"), "value": 1})).collect();
    for (record, code) in [
        (activity(1_001), ""),
        (activity(1_001), ""),
        (activity(9), "1004"),
        (with(activity(1_001), "/activityTypeId", json!(6)), "1003"),
        (with(activity(1_001), "/primaryAttributeValue", Value::Null), "1002"),
        (with(activity(1_001), "/activityDate", Value::Null), "1002"),
        (with(activity(1_001), "/activityDate", json!("today")), "1003"),
        (with(activity(1_001), "/leadId", json!("1001")), "1003"),
        (with(activity(1_001), "/attributes", json!([{"apiName": "x", "value": {}}])), "1003"),
        (with(activity(1_001), "/attributes", json!([{"apiName": "x", "value": "x".repeat(70_000)}])), "1049"),
        (with(activity(1_001), "/attributes", json!(many)), "1028"),
        (activity(1_002), ""),
    ] {
        let reply = world.marketo(&token, "activities/external.json", &json!({"input": [record]})).await;
        assert_eq!(reply.at("/success"), &json!(true));
        let status = if code.is_empty() { "added" } else { "skipped" };
        assert_eq!(reply.at("/result/0/status"), status, "{record}");
        assert_eq!(reply.at("/result/0/errors/0/code").as_str().unwrap_or(""), code, "{record}");
    }
    let counts = world.counts("marketo");
    assert_eq!((counts.effects, counts.duplicates, counts.refused), (3, 0, 9));
    let effect = world.sandbox.effects("marketo").remove(2);
    assert_eq!((effect.id.as_str(), effect.event.as_str(), effect.person.as_str()), ("act-1", "cart-left", "b@e.com"));
}

#[tokio::test]
async fn marketo_gives_activities_back_in_pages() {
    let world = World::free();
    let token = world.token().await;
    world.marketo(&token, "leads.json", &json!({"input": [{"email": "a@e.com"}, {"email": "b@e.com"}]})).await;
    for lead in [1_001, 1_002] {
        let input = json!({"input": vec![activity(lead); 200]});
        world.marketo(&token, "activities/external.json", &input).await;
    }
    let read = async |since: &str, query: &str| {
        let path = format!("activities/pagingtoken.json?sinceDatetime={since}");
        let page = world.marketo(&token, &path, &Value::Null).await;
        let mut place = page.at("/nextPageToken").as_str().expect("a token").to_owned();
        let mut sizes = Vec::new();
        loop {
            let path = format!("activities.json?nextPageToken={place}&activityTypeIds=100001{query}");
            let page = world.marketo(&token, &path, &Value::Null).await;
            assert_eq!(page.at("/success"), &json!(true), "{:?}", page.body);
            sizes.push(page.at("/result").as_array().map_or(0, Vec::len));
            page.at("/nextPageToken").as_str().expect("a token").clone_into(&mut place);
            if page.at("/moreResult") == &json!(false) {
                return sizes;
            }
        }
    };
    assert_eq!(read("2026-11-23T00:00:00Z", "").await, [300, 100]);
    assert_eq!(read("2026-11-23T00:00:00%2B00:00", "&leadIds=1002,7").await, [200]);
    assert_eq!(read("2026-11-23T00:00:00Z", "&leadIds=1002&batchSize=150").await, [150, 50]);
    assert_eq!(read("2026-11-23T15:59:01Z", "").await, [0], "activities before the instant are not given");
    let leads = (0..31).map(|i| i.to_string()).collect::<Vec<_>>().join(",");
    let path = format!("activities.json?nextPageToken=00&activityTypeIds=100001&leadIds={leads}");
    assert_eq!(world.marketo(&token, &path, &Value::Null).await.at("/errors/0/code"), "1003");
}

#[tokio::test]
async fn marketo_refuses_calls_by_code() {
    let world = World::limited();
    let token = world.token().await;
    let bearer = format!("Bearer {token}");
    let auth = ("authorization", bearer.as_str());
    let json = ("content-type", "application/json");
    for (method, path, headers, body, code) in [
        ("POST", "leads.json", vec![json], "{}", "600"),
        ("POST", "leads.json", vec![auth], "{}", "612"),
        ("POST", "leads.json", vec![auth, json], "{", "609"),
        ("POST", "leads.json", vec![auth, json], "{}", "1002"),
        ("DELETE", "leads.json", vec![auth, json], "", "605"),
        ("GET", "activities/external.json", vec![auth], "", "605"),
        ("GET", "nothing.json", vec![auth], "", "610"),
        ("GET", "leads.json?filterType=email", vec![auth], "", "1003"),
        ("GET", "activities/pagingtoken.json?sinceDatetime=now", vec![auth], "", "704"),
    ] {
        let reply = world.send(method, &format!("/marketo/rest/v1/{path}"), &headers, body.to_owned()).await;
        assert_eq!((reply.status, reply.at("/errors/0/code")), (200, &json!(code)), "{method} {path}");
    }
    let big = world.marketo(&token, "leads.json", &json!({"input": "x".repeat(1_000_001)})).await;
    assert_eq!(big.status, 413);
    assert_eq!(world.marketo(&token, &format!("leads.json?x={}", "y".repeat(8_200)), &Value::Null).await.status, 414);
}

#[tokio::test]
async fn marketo_keeps_its_three_quotas() {
    let world = World::limited();
    let token = world.token().await;
    let code = async |path| world.marketo(&token, path, &Value::Null).await.at("/errors/0/code").clone();
    for _ in 0..100 {
        assert_eq!(code("stats/usage.json").await, Value::Null);
    }
    assert_eq!(code("stats/usage.json").await, "606");
    world.turn(20_000);
    assert_eq!(code("stats/usage.json").await, Value::Null);
    world.turn(60_000);
    world.fault(json!({"vendor": "marketo", "kind": "slow", "delay_ms": 5_000, "times": 10})).await;
    let router = world.sandbox.router();
    let slow = || {
        let request =
            Request::get("/marketo/rest/v1/stats/usage.json").header("authorization", format!("Bearer {token}"));
        tokio::spawn(router.clone().oneshot(request.body(Body::empty()).expect("a request")))
    };
    let waiting: Vec<_> = (0..10).map(|_| slow()).collect();
    while world.counts("marketo").requests < 113 {
        tokio::task::yield_now().await;
    }
    assert_eq!(code("stats/usage.json").await, "615");
    world.turn(65_000);
    for one in waiting {
        one.await.expect("a task").expect("an answer");
    }
    assert_eq!(code("stats/usage.json").await, Value::Null);
    assert_eq!(world.counts("marketo").throttled, 2);
}
