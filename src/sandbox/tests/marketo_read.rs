//! Marketo read back: activities of its own types, with pages that come empty and go on.

use serde_json::{Value, json};

use super::World;
use crate::model::Timestamp;

impl World {
    /// The sizes of the pages from a token on, and the last token.
    async fn marketo_pages(&self, mut place: String, types: &str) -> (Vec<usize>, String) {
        let token = self.token().await;
        let mut sizes = Vec::new();
        loop {
            let path = format!("activities.json?nextPageToken={place}&activityTypeIds={types}");
            let page = self.marketo(&token, &path, &Value::Null).await;
            assert_eq!(page.at("/success"), &json!(true), "{:?}", page.body);
            sizes.push(page.at("/result").as_array().map_or(0, Vec::len));
            page.at("/nextPageToken").as_str().expect("a token").clone_into(&mut place);
            if page.at("/moreResult") == &json!(false) {
                return (sizes, place);
            }
        }
    }
    async fn paging_token(&self, since: &str) -> String {
        let token = self.token().await;
        let page =
            self.marketo(&token, &format!("activities/pagingtoken.json?sinceDatetime={since}"), &Value::Null).await;
        page.at("/nextPageToken").as_str().expect("a token").to_owned()
    }
}

#[tokio::test]
async fn marketo_goes_on_through_pages_that_are_empty() {
    let world = World::free();
    world.fill("marketo", "leads", 3_200);
    world.fill("marketo", "activities", 3_200);
    let open = json!({"leadId": 1_001, "activityTypeId": 10, "activityDate": "2026-11-23T15:30:00+0000"});
    world.sandbox.put("marketo", "activities", open.clone()).expect("an activity");
    let start = world.paging_token("2026-11-23T10:00:00Z").await;
    assert_eq!(world.marketo_pages(start.clone(), "10").await.0, [0, 0, 0, 1]);
    let (sizes, place) = world.marketo_pages(start, "10,11").await;
    assert_eq!(sizes.iter().sum::<usize>(), 3_201);
    // The last token goes on where it was, also for what comes in with an earlier date.
    assert_eq!(world.marketo_pages(place.clone(), "10,11").await.0, [0]);
    world.sandbox.put("marketo", "activities", open.clone()).expect("an activity");
    let late = Timestamp::from_millis(super::START + 60_000);
    world.sandbox.put_late("marketo", "activities", open, late).expect("an activity");
    let (sizes, place) = world.marketo_pages(place, "10,11").await;
    assert_eq!(sizes, [1]);
    world.turn(60_000);
    assert_eq!(world.marketo_pages(place, "10,11").await.0, [1]);
    let token = world.token().await;
    let types = world.marketo(&token, "activities/types.json", &Value::Null).await;
    assert_eq!(types.at("/result/7/name"), "Click Email");
    assert!(world.sandbox.put("marketo", "activities", json!({"leadId": 9, "activityTypeId": 10})).is_err());
}

#[tokio::test]
async fn marketo_says_inside_that_a_token_was_revoked() {
    let world = World::free();
    let token = world.token().await;
    world.fault(json!({"vendor": "marketo", "kind": "revoke_token"})).await;
    world.fault(json!({"vendor": "marketo", "kind": "revoke_scope"})).await;
    world.fault(json!({"vendor": "marketo", "kind": "error_inside", "code": "713"})).await;
    let code =
        async |token: &str| world.marketo(token, "stats/usage.json", &Value::Null).await.at("/errors/0/code").clone();
    assert_eq!(code(&token).await, "601");
    assert_eq!(code(&token).await, "603");
    assert_eq!(code(&token).await, "713");
    assert_eq!(code(&token).await, "601", "the old one stays dead");
    let token = world.token().await;
    assert_eq!(code(&token).await, Value::Null);
}
