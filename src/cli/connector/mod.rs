//! `espalier connector new|check|test|run|audit`: for who writes or sets up a connector.

mod audit;
mod check;
mod new;
mod run;
mod test;

use std::path::{Path, PathBuf};

use super::{Configured, Ended, Failed, check::counted, check::print, load};
use crate::destination::webhook;
use crate::model::Mistake;
use crate::settings;
use crate::source::manifest::{Connected, Manifest};

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Begins a connector: a folder with a manifest to fill in, a README and a sample.
    New(new::Args),
    /// Asks each list of a source for one page: credentials, scopes, and what its records make.
    Check(check::Args),
    /// Reads a connector's samples and compares with what is written down beside them.
    Test(test::Args),
    /// Pulls a source once: into the store while no daemon runs, or only to be looked at.
    Run(run::Args),
    /// What the records of a source hold, against what its connector reads of them.
    Audit(audit::Args),
}

pub async fn run(args: &Args) -> Ended {
    match &args.what {
        What::New(new) => new::run(new),
        What::Check(check) => check::run(check, &args.configured).await,
        What::Test(test) => test::run(test, &args.configured),
        What::Run(run) => run::run(run, &args.configured).await,
        What::Audit(audit) => audit::run(audit, &args.configured).await,
    }
}

/// The configuration, with the connector of this source.
fn source(configured: &Configured, name: &str) -> Result<(settings::Configured, Connected), Failed> {
    let configured = load(&configured.config)?;
    let connected = configured.connected.get(name).cloned().ok_or_else(|| {
        let known: Vec<&str> = configured.connected.keys().map(String::as_str).collect();
        Failed(match known.is_empty() {
            true => format!("no source of the configuration has a connector; `{name}` would be `[source.{name}]`"),
            false => format!("`{name}` is no source with a connector; there are {}", known.join(", ")),
        })
    })?;
    Ok((configured, connected))
}

/// A connector by its name, from the configuration's folder or of those that ship, or by the path of its folder.
fn manifest(name: &str, configured: &Configured) -> Result<(Manifest, Option<PathBuf>), Failed> {
    let (name, folder, parent) = place(name, configured, "connector.toml");
    let (file, text) = settings::connector::text(&name, parent.as_deref()).map_err(Failed)?;
    Ok((told(&file, Manifest::read(&file, &text))?, folder))
}

/// The same, of a connector that has a destination; none where it has not.
fn destination(
    name: &str,
    configured: &Configured,
) -> Result<Option<(webhook::manifest::Manifest, Option<PathBuf>)>, Failed> {
    let (name, folder, parent) = place(name, configured, "destination.toml");
    let Ok((file, text)) = settings::connector::destination_text(&name, parent.as_deref()) else { return Ok(None) };
    Ok(Some((told(&file, webhook::manifest::Manifest::read(&file, &text))?, folder)))
}

/// A connector's name, its folder where there is one with this file, and the folder of connectors around it.
fn place(name: &str, configured: &Configured, file: &str) -> (String, Option<PathBuf>, Option<PathBuf>) {
    let folder = Path::new(name);
    if folder.join(file).exists() {
        let parent = folder.parent().unwrap_or(Path::new(""));
        let last = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        return (last, Some(folder.to_owned()), Some(parent.to_owned()));
    }
    // What else is wrong in the configuration does not matter here.
    let connectors = std::fs::read_to_string(&configured.config).ok().and_then(|text| {
        let document: toml::Table = toml::from_str(&text).ok()?;
        let folder = document.get("connectors")?.as_str()?.to_owned();
        Some(configured.config.parent().unwrap_or(Path::new("")).join(folder))
    });
    let own = [connectors.clone(), Some(PathBuf::from("connectors"))];
    let beside = own.into_iter().flatten().map(|folder| folder.join(name)).find(|f| f.join(file).exists());
    let parent = beside.as_deref().and_then(Path::parent).map(Path::to_owned).or(connectors);
    (name.to_owned(), beside, parent)
}

fn told<T>(file: &str, read: Result<T, Vec<Mistake>>) -> Result<T, Failed> {
    read.map_err(|mistakes| {
        print(&mistakes);
        Failed(format!("{} in {file}", counted(mistakes.len())))
    })
}
