//! Whether triggers are live, for people: told, and changed.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::IntoParams;

use super::api::{Message, missing, refused};
use super::server::Shared;
use crate::model::{Activation, Order, PausePolicy, Release, Timestamp, TriggerId, TriggerStates};
use crate::rules::{Program, Trigger};
use crate::store::{Store, StoreError};

/// Held activations that are listed at most.
pub const MOST_LISTED: usize = 1_000;

/// A trigger's state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Liveness {
    /// Its name.
    pub name: String,
    /// `live`, `paused` or `guarded`.
    pub state: String,
    /// Since when it is not live.
    pub since: Option<Timestamp>,
    /// What becomes of its edges meanwhile.
    pub policy: Option<PausePolicy>,
    /// Occasions held since then.
    pub held: u64,
    /// Fires of this hour.
    pub this_hour: u64,
    /// Fires of an average hour of the week before; `None` in the first day.
    pub usual: Option<u64>,
    /// Fires that an hour may have before it pauses itself; `None` where no bound is set or known.
    pub limit: Option<u64>,
}

impl Liveness {
    /// Of a trigger at an instant.
    pub fn of(trigger: &Trigger, program: &Program, states: &TriggerStates, now: Timestamp) -> Self {
        let state = states.get(&trigger.id).map(|state| (**state).clone()).unwrap_or_default();
        let guard = trigger.gating.guard.guard(program.settings().gates.guard);
        let pause = state.pause.as_ref();
        let word = match pause {
            None => "live",
            Some(pause) if pause.by_guard.is_some() => "guarded",
            Some(_) => "paused",
        };
        Self {
            name: trigger.name.to_string(),
            state: word.into(),
            since: pause.map(|pause| pause.since),
            policy: pause.map(|pause| pause.policy),
            held: pause.map_or(0, |pause| pause.held),
            this_hour: state.fires.in_hour(now),
            usual: state.fires.rate(now).map(|(fires, hours)| fires / hours.max(1)),
            limit: guard.and_then(|guard| guard.limit(&state.fires, now)),
        }
    }

    /// In words, where it is not live.
    pub fn words(&self) -> String {
        let policy = self.policy.map_or("", PausePolicy::word);
        match (self.state.as_str(), self.since) {
            ("guarded", Some(since)) => format!("paused itself at {since}; {} held", self.held),
            ("paused", Some(since)) => format!("paused since {since} ({policy}); {} held", self.held),
            (state, _) => state.to_owned(),
        }
    }
}

/// Of every trigger in force.
pub fn list(store: &dyn Store, program: &Program, now: Timestamp) -> Vec<Liveness> {
    let states = store.triggers();
    program.triggers().iter().map(|trigger| Liveness::of(trigger, program, &states, now)).collect()
}

/// Of the one that is called so.
pub fn one(store: &dyn Store, program: &Program, name: &str, now: Timestamp) -> Option<Liveness> {
    program.named(name).map(|trigger| Liveness::of(trigger, program, &store.triggers(), now))
}

/// A held activation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Held {
    /// Which occasion.
    pub occasion: String,
    /// For which lane.
    pub lane: String,
    /// What is done there: the event's name, `list UwQxX4`, `profile`.
    pub does: String,
    /// The person's key in the store.
    pub person: String,
    /// The key of `per`.
    pub key: String,
    /// The edge.
    pub at: Timestamp,
    /// Until when it can leave.
    pub expires_at: Timestamp,
    /// What it says.
    pub payload: serde_json::Value,
}

/// The oldest that are held of a trigger.
pub async fn held(store: &dyn Store, trigger: TriggerId) -> Result<Vec<Held>, StoreError> {
    let shown = |activation: Activation| Held {
        occasion: activation.occasion.to_string(),
        lane: activation.lane.to_string(),
        does: activation.action.to_string(),
        person: activation.person.to_string(),
        key: activation.key.to_string(),
        at: activation.at,
        expires_at: activation.expires_at,
        payload: activation.payload.to_value(),
    };
    Ok(store.held(trigger, MOST_LISTED).await?.into_iter().map(shown).collect())
}

/// Every trigger, and whether it is live.
#[utoipa::path(get, path = "/api/triggers", tag = "triggers",  responses((status = 200, body = Vec<Liveness>)))]
pub async fn get_list(State(shared): State<Shared>) -> Response {
    let watched = &shared.watched;
    Json(list(&*watched.store, &watched.program.load(), watched.clock.now())).into_response()
}

/// The oldest activations that are held of a trigger.
#[utoipa::path(get, path = "/api/triggers/{name}/held", tag = "triggers", params(("name" = String, Path)),  responses((status = 200, body = Vec<Held>), (status = 404, body = Message)))]
pub async fn get_held(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let Some(trigger) = known(&shared, &name) else { return missing(NONE) };
    match held(&*shared.watched.store, trigger).await {
        Ok(held) => Json(held).into_response(),
        Err(error) => refused(&error),
    }
}

/// An edge from which nothing left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Kept {
    /// What kept it: `cap`, `cooling_down`, `consent`.
    pub by: String,
    /// The edge.
    pub at: Timestamp,
    /// The person's key in the store.
    pub person: String,
}

/// The last edges of a trigger from which nothing left, as far as this daemon has decided them: of each sort the newest
/// first.
pub fn kept(shared: &Shared, trigger: &str) -> Vec<Kept> {
    let engine = shared.watched.engine.borrow();
    let of = engine.kept.iter().filter(|((name, _), _)| **name == *trigger);
    of.flat_map(|((_, by), edges)| {
        edges.iter().rev().map(|(at, person)| Kept { by: (*by).to_owned(), at: *at, person: person.to_string() })
    })
    .collect()
}

/// The last edges of a trigger from which nothing left, and what kept them: 50 of each sort, since this daemon decides.
#[utoipa::path(get, path = "/api/triggers/{name}/kept", tag = "triggers", params(("name" = String, Path)),  responses((status = 200, body = Vec<Kept>), (status = 404, body = Message)))]
pub async fn get_kept(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    if known(&shared, &name).is_none() {
        return missing(NONE);
    }
    Json(kept(&shared, &name)).into_response()
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Pausing {
    /// What becomes of its edges meanwhile.
    #[serde(default)]
    policy: PausePolicy,
}

/// Pauses a trigger.
#[utoipa::path(post, path = "/api/triggers/{name}/pause", tag = "triggers", params(("name" = String, Path), Pausing),  responses((status = 200, body = Liveness), (status = 404, body = Message), (status = 503, body = Message)))]
pub async fn pause(State(shared): State<Shared>, Path(name): Path<String>, Query(how): Query<Pausing>) -> Response {
    order(&shared, &name, Order::Pause(how.policy)).await
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Resuming {
    /// What becomes of what is held; as the pause said where nothing is said.
    held: Option<Release>,
}

/// Resumes a trigger.
#[utoipa::path(post, path = "/api/triggers/{name}/resume", tag = "triggers", params(("name" = String, Path), Resuming),  responses((status = 200, body = Liveness), (status = 404, body = Message), (status = 503, body = Message)))]
pub async fn resume(State(shared): State<Shared>, Path(name): Path<String>, Query(how): Query<Resuming>) -> Response {
    order(&shared, &name, Order::Resume(how.held)).await
}

const NONE: &str = "there is no such trigger";

pub fn known(shared: &Shared, name: &str) -> Option<TriggerId> {
    shared.watched.program.load().named(name).map(|trigger| trigger.id)
}

async fn order(shared: &Shared, name: &str, order: Order) -> Response {
    let Some(trigger) = known(shared, name) else { return missing(NONE) };
    if !shared.orders.give(trigger, order).await {
        let words = "the engine cannot take it now; try again in a moment";
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "message": words }))).into_response();
    }
    let watched = &shared.watched;
    Json(one(&*watched.store, &watched.program.load(), name, watched.clock.now())).into_response()
}
