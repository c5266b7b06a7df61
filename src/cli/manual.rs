//! `espalier manual`

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use clap::CommandFactory;

use super::{Cli, Ended, Failed};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// In Markdown, as in docs/reference/commands.md.
    #[arg(long)]
    markdown: bool,
}

pub fn run(args: &Args) -> Ended {
    let text = if args.markdown { markdown() } else { page()? };
    std::io::stdout().write_all(text.as_bytes()).map_err(Failed::new)?;
    Ok(ExitCode::SUCCESS)
}

/// The page for `man`: the command, and all commands under it in a list.
fn page() -> Result<String, Failed> {
    let mut out = Vec::new();
    clap_mangen::Man::new(Cli::command()).date("").render(&mut out).map_err(Failed::new)?;
    String::from_utf8(out).map_err(Failed::new)
}

/// Every command with its options: what `--help` says, in one file.
pub fn markdown() -> String {
    let mut out =
        String::from("# Commands\n\nMade by `espalier manual --markdown`; `espalier COMMAND --help` says the same.\n");
    let mut root = Cli::command();
    root.build();
    for command in root.get_subcommands().filter(|command| command.get_name() != "help") {
        section(&mut out, command, "espalier", 2);
    }
    out
}

fn words(text: &clap::builder::StyledStr) -> String {
    // Within a table a bar would end the cell.
    let text = text.to_string().replace('|', "\\|").replace(['\n', '\r'], " ");
    let text = text.trim();
    if text.is_empty() || text.ends_with(['.', '?']) { text.to_owned() } else { format!("{text}.") }
}

fn section(out: &mut String, command: &clap::Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string).unwrap_or_default();
    let mut usage = vec![name.clone()];
    let shown: Vec<&clap::Arg> =
        command.get_arguments().filter(|arg| !arg.is_hide_set() && arg.get_id() != "help").collect();
    usage.extend(shown.iter().filter(|arg| arg.is_positional()).map(|arg| arg.to_string()));
    let _ = write!(out, "\n{} `{}`\n\n{about}\n", "#".repeat(level), usage.join(" "));
    if !shown.is_empty() {
        out.push_str("\n| option | meaning |\n| --- | --- |\n");
        for arg in shown {
            let help = arg.get_long_help().or_else(|| arg.get_help()).map(words).unwrap_or_default();
            let default: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
            let default = match default.as_slice() {
                [] => String::new(),
                values if arg.get_action().takes_values() => format!(" Default: `{}`.", values.join(" ")),
                _ => String::new(),
            };
            let possible: Vec<_> = arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
            let possible = match possible.as_slice() {
                [] => String::new(),
                _ if !arg.get_action().takes_values() => String::new(),
                values => format!(" One of {}.", values.join(", ")),
            };
            let _ = writeln!(out, "| `{}` | {help}{default}{possible} |", arg.to_string().replace('|', "\\|"));
        }
    }
    for inner in command.get_subcommands().filter(|command| command.get_name() != "help") {
        section(out, inner, &name, (level + 1).min(4));
    }
}
