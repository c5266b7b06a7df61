//! What the adapters' tests share: activations, answers, and a way to hold a whole conversation.

use serde_json::Value;

use super::account::{Asking, Difference, Inquiry};
use super::inventory::Sight;
use super::{Destination, Exchange, Halt, Item, Next};
use crate::model::http::{Answer, Request, Response};
use crate::model::{
    Action, Activation, Identifier, IdentifierKind, Need, OccasionId, Outcome, PersonId, RawJson, Timestamp,
};

/// Every test's now.
pub const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Of a person with the address `p<n>@example.com`, a minute ago.
pub fn item(n: u8) -> Item {
    of(n, vec![Identifier::new(IdentifierKind::Email, format!("p{n}@example.com"))])
}

/// Of a person with these names.
pub fn of(n: u8, identifiers: Vec<Identifier>) -> Item {
    let activation = Activation {
        occasion: OccasionId([n; 16]),
        lane: "lane".into(),
        trigger: "cart-abandoned-30m".into(),
        person: PersonId([n; 16]),
        identifiers,
        traits: RawJson::trusted(r#"{"firstName":"Ines","last_name":"Mota"}"#),
        key: "".into(),
        at: NOW - crate::model::Span::from_minutes(1),
        action: Action::Event("Cart Abandoned".into()),
        priority: 5,
        expires_at: NOW + crate::model::Span::from_days(1),
        not_before: None,
        payload: RawJson::trusted(r#"{"total":"20.50","currency":"eur","products":[{"name":"Cup"}]}"#),
        broken: None,
    };
    Item { activation, may_have_left: false }
}

/// The same, of something else to do.
pub fn doing(n: u8, action: Action) -> Item {
    let mut item = item(n);
    item.activation.action = action;
    item
}

/// An answer with a body.
pub fn came(status: u16, body: Value) -> Answer {
    Answer::Came(Response { status, headers: Vec::new(), body: body.to_string().into_bytes() })
}

/// An answer with a header.
pub fn with(name: &str, value: &str, status: u16, body: Value) -> Answer {
    let headers = vec![(name.to_owned(), value.to_owned())];
    Answer::Came(Response { status, headers, body: body.to_string().into_bytes() })
}

/// How a conversation went.
pub struct Talk {
    pub asked: Vec<Request>,
    pub outcomes: Vec<Option<(u16, Outcome)>>,
    pub halt: Option<Halt>,
}

impl Talk {
    /// Holds it; `vendor` answers the nth request.
    pub fn with(mut exchange: Box<dyn Exchange>, mut vendor: impl FnMut(usize, &Request) -> Answer) -> Self {
        let mut asked = Vec::new();
        let (mut answer, mut now) = (None, NOW);
        loop {
            match exchange.next(answer.take(), now) {
                Next::Wait(until) => {
                    assert!(until > now, "it waits for nothing");
                    now = until;
                }
                Next::Ask(request) => {
                    assert!(asked.len() < 10_000, "the conversation does not end");
                    answer = Some(vendor(asked.len(), &request));
                    asked.push(*request);
                }
                Next::Done { outcomes, halt } => return Self { asked, outcomes, halt },
            }
        }
    }

    /// One word for each record's outcome.
    pub fn words(&self) -> Vec<&str> {
        let word = |outcome: &Option<(u16, Outcome)>| match outcome {
            None => "untried",
            Some((_, Outcome::Accepted)) => "accepted",
            Some((_, Outcome::Duplicate)) => "duplicate",
            Some((_, Outcome::Later { may_have_left: true, .. })) => "unclear",
            Some((_, Outcome::Later { .. })) => "later",
            Some((_, Outcome::Refused { .. })) => "refused",
            Some((_, Outcome::Expired | Outcome::Cancelled)) => "gone",
        };
        self.outcomes.iter().map(word).collect()
    }

    /// The paths asked for.
    pub fn paths(&self) -> Vec<&str> {
        self.asked.iter().map(|r| r.path.as_str()).collect()
    }

    /// The nth body.
    pub fn body(&self, n: usize) -> Value {
        serde_json::from_slice(&self.asked[n].body).expect("JSON")
    }
}

/// Holds a conversation that only reads; `vendor` answers the nth request.
pub fn inquire<Found>(
    mut inquiry: impl Inquiry<Found>,
    mut vendor: impl FnMut(usize, &Request) -> Answer,
) -> (Vec<Request>, Result<Found, Halt>) {
    let (mut asked, mut answer): (Vec<Request>, _) = (Vec::new(), None);
    loop {
        match inquiry.next(answer.take(), NOW) {
            Asking::Ask(request) => {
                assert!(asked.len() < 3_000, "the conversation does not end");
                answer = Some(vendor(asked.len(), &request));
                asked.push(*request);
            }
            Asking::Again(_) => {
                let last = asked.last().expect("a call").clone();
                answer = Some(vendor(asked.len(), &last));
                asked.push(last);
            }
            Asking::Done(done) => return (asked, done),
        }
    }
}

/// One word for each sight.
pub fn sights(found: Result<Vec<Sight>, Halt>) -> Vec<String> {
    let word = |sight: Sight| match sight {
        Sight::There => "there".to_owned(),
        Sight::Missing => "missing".to_owned(),
        Sight::Untold(why) => why,
    };
    found.expect("sights").into_iter().map(word).collect()
}

/// That trigger `t` needs, more than once for a person, with no fields.
pub fn need(action: Action) -> Need {
    Need { action, fields: Vec::new(), triggers: vec!["t".into()], repeats: true }
}

/// What a survey came to.
pub struct Surveyed {
    pub asked: Vec<Request>,
    pub differences: Result<Vec<Difference>, Halt>,
}

impl Surveyed {
    /// Holds it at this instant; `vendor` answers each request.
    pub fn at(
        now: Timestamp,
        destination: &dyn Destination,
        needs: impl IntoIterator<Item = Need>,
        mut vendor: impl FnMut(&Request) -> Answer,
    ) -> Self {
        let mut survey = destination.survey(needs.into_iter().collect()).expect("a survey");
        let (mut asked, mut answer) = (Vec::new(), None);
        loop {
            match survey.next(answer.take(), now) {
                Asking::Ask(request) => {
                    assert!(asked.len() < 1_000, "the survey does not end");
                    answer = Some(vendor(&request));
                    asked.push(*request);
                }
                Asking::Again(_) => answer = asked.last().map(&mut vendor),
                Asking::Done(differences) => return Self { asked, differences },
            }
        }
    }

    /// A line for each difference: ``note list 7: is `VIP` ``.
    pub fn lines(&self) -> Vec<String> {
        let differences = self.differences.as_ref().expect("differences");
        differences.iter().map(|one| format!("{} {}: {}", one.sort.word(), one.what, one.words)).collect()
    }

    /// The paths asked for.
    pub fn paths(&self) -> Vec<&str> {
        self.asked.iter().map(|request| request.path.as_str()).collect()
    }
}

mod every_adapter {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::destination::Settings;
    use crate::model::http::Method;
    use crate::model::{Channel, Field, FieldKind};

    /// Answers that vendors, and whatever stands in front of them, can give.
    fn answer() -> impl Strategy<Value = Answer> {
        let status = prop::sample::select(vec![
            200u16, 201, 202, 204, 207, 302, 400, 401, 403, 404, 408, 409, 413, 414, 423, 429, 477, 500, 502, 521,
        ]);
        let body = prop::sample::select(vec![
            Value::Null,
            json!({}),
            json!([1, "x"]),
            json!({"success": true, "result": []}),
            json!({"success": true, "result": [{"id": 7, "status": "updated"}], "nextPageToken": "T", "moreResult": true}),
            json!({"success": true, "result": [{"status": "skipped", "reasons": [{"code": "1003"}]}]}),
            json!({"success": false, "errors": [{"code": 606}]}),
            json!({"success": false, "errors": [{"code": "1003", "message": "x"}]}),
            json!({"success": false, "errors": [{"code": "1004", "message": "x"}]}),
            json!({"success": false, "errors": [{"code": "1016", "message": "x"}]}),
            json!({"success": true, "result": [{"batchId": 3, "status": "Importing"}]}),
            json!({"success": true, "result": [{"batchId": 3, "status": "Complete", "numOfRowsFailed": 1}]}),
            json!({"success": true, "result": [{"id": 8, "email": "p1@example.com"}], "nextPageToken": "T"}),
            json!({"results": [{"id": "5", "properties": {"email": "p1@example.com"}}], "errors": [{}]}),
            json!({"data": {"type": "profile", "id": "01A"}}),
            json!({"recordIdsMissing": ["5"], "recordsIdsAdded": [], "recordIdsRemoved": []}),
            json!({"errors": [{"code": "invalid", "source": {"pointer": "/data/attributes/events-bulk-create/data/0/x"}}]}),
            json!({"errors": [{"source": {"pointer": "/data/attributes/events-bulk-create/data/99999999999999999999/x"}}]}),
        ]);
        prop_oneof![
            8 => (status, body).prop_map(|(status, body)| came(status, body)),
            1 => prop::collection::vec(any::<u8>(), 0..30)
                .prop_map(|body| Answer::Came(Response { status: 200, headers: Vec::new(), body })),
            1 => Just(Answer::NotSent("refused".into())),
            1 => Just(Answer::Unclear("cut".into())),
        ]
    }

    /// Every vendor's settings.
    fn accounts() -> Vec<Value> {
        vec![
            json!({"kind": "klaviyo", "api_key": "k"}),
            json!({"kind": "hubspot", "token": "t", "hub_id": 1}),
            json!({"kind": "marketo", "base_url": "http://m", "client_id": "i", "client_secret": "s", "activity_type": 7,
                "types": {"F": {"activity_type": 8}}, "campaigns": {"12": {"t": "f"}}}),
            json!({"kind": "marketo", "base_url": "http://m", "client_id": "i", "client_secret": "s", "activity_type": 7,
                "bulk_from": 2}),
            json!({"kind": "webhook", "url": "https://w.example"}),
            json!({"kind": "webhook", "connector": "braze", "settings": {"endpoint": "https://b.example", "api_key": "k"}}),
        ]
    }

    /// What accounts say of themselves, right or wrong.
    fn said() -> impl Strategy<Value = Answer> {
        let body = prop::sample::select(vec![
            json!({"data": [{"id": "M", "attributes": {"name": "E", "integration": {"category": "API"}}}], "links": {"next": "https://k/api/metrics?page%5Bcursor%5D=a%3D"}}),
            json!({"data": [{"id": "F1"}, {"id": "F2"}, 7]}),
            json!({"data": {"attributes": {"name": "n", "status": "draft"}}}),
            json!({"results": [{"fullyQualifiedName": "pe1_e", "properties": [{"name": "f", "type": "date"}, 1]}, 2], "paging": {"next": {"after": "x"}}}),
            json!({"success": true, "result": [{"id": 7, "apiName": "t", "status": "approved with draft", "attributes": [{"apiName": "x"}, 3]}]}),
            json!({"success": true, "result": [{"id": 8, "apiName": "espalierTrigger", "status": "draft"}]}),
            json!({"success": true, "result": [{"id": 12, "name": "c", "folder": {"id": 5}, "tokens": [{"name": 1}, 2]}]}),
            json!({"success": false, "errors": [{"code": "603", "message": "x"}]}),
            json!({"list": {"listId": "7", "name": "l", "processingType": "DYNAMIC", "objectTypeId": 5}}),
            json!({"scopes": ["crm.lists.read", 7], "hubId": 9}),
        ]);
        prop_oneof![2 => body.prop_map(|body| came(200, body)), 1 => answer()]
    }

    /// What accounts show of what they have, right or wrong.
    fn shown() -> impl Strategy<Value = Answer> {
        let occasion = "01".repeat(16);
        let event =
            |properties: Value| json!({"type": "event", "id": "4x", "attributes": {"event_properties": properties}});
        let body = prop::sample::select(vec![
            json!({"data": [event(json!({"occasion": occasion})), event(json!({})), 3], "links": {"next": "https://k/api/events?page%5Bcursor%5D=b"}}),
            json!({"data": [event(json!({"occasion": occasion}))], "links": {"next": null}}),
            json!({"results": [{"id": "5", "properties": {"email": "p1@example.com", "hs_additional_emails": "p2@example.com;"}}, 1]}),
            json!({"results": [{"properties": {"occasion": occasion}}, {"properties": {}}], "paging": {"next": {"after": "5"}}}),
            json!({"success": true, "result": [{"id": 5, "email": "P1@example.com"}, {"id": 6, "email": "p1@example.com"}, {"id": "x"}]}),
            json!({"success": true, "nextPageToken": "T", "moreResult": true, "result": [{"attributes": [{"name": "Activation ID", "value": occasion}]}]}),
        ]);
        body.prop_map(|body| came(200, body))
    }

    proptest! {
        /// Any answers lead a survey to its end within a bounded number of calls.
        #[test]
        fn surveys_end(answers in prop::collection::vec(said(), 1..40)) {
            let field = Field { name: "f".into(), kind: FieldKind::Number };
            let need = |action| Need { action, fields: vec![field.clone()], triggers: vec!["t".into()], repeats: true };
            let needs: Vec<Need> = [
                Action::Event("E".into()),
                Action::Event("F".into()),
                Action::AddToList("7".into()),
                Action::RemoveFromList("8".into()),
                Action::Campaign("12".into()),
                Action::Profile,
            ]
            .map(need)
            .into();
            for settings in accounts() {
                let destination = serde_json::from_value::<Settings>(settings).expect("settings").build("lane");
                let Some(mut survey) = destination.survey(needs.clone()) else { continue };
                let (mut answer, mut asked) = (None, 0);
                loop {
                    match survey.next(answer.take(), NOW) {
                        // HubSpot is told the token whose scopes are asked for.
                        Asking::Ask(request) => prop_assert!(
                            request.method == Method::Get || request.path.ends_with("/get/access-token-info"),
                            "it only looks"
                        ),
                        // Whoever makes the calls counts these.
                        Asking::Again(_) if asked < 100 => {}
                        Asking::Again(_) | Asking::Done(_) => break,
                    }
                    asked += 1;
                    prop_assert!(asked < 200, "the survey does not end");
                    answer = Some(answers[asked % answers.len()].clone());
                }
                for one in &answers {
                    destination.made(one, NOW);
                }
            }
        }

        /// Any answers lead an inventory to its end within a bounded number of calls, with one sight for each.
        #[test]
        fn inventories_end(answers in prop::collection::vec(prop_oneof![said(), shown()], 1..40), records in 0u8..150) {
            for settings in accounts() {
                let destination = serde_json::from_value::<Settings>(settings).expect("settings").build("lane");
                let action = |n: u8| if n % 7 == 6 { Action::Profile } else { Action::Event("E".into()) };
                let sent = (0..records).map(|n| doing(n, action(n)).activation).collect();
                let Some(mut inventory) = destination.inventory(sent) else { continue };
                let (mut answer, mut asked, mut again) = (None, 0, 0);
                let found = loop {
                    match inventory.next(answer.take(), NOW) {
                        Asking::Ask(_) => again = 0,
                        Asking::Again(_) if again < 10 => again += 1,
                        Asking::Again(until) => break Err(Halt::Quota { window: "w", until }),
                        Asking::Done(found) => break found,
                    }
                    asked += 1;
                    prop_assert!(asked < 40_000, "the inventory does not end");
                    answer = Some(answers[asked % answers.len()].clone());
                };
                prop_assert!(found.is_err() || found.is_ok_and(|sights| sights.len() == usize::from(records)));
            }
        }

        /// Any answers lead the question whose addresses are to its end, with one answer for each.
        #[test]
        fn questions_of_profiles_end(answers in prop::collection::vec(shown(), 1..20), addresses in 0usize..350) {
            for settings in accounts() {
                let destination = serde_json::from_value::<Settings>(settings).expect("settings").build("lane");
                let all = (0..addresses).map(|n| format!("p{}@example.com", n % 300)).collect();
                let Some(profiles) = destination.profiles(all) else { continue };
                let (asked, led) = inquire(profiles, |n, _| answers[n % answers.len()].clone());
                prop_assert!(asked.len() <= addresses.div_ceil(100));
                let told = |request: &Request| request.query.iter().any(|(_, value)| value.contains("example"));
                prop_assert!(!asked.iter().any(|request| told(request) || request.path.contains("example")));
                prop_assert!(led.is_err() || led.is_ok_and(|led| led.len() == addresses));
            }
        }

        /// Any answers lead to the end within a bounded number of calls, with one outcome for each record, and what
        /// was not tried is left only where the lane stops.
        #[test]
        fn ends(
            answers in prop::collection::vec(answer(), 1..40),
            records in 1u8..70,
            left in any::<bool>(),
            is_mixed in any::<bool>(),
        ) {
            for settings in accounts() {
                let settings = serde_json::from_value::<Settings>(settings).expect("settings");
                let (kinds, destination) = (settings.can(), settings.build("lane"));
                let action = |n: u8| match n % if is_mixed { 11 } else { 1 } {
                    0 => Action::Event("Cart Abandoned".into()),
                    1 => Action::AddToList("L1".into()),
                    2 => Action::RemoveFromList("L1".into()),
                    3 => Action::AddToList("L2".into()),
                    4 => Action::Profile,
                    6 => Action::Subscribe(Channel::Email),
                    7 => Action::Unsubscribe(Channel::Email),
                    8 => Action::Suppress,
                    9 => Action::Unsuppress,
                    10 => Action::Erase,
                    _ => Action::Campaign("12".into()),
                };
                let destination = destination.as_ref();
                let can = |action: &Action| kinds.contains(&action.kind());
                let action = |n: u8| Some(action(n)).filter(can).unwrap_or(Action::Profile);
                let batch: Vec<Item> =
                    (0..records).map(|n| Item { may_have_left: left, ..doing(n, action(n)) }).collect();
                let talk = Talk::with(destination.exchange(batch), |n, _| answers[n % answers.len()].clone());
                prop_assert_eq!(talk.outcomes.len(), usize::from(records));
                prop_assert!(talk.asked.len() < 60 * usize::from(records) + 60, "{} calls", talk.asked.len());
                prop_assert!(talk.halt.is_some() || talk.outcomes.iter().all(Option::is_some));
            }
        }
    }
}
