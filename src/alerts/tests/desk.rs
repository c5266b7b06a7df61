//! What the desk keeps, and when: nothing before what was kept is read, and who is told before they are.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::*;
use crate::clock::VirtualClock;
use crate::store::Store;
use crate::store::embedded::Embedded;
use crate::store::settings::Settings as At;

/// A store with this state of alerts in it.
async fn store(folder: &tempfile::TempDir, state: &State) -> Embedded {
    let at = At { path: folder.path().to_owned(), ..At::default() };
    let store = Embedded::open(&at, super::at(0)).expect("a store");
    store.keep("alerts", &serde_json::to_vec(state).expect("bytes")).await.expect("a write");
    store
}

async fn kept(store: &Embedded) -> State {
    let bytes = store.kept("alerts").await.expect("a read").expect("a state");
    serde_json::from_slice(&bytes).expect("a state")
}

#[tokio::test]
async fn nothing_is_kept_before_what_was_kept_is_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut before = State::default();
    before.look(&found("a"), &settings(""), at(0));
    let silence = Silence { id: 0, kind: None, of: None, from: at(0), until: at(9_000), by: "me".into() };
    before.silence(silence).expect("a silence");
    let store = store(&folder, &before).await;
    let clock = Arc::new(VirtualClock::new(at(60)));
    let desk = Desk::new(settings(""), Arc::new(store.clone()), clock).expect("a desk");
    // Nobody reads it: whoever waits is told so in the end.
    tokio::time::pause();
    let wanted = || desk.silence((None, None), Span::HOUR, "you");
    assert_eq!(wanted().await, Err(Refused::NotYet));
    assert_eq!(desk.unsilence(1).await, Err(Refused::NotYet));
    tokio::time::resume();
    assert_eq!(kept(&store).await, before);
    // Whoever comes a little early gets the number that it has afterwards, too.
    let stop = CancellationToken::new();
    let running = desk.clone().run(|| found("a"), stop.clone());
    let (begun, ()) = tokio::join!(
        async {
            let begun = wanted().await;
            stop.cancel();
            begun
        },
        running
    );
    assert_eq!(begun.map(|silence| silence.id), Ok(2));
    let after = kept(&store).await;
    assert_eq!(after.silences.iter().map(|silence| silence.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(after.alerts[0].since, at(0), "what was known is known");
    store.close().await.expect("an end");
}

#[tokio::test]
async fn who_is_about_to_be_told_is_kept_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder, &State::default()).await;
    // It takes the call and never answers.
    let receiver = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = receiver.local_addr().expect("an address");
    let settings =
        settings(&format!("group_wait = \"0s\"\n[receiver.chat]\nkind = \"slack\"\nurl = \"http://{address}/x\""));
    let clock = Arc::new(VirtualClock::new(at(0)));
    let desk = Desk::new(settings, Arc::new(store.clone()), clock).expect("a desk");
    let stop = CancellationToken::new();
    let running = tokio::spawn(desk.run(|| found("a"), stop.clone()));
    let called = tokio::time::timeout(Duration::from_secs(30), receiver.accept()).await;
    let _open = called.expect("a call in time").expect("a call");
    let alerts = kept(&store).await.alerts;
    assert_eq!(alerts[0].asked, BTreeMap::from([("chat".to_owned(), 1)]));
    stop.cancel();
    running.await.expect("an end");
    store.close().await.expect("an end");
}
