//! Faults on demand: what goes wrong with the next calls, in the order in which it was asked for.

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::http::Method;
use serde::Deserialize;

use super::Vendor;
use super::call::{self, Answer, Call};
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
    /// The right answer, broken off in the middle; its length says that it is whole.
    Truncated,
    /// A page of HTML, as a proxy or a firewall gives it: with 200, or with `status`.
    Html,
    /// The right answer under `text/html`.
    ContentType,
    /// HTTP 200 that carries an error in the vendor's form.
    ErrorInside,
    /// The answer of the call before, once more.
    RepeatPage,
    /// The next page that it names is the one that was asked for.
    CursorLoop,
    /// Refused as with a dead token; tokens that were issued are dead from now on.
    RevokeToken,
    /// Refused for want of a scope.
    RevokeScope,
}

/// A fault as it is ordered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// The account: `klaviyo`, `shopify`, or as it was opened.
    pub vendor: String,
    /// Only for calls whose path holds this.
    #[serde(default)]
    pub path: String,
    pub kind: Kind,
    /// See [`Fault::status`].
    status: Option<u16>,
    #[serde(default = "system_error")]
    pub code: String,
    /// Seconds, as a header.
    pub retry_after: Option<u64>,
    /// So many calls that fit go well first.
    #[serde(default)]
    pub skip: u32,
    /// For so many calls.
    #[serde(default = "once")]
    pub times: u32,
    /// Milliseconds of the sandbox's clock.
    #[serde(default = "a_minute")]
    pub delay_ms: u32,
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

impl Fault {
    /// The HTTP status of the answer: what was ordered, else what is usual for its kind.
    pub fn status(&self) -> u16 {
        self.status.unwrap_or(match self.kind {
            Kind::RevokeToken => 401,
            Kind::RevokeScope => 403,
            Kind::Html => 200,
            _ => 503,
        })
    }

    /// The answer that goes wrong in this way; `last` is the one before.
    pub fn answer(&self, vendor: &dyn Vendor, call: &mut Call, last: Option<Answer>) -> Answer {
        match self.kind {
            Kind::Status | Kind::Code | Kind::Timeout | Kind::Close | Kind::RevokeScope => vendor.failure(call, self),
            Kind::Slow | Kind::CloseAfterAccept => vendor.answer(call),
            Kind::RevokeToken => {
                vendor.revoke();
                vendor.failure(call, self)
            }
            Kind::ErrorInside => Answer { status: 200, ..vendor.failure(call, self) },
            Kind::BadRecord => {
                call.bad_record = true;
                vendor.answer(call)
            }
            Kind::CursorLoop => {
                call.is_stuck = true;
                vendor.answer(call)
            }
            Kind::RepeatPage => last.unwrap_or_else(|| vendor.answer(call)),
            Kind::Truncated => {
                let mut answer = vendor.answer(call);
                let half = answer.body.len() / 2;
                let end = (0..=half).rev().find(|n| answer.body.is_char_boundary(*n)).unwrap_or(0);
                answer.body.truncate(end);
                answer
            }
            Kind::ContentType => Answer { content_type: "text/html; charset=UTF-8", ..vendor.answer(call) },
            Kind::Html => call::html(self.status(), "Checking your browser"),
        }
    }
}

/// At most so many wait at a time.
const WAITING: usize = 10_000;

/// The faults to come.
#[derive(Default)]
pub(super) struct Faults(Mutex<VecDeque<Fault>>);

impl Faults {
    /// Puts one at the end of the line; says why when it cannot be.
    pub fn add(&self, fault: Fault, vendor: &str) -> Result<usize, String> {
        if fault.kind == Kind::Status && !(300..=599).contains(&fault.status()) {
            return Err(format!("{} is not a failure: write a status from 300 to 599", fault.status()));
        }
        if fault.kind == Kind::Code && vendor != "marketo" {
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
        let fits =
            |f: &Fault| f.vendor == vendor && path.contains(&f.path) && (has_records || f.kind != Kind::BadRecord);
        let mut due = None;
        for (place, fault) in line.iter_mut().enumerate().filter(|(_, f)| fits(f)) {
            if fault.skip == 0 {
                due = Some(place);
                break;
            }
            fault.skip -= 1;
        }
        let place = due?;
        let fault = line.get_mut(place)?;
        fault.times = fault.times.saturating_sub(1);
        if fault.times == 0 { line.remove(place) } else { Some(fault.clone()) }
    }

    /// Forgets them all.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }
}
