//! Alerts of a whole daemon, to receivers of the test's own: told once, together, again, to be over; silenced; by receivers
//! that fail; over a kill.

mod receivers;
mod support;

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use espalier::alerts::{Kind, Listing};
use espalier::model::{Span, Timestamp, setting, standard_webhook};
use receivers::{Encryption, MailServer, Posted, Receivers, acceptor};
use serde_json::{Value, json};
use support::world::World;
use support::{Daemon, espalier, eventually};

const SIGNED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Only what the tests bring about, and at once.
const RULES: &str = "group_wait = \"10m\"\ncalm = \"10m\"\n[alerts.rule]\nbacklog_age = { on = false }\n\
    quota_forecast = { on = false }\nsilence = { on = false }\nnight_differs = { on = false }\nnight_missing = { on = false }\nbreaker_open = { for = \"0s\", severity = \"critical\" }\n\
    credentials_refused = { for = \"0s\", severity = \"warning\" }\n";
const STEP: Span = Span::from_secs(30);

fn trigger() -> Vec<(&'static str, String)> {
    let both = "{ destination = \"esp\", event = \"form\" }, { destination = \"hub\", event = \"form\" }";
    let text = format!(
        "name = \"form\"\nper = \"form\"\nexpires = \"7d\"\nwhen = {{ did = \"form\" }}\nactivate = [{both}]\n"
    );
    vec![("form", text)]
}

/// Klaviyo and HubSpot.
fn lanes(vendors: &str) -> String {
    format!(
        "[destination.esp]\nkind = \"klaviyo\"\napi_key = \"${{file:SECRET}}\"\nbase_url = \"{vendors}/klaviyo\"\n\
         [destination.hub]\nkind = \"hubspot\"\ntoken = \"${{file:SECRET}}\"\nhub_id = 1234567\nbase_url = \"{vendors}/hubspot\"\n"
    )
}

/// A secret in a file, as a reference.
fn secret(folder: &Path, name: &str, value: &str) -> String {
    std::fs::write(folder.join(name), value).expect("a secret");
    format!("${{file:{}}}", folder.join(name).display())
}

/// One vendor refuses the credentials, the other is down; and activations for both.
async fn break_both(world: &mut World) {
    world.fault(json!({ "vendor": "klaviyo", "kind": "status", "status": 401, "times": 1_000_000 })).await;
    world.fault(json!({ "vendor": "hubspot", "kind": "status", "status": 503, "times": 1_000_000 })).await;
    world.does("form", 2).await;
}

/// What is wrong with what, of a list in the body of a webhook.
fn kinds(posted: &Posted, list: &str) -> Vec<String> {
    let lines = posted.json()["data"][list].as_array().cloned().unwrap_or_default();
    let mut kinds: Vec<String> =
        lines.iter().map(|line| format!("{} {}", line["kind"], line["of"]).replace('"', "")).collect();
    kinds.sort();
    kinds
}

const BOTH: [&str; 2] = ["breaker_open lane hub", "credentials_refused lane esp"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fires_is_told_once_together_again_and_to_be_over() {
    let (receivers, at) = Receivers::begin().await;
    let (mail, mail_at) = MailServer::begin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = |name: &str, value: &str| secret(folder.path(), name, value);
    let alerts = format!(
        "[alerts]\nname = \"shop\"\n{RULES}\
         [alerts.receiver.chat]\nkind = \"slack\"\nurl = \"{}\"\n\
         [alerts.receiver.hook]\nkind = \"webhook\"\nurl = \"{}\"\nsecret = \"{}\"\ntoken = \"{}\"\n\
         [alerts.receiver.pager]\nkind = \"pagerduty\"\nrouting_key = \"{}\"\nbase_url = \"http://{at}\"\nseverity = \"critical\"\n\
         [alerts.receiver.mail]\nkind = \"email\"\nserver = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nuser = \"me\"\n\
         password = \"{}\"\nfrom = \"Espalier <espalier@shop.example>\"\nto = [\"oncall@shop.example\", \"boss@shop.example\"]\n",
        secret("chat", &format!("http://{at}/slack/T0/B0/s3cr3t")),
        secret("hook", &format!("http://{at}/hook")),
        secret("signed", SIGNED),
        secret("token", "t0k3n"),
        secret("pager", "r0ut1ng"),
        mail_at.port(),
        secret("password", "p4ss"),
    );
    let mut world = World::begin(&trigger(), |vendors| lanes(vendors) + &alerts).await;
    break_both(&mut world).await;
    let all = |n: usize| {
        let (receivers, mail) = (receivers.clone(), mail.clone());
        move |_: &World| {
            receivers.at("/hook").len() == n
                && receivers.at("/slack/T0/B0/s3cr3t").len() == n
                && mail.letters().len() == n
        }
    };
    world.until("a message to each", STEP, all(1)).await;
    // Once, and together.
    world.turn(Span::from_hours(3), STEP).await;
    assert!(all(1)(&world), "nothing is told twice");
    let hook = &receivers.at("/hook")[0];
    assert_eq!(kinds(hook, "firing"), BOTH);
    assert_eq!(hook.headers["authorization"], "Bearer t0k3n");
    let id = hook.headers["webhook-id"].to_str().expect("an id");
    let seconds: i64 = hook.headers["webhook-timestamp"].to_str().expect("a time").parse().expect("seconds");
    let signed_at = Timestamp::from_millis(seconds * 1_000);
    let signed = standard_webhook::headers(id, signed_at, &hook.bytes, &[setting::Secret::new(SIGNED)]);
    let signature = hook.headers["webhook-signature"].to_str().expect("a signature").to_owned();
    assert!(signed.contains(&("webhook-signature".into(), signature)), "{signed:?}");
    let text = receivers.at("/slack/T0/B0/s3cr3t")[0].json()["text"].as_str().expect("a text").to_owned();
    assert!(text.starts_with("*shop: 2 firing; lane hub: the breaker is open"), "{text}");
    assert!(text.contains("lane esp: the credentials are refused"), "{text}");
    let letter = &mail.letters()[0];
    assert_eq!(letter.to, ["RCPT TO:<oncall@shop.example>", "RCPT TO:<boss@shop.example>"]);
    let login = base64::engine::general_purpose::STANDARD.encode("\0me\0p4ss");
    assert_eq!(letter.login.as_deref(), Some(login.as_str()));
    assert!(letter.text.contains("Auto-Submitted: auto-generated"), "{}", letter.text);
    assert!(letter.text.contains("lane hub: the breaker is open"), "{}", letter.text);
    // Only what is critical goes to the pager, an event each.
    let paged = || receivers.at("/v2/enqueue").iter().map(Posted::json).collect::<Vec<Value>>();
    let [first] = paged().try_into().expect("one event");
    assert_eq!((&first["event_action"], &first["routing_key"]), (&json!("trigger"), &json!("r0ut1ng")));
    assert_eq!(first["dedup_key"], "shop:breaker_open:lane hub");

    // Told again while it lasts.
    world.until("it to be told again", STEP, all(2)).await;
    assert_eq!(kinds(&receivers.at("/hook")[1], "still"), BOTH);
    assert_eq!(kinds(&receivers.at("/hook")[1], "firing"), Vec::<String>::new());

    // And to be over.
    world.heal().await;
    world
        .until("its end", STEP, |_| receivers.at("/hook").last().is_some_and(|one| kinds(one, "resolved").len() == 2))
        .await;
    assert_eq!(kinds(receivers.at("/hook").last().expect("a message"), "resolved"), BOTH);
    let is_closed = |_: &World| {
        paged().last().is_some_and(|one| one["event_action"] == "resolve" && one["dedup_key"] == first["dedup_key"])
    };
    world.until("the pager's end", STEP, is_closed).await;
    let count = receivers.at("/hook").len();
    world.turn(Span::from_hours(5), Span::from_minutes(2)).await;
    let more: Vec<Value> = receivers.at("/hook").iter().skip(count).map(Posted::json).collect();
    assert_eq!(more, Vec::<Value>::new(), "nothing more is told");
    assert!(world.daemon.watched.alerts.list().alerts.is_empty());
    world.daemon.stop().await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silences_hold_back_what_is_new() {
    let (receivers, at) = Receivers::begin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = secret(folder.path(), "hook", &format!("http://{at}/hook"));
    let alerts = format!("[alerts]\n{RULES}[alerts.receiver.hook]\nkind = \"webhook\"\nurl = \"{url}\"\n");
    let mut world = World::begin(&trigger(), |vendors| lanes(vendors) + &alerts).await;
    let desk = world.daemon.watched.alerts.clone();
    let of = Some("lane esp".to_owned());
    let silence =
        desk.silence((Some(Kind::CredentialsRefused), of), Span::from_hours(2), "me").await.expect("a silence");
    break_both(&mut world).await;
    world.until("the other", STEP, |_| receivers.at("/hook").len() == 1).await;
    assert_eq!(kinds(&receivers.at("/hook")[0], "firing"), ["breaker_open lane hub"]);
    let listing = desk.list();
    let silenced = listing.alerts.iter().filter(|one| one.is_silenced).map(|one| one.alert.key.of.as_str());
    assert_eq!(silenced.collect::<Vec<_>>(), ["lane esp"]);
    assert_eq!(desk.unsilence(silence.id).await, Ok(true));
    world.until("what was silenced", STEP, |_| receivers.at("/hook").len() == 2).await;
    assert_eq!(kinds(&receivers.at("/hook")[1], "firing"), ["credentials_refused lane esp"]);
    world.daemon.stop().await.expect("an end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_is_down_holds_up_nobody_and_is_told_later() {
    let (receivers, at) = Receivers::begin().await;
    receivers.is_down("/chat", true);
    let folder = tempfile::tempdir().expect("a folder");
    let secret = |name: &str| secret(folder.path(), name, &format!("http://{at}/{name}"));
    let alerts = format!(
        "[alerts]\n{RULES}[alerts.receiver.chat]\nkind = \"slack\"\nurl = \"{}\"\n\
         [alerts.receiver.hook]\nkind = \"webhook\"\nurl = \"{}\"\n",
        secret("chat"),
        secret("hook"),
    );
    let mut world = World::begin(&trigger(), |vendors| lanes(vendors) + &alerts).await;
    break_both(&mut world).await;
    world.until("the one that is up", STEP, |_| !receivers.at("/hook").is_empty()).await;
    let told = |w: &World| {
        let health = w.daemon.watched.health();
        health.troubles.iter().any(|one| one.kind == Kind::ReceiverFailing && one.of == "receiver chat")
    };
    world.until("the page to say so", STEP, told).await;
    let other = |_: &World| {
        let of = |one: &Posted| kinds(one, "firing").contains(&"receiver_failing receiver chat".to_owned());
        receivers.at("/hook").iter().any(of)
    };
    world.until("the other to hear of it", STEP, other).await;
    world.turn(Span::from_hours(2), STEP).await;
    assert!((3..20).contains(&receivers.refused()), "{} tries in two hours", receivers.refused());
    receivers.is_down("/chat", false);
    world.until("what it missed", STEP, |_| !receivers.at("/chat").is_empty()).await;
    let text = receivers.at("/chat")[0].json()["text"].as_str().expect("a text").to_owned();
    assert!(text.contains("lane hub") && text.contains("lane esp"), "{text}");
    world.until("the page to be well again", STEP, |w| !told(w)).await;
    world.daemon.stop().await.expect("an end");
}

/// `espalier alerts list --json`
fn listed(folder: &Path) -> Listing {
    let (is_well, text) = espalier(folder, &["alerts", "list", "--json"]);
    assert!(is_well, "{text}");
    serde_json::from_str(&text).expect("a listing")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_neither_repeats_nor_forgets() {
    let (receivers, at) = Receivers::begin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let url = secret(folder.path(), "hook", &format!("http://{at}/hook"));
    let hook = format!("[alerts.receiver.hook]\nkind = \"webhook\"\nurl = \"{url}\"\n");
    let quick = "every = \"1s\"\ngroup_wait = \"1s\"\ncalm = \"3s\"\n";
    // No disk has so much.
    let low = format!("[alerts]\n{quick}{hook}[alerts.rule.disk_low]\nbelow = \"4000000000 GB\"\nfor = \"0s\"\n");
    let store = folder.path().join("store");
    let mut daemon = Daemon::new(folder.path(), &store, &low, &[]);
    daemon.start_ready().await;
    let told = |n: usize| {
        let receivers = receivers.clone();
        move || {
            let receivers = receivers.clone();
            async move { receivers.at("/hook").len() >= n }
        }
    };
    eventually("the first message", Duration::from_secs(30), told(1)).await;
    assert_eq!(kinds(&receivers.at("/hook")[0], "firing"), ["disk_low the disk"]);
    // The note of it is on disk when the listing says that the receiver knows.
    let is_known = || async { listed(folder.path()).alerts.iter().any(|one| one.alert.told.contains_key("hook")) };
    eventually("the note of it", Duration::from_secs(30), is_known).await;
    daemon.kill();
    daemon.start_ready().await;
    let first = listed(folder.path()).at;
    let is_looked = || async {
        let listing = listed(folder.path());
        listing.alerts.iter().any(|one| one.alert.seen.since(first) >= Span::from_secs(3) && one.state == "firing")
    };
    eventually("some looks", Duration::from_secs(30), is_looked).await;
    assert_eq!(receivers.at("/hook").len(), 1, "nothing is repeated");

    // Silences outlive a kill as well.
    let (is_well, text) = espalier(folder.path(), &["alerts", "silence", "--for", "1h", "--kind", "silence"]);
    assert!(is_well && text.contains("silence 1 until"), "{text}");
    daemon.kill();
    drop(daemon);
    let mut daemon = Daemon::new(folder.path(), &store, &format!("[alerts]\n{quick}{hook}"), &[]);
    daemon.start_ready().await;
    eventually("its end", Duration::from_secs(30), told(2)).await;
    assert_eq!(kinds(&receivers.at("/hook")[1], "resolved"), ["disk_low the disk"]);
    let silences = listed(folder.path()).silences;
    assert_eq!(silences.iter().map(|one| (one.id, one.kind)).collect::<Vec<_>>(), [(1, Some(Kind::Silence))]);
    let (is_well, text) = espalier(folder.path(), &["alerts", "unsilence", "1"]);
    assert!(is_well && text.contains("has ended"), "{text}");
    assert!(!espalier(folder.path(), &["alerts", "unsilence", "1"]).0);
    let (is_well, text) = espalier(folder.path(), &["alerts", "list"]);
    assert!(is_well && text.contains("nothing fires") && text.contains("receiver hook (webhook)"), "{text}");
    assert!(!daemon.log_end().contains("/hook"), "no address of a receiver is logged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_test_tells_what_each_receiver_answers() {
    let (receivers, at) = Receivers::begin().await;
    receivers.is_down("/down", true);
    let (mail, mail_at) = MailServer::begin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let secret = |name: &str| secret(folder.path(), name, &format!("http://{at}/{name}"));
    let to = "from = \"espalier@shop.example\"\nto = [\"oncall@shop.example\"]\n";
    let server = format!("kind = \"email\"\nserver = \"127.0.0.1\"\nport = {}\n{to}", mail_at.port());
    let alerts = format!(
        "[alerts.receiver.chat]\nkind = \"slack\"\nurl = \"{}\"\n[alerts.receiver.down]\nkind = \"slack\"\nurl = \"{}\"\n\
         [alerts.receiver.mail]\ntls = \"none\"\n{server}[alerts.receiver.strict]\n{server}",
        secret("chat"),
        secret("down"),
    );
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &alerts, &[]);
    daemon.start_ready().await;
    let (is_well, text) = espalier(folder.path(), &["alerts", "test"]);
    assert!(!is_well, "two could not be told: {text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "chat (slack): taken: HTTP 200: ok");
    assert_eq!(lines[1], "down (slack): not taken: HTTP 503: down");
    assert_eq!(lines[2], "mail (email): taken: the mail server took it (250)");
    // Without STARTTLS nothing is sent.
    assert!(lines[3].starts_with("strict (email): not taken: the mail server"), "{text}");
    assert_eq!(mail.letters().len(), 1);
    assert!(mail.letters()[0].text.contains("Subject: espalier: a test, nothing is wrong"), "{:?}", mail.letters());
    assert_eq!(receivers.at("/chat")[0].json()["text"], "*espalier: a test, nothing is wrong*");
    let (is_well, text) = espalier(folder.path(), &["alerts", "test", "--receiver", "mail"]);
    assert!(is_well && text.lines().count() == 1, "{text}");
    let (is_well, text) = espalier(folder.path(), &["alerts", "test", "--receiver", "nobody"]);
    assert!(!is_well && text.contains("no such receiver"), "{text}");
    assert!(!text.contains("oncall@"), "{text}");
}

/// By STARTTLS and from the first byte; and not to a server that nobody vouches for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_encrypted_to_a_server_with_a_certificate_of_ones_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(folder.path())
        .output()
        .expect("openssl, which scripts/test installs");
    assert!(made.status.success(), "{made:?}");
    let tls = acceptor(folder.path());
    let (asked, asked_at) = MailServer::encrypted(Encryption::Asked(tls.clone())).await;
    let (wrapped, wrapped_at) = MailServer::encrypted(Encryption::Wrapped(tls)).await;
    let ca = format!("ca = \"${{file:{}}}\"\n", folder.path().join("cert.pem").display());
    let password = secret(folder.path(), "password", "p4ss");
    let receiver = |name: &str, port: u16, rest: &str| {
        format!(
            "[alerts.receiver.{name}]\nkind = \"email\"\nserver = \"localhost\"\nport = {port}\nuser = \"me\"\n\
             password = \"{password}\"\nfrom = \"espalier@shop.example\"\nto = [\"oncall@shop.example\"]\n{rest}"
        )
    };
    let alerts = receiver("asked", asked_at.port(), &ca)
        + &receiver("stranger", asked_at.port(), "")
        + &receiver("wrapped", wrapped_at.port(), &format!("tls = \"wrapped\"\n{ca}"));
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &alerts, &[]);
    daemon.start_ready().await;
    let (_, text) = espalier(folder.path(), &["alerts", "test"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "asked (email): taken: the mail server took it (250)", "{text}");
    assert!(lines[1].starts_with("stranger (email): not taken: "), "{text}");
    assert_eq!(lines[2], "wrapped (email): taken: the mail server took it (250)", "{text}");
    for letters in [asked.letters(), wrapped.letters()] {
        let [letter] = letters.try_into().expect("one letter");
        assert!(letter.login.is_some() && letter.text.contains("a test, nothing is wrong"), "{letter:?}");
    }
}

/// Receivers whose addresses let in, which answer with their own address, or cannot be reached: it is nowhere to be seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_of_a_receiver_is_nowhere_to_be_seen() {
    let (receivers, at) = Receivers::begin().await;
    let folder = tempfile::tempdir().expect("a folder");
    let behind = "echo/T0/B0/s3cr3t?token=h1dd3n";
    let secret = |name: &str, url: &str| secret(folder.path(), name, url);
    let nowhere = support::free_port();
    let alerts = format!(
        "[log]\nlevel = \"trace\"\n[alerts]\nevery = \"1s\"\ngroup_wait = \"1s\"\n\
         [alerts.rule.disk_low]\nbelow = \"4000000000 GB\"\nfor = \"0s\"\n\
         [alerts.receiver.chat]\nkind = \"slack\"\nurl = \"{}\"\n[alerts.receiver.hook]\nkind = \"webhook\"\nurl = \"{}\"\n\
         [alerts.receiver.gone]\nkind = \"slack\"\nurl = \"{}\"\n",
        secret("chat", &format!("http://{at}/{behind}")),
        secret("hook", &format!("http://{at}/{behind}")),
        secret("gone", &format!("http://127.0.0.1:{nowhere}/{behind}")),
    );
    let mut daemon = Daemon::new(folder.path(), &folder.path().join("store"), &alerts, &[]);
    daemon.start_ready().await;
    let is_failing = || async { listed(folder.path()).receivers.iter().all(|one| one.failing.is_some()) };
    eventually("all to be tried", Duration::from_secs(30), is_failing).await;
    assert!(receivers.refused() >= 2, "they were called");
    let (is_well, tested) = espalier(folder.path(), &["alerts", "test"]);
    assert!(!is_well && tested.contains("chat (slack): not taken: HTTP 500\n"), "{tested}");
    let said = |args: &[&str]| espalier(folder.path(), args).1;
    let mut seen = vec![
        tested,
        said(&["alerts", "list"]),
        said(&["alerts", "list", "--json"]),
        said(&["audit", "--json"]),
        said(&["status", "--json"]),
    ];
    for path in ["/health", "/metrics", "/api/alerts", "/api/health"] {
        seen.push(daemon.page(path).await.text().await.expect("text"));
    }
    seen.push(std::fs::read_to_string(folder.path().join("daemon.log")).expect("a log"));
    assert!(seen.iter().filter(|text| text.contains("HTTP 500")).count() >= 3, "the failure is told: {seen:?}");
    for text in seen {
        for part in ["/echo", "s3cr3t", "h1dd3n", "token=", "T0"] {
            assert!(!text.contains(part), "{part} is in {text}");
        }
    }
}
