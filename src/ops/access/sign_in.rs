//! The ways in and out: a password, a link that is good once, and the door.

use axum::Router;
use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::page::{at, plain};
use super::super::server::Shared;
use super::{Outside, browser};
use crate::store::audit::Asked;

/// The ways in, which ask for nobody.
pub fn routes() -> Router<Shared> {
    Router::new()
        .route("/sign-in", get(sign_in_page).post(sign_in))
        .route("/enter", get(enter_page).post(enter))
        .route("/sign-out", post(sign_out))
}

#[derive(Deserialize)]
struct To {
    to: Option<String>,
}

/// A page of ours, whatever somebody wrote there.
fn ours(to: Option<&str>) -> &str {
    to.filter(|to| to.starts_with('/') && !to.starts_with("//") && !to.contains('\\')).unwrap_or("/")
}

async fn sign_in_page(State(shared): State<Shared>, Query(to): Query<To>) -> Markup {
    password_form(&shared, ours(to.to.as_deref()), None)
}

fn password_form(shared: &Shared, to: &str, wrong: Option<Outside>) -> Markup {
    let main = html! {
        section.narrow {
            @if let Some(wrong) = wrong { p.trouble role="alert" { (wrong) } }
            @if shared.access.has_accounts() {
                form method="post" action="/sign-in" {
                    input type="hidden" name="to" value=(to);
                    p { label for="name" { "Name" } br; input #name name="name" autocomplete="username" required autofocus maxlength="64"; }
                    p { label for="password" { "Password" } br; input #password type="password" name="password" autocomplete="current-password" required; }
                    button { "Sign in" }
                }
            } @else {
                p { "There is no account yet. On the machine where the daemon runs, this prints a link that lets you in once:" }
                pre { code { "espalier account link" } }
                p { "An account can be made there, too: " code { "espalier account add NAME --role admin" } }
            }
        }
    };
    plain("Sign in", &html! {}, &main)
}

#[derive(Deserialize)]
struct Given {
    name: String,
    password: String,
    to: Option<String>,
}

async fn sign_in(State(shared): State<Shared>, Form(given): Form<Given>) -> Response {
    let to = ours(given.to.as_deref());
    let came = shared.access.sign_in(given.name.trim(), given.password).await;
    match came {
        Ok(secret) => {
            note(&shared, given.name.trim(), "sign in", 303).await;
            let_in(&shared, &secret, to)
        }
        Err(wrong) => {
            // Only names that are accounts: people type passwords into the wrong field.
            let name = match shared.access.register().1.accounts.contains_key(given.name.trim()) {
                true => given.name.trim(),
                false => "nobody",
            };
            note(&shared, name, "sign in", 401).await;
            let status =
                if wrong == Outside::TooOften { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
            (status, password_form(&shared, to, Some(wrong))).into_response()
        }
    }
}

async fn enter_page(State(_): State<Shared>) -> Markup {
    code_form(None)
}

fn code_form(wrong: Option<Outside>) -> Markup {
    // It puts the code, which no server and no log sees, into the form.
    let head = html! { script src=(at("enter.js")) defer {} };
    let main = html! {
        section.narrow {
            @if let Some(wrong) = wrong { p.trouble role="alert" { (wrong) } }
            form method="post" action="/enter" {
                p { label for="code" { "The code of the link" } br; input #code name="code" required autocomplete="off" spellcheck="false"; }
                button { "Come in" }
            }
            p.muted { "The link is good once. It lets you in as an admin, to make your account." }
        }
    };
    plain("Come in", &head, &main)
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn enter(State(shared): State<Shared>, Form(given): Form<Code>) -> Response {
    match shared.access.enter(given.code.trim()).await {
        Ok(secret) => {
            note(&shared, "one-time link", "sign in", 303).await;
            let_in(&shared, &secret, if shared.access.has_accounts() { "/" } else { "/access" })
        }
        Err(wrong) => {
            note(&shared, "nobody", "sign in", 401).await;
            (StatusCode::UNAUTHORIZED, code_form(Some(wrong))).into_response()
        }
    }
}

async fn sign_out(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    if let Some(secret) = browser::session(&headers, shared.is_secure)
        && let Some(caller) = shared.access.by_session(secret)
    {
        if let Err(error) = shared.access.sign_out(secret).await {
            return (StatusCode::SERVICE_UNAVAILABLE, format!("you are not signed out: {error}\n")).into_response();
        }
        note(&shared, &caller.name, "sign out", 303).await;
    }
    let cookie = browser::cookie(None, shared.is_secure);
    (cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), Redirect::to("/sign-in")).into_response()
}

fn let_in(shared: &Shared, secret: &str, to: &str) -> Response {
    let cookie = browser::cookie(Some(secret), shared.is_secure);
    (cookie.map(|cookie| [(header::SET_COOKIE, cookie)]), Redirect::to(to)).into_response()
}

/// Into the audit log, where it can be written: nobody is kept out by a full disk.
pub(super) async fn note(shared: &Shared, by: &str, did: &str, status: u16) {
    let asked = Asked { at: shared.access.now(), by: by.into(), did: did.into(), of: "".into() };
    let store = &shared.watched.store;
    let written = async { store.audited(store.audit(asked).await?, status, "").await };
    if let Err(error) = written.await {
        tracing::warn!(reason = %error, "that somebody signed in or out could not be written into the audit log");
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn nobody_is_sent_elsewhere() {
        for elsewhere in ["https://evil.example", "//evil.example", "/\\evil.example", "x", ""] {
            assert_eq!(super::ours(Some(elsewhere)), "/");
        }
        assert_eq!((super::ours(Some("/nights")), super::ours(None)), ("/nights", "/"));
    }
}
