//! What is passed on without a trigger: subscriptions, suppressions, erasures (API reference, revision 2026-07-15, "Bulk
//! subscribe profiles", "Bulk unsubscribe profiles", "Bulk suppress profiles", "Request profile deletion").

use serde_json::{Value, json};

use super::Settings;
use super::body::bytes;
use crate::destination::parts;
use crate::model::{Action, ActionKind, Activation, Channel, IdentifierKind};

/// Profiles in one call.
const MOST_SUBSCRIBED: usize = 1_000;
const MOST: usize = 100;

/// What somebody is told whose key may not do it.
pub const NO_SCOPE: &str = "the key may not: it needs `subscriptions:write`, `profiles:write` and `lists:write` for consent, \
                            `data-privacy:write` to have somebody forgotten";

/// One call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The same of several people: their places in the batch, and how often the call was made without those it named.
    Together(ActionKind, Vec<usize>, usize),
    /// The deletion of one person, who has more addresses than this one: a call takes one.
    Erase(usize, usize),
}

/// An address, by the name of its field.
type Address<'a> = (&'static str, &'a str);

/// The addresses of which something is said. Never empty for what [`super::body::check`] lets through.
pub fn addresses(activation: &Activation) -> Vec<Address<'_>> {
    let channel = match &activation.action {
        Action::Subscribe(channel) | Action::Unsubscribe(channel) => Some(*channel),
        Action::Suppress | Action::Unsuppress => Some(Channel::Email),
        _ => None,
    };
    let names = activation.identifiers.iter().filter_map(|name| match name.kind {
        IdentifierKind::Email => Some((Channel::Email, ("email", &*name.value))),
        IdentifierKind::Phone => Some((Channel::Sms, ("phone_number", &*name.value))),
        _ => None,
    });
    names.filter(|(of, _)| channel.is_none_or(|channel| channel == *of)).map(|(_, address)| address).collect()
}

impl Word {
    /// The calls that a batch needs for these places, all of one sort.
    pub fn calls(kind: ActionKind, places: &[usize], of: impl Fn(usize) -> usize) -> Vec<Self> {
        let most = if kind == ActionKind::Subscribe { MOST_SUBSCRIBED } else { MOST };
        parts(places, of, most).into_iter().map(|places| Self::Together(kind, places, 0)).collect()
    }

    /// Of which records.
    pub fn places(&self) -> Vec<usize> {
        match self {
            Self::Together(_, places, _) => places.clone(),
            Self::Erase(place, _) => vec![*place],
        }
    }

    /// Whose entry each of the body is, as errors name it.
    pub fn whose<'b>(places: &[usize], of: impl Fn(usize) -> Option<&'b Activation>) -> Vec<usize> {
        let each = places.iter().map(|place| (*place, of(*place).map_or(0, |one| addresses(one).len())));
        each.flat_map(|(place, entries)| std::iter::repeat_n(place, entries)).collect()
    }

    /// Path, family and body.
    pub fn call<'b>(
        &self,
        settings: &Settings,
        of: impl Fn(usize) -> Option<&'b Activation>,
    ) -> (&'static str, &'static str, Vec<u8>) {
        match self {
            Self::Erase(place, n) => {
                let address = of(*place).and_then(|activation| addresses(activation).get(*n).copied());
                let (field, value) = address.unwrap_or(("email", ""));
                let profile = json!({ "data": { "type": "profile", "attributes": { field: value } } });
                let body = body("data-privacy-deletion-job", json!({ "profile": profile }));
                ("/api/data-privacy-deletion-jobs", "privacy", bytes(&body))
            }
            Self::Together(kind, places, _) => {
                let all = places.iter().filter_map(|place| of(*place));
                let each = all.flat_map(|activation| {
                    addresses(activation).into_iter().map(|address| profile(&activation.action, address))
                });
                let mut attributes = json!({ "profiles": { "data": each.collect::<Vec<_>>() } });
                if *kind == ActionKind::Subscribe {
                    attributes["custom_source"] = "Espalier".into();
                }
                let (path, name) = match kind {
                    ActionKind::Subscribe => {
                        ("/api/profile-subscription-bulk-create-jobs", "profile-subscription-bulk-create-job")
                    }
                    // Without a list it holds for the channel as a whole.
                    ActionKind::Unsubscribe => {
                        ("/api/profile-subscription-bulk-delete-jobs", "profile-subscription-bulk-delete-job")
                    }
                    ActionKind::Unsuppress => {
                        ("/api/profile-suppression-bulk-delete-jobs", "profile-suppression-bulk-delete-job")
                    }
                    _ => ("/api/profile-suppression-bulk-create-jobs", "profile-suppression-bulk-create-job"),
                };
                let mut body = body(name, attributes);
                if let Some(list) = settings.consent_list().filter(|_| *kind == ActionKind::Subscribe) {
                    body["data"]["relationships"] = json!({ "list": { "data": { "type": "list", "id": list } } });
                }
                (path, "consent", bytes(&body))
            }
        }
    }
}

fn body(kind: &str, attributes: Value) -> Value {
    json!({ "data": { "type": kind, "attributes": attributes } })
}

fn profile(action: &Action, (field, value): Address<'_>) -> Value {
    let said = |channel: &Channel, consent: &str| json!({ channel.word(): { "marketing": { "consent": consent } } });
    let attributes = match action {
        Action::Subscribe(channel) => json!({ field: value, "subscriptions": said(channel, "SUBSCRIBED") }),
        Action::Unsubscribe(channel) => json!({ field: value, "subscriptions": said(channel, "UNSUBSCRIBED") }),
        _ => json!({ field: value }),
    };
    json!({ "type": "profile", "attributes": attributes })
}
