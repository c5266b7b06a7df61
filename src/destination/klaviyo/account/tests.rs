//! What a survey of a Klaviyo account asks, and what it makes of the answers.

use serde_json::json;

use super::*;
use crate::destination::klaviyo::Klaviyo;
use crate::destination::testing::{NOW, Surveyed, came, need};
use crate::model::Action;

const SCOPES: &str = "cannot be seen without sending: a key that lacks one stops the lane with its first call that needs it; for \
                      consent, and to have people forgotten, it makes dead letters";

fn surveyed(settings: Value, needs: Vec<Need>, vendor: impl FnMut(&Request) -> Answer) -> Surveyed {
    let mut all = json!({ "api_key": "k", "bulk_from": 0 });
    for (name, value) in settings.as_object().expect("an object") {
        all[name] = value.clone();
    }
    let klaviyo = Klaviyo::new("lane", serde_json::from_value(all).expect("settings"));
    Surveyed::at(NOW, &klaviyo, needs, vendor)
}

fn forbidden() -> Answer {
    came(403, json!({ "errors": [{ "code": "permission_denied", "detail": "no" }] }))
}

fn not_found() -> Answer {
    came(404, json!({ "errors": [{ "code": "not_found", "detail": "no" }] }))
}

/// An account with a metric, a list, and flows of these states that both start.
fn vendor(flows: &'static [(&'static str, bool)]) -> impl FnMut(&Request) -> Answer {
    move |request| {
        let path = request.path.as_str();
        if let Some(place) = path.strip_prefix("/api/flows/F") {
            let (status, archived) = flows[place.parse::<usize>().expect("a place")];
            let attributes = json!({ "name": format!("Flow {place}"), "status": status, "archived": archived });
            return came(200, json!({ "data": { "attributes": attributes } }));
        }
        if path.ends_with("/relationships/flow-triggers") {
            let ids: Vec<Value> = (0..flows.len()).map(|n| json!({ "type": "flow", "id": format!("F{n}") })).collect();
            return came(200, json!({ "data": ids }));
        }
        let metric = json!({ "id": "M", "attributes": { "name": "Left", "integration": { "category": "API" } } });
        match path {
            "/api/metrics" => came(200, json!({ "data": [metric] })),
            "/api/lists/Vip" => came(200, json!({ "data": { "attributes": { "name": "Best" } } })),
            _ => not_found(),
        }
    }
}

#[track_caller]
fn check(action: Action, flows: &'static [(&'static str, bool)], wanted: &[&str]) {
    let told = surveyed(json!({}), vec![need(Action::Event("Left".into())), need(action)], vendor(flows));
    let is_of_list = |line: &&String| line.contains(" list ");
    assert_eq!(told.lines().iter().filter(is_of_list).collect::<Vec<_>>(), wanted);
}

#[test]
fn a_list_is_told_by_its_name_and_by_what_it_starts() {
    let list = || Action::AddToList("Vip".into());
    check(list(), &[], &["note list Vip: is `Best`, and starts no flow"]);
    check(list(), &[("live", true), ("live", false)], &["note list Vip: is `Best`, and starts `Flow 1`"]);
    check(
        list(),
        &[("draft", false), ("manual", false)],
        &[
            "by hand list Vip: is `Best`, and starts no live flow: `Flow 0` is draft, `Flow 1` is manual; set one live, or archive them",
        ],
    );
    check(Action::RemoveFromList("Vip".into()), &[("draft", false)], &["note list Vip: is `Best`"]);
    check(
        Action::AddToList("None".into()),
        &[],
        &[
            "by hand list None: is not there: make a list in the vendor's pages, and write its id in the place of this one",
        ],
    );
}

#[test]
fn a_refused_scope_silences_its_own_sort_of_question_only() {
    let needs = || {
        ["Vip", "Two"]
            .map(|id| need(Action::AddToList(id.into())))
            .into_iter()
            .chain([need(Action::Event("Left".into()))])
            .collect()
    };
    let refusing = |part: &'static str| {
        move |request: &Request| if request.path.contains(part) { forbidden() } else { vendor(&[])(request) }
    };
    let lists = surveyed(json!({}), needs(), refusing("/api/lists"));
    assert_eq!(lists.paths(), ["/api/metrics", "/api/lists/Vip", "/api/metrics/M/relationships/flow-triggers"]);
    let words = "by hand scope lists:read: the key has it not: whether lists are there is not known without it, and many \
                 profiles at once cannot be written";
    assert!(lists.lines().contains(&words.to_owned()), "{:?}", lists.lines());
    let flows = surveyed(json!({}), needs(), refusing("flow-triggers"));
    assert!(flows.lines().iter().any(|line| line.starts_with("by hand scope flows:read")), "{:?}", flows.lines());
    assert!(flows.lines().iter().any(|line| line.starts_with("by hand list Two: is not there")), "{:?}", flows.lines());
    // Of metrics nothing is needed where none is sent: they are only looked at for what is unused.
    let none = surveyed(json!({}), vec![need(Action::RemoveFromList("Vip".into()))], refusing("/api/metrics"));
    assert!(none.lines().iter().all(|line| line.starts_with("note")), "{:?}", none.lines());
}

#[test]
fn what_jobs_ask_is_probed_where_there_are_jobs() {
    let vendor = |request: &Request| match request.path.as_str() {
        "/api/profiles" => forbidden(),
        _ => came(200, json!({ "data": [] })),
    };
    let told = surveyed(json!({ "bulk_from": 50 }), vec![need(Action::Profile)], vendor);
    assert_eq!(told.paths(), ["/api/metrics", "/api/profiles", "/api/lists"]);
    let asked = told.asked[1].query.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(asked, ["fields[profile]=created", "page[size]=1"], "nothing says who it is");
    let words = "by hand scope profiles:read: the key has it not: many profiles at once (`bulk_from`) cannot be written without it";
    assert_eq!(
        told.lines(),
        [words.to_owned(), format!("note scopes profiles:write, lists:write, data-privacy:write: {SCOPES}")]
    );
    let alone = surveyed(json!({}), vec![need(Action::Profile)], vendor);
    assert_eq!(alone.paths(), ["/api/metrics"]);
    assert_eq!(alone.lines(), [format!("note scopes profiles:write, data-privacy:write: {SCOPES}")]);
    let nothing = surveyed(json!({}), Vec::new(), vendor);
    assert_eq!(
        nothing.lines(),
        [format!("note scopes data-privacy:write: {SCOPES}")],
        "people are forgotten everywhere"
    );
}

#[test]
fn consent_needs_its_list_and_its_scopes_without_a_trigger() {
    let told = surveyed(json!({ "consent": { "list": "Vip" } }), Vec::new(), vendor(&[("live", false)]));
    let scopes = "profiles:write, lists:write, subscriptions:write, data-privacy:write";
    let unused = "unused metric Left: no trigger sends it".to_owned();
    let list = "note list Vip: is `Best`, and starts `Flow 0`".to_owned();
    assert_eq!(told.lines(), [unused, list, format!("note scopes {scopes}: {SCOPES}")]);
    let refused =
        surveyed(json!({ "consent": { "list": "Vip" } }), Vec::new(), |request| match request.path.as_str() {
            "/api/metrics" => vendor(&[])(request),
            _ => forbidden(),
        });
    assert!(refused.lines().iter().any(|line| line.starts_with("by hand scope lists:read")), "{:?}", refused.lines());
}

#[test]
fn a_revision_is_told_when_its_two_years_end() {
    let told = |revision: &str, now: &str| {
        let settings = serde_json::from_value(json!({ "api_key": "k", "revision": revision })).expect("settings");
        let now = Timestamp::parse(now).expect("an instant");
        let told = Surveyed::at(now, &Klaviyo::new("lane", settings), [], |_| came(200, json!({ "data": [] })));
        told.lines().into_iter().filter(|line| line.contains("revision")).collect::<Vec<_>>()
    };
    let way_out = "set a later `revision`, and read what it changes";
    assert_eq!(told("2026-07-15", "2027-11-29T00:00:00Z"), [""; 0]);
    let ends = told("2026-07-15", "2028-02-01T00:00:00Z");
    assert_eq!(ends, [format!("note revision 2026-07-15: is supported until about 2028-07-14: {way_out}")]);
    let past = told("2024-02-15", "2026-11-29T00:00:00Z");
    assert_eq!(past, [format!("note revision 2024-02-15: has been supported until about 2026-02-14: {way_out}")]);
}

#[test]
fn a_revision_without_the_question_is_told_as_that() {
    let vendor = |request: &Request| match request.path.contains("flow-triggers") {
        true => not_found(),
        false => vendor(&[])(request),
    };
    let told =
        surveyed(json!({}), vec![need(Action::Event("Left".into())), need(Action::AddToList("Vip".into()))], vendor);
    let words = "whether a flow starts with it cannot be asked by revision 2026-07-15";
    let lines = told.lines();
    assert!(lines.contains(&format!("note metric Left: {words}")), "{lines:?}");
    assert!(lines.contains(&format!("note list Vip: {words}")), "{lines:?}");
    let gone = surveyed(json!({}), vec![need(Action::Event("Left".into()))], |_| not_found());
    assert_eq!(gone.differences.err(), Some(Halt::Configuration("revision 2026-07-15 has no /api/metrics".into())));
}

#[test]
fn a_link_gives_its_cursor_decoded() {
    let link = "https://a.klaviyo.com/api/metrics?fields%5Bmetric%5D=name&page%5Bcursor%5D=bmV4dDo6aWQ%3D%2B";
    assert_eq!(cursor(link).as_deref(), Some("bmV4dDo6aWQ=+"));
    assert_eq!(cursor("https://a.klaviyo.com/api/metrics?page[cursor]=abc").as_deref(), Some("abc"));
    for none in ["https://a.klaviyo.com/api/metrics", "?page[size]=1", "?page[cursor]=%zz", "?page[cursor]=%2"] {
        assert_eq!(cursor(none), None, "{none}");
    }
}
