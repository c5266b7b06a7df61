//! From records to what is kept of them: events, products, and what could not be read.

use serde_json::{Value, json};

use super::Stream;
use crate::manifest::Seen;
use crate::model::{CatalogueItem, Origin, Timestamp};
use crate::source::catalogue;
use crate::source::mapping::{Body, Emit, Message, Take, object};
use crate::source::{Arrival, Read, Rejected};

/// A page's records, with what is known of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Records<'r> {
    /// As they came.
    pub records: &'r [Value],
    /// What is made once for an object and came to hold before this was made before.
    pub fresh: Option<Timestamp>,
}

/// What the records of a list make.
#[derive(Clone, Debug, PartialEq)]
pub struct Makes {
    /// Which sort of system saw them.
    pub origin: Origin,
    /// Events, each where its `when` holds.
    pub emits: Vec<Emit>,
    /// The product that a record is.
    pub item: Vec<(String, Take)>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Mapped {
    /// Events, and what could not be read.
    pub read: Read,
    /// Products.
    pub items: Vec<CatalogueItem>,
}

impl Mapped {
    /// Adds what one record makes.
    ///
    /// # Errors
    /// What of it could not be read, in words without personal data. The rest of it is added.
    pub fn add(&mut self, makes: &Makes, message: &Message<'_>, arrival: &Arrival<'_>) -> Result<(), String> {
        if !message.record.is_object() {
            return Err("is no record".into());
        }
        let mut wrong = Vec::new();
        let before = self.read.events.len();
        for emit in &makes.emits {
            for made in emit.events(message, arrival) {
                match made {
                    Ok(event) => {
                        self.read.clamped += usize::from(event.claimed_at.is_some());
                        self.read.events.push(event);
                    }
                    Err(words) => wrong.push(words),
                }
            }
        }
        if !makes.item.is_empty() {
            let row = object(&makes.item, message.record, message).to_value();
            match catalogue::item(&row, arrival.at) {
                Ok(item) => self.items.push(item),
                Err(words) => wrong.push(words),
            }
        }
        self.read.ignored += usize::from(wrong.is_empty() && self.read.events.len() == before);
        wrong.dedup();
        if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
    }
}

impl Stream {
    /// The record with what is worked out of it; none, where nothing is.
    fn derived(&self, record: &Value) -> Option<Value> {
        let derive = &self.declared().derive;
        if derive.is_empty() {
            return None;
        }
        let seen = Seen::of(&json!({ "record": record, "topic": &*self.name, "settings": self.settings() }));
        let found: Vec<(String, Value)> =
            derive.iter().filter_map(|(name, asked)| Some((name.clone(), asked.value(&seen)?))).collect();
        let mut derived = (!found.is_empty()).then(|| record.clone())?;
        derived.as_object_mut()?.extend(found);
        Some(derived)
    }

    /// Maps each record by itself: a broken one is set aside, and the page goes on.
    pub fn map(&self, records: Records<'_>, arrival: &Arrival<'_>) -> Mapped {
        let mut mapped = Mapped::default();
        for (index, record) in records.records.iter().enumerate() {
            let came = record;
            let derived = self.derived(record);
            let record = derived.as_ref().unwrap_or(record);
            let message = Message {
                record,
                topic: &self.name,
                id: None,
                body: Body::Of(came),
                origin: self.declared().makes.origin,
                at: None,
                fresh: records.fresh,
                settings: self.settings(),
            };
            if let Err(reason) = mapped.add(&self.declared().makes, &message, arrival) {
                let body = came.to_string();
                mapped.read.rejected.push(Rejected { index, message_id: None, reason, body });
            }
        }
        mapped
    }
}
