//! `espalier account list|add|role|password|remove|link`

use std::io::{BufRead, IsTerminal};
use std::process::ExitCode;

use super::access::door;
use super::{Configured, Ended, Failed, load, local, show};
use crate::ops::Role;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
    #[command(flatten)]
    configured: Configured,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Who may come in by a password.
    List {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Makes an account. The password is asked for, or read from standard input.
    Add {
        /// 1 to 64 letters, digits, and any of `@._-`.
        name: String,
        /// viewer, operator or admin.
        #[arg(long)]
        role: Role,
    },
    /// Gives an account another role, from its next request on.
    Role {
        name: String,
        /// viewer, operator or admin.
        role: Role,
    },
    /// Gives an account another password, and signs it out everywhere.
    Password { name: String },
    /// Removes an account, and signs it out.
    Remove { name: String },
    /// Prints a link that lets whoever opens it in once, within an hour, as an admin.
    Link,
}

pub async fn run(args: &Args) -> Ended {
    if matches!(args.what, What::Link) {
        let configured = load(&args.configured.config)?;
        let client = local::needed(&configured.settings.store.path).await?;
        let link: serde_json::Value = client.post("/api/access/link").await?.unwrap_or_default();
        println!("{}", link["url"].as_str().unwrap_or_default());
        return Ok(ExitCode::SUCCESS);
    }
    let door = door(&args.configured).await?;
    let done = match &args.what {
        What::List { json } => door.shown().await.and_then(|shown| list(&shown["accounts"], *json)),
        What::Add { name, role } => match password() {
            Ok(password) => door.add_account(name, *role, password).await,
            Err(failed) => Err(failed),
        },
        What::Role { name, role } => door.change_account(name, Some(*role), None).await,
        What::Password { name } => match password() {
            Ok(password) => door.change_account(name, None, Some(password)).await,
            Err(failed) => Err(failed),
        },
        What::Remove { name } => door.remove_account(name).await,
        What::Link => Ok(()),
    };
    door.close().await?;
    done.map(|()| ExitCode::SUCCESS)
}

fn list(accounts: &serde_json::Value, json: bool) -> Result<(), Failed> {
    if json {
        return show::json(accounts);
    }
    let mut table = show::table(["name", "role", "since"]);
    for one in accounts.as_array().into_iter().flatten() {
        table.add_row(["name", "role", "since"].map(|key| show::text(&one[key])));
    }
    println!("{table}");
    Ok(())
}

/// Never as an argument: those are seen by everybody on the machine.
fn password() -> Result<String, Failed> {
    if std::io::stdin().is_terminal() {
        let first = rpassword::prompt_password("Password: ").map_err(Failed::new)?;
        let again = rpassword::prompt_password("Once more: ").map_err(Failed::new)?;
        return if first == again { Ok(first) } else { Err(Failed("they differ; nothing was changed".into())) };
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).map_err(Failed::new)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
