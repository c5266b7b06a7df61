use serde_json::json;

use super::*;
use crate::identity;
use crate::model::Timestamp;
use crate::source::Limits;

const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fn settings(text: &str) -> Settings {
    toml::from_str(text).expect("settings")
}

fn read(text: &str, body: &str, content_type: &str) -> Result<Read, Refused> {
    let endpoint = Endpoint::new(settings(text)).expect("right");
    let (names, source) = (identity::Settings::default(), Arc::from("forms"));
    let at = Timestamp::parse("2026-11-23T12:00:00Z").expect("an instant");
    let limits = Limits { message: 300, messages: 2 };
    endpoint.read(body.as_bytes(), Some(content_type), &Arrival { source: &source, at, names: &names, limits: &limits })
}

const SIGNUP: &str = "path = \"/in/x\"\nevent = \"Signed Up\"\nidentify = { email = [\"mail\", \"who.email\"] }\n\
                      message_id = \"id\"\nat = \"at\"\ntraits = { first_name = \"who.first\" }\n";

#[test]
fn an_object_is_one_event_with_what_is_not_a_name() {
    let body = r#"{"id": 7, "who": {"email": "Ines@example.com", "first": "Ines"}, "at": 1795428000, "n": 1}"#;
    let read = read(SIGNUP, body, "text/plain").expect("read");
    let event = read.events.first().expect("an event");
    assert_eq!((&event.kind, &*event.name, event.origin), (&EventKind::Did, "Signed Up", Origin::System));
    assert_eq!(event.identifiers.iter().map(|i| i.to_text()).collect::<Vec<_>>(), ["email:ines@example.com"]);
    assert_eq!(event.at.to_string(), "2026-11-23T10:00:00.000Z");
    assert_eq!(event.properties.to_value(), json!({"id": 7, "who": {"first": "Ines"}, "at": 1795428000, "n": 1}));
    assert_eq!(event.traits.get(), r#"{"first_name":"Ines"}"#);
    assert_eq!(event.dedupe, [Event::dedupe_key(&["forms", "7"])]);
}

#[test]
fn a_form_is_one_event() {
    let text = "path = \"/f\"\nevent_from = \"kind\"\nidentify = { email = \"e\" }\nproperties = { plan = \"p\" }\n\
                origin = \"tracking\"\nsession = \"s\"\n";
    let read = read(text, "kind=Asked&e=ines%40example.com&p=pro+max&s=s1", FORM).expect("read");
    let event = read.events.first().expect("an event");
    assert_eq!((&*event.name, event.origin, event.session.as_deref()), ("Asked", Origin::Tracking, Some("s1")));
    assert_eq!(event.properties.get(), r#"{"plan":"pro max"}"#);
}

#[test]
fn one_wrong_message_does_not_cost_the_others() {
    let read = read(SIGNUP, r#"[{"mail": "nobody", "id": "m1"}, {"mail": "ines@example.com"}]"#, "").expect("read");
    assert_eq!(read.events.len(), 1);
    let rejected = read.rejected.first().expect("one");
    assert_eq!(
        (rejected.index, rejected.message_id.as_deref(), rejected.reason.as_str()),
        (0, Some("m1"), "names nobody")
    );
}

#[test]
fn without_an_event_there_are_names_and_traits() {
    let text = "path = \"/p\"\nidentify = { user_id = \"id\" }\ntraits = { plan = \"plan\" }\n";
    let read = read(text, r#"{"id": 5, "plan": "pro"}"#, "application/json").expect("read");
    let event = read.events.first().expect("an event");
    assert_eq!(
        (&event.kind, event.properties.get(), event.traits.get()),
        (&EventKind::Identify, "{}", r#"{"plan":"pro"}"#)
    );
}

#[track_caller]
fn wrong(body: &str, reason: &str) {
    let reasons = match read(SIGNUP, body, "application/json") {
        Ok(read) => read.rejected.into_iter().map(|r| r.reason).collect::<Vec<_>>().join("; "),
        Err(refused) => format!("refused: {refused}"),
    };
    assert_eq!(reasons, reason, "{body}");
}

#[test]
fn wrong_bodies_say_what_is_wrong() {
    let neither = "refused: the body is neither JSON (an object or a list of them) nor a form";
    for body in ["", "a=1", "{", "7"] {
        wrong(body, neither);
    }
    wrong("[7]", "is not an object");
    wrong("[1,2,3]", "refused: 3 messages in one request, at most 2");
    wrong(r#"{"mail":"ines@example.com","at":"soon"}"#, "at is not a time");
    wrong(&format!("{{\"mail\":\"{}\"}}", "x".repeat(300)), "is larger than 300 bytes");
    wrong(&format!("[{}1{}]", "[".repeat(101), "]".repeat(101)), "is not an object");
    wrong(&format!("{{\"a\":{}1{}}}", "[".repeat(101), "]".repeat(101)), "is nested deeper than 100 levels");
}

#[test]
fn all_mistakes_of_the_settings_are_told_at_once() {
    let text = "path = \"in x\"\nevent = \"a\"\nevent_from = \"b\"\nidentify = { mail = \"a\", email = \"a..b\" }\nat = []\n\
                auth = { token = { header = \"\", secrets = [] } }\n";
    let mistakes = Endpoint::new(settings(text)).err().unwrap_or_default();
    let keys: Vec<&str> = mistakes.iter().filter_map(|m| m.split(':').next()).collect();
    assert_eq!(
        keys,
        ["path", "auth.token.header", "auth.token.secrets", "event_from", "identify.email", "identify.mail", "at",]
    );
    assert!(toml::from_str::<Settings>("path = \"/x\"\nidentify = {}\nevnt = \"a\"").is_err());
}
