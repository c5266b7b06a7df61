//! `connector.toml`: a source as data. What it needs to be told, how its requests are signed, and which events its
//! topics make. Read with all mistakes at once; those that ship are part of the program.

pub mod api;
mod mapped;
pub mod records;
pub mod stream;
pub mod subscriptions;
mod webhook;

use std::collections::BTreeMap;

use self::api::Api;
use self::stream::Stream;
pub use self::webhook::{Topic, Webhook};
use super::mapping::Shape;
use crate::manifest::setting::{self, Setting};
use crate::manifest::written::{self, Reading, Table, entries};
use crate::model::Mistake;

/// The connectors that ship, by name.
const SHIPPED: &[(&str, &str)] = &[
    ("bigcommerce", include_str!("../../../connectors/bigcommerce/connector.toml")),
    ("hubspot", include_str!("../../../connectors/hubspot/connector.toml")),
    ("klaviyo", include_str!("../../../connectors/klaviyo/connector.toml")),
    ("magento", include_str!("../../../connectors/magento/connector.toml")),
    ("marketo", include_str!("../../../connectors/marketo/connector.toml")),
    ("salesforce", include_str!("../../../connectors/salesforce/connector.toml")),
    ("shopify", include_str!("../../../connectors/shopify/connector.toml")),
    ("woocommerce", include_str!("../../../connectors/woocommerce/connector.toml")),
];

/// A connector.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// As it is named in a configuration.
    pub name: String,
    /// Which reference its facts are from, and when it was read.
    pub facts: String,
    /// What the user has to say.
    pub settings: Vec<Setting>,
    /// How requests come that the vendor makes, where it does.
    pub webhook: Option<Webhook>,
    /// What their topics make.
    pub topics: BTreeMap<String, Topic>,
    /// How the vendor is asked, where it is.
    pub api: Option<Api>,
    /// What is pulled.
    pub streams: BTreeMap<String, Stream>,
}

/// A connector with what a configuration says of it.
#[derive(Clone, Debug)]
pub struct Connected {
    /// The connector.
    pub manifest: Manifest,
    /// Its settings.
    pub given: setting::Given,
}

/// The JSON Schema of a manifest, for editors.
///
/// # Errors
/// Never for the one that ships; it is a text.
pub fn schema() -> Result<serde_json::Value, serde_json::Error> {
    serde_json::from_str(include_str!("schema.json"))
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
        written::read(file, text, manifest)
    }
}

// === reading ===

fn manifest(mut top: Table<'_, '_>, reading: &mut Reading<'_>) -> Option<Manifest> {
    let name = top.need("name", reading).and_then(|v| v.text(reading));
    let facts = top.need("facts", reading).and_then(|v| v.text(reading));
    let mut settings = Vec::new();
    for (name, value) in entries(top.get("settings"), reading) {
        settings.extend(setting::setting(name, &value, reading));
    }
    let (webhook, api) = (top.get("webhook"), top.get("api"));
    if webhook.is_none() && api.is_none() {
        top.wrong(reading, "needs `webhook`, `api` or both: how its messages come");
    }
    let (hears, asks) = (webhook.is_some(), api.is_some());
    let webhook = webhook.and_then(|v| v.table(reading)).and_then(|t| webhook::webhook(t, &settings, reading));
    let api = api.and_then(|v| v.table(reading)).and_then(|t| api::api(t, &settings, reading));
    if !asks && webhook.as_ref().is_some_and(|webhook| webhook.subscriptions.is_some()) {
        top.wrong(reading, "needs `api` for `webhook.subscriptions`: how the vendor is asked");
    }
    let shape = |key, top: &mut Table<'_, '_>, reading: &mut Reading<'_>| {
        top.get(key).and_then(|v| v.table(reading)).map(|t| mapped::only_shape(t, reading)).unwrap_or_default()
    };
    let every_topic: Shape = shape("every_topic", &mut top, reading);
    let mut every_stream = (stream::Part::default(), Shape::default());
    if let Some(mut table) = top.get("every_stream").and_then(|v| v.table(reading)) {
        every_stream = (stream::part(&mut table, reading), mapped::shape(&mut table, reading));
        table.finish(reading);
    }
    let mut shapes = (BTreeMap::new(), BTreeMap::new());
    for (name, value) in entries(top.get("shape"), reading) {
        if let Some(table) = value.table(reading) {
            shapes.0.insert(name.clone(), mapped::like(table, &every_topic, reading));
            if let Some(table) = value.table(reading) {
                shapes.1.insert(name, mapped::like(table, &every_stream.1, reading));
            }
        }
    }
    let mut topics = BTreeMap::new();
    let written = if hears { top.need("topic", reading) } else { top.get("topic") };
    for (name, value) in entries(written, reading) {
        if let Some(table) = value.table(reading) {
            topics.insert(name, webhook::topic(table, &every_topic, &shapes.0, reading));
        }
    }
    let mut streams = BTreeMap::new();
    let written = if asks { top.need("stream", reading) } else { top.get("stream") };
    for (name, value) in entries(written, reading) {
        if let Some(table) = value.table(reading) {
            let stream = stream::stream(table, (&every_stream.0, &every_stream.1), &shapes.1, reading);
            streams.extend(stream.map(|stream| (name, stream)));
        }
    }
    top.finish(reading);
    Some(Manifest { name: name?, facts: facts?, settings, webhook, topics, api, streams })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Path;
    use crate::source::mapping::{Take, Version};

    #[track_caller]
    fn check(text: &str, wanted: &[&str]) {
        let mistakes = Manifest::read("c.toml", text).err().unwrap_or_default();
        assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
    }

    const HEAD: &str = "name = \"x\"\nfacts = \"read\"\nsettings = { s = { kind = \"secrets\", help = \"h\" } }\nwebhook = { secrets = \"s\", \
                        signature = \"hmac-sha256-base64\", signature_header = \"S\", topic_header = \"T\" }\n";

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
    fn the_schema_knows_every_key_and_fits_what_ships() {
        let code = [
            include_str!("mod.rs"),
            include_str!("api.rs"),
            include_str!("stream.rs"),
            include_str!("mapped.rs"),
            include_str!("webhook.rs"),
            include_str!("subscriptions.rs"),
        ];
        let texts = shipped_names().filter_map(shipped);
        crate::manifest::tests::schema_fits(&schema().expect("JSON"), &code, &[], texts);
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        check(
            "nme = \"x\"\nfacts = 7\n[webhook]\nsignature = \"hmac-sha256-base46\"\nsignature_header = \"S\"\n[topic]\n",
            &[
                "c.toml:1:1: name: is missing",
                "c.toml:1:1: nme: is not a key that is known here (did you mean `name`?)",
                "c.toml:2:9: facts: must be a text in quotes",
                "c.toml:3:1: webhook.secrets: is missing",
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
            &emit("event = \"E\"\nidentify = { email = \"a\" }\nonce_each = \"b\""),
            &[
                "c.toml:8:13: topic.\"a/b\".emit[0].once_each: stands beside `once`, which says since when its value holds",
            ],
        );
        check(
            &emit("kind = \"alias\"\nidentify = { x_customer = { al = [\"a\"] } }"),
            &[
                "c.toml:5:1: topic.\"a/b\".emit[0]: needs `identify`: an event without a person is none",
                "c.toml:7:27: topic.\"a/b\".emit[0].identify.x_customer.all: is missing",
                "c.toml:7:29: topic.\"a/b\".emit[0].identify.x_customer.al: is not a key that is known here (did you mean `all`?)",
            ],
        );
        check(
            &emit("event = \"E\""),
            &["c.toml:5:1: topic.\"a/b\".emit[0]: needs `identify`: an event without a person is none"],
        );
        check(
            &emit("identify = { email = \"a..b\", shop = \"c\" }"),
            &[
                "c.toml:5:1: topic.\"a/b\".emit[0]: needs `identify`: an event without a person is none",
                "c.toml:5:1: topic.\"a/b\".emit[0]: needs either `event`, a name, or `kind`: identify, alias, erase or access",
                "c.toml:6:22: topic.\"a/b\".emit[0].identify.email: `a..b` is not a path: write it like \"customer.email\"",
                "c.toml:6:37: topic.\"a/b\".emit[0].identify.shop: `shop` is not known (known here: user_id, email, phone, order, \
             checkout, cart, anonymous_id, SOURCE_customer)",
            ],
        );
        check(
            &emit(
                "kind = \"erase\"\nwhen = \"rec.a\"\nidentify = { email = \"e\" }\nproperties = { a = { each = \"l\" } }",
            ),
            &[
                "c.toml:7:8: topic.\"a/b\".emit[0].when: uses `rec`, but only record, topic, settings can be used here",
                "c.toml:9:20: topic.\"a/b\".emit[0].properties.a: needs one of `text`, `value`, `const`, or `each` with `take`",
            ],
        );
        check(
            &format!("{HEAD}[topic.\"a/b\"]\n"),
            &["c.toml:5:1: topic.\"a/b\": needs either `emit` or `acknowledge = true`"],
        );
    }

    #[test]
    fn what_a_shape_emits_is_emitted_by_all_that_are_like_it() {
        let shape =
            "[shape.order]\nid = \"id\"\nidentify = { email = \"email\" }\n[[shape.order.emit]]\nevent = \"E\"\n";
        let topics = "[topic.a]\nlike = \"order\"\n[topic.b]\nlike = \"order\"\nid = \"other\"\n\
                      [topic.c]\nlike = \"order\"\n[[topic.c.emit]]\nevent = \"F\"\n";
        let manifest = Manifest::read("c.toml", &format!("{HEAD}{shape}{topics}")).expect("right");
        let made = |topic: &str| match manifest.topics.get(topic) {
            Some(Topic::Emit(emits)) => {
                emits.iter().map(|emit| (emit.name.to_string(), emit.shape.id.clone())).collect()
            }
            _ => Vec::new(),
        };
        let path = |text| Some(vec![Path::parse(text).expect("a path")]);
        assert_eq!(made("a"), [("E".to_owned(), path("id"))]);
        assert_eq!(made("b"), [("E".to_owned(), path("other"))]);
        assert_eq!(made("c"), [("E".to_owned(), path("id")), ("F".to_owned(), path("id"))]);
        let wrong = format!("{HEAD}{shape}when = \"rec\"\n{topics}");
        check(
            &wrong,
            &["c.toml:10:8: shape.order.emit[0].when: uses `rec`, but only record, topic, settings can be used here"],
        );
    }

    #[test]
    fn each_of_several_names_is_one() {
        let text = format!(
            "{HEAD}[every_topic]\nidentify = {{ x_customer = \"id\", email = \"e\" }}\n[[topic.\"m\".emit]]\nkind = \"alias\"\n\
             identify = {{ x_customer = {{ all = [\"id\", \"winner\"] }} }}\n"
        );
        let manifest = Manifest::read("c.toml", &text).expect("right");
        let Some(Topic::Emit(emits)) = manifest.topics.get("m") else { panic!("a topic") };
        let said: Vec<String> = emits[0].shape.identify.iter().map(|(k, p)| format!("{k}={}", p[0].as_str())).collect();
        assert_eq!(said, ["email=e", "x_customer=id", "x_customer=winner"]);
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
        assert_eq!(
            (&shape.id, &shape.version, &shape.at),
            (&Some(path("id")), &Some(Version::At(path("w"))), &Some(path("t")))
        );
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
