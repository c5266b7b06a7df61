//! From a page's records to what is kept of them: events, products, and what could not be read.

use serde_json::{Value, json};

use super::Stream;
use crate::model::{CatalogueItem, Timestamp};
use crate::source::catalogue;
use crate::source::mapping::{Message, Seen, object};
use crate::source::{Arrival, Read, Rejected};

/// A page's records, with what is known of all of them.
#[derive(Clone, Copy, Debug)]
pub struct Records<'r> {
    /// As they came.
    pub records: &'r [Value],
    /// What is made once for an object and came to hold before this was made before.
    pub fresh: Option<Timestamp>,
}

/// What became of them.
#[derive(Debug, Default)]
pub struct Mapped {
    /// Events, and what could not be read.
    pub read: Read,
    /// Products.
    pub items: Vec<CatalogueItem>,
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
            let body = record.to_string();
            let derived = self.derived(record);
            let record = derived.as_ref().unwrap_or(record);
            let message = Message {
                record,
                topic: &self.name,
                id: None,
                body: &body,
                origin: self.declared().origin,
                fresh: records.fresh,
                settings: self.settings(),
            };
            let mut wrong = Vec::new();
            if !record.is_object() {
                wrong.push("is no record".to_owned());
            }
            let before = mapped.read.events.len();
            for emit in self.declared().emits.iter().filter(|_| record.is_object()) {
                for made in emit.events(&message, arrival) {
                    match made {
                        Ok(event) => {
                            mapped.read.clamped += usize::from(event.claimed_at.is_some());
                            mapped.read.events.push(event);
                        }
                        Err(words) => wrong.push(words),
                    }
                }
            }
            if !self.declared().item.is_empty() && record.is_object() {
                let row = object(&self.declared().item, record, &message).to_value();
                match catalogue::item(&row, arrival.at) {
                    Ok(item) => mapped.items.push(item),
                    Err(words) => wrong.push(words),
                }
            }
            mapped.read.ignored += usize::from(wrong.is_empty() && mapped.read.events.len() == before);
            wrong.dedup();
            if !wrong.is_empty() {
                mapped.read.rejected.push(Rejected { index, message_id: None, reason: wrong.join("; "), body });
            }
        }
        mapped
    }
}
