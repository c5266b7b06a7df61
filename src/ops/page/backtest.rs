//! The page of one trigger's back-test: fires by day as bars, and what else a person wants before changing it.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};

use super::charts::bars;
use super::frame::{Page, View};
use super::pieces::{Tone, heads, notice, number, wide};
use super::triggers::percent;
use crate::model::Span;
use crate::ops::access::Caller;
use crate::ops::backtest::{Wanted, bounded};
use crate::ops::server::Shared;
use crate::replay::{Report, Tested};
use crate::rules::gate::guard::Tripped;

/// The period that is shown.
const SINCE: Span = Span::from_days(30);
/// Nobody waits longer for a page; what was counted by then is shown.
const LONGEST: Duration = Duration::from_secs(5);

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response {
    let wanted = Wanted { trigger: Some(name.clone()), since: Some(SINCE), against: None };
    let title = format!("Back-test of {name}");
    let page = Page::new(&caller, View::Triggers, &title)
        .beside(html! { a.button href=(format!("/triggers/{name}")) { "The trigger" } });
    match bounded(&shared, wanted, LONGEST).await {
        Some(Ok(report)) => page.with(&shown(&report)).into_response(),
        Some(Err(failed)) => {
            (StatusCode::NOT_FOUND, page.with(&notice(Tone::Bad, &failed.to_string()))).into_response()
        }
        None => {
            let words = notice(Tone::Bad, "Another back-test runs; load this page again in a moment.");
            (StatusCode::CONFLICT, page.with(&words)).into_response()
        }
    }
}

fn shown(report: &Report) -> Markup {
    html! {
        p { "The last 30 days of " (number(report.people)) " people, lived again under the triggers in force." }
        @if !report.is_whole {
            p.muted role="status" { "There are more people: this is a sample, taken for five seconds." }
        }
        @for tested in &report.triggers { (one(tested)) }
    }
}

fn one(tested: &Tested) -> Markup {
    let days: Vec<(String, Option<f64>)> =
        tested.days.iter().map(|day| (day.day.to_string(), Some(day.fires as f64))).collect();
    html! {
        section {
            p { strong { (number(tested.fires)) " fires" } " for " (number(tested.people)) " people (" (percent(Some(100.0 * tested.share_of_people))) "); "
                (number(tested.purchases.within_an_hour_after)) " of them within an hour before a purchase." }
            @if let Some(Tripped { hours, first: Some(first), fires }) = tested.guard {
                p { "Its rate guard would have paused it in " (hours) " hours, first at " (first) ", and held " (fires)
                    " fires." }
            }
            (bars(&days, "Fires by day"))
            div.two {
                (wide("Each condition alone", html! { table {
                    (heads(&["Condition alone", "#People", "#Share"]))
                    tbody { @for one in &tested.conditions {
                        tr { td { (one.condition) } td.n { (number(one.people)) } td.n { (percent(Some(100.0 * one.share_of_people))) } }
                    } }
                } }))
                (wide("What became of its edges", html! { table {
                    (heads(&["What became of an edge", "#Edges"]))
                    tbody { @for (word, n) in &tested.verdicts { tr { td { (word.replace('_', " ")) } td.n { (number(*n)) } } } }
                } }))
            }
        }
    }
}
