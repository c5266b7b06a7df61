//! Magento 2: orders, customers, carts and products over REST, by an integration's token alone (`Bearer`) or with each
//! call signed. Facts from the vendor's developer pages and issues of magento/magento2.
//!
//! Kinds of records: `orders`, `customers`, `carts`, `products`.

/// `searchCriteria`.
mod criteria;
/// OAuth 1.0a.
mod signature;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use axum::http::Method;
use serde_json::{Map, Value, json};

use super::call::{self, Answer, Call, Verdict};
use super::faults::{Fault, Kind};
use super::received::{Ledger, lock};
use super::records::{Records, Row, Shape};
use super::stamp::Stamp;
use super::{Options, Vendor};
use criteria::Criteria;
use signature::Integration;

/// Calls in progress that the shop's workers bear. The vendor has no limit, hosts do.
const IN_PROGRESS: usize = 4;

/// The simulated shop.
pub(super) struct Magento {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
    nonces: Mutex<HashSet<String>>,
}

fn shape(kind: &str) -> Option<Shape> {
    matches!(kind, "orders" | "customers" | "carts" | "products").then_some(Shape {
        id: if kind == "orders" { "/entity_id" } else { "/id" },
        new_id: |n| (900_000 + n).into(),
        created: &[("/created_at", Stamp::Sql)],
        modified: &[("/updated_at", Stamp::Sql)],
    })
}

impl Vendor for Magento {
    fn answer(&self, call: &Call) -> Answer {
        if self.options.limits && call.in_progress > IN_PROGRESS {
            return call::html(429, "Too Many Requests").header("retry-after", 1);
        }
        // `/rest/{store}/V1/…`; without a store it is the default one.
        let rest = call.path.strip_prefix("/rest/").unwrap_or("");
        let rest = rest.strip_prefix("V1/").or_else(|| rest.split_once("/V1/").map(|(_, rest)| rest));
        let Some(rest) = rest else { return message(404, "Request does not match any route.", &json!({})) };
        let (kind, resource) = match rest {
            "orders" => ("orders", "Magento_Sales::actions_view"),
            "customers/search" => ("customers", "Magento_Customer::customer"),
            "carts/search" => ("carts", "Magento_Cart::manage"),
            "products" => ("products", "Magento_Catalog::products"),
            "store/storeConfigs" => ("", "Magento_Backend::store"),
            other => match other.split_once('/') {
                Some(("orders", _)) => ("orders", "Magento_Sales::actions_view"),
                Some(("customers", _)) => ("customers", "Magento_Customer::customer"),
                _ => return message(404, "Request does not match any route.", &json!({})),
            },
        };
        if let Err(words) = self.let_in(call) {
            return message(401, words, &json!({"resources": resource}));
        }
        if call.method != Method::GET {
            return message(404, "Request does not match any route.", &json!({}));
        }
        if kind.is_empty() {
            let store = json!({"id": 1, "code": "default", "website_id": 1, "locale": "en_US", "timezone": "Europe/Lisbon",
                "base_currency_code": "EUR", "base_url": "https://shop.example/"});
            return Answer::json(200, &json!([store]));
        }
        match rest.split_once('/') {
            Some(("orders" | "customers", id)) if id != "search" => {
                match self.records.find(kind, id).filter(|r| r.visible <= call.at) {
                    Some(row) => Answer::json(200, &row.body),
                    None => message(
                        404,
                        "The entity that was requested doesn't exist. Verify the entity and try again.",
                        &json!({}),
                    ),
                }
            }
            _ => self.list(call, kind),
        }
    }

    fn failure(&self, _: &Call, fault: &Fault) -> Answer {
        let answer = match (fault.kind, fault.status()) {
            // A missing role is 401 too, and no dead token.
            (Kind::RevokeScope, _) | (_, 401) => {
                let words = "The consumer isn't authorized to access %resources.";
                message(401, words, &json!({"resources": "Magento_Sales::actions_view"}))
            }
            (_, status @ (400 | 404)) => message(status, "The request is invalid on demand.", &json!({})),
            (_, 500) | (Kind::ErrorInside, _) => {
                let words = "Internal Error. Details are available in Magento log file. Report ID: webapi-5a0e9c";
                message(500, words, &json!({}))
            }
            // Anything else comes from what stands in front of the shop.
            (_, status) => call::html(status, "Backend fetch failed"),
        };
        match fault.retry_after {
            Some(seconds) => answer.header("retry-after", seconds),
            None => answer,
        }
    }

    fn ledger(&self) -> &Ledger {
        &self.ledger
    }
    fn records(&self) -> &Records {
        &self.records
    }
}

impl Magento {
    /// An empty shop.
    pub fn new(options: Arc<Options>) -> Self {
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(shape), nonces: Mutex::default() }
    }

    /// The access token alone, or each call signed. All four parts of the integration are the account's key and id.
    fn let_in(&self, call: &Call) -> Result<(), &'static str> {
        let (id, secret) = (self.options.client_id.as_str(), self.options.api_key.as_str());
        if call.credentials("OAuth").is_some() {
            let integration = Integration { consumer: (id, secret), token: (secret, secret) };
            return signature::check(call, &integration, &mut lock(&self.nonces));
        }
        if call.credentials("Bearer") == Some(secret) {
            return Ok(());
        }
        Err("The consumer isn't authorized to access %resources.")
    }

    /// A page of a collection; beyond the last one, the last one again (issue 3787).
    fn list(&self, call: &Call, kind: &str) -> Answer {
        let criteria = match Criteria::read(call) {
            Ok(Some(criteria)) => criteria,
            Ok(None) => {
                let words = "\"%fieldName\" is required. Enter and try again.";
                return message(400, words, &json!({"fieldName": "searchCriteria"}));
            }
            Err(name) => return message(400, "Property \"%1\" does not have a valid value.", &json!([name])),
        };
        let mut rows: Vec<Arc<Row>> = self.records.all(kind, call.at);
        rows.retain(|row| criteria.fits(row));
        criteria.sort(&mut rows);
        let total = rows.len();
        let size = if criteria.size == 0 { total.max(1) } else { criteria.size };
        let pages = total.div_ceil(size).max(1);
        let page = if call.is_stuck { 1 } else { criteria.page.clamp(1, pages) };
        rows.drain(..((page - 1) * size).min(total));
        rows.truncate(size);
        self.records.note(kind, &call.asked(), &rows, call.at);
        let items: Vec<Value> = rows.iter().map(|r| r.body.clone()).collect();
        let total = if call.is_stuck { total + size * (criteria.page + 1) } else { total };
        let body = json!({
            "items": if items.is_empty() { Value::Null } else { items.into() },
            "search_criteria": {"filter_groups": [], "page_size": criteria.size, "current_page": criteria.page},
            "total_count": total,
        });
        Answer::json(200, &call.param("fields").map_or_else(|| body.clone(), |fields| only(&body, fields)))
    }
}

/// The parts that `fields=items[entity_id,items[sku]],total_count` names.
fn only(value: &Value, fields: &str) -> Value {
    match value {
        Value::Array(all) => all.iter().map(|one| only(one, fields)).collect(),
        Value::Object(map) => {
            let mut kept = Map::new();
            for part in parts(fields) {
                let (name, below) = match part.split_once('[') {
                    Some((name, rest)) => (name, Some(rest.strip_suffix(']').unwrap_or(rest))),
                    None => (part, None),
                };
                if let Some(value) = map.get(name) {
                    kept.insert(name.to_owned(), below.map_or_else(|| value.clone(), |fields| only(value, fields)));
                }
            }
            kept.into()
        }
        other => other.clone(),
    }
}

/// Parts between commas outside of brackets.
fn parts(fields: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, c) in fields.char_indices() {
        match c {
            '[' => depth += 1,
            ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(fields.get(from..at).unwrap_or("").trim());
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(fields.get(from..).unwrap_or("").trim());
    parts
}

/// An error: words with places for its parameters, which are not filled in.
fn message(status: u16, words: &str, parameters: &Value) -> Answer {
    let mut body = json!({"message": words});
    if parameters.as_object().is_none_or(|map| !map.is_empty()) {
        super::records::set(&mut body, "/parameters", parameters.clone());
    }
    Answer::json(status, &body).with(Verdict::Refused)
}
