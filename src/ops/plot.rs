//! The page of one trigger's back-test: fires by day as bars, and what else a person wants before changing it.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::backtest::{Wanted, bounded};
use super::frame::frame;
use super::server::Shared;
use crate::model::Span;
use crate::replay::{OfDay, Report, Tested};
use crate::rules::gate::guard::Tripped;

/// The period that is shown.
const SINCE: Span = Span::from_days(30);
/// Nobody waits longer for a page; what was counted by then is shown.
const LONGEST: Duration = Duration::from_secs(5);
/// Width and height of the drawing, in its own units.
const WIDE: usize = 620;
const HIGH: usize = 120;

pub async fn page(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let wanted = Wanted { trigger: Some(name), since: Some(SINCE), against: None };
    match bounded(&shared, wanted, LONGEST).await {
        Some(Ok(report)) => shown(&report).into_response(),
        Some(Err(failed)) => (StatusCode::NOT_FOUND, format!("{failed}\n")).into_response(),
        None => (StatusCode::CONFLICT, "another back-test runs; load this page again in a moment\n").into_response(),
    }
}

fn shown(report: &Report) -> Markup {
    let header = html! {
        h1 { a href="/" { "Espalier" } }
        p.muted { "The last 30 days of " (report.people) " people, lived again under the triggers in force." }
        @if !report.is_whole {
            p.muted role="status" { "There are more people: this is a sample, taken for five seconds." }
        }
    };
    let main = html! { @for tested in &report.triggers { (one(tested)) } };
    frame("back-test", &html! {}, &header, &main)
}

fn one(tested: &Tested) -> Markup {
    let share = |share: f64| format!("{:.1} %", 100.0 * share);
    html! {
        section {
            h2 { (tested.trigger) " " span.muted { (tested.title) } }
            p { (tested.fires) " fires for " (tested.people) " people (" (share(tested.share_of_people)) "); "
                (tested.purchases.within_an_hour_after) " of them within an hour before a purchase." }
            @if let Some(Tripped { hours, first: Some(first), fires }) = tested.guard {
                p { "Its rate guard would have paused it in " (hours) " hours, first at " (first) ", and held " (fires)
                    " fires." }
            }
            (bars(&tested.days))
            table {
                thead { tr { th scope="col" { "Condition alone" } th.n scope="col" { "People" } th.n scope="col" { "Share" } } }
                tbody { @for one in &tested.conditions {
                    tr { td { (one.condition) } td.n { (one.people) } td.n { (share(one.share_of_people)) } }
                } }
            }
            table {
                thead { tr { th scope="col" { "What became of an edge" } th.n scope="col" { "Edges" } } }
                tbody { @for (word, n) in &tested.verdicts { tr { td { (word) } td.n { (n) } } } }
            }
        }
    }
}

/// One bar a day, as high as its share of the busiest.
fn bars(days: &[OfDay]) -> Markup {
    let most = days.iter().map(|day| day.fires).max().unwrap_or(0).max(1);
    let width = WIDE as f64 / days.len().max(1) as f64;
    let bar = |n: usize, day: &OfDay| {
        let height = day.fires as f64 / most as f64 * HIGH as f64;
        html! {
            rect fill="currentColor" x=(format!("{:.1}", n as f64 * width)) y=(format!("{:.1}", HIGH as f64 - height))
                width=(format!("{:.1}", width * 0.8)) height=(format!("{height:.1}")) {
                title { (day.day) ": " (day.fires) }
            }
        }
    };
    html! {
        figure {
            svg viewBox=(format!("0 0 {WIDE} {HIGH}")) width="100%" role="img" aria-label=(format!("Fires by day; the busiest has {most}")) {
                @for (n, day) in days.iter().enumerate() { (bar(n, day)) }
            }
            figcaption.muted {
                @if let (Some(first), Some(last)) = (days.first(), days.last()) { (first.day) " to " (last.day) ", UTC days; the busiest has " (most) }
            }
        }
    }
}
