//! Activations for programs: what has ended and what waits, a page at a time; and dead letters replayed by what they have
//! in common, which are counted first.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::access::{Caller, Documented, Note};
use super::api::{Message, missing, refused};
use super::explain::attempt;
use super::replays::Batch;
use super::server::Shared;
use crate::model::{Activation, Attempt, Priority, Timestamp};
use crate::store::{Sought, WorkId};

/// Told on one page at most, and where nothing is said.
const MOST: usize = 500;
const USUAL: usize = 100;

/// The routes.
pub fn routes() -> Documented {
    Documented {
        viewer: OpenApiRouter::new()
            .routes(routes!(ended))
            .routes(routes!(one))
            .routes(routes!(waiting))
            .routes(routes!(look)),
        operator: OpenApiRouter::new().routes(routes!(count)).routes(routes!(begin)),
        admin: OpenApiRouter::new(),
    }
}

/// An activation, and what was tried.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ActivationShown)]
pub struct Shown {
    /// Its number.
    id: u64,
    /// Which lane.
    lane: String,
    /// What is, or was to be, done there: the event's name, `list UwQxX4`, `profile`.
    does: String,
    /// Which trigger.
    trigger: String,
    /// The person's key in the store.
    person: String,
    /// The occasion.
    occasion: String,
    /// The edge.
    at: Timestamp,
    /// When it ended; none while it waits.
    ended: Option<Timestamp>,
    /// All tries that are kept, oldest first, in words.
    attempts: Vec<String>,
    /// What is, or was to be, sent.
    payload: serde_json::Value,
}

impl Shown {
    fn of(id: WorkId, of: &Activation, attempts: &[Attempt], ended: Option<Timestamp>) -> Self {
        Self {
            id: id.0,
            lane: of.lane.to_string(),
            does: of.action.to_string(),
            trigger: of.trigger.to_string(),
            person: of.person.to_string(),
            occasion: of.occasion.to_string(),
            at: of.at,
            ended,
            attempts: attempts.iter().map(|one| format!("{}: {}", one.at, attempt(one))).collect(),
            payload: of.payload.to_value(),
        }
    }
}

/// What is looked for; what is not said is not asked for.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Asked {
    /// Of this lane.
    lane: Option<String>,
    /// Of this trigger.
    trigger: Option<String>,
    /// With this end: `accepted`, `duplicate`, `refused`, `expired`, `cancelled`, or the code of a refusal.
    end: Option<String>,
    /// Only those of a lower number: where another page begins.
    before: Option<u64>,
    /// So many, 100 where nothing is said, 500 at most.
    max: Option<usize>,
}

impl Asked {
    fn sought(&self) -> Sought {
        Sought {
            lane: self.lane.as_deref().map(Into::into),
            trigger: self.trigger.as_deref().map(Into::into),
            end: self.end.as_deref().map(Into::into),
            before: self.before.map(WorkId),
        }
    }
}

/// A page.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivationPage)]
pub struct Listed {
    /// Those that were made last first. May be empty before the end: a page looks at a bounded number of others, too.
    found: Vec<Shown>,
    /// For `before` of the next page; none at the end.
    next: Option<u64>,
}

/// Activations that have ended, whichever way.
#[utoipa::path(get, path = "/api/activations", tag = "letters", params(Asked), responses((status = 200, body = Listed)))]
async fn ended(State(shared): State<Shared>, Query(asked): Query<Asked>) -> Response {
    match shared.watched.store.ends(&asked.sought(), asked.max.unwrap_or(USUAL).clamp(1, MOST)).await {
        Ok(page) => {
            let found = page.found.iter().map(|one| Shown::of(one.id, &one.activation, &one.attempts, Some(one.at)));
            Json(Listed { found: found.collect(), next: page.next.map(|next| next.0) }).into_response()
        }
        Err(error) => refused(&error),
    }
}

/// One activation that has ended.
#[utoipa::path(get, path = "/api/activations/{id}", tag = "letters", params(("id" = u64, Path)),
    responses((status = 200, body = Shown), (status = 404, body = Message)))]
async fn one(State(shared): State<Shared>, Path(id): Path<u64>) -> Response {
    match shared.watched.store.ended(WorkId(id)).await {
        Ok(Some(one)) => {
            let at = one.attempts.last().map(|last| last.at).filter(|_| !one.is_queued);
            Json(Shown::of(WorkId(id), &one.activation, &one.attempts, at)).into_response()
        }
        Ok(None) => missing("none of this number has ended"),
        Err(error) => refused(&error),
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfLane {
    /// From this place on, as `next` of the page before says it; from the first where nothing is said.
    from: Option<String>,
    /// So many, 100 where nothing is said, 500 at most.
    max: Option<usize>,
}

/// A page of what waits.
#[derive(Serialize, ToSchema)]
#[schema(as = WaitingPage)]
pub struct Waiting {
    /// In the order in which they leave, but for what has to wait.
    found: Vec<Shown>,
    /// For `from` of the next page; none at the end.
    next: Option<String>,
}

/// `PRIORITY-NUMBER`: a place in a lane's queue.
pub fn place(text: &str) -> Option<(Priority, WorkId)> {
    let (priority, id) = text.split_once('-')?;
    Some((priority.parse().ok()?, WorkId(id.parse().ok()?)))
}

/// What waits in a lane, in the order in which it leaves but for what has to wait.
#[utoipa::path(get, path = "/api/activations/waiting/{lane}", tag = "letters", params(("lane" = String, Path), OfLane),
    responses((status = 200, body = Waiting), (status = 404, body = Message), (status = 422, body = Message)))]
async fn waiting(State(shared): State<Shared>, Path(lane): Path<String>, Query(of): Query<OfLane>) -> Response {
    if !shared.watched.lanes.iter().any(|(name, _)| **name == *lane) {
        return missing("there is no such lane");
    }
    let from = match of.from.as_deref().map(place) {
        Some(None) => {
            let message = "`from` is what `next` of the page before said: PRIORITY-NUMBER".into();
            return (StatusCode::UNPROCESSABLE_ENTITY, Json(Message { message })).into_response();
        }
        from => from.flatten(),
    };
    let most = of.max.unwrap_or(USUAL).clamp(1, MOST);
    // One more than is told: where the next page begins.
    match shared.watched.store.waiting(&lane, from, most + 1).await {
        Ok(listed) => {
            let next = listed.get(most).map(|(id, one)| format!("{}-{}", one.activation.priority, id.0));
            let listed = listed.iter().take(most);
            let found = listed.map(|(id, one)| Shown::of(*id, &one.activation, &one.attempts, None)).collect();
            Json(Waiting { found, next }).into_response()
        }
        Err(error) => refused(&error),
    }
}

/// Which dead letters are to be replayed; what is not said is not asked for.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayWanted)]
pub struct Wanted {
    /// Of this lane.
    lane: Option<String>,
    /// Of this trigger.
    trigger: Option<String>,
    /// With this code of their refusal.
    end: Option<String>,
}

/// Dead letters that are counted or replayed: the last wish. Null where there was none.
#[utoipa::path(get, path = "/api/replays", tag = "letters", responses((status = 200, body = Option<Batch>)))]
async fn look(State(shared): State<Shared>) -> Json<Option<Batch>> {
    Json(shared.replays.look())
}

/// Counts the dead letters that are meant. Nothing is replayed before `/api/replays/begin`.
#[utoipa::path(post, path = "/api/replays", tag = "letters", request_body = Wanted,
    responses((status = 202, body = Option<Batch>), (status = 409, body = Message)))]
async fn count(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Json(wanted): Json<Wanted>,
) -> Response {
    let Wanted { lane, trigger, end } = wanted;
    let sought = Asked { lane, trigger, end, ..Asked::default() }.sought();
    match shared.replays.count(&shared.watched, sought, caller.name) {
        Ok(()) => (StatusCode::ACCEPTED, Json(shared.replays.look())).into_response(),
        Err(busy) => (StatusCode::CONFLICT, Json(Message { message: busy.to_string() })).into_response(),
    }
}

/// Which wish is meant.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayBegin)]
pub struct Begin {
    /// `began` of what was counted: nobody says yes to what another has asked for meanwhile.
    began: Timestamp,
}

/// Replays what was counted, behind everything else.
#[utoipa::path(post, path = "/api/replays/begin", tag = "letters", request_body = Begin,
    responses((status = 202, body = Option<Batch>), (status = 409, body = Message)))]
async fn begin(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(note): Extension<Note>,
    Json(Begin { began }): Json<Begin>,
) -> Response {
    match shared.replays.begin(&shared.watched, caller.name, began) {
        Some(words) => {
            note.say(words);
            (StatusCode::ACCEPTED, Json(shared.replays.look())).into_response()
        }
        None => {
            let message = "nothing that began then is counted: ask for /api/replays first, and look until it is".into();
            (StatusCode::CONFLICT, Json(Message { message })).into_response()
        }
    }
}
