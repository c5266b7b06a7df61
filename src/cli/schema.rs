//! `espalier schema`

use std::process::ExitCode;

use super::{Ended, Failed};

pub fn run() -> Ended {
    println!("{}", serde_json::to_string_pretty(&crate::settings::schema()).map_err(Failed::new)?);
    Ok(ExitCode::SUCCESS)
}
