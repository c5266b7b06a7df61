//! `espalier check`: every mistake at once, with file, line, key and a way out; then the tests in trigger files.

use std::process::ExitCode;

use miette::{GraphicalReportHandler, LabeledSpan, MietteDiagnostic, NamedSource, Report};

use super::{Configured, Ended};
use crate::model::Mistake;
use crate::replay::rehearse;
use crate::rules::TriggerKind;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    configured: Configured,
    /// One JSON object a line, for machines.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> Ended {
    let loaded = Settings::load(&args.configured.config);
    let rehearsed = loaded.and_then(|configured| {
        let mistakes = rehearse(&configured.program, &configured.settings.identity);
        if mistakes.is_empty() { Ok(configured) } else { Err(mistakes) }
    });
    match rehearsed {
        Ok(configured) => {
            let settings = &configured.settings;
            let triggers = configured.program.triggers();
            let segments = triggers.iter().filter(|t| t.kind == TriggerKind::Segment).count();
            println!(
                "{}: well. {} sources, {} destinations, {} triggers, {} segments.",
                args.configured.config.display(),
                settings.source.len(),
                settings.destination.len(),
                triggers.len() - segments,
                segments
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) if args.json => {
            for mistake in &mistakes {
                println!("{}", serde_json::to_string(mistake).unwrap_or_default());
            }
            Ok(ExitCode::FAILURE)
        }
        Err(mistakes) => {
            print(&mistakes);
            eprintln!("{}.", counted(mistakes.len()));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// `1 mistake`, `3 mistakes`
pub fn counted(n: usize) -> String {
    format!("{n} mistake{}", if n == 1 { "" } else { "s" })
}

/// To standard error: one line that a program can read, and the place itself underlined.
pub fn print(mistakes: &[Mistake]) {
    for mistake in mistakes {
        eprintln!("{mistake}");
        if let Some(shown) = shown(mistake) {
            eprintln!("{shown}");
        }
    }
}

fn shown(mistake: &Mistake) -> Option<String> {
    let (from, to) = mistake.span?;
    // A line that has a secret in it is not shown, and no line around a mistake: it could have one.
    if mistake.words.contains("is a secret") {
        return None;
    }
    let text = std::fs::read_to_string(&mistake.file).ok()?;
    let mut diagnostic = MietteDiagnostic::new(mistake.words.clone()).with_label(LabeledSpan::new(
        Some("here".into()),
        from.min(text.len()),
        to.saturating_sub(from).min(200),
    ));
    if let Some(way) = &mistake.suggestion {
        diagnostic = diagnostic.with_help(way.clone());
    }
    let report = Report::new(diagnostic).with_source_code(NamedSource::new(&mistake.file, text));
    let mut out = String::new();
    let is_plain = !std::io::IsTerminal::is_terminal(&std::io::stderr());
    let theme = if is_plain { miette::GraphicalTheme::unicode_nocolor() } else { miette::GraphicalTheme::unicode() };
    GraphicalReportHandler::new_themed(theme)
        .with_width(100)
        .with_context_lines(0)
        .render_report(&mut out, report.as_ref())
        .ok()?;
    Some(out)
}
