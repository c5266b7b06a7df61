//! Dead letters: filtered, opened, replayed one by one or by what they have in common, with a count asked first.

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activation::whole;
use super::activations::{choice, escaped, names};
use super::frame::{Page, View};
use super::pieces::{Tone, chip, heads, live, not_for, nothing, notice, number, when, wide};
use super::redact::Redaction;
use super::{missing, refused};
use crate::model::{Outcome, Timestamp};
use crate::ops::access::{Caller, Note, Role};
use crate::ops::letters::{Replayed, replay};
use crate::ops::replays::{Batch, Stage, in_words};
use crate::ops::server::Shared;
use crate::store::{DeadLetter, Sought, WorkId};

/// Shown on one page.
const PAGE: usize = 50;

/// What is asked for.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    lane: String,
    #[serde(default)]
    trigger: String,
    #[serde(default)]
    code: String,
    before: Option<u64>,
    done: Option<Done>,
}

/// What has just been done.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Replayed,
    Dropped,
    Missing,
    Busy,
}

fn some(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

impl Asked {
    fn sought(&self) -> Sought {
        Sought {
            lane: some(&self.lane).map(Into::into),
            trigger: some(&self.trigger).map(Into::into),
            end: some(&self.code).map(Into::into),
            before: self.before.map(WorkId),
        }
    }

    fn path(&self) -> String {
        let pairs = [("lane", &self.lane), ("trigger", &self.trigger), ("code", &self.code)];
        let pairs: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        format!("/letters?{}", pairs.join("&"))
    }
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Response {
    let (store, now) = (&shared.watched.store, shared.watched.clock.now());
    let page = match store.letters(&asked.sought(), PAGE).await {
        Ok(page) => page,
        Err(error) => return refused(&caller, View::Letters, &error),
    };
    let (lanes, triggers) = names(&shared);
    let dead: u64 = shared.watched.lanes.iter().map(|(lane, _)| store.lane_count(lane).dead).sum();
    let listed = html! {
        @if page.found.is_empty() { (nothing(if page.next.is_some() { "None among those that were looked through." } else { "There are none: all that was decided has left, or waits to." })) } @else {
            (wide("Dead letters", html! { table {
                (heads(&["Number", "Given up", "Lane", "Does", "Trigger", "Code", "In the vendor's words"]))
                tbody { @for letter in &page.found { (row(letter, now)) } }
            } }))
        }
        @if let Some(WorkId(next)) = page.next { p { a.button href=(format!("{}&before={next}", asked.path())) { "Older ones" } } }
    };
    let main = html! {
        @match asked.done {
            Some(Done::Replayed) => (notice(Tone::Well, "It waits in its lane again.")),
            Some(Done::Dropped) => (notice(Tone::Well, "It is dropped.")),
            Some(Done::Missing) => (notice(Tone::Bad, "It is not there any more.")),
            Some(Done::Busy) => (notice(Tone::Bad, "Others are being counted or replayed; look again in a moment.")),
            None => {}
        }
        (live("batch", "/letters", batch(&shared, &caller)))
        form.line method="get" action="/letters" {
            (choice("lane", "Lane", &lanes, &asked.lane, "all"))
            (choice("trigger", "Trigger", &triggers, &asked.trigger, "all"))
            label { "Code " input name="code" value=(asked.code) size="12" autocomplete="off"; }
            button { "Show" }
        }
        @if caller.may(Role::Operator) {
            form.line method="post" action="/letters/count" {
                input type="hidden" name="lane" value=(asked.lane);
                input type="hidden" name="trigger" value=(asked.trigger);
                input type="hidden" name="code" value=(asked.code);
                button { "Replay by filter: count first" }
                span.muted { "of what the filter above shows: " (in_words(&asked.sought())) }
            }
        } @else { (not_for("operator")) }
        @if asked.before.is_none() { (live("letters", &asked.path(), listed)) } @else { (listed) }
    };
    Page::new(&caller, View::Letters, "Dead letters")
        .beside(html! { p.muted { (number(dead)) " in all lanes" } })
        .with(&main)
        .into_response()
}

fn row(letter: &DeadLetter, now: Timestamp) -> Markup {
    let of = &letter.activation;
    html! {
        tr {
            th scope="row" { a href=(format!("/letters/{}", letter.id.0)) { (letter.id.0) } }
            td { (when(letter.at, now)) }
            td { (of.lane) }
            td { (of.action.to_string()) }
            td { a href=(format!("/triggers/{}", of.trigger)) { (of.trigger) } }
            @match letter.attempts.last().map(|last| &last.outcome) {
                Some(Outcome::Refused { code, words }) => { td { code { (code) } } td { (Redaction::of(of).text(words)) } },
                _ => { td { "-" } td { "-" } },
            }
        }
    }
}

/// The wish to replay many, as far as it is.
fn batch(shared: &Shared, caller: &Caller) -> Markup {
    let Some(Batch { sought, by, began, stage }) = shared.replays.look() else { return html! {} };
    let of = in_words(&sought);
    html! {
        section.banner {
            h2 { "Replay by filter" }
            @match &stage {
                Stage::Counting { found } => p { (chip(Tone::Waits, "counting")) " " (number(*found)) " so far, of " (of) },
                Stage::Counted { found } => {
                    p { strong { (number(*found)) " dead letters" } " match: " (of) ". Those that may not go to the person any more stay." }
                    @if caller.may(Role::Operator) { form.line method="post" action="/letters/replay" {
                        input type="hidden" name="began" value=(began);
                        @if *found > 0 { button.strong name="what" value="replay" { "Replay " (number(*found)) } }
                        button name="what" value="leave" { "Leave them" }
                    } }
                },
                Stage::Replaying(done) => {
                    p { (chip(Tone::Waits, "replaying")) " " (number(done.replayed + done.refused + done.missing)) " of " (number(done.of)) ", " (of) }
                    progress max=(done.of) value=(done.replayed + done.refused + done.missing) aria-label="Replayed" {}
                },
                Stage::Ended(done) => p { (chip(Tone::Well, "done")) " " (number(done.replayed)) " wait in their lanes again, " (number(done.refused)) " stay, "
                    (number(done.missing)) " were gone; " (of) ", for " (by) },
                Stage::Failed { words } => p { (chip(Tone::Bad, "left half-way")) " " (words) },
            }
        }
    }
}

/// One of them.
pub async fn one(State(shared): State<Shared>, Extension(caller): Extension<Caller>, Path(id): Path<u64>) -> Response {
    open(&shared, &caller, id, None).await
}

async fn open(shared: &Shared, caller: &Caller, id: u64, said: Option<&str>) -> Response {
    let letter = match shared.watched.store.dead_letter(WorkId(id)).await {
        Ok(Some(letter)) => letter,
        Ok(None) => return missing("dead letter"),
        Err(error) => return refused(caller, View::Letters, &error),
    };
    let now = shared.watched.clock.now();
    let main = html! {
        @if let Some(words) = said { (notice(Tone::Bad, words)) }
        @if caller.may(Role::Operator) {
            div.line {
                form method="post" action=(format!("/letters/{id}/replay")) { button.strong { "Replay" } }
                form method="post" action=(format!("/letters/{id}/drop")) { button.danger data-sure="Drop it for good?" { "Drop" } }
            }
        } @else { (not_for("operator")) }
        (whole(shared, &letter.activation, &letter.attempts, now))
    };
    let title = format!("Dead letter {id}");
    let beside = html! { p.muted { "given up " (when(letter.at, now)) } };
    Page::new(caller, View::Letters, &title).beside(beside).with(&main).into_response()
}

pub async fn replay_one(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load_full();
    match replay(&*watched.store, &program, id, watched.clock.now()).await {
        Ok(Replayed::Done) => Redirect::to("/letters?done=replayed").into_response(),
        Ok(Replayed::Missing) => Redirect::to("/letters?done=missing").into_response(),
        Ok(Replayed::Refused(words)) => {
            let words = format!("It stays where it is: {words}.");
            (StatusCode::CONFLICT, open(&shared, &caller, id, Some(&words)).await).into_response()
        }
        Err(error) => refused(&caller, View::Letters, &error),
    }
}

pub async fn drop_one(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Response {
    match shared.watched.store.drop_dead(WorkId(id)).await {
        Ok(true) => Redirect::to("/letters?done=dropped").into_response(),
        Ok(false) => Redirect::to("/letters?done=missing").into_response(),
        Err(error) => refused(&caller, View::Letters, &error),
    }
}

pub async fn count(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Form(asked): Form<Asked>,
) -> Response {
    let sought = Sought { before: None, ..asked.sought() };
    match shared.replays.count(&shared.watched, sought, caller.name.clone()) {
        Ok(()) => Redirect::to(&asked.path()).into_response(),
        Err(_) => Redirect::to("/letters?done=busy").into_response(),
    }
}

/// What becomes of those that were counted.
#[derive(Deserialize)]
pub struct Wish {
    what: What,
    /// By the wish that began then: another may have been asked for since this page was made.
    began: Timestamp,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Replay,
    Leave,
}

pub async fn replay_all(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Extension(note): Extension<Note>,
    Form(wish): Form<Wish>,
) -> Response {
    let done = match wish.what {
        What::Replay => shared.replays.begin(&shared.watched, caller.name.clone(), wish.began),
        What::Leave => shared.replays.forget(wish.began).map(|words| format!("left as they are: {words}")),
    };
    let is_done = done.is_some();
    done.into_iter().for_each(|words| note.say(words));
    Redirect::to(if is_done { "/letters" } else { "/letters?done=busy" }).into_response()
}
