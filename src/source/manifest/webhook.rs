//! What of a manifest says how requests come that a vendor makes: how they are signed, and what their topics make.

use std::collections::BTreeMap;

use super::mapped::{Like, emits};
use super::subscriptions::{self, Subscriptions};
use crate::manifest::setting::{Setting, SettingKind};
use crate::manifest::written::{Reading, Table};
use crate::source::mapping::{Emit, Shape};
use crate::source::signature::Scheme;

/// How requests come.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// How they are signed.
    pub signature: Scheme,
    /// The setting with the signing secrets.
    pub secrets: String,
    /// The header that says the topic.
    pub topic_header: String,
    /// The header with the id of the delivery.
    pub id_header: Option<String>,
    /// The header that says which account of the vendor sends, and the setting that it must be.
    pub account: Option<(String, String)>,
    /// The one field of the unsigned form that asks whether anybody is there (WooCommerce's `webhook_id`).
    pub ping: Option<String>,
    /// How they are subscribed to, where that can be done by calls.
    pub subscriptions: Option<Subscriptions>,
}

/// What a topic makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Topic {
    /// Nothing: it is only answered.
    Acknowledge,
    /// These events, each where its `when` holds.
    Emit(Vec<Emit>),
}

pub(super) fn webhook(mut table: Table<'_, '_>, settings: &[Setting], reading: &mut Reading<'_>) -> Option<Webhook> {
    let secrets = table.need("secrets", reading);
    let secrets = secrets.and_then(|v| v.setting(settings, &[SettingKind::Secret, SettingKind::Secrets], reading));
    let scheme = table.need("signature", reading);
    let header = table.need("signature_header", reading).and_then(|v| v.text(reading));
    let signature = scheme.and_then(|value| {
        let word = value.text(reading)?;
        let scheme = Scheme::parse(&word, header.as_deref().unwrap_or_default());
        if scheme.is_none() {
            value.unknown(reading, &word, &Scheme::WORDS);
        }
        scheme
    });
    let topic_header = table.need("topic_header", reading).and_then(|v| v.text(reading));
    let id_header = table.get("id_header").and_then(|v| v.text(reading));
    let header_of = table.get("account_header").and_then(|v| v.text(reading));
    let setting_of = table.get("account").and_then(|v| v.setting(settings, &[], reading));
    if header_of.is_some() != setting_of.is_some() {
        table.wrong(reading, "needs both `account_header` and `account`, the setting that it must be, or neither");
    }
    let ping = table.get("ping").and_then(|v| v.text(reading));
    let subscriptions = table.get("subscriptions").and_then(|v| v.table(reading));
    let subscriptions = subscriptions.and_then(|t| subscriptions::subscriptions(t, settings, reading));
    table.finish(reading);
    header?;
    let account = header_of.zip(setting_of);
    let (signature, secrets, topic_header) = (signature?, secrets?, topic_header?);
    Some(Webhook { signature, secrets, topic_header, id_header, account, ping, subscriptions })
}

pub(super) fn topic(
    mut table: Table<'_, '_>,
    every: &Shape,
    shapes: &BTreeMap<String, Like<'_, '_>>,
    reading: &mut Reading<'_>,
) -> Topic {
    let acknowledged = table.get("acknowledge").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
    let emits = emits(&mut table, every, shapes, reading);
    if acknowledged != emits.is_empty() {
        table.wrong(reading, "needs either `emit` or `acknowledge = true`");
    }
    table.finish(reading);
    if acknowledged { Topic::Acknowledge } else { Topic::Emit(emits) }
}
