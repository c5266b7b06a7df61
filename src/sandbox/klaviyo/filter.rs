//! The text of `filter=`: `and(equals(metric_id,"X"),greater-or-equal(datetime,2026-11-23T10:00:00Z))`, or the same without
//! `and`, parted by commas (guide on filtering).

/// One comparison.
#[derive(Debug, PartialEq)]
pub(super) struct Test {
    pub operator: String,
    pub field: String,
    /// Several for a list.
    pub values: Vec<String>,
}

/// Reads a filter, all of whose tests must hold; the error says what is wrong.
pub(super) fn read(text: &str) -> Result<Vec<Test>, String> {
    let mut tests = Vec::new();
    for part in parts(text)? {
        let (operator, inner) = part
            .split_once('(')
            .and_then(|(operator, rest)| Some((operator.trim(), rest.strip_suffix(')')?)))
            .ok_or_else(|| format!("Invalid filter provided: {part}"))?;
        if operator == "and" {
            tests.append(&mut read(inner)?);
            continue;
        }
        let (field, value) = inner.split_once(',').ok_or_else(|| format!("Invalid filter provided: {part}"))?;
        let value = value.trim();
        let values = match value.strip_prefix('[').and_then(|v| v.strip_suffix(']')) {
            Some(list) => parts(list)?.into_iter().map(bare).collect(),
            None => vec![bare(value)],
        };
        tests.push(Test { operator: operator.to_owned(), field: field.trim().to_owned(), values });
    }
    Ok(tests)
}

/// Without its quotes.
fn bare(value: &str) -> String {
    let value = value.trim();
    let inner = value.strip_prefix('"').and_then(|v| v.strip_suffix('"'));
    inner.or_else(|| value.strip_prefix('\'').and_then(|v| v.strip_suffix('\''))).unwrap_or(value).to_owned()
}

/// Parts between commas that stand in no bracket and no quotes.
fn parts(text: &str) -> Result<Vec<&str>, String> {
    let (mut parts, mut depth, mut quote, mut from) = (Vec::new(), 0_i32, None, 0);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '(' | '[') => depth += 1,
            (None, ')' | ']') => depth -= 1,
            (None, ',') if depth == 0 => {
                parts.push(text.get(from..at).unwrap_or("").trim());
                from = at + 1;
            }
            _ => {}
        }
        if depth < 0 {
            return Err("Invalid filter provided: too many closing brackets".to_owned());
        }
    }
    if depth != 0 || quote.is_some() {
        return Err("Invalid filter provided: it breaks off".to_owned());
    }
    parts.push(text.get(from..).unwrap_or("").trim());
    parts.retain(|p| !p.is_empty());
    Ok(parts)
}
