//! What is written and not yet in sled: batches laid over one another in memory, newest wins.
//!
//! Two layers. The upper one takes batches; the lower one is on its way to sled and no longer changes. Readers look
//! through both.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;
use std::sync::{Arc, RwLock};

use sled::IVec;

use super::poisoned;
use crate::store::StoreError;

/// Keys with their values; `None` takes a key away.
pub type Layer = BTreeMap<IVec, Option<IVec>>;

/// One step's writes.
#[derive(Default)]
pub struct Batch(Layer);

impl Batch {
    /// Puts a value.
    pub fn insert(&mut self, key: impl Into<IVec>, value: impl Into<IVec>) {
        self.0.insert(key.into(), Some(value.into()));
    }
    /// Takes a key away.
    pub fn remove(&mut self, key: impl Into<IVec>) {
        self.0.insert(key.into(), None);
    }
}

/// Both layers.
#[derive(Default)]
pub struct Overlay {
    layers: RwLock<Layers>,
}

#[derive(Default)]
struct Layers {
    upper: Layer,
    bytes: usize,
    lower: Option<Arc<Layer>>,
}

impl Overlay {
    /// Lays a batch over what is there: all of it is seen from now on, or nothing. Returns the upper layer's bytes.
    pub fn apply(&self, batch: Batch) -> Result<usize, StoreError> {
        let mut layers = self.layers.write().map_err(|_| poisoned())?;
        let size = |value: &Option<IVec>| value.as_ref().map_or(0, |value| value.len());
        for (key, value) in batch.0 {
            let weight = key.len() + size(&value);
            match layers.upper.entry(key) {
                btree_map::Entry::Vacant(free) => {
                    free.insert(value);
                    layers.bytes += weight;
                }
                btree_map::Entry::Occupied(mut taken) => {
                    let before = size(&taken.insert(value)) + taken.key().len();
                    layers.bytes = layers.bytes.saturating_sub(before) + weight;
                }
            }
        }
        Ok(layers.bytes)
    }

    /// A key as the layers have it; `None` when they say nothing of it.
    pub fn get(&self, key: &[u8]) -> Result<Option<Option<IVec>>, StoreError> {
        let layers = self.layers.read().map_err(|_| poisoned())?;
        let upper = layers.upper.get(key);
        Ok(upper.or_else(|| layers.lower.as_ref()?.get(key)).cloned())
    }

    /// The last key from `from` up to and including `to`, with its value.
    pub fn floor(&self, from: &[u8], to: &[u8]) -> Result<Option<(IVec, Option<IVec>)>, StoreError> {
        let layers = self.layers.read().map_err(|_| poisoned())?;
        let bounds = || (Bound::Included(from), Bound::Included(to));
        let last = |layer: &Layer| layer.range::<[u8], _>(bounds()).next_back().map(|(k, v)| (k.clone(), v.clone()));
        let (upper, lower) = (last(&layers.upper), layers.lower.as_deref().and_then(last));
        // Of the same key the upper one is the newer.
        Ok(match (upper, lower) {
            (Some(upper), Some(lower)) if lower.0 > upper.0 => Some(lower),
            (upper, lower) => upper.or(lower),
        })
    }

    /// What is to go to sled next: what was on its way already, else all of the upper layer.
    pub fn sink(&self) -> Result<Arc<Layer>, StoreError> {
        let mut layers = self.layers.write().map_err(|_| poisoned())?;
        if layers.lower.is_none() {
            layers.bytes = 0;
            layers.lower = Some(Arc::new(std::mem::take(&mut layers.upper)));
        }
        Ok(layers.lower.clone().unwrap_or_default())
    }

    /// The lower layer is in sled.
    pub fn sunk(&self) -> Result<(), StoreError> {
        // Given back only when the lock is: there may be much of it.
        let sunk = self.layers.write().map_err(|_| poisoned())?.lower.take();
        drop(sunk);
        Ok(())
    }

    /// The first, or last, `max` keys of both layers between the bounds.
    pub fn page(&self, from: Bound<&[u8]>, to: Bound<&[u8]>, is_back: bool, max: usize) -> Result<Layer, StoreError> {
        let layers = self.layers.read().map_err(|_| poisoned())?;
        let empty = Layer::new();
        let lower = layers.lower.as_deref().unwrap_or(&empty);
        let mut page = Layer::new();
        // What is above goes over what is below.
        for layer in [lower, &layers.upper] {
            let found = layer.range::<[u8], _>((from, to)).map(|(k, v)| (k.clone(), v.clone()));
            match is_back {
                false => page.extend(found.take(max)),
                true => page.extend(found.rev().take(max)),
            }
        }
        while page.len() > max {
            let _ = if is_back { page.pop_first() } else { page.pop_last() };
        }
        Ok(page)
    }
}
