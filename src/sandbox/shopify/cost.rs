//! What a query costs. The vendor's formula is not published in full; this one keeps its shape: a connection costs by
//! `first`, one within another by the product of both, and what comes back short is refunded.

use super::graphql::Field;

/// The most that one query may cost (unverified).
pub(super) const MOST: i64 = 1_000;

/// Points for the fields, with each connection as long as it may be.
pub(super) fn requested(fields: &[Field]) -> i64 {
    fields.iter().map(|f| connection(f, size(f))).sum::<i64>().max(1)
}

/// Points of one root field that gave so many records.
pub(super) fn actual(field: &Field, records: usize) -> i64 {
    connection(field, i64::try_from(records).unwrap_or(i64::MAX)).max(1)
}

/// A quarter of a point for each object, and two for the connection itself.
fn connection(field: &Field, records: i64) -> i64 {
    let objects = objects(&field.fields);
    2 + records.saturating_mul(objects).saturating_add(3) / 4
}

/// Objects that one record may hold, itself included.
fn objects(fields: &[Field]) -> i64 {
    let inner = |f: &Field| {
        if f.argument("first").is_some() {
            size(f).saturating_mul(objects(&f.fields))
        } else if matches!(f.name.as_str(), "nodes" | "edges" | "node") {
            objects(&f.fields) - 1
        } else {
            0
        }
    };
    1 + fields.iter().map(inner).sum::<i64>()
}

fn size(field: &Field) -> i64 {
    field.argument("first").and_then(serde_json::Value::as_i64).unwrap_or(1)
}
