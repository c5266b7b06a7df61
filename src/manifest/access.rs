//! How we are let in: what a manifest says of it, and what comes of that with the settings that were given.

use base64::Engine as _;

use super::setting::{Given, Setting, SettingKind, address};
use super::written::{Reading, Table, Value, entries, texts};
use super::{Seen, Text};
use crate::model::Span;
use crate::model::http::{self, Name, TokenForm, TokenRequest};
use crate::model::setting::Secret;

/// Names that an address may use.
pub(crate) const OF_SETTINGS: &[&str] = &["settings"];

/// How we are let in.
#[derive(Clone, Debug, PartialEq)]
pub enum Auth {
    /// `<header>: <secret>`
    Header {
        /// The header.
        header: String,
        /// The setting.
        secret: String,
    },
    /// `Authorization: Bearer <secret>`
    Bearer {
        /// The setting.
        secret: String,
        /// The word before it, where that is another.
        scheme: Option<String>,
    },
    /// `Authorization: Basic ...`
    Basic {
        /// The setting with the name.
        user: String,
        /// The setting with the password.
        password: String,
    },
    /// A token that is fetched (RFC 6749: client credentials, refresh token).
    Token {
        /// Where.
        path: Text,
        /// Fields that are no secret.
        fields: Vec<(String, Text)>,
        /// Fields that are, and their settings.
        secrets: Vec<(String, String)>,
        /// How they are sent.
        form: TokenForm,
        /// The life of a token whose answer does not say it.
        life: Span,
        /// The header that carries it.
        header: Option<String>,
        /// Each answer may bring another refresh token.
        rotates: bool,
    },
}

impl Auth {
    /// The settings that it needs.
    pub fn needs(&self) -> Vec<&str> {
        match self {
            Self::Header { secret, .. } | Self::Bearer { secret, .. } => vec![secret],
            Self::Basic { user, password } => vec![user, password],
            Self::Token { secrets, .. } => secrets.iter().map(|(_, setting)| setting.as_str()).collect(),
        }
    }
}

/// One way in, or several of which the first counts whose settings are given.
pub(crate) fn several(value: Value<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Vec<Auth> {
    let several = value.each(reading);
    several.iter().filter_map(|value| auth(value.table(reading)?, settings, reading)).collect()
}

fn auth(mut table: Table<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Option<Auth> {
    #[derive(Clone, Copy)]
    enum Kind {
        Header,
        Bearer,
        Basic,
        Token,
    }
    let kinds = [("header", Kind::Header), ("bearer", Kind::Bearer), ("basic", Kind::Basic), ("oauth2", Kind::Token)];
    let kind = table.need("kind", reading).and_then(|v| v.one_of(&kinds, reading))?;
    let secret =
        |value: Value<'_, '_>, reading: &mut Reading<'_>| value.setting(settings, &[SettingKind::Secret], reading);
    let any = |value: Value<'_, '_>, reading: &mut Reading<'_>| {
        value.setting(settings, &[SettingKind::Secret, SettingKind::Text, SettingKind::Word], reading)
    };
    let auth = match kind {
        Kind::Header => {
            let header = table.need("header", reading).and_then(|v| v.text(reading));
            let secret = table.need("secret", reading).and_then(|v| secret(v, reading));
            header.zip(secret).map(|(header, secret)| Auth::Header { header, secret })
        }
        Kind::Bearer => {
            let scheme = table.get("scheme").and_then(|v| v.text(reading));
            table.need("secret", reading).and_then(|v| secret(v, reading)).map(|secret| Auth::Bearer { secret, scheme })
        }
        Kind::Basic => {
            let user = table.need("user", reading).and_then(|v| any(v, reading));
            let password = table.need("password", reading).and_then(|v| secret(v, reading));
            user.zip(password).map(|(user, password)| Auth::Basic { user, password })
        }
        Kind::Token => {
            let path = table.need("path", reading).and_then(|v| v.template(OF_SETTINGS, reading));
            let fields = texts(table.get("fields"), OF_SETTINGS, reading);
            let mut secrets = Vec::new();
            for (name, value) in entries(table.need("secrets", reading), reading) {
                secrets.extend(any(value, reading).map(|setting| (name, setting)));
            }
            let forms = [("query", TokenForm::Query), ("form", TokenForm::Form), ("json", TokenForm::Json)];
            let form = table.get("send").and_then(|v| v.one_of(&forms, reading)).unwrap_or(TokenForm::Form);
            let life = table.get("life").and_then(|v| v.span(reading)).unwrap_or(Span::HOUR);
            let header = table.get("header").and_then(|v| v.text(reading));
            let rotates = table.get("rotates").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
            path.map(|path| Auth::Token { path, fields, secrets, form, life, header, rotates })
        }
    };
    table.finish(reading);
    auth
}

/// Calls in a time, by family: `[{ most, within, family }]`. An empty family is of all that name none.
pub(crate) fn windows(value: Option<Value<'_, '_>>, reading: &mut Reading<'_>) -> Vec<(String, u32, Span)> {
    let mut windows = Vec::new();
    for value in value.map(|v| v.list(reading)).unwrap_or_default() {
        let Some(mut window) = value.table(reading) else { continue };
        let most = window.need("most", reading).and_then(|v| v.whole(1, 1_000_000_000, reading));
        let within = window.need("within", reading).and_then(|v| v.span(reading));
        let family = window.get("family").and_then(|v| v.text(reading)).unwrap_or_default();
        window.finish(reading);
        windows
            .extend(most.zip(within).map(|(most, within)| (family, u32::try_from(most).unwrap_or(u32::MAX), within)));
    }
    windows
}

/// Where an account is, with these settings; none where that may not be called.
pub(crate) fn base_url(text: &Text, seen: &Seen) -> Option<String> {
    address(&text.text(seen)?).ok()
}

/// What lets in with these settings.
pub(crate) struct WayIn {
    /// What each request says.
    pub auth: http::Auth,
    /// How its token is fetched.
    pub token: Option<TokenRequest>,
    /// As whom: what the account's other users have to say too. None where a token is fetched, from the account's own
    /// address.
    pub credential: Option<Secret>,
}

/// The first of the ways whose settings are given.
///
/// # Errors
/// What would have to be set.
pub(crate) fn way_in(ways: &[Auth], given: &Given) -> Result<WayIn, String> {
    let Some(way) = ways.iter().find(|way| way.needs().iter().all(|name| given.has(name))) else {
        let ways: Vec<String> = ways.iter().map(|way| format!("`{}`", way.needs().join("` and `"))).collect();
        return Err(format!("set {}", ways.join(", or ")));
    };
    let said = |name: &str| {
        let secret = given.secret(name).cloned();
        secret.or_else(|| given.shown(name).map(Secret::new)).unwrap_or_else(|| Secret::new(""))
    };
    let (auth, token, credential) = match way {
        Auth::Header { header, secret } => (http::Auth::Named(header.clone(), said(secret)), None, Some(said(secret))),
        Auth::Bearer { secret, scheme: None } => (http::Auth::Header("Bearer", said(secret)), None, Some(said(secret))),
        Auth::Bearer { secret, scheme: Some(scheme) } => {
            let value = Secret::new(format!("{scheme} {}", said(secret).expose()));
            (http::Auth::Named("authorization".to_owned(), value), None, Some(said(secret)))
        }
        Auth::Basic { user, password } => {
            let pair = format!("{}:{}", said(user).expose(), said(password).expose());
            let pair = base64::engine::general_purpose::STANDARD.encode(pair);
            (http::Auth::Header("Basic", Secret::new(pair)), None, Some(said(user)))
        }
        Auth::Token { path, fields, secrets, form, life, header, rotates } => {
            let seen = given.seen();
            let token = TokenRequest {
                path: path.text(&seen).unwrap_or_default(),
                fields: named(fields, &seen),
                secrets: secrets.iter().map(|(name, of)| (Name::from(name.clone()), said(of))).collect(),
                form: *form,
                life: *life,
                header: header.clone(),
                rotates: *rotates,
            };
            (http::Auth::Token, Some(token), None)
        }
    };
    Ok(WayIn { auth, token, credential })
}

/// Named texts as they are said; what says nothing is left out.
pub(crate) fn named(texts: &[(String, Text)], seen: &Seen) -> Vec<(Name, String)> {
    texts.iter().filter_map(|(name, text)| Some((Name::from(name.clone()), text.text(seen)?))).collect()
}
