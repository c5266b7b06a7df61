//! What of a record is shown: the fields that were selected, each known to the schema. The schema is the made-up object of
//! the kind, and whatever a test puts in beyond it.

use serde_json::{Map, Value, json};

use super::graphql::Field;

/// A mistake in a selection: words and code.
pub(super) type Wrong = (String, &'static str);

/// The selected fields of `record`; `schema` knows the names, and `kind` is what the object is called in words.
pub(super) fn select(fields: &[Field], record: &Value, schema: &Value, kind: &str) -> Result<Value, Wrong> {
    let mut shown = Map::new();
    for field in fields {
        if field.name == "__typename" {
            shown.insert(field.alias.clone(), kind.into());
            continue;
        }
        let known = schema.get(&field.name);
        let value = record.get(&field.name);
        // Where no example is known, any name may be right.
        if known.is_none() && value.is_none() && !schema.is_null() {
            return Err((format!("Field '{}' doesn't exist on type '{kind}'", field.name), "undefinedField"));
        }
        let value = value.unwrap_or(&Value::Null);
        let known = known.filter(|k| !k.is_null()).unwrap_or(value);
        shown.insert(field.alias.clone(), below(field, value, known)?);
    }
    Ok(shown.into())
}

fn below(field: &Field, value: &Value, known: &Value) -> Result<Value, Wrong> {
    let first = |known: &Value| known.as_array().and_then(|a| a.first()).cloned().unwrap_or(Value::Null);
    let is_connection = known.get("nodes").is_some();
    let is_object = known.is_object() || known.as_array().and_then(|a| a.first()).is_some_and(Value::is_object);
    // A field that is always null here, or a list that is always empty, may be anything.
    let is_open = known.is_null() || known.as_array().is_some_and(Vec::is_empty);
    if is_object && field.fields.is_empty() {
        let words =
            format!("Field must have selections (field '{}' returns an object but has no selections)", field.name);
        return Err((words, "selectionMismatch"));
    }
    if !is_object && !is_open && !field.fields.is_empty() {
        let words = format!("Selections can't be made on scalars (field '{}')", field.name);
        return Err((words, "selectionMismatch"));
    }
    if is_connection {
        let nodes = value.get("nodes").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let most = field.argument("first").and_then(Value::as_u64).unwrap_or(250);
        let nodes: Vec<&Value> = nodes.iter().take(usize::try_from(most).unwrap_or(250)).collect();
        let has_more = value.get("nodes").and_then(Value::as_array).is_some_and(|all| all.len() > nodes.len());
        return connection(field, &nodes, &first(known.get("nodes").unwrap_or(&Value::Null)), has_more, &|n| {
            n.to_string()
        });
    }
    match value {
        Value::Array(items) if !field.fields.is_empty() => {
            let known = first(known);
            let shown = items.iter().map(|item| select(&field.fields, item, &known, &field.name));
            Ok(shown.collect::<Result<Vec<_>, _>>()?.into())
        }
        Value::Object(_) => select(&field.fields, value, known, &field.name),
        // Also where the object is missing, its selection must be right.
        Value::Null if known.is_object() => select(&field.fields, known, known, &field.name).map(|_| Value::Null),
        other => Ok(other.clone()),
    }
}

/// A connection's `nodes`, `edges` and `pageInfo`, as they were selected.
pub(super) fn connection(
    field: &Field,
    rows: &[&Value],
    schema: &Value,
    has_more: bool,
    cursor: &dyn Fn(usize) -> String,
) -> Result<Value, Wrong> {
    let mut shown = Map::new();
    for part in &field.fields {
        let value = match part.name.as_str() {
            "nodes" => {
                let nodes = rows.iter().map(|row| select(&part.fields, row, schema, &field.name));
                // With no rows the selection is checked all the same.
                select(&part.fields, schema, schema, &field.name)
                    .or_else(|wrong| if rows.is_empty() { Err(wrong) } else { Ok(Value::Null) })?;
                nodes.collect::<Result<Vec<_>, _>>()?.into()
            }
            "edges" => {
                let mut edges = Vec::with_capacity(rows.len());
                for (n, row) in rows.iter().enumerate() {
                    let edge = json!({"cursor": cursor(n), "node": row});
                    let known = json!({"cursor": "", "node": schema});
                    edges.push(select(&part.fields, &edge, &known, &field.name)?);
                }
                edges.into()
            }
            "pageInfo" => {
                let last = rows.len().checked_sub(1);
                let info = json!({
                    "hasNextPage": has_more, "endCursor": last.map(cursor),
                    "hasPreviousPage": field.argument("after").is_some(),
                    "startCursor": (!rows.is_empty()).then(|| cursor(0)),
                });
                select(&part.fields, &info, &info, "PageInfo")?
            }
            other => {
                return Err((
                    format!("Field '{other}' doesn't exist on type '{}Connection'", field.name),
                    "undefinedField",
                ));
            }
        };
        shown.insert(part.alias.clone(), value);
    }
    Ok(shown.into())
}
