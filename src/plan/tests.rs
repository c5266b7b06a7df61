use serde_json::Value;

use super::needs;
use crate::identity;
use crate::model::{FieldKind, Need};
use crate::rules::{Program, Settings};

const CART: &str = r#"
name = "cart"
per = "cart_id"
when = { did = "Product Added" }
activate = [{ destination = "hubspot", event = "Cart" }, { destination = "klaviyo", event = "Cart", void = "Not Left" }]
payload = { note = "{{ event.note }}", left = 3, link = "https://shop.example/{{ key }}", is_new = "{{ event.n == 1 }}" }
types = { coupon = "text", quantity = "number" }
[[test]]
name = "t"
events = ["+0m Product Added cart_id=c1 price=20.50 quantity=2 note=hi n=1"]
fires = ["+0m"]
"#;

const OTHER: &str = r#"
name = "other"
when = { did = "Viewed" }
activate = [{ destination = "hubspot", event = "Cart" }]
payload = { left = "few" }
"#;

const SEEN: &str =
    "name = \"seen\"\nwhen = { did = \"Viewed\" }\nactivate = [{ destination = \"hubspot\", event = \"Seen\" }]\n";

const LISTS: &str = r#"
name = "NAME"
once = true
when = { did = "Viewed" }
activate = [{ destination = "marketo", list = "7" }, { destination = "marketo", campaign = "12" }]
"#;

fn of(lane: &str) -> Vec<Need> {
    of_files(lane, &[("cart", CART), ("other", OTHER), ("seen", SEEN)])
}

fn of_files(lane: &str, files: &[(&str, &str)]) -> Vec<Need> {
    let files: Vec<_> = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let program = Program::compile(&files, &Settings::default(), None).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    needs(&program, &identity::Settings::default()).remove(lane).unwrap_or_default()
}

fn kind(need: &Need, name: &str) -> Option<FieldKind> {
    need.fields.iter().find(|field| field.name == name).map(|field| field.kind)
}

#[test]
fn types_are_declared_or_follow_from_tests_or_from_the_file() {
    let cart = of("klaviyo").remove(0);
    assert_eq!((cart.action.of(), cart.triggers.len()), ("Cart", 1));
    for (name, wanted) in [
        ("trigger", FieldKind::Text),
        ("occurred_at", FieldKind::Datetime),
        ("key", FieldKind::Text),
        ("note", FieldKind::Text),
        ("left", FieldKind::Number),
        ("link", FieldKind::Text),
        ("is_new", FieldKind::Boolean),
        ("price", FieldKind::Number),
        ("quantity", FieldKind::Number),
        ("coupon", FieldKind::Text),
        ("cart_id", FieldKind::Text),
    ] {
        assert_eq!(kind(&cart, name), Some(wanted), "{name}");
    }
}

#[test]
fn the_word_that_an_event_is_void_is_needed_too() {
    let needs = of("klaviyo");
    let void = needs.iter().find(|need| need.action.of() == "Not Left").expect("it is needed");
    let fields: Vec<_> = void.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["trigger", "occasion", "voids", "key", "occurred_at", "voids_of"]);
    assert_eq!(kind(void, "voids_of"), Some(FieldKind::Datetime));
}

#[test]
fn an_event_of_several_triggers_has_the_fields_of_all() {
    let needs = of("hubspot");
    assert_eq!(needs.iter().map(|need| need.action.of()).collect::<Vec<_>>(), ["Cart", "Seen"]);
    assert_eq!(needs[0].triggers.len(), 2);
    assert_eq!(kind(&needs[0], "left"), Some(FieldKind::Text), "a number here, a text there");
    assert_eq!(kind(&needs[1], "left"), None);
    assert_eq!(kind(&needs[1], "key"), None);
}

#[test]
fn a_sort_of_value_that_is_none_is_a_mistake_with_its_place() {
    let text = CART.replace("quantity = \"number\"", "quantity = \"nubmer\"");
    let wrong = Program::compile(&[("cart".to_owned(), text)], &Settings::default(), None);
    let told: Vec<String> = wrong.err().unwrap_or_default().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["cart:7:39: types.quantity: `nubmer` is no sort of value (did you mean `number`?)"]);
    assert_eq!(FieldKind::of([&Value::Null]), None);
}

#[test]
fn lists_and_campaigns_are_needed_and_how_often_for_a_person() {
    let [one, other] = ["one", "other"].map(|name| LISTS.replace("NAME", name));
    let told = |needs: Vec<Need>| -> Vec<_> {
        needs.iter().map(|need| (need.action.to_string(), need.triggers.len(), need.repeats)).collect()
    };
    let needed =
        |triggers, repeats| ["list 7", "campaign 12"].map(|what| (what.to_owned(), triggers, repeats)).to_vec();
    assert_eq!(told(of_files("marketo", &[("one", &one)])), needed(1, false));
    assert_eq!(told(of_files("marketo", &[("one", &one), ("other", &other)])), needed(2, true));
    let again = one.replace("once = true", "once = true\nper = \"cart_id\"");
    assert_eq!(told(of_files("marketo", &[("one", &again)])), needed(1, true), "for each cart");
    assert!(of("hubspot").iter().all(|need| need.repeats));
}
