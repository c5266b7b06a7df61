//! The contract on a real server, and what it does not ask.

mod server;

use std::sync::Arc;

use sqlx::Connection;

use super::*;
use crate::store::contract;
use server::Server;

/// Opens the store as the contract asks: what another opening left is free, as after the time of its leases.
async fn opened(server: &Server, settings: &Settings) -> Postgres {
    let store = Postgres::open(settings).await.expect("a store");
    let mut connection = server.connect(settings).await;
    sqlx::query("update leases set holder = null, until = now()").execute(&mut connection).await.expect("an update");
    connection.close().await.expect("a close");
    store
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept() {
    let server = Server::begin().await;
    let settings = server.database().await;
    let open = || -> Arc<dyn Store> {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async { Arc::new(opened(&server, &settings).await) })
        })
    };
    contract::run(&open).await;
}
