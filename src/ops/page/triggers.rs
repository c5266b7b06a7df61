//! Every trigger: what it is, how often it fires, what the gates keep, what vendors take.

use axum::Extension;
use axum::extract::State;
use maud::{Markup, html};

use super::frame::{Page, View};
use super::pieces::{Tone, chip, heads, linked, live, nothing, number, wide};
use crate::model::Timestamp;
use crate::ops::access::Caller;
use crate::ops::series::{FIRES, Series};
use crate::ops::server::Shared;
use crate::ops::triggers::Liveness;
use crate::rules::gate::holdout::{Group, Share};
use crate::rules::{Program, Trigger};

/// Triggers that are shown at once.
const SHOWN: usize = 500;

/// What became of a trigger's edges, as far as it is counted.
pub struct Counted {
    /// Fires of today, and of the days that are known.
    pub today: f64,
    pub fires: f64,
    /// Edges that a gate kept, by gate.
    pub gated: Vec<(String, f64)>,
    /// Edges in all.
    pub edges: f64,
    /// Ends of its activations, by word.
    pub ends: Vec<(String, f64)>,
}

impl Counted {
    /// Of the 14 days that the series know.
    pub fn of(series: &Series, trigger: &str, now: Timestamp) -> Self {
        let edges = series.sums(&format!("trigger/{trigger}/edges/"), now);
        let ends = series.sums(&format!("trigger/{trigger}/ends/"), now);
        // What is told of an edge afterwards is none of its own.
        let first: Vec<(String, f64)> = edges
            .into_iter()
            .filter(|(word, _)| !matches!(word.as_str(), "cancelled" | "recalled" | "released" | "voided"))
            .collect();
        let total = first.iter().map(|(_, n)| n).sum();
        let (fires, gated): (Vec<_>, Vec<_>) = first.into_iter().partition(|(word, _)| FIRES.contains(&word.as_str()));
        let today = series.days(&format!("trigger/{trigger}/fires"), now).last().and_then(|(_, n)| *n).unwrap_or(0.0);
        let fires = fires.iter().map(|(_, n)| n).sum();
        Self { today, fires, gated, edges: total, ends: ends.into_iter().collect() }
    }

    /// The share of edges that the gates kept, in percent.
    pub fn kept(&self) -> Option<f64> {
        (self.edges > 0.0).then(|| self.gated.iter().fold(0.0, |sum, (_, n)| sum + n) * 100.0 / self.edges)
    }

    /// The share of its activations that vendors took, of those they had to say something of, in percent.
    pub fn accepted(&self) -> Option<f64> {
        let of = |words: &[&str]| -> f64 {
            self.ends.iter().filter(|(word, _)| words.contains(&word.as_str())).map(|(_, n)| n).sum()
        };
        let (taken, refused) = (of(&["accepted", "duplicate"]), of(&["refused"]));
        (taken + refused > 0.0).then(|| taken * 100.0 / (taken + refused))
    }
}

/// `12.5 %`
pub fn percent(share: Option<f64>) -> String {
    match share {
        None => "-".into(),
        Some(share) if share <= 0.0 || share == 100.0 => format!("{share:.0} %"),
        Some(share) => format!("{share:.1} %"),
    }
}

/// Its state, and who is held out.
pub fn state(liveness: &Liveness, trigger: &Trigger, program: &Program) -> Markup {
    let tone = match liveness.state.as_str() {
        "live" => Tone::Well,
        "guarded" => Tone::Bad,
        _ => Tone::Waits,
    };
    let share = match trigger.gating.holdout {
        Group::Own(share) => share,
        Group::Common => program.settings().gates.holdout,
        Group::Nobody => Share::NONE,
    };
    html! {
        (chip(tone, &liveness.state))
        @if share != Share::NONE { " " (chip(Tone::Plain, &format!("holdout {share}"))) }
    }
}

pub async fn view(State(shared): State<Shared>, Extension(caller): Extension<Caller>) -> Markup {
    let watched = &shared.watched;
    let (program, states, now) = (watched.program.load(), watched.store.triggers(), watched.clock.now());
    let rows = shared.series.look(|series| {
        let triggers = program.triggers().iter().take(SHOWN);
        let of = |trigger: &Trigger| {
            (Liveness::of(trigger, &program, &states, now), Counted::of(series, &trigger.name, now))
        };
        triggers.map(|trigger| row(trigger, &program, &of(trigger))).collect::<Vec<_>>()
    });
    let all = program.triggers().len();
    let main = live(
        "triggers",
        "/triggers",
        html! {
            @if all == 0 { (nothing("No trigger is in force: put files into the folder that `triggers` names.")) } @else {
                (wide("Triggers", html! { table {
                    (heads(&["Trigger", "State", "#Fires today", "#14 days", "#This hour", "#Usual hour", "#Kept by gates", "#Taken by vendors", "Starts"]))
                    tbody { @for row in &rows { (row) } }
                } }))
            }
            @if all > SHOWN { p.muted { "The first " (SHOWN) " of " (number(all as u64)) "; `espalier triggers list` has all." } }
        },
    );
    let beside = html! { p.muted { (number(all as u64)) " in force, in the order in which they fire" } };
    Page::new(&caller, View::Triggers, "Triggers").beside(beside).with(&main)
}

fn row(trigger: &Trigger, program: &Program, (liveness, counted): &(Liveness, Counted)) -> Markup {
    let path = format!("/triggers/{}", trigger.name);
    let ended = format!("/activations?trigger={}", trigger.name);
    html! {
        tr {
            th scope="row" { a href=(path) { (trigger.name) } div.muted { (trigger.title) } }
            td { (state(liveness, trigger, program)) @if liveness.held > 0 { div.muted { a href=(format!("{path}#held")) { (number(liveness.held)) " held" } } } }
            td.n { (linked(counted.today as u64, &ended)) }
            td.n { (linked(counted.fires as u64, &ended)) }
            td.n { (linked(liveness.this_hour, &ended)) @if let Some(limit) = liveness.limit { div.muted { "of " (number(limit)) } } }
            td.n { @if let Some(usual) = liveness.usual { (linked(usual, &ended)) } @else { "-" } }
            td.n { a href=(format!("{path}#gates")) { (percent(counted.kept())) } }
            td.n { a href=(ended) { (percent(counted.accepted())) } }
            td { @for start in trigger.activate.iter().chain(&trigger.activate_on_exit) {
                div { a href=(format!("/activations?lane={}&trigger={}", start.lane, trigger.name)) { (start.lane) } " " span.muted { (start.action.to_string()) } }
            } }
        }
    }
}
