//! The examples of the guides are what the code does.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use espalier::destination::{Item, Next, Settings, webhook};
use espalier::model::http::{Answer, Response};
use espalier::model::{Account, Action, Activation, Identifier, OccasionId, PersonId, RawJson, Timestamp};
use espalier::rules::{self, Files, Program};
use serde_json::{Value, json};

fn guide(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)).expect("the guide")
}

/// The fenced blocks of a kind, such as `toml trigger`.
fn blocks(text: &str, kind: &str) -> Vec<String> {
    let opening = format!("```{kind}\n");
    let found = text.split(opening.as_str()).skip(1);
    found.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_triggers_of_the_guide_are_triggers() {
    let triggers = blocks(&guide("triggers.md"), "toml trigger");
    assert_eq!(triggers.len(), 2);
    let segments: Vec<_> =
        blocks(&guide("triggers.md"), "toml segment").into_iter().map(|text| ("guide".to_owned(), text)).collect();
    let compiled = Program::compile_all(
        &Files { segments: &segments, ..Files::default() },
        &rules::Settings::default(),
        Some(&[Account::any("klaviyo".into())]),
    );
    assert_eq!(compiled.map(|program| program.triggers().len()), Ok(1));
    for text in triggers {
        let compiled = Program::compile(&[("guide".into(), text)], &rules::Settings::default(), None);
        assert!(compiled.is_ok(), "{:?}", compiled.err());
    }
}

#[test]
fn simulate_prints_what_the_guide_says() {
    let text = guide("triggers.md");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("guide.toml"), &blocks(&text, "toml trigger")[0]).expect("a trigger");
    std::fs::write(folder.path().join("events.jsonl"), &blocks(&text, "jsonl events")[0]).expect("events");
    let ended = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .arg("simulate")
        .arg("--triggers")
        .arg(folder.path())
        .arg("--events")
        .arg(folder.path().join("events.jsonl"))
        .output()
        .expect("the program");
    assert_eq!(String::from_utf8_lossy(&ended.stdout), blocks(&text, "json fires")[0]);
}

/// What the example of the payload language adds to what every payload has.
#[test]
fn templates_say_what_the_guide_says() {
    let text = guide("payload.md");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("guide.toml"), &blocks(&text, "toml trigger")[0]).expect("a trigger");
    std::fs::write(folder.path().join("events.jsonl"), &blocks(&text, "jsonl events")[0]).expect("events");
    let ended = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["simulate", "--until", "2026-11-03T00:00:00Z", "--triggers"])
        .arg(folder.path())
        .arg("--events")
        .arg(folder.path().join("events.jsonl"))
        .output()
        .expect("the program");
    let fires = String::from_utf8_lossy(&ended.stdout).into_owned();
    let fire: Value = serde_json::from_str(&fires).unwrap_or_else(|_| panic!("one fire, and not {fires}"));
    let added = ["greeting", "items", "total", "link", "touched", "shipping", "again"];
    let added: serde_json::Map<String, Value> =
        added.iter().filter_map(|name| Some(((*name).to_owned(), fire["payload"].get(*name)?.clone()))).collect();
    let said = format!("{:#}\n", Value::Object(added));
    assert_eq!(blocks(&text, "json added"), [said.as_str()], "docs/payload.md should say:\n{said}");
}

/// The tables that the guide shows one by one can stand in a trigger's file.
#[test]
fn the_parts_of_the_guide_are_parts() {
    let text = guide("payload.md");
    let mut parts = blocks(&text, "toml part");
    parts.extend(blocks(&guide("plan.md"), "toml part"));
    let whole = blocks(&text, "toml trigger");
    assert!(parts.len() >= 3);
    let compiled = Program::compile(
        &[("guide".into(), format!("{}{}", whole[0], parts.concat()))],
        &rules::Settings::default(),
        Some(&[Account::any("klaviyo".into())]),
    );
    assert!(compiled.is_ok(), "{:?}", compiled.err());
}

/// The source and the mapping of the guide to programs are right, but for the program itself.
#[test]
fn the_guide_to_programs_is_right() {
    let text = guide("processes.md");
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    write("espalier.toml", &blocks(&text, "toml source")[0]);
    write("taps/crm.toml", &blocks(&text, "toml mapping")[0]);
    write("taps/spreadsheets/bin/tap-spreadsheets", "");
    write("triggers/none", "");
    let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
    let ended =
        check.args(["check", "--config"]).arg(folder.path().join("espalier.toml")).output().expect("the program");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// The activation that follows from the guide's simulation, of somebody whose e-mail address is known.
fn activation() -> Activation {
    let fire: Value = serde_json::from_str(&blocks(&guide("triggers.md"), "json fires")[0]).expect("one fire");
    let text = |name: &str| fire[name].as_str().expect("a text").to_owned();
    Activation {
        occasion: OccasionId::parse(&text("occasion")).expect("an occasion"),
        lane: Arc::from("vendor"),
        trigger: text("trigger").into(),
        person: PersonId([1; 16]),
        identifiers: ["email:ines@example.com", "user_id:u1"].into_iter().filter_map(Identifier::parse).collect(),
        traits: RawJson::from_value(&json!({ "first_name": "Ines" })),
        key: text("key").into(),
        at: Timestamp::parse(&text("at")).expect("an instant"),
        action: Action::Event("Cart Abandoned".into()),
        priority: 80,
        expires_at: Timestamp::MAX,
        not_before: None,
        payload: RawJson::from_value(&fire["payload"]),
        broken: None,
    }
}

/// The bodies of one exchange about it.
fn bodies(settings: Value, answers: Vec<(u16, Value)>) -> Vec<Value> {
    let settings: Settings = serde_json::from_value(settings).expect("settings");
    let mut exchange = settings.build("vendor").exchange(vec![Item { activation: activation(), may_have_left: false }]);
    let mut answers = answers.into_iter();
    let (mut answer, mut bodies) = (None, Vec::new());
    while let Next::Ask(request) = exchange.next(answer.take(), activation().at) {
        bodies.push(serde_json::from_slice(&request.body).expect("a body of JSON"));
        let (status, body) = answers.next().expect("an answer for each call");
        answer = Some(Answer::Came(Response { status, body: body.to_string().into_bytes(), ..Response::default() }));
    }
    bodies
}

#[track_caller]
fn is_in_the_guide(vendor: &str, bodies: &[Value]) {
    let written = blocks(&guide("payload.md"), &format!("json {vendor}"));
    let sent: Vec<String> = bodies.iter().map(|body| format!("{body:#}\n")).collect();
    assert_eq!(written, sent, "docs/payload.md should say:\n{}", sent.join("and\n"));
}

#[test]
fn klaviyo_gets_what_the_guide_says() {
    let settings = json!({"kind": "klaviyo", "api_key": "key", "bulk_from": 0});
    is_in_the_guide("klaviyo", &bodies(settings, vec![(202, Value::Null)]));
}

#[test]
fn hubspot_gets_what_the_guide_says() {
    let found = json!({"results": [{"id": "1", "properties": {"email": "ines@example.com"}}]});
    let settings = json!({"kind": "hubspot", "token": "key", "hub_id": 1_234_567});
    is_in_the_guide("hubspot", &bodies(settings, vec![(200, found), (204, Value::Null)]));
}

#[test]
fn marketo_gets_what_the_guide_says() {
    let lead = json!({"success": true, "result": [{"id": 50, "status": "created"}]});
    let added = json!({"success": true, "result": [{"id": 1, "status": "added"}]});
    let settings = json!({"kind": "marketo", "base_url": "https://m.example", "client_id": "id", "client_secret": "s",
        "activity_type": 100_001, "attributes": {"cartId": "cart_id", "product": "name"}});
    is_in_the_guide("marketo", &bodies(settings, vec![(200, lead), (200, added)]));
}

/// What the guide has people put into their pages is what the browser's test has in its pages.
#[test]
fn the_snippet_is_installed_as_the_guide_says() {
    let text = guide("snippet.md");
    let lines = blocks(&text, "html").concat();
    let stub = lines.lines().next().and_then(|line| line.strip_suffix("</script>")).expect("the stub's line");
    assert!(include_str!("libraries/snippet.mjs").contains(stub), "tests/libraries/snippet.mjs should have {stub}");
    let source = include_str!("../src/intake/snippet.js");
    for call in blocks(&text, "js").concat().lines().filter_map(|line| line.split('"').nth(1)) {
        assert!(source.contains(&format!("const {call} = ")), "{call} is a call");
    }
}

/// The keys that a manifest may have, by its JSON Schema: those of the writer's own stand in `additionalProperties`.
fn keys(schema: &Value, found: &mut std::collections::BTreeSet<String>) {
    match schema {
        Value::Object(entries) => {
            // A manifest's own key `properties` is no list of keys.
            let properties = entries.get("properties").filter(|inner| inner.get("$ref").is_none());
            if let Some(Value::Object(properties)) = properties {
                found.extend(properties.keys().cloned());
            }
            entries.values().for_each(|inner| keys(inner, found));
        }
        Value::Array(items) => items.iter().for_each(|inner| keys(inner, found)),
        _ => {}
    }
}

#[track_caller]
fn names_every_key(text: &str, schema: &Value) {
    let mut found = std::collections::BTreeSet::new();
    keys(schema, &mut found);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let words: std::collections::BTreeSet<&str> = text.split(|c| !is_word(c)).collect();
    let missing: Vec<&String> = found.iter().filter(|key| !words.contains(key.as_str())).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_guide_to_connectors_names_every_key() {
    names_every_key(&guide("connectors.md"), &espalier::source::manifest::schema().expect("JSON"));
}

/// The guide to webhooks names every key, its manifest is one, and its destination is well.
#[test]
fn the_guide_to_webhooks_is_right() {
    let text = guide("webhooks.md");
    // What settings and ways in may say stands in the guide to connectors.
    let both = text.clone() + &guide("connectors.md");
    names_every_key(&both, &webhook::manifest::schema().expect("JSON"));
    let manifest = &blocks(&text, "toml manifest")[0];
    assert_eq!(webhook::manifest::Manifest::read("guide", manifest).err(), None);
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    let file = folder.path().join("espalier.toml");
    std::fs::write(&file, &blocks(&text, "toml destination")[0]).expect("a file");
    let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
    check.args(["check", "--config"]).arg(file).env("CRM_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let ended = check.output().expect("the program");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// The trigger of the guide to destinations is one, and its settings are settings.
#[test]
fn the_guide_to_destinations_is_right() {
    let text = guide("destinations.md");
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    let campaign =
        "name = \"ask\"\nwhen = { did = \"A\" }\nactivate = [{ destination = \"marketo\", campaign = \"3712\" }]\n";
    write("triggers/guide.toml", &blocks(&text, "toml trigger")[0]);
    write("triggers/campaign.toml", campaign);
    let accounts = "[destination.klaviyo]\nkind = \"klaviyo\"\napi_key = \"${env:KEY}\"\n[destination.marketo]\nkind = \"marketo\"\n\
         base_url = \"https://m.example\"\nclient_id = \"${env:KEY}\"\nclient_secret = \"${env:KEY}\"\nactivity_type = 100001\n";
    write("espalier.toml", &format!("{accounts}{}", blocks(&text, "toml part")[0]));
    let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
    let check = check.args(["check", "--config"]).arg(folder.path().join("espalier.toml")).env("KEY", "k");
    let ended = check.output().expect("the program");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// The guide to alerts has every kind with what is usual for it, and its configuration is well.
#[test]
fn the_guide_to_alerts_is_right() {
    use espalier::alerts::{Kind, Mark};
    let text = guide("alerts.md");
    for kind in Kind::ALL {
        let usual = kind.usual();
        let is_off = if usual.is_on { "" } else { "off; " };
        let wait =
            if usual.wait == espalier::model::Span::ZERO { String::new() } else { format!(", for {}", usual.wait) };
        let mark = match usual.mark {
            Mark::None => String::new(),
            Mark::Times(times) => format!(", `times = {times}`"),
            Mark::Over(over) => format!(
                ", `over = \"{}\"`",
                if over == espalier::model::Span::HOUR { "1h".into() } else { over.to_string() }
            ),
            Mark::Below(size) => format!(", `below = \"{} GB\"`", size.0 >> 30),
        };
        let end = format!("| {is_off}{}{wait}{mark} |", usual.severity.word());
        let row = text.lines().find(|line| line.starts_with(&format!("| `{}` |", kind.word())));
        assert!(row.is_some_and(|row| row.ends_with(&end)), "{}: {row:?} does not end in {end}", kind.word());
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    let file = folder.path().join("espalier.toml");
    std::fs::write(&file, &blocks(&text, "toml receivers")[0]).expect("a file");
    let mut check = Command::new(env!("CARGO_BIN_EXE_espalier"));
    check.args(["check", "--config"]).arg(file).env("SLACK_WEBHOOK_URL", "https://hooks.example/T0");
    check
        .env("PAGERDUTY_ROUTING_KEY", "key")
        .env("SMTP_PASSWORD", "secret")
        .env("ALERTS_WEBHOOK_URL", "https://h.example/");
    let ended =
        check.env("ALERTS_WEBHOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").output().expect("the program");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}
