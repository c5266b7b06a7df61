//! A store that is copied while it works, lost, and made again: nothing that was acknowledged before the copy is missing,
//! nothing that was settled is sent twice, and a copy that is not whole is told and not used.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use support::load::{LEFT, PING, Told, configuration, vendors};
use support::{Daemon, client, espalier, pause};

/// A folder of its own with a configuration whose store is empty; no trigger where there is no destination.
fn another(name: &str, rest: &str) -> (tempfile::TempDir, PathBuf, Daemon) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join(name);
    let triggers: &[(&str, &str)] = if rest.is_empty() { &[] } else { &[("ping", PING), ("left", LEFT)] };
    let daemon = Daemon::new(folder.path(), &store, rest, triggers);
    (folder, store, daemon)
}

fn well(folder: &Path, args: &[&str]) -> String {
    let (is_well, text) = espalier(folder, args);
    assert!(is_well, "{args:?}: {text}");
    text
}

fn refused(folder: &Path, args: &[&str]) -> String {
    let (is_well, text) = espalier(folder, args);
    assert!(!is_well, "{args:?} should be refused: {text}");
    text
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_a_backup_is_restored_and_nothing_is_sent_twice() {
    let (sandbox, address) = vendors().await;
    let (folder, _, mut daemon) = another("store", &configuration(address));
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    while told.acknowledged_so_far() < 1_500 {
        pause(50).await;
    }
    let before = told.so_far();
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copies.path().join("copy");
    let said = well(folder.path(), &["store", "backup", text(&copy), "--keep", "30d"]);
    assert!(said.contains("up to event"), "{said}");
    // It goes on after it: vendors take what the backup does not know of. That intake does not
    // wait for a backup is tested where backups are made.
    let then = told.acknowledged_so_far();
    while told.acknowledged_so_far() < then + 500 {
        pause(50).await;
    }
    daemon.kill();
    told.end(loads).await;

    let (other, store, mut daemon) = another("restored", &configuration(address));
    let said = well(other.path(), &["store", "verify", "--backup", text(&copy)]);
    assert!(said.contains("well"), "{said}");
    let said = well(other.path(), &["store", "restore", text(&copy)]);
    assert!(said.contains("restored up to event"), "{said}");
    let said = well(other.path(), &["store", "verify"]);
    assert!(said.contains("well"), "{said}");
    assert!(store.join("journal").exists());
    refused(other.path(), &["store", "restore", text(&copy)]);
    daemon.start_ready().await;
    before.all_is_taken_once(Vec::new(), &sandbox, &daemon).await;
    let known = well(other.path(), &["store", "backups"]);
    assert!(known.contains(text(&copy)) && known.contains("kept until"), "the backup knows of itself: {known}");
    assert!(daemon.terminate().success());
}

/// Somebody in a store, and a backup of it.
async fn one_person(folder: &Path, daemon: &mut Daemon, copy: &Path) {
    daemon.start_ready().await;
    let body = serde_json::json!({
        "type": "track", "event": "Ping", "messageId": "m1", "userId": "u1", "properties": { "ping_id": "p1" },
        "context": { "traits": { "email": "ines@example.com" } },
    });
    let answer = daemon.post(&client(), "/v1/track", body.to_string()).await;
    assert_eq!(answer, Some(200));
    support::eventually("somebody is known", std::time::Duration::from_secs(20), || async {
        espalier(folder, &["person", "export", "email:ines@example.com"]).0
    })
    .await;
    well(folder, &["store", "backup", text(copy), "--keep", "7d"]);
}

/// Every file of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn copy_folder(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("a file of the folder"));
        fs::create_dir_all(target.parent().expect("a folder")).expect("a folder");
        fs::copy(&file, target).expect("a copy");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_is_not_whole_is_told_and_nothing_is_made_of_it() {
    let (folder, _, mut daemon) = another("store", "");
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copies.path().join("copy");
    one_person(folder.path(), &mut daemon, &copy).await;
    refused(folder.path(), &["store", "backup", text(&copy)]);
    let known = well(folder.path(), &["store", "backups"]);
    assert!(known.contains(text(&copy)), "what was there before is known: {known}");
    daemon.kill();
    for path in files(&copy) {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(&path).expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{} is for its owner only", path.display());
    }

    let (other, store, _) = another("restored", "");
    let mut harms = 0;
    for file in files(&copy) {
        let name = file.strip_prefix(&copy).expect("a file of the backup").to_owned();
        for harm in ["flipped", "cut", "gone"] {
            let broken = copies.path().join(format!("broken-{harms}"));
            copy_folder(&copy, &broken);
            let path = broken.join(&name);
            let mut bytes = fs::read(&path).expect("a file");
            let middle = bytes.len() / 2;
            match harm {
                "flipped" => bytes[middle] ^= 1,
                "cut" => bytes.truncate(middle),
                _ => {}
            }
            if harm == "gone" {
                fs::remove_file(&path).expect("a file");
            } else {
                fs::write(&path, bytes).expect("a file");
            }
            let what = format!("{} {harm}", name.display());
            let (is_well, said) = espalier(other.path(), &["store", "verify", "--backup", text(&broken)]);
            assert!(!is_well, "{what}: {said}");
            let (is_well, said) = espalier(other.path(), &["store", "restore", text(&broken)]);
            assert!(!is_well, "{what}: {said}");
            assert!(!store.join("journal").exists() && !store.join("unfinished").exists(), "{what}: nothing is left");
            harms += 1;
        }
    }
    assert!(harms >= 9, "a manifest, a snapshot and a segment are harmed: {harms}");
    well(other.path(), &["store", "restore", text(&copy)]);

    // A restore that was cut is not taken for a store.
    fs::write(store.join("unfinished"), "").expect("a mark");
    let said = refused(other.path(), &["store", "compact"]);
    assert!(said.contains("was not restored to its end"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_tells_of_backups_and_a_restore_forgets_once_more() {
    let (folder, _, mut daemon) = another("store", "");
    let copies = tempfile::tempdir().expect("a folder");
    let copy = copies.path().join("copy");
    one_person(folder.path(), &mut daemon, &copy).await;
    let said = well(folder.path(), &["person", "erase", "email:ines@example.com", "--yes"]);
    assert!(said.contains(text(&copy)) && said.contains("still has them"), "{said}");
    let said = well(folder.path(), &["person", "receipts", "--json"]);
    let receipts: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(receipts[0]["backups"][0]["folder"], text(&copy), "{said}");
    let aside = copies.path().join("elsewhere");
    refused(folder.path(), &["store", "backups", "--gone", text(&copy)]);
    fs::rename(&copy, &aside).expect("a folder");
    well(folder.path(), &["store", "backups", "--gone", text(&copy)]);
    let said = well(folder.path(), &["person", "receipts"]);
    assert!(!said.contains("still has them"), "{said}");
    daemon.kill();

    let (other, store, mut daemon) = another("restored", "");
    let names = copies.path().join("names");
    fs::write(&names, "email:ines@example.com\n\nines at example.com\n").expect("a file");
    let said = refused(other.path(), &["store", "restore", text(&aside), "--forget", text(&names)]);
    assert!(said.contains("line 3 is no name") && !said.contains("ines at"), "{said}");
    assert!(!store.join("journal").exists(), "nothing was restored");
    fs::write(&names, "# later than the backup\nemail:ines@example.com\n").expect("a file");
    let said = well(other.path(), &["store", "restore", text(&aside), "--forget", text(&names)]);
    assert!(said.contains("1 erasures are noted") && !said.contains("ines@"), "{said}");
    daemon.start_ready().await;
    support::eventually("she is forgotten once more", std::time::Duration::from_secs(20), || async {
        !espalier(other.path(), &["person", "export", "email:ines@example.com"]).0
    })
    .await;
}

/// Everything that is kept of somebody, but when it was asked for.
fn person_of(folder: &Path) -> Value {
    let mut person: Value = serde_json::from_str(&well(folder, &["person", "export", "user_id:u2"])).expect("JSON");
    person.as_object_mut().expect("a person").remove("asked").expect("an instant");
    person
}

/// The lines of an export that are of the journal.
fn journal_of(export: &Path) -> Vec<String> {
    let text = fs::read_to_string(export).expect("an export");
    let of = |line: &&str| ["{\"events\"", "{\"settled\"", "{\"step\""].iter().any(|kind| line.starts_with(kind));
    text.lines().filter(of).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_makes_the_same_store() {
    let (sandbox, address) = vendors().await;
    let (folder, store, mut daemon) = another("store", &configuration(address));
    daemon.start_ready().await;
    let told = Arc::new(Told::default());
    let loads = told.begin(daemon.intake);
    while told.acknowledged_so_far() < 1_000 {
        pause(50).await;
    }
    let files = tempfile::tempdir().expect("a folder");
    let (online, offline) = (files.path().join("online.jsonl"), files.path().join("offline.jsonl"));
    well(folder.path(), &["store", "export", text(&online)]);
    assert!(!files.path().join("online.backup").exists(), "what it was written of is gone");
    told.all_is_taken_once(loads, &sandbox, &daemon).await;
    assert!(daemon.terminate().success());
    well(folder.path(), &["store", "export", text(&offline)]);
    refused(folder.path(), &["store", "export", text(&offline)]);
    // What cannot be read to its end leaves no file, and what somebody else left is not written over.
    let segment =
        store.join("journal").read_dir().expect("a journal").next().expect("a segment").expect("a segment").path();
    let sound = fs::read(&segment).expect("a segment");
    let mut harmed = sound.clone();
    harmed[sound.len() / 2] ^= 1;
    fs::write(&segment, harmed).expect("a segment");
    refused(folder.path(), &["store", "export", text(&files.path().join("harmed.jsonl"))]);
    fs::write(&segment, sound).expect("a segment");
    fs::write(files.path().join("half.unfinished"), "somebody's").expect("a file");
    let said = refused(folder.path(), &["store", "export", text(&files.path().join("half.jsonl"))]);
    assert!(said.contains("half.unfinished is there already"), "{said}");
    fs::remove_file(files.path().join("half.unfinished")).expect("it is as it was");
    let left = files.path().read_dir().expect("a folder").map(|entry| entry.expect("a file").file_name());
    let left: std::collections::BTreeSet<_> = left.collect();
    assert_eq!(left, ["offline.jsonl", "online.jsonl"].map(Into::into).into(), "nothing half-written is left");
    let person = person_of(folder.path());

    let (other, store, mut daemon) = another("imported", &configuration(address));
    let said = well(other.path(), &["store", "import", text(&offline)]);
    assert!(said.contains("imported, as they were written"), "{said}");
    refused(other.path(), &["store", "import", text(&offline)]);
    assert!(well(other.path(), &["store", "verify"]).contains("well"));
    assert_eq!(person_of(other.path()), person, "the same people");
    let again = files.path().join("again.jsonl");
    well(other.path(), &["store", "export", text(&again)]);
    assert_eq!(journal_of(&again), journal_of(&offline), "the same journal");
    assert!(journal_of(&offline).len() > 500, "a journal worth the name, in words");
    let sent = sandbox.effects_from("klaviyo", 0).len();
    daemon.start_ready().await;
    pause(1_000).await;
    assert_eq!(sandbox.effects_from("klaviyo", 0).len(), sent, "nothing is sent again");
    daemon.kill();

    // What was written of a store at work is whole, too.
    let (third, _, _) = another("online", "");
    well(third.path(), &["store", "import", text(&online)]);
    assert!(well(third.path(), &["store", "verify"]).contains("well"));

    // What is changed or cut is refused, and nothing is left of it.
    let whole = fs::read_to_string(&offline).expect("an export");
    let lines: Vec<&str> = whole.lines().collect();
    let without = |n: usize| [&lines[..n], &lines[n + 1..]].concat().join("\n") + "\n";
    let middle = lines.iter().position(|line| line.starts_with("{\"events\"")).expect("events");
    let broken = [
        ("cut", lines[..lines.len() - 1].join("\n") + "\n"),
        ("cut in a line", whole[..whole.len() / 2].to_owned()),
        ("without its state", without(1)),
        ("without a record", without(middle + 3)),
        ("changed", whole.replacen("\"Ping\"", "\"Pong\"", 1)),
        ("gone on with", format!("{whole}{}\n", lines[middle])),
        ("of another kind", "{\"a\":1}\n".to_owned()),
        ("of a later version", whole.replacen("\"schema\":", "\"schema\":9", 1)),
    ];
    fs::remove_dir_all(&store).expect("a folder");
    for (what, text_of) in broken {
        let file = files.path().join("broken.jsonl");
        fs::write(&file, text_of).expect("a file");
        let said = refused(other.path(), &["store", "import", text(&file)]);
        assert!(!said.contains("example.com"), "{what}: nobody is named: {said}");
        assert!(!store.join("journal").exists() && !store.join("unfinished").exists(), "{what}: nothing is left");
    }
}
