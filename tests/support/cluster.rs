//! PostgreSQL as those run it who want none of it lost: a primary, and a replica that has each commit before it is
//! acknowledged. Both are the test's own, and end with it.

#![expect(clippy::disallowed_methods, reason = "real processes live in the machine's time")]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};

use super::postgres::{SETTINGS, UNTIL_WE_END, binaries, command, folders, is_made};
use super::{free_port, pause};

/// The database that the daemons share.
const NAME: &str = "espalier";
/// Longer than anything takes that goes well.
const LONGEST: Duration = Duration::from_secs(60);

/// How a server is told to stop.
#[derive(Clone, Copy, Debug)]
pub enum Stop {
    /// Transactions are broken off, all is written.
    Fast,
    /// As in a crash: what its log has is read again at the next start.
    Immediate,
}

/// One server, in a folder of its own.
struct Node {
    folder: tempfile::TempDir,
    port: u16,
    process: Option<Child>,
}

/// A primary with its replica.
pub struct Cluster {
    primary: Node,
    replica: Node,
}

impl Node {
    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    fn options(&self, name: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new().host("127.0.0.1").port(self.port).username("postgres").database(name);
        options.disable_statement_logging()
    }

    fn start(&mut self) {
        let process = command(Path::new("/bin/sh"))
            .args(["-c", UNTIL_WE_END, "sh"])
            .arg(binaries().join("postgres"))
            .args(SETTINGS)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "wal_retrieve_retry_interval=100ms"])
            .args(["-c", &format!("port={}", self.port), "-k"])
            .arg(self.folder.path().join("s"))
            .arg("-D")
            .arg(self.data())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.expect("postgres"));
    }

    async fn stop(&mut self, how: Stop) {
        let mode = match how {
            Stop::Fast => "fast",
            Stop::Immediate => "immediate",
        };
        let told = command(&binaries().join("pg_ctl"))
            .args(["stop", "-w", "-m", mode, "-D"])
            .arg(self.data())
            .current_dir("/")
            .output();
        is_made("pg_ctl stop", &told.expect("pg_ctl"));
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            process.wait().expect("a process of ours");
        }
    }

    async fn connect(&self, name: &str) -> PgConnection {
        let began = std::time::Instant::now();
        loop {
            match self.options(name).connect().await {
                Ok(connection) => return connection,
                Err(error) => assert!(began.elapsed() < LONGEST, "PostgreSQL does not begin: {error}"),
            }
            pause(50).await;
        }
    }

    async fn say(&self, sql: &str) {
        let mut connection = self.connect("postgres").await;
        // Not as one string: neither of them may be in a transaction with others.
        for one in sql.split(';') {
            sqlx::raw_sql(sqlx::AssertSqlSafe(one)).execute(&mut connection).await.expect("a statement");
        }
        connection.close().await.expect("a close");
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.stdin.take());
            let _ = process.wait();
        }
    }
}

impl Cluster {
    /// Both run, and the replica is in step.
    pub async fn begin() -> Self {
        let mut primary = Node { folder: folders(), port: free_port(), process: None };
        let made = command(&binaries().join("initdb"))
            .args(["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(primary.data())
            .current_dir("/")
            .env("TZ", "UTC")
            .output();
        is_made("initdb", &made.expect("initdb"));
        primary.start();
        primary.say(&format!("create database {NAME}")).await;
        let replica = Self::replica_of(&primary);
        let cluster = Self { primary, replica };
        cluster.keep_in_step().await;
        cluster
    }

    /// A copy that follows.
    fn replica_of(primary: &Node) -> Node {
        let mut replica = Node { folder: folders(), port: free_port(), process: None };
        std::fs::remove_dir(replica.data()).expect("a folder");
        let from = format!("host=127.0.0.1 port={} user=postgres application_name=replica", primary.port);
        let copied = command(&binaries().join("pg_basebackup"))
            .args(["--no-sync", "-c", "fast", "-X", "stream", "-R", "-d", &from, "-D"])
            .arg(replica.data())
            .current_dir("/")
            .output();
        is_made("pg_basebackup", &copied.expect("pg_basebackup"));
        replica.start();
        replica
    }

    /// No commit is acknowledged any more before the replica has it; and it has all that was acknowledged before.
    async fn keep_in_step(&self) {
        self.primary.say("alter system set synchronous_standby_names = '*'; select pg_reload_conf()").await;
        self.in_step().await;
    }

    /// Waits until the replica has all that is written now.
    pub async fn in_step(&self) {
        let mut connection = self.primary.connect("postgres").await;
        let (written,): (String,) = sqlx::query_as("select pg_current_wal_flush_lsn()::text")
            .fetch_one(&mut connection)
            .await
            .expect("the log's end");
        let began = std::time::Instant::now();
        let sql = "select count(*) from pg_stat_replication where sync_state = 'sync' and flush_lsn >= $1::pg_lsn";
        loop {
            let (in_step,): (i64,) =
                sqlx::query_as(sql).bind(&written).fetch_one(&mut connection).await.expect("the replica");
            if in_step > 0 {
                break;
            }
            assert!(began.elapsed() < LONGEST, "the replica is not in step");
            pause(50).await;
        }
        connection.close().await.expect("a close");
    }

    /// Where daemons have to connect to.
    pub fn address(&self) -> SocketAddr {
        self.primary.address()
    }

    /// The address of the daemons' database by way of this one.
    pub fn url(by: SocketAddr) -> String {
        format!("postgres://postgres@{by}/{NAME}?sslmode=disable")
    }

    /// A connection of the test's own to the daemons' database.
    pub async fn connect(&self) -> PgConnection {
        self.primary.connect(NAME).await
    }

    /// Stops the primary and starts it again.
    pub async fn restart(&mut self, how: Stop) {
        self.primary.stop(how).await;
        self.primary.start();
        self.in_step().await;
    }

    /// The primary is gone, as in a crash, and the replica takes its place. It has no replica yet.
    pub async fn promote(&mut self) {
        self.primary.stop(Stop::Immediate).await;
        // Else it would wait with each commit for a replica of its own.
        self.replica.say("alter system set synchronous_standby_names = ''; select pg_reload_conf()").await;
        self.replica.say("select pg_promote(true, 30)").await;
        std::mem::swap(&mut self.primary, &mut self.replica);
    }

    /// What was the primary is made anew, as the replica of the one that took its place.
    pub async fn rebuild(&mut self) {
        self.replica = Self::replica_of(&self.primary);
        self.keep_in_step().await;
    }
}
