//! Logs: to standard error, as text or JSON. They hold ids of ours, counts and names from the configuration; never what
//! a customer did or is called.

use tracing_subscriber::EnvFilter;

use crate::settings::{Log, LogFormat};

/// Begins logging; a second call changes nothing.
pub fn begin(log: &Log) {
    // sled tells at `debug` what it reads; nobody wants that unless they ask.
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(&log.level));
    let filter = filter.unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // Refused only when logging has begun already.
    let _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => {
            builder.with_target(false).with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
        }
    };
}
