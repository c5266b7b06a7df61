//! The cart as it was at the edge, of one cart alone, and the last order.

use serde_json::{Map, Value};

use super::product::{Product, identity};
use crate::model::{Catalogue, Entry};
use crate::rules::amount::Amount;
use crate::rules::path::key_text;
use crate::rules::view::View;

/// The property by which events name their cart.
const CART: &str = "cart_id";
/// Events that say what is in a cart, all of it.
const WHOLE: &[&str] = &["Cart Viewed", "Cart Updated", "Checkout Started"];
/// Where an event leads back to its cart, the first before all.
const RECOVERY: &[&str] = &["recovery_url", "abandoned_checkout_url", "checkout_url", "cart_url"];
/// The most products that are told of one, and that are kept while it is put together.
const MOST: usize = 100;
const LARGEST: usize = 500;

/// The cart that a template speaks of: the key's own where the trigger is asked for each cart, else the latest the person
/// did something with. Nothing where there is none.
pub fn cart(view: &View<'_>, catalogue: &Catalogue) -> Option<Value> {
    let is_by_cart = view.key.filter(|(path, _)| path.to_text() == CART);
    let events = view.entries().iter().filter(|entry| is_of_carts(entry));
    let id: Option<Box<str>> = match is_by_cart {
        Some((_, key)) => Some(key.into()),
        None => id_of(events.clone().next_back()?),
    };
    // An event that names another cart, or none, is not of this one.
    let mut of_it = events.filter(|entry| id_of(entry) == id).peekable();
    of_it.peek()?;
    let (mut contents, mut recovery) = (Contents::default(), None);
    for entry in of_it {
        let said = entry.fields();
        match &*entry.name {
            "Order Completed" => {
                (contents, recovery) = (Contents::default(), None);
                continue;
            }
            name if WHOLE.contains(&name) && listed(said).is_some() => {
                contents = Contents::default();
                contents.put_all(said);
            }
            "Product Added" => contents.put_all(said),
            "Product Removed" => contents.remove(said),
            _ => {}
        }
        let url = RECOVERY.iter().find_map(|name| said.get(*name)).and_then(Value::as_str);
        recovery = url.map(str::to_owned).or(recovery);
    }
    let mut said = contents.said(catalogue, None);
    said.extend(id.map(|id| ("id".to_owned(), (*id).into())));
    said.extend(recovery.map(|url| ("recovery_url".to_owned(), url.into())));
    Some(Value::Object(said))
}

/// The newest order.
pub fn last_order(view: &View<'_>, catalogue: &Catalogue) -> Option<Value> {
    let entry = view.entries().iter().rfind(|entry| &*entry.name == "Order Completed")?;
    let order = entry.fields();
    let mut contents = Contents::default();
    contents.put_all(order);
    let mut said = contents.said(catalogue, order.get("currency").and_then(Value::as_str));
    // What the shop says is what was paid: shipping, taxes and discounts are in it.
    let paid = ["total", "revenue", "value"].iter().find_map(|name| order.get(*name)).and_then(Amount::of);
    said.extend(paid.map(|paid| ("total".to_owned(), paid.to_string().into())));
    said.extend(order.get("order_id").and_then(key_text).map(|id| ("id".to_owned(), (*id).into())));
    said.insert("at".to_owned(), entry.at.to_string().into());
    Some(Value::Object(said))
}

fn is_of_carts(entry: &Entry) -> bool {
    WHOLE.contains(&&*entry.name) || matches!(&*entry.name, "Product Added" | "Product Removed" | "Order Completed")
}

fn id_of(entry: &Entry) -> Option<Box<str>> {
    entry.fields().get(CART).and_then(key_text)
}

fn listed(said: &Value) -> Option<&Vec<Value>> {
    said.get("products").and_then(Value::as_array)
}

/// What is in it.
#[derive(Default)]
struct Contents {
    products: Vec<Product>,
    /// There were more than fit.
    is_cut: bool,
}

impl Contents {
    /// What an event speaks of, once more: each product that it lists, or the one that it is about.
    fn put_all(&mut self, said: &Value) {
        match listed(said) {
            Some(several) => several.iter().filter_map(Product::of).for_each(|product| self.put(product)),
            None => Product::of(said).into_iter().for_each(|product| self.put(product)),
        }
    }

    /// One product more: the same one again adds to how many there are.
    fn put(&mut self, mut product: Product) {
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

    /// The products, how many there are, and what they cost: not said where a price is missing, currencies differ, or
    /// there are too many to know.
    fn said(mut self, catalogue: &Catalogue, currency: Option<&str>) -> Map<String, Value> {
        self.products.iter_mut().for_each(|product| product.fill(catalogue));
        let products = &self.products;
        let mut said = Map::new();
        said.insert("products".to_owned(), products.iter().take(MOST).map(Product::to_value).collect());
        let quantity: Amount = products.iter().map(|p| p.quantity).sum();
        said.insert("quantity".to_owned(), quantity.to_number());
        let mut currencies: Vec<&str> = products.iter().filter_map(Product::currency).chain(currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        let total = products.iter().map(Product::total).sum::<Option<Amount>>();
        if let Some(total) = total.filter(|_| currencies.len() < 2 && !self.is_cut) {
            said.insert("total".to_owned(), total.to_string().into());
            said.extend(currencies.first().map(|currency| ("currency".to_owned(), (*currency).into())));
        }
        said
    }
}
