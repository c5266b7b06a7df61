//! `[alerts]` in the configuration.

use std::collections::BTreeMap;
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Deserialize;

use super::kind::{Kind, Mark, Severity, Usual};
use crate::model::setting::{Secret, Size};
use crate::model::{Schedule, Span, Timestamp, Zone};

/// Receivers there may be.
pub const MOST_RECEIVERS: usize = 10;
/// Times of planned work there may be.
pub const MOST_WINDOWS: usize = 50;

/// What is an alert, who is told, and when.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How this daemon is called in messages.
    pub name: String,
    /// The address of the status page as receivers can open it, for a link in messages.
    pub page: Option<String>,
    /// How often everything is looked at.
    pub every: Span,
    /// What begins to fire within so long goes in one message.
    pub group_wait: Span,
    /// What fires on is told again after so long.
    pub repeat: Span,
    /// An alert is over when nothing was found for so long.
    pub calm: Span,
    /// So many alerts are shown in one message; of the rest it says how many there are.
    #[schemars(range(min = 1, max = 100))]
    pub lines: usize,
    /// What is different for a kind.
    pub rule: Rules,
    /// Who is told, by a name of yours.
    pub receiver: BTreeMap<String, Receiver>,
    /// Times of planned work, up to 50: nothing new is told in them.
    pub maintenance: Vec<Maintenance>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "espalier".into(),
            page: None,
            every: Span::from_secs(15),
            group_wait: Span::from_secs(30),
            repeat: Span::from_hours(4),
            calm: Span::from_minutes(2),
            lines: 20,
            rule: Rules::default(),
            receiver: BTreeMap::new(),
            maintenance: Vec::new(),
        }
    }
}

/// What is different for a kind. Without a key its default holds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// False: it never fires.
    pub on: Option<bool>,
    /// It fires when it was so for this long.
    #[serde(rename = "for")]
    pub wait: Option<Span>,
    /// How urgent it is.
    pub severity: Option<Severity>,
    /// Of kinds that count: from so many on.
    pub times: Option<u64>,
    /// Of kinds that measure a time: when it is longer.
    pub over: Option<Span>,
    /// Of kinds that measure room: when it is less.
    pub below: Option<Size>,
}

/// What is different, by kind.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(missing_docs, reason = "each is the kind of its name")]
pub struct Rules {
    pub engine_waits: Rule,
    pub disk_low: Rule,
    pub breaker_open: Rule,
    pub credentials_refused: Rule,
    pub quota_spent: Rule,
    pub quota_forecast: Rule,
    pub lane_held: Rule,
    pub backlog_age: Rule,
    pub dead_letters: Rule,
    pub sync_failed: Rule,
    pub lag_over: Rule,
    pub set_aside: Rule,
    pub silence: Rule,
    pub clock_skew: Rule,
    pub subscriptions_unseen: Rule,
    pub subscription_missing: Rule,
    pub subscription_lost: Rule,
    pub demands_open: Rule,
    pub account_drift: Rule,
    pub rate_guard: Rule,
    pub codes_low: Rule,
    pub night_missing: Rule,
    pub night_differs: Rule,
    pub backup_failed: Rule,
    pub receiver_failing: Rule,
}

impl Rules {
    /// What is written of a kind.
    pub fn of(&self, kind: Kind) -> &Rule {
        match kind {
            Kind::EngineWaits => &self.engine_waits,
            Kind::DiskLow => &self.disk_low,
            Kind::BreakerOpen => &self.breaker_open,
            Kind::CredentialsRefused => &self.credentials_refused,
            Kind::QuotaSpent => &self.quota_spent,
            Kind::QuotaForecast => &self.quota_forecast,
            Kind::LaneHeld => &self.lane_held,
            Kind::BacklogAge => &self.backlog_age,
            Kind::DeadLetters => &self.dead_letters,
            Kind::SyncFailed => &self.sync_failed,
            Kind::LagOver => &self.lag_over,
            Kind::SetAside => &self.set_aside,
            Kind::Silence => &self.silence,
            Kind::ClockSkew => &self.clock_skew,
            Kind::SubscriptionsUnseen => &self.subscriptions_unseen,
            Kind::SubscriptionMissing => &self.subscription_missing,
            Kind::SubscriptionLost => &self.subscription_lost,
            Kind::DemandsOpen => &self.demands_open,
            Kind::AccountDrift => &self.account_drift,
            Kind::RateGuard => &self.rate_guard,
            Kind::CodesLow => &self.codes_low,
            Kind::NightMissing => &self.night_missing,
            Kind::NightDiffers => &self.night_differs,
            Kind::BackupFailed => &self.backup_failed,
            Kind::ReceiverFailing => &self.receiver_failing,
        }
    }
}

/// Planned work, again and again.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Maintenance {
    /// When it begins, as cron writes it: `"0 2 * * 0"`.
    pub at: Schedule,
    /// On whose clock.
    #[serde(default = "utc")]
    pub zone: Zone,
    /// How long it takes.
    pub length: Span,
    /// Only these kinds are held back; all without it.
    #[serde(default)]
    pub kinds: Vec<Kind>,
}

fn utc() -> Zone {
    Zone::UTC
}

impl Maintenance {
    fn is_open(&self, now: Timestamp) -> bool {
        self.at.last(now, &self.zone).is_some_and(|began| now < began + self.length)
    }
}

/// The settings as they hold at one instant: which planned work there is then is computed once for all alerts.
pub struct Round<'s> {
    /// What is set.
    pub settings: &'s Settings,
    /// When.
    pub now: Timestamp,
    open: Vec<&'s Maintenance>,
}

impl Round<'_> {
    /// True when planned work holds this kind back.
    pub fn holds_back(&self, kind: Kind) -> bool {
        self.open.iter().any(|window| window.kinds.is_empty() || window.kinds.contains(&kind))
    }
}

/// What a receiver wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wants<'s> {
    /// Only these kinds; all when empty.
    pub kinds: &'s [Kind],
    /// At least so urgent.
    pub least: Severity,
}

/// Who is told.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Receiver {
    /// An incoming webhook of Slack, or of what takes the same: Mattermost, Rocket.Chat, Discord's `/slack`.
    Slack(Slack),
    /// E-mail by SMTP.
    Email(Email),
    /// PagerDuty's Events API v2, or what takes the same.
    PagerDuty(PagerDuty),
    /// JSON, signed as Standard Webhooks says.
    Webhook(Webhook),
}

/// An incoming webhook.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slack {
    /// Its address, which lets in whoever knows it; `https://`, but for this machine.
    pub url: Secret,
    /// Only these kinds; all without it.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only what is at least so urgent.
    #[serde(default = "warning")]
    pub severity: Severity,
}

/// PagerDuty.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PagerDuty {
    /// The integration's key.
    pub routing_key: Secret,
    /// Where its API is; `https://events.eu.pagerduty.com` in the EU. By `http://` only on this machine.
    #[serde(default = "pagerduty")]
    pub base_url: String,
    /// Only these kinds; all without it.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only what is at least so urgent.
    #[serde(default = "warning")]
    pub severity: Severity,
}

/// Any webhook.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// Its address; `https://`, but for this machine.
    pub url: Secret,
    /// What calls are signed with: `whsec_` and 24 to 64 bytes in base64. Without it they are not signed.
    pub secret: Option<Secret>,
    /// Goes along as `Authorization: Bearer`.
    pub token: Option<Secret>,
    /// Only these kinds; all without it.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only what is at least so urgent.
    #[serde(default = "warning")]
    pub severity: Severity,
}

/// E-mail.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Email {
    /// The mail server's name.
    pub server: String,
    /// Its port; without it 587, 465 for `wrapped` and 25 for `none`.
    pub port: Option<u16>,
    /// How the connection is encrypted.
    #[serde(default)]
    pub tls: Tls,
    /// Certificates (PEM) that vouch for the server's, beside those that the machine trusts:
    /// `"${file:/etc/espalier/mail-ca.pem}"`.
    pub ca: Option<String>,
    /// Who logs in; without it nobody does.
    pub user: Option<String>,
    /// With this password.
    pub password: Option<Secret>,
    /// Who writes: `Espalier <espalier@example.com>`.
    pub from: String,
    /// To whom.
    pub to: Vec<String>,
    /// Only these kinds; all without it.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// Only what is at least so urgent.
    #[serde(default = "warning")]
    pub severity: Severity,
}

/// How a mail server's connection is encrypted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// By STARTTLS; without it nothing is sent.
    #[default]
    StartTls,
    /// From its first byte.
    Wrapped,
    /// Not at all: only to this machine.
    None,
}

fn warning() -> Severity {
    Severity::Warning
}

fn pagerduty() -> String {
    "https://events.pagerduty.com".into()
}

impl Receiver {
    /// What it wants to be told.
    pub fn wants(&self) -> Wants<'_> {
        let (kinds, least) = match self {
            Self::Slack(Slack { kinds, severity, .. })
            | Self::Email(Email { kinds, severity, .. })
            | Self::PagerDuty(PagerDuty { kinds, severity, .. })
            | Self::Webhook(Webhook { kinds, severity, .. }) => (kinds, severity),
        };
        Wants { kinds, least: *least }
    }

    /// As it is written in `kind`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Slack(_) => "slack",
            Self::Email(_) => "email",
            Self::PagerDuty(_) => "pagerduty",
            Self::Webhook(_) => "webhook",
        }
    }
}

impl Settings {
    /// What holds for a kind.
    pub fn of(&self, kind: Kind) -> Usual {
        let (rule, usual) = (self.rule.of(kind), kind.usual());
        let mark = match usual.mark {
            Mark::None => Mark::None,
            Mark::Times(times) => Mark::Times(rule.times.unwrap_or(times).max(1)),
            Mark::Over(over) => Mark::Over(rule.over.unwrap_or(over)),
            Mark::Below(below) => Mark::Below(rule.below.unwrap_or(below)),
        };
        Usual {
            is_on: rule.on.unwrap_or(usual.is_on),
            severity: rule.severity.unwrap_or(usual.severity),
            wait: rule.wait.unwrap_or(usual.wait),
            mark,
        }
    }

    /// As it holds at this instant.
    pub fn round(&self, now: Timestamp) -> Round<'_> {
        Round { settings: self, now, open: self.maintenance.iter().filter(|window| window.is_open(now)).collect() }
    }

    /// What no single key can know: the key, below `alerts`, and what is wrong with it. Never a secret's value.
    pub fn clashes(&self) -> Vec<(Vec<String>, String)> {
        let mut wrong: Vec<(Vec<String>, String)> = Vec::new();
        let mut at = |path: &[&str], words: &str| {
            wrong.push((path.iter().map(|part| (*part).to_owned()).collect(), words.to_owned()));
        };
        for (key, span, least) in [
            ("every", self.every, Span::from_secs(1)),
            ("repeat", self.repeat, Span::from_minutes(1)),
            ("calm", self.calm, Span::from_secs(1)),
        ] {
            if span < least || span > Span::from_days(30) {
                at(&[key], &format!("must lie between {least} and 30d"));
            }
        }
        if self.group_wait > Span::HOUR {
            at(&["group_wait"], "must be at most 1h");
        }
        for kind in Kind::ALL {
            let (rule, mark) = (self.rule.of(kind), kind.usual().mark);
            let takes = [
                ("times", rule.times.is_some(), matches!(mark, Mark::Times(_))),
                ("over", rule.over.is_some(), matches!(mark, Mark::Over(_))),
                ("below", rule.below.is_some(), matches!(mark, Mark::Below(_))),
            ];
            for (key, _, _) in takes.into_iter().filter(|(_, is_set, is_its)| *is_set && !is_its) {
                at(&["rule", kind.word(), key], "is nothing that this kind measures");
            }
        }
        for (n, one) in self.maintenance.iter().enumerate() {
            if one.length == Span::ZERO || one.length > Span::from_days(7) {
                at(&["maintenance", &n.to_string(), "length"], "must be longer than nothing, and at most 7d");
            }
        }
        if self.maintenance.len() > MOST_WINDOWS {
            at(&["maintenance"], &format!("there may be {MOST_WINDOWS} times of planned work; one may come each day"));
        }
        if self.receiver.len() > MOST_RECEIVERS {
            at(&["receiver"], &format!("there may be {MOST_RECEIVERS} receivers"));
        }
        for (name, receiver) in &self.receiver {
            for (key, words) in receiver.clashes() {
                at(&["receiver", name, key], &words);
            }
        }
        wrong
    }
}

impl Receiver {
    fn clashes(&self) -> Vec<(&'static str, String)> {
        let mut wrong = Vec::new();
        let mut called_at = |key, url: &str| wrong.extend(called_at(url).err().map(|words| (key, words.to_owned())));
        match self {
            Self::Slack(slack) => called_at("url", slack.url.expose()),
            Self::PagerDuty(one) => called_at("base_url", &one.base_url),
            Self::Webhook(webhook) => {
                called_at("url", webhook.url.expose());
                if let Some(Err(words)) = webhook.secret.as_ref().map(crate::model::standard_webhook::key) {
                    wrong.push(("secret", words.to_owned()));
                }
            }
            Self::Email(email) => {
                if !crate::wire::mail::is_address(&email.from) {
                    wrong.push(("from", "is no address of e-mail".into()));
                }
                if email.to.is_empty() || email.to.len() > 20 {
                    wrong.push(("to", "names 1 to 20 addresses".into()));
                }
                if !email.to.iter().all(|to| crate::wire::mail::is_address(to)) {
                    wrong.push(("to", "has something in it that is no address of e-mail".into()));
                }
                if email.user.is_some() != email.password.is_some() {
                    wrong.push(("user", "and `password` go together".into()));
                }
                if email.ca.as_deref().is_some_and(|ca| !crate::wire::mail::is_certificate(ca)) {
                    wrong.push(("ca", "is no certificate in PEM; it is written ${file:/path/to/ca.pem}".into()));
                }
                if email.ca.is_some() && email.tls == Tls::None {
                    wrong.push(("ca", "vouches for nothing where `tls` is \"none\"".into()));
                }
                let is_loopback = email.server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
                if email.tls == Tls::None && email.server != "localhost" && !is_loopback {
                    wrong.push(("tls", "may be \"none\" only for a server on this machine".into()));
                }
            }
        }
        wrong
    }
}

/// What is wrong with the address that a receiver is called at, without the address.
fn called_at(url: &str) -> Result<(), &'static str> {
    let none = "is no address of the web: it begins with https:// and a host";
    if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(none);
    }
    let (is_secret, rest) = match (url.strip_prefix("https://"), url.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(none),
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    match host {
        "" => Err(none),
        _ if is_secret || is_here(host) => Ok(()),
        _ => Err("would be called in the clear, with what lets in: write https://; http:// is for a receiver on this \
                  machine alone (localhost, 127.0.0.1, [::1])"),
    }
}

/// True for this machine, with or without a port.
fn is_here(host: &str) -> bool {
    let is_port = |port: &str| port.chars().all(|c| c.is_ascii_digit());
    let name = host.rsplit_once(':').filter(|(_, port)| is_port(port)).map_or(host, |(name, _)| name);
    let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
