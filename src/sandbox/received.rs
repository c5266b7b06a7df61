//! What a simulated vendor took in: one effect for each activation that would have started a flow, and counts.
//! Bounded, so that a benchmark can run for hours.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;

/// Effects kept; the oldest go first.
const EFFECTS: usize = 2_000_000;
/// Keys that a vendor remembers against repeats; the oldest go first.
const KEYS: usize = 4_000_000;

/// An activation that the vendor accepted and that it did not know yet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Effect {
    /// The id that we gave it: Klaviyo's `unique_id`, HubSpot's `uuid`, Marketo's attribute `activationId`. May be empty.
    pub id: String,
    /// Klaviyo's metric, HubSpot's `eventName`, Marketo's `primaryAttributeValue`.
    pub event: String,
    /// The person's e-mail address where the vendor knows it, else the first identifier that was given.
    pub person: String,
    /// When it happened, as it was sent, else when it was received.
    pub at: String,
    /// The record as it was sent; null when too many came before it.
    pub body: Value,
}

/// What came, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Calls of any kind, answered or not.
    pub requests: u64,
    /// Activations that started something.
    pub effects: u64,
    /// Activations that the vendor took and dropped, because it had them.
    pub duplicates: u64,
    /// Calls refused as a whole, and records refused in calls that were accepted.
    pub refused: u64,
    /// Calls refused because a quota was spent.
    pub throttled: u64,
}

/// One vendor's effects and counts.
pub(super) struct Ledger(Mutex<Kept>);

/// What the ledger holds while it is open.
#[derive(Default)]
pub(super) struct Kept {
    effects: VecDeque<Effect>,
    /// So many of the first effects keep the record as it was sent.
    bodies: u64,
    /// The counts, free to be changed.
    pub counts: Counts,
}

impl Kept {
    /// Adds an effect. `body` is only asked for while bodies are kept.
    pub fn effect(&mut self, mut effect: Effect, body: &Value) {
        if self.counts.effects < self.bodies {
            effect.body = body.clone();
        }
        self.counts.effects += 1;
        if self.effects.len() >= EFFECTS {
            self.effects.pop_front();
        }
        self.effects.push_back(effect);
    }
}

impl Ledger {
    /// An empty one; `bodies` of the first effects will keep the record as it was sent.
    pub fn new(bodies: u64) -> Self {
        Self(Mutex::new(Kept { bodies, ..Kept::default() }))
    }
    /// Opens it.
    pub fn open(&self) -> MutexGuard<'_, Kept> {
        lock(&self.0)
    }
    /// A copy of the effects from the nth on, oldest first.
    pub fn effects_from(&self, n: usize) -> Vec<Effect> {
        self.open().effects.iter().skip(n).cloned().collect()
    }
    /// Forgets the effects of this id; false when there is none.
    pub fn lose(&self, id: &str) -> bool {
        let mut kept = self.open();
        let before = kept.effects.len();
        kept.effects.retain(|effect| effect.id != id);
        kept.effects.len() < before
    }
    /// A copy of the counts.
    pub fn counts(&self) -> Counts {
        self.open().counts
    }
    /// Forgets effects and counts. What the vendor knows of people and repeats stays.
    pub fn clear(&self) {
        let mut kept = self.open();
        *kept = Kept { bodies: kept.bodies, ..Kept::default() };
    }
}

/// Keys seen before.
#[derive(Default)]
pub(super) struct Seen {
    keys: HashSet<u128>,
    order: VecDeque<u128>,
}

impl Seen {
    /// Remembers `key`; false when it was known.
    pub fn is_new(&mut self, key: u128) -> bool {
        if !self.keys.insert(key) {
            return false;
        }
        if self.order.len() >= KEYS
            && let Some(oldest) = self.order.pop_front()
        {
            self.keys.remove(&oldest);
        }
        self.order.push_back(key);
        true
    }
}

/// One number for several parts, with no two lists of parts alike.
pub(super) fn key(parts: &[&[u8]]) -> u128 {
    let mut hash = blake3::Hasher::new();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let hash = hash.finalize();
    hash.as_bytes().first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes))
}

/// Locks, also after another thread died in it: a simulator outlives its callers' mistakes.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
