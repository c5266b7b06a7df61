//! What is in a store, a backup or an export, told.

use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Ended, Failed};
use crate::store::SCHEMA;
use crate::store::embedded::backup::check;
use crate::store::embedded::{Counted, verify, verify_backup as verify_journal_of};
use crate::store::settings::Settings;

/// Reads all of a store.
pub fn verify_store(settings: &Settings) -> Ended {
    let found = verify(settings).map_err(Failed::new)?;
    journal(&found);
    println!("state: {} values, {} people, decided up to event {}", found.values, found.people, found.decided.0);
    match found.schema {
        Some(older) if older < SCHEMA => {
            println!("schema: {older}; the next start brings the state to {SCHEMA}, and its values were not read");
        }
        Some(schema) => println!("schema: {schema}"),
        None => println!("schema: none yet"),
    }
    ended(&found.damage, "`espalier store rebuild` makes the state again from the journal")
}

/// Reads all of a backup.
pub fn verify_backup(folder: &Path) -> Ended {
    let (manifest, mut wrong) = check(folder).map_err(Failed::new)?;
    println!(
        "backup of {}, by version {}: up to event {}, schema {}; {} files, {} bytes",
        manifest.at,
        manifest.version,
        manifest.position.0,
        manifest.schema,
        manifest.files.len(),
        manifest.bytes()
    );
    if wrong.is_empty() {
        let found = verify_journal_of(folder).map_err(Failed::new)?;
        journal(&found);
        wrong = found.damage;
    }
    ended(&wrong, "it cannot be restored; take an older backup")
}

fn journal(found: &crate::store::embedded::Verified) {
    println!(
        "journal: {} segments, {} events, {} settled records, {} steps; {} bytes of a write that was cut, never \
         acknowledged",
        found.segments, found.events, found.settled, found.steps, found.torn_bytes
    );
}

fn ended(wrong: &[String], way_out: &str) -> Ended {
    wrong.iter().for_each(|words| println!("! {words}"));
    if wrong.is_empty() {
        println!("well");
        return Ok(ExitCode::SUCCESS);
    }
    println!("damaged: {way_out}");
    Ok(ExitCode::FAILURE)
}

/// What became of an export or an import.
pub fn counted(words: &str, of: Counted) -> Ended {
    println!("{} values, {} records with {} events {words}", of.values, of.records, of.events);
    Ok(ExitCode::SUCCESS)
}
