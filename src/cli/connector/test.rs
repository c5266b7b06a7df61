//! `espalier connector test`: the samples of a connector against what is written down beside them.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::{Configured, Ended, Failed, destination, manifest};
use crate::destination::webhook;
use crate::source::fixture::{self, Kind};
use crate::source::manifest::Manifest;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The connector: its name, or the path of its folder.
    name: String,
    /// Writes down what the samples make now; read the difference before you keep it.
    #[arg(long)]
    update: bool,
}

pub fn run(args: &Args, configured: &Configured) -> Ended {
    let mut tested = Tested { update: args.update, samples: 0, wrong: 0 };
    let receives = destination(&args.name, configured)?;
    if let Some((manifest, folder)) = &receives {
        tested.destination(manifest, &samples(&args.name, folder.as_deref())?)?;
    }
    match manifest(&args.name, configured) {
        Ok((manifest, folder)) => tested.source(&manifest, &samples(&args.name, folder.as_deref())?)?,
        // One that only receives is whole.
        Err(_) if receives.is_some() => {}
        Err(failed) => return Err(failed),
    }
    println!("{} samples, {} wrong", tested.samples, tested.wrong);
    Ok(if tested.wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn samples(name: &str, folder: Option<&Path>) -> Result<Vec<(String, PathBuf)>, Failed> {
    let folder = folder.ok_or_else(|| Failed(format!("there is no folder of `{name}` here, and so no samples")))?;
    files(&folder.join("fixtures"))
}

/// What the samples came to so far.
struct Tested {
    update: bool,
    samples: usize,
    wrong: usize,
}

impl Tested {
    fn source(&mut self, manifest: &Manifest, files: &[(String, PathBuf)]) -> Result<(), Failed> {
        let mut sampled = Vec::new();
        for (name, path) in files {
            let Some(kind) = fixture::kind(manifest, name) else { continue };
            self.one(name, &path.with_extension("events.json"), made(manifest, &kind, path, files))?;
            sampled.push(kind);
        }
        for missing in fixture::missing(manifest, &sampled) {
            println!("       no sample of {missing}");
        }
        Ok(())
    }

    fn destination(
        &mut self,
        manifest: &webhook::manifest::Manifest,
        files: &[(String, PathBuf)],
    ) -> Result<(), Failed> {
        let before = self.samples;
        for (name, path) in files {
            let Some(start) = name.strip_suffix(webhook::fixture::ACTIVATION) else { continue };
            let made = std::fs::read(path).map_err(|e| e.to_string());
            let made = made.and_then(|text| webhook::fixture::made(manifest, &text));
            self.one(name, &path.with_file_name(format!("{start}{}", webhook::fixture::CALLS)), made)?;
        }
        if self.samples == before {
            println!("       no sample of an activation");
        }
        Ok(())
    }

    /// What a sample makes, against what is written down.
    fn one(&mut self, name: &str, golden: &Path, made: Result<Value, String>) -> Result<(), Failed> {
        self.samples += 1;
        let told = match made {
            Err(words) => Some(words),
            Ok(made) if self.update => {
                let text = serde_json::to_string_pretty(&made).map_err(Failed::new)? + "\n";
                std::fs::write(golden, text).map_err(|e| Failed(format!("{}: {e}", golden.display())))?;
                None
            }
            Ok(made) => match std::fs::read(golden).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok()) {
                None => Some(format!("there is no {}; --update writes it", golden.display())),
                Some(wanted) if wanted != made => Some(differences(&wanted, &made)),
                Some(_) => None,
            },
        };
        match told {
            None => println!("ok     {name}"),
            Some(words) => {
                self.wrong += 1;
                println!("WRONG  {name}\n{words}");
            }
        }
        Ok(())
    }
}

fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, Failed> {
    let failed = |e: std::io::Error| Failed(format!("{}: {e}", folder.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        found.extend(path.file_name().map(|name| (name.to_string_lossy().into_owned(), path.clone())));
    }
    found.sort();
    Ok(found)
}

/// What the sample in a file makes.
fn made(manifest: &Manifest, kind: &Kind, path: &Path, files: &[(String, PathBuf)]) -> Result<Value, String> {
    let read = |path: &Path| std::fs::read(path).map_err(|e| format!("{}: {e}", path.display()));
    match kind {
        Kind::Topic(topic) => {
            let read = fixture::topic(manifest, topic, &read(path)?);
            Ok(fixture::shown(&read.ok_or("the connector does not listen")?, &[]))
        }
        Kind::Page(list) => {
            let start = format!("{list}.lookup.");
            let mut lookups = Vec::new();
            for (name, path) in files {
                if let Some(name) = name.strip_prefix(&start).and_then(|name| name.strip_suffix(".json")) {
                    lookups.push((name.to_owned(), read(path)?));
                }
            }
            let page = fixture::page(manifest, list, &read(path)?, &lookups)?;
            Ok(fixture::shown(&page.read, &page.items))
        }
    }
}

/// Where two values differ: `events[0].properties.total: "9.00" was "9"`, a line each.
fn differences(wanted: &Value, made: &Value) -> String {
    let mut lines = Vec::new();
    differ("", Some(wanted), Some(made), &mut lines);
    lines.iter().take(40).map(|line| format!("         {line}")).collect::<Vec<_>>().join("\n")
}

fn differ(path: &str, wanted: Option<&Value>, made: Option<&Value>, lines: &mut Vec<String>) {
    match (wanted, made) {
        (Some(Value::Object(wanted)), Some(Value::Object(made))) => {
            let mut names: Vec<&String> = wanted.keys().chain(made.keys()).collect();
            names.sort();
            names.dedup();
            for name in names {
                differ(&format!("{path}.{name}"), wanted.get(name), made.get(name), lines);
            }
        }
        (Some(Value::Array(wanted)), Some(Value::Array(made))) => {
            for n in 0..wanted.len().max(made.len()) {
                differ(&format!("{path}[{n}]"), wanted.get(n), made.get(n), lines);
            }
        }
        (wanted, made) if wanted == made => {}
        (wanted, made) => {
            let said = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            lines.push(format!(
                "{}: makes {}, and {} is written down",
                path.trim_start_matches('.'),
                said(made),
                said(wanted)
            ));
        }
    }
}
