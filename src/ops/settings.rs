//! `[ops]` in the configuration.

use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Deserialize;

/// Where health, metrics and the status page are.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port: loopback only, since the page asks for no password yet.
    #[schemars(with = "String", extend("format" = "address-and-port"))]
    pub listen: SocketAddr,
}

impl Default for Settings {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 8081)) }
    }
}
