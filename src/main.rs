//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use espalier::cli::Cli;

/// The daemon makes and drops many small values on several threads; the system's allocator takes a fifth of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    Cli::parse().run()
}
