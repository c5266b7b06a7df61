//! `espalier demo`: a simulated shop, the daemon and simulated vendors in one process; ends with a reckoning of what the
//! shoppers did against what the vendors took.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use owo_colors::{OwoColorize, Stream};

use super::run::told_to_stop;
use super::{Daemon, Ended, Failed, Running, check, show};
use crate::clock::{FastClock, SharedClock, SystemClock};
use crate::model::{Span, Timestamp};
use crate::sandbox::shoppers::{Expected, Shop, Visits};
use crate::sandbox::{Options, Sandbox, VENDORS};
use crate::settings::{Log, Settings};

/// The triggers of the project, as they ship.
const TRIGGERS: [(&str, &str); 6] = [
    ("cart-abandoned", include_str!("../../config/triggers/cart-abandoned.toml")),
    ("form-submitted", include_str!("../../config/triggers/form-submitted.toml")),
    ("landing-page-visited", include_str!("../../config/triggers/landing-page-visited.toml")),
    ("lapsed-customer", include_str!("../../config/triggers/lapsed-customer.toml")),
    ("purchase-follow-up", include_str!("../../config/triggers/purchase-follow-up.toml")),
    ("viewed-not-added", include_str!("../../config/triggers/viewed-not-added.toml")),
];
/// The daemon has so long, of the machine's time, to deliver what is due when the shop has closed.
const DRAIN: Span = Span::from_secs(60);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ends by itself after this time; Ctrl-C ends it too.
    #[arg(long = "for", value_name = "TIME")]
    length: Option<Span>,
    /// The shop's clock runs so many times as fast.
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u32).range(1..=2_000))]
    speed: u32,
    /// Shoppers that come in a second of the machine's time.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    shoppers: u32,
    /// The same seed makes the same shoppers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub async fn run(args: Args) -> Ended {
    super::log::begin(&Log { level: "warn".into(), ..Log::default() });
    let folder = Folder::new()?;
    let clock: SharedClock = Arc::new(FastClock::new(args.speed));
    let sandbox = Sandbox::new(clock.clone(), Options::default());
    let vendors = serve(&sandbox).await?;
    configure(&folder.0, vendors)?;
    let configured = Settings::load(&folder.0.join("espalier.toml")).map_err(|mistakes| {
        check::print(&mistakes);
        Failed("the demonstration's own configuration is wrong".into())
    })?;
    let running = Daemon::new(configured, clock.clone()).begin().await?;
    println!("A shop on a clock that runs {} times as fast; Ctrl-C ends it with a reckoning.", args.speed);
    let page = running.way_in.clone().unwrap_or_else(|| format!("http://{}/", running.ops));
    println!("status page, a link that lets you in once: {}", page.if_supports_color(Stream::Stdout, |t| t.bold()));

    let shop = Shop::open(running.intake, clock.clone(), args.seed);
    let mut visits = Visits::new(shop.clone(), args.shoppers);
    let end = args.length.map(|length| SystemClock_now() + length);
    show(&running, &sandbox, &mut visits, end).await?;

    println!("\nThe shop closes; shoppers finish what they began.");
    visits.finish().await;
    let closed = clock.now();
    let is_drained = drain(&running, closed).await;
    let verdict = reckon(&running, &sandbox, &shop.done(), closed);
    running.stop().await?;
    if !is_drained {
        println!("not everything that was due has been delivered in time");
    }
    Ok(if verdict && is_drained { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The machine's time: how long people wait.
#[expect(non_snake_case, reason = "reads as what it is")]
fn SystemClock_now() -> Timestamp {
    use crate::clock::Clock;
    SystemClock.now()
}

/// A folder of its own, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> Result<Self, Failed> {
        let path = std::env::temp_dir().join(format!("espalier-demo-{}", uuid::Uuid::new_v4().simple()));
        std::fs::create_dir_all(path.join("triggers")).map_err(Failed::new)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left in the temporary folder is the system's to clean.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn serve(sandbox: &Sandbox) -> Result<SocketAddr, Failed> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(Failed::new)?;
    let address = listener.local_addr().map_err(Failed::new)?;
    let router = sandbox.router();
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

fn configure(folder: &Path, vendors: SocketAddr) -> Result<(), Failed> {
    let secret = folder.join("secret");
    std::fs::write(&secret, "sandbox").map_err(Failed::new)?;
    let secret = format!("${{file:{}}}", secret.display());
    let text = format!(
        r#"triggers = "triggers"
[store]
path = "store"
[intake]
listen = "127.0.0.1:0"
[ops]
listen = "127.0.0.1:0"
[delivery]
linger = "1s"
[source.web]
kind = "tracking"
write_key = "{secret}"
[source.visits]
kind = "endpoint"
path = "/api/track-visit"
event = "Landing Page Visited"
identify = {{ anonymous_id = "visitor", email = "email" }}
properties = {{ url = "url" }}
at = "at"
message_id = "id"
origin = "tracking"
[source.forms]
kind = "endpoint"
path = "/api/submit-form"
event = "Form Submitted"
identify = {{ email = "email" }}
properties = {{ form = "form" }}
at = "at"
message_id = "id"
[destination.klaviyo]
kind = "klaviyo"
api_key = "{secret}"
base_url = "http://{vendors}/klaviyo"
[destination.hubspot]
kind = "hubspot"
token = "{secret}"
hub_id = 1234567
base_url = "http://{vendors}/hubspot"
[destination.marketo]
kind = "marketo"
base_url = "http://{vendors}/marketo"
client_id = "{secret}"
client_secret = "{secret}"
activity_type = 100001
"#
    );
    std::fs::write(folder.join("espalier.toml"), text).map_err(Failed::new)?;
    for (name, text) in TRIGGERS {
        std::fs::write(folder.join("triggers").join(format!("{name}.toml")), text).map_err(Failed::new)?;
    }
    Ok(())
}

/// A line each second, until the time is over or somebody ends it.
async fn show(running: &Running, sandbox: &Sandbox, visits: &mut Visits, end: Option<Timestamp>) -> Result<(), Failed> {
    use crate::clock::Clock;
    let mut stopped = std::pin::pin!(told_to_stop());
    let mut ticks = 0_u64;
    loop {
        let next = SystemClock.now() + Span::from_millis(100);
        tokio::select! {
            ended = &mut stopped => return ended,
            () = SystemClock.until(next) => {}
        }
        if end.is_some_and(|end| SystemClock.now() >= end) {
            return Ok(());
        }
        visits.tick();
        ticks += 1;
        if ticks.is_multiple_of(10) {
            let health = running.watched.health();
            let took: Vec<String> = VENDORS.iter().map(|v| format!("{v} {}", sandbox.counts(v).effects)).collect();
            println!(
                "{}  events {} (waiting {})  people {}  accepted: {}",
                health.at.minute(),
                health.journal.decided,
                health.journal.backlog,
                health.journal.people,
                took.join(", ")
            );
        }
    }
}

/// Waits until everything due at `closed` is decided and sent.
async fn drain(running: &Running, closed: Timestamp) -> bool {
    use crate::clock::Clock;
    let deadline = SystemClock.now() + DRAIN;
    while SystemClock.now() < deadline {
        let health = running.watched.health();
        let decided = health.journal.backlog == 0 && health.journal.next_timer.is_none_or(|at| at > closed);
        // Newer ones keep coming while the clock runs: what counts is that the oldest that waits is newer.
        let sent = health
            .lanes
            .iter()
            .all(|lane| health.at - Span::from_millis(lane.backlog_age_ms) > closed || lane.queued == 0);
        if decided && sent {
            return true;
        }
        SystemClock.until(SystemClock.now() + Span::from_millis(100)).await;
    }
    false
}

/// Prints both sides, and says whether they agree.
fn reckon(running: &Running, sandbox: &Sandbox, expected: &Expected, closed: Timestamp) -> bool {
    let health = running.watched.health();
    println!(
        "\nWhat went in: {} messages sent by {} shoppers ({} of them twice), {} events accepted, {} decided",
        expected.sent, expected.shoppers, expected.repeated, health.journal.accepted, health.journal.decided
    );
    // Both sides as (vendor, event, who): how often.
    let mut due: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    let mut may: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    for one in &expected.activations {
        let key = (one.vendor.to_owned(), one.event.to_owned(), one.person.clone());
        if one.at <= closed {
            *due.entry(key.clone()).or_default() += 1;
        }
        *may.entry(key).or_default() += 1;
    }
    let mut took: BTreeMap<(String, String, String), i64> = BTreeMap::new();
    for vendor in VENDORS {
        for effect in sandbox.effects(vendor) {
            *took.entry((vendor.to_owned(), effect.event, effect.person)).or_default() += 1;
        }
    }
    let mut table = show::table(["vendor", "event", "shoppers did", "vendor took", "missing", "too many"]);
    let mut totals: BTreeMap<(String, String), [i64; 4]> = BTreeMap::new();
    for (key, n) in &due {
        let of = totals.entry((key.0.clone(), key.1.clone())).or_default();
        of[0] += n;
        of[2] += (n - took.get(key).copied().unwrap_or(0)).max(0);
    }
    for (key, n) in &took {
        let of = totals.entry((key.0.clone(), key.1.clone())).or_default();
        of[1] += n;
        of[3] += (n - may.get(key).copied().unwrap_or(0)).max(0);
    }
    for ((vendor, event), numbers) in &totals {
        let mut row = vec![vendor.clone(), event.clone()];
        row.extend(numbers.iter().map(ToString::to_string));
        table.add_row(row);
    }
    show::to_the_right(&mut table, 2..6);
    println!("{table}");
    println!("(A vendor may have taken some that became due after the shop closed.)");
    let mut agrees = totals.values().all(|[_, _, missing, surplus]| *missing == 0 && *surplus == 0);
    for lane in &health.lanes {
        println!("{}: {:?}, {} dead letters", lane.name, lane.outcomes, lane.dead);
    }
    let dead = health.lanes.iter().find(|lane| lane.name == "klaviyo").map_or(0, |lane| lane.dead as i64);
    let (least, most) =
        (expected.nameless.iter().filter(|at| **at <= closed).count() as i64, expected.nameless.len() as i64);
    println!("carts left by nobody with a name: {least} to {most} due, {dead} refused as dead letters");
    agrees &= (least..=most).contains(&dead);
    let accepted = health.journal.accepted as i64;
    agrees &= accepted == expected.sent as i64;
    println!("{}", if agrees { "The sums agree." } else { "THE SUMS DO NOT AGREE." });
    agrees
}
