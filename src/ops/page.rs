//! The status page: one screen, no script, nothing from elsewhere. It asks itself again every five seconds.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use maud::{Markup, html};

use super::access::Routes;
use super::frame::frame;
use super::health::{Health, LaneHealth};
use super::quota::{QuotaHealth, clock, span};
use super::server::Shared;
use super::{night, page_trigger, plot};
use crate::model::{Span, Timestamp};

const STYLE: &str = include_str!("style.css");

/// Every page, by the role that it asks for.
pub fn routes() -> Routes {
    let viewer = Router::new()
        .route("/", get(status))
        .route("/nights", get(night::page))
        .route("/triggers/{name}", get(page_trigger::show))
        .route("/triggers/{name}/backtest", get(plot::page));
    let operator = Router::new().route("/triggers/{name}", post(page_trigger::change));
    Routes { viewer, operator, admin: Router::new() }
}

pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("text/css"))], STYLE).into_response()
}

pub async fn status(State(shared): State<Shared>) -> Markup {
    page(&shared.watched.health(), &QuotaHealth::of(&shared.watched))
}

/// A dot in the browser's tab: green while all is well, red when somebody should look.
fn icon(is_well: bool) -> String {
    let colour = if is_well { "%231a7f4b" } else { "%23b3261e" };
    format!(
        "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'><circle cx='4' cy='4' r='4' fill='{colour}'/></svg>"
    )
}

fn page(health: &Health, quota: &QuotaHealth) -> Markup {
    let is_well = health.troubles.is_empty();
    let head = html! {
        meta http-equiv="refresh" content="5";
        link rel="icon" href=(icon(is_well));
    };
    let header = html! {
        h1 { "Espalier" }
        p.muted { "version " (health.version) ", store schema " (health.schema) ", running since " (short(health.began)) ", looked at " (short(health.at)) " UTC" }
    };
    let main = html! {
        (troubles(health))
        (journal(health))
        (lanes(health))
        (quotas(quota))
        (triggers(health))
        (sources(health))
        (night::summary(&health.night))
    };
    frame(if is_well { "well" } else { "look here" }, &head, &header, &main)
}

fn troubles(health: &Health) -> Markup {
    html! {
        @if health.troubles.is_empty() {
            p.well role="status" { "Everything that arrived is on its way." }
        } @else {
            section.trouble role="alert" {
                h2 { "To look at" }
                ul { @for trouble in &health.troubles { li { (trouble) } } }
            }
        }
    }
}

fn journal(health: &Health) -> Markup {
    let journal = &health.journal;
    let waits = match journal.backlog {
        0 => "nothing waits to be decided".to_owned(),
        _ => format!("the oldest waits for {}", age(journal.backlog_age_ms)),
    };
    html! {
        section {
            h2 { "In and decided" }
            dl {
                (figure("Events accepted", &number(journal.accepted), "on disk since this store was made"))
                (figure("Events decided", &number(journal.decided), &format!("the engine is {}", health.engine.doing)))
                (figure("Backlog", &number(journal.backlog), &waits))
                (figure("People", &number(journal.people), &journal.next_timer.map_or("no timer is set".to_owned(), |at| format!("next timer at {} UTC", short(at)))))
                (figure("Set aside", &number(journal.set_aside), "messages that could not be read, kept for inspection"))
                (figure("Journal", &format!("{} MB", journal.journal_bytes >> 20), "on disk"))
            }
        }
    }
}

fn figure(name: &str, value: &str, note: &str) -> Markup {
    html! { div { dt { (name) } dd { strong { (value) } span.muted { (note) } } } }
}

fn lanes(health: &Health) -> Markup {
    html! {
        section {
            h2 { "Lanes" }
            div.wide tabindex="0" role="region" aria-label="Lanes" {
                table {
                    thead { tr {
                        th scope="col" { "Lane" } th scope="col" { "State" } th.n scope="col" { "Waiting" } th.n scope="col" { "Oldest" }
                        th.n scope="col" { "Accepted" } th.n scope="col" { "Had it" } th.n scope="col" { "Refused" } th.n scope="col" { "Dead letters" }
                        th scope="col" { "Last accepted" }
                    } }
                    tbody { @for lane in &health.lanes { (lane_row(lane)) } }
                }
            }
            @if health.lanes.is_empty() { p.muted { "No destination is configured." } }
        }
    }
}

fn lane_row(lane: &LaneHealth) -> Markup {
    let outcome = |word: &str| number(lane.outcomes.get(word).copied().unwrap_or(0));
    html! {
        tr.held[lane.until.is_some()] {
            th scope="row" { (lane.name) " " span.muted { (lane.kind) } }
            td {
                (lane.state)
                @if let Some(until) = lane.until { " until " (short(until)) " UTC" }
                @if let Some(error) = &lane.last_error { br; span.muted { "last failure: " (error) } }
            }
            td.n { (number(lane.queued)) @if lane.deferred > 0 { span.muted { " (" (number(lane.deferred)) " later)" } } }
            td.n { (age(lane.backlog_age_ms)) }
            td.n { (outcome("accepted")) }
            td.n { (outcome("duplicate")) }
            td.n { (outcome("refused")) }
            td.n { (number(lane.dead)) }
            td { (lane.last_success.map_or("not yet".to_owned(), short)) }
        }
    }
}

fn quotas(quota: &QuotaHealth) -> Markup {
    let said = |calls: Option<u32>| calls.map_or("-".to_owned(), |n| number(n.into()));
    let at = |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| clock(at, quota.at));
    html! {
        section {
            h2 { "Quotas" }
            @if quota.accounts.is_empty() {
                p.muted { "No account has limits." }
            } @else {
                div.wide tabindex="0" role="region" aria-label="Quotas" {
                    table {
                        thead { tr {
                            th scope="col" { "Account" } th scope="col" { "Calls" } th.n scope="col" { "Allowed" } th.n scope="col" { "Ours" }
                            th.n scope="col" { "Used" } th.n scope="col" { "Left of all" } th scope="col" { "Begins anew" } th scope="col" { "Blocked until" }
                        } }
                        tbody {
                            @for account in &quota.accounts {
                                @for one in &account.windows {
                                    tr.held[one.blocked_until.is_some()] {
                                        th scope="row" { (account.name) }
                                        td { (one.family) " " span.muted { "in " (span(one.span_ms)) } }
                                        td.n { (number(one.calls.into())) }
                                        td.n { (number(one.ours.into())) }
                                        td.n { (said(one.used)) }
                                        td.n { (said(one.left)) }
                                        td { (at(one.resets)) }
                                        td { (at(one.blocked_until)) }
                                    }
                                }
                            }
                        }
                    }
                }
            }
            @for lane in quota.lanes.iter().filter(|lane| !lane.words.is_empty()) {
                h3 { (lane.lane) @if let Some(ends) = lane.outlook.ends { " " span.muted { "through at " (clock(ends, quota.at)) } } }
                ul { @for line in &lane.words { li { (line) } } }
            }
        }
    }
}

fn triggers(health: &Health) -> Markup {
    html! {
        section {
            h2 { "Triggers" }
            div.wide tabindex="0" role="region" aria-label="Triggers" {
                table {
                    thead { tr { th scope="col" { "Trigger" } th scope="col" { "Rule" } th scope="col" { "Starts" } th scope="col" { "State" } th.n scope="col" { "This hour" } } }
                    tbody {
                        @for trigger in &health.triggers {
                            tr.held[trigger.liveness.since.is_some()] {
                                th scope="row" { a href=(format!("/triggers/{}", trigger.name)) { (trigger.name) } br; span.muted { (trigger.title) } }
                                td { @for line in &trigger.rule { div { (line) } } }
                                td { @for line in &trigger.destinations { div { (line) } } }
                                td { (trigger.liveness.words()) }
                                td.n { (number(trigger.liveness.this_hour)) @if let Some(usual) = trigger.liveness.usual { br; span.muted { "usually " (number(usual)) } } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn sources(health: &Health) -> Markup {
    html! {
        section {
            h2 { "Sources" }
            ul { @for source in &health.sources { li {
                (source.name) " " span.muted { (source.kind) }
                @if let Some(quiet) = &source.quiet { " " (quiet.words()) }
            } } }
            @if health.sources.is_empty() { p.muted { "No source is configured." } }
            @if !health.streams.is_empty() { (streams(health)) }
            @if !health.subscriptions.is_empty() { (subscriptions(health)) }
        }
    }
}

fn streams(health: &Health) -> Markup {
    let of_time = |ms: Option<i64>| ms.map_or_else(|| "read".to_owned(), |ms| format!("{} to read", age(ms)));
    html! {
        div.wide tabindex="0" role="region" aria-label="Lists that are pulled" {
            table {
                thead { tr {
                    th scope="col" { "List" } th scope="col" { "State" } th.n scope="col" { "Behind" }
                    th scope="col" { "Its past" } th.n scope="col" { "Records" } th.n scope="col" { "Events" }
                    th.n scope="col" { "Products" } th.n scope="col" { "Set aside" } th scope="col" { "Last page" }
                } }
                tbody {
                    @for stream in &health.streams {
                        tr {
                            td { (stream.source) " / " (stream.stream) }
                            td {
                                (stream.state)
                                @if let Some(quiet) = &stream.quiet { br; (quiet.words()) }
                                @if let Some(until) = stream.until { br; span.muted { "again at " (short(until)) } }
                            }
                            td.n { (age(stream.lag_ms)) }
                            td { (of_time(stream.past_ms)) }
                            td.n { (number(stream.records)) }
                            td.n { (number(stream.events)) }
                            td.n { (number(stream.products)) }
                            td.n { (number(stream.set_aside)) }
                            td { @if let Some(at) = stream.last_success { (short(at)) } @else { "-" } }
                        }
                    }
                }
            }
        }
    }
}

fn subscriptions(health: &Health) -> Markup {
    html! {
        div.wide tabindex="0" role="region" aria-label="Subscriptions to webhooks" {
            table {
                thead { tr {
                    th scope="col" { "Webhooks" } th scope="col" { "State" } th.n scope="col" { "Subscribed" }
                    th.n scope="col" { "Wanted" } th scope="col" { "Looked at" } th scope="col" { "Last lost" }
                } }
                tbody {
                    @for one in &health.subscriptions {
                        tr {
                            td { (one.source) br; span.muted { (one.address) } }
                            td { (one.state) }
                            td.n { (one.standing) }
                            td.n { (one.wanted) }
                            td { @if let Some(at) = one.looked { (short(at)) } @else { "-" } }
                            td { @if let Some(at) = one.lost.values().max() { (short(*at)) } @else { "never" } }
                        }
                    }
                }
            }
        }
    }
}

/// `2026-11-23 16:05:12`
pub(super) fn short(at: Timestamp) -> String {
    at.to_string().replace('T', " ").chars().take(19).collect()
}

/// The largest unit: people read this, not machines.
fn age(ms: i64) -> String {
    let span = Span::from_millis(ms);
    match span.as_millis() {
        0 => "none".into(),
        ms if ms < 1_000 => format!("{ms} ms"),
        ms if ms < 120_000 => format!("{} s", ms / 1_000),
        ms if ms < 7_200_000 => format!("{} min", ms / 60_000),
        ms if ms < 172_800_000 => format!("{} h", ms / 3_600_000),
        ms => format!("{} d", ms / 86_400_000),
    }
}

/// 1,234,567
pub(super) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
