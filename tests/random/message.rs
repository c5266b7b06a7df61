//! Messages of the journal, and the turns in which the engine takes them.

use std::fmt;

use espalier::model::{Event, EventKind, Identifier, IdentifierKind, Origin, RawJson};

use super::instant;
use crate::oracle::{Deed, MINUTE, Ms, Price, Sync, Wish, hundredths, listed_price};

/// One thing the engine does.
#[derive(Clone, Debug)]
pub enum Turn {
    /// Events in the order of their arrival, and then the timers up to the last of them.
    Batch(Vec<Message>, Ms),
    /// Nothing waits: timers up to this instant.
    Idle(Ms),
    /// Somebody wants something of the rule of this name.
    Wish(&'static str, Wish, Ms),
}

/// One message of the journal. The same number is the same message.
#[derive(Clone)]
pub struct Message {
    pub arrived: Ms,
    pub id: u64,
    pub deed: Deed,
}

impl Message {
    pub fn event(&self) -> Event {
        let deed = &self.deed;
        let user = deed.user.map(|user| Identifier::new(IdentifierKind::UserId, user));
        let device = deed.device.map(|device| Identifier::new(IdentifierKind::AnonymousId, device));
        let mut properties = serde_json::Map::new();
        if let Some(colour) = deed.colour {
            properties.insert("colour".into(), colour.into());
        }
        match deed.price {
            Price::None => {}
            Price::Number(cents) => drop(properties.insert("price".into(), (cents as f64 / 100.0).into())),
            Price::Text(cents) => drop(properties.insert("price".into(), hundredths(cents).into())),
            Price::Junk => drop(properties.insert("price".into(), "ten".into())),
        }
        if let Some(view) = deed.view {
            properties.insert("view_id".into(), view.into());
        }
        for (name, seconds) in [("dwell_seconds", deed.dwell), ("seconds", deed.more)] {
            if let Some(seconds) = seconds {
                properties.insert(name.into(), seconds.into());
            }
        }
        if deed.is_machine {
            properties.insert("is_machine".into(), true.into());
        }
        let mut traits = serde_json::Map::new();
        if let Some(plan) = deed.plan {
            traits.insert("plan".into(), plan.into());
        }
        if let Some(level) = deed.level {
            traits.insert("profile".into(), serde_json::json!({ "level": level }));
        }
        if let Some(channel) = deed.channel {
            properties.insert("channel".into(), channel.into());
        }
        if let Some(zone) = deed.zone {
            traits.insert("timezone".into(), zone.into());
        }
        if let Some(Sync { says, dated }) = deed.sync {
            traits.insert("email_consent".into(), says.into());
            if let Some(at) = dated {
                traits.insert("email_consent_at".into(), instant(at).to_string().into());
            }
        }
        match deed.products.as_slice() {
            [] => {}
            [one] => drop(properties.insert("product_id".into(), (*one).into())),
            several => {
                let price = |p: &str| listed_price(p) as f64 / 100.0;
                let products =
                    several.iter().map(|p| serde_json::json!({ "product_id": p, "price": price(p) })).collect();
                properties.insert("products".into(), products);
            }
        }
        Event {
            kind: if deed.name.is_some() { EventKind::Did } else { EventKind::Identify },
            name: deed.name.unwrap_or_default().into(),
            at: instant(deed.at),
            claimed_at: None,
            arrived: instant(self.arrived),
            source: "web".into(),
            origin: if deed.is_tracking { Origin::Tracking } else { Origin::System },
            dedupe: vec![Event::dedupe_key(&[&self.id.to_string()])],
            identifiers: user.into_iter().chain(device).collect(),
            session: deed.session.map(Into::into),
            properties: RawJson::from_value(&properties.into()),
            traits: RawJson::from_value(&traits.into()),
        }
    }
}

/// On one line, in minutes: a failure is read by people.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Deed { at, name, user, device, products, colour, is_tracking, session, .. } = &self.deed;
        let Deed { sync, channel, zone, price, plan, level, view, dwell, more, is_machine, .. } = &self.deed;
        let minutes = |ms: Ms| ms as f64 / MINUTE as f64;
        write!(
            f,
            "#{} {}m (arrived {}m) {}",
            self.id,
            minutes(*at),
            minutes(self.arrived),
            name.unwrap_or("identify")
        )?;
        for part in user.iter().chain(device).chain(products).chain(colour).chain(session) {
            write!(f, " {part}")?;
        }
        if *price != Price::None {
            write!(f, " {price:?}")?;
        }
        for (name, number) in [("level", level), ("dwell", dwell), ("more", more)] {
            if let Some(number) = number {
                write!(f, " {name} {number}")?;
            }
        }
        if let Some(sync) = sync {
            write!(f, " {sync:?}")?;
        }
        for part in plan.iter().chain(view).chain(channel).chain(zone) {
            write!(f, " {part}")?;
        }
        write!(f, "{}{}", if *is_machine { " machine" } else { "" }, if *is_tracking { "" } else { " (system)" })
    }
}
