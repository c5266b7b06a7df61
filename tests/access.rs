//! Who may come in: as browsers, programs and commands meet it, with the daemon as its users run it.

mod support;

use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Daemon, espalier, espalier_with_input};

const TRIGGER: &str = "name = \"form\"\n[[when.all]]\ndid = \"Form Submitted\"\n[[activate]]\ndestination = \"nowhere\"\nevent = \"Form\"\n";
const NOWHERE: &str =
    "[destination.nowhere]\nkind = \"klaviyo\"\nbase_url = \"http://127.0.0.1:9\"\napi_key = \"${env:TEST_SECRET}\"\n";
const PASSWORD: &str = "a long enough password";

/// A browser, as far as this matters: a cookie, and where its requests come from.
struct Browser {
    http: reqwest::Client,
    base: String,
    cookie: Option<String>,
}

impl Browser {
    fn new(daemon: &Daemon) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        Self { http: http.build().expect("a client"), base: format!("http://{}", daemon.ops), cookie: None }
    }

    async fn ask(&self, method: Method, path: &str, form: &str, origin: Option<&str>) -> reqwest::Response {
        let mut call = self.http.request(method, format!("{}{path}", self.base));
        if !form.is_empty() {
            call = call.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        }
        if let Some(cookie) = &self.cookie {
            call = call.header("cookie", cookie);
        }
        if let Some(origin) = origin {
            call = call.header("origin", origin);
        }
        call.send().await.expect("an answer")
    }

    async fn get(&self, path: &str) -> reqwest::Response {
        self.ask(Method::GET, path, "", None).await
    }

    async fn post(&self, path: &str, form: &str) -> reqwest::Response {
        self.ask(Method::POST, path, form, Some(&self.base)).await
    }

    /// Posts what begins a session, and keeps its cookie.
    async fn come_in(&mut self, path: &str, form: &str) -> StatusCode {
        let answer = self.post(path, form).await;
        if let Some(cookie) = answer.headers().get("set-cookie") {
            let cookie = cookie.to_str().expect("text");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            self.cookie = cookie.split(';').next().map(str::to_owned);
        }
        answer.status()
    }
}

fn ok(folder: &Path, args: &[&str]) -> String {
    let (is_well, said) = espalier(folder, args);
    assert!(is_well, "{args:?}: {said}");
    said
}

fn log(folder: &Path) -> Vec<(String, String, String, Option<u64>)> {
    let log: Value = serde_json::from_str(&ok(folder, &["audit", "--json"])).expect("JSON");
    let text = |one: &Value, key: &str| one[key].as_str().expect("text").to_owned();
    let entries = log.as_array().expect("entries").iter();
    entries.map(|one| (text(one, "by"), text(one, "did"), text(one, "of"), one["status"].as_u64())).collect()
}

fn entry(by: &str, did: &str, of: &str, status: u64) -> (String, String, String, Option<u64>) {
    (by.into(), did.into(), of.into(), Some(status))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_come_in_once_by_a_link_and_then_by_a_password_and_do_what_their_role_may() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut daemon = Daemon::new(folder, &folder.join("store"), NOWHERE, &[("form", TRIGGER)]);
    daemon.start_ready().await;
    assert!(daemon.log_end().contains("espalier account link"), "it says how to come in");
    let mut browser = Browser::new(&daemon);
    for path in ["/", "/triggers/form", "/access", "/nights"] {
        let answer = browser.get(path).await;
        assert_eq!(
            (answer.status(), answer.headers()["location"].to_str().expect("text")),
            (StatusCode::SEE_OTHER, &*format!("/sign-in?to={path}"))
        );
    }
    assert_eq!(browser.get("/api/status").await.status(), 401);
    assert_eq!(browser.get("/healthz").await.status(), 200);

    // The code of a link stands where no server sees it, and is good once.
    let link = ok(folder, &["account", "link"]);
    let (page, code) = link.trim().split_once('#').expect("a fragment");
    assert_eq!(page, format!("{}/enter", browser.base));
    assert!(!daemon.log_end().contains(code));
    assert_eq!(
        browser.ask(Method::POST, "/enter", &format!("code={code}"), Some("http://evil.example")).await.status(),
        403
    );
    assert_eq!(browser.ask(Method::POST, "/enter", &format!("code={code}"), None).await.status(), 403);
    assert_eq!(browser.come_in("/enter", "code=guess").await, 401);
    assert_eq!(browser.come_in("/enter", &format!("code={code}")).await, 303);
    let first = browser.cookie.take();
    assert_eq!(browser.come_in("/enter", &format!("code={code}")).await, 401, "it was used");
    browser.cookie = first;
    let made = browser
        .post("/access/accounts", &format!("name=ines&role=admin&password={}", PASSWORD.replace(' ', "+")))
        .await;
    assert_eq!(made.status(), 303);
    let short = browser.post("/access/accounts", "name=rui&role=viewer&password=short").await;
    assert_eq!(short.status(), 422);
    assert!(short.text().await.expect("text").contains("a password has at least 12"));
    // What cannot be read is no token for everything, or for ever.
    for wrong in ["area=evrything&for=30d", "area=health&for=soon"] {
        let refused = browser.post("/access/tokens", &format!("name=t&role=admin&{wrong}")).await;
        assert_eq!(refused.status(), 422, "{wrong}");
    }
    assert!(!browser.get("/access").await.text().await.expect("text").contains("Revoke t"));
    assert_eq!(browser.post("/sign-out", "").await.status(), 303);
    assert_eq!(browser.get("/").await.status(), 303, "the session is over");

    // Another account, by a command; its password is read, never an argument.
    let (is_well, said) = espalier_with_input(folder, &["account", "add", "rui", "--role", "viewer"], PASSWORD);
    assert!(is_well, "{said}");
    let mut rui = Browser::new(&daemon);
    let sign_in =
        |name: &str, password: &str| format!("name={name}&password={}&to=%2Fnights", password.replace(' ', "+"));
    assert_eq!(rui.come_in("/sign-in", &sign_in("rui", "not the password")).await, 401);
    assert_eq!(rui.come_in("/sign-in", &sign_in("nobody", PASSWORD)).await, 401);
    assert_eq!(rui.come_in("/sign-in", &sign_in("rui", PASSWORD)).await, 303);
    assert_eq!(
        (rui.get("/nights").await.status(), rui.get("/api/status").await.status()),
        (StatusCode::OK, StatusCode::OK)
    );
    // A viewer looks.
    assert_eq!(rui.post("/triggers/form", "what=pause").await.status(), 403);
    assert_eq!(rui.get("/access").await.status(), 403);
    // An operator pauses, from the next request on; and only from our own pages.
    ok(folder, &["account", "role", "rui", "operator"]);
    let elsewhere = rui.ask(Method::POST, "/triggers/form", "what=pause", Some("http://evil.example")).await;
    assert_eq!(elsewhere.status(), 403);
    assert_eq!(rui.post("/triggers/form", "what=pause").await.status(), 303);
    assert!(ok(folder, &["triggers", "list"]).contains("paused since"));
    assert_eq!(rui.ask(Method::POST, "/api/person/export", "", Some(&rui.base)).await.status(), 403);

    // Killed and begun again: who was signed in still is, and what was done is known.
    daemon.kill();
    daemon.start_ready().await;
    assert_eq!(rui.get("/").await.status(), 200);
    let seen = log(folder);
    let of_pages = "POST /access/accounts";
    let expected = [
        entry("rui", "POST /triggers/{name}", "form", 303),
        entry("command line", "POST /api/access/accounts/{name}", "rui", 200),
        entry("rui", "sign in", "", 303),
        entry("nobody", "sign in", "", 401),
        entry("rui", "sign in", "", 401),
        entry("command line", "POST /api/access/accounts", "", 200),
        entry("one-time link", "sign out", "", 303),
        entry("one-time link", "POST /access/tokens", "", 422),
        entry("one-time link", "POST /access/tokens", "", 422),
        entry("one-time link", of_pages, "", 422),
        entry("one-time link", of_pages, "", 303),
        entry("nobody", "sign in", "", 401),
        entry("one-time link", "sign in", "", 303),
        entry("nobody", "sign in", "", 401),
        entry("command line", "POST /api/access/link", "", 200),
    ];
    assert_eq!(seen, expected);
    let text = std::fs::read_to_string(folder.join("store/audit.log")).expect("the log");
    assert!(text.contains("rui as viewer") && text.contains("role operator") && !text.contains(PASSWORD), "{text}");

    // Gone is gone, at once.
    ok(folder, &["account", "remove", "rui"]);
    assert_eq!(rui.get("/").await.status(), 303);
    let (is_well, said) = espalier(folder, &["account", "remove", "rui"]);
    assert!(!is_well && said.contains("there is no `rui`"), "{said}");
    // So many wrong passwords, and the account waits, whatever comes.
    let mut guess = Browser::new(&daemon);
    for _ in 0..10 {
        assert_eq!(guess.come_in("/sign-in", &sign_in("ines", "guess")).await, 401);
    }
    assert_eq!(guess.come_in("/sign-in", &sign_in("ines", PASSWORD)).await, 429);

    // Without a daemon commands change the store themselves, and write it down, too.
    assert!(daemon.terminate().success());
    ok(folder, &["account", "list"]);
    let (is_well, said) = espalier(folder, &["account", "role", "ines", "viewer"]);
    assert!(is_well, "the only account may be anything: {said}");
    let newest = log(folder)[0].clone();
    assert_eq!(newest, entry("command line", "account change", "ines", 200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programs_come_in_by_tokens_that_are_held_to_what_they_are_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut daemon = Daemon::new(folder, &folder.join("store"), NOWHERE, &[("form", TRIGGER)]);
    daemon.start_ready().await;
    let token = |args: &[&str]| ok(folder, &[&["token", "add"], args].concat()).trim().to_owned();
    let looks = token(&["looks", "--role", "viewer"]);
    let stock = token(&["stock", "--role", "operator", "--only", "catalogue", "--for", "30d"]);
    let http = support::client();
    let status = async |token: &str, method: Method, path: &str, body: Option<Value>| {
        let mut call = http.request(method, format!("http://{}{path}", daemon.ops)).bearer_auth(token);
        if let Some(body) = body {
            call = call.json(&body);
        }
        call.send().await.expect("an answer").status().as_u16()
    };
    let me = http.get(format!("http://{}/api/access/me", daemon.ops)).bearer_auth(&looks).send().await;
    let me: Value = me.expect("an answer").json().await.expect("JSON");
    assert_eq!(me, json!({ "name": "looks", "role": "viewer", "areas": [] }));
    let rows = [
        (&looks, Method::GET, "/api/status", None, 200),
        (&looks, Method::GET, "/", None, 200),
        (&looks, Method::POST, "/api/triggers/form/pause", None, 403),
        (&looks, Method::GET, "/api/access", None, 403),
        (&stock, Method::POST, "/api/catalogue", Some(json!([])), 200),
        (&stock, Method::POST, "/api/codes/welcome", Some(json!(["A1"])), 200),
        (&stock, Method::GET, "/api/status", None, 403),
        (&stock, Method::GET, "/", None, 403),
        (&stock, Method::POST, "/api/triggers/form/pause", None, 403),
        (&"esp_guess".to_owned(), Method::GET, "/api/status", None, 401),
    ];
    for (token, method, path, body, wanted) in rows {
        assert_eq!(status(token, method.clone(), path, body).await, wanted, "{method} {path}");
    }
    assert_eq!(log(folder)[0], entry("stock", "POST /api/codes/{pool}", "welcome", 200));
    // What is kept is a digest.
    let kept = std::fs::read(folder.join("store/access")).expect("the register");
    assert!(!kept.windows(stock.len()).any(|part| part == stock.as_bytes()));
    ok(folder, &["token", "revoke", "stock"]);
    assert_eq!(status(&stock, Method::POST, "/api/catalogue", Some(json!([]))).await, 401);
    assert!(ok(folder, &["token", "list"]).contains("looks"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elsewhere_than_on_loopback_it_asks_for_accounts_and_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut daemon = Daemon::new(folder, &folder.join("store"), NOWHERE, &[("form", TRIGGER)]);
    let file = folder.join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let port = daemon.ops.port();
    let loopback = format!("[ops]\nlisten = \"127.0.0.1:{port}\"\n");
    let set = |ops: &str| {
        std::fs::write(&file, text.replace(&loopback, &format!("[ops]\nlisten = \"0.0.0.0:{port}\"\n{ops}")))
            .expect("the configuration")
    };
    set("");
    let (is_well, said) = espalier(folder, &["check"]);
    assert!(
        !is_well && said.contains("passwords would pass in the clear") && said.contains("`hosts` names none"),
        "{said}"
    );
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=espalier.test", "-addext", "subjectAltName=DNS:espalier.test"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder)
        .output()
        .expect("openssl, which scripts/test installs");
    assert!(made.status.success(), "{made:?}");
    set("hosts = [\"espalier.test\"]\ntls = { certificate = \"cert.pem\", key = \"key.pem\" }\n");
    let (is_well, said) = espalier(folder, &["run"]);
    assert!(!is_well && said.contains("nobody could sign in") && said.contains("espalier account add NAME"), "{said}");
    let (is_well, said) = espalier_with_input(folder, &["account", "add", "ines", "--role", "admin"], PASSWORD);
    assert!(is_well, "{said}");
    daemon.start();
    let root = reqwest::Certificate::from_pem(&std::fs::read(folder.join("cert.pem")).expect("a certificate"))
        .expect("a certificate");
    let http = reqwest::Client::builder()
        .tls_certs_only([root])
        .no_proxy()
        .resolve("espalier.test", daemon.ops)
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(10))
        .build()
        .expect("a client");
    let url = |path: &str| format!("https://espalier.test:{port}{path}");
    support::eventually("it is ready", std::time::Duration::from_secs(30), || async {
        http.get(url("/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
    })
    .await;
    assert_eq!(
        http.get(url("/metrics")).send().await.expect("an answer").status(),
        401,
        "figures are not for everybody"
    );
    let form = format!("name=ines&password={}", PASSWORD.replace(' ', "+"));
    let call = http.post(url("/sign-in")).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = call.header("origin", format!("https://espalier.test:{port}")).send().await.expect("an answer");
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    assert!(cookie.starts_with("__Host-espalier=") && cookie.ends_with("; Secure"), "{cookie}");
    assert!(answer.headers().contains_key("strict-transport-security"));
    let other = http.get(url("/sign-in")).header("host", "evil.example").send().await.expect("an answer");
    assert_eq!(other.status(), 403, "a name that is not ours");
    // Commands on the machine find it all the same.
    ok(folder, &["status"]);
    assert!(ok(folder, &["account", "link"]).starts_with("https://espalier.test/enter#"));
    assert!(daemon.terminate().success());
}
