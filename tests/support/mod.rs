//! What whole-daemon tests share: the daemon as a child process, commands beside it, simulated vendors, and a load whose
//! answers are written down.

#![expect(dead_code, reason = "each test uses a part of it")]
#![expect(clippy::disallowed_methods, reason = "a child process lives in the machine's time, not in a virtual one")]

pub mod cluster;
pub mod load;
pub mod machine_clock;
pub mod postgres;
pub mod proxy;
pub mod shop;
pub mod stores;
pub mod world;

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use espalier::clock::{SharedClock, SystemClock};
use espalier::sandbox::{Options, Sandbox};
use espalier::store::settings::Kind;

/// The key that the tests' tracking source asks for.
pub const WRITE_KEY: &str = "wk_test";

/// How often a condition is asked again.
const STEP: Duration = Duration::from_millis(20);

/// The program with the configuration in this folder, and the tests' secrets.
pub fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_espalier"));
    command.args(args).arg("--config").arg(folder.join("espalier.toml"));
    command.env("TEST_WRITE_KEY", WRITE_KEY).env("TEST_SECRET", "secret").env("TEST_SANDBOX_KEY", "sandbox");
    command
}

/// A command beside the daemon, run in its folder: whether it ended well, and all that it said.
pub fn espalier(folder: &Path, args: &[&str]) -> (bool, String) {
    let out = command(folder, args).current_dir(folder).output().expect("the program");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// The same, with something to read on its standard input.
pub fn espalier_with_input(folder: &Path, args: &[&str], input: &str) -> (bool, String) {
    use std::io::Write;
    let piped = || Stdio::piped();
    let mut child = command(folder, args)
        .current_dir(folder)
        .stdin(piped())
        .stdout(piped())
        .stderr(piped())
        .spawn()
        .expect("the program");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("a write");
    let out = child.wait_with_output().expect("the program");
    (out.status.success(), String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr))
}

/// Simulated vendors, and where they listen.
pub async fn vendors(options: Options) -> (Sandbox, SocketAddr) {
    vendors_at(Arc::new(SystemClock), options).await
}

/// The same, by a clock of the test's own, by which their answers are dated.
pub async fn vendors_at(clock: SharedClock, options: Options) -> (Sandbox, SocketAddr) {
    let sandbox = Sandbox::new(clock.clone(), options);
    let address = serve(dated(sandbox.router(), clock)).await;
    (sandbox, address)
}

/// Answers on a port of its own.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    address
}

/// With each answer dated by this clock.
pub fn dated(router: Router, clock: SharedClock) -> Router {
    router.layer(axum::middleware::map_response(move |mut answer: axum::response::Response| {
        let at = jiff::Timestamp::from_millisecond(clock.now().as_millis()).expect("an instant");
        let date = jiff::fmt::rfc2822::to_string(&at.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date");
        answer.headers_mut().insert("date", date.parse().expect("a header"));
        std::future::ready(answer)
    }))
}

/// Has the simulated vendors at this address, with or without its scheme, fail.
pub async fn fault(vendors: impl std::fmt::Display, fault: serde_json::Value) {
    let vendors = vendors.to_string();
    let at = vendors.trim_start_matches("http://");
    let sent = client().post(format!("http://{at}/_sandbox/faults")).json(&fault).send().await;
    assert!(sent.expect("the vendors").status().is_success(), "{fault}");
}

/// An account at each of three vendors, Marketo's last.
pub fn accounts(vendors: SocketAddr) -> String {
    format!(
        r#"[destination.klaviyo]
kind = "klaviyo"
api_key = "${{env:TEST_SANDBOX_KEY}}"
base_url = "http://{vendors}/klaviyo"
[destination.hubspot]
kind = "hubspot"
token = "${{env:TEST_SANDBOX_KEY}}"
hub_id = 1234567
base_url = "http://{vendors}/hubspot"
[destination.marketo]
kind = "marketo"
base_url = "http://{vendors}/marketo"
client_id = "${{env:TEST_SANDBOX_KEY}}"
client_secret = "${{env:TEST_SANDBOX_KEY}}"
activity_type = 100001
"#
    )
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port()
}

/// `espalier run` as its users run it, in a folder of its own.
pub struct Daemon {
    folder: PathBuf,
    store: PathBuf,
    /// Where the tracking API listens.
    pub intake: SocketAddr,
    /// Where health and the page are.
    pub ops: SocketAddr,
    /// The database that is its own, where it keeps everything in one.
    pub database: Option<String>,
    /// Beside that of the test.
    environment: Vec<(OsString, OsString)>,
    child: Option<Child>,
    was_killed: bool,
}

impl Daemon {
    /// Writes the configuration (`[store]`, `[intake]`, `[ops]` and a tracking source are added to `rest`) and the
    /// trigger files. Does not start it.
    pub fn new(folder: &Path, store: &Path, rest: &str, triggers: &[(&str, &str)]) -> Self {
        let (intake, ops) = (free_port(), free_port());
        let at_store = store.display();
        let text = format!(
            "triggers = \"triggers\"\n\
             [store]\npath = \"{at_store}\"\n\
             [intake]\nlisten = \"127.0.0.1:{intake}\"\n\
             [ops]\nlisten = \"127.0.0.1:{ops}\"\n\
             [source.web]\nkind = \"tracking\"\nwrite_key = \"${{env:TEST_WRITE_KEY}}\"\n\
             {rest}\n"
        );
        std::fs::create_dir_all(folder.join("triggers")).expect("a folder for triggers");
        std::fs::write(folder.join("espalier.toml"), text).expect("the configuration");
        for (name, text) in triggers {
            std::fs::write(folder.join("triggers").join(format!("{name}.toml")), text).expect("a trigger");
        }
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let (folder, store) = (folder.to_owned(), store.to_owned());
        let (intake, ops) = (at(intake), at(ops));
        Self { folder, store, intake, ops, database: None, environment: Vec::new(), child: None, was_killed: false }
    }

    /// The same, with everything in a store of this kind.
    pub async fn on(mut self, kind: Kind) -> Self {
        if kind == Kind::Postgres {
            let database = stores::database().await;
            let file = self.folder.join("espalier.toml");
            let text = std::fs::read_to_string(&file).expect("the configuration");
            let lines = stores::lines_of(&database, &self.folder);
            std::fs::write(&file, text.replace("[store]\n", &format!("[store]\n{lines}"))).expect("the configuration");
            self.database = Some(database);
        }
        self
    }

    /// From its next start on its environment has this, too.
    pub fn env(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.environment.push((name.into(), value.into()));
    }

    /// Starts the process; its output goes to `daemon.log`.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "the daemon runs already");
        let log = || {
            File::options().create(true).append(true).open(self.folder.join("daemon.log")).expect("the daemon's log")
        };
        let child = command(&self.folder, &["run"])
            .env("RUST_LOG", "info")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log())
            .stderr(log())
            .spawn()
            .expect("the daemon's program");
        self.child = Some(child);
    }

    /// Starts it and waits until it says that it is ready. What it had in a database of its own when it was killed is free,
    /// as when the time of its leases is over.
    pub async fn start_ready(&mut self) {
        if std::mem::take(&mut self.was_killed)
            && let Some(database) = &self.database
        {
            stores::free(database).await;
        }
        self.start();
        self.ready().await;
    }

    /// Waits until `/readyz` answers 200.
    pub async fn ready(&mut self) {
        let url = format!("http://{}/readyz", self.ops);
        let client = client();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(status) = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten()) {
                panic!("the daemon ended with {status}:\n{}", self.log_end());
            }
            if client.get(&url).send().await.is_ok_and(|a| a.status().is_success()) {
                return;
            }
            tokio::time::sleep(STEP).await;
        }
        panic!("the daemon was not ready within a minute:\n{}", self.log_end());
    }

    /// The number in the line of `/metrics` that begins with `line`; `None` while there is none.
    pub async fn metric(&self, line: &str) -> Option<u64> {
        let answer = client().get(format!("http://{}/metrics", self.ops)).send().await.expect("the metrics");
        let text = answer.text().await.expect("the metrics");
        text.lines().find_map(|l| l.strip_prefix(line)?.trim().parse().ok())
    }

    /// What commands let themselves in with.
    pub fn admin_token(&self) -> String {
        let store = if self.store.is_absolute() { self.store.clone() } else { self.folder.join(&self.store) };
        std::fs::read_to_string(store.join("admin.token")).expect("a token").trim().to_owned()
    }

    /// A page, as an admin sees it.
    pub async fn page(&self, path: &str) -> reqwest::Response {
        let call = client().get(format!("http://{}{path}", self.ops)).bearer_auth(self.admin_token());
        call.send().await.expect("a page")
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("a process of ours");
            child.wait().expect("a process of ours");
            self.was_killed = true;
        }
    }

    /// SIGSTOP: it does nothing more until it is killed, or goes on.
    pub fn stand_still(&self) {
        let child = self.child.as_ref().expect("a running daemon");
        let sent = Command::new("kill").args(["-STOP", &child.id().to_string()]).status().expect("the kill command");
        assert!(sent.success(), "SIGSTOP was not sent");
    }

    /// SIGCONT: it goes on after [`Daemon::stand_still`].
    pub fn go_on(&self) {
        let child = self.child.as_ref().expect("a running daemon");
        let sent = Command::new("kill").args(["-CONT", &child.id().to_string()]).status().expect("the kill command");
        assert!(sent.success(), "SIGCONT was not sent");
    }

    /// SIGHUP: it reads the trigger files again.
    pub fn hang_up(&self) {
        let child = self.child.as_ref().expect("a running daemon");
        let sent = Command::new("kill").args(["-HUP", &child.id().to_string()]).status().expect("the kill command");
        assert!(sent.success(), "SIGHUP was not sent");
    }

    /// SIGTERM, and how it ended.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("a running daemon");
        let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().expect("the kill command");
        assert!(sent.success(), "SIGTERM was not sent");
        child.wait().expect("a process of ours")
    }

    /// The last lines of its log.
    pub fn log_end(&self) -> String {
        let text = std::fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    /// Posts one body to the tracking API; `None` when there was no answer.
    pub async fn post(&self, client: &reqwest::Client, path: &str, body: String) -> Option<u16> {
        let url = format!("http://{}{path}", self.intake);
        let answer = client.post(url).basic_auth(WRITE_KEY, Some("")).body(body).send().await.ok()?;
        Some(answer.status().as_u16())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A client that gives up.
pub fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(10)).build().expect("a client")
}

/// Asks until it is so, or fails with `what` after `limit`.
pub async fn eventually<F: Future<Output = bool>>(what: &str, limit: Duration, mut is_so: impl FnMut() -> F) {
    let began = Instant::now();
    while !is_so().await {
        assert!(began.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}

/// Waits a little of the machine's time.
pub async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}
