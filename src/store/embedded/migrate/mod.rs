//! Older layouts of the state, brought to today's one step at a time.
//!
//! The number stands in the tree, so that it goes with snapshots, backups and exports. The journal's records have
//! versions of their own. Whoever changes a stored form adds a step here, with types of its own that nobody changes any
//! more, and a store of the layout before it to `tests/stores`.

mod one;
#[cfg(test)]
mod tests;
mod two;

use super::keys;
use super::overlay::Batch;
use super::tree::{Disk, put};
use crate::store::record::{decode, encode};
use crate::store::{SCHEMA, StoreError};

/// The layout of what is in the tree; `None` of one that holds nothing.
pub fn found(disk: &Disk) -> Result<Option<u32>, StoreError> {
    if let Some(number) = disk.get(keys::SCHEMA)? {
        return decode(&number).map(Some);
    }
    if !disk.has(keys::STATE)? {
        return Ok(None);
    }
    // From before numbers were kept: of the layouts of then, the first is known by its people.
    one::is_it(disk).map(|is_it| Some(if is_it { 1 } else { 2 }))
}

/// Brings what is in the tree to today's layout. `aside` is called once before anything is changed.
pub fn migrate(disk: &Disk, aside: impl FnOnce(u32) -> Result<(), StoreError>) -> Result<(), StoreError> {
    let was = found(disk)?.unwrap_or(SCHEMA);
    if was > SCHEMA {
        return Err(StoreError::Newer { found: was, known: SCHEMA });
    }
    if was < SCHEMA {
        tracing::info!(from = was, to = SCHEMA, "the store is of an earlier layout: it is brought to today's");
        aside(was)?;
    }
    for layout in was..SCHEMA {
        match layout {
            1 => one::to_two(disk)?,
            2 => two::to_three(disk)?,
            // A number that no version ever wrote.
            other => return Err(StoreError::Damaged(format!("the store has the unknown schema {other}"))),
        }
        mark(disk, layout + 1)?;
    }
    if disk.has(keys::SCHEMA)? { Ok(()) } else { mark(disk, SCHEMA) }
}

/// Notes which layout it has.
fn mark(disk: &Disk, number: u32) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    put(&mut batch, keys::SCHEMA.to_vec(), &encode(&number));
    disk.apply(batch)?;
    disk.sync()
}
