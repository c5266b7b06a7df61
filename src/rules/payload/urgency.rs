//! `[urgency]`: fields that are said when the catalogue has few left of one of the products.

use serde_json::{Value, json};

use super::names::Names;
use super::product;
use super::template::Fields;
use crate::model::Catalogue;
use crate::rules::written::{Reading, Table};

/// What the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Urgency {
    /// Fewer than so many, and at least one.
    under: u64,
    /// What is said then; it may use `stock` and `product`.
    pub set: Fields,
}

impl Urgency {
    /// Reads the table; every mistake goes to `reading`.
    pub fn read(mut table: Table<'_, '_>, names: &Names, reading: &mut Reading<'_>) -> Option<Self> {
        for key in ["under", "set"].iter().filter(|key| !table.has(key)) {
            reading.mistake(table.span(), format!("{}.{key}", table.path()), "is missing");
        }
        let under = table.get("under").and_then(|value| value.whole_number(reading, 1, 1_000_000));
        let set = table.get("set").and_then(|value| value.table(reading));
        table.finish(reading);
        let names = names.and(&["stock", "product"]);
        let set = super::said::read_fields(&set?, &names, reading);
        Some(Self { under: under?, set })
    }

    /// The scarcest of the products of which there are few: `stock` and `product`.
    pub fn scarce(&self, products: &[Value], catalogue: &Catalogue) -> Option<[(&'static str, Value); 2]> {
        let items =
            products.iter().filter_map(|said| said.get("product_id")?.as_str()).filter_map(|id| catalogue.get(id));
        let few = items.filter_map(|item| Some((u64::try_from(item.stock?).ok()?, item)));
        let few = few.filter(|(stock, _)| (1..self.under).contains(stock));
        let (stock, item) = few.min_by_key(|(stock, item)| (*stock, &*item.id))?;
        Some([("stock", json!(stock)), ("product", product::of_item(item))])
    }
}
