//! Recommendations, in tables and against a naive computation.

use std::collections::BTreeSet;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{START, ines};
use crate::model::{
    Catalogue, CatalogueItem, Codes, Entry, History, Origin, Person, Position, RawJson, Sales, Span, Timestamp,
};
use crate::rules::payload::{Fire, Shelf, occasion, payload};
use crate::rules::tests::{HEAD, compile};

/// An order: who, how many days after the start, which products.
type Order = (usize, i64, Vec<u8>);

fn day(n: i64) -> Timestamp {
    START + Span::from_days(n)
}

fn id(n: u8) -> String {
    format!("p{n}")
}

/// Four people and what they ordered.
fn people(orders: &[Order]) -> Vec<Person> {
    let mut people: Vec<Person> = (0..4).map(|_| ines(&[])).collect();
    for (n, (who, at, products)) in orders.iter().enumerate() {
        let products: Vec<Value> = products.iter().map(|n| json!({ "product_id": id(*n) })).collect();
        let properties = RawJson::from_value(&json!({ "order_id": n, "products": products }));
        let (at, position) = (day(*at) + Span::from_hours(1), Position(n as u64 + 1));
        people[who % 4].history.push(Entry::new(
            at,
            position,
            "Order Completed".into(),
            Origin::System,
            None,
            properties,
        ));
    }
    people
}

fn counted(people: &[Person]) -> Sales {
    let mut sales = Sales::default();
    people.iter().for_each(|person| sales.count(&person.history));
    sales
}

/// Products 0 to 9 are for sale, in two categories; 7 is sold out.
fn catalogue() -> Arc<Catalogue> {
    let mut catalogue = Catalogue::default();
    for n in 0..10 {
        catalogue.put(CatalogueItem {
            id: id(n).into(),
            name: None,
            url: None,
            image_url: None,
            price: None,
            currency: None,
            category: Some(if n % 2 == 0 { "Even" } else { "Odd" }.into()),
            stock: (n == 7).then_some(0),
            updated: START,
        });
    }
    Arc::new(catalogue)
}

/// What the first of them is recommended on day `at`.
fn recommended(table: &str, people: &[Person], at: i64, catalogue: &Arc<Catalogue>) -> Vec<String> {
    let text = format!("{HEAD}when = {{ last = \"Order Completed\", over = \"1s\" }}\nrecommend = {table}\n");
    let program = compile(&text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let (trigger, at) = (&program.triggers()[0], day(at) + Span::from_hours(2));
    let shelf = Shelf { catalogue, sales: &counted(people), codes: &Codes::default() };
    let occasion = occasion(trigger, people[0].canonical(), "", at);
    let said = payload(&Fire { program: &program, trigger, person: &people[0], key: "", at, occasion, shelf });
    assert_eq!(said.broken, None);
    let list = said.payload.to_value()["recommended"].clone();
    list.as_array().expect("a list").iter().map(|p| p["product_id"].as_str().expect("an id").to_owned()).collect()
}

#[track_caller]
fn check(table: &str, orders: &[Order], at: i64, wanted: &[&str]) {
    assert_eq!(recommended(table, &people(orders), at, &catalogue()), wanted, "{table}");
}

#[test]
fn what_went_together_most_comes_first() {
    let orders = [(0, 0, vec![0]), (1, 1, vec![0, 1, 2]), (2, 1, vec![2, 0]), (3, 1, vec![0, 9]), (3, 2, vec![5, 6])];
    check("{ by = [\"bought-together\"] }", &orders, 3, &["p2", "p1", "p9"]);
    check("{ by = [\"bought-together\"], count = 1 }", &orders, 3, &["p2"]);
}

#[test]
fn each_way_goes_on_where_the_one_before_ends() {
    let orders = [(0, 0, vec![0]), (1, 1, vec![0, 1]), (2, 1, vec![6]), (3, 2, vec![5]), (3, 2, vec![5, 9])];
    check("{ count = 5 }", &orders, 3, &["p1", "p6", "p2", "p4", "p8"]);
    check(
        "{ by = [\"popular\", \"fixed\"], fixed = [\"p3\", \"p7\", \"p99\", \"p1\"], count = 6 }",
        &orders,
        3,
        &["p5", "p1", "p6", "p9", "p3"],
    );
}

#[test]
fn what_was_just_bought_is_not_recommended() {
    let orders = [(0, 0, vec![1]), (0, 20, vec![2]), (0, 45, vec![0]), (1, 44, vec![0, 1, 2, 3])];
    check("{ by = [\"bought-together\"] }", &orders, 46, &["p1", "p3"]);
    check("{ by = [\"bought-together\"] }", &orders, 60, &["p1", "p2", "p3"]);
}

#[test]
fn popular_is_of_the_last_days() {
    let orders =
        [(0, 50, vec![0]), (1, 1, vec![3]), (2, 1, vec![3]), (3, 42, vec![4]), (3, 45, vec![4]), (2, 45, vec![5])];
    check("{ by = [\"popular\"] }", &orders, 50, &["p4", "p5"]);
    check("{ by = [\"popular\"], within = \"5d\" }", &orders, 50, &[]);
    check("{ by = [\"popular\"], within = \"60d\" }", &orders, 50, &["p3", "p4", "p5"]);
}

#[test]
fn an_order_told_twice_counts_once() {
    let order = |position, order: Value| {
        let properties =
            RawJson::from_value(&json!({ "order_id": order, "products": [{"product_id": "a"}, {"sku": "b"}] }));
        Entry::new(START, Position(position), "Order Completed".into(), Origin::System, None, properties)
    };
    let mut history = History::default();
    for (n, told) in [json!("o1"), json!("o1"), json!("o2"), Value::Null, Value::Null].into_iter().enumerate() {
        history.push(order(n as u64, told));
    }
    let mut sales = Sales::default();
    sales.count(&history);
    assert_eq!(sales.with("a").collect::<Vec<_>>(), [("b", 4)]);
    let (popular, never) = (sales.popular(START, 1), sales.popular(START, 0));
    assert_eq!(popular.products().map(|id| (id, popular.count(id))).collect::<Vec<_>>(), [("a", 4), ("b", 4)]);
    assert!(sales.with("zz").next().is_none() && never.products().next().is_none());
}

#[test]
fn a_cart_is_not_recommended_what_is_in_it() {
    let others = people(&[(1, 0, vec![0, 1, 2]), (2, 0, vec![0, 2])]);
    let mut person = ines(&[
        ("Product Added", json!({"cart_id": "c", "product_id": "p0"})),
        ("Product Added", json!({"cart_id": "c", "product_id": "p2"})),
    ]);
    person.history.push(Entry::new(
        START + Span::from_minutes(9),
        Position(9),
        "Product Viewed".into(),
        Origin::Tracking,
        None,
        RawJson::trusted("{\"product_id\":\"p0\"}"),
    ));
    let text = format!(
        "{HEAD}when = {{ did = \"Product Viewed\" }}\n[payload]\nx = '{{{{ recommended | map(attribute=\"product_id\") | list }}}}'\n[recommend]\nfield = 'r'\n"
    );
    let program = compile(&text).expect("a trigger");
    let trigger = &program.triggers()[0];
    let shelf = Shelf { catalogue: &Arc::default(), sales: &counted(&others), codes: &Codes::default() };
    let occasion = occasion(trigger, None, "", day(1));
    let said = payload(&Fire { program: &program, trigger, person: &person, key: "", at: day(1), occasion, shelf });
    let said = (said.broken, said.payload.to_value());
    assert_eq!((said.0, &said.1["x"], &said.1["r"]), (None, &json!(["p1"]), &json!([{"product_id": "p1"}])));
}

#[test]
fn a_wrong_table_has_one_precise_mistake() {
    let told = |table: &str| {
        compile(&format!("{HEAD}when = {{ did = \"A\" }}\nrecommend = {table}\n")).err().unwrap_or_default()
    };
    assert_eq!(
        told("{ by = [\"popularity\"] }"),
        ["t.toml:4:21: recommend.by[0]: `popularity` is no way to recommend (did you mean `popular`?)"]
    );
    assert_eq!(
        told("{ by = [\"fixed\"] }"),
        ["t.toml:4:20: recommend.by: names `fixed`, but there is no such list (fixed = [\"p1\", \"p2\"])"]
    );
    assert_eq!(
        told("{ within = \"36h\" }"),
        ["t.toml:4:24: recommend.within: must be whole days, at most 366 (within = \"30d\")"]
    );
    assert_eq!(told("{ count = 21 }"), ["t.toml:4:23: recommend.count: must be a whole number from 1 to 20"]);
}

// === against a naive computation ===

/// Bought together, then popular, straight from the lists of orders.
fn naive(orders: &[Order], at: i64, days: i64, count: usize) -> Vec<String> {
    let set = |products: &[u8]| products.iter().copied().collect::<BTreeSet<u8>>();
    let own: Vec<&Order> = orders.iter().filter(|(who, day, _)| who % 4 == 0 && *day <= at).collect();
    // The newest; of one day, the one that came last.
    let last = own
        .iter()
        .enumerate()
        .max_by_key(|(n, (_, day, _))| (*day, *n))
        .map(|(_, order)| set(&order.2))
        .unwrap_or_default();
    let mut not = last.clone();
    for (_, day, products) in &own {
        if at - day < 30 {
            not.extend(set(products));
        }
    }
    let together = |n: u8| -> usize {
        last.iter()
            .map(|from| orders.iter().filter(|(_, _, p)| p.contains(from) && p.contains(&n) && *from != n).count())
            .sum()
    };
    let popular = |n: u8| orders.iter().filter(|(_, day, p)| *day > at - days && *day <= at && p.contains(&n)).count();
    let mut chosen: Vec<u8> = Vec::new();
    for score in [&together as &dyn Fn(u8) -> usize, &popular] {
        let mut ranked: Vec<u8> = (0..12).filter(|n| score(*n) > 0).collect();
        ranked.sort_by_key(|n| (std::cmp::Reverse(score(*n)), id(*n)));
        for n in ranked {
            if chosen.len() < count && !not.contains(&n) && !chosen.contains(&n) && n < 10 && n != 7 {
                chosen.push(n);
            }
        }
    }
    chosen.into_iter().map(id).collect()
}

proptest! {
    #[test]
    fn recommendations_are_those_of_a_naive_computation(
        orders in prop::collection::vec((0_usize..8, 0_i64..100, prop::collection::btree_set(0_u8..12, 1..5)), 0..60),
        at in 50_i64..101, days in 1_i64..60, count in 1_usize..12,
    ) {
        let orders: Vec<Order> = orders.into_iter().map(|(who, day, p)| (who, day, p.into_iter().collect())).collect();
        let people = people(&orders);
        let table = format!("{{ by = [\"bought-together\", \"popular\"], within = \"{days}d\", count = {count} }}");
        let said = recommended(&table, &people, at, &catalogue());
        prop_assert_eq!(&said, &naive(&orders, at, days, count));
        // The same, whatever the order in which people are counted.
        let mut turned: Vec<Person> = people.clone();
        turned[1..].reverse();
        prop_assert_eq!(said, recommended(&table, &turned, at, &catalogue()));
    }
}
