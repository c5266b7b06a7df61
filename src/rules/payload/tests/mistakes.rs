//! Mistakes in what a file says of its payload, each at its place.

use super::*;

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
