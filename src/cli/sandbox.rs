//! `espalier sandbox`: the simulated vendors alone, for trying a configuration or a library.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use super::{Ended, Failed, run::told_to_stop};
use crate::clock::SystemClock;
use crate::sandbox::{Options, RECEIVERS, SOURCES, Sandbox, VENDORS};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address and port; port 0 for a free one.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Keep no quotas: for load tests.
    #[arg(long)]
    unlimited: bool,
}

pub async fn run(args: &Args) -> Ended {
    let options = Options { limits: !args.unlimited, ..Options::default() };
    let sandbox = Sandbox::new(Arc::new(SystemClock), options.clone());
    let listener = tokio::net::TcpListener::bind(args.listen)
        .await
        .map_err(|e| Failed(format!("cannot listen on {}: {e}", args.listen)))?;
    let address = listener.local_addr().map_err(Failed::new)?;
    for vendor in VENDORS.into_iter().chain(RECEIVERS).chain(SOURCES) {
        println!("{vendor}: base_url = \"http://{address}/{vendor}\"");
    }
    println!(
        "keys, tokens and client secrets: {}; client ids and consumer keys: {}; hub_id = {}; activity_type = {}",
        options.api_key, options.client_id, options.hub_id, options.activity_type
    );
    println!("what they hold: http://{address}/_sandbox/received?vendor=klaviyo");
    let served = axum::serve(listener, sandbox.router());
    tokio::select! {
        ended = served => ended.map_err(Failed::new)?,
        stopped = told_to_stop() => stopped?,
    }
    Ok(ExitCode::SUCCESS)
}
