//! Where events come from: streams with their cursors, subscriptions to webhooks, and what records were seen to hold.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activations::escaped;
use super::charts::Chart;
use super::events::of_source;
use super::frame::{Page, View};
use super::pieces::{
    HIDDEN, Tone, age, behind, chip, heads, linked, live, nothing, number, rate, short, when, when_or, wide,
};
use super::{missing, refused};
use crate::model::{Span, Timestamp};
use crate::ops::access::Caller;
use crate::ops::health::{Health, HooksHealth, StreamHealth};
use crate::ops::series::Over;
use crate::ops::server::Shared;
use crate::pull::Watching;

/// Fields of an audit that are told for each list.
const FIELDS: usize = 40;
/// Messages that are shown.
const ASIDE: usize = 100;
/// Messages that are looked through for those of one source.
const LOOKED: usize = 1_000;

pub async fn view(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Markup {
    let health = shared.watched.health();
    let main = live(
        "connectors",
        "/connectors",
        html! {
            @if health.sources.is_empty() { (nothing("No source is configured: nothing comes.")) } @else {
                (wide("Sources", html! { table {
                    (heads(&["Source", "Kind", "State", "#Lists", "#Behind at most", "#Records", "#Events", "#Unreadable", "Webhooks"]))
                    tbody { @for source in &health.sources {
                        @let lists: Vec<&StreamHealth> = lists(&health, &source.name);
                        @let hooks = health.subscriptions.iter().find(|one| one.source == source.name);
                        tr {
                            th scope="row" { a href=(format!("/connectors/{}", source.name)) { (source.name) } }
                            td { (source.kind) }
                            td { (state(source.quiet.as_ref().map(|quiet| quiet.words()), &lists)) }
                            td.n { (linked(lists.len() as u64, &format!("/connectors/{}", source.name))) }
                            td.n { @if lists.is_empty() { "-" } @else { (behind(lists.iter().map(|one| one.lag_ms).max().unwrap_or(0), health.at)) } }
                            td.n { (linked(lists.iter().map(|one| one.records).sum(), &format!("/connectors/{}#records", source.name))) }
                            td.n { (linked(lists.iter().map(|one| one.events).sum(), &of_source(&source.name))) }
                            td.n { (linked(lists.iter().map(|one| one.set_aside).sum(), &aside(&source.name))) }
                            td { @match hooks { Some(hooks) => (chip(if hooks.is_held || hooks.standing < hooks.wanted { Tone::Bad } else { Tone::Well }, &format!("{} of {}", hooks.standing, hooks.wanted))), None => span.muted { "-" } } }
                        }
                    } }
                } }))
            }
            p { a href="/connectors/set-aside" { (number(health.journal.set_aside)) " messages are set aside" } " as unreadable. "
                a href="/connectors/events" { (number(health.journal.accepted)) " events" } " were accepted in all. "
                @let products = shared.watched.store.catalogue().len();
                @if products > 0 { a href="/connectors/products" { (number(products as u64)) " products" } " are for sale." } }
        },
    );
    Page::new(&caller, View::Connectors, "Connectors").with(&main)
}

fn lists<'h>(health: &'h Health, source: &str) -> Vec<&'h StreamHealth> {
    health.streams.iter().filter(|one| one.source == source).collect()
}

/// Where what could not be read of a source is.
fn aside(source: &str) -> String {
    format!("/connectors/set-aside?source={}", escaped(source))
}

fn state(quiet: Option<String>, lists: &[&StreamHealth]) -> Markup {
    let held = lists.iter().find(|one| one.until.is_some());
    match (quiet, held) {
        (Some(words), _) => chip(Tone::Bad, &words),
        (None, Some(one)) => chip(Tone::Bad, &format!("{}: {}", one.stream, one.state)),
        (None, None) if lists.is_empty() => chip(Tone::Well, "listens"),
        (None, None) if lists.iter().all(|one| one.state == "in sync") => chip(Tone::Well, "in sync"),
        (None, None) => chip(Tone::Waits, "reading"),
    }
}

/// One source.
pub async fn one(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
) -> Response {
    let health = shared.watched.health();
    let Some(source) = health.sources.iter().find(|one| one.name == name) else { return missing("source") };
    let (lists, now) = (lists(&health, &name), health.at);
    let watching: Vec<&Watching> = shared.watched.streams.iter().filter(|one| *one.source == *name).collect();
    let hooks: Vec<&HooksHealth> = health.subscriptions.iter().filter(|one| one.source == name).collect();
    let lines = |what: &str| {
        lists.iter().take(8).map(|one| (format!("stream/{name}/{}/{what}", one.stream), one.stream.clone())).collect()
    };
    let charts = [
        Chart { title: "Behind", unit: "seconds", lines: lines("lag") },
        Chart { title: "Records", unit: "a minute", lines: lines("records") },
    ];
    let main = shared.series.look(|series| html! {
        (live("source", &format!("/connectors/{name}"), html! {
            p { (state(source.quiet.as_ref().map(|quiet| quiet.words()), &lists)) }
            section { h2 { "Streams" }
                @if lists.is_empty() { (nothing("It sends by itself: nothing is pulled from it.")) } @else { (streams(&name, &lists, now)) }
            }
            @if !hooks.is_empty() { section { h2 { "Webhooks" } @for one in &hooks { (subscriptions(one, now)) } } }
        }))
        @if !lists.is_empty() { section id="records" aria-label="Charts" { h2 { "Over time" } div.charts { @for chart in &charts { (chart.drawn(series, Over::Hour, now)) } } } }
        section { h2 { "Mapping audit" } (audits(&watching)) }
    });
    Page::new(&caller, View::Connectors, &name).beside(html! { p.muted { (source.kind) } }).with(&main).into_response()
}

fn streams(source: &str, lists: &[&StreamHealth], now: Timestamp) -> Markup {
    wide(
        "Streams",
        html! { table {
            (heads(&["Stream", "State", "Read up to", "Its past", "#Records", "#Events", "#Products", "#Unreadable", "Last page", "Last error"]))
            tbody { @for list in lists { tr {
                th scope="row" { (list.stream) }
                td { (chip(if list.until.is_some() { Tone::Bad } else { Tone::Well }, &list.state))
                    @if let Some(quiet) = &list.quiet { div { (chip(Tone::Bad, &quiet.words())) } }
                    @if let Some(until) = list.until { div.muted { "again at " (short(until)) " UTC" } } }
                td { @if list.lag_ms < now.as_millis() { (when(now - Span::from_millis(list.lag_ms), now)) } @else { span.muted { "not yet" } } }
                td { @match list.past_ms { Some(past) => { (age(past)) " to read" }, None => "read" } }
                td.n { (linked(list.records, "#records")) }
                td.n { (linked(list.events, &of_source(source))) }
                td.n { (linked(list.products, "/connectors/products")) }
                td.n { (linked(list.set_aside, &aside(source))) }
                td { (when_or(list.last_success, now, "not yet")) }
                td { @if let Some(error) = &list.last_error { (error) } @else { span.muted { "none" } } }
            } } }
        } },
    )
}

fn subscriptions(one: &HooksHealth, now: Timestamp) -> Markup {
    html! {
        p { (chip(if one.is_held || one.standing < one.wanted { Tone::Bad } else { Tone::Well }, &one.state)) " "
            (one.standing) " of " (one.wanted) " topics send to " code { (one.address) } ", looked at " (when_or(one.looked, now, "not yet")) }
        @if !one.missing.is_empty() || !one.lost.is_empty() {
            (wide("Topics", html! { table { (heads(&["Topic", "What"])) tbody {
                @for (topic, why) in &one.missing { tr { th scope="row" { (topic) } td { (chip(Tone::Bad, "missing")) " " (why) } } }
                @for (topic, at) in &one.lost { tr { th scope="row" { (topic) } td { "was lost, seen " (when(*at, now)) } } }
            } } }))
        }
    }
}

fn audits(watching: &[&Watching]) -> Markup {
    let found: Vec<(Arc<str>, _)> =
        watching.iter().filter_map(|one| Some((one.stream.clone(), one.findings()?))).collect();
    if found.is_empty() {
        return nothing("Only records of lists that a manifest maps are looked at.");
    }
    let shares = |title: &str, all: &[(String, f64)]| {
        html! {
            @if !all.is_empty() { details { summary { (title) " " span.muted { "(" (all.len()) ")" } } ul { @for (name, share) in all.iter().take(FIELDS) { li { code { (name) } " " (rate(Some(*share))) " %" } } } } }
        }
    };
    html! { @for (stream, audit) in &found {
        h3 { (stream) " " span.muted { (number(audit.records)) " records looked at" } }
        @if audit.records == 0 { (nothing("None came yet.")) }
        @if !audit.drifted.is_empty() { ul.troubles { @for words in &audit.drifted { li { (chip(Tone::Bad, "drifted")) " " (words) } } } }
        @if !audit.never_seen.is_empty() { details { summary { "Read, and never there " span.muted { "(" (audit.never_seen.len()) ")" } } ul { @for field in audit.never_seen.iter().take(FIELDS) { li { code { (field) } } } } } }
        (shares("Records without a name of this kind", &audit.unnamed))
        (shares("There, and not read", &audit.unmapped))
        @if audit.is_cut { p.muted { "There are more fields than are kept." } }
    } }
}

/// Of which source.
#[derive(Deserialize)]
pub struct Asked {
    source: Option<String>,
}

/// Messages that could not be read. What they say may be somebody's: it is not shown.
pub async fn set_aside(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(Asked { source }): Query<Asked>,
) -> Response {
    let look = if source.is_some() { LOOKED } else { ASIDE };
    let mut list = match shared.watched.store.set_aside_list(look).await {
        Ok(list) => list,
        Err(error) => return refused(&caller, View::Connectors, &error),
    };
    list.retain(|one| source.as_deref().is_none_or(|source| *one.source == *source));
    list.truncate(ASIDE);
    let now = shared.watched.clock.now();
    let main = html! {
        @if let Some(source) = &source { p { "Of " a href=(format!("/connectors/{source}")) { (source) } ", among the newest " (number(LOOKED as u64)) " of all. " a href="/connectors/set-aside" { "Of all sources" } } }
        p.muted { "The newest " (ASIDE) " at most. What a message says may be somebody's and is not shown; " code { "espalier store set-aside" } " has it." }
        @if list.is_empty() { (nothing("Everything that came could be read.")) } @else {
            (wide("Set aside", html! { table { (heads(&["When", "Source", "Why", "#Bytes", "Message"])) tbody { @for one in &list { tr {
                td { (when(one.at, now)) } td { a href=(format!("/connectors/{}", one.source)) { (one.source) } } td { (one.reason) }
                td.n { (number(one.body.len() as u64)) } td { (HIDDEN) }
            } } } } }))
        }
    };
    Page::new(&caller, View::Connectors, "Set aside")
        .beside(html! { p.muted { (number(shared.watched.store.counts().set_aside)) " in all" } })
        .with(&main)
        .into_response()
}
