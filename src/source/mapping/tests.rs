use serde_json::json;

use super::*;
use crate::identity;
use crate::source::Limits;

const LIMITS: Limits = Limits { message: 1_000, messages: 3 };

fn paths(all: &[&str]) -> Paths {
    all.iter().map(|text| Path::parse(text).expect("a path")).collect()
}

fn emit() -> Emit {
    Emit {
        kind: EventKind::Did,
        name: "Order Completed".into(),
        once: None,
        each: None,
        once_each: None,
        when: Some(Expression::compile("record.total", &["record"]).expect("an expression")),
        shape: Shape {
            object: None,
            id: Some(paths(&["id"])),
            version: Some(Version::At(paths(&["updated_at"]))),
            at: Some(paths(&["paid_at", "created_at"])),
            identify: vec![(IdentifierKind::Email, paths(&["email", "customer.email"]))],
            properties: vec![
                ("order_id".into(), Take::Text(paths(&["id"]))),
                ("total".into(), Take::First(paths(&["sum", "total"]))),
                ("kind".into(), Take::Const(json!("shop"))),
                ("count".into(), Take::Value(Expression::compile("record.lines | length", &["record"]).expect("one"))),
                (
                    "products".into(),
                    Take::Each {
                        list: Path::parse("lines").expect("a path"),
                        take: vec![
                            ("sku".into(), Take::First(paths(&["sku"]))),
                            (
                                "dear".into(),
                                Take::Value(Expression::compile("item.price > 5", &["item"]).expect("one")),
                            ),
                        ],
                    },
                ),
            ],
            traits: vec![("first_name".into(), Take::First(paths(&["customer.first_name"])))],
        },
    }
}

fn map(record: &Value, id: Option<&str>) -> Result<Option<Event>, String> {
    let (names, source) = (identity::Settings::default(), Arc::from("shop"));
    let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
    let arrival = Arrival { source: &source, at, names: &names, limits: &LIMITS };
    let message = Message {
        record,
        topic: "orders/create",
        id,
        body: Body::Text(&record.to_string()),
        origin: Origin::System,
        at: None,
        fresh: None,
        settings: &Value::Null,
    };
    emit().events(&message, &arrival).pop().transpose()
}

fn order() -> Value {
    json!({"id": 706_405_506_930_370_084_u64, "updated_at": "v1", "created_at": "2026-11-23T06:00:00-05:00", "email": " ",
        "total": "19.90", "customer": {"email": "Ines@example.com", "first_name": "Ines"},
        "lines": [{"sku": "a", "price": 9}, {"sku": null, "price": 1}]})
}

#[test]
fn paths_expressions_and_lists_make_an_event() {
    let event = map(&order(), None).expect("read").expect("an event");
    assert_eq!(event.at.to_string(), "2026-11-23T11:00:00.000Z");
    assert_eq!(event.identifiers.iter().map(|i| i.to_text()).collect::<Vec<_>>(), ["email:ines@example.com"]);
    let wanted = json!({"order_id": "706405506930370084", "total": "19.90", "kind": "shop", "count": 2,
        "products": [{"sku": "a", "dear": true}, {"dear": false}]});
    assert_eq!(event.properties.to_value(), wanted);
    assert_eq!(event.traits.get(), r#"{"first_name":"Ines"}"#);
}

#[test]
fn when_it_does_not_hold_nothing_is_made() {
    let mut record = order();
    record["total"] = Value::Null;
    assert_eq!(map(&record, None), Ok(None));
}

#[test]
fn what_is_wrong_is_said_without_its_content() {
    let mut record = order();
    record["created_at"] = json!("yesterday");
    assert_eq!(map(&record, None), Err("created_at is not a time".into()));
    record["created_at"] = json!("");
    record["customer"] = json!(null);
    assert_eq!(map(&record, None), Err("names nobody".into()));
}

#[test]
fn the_same_change_is_known_by_its_delivery_or_by_its_version() {
    let keys = |record: &Value, id| map(record, id).expect("read").expect("an event").dedupe;
    let both = keys(&order(), Some("d1"));
    assert_eq!(both.len(), 2);
    assert_eq!(keys(&order(), Some("d2")).last(), both.last());
    let mut changed = order();
    changed["updated_at"] = json!("v2");
    let again = keys(&changed, Some("d1"));
    assert_eq!((again.first() == both.first(), again.last() == both.last()), (true, false));
    changed["updated_at"] = Value::Null;
    assert_eq!(keys(&changed, None).len(), 1);
}

#[test]
fn a_list_in_a_record_makes_an_event_of_each_element() {
    let mut emit = emit();
    (emit.each, emit.when) = (Path::parse("refunds"), None);
    emit.once = Some(paths(&["element.at"]));
    emit.shape = Shape {
        object: Some("refunds".into()),
        id: Some(paths(&["element.id"])),
        at: Some(paths(&["element.at"])),
        identify: vec![(IdentifierKind::Email, paths(&["email"]))],
        properties: vec![(
            "url".into(),
            Take::Value(
                Expression::compile("settings.shop ~ record.element.id", &["record", "settings"]).expect("one"),
            ),
        )],
        ..Shape::default()
    };
    let record = json!({"email": "ines@example.com", "refunds": [
        {"id": 1, "at": "2026-11-22T10:00:00Z"}, {"id": 2, "at": "2026-11-23T10:00:00Z"}, {"id": 3, "at": "now"}]});
    let made = |topic: &str, fresh: Option<&str>| {
        let (names, source) = (identity::Settings::default(), Arc::from("shop"));
        let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
        let arrival = Arrival { source: &source, at, names: &names, limits: &LIMITS };
        let fresh = fresh.and_then(Timestamp::parse);
        let settings = json!({"shop": "https://s.example/"});
        let (record, origin, id) = (&record, Origin::System, Some("d1"));
        emit.events(
            &Message { record, topic, id, body: Body::Text("{}"), origin, at: None, fresh, settings: &settings },
            &arrival,
        )
    };
    let all = made("orders/updated", None);
    let urls: Vec<&str> = all.iter().flatten().map(|event| event.properties.get()).collect();
    assert_eq!(urls, [r#"{"url":"https://s.example/1"}"#, r#"{"url":"https://s.example/2"}"#]);
    assert_eq!(all.last(), Some(&Err("element.at is not a time".into())));
    let keys = |made: &[Result<Event, String>]| made.iter().flatten().map(|e| e.dedupe.clone()).collect::<Vec<_>>();
    assert_eq!(keys(&made("order.updated", None)), keys(&all), "of whichever topic, by its object");
    assert_eq!(
        keys(&made("orders/updated", Some("2026-11-23T00:00:00Z"))),
        keys(&all)[1..],
        "the older was made before"
    );
}

#[test]
fn what_is_made_once_is_made_once_for_each_value_where_that_is_said() {
    let keys = |record: &Value, each: &[&str]| {
        let mut emit = emit();
        emit.once = Some(paths(&["created_at"]));
        emit.once_each = (!each.is_empty()).then(|| paths(each));
        let (names, source) = (identity::Settings::default(), Arc::from("shop"));
        let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
        let arrival = Arrival { source: &source, at, names: &names, limits: &LIMITS };
        let (body, origin) = (record.to_string(), Origin::System);
        let message = Message {
            record,
            topic: "deals",
            id: None,
            body: Body::Text(&body),
            origin,
            at: None,
            fresh: None,
            settings: &Value::Null,
        };
        emit.event(&message, &arrival).expect("read").expect("an event").dedupe
    };
    let mut moved = order();
    moved["updated_at"] = json!("v2");
    moved["stage"] = json!("won");
    assert_eq!(keys(&order(), &[]), keys(&moved, &[]));
    assert_ne!(keys(&order(), &["stage"]), keys(&moved, &["stage"]));
    moved["updated_at"] = json!("v3");
    let again = keys(&moved, &["stage"]);
    moved["updated_at"] = json!("v4");
    assert_eq!(keys(&moved, &["stage"]), again);
}
