//! What of a list of products is news.

use std::collections::BTreeMap;

use super::Stocked;
use crate::model::catalogue::Put;
use crate::model::{Catalogue, CatalogueItem, Timestamp};

/// What of `items` is news and has room: the others are counted as known, or as too many.
pub fn news(catalogue: &Catalogue, items: Vec<CatalogueItem>, most: usize) -> (Vec<CatalogueItem>, Stocked) {
    let mut stocked = Stocked::default();
    let mut seen: BTreeMap<Box<str>, Timestamp> = BTreeMap::new();
    let mut room = most.saturating_sub(catalogue.len());
    let mut kept = Vec::new();
    for item in items {
        let is_older = seen.get(&item.id).is_some_and(|before| *before > item.updated);
        match catalogue.weigh(&item) {
            _ if is_older => stocked.known += 1,
            Put::Known => stocked.known += 1,
            Put::New if !seen.contains_key(&item.id) && room == 0 => stocked.too_many += 1,
            put => {
                if put == Put::New && !seen.contains_key(&item.id) {
                    stocked.new += 1;
                    room -= 1;
                } else {
                    stocked.changed += 1;
                }
                seen.insert(item.id.clone(), item.updated);
                kept.push(item);
            }
        }
    }
    (kept, stocked)
}
