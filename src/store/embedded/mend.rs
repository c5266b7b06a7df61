//! sled after an I/O error: it refuses everything from then on, so it is closed and opened again without a restart.
//!
//! What it lost by that follows from the journal: the engine decides it once more, and outcomes are brought in again.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Inner, claim, open, poisoned, steps, sweep};
use crate::store::StoreError;

/// Opens sled again if it is closed or refuses to work; nothing to do otherwise. Waits for steps under way.
pub fn mend(inner: &Inner) -> Result<(), StoreError> {
    let _alone = inner.mending.write().map_err(|_| poisoned())?;
    {
        let mut slot = inner.disk.write().map_err(|_| poisoned())?;
        if let Some(disk) = slot.take() {
            if disk.is_sound() {
                *slot = Some(disk);
                return Ok(());
            }
            // A report may still be reading; it is tried again with the next step.
            if let Err(used) = Arc::try_unwrap(disk) {
                *slot = Some(used);
                return Err(StoreError::Unavailable("sled refuses to work, and is in use".into()));
            }
            tracing::warn!("sled is closed after an I/O error; it is opened again when the disk lets us");
        }
    }
    let now = inner.state()?.reached;
    let reaches = inner.journal.0.journaled.load(Ordering::Acquire);
    let (disk, mut found) = open::open_again(&inner.settings, reaches, now)?;
    {
        let mut state = inner.state()?;
        // Numbers that were given must not be given again; and what was queued since may have left.
        found.seq = found.seq.max(state.seq);
        found.doubtful_until = found.doubtful_until.max(now);
        inner.decided.store(found.decided.0, Ordering::Release);
        inner.publish(&mut state, found);
    }
    *inner.steps()? = steps::Steps::default();
    *inner.next()? = claim::Next::default();
    *inner.read_ahead()? = claim::Known::default();
    *inner.written()? = claim::Known::default();
    inner.lanes()?.clear();
    inner.seen()?.close();
    inner.shapes()?.clear();
    *inner.cache()? = crate::store::cache::Cache::new(inner.settings.people_cache.0);
    *inner.round.lock().map_err(|_| poisoned())? = sweep::Round::default();
    *inner.disk.write().map_err(|_| poisoned())? = Some(Arc::new(disk));
    open::apply_settled(inner)?;
    tracing::info!("sled is open again");
    metrics::counter!("espalier_store_reopened_total").increment(1);
    inner.changed.send_modify(|n| *n += 1);
    Ok(())
}
