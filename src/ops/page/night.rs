//! The nights: what each compared and found, what mends it, and a night by hand.

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activations::choice;
use super::events::of_source;
use super::frame::{Page, View};
use super::pieces::{Tone, chip, heads, linked, live, not_for, nothing, notice, number, short, when, wide};
use super::refused;
use crate::model::{Span, Timestamp};
use crate::ops::access::{Caller, Role};
use crate::ops::letters::{Replayed, resend};
use crate::ops::night::{NightHealth, SHOWN};
use crate::ops::server::Shared;
use crate::reconcile::{Absent, LookReport, Report, Wanted, recent};

#[derive(Default, Deserialize)]
pub struct Which {
    /// When it began; none for the last.
    of: Option<Timestamp>,
    done: Option<Done>,
}

/// What has just been done.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Done {
    Begun,
    Resent,
    Missing,
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(which): Query<Which>,
) -> Response {
    let said = which.done.map(|done| match done {
        Done::Begun => (Tone::Well, "A night has begun; its report comes when it has ended."),
        Done::Resent => (Tone::Well, "It waits in its lane again; a vendor that has it after all drops it."),
        Done::Missing => (Tone::Bad, "There is no event of this number that a vendor took."),
    });
    page(&shared, &caller, &which, said).await
}

async fn page(shared: &Shared, caller: &Caller, which: &Which, said: Option<(Tone, &str)>) -> Response {
    let reports = match recent(&*shared.watched.store, SHOWN).await {
        Ok(reports) => reports,
        Err(error) => return refused(caller, View::Nightly, &error),
    };
    let shown = match which.of {
        Some(of) => reports.iter().find(|report| report.of == of),
        None => reports.first(),
    };
    let (now, may) = (shared.watched.clock.now(), caller.may(Role::Operator));
    let health = NightHealth::of(&shared.watched.nights.state.borrow());
    let mut sources: Vec<String> = shared.watched.streams.iter().map(|one| one.source.to_string()).collect();
    sources.dedup();
    let main = html! {
        @if let Some((tone, words)) = said { (notice(tone, words)) }
        (live("night", "/nights", html! {
            @if let Some(running) = &health.running {
                section.banner { p { (chip(Tone::Waits, "under way")) " since " (when(running.of, now)) ": " (running.doing) " (" (running.read) " of " (running.lists) " lists)" }
                    progress max=(running.lists.max(1)) value=(running.read) aria-label="Lists read" {} }
            }
        }))
        section { h2 { "Compare now" }
            @if may { form.line method="post" action="/nights" {
                (choice("source", "Source", &sources, "", "all, and the lanes"))
                label { "Since " select name="since" { option value="" { "the last good night" } option value="1" { "a day ago" } option value="3" { "three days ago" } option value="7" { "a week ago" } } }
                button.strong { "Begin" }
            } } @else { (not_for("operator")) }
        }
        @if let Some(report) = shown { (night(report, now, may)) } @else { (nothing("There was no night yet.")) }
        @if !reports.is_empty() { section { h2 { "All that are kept" }
            (wide("Nights", html! { table { (heads(&["Began", "Took", "#Events since", "#Findings"])) tbody { @for report in &reports {
                @let findings = report.findings().len();
                tr {
                    th scope="row" { a href=(format!("/nights?of={}", report.of)) aria-current=[(shown.is_some_and(|shown| shown.of == report.of)).then_some("true")] { (short(report.of)) " UTC" } }
                    td { (super::pieces::age(report.ended.since(report.of).as_millis())) }
                    td.n { (linked(report.accepted, "/connectors/events")) }
                    td.n { @if findings == 0 { (chip(Tone::Well, "none")) } @else { a href=(format!("/nights?of={}", report.of)) { (chip(Tone::Bad, &findings.to_string())) } } }
                }
            } } } }))
        } }
    };
    let next = health
        .next
        .map_or("none is due: they are off".to_owned(), |next| format!("the next is due at {} UTC", short(next)));
    Page::new(caller, View::Nightly, "Nightly").beside(html! { p.muted { (next) } }).with(&main).into_response()
}

/// What somebody wants compared.
#[derive(Deserialize)]
pub struct Wish {
    #[serde(default)]
    source: String,
    /// So many days ago; empty for the last good night.
    #[serde(default)]
    since: String,
}

pub async fn begin(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Form(wish): Form<Wish>,
) -> Response {
    let source = Some(wish.source).filter(|source| !source.is_empty());
    let days = wish.since.parse().ok().filter(|days| (1..=31).contains(days));
    let since = days.map(|days| shared.watched.clock.now() - Span::from_days(days));
    match shared.watched.nights.begin(Wanted { source, since }) {
        Ok(()) => Redirect::to("/nights?done=begun").into_response(),
        Err(busy) => {
            let words = busy.to_string();
            (StatusCode::CONFLICT, page(&shared, &caller, &Which::default(), Some((Tone::Bad, &words))).await)
                .into_response()
        }
    }
}

/// Sends again what a vendor took and does not show.
pub async fn resend_one(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
) -> Response {
    let watched = &shared.watched;
    let program = watched.program.load_full();
    match resend(&*watched.store, &program, id, watched.clock.now()).await {
        Ok(Replayed::Done) => Redirect::to("/nights?done=resent").into_response(),
        Ok(Replayed::Missing) => Redirect::to("/nights?done=missing").into_response(),
        Ok(Replayed::Refused(words)) => {
            let words = format!("It is not sent again: {words}.");
            (StatusCode::CONFLICT, page(&shared, &caller, &Which::default(), Some((Tone::Bad, &words))).await)
                .into_response()
        }
        Err(error) => refused(&caller, View::Nightly, &error),
    }
}

fn night(report: &Report, now: Timestamp, may: bool) -> Markup {
    let findings = report.findings();
    html! {
        section {
            h2 { "The night of " (short(report.of)) " UTC" }
            p.muted { "ended " (when(report.ended, now)) "; " a href="/connectors/events" { (number(report.accepted)) " events" } " were accepted since the one before" }
            @if findings.is_empty() {
                p.banner.well { "Nothing differed." }
            } @else {
                ul.troubles { @for finding in &findings { li { (super::pieces::words(finding)) } } }
            }
            @if !report.lists.is_empty() { h3 { "Lists that were read again" } (lists(report)) }
            @for program in &report.programs {
                p {
                    (program.source) ", its program run once more: "
                    @if let Some(brought) = &program.brought {
                        (number(brought.records)) " records, " a href=(of_source(&program.source)) { (number(brought.events)) " new events" } ", "
                        a href=(format!("/connectors/set-aside?source={}", program.source)) { (number(brought.set_aside)) " unreadable" } "; "
                    }
                    (program.ended())
                }
            }
            @if !report.lanes.is_empty() { h3 { "The books of the lanes" } (lanes(report)) }
            @for lane in &report.lanes { @if let Some(looked) = &lane.looked { @if !looked.told.is_empty() { (absent(&lane.lane, looked, may)) } } }
            @for lane in &report.lanes { @if !lane.told.is_empty() {
                h3 { "Dead letters of " (lane.lane) " since" }
                ul { @for dead in &lane.told { li { a href=(format!("/letters/{}", dead.id)) { (dead.id) } " " (dead.trigger) ", " code { (dead.code) } ", " (when(dead.at, now)) } } }
            } }
        }
    }
}

/// What a vendor took and does not show: each to be sent again.
fn absent(lane: &str, looked: &LookReport, may: bool) -> Markup {
    let row = |one: &Absent| {
        html! { tr {
            th scope="row" { a href=(format!("/activations/{}", one.id)) { (one.id) } }
            td { (one.trigger) } td { (one.event) } td { (short(one.at)) } td { code.small { (one.occasion) } }
            td { @if may { form method="post" action=(format!("/nights/resend/{}", one.id)) { button { "Send again" } } } @else { "-" } }
        } }
    };
    html! {
        h3 { (lane) " took these, and does not show them" }
        (wide("Not shown", html! { table { (heads(&["Number", "Trigger", "Event", "When", "Occasion", "Mend"])) tbody { @for one in &looked.told { (row(one)) } } } }))
    }
}

fn lists(report: &Report) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Lists that were read again" {
            table {
                thead { tr {
                    th scope="col" { "List" } th scope="col" { "Read since" } th.n scope="col" { "Events" }
                    th.n scope="col" { "Known" } th.n scope="col" { "Missing" } th.n scope="col" { "Unreadable" }
                    th scope="col" { "State" }
                } }
                tbody { @for list in &report.lists { tr {
                    td { a href=(format!("/connectors/{}", list.source)) { (list.source) } " / " (list.stream) }
                    td { (short(list.from)) }
                    @let came = of_source(&list.source);
                    td.n { (linked(list.read.events, &came)) }
                    td.n { (linked(list.read.known, &came)) }
                    td.n { (linked(list.read.missing, &came)) }
                    td.n { (linked(list.read.set_aside, &format!("/connectors/set-aside?source={}", list.source))) }
                    td {
                        @if list.read.is_done { "read" } @else { (list.held.as_deref().unwrap_or("not read to its end")) }
                        @for one in &list.read.told { br; span.muted { (one.name) ", " (short(one.at)) } }
                    }
                } } }
            }
        }
    }
}

fn lanes(report: &Report) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="The books of the lanes" {
            table {
                thead { tr {
                    th scope="col" { "Lane" } th.n scope="col" { "Decided" } th.n scope="col" { "Accepted" }
                    th.n scope="col" { "Of them deferred" } th.n scope="col" { "Refused" } th.n scope="col" { "Expired" } th.n scope="col" { "Called back" }
                    th.n scope="col" { "Waiting" } th.n scope="col" { "Astray" } th scope="col" { "Shown by the vendor" }
                } }
                tbody { @for lane in &report.lanes { tr {
                    @let of = |rest: &str| format!("/activations?lane={}{rest}", lane.lane);
                    td { (lane.lane) }
                    td.n { (linked(lane.of.made, &of(""))) }
                    td.n { (linked(lane.of.accepted, &of("&end=accepted"))) }
                    td.n { (linked(lane.deferred, &of("&end=accepted"))) }
                    td.n { (linked(lane.of.refused, &of("&end=refused"))) }
                    td.n { (linked(lane.of.expired, &of("&end=expired"))) }
                    td.n { (linked(lane.of.cancelled, &of("&end=cancelled"))) }
                    td.n { (linked(lane.queued, &of("&state=waiting"))) }
                    td.n { @if lane.astray == 0 { "0" } @else { a.n href=(of("")) { (lane.astray) } } }
                    td { @if let Some(looked) = &lane.looked { (shown(looked)) } }
                } } }
            }
        }
    }
}

/// What the vendor shows of what it took.
fn shown(looked: &LookReport) -> Markup {
    html! {
        (looked.words())
        @for (why, n) in &looked.untold { br; span.muted { (n) " cannot be told: " (why) } }
    }
}
