//! The whole daemon as its users run it: what intake takes and refuses, what a full disk and a read-only one do, and one
//! person's way from two browsers to three vendors.

mod support;

use std::io::Write;
use std::time::Duration;

use espalier::sandbox::{Options, Sandbox};
use espalier::store::settings::Kind;
use serde_json::{Value, json};
use support::shop::{signature, track};
use support::{Daemon, WRITE_KEY, client, espalier, eventually};

crate::on_both!(
    one_persons_way_to_three_vendors,
    a_refused_activation_is_a_dead_letter_that_can_be_replayed,
    products_and_codes_are_taken_in_while_the_daemon_runs_and_while_not,
);

const FORM: &str = r#"
name = "form"
title = "Form submitted"
per = "form"
once = true
[[when.all]]
did = "Form Submitted"
[[activate]]
destination = "klaviyo"
event = "Form Submitted"
[[activate]]
destination = "hubspot"
event = "Form Submitted"
[[activate]]
destination = "marketo"
event = "Form Submitted"
"#;

const LEFT: &str = r#"
name = "left"
title = "Cart left"
per = "cart_id"
[[when.all]]
last = "Product Added"
over = "2s"
[[when.all]]
did_not = "Order Completed"
since = "Product Added"
[[activate]]
destination = "klaviyo"
event = "Left"
"#;

const SOURCES: &str = r#"
[source.shop]
kind = "connector"
connector = "shopify"
settings = { shop = "acme.myshopify.com", secrets = ["${env:TEST_SECRET}"] }
[source.forms]
kind = "endpoint"
path = "/api/submit-form"
auth = { token = { header = "authorization", secrets = ["${env:TEST_SECRET}"] } }
event = "Form Submitted"
identify = { email = "email" }
properties = { form = "form" }
message_id = "id"
"#;

async fn vendors() -> (Sandbox, String) {
    let (sandbox, at) = support::vendors(Options::default()).await;
    (sandbox, support::accounts(at))
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(text).expect("memory");
    out.finish().expect("memory")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_intake_takes_and_refuses() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), SOURCES, &[]);
    daemon.start_ready().await;
    let http = client();
    let url = |path: &str| format!("http://{}{path}", daemon.intake);
    let tracked = |path: &str, body: Vec<u8>| http.post(url(path)).basic_auth(WRITE_KEY, Some("")).body(body);
    let good = track("m1", "Product Added", json!({ "cart_id": "c1" })).to_string();

    // Taken: every path, key and coding that libraries use.
    for (path, body) in [
        ("/v1/track", good.clone()),
        ("/v1/t", good.clone()),
        ("/v1/batch", json!({ "batch": [track("m2", "A", json!({}))] }).to_string()),
        ("/v1/identify", json!({ "userId": "u1", "traits": { "email": "ines@example.com" } }).to_string()),
        ("/v1/page", json!({ "anonymousId": "a1", "name": "Home" }).to_string()),
        ("/v1/alias", json!({ "previousId": "a1", "userId": "u1" }).to_string()),
    ] {
        let answer = tracked(path, body.into_bytes()).send().await.expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.json::<Value>().await.expect("JSON"), json!({ "success": true }), "{path}");
    }
    let packed = tracked("/v1/track", gzip(good.as_bytes())).header("content-encoding", "gzip");
    assert_eq!(packed.send().await.expect("an answer").status(), 200);
    let beacon = json!({ "writeKey": WRITE_KEY, "event": "Left", "anonymousId": "a1", "type": "track" }).to_string();
    let beacon = http.post(url("/v1/t")).header("content-type", "text/plain").body(beacon);
    assert_eq!(beacon.send().await.expect("an answer").status(), 200, "a beacon without headers");
    let preflight = http.request(reqwest::Method::OPTIONS, url("/v1/t")).header("origin", "https://shop.example");
    let preflight = preflight.header("access-control-request-method", "POST").send().await.expect("an answer");
    assert_eq!(preflight.headers()["access-control-allow-origin"], "https://shop.example");
    let settings = http.get(url(&format!("/v1/projects/{WRITE_KEY}/settings"))).send().await.expect("an answer");
    assert!(settings.json::<Value>().await.expect("JSON")["integrations"]["Segment.io"].is_object());

    // A wrong message does not harm the others, and is told and kept.
    let mixed = json!({ "batch": [track("m3", "A", json!({})), { "type": "track", "event": "B" }, 7] }).to_string();
    let answer: Value =
        tracked("/v1/batch", mixed.into_bytes()).send().await.expect("an answer").json().await.expect("JSON");
    let rejected: Vec<u64> =
        answer["rejected"].as_array().expect("a list").iter().filter_map(|r| r["index"].as_u64()).collect();
    assert_eq!((answer["success"].clone(), rejected), (json!(true), vec![1, 2]));

    // Refused, each with a clear 4xx.
    let deep =
        format!("{{\"event\":\"X\",\"userId\":\"u\",\"properties\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    for (why, body, wanted) in [
        ("truncated", b"{\"batch\":[{".to_vec(), 400),
        ("not UTF-8", vec![b'"', 0xFF, 0xFE, b'"'], 400),
        ("nested too deeply", deep.into_bytes(), 400),
        ("wrongly typed", b"[1,2]".to_vec(), 400),
        ("too large", vec![b' '; 5 << 20], 413),
    ] {
        let answer = tracked("/v1/track", body).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), wanted, "{why}");
    }
    let bomb = tracked("/v1/track", gzip(&vec![b' '; 40 << 20])).header("content-encoding", "gzip");
    assert_eq!(bomb.send().await.expect("an answer").status(), 413, "a gzip bomb");
    let wrong = http.post(url("/v1/track")).basic_auth("wrong", Some("")).body(good.clone());
    assert_eq!(wrong.send().await.expect("an answer").status(), 401);

    // Webhooks: the signature over the raw body.
    let order = json!({ "id": 1, "email": "ines@example.com", "updated_at": "2026-11-23T10:00:00Z",
        "created_at": "2026-11-23T10:00:00Z", "processed_at": "2026-11-23T10:00:00Z", "line_items": [], "total_price": "9.00" });
    let order = order.to_string();
    let hook = |signature: String| {
        let call = http
            .post(url("/hooks/shop"))
            .header("x-shopify-topic", "orders/create")
            .header("x-shopify-shop-domain", "acme.myshopify.com")
            .header("x-shopify-webhook-id", "w1");
        call.header("x-shopify-hmac-sha256", signature).body(order.clone())
    };
    assert_eq!(hook(signature("secret", &order)).send().await.expect("an answer").status(), 200);
    assert_eq!(hook(signature("secret", "another")).send().await.expect("an answer").status(), 401);

    // Custom endpoints ask for their token.
    let form =
        || http.post(url("/api/submit-form")).json(&json!({ "id": "1", "email": "ines@example.com", "form": "f" }));
    assert_eq!(form().header("authorization", "Bearer secret").send().await.expect("an answer").status(), 200);
    assert_eq!(form().send().await.expect("an answer").status(), 401);
    assert_eq!(http.post(url("/api/nothing")).send().await.expect("an answer").status(), 404);

    // Nothing crashed, nothing personal is in the log or the metrics.
    let metrics =
        http.get(format!("http://{}/metrics", daemon.ops)).send().await.expect("metrics").text().await.expect("text");
    assert!(metrics.contains("espalier_intake_messages_total"));
    for text in [&metrics, &daemon.log_end()] {
        assert!(!text.contains("ines@") && !text.contains("secret"), "{text}");
    }
    assert!(daemon.terminate().success());
}

async fn one_persons_way_to_three_vendors(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, destinations) = vendors().await;
    let rest = format!("{SOURCES}{destinations}");
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &rest, &[("form", FORM), ("left", LEFT)])
        .on(kind)
        .await;
    daemon.start_ready().await;
    let http = client();
    // A guest fills a cart, then registers and buys: no reminder. Another cart of theirs is left: one.
    let guest = |id: &str, event: &str, cart: &str| json!({ "type": "track", "event": event, "messageId": id, "anonymousId": "browser", "properties": { "cart_id": cart } });
    let batch = json!({ "batch": [
        guest("g1", "Product Added", "bought"), guest("g2", "Product Added", "left"),
        { "type": "identify", "messageId": "g3", "anonymousId": "browser", "userId": "u1", "traits": { "email": "ines@example.com" } },
        track("g4", "Order Completed", json!({ "cart_id": "bought", "order_id": "o1" })),
    ] });
    for _ in 0..2 {
        assert_eq!(daemon.post(&http, "/v1/batch", batch.to_string()).await, Some(200));
    }
    let form = http.post(format!("http://{}/api/submit-form", daemon.intake)).header("authorization", "Bearer secret");
    let form = form.json(&json!({ "id": "1", "email": "ines@example.com", "form": "newsletter" })).send().await;
    assert_eq!(form.expect("an answer").status(), 200);
    let count = |vendor: &str, event: &str| sandbox.effects(vendor).iter().filter(|e| e.event == event).count();
    eventually("the reminder and the form at all vendors", Duration::from_secs(30), || async {
        count("klaviyo", "Left") == 1
            && count("klaviyo", "Form Submitted") == 1
            && count("hubspot", "pe1234567_form_submitted") == 1
            && count("marketo", "form") == 1
    })
    .await;
    let left = sandbox.effects("klaviyo").into_iter().find(|e| e.event == "Left").expect("the reminder");
    assert!(left.body.to_string().contains("\"cart_id\":\"left\""), "the cart that was left: {}", left.body);
    assert_eq!(left.person, "ines@example.com");

    // Explain, status and the page know it.
    let run = |args: &[&str]| espalier(folder.path(), args);
    let (is_well, text) = run(&["explain", "ines@example.com", "--trigger", "left"]);
    assert!(is_well && text.contains("accepted by the vendor") && text.contains("true now for left"), "{text}");
    // What each vendor gets is previewed without deciding anything: by the daemon, and from the store at rest.
    let previewed = || {
        let (is_well, text) = run(&["payload", "form", "email:ines@example.com", "--json"]);
        let shown: Value = serde_json::from_str(&text).unwrap_or_default();
        let calls: Vec<_> = (0..3).map(|n| shown[n]["calls"].as_array().map_or(0, Vec::len)).collect();
        assert!(is_well && calls == [1, 2, 2], "{text}");
        assert_eq!(shown[0]["calls"][0]["call"], "POST /api/events");
        assert_eq!(shown[0]["calls"][0]["body"]["data"]["attributes"]["properties"]["key"], "newsletter");
        assert_eq!(shown[1]["calls"][1]["body"]["inputs"][0]["eventName"], "pe1234567_form_submitted");
        assert_eq!(shown[2]["calls"][1]["body"]["input"][0]["primaryAttributeValue"], "form");
    };
    previewed();
    let (is_well, text) = run(&["payload", "left", "ines@example.com", "--key", "other"]);
    assert!(is_well && text.contains("\"key\": \"other\""), "{text}");
    let (is_well, text) = run(&["payload", "lift", "ines@example.com"]);
    assert!(!is_well && text.contains("there is no trigger `lift`"), "{text}");
    let no = track("g5", "Unsubscribed", json!({})).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", no).await, Some(200));
    let told = || async { run(&["explain", "ines@example.com", "--trigger", "left"]).1 };
    eventually("the no in the ledger", Duration::from_secs(20), || async {
        let text = told().await;
        let ledger =
            text.contains("email: consent withdrawn\n") && text.contains(" email withdrawn by Unsubscribed (web)");
        ledger && text.contains("held back now: no consent to email: withdrawn at ")
    })
    .await;
    let (is_well, text) = run(&["status"]);
    assert!(is_well && text.contains("klaviyo"), "{text}");
    let page = daemon.page("/").await;
    assert!(page.headers()["content-security-policy"].to_str().expect("text").starts_with("default-src 'none'"));
    let page = daemon.page("/triggers").await;
    assert!(page.text().await.expect("text").contains("Cart left"));
    assert!(daemon.terminate().success());
    if kind == Kind::Embedded {
        let (is_well, text) = run(&["store", "verify"]);
        assert!(is_well, "{text}");
    }
    let (is_well, text) = run(&["dead-letters", "list"]);
    assert!(is_well && text.contains("no dead letters"), "{text}");
    previewed();
}

async fn a_refused_activation_is_a_dead_letter_that_can_be_replayed(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, destinations) = vendors().await;
    let trigger = FORM.replace("[[activate]]\ndestination = \"hubspot\"\nevent = \"Form Submitted\"\n", "");
    let trigger = trigger.replace("[[activate]]\ndestination = \"marketo\"\nevent = \"Form Submitted\"\n", "");
    let odd = "name = \"odd\"\nwhen = { did = \"Odd\" }\npayload = { name = \"{{ person.name }}\" }\n\
               activate = [{ destination = \"klaviyo\", event = \"Odd\" }]\n";
    let triggers = [("form", &*trigger), ("odd", odd)];
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &destinations, &triggers).on(kind).await;
    daemon.start_ready().await;
    let http = client();
    let klaviyo = destinations
        .split("base_url = \"http://")
        .nth(1)
        .and_then(|r| r.split("/klaviyo").next())
        .expect("an address")
        .to_owned();
    let fault = json!({ "vendor": "klaviyo", "kind": "bad_record", "times": 1 });
    support::fault(klaviyo, fault).await;
    let body = track("m1", "Form Submitted", json!({ "form": "f" })).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    let run = |args: &[&str]| {
        let out = support::command(folder.path(), args).output().expect("the program");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let listed = || async {
        serde_json::from_str::<Value>(&run(&["dead-letters", "list", "--json"])).is_ok_and(|l| l[0]["id"].is_u64())
    };
    eventually("the dead letter", Duration::from_secs(20), listed).await;
    assert!(sandbox.effects("klaviyo").is_empty());
    assert!(run(&["dead-letters", "replay", "--all"]).contains("1 of 1"));
    eventually("its replay", Duration::from_secs(20), || async { sandbox.effects("klaviyo").len() == 1 }).await;

    // What could not be said is none that can be replayed.
    let body = track("m2", "Odd", json!({})).to_string();
    assert_eq!(daemon.post(&http, "/v1/track", body).await, Some(200));
    eventually("the dead letter", Duration::from_secs(20), listed).await;
    let text = run(&["dead-letters", "list", "--json"]);
    assert!(text.contains("`payload.name` cannot be said: `person.name` is not there"), "{text}");
    assert!(run(&["dead-letters", "replay", "--all"]).contains("0 of 1"));
    assert!(daemon.terminate().success());
    assert!(run(&["dead-letters", "replay", "--all"]).contains("0 of 1"));
    assert!(run(&["dead-letters", "drop", "--all"]).contains("1 of 1"));
    assert_eq!(sandbox.effects("klaviyo").len(), 1);
}

const CODED: &str = r#"
name = "coded"
per = "cart_id"
when = { did = "Product Added" }
[payload]
offer = "{{ code }} for {{ catalogue[event.product_id].name }}"
[code]
pool = "win-back"
low = 2
[urgency]
under = 5
set = { left = "{{ stock }}" }
[[activate]]
destination = "klaviyo"
event = "Coded"
"#;

async fn products_and_codes_are_taken_in_while_the_daemon_runs_and_while_not(kind: Kind) {
    let folder = tempfile::tempdir().expect("a folder");
    let (sandbox, destinations) = vendors().await;
    let mut daemon =
        Daemon::new(folder.path(), &folder.path().join("store"), &destinations, &[("coded", CODED)]).on(kind).await;
    daemon.start_ready().await;
    let http = client();
    let run = |args: &[&str]| espalier(folder.path(), args).1;
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("items.csv", "id,title,price,stock\np1,Lamp,39.95 EUR,3\np2,Oar,,\n,,,\n");
    write("codes.csv", "code\nA1\nA2\nA1\n\"A 3\"\n");
    let text = run(&["status"]);
    assert!(text.contains("pool win-back: 0 codes are left"), "{text}");
    let text = run(&["catalogue", "import", "items.csv"]);
    assert!(text.contains("2 products are new, 0 changed, 0 known; 1 could not be read"), "{text}");
    let text = run(&["codes", "import", "win-back", "codes.csv"]);
    assert!(text.contains("2 codes are new in `win-back`, 1 known; 1 could not be read"), "{text}");
    let add = |id: &str, product: &str| {
        track(id, "Product Added", json!({ "cart_id": id, "product_id": product })).to_string()
    };
    for id in ["m1", "m2", "m3"] {
        assert_eq!(daemon.post(&http, "/v1/track", add(id, "p1")).await, Some(200));
    }
    let offers = || {
        let effects = sandbox.effects("klaviyo").into_iter();
        let said = |body: &Value| {
            let paths = ["/data/attributes/properties", "/attributes/properties", "/properties"];
            paths.iter().find_map(|path| body.pointer(path).cloned()).unwrap_or_default()
        };
        let mut offers: Vec<String> = effects
            .map(|effect| said(&effect.body))
            .map(|said| format!("{} {}", said["offer"].as_str().unwrap_or_default(), said["left"]))
            .collect();
        offers.sort();
        offers
    };
    eventually("two offers", Duration::from_secs(20), || async { offers().len() == 2 }).await;
    assert_eq!(offers(), ["A1 for Lamp 3", "A2 for Lamp 3"]);
    let text = run(&["dead-letters", "list", "--json"]);
    assert!(text.contains("the pool of codes `win-back` is empty"), "{text}");
    let metrics =
        http.get(format!("http://{}/metrics", daemon.ops)).send().await.expect("metrics").text().await.expect("text");
    assert!(metrics.contains("espalier_codes_left{pool=\"win-back\"} 0"), "{metrics}");
    assert!(daemon.terminate().success());

    // At rest, and known still after a restart.
    write("codes.csv", "A2\nA3\n");
    let text = run(&["codes", "import", "win-back", "codes.csv"]);
    assert!(text.contains("1 codes are new in `win-back`, 1 known; 0 could not be read"), "{text}");
    let text = run(&["payload", "coded", "ines@example.com"]);
    assert!(text.contains("A3 for Lamp"), "{text}");
    let listed = run(&["codes", "list", "--json"]);
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed, json!([{ "name": "win-back", "added": 3, "left": 1 }]));
    daemon.start_ready().await;
    assert_eq!(daemon.post(&http, "/v1/track", add("m4", "p2")).await, Some(200));
    eventually("one more", Duration::from_secs(20), || async { offers().len() == 3 }).await;
    assert_eq!(offers()[2], "A3 for Oar null");
    assert!(daemon.terminate().success());
}
