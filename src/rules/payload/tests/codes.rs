//! Codes: the same for all, or one of a pool that may be empty.

use super::*;

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
