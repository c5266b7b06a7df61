//! What a list's records hold, against what the connector reads of them: who goes unnamed, what is never there, what
//! nobody reads, and what has another type than the week before.
//!
//! Only names of fields and types are kept, never a value, and a bounded number of them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::manifest::stream::Stream as Declared;
use super::mapping::{Emit, Shape, Take, Version};
use crate::manifest::Path;
use crate::model::{Span, Timestamp};

/// Fields of a record that are told apart at most.
const FIELDS: usize = 400;
/// Levels of a record that are looked into.
const DEEPEST: usize = 4;
/// Items of a list within a record that are looked at.
const ITEMS: usize = 3;
/// How long types are compared with those of before.
const WEEK: Span = Span::from_days(7);

/// What was seen of a list's records.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Records looked at.
    pub records: u64,
    /// By kind of identifier: records that have none.
    pub unnamed: BTreeMap<String, u64>,
    /// By field: records that have it.
    pub fields: BTreeMap<String, u64>,
    /// Types by field, this week and the week before.
    types: [BTreeMap<String, BTreeSet<Type>>; 2],
    /// When this week began.
    began: Timestamp,
    /// There were more fields than are kept.
    pub is_cut: bool,
}

/// What is worth saying of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Findings {
    /// Records looked at.
    pub records: u64,
    /// Kind of identifier, and the share of records that lack it, in percent.
    pub unnamed: Vec<(String, f64)>,
    /// Fields that the connector reads and no record has.
    pub never_seen: Vec<String>,
    /// Fields that records have and the connector does not read, and the share of records with them, in percent.
    pub unmapped: Vec<(String, f64)>,
    /// Fields that have a type which they had not the week before.
    pub drifted: Vec<String>,
    /// There were more fields than are kept.
    pub is_cut: bool,
}

/// The type of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Type {
    Flag,
    Number,
    Text,
    List,
    Object,
}

impl Type {
    fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Null => return None,
            Value::Bool(_) => Self::Flag,
            Value::Number(_) => Self::Number,
            Value::String(_) => Self::Text,
            Value::Array(_) => Self::List,
            Value::Object(_) => Self::Object,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a number",
            Self::Text => "text",
            Self::List => "a list",
            Self::Object => "an object",
        }
    }
}

impl Audit {
    /// Looks at a record.
    pub fn see(&mut self, record: &Value, declared: &Declared, now: Timestamp) {
        if now.since(self.began) >= WEEK {
            let is_next = now.since(self.began).as_millis() < 2 * WEEK.as_millis();
            let [newer, older] = &mut self.types;
            // A gap of a week leaves nothing to compare with.
            *older = if is_next { std::mem::take(newer) } else { BTreeMap::new() };
            newer.clear();
            self.began = now;
        }
        self.records += 1;
        let mut kinds = BTreeMap::new();
        for emit in &declared.makes.emits {
            for (kind, paths) in &emit.shape.identify {
                let is_named = paths.iter().any(|path| path.get(record).and_then(crate::manifest::text).is_some());
                *kinds.entry(kind.to_string()).or_insert(false) |= is_named;
            }
        }
        for (kind, is_named) in kinds {
            *self.unnamed.entry(kind).or_default() += u64::from(!is_named);
        }
        let mut seen = BTreeSet::new();
        self.walk(record, &mut String::new(), 0, &mut seen);
    }

    fn walk(&mut self, value: &Value, path: &mut String, depth: usize, seen: &mut BTreeSet<String>) {
        if depth > 0 && !matches!(value, Value::Object(_)) {
            self.note(path, value, seen);
        }
        if depth >= DEEPEST {
            return;
        }
        let length = path.len();
        match value {
            Value::Object(entries) => {
                for (name, inner) in entries {
                    if length > 0 {
                        path.push('.');
                    }
                    path.push_str(name);
                    self.walk(inner, path, depth + 1, seen);
                    path.truncate(length);
                }
            }
            Value::Array(items) => {
                for inner in items.iter().take(ITEMS).filter(|inner| inner.is_object()) {
                    path.push_str("[]");
                    self.walk(inner, path, depth, seen);
                    path.truncate(length);
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, path: &str, value: &Value, seen: &mut BTreeSet<String>) {
        let Some(kind) = Type::of(value) else { return };
        if !self.fields.contains_key(path) && self.fields.len() >= FIELDS {
            self.is_cut = true;
            return;
        }
        if seen.insert(path.to_owned()) {
            *self.fields.entry(path.to_owned()).or_default() += 1;
        }
        self.types[0].entry(path.to_owned()).or_default().insert(kind);
    }

    /// What is worth saying.
    pub fn findings(&self, declared: &Declared) -> Findings {
        let share = |n: u64| (n as f64 * 1_000.0 / self.records.max(1) as f64).round() / 10.0;
        let reads = Reads::of(declared);
        let is_seen = |path: &String| self.fields.keys().any(|field| covers(path, field) || covers(field, path));
        let is_read = |field: &String| {
            // A list is read by what is read of its items.
            reads.all().any(|path| covers(path, field) || covers(field, path))
                || declared.unread.iter().any(|path| covers(path, field))
        };
        let drifted = self.types[0].iter().filter_map(|(field, kinds)| {
            let before = self.types[1].get(field)?;
            let new: Vec<&str> = kinds.difference(before).map(|kind| kind.word()).collect();
            let old: Vec<&str> = before.iter().map(|kind| kind.word()).collect();
            (!new.is_empty()).then(|| format!("{field} is {} now, and was {}", new.join(" or "), old.join(" or ")))
        });
        Findings {
            records: self.records,
            unnamed: self.unnamed.iter().map(|(kind, n)| (kind.clone(), share(*n))).collect(),
            never_seen: match self.records {
                0 => Vec::new(),
                _ => reads
                    .groups
                    .iter()
                    .filter(|group| !group.iter().any(is_seen))
                    .map(|group| group.join(" or "))
                    .collect(),
            },
            unmapped: self.fields.iter().filter(|(f, _)| !is_read(f)).map(|(f, n)| (f.clone(), share(*n))).collect(),
            drifted: drifted.collect(),
            is_cut: self.is_cut,
        }
    }
}

/// True when `field` is `path`, or lies within it.
fn covers(path: &str, field: &str) -> bool {
    field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// What a connector reads: places that are tried in turn, together.
#[derive(Default)]
struct Reads {
    groups: BTreeSet<Vec<String>>,
    /// Where the elements are that an event is made of each.
    each: Option<String>,
}

impl Reads {
    fn of(declared: &Declared) -> Self {
        let mut reads = Self::default();
        for Emit { when, once, each, shape, .. } in &declared.makes.emits {
            reads.each = each.as_ref().map(|list| format!("{}[].", listed(list.as_str())));
            let Shape { id, version, at, identify, properties, traits, object: _ } = shape;
            let version = match version {
                Some(Version::At(paths)) => Some(paths),
                Some(Version::Content) | None => None,
            };
            for paths in [id.as_ref(), version, at.as_ref(), once.as_ref()].into_iter().flatten() {
                reads.add("", paths);
            }
            identify.iter().for_each(|(_, paths)| reads.add("", paths));
            properties.iter().chain(traits).for_each(|(_, take)| reads.take("", take));
            when.iter().for_each(|when| reads.expression("", when.text()));
        }
        reads.each = None;
        declared.makes.item.iter().for_each(|(_, take)| reads.take("", take));
        declared.derive.iter().for_each(|(_, expression)| reads.expression("", expression.text()));
        if let Some(field) = &declared.field {
            reads.add("", std::slice::from_ref(field));
        }
        for lookup in &declared.lookups {
            reads.add("", std::slice::from_ref(&lookup.id));
        }
        // What is worked out of a record does not come with it.
        let derived = |path: &String| declared.derive.iter().any(|(name, _)| covers(name, path));
        reads.groups.retain(|group| !group.iter().any(derived));
        reads
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        self.groups.iter().flatten()
    }

    fn add(&mut self, within: &str, paths: &[Path]) {
        self.groups.insert(paths.iter().map(|path| self.place(within, path.as_str())).collect());
    }

    fn place(&self, within: &str, path: &str) -> String {
        match (&self.each, path.strip_prefix("element.")) {
            (Some(each), Some(path)) if within.is_empty() => format!("{each}{}", listed(path)),
            _ => format!("{within}{}", listed(path)),
        }
    }

    fn take(&mut self, within: &str, take: &Take) {
        match take {
            Take::First(paths) | Take::Text(paths) => self.add(within, paths),
            Take::Value(expression) => self.expression(within, expression.text()),
            Take::Const(_) => {}
            Take::Each { list, take } => {
                let within = format!("{}[].", self.place(within, list.as_str()));
                take.iter().for_each(|(_, take)| self.take(&within, take));
            }
        }
    }

    /// The fields that stand in an expression, as far as they are written out.
    fn expression(&mut self, within: &str, text: &str) {
        for (name, beneath) in [("record.", ""), ("item.", within)] {
            for (at, _) in text.match_indices(name) {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                if text[..at].ends_with(is_word) {
                    continue;
                }
                let rest = &text[at + name.len()..];
                let end = rest.find(|c: char| !is_word(c) && c != '.').unwrap_or(rest.len());
                let path = rest[..end].trim_end_matches('.');
                if !path.is_empty() {
                    self.groups.insert(vec![self.place(beneath, path)]);
                }
            }
        }
    }
}

/// A place in a list is any place in it: `codes.0.code` is `codes[].code`.
fn listed(path: &str) -> String {
    let mut out = String::new();
    for part in path.split('.') {
        if !out.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
            out.push_str("[]");
            continue;
        }
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(part);
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::source::manifest::Manifest;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn declared() -> Declared {
        let text = "name = \"x\"\nfacts = \"none\"\n[api]\nbase_url = \"https://api.example\"\nauth = []\n\
                    [stream.orders]\npath = \"/orders\"\nunread = [\"links\"]\n[[stream.orders.emit]]\nevent = \"E\"\nid = \"id\"\n\
                    identify = { email = [\"email\", \"billing.email\"], phone = \"phone\" }\nwhen = \"record.status == 'paid'\"\n\
                    properties = { total = \"total\", gone = \"gone.away\", products = { each = \"lines\", take = { sku = \"sku\", \
                    dear = { value = \"item.price > 5\" } } }, code = \"codes.0.code\" }\n";
        let manifest = Manifest::read("x.toml", text).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
        manifest.streams["orders"].clone()
    }

    #[test]
    fn what_is_read_is_held_against_what_is_there() {
        let (mut audit, declared) = (Audit::default(), declared());
        let record = json!({"id": 1, "status": "paid", "total": "9", "billing": {"email": "a@example.com", "city": "Rome"},
            "lines": [{"sku": "s", "price": 9, "weight": 3}], "codes": [{"code": "X"}], "links": {"self": "/1"}, "note": null});
        audit.see(&record, &declared, NOW);
        audit.see(&json!({"id": 2, "phone": "1", "tag": "new"}), &declared, NOW);
        let found = audit.findings(&declared);
        assert_eq!(found.unnamed, [("email".to_owned(), 50.0), ("phone".to_owned(), 50.0)]);
        assert_eq!(found.never_seen, ["gone.away"]);
        let unmapped: Vec<&str> = found.unmapped.iter().map(|(field, _)| field.as_str()).collect();
        assert_eq!(unmapped, ["billing.city", "lines[].weight", "tag"]);
        assert_eq!(found.drifted, Vec::<String>::new());
    }

    #[test]
    fn a_type_that_changes_from_one_week_to_the_next_is_told() {
        let (mut audit, declared) = (Audit::default(), declared());
        audit.see(&json!({"total": "9.00", "id": 1}), &declared, NOW);
        audit.see(&json!({"total": 9, "id": 1, "new": true}), &declared, NOW + Span::from_days(8));
        assert_eq!(audit.findings(&declared).drifted, ["total is a number now, and was text"]);
        audit.see(&json!({"total": 9}), &declared, NOW + Span::from_days(15));
        assert_eq!(audit.findings(&declared).drifted, Vec::<String>::new());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let (mut audit, declared) = (Audit::default(), declared());
        for n in 0..2_000 {
            audit.see(&json!({ format!("f{n}"): {"a": 1, "b": {"c": {"d": {"e": 1}}}} }), &declared, NOW);
        }
        assert!(audit.is_cut && audit.fields.len() <= FIELDS);
    }
}
