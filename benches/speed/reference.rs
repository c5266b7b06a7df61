//! What the daemon is compared with: servers that do only the least.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};

use axum::body::Bytes;
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::daemon::serve;

/// What the bare handler parses and forgets.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    #[expect(dead_code, reason = "parsed, as the daemon must")]
    message_id: String,
    #[expect(dead_code, reason = "parsed, as the daemon must")]
    properties: serde_json::Map<String, serde_json::Value>,
}

/// Parses each body into a typed struct and keeps nothing.
pub async fn bare() -> SocketAddr {
    let take = |body: Bytes| async move {
        match serde_json::from_slice::<Message>(&body) {
            Ok(_) => "{\"success\":true}",
            Err(_) => "{\"success\":false}",
        }
    };
    serve(axum::Router::new().route("/v1/track", axum::routing::post(take))).await
}

type Waiting = (Bytes, oneshot::Sender<()>);

/// Appends each body to a file and answers after `fdatasync`; one sync for all that wait. Parses nothing.
pub async fn log(folder: &Path) -> SocketAddr {
    let mut file = File::create(folder.join("reference.log")).expect("a log");
    let (to, from) = channel::<Waiting>();
    std::thread::spawn(move || {
        while let Ok(first) = from.recv() {
            let group: Vec<Waiting> = std::iter::once(first).chain(from.try_iter()).collect();
            for (body, _) in &group {
                file.write_all(body).expect("room for the log");
            }
            file.sync_data().expect("a disk that syncs");
            for (_, answer) in group {
                answer.send(()).expect("a handler that waits");
            }
        }
    });
    let take = move |axum::extract::State(to): axum::extract::State<Sender<Waiting>>, body: Bytes| async move {
        let (answer, told) = oneshot::channel();
        to.send((body, answer)).expect("the log's writer");
        told.await.expect("an answer");
        "{\"success\":true}"
    };
    let limit = axum::extract::DefaultBodyLimit::max(1 << 20);
    serve(axum::Router::new().route("/v1/batch", axum::routing::post(take)).layer(limit).with_state(to)).await
}
