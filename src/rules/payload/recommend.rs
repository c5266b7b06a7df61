//! `[recommend]`: other products, by what went together in orders, by category, by how often they are ordered, or from a
//! fixed list. Never what the person has just bought, has in the cart, or is told of anyway.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::product::of_item;
use super::scene::Fire;
use crate::model::mistake::instead;
use crate::model::sales::products_of;
use crate::model::{Catalogue, Span};
use crate::rules::path::key_text;
use crate::rules::written::{Reading, Table};

/// What was bought within this is just bought; so is the last order, however old.
const JUST: Span = Span::from_days(30);
/// How many are said, unless the file says another number, and at most.
const COUNT: (u64, u64) = (4, 20);
/// What is popular was ordered on these last days, unless the file says another length.
const DAYS: Span = Span::from_days(30);
/// The longest of those, and of a fixed list.
const LONGEST: (Span, usize) = (Span::from_days(366), 100);

/// What the file says.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommend {
    /// The payload's field.
    pub field: Box<str>,
    /// In this order, until there are enough.
    by: Vec<By>,
    count: usize,
    days: i64,
    fixed: Vec<Box<str>>,
}

/// Where recommendations come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    BoughtTogether,
    SameCategory,
    Popular,
    Fixed,
}

const WORDS: &[(&str, By)] = &[
    ("bought-together", By::BoughtTogether),
    ("same-category", By::SameCategory),
    ("popular", By::Popular),
    ("fixed", By::Fixed),
];

impl Recommend {
    /// Reads the table; every mistake goes to `reading`.
    pub fn read(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Self> {
        let field = table.get("field").map_or(Some("recommended".to_owned()), |value| value.text(reading));
        let fixed_at = table.get("fixed");
        let mut fixed: Vec<Box<str>> = Vec::new();
        for item in fixed_at.as_ref().map(|value| value.list(reading)).unwrap_or_default() {
            fixed.push(item.text(reading)?.into());
        }
        if let Some(at) = fixed_at.as_ref().filter(|_| fixed.len() > LONGEST.1) {
            reading.mistake(at.span(), at.path().to_owned(), format!("are more than {}", LONGEST.1));
        }
        let by = match table.get("by") {
            Some(value) => {
                let mut by = Vec::new();
                for item in value.list(reading) {
                    let text = item.text(reading)?;
                    match WORDS.iter().find(|(word, _)| *word == text) {
                        Some((_, one)) => by.push(*one),
                        None => {
                            let known: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
                            let words = format!("`{text}` is no way to recommend");
                            reading.mistake(item.span(), item.path().to_owned(), words).suggestion =
                                Some(instead(&text, &known, "known"));
                        }
                    }
                }
                if by.contains(&By::Fixed) && fixed_at.is_none() {
                    reading
                        .mistake(value.span(), value.path().to_owned(), "names `fixed`, but there is no such list")
                        .suggestion = Some("fixed = [\"p1\", \"p2\"]".into());
                }
                by
            }
            None if fixed.is_empty() => vec![By::BoughtTogether, By::SameCategory, By::Popular],
            None => vec![By::BoughtTogether, By::SameCategory, By::Popular, By::Fixed],
        };
        let count = table.get("count").map_or(Some(COUNT.0), |value| value.whole_number(reading, 1, COUNT.1));
        let days = table.get("within").map_or(Some(DAYS), |value| {
            let length = value.length(reading)?;
            let is_days = length.as_millis() % Span::DAY.as_millis() == 0 && length <= LONGEST.0;
            if !is_days {
                reading.mistake(value.span(), value.path().to_owned(), "must be whole days, at most 366").suggestion =
                    Some("within = \"30d\"".into());
            }
            Some(length)
        });
        table.finish(reading);
        Some(Self {
            field: field?.into(),
            by,
            count: usize::try_from(count?).unwrap_or(1),
            days: days?.as_millis() / Span::DAY.as_millis(),
            fixed,
        })
    }

    /// Products, the best first, as templates see them. `products` are those that the payload speaks of, `cart` what is
    /// in the cart.
    pub fn products(&self, fire: &Fire<'_>, products: &[Value], cart: &[Value]) -> Value {
        let (catalogue, sales) = (fire.shelf.catalogue, fire.shelf.sales);
        let ids = |products: &[Value]| -> BTreeSet<Box<str>> {
            products.iter().filter_map(|said| key_text(said.get("product_id").or_else(|| said.get("sku"))?)).collect()
        };
        let orders = fire.person.history.entries().iter().filter(|e| *e.name == *"Order Completed" && e.at <= fire.at);
        let last = orders.clone().next_back();
        let from = match ids(products) {
            said if said.is_empty() => last.map(products_of).unwrap_or_default(),
            said => said,
        };
        let mut not: BTreeSet<Box<str>> = ids(cart);
        not.extend(from.iter().cloned());
        for order in orders.filter(|order| order.at > fire.at - JUST).chain(last) {
            not.extend(products_of(order));
        }
        let popular = sales.popular(fire.at, self.days);
        let mut chosen: Vec<&str> = Vec::new();
        for by in &self.by {
            let candidates: Box<dyn Iterator<Item = &str>> = match by {
                By::BoughtTogether => {
                    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
                    for (other, n) in from.iter().flat_map(|id| sales.with(id)) {
                        *counts.entry(other).or_insert(0) += n;
                    }
                    Box::new(ranked(counts.into_iter()).into_iter())
                }
                By::SameCategory => {
                    let of_them = categories(&from, products, catalogue);
                    let same = of_them.iter().flat_map(|category| catalogue.of_category(category));
                    Box::new(ranked(same.map(|id| (id, popular.count(id)))).into_iter())
                }
                By::Popular => Box::new(popular.products()),
                By::Fixed => Box::new(self.fixed.iter().map(|id| &**id)),
            };
            for id in candidates {
                if chosen.len() >= self.count {
                    break;
                }
                if !not.contains(id) && !chosen.contains(&id) && is_for_sale(id, catalogue) {
                    chosen.push(id);
                }
            }
        }
        let said = chosen.iter().map(|id| catalogue.get(id).map_or_else(|| json!({ "product_id": id }), of_item));
        said.collect()
    }
}

/// The most first; at equal counts by id.
fn ranked<'a>(counted: impl Iterator<Item = (&'a str, u64)>) -> Vec<&'a str> {
    let mut counted: Vec<(&str, u64)> = counted.collect();
    counted.sort_by(|a, b| (b.1, a.0).cmp(&(a.1, b.0)));
    counted.into_iter().map(|(id, _)| id).collect()
}

/// The categories of these products: as the catalogue says, else as the events do.
fn categories(ids: &BTreeSet<Box<str>>, said: &[Value], catalogue: &Catalogue) -> BTreeSet<Box<str>> {
    let mut found: BTreeSet<Box<str>> =
        ids.iter().filter_map(|id| catalogue.get(id)).filter_map(|item| item.category.clone()).collect();
    if found.is_empty() {
        found.extend(said.iter().filter_map(|said| Some(said.get("category")?.as_str()?.into())));
    }
    found
}

/// Where there is a catalogue, only what is in it and not sold out.
fn is_for_sale(id: &str, catalogue: &Catalogue) -> bool {
    catalogue.is_empty() || catalogue.get(id).is_some_and(|item| item.stock.is_none_or(|stock| stock > 0))
}
