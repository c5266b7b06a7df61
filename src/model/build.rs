//! What was built: told by the command line, the API and the page.

/// The version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where whoever built it said so (`ESPALIER_COMMIT`): `scripts/package` and the Dockerfile
/// do. Nothing is asked of git.
pub const COMMIT: Option<&str> = option_env!("ESPALIER_COMMIT");

/// How it was built.
pub const PROFILE: &str = if cfg!(debug_assertions) { "debug" } else { "release" };
