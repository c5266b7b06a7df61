//! Text as the database takes it. It has no NUL; what has one is kept in a record, whose bytes take everything.

use std::borrow::Cow;

use uuid::Uuid;

use crate::model::{OccasionId, PersonId, RawJson, Timestamp, TriggerId};
use crate::store::forgotten::hash_of;

/// For people who look at a table: what the database does not take is left out.
pub fn shown(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { Cow::Owned(text.replace('\0', "")) } else { Cow::Borrowed(text) }
}

/// JSON for a column of its own: it moves there from the value, unless the database would not take it.
pub fn taken_out(json: &mut RawJson) -> Option<String> {
    if json.get().contains('\0') {
        return None;
    }
    let text = json.get().to_owned();
    *json = RawJson::trusted("");
    Some(text)
}

/// The reverse of [`taken_out`].
pub fn put_back(json: &mut RawJson, column: Option<String>) {
    if let Some(text) = column {
        *json = RawJson::trusted(text);
    }
}

/// Sixteen bytes that stand for a text, however long it is.
pub fn key(text: &str) -> Uuid {
    Uuid::from_bytes(hash_of(text.as_bytes()))
}

pub fn person(id: PersonId) -> Uuid {
    Uuid::from_bytes(id.0)
}

pub fn occasion(id: OccasionId) -> Uuid {
    Uuid::from_bytes(id.0)
}

/// The database has no unsigned numbers: the same bits.
pub fn trigger(id: TriggerId) -> i64 {
    id.0.cast_signed()
}

/// A count or a place. None of ours comes near the half of what it can be.
pub fn number(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// The reverse of [`number`].
pub fn count(n: i64) -> u64 {
    u64::try_from(n).unwrap_or(0)
}

/// How many at most.
pub fn limit(max: usize) -> i64 {
    i64::try_from(max).unwrap_or(i64::MAX)
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}
