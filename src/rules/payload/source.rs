//! What is wrong with a template that its compiler would find only when it is rendered, or never: blocks that reach for
//! other templates, filters that do not exist, amounts compared as texts.

use crate::model::mistake::instead;

/// Words that may begin a block. The others reach for other templates, or define some.
const BLOCKS: &[&str] = &["if", "elif", "else", "endif", "for", "endfor", "set", "endset", "raw", "endraw"];
/// The filters there are: what reads well in a payload, and nothing that looks into the engine.
pub const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "money",
    "number",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "tojson",
    "trim",
    "unique",
    "upper",
];
/// What `is` may ask.
pub const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "even",
    "false",
    "float",
    "integer",
    "iterable",
    "mapping",
    "none",
    "number",
    "odd",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
];
/// Fields that are exact decimals, and so texts.
const AMOUNTS: &[&str] = &["price", "total", "subtotal"];

/// Checks an expression.
///
/// # Errors
/// What is wrong with it.
pub fn check_code(code: &str) -> Result<(), String> {
    let code = without_strings(code);
    filters(&code)?;
    tests(&code)?;
    comparisons(&code)
}

/// Checks a text: what stands between its marks.
///
/// # Errors
/// What is wrong with it.
pub fn check_text(text: &str) -> Result<(), String> {
    let mut rest = text;
    while let Some(from) = rest.find('{') {
        let (is_block, end) = match rest.get(from..from + 2) {
            Some("{{") => (false, "}}"),
            Some("{%") => (true, "%}"),
            Some("{#") => {
                rest = rest[from..].split_once("#}").map_or("", |(_, rest)| rest);
                continue;
            }
            _ => {
                rest = &rest[from + 1..];
                continue;
            }
        };
        let code = without_strings(&rest[from + 2..]);
        let code = code.split_once(end).map_or(code.as_str(), |(code, _)| code);
        // Strings keep their length, so that what follows is found at the same place.
        rest = rest.get(from + 2 + code.len() + end.len()..).unwrap_or_default();
        let mut words = code.split(|c: char| !is_word(c)).filter(|word| !word.is_empty());
        if is_block {
            let word = words.next().unwrap_or_default();
            if !BLOCKS.contains(&word) {
                return Err(format!("uses the block `{word}`, but only if, for, set and raw can be used here"));
            }
            if word == "raw" {
                rest = rest.split_once("endraw").map_or("", |(_, rest)| rest);
            }
        }
        filters(code)?;
        tests(code)?;
        comparisons(code)?;
    }
    Ok(())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The same with each string's bytes made blank.
fn without_strings(code: &str) -> String {
    let mut quote = None;
    let mut is_escaped = false;
    let mut plain = String::with_capacity(code.len());
    for c in code.chars() {
        let is_in = quote.is_some();
        match (quote, c) {
            _ if is_escaped => is_escaped = false,
            (Some(_), '\\') => is_escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, '"' | '\'') => quote = Some(c),
            _ => {}
        }
        if is_in && quote.is_some() {
            plain.extend(std::iter::repeat_n(' ', c.len_utf8()));
        } else {
            plain.push(c);
        }
    }
    plain
}

/// A filter that does not exist is met only when its template is rendered.
fn filters(code: &str) -> Result<(), String> {
    for after in code.split('|').skip(1) {
        let name: String = after.trim_start().chars().take_while(|c| is_word(*c)).collect();
        if !name.is_empty() && !FILTERS.contains(&name.as_str()) {
            let way = instead(&name, FILTERS, "known");
            return Err(format!("uses the filter `{name}`, which is not known; {way}"));
        }
    }
    Ok(())
}

/// And so is a test.
fn tests(code: &str) -> Result<(), String> {
    let mut words = code.split(|c: char| !is_word(c) && c != '.').filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if word != "is" {
            continue;
        }
        let name = words.next().filter(|name| *name != "not").or_else(|| words.next()).unwrap_or_default();
        if !TESTS.contains(&name) {
            return Err(format!("uses the test `is {name}`, which is not known; known: {}", TESTS.join(", ")));
        }
    }
    Ok(())
}

/// Amounts are texts: compared with a number as they are, a text is always the larger, whatever it says.
fn comparisons(code: &str) -> Result<(), String> {
    let is_part = |c: char| is_word(c) || c == '.';
    let is_amount = |path: &str| path.rsplit_once('.').is_some_and(|(_, last)| AMOUNTS.contains(&last));
    for (n, _) in code.match_indices(['<', '>']) {
        let before = code[..n].trim_end();
        let left = &before[before.trim_end_matches(is_part).len()..];
        let after = code[n + 1..].trim_start_matches('=').trim_start();
        let behind = after.trim_start_matches(is_part);
        let right = &after[..after.len() - behind.len()];
        let is_raw = !behind.trim_start().starts_with('|');
        let sides = [Some(left), is_raw.then_some(right)];
        if let Some(amount) = sides.into_iter().flatten().find(|path| is_amount(path)) {
            return Err(format!("compares `{amount}`, which is a text: write `{amount} | number`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::language::Text;
    use super::*;
    use minijinja::value::Serde;
    use serde_json::json;

    #[test]
    fn every_filter_and_test_that_is_known_exists() {
        let seen = minijinja::Value::from(Serde(json!({})));
        for name in FILTERS {
            let text = Text::compile(&format!("{{{{ 1 | {name} }}}}!")).expect(name);
            let said = text.render(&seen);
            assert_ne!(said.err().as_deref(), Some("unknown filter"), "{name}");
        }
        for name in TESTS {
            let text = Text::compile(&format!("{{{{ 1 is {name} }}}}!")).expect(name);
            assert_ne!(text.render(&seen).err().as_deref(), Some("unknown test"), "{name}");
        }
    }

    #[test]
    fn only_code_is_looked_at() {
        for fine in [
            "a | shout > cart.total",
            "<b>{{ 'x | shout > cart.total }} {% include' }}</b> {",
            "{# {{ x | shout }} #}{% raw %}{{ x | shout }}{% endraw %}",
            "{{ \"\\\" | shout\" }} {{ 'ü' | upper }}",
            "{% if cart.total | number > 3 and this.is is not defined %}<i>{% endif %}",
        ] {
            assert_eq!(check_text(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "{{ 'ü' | shout }}",
            "{{ '}}' | shout }}",
            "ü{%- if 3 < cart.total -%}",
            "{% raw %}{% endraw %}{% import 'a' %}",
            "{{ key is not nice }}",
            "{% if key is nice(3) %}{% endif %}",
        ] {
            assert!(check_text(wrong).is_err(), "{wrong}");
        }
    }
}
