//! Who may come in, for programs and commands: accounts, tokens, links, the audit log.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::api::{Done, Message, refused};
use super::super::server::Shared;
use super::register::Register;
use super::routes::Documented;
use super::{Area, Caller, Note, Refused, Role, Unchanged};
use crate::model::{Span, Timestamp};
use crate::store::audit::Audited;

/// Entries listed at once.
const MOST: usize = 1_000;

/// The routes.
pub fn routes() -> Documented {
    Documented {
        viewer: OpenApiRouter::new().routes(routes!(me)),
        operator: OpenApiRouter::new(),
        admin: OpenApiRouter::new()
            .routes(routes!(list))
            .routes(routes!(add_account))
            .routes(routes!(change_account, remove_account))
            .routes(routes!(add_token))
            .routes(routes!(revoke_token))
            .routes(routes!(make_link))
            .routes(routes!(log)),
    }
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub struct Me {
    /// The account's name, or the token's.
    name: String,
    role: Role,
    /// The parts that a token is held to; empty for all.
    areas: Vec<Area>,
}

/// Who the caller is taken for.
#[utoipa::path(get, path = "/api/access/me", tag = "access", responses((status = 200, body = Me)))]
async fn me(Extension(caller): Extension<Caller>) -> Json<Me> {
    Json(Me { name: caller.name.to_string(), role: caller.role, areas: caller.areas.to_vec() })
}

/// Who may come in.
#[derive(Serialize, ToSchema)]
pub struct Shown {
    pub accounts: Vec<ShownAccount>,
    pub tokens: Vec<ShownToken>,
}

/// An account.
#[derive(Serialize, ToSchema)]
pub struct ShownAccount {
    pub name: String,
    pub role: Role,
    /// When it was made.
    pub since: Timestamp,
    /// Sessions that are under way.
    pub sessions: usize,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub struct ShownToken {
    pub name: String,
    pub role: Role,
    /// The parts that it is held to; empty for all.
    pub areas: Vec<Area>,
    /// When it was made.
    pub since: Timestamp,
    /// When it runs out, or ran out.
    pub until: Option<Timestamp>,
}

impl Shown {
    /// As it is.
    pub(super) fn of(register: &Register, now: Timestamp) -> Self {
        let sessions =
            |name: &str| register.sessions.iter().filter(|one| *one.name == *name && one.until > now).count();
        let accounts = register.accounts.iter().map(|(name, one)| ShownAccount {
            name: name.to_string(),
            role: one.role,
            since: one.since,
            sessions: sessions(name),
        });
        let tokens = register.tokens.iter().map(|(name, one)| ShownToken {
            name: name.to_string(),
            role: one.role,
            areas: one.areas.clone(),
            since: one.since,
            until: one.until,
        });
        Self { accounts: accounts.collect(), tokens: tokens.collect() }
    }
}

/// Accounts and tokens.
#[utoipa::path(get, path = "/api/access", tag = "access", responses((status = 200, body = Shown)))]
async fn list(State(shared): State<Shared>) -> Json<Shown> {
    Json(shared.access.shown())
}

/// An account to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// 1 to 64 letters, digits, and any of `@._-`.
    pub name: String,
    pub role: Role,
    /// 12 to 256 characters.
    pub password: String,
}

/// Makes an account.
#[utoipa::path(post, path = "/api/access/accounts", tag = "access", request_body = NewAccount, responses(
    (status = 200, body = Done), (status = 409, body = Message), (status = 422, body = Message)))]
async fn add_account(
    State(shared): State<Shared>,
    Extension(note): Extension<Note>,
    Json(new): Json<NewAccount>,
) -> Response {
    let done = shared.access.add(&new.name, new.role, new.password).await;
    if done.is_ok() {
        note.say(format!("{} as {}", new.name, new.role.word()));
    }
    changed(done)
}

/// What changes of an account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub role: Option<Role>,
    /// Another one; whoever came in by the old one is out.
    pub password: Option<String>,
}

impl Change {
    /// For the audit log.
    pub fn words(&self) -> String {
        let role = self.role.map(|role| format!("role {}", role.word()));
        let password = self.password.is_some().then(|| "another password".to_owned());
        role.into_iter().chain(password).collect::<Vec<_>>().join(", ")
    }
}

/// Gives an account another role or password, or both.
#[utoipa::path(post, path = "/api/access/accounts/{name}", tag = "access", params(("name" = String, Path)),
    request_body = Change, responses((status = 200, body = Done), (status = 404, body = Message),
    (status = 409, body = Message), (status = 422, body = Message)))]
async fn change_account(
    State(shared): State<Shared>,
    Extension(note): Extension<Note>,
    Path(name): Path<String>,
    Json(change): Json<Change>,
) -> Response {
    changed(change_of(&shared, &note, &name, change).await)
}

/// The same, for the page.
pub async fn change_of(shared: &Shared, note: &Note, name: &str, change: Change) -> Result<(), Refused> {
    let words = change.words();
    shared.access.alter(name, change.role, change.password).await?;
    note.say(words);
    Ok(())
}

/// Removes an account, and ends its sessions.
#[utoipa::path(delete, path = "/api/access/accounts/{name}", tag = "access", params(("name" = String, Path)),
    responses((status = 200, body = Done), (status = 404, body = Message), (status = 409, body = Message)))]
async fn remove_account(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    changed(shared.access.remove(&name).await)
}

/// A token to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// 1 to 64 letters, digits, and any of `@._-`.
    pub name: String,
    pub role: Role,
    /// The parts that it is held to; all where none is named.
    #[serde(default)]
    pub areas: Vec<Area>,
    /// How long it is good, as `30d`; for ever where nothing is said.
    #[serde(rename = "for")]
    pub length: Option<Span>,
}

/// A token's secret: shown this once.
#[derive(Serialize, ToSchema)]
pub struct Secret {
    pub secret: String,
}

/// Makes a token.
#[utoipa::path(post, path = "/api/access/tokens", tag = "access", request_body = NewToken, responses(
    (status = 200, body = Secret), (status = 409, body = Message), (status = 422, body = Message)))]
async fn add_token(
    State(shared): State<Shared>,
    Extension(note): Extension<Note>,
    Json(new): Json<NewToken>,
) -> Response {
    match token_of(&shared, &note, new).await {
        Ok(secret) => Json(Secret { secret }).into_response(),
        Err(error) => changed(Err(error)),
    }
}

/// The same, for the page.
pub async fn token_of(shared: &Shared, note: &Note, new: NewToken) -> Result<String, Refused> {
    let areas: Vec<&str> = new.areas.iter().map(|area| area.word()).collect();
    let said = format!("{} as {} {}", new.name, new.role.word(), areas.join(" "));
    let secret = shared.access.add_token(&new.name, new.role, new.areas, new.length).await?;
    note.say(said.trim());
    Ok(secret)
}

/// Revokes a token, from the next request on.
#[utoipa::path(delete, path = "/api/access/tokens/{name}", tag = "access", params(("name" = String, Path)),
    responses((status = 200, body = Done), (status = 404, body = Message)))]
async fn revoke_token(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    changed(shared.access.revoke(&name).await)
}

/// A way in that is good once, within an hour.
#[derive(Serialize, ToSchema)]
pub struct Link {
    /// To be opened in a browser.
    pub url: String,
}

/// Makes a link that lets whoever opens it in once, as an admin.
#[utoipa::path(post, path = "/api/access/link", tag = "access", responses((status = 200, body = Link)))]
async fn make_link(State(shared): State<Shared>) -> Json<Link> {
    Json(Link { url: shared.link() })
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Page {
    /// Only entries before this one.
    pub before: Option<u64>,
    /// So many, 100 where nothing is said, 1,000 at most.
    pub max: Option<usize>,
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub struct Entry {
    /// Its number: they grow with time.
    pub id: u64,
    pub at: Timestamp,
    /// The account, the token, or `command line`.
    pub by: String,
    /// What was asked: method and path, or `sign in`.
    pub did: String,
    /// What stood in the path.
    pub of: String,
    /// What else there is to say of it.
    pub note: String,
    /// How it was answered, as an HTTP status; none where the daemon ended meanwhile.
    pub status: Option<u16>,
}

impl From<Audited> for Entry {
    fn from(Audited { id, asked, status, note }: Audited) -> Self {
        let text = String::from;
        Self {
            id,
            at: asked.at,
            by: text(asked.by),
            did: text(asked.did),
            of: text(asked.of),
            note: text(note),
            status,
        }
    }
}

/// Who changed what, newest first.
#[utoipa::path(get, path = "/api/access/log", tag = "access", params(Page),
    responses((status = 200, body = Vec<Entry>)))]
async fn log(State(shared): State<Shared>, Query(page): Query<Page>) -> Response {
    match shared.watched.store.audit_log(page.before, page.max.unwrap_or(100).clamp(1, MOST)).await {
        Ok(log) => Json(log.into_iter().map(Entry::from).collect::<Vec<_>>()).into_response(),
        Err(error) => refused(&error),
    }
}

fn changed(done: Result<(), Refused>) -> Response {
    let error = match done {
        Ok(()) => return Json(Done { done: true }).into_response(),
        Err(Refused::Store(error)) => return refused(&error),
        Err(Refused::Unchanged(error)) => error,
    };
    let status = match error {
        Unchanged::Missing => StatusCode::NOT_FOUND,
        Unchanged::Taken | Unchanged::LastAdmin | Unchanged::TooMany => StatusCode::CONFLICT,
        Unchanged::Name | Unchanged::Password => StatusCode::UNPROCESSABLE_ENTITY,
    };
    (status, Json(json!({ "message": error.to_string() }))).into_response()
}
