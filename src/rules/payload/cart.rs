//! The cart as it was at the edge, of one cart alone, and the last order.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::product::{Product, identity};
use crate::model::{Catalogue, Entry, Timestamp};
use crate::rules::amount::Amount;
use crate::rules::path::key_of;
use crate::rules::view::View;

/// The property by which events name their cart.
const CART: &str = "cart_id";
/// The event that empties it.
const ORDER: &str = "Order Completed";
/// Events that say what is in a cart, all of it.
const WHOLE: &[&str] = &["Cart Viewed", "Cart Updated", "Checkout Started"];
/// Where an event leads back to its cart, the first before all.
const RECOVERY: &[&str] = &["recovery_url", "abandoned_checkout_url", "checkout_url", "cart_url"];
/// The most products that are told of one, and that are kept while it is put together.
const MOST: usize = 100;
const LARGEST: usize = 500;

/// A cart or an order, lent from the events that tell of it.
pub struct Cart<'a> {
    products: Vec<Product<'a>>,
    /// There were more than fit.
    is_cut: bool,
    /// Said of the whole.
    currency: Option<&'a str>,
    paid: Option<Amount>,
    id: Option<Cow<'a, str>>,
    at: Option<Timestamp>,
    recovery: Option<&'a str>,
}

impl<'a> Cart<'a> {
    /// The cart that a template speaks of: the key's own where the trigger is asked for each cart, else the latest the
    /// person did something with. Nothing where there is none.
    pub fn of(view: &View<'a>, catalogue: &Catalogue) -> Option<Self> {
        let is_by_cart = view.key.filter(|(path, _)| path.to_text() == CART);
        let mut events = view.entries().iter().rev().filter(|entry| is_of_carts(entry)).peekable();
        let id: Option<Cow<'a, str>> = match is_by_cart {
            Some((_, key)) => Some(key.into()),
            None => id_of(events.peek()?),
        };
        // An event that names another cart, or none, is not of this one.
        let mut of_it = events.filter(|entry| id_of(entry) == id).peekable();
        of_it.peek()?;
        // What is bought is not in it, nor what was before.
        let mut since: Vec<&Entry> = of_it.take_while(|entry| &*entry.name != ORDER).collect();
        since.reverse();
        let (mut contents, mut recovery) = (Contents::default(), None);
        for entry in since {
            let said = entry.fields();
            match &*entry.name {
                name if WHOLE.contains(&name) && listed(said).is_some() => {
                    contents = Contents::default();
                    contents.put_all(said);
                }
                "Product Added" => contents.put_all(said),
                "Product Removed" => contents.remove(said),
                _ => {}
            }
            let url = RECOVERY.iter().find_map(|name| said.get(*name)).and_then(Value::as_str);
            recovery = url.or(recovery);
        }
        Some(Self { id, recovery, ..contents.known(catalogue) })
    }

    /// The newest order.
    pub fn last_order(view: &View<'a>, catalogue: &Catalogue) -> Option<Self> {
        let entry = view.entries().iter().rfind(|entry| &*entry.name == ORDER)?;
        let order = entry.fields();
        let mut contents = Contents::default();
        contents.put_all(order);
        Some(Self {
            currency: order.get("currency").and_then(Value::as_str),
            // What the shop says is what was paid: shipping, taxes and discounts are in it.
            paid: ["total", "revenue", "value"].iter().find_map(|name| order.get(*name)).and_then(Amount::of),
            id: order.get("order_id").and_then(key_of),
            at: Some(entry.at),
            ..contents.known(catalogue)
        })
    }

    /// As templates see it, of these fields only: the products, how many there are, and what they cost. That is not
    /// said where a price is missing, currencies differ, or there are too many to know.
    pub fn to_value(&self, is_read: &dyn Fn(&str) -> bool) -> Value {
        let products = &self.products;
        let mut said = Map::new();
        let mut put = |name: &str, value: &dyn Fn() -> Value| {
            if is_read(name) {
                said.insert(name.to_owned(), value());
            }
        };
        put("products", &|| products.iter().take(MOST).map(Product::to_value).collect());
        put("quantity", &|| products.iter().map(|p| p.quantity).sum::<Amount>().to_number());
        let (total, currency) = if is_read("total") || is_read("currency") { self.total() } else { (None, None) };
        if let Some(total) = self.paid.or(total) {
            put("total", &|| total.to_string().into());
        }
        if let Some(currency) = currency {
            put("currency", &|| currency.into());
        }
        if let Some(id) = &self.id {
            put("id", &|| (**id).into());
        }
        if let Some(at) = self.at {
            put("at", &|| at.to_string().into());
        }
        if let Some(url) = self.recovery {
            put("recovery_url", &|| url.into());
        }
        Value::Object(said)
    }

    /// What the products cost, and in which currency.
    fn total(&self) -> (Option<Amount>, Option<&str>) {
        let mut currencies: Vec<&str> =
            self.products.iter().filter_map(Product::currency).chain(self.currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let total = self.products.iter().map(Product::total).sum::<Option<Amount>>();
        let total = total.filter(|_| currencies.len() < 2 && !self.is_cut);
        (total, currencies.first().copied().filter(|_| total.is_some()))
    }
}

fn is_of_carts(entry: &Entry) -> bool {
    WHOLE.contains(&&*entry.name) || matches!(&*entry.name, "Product Added" | "Product Removed" | ORDER)
}

fn id_of(entry: &Entry) -> Option<Cow<'_, str>> {
    entry.fields().get(CART).and_then(key_of)
}

fn listed(said: &Value) -> Option<&Vec<Value>> {
    said.get("products").and_then(Value::as_array)
}

/// What is in it.
#[derive(Default)]
struct Contents<'a> {
    products: Vec<Product<'a>>,
    /// There were more than fit.
    is_cut: bool,
}

impl<'a> Contents<'a> {
    /// What an event speaks of, once more: each product that it lists, or the one that it is about.
    fn put_all(&mut self, said: &'a Value) {
        match listed(said) {
            Some(several) => several.iter().filter_map(Product::of).for_each(|product| self.put(product)),
            None => Product::of(said).into_iter().for_each(|product| self.put(product)),
        }
    }

    /// One product more: the same one again adds to how many there are.
    fn put(&mut self, mut product: Product<'a>) {
        let has_room = self.products.len() < LARGEST;
        match self.products.iter_mut().find(|known| known.id == product.id) {
            Some(known) => {
                product.quantity = product.quantity + known.quantity;
                known.renew(product);
            }
            None if has_room => self.products.push(product),
            None => self.is_cut = true,
        }
    }

    /// So many less of it; without a number, all. Without a variant, all variants are meant.
    fn remove(&mut self, said: &Value) {
        let gone: Vec<&Value> = listed(said).map_or_else(|| vec![said], |several| several.iter().collect());
        for one in gone {
            let Some(id) = identity(one) else { continue };
            let quantity = one.get("quantity").and_then(Amount::of);
            for known in self.products.iter_mut().filter(|known| known.is_one_of(&id)) {
                known.quantity = quantity.map_or(Amount::ZERO, |n| known.quantity - n);
            }
        }
        self.products.retain(|known| known.quantity > Amount::ZERO);
    }

    /// With what the catalogue knows of them.
    fn known(mut self, catalogue: &Catalogue) -> Cart<'a> {
        self.products.iter_mut().for_each(|product| product.fill(catalogue));
        let Self { products, is_cut } = self;
        Cart { products, is_cut, currency: None, paid: None, id: None, at: None, recovery: None }
    }
}
