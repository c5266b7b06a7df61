//! Which profile of an account an address leads to: asked without I/O, and without writing anything.
//!
//! Only who can be asked with no address in a URL is: Klaviyo finds profiles by a filter, or by importing them.

use std::collections::{BTreeSet, HashMap};

use super::Halt;
use super::account::{Asking, Inquiry};
use crate::model::Timestamp;
use crate::model::http::{Answer, Request};

/// Addresses of one call.
const ADDRESSES: usize = 100;

/// The profiles to which an address leads, in the vendor's ids: none, one, or several that the vendor keeps apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Led {
    /// To these.
    To(BTreeSet<String>),
    /// It cannot be told, for this reason.
    Untold(String),
}

/// The conversation about some addresses: one answer for each, in their order.
pub type Profiles = Box<dyn Inquiry<Vec<Led>>>;

/// How a vendor is asked.
pub(super) trait Directory: Send {
    /// The call about these addresses, each of which is there once.
    fn request(&self, addresses: &[String]) -> Request;
    /// What its answer says.
    fn read(&self, answer: &Answer, now: Timestamp) -> Page;
}

/// What an answer says.
pub(super) enum Page {
    /// The profiles of each address, in lower case; and whether these are all.
    Found(HashMap<String, BTreeSet<String>>, bool),
    /// The same again, not before this.
    Again(Timestamp),
    /// These addresses cannot be told.
    Refused(String),
    /// Nothing more can be asked.
    Halt(Halt),
}

/// The conversation, with any vendor.
pub(super) struct Asked<D> {
    directory: D,
    addresses: Vec<String>,
    led: Vec<Led>,
}

impl<D: Directory + 'static> Asked<D> {
    /// About these.
    pub fn begin(directory: D, addresses: Vec<String>) -> Profiles {
        let addresses = addresses.into_iter().map(|one| one.to_lowercase()).collect();
        Box::new(Self { directory, addresses, led: Vec::new() })
    }

    /// Those that are asked about next.
    fn next_ones(&self) -> Vec<String> {
        self.addresses.iter().skip(self.led.len()).take(ADDRESSES).cloned().collect()
    }

    fn say(&mut self, of: impl Fn(&String) -> Led) {
        let said: Vec<Led> = self.next_ones().iter().map(of).collect();
        self.led.extend(said);
    }
}

impl<D: Directory + 'static> Inquiry<Vec<Led>> for Asked<D> {
    fn next(&mut self, answer: Option<Answer>, now: Timestamp) -> Asking<Vec<Led>> {
        if let Some(answer) = answer {
            match self.directory.read(&answer, now) {
                Page::Found(found, is_whole) => self.say(|address| match found.get(address) {
                    _ if !is_whole => Led::Untold("more profiles have such addresses than are read".into()),
                    profiles => Led::To(profiles.cloned().unwrap_or_default()),
                }),
                Page::Refused(words) => self.say(|_| Led::Untold(words.clone())),
                Page::Again(until) => return Asking::Again(until),
                Page::Halt(halt) => return Asking::Done(Err(halt)),
            }
        }
        let mut addresses = self.next_ones();
        if addresses.is_empty() {
            return Asking::Done(Ok(std::mem::take(&mut self.led)));
        }
        addresses.sort_unstable();
        addresses.dedup();
        Asking::Ask(Box::new(self.directory.request(&addresses)))
    }
}
