//! What came of a stream since it was last asked, counted where it comes and taken where it is judged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Volume;
use crate::model::Timestamp;

/// A count that two rooms share.
#[derive(Clone, Debug, Default)]
pub struct Tally(Arc<Counted>);

#[derive(Debug, Default)]
struct Counted {
    /// What came as it happened.
    now: AtomicU64,
    /// What happened before it came, by hour.
    hours: Mutex<BTreeMap<i64, u64>>,
}

impl Tally {
    /// So much came, and is of now. It holds nobody up.
    pub fn count(&self, n: u64) {
        self.0.now.fetch_add(n, Ordering::Relaxed);
    }

    /// One came that is of then.
    pub fn count_of(&self, at: Timestamp) {
        let mut hours = self.0.hours.lock().unwrap_or_else(PoisonError::into_inner);
        *hours.entry(Volume::hour(at)).or_default() += 1;
    }

    /// All since it was last asked, by hour.
    pub fn take(&self, now: Timestamp) -> BTreeMap<i64, u64> {
        let mut hours = std::mem::take(&mut *self.0.hours.lock().unwrap_or_else(PoisonError::into_inner));
        let n = self.0.now.swap(0, Ordering::Relaxed);
        if n > 0 {
            *hours.entry(Volume::hour(now)).or_default() += n;
        }
        hours
    }
}
