//! One file per command; this enum is where a new one is added.

mod access;
mod account;
mod alerts;
mod apply;
mod audit;
mod backtest;
mod backups;
mod baseline;
mod catalogue;
mod check;
mod codes;
mod connector;
mod daemon;
mod dead_letters;
mod demo;
mod explain;
mod identity;
mod import;
mod local;
mod log;
mod manual;
mod messages;
mod opened;
#[cfg(feature = "otel")]
mod otlp;
mod parallel;
mod payload;
mod people;
mod plan;
mod quota;
mod reconcile;
mod reload;
mod run;
mod sandbox;
mod schema;
mod service;
mod show;
mod simulate;
mod status;
mod store;
mod token;
mod triggers;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use daemon::{Daemon, Running};

use crate::model::build;
use crate::store::SCHEMA;

/// From what customers do to the flow that answers it: exactly once.
#[derive(Debug, Parser)]
#[command(name = "espalier", version, long_version = long_version(), about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A simulated shop, the daemon and simulated vendors; ends with a reckoning.
    Demo(demo::Args),
    /// The daemon.
    Run(Configured),
    /// Tells every mistake in the configuration and the triggers.
    Check(check::Args),
    /// The JSON Schema of the configuration, for editors; of a connector's manifests with `connector` and
    /// `destination`.
    Schema(schema::Args),
    /// What triggers would have done, over a file of messages.
    Simulate(simulate::Args),
    /// What triggers would have done, over the stored history.
    Backtest(backtest::Args),
    /// How what people did is distributed, by cohort: what to choose a threshold by.
    Baseline(baseline::Args),
    /// Brings a CSV or JSON lines file into the journal; goes on where it stopped.
    Import(import::Args),
    /// Products for payloads to speak of.
    Catalogue(catalogue::Args),
    /// For who writes or sets up a connector: begin, check, test, run, audit.
    Connector(connector::Args),
    /// Discount codes for payloads to give.
    Codes(codes::Args),
    /// How the running daemon is.
    Status(status::Args),
    /// What accounts let through, and what waiting activations cost of it, by trigger.
    Quota(quota::Args),
    /// Why somebody did or did not get an activation.
    Explain(explain::Args),
    /// Who is who: what conflicts, and the commands that mend it.
    Identity(identity::Args),
    /// Everything that is kept of somebody; or forgets them.
    Person(people::Args),
    /// What each vendor would get if a trigger fired for somebody now.
    Payload(payload::Args),
    /// What the triggers need of the accounts that they activate, against what those have.
    Plan(plan::Args),
    /// Makes what `plan` finds missing, where a call can.
    Apply(apply::Args),
    /// Activations that can never be sent as they are.
    DeadLetters(dead_letters::Args),
    /// Which triggers are live; pauses and resumes them, and has the running daemon read their files again.
    Triggers(triggers::Args),
    /// What fires, is silenced, and whether receivers of alerts can be told.
    Alerts(alerts::Args),
    /// What the nights found; or compares now what they compare.
    Reconcile(reconcile::Args),
    /// Who may come in by a password, and a link that lets in once.
    Account(account::Args),
    /// Which programs may use the API.
    Token(token::Args),
    /// Who changed what by hand.
    Audit(audit::Args),
    /// Checks the store, makes it small, backs it up, restores, exports, imports and copies it.
    Store(store::Args),
    /// Simulated vendors alone.
    Sandbox(sandbox::Args),
    /// The manual page; or every command with its options, in Markdown.
    Manual(manual::Args),
}

/// Which configuration.
#[derive(Clone, Debug, clap::Args)]
pub struct Configured {
    /// The configuration file.
    #[arg(long, short, global = true, default_value = "config/espalier.toml", env = "ESPALIER_CONFIG")]
    pub config: PathBuf,
}

/// The version, what it was built from and how, and the layout of its store.
fn long_version() -> &'static str {
    static WORDS: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    WORDS.get_or_init(|| {
        let commit = build::COMMIT.unwrap_or("not known");
        format!("{}\ncommit: {commit}\nbuild: {}\nstore schema: {SCHEMA}", build::VERSION, build::PROFILE)
    })
}

/// What a command ends with: `Err` is printed to standard error and is exit code 1.
pub type Ended = Result<ExitCode, Failed>;

/// Why a command failed, in words for the person who gave it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(pub String);

impl Failed {
    /// From anything that says what is wrong.
    pub fn new(words: impl ToString) -> Self {
        Self(words.to_string())
    }
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> ExitCode {
        let ended = match self.command {
            Command::Schema(args) => schema::run(&args),
            Command::Check(args) => check::run(&args),
            Command::Simulate(args) => simulate::run(&args),
            Command::Manual(args) => manual::run(&args),
            other => runtime(other),
        };
        match ended {
            Ok(code) => code,
            Err(failed) => {
                eprintln!("espalier: {failed}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Commands that wait for something.
fn runtime(command: Command) -> Ended {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failed::new)?;
    let ended = runtime.block_on(async {
        match command {
            Command::Demo(args) => demo::run(args).await,
            Command::Run(args) => run::run(&args).await,
            Command::Backtest(args) => backtest::run(&args).await,
            Command::Baseline(args) => baseline::run(&args).await,
            Command::Import(args) => import::run(&args).await,
            Command::Catalogue(args) => catalogue::run(&args).await,
            Command::Codes(args) => codes::run(&args).await,
            Command::Connector(args) => connector::run(&args).await,
            Command::Status(args) => status::run(&args).await,
            Command::Quota(args) => quota::run(&args).await,
            Command::Explain(args) => explain::run(&args).await,
            Command::Identity(args) => identity::run(&args).await,
            Command::Person(args) => people::run(&args).await,
            Command::Payload(args) => payload::run(&args).await,
            Command::Plan(args) => plan::run(&args).await,
            Command::Apply(args) => apply::run(&args).await,
            Command::DeadLetters(args) => dead_letters::run(&args).await,
            Command::Triggers(args) => triggers::run(&args).await,
            Command::Alerts(args) => alerts::run(&args).await,
            Command::Reconcile(args) => reconcile::run(&args).await,
            Command::Store(args) => store::run(&args).await,
            Command::Sandbox(args) => sandbox::run(&args).await,
            Command::Account(args) => account::run(&args).await,
            Command::Token(args) => token::run(&args).await,
            Command::Audit(args) => audit::run(&args).await,
            Command::Schema(_) | Command::Check(_) | Command::Simulate(_) | Command::Manual(_) => Ok(ExitCode::SUCCESS),
        }
    });
    // What had to be waited for was waited for: a second signal ends the daemon at once.
    runtime.shutdown_background();
    ended
}

/// Reads the configuration, or prints its mistakes.
pub fn load(config: &std::path::Path) -> Result<crate::settings::Configured, Failed> {
    crate::settings::Settings::load(config).map_err(|mistakes| {
        check::print(&mistakes);
        Failed(format!("{} in the configuration; nothing was started", check::counted(mistakes.len())))
    })
}
