//! Whatever comes in events and templates, there is an end, and no other cart's link.

use proptest::prelude::*;
use serde_json::Map;

use super::*;

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

    /// A name by itself says what the language would say of it, and reading all of a thing tells no more than reading
    /// the part of it that is named.
    #[test]
    fn however_a_name_is_read_it_says_the_same(
        events in prop::collection::vec((0_usize..5, any_json()), 1..12), t in any_json(), name in prop::sample::select(&[
            "trigger", "title", "key", "occurred_at", "person", "person.first_name", "person.email", "traits",
            "traits.t", "traits.t.products", "traits.t.name.name", "event", "event.price", "event.products",
            "event.trigger", "products", "products.name", "events", "events.product_added", "cart", "cart.id",
            "cart.products", "cart.quantity", "cart.total", "cart.currency", "cart.recovery_url", "last_order",
            "last_order.id", "last_order.at", "last_order.products", "last_order.total", "last_order.currency",
        ][..]),
    ) {
        const NAMES: [&str; 5] = ["Product Added", "Product Removed", "Order Completed", "Checkout Started", "Cart Viewed"];
        let events: Vec<_> = events.into_iter().map(|(n, p)| (NAMES[n], p)).collect();
        let mut person = ines(&events);
        person.traits.insert("first_name".into(), Trait { at: START, value: t.clone() });
        person.traits.insert("t".into(), Trait { at: START, value: t });
        let says = |lines: &str, key: &str| {
            let said = rendered(&compile(&format!("{HEAD}{PER_CART}[payload]\n{lines}")).expect("a trigger"), &person, key);
            (said.payload.get().to_owned(), said.broken)
        };
        for key in ["", "1", "c1"] {
            for done in ["", " | default(\"-\")", " is defined", " | money"] {
                let alone = says(&format!("x = '{{{{ {name}{done} }}}}'\n"), key);
                prop_assert_eq!(&alone, &says(&format!("x = '{{{{ ({name}){done} }}}}'\n"), key), "{}", done);
            }
            let when = |name: &str| format!("[[content]]\nwhen = '{name} is defined'\nset = {{ x = 1 }}\n");
            prop_assert_eq!(says(&when(name), key), says(&when(&format!("({name})")), key));
            let with_all = says(&format!("x = '{{{{ ({name}) }}}}'\ny = '{{% if true %}}{{% endif %}}'\n"), key);
            let with_more = says(&format!("x = '{{{{ ({name}) }}}}'\ny = ''\n"), key);
            prop_assert_eq!(with_all, with_more);
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
