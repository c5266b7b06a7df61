use serde_json::{Value, json};

use super::manifest::{schema, shipped, shipped_names};
use super::*;
use crate::destination::testing::{NOW, Talk, came, item, of, with};
use crate::destination::{Halt, Item};
use crate::model::http::Answer;
use crate::model::{Identifier, IdentifierKind, Outcome, Span};

const HEAD: &str = "name = \"x\"\nfacts = \"read\"\nbase_url = \"https://x.example\"\n";

fn webhook(manifest: &str) -> Webhook {
    let manifest = Manifest::read("d.toml", manifest).unwrap_or_else(|wrong| panic!("{wrong:#?}"));
    let way = Way::of(manifest, &Given::default()).expect("settings");
    Webhook { way: Ok(Arc::new(way)), share: 1.0, unlimited: false, timeout: None }
}

fn of_config(settings: Value) -> Webhook {
    Webhook::new(serde_json::from_value(settings).expect("settings"))
}

fn plain() -> Webhook {
    of_config(json!({ "url": "https://hooks.example/in", "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" }))
}

fn items(n: u8) -> Vec<Item> {
    (0..n).map(item).collect()
}

fn header<'r>(request: &'r Request, name: &str) -> &'r str {
    request.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str()).unwrap_or_default()
}

#[track_caller]
fn check(text: &str, wanted: &[&str]) {
    let mistakes = Manifest::read("d.toml", text).err().unwrap_or_default();
    assert_eq!(mistakes.iter().map(ToString::to_string).collect::<Vec<_>>(), wanted);
}

#[test]
fn every_shipped_destination_is_right() {
    for name in shipped_names() {
        let manifest = Manifest::read("destination.toml", shipped(name).expect("its text"));
        assert_eq!(manifest.as_ref().err(), None);
        assert_eq!(manifest.expect("read").name, name);
    }
    assert_eq!(shipped("none"), None);
}

#[test]
fn the_schema_knows_every_key_and_fits_what_ships() {
    // Calls of a destination have no families.
    let texts = shipped_names().filter_map(shipped);
    crate::manifest::tests::schema_fits(&schema().expect("JSON"), &[include_str!("manifest.rs")], &["family"], texts);
}

#[test]
fn all_mistakes_are_told_at_once() {
    check(
        "nme = \"x\"\nfacts = \"read\"\nbase_url = \"{{ settings.hst }}\"\nmethod = \"get\"\nbytes = \"4 XB\"\n\
         auth = { kind = \"bearer\", secret = \"key\" }\nheaders = { A = \"{{ person.email }}\" }\nbody = { a = \"{{ person.emial }}\" }\n\
         [settings]\nhost = { kind = \"word\", help = \"h\" }\n[success]\nis = \"x\"\n[[answer]]\nstatus = 500\ndo = \"retr\"\n\
         [batch]\nmost = 0\nbody = \"{{ payload }}\"\n",
        &[
            "d.toml:1:1: name: is missing",
            "d.toml:1:1: nme: is not a key that is known here (did you mean `name`?)",
            "d.toml:3:12: base_url: uses `settings.hst`, but only settings.host can be used here",
            "d.toml:4:10: method: `get` is not known (known here: post, put, patch)",
            "d.toml:5:9: bytes: is a size, written like \"500 KB\" or \"4 MB\"",
            "d.toml:6:36: auth.secret: `key` is not known (known here: )",
            "d.toml:7:17: headers.A: uses `person`, but only occasion, uuid, settings.host can be used here",
            "d.toml:8:8: body: uses `person.emial`, but only occasion, uuid, event, trigger, key, destination, at, at_seconds, \
             at_millis, expires_at, person.email, person.phone, person.user_id, person.anonymous_id, person.customers, \
             person.names, traits, payload, settings.host can be used here",
            "d.toml:11:1: success: needs `status`, `path` or both: when it is meant",
            "d.toml:15:6: answer[0].do: `retr` is not known (did you mean `retry`?)",
            "d.toml:17:8: batch.most: must be a whole number from 1 to 1000",
            "d.toml:18:8: batch.body: uses `payload`, but only records, settings.host can be used here",
        ],
    );
    check(
        &format!("{HEAD}[body]\n[limits]\ncalls = [{{ most = 1, within = \"1s\", family = \"x\" }}]\n"),
        &["d.toml:5:1: limits: has calls of one sort alone, so no `family`"],
    );
}

#[test]
fn without_a_manifest_the_activation_is_posted_and_signed() {
    let webhook = plain();
    let talk = Talk::with(webhook.exchange(items(1)), |_, _| came(204, Value::Null));
    assert_eq!(talk.words(), ["accepted"]);
    let request = &talk.asked[0];
    assert_eq!((webhook.base_url(), request.path.as_str()), ("https://hooks.example/in", ""));
    assert_eq!(header(request, "webhook-id"), "00".repeat(16));
    assert_eq!(header(request, "webhook-timestamp"), "1800000000");
    let secrets = [Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
    let signed = standard_webhook::headers(&"00".repeat(16), NOW, &request.body, &secrets);
    assert!(signed.iter().any(|(_, value)| value == header(request, "webhook-signature")));
    let body = talk.body(0);
    assert_eq!((&body["type"], &body["data"]["trigger"]), (&json!("Cart Abandoned"), &json!("cart-abandoned-30m")));
    assert_eq!(body["data"]["person"]["email"], "p0@example.com");
    assert_eq!(body["data"]["payload"]["total"], "20.50");
    assert_eq!(body["data"].get("key"), None, "what is not there is left out");
}

#[test]
fn each_answer_means_what_its_status_says() {
    let of = |answer: Answer| {
        let talk = Talk::with(plain().exchange(items(1)), |_, _| answer.clone());
        (talk.words()[0].to_owned(), talk.halt)
    };
    for status in [200, 201, 202, 204] {
        assert_eq!(of(came(status, Value::Null)), ("accepted".into(), None), "{status}");
    }
    for status in [400, 409, 413, 415, 422] {
        assert_eq!(of(came(status, Value::Null)), ("refused".into(), None), "{status}");
    }
    for status in [401, 403] {
        assert!(matches!(of(came(status, Value::Null)), (word, Some(Halt::Credentials(_))) if word == "untried"));
    }
    for status in [301, 308, 402, 404, 405, 410] {
        let (word, halt) = of(came(status, Value::Null));
        assert!(matches!(halt, Some(Halt::Configuration(_))) && word == "untried", "{status}");
    }
    for status in [408, 425, 500, 502, 503, 504] {
        assert!(matches!(of(came(status, Value::Null)), (word, Some(Halt::Down(_))) if word == "later"), "{status}");
    }
    assert!(matches!(of(Answer::NotSent("x".into())), (word, Some(Halt::Down(_))) if word == "later"));
    assert!(matches!(of(Answer::Unclear("x".into())), (word, Some(Halt::Down(_))) if word == "unclear"));
    let until = |answer: Answer| match of(answer).1 {
        Some(Halt::Quota { until, .. }) => until.since(NOW),
        other => panic!("{other:?}"),
    };
    assert_eq!(until(with("retry-after", "4", 429, Value::Null)), Span::from_secs(4));
    assert_eq!(until(came(429, Value::Null)), Span::from_secs(10));
    // NOW is 2027-01-15T08:00:00Z.
    assert_eq!(until(with("retry-after", "Fri, 15 Jan 2027 08:01:30 GMT", 429, Value::Null)), Span::from_secs(90));
    assert_eq!(until(with("retry-after", "Thu, 15 Jan 2026 08:00:00 GMT", 429, Value::Null)), Span::ZERO);
    let page = Answer::Came(Response { status: 403, headers: Vec::new(), body: b"<html>".to_vec() });
    assert!(matches!(of(page).1, Some(Halt::Down(_))), "a proxy's page says nothing of the credentials");
}

#[test]
fn rules_come_before_the_status_and_a_success_has_to_be_one() {
    let text = format!(
        "{HEAD}body = {{}}\nwords = \"why\"\n[success]\nstatus = 200\npath = \"ok\"\nis = \"yes\"\n\
         [[answer]]\nstatus = 409\ndo = \"duplicate\"\n[[answer]]\npath = \"error.code\"\nis = [\"busy\", \"7\"]\ndo = \"retry\"\n\
         [[answer]]\nstatus = [404]\ndo = \"refused\"\n[limits]\nagain = {{ header = \"X-Reset\", unit = \"s\" }}\n"
    );
    let of = |answer: Answer| Talk::with(webhook(&text).exchange(items(1)), |_, _| answer.clone());
    assert_eq!(of(came(200, json!({ "ok": "yes" }))).words(), ["accepted"]);
    for (status, body) in [(200, json!({ "ok": "no", "why": "of ines@example.com" })), (201, json!({ "ok": "yes" }))] {
        let talk = of(came(status, body));
        let Some((_, Outcome::Refused { code, words })) = &talk.outcomes[0] else { panic!("{status}") };
        assert_eq!((&**code, words.contains('@')), ("not_confirmed", false));
    }
    assert_eq!(of(came(409, Value::Null)).words(), ["duplicate"]);
    for code in [json!("busy"), json!(7)] {
        assert_eq!(of(came(200, json!({ "ok": "yes", "error": { "code": code } }))).words(), ["later"]);
    }
    let missing = of(came(404, Value::Null));
    assert_eq!((missing.words()[0], &missing.halt), ("refused", &None));
    let Some(Halt::Quota { until, .. }) = of(with("x-reset", "3", 429, Value::Null)).halt else { panic!("waits") };
    assert_eq!(until.since(NOW), Span::from_secs(3));
}

const BATCH: &str = "[batch]\nmost = 8\nbody = { list = \"{{ records }}\" }\n\
                     failed = { list = \"errors\", index = \"n\", words = \"why\" }\n";

#[test]
fn a_batch_is_one_call_whose_answer_can_name_some() {
    let webhook = webhook(&format!(
        "{HEAD}body = {{ id = \"{{{{ occasion }}}}\" }}\n[sign]\nsecrets = \"s\"\n[settings]\ns = {{ kind = \"secrets\", help = \"h\", optional = true }}\n{BATCH}"
    ));
    assert_eq!((webhook.limits().records, webhook.calls(17)), (8, 3));
    let talk = Talk::with(webhook.exchange(items(8)), |_, _| {
        came(200, json!({ "errors": [{ "n": 2, "why": "bad ines@example.com" }, { "n": "4" }] }))
    });
    assert_eq!(talk.body(0)["list"].as_array().map(Vec::len), Some(8));
    for (n, word) in talk.words().into_iter().enumerate() {
        assert_eq!(word, if n == 2 || n == 4 { "refused" } else { "accepted" }, "{n}");
    }
    // One that failed and that nobody can find may be any of them.
    for lost in [json!({ "n": 99 }), json!({})] {
        let answer = came(200, json!({ "errors": [{ "n": 2 }, lost] }));
        let lost = Talk::with(webhook.exchange(items(8)), |_, _| answer.clone());
        assert_eq!((lost.words(), lost.asked.len()), (vec!["refused"; 8], 1));
    }
    let again = Talk::with(webhook.exchange(items(8)), |_, _| came(200, Value::Null));
    assert_eq!(header(&talk.asked[0], "webhook-id"), header(&again.asked[0], "webhook-id"));
    let fewer = Talk::with(webhook.exchange(items(7)), |_, _| came(200, Value::Null));
    assert_ne!(header(&talk.asked[0], "webhook-id"), header(&fewer.asked[0], "webhook-id"));
}

#[test]
fn one_bad_record_is_found_by_halving() {
    let webhook = webhook(&format!("{HEAD}body = {{ mail = \"{{{{ person.email }}}}\" }}\n{BATCH}"));
    let talk = Talk::with(webhook.exchange(items(8)), |_, request| {
        let is_bad = request.body.windows(3).any(|part| part == b"p5@");
        came(if is_bad { 400 } else { 200 }, Value::Null)
    });
    for (n, word) in talk.words().into_iter().enumerate() {
        assert_eq!(word, if n == 5 { "refused" } else { "accepted" }, "{n}");
    }
    assert_eq!(talk.asked.len(), 7);
}

/// What may have been taken is not tried in parts.
#[test]
fn a_success_that_does_not_confirm_is_asked_once() {
    let text =
        format!("{HEAD}body = {{ id = \"{{{{ occasion }}}}\" }}\n[success]\npath = \"ok\"\nis = \"yes\"\n{BATCH}");
    let talk = Talk::with(webhook(&text).exchange(items(8)), |_, _| came(200, json!({ "ok": "no" })));
    assert_eq!((talk.words(), talk.asked.len()), (vec!["refused"; 8], 1));
}

#[test]
fn what_is_too_large_is_parted_and_alone_refused() {
    let webhook = webhook(&format!(
        "{HEAD}bytes = \"60\"\nbody = {{ mail = \"{{{{ person.email }}}}\", note = \"{{{{ payload.note }}}}\" }}\n{BATCH}"
    ));
    let mut batch = items(3);
    let note = json!({ "note": "x".repeat(60) });
    batch[1].activation.payload = crate::model::RawJson::from_value(&note);
    let talk = Talk::with(webhook.exchange(batch), |_, request| {
        assert!(request.body.len() <= 60);
        came(200, Value::Null)
    });
    assert_eq!(talk.words(), ["accepted", "refused", "accepted"]);
    let Some((0, Outcome::Refused { code, .. })) = &talk.outcomes[1] else { panic!("refused before it was sent") };
    assert_eq!(&**code, "too_large");
}

#[test]
fn what_lacks_something_is_refused_before_it_is_sent() {
    let text = format!(
        "{HEAD}body = {{ n = \"{{{{ payload.total | int }}}}\" }}\n[[need]]\nthat = \"person.email\"\nwords = \"no address\"\n"
    );
    let nobody = of(1, vec![Identifier::new(IdentifierKind::AnonymousId, "browser")]);
    let mut odd = item(2);
    odd.activation.payload = crate::model::RawJson::from_value(&json!({ "total": "ines@example.com" }));
    let refused = |item: Item| {
        let talk = Talk::with(webhook(&text).exchange(vec![item]), |_, _| unreachable!("nothing is sent"));
        match talk.outcomes.into_iter().next().flatten() {
            Some((0, Outcome::Refused { code, words })) => (code.to_string(), words.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(refused(nobody), ("missing".into(), "no address".into()));
    assert_eq!(
        refused(odd),
        ("template".into(), "`payload.total | int` could not be worked out: invalid operation".into())
    );
}

/// A renewed token, and the ways to be let in.
#[test]
fn presets_are_let_in_by_their_own_header() {
    let brevo = of_config(json!({ "connector": "brevo", "settings": { "api_key": "k" } }));
    let request = Talk::with(brevo.exchange(items(1)), |_, _| came(204, Value::Null)).asked.remove(0);
    assert!(matches!(&request.auth, http::Auth::Named(header, key) if header == "api-key" && key.expose() == "k"));
    assert_eq!(brevo.base_url(), "https://api.brevo.com");
    assert_eq!(brevo.windows().iter().map(Window::ours).collect::<Vec<_>>(), [8, 30_600], "85 of a hundred");
    let braze = json!({ "connector": "braze", "settings": { "endpoint": "https://rest.example", "api_key": "k" } });
    let request = Talk::with(of_config(braze).exchange(items(1)), |_, _| came(201, json!({ "message": "success" })));
    assert!(matches!(&request.asked[0].auth, http::Auth::Header("Bearer", key) if key.expose() == "k"));
    assert_eq!(request.words(), ["accepted"]);
}

#[test]
fn what_cannot_be_resolved_holds_the_lane() {
    for settings in [json!({}), json!({ "connector": "none" }), json!({ "connector": "brevo" })] {
        let webhook = of_config(settings.clone());
        let talk = Talk::with(webhook.exchange(items(2)), |_, _| unreachable!("nothing is sent"));
        assert!(matches!(talk.halt, Some(Halt::Configuration(_))), "{settings}");
        assert_eq!(talk.words(), ["untried", "untried"]);
    }
}

#[test]
fn a_preview_goes_the_whole_way() {
    let braze =
        of_config(json!({ "connector": "braze", "settings": { "endpoint": "https://rest.example", "api_key": "k" } }));
    let (requests, refused) = crate::destination::preview(&braze, item(1).activation, NOW);
    assert_eq!((requests.len(), refused), (1, None));
}
