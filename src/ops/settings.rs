//! `[ops]` in the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::model::Span;

/// Where health, metrics and the page are, and how people come there.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Address and port. Another than a loopback address asks for accounts, `hosts`, and `tls` or `behind_proxy`.
    #[schemars(with = "String", extend("format" = "address-and-port"))]
    pub listen: SocketAddr,
    /// The names by which browsers reach it, beside the loopback ones.
    pub hosts: Vec<String>,
    /// The certificate to serve with.
    pub tls: Option<Tls>,
    /// True where a proxy in front of it speaks TLS with browsers, and nobody else reaches it.
    pub behind_proxy: bool,
    /// How long somebody stays signed in.
    pub session: Span,
    /// What is under way when the daemon is told to stop gets so long. What has not ended by then is cut, and taken up
    /// again at the next start.
    pub drain: Span,
}

/// Files of PEM, read again when they change.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            hosts: Vec::new(),
            tls: None,
            behind_proxy: false,
            session: Span::from_hours(12),
            drain: Span::from_secs(30),
        }
    }
}

impl Settings {
    /// True where browsers come by TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some() || self.behind_proxy
    }

    /// What is open that must not be: a key, what is wrong with it, and a way out.
    pub fn clashes(&self) -> Vec<(&'static str, &'static str, &'static str)> {
        let mut clashes = Vec::new();
        if !self.listen.ip().is_loopback() {
            if !self.is_secure() {
                let way = "[ops.tls] with `certificate` and `key`, or `behind_proxy = true` where a proxy speaks TLS";
                clashes.push(("listen", "is no loopback address, and passwords would pass in the clear", way));
            }
            if self.hosts.is_empty() {
                let way = "hosts = [\"espalier.example.com\"]: the names by which browsers reach it";
                clashes.push(("listen", "is no loopback address, and `hosts` names none", way));
            }
        }
        if self.tls.is_some() && self.behind_proxy {
            clashes.push((
                "behind_proxy",
                "cannot be true where `tls` is given: the daemon speaks TLS itself",
                "one of both",
            ));
        }
        let (least, most) = (Span::from_minutes(5), Span::from_hours(24 * 30));
        if self.session < least || self.session > most {
            clashes.push(("session", "must lie between five minutes and thirty days", "12h"));
        }
        clashes
    }
}
