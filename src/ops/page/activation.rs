//! One activation in full: what was to be sent, each try, and the calls it leads to; whoever it is for is hidden.

use maud::{Markup, html};

use super::pieces::{Tone, chip, figure, heads, json, nothing, short, when, wide};
use super::redact::Redaction;
use crate::model::{Activation, Attempt, Outcome, Timestamp};
use crate::ops::explain::attempt as in_words;
use crate::ops::server::Shared;

/// How it ended, or where it is.
pub fn end(last: Option<&Attempt>) -> Markup {
    match last.map(|last| &last.outcome) {
        None => chip(Tone::Waits, "waits for its first try"),
        Some(outcome @ (Outcome::Accepted | Outcome::Duplicate)) => chip(Tone::Well, outcome.word()),
        Some(Outcome::Refused { code, .. }) => html! { (chip(Tone::Bad, "refused")) " " code { (code) } },
        Some(outcome @ Outcome::Later { .. }) => chip(Tone::Waits, outcome.word()),
        Some(outcome) => chip(Tone::Plain, outcome.word()),
    }
}

/// All that is known of one.
pub fn whole(shared: &Shared, activation: &Activation, attempts: &[Attempt], now: Timestamp) -> Markup {
    let redaction = Redaction::of(activation);
    let person = activation.person.to_string();
    html! {
        dl.figures {
            (figure("Trigger", html! { a href=(format!("/triggers/{}", activation.trigger)) { (activation.trigger) } }, &redaction.text(&activation.key)))
            (figure("For", html! { a href=(format!("/people/{person}")) { (person.chars().take(8).collect::<String>()) } }, "the person's key here"))
            (figure("To", html! { a href=(format!("/activations?lane={}", activation.lane)) { (activation.lane) } }, &activation.action.to_string()))
            (figure("Edge", html! { (short(activation.at)) }, &format!("not sent after {}", short(activation.expires_at))))
            (figure("Priority", html! { (activation.priority) }, "of 100"))
            (figure("Occasion", html! { code.small { (activation.occasion.to_string()) } }, "the vendor's key against repeats"))
        }
        @if let Some(broken) = &activation.broken { p.notice.bad { "Its payload could not be said: " (redaction.text(broken)) } }
        section { h2 { "Tries" } (tries(attempts, &redaction, now)) }
        div.two {
            section { h2 { "Payload" } (json(&redaction.payload(&activation.payload))) }
            section { h2 { "Request" } (calls(shared, activation, &redaction)) }
        }
    }
}

fn tries(attempts: &[Attempt], redaction: &Redaction, now: Timestamp) -> Markup {
    if attempts.is_empty() {
        return nothing("It was not tried yet.");
    }
    wide(
        "Tries",
        html! { table {
            (heads(&["When", "End", "#HTTP", "The vendor's answer"]))
            tbody { @for attempt in attempts { tr {
                td { (when(attempt.at, now)) }
                td { (end(Some(attempt))) }
                td.n { @if attempt.status == 0 { "-" } @else { (attempt.status) } }
                td { (redaction.text(&in_words(attempt))) }
            } } }
        } },
    )
}

/// The calls as they are made of it now: what was sent is the same, as long as the settings are.
fn calls(shared: &Shared, activation: &Activation, redaction: &Redaction) -> Markup {
    let Some(asker) = shared.watched.askers.iter().find(|asker| asker.name == activation.lane) else {
        return nothing("Its destination is not in the configuration any more.");
    };
    if activation.identifiers.is_empty() || activation.broken.is_some() {
        return nothing("There is nothing to send.");
    }
    let (calls, refused) = asker.calls(activation.clone());
    html! {
        p.muted { "As each try makes it, from what is kept; who it is for and what lets us in is hidden." }
        @if let Some(words) = refused { p.notice.bad { "It would be refused before it is sent: " (redaction.text(&words)) } }
        @for call in calls.iter().map(|call| redaction.call(call)) {
            details.call open[calls.len() == 1] {
                summary { code { (call.line) } }
                @for (name, value) in &call.headers { div.muted { code { (name) ": " (value) } } }
                @if !call.body.is_empty() { pre.json tabindex="0" { code { (call.body) } } }
            }
        }
    }
}
