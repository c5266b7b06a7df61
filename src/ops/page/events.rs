//! What came, newest first, and what is for sale by now: what the numbers of sources count.

use axum::Extension;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activations::{choice, escaped};
use super::frame::{Page, View};
use super::pieces::{heads, live, nothing, number, when, wide};
use super::refused;
use crate::model::Timestamp;
use crate::ops::access::Caller;
use crate::ops::events::{Shown, came};
use crate::ops::server::Shared;

/// Shown on one page.
const PAGE: usize = 50;

/// Of which source, and before which position.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    source: String,
    before: Option<u64>,
}

/// Where the events of a source are.
pub fn of_source(source: &str) -> String {
    format!("/connectors/events?source={}", escaped(source))
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Response {
    let now = shared.watched.clock.now();
    let source = Some(asked.source.trim()).filter(|source| !source.is_empty());
    let page = match came(&*shared.watched.store, source, asked.before, PAGE).await {
        Ok(page) => page,
        Err(error) => return refused(&caller, View::Connectors, &error),
    };
    let path = of_source(&asked.source);
    let listed = html! {
        @if page.found.is_empty() { (nothing(if page.next.is_some() { "None among those that were looked through." } else { "There are none in the journal." })) } @else {
            (wide("Accepted events", html! { table {
                (heads(&["#Position", "Came", "Happened", "Source", "Event", "Whose"]))
                tbody { @for one in &page.found { (row(one, now)) } }
            } }))
        }
        @if let Some(next) = page.next { p { a.button href=(format!("{path}&before={next}")) { "Older ones" } } }
    };
    let sources: Vec<String> = shared.watched.sources.iter().map(|(name, _)| name.to_string()).collect();
    let main = html! {
        form.line method="get" action="/connectors/events" { (choice("source", "Source", &sources, &asked.source, "all")) button { "Show" } }
        // Only the first page changes by itself.
        @if asked.before.is_none() { (live("events", &path, listed)) } @else { (listed) }
    };
    let beside = html! { p.muted { (number(shared.watched.store.counts().journaled.0)) " were accepted in all" } };
    Page::new(&caller, View::Connectors, "Events").beside(beside).with(&main).into_response()
}

fn row(one: &Shown, now: Timestamp) -> Markup {
    html! { tr {
        td.n { (number(one.position)) }
        td { (when(one.arrived, now)) }
        td { (when(one.at, now)) }
        td { a href=(format!("/connectors/{}", one.source)) { (one.source) } }
        td { (one.name) }
        td { @match &one.person {
            Some(person) => a href=(format!("/people/{person}")) { code { (person.chars().take(8).collect::<String>()) } },
            None => span.muted { "nobody known" },
        } }
    } }
}

/// From which product on.
#[derive(Debug, Deserialize)]
pub struct From {
    after: Option<String>,
}

/// What is for sale.
pub async fn products(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<From>,
) -> Markup {
    let (catalogue, now) = (shared.watched.store.catalogue(), shared.watched.clock.now());
    let some: Vec<_> = catalogue.after(asked.after.as_deref()).take(PAGE).collect();
    let main = html! {
        @if some.is_empty() { (nothing("No product is known.")) } @else {
            (wide("Products", html! { table {
                (heads(&["Product", "Name", "Category", "#Price", "#In stock", "As of"]))
                tbody { @for one in &some { tr {
                    th scope="row" { (one.id) }
                    td { (one.name.as_deref().unwrap_or("-")) }
                    td { (one.category.as_deref().unwrap_or("-")) }
                    td.n { (one.price.as_deref().unwrap_or("-")) " " (one.currency.as_deref().unwrap_or_default()) }
                    td.n { (one.stock.map_or("-".to_owned(), |stock| stock.to_string())) }
                    td { (when(one.updated, now)) }
                } } }
            } }))
        }
        @if let Some(last) = some.last().filter(|_| some.len() == PAGE) { p { a.button href=(format!("/connectors/products?after={}", escaped(&last.id))) { "Those behind them" } } }
    };
    let beside = html! { p.muted { (number(catalogue.len() as u64)) " for sale" } };
    Page::new(&caller, View::Connectors, "Products").beside(beside).with(&main)
}
