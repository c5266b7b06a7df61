//! Pulling a list of 250 records a page from a server on this machine, against Airbyte's CDK with a declarative manifest
//! doing the same pull in the same run; how much of a quota of two calls a second is used; and the memory that so many
//! records take. The CDK only prints what it reads; ours is on disk, with its place, when it is counted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::load::resident_of;

/// Records of a page.
const PAGE: u64 = 250;
/// When all of them changed: an hour before the run.
const AGE_MS: i64 = 3_600_000;

/// The server's own count.
#[derive(Default)]
struct Served {
    records: u64,
    changed_at: i64,
    /// When each page was asked for.
    asked: Vec<Instant>,
    /// Calls allowed in any second; all, when it is 0.
    a_second: usize,
    refused: u64,
}

type Server = Arc<Mutex<Served>>;

async fn orders(State(server): State<Server>, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    let (records, changed_at) = {
        let mut served = server.lock().expect("the server");
        let now = Instant::now();
        let since = now.checked_sub(Duration::from_secs(1));
        let recent = served.asked.iter().rev().take_while(|at| since.is_some_and(|since| **at > since)).count();
        if served.a_second > 0 && recent >= served.a_second {
            served.refused += 1;
            return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response();
        }
        served.asked.push(now);
        (served.records, served.changed_at)
    };
    let number = |name: &str| asked.get(name).and_then(|text| text.parse::<i64>().ok());
    let is_inside = number("since").unwrap_or(0) <= changed_at && changed_at < number("until").unwrap_or(i64::MAX);
    let from = number("after").unwrap_or(0).unsigned_abs();
    let until = if is_inside { (from + PAGE).min(records) } else { from };
    let at = jiff::Timestamp::from_millisecond(changed_at).expect("an instant");
    let mut body = String::with_capacity(128 << 10);
    body.push_str("{\"orders\":[");
    for id in from..until {
        let comma = if id == from { "" } else { "," };
        let person = id % 50_000;
        write!(
            body,
            "{comma}{{\"id\":{id},\"updated_at\":\"{at:.0}\",\"email\":\"p{person}@example.com\",\"phone\":null,\"total\":\"49.90\",\
             \"currency\":\"EUR\",\"status\":\"paid\",\"lines\":[{{\"product_id\":{},\"title\":\"Lamp, green\",\"price\":\"49.90\",\
             \"quantity\":1}}],\"customer\":{{\"id\":{person},\"first_name\":\"Ada\",\"last_name\":\"Example\"}}}}",
            id % 1_000
        )
        .expect("memory");
    }
    let next = if until < records && is_inside { format!("\"{until}\"") } else { "null".into() };
    write!(body, "],\"next\":{next}}}").expect("memory");
    ([("content-type", "application/json")], body).into_response()
}

async fn serve(records: u64, a_second: usize) -> (Server, SocketAddr) {
    let now = jiff::Timestamp::now().as_millisecond();
    let changed_at = (now - AGE_MS) / 1_000 * 1_000;
    let server: Server = Arc::new(Mutex::new(Served { records, changed_at, a_second, ..Served::default() }));
    let router = Router::new().route("/orders", get(orders)).with_state(server.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    (server, address)
}

const MANIFEST: &str = r#"
name  = "bench"
facts = "the benchmark's own server"
[settings]
base_url = { kind = "url", help = "where it is" }
api_key  = { kind = "secret", help = "any" }
[api]
base_url = "{{ settings.base_url }}"
auth     = { kind = "bearer", secret = "api_key" }
LIMITS
[stream.orders]
path    = "/orders"
query   = { since = "{{ window.from }}", until = "{{ window.until }}", after = "{{ page.token }}" }
records = "orders"
paging  = { kind = "cursor", next = "next" }
window  = { time = "epoch_millis", overlap = "1m", margin = "1s" }
every   = "1h"
[[stream.orders.emit]]
event      = "Order Completed"
id         = "id"
version    = "updated_at"
at         = "updated_at"
identify   = { bench_customer = "customer.id", email = "email", phone = "phone", order = "id" }
properties = { order_id = { text = "id" }, total = "total", currency = "currency", products = { each = "lines", take = { product_id = { text = "product_id" }, name = "title", price = "price", quantity = "quantity" } } }
traits     = { first_name = "customer.first_name", last_name = "customer.last_name" }
"#;

/// The program with a source of this server, in a folder of its own.
fn espalier(folder: &Path, address: SocketAddr, limits: &str) -> Command {
    let connector = folder.join("connectors/bench");
    std::fs::create_dir_all(&connector).expect("a folder");
    std::fs::create_dir_all(folder.join("triggers")).expect("a folder");
    std::fs::write(connector.join("connector.toml"), MANIFEST.replace("LIMITS", limits)).expect("a manifest");
    let config = format!(
        "connectors = \"connectors\"\n[store]\npath = \"store\"\nbacklog = 1000000000\n[source.bench]\nkind = \"connector\"\n\
         connector = \"bench\"\nsettings = {{ base_url = \"http://{address}\", api_key = \"${{env:BENCH_KEY}}\" }}\n\
         pull = {{ start = \"1d\" }}\n"
    );
    std::fs::write(folder.join("espalier.toml"), config).expect("the configuration");
    let mut command = Command::new(env!("CARGO_BIN_EXE_espalier"));
    command.args(["connector", "run", "bench", "--config"]).arg(folder.join("espalier.toml")).env("BENCH_KEY", "k");
    command
}

/// The CDK's own program, where scripts/test has installed it.
fn cdk() -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/taps/bin/source-declarative-manifest");
    program.exists().then_some(program)
}

const DECLARED: &str = r#"
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [orders]}
streams:
  - type: DeclarativeStream
    name: orders
    primary_key: [id]
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: "{{ config['base_url'] }}"
        path: /orders
        http_method: GET
        request_headers: {Authorization: "Bearer {{ config['api_key'] }}"}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [orders]}}
      paginator:
        type: DefaultPaginator
        page_token_option: {type: RequestOption, inject_into: request_parameter, field_name: after}
        pagination_strategy:
          type: CursorPagination
          cursor_value: "{{ response['next'] }}"
          stop_condition: "{{ response['next'] is none }}"
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: updated_at
      cursor_datetime_formats: ["%Y-%m-%dT%H:%M:%SZ"]
      datetime_format: "%ms"
      start_datetime: {type: MinMaxDatetime, datetime: "{{ config['start'] }}", datetime_format: "%Y-%m-%dT%H:%M:%SZ"}
      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: since}
      end_time_option: {type: RequestOption, inject_into: request_parameter, field_name: until}
    schema_loader:
      type: InlineSchemaLoader
      schema: {type: object, $schema: "http://json-schema.org/draft-07/schema#", properties: {id: {type: integer}, updated_at: {type: string}}}
spec:
  type: Spec
  connection_specification: {type: object, properties: {base_url: {type: string}, api_key: {type: string}, start: {type: string}}}
"#;

const CATALOG: &str = r#"{"streams": [{"stream": {"name": "orders", "json_schema": {}, "supported_sync_modes": ["incremental"], "source_defined_cursor": true, "default_cursor_field": ["updated_at"]}, "sync_mode": "incremental", "destination_sync_mode": "append", "cursor_field": ["updated_at"]}]}"#;

/// Records a second: of the whole run, and of its steady part, from a fifth of the pages on.
fn rates(server: &Server, began: Instant, took: Duration) -> (f64, f64) {
    let mut served = server.lock().expect("the server");
    let records = served.records as f64;
    let first = served.asked.len() / 5;
    let (Some(from), Some(until)) = (served.asked.get(first), served.asked.last()) else { return (0.0, 0.0) };
    let steady = (served.asked.len() - 1 - first) as f64 * PAGE as f64 / until.duration_since(*from).as_secs_f64();
    assert!(served.asked.first().is_some_and(|first| *first >= began), "of this run");
    served.asked.clear();
    (records / took.as_secs_f64(), steady)
}

/// A pull of so many records, beside the CDK's.
pub async fn beside_the_cdk(records: u64) {
    let (server, address) = serve(records, 0).await;
    let folder = tempfile::tempdir().expect("a folder");
    let command = espalier(folder.path(), address, "");
    let began = Instant::now();
    let (said, most) = run(command).await;
    assert!(said.contains(&format!("orders: {records} records")), "{said}");
    let ours = rates(&server, began, began.elapsed());
    println!(
        "pull: {:.0} records/s, steady {:.0}, durable with their place; {} MB resident at most",
        ours.0,
        ours.1,
        most >> 20
    );
    let Some(program) = cdk() else {
        println!("pull: the CDK is not installed; scripts/test does it");
        return;
    };
    let write = |name: &str, text: String| {
        std::fs::write(folder.path().join(name), text).expect("a file");
        folder.path().join(name)
    };
    let start = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24);
    let config =
        serde_json::json!({ "base_url": format!("http://{address}"), "api_key": "k", "start": format!("{start:.0}") });
    let mut command = Command::new(program);
    command.arg("read");
    command.arg("--config").arg(write("config.json", config.to_string()));
    command.arg("--catalog").arg(write("catalog.json", CATALOG.into()));
    command.arg("--manifest-path").arg(write("manifest.yaml", DECLARED.into()));
    let began = Instant::now();
    let (said, most) = run(command).await;
    let read = said.lines().filter(|line| line.contains("\"type\":\"RECORD\"")).count() as u64;
    assert_eq!(read, records, "the CDK reads all of it: {}", said.lines().last().unwrap_or_default());
    let theirs = rates(&server, began, began.elapsed());
    println!("pull: the CDK {:.0} records/s, steady {:.0}; {} MB resident at most", theirs.0, theirs.1, most >> 20);
    println!(
        "pull: {:.1} times the CDK's whole run (6), {:.1} times its steady rate (4)",
        ours.0 / theirs.0,
        ours.1 / theirs.1
    );
}

/// A quota of two calls in any second: how much of it is used, and how many calls are refused.
pub async fn within_a_quota() {
    let pages = 100;
    let (server, address) = serve(pages * PAGE, 2).await;
    let folder = tempfile::tempdir().expect("a folder");
    let (said, _) = run(espalier(folder.path(), address, "limits = { calls = [{ most = 2, within = \"1s\" }] }")).await;
    assert!(said.contains("records"), "{said}");
    let served = server.lock().expect("the server");
    let (first, last) = (served.asked.first().expect("a call"), served.asked.last().expect("a call"));
    let used = (served.asked.len() - 1) as f64 / last.duration_since(*first).as_secs_f64() / 2.0;
    println!("pull-quota: {:.1} % of two calls a second used (95), {} refused (0)", used * 100.0, served.refused);
}

/// Runs it to its end: what it printed, and the most memory that it had.
async fn run(mut command: Command) -> (String, u64) {
    tokio::task::spawn_blocking(move || {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("a program");
        let process = child.id();
        let ended = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let watch = ended.clone();
        let most = std::thread::spawn(move || {
            let mut most = 0;
            while !watch.load(std::sync::atomic::Ordering::Relaxed) {
                most = most.max(resident_of(process));
                std::thread::sleep(Duration::from_millis(100));
            }
            most
        });
        let mut said = String::new();
        std::io::Read::read_to_string(&mut child.stdout.take().expect("its output"), &mut said).expect("text");
        child.wait().expect("an end");
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        (said, most.join().expect("a watch"))
    })
    .await
    .expect("a run")
}
