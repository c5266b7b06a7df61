//! What left and what waits: filtered, a page at a time, and each to be opened.

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activation::{end, whole};
use super::frame::{Page, View};
use super::pieces::{heads, live, nothing, when, when_or, wide};
use super::{missing, refused};
use crate::model::{Activation, LaneName, Priority, Timestamp};
use crate::ops::access::Caller;
use crate::ops::activations::place;
use crate::ops::server::Shared;
use crate::store::{End, Record, Sought, StoreError, WorkId};

/// Shown on one page.
const PAGE: usize = 50;
/// Looked at for one page of what waits for one trigger.
const LOOKED: usize = 1_000;
/// Ways to end, for the filter.
const ENDS: [&str; 5] = ["accepted", "duplicate", "refused", "expired", "cancelled"];

/// What is asked for. Nothing of a person.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    #[serde(default)]
    state: String,
    #[serde(default)]
    lane: String,
    #[serde(default)]
    trigger: String,
    #[serde(default)]
    end: String,
    before: Option<u64>,
    /// `PRIORITY-NUMBER`, of what waits.
    from: Option<String>,
}

fn some(text: &str) -> Option<&str> {
    Some(text.trim()).filter(|text| !text.is_empty())
}

impl Asked {
    fn is_waiting(&self) -> bool {
        self.state == "waiting"
    }

    fn sought(&self) -> Sought {
        Sought {
            lane: some(&self.lane).map(Into::into),
            trigger: some(&self.trigger).map(Into::into),
            end: some(&self.end).map(Into::into),
            before: self.before.map(WorkId),
        }
    }

    fn path(&self) -> String {
        let pairs = [("state", &self.state), ("lane", &self.lane), ("trigger", &self.trigger), ("end", &self.end)];
        let pairs: Vec<String> = pairs
            .iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .map(|(name, value)| format!("{name}={}", escaped(value)))
            .collect();
        format!("/activations?{}", pairs.join("&"))
    }
}

/// For a value of a query.
pub fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte);
    text.trim()
        .bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// A list of names to choose from.
pub fn choice(name: &str, label: &str, all: &[String], chosen: &str, any: &str) -> Markup {
    html! {
        label { (label) " " select name=(name) {
            option value="" { (any) }
            @for one in all { option value=(one) selected[one == chosen] { (one) } }
            @if !chosen.is_empty() && !all.iter().any(|one| one == chosen) { option value=(chosen) selected { (chosen) } }
        } }
    }
}

/// Lanes and triggers, for filters.
pub fn names(shared: &Shared) -> (Vec<String>, Vec<String>) {
    let lanes = shared.watched.lanes.iter().map(|(lane, _)| lane.to_string()).collect();
    let program = shared.watched.program.load();
    let mut triggers: Vec<String> =
        program.triggers().iter().take(500).map(|trigger| trigger.name.to_string()).collect();
    triggers.sort();
    (lanes, triggers)
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Response {
    let now = shared.watched.clock.now();
    let listed =
        if asked.is_waiting() { waiting(&shared, &asked, now).await } else { ended(&shared, &asked, now).await };
    let listed = match listed {
        Ok(listed) => listed,
        Err(error) => return refused(&caller, View::Activations, &error),
    };
    let (lanes, triggers) = names(&shared);
    let ends = ENDS.map(str::to_owned);
    // Only the first page changes by itself.
    let is_first = asked.before.is_none() && asked.from.is_none();
    let main = html! {
        nav.tabs aria-label="State" {
            a href=(Asked { state: String::new(), before: None, ..asked.clone() }.path()) aria-current=[(!asked.is_waiting()).then_some("true")] { "Ended" }
            a href=(Asked { state: "waiting".into(), end: String::new(), before: None, ..asked.clone() }.path()) aria-current=[asked.is_waiting().then_some("true")] { "Waiting" }
        }
        form.line method="get" action="/activations" {
            @if asked.is_waiting() { input type="hidden" name="state" value="waiting"; }
            (choice("lane", "Lane", &lanes, &asked.lane, "all"))
            (choice("trigger", "Trigger", &triggers, &asked.trigger, "all"))
            @if !asked.is_waiting() { (choice("end", "End", &ends, &asked.end, "any")) }
            button { "Show" }
        }
        @if is_first { (live("activations", &asked.path(), listed)) } @else { (listed) }
    };
    Page::new(&caller, View::Activations, "Activations").with(&main).into_response()
}

async fn ended(shared: &Shared, asked: &Asked, now: Timestamp) -> Result<Markup, StoreError> {
    let page = shared.watched.store.ends(&asked.sought(), PAGE).await?;
    Ok(html! {
        @if page.found.is_empty() { (nothing(if page.next.is_some() { "None among those that were looked through." } else { "There are none." })) } @else {
            (wide("Activations that have ended", html! { table {
                (heads(&["Number", "Ended", "Lane", "Does", "Trigger", "For", "End"]))
                tbody { @for one in &page.found { (end_row(one, now)) } }
            } }))
        }
        @if let Some(WorkId(next)) = page.next { p { a.button href=(format!("{}&before={next}", asked.path())) { "Older ones" } } }
    })
}

fn end_row(one: &End, now: Timestamp) -> Markup {
    html! {
        tr {
            th scope="row" { a href=(format!("/activations/{}", one.id.0)) { (one.id.0) } }
            td { (when(one.at, now)) }
            (whose(&one.activation))
            td { (end(one.attempts.last())) }
        }
    }
}

fn whose(activation: &Activation) -> Markup {
    let person = activation.person.to_string();
    html! {
        td { (activation.lane) }
        td { (activation.action.to_string()) }
        td { a href=(format!("/triggers/{}", activation.trigger)) { (activation.trigger) } }
        td { a href=(format!("/people/{person}")) { code { (person.chars().take(8).collect::<String>()) } } }
    }
}

async fn waiting(shared: &Shared, asked: &Asked, now: Timestamp) -> Result<Markup, StoreError> {
    let store = &shared.watched.store;
    let lanes: Vec<LaneName> = match some(&asked.lane) {
        Some(lane) => vec![lane.into()],
        None => shared.watched.lanes.iter().map(|(lane, _)| lane.clone()).collect(),
    };
    let from = asked.from.as_deref().and_then(place);
    let trigger = some(&asked.trigger);
    let mut rows: Vec<(WorkId, Record)> = Vec::new();
    let mut next: Option<(Priority, u64)> = None;
    let look = if trigger.is_some() { LOOKED } else { PAGE };
    for lane in &lanes {
        // One more than is looked at: where another page begins.
        let mut listed = store.waiting(lane, from, look + 1).await?;
        let mut behind = if listed.len() > look { listed.pop() } else { None };
        let is_wanted = |one: &Record| trigger.is_none_or(|trigger| *trigger == *one.activation.trigger);
        for (shown, (id, one)) in listed.into_iter().filter(|(_, one)| is_wanted(one)).enumerate() {
            if shown == PAGE {
                behind = Some((id, one));
                break;
            }
            rows.push((id, one));
        }
        next = next.or(behind.map(|(id, one)| (one.activation.priority, id.0)));
    }
    Ok(html! {
        @if rows.is_empty() { (nothing("Nothing waits.")) } @else {
            (wide("Activations that wait", html! { table {
                (heads(&["Number", "#Priority", "Lane", "Does", "Trigger", "For", "Edge", "Not before", "State"]))
                tbody { @for (id, one) in &rows { (wait_row(*id, one, now)) } }
            } }))
        }
        @if lanes.len() > 1 && next.is_some() { p.muted { "The first " (PAGE) " of each lane; choose a lane to see all." } }
        @else if let Some((priority, id)) = next { p { a.button href=(format!("{}&from={priority}-{id}", asked.path())) { "Those behind them" } } }
    })
}

fn wait_row(id: WorkId, one: &Record, now: Timestamp) -> Markup {
    let of = &one.activation;
    let not_before = of.not_before.filter(|_| !of.is_held());
    html! {
        tr {
            th scope="row" { a href=(format!("/activations/{}?lane={}&from={}-{}", id.0, of.lane, of.priority, id.0)) { (id.0) } }
            td.n { (of.priority) }
            (whose(of))
            td { (when(of.at, now)) }
            td { (when_or(not_before, now, if of.is_held() { "until its trigger is resumed" } else { "-" })) }
            td { (end(one.attempts.last())) }
        }
    }
}

/// One of them.
pub async fn one(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<u64>,
    Query(asked): Query<Asked>,
) -> Response {
    let store = &shared.watched.store;
    let (now, mut found) = (shared.watched.clock.now(), None);
    let from = asked.from.as_deref().and_then(place);
    if let (Some(lane), Some((priority, _))) = (some(&asked.lane), from) {
        match store.waiting(lane, Some((priority, WorkId(id))), 1).await {
            Ok(listed) => found = listed.into_iter().find(|(at, _)| at.0 == id).map(|(_, one)| one),
            Err(error) => return refused(&caller, View::Activations, &error),
        }
    }
    if found.is_none() {
        match store.ended(WorkId(id)).await {
            Ok(ended) => found = ended,
            Err(error) => return refused(&caller, View::Activations, &error),
        }
    }
    let Some(record) = found else { return missing("activation") };
    let title = format!("Activation {id}");
    let beside = html! { @if record.is_queued { span.chip.waits { "waits in its lane" } } @else { (end(record.attempts.last())) } };
    let main = whole(&shared, &record.activation, &record.attempts, now);
    Page::new(&caller, View::Activations, &title).beside(beside).with(&main).into_response()
}
