//! Who is known: found by any name they go by. A name is sent in a form and never stands in an address.

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::frame::{Page, View};
use super::pieces::{Tone, chip, heads, nothing, notice, number, when, wide};
use super::{missing, refused};
use crate::ops::access::{Caller, Role};
use crate::ops::demands::{Demand, answered, demands, newest};
use crate::ops::explain::find;
use crate::ops::server::Shared;

/// Demands and receipts that are shown.
const SHOWN: usize = 20;

/// What has just been done.
#[derive(Deserialize)]
pub struct Asked {
    done: Option<Done>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Erased,
    Begun,
    Answered,
    Missing,
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Response {
    let said = asked.done.map(|done| match done {
        Done::Erased => {
            (Tone::Well, "They are forgotten here; the destinations are asked within the hour. The receipt is below.")
        }
        Done::Begun => (Tone::Waits, "It is written down, and done when what came before it is decided."),
        Done::Answered => (Tone::Well, "It is noted that the demand was answered."),
        Done::Missing => (Tone::Bad, "There is no such demand that is open."),
    });
    page(&shared, &caller, said).await
}

async fn page(shared: &Shared, caller: &Caller, said: Option<(Tone, &str)>) -> Response {
    let watched = &shared.watched;
    let found = async { Ok((demands(&*watched.store).await?, newest(&*watched.store, SHOWN).await?)) };
    let (open, receipts) = match found.await {
        Ok(found) => found,
        Err(error) => return refused(caller, View::People, &error),
    };
    let now = watched.clock.now();
    let main = html! {
        @if let Some((tone, words)) = said { (notice(tone, words)) }
        form.search method="post" action="/people" role="search" {
            label for="name" { "Find somebody by any name they go by" }
            div.line {
                input #name name="name" type="search" required autocomplete="off" spellcheck="false" maxlength="500" placeholder="ines@example.com";
                button.strong { "Find" }
            }
            p.muted { "An e-mail address, telephone number, account id or device id as it is, or with its kind: "
                code { "shopify_customer:42" } ", " code { "order:1001" } ", " code { "cart:c-9" } "." }
        }
        section { h2 { "Who wants to see what is kept of them" }
            @if open.is_empty() { (nothing("Nobody.")) } @else {
                (wide("Demands of access", html! { table {
                    (heads(&["Asked", "Source", "Person", "State", "Answer"]))
                    tbody { @for one in open.iter().take(SHOWN) { tr {
                        td { (when(one.asked, now)) }
                        td { (one.source) }
                        td { @if let Some(person) = &one.person { a href=(format!("/people/{person}")) { code { (person.chars().take(8).collect::<String>()) } } } @else { span.muted { "nobody known" } } }
                        td { @match one.answered {
                            Some(at) => { (chip(Tone::Well, "answered")) " " (when(at, now)) },
                            None => { (chip(Tone::Bad, "open")) " " span.muted { "due " } (when(one.due, now)) },
                        } }
                        td { (answer(caller, one)) }
                    } } }
                } }))
            }
        }
        section { h2 { "Who was forgotten" }
            @if receipts.is_empty() { (nothing("Nobody yet.")) } @else {
                (wide("Receipts of erasures", html! { table {
                    (heads(&["Asked", "By", "Here", "Journal", "#Names", "#Events", "Destinations"]))
                    tbody { @for one in &receipts { tr {
                        td { (when(one.asked, now)) }
                        td { (one.source) }
                        td { (when(one.forgotten, now)) }
                        td { @if let Some(at) = one.journal { (when(at, now)) } @else { span.muted { "with the next nights" } } }
                        td.n { (one.names) }
                        td.n { (number(one.events)) }
                        td { @for to in &one.destinations { div { (chip(if to.is_done { Tone::Well } else { Tone::Waits }, &to.name)) " " span.muted { (to.words) } } } }
                    } } }
                } }))
            }
        }
    };
    let beside = html! { p.muted { (number(watched.store.counts().people)) " known" } };
    Page::new(caller, View::People, "People").beside(beside).with(&main).into_response()
}

fn answer(caller: &Caller, demand: &Demand) -> Markup {
    html! {
        @if demand.answered.is_none() && caller.may(Role::Admin) {
            form method="post" action=(format!("/people/demands/{}/answered", demand.id)) { button { "Was answered" } }
        } @else { "-" }
    }
}

/// What the form sends.
#[derive(Deserialize)]
pub struct Sought {
    name: String,
}

pub async fn search(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Form(sought): Form<Sought>,
) -> Response {
    let store = &shared.watched.store;
    let found = async {
        let Some(id) = find(&**store, sought.name.trim(), &shared.names).await? else { return Ok(None) };
        // Their own, where they were merged into another.
        Ok(store.story(id).await?.map(|story| story.person.id))
    };
    match found.await {
        Ok(Some(id)) => Redirect::to(&format!("/people/{id}")).into_response(),
        Ok(None) => {
            let said = Some((Tone::Bad, "Nobody goes by that name."));
            (StatusCode::NOT_FOUND, page(&shared, &caller, said).await).into_response()
        }
        Err(error) => refused(&caller, View::People, &error),
    }
}

pub async fn answer_demand(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    match answered(&*shared.watched.store, &id, shared.watched.clock.now()).await {
        Ok(true) => Redirect::to("/people?done=answered").into_response(),
        Ok(false) => Redirect::to("/people?done=missing").into_response(),
        Err(error) => refused(&caller, View::People, &error),
    }
}

/// Of a person who is not there.
pub fn nobody() -> Response {
    missing("person")
}
