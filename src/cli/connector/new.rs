//! `espalier connector new`

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Ended, Failed};

/// What a new connector begins with.
const MANIFEST: &str = include_str!("template/connector.toml");
const README: &str = include_str!("template/README.md");
const PAGE: &str = include_str!("template/orders.page.json");
const EVENTS: &str = include_str!("template/orders.page.events.json");
/// What a new destination begins with.
const DESTINATION: &str = include_str!("template/destination.toml");
const DESTINATION_README: &str = include_str!("template/README.destination.md");
const ACTIVATION: &str = include_str!("template/cart.activation.json");
const CALLS: &str = include_str!("template/cart.calls.json");

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name: lower-case letters, digits and dashes.
    name: String,
    /// The folder of connectors; `connectors = "..."` in the configuration names it to the daemon.
    #[arg(long, default_value = "connectors")]
    into: PathBuf,
    /// One that receives: a `destination.toml`.
    #[arg(long)]
    destination: bool,
}

pub fn run(args: &Args) -> Ended {
    let name = &args.name;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Failed(format!("`{name}` is no name: lower-case letters, digits and dashes")));
    }
    let folder = args.into.join(name);
    if folder.exists() {
        return Err(Failed(format!("{} is there already", folder.display())));
    }
    let failed = |e: std::io::Error| Failed(format!("{}: {e}", folder.display()));
    std::fs::create_dir_all(folder.join("fixtures")).map_err(failed)?;
    let files: &[(&str, &str)] = match args.destination {
        true => &[
            ("destination.toml", DESTINATION),
            ("README.md", DESTINATION_README),
            ("fixtures/cart.activation.json", ACTIVATION),
            ("fixtures/cart.calls.json", CALLS),
        ],
        false => &[
            ("connector.toml", MANIFEST),
            ("README.md", README),
            ("fixtures/orders.page.json", PAGE),
            ("fixtures/orders.page.events.json", EVENTS),
        ],
    };
    for (file, text) in files {
        std::fs::write(folder.join(file), text.replace("NAME", name)).map_err(failed)?;
    }
    let shown = folder.display();
    println!("{shown}: begun. Next:");
    if args.destination {
        println!(
            "  1. fill in destination.toml, from the vendor's reference; `espalier schema destination` helps an editor"
        );
        println!("  2. espalier connector test {shown} --update, and read the call that the sample makes");
        println!("  3. name the folder in the configuration (connectors = \"...\"), add a [destination.…] with");
        println!("     kind = \"webhook\" and connector = \"{name}\", and run: espalier check");
    } else {
        println!(
            "  1. fill in connector.toml, from the vendor's reference; `espalier schema connector` helps an editor"
        );
        println!("  2. put a real answer, with made-up people, into fixtures/orders.page.json");
        println!("  3. espalier connector test {shown} --update, and read what it makes");
        println!("  4. name the folder in the configuration (connectors = \"...\"), add a [source.…] with");
        println!("     kind = \"connector\", and run: espalier connector check SOURCE");
    }
    Ok(ExitCode::SUCCESS)
}
