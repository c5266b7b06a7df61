//! The catalogue and the pools of codes.

use super::*;

fn for_sale(id: &str, name: &str, updated: i64) -> CatalogueItem {
    CatalogueItem {
        id: id.into(),
        name: Some(name.into()),
        url: None,
        image_url: None,
        price: None,
        currency: None,
        category: Some("Lamps".into()),
        stock: Some(3),
        updated: at(updated),
    }
}

pub async fn the_catalogue_keeps_the_newest_word(open: Open<'_>) {
    let store = open();
    let before = store.catalogue();
    let put = store.put_items(vec![for_sale("p1", "Lamp", 5), for_sale("p2", "Oar", 5), for_sale("p1", "Older", 4)]);
    let stocked = put.await.expect("a put");
    assert_eq!(stocked, Stocked { new: 2, known: 1, ..Stocked::default() });
    let put =
        store.put_items(vec![for_sale("p1", "Older", 4), for_sale("p2", "Better oar", 6), for_sale("p1", "Lamp", 5)]);
    assert_eq!(put.await.expect("a put"), Stocked { changed: 1, known: 2, ..Stocked::default() });
    assert!(before.is_empty(), "what was lent is as it was");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    let catalogue = store.catalogue();
    assert_eq!((catalogue.len(), catalogue.get("p1")), (2, Some(&for_sale("p1", "Lamp", 5))));
    assert_eq!(catalogue.get("p2"), Some(&for_sale("p2", "Better oar", 6)));
    assert_eq!(catalogue.of_category("Lamps").collect::<Vec<_>>(), ["p1", "p2"]);
    assert_eq!(*store.claim(1).await.expect("a claim").loaded.catalogue, *catalogue, "a step is lent it");
    store.close().await.expect("a close");
}

/// A step that gives these occasions the next code of the pool.
async fn give(store: &dyn Store, pool: &str, occasions: &[u64]) -> Vec<Option<String>> {
    let mut codes = store.claim(1).await.expect("a claim").loaded.codes;
    let mut changes = Changes::default();
    let mut got = Vec::new();
    for n in occasions {
        let given = codes.of(pool, occasion(*n));
        got.push(given.as_ref().map(|given| given.code.to_string()));
        if let Some(given) = given {
            codes.give(&given);
            changes.codes.push(given);
        }
    }
    store.commit(Loaded::default(), changes).await.expect("a commit");
    got
}

pub async fn codes_are_given_in_order_and_once(open: Open<'_>) {
    let store = open();
    let add = |codes: &[&str]| codes.iter().map(|code| Box::from(*code)).collect::<Vec<Box<str>>>();
    let added = store.add_codes("a", add(&["A1", "A2", "A1", "A3"])).await.expect("an import");
    assert_eq!(added, Added { new: 3, known: 1, too_many: 0 });
    // Also what another pool has is known, and what was given.
    let some = |codes: &[&str]| codes.iter().map(|code| Some((*code).to_owned())).collect::<Vec<_>>();
    assert_eq!(give(&*store, "a", &[501, 502]).await, some(&["A1", "A2"]));
    assert_eq!(store.add_codes("b", add(&["A1", "A3", "B1"])).await.expect("an import").new, 1);
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(give(&*store, "a", &[503, 504]).await, [Some("A3".to_owned()), None]);
    assert_eq!(give(&*store, "none", &[505]).await, [None]);
    assert_eq!(store.add_codes("a", add(&["A2", "A4"])).await.expect("an import").new, 1);
    assert_eq!(give(&*store, "a", &[506, 507]).await, [Some("A4".to_owned()), None]);
    let count = |name: &str, added, left| PoolCount { name: name.into(), added, left };
    assert_eq!(store.pools(), [count("a", 4, 0), count("b", 1, 1)]);
    store.close().await.expect("a close");
}
