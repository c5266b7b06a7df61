use super::super::{Embedded, open, rebuild, verify};
use super::{found, mark};
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
