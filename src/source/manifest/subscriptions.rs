//! What of a manifest says how subscriptions to webhooks are managed at the vendor: where they are listed, what one looks
//! like, and the calls that create, remove and enable one.

use super::stream::{self, Call, Stream};
use crate::manifest::Path;
use crate::manifest::setting::{Setting, SettingKind};
use crate::manifest::written::{Reading, Table, Value, entries};
use crate::model::Span;

/// Names that a call about one subscription may use.
const OF_ONE: &[&str] = &["settings", "topic", "address", "id"];

/// Subscriptions to webhooks at a vendor.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscriptions {
    /// All of them, as a list that is read as a whole.
    pub list: Stream,
    /// Where one has its id.
    pub id: Path,
    /// Where it has its topic.
    pub topic: Path,
    /// Where it has the address that it sends to.
    pub address: Path,
    /// Where it says that it is at work, and what it says then; one that is there is at work, where nothing is said.
    pub active: Option<(Path, Vec<String>)>,
    /// How a topic is written there.
    pub written: Written,
    /// Topics that can be subscribed by hand alone.
    pub by_hand: Vec<String>,
    /// The vendor gives a subscription up when deliveries have failed for so long: they are lost as well.
    pub back: Span,
    /// Creates one.
    pub create: Call,
    /// Fields of that call's body that are secrets, and their settings.
    pub secrets: Vec<(String, String)>,
    /// Removes one.
    pub remove: Call,
    /// Puts one to work again; where there is no such call it is removed and created.
    pub enable: Option<Call>,
}

/// How a topic is written where subscriptions are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// As in the header of a delivery.
    Same,
    /// `ORDERS_CREATE` for `orders/create`.
    UpperSnake,
}

impl Written {
    /// The topic as it is written there.
    pub fn write(self, topic: &str) -> String {
        match self {
            Self::Same => topic.to_owned(),
            Self::UpperSnake => {
                topic.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
            }
        }
    }
}

pub(super) fn subscriptions(
    mut table: Table<'_, '_>,
    settings: &[Setting],
    reading: &mut Reading<'_>,
) -> Option<Subscriptions> {
    let list = table.need("list", reading).and_then(|v| v.table(reading)).and_then(|t| stream::whole(t, reading));
    let mut found = |name, table: &mut Table<'_, '_>| table.need(name, reading).and_then(|v| v.path(reading));
    let (id, topic, address) = (found("id", &mut table), found("topic", &mut table), found("address", &mut table));
    let active = table.get("active").and_then(|v| v.table(reading)).and_then(|mut table| {
        let path = table.need("path", reading).and_then(|v| v.path(reading));
        let is = table.need("is", reading).map(|v| if v.is_list() { v.list(reading) } else { vec![v] });
        let is: Vec<String> = is.unwrap_or_default().iter().filter_map(|v| v.text(reading)).collect();
        table.finish(reading);
        Some((path?, is))
    });
    let words = [("same", Written::Same), ("upper_snake", Written::UpperSnake)];
    let written = table.get("written").and_then(|v| v.one_of(&words, reading)).unwrap_or(Written::Same);
    let by_hand = table.get("by_hand").map(|v| v.list(reading)).unwrap_or_default();
    let by_hand = by_hand.iter().filter_map(|value| value.text(reading)).collect();
    let back = table.get("back").and_then(|v| v.span(reading)).unwrap_or(Span::ZERO);
    let mut secrets = Vec::new();
    let create = table.need("create", reading).and_then(|v| v.table(reading)).and_then(|mut table| {
        let call = stream::call(&mut table, OF_ONE, reading);
        for (field, value) in entries(table.get("secrets"), reading) {
            let kinds = [SettingKind::Secret, SettingKind::Secrets];
            secrets.extend(value.setting(settings, &kinds, reading).map(|setting| (field, setting)));
        }
        table.finish(reading);
        call
    });
    let remove = table.need("remove", reading).and_then(|v| one(&v, reading));
    let enable = table.get("enable").and_then(|v| one(&v, reading));
    table.finish(reading);
    Some(Subscriptions {
        list: list?,
        id: id?,
        topic: topic?,
        address: address?,
        active,
        written,
        by_hand,
        back,
        create: create?,
        secrets,
        remove: remove?,
        enable,
    })
}

fn one(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Call> {
    let mut table = value.table(reading)?;
    let call = stream::call(&mut table, OF_ONE, reading);
    table.finish(reading);
    call
}
