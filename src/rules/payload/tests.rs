//! Trigger files and people in, payloads out. `check` is the only place that renders.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{Fire, Rendered, Shelf, occasion, payload};
use std::sync::Arc;

use crate::model::{
    Catalogue, CatalogueItem, Codes, Entry, Identifier, Origin, Person, PersonId, Position, RawJson, Sales, Span,
    Timestamp, Trait,
};
use crate::rules::Program;
use crate::rules::tests::{HEAD, compile};

pub const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Somebody who did these, a minute apart from [`START`] on: (name, properties).
pub fn ines(events: &[(&str, Value)]) -> Person {
    let mut person = Person::new(PersonId([1; 16]), Position(1), START);
    person.identifiers = ["email:ines@example.com", "user_id:u1"].into_iter().filter_map(Identifier::parse).collect();
    person.traits.insert("first_name".into(), Trait { at: START, value: "Ines".into() });
    person.traits.insert("plan".into(), Trait { at: START, value: json!({"name": "gold", "since": null}) });
    for (n, (name, properties)) in events.iter().enumerate() {
        let at = START + Span::from_minutes(n as i64);
        let properties = RawJson::from_value(properties);
        person.history.push(Entry::new(at, Position(n as u64 + 1), (*name).into(), Origin::Tracking, None, properties));
    }
    person
}

/// What the trigger says for the key, an hour later.
pub fn rendered(program: &Program, person: &Person, key: &str) -> Rendered {
    let trigger = &program.triggers()[0];
    let at = START + Span::from_hours(1);
    let shelf = Shelf { catalogue: &catalogue(), sales: &Sales::default(), codes: &Codes::made_up() };
    payload(&Fire {
        program,
        trigger,
        person,
        key,
        at,
        occasion: occasion(trigger, person.canonical(), key, at),
        shelf,
    })
}

const PER_CART: &str = "per = \"cart_id\"\nwhen = { last = \"Product Added\", over = \"30m\" }\n";

/// Two carts at once, and a purchase before.
fn carts() -> Person {
    let lamp = |quantity| {
        json!({"cart_id": "c1", "product_id": "p1", "name": "Lamp", "price": "39.95", "currency": "EUR",
        "quantity": quantity, "url": "https://shop.example/p1", "image": "https://shop.example/p1.jpg",
        "cart_url": "https://shop.example/cart/c1"})
    };
    ines(&[
        (
            "Order Completed",
            json!({"order_id": "o1", "total": 20.5, "currency": "EUR", "products": [
            {"product_id": "p9", "name": "Bulb", "price": 10, "quantity": 2}]}),
        ),
        ("Product Added", lamp(json!(2))),
        (
            "Product Added",
            json!({"cart_id": "c2", "product_id": "p2", "name": "Oar", "price": 0.1, "quantity": 3,
            "recovery_url": "https://shop.example/cart/c2"}),
        ),
        ("Product Added", lamp(json!(null))),
        ("Product Added", json!({"cart_id": "c1", "product_id": "p3", "price": "5", "currency": "EUR"})),
        ("Product Removed", json!({"cart_id": "c1", "product_id": "p3"})),
    ])
}

/// What the lines after the head come to: the value of `x`, or why there is none.
#[track_caller]
fn check(lines: &str, wanted: Result<Value, &str>) {
    let program = compile(&format!("{HEAD}{PER_CART}{lines}")).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let Rendered { payload, broken, .. } = rendered(&program, &carts(), "c1");
    let said = broken.as_deref().map_or_else(|| Ok(payload.to_value()["x"].clone()), Err);
    assert_eq!(said, wanted, "{lines}");
    // Whatever fails, what every payload says is there.
    assert_eq!(payload.to_value()["trigger"], "t");
}

#[track_caller]
fn says(template: &str, wanted: Value) {
    check(&format!("[payload]\nx = '{template}'\n"), Ok(wanted));
}

#[track_caller]
fn fails(template: &str, words: &str) {
    check(&format!("[payload]\nx = '{template}'\n"), Err(&format!("`payload.x` cannot be said: {words}")));
}

// === values ===

#[test]
fn a_whole_expression_keeps_its_type_and_anything_else_is_a_text() {
    says("plain", json!("plain"));
    says("{{ 1 + 1 }}", json!(2));
    says(" {{ 1 + 1 }}", json!(2));
    says("{{ 1 + 1 }}!", json!("2!"));
    says("{{ true }}", json!(true));
    says("{{ [key, {\"a\": none}] }}", json!(["c1", {"a": null}]));
    says("{% if key == \"c1\" %}yes{% else %}no{% endif %}", json!("yes"));
    says("{% for p in cart.products %}{{ p.name }};{% endfor %}", json!("Lamp;"));
    says("{{ \"<b>\" }} & more", json!("<b> & more"));
    check("[payload.x]\na = [1, true, '{{ key }}', { b = 1.5 }]\n", Ok(json!({"a": [1, true, "c1", {"b": 1.5}]})));
}

#[test]
fn the_person_is_known_by_name() {
    says("{{ person.first_name }}", json!("Ines"));
    says("{{ person.email }} {{ person.user_id }}", json!("ines@example.com u1"));
    says("{{ person.last_name | default(\"-\") }}", json!("-"));
    says("{{ traits.plan.name }}", json!("gold"));
    // What is null is not there.
    fails("{{ traits.plan.since }}", "`traits.plan.since` is not there");
}

#[test]
fn the_trigger_and_what_satisfied_it() {
    says("{{ trigger }} {{ key }} {{ occurred_at }}", json!("t c1 2026-01-01T01:00:00.000Z"));
    says("{{ event.product_id }} {{ products | length }}", json!("p3 1"));
    says("{{ events.product_added | map(attribute=\"product_id\") | join(\",\") }}", json!("p1,p1,p3"));
    says("{{ events.product_added[0].event }}", json!("Product Added"));
}

#[test]
fn conditions_name_their_events() {
    let file = "when.all = [{ did = \"Product Added\", as = \"added\", where = { product_id = \"p2\" } }, \
                { did = \"Product Added\" }, { did = \"Product Added\", within = \"1m\" }]\n\
                payload = { x = \"{{ [events.added, events.product_added] | map('length') | list }}\" }\n";
    let program = compile(&format!("{HEAD}{file}")).expect("a trigger");
    assert_eq!(rendered(&program, &carts(), "").payload.to_value()["x"], json!([1, 4]));
}

// === the cart ===

#[test]
fn the_cart_is_the_keys_own_with_exact_amounts() {
    says(
        "{{ cart.products }}",
        json!([{"product_id": "p1", "name": "Lamp", "url": "https://shop.example/p1",
            "image_url": "https://shop.example/p1.jpg", "currency": "EUR", "category": "Things", "price": "39.95", "quantity": 3,
            "total": "119.85"}]),
    );
    says("{{ cart.total }} {{ cart.currency }}, {{ cart.quantity }}", json!("119.85 EUR, 3"));
    says("{{ cart.total | money }} {{ \"0.1\" | money(0) }}", json!("119.85 0"));
    says("{{ cart.recovery_url }}", json!("https://shop.example/cart/c1"));
    says("{{ cart.total | number > 119.8 }}", json!(true));
}

#[test]
fn without_a_cart_for_key_it_is_the_latest() {
    let text = format!(
        "{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.id }}}} {{{{ cart.total }}}}'\n"
    );
    let program = compile(&text).expect("a trigger");
    assert_eq!(rendered(&program, &carts(), "").payload.to_value()["x"], json!("c1 119.85"));
    let bought = ines(&[
        ("Product Added", json!({"cart_id": "c", "product_id": "a", "price": 1, "cart_url": "https://s.example/old"})),
        ("Order Completed", json!({"cart_id": "c"})),
        ("Product Added", json!({"cart_id": "c", "product_id": "b", "price": "2.50"})),
    ]);
    assert_eq!(rendered(&program, &bought, "").payload.to_value()["x"], json!("c 2.5"), "what is bought is not in it");
}

#[test]
fn an_event_that_tells_the_whole_cart_is_believed() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.total }}}}'\n");
    let program = compile(&text).expect("a trigger");
    let person = ines(&[
        ("Product Added", json!({"product_id": "a", "price": 1})),
        ("Checkout Started", json!({"products": [{"product_id": "b", "price": 2, "quantity": 2}]})),
        ("Product Added", json!({"product_id": "b", "price": 2})),
        ("Product Removed", json!({"product_id": "b", "quantity": 1})),
    ]);
    assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], json!("4"));
}

#[test]
fn variants_are_told_apart_and_what_there_is_none_of_is_not_there() {
    let text = format!(
        "{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.products | map(attribute=\"quantity\") | list }}}}'\n\
         [[content]]\nwhen = 'cart.total is defined'\nset = {{ total = '{{{{ cart.total }}}}' }}\n"
    );
    let program = compile(&text).expect("a trigger");
    let add = |variant: u8| {
        ("Product Added", json!({"product_id": "a", "variant_id": variant, "price": 2, "quantity": variant}))
    };
    let remove = |said: Value| ("Product Removed", said);
    let check = |last: (&str, Value), wanted: Value| {
        let person = ines(&[add(1), add(2), ("Product Added", json!({"product_id": "ab", "price": 1})), last]);
        assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], wanted);
    };
    check(remove(json!({"product_id": "a", "variant_id": 2})), json!([1, 1]));
    check(remove(json!({"product_id": "a"})), json!([1]));
    check(remove(json!({"product_id": "a", "variant_id": 2, "quantity": "1"})), json!([1, 1, 1]));
    check(("Product Added", json!({"product_id": "c", "quantity": 0})), json!([1, 2, 1]));
    // More than can be told has no total, and no end.
    for (many, total) in [(500, json!("500")), (501, Value::Null)] {
        let products: Vec<Value> = (0..many).map(|n| json!({"product_id": n, "price": 1})).collect();
        let person =
            ines(&[("Product Added", json!({"product_id": 0})), ("Cart Viewed", json!({ "products": products }))]);
        let said = rendered(&program, &person, "").payload.to_value();
        assert_eq!((said["x"].as_array().map(Vec::len), &said["total"]), (Some(100), &total));
    }
}

#[test]
fn a_total_is_not_said_where_it_would_be_wrong() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart.total }}}}'\n");
    let program = compile(&text).expect("a trigger");
    for second in [json!({"product_id": "b"}), json!({"product_id": "b", "price": 2, "currency": "USD"})] {
        let person = ines(&[
            ("Product Added", json!({"product_id": "a", "price": 1, "currency": "EUR"})),
            ("Product Added", second),
        ]);
        let broken = rendered(&program, &person, "").broken;
        assert_eq!(broken.as_deref(), Some("`payload.x` cannot be said: `cart.total` is not there"));
    }
}

#[test]
fn the_last_order_has_the_shops_own_total() {
    says("{{ last_order.id }} {{ last_order.total | money }} {{ last_order.products[0].total }}", json!("o1 20.50 20"));
    let text = format!("{HEAD}when = {{ did = \"A\" }}\n[payload]\nx = '{{{{ last_order.id }}}}'\n");
    let never = rendered(&compile(&text).expect("a trigger"), &ines(&[("A", json!({}))]), "");
    assert_eq!(never.broken.as_deref(), Some("`payload.x` cannot be said: `last_order.id` is not there"));
}

// === content ===

#[test]
fn the_first_content_that_holds_is_said_or_all_of_them() {
    const BLOCKS: &str = "[payload]\nx = 0\n\
        [[content]]\nwhen = 'cart.quantity > 100'\nset = { x = 1 }\n\
        [[content]]\nwhen = 'cart.total | number > 100'\nset = { x = '{{ cart.quantity }}' }\n\
        [[content]]\nwhen = 'true'\nset = { x = 2 }\n";
    check(BLOCKS, Ok(json!(3)));
    check(&format!("content_match = 'first'\n{BLOCKS}"), Ok(json!(3)));
    check(&format!("content_match = 'all'\n{BLOCKS}"), Ok(json!(2)));
    check(
        "[[content]]\nwhen = 'traits.age > 3'\nset = { x = 1 }\n",
        Err("`content[0].when` cannot be said: `traits.age` is not there"),
    );
}

// === failures ===

#[test]
fn no_word_of_a_failure_is_the_persons() {
    fails("{{ person.phone }}", "`person.phone` is not there");
    fails("Dear {{ person.last_name }} of {{ traits.city }}", "`person.last_name`, `traits.city` are not there");
    fails("{{ person.email | number }}", "invalid operation");
    fails("{{ person.email.x.y }}", "`person.email.x.y` is not there");
    fails("{{ range(100000) | map(\"string\") | join }}", "it works without end");
    fails(
        "{% set n = namespace(x = person.email) %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}!",
        "it works without end",
    );
    fails("{% for i in range(2000) %}{{ person.email }}{% endfor %}", "comes to more than 16 KB");
    fails("{{ 1 / 0 }}", "invalid operation");
}

#[test]
fn what_is_said_in_all_is_bounded() {
    let many: String = (0..10).map(|n| format!("a{n} = '{{{{ \"x\" * 16000 }}}}'\n")).collect();
    check(&format!("[payload]\n{many}"), Err("what `t` says comes to more than 64 KB"));
}

// === mistakes ===

#[track_caller]
fn wrong(line: &str, mistake: &str) {
    let told = compile(&format!("{HEAD}when = {{ did = \"Product Added\" }}\n{line}\n")).err().unwrap_or_default();
    assert_eq!(told, [format!("t.toml:4:{mistake}")], "{line}");
}

#[test]
fn a_wrong_template_has_one_precise_mistake() {
    let known = "known: trigger, title, occasion, occurred_at, key, person, traits, event, events, products, cart, \
                 last_order, catalogue";
    wrong(
        "payload = { x = \"{{ cort.total }}\" }",
        "17: payload.x: uses `cort`, which is not known here (did you mean `cart`?)",
    );
    wrong("payload = { x = \"{{ zzz }}\" }", &format!("17: payload.x: uses `zzz`, which is not known here ({known})"));
    wrong(
        "payload = { x = \"a {{ cart.totl }}\" }",
        "17: payload.x: uses `cart.totl`, which is not known (did you mean `total`?)",
    );
    wrong(
        "payload = { x = [{ y = \"{{ person.emial }}\" }] }",
        "24: payload.x[0].y: uses `person.emial`, which is not known (did you mean `email`?)",
    );
    wrong(
        "payload = { x = \"{{ events.viewed }}\" }",
        "17: payload.x: uses `events.viewed`, which is not known (known: product_added)",
    );
    wrong(
        "payload = { x = \"{{ 1 + }}\" }",
        "17: payload.x: is not an expression: syntax error: unexpected end of input, expected expression",
    );
    wrong(
        "payload = { x = \"a {{ key \" }",
        "17: payload.x: is not a template: syntax error: unexpected end of input, expected end of variable block",
    );
    wrong(
        "payload = { x = \"{{ key | shout }}\" }",
        "17: payload.x: uses the filter `shout`, which is not known; did you mean `sort`?",
    );
    wrong(
        "payload = { x = \"{% include 'a' %}\" }",
        "17: payload.x: uses the block `include`, but only if, for, set and raw can be used here",
    );
    wrong(
        "payload = { x = \"{%- macro a() %}{% endmacro %}\" }",
        "17: payload.x: uses the block `macro`, but only if, for, set and raw can be used here",
    );
    wrong(
        "payload = { x = \"{{ debug() }}\" }",
        &format!("17: payload.x: uses `debug`, which is not known here ({known})"),
    );
    wrong("payload = { x = 2026-01-01 }", "17: payload.x: must be a text, a number, true or false");
    wrong(
        "payload = { occasion = 1 }",
        "24: payload.occasion: `occasion` is said by every payload, and always as it is",
    );
    wrong("payload = 1", "11: payload: must be a table");
}

#[test]
fn an_amount_is_not_compared_as_a_text() {
    let way = "which is a text: write";
    wrong(
        "payload = { x = \"{{ cart.total > 100 }}\" }",
        &format!("17: payload.x: compares `cart.total`, {way} `cart.total | number`"),
    );
    wrong(
        "payload = { x = \"{% if 5 <= cart.total %}a{% endif %}\" }",
        &format!("17: payload.x: compares `cart.total`, {way} `cart.total | number`"),
    );
    check("[payload]\nx = '{{ 5 <= cart.total | number }}'\n", Ok(json!(true)));
}

#[test]
fn wrong_content_has_one_precise_mistake() {
    wrong("content = [{ set = { x = 1 } }]", "12: content[0].when: is missing");
    wrong("content = [{ when = \"true\" }]", "12: content[0].set: is missing");
    wrong(
        "content = [{ when = \"cart.totl\", set = {} }]",
        "21: content[0].when: uses `cart.totl`, which is not known (did you mean `total`?)",
    );
    wrong(
        "content = [{ when = \"(\", set = {} }]",
        "21: content[0].when: is not an expression: syntax error: unexpected end of input, expected expression",
    );
    wrong(
        "content = [{ when = \"true\", set = { key = 1 } }]",
        "43: content[0].set.key: `key` is said by every payload, and always as it is",
    );
    wrong("content_match = \"some\"", "17: content_match: `some` is no way to choose (\"first\" or \"all\")");
}

#[test]
fn names_of_conditions_are_told_apart() {
    let file = |conditions: &str| format!("{HEAD}when.all = [{conditions}]\n");
    let told = |conditions: &str| compile(&file(conditions)).err().unwrap_or_default();
    assert_eq!(
        told("{ did = \"A\", as = \"x\" }, { did = \"B\", as = \"x\" }"),
        ["t.toml:3:56: when.all[1].as: is the name of another condition too"]
    );
    assert_eq!(
        told("{ did = \"A\", as = \"X y\" }"),
        [
            "t.toml:3:31: when.all[0].as: must be lower-case letters, digits and underscores, a letter first (as = \"viewed\")"
        ]
    );
    assert!(
        told("{ did_not = \"A\", within = \"1d\", as = \"x\" }")[0]
            .contains("when.all[0].as: is not a key that is known here")
    );
}

/// What its events are called is no part of what a trigger means.
#[test]
fn a_payload_is_no_meaning() {
    let bare = compile(&format!("{HEAD}{PER_CART}")).expect("a trigger");
    let named = PER_CART.replace("over", "as = \"added\", over");
    let said = compile(&format!("{HEAD}{named}payload = {{ x = 1 }}\n")).expect("a trigger");
    assert_eq!(bare.triggers()[0].meaning, said.triggers()[0].meaning);
}

// === whatever comes ===

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop_oneof![Just("1e308".to_owned()), Just("-3".to_owned()), "[ -~]{0,12}", "\\PC{0,8}"].prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("products"),
        Just("product_id"),
        Just("price"),
        Just("quantity"),
        Just("cart_id"),
        Just("currency"),
        Just("recovery_url"),
        Just("total"),
        Just("variant_id"),
        Just("name")
    ];
    leaf.prop_recursive(4, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|fields| fields
                .into_iter()
                .map(|(name, v)| (name.to_owned(), v))
                .collect::<Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    /// Any properties lead to a payload or to words; both are bounded, and the words are ours.
    #[test]
    fn rendering_is_total(events in prop::collection::vec((0_usize..5, any_json()), 1..12), t in any_json()) {
        const NAMES: [&str; 5] = ["Product Added", "Product Removed", "Order Completed", "Checkout Started", "Cart Viewed"];
        let events: Vec<_> = events.into_iter().map(|(n, p)| (NAMES[n], p)).collect();
        let mut person = ines(&events);
        person.traits.insert("first_name".into(), Trait { at: START, value: t.clone() });
        person.traits.insert("t".into(), Trait { at: START, value: t });
        let text = format!("{HEAD}{PER_CART}[payload]\na = '{{{{ cart }}}}'\nb = '{{{{ cart.total | money }}}}'\n\
            c = '{{% for p in cart.products %}}{{{{ p.name | default(\"\") }}}} {{{{ p.price | default(0) | money }}}}{{% endfor %}}'\n\
            d = '{{{{ traits.t | default(1) | string | upper }}}} {{{{ person }}}}'\ne = '{{{{ last_order | default(0) }}}}'\nf = '{{{{ events }}}}'\n");
        let program = compile(&text).expect("a trigger");
        for key in ["", "1", "c1"] {
            let said = rendered(&program, &person, key);
            prop_assert!(said.payload.to_value().is_object());
            if let Some(words) = said.broken {
                prop_assert!(words.starts_with("`payload.") || words.starts_with("what `t`"), "{words}");
            }
        }
    }

    /// Any template is refused with words, or says something within bounds, or tells why not.
    #[test]
    fn any_template_comes_to_an_end(parts in prop::collection::vec(prop_oneof![
        Just("{{"), Just("}}"), Just("{%"), Just("%}"), Just("for x in "), Just("endfor"), Just("if "), Just("endif"),
        Just("set a = "), Just("range(999)"), Just("cart.products"), Just("events"), Just("person.email"), Just("key"),
        Just(" ~ "), Just(" * "), Just(" | "), Just("join"), Just("length"), Just("money"), Just("default(1)"), Just("x"),
        Just("'"), Just("\\"), Just("-"), Just("{#"), Just("#}"), Just("("), Just(")"), Just("9999999999"), Just("ü"),
        Just("is defined"), Just("replace('', 'xxxxxxxx')"), Just("[0]"), Just("format(1)"), Just("\"%9999999d\""), Just(" "),
    ], 0..24)) {
        let text = parts.concat();
        let line = toml::Value::from(format!("{text} {{{{ 1 }}}}")).to_string();
        for line in [line, toml::Value::from(format!("{{{{ {text} }}}}")).to_string()] {
            match compile(&format!("{HEAD}{PER_CART}[payload]\nx = {line}\n")) {
                Ok(program) => {
                    let said = rendered(&program, &carts(), "c1");
                    prop_assert!(said.payload.get().len() < 200_000);
                    prop_assert!(said.broken.is_none_or(|words| !words.contains("ines@")));
                }
                Err(mistakes) => prop_assert!(mistakes.len() == 1 && !mistakes[0].is_empty(), "{:?}", mistakes),
            }
        }
    }

    /// A link leads to the cart that the key names, whatever else the person does.
    #[test]
    fn a_recovery_link_is_never_another_carts(events in prop::collection::vec((0_u8..4, 0_u8..4, any::<bool>()), 1..40)) {
        let events: Vec<_> = events.into_iter().map(|(what, cart, with_url)| {
            let id = (cart < 3).then(|| format!("c{cart}"));
            let url = with_url.then(|| format!("https://shop.example/{}", id.as_deref().unwrap_or("none")));
            let name = ["Product Added", "Product Removed", "Order Completed", "Checkout Started"][what as usize];
            (name, json!({"cart_id": id, "product_id": "p", "recovery_url": url,
                // A product's own word for its cart does not count.
                "products": [{"product_id": "p", "cart_id": format!("c{}", (cart + 1) % 3)}]}))
        }).collect();
        let person = ines(&events);
        let text = "[payload]\nx = '{{ cart.recovery_url | default(\"\") }}'\nid = '{{ cart.id | default(\"none\") }}'\n";
        let program = compile(&format!("{HEAD}{PER_CART}{text}")).expect("a trigger");
        for key in ["c0", "c1", "c2"] {
            let said = rendered(&program, &person, key);
            if said.broken.is_none() {
                let payload = said.payload.to_value();
                let link = payload["x"].as_str().expect("a text").to_owned();
                prop_assert_eq!(&payload["id"], key);
                prop_assert!(link.is_empty() || link == format!("https://shop.example/{key}"), "{} for {}", link, key);
            }
        }
        let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n{text}");
        let said = rendered(&compile(&text).expect("a trigger"), &person, "");
        let payload = said.payload.to_value();
        if let (None, Some(link), Some(id)) = (said.broken, payload["x"].as_str(), payload["id"].as_str()) {
            prop_assert!(link.is_empty() || link == format!("https://shop.example/{id}"), "{} for {}", link, id);
        }
    }
}

// === what is for sale ===

fn catalogue() -> Arc<Catalogue> {
    let item = |id: &str, stock: Option<i64>| CatalogueItem {
        id: id.into(),
        name: Some(format!("{id} in full").into()),
        url: Some(format!("https://shop.example/{id}").into()),
        image_url: Some(format!("https://shop.example/{id}.jpg").into()),
        price: Some("9.50".into()),
        currency: Some("EUR".into()),
        category: Some("Things".into()),
        stock,
        updated: START,
    };
    let mut catalogue = Catalogue::default();
    for (id, stock) in [("p1", Some(3)), ("p2", None), ("p3", Some(0)), ("p4", Some(2)), ("p5", Some(5))] {
        catalogue.put(item(id, stock));
    }
    Arc::new(catalogue)
}

#[test]
fn the_catalogue_is_looked_up_by_id() {
    says("{{ catalogue[event.product_id].name }} {{ catalogue.p1.price | money }}", json!("p3 in full 9.50"));
    says(
        "{{ catalogue.p1 }}",
        json!({"product_id": "p1", "name": "p1 in full", "category": "Things",
        "url": "https://shop.example/p1", "image_url": "https://shop.example/p1.jpg", "currency": "EUR", "price": "9.5",
        "stock": 3}),
    );
    fails("{{ catalogue[\"p0\"].name }}", "a value that it asks for is not there");
    says("{{ catalogue.p0 is defined }}", json!(false));
}

#[test]
fn the_catalogue_says_what_events_did_not() {
    let text = format!("{HEAD}when = {{ did = \"Product Added\" }}\n[payload]\nx = '{{{{ cart }}}}'\n");
    let person = ines(&[("Product Added", json!({"product_id": "p2", "name": "Own name", "quantity": 2}))]);
    let said = rendered(&compile(&text).expect("a trigger"), &person, "").payload.to_value();
    let product = json!({"product_id": "p2", "name": "Own name", "url": "https://shop.example/p2",
        "image_url": "https://shop.example/p2.jpg", "category": "Things", "currency": "EUR", "price": "9.5", "quantity": 2,
        "total": "19"});
    assert_eq!(said["x"], json!({"products": [product], "quantity": 2, "total": "19", "currency": "EUR"}));
}

#[test]
fn it_is_urgent_when_few_are_left_and_one_at_least() {
    let urgent = "[urgency]\nunder = 4\nset = { x = '{{ stock }} of {{ product.name }}' }\n";
    check(urgent, Ok(json!("3 of p1 in full")));
    check(&urgent.replace('4', "3"), Ok(Value::Null));
    let text = format!("{HEAD}when = {{ did = \"Order Completed\" }}\n{urgent}");
    let program = compile(&text).expect("a trigger");
    for (products, wanted) in [
        (json!([{"product_id": "p1"}, {"product_id": "p4"}, {"product_id": "p3"}]), json!("2 of p4 in full")),
        (json!([{"product_id": "p2"}, {"product_id": "p3"}, {"product_id": "p5"}, {"product_id": "zz"}]), Value::Null),
    ] {
        let person = ines(&[("Order Completed", json!({ "products": products }))]);
        assert_eq!(rendered(&program, &person, "").payload.to_value()["x"], wanted);
    }
    wrong(
        "urgency = { under = 3, set = { x = \"{{ stok }}\" } }",
        "36: urgency.set.x: uses `stok`, which is not known here (did you mean `stock`?)",
    );
    wrong("urgency = { under = 0, set = { x = 1 } }", "21: urgency.under: must be a whole number from 1 to 1000000");
    wrong("urgency = { set = { x = 1 } }", "11: urgency.under: is missing");
}

// === codes ===

#[test]
fn a_code_is_static_or_the_pools() {
    let with = |code: &str| format!("[payload]\nx = 'Say {{{{ code }}}}'\n[code]\n{code}\n");
    check(&with("value = 'TEN'"), Ok(json!("Say TEN")));
    check(&with("pool = 'win-back'"), Ok(json!("Say WIN-BACK-1")));
    check("[code]\npool = 'win-back'\nfield = 'x'\n", Ok(json!("WIN-BACK-1")));
    wrong(
        "code = {}",
        "8: code: says either `value`, the same code for all, or `pool`, one for each occasion (pool = \"win-back\")",
    );
    wrong("code = { value = \"A\", low = 3 }", "29: code.low: is for a pool only");
    wrong("code = { pool = \"Win back\" }", "17: code.pool: must be at most 64 lower-case letters, digits and dashes");
    wrong(
        "payload = { x = \"{{ code }}\" }",
        "17: payload.x: uses `code`, which is not known here (known: trigger, title, \
        occasion, occurred_at, key, person, traits, event, events, products, cart, last_order, catalogue)",
    );
}

#[test]
fn an_empty_pool_sends_nothing_unless_something_else_is_said() {
    let without = |code: &str| {
        let program = compile(&format!("{HEAD}{PER_CART}code = {code}\n")).expect("a trigger");
        let (trigger, person, at) = (&program.triggers()[0], carts(), START + Span::from_hours(1));
        let shelf = Shelf { catalogue: &catalogue(), sales: &Sales::default(), codes: &Codes::default() };
        let occasion = occasion(trigger, person.canonical(), "c1", at);
        payload(&Fire { program: &program, trigger, person: &person, key: "c1", at, occasion, shelf })
    };
    assert_eq!(without("{ pool = \"few\" }").broken.as_deref(), Some("the pool of codes `few` is empty"));
    let said = without("{ pool = \"few\", otherwise = \"FIVE\" }");
    assert_eq!((said.broken, said.payload.to_value()["code"].clone()), (None, json!("FIVE")));
}
