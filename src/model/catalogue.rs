//! What is for sale, as far as payloads speak of it. Which edges fire never depends on it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One product for sale.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct CatalogueItem {
    /// As events name it in `product_id`.
    pub id: Box<str>,
    /// For people.
    pub name: Option<Box<str>>,
    /// Its page.
    pub url: Option<Box<str>>,
    /// Its picture.
    pub image_url: Option<Box<str>>,
    /// A decimal number, as it was written.
    pub price: Option<Box<str>>,
    /// Of the price.
    pub currency: Option<Box<str>>,
    /// What it is of.
    pub category: Option<Box<str>>,
    /// How many there are; `None` where nobody counts.
    pub stock: Option<i64>,
    /// When it was so: an older word never takes the place of a newer one.
    pub updated: Timestamp,
}

/// All products for sale, by id. Cheap to share; a copy shares its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalogue {
    items: BTreeMap<Box<str>, Arc<CatalogueItem>>,
    by_category: BTreeMap<Box<str>, BTreeSet<Box<str>>>,
}

/// What became of one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It was not there before.
    New,
    /// It took the place of an older word.
    Changed,
    /// A newer word, or the same one, is there.
    Known,
}

impl Catalogue {
    /// What [`Catalogue::put`] would make of it.
    pub fn weigh(&self, item: &CatalogueItem) -> Put {
        match self.items.get(&item.id) {
            None => Put::New,
            Some(known) if known.updated <= item.updated && **known != *item => Put::Changed,
            Some(_) => Put::Known,
        }
    }

    /// Takes an item in, unless a newer word of it is there.
    pub fn put(&mut self, item: CatalogueItem) -> Put {
        let put = self.weigh(&item);
        if put == Put::Known {
            return put;
        }
        let of = |item: &CatalogueItem| item.category.clone();
        if let Some(before) = self.items.get(&item.id).and_then(|before| of(before)) {
            let is_empty = self.by_category.get_mut(&before).is_some_and(|ids| ids.remove(&item.id) && ids.is_empty());
            if is_empty {
                self.by_category.remove(&before);
            }
        }
        if let Some(category) = of(&item) {
            self.by_category.entry(category).or_default().insert(item.id.clone());
        }
        self.items.insert(item.id.clone(), Arc::new(item));
        put
    }

    /// The product of this id.
    pub fn get(&self, id: &str) -> Option<&CatalogueItem> {
        self.items.get(id).map(|item| &**item)
    }

    /// All behind an id, in order of their ids.
    pub fn after(&self, id: Option<&str>) -> impl Iterator<Item = &CatalogueItem> {
        let from = id.map_or(Bound::Unbounded, Bound::Excluded);
        self.items.range::<str, _>((from, Bound::Unbounded)).map(|(_, item)| &**item)
    }

    /// The ids of a category, in their order.
    pub fn of_category(&self, category: &str) -> impl Iterator<Item = &str> {
        self.by_category.get(category).into_iter().flatten().map(|id| &**id)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// True when nothing is for sale.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}
