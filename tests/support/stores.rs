//! In what a test's daemons keep everything: a folder of their own, or a database of their own on the one PostgreSQL of
//! the test's program. What has to hold on both is one function, run twice by [`on_both`].

#![expect(clippy::disallowed_methods, reason = "real servers live in the machine's time")]

use std::path::Path;
use std::time::{Duration, Instant};

use espalier::store::settings::Kind;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::OnceCell;

use super::pause;
use super::postgres::Server;

/// Has each of these functions be a test on the embedded store, and one on PostgreSQL.
#[macro_export]
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod embedded {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(espalier::store::settings::Kind::Embedded).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(espalier::store::settings::Kind::Postgres).await;
            })+
        }
    };
}

/// It ends with the program.
static SERVER: OnceCell<Server> = OnceCell::const_new();

/// Longer than a database takes that begins again.
const LONGEST: Duration = Duration::from_secs(60);

/// The program's server.
pub async fn server() -> &'static Server {
    SERVER.get_or_init(Server::begin).await
}

/// The address of a new database.
pub async fn database() -> String {
    server().await.database().await
}

/// What `[store]` says beside its path. The database is a new one, and its address stands in a file of this folder.
pub async fn lines(kind: Kind, folder: &Path) -> String {
    match kind {
        Kind::Embedded => String::new(),
        Kind::Postgres => lines_of(&database().await, folder),
    }
}

/// The same of this database.
pub fn lines_of(database: &str, folder: &Path) -> String {
    let file = folder.join("database");
    std::fs::write(&file, database).expect("a file");
    format!("kind = \"postgres\"\nurl = \"${{file:{}}}\"\n", file.display())
}

/// A connection of the test's own, as soon as the database answers.
pub async fn connected(database: &str) -> PgConnection {
    let options = database.parse::<PgConnectOptions>().expect("an address").disable_statement_logging();
    let began = Instant::now();
    loop {
        match options.connect().await {
            Ok(connection) => return connection,
            Err(error) => assert!(began.elapsed() < LONGEST, "PostgreSQL does not answer: {error}"),
        }
        pause(20).await;
    }
}

/// All leases are free, as when the time of who had them is over.
pub async fn free(database: &str) {
    let mut connection = connected(database).await;
    let sql = "update leases set holder = null, until = now()";
    sqlx::query(sql).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("a close");
}

/// It is gone, whoever is connected to it: of a great many little space is left.
pub async fn drop_database(database: &str) {
    let options = database.parse::<PgConnectOptions>().expect("an address");
    let name = options.get_database().expect("a name");
    server().await.say(&format!("drop database {name} with (force)")).await;
}
