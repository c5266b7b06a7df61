//! Faults on demand: what goes wrong with the next calls, in the order in which it was asked for.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::http::Method;
use serde::Deserialize;

use super::received::lock;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Answered with `status`, in the vendor's form of an error.
    Status,
    /// Marketo: HTTP 200 that carries the error `code`.
    Code,
    /// Held for `delay_ms`, then cut; nothing was accepted.
    Timeout,
    /// Held for `delay_ms`, then answered as usual.
    Slow,
    /// Cut at once; nothing was accepted.
    Close,
    /// Accepted, then cut without an answer.
    CloseAfterAccept,
    /// The first record of the call is taken for invalid.
    BadRecord,
}

/// A fault as it is ordered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// `klaviyo`, `hubspot` or `marketo`.
    pub vendor: String,
    /// Only for calls whose path holds this.
    #[serde(default)]
    pub path: String,
    pub kind: Kind,
    #[serde(default = "unavailable")]
    pub status: u16,
    #[serde(default = "system_error")]
    pub code: String,
    /// Seconds, as a header.
    pub retry_after: Option<u64>,
    /// For so many calls.
    #[serde(default = "once")]
    pub times: u32,
    /// Milliseconds of the sandbox's clock.
    #[serde(default = "a_minute")]
    pub delay_ms: u32,
}

fn unavailable() -> u16 {
    503
}
fn system_error() -> String {
    "611".to_owned()
}
fn once() -> u32 {
    1
}
fn a_minute() -> u32 {
    60_000
}

/// At most so many wait at a time.
const WAITING: usize = 10_000;

/// The faults to come.
#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// Puts one at the end of the line; says why when it cannot be.
    pub fn add(&self, fault: Fault) -> Result<usize, String> {
        if !super::VENDORS.contains(&fault.vendor.as_str()) {
            return Err(format!("`{}` is not a vendor: write one of {}", fault.vendor, super::VENDORS.join(", ")));
        }
        if fault.kind == Kind::Status && !(300..=599).contains(&fault.status) {
            return Err(format!("{} is not a failure: write a status from 300 to 599", fault.status));
        }
        if fault.kind == Kind::Code && fault.vendor != "marketo" {
            return Err("only Marketo answers with codes: use kind \"status\"".to_owned());
        }
        let mut line = lock(&self.0);
        if line.len() >= WAITING {
            return Err(format!("{WAITING} faults wait already"));
        }
        if fault.times > 0 {
            line.push_back(fault);
        }
        Ok(line.len())
    }

    /// Takes one turn of the first fault that fits the call.
    pub fn take(&self, vendor: &str, method: &Method, path: &str) -> Option<Fault> {
        let mut line = lock(&self.0);
        let has_records = *method == Method::POST && !path.contains("oauth");
        let place = line
            .iter()
            .position(|f| f.vendor == vendor && path.contains(&f.path) && (has_records || f.kind != Kind::BadRecord))?;
        let fault = line.get_mut(place)?;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 { line.remove(place) } else { Some(fault.clone()) }
    }

    /// Forgets them all.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}
