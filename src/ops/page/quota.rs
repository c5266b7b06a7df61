//! What vendors let through, and when the queues are through: the ledger and the forecast.

use axum::Extension;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::activations::escaped;
use super::charts::{Asked, Chart, spans};
use super::frame::{Page, View};
use super::pieces::{Tone, chip, heads, linked, live, nothing, number, wide};
use crate::model::Timestamp;
use crate::ops::access::Caller;
use crate::ops::quota::{AccountHealth, QueueHealth, QuotaHealth, clock, span};
use crate::ops::server::Shared;

/// Windows that are drawn.
const DRAWN: usize = 8;

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Markup {
    let (quota, over) = (QuotaHealth::of(&shared.watched), asked.over());
    let lines = quota.accounts.iter().flat_map(|account| {
        account.windows.iter().filter(|one| one.used.is_some()).map(|one| {
            let name = format!("quota/{}/{}/{}", account.name, one.family, one.span_ms / 1_000);
            (name, format!("{} {} in {}", account.name, one.family, span(one.span_ms)))
        })
    });
    let chart = Chart { title: "Used of what is ours", unit: "percent", lines: lines.take(DRAWN).collect() };
    let main = shared.series.look(|series| live("quota", &format!("/quota?over={}", over.word()), html! {
        section { h2 { "Ledger" }
            @if quota.accounts.is_empty() { (nothing("No account has limits.")) } @else { (ledger(&shared, &quota)) }
        }
        @if !chart.lines.is_empty() {
            section aria-label="Charts" { div.row { h2 { "Over time" } (spans("/quota", over)) } div.charts { (chart.drawn(series, over, quota.at)) } }
        }
        section { h2 { "Forecast" }
            @if quota.lanes.is_empty() { (nothing("There is no lane.")) } @else { (queues(&quota)) }
            @for lane in quota.lanes.iter().filter(|lane| !lane.words.is_empty()) {
                h3 { (lane.lane) }
                ul { @for line in &lane.words { li { (line) } } }
            }
        }
    }));
    Page::new(&caller, View::Quota, "Quota").with(&main)
}

/// To what a lane sent, or to what a source reads.
fn path(shared: &Shared, account: &str) -> Option<String> {
    let watched = &shared.watched;
    match watched.lanes.iter().any(|(lane, _)| **lane == *account) {
        true => Some(format!("/activations?lane={}", escaped(account))),
        false => watched
            .sources
            .iter()
            .any(|(source, _)| source == account)
            .then(|| format!("/connectors/{}", escaped(account))),
    }
}

fn ledger(shared: &Shared, quota: &QuotaHealth) -> Markup {
    wide(
        "Ledger",
        html! { table {
            (heads(&["Account", "Calls", "#Allowed", "#Ours", "#Used", "Share", "#Left of all", "Begins anew", "State"]))
            tbody { @for account in &quota.accounts { (windows(account, path(shared, &account.name), quota.at)) } }
        } },
    )
}

/// `path` leads to what its calls are made for.
fn windows(account: &AccountHealth, path: Option<String>, now: Timestamp) -> Markup {
    let said = |calls: Option<u32>| calls.map_or("-".to_owned(), |n| number(n.into()));
    html! { @for one in &account.windows {
        @let share = one.used.map(|used| f64::from(used) * 100.0 / f64::from(one.ours.max(1)));
        tr {
            th scope="row" { @match &path { Some(path) => a href=(path) { (account.name) }, None => (account.name) } }
            td { (one.family) " " span.muted { "in " (span(one.span_ms)) } }
            td.n { (number(one.calls.into())) }
            td.n { (number(one.ours.into())) }
            td.n { @match (&path, one.used) { (Some(path), Some(used)) => (linked(used.into(), path)), _ => (said(one.used)) } }
            td { @if let Some(share) = share { meter min="0" max="100" low="70" high="90" optimum="0" value=(format!("{share:.0}")) aria-label=(format!("{share:.0} % used")) {} " " (format!("{share:.0} %")) } @else { span.muted { "paced" } } }
            td.n { (said(one.left)) }
            td { (one.resets.map_or("-".to_owned(), |at| clock(at, now))) }
            td { @match one.blocked_until { Some(until) => (chip(Tone::Bad, &format!("blocked until {}", clock(until, now)))), None => (chip(Tone::Well, "open")) } }
        }
    } }
}

fn queues(quota: &QuotaHealth) -> Markup {
    let row = |lane: &QueueHealth| {
        let calls: Vec<String> =
            lane.outlook.calls.iter().map(|(family, n)| format!("{} {family}", number(*n))).collect();
        let waiting = format!("/activations?state=waiting&lane={}", lane.lane);
        html! { tr {
            th scope="row" { (lane.lane) }
            td { (lane.outlook.account) }
            td.n { (linked(lane.outlook.queued, &waiting)) }
            td { @if calls.is_empty() { "-" } @else { a href=(waiting) { (calls.join(", ")) } } }
            td { @match lane.outlook.ends { Some(ends) => (clock(ends, quota.at)), None => span.muted { @if lane.outlook.queued == 0 { "nothing waits" } @else { "nothing limits it" } } } }
        } }
    };
    wide(
        "Forecast",
        html! { table {
            (heads(&["Lane", "Account", "#Waiting", "Calls it needs", "Through at"]))
            tbody { @for lane in &quota.lanes { (row(lane)) } }
        } },
    )
}
