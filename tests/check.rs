//! Wrong configurations and the words they earn: all mistakes at once, each with file, line, key and a way out.

#[expect(dead_code, reason = "what ships is checked where it lies, not copied")]
mod example;

use std::path::Path;
use std::process::Command;

use espalier::settings;

fn check(config: &str, trigger: &str) -> (bool, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    std::fs::write(folder.path().join("espalier.toml"), config).expect("the configuration");
    std::fs::write(folder.path().join("triggers/a.toml"), trigger).expect("a trigger");
    let out = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["check", "--config", "espalier.toml"])
        .current_dir(folder.path())
        .env("TEST_KEY", "k-3-cr-3-t")
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!text.contains("k-3-cr-3-t") && !text.contains("pl41n"), "a secret's value is never shown");
    let told = text.lines().filter(|line| line.starts_with("espalier.toml:") || line.starts_with("triggers/"));
    (out.status.success(), told.map(str::to_owned).collect())
}

const GOOD: &str = "name = \"a\"\n[[when.all]]\ndid = \"X\"\n[[activate]]\ndestination = \"k\"\nevent = \"E\"\n";
const ACCOUNT: &str = "[destination.k]\nkind = \"klaviyo\"\napi_key = \"${env:TEST_KEY}\"\n";

#[test]
fn a_good_one_is_well() {
    assert_eq!(check(ACCOUNT, GOOD), (true, Vec::new()));
}

#[test]
fn every_mistake_is_told_at_once() {
    let config = format!(
        "trigers = \"triggers\"\n[store]\ncache = \"64 XB\"\ndedupe = \"7 dayz\"\nbacklog = \"many\"\n[intake]\nlisten = \"here\"\n\
         [source.web]\nkind = \"trackin\"\n[source.two]\nkind = \"tracking\"\nwrite_key = \"pl41n\"\n{ACCOUNT}share = 4\n\
         [delivery]\ntries = 0\n"
    );
    let trigger = "name = \"Bad Name\"\nwhen = { did = \"X\", withn = \"3d\" }\n[[activate]]\ndestination = \"kk\"\nevent = \"E\"\n";
    let (is_well, told) = check(&config, trigger);
    assert!(!is_well);
    let wanted = [
        "espalier.toml:1:1: trigers: is not a key that is known here (did you mean `triggers`?)",
        "espalier.toml:3:1: store.cache: is not a size",
        "espalier.toml:4:1: store.dedupe: `7 dayz` is not a length of time",
        "espalier.toml:5:1: store.backlog: must be a whole number",
        "espalier.toml:7:1: intake.listen: is not an address and port (127.0.0.1:8080)",
        "espalier.toml:9:1: source.web.kind: `trackin` is not one of its values (did you mean `tracking`?)",
        "espalier.toml:12:1: source.two.write_key: is a secret and must not stand in a file",
        "espalier.toml:16:1: destination.k.share: must lie between 0.01 and 1",
        "espalier.toml:18:1: delivery.tries: must lie between 1 and 1000",
        "triggers/a.toml:1:8: name: must be at most 64 lower-case letters",
        "triggers/a.toml:2:21: when.withn: is not a key that is known here (did you mean `within`?)",
        "triggers/a.toml:4:15: activate[0].destination: `kk` is not a destination (did you mean `k`?)",
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.starts_with(wanted), "{told}\nis not\n{wanted}");
    }
}

#[test]
fn what_of_the_store_does_not_fit_together_is_told() {
    let kept = "url = \"${file:/etc/hostname}\"";
    for (lines, wanted) in [
        ("kind = \"postgres\"", "store.kind: `postgres` needs `url`, which says where it is"),
        (kept, "store.url: is for `kind = \"postgres\"` alone"),
        (&format!("kind = \"postgres\"\n{kept}"), "store.url: must begin with postgres://"),
        ("kind = \"postgres\"\nurl = \"postgres://u:p@h/n\"", "store.url: is a secret and must not stand in a file"),
        ("kind = \"postgress\"", "store.kind: `postgress` is not one of its values (did you mean `postgres`?)"),
        ("connections = 1", "store.connections: must lie between 2 and 100"),
        (
            "kind = \"postgres\"\nbackup = { path = \"b\" }",
            "store.backup: makes backups of the embedded store: PostgreSQL's are made by pg_dump, or are base backups",
        ),
    ] {
        let (is_well, told) = check(&format!("[store]\n{lines}\n{ACCOUNT}"), GOOD);
        assert!(!is_well && told.iter().any(|line| line.contains(wanted)), "{lines}: {told:#?}");
    }
}

#[test]
fn gates_in_the_configuration_are_checked() {
    for (line, wanted) in [
        ("consent = \"opt_inn\"", "gates.consent: `opt_inn` is not one of its values (did you mean `opt_in`?)"),
        ("consnt = \"opt_in\"", "gates.consnt: is not a key that is known here (did you mean `consent`?)"),
        (
            "holdout = \"10\"",
            "gates.holdout: `10` is not a share from 0% to 100% with at most two decimals, like \"10%\"",
        ),
        ("holdout = 101", "gates.holdout: must lie between 0 and 100"),
        (
            "quiet_hours = { from = \"25:00\", until = \"08:00\", zone = \"UTC\" }",
            "gates.quiet_hours.from: `25:00` is not a time of day: write it like \"21:00\" or \"08:30\"",
        ),
        (
            "quiet_hours = { from = \"21:00\", until = \"08:00\", zone = \"Lisbon\" }",
            "gates.quiet_hours.zone: `Lisbon` is not a time zone: write its name, like \"Europe/Lisbon\" or \"UTC\"",
        ),
        (
            "quiet_hours = { from = \"21:00\", until = \"08:00\" }",
            "gates.quiet_hours.zone: is missing (The zone of people who have none of their own: \"Europe/Lisbon\".)",
        ),
        (
            "quiet_hours = { from = \"21:00\", until = \"21:00\", zone = \"UTC\" }",
            "gates.quiet_hours.until: is the same as `from`: that is no time at all, or all of it",
        ),
        ("cap = { most = 0, within = \"7d\" }", "gates.cap.most: must lie between 1 and 100"),
        ("cap = { most = 3 }", "gates.cap.within: is missing (Within so long, a minute to 90 days: \"7d\".)"),
        (
            "cap = { most = 3, within = \"7 days\" }",
            "gates.cap.within: `7 days` is not a length of time: write it like \"30m\", \"24h\" or \"14d\"",
        ),
        ("cap = { most = 3, within = \"91d\" }", "gates.cap.within: must lie between 1m and 90d"),
        (
            "cap = [{ most = 3, within = \"1d\" }, { most = 4, within = \"1s\" }]",
            "gates.cap.1.within: must lie between 1m and 90d",
        ),
        (
            "cap = [{ most = 3, within = \"1d\", per = \"x\" }]",
            "gates.cap.0.per: is not a key that is known here (known here: most, within)",
        ),
        ("cap = 3", "gates.cap: is of the wrong sort"),
    ] {
        let (is_well, told) = check(&format!("[gates]\n{line}\n{ACCOUNT}"), GOOD);
        assert!(!is_well);
        let [told] = told.as_slice() else { panic!("{line}: {told:#?}") };
        let (place, words) = told.split_once(": ").expect("a place");
        assert!(place.starts_with("espalier.toml:2:"), "{told}");
        assert_eq!(words, wanted, "{line}");
    }
    assert_eq!(check(&format!("[gates]\nconsent = \"opt_in\"\nholdout = \"5%\"\n{ACCOUNT}"), GOOD), (true, Vec::new()));
}

/// Word of what has lost its reason goes where an event went, and only there.
#[test]
fn what_is_to_be_told_void_is_checked() {
    let trigger = |top: &str, start: &str| {
        format!("name = \"a\"\n{top}when = {{ did = \"X\" }}\nactivate = [{{ destination = \"k\", {start} }}]\n")
    };
    for (top, start, wanted) in [
        ("", "list = \"L1\", void = \"Not Valid\"", "activate[0].void: goes with `event` alone"),
        ("", "event = \"A\", void = \"A\"", "activate[0].void: is the name of the event itself"),
        ("", "event = \"A\", void = \"\"", "activate[0].void: must not be empty"),
        ("void_within = \"2d\"\n", "event = \"A\"", "void_within: is for nothing: no [[activate]] says `void`"),
        ("void_within = \"31d\"\n", "event = \"A\", void = \"B\"", "void_within: must be at most 30d"),
        ("void_within = \"2\"\n", "event = \"A\", void = \"B\"", "void_within: `2` is not a length of time"),
    ] {
        let (is_well, told) = check(ACCOUNT, &trigger(top, start));
        assert!(!is_well, "{start}");
        let [told] = told.as_slice() else { panic!("{start}: {told:#?}") };
        assert!(told.contains(&format!(": {wanted}")), "{told}");
    }
    let good = trigger("void_within = \"30d\"\n", "event = \"A\", void = \"B\"");
    assert_eq!(check(ACCOUNT, &good), (true, Vec::new()));
}

#[test]
fn what_is_deferred_needs_a_night_and_has_to_live_until_then() {
    let trigger = |expires: &str| {
        format!(
            "name = \"a\"\n{expires}when = {{ did = \"X\" }}\nactivate = [{{ destination = \"k\", event = \"A\", defer = true }}]\n"
        )
    };
    let off = "[nightly]\ndestination.k = { at = \"off\" }\n";
    let weekly = "[nightly]\nzone = \"Europe/Lisbon\"\ndestination.k = { at = \"0 3 * * 6\" }\n";
    for (nights, expires, wanted) in [
        (off, "expires = \"2d\"\n", "activate[0].defer: waits for a night, and `k` has none"),
        ("", "", "activate[0].defer: nights of `k` are up to 1d apart, and it expires after 4h (expires = \"2d\")"),
        ("", "expires = \"1d\"\n", "activate[0].defer: nights of `k` are up to 1d apart, and it expires after 1d"),
        (
            weekly,
            "expires = \"7d\"\n",
            "activate[0].defer: nights of `k` are up to 169h apart, and it expires after 7d",
        ),
    ] {
        let (is_well, told) = check(&format!("{nights}{ACCOUNT}"), &trigger(expires));
        assert!(!is_well, "{wanted}");
        let [told] = told.as_slice() else { panic!("{wanted}: {told:#?}") };
        assert!(told.contains(&format!(": {wanted}")), "{told}");
    }
    for (nights, expires) in [("", "expires = \"25h\"\n"), (weekly, "expires = \"8d\"\n")] {
        assert_eq!(check(&format!("{nights}{ACCOUNT}"), &trigger(expires)), (true, Vec::new()));
    }
}

#[test]
fn nights_in_the_configuration_are_checked() {
    for (line, wanted) in [
        ("at = \"3 o'clock\"", "nightly.at: `3 o'clock` is not when: write minute, hour, day, month and weekday"),
        ("at = \"0 3 * * *\"\nzone = \"Berlin\"", "nightly.zone: `Berlin` is not a time zone"),
        ("overlap = \"2 hours\"", "nightly.overlap: `2 hours` is not a length of time"),
        ("source.shpo = { at = \"off\" }", "nightly.source.shpo: is no source of this configuration (configured: "),
        ("destination.kk = {}", "nightly.destination.kk: is no destination of this configuration (did you mean `k`?)"),
        ("nights = 3", "nightly.nights: is not a key that is known here"),
    ] {
        let (is_well, told) = check(&format!("[nightly]\n{line}\n{ACCOUNT}"), GOOD);
        assert!(!is_well, "{line}");
        let [told] = told.as_slice() else { panic!("{line}: {told:#?}") };
        let (place, words) = told.split_once(": ").expect("a place");
        assert!(place.starts_with("espalier.toml:"), "{told}");
        assert!(words.starts_with(wanted), "{line}: {words}");
    }
    let good = "[nightly]\nat = \"30 2 * * 1-5\"\nzone = \"Europe/Lisbon\"\ndestination.k = { at = \"off\" }";
    assert_eq!(check(&format!("{good}\n{ACCOUNT}"), GOOD), (true, Vec::new()));
}

/// Clashes between sources are told beside mistakes in single keys, also in the sources themselves.
#[test]
fn what_no_single_key_can_know_is_told_with_the_rest() {
    let source = |name: &str| format!("[source.{name}]\nkind = \"tracking\"\nwrite_key = \"${{env:TEST_KEY}}\"\n");
    let config = format!(
        "[ops]\nlisten = \"0.0.0.0:8081\"\n[engagement]\nwindow = \"4000d\"\nopens = -1.0\n{}{}[source.shop]\nkind = \"connector\"\nconnector = \"shopifi\"\n\
         [source.bad]\nkind = \"trackin\"\n[store]\nbacklog = \"many\"\n{ACCOUNT}",
        source("a"),
        source("b"),
    );
    let (is_well, told) = check(&config, GOOD);
    assert!(!is_well);
    let keys = [
        "ops.listen",
        "ops.listen",
        "engagement.window",
        "engagement.opens",
        "source.b.write_key",
        "source.shop.connector",
        "source.bad.kind",
        "store.backlog",
    ];
    assert_eq!(told.len(), keys.len(), "{told:#?}");
    for (told, key) in told.iter().zip(keys) {
        assert!(told.contains(&format!(": {key}: ")), "{told} is not of {key}");
    }
}

#[test]
fn a_time_that_is_none_is_told_beside_other_mistakes() {
    let (is_well, told) = check(&format!("[plan]\nat = \"04:30\"\nzone = \"Lisbon\"\n{ACCOUNT}"), GOOD);
    assert!(!is_well && told.len() == 2, "{told:#?}");
    assert!(
        told[0].starts_with("espalier.toml:2:1: plan.at: `04:30` is not when: write minute, hour, day,"),
        "{told:#?}"
    );
    assert!(told[1].starts_with("espalier.toml:3:1: plan.zone: `Lisbon` is not a time zone"), "{told:#?}");
}

/// What a webhook is told, against what its manifest asks, beside the other mistakes.
#[test]
fn a_webhook_is_checked_against_its_manifest() {
    for (lines, wanted) in [
        (
            "",
            "2:14: destination.w: needs `url`, where to post, or `connector` (url = \"https://hooks.example/espalier\", or one of: braze, brevo)",
        ),
        (
            "url = \"http://hooks.example\"",
            "4:1: destination.w.url: must be an address that begins with `https://`, without a name, query or fragment in it (Where to post, without a query: \"https://hooks.example/espalier\")",
        ),
        (
            "url = \"https://h.example\"\nsecret = \"whsec_pl41npl41npl41npl41npl41npl41npl41np\"",
            "5:1: destination.w.secret: is a secret and must not stand in a file: write a reference to it (\"${env:NAME}\" or \"${file:/path}\")",
        ),
        (
            "url = \"https://h.example\"\nsecret = \"${env:TEST_KEY}\"",
            "5:1: destination.w.secret: is not base64 (whsec_ and 24 to 64 random bytes in base64: echo whsec_$(openssl rand -base64 32))",
        ),
        (
            "url = \"https://h.example\"\ntimeot = \"1s\"",
            "5:1: destination.w.timeot: is not a key that is known here (did you mean `timeout`?)",
        ),
        (
            "connector = \"breva\"",
            "4:1: destination.w.connector: there is no connector `breva` with a destination.toml (did you mean `brevo`?)",
        ),
        (
            "connector = \"brevo\"",
            "2:14: destination.w.settings: `api_key` is missing (Brevo > your name > SMTP & API > API Keys: a v3 key)",
        ),
        (
            "connector = \"brevo\"\nsettings = { api_key = \"${env:TEST_KEY}\", api_kee = \"x\" }",
            "5:43: destination.w.settings.api_kee: is no setting of this connector (did you mean `api_key`?)",
        ),
        (
            "connector = \"brevo\"\nsettings = { api_key = \"pl41n\" }",
            "5:14: destination.w.settings.api_key: is a secret and must not stand in a file: write a reference to it (\"${env:NAME}\" or \"${file:/path}\")",
        ),
        (
            "connector = \"brevo\"\nsettings = { api_key = \"${env:TEST_KEY}\" }\nurl = \"https://h.example\"",
            "6:1: destination.w.url: is for a destination without `connector` (in `settings`, under the name that `brevo` has for it)",
        ),
    ] {
        let (is_well, told) = check(&format!("[store]\n[destination.w]\nkind = \"webhook\"\n{lines}\n{ACCOUNT}"), GOOD);
        assert!(!is_well);
        assert_eq!(told, [format!("espalier.toml:{wanted}")], "{lines}");
    }
    let well =
        "[destination.w]\nkind = \"webhook\"\nconnector = \"brevo\"\nsettings = { api_key = \"${env:TEST_KEY}\" }\n";
    assert_eq!(check(&format!("{well}{ACCOUNT}"), GOOD), (true, Vec::new()));
}

#[test]
fn the_environment_wins_and_is_named_when_it_is_wrong() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    std::fs::write(folder.path().join("espalier.toml"), "[engine]\nbatch = 10\n").expect("the configuration");
    let out = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["check", "--config", "espalier.toml"])
        .current_dir(folder.path())
        .env("ESPALIER__ENGINE__BATCH", "0")
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("$ESPALIER__ENGINE__BATCH: engine.batch: must lie between 1 and 10000"), "{text}");
}

/// The program's own files: no mistake, and every test in them comes out as it says.
#[test]
fn what_ships_is_well() {
    example::espalier(Path::new(example::CONFIG), &["check"]);
    for folder in ["triggers", "segments"] {
        let files = settings::toml_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(folder), folder);
        for (file, text) in files.expect("files") {
            assert!(text.matches("[[test]]").count() >= 3, "{file} has fewer than three tests");
        }
    }
}

/// Programs that read a vendor: what they are given, and what their records make, in its own file.
#[test]
fn programs_and_their_mappings_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("triggers")).expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("good.toml", "[stream.orders]\nidentify = { email = \"email\" }\nemit = [{ event = \"Ordered\" }]\n");
    write("bad.toml", "[stream.orders]\nidentify = { mail = \"email\" }\nemit = [{ event = \"Ordered\" }]\n");
    write("catalog.json", "{\"streams\": [{\"tap_stream_id\": \"order\"}]}");
    let told = |config: &str| {
        write("espalier.toml", config);
        let out = Command::new(env!("CARGO_BIN_EXE_espalier"))
            .args(["check", "--config", "espalier.toml"])
            .current_dir(folder.path())
            .env("TEST_KEY", "k-3-cr-3-t")
            .output()
            .expect("the program");
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!text.contains("k-3-cr-3-t") && !text.contains("pl41n"), "a secret's value is never shown");
        text.lines()
            .filter(|line| !line.starts_with(' ') && line.contains(".toml:"))
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let good = "kind = \"singer\"\ncommand = [\"sh\"]\nmapping = \"good.toml\"\n";
    let secret = "settings = { a = { api_key = \"${env:TEST_KEY}\" }, token_url = \"x\" }\n";
    assert_eq!(told(&format!("[source.crm]\n{good}{secret}")), Vec::<String>::new());
    let wanted = [
        "espalier.toml:1:9: source.\u{fc}: must be letters, digits, `-` and `_`: a folder has its name",
        "espalier.toml:3:1: source.\u{fc}.command: there is no program `no-such-tap` (install it, or say where it is; it is looked for in \
         the PATH that `environment` hands on)",
        "espalier.toml:5:1: source.\u{fc}.every: must be a second or longer",
        "espalier.toml:6:1: source.\u{fc}.catalog: has no stream `orders`, which the mapping speaks of (did you mean `order`?)",
        "espalier.toml:7:16: source.\u{fc}.environment.0: the environment variable NO_SUCH is not set",
        "espalier.toml:8:28: source.\u{fc}.settings.a.0.db_password: is a secret and must not stand in a file: write a reference to it \
         (\"${env:NAME}\" or \"${file:/path}\")",
    ];
    let config = "[source.\"\u{fc}\"]\nkind = \"singer\"\ncommand = [\"no-such-tap\"]\nmapping = \"good.toml\"\nevery = \"0s\"\n\
                  catalog = \"catalog.json\"\nenvironment = [\"NO_SUCH\"]\nsettings = { a = [{ n = 1, db_password = \"pl41n\" }] }\n";
    assert_eq!(told(config), wanted);
    assert_eq!(
        told(&format!("[source.crm]\n{good}silent = \"1h\"\n")),
        ["espalier.toml:5:1: source.crm.silent: is not a key that is known here (did you mean `silence`?)"]
    );
    let wanted = [
        "bad.toml:2:21: stream.orders.identify.mail: `mail` is not known (did you mean `email`?)",
        "bad.toml:3:9: stream.orders.emit[0]: needs `identify`: an event without a person is none",
    ];
    assert_eq!(told(&format!("[source.crm]\n{}", good.replace("good", "bad"))), wanted);
    let missing = told(&format!("[source.crm]\n{}", good.replace("good", "none")));
    assert!(missing[0].starts_with("espalier.toml:4:1: source.crm.mapping: none.toml cannot be read"), "{missing:?}");
}

#[test]
fn a_test_that_comes_out_otherwise_is_told_with_its_line() {
    let test = |events: &str, fires: &str| {
        let trigger =
            format!("{GOOD}[[test]]\nname = \"one\"\nevents = [{events}]\nuntil = \"1h\"\nfires = [{fires}]\n");
        check(ACCOUNT, &trigger).1
    };
    let place = |column| format!("triggers/a.toml:11:{column}: ");
    assert_eq!(test("'t0 X n=1'", "'t0 n=1'"), Vec::<String>::new());
    let told = "test[0].fires[0]: the test `one` fails: +1m is expected, t0 happens (fires: t0)";
    assert_eq!(test("'t0 X'", "'+1m'"), [place(10) + told]);
    let told = "test[0].fires[0]: the test `one` fails: nothing fires then (nothing fires)";
    assert_eq!(test("'t0 Y'", "'t0'"), [place(10) + told]);
    let told = "test[0].fires: the test `one` fails: there is a fire more: t0 (fires: t0)";
    assert_eq!(test("'t0 X'", ""), [place(9) + told]);
    let told = "test[0].fires[0]: the test `one` fails: `n` should be 2 in the payload, and is 1 (fires: t0)";
    assert_eq!(test("'t0 X n=1'", "'t0 n=2'"), [place(10) + told]);
}

/// A template that fails over what somebody does in a test is found before anything fires.
#[test]
fn a_template_that_fails_in_a_test_is_told() {
    let trigger = format!(
        "{GOOD}[payload]\nx = \"{{{{ event.n + 1 }}}}\"\n[[test]]\nname = \"one\"\nevents = ['t0 X n=1']\nfires = ['t0 x=2']\n\
         [[test]]\nname = \"two\"\nevents = ['t0 X']\nfires = ['t0']\n"
    );
    let told = "triggers/a.toml:16:10: test[1].fires[0]: the test `two` fails: what fires at t0 is a dead letter: \
                `payload.x` cannot be said: invalid operation; `event.n` is not there (fires: t0)";
    assert_eq!(check(ACCOUNT, &trigger).1, [told]);
}

/// Segments and cohorts are files like the others.
#[test]
fn segments_and_cohorts_are_told_of_too() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["triggers", "segments"] {
        std::fs::create_dir(folder.path().join(name)).expect("a folder");
    }
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("a file");
    write("espalier.toml", "[cohorts.vip]\ntrait = \"plan\"\nis = \"gold\"\n[cohorts.odd]\ncohort = \"vipp\"\n");
    write("segments/a.toml", "name = \"a\"\nwhen = { segment = \"b\" }\n");
    write("segments/b.toml", "name = \"b\"\nwhen = { not = { segment = \"a\" } }\n");
    let out = Command::new(env!("CARGO_BIN_EXE_espalier"))
        .args(["check", "--config", "espalier.toml"])
        .current_dir(folder.path())
        .env("ESPALIER__COHORTS__VIP__IS", "silver")
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let told: Vec<&str> = text.lines().filter(|line| line.starts_with('$') || line.contains(".toml:")).collect();
    let told: Vec<&str> = told.into_iter().filter(|line| !line.starts_with(' ')).collect();
    let wanted = [
        "$ESPALIER__COHORTS__VIP__IS: cohorts: cohorts are declared in the file: their order counts",
        "espalier.toml:5:10: cohorts.odd.cohort: `vipp` is not a cohort (did you mean `vip`?)",
        "segments/b.toml:2:28: when.not.segment: goes round in a circle: segment `a` asks segment `b` asks segment `a`",
    ];
    assert_eq!(told, wanted, "{text}");
}

/// What is said of a connector, against what its manifest asks.
#[test]
fn a_connector_says_what_it_has_to_be_told() {
    let source =
        |lines: &str| format!("[source.shop]\nkind = \"connector\"\nconnector = \"shopify\"\n{lines}\n{ACCOUNT}");
    let good = "settings = { shop = \"acme.myshopify.com\", secrets = [\"${env:TEST_KEY}\"] }";
    assert_eq!(check(&source(good), GOOD), (true, Vec::new()));
    for (lines, key, words) in [
        ("settings = { secrets = [\"${env:TEST_KEY}\"] }", "source.shop.settings", "`shop` is missing"),
        (
            "settings = { shop = \"acme\", secrets = [\"${env:TEST_KEY}\"] }",
            "source.shop.settings.shop",
            "must be a host name",
        ),
        (
            "settings = { shop = \"acme.myshopify.com\", secret = [\"${env:TEST_KEY}\"] }",
            "source.shop.settings.secret",
            "is no setting of this connector (did you mean `secrets`?)",
        ),
        (
            "settings = { shop = \"acme.myshopify.com\", secrets = [\"hush\"] }",
            "source.shop.settings.secrets.0",
            "is a secret and must not stand in a file",
        ),
        ("settings = { shop = \"acme.myshopify.com\" }", "source.shop.settings", "no credentials: set "),
        (
            &format!("{good}\nwebhooks = {{ address = \"https://h.example/hooks/shop\" }}"),
            "source.shop.webhooks",
            "no credentials: set ",
        ),
        (
            &format!("{good}\nwebhooks = {{ address = \"http://h.example/hooks/shop\" }}"),
            "source.shop.webhooks.address",
            "must be an address that begins with `https://`",
        ),
        (
            &format!(
                "{good}\nwebhooks = {{ address = \"https://h.example/\", topics = [\"order/create\", \"shop/redact\"] }}"
            ),
            "source.shop.webhooks.topics.0",
            "the connector has no topic `order/create` (did you mean `orders/create`?)",
        ),
        (
            &format!("{good}\nwebhooks = {{ address = \"https://h.example/\", topics = [\"shop/redact\"] }}"),
            "source.shop.webhooks.topics.0",
            "`shop/redact` can be subscribed by hand alone",
        ),
    ] {
        let (is_well, told) = check(&source(lines), GOOD);
        assert!(!is_well && told.iter().any(|told| told.contains(&format!(": {key}: {words}"))), "{lines}: {told:#?}");
        assert!(!told.iter().any(|told| told.contains("hush")), "{told:#?}");
    }
}

/// What a vendor cannot do is told with what it can, and settings that it would not heed as well.
#[test]
fn what_a_destination_cannot_do_is_told() {
    let trigger = "name = \"a\"\nwhen = { did = \"X\" }\nactivate = [\n\
        { destination = \"k\", campaign = \"12\" },\n\
        { destination = \"m\", list = \"UwQxX4\" },\n\
        { destination = \"m\", campaign = \"12\" },\n]\n";
    let marketo = "[destination.m]\nkind = \"marketo\"\nbase_url = \"https://m.example\"\nactivity_type = 1\n\
        client_id = \"${env:TEST_KEY}\"\nclient_secret = \"${env:TEST_KEY}\"\ncampaigns = { late = { a = \"b\" } }\n";
    let config = format!("{ACCOUNT}revision = \"2026-04-15\"\nbackfill_after = \"1h\"\n{marketo}");
    let (is_well, told) = check(&config, trigger);
    assert!(!is_well);
    let wanted = [
        "espalier.toml:5:1: destination.k.backfill_after: needs `revision` 2026-07-15 or later: 2026-04-15 has no word for it",
        "espalier.toml:12:15: destination.m.campaigns.late: `late` is no campaign of Marketo: they have numbers",
        "triggers/a.toml:4:33: activate[0].campaign: `k` cannot do this (what it can do: event, list, remove_from, profile)",
        "triggers/a.toml:5:29: activate[1].list: `UwQxX4` is no id at `m`, where they are numbers (the number in the address of its page)",
    ];
    assert_eq!(told, wanted);
}

/// Rules and receivers of alerts, and no address that lets in whoever knows it.
#[test]
fn alerts_in_the_configuration_are_checked() {
    let chat = "[alerts.receiver.chat]\nkind = \"slack\"\n";
    for (lines, wanted) in [
        ("[alerts]\nrepeat = \"4 hours\"\n", "2:1: alerts.repeat: `4 hours` is not a length of time"),
        ("[alerts]\nevery = \"1ms\"\n", "2:1: alerts.every: must lie between 1s and 30d"),
        ("[alerts.rule]\ndisk_lo = { on = false }\n", "2:1: alerts.rule.disk_lo: is not a key that is known here (did"),
        (
            "[alerts.rule.disk_low]\nseverity = \"urgent\"\n",
            "2:1: alerts.rule.disk_low.severity: unknown variant `urgent`, expected `warning` or",
        ),
        ("[alerts.rule.disk_low]\ntimes = 3\n", "2:1: alerts.rule.disk_low.times: is nothing that this kind measures"),
        (
            &format!("{chat}url = \"https://hooks.example/pl41n\"\n"),
            "3:1: alerts.receiver.chat.url: is a secret and must",
        ),
        (&format!("{chat}url = \"${{env:TEST_KEY}}\"\n"), "3:1: alerts.receiver.chat.url: is no address of the web"),
        (
            "[alerts.receiver.chat]\nkind = \"slak\"\n",
            "2:1: alerts.receiver.chat.kind: `slak` is not one of its values (did you mean `slack`?)",
        ),
        (
            "[[alerts.maintenance]]\nat = \"at two\"\nlength = \"1h\"\n",
            "2:1: alerts.maintenance.0.at: `at two` is not when: write minute, hour, day,",
        ),
        (
            "[log]\notlp = \"http://127.0.0.1:4318\"\n",
            "2:1: log.otlp: needs a build with the feature `otel` (cargo build",
        ),
    ] {
        let (is_well, told) = check(&format!("{lines}{ACCOUNT}"), GOOD);
        let [told] = told.as_slice() else { panic!("{lines}: {told:#?}") };
        assert!(!is_well && told.starts_with(&format!("espalier.toml:{wanted}")), "{told}\nis not\n{wanted}");
    }
}
