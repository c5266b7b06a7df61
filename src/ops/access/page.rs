//! The page of who may come in, and of who changed what.

use axum::Extension;
use axum::Router;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::api::refused;
use super::super::page::{Page as Framed, View, short};
use super::super::server::Shared;
use super::api::{Change, NewToken, Page, Shown, change_of, token_of};
use super::sign_in::note;
use super::{Area, Caller, Note, Refused, Role, Routes};
use crate::model::Span;
use crate::store::audit::Audited;

/// Entries of the audit log on one page.
const SHOWN: usize = 50;

/// The pages. Everybody may change their own password.
pub fn routes() -> Routes {
    Routes {
        viewer: Router::new().route("/account", get(own).post(change_own)),
        operator: Router::new(),
        admin: Router::new()
            .route("/access", get(show))
            .route("/access/accounts", post(add_account))
            .route("/access/accounts/{name}", post(change_account))
            .route("/access/accounts/{name}/remove", post(remove_account))
            .route("/access/tokens", post(add_token))
            .route("/access/tokens/{name}/revoke", post(revoke_token))
            .route("/access/link", post(make_link)),
    }
}

/// What a page says before everything else.
enum Said {
    Nothing,
    Wrong(String),
    Secret(&'static str, String),
}

async fn show(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(page): Query<Page>,
) -> Response {
    shown(&shared, &caller, page.before, Said::Nothing).await
}

async fn shown(shared: &Shared, caller: &Caller, before: Option<u64>, said: Said) -> Response {
    let log = match shared.watched.store.audit_log(before, SHOWN).await {
        Ok(log) => log,
        Err(error) => return refused(&error),
    };
    let status = if matches!(said, Said::Wrong(_)) { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let Shown { accounts, tokens } = shared.access.shown();
    let main = html! {
        @match &said {
            Said::Nothing => {}
            Said::Wrong(words) => p.trouble role="alert" { (words) },
            Said::Secret(what, secret) => section role="status" {
                p { (what) " It is shown this once." }
                pre { code { (secret) } }
            },
        }
        section {
            h2 { "Accounts" }
            div.wide tabindex="0" role="region" aria-label="Accounts" { table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Since" } th.n scope="col" { "Signed in" } th scope="col" { "Change" } } }
                tbody { @for one in &accounts { tr {
                    th scope="row" { (one.name) }
                    td { (one.role.word()) }
                    td { (short(one.since)) }
                    td.n { (one.sessions) }
                    td {
                        form.row method="post" action={ "/access/accounts/" (one.name) } {
                            select name="role" aria-label={ "Role of " (one.name) } { (roles(one.role)) }
                            input type="password" name="password" autocomplete="new-password" minlength="12" aria-label={ "New password of " (one.name) } placeholder="new password";
                            button { "Change" }
                        }
                        form.row method="post" action={ "/access/accounts/" (one.name) "/remove" } { button { "Remove " (one.name) } }
                    }
                } } }
            } }
            @if accounts.is_empty() { p.muted { "None yet: whoever has a one-time link comes in as an admin." } }
            form method="post" action="/access/accounts" {
                h3 { "Another account" }
                p { label for="name" { "Name" } " " input #name name="name" required maxlength="64" autocomplete="off"; }
                p { label for="role" { "Role" } " " select #role name="role" { (roles(Role::Viewer)) } }
                p { label for="password" { "Password, at least 12 characters" } " " input #password type="password" name="password" required minlength="12" autocomplete="new-password"; }
                button { "Make the account" }
            }
        }
        section {
            h2 { "Tokens" }
            div.wide tabindex="0" role="region" aria-label="Tokens" { table {
                thead { tr { th scope="col" { "Name" } th scope="col" { "Role" } th scope="col" { "Only for" } th scope="col" { "Since" } th scope="col" { "Until" } th scope="col" { "Change" } } }
                tbody { @for one in &tokens { tr {
                    th scope="row" { (one.name) }
                    td { (one.role.word()) }
                    td { @if one.areas.is_empty() { "everything" } @else { (one.areas.iter().map(|area| area.word()).collect::<Vec<_>>().join(", ")) } }
                    td { (short(one.since)) }
                    td { @match one.until { Some(until) => { (short(until)) }, None => { "for ever" } } }
                    td { form.row method="post" action={ "/access/tokens/" (one.name) "/revoke" } { button { "Revoke " (one.name) } } }
                } } }
            } }
            form method="post" action="/access/tokens" {
                h3 { "Another token" }
                p { label for="token" { "Name" } " " input #token name="name" required maxlength="64" autocomplete="off"; }
                p { label for="of" { "Role" } " " select #of name="role" { (roles(Role::Viewer)) } }
                p { label for="area" { "Only for" } " " select #area name="area" {
                    option value="" { "everything" }
                    @for (word, ..) in Area::WORDS { option value=(word) { (word) } }
                } }
                p { label for="for" { "Good for" } " " select #for name="for" {
                    option value="30d" { "30 days" } option value="365d" { "a year" } option value="" { "ever" }
                } }
                button { "Make the token" }
            }
        }
        section {
            h2 { "A link that lets in once" }
            form method="post" action="/access/link" { button { "Make a link" } p.muted { "Whoever opens it within an hour comes in as an admin." } }
        }
        section {
            h2 #log { "Who changed what" }
            (log_table(&log))
            @if let Some(last) = log.last().filter(|_| log.len() == SHOWN) {
                p { a href={ "/access?before=" (last.id) "#log" } { "Older" } }
            }
        }
    };
    (status, Framed::new(caller, View::Access, "Access").with(&main)).into_response()
}

fn roles(now: Role) -> Markup {
    html! { @for (word, role) in Role::WORDS { option value=(word) selected[role == now] { (word) } } }
}

fn log_table(log: &[Audited]) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Audit log" { table {
            thead { tr { th.n scope="col" { "No." } th scope="col" { "When" } th scope="col" { "Who" } th scope="col" { "What" } th scope="col" { "Of" } th scope="col" { "How it ended" } } }
            tbody { @for one in log { tr {
                td.n { (one.id) }
                td { (short(one.asked.at)) }
                td { (one.asked.by) }
                td { (one.asked.did) }
                td { (one.asked.of) @if !one.note.is_empty() { " (" (one.note) ")" } }
                td { @match one.status {
                    Some(status) if status < 400 => { "done" },
                    Some(status) => { "refused (" (status) ")" },
                    None => { "the daemon ended meanwhile" },
                } }
            } } }
        } }
    }
}

async fn answered(shared: &Shared, caller: &Caller, done: Result<(), Refused>) -> Response {
    match done {
        Ok(()) => Redirect::to("/access").into_response(),
        Err(error) => shown(shared, caller, None, Said::Wrong(error.to_string())).await,
    }
}

#[derive(Deserialize)]
struct New {
    name: String,
    role: Role,
    password: String,
}

async fn add_account(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(note): Extension<Note>,
    Form(new): Form<New>,
) -> Response {
    let done = shared.access.add(&new.name, new.role, new.password).await;
    if done.is_ok() {
        note.say(format!("{} as {}", new.name, new.role.word()));
    }
    answered(&shared, &caller, done).await
}

#[derive(Deserialize)]
struct Changed {
    role: Role,
    password: String,
}

async fn change_account(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(note): Extension<Note>,
    Path(name): Path<String>,
    Form(form): Form<Changed>,
) -> Response {
    let kept = shared.access.register().1.accounts.get(&*name).map(|one| one.role);
    let role = Some(form.role).filter(|role| kept != Some(*role));
    let password = Some(form.password).filter(|password| !password.is_empty());
    answered(&shared, &caller, change_of(&shared, &note, &name, Change { role, password }).await).await
}

async fn remove_account(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response {
    answered(&shared, &caller, shared.access.remove(&name).await).await
}

#[derive(Deserialize)]
struct NewTokenForm {
    name: String,
    role: Role,
    area: String,
    #[serde(rename = "for")]
    length: String,
}

/// What somebody chose; none for the choice that says nothing.
fn read<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error: T::Err| error.to_string()) }
}

async fn add_token(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(note): Extension<Note>,
    Form(form): Form<NewTokenForm>,
) -> Response {
    let refuse = |words: String| shown(&shared, &caller, None, Said::Wrong(words));
    // What cannot be read does not make a token that may more, or for longer, than was meant.
    let areas = match read::<Area>(&form.area) {
        Ok(area) => area.into_iter().collect(),
        Err(words) => return refuse(format!("Only for: {words}")).await,
    };
    let length = match read::<Span>(&form.length) {
        Ok(length) => length,
        Err(words) => return refuse(format!("Good for: {words}")).await,
    };
    let new = NewToken { name: form.name, role: form.role, areas, length };
    match token_of(&shared, &note, new).await {
        Ok(secret) => {
            shown(&shared, &caller, None, Said::Secret("The token, for an Authorization: Bearer header.", secret)).await
        }
        Err(error) => answered(&shared, &caller, Err(error)).await,
    }
}

async fn revoke_token(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response {
    answered(&shared, &caller, shared.access.revoke(&name).await).await
}

async fn make_link(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Response {
    let link = shared.link();
    shown(&shared, &caller, None, Said::Secret("The link, good once within an hour.", link)).await
}

async fn own(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Markup {
    own_page(&shared, &caller, None)
}

fn own_page(shared: &Shared, caller: &Caller, wrong: Option<&str>) -> Markup {
    let has_password = shared.access.register().1.accounts.contains_key(&caller.name);
    let main = html! {
        section.narrow {
            @if let Some(words) = wrong { p.trouble role="alert" { (words) } }
            p { "You are " strong { (caller.name) } ", " (caller.role.word()) "." }
            form method="post" action="/sign-out" { button { "Sign out" } }
            @if has_password {
                form method="post" action="/account" {
                    h2 { "Another password" }
                    p { label for="old" { "The password now" } br; input #old type="password" name="old" required autocomplete="current-password"; }
                    p { label for="new" { "The new one, at least 12 characters" } br; input #new type="password" name="new" required minlength="12" autocomplete="new-password"; }
                    button { "Change it" }
                    p.muted { "You are signed out everywhere then." }
                }
            }
            @if caller.may(Role::Admin) { p { a href="/access" { "Who may come in" } } }
        }
    };
    Framed::new(caller, None, "Account").with(&main)
}

#[derive(Deserialize)]
struct Own {
    old: String,
    new: String,
}

async fn change_own(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Form(form): Form<Own>,
) -> Response {
    let wrong = |words: String| (StatusCode::UNPROCESSABLE_ENTITY, own_page(&shared, &caller, Some(&words)));
    if let Err(outside) = shared.access.is_password(&caller.name, form.old).await {
        return wrong(outside.to_string()).into_response();
    }
    match shared.access.alter(&caller.name, None, Some(form.new)).await {
        Ok(()) => {
            note(&shared, &caller.name, "change the own password", 200).await;
            Redirect::to("/sign-in").into_response()
        }
        Err(error) => wrong(error.to_string()).into_response(),
    }
}
