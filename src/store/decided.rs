//! Waiting for the engine, by what the store tells of it.

use super::Store;
use crate::model::Position;

/// Returns when everything up to `position` is decided. However long that takes: whoever has less time gives it up.
/// False when the store has ended.
pub async fn decided(store: &dyn Store, position: Position) -> bool {
    let mut changed = store.changed();
    loop {
        changed.mark_unchanged();
        if store.counts().decided >= position {
            return true;
        }
        if changed.changed().await.is_err() {
            return false;
        }
    }
}
