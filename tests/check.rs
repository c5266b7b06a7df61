//! Wrong configurations and the words they earn: all mistakes at once, each with file, line, key and a way out.

use std::process::Command;

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
        "triggers/a.toml:4:15: activate[0].destination: `kk` is not a destination (configured: k)",
    ];
    assert_eq!(told.len(), wanted.len(), "{told:#?}");
    for (told, wanted) in told.iter().zip(wanted) {
        assert!(told.starts_with(wanted), "{told}\nis not\n{wanted}");
    }
}

/// Clashes between sources are told beside mistakes in single keys, also in the sources themselves.
#[test]
fn what_no_single_key_can_know_is_told_with_the_rest() {
    let source = |name: &str| format!("[source.{name}]\nkind = \"tracking\"\nwrite_key = \"${{env:TEST_KEY}}\"\n");
    let config = format!(
        "[ops]\nlisten = \"0.0.0.0:8081\"\n{}{}[source.shop]\nkind = \"webhook\"\nconnector = \"shopifi\"\nsecrets = [\"${{env:TEST_KEY}}\"]\n\
         [source.bad]\nkind = \"trackin\"\n[store]\nbacklog = \"many\"\n{ACCOUNT}",
        source("a"),
        source("b"),
    );
    let (is_well, told) = check(&config, GOOD);
    assert!(!is_well);
    let keys = ["ops.listen", "source.b.write_key", "source.shop.connector", "source.bad.kind", "store.backlog"];
    assert_eq!(told.len(), keys.len(), "{told:#?}");
    for (told, key) in told.iter().zip(keys) {
        assert!(told.contains(&format!(": {key}: ")), "{told} is not of {key}");
    }
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
