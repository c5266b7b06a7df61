//! How everything is: each source, the engine, each lane, in words with since when and what to do.

use axum::Extension;
use axum::extract::{Query, State};
use maud::{Markup, html};

use super::charts::{Asked, Chart, spans};
use super::frame::{Page, View};
use super::pieces::{
    Tone, age, behind, chip, counted, figure, heads, linked, live, nothing, number, rate, short, when, when_or, wide,
    words,
};
use crate::model::Timestamp;
use crate::ops::access::Caller;
use crate::ops::health::{Health, LaneHealth, StreamHealth};
use crate::ops::quota::QuotaHealth;
use crate::ops::series::{Over, Series};
use crate::ops::server::Shared;

/// Slots of 10 seconds over which a rate is told.
const SLOTS: usize = 30;
/// Lanes and lists that are drawn.
const DRAWN: usize = 8;

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Query(asked): Query<Asked>,
) -> Markup {
    let (health, quota, over) = (shared.watched.health(), QuotaHealth::of(&shared.watched), asked.over());
    let path = format!("/?over={}", over.word());
    let main = shared.series.look(|series| {
        let shown = Shown { health: &health, quota: &quota, series };
        live(
            "health",
            &path,
            html! {
                (shown.troubles())
                (shown.figures())
                (shown.charts(over))
                (shown.engine_and_lanes())
                (shown.sources())
                (shown.cluster())
                (shown.rest())
            },
        )
    });
    let beside = html! {
        p.muted { "version " (health.version) ", store schema " (health.schema) ", running since " (short(health.began)) " UTC" }
    };
    Page { is_trouble: !health.troubles.is_empty(), ..Page::new(&caller, View::Health, "Health").beside(beside) }
        .with(&main)
}

struct Shown<'s> {
    health: &'s Health,
    quota: &'s QuotaHealth,
    series: &'s Series,
}

/// What stops a lane's words from being true for long: where to go from there.
fn letters_of(lane: &str) -> String {
    format!("/letters?lane={lane}")
}

impl Shown<'_> {
    fn now(&self) -> Timestamp {
        self.health.at
    }

    fn rate(&self, name: &str) -> Option<f64> {
        self.series.rate(name, SLOTS, self.now())
    }

    fn troubles(&self) -> Markup {
        let troubles = &self.health.troubles;
        if troubles.is_empty() {
            return html! { p.banner.well role="status" { "Everything that arrived is on its way." } };
        }
        let things = if troubles.len() == 1 { "One thing" } else { "Things" };
        html! {
            section.banner.bad role="alert" {
                h2 { (things) " to look at" }
                ul.troubles { @for trouble in troubles { li {
                    strong { (trouble.of) } " " (trouble.words)
                    @if let Some(since) = trouble.since { " " span.muted { "since " } (when(since, self.now())) }
                    @if let Some(remedy) = &trouble.remedy { div.remedy { (words(remedy)) } }
                } } }
            }
        }
    }

    fn figures(&self) -> Markup {
        let journal = &self.health.journal;
        let queued: u64 = self.health.lanes.iter().map(|lane| lane.queued).sum();
        let dead: u64 = self.health.lanes.iter().map(|lane| lane.dead).sum();
        let waits = match journal.backlog {
            0 => "nothing waits to be decided".to_owned(),
            _ => format!("the oldest waits for {}", age(journal.backlog_age_ms)),
        };
        let timer =
            journal.next_timer.map_or("no timer is set".to_owned(), |at| format!("next timer {} UTC", short(at)));
        html! {
            dl.figures {
                (figure("Events accepted", linked(journal.accepted, "/connectors/events"), &format!("{} a minute", rate(self.rate("accepted")))))
                (figure("Events decided", linked(journal.decided, "/triggers"), &format!("{} a minute", rate(self.rate("decided")))))
                (figure("Backlog", linked(journal.backlog, "/triggers"), &waits))
                (figure("People", linked(journal.people, "/people"), &timer))
                (figure("Waiting to leave", linked(queued, "/activations?state=waiting"), "in all lanes"))
                (figure("Dead letters", linked(dead, "/letters"), "cannot be sent as they are"))
                (figure("Set aside", linked(journal.set_aside, "/connectors/set-aside"), "could not be read"))
                (figure("Journal", html! { (number(journal.journal_bytes >> 20)) " MB" }, "on disk"))
            }
        }
    }

    fn charts(&self, over: Over) -> Markup {
        let pair = |name: &str, label: &str| (name.to_owned(), label.to_owned());
        let lanes = || self.health.lanes.iter().take(DRAWN).map(|lane| lane.name.clone());
        let mut all = vec![
            Chart {
                title: "Events",
                unit: "a minute",
                lines: vec![pair("accepted", "accepted"), pair("decided", "decided")],
            },
            Chart { title: "Backlog age", unit: "seconds", lines: vec![pair("backlog_age", "oldest undecided")] },
        ];
        if !self.health.lanes.is_empty() {
            let of = |what: &str| lanes().map(|lane| (format!("lane/{lane}/{what}"), lane)).collect();
            all.push(Chart { title: "Accepted by vendors", unit: "a minute", lines: of("accepted") });
            all.push(Chart { title: "Waiting in lanes", unit: "activations", lines: of("queued") });
        }
        if !self.health.streams.is_empty() {
            let lines = self.health.streams.iter().take(DRAWN);
            let lines = lines.map(|one| {
                (format!("stream/{}/{}/lag", one.source, one.stream), format!("{} {}", one.source, one.stream))
            });
            all.push(Chart { title: "Sync lag", unit: "seconds", lines: lines.collect() });
        }
        html! {
            section aria-label="Charts" {
                div.row { h2 { "Over time" } (spans("/", over)) }
                div.charts { @for chart in &all { (chart.drawn(self.series, over, self.now())) } }
            }
        }
    }

    fn engine_and_lanes(&self) -> Markup {
        let engine = &self.health.engine;
        let tone = if self.health.is_ready { Tone::Well } else { Tone::Bad };
        let table = html! { table {
            (heads(&["Engine and lanes", "State", "Since", "#Waiting", "#Oldest", "#A minute", "#Refused", "#Dead letters", "#Quota used", "Last accepted"]))
            tbody {
                tr {
                    th scope="row" { "engine" }
                    td { @match engine.doing.split_once(": ") {
                        Some((state, more)) => { (chip(tone, state)) div.muted { (more) } },
                        None => (chip(tone, &engine.doing)),
                    } }
                    td { (when(engine.since, self.now())) }
                    td.n { (linked(self.health.journal.backlog, "/connectors/events")) }
                    td.n { (age(self.health.journal.backlog_age_ms)) }
                    td.n { a.n href="/connectors/events" { (rate(self.rate("decided"))) } }
                    td.n { "-" } td.n { "-" } td.n { "-" } td { "-" }
                }
                @for lane in &self.health.lanes { (self.lane(lane)) }
            }
        } };
        html! {
            section { h2 { "Engine and lanes" } (wide("Engine and lanes", table))
                @if self.health.lanes.is_empty() { (nothing("No destination is configured: nothing leaves.")) }
            }
        }
    }

    fn lane(&self, lane: &LaneHealth) -> Markup {
        let outcome = |word: &str| lane.outcomes.get(word).copied().unwrap_or(0);
        let tone = match (lane.until, lane.state.as_str()) {
            (Some(_), _) => Tone::Bad,
            (None, "waiting" | "sending") => Tone::Waits,
            _ => Tone::Well,
        };
        let waiting = format!("/activations?state=waiting&lane={}", lane.name);
        let refused = format!("/activations?lane={}&end=refused", lane.name);
        html! {
            tr {
                th scope="row" { a href=(format!("/activations?lane={}", lane.name)) { (lane.name) } " " span.muted { (lane.kind) } }
                td { @if lane.until.is_some() { (chip(tone, "held")) div { (lane.state) } } @else { (chip(tone, &lane.state)) } @if let Some(until) = lane.until.filter(|until| *until > self.now()) { div.muted { "until " (short(until)) " UTC" } }
                    @if let Some(error) = &lane.last_error { div.muted { "last failure: " (error) } } }
                td { (when(lane.since, self.now())) }
                td.n { (linked(lane.queued, &waiting)) @if lane.deferred > 0 { div.muted { (number(lane.deferred)) " later" } } }
                td.n { (age(lane.backlog_age_ms)) }
                td.n { a.n href=(format!("/activations?lane={}&end=accepted", lane.name)) { (rate(self.rate(&format!("lane/{}/accepted", lane.name)))) } }
                td.n { (linked(outcome("refused"), &refused)) }
                td.n { (linked(lane.dead, &letters_of(&lane.name))) }
                td.n { a href="/quota" { (self.used(&lane.name)) } }
                td { (when_or(lane.last_success, self.now(), "not yet")) }
            }
        }
    }

    /// Of its account's fullest window.
    fn used(&self, lane: &str) -> String {
        let account = self.quota.lanes.iter().find(|one| one.lane == lane).map(|one| one.outlook.account.as_str());
        let account = self.quota.accounts.iter().find(|one| Some(one.name.as_str()) == account);
        let windows = account.into_iter().flat_map(|account| &account.windows);
        let shares = windows.filter_map(|one| Some(f64::from(one.used?) * 100.0 / f64::from(one.ours.max(1))));
        shares.reduce(f64::max).map_or("-".into(), |share| format!("{share:.0} %"))
    }

    fn sources(&self) -> Markup {
        let table = html! { table {
            (heads(&["Source", "State", "Since", "#Behind", "#Records a minute", "Last page", "Last error"]))
            tbody { @for source in &self.health.sources {
                @let lists: Vec<&StreamHealth> = self.health.streams.iter().filter(|one| one.source == source.name).collect();
                tr {
                    th scope="row" { a href=(format!("/connectors/{}", source.name)) { (source.name) } " " span.muted { (source.kind) } }
                    td { @match &source.quiet {
                        Some(quiet) => (chip(Tone::Bad, &quiet.words())),
                        None if lists.is_empty() => (chip(Tone::Well, "listens")),
                        None => span.muted { (counted(lists.len(), "list")) },
                    } }
                    td { @match &source.quiet { Some(quiet) => (when(quiet.since, self.now())), None => "-" } }
                    td.n { "-" } td.n { "-" } td { "-" } td { "-" }
                }
                @for list in lists { (self.list(list)) }
            } }
        } };
        html! {
            section { h2 { "Sources" }
                @if self.health.sources.is_empty() { (nothing("No source is configured: nothing comes.")) } @else { (wide("Sources", table)) }
            }
        }
    }

    fn list(&self, list: &StreamHealth) -> Markup {
        let tone = match (&list.quiet, list.until, list.state.as_str()) {
            (None, None, "in sync") => Tone::Well,
            (None, None, _) => Tone::Waits,
            _ => Tone::Bad,
        };
        html! {
            tr.below {
                th scope="row" { (list.stream) }
                td {
                    (chip(tone, &list.state))
                    @if let Some(quiet) = &list.quiet { div { (quiet.words()) } }
                    @if let Some(until) = list.until.filter(|until| *until > self.now()) { div.muted { "again at " (short(until)) " UTC" } }
                    @if let Some(past) = list.past_ms { div.muted { (age(past)) " of its past to read" } }
                }
                td { (when_or(list.since, self.now(), "-")) }
                td.n { (behind(list.lag_ms, self.now())) }
                td.n { a.n href=(format!("/connectors/{}#records", list.source)) { (rate(self.rate(&format!("stream/{}/{}/records", list.source, list.stream)))) } }
                td { (when_or(list.last_success, self.now(), "not yet")) }
                td { @if let Some(error) = &list.last_error { (error) } @else { span.muted { "none" } } }
            }
        }
    }

    /// The daemons that share the store, and what went from one to another.
    fn cluster(&self) -> Markup {
        let Some(all) = &self.health.cluster else { return html! {} };
        html! {
            section { h2 { "Daemons" }
                (wide("Daemons that share the store", html! { table {
                    (heads(&["Daemon", "State", "Version", "Since", "Last seen", "Page", "Has"]))
                    tbody { @for one in &all.members { tr {
                        th scope="row" { (one.name) @if one.is_me { " " span.muted { "(this one)" } } }
                        td { @if one.is_alive { (chip(Tone::Well, "there")) } @else { (chip(Tone::Waits, "gone")) } }
                        td { (one.version) }
                        td { (short(one.since)) }
                        td { (short(one.seen)) }
                        td { @if let Some(address) = &one.address { code { (address) } } @else { "-" } }
                        td { (one.holds.join(", ")) }
                    } } } } }))
                @if !all.takeovers.is_empty() { ul { @for one in &all.takeovers {
                    li { (short(one.at)) " UTC: " code { (one.of) } " went from " (one.from) " to " (one.to) }
                } } }
            }
        }
    }

    fn rest(&self) -> Markup {
        let (health, night) = (self.health, &self.health.night);
        let paused: Vec<_> = health.triggers.iter().filter(|one| one.liveness.since.is_some()).collect();
        html! {
            div.two {
                section { h2 { "Triggers" }
                    p { a href="/triggers" { (health.triggers.len()) " in force" } ", " (paused.len()) " of them not live" }
                    @if !paused.is_empty() { ul { @for one in paused {
                        li { a href=(format!("/triggers/{}", one.name)) { (one.name) } " " (one.liveness.words()) }
                    } } }
                    @if !health.pools.is_empty() {
                        (wide("Pools of codes", html! { table { (heads(&["Pool of codes", "#Left", "#Low at"]))
                            tbody { @for pool in &health.pools { tr {
                                th scope="row" { (pool.name) }
                                td.n { (number(pool.left)) }
                                td.n { (pool.low.map_or("-".into(), number)) }
                            } } } } }))
                    }
                }
                section { h2 { "Nights" }
                    @if let Some(running) = &night.running {
                        p { (chip(Tone::Waits, "under way")) " " (running.doing) " (" (running.read) " of " (running.lists) " lists)" }
                    }
                    @if let Some(last) = &night.last {
                        p { a href="/nights" { (short(last.of)) " UTC" } ": "
                            @if night.findings.is_empty() { "nothing differed" } @else { (night.findings.len()) " findings" } }
                    } @else { p.muted { "There was none yet." } }
                    p.muted { @if let Some(next) = night.next { "The next is due at " (short(next)) " UTC." } @else { "None is due: they are off." } }
                }
            }
        }
    }
}
