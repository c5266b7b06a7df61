//! `espalier schema`

use std::process::ExitCode;

use super::{Ended, Failed, show};
use crate::destination::webhook;
use crate::source::manifest;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Of what.
    #[arg(value_enum, default_value_t = Of::Configuration)]
    of: Of,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Of {
    /// `espalier.toml`.
    Configuration,
    /// `connector.toml`.
    Connector,
    /// `destination.toml`.
    Destination,
}

pub fn run(args: &Args) -> Ended {
    match args.of {
        Of::Configuration => show::json(&crate::settings::schema())?,
        Of::Connector => show::json(&manifest::schema().map_err(Failed::new)?)?,
        Of::Destination => show::json(&webhook::manifest::schema().map_err(Failed::new)?)?,
    }
    Ok(ExitCode::SUCCESS)
}
