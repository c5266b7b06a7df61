//! What vendors took: read from the ends of activations, a stretch of them at a time.

use std::collections::BTreeMap;

use super::{Inner, keys, timed};
use crate::model::{ActionId, OccasionId, Timestamp};
use crate::store::record::Ended;
use crate::store::{Accepted, StoreError, WorkId};

/// Ends that are looked through at most, the newest activations first.
const LOOKED_AT: usize = 2_000_000;
/// Instants that are told apart.
const INSTANTS: usize = 1_000;

pub fn accepted(
    inner: &Inner,
    lane: &str,
    (from, until): (Timestamp, Timestamp),
    max: usize,
) -> Result<Accepted, StoreError> {
    let disk = inner.disk()?;
    let mut total = 0;
    let mut waited: BTreeMap<Timestamp, u64> = BTreeMap::new();
    let mut lowest: BTreeMap<OccasionId, (WorkId, _)> = BTreeMap::new();
    for entry in disk.prefix_back(&[keys::ENDED]).take(LOOKED_AT) {
        let (key, first) = entry?;
        // Behind the byte that counts the parts: most are of other days, and are not read.
        let ended = first.get(1..).and_then(timed::written);
        if ended.is_none_or(|at| at <= from || at > until) {
            continue;
        }
        let (_, (attempts, activation)): (_, Ended) = timed::decode(&disk.whole(&key, &first)?)?;
        if &*activation.lane != lane || !attempts.last().is_some_and(|last| last.outcome.has_effect()) {
            continue;
        }
        // Nights, as all that cron writes, begin with a minute.
        let begins = activation.not_before.filter(|at| at.as_millis() % 60_000 == 0);
        if let Some(at) = begins.filter(|at| waited.len() < INSTANTS || waited.contains_key(at)) {
            *waited.entry(at).or_default() += 1;
        }
        // Nothing else can be looked for at any vendor.
        if activation.action.id() != ActionId::default() {
            continue;
        }
        total += 1;
        let seq = keys::read_seq(&key).unwrap_or_default();
        lowest.insert(activation.occasion, (WorkId(seq), activation));
        if lowest.len() > max {
            lowest.pop_last();
        }
    }
    Ok(Accepted { total, sample: lowest.into_values().collect(), waited })
}
