//! `[source.NAME]` with `kind = "connector"`: its manifest, and what is said of it against what the manifest asks.

use std::path::Path;

use super::layer::Layers;
use super::secret;
use crate::destination::webhook;
use crate::intake::settings::Connector;
use crate::manifest::setting::{Given, Setting, Unfit, Written};
use crate::model::mistake::instead;
use crate::model::{Mistake, Span};
use crate::source::manifest::{Connected, Manifest, shipped, shipped_names};
use crate::source::stream::{Account, NoAccount};
use crate::source::subscriptions;
use crate::source::webhook::Webhooks;

/// The text of a connector's manifest and the file it is in: from the user's folder, else of those that ship.
///
/// # Errors
/// Why there is none, in words.
pub fn text(name: &str, folder: Option<&Path>) -> Result<(String, String), String> {
    find(name, folder, "connector.toml", shipped(name))
}

/// The same of a destination's manifest.
///
/// # Errors
/// Why there is none, in words.
pub fn destination_text(name: &str, folder: Option<&Path>) -> Result<(String, String), String> {
    find(name, folder, "destination.toml", webhook::manifest::shipped(name))
}

fn find(
    name: &str,
    folder: Option<&Path>,
    file: &str,
    shipped: Option<&'static str>,
) -> Result<(String, String), String> {
    if let Some(path) = folder.map(|folder| folder.join(name).join(file)).filter(|path| path.exists()) {
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
        return Ok((path.display().to_string(), text));
    }
    match shipped {
        Some(text) => Ok((format!("connectors/{name}/{file}"), text.to_owned())),
        None => Err(format!("there is no connector `{name}` with a {file}")),
    }
}

/// The connector of the source `name`, with its settings.
///
/// # Errors
/// Everything that is wrong with the manifest, or else with what is said of it.
pub fn connect(
    name: &str,
    source: &Connector,
    folder: Option<&Path>,
    layers: &Layers,
) -> Result<Connected, Vec<Mistake>> {
    let (file, text) = text(&source.connector, folder).map_err(|words| {
        let known: Vec<&str> = shipped_names().collect();
        let way = instead(&source.connector, &known, "connectors that ship");
        vec![layers.at(&["source", name, "connector"], words).suggest(way)]
    })?;
    let manifest = Manifest::read(&file, &text)?;
    let (given, mut mistakes) = given(&manifest.settings, &source.settings, &["source", name, "settings"], layers);
    if let Some(given) = &given {
        let hears = Webhooks::of(&manifest, given).is_some();
        match Account::of(&manifest, given) {
            Ok(_) => {}
            Err(NoAccount::Listens(_) | NoAccount::Credentials(_)) if hears && source.pull == Default::default() => {}
            Err(words) => {
                let words = match (&words, &manifest.webhook) {
                    (NoAccount::Listens(_), Some(webhook)) => format!("no credentials: set `{}`", webhook.secrets),
                    _ => words.to_string(),
                };
                mistakes.push(layers.at(&["source", name, "settings"], words));
            }
        }
        let known: Vec<&str> = manifest.streams.keys().map(String::as_str).collect();
        for (n, stream) in source.pull.streams.iter().flatten().enumerate() {
            if !known.contains(&stream.as_str()) {
                let place = n.to_string();
                let words = format!("the connector has no list `{stream}`");
                let at = layers.at(&["source", name, "pull", "streams", &place], words);
                mistakes.push(at.suggest(instead(stream, &known, "of this connector")));
            }
        }
        if !(source.pull.share > 0.0 && source.pull.share <= 1.0) {
            mistakes.push(layers.at(&["source", name, "pull", "share"], "must be more than 0 and at most 1"));
        }
    }
    if let Some(webhooks) = &source.webhooks {
        mistakes.extend(unmanaged(name, webhooks, &manifest, given.as_ref(), layers));
    }
    match given {
        Some(given) if mistakes.is_empty() => Ok(Connected { manifest, given }),
        _ => Err(mistakes),
    }
}

/// What is said of a manifest's settings at this place of the configuration, and everything that is wrong with it.
pub(super) fn given(
    settings: &[Setting],
    written: &Written,
    place: &[&str],
    layers: &Layers,
) -> (Option<Given>, Vec<Mistake>) {
    let mut mistakes = Vec::new();
    for setting in settings.iter().filter(|setting| setting.kind.is_secret()) {
        mistakes.extend(bare_secrets(&[place, &[setting.name.as_str()]].concat(), layers));
    }
    let given = Given::read(settings, written).map_err(|unfit| {
        mistakes.extend(unfit.into_iter().map(|unfit| mistake(unfit, place, layers)));
    });
    (given.ok(), mistakes)
}

/// What is wrong with a setting, at its place.
pub(super) fn mistake(unfit: Unfit, place: &[&str], layers: &Layers) -> Mistake {
    let key: Vec<&str> = unfit.key.iter().map(String::as_str).collect();
    let mistake = layers.at(&[place, &key].concat(), unfit.words);
    match unfit.way {
        Some(way) => mistake.suggest(way),
        None => mistake,
    }
}

/// What is wrong with `webhooks`.
fn unmanaged(
    name: &str,
    webhooks: &subscriptions::Settings,
    manifest: &Manifest,
    given: Option<&Given>,
    layers: &Layers,
) -> Vec<Mistake> {
    let at = |rest: &[&str], words: &str| layers.at(&[&["source", name, "webhooks"], rest].concat(), words);
    let Some(declared) = manifest.webhook.as_ref().and_then(|webhook| webhook.subscriptions.as_ref()) else {
        return vec![at(&[], "the connector does not know how its webhooks are subscribed to; do it by hand")];
    };
    let mut mistakes = Vec::new();
    let host = webhooks.address.strip_prefix("https://").and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let is_plain = !webhooks.address.chars().any(|c| c.is_whitespace() || matches!(c, '@' | '#'));
    if host.is_empty() || !is_plain {
        let mistake = at(&["address"], "must be an address that begins with `https://`: vendors send to no other");
        mistakes.push(mistake.suggest(format!("\"https://hooks.example/hooks/{name}\"")));
    }
    let known: Vec<&str> = manifest.topics.keys().map(String::as_str).collect();
    for (n, topic) in webhooks.topics.iter().flatten().enumerate() {
        let place = n.to_string();
        if !known.contains(&topic.as_str()) {
            let mistake = at(&["topics", &place], &format!("the connector has no topic `{topic}`"));
            mistakes.push(mistake.suggest(instead(topic, &known, "of this connector")));
        } else if declared.by_hand.contains(topic) {
            mistakes.push(at(&["topics", &place], &format!("`{topic}` can be subscribed by hand alone")));
        }
    }
    if webhooks.every < Span::from_minutes(1) {
        mistakes.push(at(&["every"], "must be at least a minute"));
    }
    if let Some(given) = given {
        if let Err(words) = Account::of(manifest, given) {
            mistakes.push(at(&[], &words.to_string()));
        }
        if Webhooks::of(manifest, given).is_none() {
            let secrets = manifest.webhook.as_ref().map(|webhook| webhook.secrets.as_str()).unwrap_or_default();
            mistakes.push(at(&[], &format!("what comes could not be verified: set `{secrets}`")));
        }
    }
    mistakes
}

/// Secrets that stand in the file themselves.
fn bare_secrets(path: &[&str], layers: &Layers) -> Vec<Mistake> {
    let owned: Vec<String> = path.iter().map(|part| (*part).to_owned()).collect();
    let places = std::iter::once(owned.clone()).chain((0..16).map(|n| {
        let mut path = owned.clone();
        path.push(n.to_string());
        path
    }));
    let bare = places.filter(|path| layers.written(path).is_some_and(|text| !secret::is_reference(&text)));
    let words = "is a secret and must not stand in a file: write a reference to it";
    bare.map(|path| {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        layers.at(&parts, words).suggest("\"${env:NAME}\" or \"${file:/path}\"")
    })
    .collect()
}
