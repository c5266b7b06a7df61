//! `connector.toml`: a source as data. What it needs to be told, how its requests are signed, and which events its
//! topics make. Read with all mistakes at once; those that ship are part of the program.

mod written;

use std::collections::BTreeMap;

use self::written::{Reading, Table, Value};
use super::mapping::{Emit, Expression, Path, Paths, Shape, Take};
use super::signature::Scheme;
use crate::model::{EventKind, IdentifierKind, Mistake};

/// The connectors that ship, by name.
const SHIPPED: &[(&str, &str)] = &[("shopify", include_str!("../../../connectors/shopify/connector.toml"))];

/// A connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// As it is named in a configuration.
    pub name: String,
    /// Which reference its facts are from, and when it was read.
    pub facts: String,
    /// What the user has to say.
    pub settings: Vec<Setting>,
    /// How its requests come.
    pub webhook: Webhook,
    /// What its topics make.
    pub topics: BTreeMap<String, Topic>,
}

/// One thing that the user has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its key in the configuration.
    pub name: String,
    /// What it is.
    pub kind: SettingKind,
    /// Where it is found, for the person who has to find it.
    pub help: String,
    /// Whether it may be left out.
    pub optional: bool,
}

/// What a setting is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Any text.
    Text,
    /// An address beginning with `https://`.
    Url,
    /// A host name.
    Domain,
    /// A reference to a secret.
    Secret,
    /// A list of them, valid side by side while one is replaced.
    Secrets,
}

/// How requests come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// How they are signed.
    pub signature: Scheme,
    /// The header that says the topic.
    pub topic_header: String,
    /// The header with the id of the delivery.
    pub id_header: Option<String>,
    /// The header that says which account of the vendor sends.
    pub account_header: Option<String>,
}

/// What a topic makes.
#[derive(Clone, Debug, PartialEq)]
pub enum Topic {
    /// Nothing: it is only answered.
    Acknowledge,
    /// These events, each where its `when` holds.
    Emit(Vec<Emit>),
}

/// The text of a connector that ships.
pub fn shipped(name: &str) -> Option<&'static str> {
    SHIPPED.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

/// The names of the connectors that ship.
pub fn shipped_names() -> impl Iterator<Item = &'static str> {
    SHIPPED.iter().map(|(name, _)| *name)
}

impl Manifest {
    /// Reads `text`, which mistakes call `file`.
    ///
    /// # Errors
    /// All mistakes, in the file's order.
    pub fn read(file: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let mut reading = Reading::new(file, text);
        let manifest = reading.document().and_then(|document| manifest(Table::top(&document), &mut reading));
        let mistakes = reading.into_mistakes();
        match manifest {
            Some(manifest) if mistakes.is_empty() => Ok(manifest),
            _ => Err(mistakes),
        }
    }
}

// === reading ===

fn manifest(mut top: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Manifest> {
    let name = top.need("name", reading).and_then(|v| v.text(reading));
    let facts = top.need("facts", reading).and_then(|v| v.text(reading));
    let mut all_settings = Vec::new();
    for (name, value) in user_entries(top.get("settings"), reading) {
        all_settings.extend(setting(name, &value, reading));
    }
    let webhook = top.need("webhook", reading).and_then(|v| v.table(reading)).and_then(|t| webhook(t, reading));
    let every = top.get("every_topic").and_then(|v| v.table(reading));
    let every = every.map(|t| only_shape(t, reading)).unwrap_or_default();
    let mut shapes = BTreeMap::new();
    for (name, value) in user_entries(top.get("shape"), reading) {
        if let Some(table) = value.table(reading) {
            shapes.insert(name, every.under(only_shape(table, reading)));
        }
    }
    let mut topics = BTreeMap::new();
    for (name, value) in user_entries(top.need("topic", reading), reading) {
        if let Some(table) = value.table(reading) {
            topics.insert(name, topic(table, &every, &shapes, reading));
        }
    }
    top.finish(reading);
    Some(Manifest { name: name?, facts: facts?, settings: all_settings, webhook: webhook?, topics })
}

fn user_entries<'a, 't>(value: Option<Value<'a, 't>>, reading: &mut Reading<'_>) -> Vec<(String, Value<'a, 't>)> {
    value.and_then(|v| v.table(reading)).map(|t| t.entries().collect()).unwrap_or_default()
}

fn setting(name: String, value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Setting> {
    let mut table = value.table(reading)?;
    let kind = table.need("kind", reading).and_then(|value| {
        let word = value.text(reading)?;
        Some(match word.as_str() {
            "text" => SettingKind::Text,
            "url" => SettingKind::Url,
            "domain" => SettingKind::Domain,
            "secret" => SettingKind::Secret,
            "secrets" => SettingKind::Secrets,
            _ => {
                value.unknown(reading, &word, &["text", "url", "domain", "secret", "secrets"]);
                return None;
            }
        })
    });
    let help = table.need("help", reading).and_then(|v| v.text(reading));
    let optional = table.get("optional").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
    table.finish(reading);
    Some(Setting { name, kind: kind?, help: help?, optional })
}

fn webhook(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Webhook> {
    let scheme = table.need("signature", reading);
    let header = table.need("signature_header", reading).and_then(|v| v.text(reading));
    let signature = scheme.and_then(|value| {
        let word = value.text(reading)?;
        let scheme = Scheme::parse(&word, header.as_deref().unwrap_or_default());
        if scheme.is_none() {
            value.unknown(reading, &word, &Scheme::WORDS);
        }
        scheme
    });
    let topic_header = table.need("topic_header", reading).and_then(|v| v.text(reading));
    let id_header = table.get("id_header").and_then(|v| v.text(reading));
    let account_header = table.get("account_header").and_then(|v| v.text(reading));
    table.finish(reading);
    header?;
    Some(Webhook { signature: signature?, topic_header: topic_header?, id_header, account_header })
}

fn only_shape(mut table: Table<'_, '_>, reading: &mut Reading<'_>) -> Shape {
    let shape = shape(&mut table, reading);
    table.finish(reading);
    shape
}

fn topic(
    mut table: Table<'_, '_>,
    every: &Shape,
    shapes: &BTreeMap<String, Shape>,
    reading: &mut Reading<'_>,
) -> Topic {
    let acknowledged = table.get("acknowledge").and_then(|v| v.yes_or_no(reading)).unwrap_or(false);
    let like = table.get("like").and_then(|value| {
        let name = value.text(reading)?;
        let like = shapes.get(&name);
        if like.is_none() {
            value.unknown(reading, &name, &shapes.keys().map(String::as_str).collect::<Vec<_>>());
        }
        like
    });
    let beneath = like.unwrap_or(every).under(shape(&mut table, reading));
    let emits = table.get("emit").map(|v| v.list(reading)).unwrap_or_default();
    let emits: Vec<Emit> = emits.iter().filter_map(|value| emit(value.table(reading)?, &beneath, reading)).collect();
    if acknowledged != emits.is_empty() {
        table.wrong(reading, "needs either `emit` or `acknowledge = true`");
    }
    table.finish(reading);
    if acknowledged { Topic::Acknowledge } else { Topic::Emit(emits) }
}

fn emit(mut table: Table<'_, '_>, beneath: &Shape, reading: &mut Reading<'_>) -> Option<Emit> {
    let event = table.get("event");
    let name = event.as_ref().and_then(|v| v.text(reading));
    let kind = table.get("kind").and_then(|value| {
        let word = value.text(reading)?;
        Some(match word.as_str() {
            "identify" => EventKind::Identify,
            "alias" => EventKind::Alias,
            "erase" => EventKind::Erase,
            _ => {
                value.unknown(reading, &word, &["identify", "alias", "erase"]);
                return None;
            }
        })
    });
    if event.is_some() == kind.is_some() {
        table.wrong(reading, "needs either `event`, a name, or `kind`: identify, alias or erase");
    }
    let when = table.get("when").and_then(|value| expression(&value, &["record", "topic"], reading));
    let shape = beneath.under(shape(&mut table, reading));
    if shape.identify.is_empty() {
        table.wrong(reading, "needs `identify`: an event without a person is none");
    }
    table.finish(reading);
    let kind = kind.unwrap_or(EventKind::Did);
    Some(Emit { kind, name: name.unwrap_or_default().into(), when, shape })
}

fn shape(table: &mut Table<'_, '_>, reading: &mut Reading<'_>) -> Shape {
    let id = table.get("id").and_then(|v| paths(&v, reading));
    let version = table.get("version").and_then(|v| paths(&v, reading));
    let at = table.get("at").and_then(|v| paths(&v, reading));
    let mut identify = Vec::new();
    for (name, value) in user_entries(table.get("identify"), reading) {
        let kind = IdentifierKind::parse(&name);
        if kind.is_none() {
            let known = ["user_id", "email", "phone", "order", "checkout", "cart", "anonymous_id", "SOURCE_customer"];
            value.unknown(reading, &name, &known);
        }
        identify.extend(kind.zip(paths(&value, reading)));
    }
    let properties = takes(table.get("properties"), &["record", "topic"], reading);
    let traits = takes(table.get("traits"), &["record", "topic"], reading);
    Shape { id, version, at, identify, properties, traits }
}

/// One path or a list of them.
fn paths(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Paths> {
    if !value.is_list() {
        return path(value, reading).map(|path| vec![path]);
    }
    let items = value.list(reading);
    if items.is_empty() {
        value.wrong(reading, "must not be empty");
    }
    let paths: Paths = items.iter().filter_map(|item| path(item, reading)).collect();
    (!paths.is_empty()).then_some(paths)
}

fn path(value: &Value<'_, '_>, reading: &mut Reading<'_>) -> Option<Path> {
    let text = value.text(reading)?;
    let path = Path::parse(&text);
    if path.is_none() {
        value.wrong(reading, format!("`{text}` is not a path: write it like \"customer.email\""));
    }
    path
}

fn expression(value: &Value<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<Expression> {
    let text = value.text(reading)?;
    Expression::compile(&text, names).map_err(|words| value.wrong(reading, words)).ok()
}

fn takes(value: Option<Value<'_, '_>>, names: &[&str], reading: &mut Reading<'_>) -> Vec<(String, Take)> {
    let entries = user_entries(value, reading);
    entries.into_iter().filter_map(|(name, value)| Some((name, take(&value, names, reading)?))).collect()
}

fn take(value: &Value<'_, '_>, names: &[&str], reading: &mut Reading<'_>) -> Option<Take> {
    if !value.is_table() {
        return paths(value, reading).map(Take::First);
    }
    let mut table = value.table(reading)?;
    let (text, calculated, fixed) = (table.get("text"), table.get("value"), table.get("const"));
    let (each, inner) = (table.get("each"), table.get("take"));
    let forms = [&text, &calculated, &fixed, &each].into_iter().flatten().count();
    if forms != 1 || each.is_some() != inner.is_some() {
        table.wrong(reading, "needs one of `text`, `value`, `const`, or `each` with `take`");
    }
    table.finish(reading);
    if let Some(text) = text {
        return paths(&text, reading).map(Take::Text);
    }
    if let Some(calculated) = calculated {
        return expression(&calculated, names, reading).map(Take::Value);
    }
    if let Some(fixed) = fixed {
        return Some(Take::Const(fixed.json()));
    }
    let list = path(&each?, reading);
    let take = takes(inner, &["record", "topic", "item"], reading);
    Some(Take::Each { list: list?, take })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let mistakes = Manifest::read("c.toml", text).err().unwrap_or_default();
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
    }

    const HEAD: &str = "name = \"x\"\nfacts = \"read\"\nwebhook = { signature = \"hmac-sha256-base64\", signature_header = \
                        \"S\", topic_header = \"T\" }\n";

    #[test]
    fn every_shipped_connector_is_right() {
        for name in shipped_names() {
            let manifest = Manifest::read("connector.toml", shipped(name).expect("its text"));
            assert_eq!(manifest.as_ref().err(), None);
            assert_eq!(manifest.expect("read").name, name);
        }
        assert_eq!(shipped("none"), None);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        check(
            "nme = \"x\"\nfacts = 7\n[webhook]\nsignature = \"hmac-sha256-base46\"\nsignature_header = \"S\"\n[topic]\n",
            &[
                "c.toml:1:1: name: is missing",
                "c.toml:1:1: nme: is not a key that is known here (did you mean `name`?)",
                "c.toml:2:9: facts: must be a text in quotes",
                "c.toml:3:1: webhook.topic_header: is missing",
                "c.toml:4:13: webhook.signature: `hmac-sha256-base46` is not known (did you mean `hmac-sha256-base64`?)",
            ],
        );
        check("name = ", &["c.toml:1:8: string values must be quoted, expected literal string"]);
    }

    #[test]
    fn a_topic_says_what_it_makes_and_of_whom() {
        let emit = |keys: &str| format!("{HEAD}[[topic.\"a/b\".emit]]\n{keys}\n");
        check(&emit("event = \"E\"\nidentify = { email = [\"a\", \"b.c\"] }"), &[]);
        check(
            &emit("event = \"E\""),
            &["c.toml:4:1: topic.\"a/b\".emit[0]: needs `identify`: an event without a person is none"],
        );
        check(
            &emit("identify = { email = \"a..b\", shop = \"c\" }"),
            &[
                "c.toml:4:1: topic.\"a/b\".emit[0]: needs `identify`: an event without a person is none",
                "c.toml:4:1: topic.\"a/b\".emit[0]: needs either `event`, a name, or `kind`: identify, alias or erase",
                "c.toml:5:22: topic.\"a/b\".emit[0].identify.email: `a..b` is not a path: write it like \"customer.email\"",
                "c.toml:5:37: topic.\"a/b\".emit[0].identify.shop: `shop` is not known (known here: user_id, email, phone, order, \
             checkout, cart, anonymous_id, SOURCE_customer)",
            ],
        );
        check(
            &emit(
                "kind = \"erase\"\nwhen = \"rec.a\"\nidentify = { email = \"e\" }\nproperties = { a = { each = \"l\" } }",
            ),
            &[
                "c.toml:6:8: topic.\"a/b\".emit[0].when: uses `rec`, but only record, topic can be used here",
                "c.toml:8:20: topic.\"a/b\".emit[0].properties.a: needs one of `text`, `value`, `const`, or `each` with `take`",
            ],
        );
        check(
            &format!("{HEAD}[topic.\"a/b\"]\n"),
            &["c.toml:4:1: topic.\"a/b\": needs either `emit` or `acknowledge = true`"],
        );
    }

    #[test]
    fn what_a_topic_leaves_out_it_has_from_its_shape() {
        let text = format!(
            "{HEAD}[every_topic]\nid = \"id\"\nversion = \"v\"\n[shape.order]\nat = \"t\"\nidentify = {{ email = \"email\" \
             }}\nproperties = {{ a = \"a\", b = \"b\" }}\n[topic.\"o\"]\nlike = \"order\"\nversion = \"w\"\n\
             [[topic.\"o\".emit]]\nevent = \"E\"\nproperties = {{ b = {{ const = 1 }}, c = {{ text = \"c\" }} }}\n"
        );
        let manifest = Manifest::read("c.toml", &text).expect("right");
        let Some(Topic::Emit(emits)) = manifest.topics.get("o") else { panic!("a topic") };
        let shape = &emits.first().expect("one").shape;
        let path = |text| vec![Path::parse(text).expect("a path")];
        assert_eq!((&shape.id, &shape.version, &shape.at), (&Some(path("id")), &Some(path("w")), &Some(path("t"))));
        assert_eq!(
            shape.properties,
            vec![
                ("a".to_owned(), Take::First(path("a"))),
                ("b".to_owned(), Take::Const(1.into())),
                ("c".to_owned(), Take::Text(path("c"))),
            ]
        );
    }
}
