//! One trigger's page: whether it is live, and a form that pauses or resumes it.

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::frame;
use super::server::Shared;
use super::triggers::{Liveness, known};
use crate::model::{Order, PausePolicy, Release};

/// What the form sends.
#[derive(Deserialize)]
pub struct Wish {
    what: What,
    policy: Option<PausePolicy>,
    held: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Pause,
    Resume,
}

pub async fn show(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    page(&shared, &name, None)
}

pub async fn change(State(shared): State<Shared>, Path(name): Path<String>, Form(wish): Form<Wish>) -> Response {
    let Some(trigger) = known(&shared, &name) else { return page(&shared, &name, None) };
    let release = wish.held.and_then(|held| Release::WORDS.iter().find(|(word, _)| *word == held).map(|(_, how)| *how));
    let order = match wish.what {
        What::Pause => Order::Pause(wish.policy.unwrap_or_default()),
        What::Resume => Order::Resume(release),
    };
    if shared.orders.give(trigger, order).await {
        return Redirect::to(&format!("/triggers/{name}")).into_response();
    }
    let words = "The engine cannot take it now; try again in a moment.";
    (StatusCode::SERVICE_UNAVAILABLE, page(&shared, &name, Some(words))).into_response()
}

fn page(shared: &Shared, name: &str, trouble: Option<&str>) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load();
    let Some(trigger) = program.named(name) else {
        return (StatusCode::NOT_FOUND, "there is no such trigger\n").into_response();
    };
    let liveness = Liveness::of(trigger, &program, &watched.store.triggers(), watched.clock.now());
    let header = html! {
        h1 { (name) }
        p.muted { (trigger.title) }
        p { a href="/" { "All of it" } ", " a href=(format!("/triggers/{name}/backtest")) { "the last 30 days lived again" } }
    };
    let main = html! {
        @if let Some(words) = trouble { section.trouble role="alert" { p { (words) } } }
        section { h2 { "When" } ul { @for line in trigger.words() { li { (line) } } } }
        section { h2 { "Starts" } ul {
            @for start in trigger.activate.iter().chain(&trigger.activate_on_exit) {
                li { (start.lane) ": " (start.action.to_string()) }
            }
        } }
        section { h2 { "State" } p { strong { (liveness.words()) } } (form(name, &liveness)) }
    };
    frame(name, &html! {}, &header, &main).into_response()
}

fn form(name: &str, liveness: &Liveness) -> Markup {
    let is_live = liveness.since.is_none();
    html! {
        form method="post" action=(format!("/triggers/{name}")) {
            @if is_live {
                p {
                    label for="policy" { "Its edges meanwhile" } " "
                    select #policy name="policy" {
                        option value="drop" { "are recorded, and start nothing" }
                        option value="keep" { "are held until they expire" }
                        option value="catch-up" { "are held, and start what is still true when it is resumed" }
                    }
                }
                button name="what" value="pause" { "Pause" }
            } @else {
                p {
                    label for="held" { "What is held (" (liveness.held) ")" } " "
                    select #held name="held" {
                        option value="" { "goes as the pause says" }
                        option value="send" { "leaves, unless it has expired" }
                        option value="catch-up" { "leaves, where the condition is still true" }
                        option value="drop" { "is dropped" }
                    }
                }
                button name="what" value="resume" { "Resume" }
            }
        }
    }
}
