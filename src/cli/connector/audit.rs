//! `espalier connector audit`: what the records of a source hold, against what its connector reads of them.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::{Configured, Ended, Failed, source};
use crate::cli::local::Local;
use crate::cli::show;
use crate::pull::audit_name;
use crate::source::audit::{Audit, Findings};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The source, as the configuration names it.
    source: String,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args, configured: &Configured) -> Ended {
    let (configured, connected) = source(configured, &args.source)?;
    let found: BTreeMap<String, Findings> = match Local::of(&configured).await? {
        Local::Daemon(client) => {
            let found = client.get(&format!("/api/audit/{}", args.source), &[]).await?;
            found.ok_or_else(|| Failed("the daemon pulls no list of this source".into()))?
        }
        Local::Store(store) => {
            let mut found = BTreeMap::new();
            for (stream, declared) in &connected.manifest.streams {
                let kept = store.kept(&audit_name(&args.source, stream)).await.map_err(Failed::new)?;
                let audit: Option<Audit> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok());
                found.extend(audit.map(|audit| (stream.clone(), audit.findings(declared))));
            }
            store.close().await.map_err(Failed::new)?;
            found
        }
    };
    if args.json {
        show::json(&found)?;
        return Ok(ExitCode::SUCCESS);
    }
    if found.is_empty() {
        println!("no list of {} was read yet", args.source);
    }
    for (stream, findings) in &found {
        println!("{stream}: {} records looked at", findings.records);
        print("  ", findings);
    }
    Ok(ExitCode::SUCCESS)
}

/// What is worth saying, a line each.
pub fn print(indent: &str, found: &Findings) {
    let shares = |shares: &[(String, f64)]| {
        shares.iter().map(|(name, share)| format!("{name} ({share} %)")).collect::<Vec<_>>().join(", ")
    };
    let unnamed: Vec<(String, f64)> = found.unnamed.iter().filter(|(_, share)| *share > 0.0).cloned().collect();
    for (what, names) in [
        ("records without", shares(&unnamed)),
        ("read, and never there", found.never_seen.join(", ")),
        ("there, and not read", shares(&found.unmapped)),
        ("of another type than the week before", found.drifted.join("; ")),
    ] {
        if !names.is_empty() {
            println!("{indent}{what}: {names}");
        }
    }
    if found.is_cut {
        println!("{indent}there are more fields than are looked at");
    }
}
