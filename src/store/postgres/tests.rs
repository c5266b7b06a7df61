//! The contract on a real server, and what it does not ask.

mod aged;
mod polled;
#[path = "../../../tests/support/postgres.rs"]
pub mod server;
mod views;

use std::sync::Arc;

use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::*;
use crate::model::setting::Secret;
use crate::model::{Attempt, EventKind, IdentifierKind, Outcome, RawJson, Span};
use crate::store::Duties;
use crate::store::contract::{self, activation, event, queueing};
use crate::store::settings::Kind;
use server::{Server, connect};

/// Of a new database.
async fn settings(server: &Server) -> Settings {
    Settings { kind: Kind::Postgres, url: Some(Secret::new(server.database().await)), ..Settings::default() }
}

async fn beside(settings: &Settings) -> PgConnection {
    connect(settings.url.as_ref().expect("an address").expose()).await
}

async fn say(settings: &Settings, sql: &'static str) {
    let mut connection = beside(settings).await;
    sqlx::query(sql).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("a close");
}

/// All leases are free, as when their time is over.
const FREE: &str = "update leases set holder = null, until = now()";

async fn open(settings: &Settings) -> Postgres {
    Postgres::open(settings).await.expect("a store")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_800_000_000_000 + ms)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_is_kept() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let open = || -> Arc<dyn Store> {
        let opened = async {
            let store = open(&settings).await;
            // What an opening left that was not closed is free, as after the time of its leases.
            say(&settings, FREE).await;
            Arc::new(store)
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(opened))
    };
    contract::run(&open).await;
}

/// Whoever was held up, and does not know that another has taken over, writes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_engine_is_one_daemons_at_a_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    one.append(vec![event(1), event(2)], None).await.expect("an append");
    let claim = one.claim(10).await.expect("a claim");
    assert_eq!(claim.events.len(), 2);
    assert!(matches!(two.claim(10).await, Err(StoreError::Elsewhere)));
    assert!(matches!(two.recorded().await, Err(StoreError::Elsewhere)));
    let until = Position(2);
    let step = one.record(Step::Events { until, now: at(9) }).await.expect("a step");
    say(&settings, FREE).await;
    // The other takes the step that was left, and makes the next.
    let two_again = open(&settings).await;
    let recorded = two_again.recorded().await.expect("a read").expect("the step that was left");
    assert_eq!(recorded.id, step);
    let again = two_again.claim_until(until).await.expect("a claim");
    let changes = || Changes { step: Some(step), position: Some(until), ..Changes::default() };
    two_again.commit(again.loaded, changes()).await.expect("a commit");
    assert!(matches!(one.commit(claim.loaded, changes()).await, Err(StoreError::Elsewhere)));
    assert!(matches!(one.record(Step::Program(Vec::new())).await, Err(StoreError::Elsewhere)));
    assert_eq!(two_again.counts().step, step.0);
    for store in [one, two, two_again] {
        store.close().await.expect("a close");
    }
}

/// Of a lane only its holder is given work; what it had is another's when the lease is, and what it says late counts
/// only until then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_is_one_daemons_at_a_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let one = open(&settings).await;
    one.commit(Loaded::default(), queueing((1..=3).map(|n| activation(n, "a", 50)).collect())).await.expect("a commit");
    let had = one.work("a", at(0), 3).await.expect("work");
    assert_eq!(had.len(), 3);
    let two = open(&settings).await;
    assert!(two.work("a", at(0), 3).await.expect("none").is_empty(), "another sends");
    say(&settings, FREE).await;
    let three = open(&settings).await;
    let again = three.work("a", at(0), 2).await.expect("work");
    assert_eq!(again.iter().map(|one| one.id).collect::<Vec<_>>(), [had[0].id, had[1].id]);
    assert!(matches!(one.begin("a", &[had[0].id]).await, Err(StoreError::Elsewhere)), "nothing is sent from there");
    let accepted = |id| Settled { id, attempt: Attempt { at: at(1), status: 202, outcome: Outcome::Accepted } };
    // Two of them are another's by now; the third is nobody's yet, and has left.
    one.settle("a", had.iter().map(|work| accepted(work.id)).collect()).await.expect("a settle");
    assert!(three.work("a", at(0), 3).await.expect("none").is_empty(), "it is not sent twice");
    three.settle("a", again.iter().map(|work| accepted(work.id)).collect()).await.expect("a settle");
    three.inner.mirror.refresh(&three.inner.pool, three.inner.leases.me()).await.expect("a read");
    let count = three.lane_count("a");
    assert_eq!((count.queued, count.totals.made, count.totals.accepted), (0, 3, 3));
    for store in [one, two, three] {
        store.close().await.expect("a close");
    }
}

/// What a daemon had that was held up is another's, and what it still says counts for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duty_is_one_daemons_at_a_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    let had = one.duty("pull:shop").await.expect("an answer").expect("nobody else has it");
    let account = one.duty("account:7").await.expect("an answer").expect("nobody else has it");
    assert!(two.duty("pull:shop").await.expect("an answer").is_none());
    one.append_for(&had, vec![event(1)], Some(("shop", b"1"))).await.expect("an append");
    say(&settings, FREE).await;
    let three = open(&settings).await;
    let has = three.duty("pull:shop").await.expect("an answer").expect("free");
    assert!(has.term() > had.term());
    three.append_for(&has, vec![event(2)], Some(("shop", b"2"))).await.expect("an append");
    // Appended together with what is refused: that takes nobody else's with it.
    let (late, other) = tokio::join!(
        one.append_for(&had, vec![event(3)], Some(("shop", b"1"))),
        one.append(vec![event(4)], Some(("file", b"4")))
    );
    assert!(matches!(late, Err(AppendError::Elsewhere)), "{late:?}");
    other.expect("an append");
    assert!(matches!(one.keep_for(&had, "shop", b"old").await, Err(StoreError::Elsewhere)));
    assert_eq!(three.cursor("shop").await.expect("a read"), Some(b"2".to_vec()), "it has not gone back");
    assert_eq!(three.kept("shop").await.expect("a read"), None);
    assert_eq!(three.claim(9).await.expect("a claim").events.len(), 3);
    // Who has lost one has lost all, and says so to whoever works by them.
    had.over().await;
    account.over().await;
    assert!(!account.is_ours());
    assert!(three.duty("account:7").await.expect("an answer").is_some(), "it was free all the same");
    for store in [one, two, three] {
        store.close().await.expect("a close");
    }
}

/// Work goes to another daemon when whoever did it ends, and nobody does it twice at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_is_taken_over_from_who_ends_and_from_who_hangs() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    let stop = CancellationToken::new();
    let names = || ["account:7".to_owned(), "pull:shop".to_owned()];
    let mut of_one = Duties::new(Arc::new(one.clone()), names());
    let mut of_two = Duties::new(Arc::new(two.clone()), names());
    let on = of_one.next(&stop, || ()).await.expect("nobody else has them");
    assert!(two.duty("pull:shop").await.expect("an answer").is_none());
    one.close().await.expect("a close");
    on.stop().cancelled().await;
    let began = tokio::time::Instant::now();
    let on = of_two.next(&stop, || ()).await.expect("given back");
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "told, and not run out: {:?}", began.elapsed());
    // It hangs, and its time runs out; nobody tells it.
    say(&settings, "update leases set holder = gen_random_uuid(), epoch = epoch + 1, until = now() + interval '1 s'")
        .await;
    on.stop().cancelled().await;
    let again = of_two.next(&stop, || ()).await.expect("free again");
    assert!(again.duty().term() > on.duty().term());
    two.close().await.expect("a close");
}

/// Whoever has a lease shows it in each transaction: who asks for it meanwhile is told so at once. And whoever waits for one
/// lease keeps nobody from another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_for_a_lease_waits_for_no_other() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    say(&settings, "insert into leases (name, epoch, until) values ('held up', 1, now())").await;
    one.duty("shown").await.expect("an answer").expect("nobody else has it");
    let mut other = one.inner.pool.begin().await.expect("a transaction");
    sqlx::query("select 1 from leases for update").execute(&mut *other).await.expect("rows");
    let soon = std::time::Duration::from_secs(2);
    let shown = tokio::time::timeout(soon, two.duty("shown")).await.expect("at once");
    assert!(shown.expect("an answer").is_none());
    let new = tokio::select! {
        biased;
        _ = two.duty("held up") => panic!("its row is held"),
        new = tokio::time::timeout(soon, two.duty("new")) => new.expect("at once"),
    };
    assert!(new.expect("an answer").is_some());
    other.rollback().await.expect("an end");
    for store in [one, two] {
        store.close().await.expect("a close");
    }
}

/// What is called back is looked at while somebody may just take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_called_back_is_not_taken_at_the_same_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (engine, sender) = (open(&settings).await, open(&settings).await);
    for round in 0..40 {
        let queued: Vec<Activation> = (0..5).map(|n| activation(round * 10 + n, "r", 50)).collect();
        let recalls = queued.iter().map(|of| crate::model::Recall {
            occasion: of.occasion,
            lane: of.lane.clone(),
            person: of.person,
            at: of.at,
            word: None,
        });
        let changes = Changes { cancelled: recalls.collect(), ..Changes::default() };
        engine.commit(Loaded::default(), queueing(queued)).await.expect("a commit");
        let (work, called_back) = tokio::join!(sender.work("r", at(0), 10), engine.commit(Loaded::default(), changes));
        called_back.expect("a commit");
        let work = work.expect("work");
        engine.inner.mirror.refresh(&engine.inner.pool, engine.inner.leases.me()).await.expect("a read");
        assert_eq!(engine.lane_count("r").queued, work.len() as u64, "each is in a sender's hands, or called back");
        let settled = work
            .iter()
            .map(|one| Settled { id: one.id, attempt: Attempt { at: at(1), status: 202, outcome: Outcome::Accepted } });
        sender.settle("r", settled.collect()).await.expect("a settle");
    }
    engine.inner.mirror.refresh(&engine.inner.pool, engine.inner.leases.me()).await.expect("a read");
    let totals = engine.lane_count("r").totals;
    assert_eq!(totals.made, totals.ended(), "{totals:?}");
    engine.close().await.expect("a close");
    sender.close().await.expect("a close");
}

/// Positions have no gap and are one order for all, whoever appends, and whatever becomes of connections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_daemons_append_in_one_order_while_connections_are_cut() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    let append = |store: Postgres, from: u64| async move {
        let mut kept = Vec::new();
        for n in from..from + 150 {
            // Nobody else is answered by a refusal: the caller comes again.
            while let Err(refused) = store.append(vec![event(n)], Some(("cursor", b"1"))).await {
                assert!(matches!(refused, AppendError::Unavailable(_)), "{refused}");
            }
            kept.push(event(n).dedupe[0]);
        }
        kept
    };
    let begun: Vec<_> = [(one.clone(), 0), (one.clone(), 1_000), (two.clone(), 2_000)]
        .into_iter()
        .map(|(store, from)| tokio::spawn(append(store, from)))
        .collect();
    for _ in 0..5 {
        server.say("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'espalier'").await;
        tokio::task::yield_now().await;
    }
    let mut kept = HashSet::new();
    for task in begun {
        kept.extend(task.await.expect("an end"));
    }
    let claim = two.claim(10_000).await.expect("a claim");
    let positions: Vec<u64> = claim.events.iter().map(|(position, _)| position.0).collect();
    assert_eq!(positions, (1..=positions.len() as u64).collect::<Vec<_>>());
    let found: HashSet<DedupeKey> = claim.events.iter().map(|(_, event)| event.dedupe[0]).collect();
    assert_eq!(found, kept, "all that was acknowledged, and nothing else");
    one.close().await.expect("a close");
    two.close().await.expect("a close");
}

/// A transaction whose answer was lost is known by its mark, and not made twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_not_done_again_when_its_answer_was_lost() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    let mut connection = beside(&settings).await;
    let (mark, (answer, _told)) = (Uuid::new_v4(), oneshot::channel());
    let group = [Append { events: vec![event(1), event(2)], cursor: None, duty: None, answer }];
    for _ in 0..2 {
        let first =
            journal::write_once(&mut connection, &store.inner.leases, &group, mark).await.map_err(Trouble::into_error);
        assert_eq!(first.expect("an append"), 1);
    }
    let changes = queueing(vec![activation(1, "a", 50)]);
    let epoch = store.inner.enter().await.expect("the engine");
    let loaded = Loaded::default();
    for _ in 0..2 {
        let context = (&*store.inner, epoch, mark);
        let done = commit::once(&mut connection, context, &HashSet::new(), &loaded, &changes).await;
        done.map_err(Trouble::into_error).expect("a commit");
    }
    store.inner.mirror.refresh(&store.inner.pool, store.inner.leases.me()).await.expect("a read");
    assert_eq!((store.lane_count("a").totals.made, store.counts().journaled), (1, Position(2)));
    connection.close().await.expect("a close");
    store.close().await.expect("a close");
}

/// PostgreSQL's texts have no NUL. People's have.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_database_calls_no_text_is_kept_too() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    let odd = Event {
        kind: EventKind::Identify,
        name: "A\0B".into(),
        session: Some("\0".into()),
        identifiers: vec![Identifier::new(IdentifierKind::UserId, "x\0".repeat(5_000))],
        properties: RawJson::trusted("\"\0\""),
        ..event(1)
    };
    store.append(vec![odd.clone(), event(2)], None).await.expect("an append");
    let claim = store.claim(10).await.expect("a claim");
    assert_eq!(claim.events.iter().map(|(_, event)| event).collect::<Vec<_>>(), [&odd, &event(2)]);
    let mut person = Person::new(PersonId([1; 16]), Position(1), at(0));
    person.identifiers.extend(odd.identifiers.clone());
    let entry =
        crate::model::Entry::new(at(0), Position(1), odd.name.clone(), odd.origin, None, odd.properties.clone());
    person.history.push(entry);
    let changes = Changes {
        people: vec![crate::model::PersonChange { id: person.id, write: crate::model::Write::Whole }],
        links: vec![(odd.identifiers[0].clone(), Some(person.id))],
        ..queueing(vec![Activation { key: "\0".into(), payload: RawJson::trusted("\0"), ..activation(1, "a", 50) }])
    };
    let people = HashMap::from([(person.id, person.clone())]);
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    assert_eq!(store.find(&odd.identifiers[0]).await.expect("a read"), Some(person.id));
    assert_eq!(store.story(person.id).await.expect("a read").expect("somebody").person, person);
    let work = store.work("a", at(0), 1).await.expect("work");
    assert_eq!((&*work[0].activation.key, work[0].activation.payload.get()), ("\0", "\0"));
    store.close().await.expect("a close");
}

/// A database that crashes has lost what it was not asked to sync: the step that was written down last.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_the_database_lost_is_made_again() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    store.append(vec![event(1)], None).await.expect("an append");
    let until = Position(1);
    let step = Step::Events { until, now: at(9) };
    let claim = store.claim(10).await.expect("a claim");
    say(&settings, "create table lost as select version, mark, open_step from engine").await;
    let id = store.record(step.clone()).await.expect("a step");
    say(&settings, "update engine set (version, mark, open_step) = (select version, mark, open_step from lost)").await;
    let changes = |id| Changes { step: Some(id), position: Some(until), ..Changes::default() };
    assert!(store.commit(claim.loaded, changes(id)).await.is_err(), "no such step is written down");
    assert_eq!(store.recorded().await.expect("a read"), None);
    let claim = store.claim(10).await.expect("a claim");
    let id = store.record(step).await.expect("a step");
    store.commit(claim.loaded, changes(id)).await.expect("a commit");
    assert_eq!(store.counts().decided, until);
    store.close().await.expect("a close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_a_later_version_are_left_alone() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    // Two that begin at the same instant.
    let (one, two) = tokio::join!(Postgres::open(&settings), Postgres::open(&settings));
    one.expect("a store").close().await.expect("a close");
    two.expect("a store").close().await.expect("a close");
    say(&settings, "update espalier_schema set version = 99, oldest = 99").await;
    assert!(matches!(Postgres::open(&settings).await, Err(StoreError::Newer { found: 99, .. })));
    let away = Settings { url: Some(Secret::new("postgres://u:hidden@127.0.0.1:1/x")), ..settings.clone() };
    let error = Postgres::open(&away).await.err().expect("no store").to_string();
    assert!(!error.contains("hidden"), "{error}");
}

/// A later version that only adds to the tables is brought in while earlier daemons work; one that changes them is not,
/// and shuts them out.
/// What cannot be read any more is not begun with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_from_before_their_layout_was_released_are_refused() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let pool = open::pool(&settings).expect("connections");
    open::migrate(&pool, &open::MIGRATIONS[..2]).await.expect("the first two");
    say(&settings, "drop view attempts").await;
    say(&settings, "alter table activations alter column attempts type bytea using ''").await;
    let refused = Postgres::open(&settings).await.err().expect("it is refused").to_string();
    assert!(refused.contains("name an empty database"), "{refused}");
    say(&settings, "alter table activations alter column attempts type text using ''").await;
    open(&settings).await.close().await.expect("a close");
    pool.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upgrade_rolls_where_tables_are_only_added_to() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let now = open(&settings).await;
    let known = open::MIGRATIONS.len() as u32;
    let pool = open::pool(&settings).expect("connections");
    let adds = open::Migration { sql: "alter table people add column note text; create table more (n int)", oldest: 1 };
    let mut later = open::MIGRATIONS.to_vec();
    later.push(adds);
    open::migrate(&pool, &later).await.expect("it only adds");
    // The one that runs goes on, and another of its version begins.
    now.append(vec![event(1)], None).await.expect("an append");
    let claim = now.claim(9).await.expect("a claim");
    now.commit(claim.loaded, Changes { position: Some(Position(1)), ..Changes::default() }).await.expect("a commit");
    let beside = open(&settings).await;
    beside.append(vec![event(2)], None).await.expect("an append");
    beside.close().await.expect("a close");
    later.push(open::Migration { sql: "alter table more drop column n", oldest: known + 2 });
    let refused = open::migrate(&pool, &later).await.expect_err("somebody works with it").to_string();
    assert!(refused.contains(&now.inner.name) && refused.contains("stop all of them first"), "{refused}");
    now.append(vec![event(3)], None).await.expect("nothing was changed");
    now.close().await.expect("a close");
    open::migrate(&pool, &later).await.expect("nobody works with it");
    let refused = Postgres::open(&settings).await.err().expect("it is shut out");
    assert!(matches!(refused, StoreError::Newer { found, known: mine } if found == known + 2 && mine == known));
    pool.close().await;
}

/// Who shares the tables, what each has, and what went from one to another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_are_known_to_each_other() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let named = |name: &str| Settings { name: Some(name.into()), ..settings.clone() };
    let (one, two) = (open(&named("one")).await, open(&named("two")).await);
    one.duty("night").await.expect("an answer").expect("nobody else has it");
    one.say("came", b"1").await.expect("a word");
    two.say("came", b"2").await.expect("a word");
    let look = |store: &Postgres| {
        let store = store.clone();
        async move {
            store.inner.mirror.refresh(&store.inner.pool, store.inner.leases.me()).await.expect("a read");
            store.members().expect("it is shared")
        }
    };
    let seen = look(&two).await;
    let names: Vec<(&str, bool, bool)> = seen.members.iter().map(|one| (&*one.name, one.is_alive, one.is_me)).collect();
    assert_eq!(names, [("one", true, false), ("two", true, true)]);
    assert_eq!(seen.holder("night").map(|one| &*one.name), Some("one"));
    let heard = two.heard("came").await.expect("words");
    assert_eq!(heard.iter().map(|said| (said.is_alive, &*said.value)).collect::<Vec<_>>(), [(true, &b"1"[..])]);
    one.close().await.expect("a close");
    tokio::time::timeout(std::time::Duration::from_secs(9), async {
        while two.duty("night").await.expect("an answer").is_none() {
            two.changed().changed().await.expect("news");
        }
    })
    .await
    .expect("it was given back");
    let seen = look(&two).await;
    assert_eq!(seen.members.iter().map(|one| one.is_alive).collect::<Vec<_>>(), [false, true]);
    assert_eq!(seen.takeovers.len(), 1);
    assert_eq!((&*seen.takeovers[0].of, &*seen.takeovers[0].from, &*seen.takeovers[0].to), ("night", "one", "two"));
    assert!(!two.heard("came").await.expect("words")[0].is_alive);
    say(&settings, "update members set seen = now() - interval '25 hours' where name = 'one'").await;
    members::cut(&two.inner.pool).await.expect("a cut");
    assert_eq!(look(&two).await.members.len(), 1);
    assert!(two.heard("came").await.expect("words").is_empty());
    two.close().await.expect("a close");
}

/// The database is away, and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_does_not_answer_is_told_until_it_does() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    assert_eq!(store.away(), None);
    let mut beside = beside(&settings).await;
    // Nobody can read them meanwhile.
    sqlx::raw_sql("begin; lock table engine in access exclusive mode").execute(&mut beside).await.expect("a lock");
    let told = async |wanted: bool| {
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut looks = tokio::time::interval(std::time::Duration::from_millis(50));
        while store.away().is_some() != wanted {
            assert!(tokio::time::Instant::now() < until, "away: {:?}", store.away());
            looks.tick().await;
        }
    };
    told(true).await;
    sqlx::raw_sql("rollback").execute(&mut beside).await.expect("an end");
    told(false).await;
    beside.close().await.expect("a close");
    store.close().await.expect("a close");
}
