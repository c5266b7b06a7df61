//! Samples of a destination: the call that an activation makes, in a form that is worth writing down beside it.
//!
//! `fixtures/NAME.activation.json` is an activation, or a list of them where several go in one call;
//! `fixtures/NAME.calls.json` is what they make.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::manifest::Manifest;
use super::{Way, Webhook};
use crate::destination::{Destination, Item, Next};
use crate::manifest::setting::Given;
use crate::model::http::{Answer, Request};
use crate::model::{Action, Activation, Identifier, OccasionId, Outcome, PersonId, RawJson, Timestamp};

/// How a file with activations ends.
pub const ACTIVATION: &str = ".activation.json";
/// How the file with what they make ends.
pub const CALLS: &str = ".calls.json";
/// When samples are sent: 2026-11-23T12:00:00Z.
const AT: Timestamp = Timestamp::from_millis(1_795_435_200_000);

/// An activation as a sample writes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    event: String,
    trigger: String,
    #[serde(default)]
    key: String,
    at: Timestamp,
    occasion: String,
    identifiers: Vec<String>,
    #[serde(default)]
    traits: Map<String, Value>,
    payload: Map<String, Value>,
}

/// The calls that the activations in `text` make, where the receiver takes them all.
///
/// # Errors
/// What is wrong with the sample, or with the manifest.
pub fn made(manifest: &Manifest, text: &[u8]) -> Result<Value, String> {
    let written: Value = serde_json::from_slice(text).map_err(|e| format!("is not JSON: {e}"))?;
    let several = if written.is_array() { written } else { json!([written]) };
    let samples: Vec<Sample> = serde_json::from_value(several).map_err(|e| format!("is no activation: {e}"))?;
    let batch = samples.into_iter().map(item).collect::<Result<Vec<_>, _>>()?;
    // A stand-in signs nothing.
    let unsigned = Manifest { sign: None, ..manifest.clone() };
    let way = Way::of(unsigned, &Given::anything(&manifest.settings)).map_err(|wrong| wrong.words)?;
    let webhook = Webhook { way: Ok(Arc::new(way)), share: 1.0, unlimited: true, timeout: None };
    let mut exchange = webhook.exchange(batch);
    let (mut calls, mut answer, mut now) = (Vec::new(), None, AT);
    loop {
        match exchange.next(answer.take(), now) {
            Next::Wait(until) => now = until,
            Next::Ask(request) => {
                calls.push(call(&webhook, &request));
                answer = Some(Answer::Came(webhook.pretended(&request)));
            }
            Next::Done { outcomes, .. } => {
                let refused = outcomes.iter().flatten().filter_map(|(_, outcome)| match outcome {
                    Outcome::Refused { words, .. } => Some(&**words),
                    _ => None,
                });
                return Ok(json!({ "calls": calls, "refused": refused.collect::<Vec<_>>() }));
            }
        }
    }
}

fn item(sample: Sample) -> Result<Item, String> {
    let names = sample.identifiers.iter();
    let identifiers = names.map(|text| Identifier::parse(text).ok_or_else(|| format!("`{text}` is no name")));
    let activation = Activation {
        occasion: OccasionId::parse(&sample.occasion).ok_or("`occasion` is 32 hexadecimal digits")?,
        lane: "sample".into(),
        trigger: sample.trigger.into(),
        person: PersonId([1; 16]),
        identifiers: identifiers.collect::<Result<_, _>>()?,
        traits: RawJson::from_value(&Value::Object(sample.traits)),
        key: sample.key.into(),
        at: sample.at,
        action: Action::Event(sample.event.into()),
        priority: 50,
        expires_at: sample.at + crate::model::Span::DAY,
        not_before: None,
        payload: RawJson::from_value(&Value::Object(sample.payload)),
        broken: None,
    };
    Ok(Item { activation, may_have_left: false })
}

fn call(webhook: &Webhook, request: &Request) -> Value {
    let headers: Map<String, Value> =
        request.headers.iter().map(|(name, value)| (name.to_string(), value.as_str().into())).collect();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    json!({ "call": format!("{} {}{}", request.method.word(), webhook.base_url(), request.path), "headers": headers, "body": body })
}
