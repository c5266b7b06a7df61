//! The nights, as people see them.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::api::{Message, refused};
use super::page::{number, short};
use super::server::Shared;
use super::trouble::{Trouble, TroubleKind};
use crate::model::Timestamp;
use crate::reconcile::{LookReport, NightState, Report, Running, Wanted, recent};

/// Reports shown at once.
const SHOWN: usize = 30;

/// The last night, and the next.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct NightHealth {
    /// The one that is under way.
    pub running: Option<Running>,
    /// When the next is due; none where they are off.
    pub next: Option<Timestamp>,
    /// The last one.
    pub last: Option<Report>,
    /// What the last one found, in words.
    pub findings: Vec<String>,
}

impl NightHealth {
    pub(super) fn of(state: &NightState) -> Self {
        let NightState { running, next, last } = state.clone();
        let findings = last.as_ref().map(Report::findings).unwrap_or_default();
        Self { running, next, last, findings }
    }

    /// What is wrong.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        if self.findings.is_empty() {
            return Vec::new();
        }
        let (n, of) = (self.findings.len(), self.last.as_ref().map(|report| short(report.of)).unwrap_or_default());
        let things = if n == 1 { "thing" } else { "things" };
        vec![
            Trouble::new(TroubleKind::NightDiffers, format!("the night of {of} UTC"), format!("found {n} {things}"))
                .mended_by("`espalier reconcile show`")
                .since(self.last.as_ref().map(|report| report.ended)),
        ]
    }
}

/// The reports that are kept, newest first.
#[utoipa::path(get, path = "/api/nights", tag = "nights",  responses((status = 200, body = Vec<Report>)))]
pub async fn reports(State(shared): State<Shared>) -> Response {
    match recent(&*shared.watched.store, SHOWN).await {
        Ok(reports) => Json(reports).into_response(),
        Err(error) => refused(&error),
    }
}

/// How nights are now.
#[utoipa::path(get, path = "/api/nights/state", tag = "nights",  responses((status = 200, body = NightState)))]
pub async fn state(State(shared): State<Shared>) -> Response {
    let state = shared.watched.nights.state.borrow().clone();
    Json(state).into_response()
}

/// That one began.
#[derive(Serialize, utoipa::ToSchema)]
pub struct Begun {}

/// Begins one.
#[utoipa::path(post, path = "/api/nights", tag = "nights", request_body = Wanted,  responses((status = 202, body = Begun), (status = 409, body = Message)))]
pub async fn begin(State(shared): State<Shared>, Json(wanted): Json<Wanted>) -> Response {
    match shared.watched.nights.begin(wanted) {
        Ok(()) => (StatusCode::ACCEPTED, Json(Begun {})).into_response(),
        Err(busy) => (StatusCode::CONFLICT, Json(json!({ "message": busy.to_string() }))).into_response(),
    }
}

#[derive(Deserialize)]
pub struct Which {
    /// When it began; none for the last.
    of: Option<Timestamp>,
}

/// The page of one night.
pub async fn page(State(shared): State<Shared>, Query(which): Query<Which>) -> Response {
    let reports = match recent(&*shared.watched.store, SHOWN).await {
        Ok(reports) => reports,
        Err(error) => return refused(&error),
    };
    let shown = match which.of {
        Some(of) => reports.iter().find(|report| report.of == of),
        None => reports.first(),
    };
    let header = html! {
        h1 { "Nights" }
        p { a href="/" { "Status" } }
    };
    let main = html! {
        @if let Some(report) = shown { (night(report)) } @else { p.muted { "There was no night yet." } }
        section {
            h2 { "All that are kept" }
            ul { @for report in &reports {
                @let findings = report.findings().len();
                li {
                    a href=(format!("/nights?of={}", report.of)) { (short(report.of)) }
                    " " span.muted { @if findings == 0 { "nothing differed" } @else { (findings) " findings" } }
                }
            } }
        }
    };
    super::frame::frame("nights", &html! {}, &header, &main).into_response()
}

fn night(report: &Report) -> Markup {
    let findings = report.findings();
    html! {
        section {
            h2 { "The night of " (short(report.of)) " UTC" }
            p.muted {
                "until " (short(report.ended)) " UTC; " (number(report.accepted)) " events were accepted since the one before"
            }
            @if findings.is_empty() {
                p.well { "Nothing differed." }
            } @else {
                ul { @for finding in &findings { li { (finding) } } }
            }
            @if !report.lists.is_empty() { (lists(report)) }
            @for program in &report.programs {
                p {
                    (program.source) ", its program run once more: "
                    @if let Some(brought) = &program.brought {
                        (number(brought.records)) " records, " (number(brought.events)) " new events, "
                        (number(brought.set_aside)) " unreadable; "
                    }
                    (program.ended())
                }
            }
            @if !report.lanes.is_empty() { (lanes(report)) }
        }
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
                    td { (list.source) " / " (list.stream) }
                    td { (short(list.from)) }
                    td.n { (number(list.read.events)) }
                    td.n { (number(list.read.known)) }
                    td.n { (number(list.read.missing)) }
                    td.n { (number(list.read.set_aside)) }
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
                    td { (lane.lane) }
                    td.n { (number(lane.of.made)) }
                    td.n { (number(lane.of.accepted)) }
                    td.n { (number(lane.deferred)) }
                    td.n { (number(lane.of.refused)) }
                    td.n { (number(lane.of.expired)) }
                    td.n { (number(lane.of.cancelled)) }
                    td.n { (number(lane.queued)) }
                    td.n { (lane.astray) }
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
        @for one in &looked.told { br; span.muted { "not shown: " (one.event) ", " (short(one.at)) ", " code { (one.occasion) } } }
    }
}

/// A line of the status page.
pub(super) fn summary(health: &NightHealth) -> Markup {
    html! {
        section {
            h2 { "Nights" }
            @if let Some(running) = &health.running {
                p { "One is under way since " (short(running.of)) " UTC: " (running.doing) " (" (running.read) " of " (running.lists) " lists)" }
            }
            @if let Some(last) = &health.last {
                p {
                    a href="/nights" { (short(last.of)) } " UTC: "
                    @if health.findings.is_empty() { "nothing differed" } @else { (health.findings.len()) " findings" }
                }
            } @else { p.muted { "There was none yet." } }
            p.muted { @if let Some(next) = health.next { "The next is due at " (short(next)) " UTC." } @else { "None is due: they are off." } }
        }
    }
}
