//! Three daemons on one PostgreSQL with a replica in step, under load: daemons are killed or stand still, the database is
//! restarted or its replica takes over, connections are cut, held up, slow or refused, in random order, while machines'
//! clocks are set to other times. Every acknowledged event is decided, every due activation reaches the vendors once in
//! effect and in the order of its person, none twice; quotas hold; and what a daemon had is another's within ten seconds, of
//! an account whose quota is small, too. `ESPALIER_ROUNDS` sets how often (10 unless told otherwise), `ESPALIER_SEED` in which
//! order.

#![expect(clippy::disallowed_methods, reason = "a killed process lives in the machine's time and environment")]

mod support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use espalier::clock::SystemClock;
use espalier::sandbox::{Options, Sandbox};
use futures_util::FutureExt;
use sqlx::{Connection, PgConnection};

use support::cluster::{Cluster, Stop};
use support::load::{COOL, LEFT, PING, Told, configuration, vendors};
use support::machine_clock::{Between, MachineClock};
use support::postgres::Server;
use support::proxy::{Proxy, Way};
use support::{Daemon, espalier, eventually, fault, pause, serve};

/// What a daemon had is another's after so long at most.
const TAKEOVER: Duration = Duration::from_secs(10);
/// A machine's clock is off by no more than this, and by no less than a part of it.
const OFF: std::ops::Range<u64> = 100..600;

/// Fires for each order, at an account whose quota is small.
const TIGHT: &str = r#"
name = "tight"
title = "Each order"
per = "order_id"
expires = "30d"

[[when.all]]
did = "Order Completed"

[[activate]]
destination = "tight"
event = "Ordered"
"#;

const NAMES: [&str; 3] = ["one", "two", "three"];

/// The vendors without limits, and one account with Marketo's: 100 calls in 20 seconds.
async fn vendors_and_a_tight_one() -> (Sandbox, SocketAddr) {
    let free = || Options { limits: false, bodies: u64::MAX, ..Options::default() };
    let sandbox = Sandbox::empty(Arc::new(SystemClock)).open("klaviyo", "klaviyo", free());
    let sandbox = sandbox.and_then(|s| s.open("marketo", "marketo", free()));
    let sandbox = sandbox.and_then(|s| s.open("tight", "marketo", Options::default())).expect("three accounts");
    let address = serve(sandbox.router()).await;
    (sandbox, address)
}

fn configuration_and_a_tight_one(vendors: SocketAddr) -> String {
    let tight = format!(
        r#"[destination.tight]
kind = "marketo"
base_url = "http://{vendors}/tight"
client_id = "${{env:TEST_SANDBOX_KEY}}"
client_secret = "${{env:TEST_SANDBOX_KEY}}"
activity_type = 100001
look_after = "400ms"
"#
    );
    configuration(vendors) + &tight
}

/// A daemon's folder, with the database's address in a file of its own.
fn member(folder: &Path, url: &str, rest: &str, triggers: &[(&str, &str)]) -> Daemon {
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(folder.join("url"), url).expect("a file");
    let daemon = Daemon::new(folder, &folder.join("store"), rest, triggers);
    let file = folder.join("espalier.toml");
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let at = folder.join("url").display().to_string();
    let store = format!("[store]\nkind = \"postgres\"\nurl = \"${{file:{at}}}\"\n");
    std::fs::write(&file, text.replace("[store]\n", &store)).expect("the configuration");
    daemon
}

/// What befalls the cluster in a round.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// A daemon is killed, and begins again at once.
    Kill,
    /// A daemon is killed, and begins again when others have what it had.
    KillForLong,
    /// A daemon does nothing for less than a lease.
    StandStill,
    /// A daemon does nothing until others have what it had, and goes on.
    StandStillForLong,
    /// The database is restarted as its operator does it.
    Restart,
    /// The database crashes, and is started again.
    Crash,
    /// The database crashes for good; its replica takes over.
    Promote,
    /// Connections are cut.
    Cut,
    /// A daemon's connections are held up until others have what it had.
    Hold,
    /// A daemon's connections are slow, then refused.
    Slow,
}

const HARMS: [Harm; 10] = [
    Harm::Kill,
    Harm::KillForLong,
    Harm::StandStill,
    Harm::StandStillForLong,
    Harm::Restart,
    Harm::Crash,
    Harm::Promote,
    Harm::Cut,
    Harm::Hold,
    Harm::Slow,
];

/// All that is harmed, and how it fared.
struct World {
    cluster: Cluster,
    /// Each with its way to the database.
    members: Vec<(Daemon, Proxy)>,
    /// The clocks of their machines.
    clocks: Vec<MachineClock>,
    sandbox: Sandbox,
    vendors: SocketAddr,
    random: fastrand::Rng,
    takeovers: Vec<Duration>,
}

/// The leases of the engine, of accounts and of lanes: by name, the epoch and the end of each.
async fn leases(connection: &mut PgConnection) -> BTreeMap<String, (i64, String)> {
    let sql = "select name, epoch, until::text from leases where name = 'engine' or name like 'account:%'
               or name like 'lane:%'";
    let rows: Vec<(String, i64, String)> = sqlx::query_as(sql).fetch_all(connection).await.expect("leases");
    rows.into_iter().map(|(name, epoch, until)| (name, (epoch, until))).collect()
}

async fn decided(connection: &mut PgConnection) -> i64 {
    let (decided,): (i64,) =
        sqlx::query_as("select decided from engine").fetch_one(connection).await.expect("the engine's place");
    decided
}

impl World {
    async fn begin(folder: &Path, random: fastrand::Rng) -> Self {
        let cluster = Cluster::begin().await;
        let (sandbox, vendors) = vendors_and_a_tight_one().await;
        let rest = configuration_and_a_tight_one(vendors);
        let between = Between::made(folder);
        let (mut members, mut clocks) = (Vec::new(), Vec::new());
        for name in NAMES {
            let proxy = Proxy::begin(cluster.address()).await;
            let triggers = [("ping", PING), ("left", LEFT), ("cool", COOL), ("tight", TIGHT)];
            let mut daemon = member(&folder.join(name), &Cluster::url(proxy.at), &rest, &triggers);
            clocks.push(between.before(&mut daemon, &folder.join(name)));
            daemon.start_ready().await;
            members.push((daemon, proxy));
        }
        Self { cluster, members, clocks, sandbox, vendors, random, takeovers: Vec::new() }
    }

    /// No more than can be decided as it comes: what is measured is who goes on, and not how fast.
    fn load(&self, told: &Arc<Told>) -> Vec<tokio::task::JoinHandle<()>> {
        self.members.iter().flat_map(|(daemon, _)| told.begin_with(2, 40, daemon.intake)).collect()
    }

    /// One of the daemons: the one that decides where its work is to be taken over, and else every other time.
    async fn somebody(&mut self, harm: Harm) -> usize {
        let is_taken_over = matches!(harm, Harm::KillForLong | Harm::StandStillForLong | Harm::Hold);
        if is_taken_over || self.random.bool() {
            for (n, (daemon, _)) in self.members.iter().enumerate() {
                let status = daemon.page("/api/status").await.text().await.expect("its status");
                if !status.contains("another daemon decides") {
                    return n;
                }
            }
        }
        self.random.usize(..self.members.len())
    }

    /// Waits until whatever a daemon had that does nothing since `since` is another's, and the engine goes on.
    async fn taken_over(&mut self, since: Instant) {
        let mut connection = self.cluster.connect().await;
        // What it sent last has arrived.
        pause(100).await;
        let (before, decided_before) = (leases(&mut connection).await, decided(&mut connection).await);
        let called_before = self.sandbox.counts("tight").requests;
        let (mut taken_after, mut called_after) = (None, None);
        loop {
            let now = leases(&mut connection).await;
            // A lease of somebody who lives was renewed by now.
            let stays: Vec<&String> =
                before.iter().filter(|(name, was)| now.get(*name) == Some(was)).map(|(name, _)| name).collect();
            if self.sandbox.counts("tight").requests > called_before {
                called_after.get_or_insert_with(|| since.elapsed());
            }
            if stays.is_empty() {
                taken_after.get_or_insert_with(|| since.elapsed());
                if called_after.is_some() && decided(&mut connection).await > decided_before {
                    break;
                }
            }
            assert!(
                since.elapsed() < TAKEOVER,
                "nobody goes on; leases taken after {taken_after:?} but for {stays:?}; the tight account called after \
                 {called_after:?}; {} events decided since",
                decided(&mut connection).await - decided_before
            );
            pause(20).await;
        }
        println!(
            "leases taken after {taken_after:?}, the tight account called after {called_after:?}, decided after {:?}",
            since.elapsed()
        );
        self.takeovers.push(since.elapsed());
        connection.close().await.expect("a close");
    }

    /// So many, each kind of harm once in ten; after ten, and at the end, all has to be well.
    async fn rounds(&mut self, rounds: usize, told: &Arc<Told>) {
        let mut loads = self.load(told);
        let mut harms = HARMS;
        for round in 0..rounds {
            if round % HARMS.len() == 0 {
                self.random.shuffle(&mut harms);
            }
            pause(self.random.u64(200..1_500)).await;
            if self.random.bool() {
                // The next call is taken and then cut: the vendor has it, and nobody knows.
                let vendor = ["klaviyo", "marketo"][self.random.usize(..2)];
                let path = if vendor == "marketo" { "activities/external" } else { "" };
                let cut =
                    serde_json::json!({ "vendor": vendor, "kind": "close_after_accept", "times": 1, "path": path });
                fault(self.vendors, cut).await;
            }
            if self.random.bool() {
                let n = self.random.usize(..self.clocks.len());
                // Now and then it is right again.
                let (ahead, secs) =
                    (self.random.bool(), [self.random.u64(OFF), 0][usize::from(self.random.u8(..4) == 0)]);
                println!("the clock of {} is {secs} s {}", NAMES[n], if ahead { "ahead" } else { "behind" });
                self.clocks[n].set(ahead, Duration::from_secs(secs));
            }
            let harm = harms[round % HARMS.len()];
            let began = Instant::now();
            self.harm(harm).await;
            println!("{round}: {harm:?} in {} ms", began.elapsed().as_millis());
            if round % HARMS.len() == HARMS.len() - 1 || round == rounds - 1 {
                pause(500).await;
                self.all_is_well(told, loads).await;
                let calls = self.sandbox.counts("tight").requests;
                println!(
                    "all is well after {} acknowledged messages, {calls} calls at the tight account",
                    told.acknowledged_so_far()
                );
                loads = self.load(told);
            }
        }
        told.end(loads).await;
    }

    async fn harm(&mut self, harm: Harm) {
        let n = self.somebody(harm).await;
        match harm {
            Harm::Kill => {
                self.members[n].0.kill();
                self.members[n].0.start_ready().await;
            }
            Harm::KillForLong => {
                self.members[n].0.kill();
                self.taken_over(Instant::now()).await;
                self.members[n].0.start_ready().await;
            }
            Harm::StandStill => {
                self.members[n].0.stand_still();
                pause(self.random.u64(300..3_000)).await;
                self.members[n].0.go_on();
            }
            Harm::StandStillForLong => {
                self.members[n].0.stand_still();
                self.taken_over(Instant::now()).await;
                pause(self.random.u64(..1_000)).await;
                self.members[n].0.go_on();
            }
            Harm::Restart => self.cluster.restart(Stop::Fast).await,
            Harm::Crash => self.cluster.restart(Stop::Immediate).await,
            Harm::Promote => {
                self.cluster.promote().await;
                for (_, proxy) in &self.members {
                    proxy.lead_to(self.cluster.address());
                }
                pause(self.random.u64(..1_000)).await;
                self.cluster.rebuild().await;
            }
            Harm::Cut => {
                for _ in 0..self.random.u64(2..8) {
                    pause(self.random.u64(..400)).await;
                    let n = self.random.usize(..self.members.len());
                    self.members[n].1.cut();
                }
            }
            Harm::Hold => {
                self.members[n].1.set(Way::Held);
                self.taken_over(Instant::now()).await;
                self.members[n].1.set(Way::Open);
            }
            Harm::Slow => {
                self.members[n].1.set(Way::Slow(Duration::from_millis(self.random.u64(5..60))));
                pause(self.random.u64(1_000..4_000)).await;
                self.members[n].1.set(Way::Refused);
                pause(self.random.u64(..4_000)).await;
                self.members[n].1.set(Way::Open);
            }
        }
        for (daemon, _) in &mut self.members {
            daemon.ready().await;
        }
    }

    /// All that was acknowledged is decided and at the vendors as it should be.
    async fn all_is_well(&self, told: &Arc<Told>, loads: Vec<tokio::task::JoinHandle<()>>) {
        told.all_is_taken_once(loads, &self.sandbox, &self.members[0].0).await;
        let mut connection = self.cluster.connect().await;
        // The tight account has to wait for its quota.
        let began = Instant::now();
        loop {
            let sql = "select (select count(*) from activations where state <> 'ended'),
                       (select j.last - e.decided from journal j, engine e)";
            let left: (i64, i64) = sqlx::query_as(sql).fetch_one(&mut connection).await.expect("what is left");
            if left == (0, 0) {
                break;
            }
            assert!(began.elapsed().as_secs() < 120, "activations and events that are left: {left:?}");
            pause(100).await;
        }
        self.all_is_decided(told, &mut connection).await;
        for lane in ["klaviyo", "marketo", "tight"] {
            self.all_is_taken_in_order(lane, &mut connection).await;
        }
        assert_eq!(self.sandbox.counts("tight").throttled, 0, "the quota is the account's, whoever sends");
        connection.close().await.expect("a close");
    }

    /// What there is to see where it fails: whether it goes on after all, activations that are left, leases, who waits for
    /// whom in the database, the daemons' status and last words.
    async fn show(&self) {
        let mut connection = self.cluster.connect().await;
        let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let asked = Instant::now();
        let before = decided(&mut connection).await;
        println!("the machine's load is {}; the database answers in {:?}", load.trim(), asked.elapsed());
        for (name, (_, proxy)) in NAMES.iter().zip(&self.members) {
            println!("{name} has the ports {:?}", proxy.ports());
        }
        for sql in [
            "select concat_ws(' ', last, decided, step, open_step is not null) from journal, engine",
            "select concat_ws(' ', a.seq, lane, trigger, state, again, may_have_left, tries, not_before, 'in hands of', (select
             h.epoch from hands h where h.seq = a.seq)) from activations a where state <> 'ended' order by a.seq limit 10",
            "select concat_ws(' ', name, holder, epoch, until - now()) from leases",
            "select concat_ws(' ', id, name, now() - seen, gone) from members order by seen",
            "select concat_ws(' ', pid, client_port, state, now() - state_change, 'in', now() - xact_start, wait_event_type,
             wait_event, 'behind', pg_blocking_pids(pid), query) from pg_stat_activity where application_name = 'espalier'
             and (state <> 'idle' or xact_start is not null)",
        ] {
            let rows: Vec<(String,)> = sqlx::query_as(sql).fetch_all(&mut connection).await.expect("rows");
            println!("{rows:#?}");
        }
        let client = reqwest::Client::builder().timeout(Duration::from_secs(2)).build().expect("a client");
        for (name, (daemon, _)) in NAMES.iter().zip(&self.members) {
            let call = client.get(format!("http://{}/api/status", daemon.ops)).bearer_auth(daemon.admin_token());
            let status = match call.send().await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            println!("{name}: {status}\n{}\n", daemon.log_end());
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) && decided(&mut connection).await == before {
            pause(50).await;
        }
        match decided(&mut connection).await - before {
            0 => println!("half a minute later nothing more is decided: it hangs"),
            more => println!("{more} events were decided {:?} after all: it is slow", began.elapsed()),
        }
    }

    /// Each message that was acknowledged is among the events, and each of its orders was answered.
    async fn all_is_decided(&self, told: &Told, connection: &mut PgConnection) {
        let sql = "select name, properties from events where properties is not null";
        let events: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut *connection).await.expect("events");
        let value = |text: &str| text.split('"').nth_back(1).unwrap_or_default().to_owned();
        let of = |name: &str| -> BTreeSet<String> {
            events.iter().filter(|(of, _)| of == name).map(|(_, text)| value(text)).collect()
        };
        let (pings, added, orders) = (of("Ping"), of("Product Added"), of("Order Completed"));
        for n in told.acknowledged() {
            let is_there = match n % 4 {
                0 => added.contains(&format!("q{n}")),
                1 => added.contains(&format!("q{n}")) && orders.contains(&format!("o{n}")),
                _ => pings.contains(&format!("p{n}")),
            };
            assert!(is_there, "message {n} was acknowledged");
        }
        // Whatever a machine's clock says: no event came before the one before it by more than a moment.
        let sql = "select coalesce(max(before - arrived), 0), coalesce(max(arrived), 0) - (extract(epoch from
                   clock_timestamp()) * 1000)::bigint from (select arrived, lag(arrived) over (order by position) as before
                   from events) as each";
        let (back, ahead): (i64, i64) = sqlx::query_as(sql).fetch_one(&mut *connection).await.expect("arrivals");
        assert!(back < 60_000 && ahead < 1_000, "{back} ms back from one event to the next, {ahead} ms ahead of time");
        let sql = "select count(*) from activations where lane = 'tight'";
        let (told_of,): (i64,) = sqlx::query_as(sql).fetch_one(&mut *connection).await.expect("a count");
        assert_eq!(usize::try_from(told_of), Ok(orders.len()), "each order is told of once");
        let sql = "select coalesce(sum(queued), 0)::bigint, coalesce(sum(dead), 0)::bigint,
                   coalesce(sum(made - accepted - refused - expired - cancelled - forgotten), 0)::bigint,
                   (select e.people from engine e) - (select count(*) from people) from lane_counts";
        let counts: (i64, i64, i64, i64) = sqlx::query_as(sql).fetch_one(connection).await.expect("counts");
        assert_eq!(counts, (0, 0, 0, 0), "what is counted is what there is, and no letter is dead");
    }

    /// What the database says was accepted is what the vendor has, each once, and of each person in the order in which it
    /// was decided.
    async fn all_is_taken_in_order(&self, lane: &str, connection: &mut PgConnection) {
        let sql =
            "select replace(occasion::text, '-', ''), person::text, seq, outcome from activations where lane = $1";
        let rows: Vec<(String, String, i64, Option<String>)> =
            sqlx::query_as(sql).bind(lane).fetch_all(connection).await.expect("activations");
        let has_effect = |outcome: &Option<String>| matches!(outcome.as_deref(), Some("accepted" | "duplicate"));
        // A cool-down expires within a second, perhaps before its cut call is made again.
        let expired: HashSet<&str> =
            rows.iter().filter(|(.., o)| o.as_deref() == Some("expired")).map(|(occasion, ..)| &**occasion).collect();
        let accepted = rows.iter().filter(|(.., outcome)| has_effect(outcome)).count();
        let by_occasion: HashMap<&str, (&str, i64)> =
            rows.iter().map(|(occasion, person, seq, _)| (&**occasion, (&**person, *seq))).collect();
        let effects = self.sandbox.effects(lane);
        let mut last: HashMap<&str, i64> = HashMap::new();
        for effect in &effects {
            let (person, seq) = by_occasion.get(&*effect.id).expect("what was sent was decided");
            let before = last.insert(person, *seq);
            assert!(before.is_none_or(|before| before < *seq), "{lane}: {before:?} before {seq} of one person");
        }
        let kept = effects.iter().filter(|effect| !expired.contains(&*effect.id)).count();
        assert_eq!(kept, accepted, "{lane} has what was accepted, and nothing else");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_befalls_it_nothing_is_lost_or_sent_twice_and_others_take_over() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse().ok());
    let rounds: usize = number("ESPALIER_ROUNDS").and_then(|n: u64| n.try_into().ok()).unwrap_or(10);
    let seed: u64 = number("ESPALIER_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("ESPALIER_SEED={seed} ESPALIER_ROUNDS={rounds}");
    let folder = tempfile::tempdir().expect("a folder");
    let mut world = World::begin(folder.path(), fastrand::Rng::with_seed(seed)).await;
    let told = Arc::new(Told::default());
    if let Err(failed) = AssertUnwindSafe(world.rounds(rounds, &told)).catch_unwind().await {
        world.show().await;
        std::panic::resume_unwind(failed);
    }
    if let Some(longest) = world.takeovers.iter().max() {
        println!("{} takeovers, the longest in {} ms", world.takeovers.len(), longest.as_millis());
    }
    assert!(world.clocks.iter().all(|clock| clock.asked() > 0), "the machines' clocks are those that were set");
    for (daemon, _) in &mut world.members {
        assert!(daemon.terminate().success(), "a daemon that is told to stop ends well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_work_on_it_and_say_what_is_not_for_it() {
    let server = Server::begin().await;
    let url = server.database().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (_, address) = vendors().await;
    let mut daemon =
        member(folder.path(), &url, &configuration(address), &[("ping", PING), ("left", LEFT), ("cool", COOL)]);
    std::fs::write(folder.path().join("codes.csv"), "A1\nA2\n").expect("a file");
    let import = ["codes", "import", "cool", "codes.csv"];
    let (is_well, text) = espalier(folder.path(), &import);
    assert!(is_well && text.contains('2'), "without a daemon: {text}");
    daemon.start_ready().await;
    let (is_well, text) = espalier(folder.path(), &["codes", "list"]);
    assert!(is_well && text.contains("cool"), "by the daemon: {text}");
    for (args, instead) in [
        (&["store", "rebuild"][..], "base backup"),
        (&["store", "backup", "copy"], "pg_dump"),
        (&["store", "export", "all.jsonl"], "pg_dump"),
        (&["store", "verify"], "pg_amcheck"),
    ] {
        let (is_well, text) = espalier(folder.path(), args);
        assert!(!is_well && text.contains(instead), "{args:?}: {text}");
    }
    let (is_well, text) = espalier(folder.path(), &["store", "compact"]);
    assert!(is_well, "{text}");
    assert!(daemon.terminate().success(), "it ends well");
    // What it had is free at once.
    let began = std::time::Instant::now();
    daemon.start_ready().await;
    let engine = || async { daemon.page("/api/status").await.text().await.is_ok_and(|text| text.contains("idle")) };
    eventually("the engine is its own again", Duration::from_secs(4), engine).await;
    assert!(began.elapsed() < Duration::from_secs(6), "given back, and not run out");
}
