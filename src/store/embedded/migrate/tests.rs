use std::path::Path;
use std::process::Command;

use super::super::overlay::Batch;
use super::super::tree::put;
use super::super::{Embedded, keys, open, rebuild, snapshot, verify};
use super::{found, mark, one};
use crate::model::Timestamp;
use crate::store::contract::event;
use crate::store::settings::Settings;
use crate::store::{SCHEMA, Store, StoreError};

/// Who wrote it knows what lies in it: nothing is put aside, made again or marked.
#[tokio::test]
async fn a_store_of_a_later_version_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let settings = Settings { path: folder.path().to_owned(), ..Settings::default() };
    let store = Embedded::open(&settings, Timestamp::MIN).expect("a store");
    store.append(vec![event(1)], None).await.expect("an append");
    store.compact(Timestamp::MIN).await.expect("a snapshot");
    store.close().await.expect("an end");
    drop(store);
    let disk = open::open_disk(&settings).expect("sled").expect("sled");
    assert_eq!(found(&disk).expect("a read"), Some(SCHEMA), "a new store has today's");
    mark(&disk, SCHEMA + 1).expect("a mark");
    drop(disk);
    for time in ["first", "second"] {
        let refused = Embedded::open(&settings, Timestamp::MIN).err().expect("a later version");
        assert!(matches!(refused, StoreError::Newer { found, known } if found == known + 1), "{time}: {refused}");
        assert!(refused.to_string().contains("run the version that wrote it"));
    }
    let told = verify(&settings).expect("a store");
    assert_eq!((told.schema, told.damage.len()), (Some(SCHEMA + 1), 1));
    let entries = std::fs::read_dir(folder.path()).expect("a folder").flatten();
    let names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    assert!(!names.iter().any(|name| name.contains("broken") || name == "earlier"), "{names:?}");
    // Whoever wants it all the same takes it from the journal and a snapshot of this version.
    rebuild(&settings, Timestamp::MIN).expect("a state made again");
    drop(Embedded::open(&settings, Timestamp::MIN).expect("a store"));
}

/// What is kept of the earlier layout is the state as it was, however often a crash cuts its migration.
#[test]
fn a_migration_that_a_crash_cut_does_not_write_over_the_earlier_state() {
    let folder = tempfile::tempdir().expect("a folder");
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores/schema-1.tar.gz");
    let unpacked = Command::new("tar").arg("xzf").arg(&archive).arg("-C").arg(folder.path()).status().expect("tar");
    assert!(unpacked.success());
    let settings = Settings { path: folder.path().to_owned(), ..Settings::default() };
    let earlier = |name: &str| folder.path().join("earlier").join(name);
    let disk = open::open_disk(&settings).expect("sled").expect("sled");
    open::keep_aside(&settings, 1, &disk).expect("a file");
    let first = std::fs::read(earlier("schema-1.snap")).expect("a file");
    // All people but one are of the next layout, and nothing says so yet.
    let person = disk.prefix(&[keys::PERSON]).whole().next().expect("somebody").expect("a read");
    one::to_two(&disk).expect("a step");
    let mut batch = Batch::default();
    put(&mut batch, person.0.to_vec(), &person.1);
    disk.apply(batch).expect("a write");
    disk.sync().expect("a sync");
    assert_eq!(found(&disk).expect("a read"), Some(1));
    drop(disk);
    drop(Embedded::open(&settings, Timestamp::MIN).expect("a store"));
    assert_eq!(verify(&settings).expect("a store").schema, Some(SCHEMA));
    assert_eq!(std::fs::read(earlier("schema-1.snap")).expect("a file"), first, "the state as it was");
    assert!(!earlier("schema-1-2.snap").exists(), "and no copy of what was half-way");

    // Another state of that layout, of a restored backup: both are kept.
    let disk = open::open_disk(&settings).expect("sled").expect("sled");
    let state = disk.get(keys::STATE).expect("a read").expect("a state");
    let mut batch = Batch::default();
    put(&mut batch, keys::STATE.to_vec(), &[&state[..], &[0]].concat());
    disk.apply(batch).expect("a write");
    for time in ["first", "second"] {
        open::keep_aside(&settings, 1, &disk).unwrap_or_else(|e| panic!("{time}: {e}"));
    }
    assert_eq!(std::fs::read(earlier("schema-1.snap")).expect("a file"), first);
    let kept = snapshot::first_of(&earlier("schema-1-2.snap"), keys::STATE).expect("a read");
    assert_eq!(kept.as_deref(), disk.first(keys::STATE).expect("a read").as_deref());
    assert!(!earlier("schema-1-3.snap").exists());
    // One that is not whole is none.
    std::fs::write(earlier("schema-1-2.snap"), b"ESPSNAP1").expect("a file");
    open::keep_aside(&settings, 1, &disk).expect("a file");
    assert!(earlier("schema-1-3.snap").exists());
}
