//! Schema 2, November 2026: each name has a value of its own, which says who it belongs to.

use super::super::names;
use super::super::overlay::Batch;
use super::super::tree::Disk;
use crate::model::PersonId;
use crate::store::StoreError;
use crate::store::forgotten::hash_of;
use crate::store::record::decode;

/// Where names lay: this, and the name's text.
const OWNER: u8 = b'i';
/// Names put into one batch.
const STEP: usize = 1_000;

/// Puts all names into buckets. What a crash cut goes on where it was: each batch takes away what it has put there.
pub fn to_three(disk: &Disk) -> Result<(), StoreError> {
    loop {
        let page: Vec<_> = disk.prefix(&[OWNER]).whole().take(STEP).collect::<Result<_, _>>()?;
        if page.is_empty() {
            return Ok(());
        }
        let (mut batch, mut changed) = (Batch::default(), names::Changed::default());
        for (key, value) in page {
            let owner: PersonId = decode(&value)?;
            changed.set(disk, hash_of(key.get(1..).unwrap_or_default()), Some(owner))?;
            batch.remove(key);
        }
        changed.write(&mut batch);
        disk.apply(batch)?;
        disk.sync()?;
    }
}
