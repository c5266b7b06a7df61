//! Salesforce: sessions, queries, cursors, the day's calls.

use serde_json::{Value, json};

use super::{Reply, World};
use crate::sandbox::Options;
use crate::sandbox::call::encoded;

impl World {
    async fn session(&self) -> String {
        let form = "grant_type=client_credentials&client_id=sandbox&client_secret=sandbox".to_owned();
        let reply = self.send("POST", "/salesforce/services/oauth2/token", &[], form).await;
        assert_eq!(
            (reply.at("/instance_url"), reply.at("/expires_in")),
            (&json!("http://127.0.0.1/salesforce"), &Value::Null)
        );
        reply.at("/access_token").as_str().expect("a session").to_owned()
    }
    async fn soql(&self, session: &str, verb: &str, query: &str) -> Reply {
        let path = format!("/salesforce/services/data/v66.0/{verb}?q={}", encoded(query));
        self.get(&path, &[("authorization", &format!("Bearer {session}"))]).await
    }
}

const CONTACTS: &str = "SELECT Id,IsDeleted,Email,Account.Name,SystemModstamp FROM Contact WHERE \
    SystemModstamp>=2026-11-23T15:00:10.000Z AND SystemModstamp<2026-11-23T15:30:00.000+00:00 ORDER BY SystemModstamp,Id";

#[tokio::test]
async fn salesforce_pages_through_a_window() {
    let world = World::free();
    let session = world.session().await;
    let ids = world.fill("salesforce", "Contact", 3_000);
    world.fill("salesforce", "Account", 20);
    let auth = format!("Bearer {session}");
    let path = format!("/salesforce/services/data/v66.0/queryAll?q={}", encoded(CONTACTS));
    let headers = [("authorization", auth.as_str()), ("sforce-query-options", "batchSize=500")];
    let mut page = world.get(&path, &headers).await;
    assert_eq!((page.at("/totalSize"), page.at("/done")), (&json!(1_790), &json!(false)), "{:?}", page.body);
    let first = page.at("/records/0");
    assert_eq!(
        (first["Account"]["Name"].clone(), first["SystemModstamp"].clone()),
        (json!("Example 11"), json!("2026-11-23T15:00:10.000+0000"))
    );
    assert_eq!(first.get("LastName"), None);
    while let Some(next) = page.at("/nextRecordsUrl").as_str().map(str::to_owned) {
        // From the root of the host, and below the account as well.
        let path = if next.ends_with("-500") { next } else { format!("/salesforce{next}") };
        page = world.get(&path, &headers).await;
        assert_eq!(page.status, 200, "{path}");
    }
    assert_eq!(world.read("salesforce"), ids[10..1_800]);
}

#[tokio::test]
async fn salesforce_shows_deleted_records_to_query_all_only() {
    let world = World::free();
    let session = world.session().await;
    let ids = world.fill("salesforce", "Contact", 3);
    world
        .sandbox
        .change("salesforce", "Contact", &ids[1], json!({"IsDeleted": true, "MasterRecordId": ids[0]}))
        .expect("a contact");
    let query = "SELECT Id FROM Contact WHERE (Email = 'PERSON2@example.com' OR Email = null)";
    assert_eq!(world.soql(&session, "query", query).await.at("/totalSize"), 0);
    assert_eq!(world.soql(&session, "queryAll", query).await.at("/totalSize"), 1);
    let late = "SELECT Id FROM Contact WHERE SystemModstamp >= 2026-11-23T16:00:00Z LIMIT 5";
    assert_eq!(world.soql(&session, "queryAll", late).await.at("/records/0/Id"), &json!(ids[1]));
    world.sandbox.put("salesforce", "Cart__c", json!({"Total__c": 7.5})).expect("a custom object");
    let custom = "SELECT Id, Total__c FROM Cart__c WHERE Total__c > 7";
    assert_eq!(world.soql(&session, "query", custom).await.at("/records/0/Total__c"), 7.5);
    let describe = world
        .get(
            "/salesforce/services/data/v66.0/sobjects/Cart__c/describe",
            &[("authorization", &format!("Bearer {session}"))],
        )
        .await;
    assert_eq!(describe.at("/fields/0/name"), "Total__c");
}

#[tokio::test]
async fn salesforce_says_what_is_wrong_with_a_query() {
    let world = World::free();
    let session = world.session().await;
    for (query, code) in [
        ("SELECT Id, Colour FROM Contact", "INVALID_FIELD"),
        ("SELECT Id, Owner.Shoe FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Contact WHERE Colour = 'red'", "INVALID_FIELD"),
        ("SELECT Id FROM Basket", "INVALID_TYPE"),
        ("SELECT Id FROM", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE SystemModstamp >= '2026", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE SystemModstamp >= 2026-11-23T10:00:00", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Email = 'a' AND Email = 'b' OR Email = 'c'", "MALFORMED_QUERY"),
    ] {
        let reply = world.soql(&session, "query", query).await;
        assert_eq!((reply.status, reply.at("/0/errorCode")), (400, &json!(code)), "{query}");
    }
}

#[tokio::test]
async fn salesforce_ends_sessions_and_cursors() {
    let world = World::free();
    let session = world.session().await;
    world.fill("salesforce", "Contact", 2_500);
    let page = world.soql(&session, "query", "SELECT Id FROM Contact").await;
    let next = page.at("/nextRecordsUrl").as_str().expect("a next page").to_owned();
    world.turn(16 * 60_000);
    let auth = format!("Bearer {session}");
    let gone = world.get(&format!("/salesforce{next}"), &[("authorization", &auth)]).await;
    assert_eq!((gone.status, gone.at("/0/errorCode")), (400, &json!("INVALID_QUERY_LOCATOR")));
    world.fault(json!({"vendor": "salesforce", "kind": "revoke_token"})).await;
    for _ in 0..2 {
        let dead = world.soql(&session, "query", "SELECT Id FROM Contact").await;
        assert_eq!((dead.status, dead.at("/0/errorCode")), (401, &json!("INVALID_SESSION_ID")));
    }
    let session = world.session().await;
    assert_eq!(world.soql(&session, "query", "SELECT Id FROM Contact").await.status, 200);
    world.turn(3 * 3_600_000);
    assert_eq!(world.soql(&session, "query", "SELECT Id FROM Contact").await.status, 401);
    let wrong = "grant_type=client_credentials&client_id=sandbox&client_secret=x".to_owned();
    assert_eq!(
        world.send("POST", "/salesforce/services/oauth2/token", &[], wrong).await.at("/error"),
        "invalid_client"
    );
}

#[tokio::test]
async fn salesforce_counts_the_calls_of_a_day() {
    let world = World::new(Options { daily_calls: 3, ..Options::default() });
    let session = world.session().await;
    for used in 1..=3 {
        let reply = world.soql(&session, "query", "SELECT Id FROM Contact").await;
        assert_eq!((reply.status, reply.header("sforce-limit-info")), (200, format!("api-usage={used}/3").as_str()));
    }
    let spent = world.soql(&session, "query", "SELECT Id FROM Contact").await;
    assert_eq!((spent.status, spent.at("/0/errorCode")), (403, &json!("REQUEST_LIMIT_EXCEEDED")));
    assert_eq!(world.counts("salesforce").throttled, 1);
    world.turn(86_400_000);
    let session = world.session().await;
    assert_eq!(world.soql(&session, "query", "SELECT Id FROM Contact").await.status, 200);
}

#[tokio::test]
async fn salesforce_gives_what_belongs_to_a_record() {
    let world = World::free();
    let session = world.session().await;
    for kind in ["Contact", "Product2", "Opportunity", "Order", "OrderItem", "OpportunityHistory"] {
        world.fill("salesforce", kind, 2);
    }
    let query = "SELECT Id,BillToContact.Email,(SELECT Quantity,Product2.Name FROM OrderItems) FROM Order WHERE OrderNumber = '00000002'";
    let order = world.soql(&session, "query", query).await;
    assert_eq!(order.at("/records/0/BillToContact/Email"), "person2@example.com", "{:?}", order.body);
    assert_eq!(order.at("/records/0/OrderItems/totalSize"), 1);
    assert_eq!(order.at("/records/0/OrderItems/records/0/Product2/Name"), "Linen apron");
    let query = "SELECT Id,Opportunity.Contact.Email FROM OpportunityHistory WHERE StageName = 'Prospecting'";
    let steps = world.soql(&session, "query", query).await;
    assert_eq!(steps.at("/records/1/Opportunity/Contact/Email"), "person2@example.com", "{:?}", steps.body);
    let wrong = "SELECT Id,(SELECT Colour FROM OrderItems) FROM Order";
    assert_eq!(world.soql(&session, "query", wrong).await.at("/0/errorCode"), "INVALID_FIELD");
}
