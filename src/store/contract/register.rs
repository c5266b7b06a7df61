//! Who may come in, and who changed what by hand.

use super::*;
use crate::store::audit::Asked;

pub async fn who_may_come_in_and_who_changed_what_is_kept(open: Open<'_>) {
    let store = open();
    assert_eq!(store.access().await.expect("a read"), (0, None));
    assert!(store.put_access(0, b"one").await.expect("a write"));
    assert!(!store.put_access(0, b"two").await.expect("a write"), "somebody else was quicker");
    let asked = |n: i64| Asked { at: at(n), by: "ines".into(), did: "drop a dead letter".into(), of: "7".into() };
    let first = store.audit(asked(1)).await.expect("an entry");
    store.audited(first, 404, "was viewer").await.expect("an end");
    let second = store.audit(asked(2)).await.expect("an entry");
    store.close().await.expect("a close");
    drop(store);
    let store = open();
    assert_eq!(store.access().await.expect("a read"), (1, Some(b"one".to_vec())));
    assert!(store.put_access(1, b"two").await.expect("a write"));
    let third = store.audit(asked(3)).await.expect("an entry");
    let log = store.audit_log(None, 10).await.expect("a log");
    let told: Vec<_> = log.iter().map(|one| (one.id, one.asked.clone(), one.status)).collect();
    assert_eq!(told, [(third, asked(3), None), (second, asked(2), None), (first, asked(1), Some(404))]);
    assert_eq!(store.audit_log(Some(third), 1).await.expect("a log")[0].id, second);
    assert_eq!(&*log[2].note, "was viewer");
    store.close().await.expect("a close");
}
