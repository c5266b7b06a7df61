//! What records refer to: asked for a page at a time, or found beside them, and put into each record.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::{Stop, Stream, list};
use crate::manifest::{Expression, Seen, text};
use crate::model::Timestamp;
use crate::model::http::{Request, Response};
use crate::source::manifest::stream::Lookup;

/// What a call for what records refer to asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The lookup's place among those of its list.
    pub number: usize,
    /// These of its ids.
    pub ids: Vec<String>,
}

impl Stream {
    /// What the lookup of this number has to ask for these records: a call for each part of their ids. One lookup may
    /// ask for what another has found, so each is asked when those before it are answered.
    pub fn lookups(&self, number: usize, records: &[Value]) -> Vec<(Asked, Request)> {
        let Some(lookup) = self.declared.lookups.get(number) else { return Vec::new() };
        let mut ids: Vec<String> = records.iter().filter_map(|record| lookup.of(record)).collect();
        ids.sort_unstable();
        ids.dedup();
        let call = |ids: &[String]| {
            let inputs: Vec<Value> = ids.iter().map(|id| json!({ "id": id })).collect();
            let beside = [("ids", json!(ids.join(","))), ("inputs", Value::Array(inputs))];
            (Asked { number, ids: ids.to_vec() }, self.account.call(&lookup.call, &beside))
        };
        ids.chunks(lookup.most.max(1)).map(call).collect()
    }

    /// Puts what a lookup's answer holds into the records that refer to it.
    ///
    /// # Errors
    /// Why nothing can be read for now.
    pub fn look_up(
        &self,
        asked: &Asked,
        response: &Response,
        records: &mut [Value],
        now: Timestamp,
    ) -> Result<(), Stop> {
        let Some(lookup) = self.declared.lookups.get(asked.number) else { return Ok(()) };
        let body = self.account.judge(response, now)?;
        let all = if body.is_null() { &[] } else { list(lookup.records.as_ref(), &body).map_err(Stop::odd)? };
        let mut found: HashMap<String, Vec<Value>> = HashMap::new();
        for one in all {
            let id = match &lookup.key {
                Some(key) => key.get(one).and_then(text),
                None => asked.ids.first().cloned(),
            };
            if let Some(id) = id {
                found.entry(id).or_default().push(one.clone());
            }
        }
        for record in records {
            let Some(mut of) = lookup.of(record).and_then(|id| found.get(&id)).cloned() else { continue };
            let value = if lookup.is_list { Value::Array(of) } else { of.pop().unwrap_or_default() };
            if let Value::Object(entries) = record {
                entries.insert(lookup.name.clone(), value);
            }
        }
        Ok(())
    }
}

impl Lookup {
    /// The id that a record refers to, where it is to be asked for.
    fn of(&self, record: &Value) -> Option<String> {
        let id = text(self.id.get(record)?)?;
        let when = |when: &Expression| when.holds(&Seen::of(&json!({ "record": record }))).unwrap_or(false);
        self.when.as_ref().is_none_or(when).then_some(id)
    }
}

/// Puts what stands beside the records (JSON:API's `included`) into those that refer to it.
pub(super) fn include(records: &mut [Value], names: &[String], body: &Value) {
    let key = |value: &Value| Some((value.get("type")?.as_str()?.to_owned(), value.get("id")?.as_str()?.to_owned()));
    let beside = body.get("included").and_then(Value::as_array).into_iter().flatten();
    let beside: HashMap<(String, String), &Value> = beside.filter_map(|value| Some((key(value)?, value))).collect();
    for record in records {
        let found: Vec<(String, Value)> = names
            .iter()
            .filter_map(|name| {
                let of = record.get("relationships")?.get(name)?.get("data")?;
                Some((name.clone(), (*beside.get(&key(of)?)?).clone()))
            })
            .collect();
        if let Value::Object(entries) = record {
            entries.extend(found);
        }
    }
}
