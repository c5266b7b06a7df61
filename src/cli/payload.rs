//! `espalier payload TRIGGER PERSON`: what each vendor would get if the trigger fired now.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use super::local::Local;
use super::{Configured, Ended, Failed, load, show};
use crate::clock::{Clock, SystemClock};
use crate::destination::{Destination, preview};
use crate::engine::count_sales;
use crate::model::http::Request;
use crate::model::{Activation, Sales};
use crate::ops;
use crate::settings::Settings;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The trigger's name.
    trigger: String,
    /// `email:ines@example.com`, `user_id:42`, or just the address or id.
    person: String,
    /// The key, where the trigger has `per`; that of the newest event which has one, unless said.
    #[arg(long)]
    key: Option<String>,
    #[command(flatten)]
    configured: Configured,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(args: &Args) -> Ended {
    let configured = load(&args.configured.config)?;
    let now = SystemClock.now();
    let activations: Option<Vec<Activation>> = match Local::of(&configured).await? {
        Local::Daemon(client) => {
            let question = serde_json::json!({ "trigger": args.trigger, "person": args.person, "key": args.key });
            client.ask("/api/payload", &question).await?
        }
        Local::Store(store) => {
            let wanted = (&*args.trigger, &*args.person, args.key.as_deref());
            let names = &configured.settings.identity;
            let sales = match configured.program.asks_for_sales() {
                true => count_sales(&*store).await.map_err(Failed::new)?,
                false => Sales::default(),
            };
            let found = ops::preview(&*store, &configured.program, names, wanted, &sales, now).await;
            store.close().await.map_err(Failed::new)?;
            Some(found.map_err(Failed::new)?)
        }
    };
    let Some(activations) = activations else { return Err(Failed("nobody goes by that name".into())) };
    let shown: Vec<Value> = activations.into_iter().map(|one| shown(&configured.settings, one)).collect();
    let is_broken = shown.iter().any(|one| !one["broken"].is_null());
    if args.json {
        show::json(&shown)?;
    } else {
        shown.iter().for_each(print);
    }
    Ok(if is_broken { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// One activation: the calls it leads to, or why there are none.
fn shown(settings: &Settings, activation: Activation) -> Value {
    let (lane, key, broken) = (activation.lane.clone(), activation.key.clone(), activation.broken.clone());
    let mut said = Map::new();
    said.insert("destination".into(), json!(lane));
    // As a trigger says it.
    let (what, of) = (activation.action.kind().key(), activation.action.of());
    said.insert(what.into(), if of.is_empty() { json!(true) } else { json!(of) });
    said.insert("does".into(), json!(activation.action.to_string()));
    said.insert("key".into(), json!(key));
    match (broken, settings.destination.get(&*lane)) {
        (Some(words), _) => {
            said.insert("broken".into(), json!(words));
        }
        (None, None) => {
            let words = "this destination is not in the configuration";
            said.insert("refused".into(), json!(words));
            said.insert("payload".into(), activation.payload.to_value());
        }
        (None, Some(destination)) => {
            let destination = destination.clone().build(&lane);
            let at = activation.at;
            let (requests, refused) = preview(&*destination, activation, at);
            said.insert("vendor".into(), json!(destination.kind()));
            said.insert("calls".into(), requests.iter().map(|request| call(&*destination, request)).collect());
            said.extend(refused.map(|words| ("refused".to_owned(), json!(words))));
        }
    }
    Value::Object(said)
}

/// A call without what lets it in.
fn call(destination: &dyn Destination, request: &Request) -> Value {
    let place = if request.path.is_empty() { destination.base_url() } else { &request.path };
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    json!({ "call": format!("{} {place}", request.method.word()), "body": body })
}

fn print(one: &Value) {
    let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
    let of = if text("key").is_empty() { String::new() } else { format!(" for {}", text("key")) };
    println!("{}: {}{of}", text("destination"), text("does"));
    for call in one["calls"].as_array().into_iter().flatten() {
        println!("{}\n{:#}", call["call"].as_str().unwrap_or_default(), call["body"]);
    }
    if let Some(words) = one["refused"].as_str() {
        println!("refused: {words}");
        if !one["payload"].is_null() {
            println!("{:#}", one["payload"]);
        }
    }
    if let Some(words) = one["broken"].as_str() {
        println!("a dead letter: {words}");
    }
    println!();
}
