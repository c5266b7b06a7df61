//! What is asked again and again is found by an index, however much there is. Each statement of a running store, as it is
//! made and with what it asks for, tells its own plan: nothing here repeats a statement of the adapter's.
//! `ESPALIER_ROWS` sets how much there is (200,000 unless told otherwise).

use std::collections::BTreeMap;
use std::fmt::Debug;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::{Context, SubscriberExt};

use super::*;
use crate::store::postgres::weeks::{self, DECISIONS, EVENTS};
use crate::store::postgres::{cut, keeper};

/// Tables that stay small, whatever happens.
const SMALL: [&str; 15] = [
    "espalier_schema",
    // What senders have in their hands: a few batches.
    "hands",
    "journal",
    "copies",
    "engine",
    "leases",
    "lane_counts",
    "lane_triggers",
    "trigger_states",
    "totals",
    "pools",
    "forgotten",
    "register",
    // The daemons of a day, and what each says.
    "members",
    "said",
];
/// A node of a plan may read so many rows more than its statement returns, or writes.
const MORE: f64 = 40.0;
/// Statements that have been made so often have a plan for whatever they ask for.
const TURNS: u64 = 12;
/// Rows asked for at once.
const MANY: usize = 20;

/// The plans that the server tells, by its module `auto_explain`.
#[derive(Clone, Default)]
struct Plans(Arc<Mutex<Vec<Value>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Plans {
    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::postgres::notice" {
            event.record(&mut self.clone());
        }
    }
}

impl Visit for Plans {
    fn record_str(&mut self, _: &Field, text: &str) {
        if let Some((_, plan)) = text.split_once("plan:\n") {
            self.0.lock().expect("no panic while held").push(serde_json::from_str(plan).expect("JSON"));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn number(node: &Value, name: &str) -> f64 {
    node[name].as_f64().unwrap_or_default()
}

/// Rows that a statement gave back or wrote.
fn returned(plan: &Value) -> f64 {
    let below = plan["Plans"].as_array().map(|all| all.iter().map(returned).fold(0.0, f64::max));
    let is_write = plan["Node Type"] == "ModifyTable";
    if is_write { below.unwrap_or_default().max(number(plan, "Actual Rows")) } else { number(plan, "Actual Rows") }
}

/// Where a node reads more than its statement returns, in words.
fn check(plan: &Value, returned: f64, found: &mut Vec<String>) {
    let times = number(plan, "Actual Loops").max(1.0);
    let removed: f64 = ["Rows Removed by Filter", "Rows Removed by Index Recheck", "Rows Removed by Join Filter"]
        .iter()
        .map(|name| number(plan, name))
        .sum();
    let read = (number(plan, "Actual Rows") + removed) * times;
    let (kind, table) = (&plan["Node Type"], plan["Relation Name"].as_str().unwrap_or_default());
    // What tables there are: the database's own, and not many.
    if table.starts_with("pg_") {
        return;
    }
    if read > returned + MORE {
        found.push(format!("{kind} of `{table}` reads {read} rows for {returned}"));
    }
    // Of a week to come, and of the rest, there is nothing to read.
    let is_empty_part = read == 0.0 && [EVENTS, DECISIONS].iter().any(|parted| parted.has_part(table));
    if kind == "Seq Scan" && !is_empty_part && !SMALL.contains(&table) {
        found.push(format!("all of `{table}` is read"));
    }
    for below in plan["Plans"].as_array().into_iter().flatten() {
        check(below, returned, found);
    }
}

/// Fills every table that grows with so many rows: what has ended, waits for a later time, or has to wait its turn. Those
/// that are parted have them in thirteen weeks; of decisions some are over, but for one that was written late.
async fn fill(connection: &mut PgConnection, rows: u64) {
    for (table, first) in [(EVENTS, at(0)), (DECISIONS, at(0) - Span::from_days(42))] {
        let made = weeks::make(connection, table, weeks::from(first, 14)).await;
        made.map_err(Trouble::into_error).expect("weeks");
    }
    for sql in [
        "insert into activations select 1000000 + n, lane, md5('o' || n)::uuid, action, trigger, trigger_id,
         md5('p' || n / 4)::uuid, priority, (array['ended', 'waiting', 'held', 'ready'])[1 + n % 4], at, expires_at,
         1900000000000 + n, planned, tries, n % 40 = 1, may_have_left,
         case when n % 4 = 0 then 1800000000000 + n end, outcome, n % 400 = 0, attempts, payload, record
         from activations, generate_series(1, $ROWS) n where seq = 1",
        "insert into people select md5('p' || n)::uuid, n, n, 1900000000000 + n, '' from generate_series(1, $ROWS) n",
        "insert into history select md5('p' || n / 4)::uuid, n, n, '', null, '' from generate_series(1, $ROWS) n",
        "insert into identifiers select md5('i' || n)::uuid, '', md5('p' || n)::uuid from generate_series(1, $ROWS) n",
        "insert into merged select md5('m' || n)::uuid, md5('p' || n)::uuid from generate_series(1, $ROWS) n",
        "insert into joins select md5('p' || n)::uuid, n, 0, 1800000000000 + n, md5('p' || n)::uuid, n % 2 = 0, ''
         from generate_series(1, $ROWS) n",
        "insert into events select n, 1800000000000 + n * 7862400000 / $ROWS, n, '', '', null, null, ''
         from generate_series(1, $ROWS) n",
        "update journal set last = $ROWS",
        "update engine set decided = $ROWS",
        "insert into dedupe select md5('d' || n)::uuid, 1800000000000 + n from generate_series(1, $ROWS) n",
        "insert into decisions select md5('p' || n)::uuid, 1800000000000 - 3628800000 + n * 7862400000 / $ROWS,
         md5('o' || n)::uuid, 0, 1800000000000 + n, '', '', '' from generate_series(1, $ROWS) n",
        "insert into codes select 'code' || n, 'pool', n - 1 from generate_series(1, $ROWS) n",
        "insert into pools select 'pool', $ROWS, $ROWS",
        "insert into catalogue select md5('c' || n)::uuid, 'c' || n, 0, '' from generate_series(1, $ROWS) n",
        "insert into set_aside (at, source, record) select 1800000000000 + n, '', '' from generate_series(1, $ROWS) n",
        "insert into erasures select md5('e' || n)::uuid, 1800000000000 + n, md5('p' || n)::uuid, n, ''
         from generate_series(1, $ROWS) n",
        "insert into erased select md5('e' || n)::uuid, 'a', 1800000000000 + n, '' from generate_series(1, $ROWS) n",
        "insert into accesses select md5('a' || n)::uuid, 1800000000000 + n, 1800000000000 + n, 1800000000000 + n, ''
         from generate_series(1, $ROWS) n",
        "insert into kept select 'n' || n, '' from generate_series(1, $ROWS) n",
        "insert into cursors select 'n' || n, '' from generate_series(1, $ROWS) n",
        "insert into takeovers select 'lane:a', 1000 + n, now() - interval '10 milliseconds' * n, 'one', 'two'
         from generate_series(1, $ROWS) n",
        "vacuum analyze",
    ] {
        let sql = sql.replace("$ROWS", &rows.to_string());
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut *connection).await.expect("rows");
    }
}

/// One turn of everything that a daemon asks again and again, where there is something to do and where there is not.
async fn turn(store: &Postgres, n: u64) {
    let inner = &*store.inner;
    keeper::read(inner).await.expect("a read");
    inner.leases.renew(&inner.pool).await.expect("a renewal");
    inner.leases.any_free(&inner.pool, &["engine".into(), "lane:a".into()]).await.expect("a look");
    cut::some(inner, at(0)).await.expect("a cut");
    members::beat(&inner.pool, inner.leases.me(), "one", None).await.expect("a beat");
    members::cut(&inner.pool).await.expect("a cut");
    weeks::ahead(&inner.pool).await.expect("a look");
    store.say("came", b"1").await.expect("a word");
    store.heard("came").await.expect("words");
    let duty = store.duty("night").await.expect("a lease").expect("nobody else has it");
    store.keep_for(&duty, "came", b"1").await.expect("a value");
    assert_eq!(store.kept("came").await.expect("a read").as_deref(), Some(&b"1"[..]));
    store.cursor("pull").await.expect("a read");
    assert_eq!(store.recorded().await.expect("a read"), None);
    store.append(vec![event(1_000 + n)], Some(("pull", b"1"))).await.expect("an append");
    let claim = store.claim(MANY).await.expect("a claim");
    let until = claim.events.last().expect("an event").0;
    let dedupe = claim.events.iter().map(|(_, event)| (event.dedupe[0], event.arrived)).collect();
    let step = store.record(Step::Events { until, now: at(1) }).await.expect("a step");
    let queued = (0..2).map(|of| activation(10_000 + n * 10 + of, "a", 50)).collect();
    let changes = Changes { step: Some(step), position: Some(until), dedupe, ..queueing(queued) };
    store.commit(claim.loaded, changes).await.expect("a commit");
    store.load(vec![PersonId(n.to_be_bytes().repeat(2).try_into().expect("sixteen bytes"))]).await.expect("a read");
    assert!(store.due(at(2), MANY).await.expect("a read").people.is_empty());
    let work = store.work("a", at(3), MANY).await.expect("work");
    store.begin("a", &work.iter().map(|one| one.id).collect::<Vec<_>>()).await.expect("a beginning");
    // One of them is woken by the next turn.
    let later = Outcome::Later { not_before: at(2), words: "".into(), is_throttled: false, may_have_left: false };
    let outcome = |place: usize| if place == 0 { later.clone() } else { Outcome::Accepted };
    let settled = work.iter().enumerate().map(|(place, one)| Settled {
        id: one.id,
        attempt: Attempt { at: at(4), status: 202, outcome: outcome(place) },
    });
    store.settle("a", settled.collect()).await.expect("a settle");
    assert!(work.len() >= 2, "{n}: work to do");
    let work = store.work("a", at(5), 1).await.expect("work");
    store.release("a", &work.iter().map(|one| one.id).collect::<Vec<_>>()).await.expect("a release");
}

#[tokio::test]
async fn what_is_polled_reads_no_more_than_it_returns() {
    let rows = rows();
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    store.commit(Loaded::default(), queueing(vec![activation(1, "a", 50)])).await.expect("a commit");
    let mut connection = beside(&settings).await;
    // It would cut, by the time of what it has, while there is nothing in the weeks yet.
    store.close().await.expect("a close");
    fill(&mut connection, rows).await;
    let explained = "do $$ declare setting text; begin
         foreach setting in array array['session_preload_libraries = auto_explain',
          'auto_explain.log_min_duration = 0', 'auto_explain.log_analyze = on', 'auto_explain.log_timing = off',
          'auto_explain.log_format = json', 'auto_explain.log_level = notice'] loop
         execute format('alter database %I set %s', current_database(), setting); end loop; end $$";
    sqlx::raw_sql(explained).execute(&mut connection).await.expect("the module auto_explain");
    // Of this thread alone, on which all of the test runs.
    let plans = Plans::default();
    let _told = tracing::subscriber::set_default(tracing_subscriber::registry().with(plans.clone()));
    let store = open(&settings).await;
    for n in 1..=TURNS {
        turn(&store, n).await;
    }
    let plans: Vec<Value> = std::mem::take(&mut *plans.0.lock().expect("no panic while held"));
    let statements: HashSet<&str> = plans.iter().filter_map(|plan| plan["Query Text"].as_str()).collect();
    for table in [
        "activations",
        "events",
        "people",
        "dedupe",
        "hands",
        "leases",
        "accesses",
        "lane_counts",
        "pools",
        "decisions_rest",
        "max(written)",
        "members",
        "said",
        "takeovers",
        "joins",
        "erased",
        "set_aside",
        "pg_inherits",
    ] {
        assert!(statements.iter().any(|sql| sql.contains(table)), "`{table}` is asked for in {statements:#?}");
    }
    let mut found = BTreeMap::new();
    for plan in &plans {
        let mut words = Vec::new();
        check(&plan["Plan"], returned(&plan["Plan"]), &mut words);
        if !words.is_empty() {
            found.insert(plan["Query Text"].as_str().unwrap_or_default(), words);
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    connection.close().await.expect("a close");
    store.close().await.expect("a close");
}

#[expect(clippy::disallowed_methods, reason = "the test's own environment")]
fn rows() -> u64 {
    std::env::var("ESPALIER_ROWS").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000)
}
