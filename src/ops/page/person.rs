//! One person: one timeline of all that is known, what each trigger makes of them, what they allow; export and erase.

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::activation::end;
use super::activations::{choice, names};
use super::frame::{Page, View};
use super::people::nobody;
use super::pieces::{Tone, chip, heads, json, live, not_for, nothing, notice, number, when, wide};
use super::refused;
use crate::model::{PersonId, Span, Timestamp, Verdict};
use crate::ops::access::{Caller, Role};
use crate::ops::explain::{Explained, attempt, explain, said, verdict};
use crate::ops::identity::{self, NotTold, Told, Word};
use crate::ops::server::Shared;
use crate::store::{Story, decided};

/// Moments of a timeline that are shown at once.
const SHOWN: usize = 100;
/// What is said by hand is usually decided within this.
const DECIDED: Span = Span::from_secs(10);

/// What is asked of a person's page.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Asked {
    /// Only moments of this kind.
    #[serde(default)]
    show: String,
    /// Only those before, in milliseconds.
    before: Option<i64>,
    /// What this trigger makes of them.
    #[serde(default)]
    trigger: String,
}

/// Kinds of moments.
const KINDS: [&str; 5] = ["event", "merge", "edge", "vendor", "consent"];

/// One line of the timeline.
struct Moment {
    at: Timestamp,
    kind: &'static str,
    what: Markup,
}

fn parsed(id: &str) -> Option<PersonId> {
    let mut bytes = [0; 16];
    hex::decode_to_slice(id, &mut bytes).ok().map(|()| PersonId(bytes))
}

pub async fn view(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    page(&shared, &caller, &id, &asked, None).await
}

async fn page(shared: &Shared, caller: &Caller, id: &str, asked: &Asked, words: Option<&str>) -> Response {
    let watched = &shared.watched;
    let (Some(person), now) = (parsed(id), watched.clock.now()) else { return nobody() };
    let story = match watched.store.story(person).await {
        Ok(Some(story)) => story,
        Ok(None) => return nobody(),
        Err(error) => return refused(caller, View::People, &error),
    };
    let program = watched.program.load_full();
    let own = story.person.id.to_string();
    let wanted = Some(asked.trigger.as_str()).filter(|name| !name.is_empty());
    let explained = match wanted {
        Some(name) => match explain(&*watched.store, &program, &shared.names, &own, Some(name), now).await {
            Ok(explained) => explained,
            Err(error) => return refused(caller, View::People, &error),
        },
        None => None,
    };
    let (_, triggers) = names(shared);
    let path = format!("/people/{own}");
    let main = html! {
        @if let Some(words) = words { (notice(Tone::Bad, words)) }
        div.two {
            section { h2 { "Names" } ul.names { @for name in &story.person.identifiers { li { span.muted { (name.kind.to_string()) } " " strong { (name.value) } } } }
                @if !story.person.traits.is_empty() { details { summary { (story.person.traits.len()) " traits" }
                    (wide("Traits", html! { table { (heads(&["Trait", "Value", "Since"])) tbody { @for (name, one) in &story.person.traits { tr {
                        th scope="row" { (name) } td { (one.value.to_string()) } td { (when(one.at, now)) }
                    } } } } }))
                } }
                @let computed = program.computed_traits(&story.person, now);
                @if !computed.is_empty() { details { summary { "Computed traits" } (json(&serde_json::Value::Object(computed))) } }
            }
            section { h2 { "Consent" } (consent(&story, now)) }
        }
        section { h2 { "Explain" }
            form.line method="get" action=(path) { (choice("trigger", "Trigger", &triggers, &asked.trigger, "choose one")) button { "Explain" } }
            @if let Some(explained) = &explained { (explanation(explained, now)) }
        }
        (timeline(&story, asked, &path, now))
        section { h2 { "Export and erase" }
            @if caller.may(Role::Admin) {
                div.line {
                    form method="post" action=(format!("{path}/export")) { button { "Export as JSON" } }
                    form.line method="post" action=(format!("{path}/erase")) {
                        label.check { input type="checkbox" name="sure" value="yes" required; " Forget them here and at every destination; this cannot be undone" }
                        button.danger { "Erase" }
                    }
                }
            } @else { (not_for("admin")) }
        }
    };
    let beside = html! { p.muted { code { (own) } ", first seen " (when(story.person.first_seen, now)) } };
    Page::new(caller, View::People, "Person").beside(beside).with(&main).into_response()
}

fn consent(story: &Story, now: Timestamp) -> Markup {
    use crate::model::{Channel, Standing};
    let person = &story.person.consent;
    html! {
        (wide("Channels", html! { table { (heads(&["Channel", "Consent", "Suppressed"])) tbody { @for channel in Channel::ALL { tr {
            th scope="row" { (channel.word()) }
            td { @match person.standing(channel) {
                Standing::Given(mark) => { (chip(Tone::Well, "given")) " " (when(mark.at, now)) },
                Standing::Withdrawn(mark) => { (chip(Tone::Bad, "withdrawn")) " " (when(mark.at, now)) },
                Standing::Unknown => (chip(Tone::Plain, "unknown")),
            } }
            td { @match person.suppressed(channel) { Some(mark) => { (chip(Tone::Bad, "suppressed")) " " (when(mark.at, now)) }, None => span.muted { "no" } } }
        } } } } }))
        @if !person.marks().is_empty() { details { summary { "Ledger: " (person.marks().len()) " statements" }
            (wide("Ledger of consent", html! { table { (heads(&["When", "Channel", "Said", "Because of", "Source"])) tbody {
                @for one in person.marks().iter().rev().map(said) { tr {
                    td { (when(one.at, now)) } td { (one.channel) } td { (one.act) } td { (one.because) } td { (one.source) }
                } }
            } } }))
        } }
    }
}

fn explanation(explained: &Explained, now: Timestamp) -> Markup {
    html! {
        @if explained.triggers.is_empty() { (nothing("No such trigger is in force.")) }
        @for finding in &explained.triggers {
            @if let Some(words) = &finding.held_back { p.notice { "An edge now would not leave at once: " (words) } }
            @if finding.keys.is_empty() { (nothing("Nothing that they did speaks of this trigger.")) }
            @for key in &finding.keys {
                h3 { @if key.key.is_empty() { "The condition" } @else { "For " code { (key.key) } } " is " (chip(if key.is_true { Tone::Well } else { Tone::Plain }, if key.is_true { "true" } else { "false" }))
                    @if let Some(next) = key.next { " " span.muted { "asked again " (when(next, now)) } } }
                (wide("Conditions", html! { table { (heads(&["Condition", "Is", "Found"])) tbody { @for one in &key.conditions { tr {
                    td class=(format!("depth{}", one.depth.min(4))) { (one.condition) }
                    td { (chip(if one.is_true { Tone::Well } else { Tone::Plain }, if one.is_true { "true" } else { "false" })) }
                    td { (one.found) @if let Some(next) = one.next { div.muted { "can change " (when(next, now)) } } }
                } } } } }))
            }
        }
        @if !explained.edges.is_empty() {
            h3 { "Its edges" }
            (wide("Edges", html! { table { (heads(&["Edge", "Key", "What became of it", "At vendors"])) tbody { @for edge in explained.edges.iter().rev() { tr {
                td { (when(edge.at, now)) } td { (edge.key) } td { (edge.verdict) }
                td { @for one in &edge.deliveries { div { (one.lane) " " span.muted { (one.does) } ": " (one.state) } } }
            } } } } }))
        }
    }
}

fn timeline(story: &Story, asked: &Asked, path: &str, now: Timestamp) -> Markup {
    let mut all = moments(story);
    all.retain(|one| asked.show.is_empty() || one.kind == asked.show);
    let total = all.len();
    let before = asked.before.map(Timestamp::from_millis);
    all.retain(|one| before.is_none_or(|before| one.at < before));
    // Of one instant what follows from the rest is the newest.
    all.reverse();
    all.sort_by_key(|one| std::cmp::Reverse(one.at));
    let is_more = all.len() > SHOWN;
    all.truncate(SHOWN);
    let show = |kind: &str| if kind.is_empty() { path.to_owned() } else { format!("{path}?show={kind}") };
    let here = show(&asked.show);
    let list = html! {
        @if all.is_empty() { (nothing("Nothing of the sort is known.")) }
        ol.timeline { @for one in &all { li class=(one.kind) {
            (when(one.at, now)) span.kind { (one.kind) } div.what { (one.what) }
        } } }
        @if let Some(last) = all.last().filter(|_| is_more) {
            p { a.button href=(format!("{path}?show={}&before={}", asked.show, last.at.as_millis())) { "What was before" } }
        }
    };
    html! {
        section #timeline {
            div.row { h2 { "Timeline" }
                nav.tabs aria-label="Kind of moment" {
                    a href=(show("")) aria-current=[asked.show.is_empty().then_some("true")] { "all" }
                    @for kind in KINDS { a href=(show(kind)) aria-current=[(asked.show == kind).then_some("true")] { (kind) "s" } }
                }
                span.muted { (number(total as u64)) " moments" }
            }
            @if before.is_none() { (live("moments", &here, list)) } @else { (list) }
        }
    }
}

fn moments(story: &Story) -> Vec<Moment> {
    let mut all = Vec::new();
    for entry in story.person.history.entries() {
        let what = html! {
            details { summary { strong { (entry.name) } } (json(entry.fields())) }
        };
        all.push(Moment { at: entry.at, kind: "event", what });
    }
    for join in &story.joins {
        let because: Vec<String> = join.because.iter().map(crate::model::Identifier::to_text).collect();
        let what = html! {
            @match &join.refused {
                None => { strong { "joined" } " by " (because.join(", ")) },
                Some(why) => { strong { "kept apart" } ": " (why) " (" (because.join(", ")) ")" },
            }
            " " span.muted { "from " (join.source) }
        };
        all.push(Moment { at: join.at, kind: "merge", what });
    }
    for one in &story.decisions {
        let tone = match one.verdict {
            Verdict::Activated(_) | Verdict::Released(_) => Tone::Well,
            Verdict::Delayed(..) | Verdict::Deferred(..) | Verdict::Held(..) => Tone::Waits,
            _ => Tone::Plain,
        };
        let what = html! {
            a href=(format!("/triggers/{}", one.trigger)) { (one.trigger) } " "
            @if !one.key.is_empty() { code { (one.key) } " " }
            (chip(tone, &one.verdict.word().replace('_', " "))) " " (verdict(&one.verdict))
        };
        all.push(Moment { at: one.at, kind: "edge", what });
    }
    for record in &story.records {
        let of = &record.activation;
        let what = |last| {
            html! {
                a href=(format!("/activations?lane={}&trigger={}", of.lane, of.trigger)) { (of.lane) } " " (of.action.to_string()) " " (end(last))
                @if let Some(last) = last { " " (attempt(last)) }
            }
        };
        if record.attempts.is_empty() {
            all.push(Moment { at: of.at, kind: "vendor", what: what(None) });
        }
        all.extend(record.attempts.iter().map(|one| Moment { at: one.at, kind: "vendor", what: what(Some(one)) }));
    }
    for mark in story.person.consent.marks() {
        let one = said(mark);
        let what = html! { strong { (one.channel) " " (one.act) } " by " (one.because) " " span.muted { "from " (one.source) } };
        all.push(Moment { at: one.at, kind: "consent", what });
    }
    all
}

/// Everything that is kept of them, as a file.
pub async fn export(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    let watched = &shared.watched;
    let Some(person) = parsed(&id) else { return nobody() };
    match identity::export(&*watched.store, &shared.names, &person.to_string(), watched.clock.now()).await {
        Ok(Some(found)) => {
            let name = format!("attachment; filename=\"person-{person}.json\"");
            (
                [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_DISPOSITION, name.as_str())],
                format!("{found:#}\n"),
            )
                .into_response()
        }
        Ok(None) => nobody(),
        Err(error) => refused(&caller, View::People, &error),
    }
}

/// What the form sends: that somebody is sure.
#[derive(Deserialize)]
pub struct Sure {
    #[serde(default)]
    sure: String,
}

pub async fn erase(
    State(shared): State<Shared>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    Form(sure): Form<Sure>,
) -> Response {
    let asked = Asked::default();
    if sure.sure != "yes" {
        let words = "Nothing was erased: tick the box first.";
        return (StatusCode::UNPROCESSABLE_ENTITY, page(&shared, &caller, &id, &asked, Some(words)).await)
            .into_response();
    }
    let crate::ops::health::Watched { store, clock, .. } = &shared.watched;
    let Some(person) = parsed(&id) else { return nobody() };
    let name = match store.story(person).await {
        Ok(Some(story)) => story.person.identifiers.first().map(crate::model::Identifier::to_text),
        Ok(None) => return nobody(),
        Err(error) => return refused(&caller, View::People, &error),
    };
    let Some(name) = name else {
        let words = "They go by no name that could be forgotten.";
        return (StatusCode::CONFLICT, page(&shared, &caller, &id, &asked, Some(words)).await).into_response();
    };
    let position = match identity::tell(&**store, &Told::of(Word::Erase, &[name]), &shared.names, clock.now()).await {
        Ok(position) => position,
        Err(NotTold::Store(error)) => return refused(&caller, View::People, &error),
        Err(other) => {
            // What was given is a name: it is not said again.
            let words = match other {
                NotTold::Append(error) => error.to_string(),
                _ => "They go by that name no more; load the page again.".into(),
            };
            return (StatusCode::CONFLICT, page(&shared, &caller, &id, &asked, Some(&words)).await).into_response();
        }
    };
    let is_decided = tokio::select! {
        is_decided = decided(&**store, position) => is_decided,
        () = clock.until(clock.now() + DECIDED) => false,
    };
    Redirect::to(if is_decided { "/people?done=erased" } else { "/people?done=begun" }).into_response()
}
