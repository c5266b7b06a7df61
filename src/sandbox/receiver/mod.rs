//! Receivers of one kind of call: any webhook, Brevo's events, Braze's `/users/track`.

/// Braze's `/users/track`.
mod braze;
/// Brevo's events.
mod brevo;
/// Takes anything.
mod recorder;

use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::call::{Answer, Call, Verdict};
use super::faults::Fault;
use super::received::{Effect, Ledger, Seen, key, lock};
use super::records::Records;
use super::window::Fixed;
use super::{Options, Vendor};

/// One receiver's own part.
pub(super) trait Receiver: Send + Sync {
    /// What is taken of a call, and the answer; or only an answer.
    fn take(&self, call: &Call, options: &Options) -> Result<(Vec<Effect>, Answer), Answer>;
    /// An error in the receiver's form.
    fn error(&self, status: u16) -> Answer;
    /// Calls a second.
    fn limit(&self) -> u32;
    /// The header that says after how many seconds to come again.
    fn again(&self) -> &'static str;
}

/// A simulated account at one of them.
pub(super) struct Account {
    receiver: Box<dyn Receiver>,
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    seen: Mutex<Seen>,
    window: Mutex<Fixed>,
}

impl Account {
    /// An empty one; none for a name that is no receiver's.
    pub fn new(kind: &str, options: Arc<Options>) -> Option<Self> {
        let receiver: Box<dyn Receiver> = match kind {
            "webhook" => Box::new(recorder::Recorder),
            "brevo" => Box::new(brevo::Brevo),
            "braze" => Box::new(braze::Braze),
            _ => return None,
        };
        let (ledger, records) = (Ledger::new(options.bodies), Records::new(|_| None));
        let window = Mutex::new(Fixed::new(receiver.limit(), 1_000));
        Some(Self { receiver, options, ledger, records, seen: Mutex::default(), window })
    }
}

impl Vendor for Account {
    fn answer(&self, call: &Call) -> Answer {
        if self.options.limits {
            let mut window = lock(&self.window);
            if !window.has_room(call.at) {
                let seconds = window.seconds_left(call.at);
                return self.receiver.error(429).header(self.receiver.again(), seconds).with(Verdict::Throttled);
            }
            window.count(call.at);
        }
        if !call.has_type(&["application/json"]) {
            return self.receiver.error(415).with(Verdict::Refused);
        }
        match self.receiver.take(call, &self.options) {
            Err(answer) => answer.with(Verdict::Refused),
            Ok((effects, answer)) => {
                let mut ledger = self.ledger.open();
                for effect in effects {
                    let body = effect.body.clone();
                    if effect.id.is_empty() || lock(&self.seen).is_new(key(&[effect.id.as_bytes()])) {
                        ledger.effect(effect, &body);
                    } else {
                        ledger.counts.duplicates += 1;
                    }
                }
                answer
            }
        }
    }

    fn failure(&self, _: &Call, fault: &Fault) -> Answer {
        let verdict = if fault.status() == 429 { Verdict::Throttled } else { Verdict::Refused };
        let answer = self.receiver.error(fault.status()).with(verdict);
        match fault.retry_after {
            Some(seconds) => answer.header(self.receiver.again(), seconds),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
}

/// The text at a pointer; empty where there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
