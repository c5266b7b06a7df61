//! Stores that earlier versions wrote: opened by this one, each has the same people, timers and outbox. `tests/stores`
//! says how they were made.

use std::path::Path;
use std::process::Command;

use espalier::model::{Identifier, IdentifierKind, Span, Timestamp};
use espalier::store::embedded::{Embedded, export, import, rebuild, verify};
use espalier::store::settings::Settings;
use espalier::store::{SCHEMA, Store};

/// One test at a time: a program that is being started holds, for a moment, the locks of all stores that are open.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A store of `tests/stores`, unpacked.
fn unpacked(schema: u32) -> (tempfile::TempDir, Settings) {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stores/schema-{schema}.tar.gz"));
    let done = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(folder.path()).status().expect("tar");
    assert!(done.success(), "{}", archive.display());
    let settings = Settings { path: folder.path().to_owned(), ..Settings::default() };
    (folder, settings)
}

fn now() -> Timestamp {
    Timestamp::parse("2026-11-29T13:00:00Z").expect("an instant")
}

fn email(of: &str) -> Identifier {
    Identifier::new(IdentifierKind::Email, format!("{of}@example.com"))
}

/// What each of the stores has in it.
async fn has_all(store: &Embedded) {
    let counts = store.counts();
    assert_eq!((counts.people, counts.journaled.0, counts.decided.0), (3, 8, 8));
    let lane = store.lane_count("klaviyo");
    assert_eq!((lane.queued, lane.dead, lane.totals.made), (3, 0, 3), "three forms wait for the vendor");
    let mut timers = Vec::new();
    for (name, first_name, events) in [("ines", None, 2), ("joao", None, 2), ("marta", Some("Marta"), 3)] {
        let id = store.find(&email(name)).await.expect("a read").unwrap_or_else(|| panic!("{name} is known"));
        let story = store.story(id).await.expect("a read").expect("a story");
        let of = &story.person;
        assert!(of.identifiers.iter().any(|one| one.kind == IdentifierKind::UserId), "{name} has an account");
        assert_eq!(of.traits.get("firstName").and_then(|one| one.value.as_str()), first_name, "{name}");
        assert_eq!(of.history.entries().len(), events, "{name}");
        let [waits] = &of.pending[..] else { panic!("{name}: one form waits: {:?}", of.pending) };
        assert_eq!(waits.void_until, None);
        assert_eq!(story.decisions.len(), 1, "{name}");
        let [record] = &story.records[..] else { panic!("{name}: {:?}", story.records) };
        assert!(record.is_queued && &*record.activation.trigger == "form", "{name}");
        timers.extend(of.wake().map(|at| (name, at, of.history.entries().iter().map(|e| e.at).max())));
    }
    let next = counts.next_timer.expect("a timer");
    assert_eq!(timers.iter().map(|(_, at, _)| *at).min(), Some(next));
    let left: Vec<_> =
        timers.iter().filter(|(_, at, added)| Some(*at) == added.map(|a| a + Span::from_hours(3))).collect();
    assert_eq!(
        left.iter().map(|(name, ..)| *name).collect::<Vec<_>>(),
        ["ines", "joao", "marta"],
        "each cart is asked of in three hours"
    );
}

#[tokio::test]
async fn every_earlier_store_opens_with_all_that_is_in_it() {
    let _turn = TURN.lock().await;
    for schema in 1..=SCHEMA {
        let (folder, settings) = unpacked(schema);
        let found = verify(&settings).expect("a store");
        assert_eq!(found.schema, Some(schema), "it is what it is said to be");
        assert_eq!(found.damage, Vec::<String>::new());
        for time in ["first", "second"] {
            let store = Embedded::open(&settings, now()).unwrap_or_else(|e| panic!("schema {schema}, {time}: {e}"));
            has_all(&store).await;
            store.close().await.expect("an end");
        }
        let found = verify(&settings).expect("a store");
        assert_eq!((found.schema, found.people), (Some(SCHEMA), 3), "it was brought to today's layout");
        assert_eq!(found.damage, Vec::<String>::new());
        let aside = folder.path().join(format!("earlier/schema-{schema}.snap"));
        assert_eq!(aside.exists(), schema < SCHEMA, "the former state is kept");
        let broken = std::fs::read_dir(folder.path()).expect("a folder").flatten();
        assert!(!broken.into_iter().any(|e| e.file_name().to_string_lossy().contains("broken")), "nothing was rebuilt");
    }
}

/// A snapshot of the former layout, where sled is lost.
#[tokio::test]
async fn a_snapshot_of_an_earlier_layout_is_taken_up() {
    let _turn = TURN.lock().await;
    let (folder, settings) = unpacked(1);
    drop(Embedded::open(&settings, now()).expect("a store").close().await);
    let snapshots = folder.path().join("snapshots");
    std::fs::create_dir(&snapshots).expect("a folder");
    let reaches = |n: u64| format!("{n:020}");
    // As far as the state was: eight events, no outcome, and the steps that `explain` of the journal has.
    let aside = std::fs::read(folder.path().join("earlier/schema-1.snap")).expect("the former state");
    std::fs::write(snapshots.join(format!("{}-{}-{}.snap", reaches(8), reaches(0), reaches(1))), aside)
        .expect("a file");
    rebuild(&settings, now()).expect("a state made of it");
    let store = Embedded::open(&settings, now()).expect("a store");
    has_all(&store).await;
    store.close().await.expect("an end");
}

/// Nothing is changed by who does not know better.
#[tokio::test]
async fn an_export_of_a_later_version_is_refused() {
    let _turn = TURN.lock().await;
    let (folder, settings) = unpacked(SCHEMA);
    let file = folder.path().join("export.jsonl");
    export(&settings, &file, now()).expect("an export");
    let text = std::fs::read_to_string(&file).expect("a file");
    let later = text.replacen(&format!("\"schema\":{SCHEMA}"), &format!("\"schema\":{}", SCHEMA + 1), 1);
    std::fs::write(&file, later).expect("a file");
    let other = tempfile::tempdir().expect("a folder");
    let empty = Settings { path: other.path().join("store"), ..Settings::default() };
    let refused = import(&empty, &file, now()).expect_err("a later version");
    assert!(refused.to_string().contains("run the version that wrote it"), "{refused}");
    assert!(!empty.path.exists());
}
