//! A row, or a record of a shop, as a product: its columns are known by the names that shops and product feeds give them.

use serde_json::{Value, json};

use super::mapping::time;
use crate::model::{CatalogueItem, Timestamp};

/// Names of the columns, the first that is there counts.
const ID: &[&str] = &["product_id", "id", "sku"];
const NAME: &[&str] = &["name", "title"];
const URL: &[&str] = &["url", "link"];
const IMAGE: &[&str] = &["image_url", "image_link", "image"];
const PRICE: &[&str] = &["price"];
const CURRENCY: &[&str] = &["currency"];
const CATEGORY: &[&str] = &["category", "product_type"];
const STOCK: &[&str] = &["stock", "quantity", "inventory"];
const UPDATED: &[&str] = &["updated", "updated_at"];
/// The longest text of a product, and the longest id.
const LONGEST: (usize, usize) = (2_000, 200);
/// One product; `now` where the row does not say when it was so.
///
/// # Errors
/// What is wrong with the row, in words without its content.
pub fn item(row: &Value, now: Timestamp) -> Result<CatalogueItem, String> {
    let text = |names: &[&str], most: usize| -> Result<Option<Box<str>>, String> {
        let Some((name, value)) = names.iter().find_map(|name| Some((*name, row.get(*name)?))) else { return Ok(None) };
        let text = match value {
            Value::Null => return Ok(None),
            Value::String(text) => text.trim().to_owned(),
            Value::Number(n) => n.to_string(),
            _ => return Err(format!("has no text as its `{name}`")),
        };
        if text.len() > most {
            return Err(format!("has a `{name}` of more than {most} bytes"));
        }
        Ok((!text.is_empty()).then(|| text.into()))
    };
    let id = text(ID, LONGEST.1)?.ok_or("has no id: a column `product_id`, `id` or `sku`")?;
    let price = text(PRICE, LONGEST.1)?;
    let mut currency = text(CURRENCY, LONGEST.1)?;
    // Product feeds write both in one: `15.00 EUR`.
    let price = match price.as_deref().map(|price| price.split_once(' ').unwrap_or((price, ""))) {
        Some((amount, of)) => {
            if !of.is_empty() && currency.is_none() {
                currency = Some(of.trim().into());
            }
            let is_amount = amount.parse::<f64>().is_ok_and(f64::is_finite);
            Some(if is_amount { Box::from(amount) } else { return Err("has a price that is no number".to_owned()) })
        }
        None => None,
    };
    let stock = match text(STOCK, LONGEST.1)? {
        Some(stock) => {
            let number = stock.parse::<f64>().ok().filter(|n| n.is_finite() && n.abs() < 1e15);
            Some(number.ok_or("has a stock that is no number")?.floor() as i64)
        }
        None => None,
    };
    let updated = match text(UPDATED, LONGEST.1)? {
        Some(at) => time(&at).ok_or("has an `updated` that is no instant (RFC 3339)")?,
        None => now,
    };
    let (name, url, image_url) = (text(NAME, LONGEST.0)?, text(URL, LONGEST.0)?, text(IMAGE, LONGEST.0)?);
    Ok(CatalogueItem {
        id,
        name,
        url,
        image_url,
        price,
        currency,
        category: text(CATEGORY, LONGEST.0)?,
        stock,
        updated,
    })
}

/// A product as it is written down.
pub fn shown(item: &CatalogueItem) -> Value {
    json!({
        "id": &*item.id,
        "name": item.name,
        "url": item.url,
        "image_url": item.image_url,
        "price": item.price,
        "currency": item.currency,
        "category": item.category,
        "stock": item.stock,
        "updated": item.updated,
    })
}
