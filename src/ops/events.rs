//! What came: accepted events, newest first, and whose they are now. What an event says may be somebody's and is not told.

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::api::refused;
use super::server::Shared;
use crate::model::{Event, Position, Timestamp};
use crate::store::{Store, StoreError};

/// Told on one page at most, and where nothing is said.
const MOST: usize = 500;
const USUAL: usize = 100;

/// An accepted event.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventShown)]
pub struct Shown {
    /// Its position in the journal.
    pub position: u64,
    /// When it came.
    pub arrived: Timestamp,
    /// When it happened.
    pub at: Timestamp,
    /// The source it came from.
    pub source: String,
    /// Its name.
    pub name: String,
    /// The person's key in the store; null where it is not decided yet, or speaks of nobody.
    pub person: Option<String>,
}

/// A page of them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = EventPage)]
pub struct Page {
    /// Newest first. May be empty before the end: a page looks at a bounded number of others, too.
    pub found: Vec<Shown>,
    /// For `before` of the next page; none at the end.
    pub next: Option<u64>,
}

/// A page before this position: of one source or of all.
pub async fn came(
    store: &dyn Store,
    source: Option<&str>,
    before: Option<u64>,
    max: usize,
) -> Result<Page, StoreError> {
    let page = store.came(source, before.map(Position), max).await?;
    let mut found = Vec::with_capacity(page.found.len());
    for (position, event) in page.found {
        let person = whose(store, &event).await?;
        found.push(Shown {
            position: position.0,
            arrived: event.arrived,
            at: event.at,
            source: event.source.to_string(),
            name: event.name.to_string(),
            person,
        });
    }
    Ok(Page { found, next: page.next.map(|next| next.0) })
}

/// By the strongest sort of name in it first.
async fn whose(store: &dyn Store, event: &Event) -> Result<Option<String>, StoreError> {
    let (telling, others): (Vec<_>, Vec<_>) = event.identifiers.iter().partition(|name| name.kind.names_a_person());
    for name in telling.into_iter().chain(others) {
        if let Some(person) = store.find(name).await? {
            return Ok(Some(person.to_string()));
        }
    }
    Ok(None)
}

/// What is looked for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Of this source.
    source: Option<String>,
    /// Only those before this position: where another page begins.
    before: Option<u64>,
    /// So many, 100 where nothing is said, 500 at most.
    max: Option<usize>,
}

/// Accepted events as far as the journal keeps them, newest first. What they say is not told.
#[utoipa::path(get, path = "/api/events", tag = "connectors", params(Asked), responses((status = 200, body = Page)))]
pub async fn get_came(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    let max = asked.max.unwrap_or(USUAL).clamp(1, MOST);
    match came(&*shared.watched.store, asked.source.as_deref(), asked.before, max).await {
        Ok(page) => Json(page).into_response(),
        Err(error) => refused(&error),
    }
}
