//! Charts: drawn by the script from `/api/series`; without a script, and for who cannot see them, the same as a table.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::pieces::{rate, short};
use crate::model::Timestamp;
use crate::ops::api::Message;
use crate::ops::series::{Kind, Over, Series};
use crate::ops::server::Shared;

/// Series of one question at most.
const MOST: usize = 20;
/// Lines of the table below a chart.
const LINES: usize = 12;

/// What a page is asked about its charts.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Asked {
    over: Option<Over>,
}

impl Asked {
    /// An hour, unless it is said.
    pub fn over(self) -> Over {
        self.over.unwrap_or(Over::Hour)
    }
}

/// One chart.
pub struct Chart<'c> {
    /// What it shows.
    pub title: &'c str,
    /// Of totals `a minute`; of levels what they are counted in.
    pub unit: &'c str,
    /// Names of series, and what they are called here.
    pub lines: Vec<(String, String)>,
}

/// The ways to other spans.
pub fn spans(path: &str, over: Over) -> Markup {
    html! {
        nav.tabs aria-label="How far back" { @for one in Over::ALL {
            a href=(format!("{path}?over={}", one.word())) aria-current=[(one == over).then_some("true")] { (one.word()) }
        } }
    }
}

impl Chart<'_> {
    /// As it stands on a page.
    pub fn drawn(&self, series: &Series, over: Over, now: Timestamp) -> Markup {
        let names: Vec<&str> = self.lines.iter().map(|(name, _)| name.as_str()).collect();
        let labels: Vec<&str> = self.lines.iter().map(|(_, label)| label.as_str()).collect();
        html! {
            figure.chart {
                figcaption { (self.title) " " span.muted { (self.unit) } }
                div.plot hx-morph-skip data-names=(names.join(",")) data-labels=(labels.join(",")) data-over=(over.word())
                    data-unit=(self.unit) role="img" aria-label=(format!("{}, {}, over {}: the table below says the same", self.title, self.unit, over.word())) {}
                details { summary { "As a table" } (self.table(series, over, now)) }
            }
        }
    }

    fn table(&self, series: &Series, over: Over, now: Timestamp) -> Markup {
        let columns: Vec<Vec<(Timestamp, Option<f64>)>> =
            self.lines.iter().map(|(name, _)| coarse(series, name, over, now)).collect();
        html! {
            div.wide tabindex="0" role="region" aria-label=(self.title) { table {
                thead { tr { th scope="col" { "From" } @for (_, label) in &self.lines { th.n scope="col" { (label) } } } }
                tbody { @for line in 0..LINES {
                    @let at = columns.iter().find_map(|column| column.get(line)).map(|(at, _)| *at);
                    @if let Some(at) = at { tr {
                        th scope="row" { (short(at)) }
                        @for column in &columns { td.n { (rate(column.get(line).and_then(|(_, value)| *value))) } }
                    } }
                } }
            } }
        }
    }
}

/// A few stretches of it, each with the mean of what is known.
fn coarse(series: &Series, name: &str, over: Over, now: Timestamp) -> Vec<(Timestamp, Option<f64>)> {
    let slots = scaled(series, name, over, now);
    let size = slots.len().div_ceil(LINES).max(1);
    let mean = |some: &[(Timestamp, Option<f64>)]| {
        let known: Vec<f64> = some.iter().filter_map(|(_, value)| *value).collect();
        (!known.is_empty()).then(|| known.iter().sum::<f64>() / known.len() as f64)
    };
    slots.chunks(size).filter_map(|some| Some((some.first()?.0, mean(some)))).collect()
}

/// As it is told: totals by the minute, levels as they are.
fn scaled(series: &Series, name: &str, over: Over, now: Timestamp) -> Vec<(Timestamp, Option<f64>)> {
    let Some(told) = series.told(name, over, now) else { return Vec::new() };
    let minutes = told.step.as_millis() as f64 / 60_000.0;
    let by = if told.kind == Kind::Level { 1.0 } else { minutes };
    told.slots.into_iter().map(|(at, value)| (at, value.map(|value| value / by))).collect()
}

/// Which series, and how far back.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Wanted {
    /// Names, with commas between: `accepted`, `backlog_age`, `lane/NAME/queued`, `stream/SOURCE/LIST/lag`.
    names: String,
    /// An hour, a day or two weeks.
    #[param(inline)]
    over: Over,
}

/// The answer: one list of instants, and of each series a value for each; null for a gap.
#[derive(Debug, Serialize, ToSchema)]
pub struct Drawn {
    /// How far back.
    over: Over,
    /// Seconds of a slot.
    step_s: i64,
    /// When each slot begins, in seconds since 1970.
    at: Vec<i64>,
    /// In the order in which they were asked for.
    series: Vec<Line>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = DrawnLine)]
pub struct Line {
    /// Its name.
    name: String,
    /// Totals are told by the minute; levels as they are, of a slot the highest.
    values: Vec<Option<f64>>,
}

/// Numbers over time, as the page draws them.
#[utoipa::path(get, path = "/api/series", tag = "health", params(Wanted), responses((status = 200, body = Drawn), (status = 422, body = Message)))]
pub async fn series(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Response {
    let names: Vec<&str> = wanted.names.split(',').filter(|name| !name.is_empty()).collect();
    if names.is_empty() || names.len() > MOST {
        let words = format!("name one to {MOST} series, with commas between");
        return (StatusCode::UNPROCESSABLE_ENTITY, Json(Message { message: words })).into_response();
    }
    let (now, (step, length)) = (shared.watched.clock.now(), wanted.over.shape());
    let last = now.whole(step);
    let at: Vec<i64> = (last - length as i64 + 1..=last).map(|slot| slot * step.as_millis() / 1_000).collect();
    let lines = shared.series.look(|series| {
        names
            .iter()
            .map(|name| {
                let slots = scaled(series, name, wanted.over, now);
                // Of a series that is not there everything is a gap.
                let values = if slots.is_empty() {
                    vec![None; length]
                } else {
                    slots.into_iter().map(|(_, value)| value).collect()
                };
                Line { name: (*name).to_owned(), values }
            })
            .collect()
    });
    Json(Drawn { over: wanted.over, step_s: step.as_millis() / 1_000, at, series: lines }).into_response()
}

/// One bar a day, as high as its share of the busiest; a day of which nothing is known has none.
pub fn bars(days: &[(String, Option<f64>)], label: &str) -> Markup {
    const WIDE: usize = 620;
    const HIGH: usize = 96;
    let most = days.iter().filter_map(|(_, n)| *n).fold(1.0, f64::max);
    let width = WIDE as f64 / days.len().max(1) as f64;
    html! {
        figure.bars {
            svg viewBox=(format!("0 0 {WIDE} {HIGH}")) preserveAspectRatio="none" role="img" aria-label=(format!("{label}; the busiest has {most}")) {
                @for (n, (day, value)) in days.iter().enumerate() {
                    @let height = value.unwrap_or(0.0) / most * HIGH as f64;
                    @let height = if value.is_some_and(|value| value > 0.0) { height.max(1.0) } else { 0.0 };
                    rect fill="currentColor" x=(format!("{:.1}", n as f64 * width)) y=(format!("{:.1}", HIGH as f64 - height))
                        width=(format!("{:.1}", width * 0.8)) height=(format!("{height:.1}")) {
                        title { (day) ": " (rate(*value)) }
                    }
                }
            }
            figcaption.muted {
                @if let (Some((first, _)), Some((last, _))) = (days.first(), days.last()) {
                    (first) " to " (last) ", days of UTC; the busiest has " (rate(Some(most)))
                }
            }
        }
    }
}
