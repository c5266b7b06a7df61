//! A real tap and a real connector, unmodified, run by a whole daemon. `scripts/test` installs them; without them these
//! tests fail.

mod support;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{RawQuery, State};
use axum::routing::get;
use axum::{Json, Router};
use espalier::model::{Identifier, IdentifierKind, Timestamp};
use espalier::store::Store as _;
use espalier::store::embedded::Embedded;
use espalier::store::settings::Settings;
use serde_json::{Value, json};
use support::{Daemon, eventually};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn program(name: &str) -> PathBuf {
    let program = here("target/taps/bin").join(name);
    assert!(program.exists(), "the taps are not installed: run scripts/test");
    program
}

fn daemon(folder: &Path, source: &str) -> Daemon {
    std::fs::copy(here("tests/taps/mapping.toml"), folder.join("mapping.toml")).expect("a mapping");
    let source = format!("[source.crm]\nmapping = \"mapping.toml\"\nevery = \"1s\"\n{source}");
    Daemon::new(folder, &folder.join("store"), &source, &[])
}

async fn decided(daemon: &Daemon, events: u64) {
    eventually("events are decided", Duration::from_secs(60), || async {
        daemon.metric("espalier_events_decided_total").await == Some(events)
    })
    .await;
}

/// How often it was run whole.
async fn runs(daemon: &Daemon) -> u64 {
    daemon.metric("espalier_process_runs_total{source=\"crm\",result=\"whole\"}").await.unwrap_or(0)
}

async fn run_again(daemon: &Daemon) {
    let before = runs(daemon).await;
    eventually("it is run again", Duration::from_secs(60), || async { runs(daemon).await > before + 1 }).await;
}

/// Names, instants and totals of what somebody did, oldest first; and their first name.
async fn story(daemon: &mut Daemon, folder: &Path, email: &str) -> (Vec<(String, String, Value)>, Option<Value>) {
    assert!(daemon.terminate().success(), "{}", daemon.log_end());
    let settings = Settings { path: folder.join("store"), ..Settings::default() };
    let store = Embedded::open(&settings, Timestamp::default()).expect("the store");
    let id =
        store.find(&Identifier::new(IdentifierKind::Email, email)).await.expect("a whole store").expect("somebody");
    let person = store.story(id).await.expect("a whole store").expect("their story").person;
    store.close().await.expect("an end");
    let entries = person.history.entries().iter();
    let did = entries.map(|entry| (entry.name.to_string(), entry.at.to_string(), entry.fields()["total"].clone()));
    (did.collect(), person.trait_value("first_name").cloned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tap_brings_what_is_in_files_and_then_only_what_is_new() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().display();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("people.csv", "id,email,name\n1,ada@example.com,Ada\n2,grace@example.com,Grace\n");
    let orders = "order_id,email,total,updated_at\n1001,ada@example.com,49.90,2026-11-20T10:00:00Z\n\
                  1002,grace@example.com,120.00,2026-11-21T08:30:00Z\n";
    write("orders.csv", orders);
    let file = |name: &str, key: &str| {
        format!(
            "{{ path = \"{path}/{name}.csv\", format = \"csv\", table_name = \"{name}\", primary_keys = [\"{key}\"] }}"
        )
    };
    let source = format!(
        "kind = \"singer\"\ncommand = [\"{}\"]\nsettings = {{ files = [{}, {}] }}\n",
        program("tap-spreadsheets").display(),
        file("people", "id"),
        file("orders", "order_id")
    );
    let mut daemon = daemon(folder.path(), &source);
    daemon.start_ready().await;
    decided(&daemon, 4).await;
    run_again(&daemon).await;
    let read = "espalier_pull_records_total{source=\"crm\",stream=\"orders\",result=\"read\"}";
    assert_eq!(daemon.metric(read).await, Some(2), "with its state the tap brings nothing again");

    // Its marks are whole seconds of the file's time.
    support::pause(1_100).await;
    write("orders.csv", &format!("{orders}1003,ada@example.com,15.25,2026-11-22T17:45:10Z\n"));
    decided(&daemon, 5).await;
    run_again(&daemon).await;
    assert_eq!(daemon.metric("espalier_events_decided_total").await, Some(5), "each order is taken once");

    let (did, name) = story(&mut daemon, folder.path(), "ada@example.com").await;
    let order = |at: &str, total: &str| ("Order Completed".to_owned(), at.to_owned(), json!(total));
    assert_eq!(did, [order("2026-11-20T10:00:00.000Z", "49.90"), order("2026-11-22T17:45:10.000Z", "15.25")]);
    assert_eq!(name, Some(json!("Ada")));
}

/// A shop that lists its orders, and the queries that it was asked with.
#[derive(Clone, Default)]
struct Shop {
    orders: Arc<Mutex<Vec<Value>>>,
    asked: Arc<Mutex<Vec<String>>>,
}

async fn list(State(shop): State<Shop>, RawQuery(query): RawQuery) -> Json<Value> {
    shop.asked.lock().expect("a list").push(query.unwrap_or_default());
    Json(json!({ "orders": *shop.orders.lock().expect("a list") }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_brings_what_a_shop_has_and_then_only_what_is_new() {
    let shop = Shop::default();
    let order = |n: u32, total: f64| json!({ "id": n, "email": "ada@example.com", "total": total, "updated_at": format!("2026-11-2{n}T10:00:00Z") });
    shop.orders.lock().expect("a list").extend([order(1, 49.9), order(2, 15.25)]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let router = Router::new().route("/orders", get(list)).with_state(shop.clone());
    tokio::spawn(async move { axum::serve(listener, router).await.expect("the shop") });

    let folder = tempfile::tempdir().expect("a folder");
    let source = format!(
        "kind = \"airbyte\"\ncommand = [\"{}\"]\narguments = [\"--manifest-path\", \"{}\"]\n\
         settings = {{ base_url = \"http://{address}\", api_key = \"${{env:TEST_SANDBOX_KEY}}\" }}\n",
        program("source-declarative-manifest").display(),
        here("tests/taps/shop.yaml").display()
    );
    let mut daemon = daemon(folder.path(), &source);
    // It has no people; what the mapping says of them would be told as a mistake.
    let mapping = std::fs::read_to_string(here("tests/taps/mapping.toml")).expect("a mapping");
    let (head, rest) = mapping.split_once("[stream.people]").expect("people");
    let (_, orders) = rest.split_once("[stream.orders]").expect("orders");
    std::fs::write(folder.path().join("mapping.toml"), format!("{head}[stream.orders]{orders}")).expect("a mapping");
    daemon.start_ready().await;
    decided(&daemon, 2).await;
    shop.orders.lock().expect("a list").push(order(3, 7.0));
    decided(&daemon, 3).await;
    run_again(&daemon).await;
    assert_eq!(daemon.metric("espalier_events_decided_total").await, Some(3), "each order is taken once");
    let asked = shop.asked.lock().expect("a list").clone();
    assert_eq!(asked.first().map(String::as_str), Some("since=2026-11-01T00%3A00%3A00Z"));
    assert_eq!(asked.last().map(String::as_str), Some("since=2026-11-23T10%3A00%3A00Z"), "from its state on");

    let (did, _) = story(&mut daemon, folder.path(), "ada@example.com").await;
    let order = |day: u32, total: Value| ("Order Completed".to_owned(), format!("2026-11-2{day}T10:00:00.000Z"), total);
    assert_eq!(did, [order(1, json!(49.9)), order(2, json!(15.25)), order(3, json!(7.0))]);
}
