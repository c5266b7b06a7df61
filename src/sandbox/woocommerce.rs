//! WooCommerce: the REST API v3 of a shop whose clock is three hours behind UTC. Facts from its public API documentation
//! (v3) and its issues; every shop is a host of its own, so the limit here is a host's.
//!
//! Kinds of records: `orders`, `customers`, `products`, `webhooks`, in the shape of the REST API; `refunds`, which say in
//! `order_id` of which order, and are given below it without that.

use std::sync::Arc;

use axum::http::Method;
use serde_json::{Value, json};

use super::call::{self, Answer, Call, Verdict, query_of};
use super::faults::{Fault, Kind};
use super::received::Ledger;
use super::records::{Records, Row, Shape, set};
use super::stamp::{self, Stamp};
use super::{Options, Vendor};

/// The shop's clock is so many milliseconds behind UTC.
pub(super) const BEFORE_UTC: i64 = 3 * 3_600_000;
/// Calls in progress that the host bears. The vendor has no limit, hosts do.
const IN_PROGRESS: usize = 4;
/// Records in a page: usual and most (API documentation; the most is WordPress's).
const PAGE: (usize, usize) = (10, 100);
const API: &str = "/wp-json/wc/v3/";

/// The simulated shop.
pub(super) struct Woocommerce {
    options: Arc<Options>,
    ledger: Ledger,
    records: Records,
}

fn shape(kind: &str) -> Option<Shape> {
    matches!(kind, "orders" | "customers" | "products" | "webhooks" | "refunds").then_some(Shape {
        id: "/id",
        new_id: |n| (90_000 + n).into(),
        created: &[("/date_created_gmt", Stamp::Bare(0)), ("/date_created", Stamp::Bare(BEFORE_UTC))],
        modified: &[("/date_modified_gmt", Stamp::Bare(0)), ("/date_modified", Stamp::Bare(BEFORE_UTC))],
    })
}

impl Vendor for Woocommerce {
    fn answer(&self, call: &Call) -> Answer {
        if self.options.limits && call.in_progress > IN_PROGRESS {
            return call::html(503, "Service Temporarily Unavailable").with(Verdict::Throttled);
        }
        if call.path == "/wp-json" {
            return Answer::json(
                200,
                &json!({"name": "Sandbox", "url": "https://shop.example", "namespaces": ["wc/v3"]}),
            );
        }
        let Some(path) = call.path.strip_prefix(API) else {
            let words = "No route was found matching the URL and request method.";
            return error(404, "rest_no_route", words);
        };
        if let Err(answer) = self.let_in(call) {
            return answer;
        }
        let (kind, id) = path.split_once('/').map_or((path, None), |(kind, id)| (kind, Some(id)));
        if let (Some(order), &Method::GET) = (id.and_then(|id| id.strip_suffix("/refunds")), &call.method) {
            return self.refunds(call, order);
        }
        if shape(kind).is_none() || kind == "refunds" {
            return error(404, "rest_no_route", "No route was found matching the URL and request method.");
        }
        match (id, &call.method) {
            (None, &Method::GET) => self.list(call, kind),
            (Some(id), &Method::GET) => match self.records.find(kind, id).filter(|r| r.visible <= call.at) {
                Some(row) => Answer::json(200, &shown(&row, kind, call)),
                None => invalid_id(kind),
            },
            (None, &Method::POST) if kind == "webhooks" => self.create_webhook(call),
            (Some(id), &(Method::PUT | Method::POST)) if kind == "webhooks" => self.change_webhook(call, id),
            (Some(id), &Method::DELETE) if kind == "webhooks" => self.delete_webhook(call, id),
            _ => error(404, "rest_no_route", "No route was found matching the URL and request method."),
        }
    }

    fn failure(&self, _: &Call, fault: &Fault) -> Answer {
        let answer = match (fault.kind, fault.status()) {
            (Kind::RevokeScope, _) => error(403, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources."),
            (Kind::ErrorInside, _) => {
                error(500, "internal_server_error", "There has been a critical error on this website.")
            }
            (_, 401) => error(401, "woocommerce_rest_authentication_error", "Consumer key is invalid."),
            // Anything else comes from the host in front of the shop.
            (_, status) => call::html(status, "Something went wrong"),
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

impl Woocommerce {
    /// An empty shop.
    pub fn new(options: Arc<Options>) -> Self {
        let ledger = Ledger::new(options.bodies);
        Self { options, ledger, records: Records::new(shape) }
    }

    /// Key and secret: Basic, or in the query where a host strips the header.
    fn let_in(&self, call: &Call) -> Result<(), Answer> {
        let in_query = || Some((call.param("consumer_key")?.to_owned(), call.param("consumer_secret")?.to_owned()));
        match call.basic().or_else(in_query) {
            Some((key, _)) if key != self.options.client_id => {
                Err(error(401, "woocommerce_rest_authentication_error", "Consumer key is invalid."))
            }
            Some((_, secret)) if secret != self.options.api_key => {
                Err(error(401, "woocommerce_rest_authentication_error", "Consumer secret is invalid."))
            }
            Some(_) => Ok(()),
            None => Err(error(401, "woocommerce_rest_cannot_view", "Sorry, you cannot list resources.")),
        }
    }

    /// A page of a collection.
    fn list(&self, call: &Call, kind: &str) -> Answer {
        let number =
            |name: &str, usual: usize| call.param(name).map_or(Ok(usual), |v| v.parse().map_err(|_| name.to_owned()));
        let (page, size) = match (number("page", 1), number("per_page", PAGE.0)) {
            (Ok(page), Ok(size)) if page >= 1 && (1..=PAGE.1).contains(&size) => (page, size),
            (Ok(0) | Err(_), _) => return invalid_param("page"),
            _ => return invalid_param("per_page"),
        };
        let mut rows = match self.chosen(call, kind) {
            Ok(rows) => rows,
            Err(answer) => return answer,
        };
        let total = rows.len();
        let pages = total.div_ceil(size).max(usize::from(call.is_stuck) * (page + 1));
        let from = if call.is_stuck { 0 } else { (page - 1).saturating_mul(size) };
        rows.drain(..from.min(total));
        rows.truncate(size);
        self.records.note(kind, &self.asked(call), &rows, call.at);
        let bodies: Vec<Value> = rows.iter().map(|row| shown(row, kind, call)).collect();
        let mut answer = Answer::json(200, &bodies.into());
        if total == 0 {
            "[]".clone_into(&mut answer.body);
        }
        let link = |rel: &str, page: usize| {
            let page = page.to_string();
            let others = call.query.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| *n != "page");
            let pairs = others.chain([("page", page.as_str())]);
            format!("<{}{}?{}>; rel=\"{rel}\"", call.base, call.path, query_of(pairs))
        };
        let before = (page > 1).then(|| link("prev", page - 1));
        let after = (page < pages).then(|| link("next", page + 1));
        let links: Vec<String> = before.into_iter().chain(after).collect();
        if !links.is_empty() {
            answer = answer.header("link", links.join(", "));
        }
        answer.header("x-wp-total", total).header("x-wp-totalpages", pages)
    }

    /// The refunds of an order.
    fn refunds(&self, call: &Call, order: &str) -> Answer {
        if self.records.find("orders", order).is_none() {
            return invalid_id("orders");
        }
        let mut rows = self.records.all("refunds", call.at);
        rows.retain(|row| row.body.get("order_id").map(Value::to_string).as_deref() == Some(order));
        let mut bodies: Vec<Value> =
            rows.iter().map(|row| shown(row, &format!("orders/{order}/refunds"), call)).collect();
        for body in &mut bodies {
            body.as_object_mut().map(|map| map.shift_remove("order_id"));
        }
        Answer::json(200, &bodies.into())
    }

    /// The query without what lets in.
    fn asked(&self, call: &Call) -> String {
        call.asked().split('&').filter(|p| !p.starts_with("consumer_")).collect::<Vec<_>>().join("&")
    }

    /// The records that the filters mean, sorted.
    fn chosen(&self, call: &Call, kind: &str) -> Result<Vec<Arc<Row>>, Answer> {
        // Without the flag a date is the shop's own time, whatever zone it is written with.
        let before = if call.param("dates_are_gmt") == Some("true") { 0 } else { BEFORE_UTC };
        let date = |name: &str| match call.param(name) {
            None | Some("") => Ok(None),
            Some(text) => {
                let bare = text.trim_end_matches('Z');
                let bare = bare.get(..19).unwrap_or(bare);
                stamp::read(bare, before).map(Some).ok_or_else(|| invalid_param(name))
            }
        };
        // Bounds are exclusive, as WordPress's date queries are where nothing else is said (inference).
        let (mut from, mut until) = (i64::MIN, i64::MAX);
        let (after, before) = (date("modified_after")?, date("modified_before")?);
        // Customers cannot be filtered by change: the parameter is ignored (issue 31482).
        if kind != "customers" {
            from = after.map_or(from, |at| at.saturating_add(1));
            until = before.unwrap_or(until);
        }
        let mut rows = self.records.between(kind, from, until, call.at);
        let created = (date("after")?, date("before")?);
        rows.retain(|r| created.0.is_none_or(|at| r.created > at) && created.1.is_none_or(|at| r.created < at));
        let is = |row: &Row, name: &str, value: &str| row.body.get(name).and_then(Value::as_str) == Some(value);
        match call.param("status") {
            None | Some("any" | "all") => rows.retain(|r| kind == "webhooks" || !is(r, "status", "trash")),
            Some(wanted) => rows.retain(|r| wanted.split(',').any(|s| is(r, "status", s))),
        }
        if kind == "customers" {
            match call.param("role").unwrap_or("customer") {
                "all" => {}
                role => rows.retain(|r| is(r, "role", role)),
            }
        }
        if let Some(email) = call.param("email") {
            rows.retain(|r| is(r, "email", email));
        }
        if let Some(ids) = call.param("include") {
            rows.retain(|r| ids.split(',').any(|id| id == r.id));
        }
        let usual = if kind == "customers" { "name" } else { "date" };
        match (call.param("orderby").unwrap_or(usual), kind) {
            ("id" | "include", _) => rows.sort_by_key(|r| r.number),
            ("modified", "orders" | "products") => rows.sort_by_key(|r| (r.modified, r.number)),
            // Ties stay as they fall: pages by date repeat and skip (issue 33386).
            ("date" | "registered_date", _) => rows.sort_by_key(|r| (r.created, r.number.reverse_bits())),
            ("name" | "title" | "slug", _) => {
                rows.sort_by_key(|r| r.body.get("last_name").or(r.body.get("name")).map(Value::to_string));
            }
            _ => return Err(invalid_param("orderby")),
        }
        let usual = if kind == "customers" { "asc" } else { "desc" };
        match call.param("order").unwrap_or(usual) {
            "asc" => {}
            "desc" => rows.reverse(),
            _ => return Err(invalid_param("order")),
        }
        Ok(rows)
    }

    fn create_webhook(&self, call: &Call) -> Answer {
        let body: Value = serde_json::from_slice(&call.body).unwrap_or(Value::Null);
        let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("");
        let topic = text("topic");
        let Some((resource, event)) = topic.split_once('.').filter(|_| is_topic(topic)) else {
            return error(400, "woocommerce_rest_invalid_webhook_topic", "Webhook topic must be valid.");
        };
        let url = text("delivery_url");
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let words = "Webhook delivery URL must be a valid URL starting with http:// or https://.";
            return error(400, "woocommerce_rest_invalid_webhook_delivery_url", words);
        }
        let status = if text("status").is_empty() { "active" } else { text("status") };
        let hook = json!({
            "name": text("name"), "status": status, "topic": topic, "resource": resource, "event": event, "hooks": [],
            "delivery_url": url, "secret": text("secret"),
        });
        match self.records.put("webhooks", hook, call.at, i64::MIN) {
            Ok(id) => match self.records.find("webhooks", &id) {
                Some(row) => Answer::json(201, &shown(&row, "webhooks", call)),
                None => invalid_id("webhooks"),
            },
            Err(words) => error(400, "rest_invalid_param", &words),
        }
    }

    fn change_webhook(&self, call: &Call, id: &str) -> Answer {
        let Ok(patch) = serde_json::from_slice::<Value>(&call.body) else {
            return error(400, "rest_invalid_json", "Invalid JSON body passed.");
        };
        let is_status = |s: &str| matches!(s, "active" | "paused" | "disabled");
        if patch.get("status").and_then(Value::as_str).is_some_and(|s| !is_status(s)) {
            return invalid_param("status");
        }
        match self.records.change("webhooks", id, patch, call.at).map(|()| self.records.find("webhooks", id)) {
            Ok(Some(row)) => Answer::json(200, &shown(&row, "webhooks", call)),
            _ => invalid_id("webhooks"),
        }
    }

    fn delete_webhook(&self, call: &Call, id: &str) -> Answer {
        if call.param("force") != Some("true") {
            return error(501, "woocommerce_rest_trash_not_supported", "Webhooks do not support trashing.");
        }
        match self.records.find("webhooks", id) {
            Some(row) => {
                self.records.remove("webhooks", id);
                Answer::json(200, &shown(&row, "webhooks", call))
            }
            None => invalid_id("webhooks"),
        }
    }
}

/// Topics are `order.created` and its like, or `action.` with a hook's name.
fn is_topic(topic: &str) -> bool {
    let Some((resource, event)) = topic.split_once('.') else { return false };
    match resource {
        "action" => !event.is_empty(),
        "order" | "product" | "coupon" => matches!(event, "created" | "updated" | "deleted" | "restored"),
        "customer" => matches!(event, "created" | "updated" | "deleted"),
        _ => false,
    }
}

/// A record as it is given: with its links, without a secret, and only the `_fields` that were asked for.
fn shown(row: &Row, kind: &str, call: &Call) -> Value {
    let mut body = row.body.clone();
    let links = json!({
        "self": [{"href": format!("https://shop.example{API}{kind}/{}", row.id)}],
        "collection": [{"href": format!("https://shop.example{API}{kind}")}],
    });
    set(&mut body, "/_links", links);
    if let Some(map) = body.as_object_mut() {
        map.shift_remove("secret");
        if let Some(fields) = call.param("_fields") {
            map.retain(|name, _| fields.split(',').any(|f| f.trim().split('.').next() == Some(name)));
        }
    }
    body
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    let body = json!({"code": code, "message": message, "data": {"status": status}});
    Answer::json(status, &body).with(Verdict::Refused)
}

fn invalid_param(name: &str) -> Answer {
    let mut data = json!({"status": 400, "params": {}});
    set(&mut data, &format!("/params/{name}"), format!("{name} is invalid.").into());
    let body = json!({"code": "rest_invalid_param", "message": format!("Invalid parameter(s): {name}"), "data": data});
    Answer::json(400, &body).with(Verdict::Refused)
}

fn invalid_id(kind: &str) -> Answer {
    let one = kind.trim_end_matches('s');
    error(404, &format!("woocommerce_rest_{one}_invalid_id"), "Invalid ID.")
}
