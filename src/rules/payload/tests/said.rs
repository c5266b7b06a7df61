//! What templates and content say, and the words where they cannot.

use super::*;

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
