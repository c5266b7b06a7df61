//! Everybody in a store, a page at a time.

use super::{Store, StoreError};
use crate::model::Person;

/// People read at once: what is in memory.
const PAGE: usize = 500;

/// Shows every person, in the order of their ids.
///
/// # Errors
/// When the store cannot be read.
pub async fn each_person(store: &dyn Store, mut see: impl FnMut(&Person)) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = store.people(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.id);
        page.iter().for_each(&mut see);
    }
}
