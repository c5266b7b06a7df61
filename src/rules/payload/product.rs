//! One product as templates see it: what events said of it, with exact amounts.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::model::{Catalogue, CatalogueItem};
use crate::rules::amount::Amount;
use crate::rules::path::{key_of, key_text};

/// What is said of a product beside its amounts, and by which names events say it.
const FIELDS: &[(&str, &[&str])] = &[
    ("product_id", &["product_id", "sku"]),
    ("variant_id", &["variant_id"]),
    ("sku", &["sku"]),
    ("name", &["name", "title"]),
    ("brand", &["brand"]),
    ("category", &["category"]),
    ("variant", &["variant"]),
    ("url", &["url"]),
    ("image_url", &["image_url", "image"]),
    ("currency", &["currency"]),
];

/// Between a product's id and its variant's: a character that no id has.
const VARIANT: char = '\u{1f}';

/// One product of a cart or an order, lent from events and the catalogue.
pub struct Product<'a> {
    /// What tells it from others.
    pub id: Cow<'a, str>,
    /// In the order they were said.
    fields: Vec<(&'static str, Cow<'a, Value>)>,
    price: Option<Amount>,
    /// How many; 1 unless said.
    pub quantity: Amount,
}

impl<'a> Product<'a> {
    /// From an event's properties, or an element of its `products`; `None` for what names no product, or none of it.
    pub fn of(said: &'a Value) -> Option<Self> {
        let id = identity(said)?;
        let quantity = said.get("quantity").and_then(Amount::of).unwrap_or(Amount::ONE);
        if quantity <= Amount::ZERO {
            return None;
        }
        let known = FIELDS.iter().filter_map(|(name, from)| {
            let value = from.iter().find_map(|name| said.get(*name)).filter(|value| !value.is_null())?;
            matches!(value, Value::String(_) | Value::Number(_)).then_some((*name, Cow::Borrowed(value)))
        });
        Some(Self { id, fields: known.collect(), price: said.get("price").and_then(Amount::of), quantity })
    }

    /// What it costs in all; `None` without a price.
    pub fn total(&self) -> Option<Amount> {
        self.price?.times(self.quantity)
    }

    /// True when this is what `id` names: itself, or any variant where it names none.
    pub fn is_one_of(&self, id: &str) -> bool {
        *self.id == *id || self.id.strip_prefix(id).is_some_and(|rest| rest.starts_with(VARIANT))
    }

    /// The currency said for it.
    pub fn currency(&self) -> Option<&str> {
        self.field("currency").and_then(Value::as_str)
    }

    /// The same product, said again: what is new counts, what is not said again stays.
    pub fn renew(&mut self, newer: Self) {
        newer.fields.into_iter().for_each(|(name, value)| self.put(name, value));
        self.price = newer.price.or(self.price);
        self.quantity = newer.quantity;
    }

    /// What events did not say of it, the catalogue does.
    pub fn fill(&mut self, catalogue: &Catalogue) {
        let id = self.field("product_id").and_then(key_text);
        let Some(item) = id.and_then(|id| catalogue.get(&id)) else { return };
        let said =
            [("name", &item.name), ("url", &item.url), ("image_url", &item.image_url), ("category", &item.category)];
        for (name, value) in said {
            if let Some(value) = value
                && self.field(name).is_none()
            {
                self.put(name, Cow::Owned((**value).into()));
            }
        }
        if self.price.is_none() {
            self.price = item.price.as_deref().and_then(|price| Amount::of(&price.into()));
            if let Some(currency) = &item.currency {
                self.put("currency", Cow::Owned((**currency).into()));
            }
        }
    }

    /// As templates see it.
    pub fn to_value(&self) -> Value {
        let fields = self.fields.iter();
        let mut said: Map<String, Value> =
            fields.map(|(name, value)| ((*name).to_owned(), (**value).clone())).collect();
        let amounts = [("price", self.price), ("quantity", Some(self.quantity)), ("total", self.total())];
        for (name, amount) in amounts {
            if let Some(amount) = amount {
                said.insert(
                    name.to_owned(),
                    if name == "quantity" { amount.to_number() } else { amount.to_string().into() },
                );
            }
        }
        Value::Object(said)
    }

    fn field(&self, name: &str) -> Option<&Value> {
        self.fields.iter().find(|(known, _)| *known == name).map(|(_, value)| &**value)
    }

    /// What is said again keeps its place.
    fn put(&mut self, name: &'static str, value: Cow<'a, Value>) {
        match self.fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value,
            None => self.fields.push((name, value)),
        }
    }
}

/// A product of the catalogue as templates see it.
pub fn of_item(item: &CatalogueItem) -> Value {
    let mut said = Map::new();
    said.insert("product_id".to_owned(), (*item.id).into());
    let texts = [
        ("name", &item.name),
        ("category", &item.category),
        ("url", &item.url),
        ("image_url", &item.image_url),
        ("currency", &item.currency),
    ];
    for (name, value) in texts {
        said.extend(value.as_deref().map(|value| (name.to_owned(), value.into())));
    }
    let price = item.price.as_deref().and_then(|price| Amount::of(&price.into()));
    said.extend(price.map(|price| ("price".to_owned(), price.to_string().into())));
    said.extend(item.stock.map(|stock| ("stock".to_owned(), stock.into())));
    Value::Object(said)
}

/// What tells a product from others: its variant counts, where it is said.
pub fn identity(said: &Value) -> Option<Cow<'_, str>> {
    let text = |name: &str| said.get(name).and_then(key_of);
    let id = text("product_id").or_else(|| text("sku"))?;
    Some(match text("variant_id").or_else(|| text("variant")) {
        Some(variant) => format!("{id}{VARIANT}{variant}").into(),
        None => id,
    })
}
