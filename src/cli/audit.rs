//! `espalier audit`

use std::process::ExitCode;

use super::access::door;
use super::{Configured, Ended, show};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// So many of the newest entries.
    #[arg(long, default_value_t = 50)]
    max: usize,
    /// As JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configured: Configured,
}

pub async fn run(args: &Args) -> Ended {
    let door = door(&args.configured).await?;
    let log = door.log(args.max).await;
    door.close().await?;
    let log = log?;
    if args.json {
        show::json(&log)?;
        return Ok(ExitCode::SUCCESS);
    }
    let keys = ["at", "by", "did", "of", "note", "status"];
    let mut table = show::table(keys);
    for one in log.as_array().into_iter().flatten() {
        table.add_row(keys.map(|key| show::text(&one[key])));
    }
    println!("{table}");
    Ok(ExitCode::SUCCESS)
}
