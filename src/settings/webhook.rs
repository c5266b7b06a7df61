//! `[destination.NAME]` with `kind = "webhook"`: its manifest, and what is said of it against what the manifest asks.

use std::path::Path;

use super::connector::{destination_text, given, mistake};
use super::layer::Layers;
use crate::destination::webhook::Settings;
use crate::destination::webhook::manifest::{DEFAULT, Manifest, shipped_names};
use crate::model::Mistake;
use crate::model::mistake::instead;

/// Gives the destination `name` its manifest. Everything that is wrong with that, or with what is said of it.
pub fn resolve(name: &str, settings: &mut Settings, folder: Option<&Path>, layers: &Layers) -> Vec<Mistake> {
    let at = |rest: &[&str], words: &str| layers.at(&[&["destination", name], rest].concat(), words);
    let mut mistakes = Vec::new();
    let alone =
        [("url", settings.url.is_some()), ("secret", settings.secret.is_some()), ("token", settings.token.is_some())];
    match &settings.connector {
        Some(connector) => {
            for (key, _) in alone.iter().filter(|(_, is_set)| *is_set) {
                let mistake = at(&[key], "is for a destination without `connector`");
                mistakes.push(mistake.suggest(format!("in `settings`, under the name that `{connector}` has for it")));
            }
        }
        None if settings.url.is_none() => {
            let known: Vec<&str> = shipped_names().filter(|known| *known != DEFAULT).collect();
            let mistake = at(&[], "needs `url`, where to post, or `connector`");
            mistakes.push(
                mistake.suggest(format!("url = \"https://hooks.example/espalier\", or one of: {}", known.join(", "))),
            );
            return mistakes;
        }
        None => {}
    }
    let connector = settings.connector.clone().unwrap_or_else(|| DEFAULT.to_owned());
    let (file, text) = match destination_text(&connector, folder) {
        Ok(found) => found,
        Err(words) => {
            let known: Vec<&str> = shipped_names().collect();
            let way = instead(&connector, &known, "destinations that ship");
            mistakes.push(at(&["connector"], &words).suggest(way));
            return mistakes;
        }
    };
    let manifest = match Manifest::read(&file, &text) {
        Ok(manifest) => manifest,
        Err(more) => return more,
    };
    // Without a connector what its settings are said with stands beside `kind`.
    let place: Vec<&str> = match settings.connector {
        Some(_) => vec!["destination", name, "settings"],
        None => vec!["destination", name],
    };
    let (given, more) = given(&manifest.settings, &settings.written(), &place, layers);
    mistakes.extend(more);
    if let Some(given) = given
        && let Err(unfit) = settings.resolve(manifest, &given)
    {
        mistakes.push(mistake(unfit, &place, layers));
    }
    mistakes
}
