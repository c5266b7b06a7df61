//! `[ops]` in the configuration.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Span;

/// Where health, metrics and the status page are.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port: loopback only, since the page asks for no password yet.
    #[schemars(with = "String", extend("format" = "address-and-port"))]
    pub listen: SocketAddr,
    /// What is under way when the daemon is told to stop gets so long. What has not ended by then is cut, and taken up
    /// again at the next start.
    pub drain: Span,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8081)), drain: Span::from_secs(30) }
    }
}
