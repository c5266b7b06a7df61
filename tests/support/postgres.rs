//! A PostgreSQL of the test's own, out of Debian's package, in a folder that goes with it; or the one that
//! `ESPALIER_TEST_DATABASE_URL` names. Each store has a database of its own there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

/// Where Debian puts its binaries.
const DEBIAN: &str = "/usr/lib/postgresql";

pub struct Server {
    url: String,
    /// None where it is somebody else's.
    pub own: Option<Own>,
    databases: AtomicU32,
}

pub struct Own {
    process: Child,
    _folder: tempfile::TempDir,
}

/// It ends with our end of its standard input, however we end.
pub const UNTIL_WE_END: &str = "\"$@\" & read -r _; kill -QUIT $!; wait";

/// A server that is thrown away need not last.
pub const SETTINGS: [&str; 8] =
    ["-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=32MB", "-c", "log_min_messages=warning"];

/// The newest version's binaries.
pub fn binaries() -> PathBuf {
    let versions = std::fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin")).filter(|bin| bin.join("initdb").exists());
    found.max().expect("PostgreSQL's binaries: scripts/test gets them")
}

/// initdb and postgres refuse root: there they run as another user.
pub fn command(binary: &Path) -> Command {
    if rustix::process::getuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(binary);
        command
    } else {
        Command::new(binary)
    }
}

impl Server {
    /// One that answers.
    pub async fn begin() -> Self {
        Self::begin_with(&SETTINGS).await
    }

    /// The same, with these of its settings where it is our own.
    #[expect(clippy::disallowed_methods, reason = "the test's own environment")]
    pub async fn begin_with(settings: &[&str]) -> Self {
        let (url, own) = match std::env::var("ESPALIER_TEST_DATABASE_URL") {
            Ok(url) => (url, None),
            Err(_) => begin_own(settings),
        };
        let server = Self { url, own, databases: AtomicU32::new(0) };
        server.answers().await;
        server
    }

    async fn answers(&self) {
        let began = tokio::time::Instant::now();
        let mut ticks = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            ticks.tick().await;
            match self.options().connect().await {
                Ok(connection) => return drop(connection.close().await),
                Err(error) if began.elapsed().as_secs() > 30 => panic!("PostgreSQL does not begin: {error}"),
                Err(_) => {}
            }
        }
    }

    fn options(&self) -> PgConnectOptions {
        self.url.parse::<PgConnectOptions>().expect("an address").disable_statement_logging()
    }

    /// Says something to the server itself.
    pub async fn say(&self, sql: &str) {
        let mut connection = self.options().connect().await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("a statement");
        connection.close().await.expect("a close");
    }

    /// The address of a new database.
    pub async fn database(&self) -> String {
        let n = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("espalier_{}_{n}", std::process::id());
        if self.own.is_none() {
            self.say(&format!("drop database if exists {name}")).await;
        }
        self.say(&format!("create database {name}")).await;
        let (before, after) = self.url.rsplit_once("/postgres").expect("an address of the database postgres");
        format!("{before}/{name}{after}")
    }
}

/// A connection of the test's own.
pub async fn connect(url: &str) -> PgConnection {
    let options = url.parse::<PgConnectOptions>().expect("an address").disable_statement_logging();
    options.connect().await.expect("a connection")
}

/// A folder that is who runs PostgreSQL's, with one for data and one for sockets.
pub fn folders() -> tempfile::TempDir {
    let folder = tempfile::Builder::new().prefix("pg").tempdir().expect("a folder");
    let (data, sockets) = (folder.path().join("data"), folder.path().join("s"));
    for path in [&data, &sockets] {
        std::fs::create_dir(path).expect("a folder");
    }
    if rustix::process::getuid().is_root() {
        for path in [folder.path(), &data, &sockets] {
            std::os::unix::fs::chown(path, Some(65534), Some(65534)).expect("a folder of the other user");
        }
    }
    folder
}

/// Fails with what it said where it failed.
pub fn is_made(what: &str, out: &std::process::Output) {
    assert!(out.status.success(), "{what}: {}", String::from_utf8_lossy(&out.stderr));
}

fn begin_own(settings: &[&str]) -> (String, Option<Own>) {
    let bin = binaries();
    let folder = folders();
    let (data, sockets) = (folder.path().join("data"), folder.path().join("s"));
    let made = command(&bin.join("initdb"))
        .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
        .arg(&data)
        .current_dir("/")
        .env("TZ", "UTC")
        .output()
        .expect("initdb");
    is_made("initdb", &made);
    // Also where we are killed, or never come to drop it, nothing is left.
    let until_we_end = format!("{UNTIL_WE_END}; rm -rf \"$0\"");
    // No port, so that none can be taken.
    let process = command(Path::new("/bin/sh"))
        .args(["-c", &until_we_end])
        .arg(folder.path())
        .arg(bin.join("postgres"))
        .args(settings)
        .args(["-c", "listen_addresses=", "-k"])
        .arg(&sockets)
        .arg("-D")
        .arg(&data)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("postgres");
    let url = format!("postgres://postgres@localhost/postgres?host={}", sockets.display());
    (url, Some(Own { process, _folder: folder }))
}

impl Drop for Own {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
