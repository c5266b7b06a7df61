//! One trigger: its rule in words and as its file, its fires by day, what became of its edges, and a form that pauses or
//! resumes it.

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::charts::bars;
use super::frame::{Page, View};
use super::missing;
use super::pieces::{Tone, heads, linked, live, not_for, nothing, notice, number, when, when_or, wide};
use super::triggers::{Counted, percent, state};
use crate::engine::LATELY;
use crate::model::{Order, PausePolicy, Release, Timestamp};
use crate::ops::access::{Caller, Role};
use crate::ops::server::Shared;
use crate::ops::triggers::{Held, Kept, Liveness, held, kept, known};
use crate::store::StoreError;

/// Held activations that are shown.
const HELD: usize = 20;

/// What the form sends.
#[derive(Deserialize)]
pub struct Wish {
    what: What,
    policy: Option<PausePolicy>,
    held: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Pause,
    Resume,
}

/// What has just been done, as the address says it.
#[derive(Deserialize)]
pub struct Done {
    done: Option<What>,
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Query(done): Query<Done>,
) -> Response {
    let said = match done.done {
        Some(What::Pause) => Some((Tone::Well, "It is paused: nothing of it leaves.")),
        Some(What::Resume) => Some((Tone::Well, "It is live again.")),
        None => None,
    };
    page(&shared, &caller, &name, said).await
}

pub async fn change(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    Form(wish): Form<Wish>,
) -> Response {
    let Some(trigger) = known(&shared, &name) else { return missing("trigger") };
    let release = wish.held.and_then(|held| Release::WORDS.iter().find(|(word, _)| *word == held).map(|(_, how)| *how));
    let (order, done) = match wish.what {
        What::Pause => (Order::Pause(wish.policy.unwrap_or_default()), "pause"),
        What::Resume => (Order::Resume(release), "resume"),
    };
    if shared.orders.give(trigger, order).await {
        return Redirect::to(&format!("/triggers/{name}?done={done}")).into_response();
    }
    let words = (Tone::Bad, "The engine cannot take it now; try again in a moment.");
    (StatusCode::SERVICE_UNAVAILABLE, page(&shared, &caller, &name, Some(words)).await).into_response()
}

async fn page(shared: &Shared, caller: &Caller, name: &str, said: Option<(Tone, &str)>) -> Response {
    let watched = &shared.watched;
    let (program, now) = (watched.program.load_full(), watched.clock.now());
    let Some(trigger) = program.named(name) else { return missing("trigger") };
    let liveness = Liveness::of(trigger, &program, &watched.store.triggers(), now);
    let waiting: Result<Vec<Held>, StoreError> =
        if liveness.held > 0 { held(&*watched.store, trigger.id).await } else { Ok(Vec::new()) };
    let (counted, days) = shared.series.look(|series| {
        let days = series.days(&format!("trigger/{name}/fires"), now);
        let days: Vec<(String, Option<f64>)> =
            days.into_iter().map(|(at, n)| (at.to_string().chars().take(10).collect(), n)).collect();
        (Counted::of(series, name, now), days)
    });
    let ended = format!("/activations?trigger={name}");
    let main = html! {
        @if let Some((tone, words)) = said { (notice(tone, words)) }
        (live("trigger", &format!("/triggers/{name}"), html! {
            section { h2 { "State" }
                p { (state(&liveness, trigger, &program)) @if liveness.since.is_some() { " " (liveness.words()) }
                    @if let Some(since) = liveness.since { " · " (when(since, now)) } }
                p.muted { a href=(ended) { (number(liveness.this_hour)) " fires" } " this hour"
                    @if let Some(usual) = liveness.usual { ", usually " (number(usual)) }
                    @if let Some(limit) = liveness.limit { "; it pauses itself at " (number(limit)) } }
            }
            section { h2 { "Fires by day" } (bars(&days, "Fires by day"))
                p { a href=(ended) { (number(counted.fires as u64)) " fires in the days that are known" } ", " (number(counted.today as u64)) " today" } }
            div.two {
                section id="gates" { h2 { "What became of its edges" }
                    @if counted.edges == 0.0 { (nothing("It had none since this was first counted.")) } @else {
                        (wide("What became of its edges", html! { table { (heads(&["End", "#Edges", "#Share"])) tbody {
                            tr { th scope="row" { "fired" } td.n { a href=(ended) { (number(counted.fires as u64)) } } td.n { (percent(Some(counted.fires * 100.0 / counted.edges))) } }
                            @for (word, n) in &counted.gated { tr {
                                th scope="row" { "kept: " (word.replace('_', " ")) } td.n { (linked(*n as u64, &format!("#kept-{word}"))) } td.n { (percent(Some(n * 100.0 / counted.edges))) }
                            } }
                        } } }))
                    }
                }
                section { h2 { "What vendors made of it" }
                    @if counted.ends.is_empty() { (nothing("No vendor has answered since this was first counted.")) } @else {
                        (wide("What vendors made of it", html! { table { (heads(&["End", "#Activations"])) tbody {
                            @for (word, n) in &counted.ends { tr {
                                th scope="row" { (word) } td.n { a href=(format!("{ended}&end={word}")) { (number(*n as u64)) } }
                            } }
                        } } }))
                    }
                }
            }
        }))
        @if counted.gated.iter().any(|(_, n)| *n > 0.0) { (lately(&counted, &kept(shared, name), now)) }
        section id="held" { h2 { (if liveness.since.is_none() { "Pause" } else { "Resume" }) }
            @if caller.may(Role::Operator) { (form(name, &liveness)) } @else { (not_for("operator")) }
            @match &waiting {
                Ok(waiting) if !waiting.is_empty() => (wide("Held", html! { table {
                    (heads(&["Held for", "Does", "Edge", "Until"]))
                    tbody { @for one in waiting.iter().take(HELD) { tr {
                        td { a href=(format!("/people/{}", one.person)) { (one.person.chars().take(8).collect::<String>()) } }
                        td { (one.lane) " " span.muted { (one.does) } }
                        td { (when(one.at, now)) }
                        td { (when_or(Some(one.expires_at), now, "-")) }
                    } } }
                } })),
                Err(error) => (notice(Tone::Bad, &error.to_string())),
                _ => {}
            }
        }
        div.two {
            section { h2 { "In words" }
                @if !trigger.description.is_empty() { p { (trigger.description) } }
                h3 { "It fires when" }
                ul { @for line in trigger.words() { li { (line) } } }
                h3 { "It starts" }
                ul { @for start in trigger.activate.iter().chain(&trigger.activate_on_exit) { li { (start.lane) ": " (start.action.to_string()) } } }
                p.muted { "Priority " (trigger.priority) "; not sent later than " (trigger.expires) " after the edge" @if let Some(cooldown) = trigger.cooldown { "; once in " (cooldown) " for one person" } "." }
            }
            section { h2 { "As its file" }
                @match program.file(name) {
                    Some((file, text)) => { p.muted { (file) ", as it was last read" } pre tabindex="0" { code { (text) } } },
                    None => (nothing("It has no file of its own.")),
                }
            }
        }
    };
    let beside = html! { p.muted { (trigger.title) } a.button href=(format!("/triggers/{name}/backtest")) { "Back-test the last 30 days" } };
    Page::new(caller, View::Triggers, name).beside(beside).with(&main).into_response()
}

/// The last edges that were kept, by what kept them.
fn lately(counted: &Counted, all: &[Kept], now: Timestamp) -> Markup {
    html! {
        section { h2 { "Kept lately" }
            p.muted { "The last " (LATELY) " of each sort at most, since this daemon decides. A person's page says of every edge why." }
            @for (word, _) in &counted.gated {
                @let of: Vec<&Kept> = all.iter().filter(|one| one.by == *word).collect();
                details id=(format!("kept-{word}")) open {
                    summary { (word.replace('_', " ")) " " span.muted { "(" (of.len()) ")" } }
                    @if of.is_empty() { (nothing("None since this daemon decides.")) } @else {
                        ul { @for one in of { li {
                            (when(one.at, now)) " " a href=(format!("/people/{}", one.person)) { code { (one.person.chars().take(8).collect::<String>()) } }
                        } } }
                    }
                }
            }
        }
    }
}

fn form(name: &str, liveness: &Liveness) -> Markup {
    html! {
        form.line method="post" action=(format!("/triggers/{name}")) {
            @if liveness.since.is_none() {
                label { "Its edges meanwhile " select name="policy" {
                    option value="drop" { "are recorded, and start nothing" }
                    option value="keep" { "are held until they expire" }
                    option value="catch-up" { "are held, and start what is still true when it is resumed" }
                } }
                button.strong name="what" value="pause" { "Pause" }
            } @else {
                label { "What is held (" (number(liveness.held)) ") " select name="held" {
                    option value="" { "goes as the pause says" }
                    option value="send" { "leaves, unless it has expired" }
                    option value="catch-up" { "leaves, where the condition is still true" }
                    option value="drop" { "is dropped" }
                } }
                button.strong name="what" value="resume" { "Resume" }
            }
        }
    }
}
