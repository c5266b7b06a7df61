//! What the user of a connector has to say: the declarations of a manifest, and what a configuration says, checked
//! against them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::Seen;
use super::written::{Reading, Value};
use crate::model::mistake::instead;
use crate::model::setting::Secret;

/// Stands in samples for what a user says.
const STAND_IN: &str = "hush";

/// One thing that the user has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the configuration.
    pub name: String,
    /// What it is.
    pub kind: SettingKind,
    /// Where it is found, for the person who has to find it.
    pub help: String,
    /// Whether it may be left out.
    pub optional: bool,
    /// What it is where it is left out.
    pub default: Option<String>,
}

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// Letters, digits, `.`, `-` and `_`: it stands in paths as it is.
    Word,
    /// An address beginning with `https://`; `http://` of this machine.
    Url,
    /// A host name.
    Domain,
    /// A reference to a secret.
    Secret,
    /// A list of them, valid side by side while one is replaced.
    Secrets,
}

impl SettingKind {
    const WORDS: [(&str, Self); 6] = [
        ("text", Self::Text),
        ("word", Self::Word),
        ("url", Self::Url),
        ("domain", Self::Domain),
        ("secret", Self::Secret),
        ("secrets", Self::Secrets),
    ];

    /// True for what must never be shown.
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::Secrets)
    }
}

/// What a configuration says, as it is written and with its references resolved. `Debug` shows none of it.
#[derive(Clone, Default, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct Written(BTreeMap<String, Json>);

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Written {
    /// With one more.
    pub fn and(mut self, key: &str, value: impl Into<Json>) -> Self {
        self.0.insert(key.to_owned(), value.into());
        self
    }

    /// All of it, as JSON.
    pub fn json(&self) -> &BTreeMap<String, Json> {
        &self.0
    }
}

/// What a configuration says, checked.
#[derive(Clone, Debug, Default)]
pub struct Given {
    shown: BTreeMap<String, String>,
    secrets: BTreeMap<String, Vec<Secret>>,
}

/// What is wrong with a setting: its key, words, and a way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Which; none for one that is missing.
    pub key: Option<String>,
    /// What is wrong.
    pub words: String,
    /// The way out.
    pub way: Option<String>,
}

impl Given {
    /// What `written` says of `settings`.
    ///
    /// # Errors
    /// Everything that does not fit.
    pub fn read(settings: &[Setting], written: &Written) -> Result<Self, Vec<Unfit>> {
        let (mut given, mut unfit) = (Self::default(), Vec::new());
        let names: Vec<&str> = settings.iter().map(|s| s.name.as_str()).collect();
        for key in written.0.keys().filter(|key| !names.contains(&key.as_str())) {
            let way = Some(instead(key, &names, "of this connector"));
            unfit.push(Unfit { key: Some(key.clone()), words: "is no setting of this connector".into(), way });
        }
        for setting in settings {
            let wrong =
                |words: String| Unfit { key: Some(setting.name.clone()), words, way: Some(setting.help.clone()) };
            match written.0.get(&setting.name) {
                None if setting.default.is_some() => {
                    given.shown.extend(setting.default.clone().map(|text| (setting.name.clone(), text)));
                }
                None if setting.optional => {}
                None => unfit.push(Unfit {
                    key: None,
                    words: format!("`{}` is missing", setting.name),
                    way: Some(setting.help.clone()),
                }),
                Some(value) => match given.take(setting, value) {
                    Ok(()) => {}
                    Err(words) => unfit.push(wrong(words)),
                },
            }
        }
        if unfit.is_empty() { Ok(given) } else { Err(unfit) }
    }

    /// Something for each setting, so that samples are read without an account.
    pub fn anything(settings: &[Setting]) -> Self {
        let value = |setting: &Setting| match setting.kind {
            SettingKind::Domain => json!("shop.example"),
            SettingKind::Url => json!("https://shop.example"),
            SettingKind::Secrets => json!([STAND_IN]),
            SettingKind::Text | SettingKind::Word | SettingKind::Secret => json!(STAND_IN),
        };
        let needed = settings.iter().filter(|s| s.default.is_none());
        let said = needed.map(|s| (s.name.clone(), value(s))).collect();
        Self::read(settings, &Written(said)).unwrap_or_default()
    }

    fn take(&mut self, setting: &Setting, value: &Json) -> Result<(), String> {
        let one = |value: &Json| match value {
            Json::String(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
            Json::Number(number) => Ok(number.to_string()),
            _ => Err("must be a text in quotes".to_owned()),
        };
        let name = setting.name.clone();
        match setting.kind {
            SettingKind::Secrets => {
                let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                let secrets = list.iter().map(|value| one(value).map(Secret::new)).collect::<Result<Vec<_>, _>>()?;
                if secrets.is_empty() {
                    return Err("must not be empty".into());
                }
                self.secrets.insert(name, secrets);
            }
            SettingKind::Secret => drop(self.secrets.insert(name, vec![Secret::new(one(value)?)])),
            SettingKind::Text => drop(self.shown.insert(name, one(value)?)),
            SettingKind::Word => {
                let text = one(value)?;
                let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
                if !text.chars().all(is_word) || text.contains("..") {
                    return Err("must be letters, digits, `.`, `-` and `_` only".into());
                }
                self.shown.insert(name, text);
            }
            SettingKind::Url => drop(self.shown.insert(name, address(&one(value)?)?)),
            SettingKind::Domain => {
                let text = one(value)?;
                let host = text.trim_start_matches("https://").trim_end_matches('/').to_ascii_lowercase();
                let is_part =
                    |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
                if !host.contains('.') || !host.split('.').all(is_part) {
                    return Err("must be a host name".into());
                }
                self.shown.insert(name, host);
            }
        }
        Ok(())
    }

    /// What was said of a setting that is no secret.
    pub fn shown(&self, name: &str) -> Option<&str> {
        self.shown.get(name).map(String::as_str)
    }

    /// All that may be shown, for templates.
    pub fn all_shown(&self) -> &BTreeMap<String, String> {
        &self.shown
    }

    /// What templates see: `settings`.
    pub(crate) fn seen(&self) -> Seen {
        Seen::of(&json!({ "settings": self.shown }))
    }

    /// The first secret of this name.
    pub fn secret(&self, name: &str) -> Option<&Secret> {
        self.secrets(name).first()
    }

    /// All secrets of this name.
    pub fn secrets(&self, name: &str) -> &[Secret] {
        self.secrets.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// True when something was said of it.
    pub fn has(&self, name: &str) -> bool {
        self.shown.contains_key(name) || self.secrets.contains_key(name)
    }
}

/// An address that may be called: over TLS, or on this machine.
pub(super) fn address(text: &str) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"];
    let is_local = local.iter().any(|start| {
        text.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with(':') || rest.starts_with('/'))
    });
    let is_plain = !text.chars().any(|c| c.is_whitespace() || matches!(c, '@' | '?' | '#'));
    if is_plain && (is_local || text.strip_prefix("https://").is_some_and(|rest| !rest.is_empty())) {
        return Ok(text.to_owned());
    }
    Err("must be an address that begins with `https://`, without a name, query or fragment in it".into())
}

pub(crate) fn setting(name: String, value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Setting> {
    let mut table = value.table(reading)?;
    let kind = table.need("kind", reading).and_then(|value| value.one_of(&SettingKind::WORDS, reading));
    let help = table.need("help", reading).and_then(|v| v.text(reading));
    let optional = table.get("optional").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
    let default = table.get("default").and_then(|v| v.text(reading));
    if default.is_some() && kind.is_some_and(SettingKind::is_secret) {
        table.wrong(reading, "a secret has no default");
    }
    table.finish(reading);
    Some(Setting { name, kind: kind?, help: help?, optional: optional || default.is_some(), default })
}

impl Value<'_, '_> {
    /// The name of a setting, of one of `kinds`; of any that is no secret where none is named.
    pub(crate) fn setting(
        &self,
        settings: &[Setting],
        kinds: &[SettingKind],
        reading: &mut Reading<'_>,
    ) -> Option<String> {
        let name = self.text(reading)?;
        let fits = |s: &&Setting| if kinds.is_empty() { !s.kind.is_secret() } else { kinds.contains(&s.kind) };
        if settings.iter().filter(fits).any(|s| s.name == name) {
            return Some(name);
        }
        let known: Vec<&str> = settings.iter().filter(fits).map(|s| s.name.as_str()).collect();
        self.unknown(reading, &name, &known);
        None
    }
}
