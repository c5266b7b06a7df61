//! What is too old goes: with its week where it has one, else row by row.

use super::*;
use crate::store::postgres::cut;
use crate::store::postgres::weeks::{self, DECISIONS, EVENTS, Week};

/// As a database has it that knows no weeks: one table each.
async fn unparted(server: &Server) -> Settings {
    let settings = settings(server).await;
    let mut connection = beside(&settings).await;
    for migration in open::MIGRATIONS {
        sqlx::raw_sql(migration.sql).execute(&mut connection).await.expect("its tables");
    }
    let made = format!(
        "create table espalier_schema (id smallint primary key check (id = 1), version integer not null,
         oldest integer not null);
         insert into espalier_schema (id, version, oldest) values (1, {known}, {known})",
        known = open::known()
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(made)).execute(&mut connection).await.expect("its schema");
    connection.close().await.expect("a close");
    settings
}

/// Nothing is of a week that is there already, whenever this test runs.
async fn without_weeks(settings: &Settings) {
    let mut connection = beside(settings).await;
    for table in [EVENTS, DECISIONS] {
        let weeks = weeks::of(&mut connection, table).await.map_err(Trouble::into_error).expect("a read");
        let Some(weeks) = weeks else { continue };
        assert_eq!(weeks.len(), 3, "this one and two to come");
        for week in weeks {
            let gone = format!("drop table {}", week.name(table));
            sqlx::query(sqlx::AssertSqlSafe(gone)).execute(&mut connection).await.expect("a week");
        }
    }
    connection.close().await.expect("a close");
}

/// The first one of [`at`].
async fn make_week(settings: &Settings) -> Week {
    let mut connection = beside(settings).await;
    for table in [EVENTS, DECISIONS] {
        let one = weeks::from(at(0), 1);
        weeks::make(&mut connection, table, one).await.map_err(Trouble::into_error).expect("a week");
    }
    connection.close().await.expect("a close");
    weeks::from(at(0), 1).next().expect("a week")
}

/// How many rows there are of something.
async fn count_of(settings: &Settings, what: &str) -> i64 {
    let mut connection = beside(settings).await;
    let sql = format!("select count(*) from {what}");
    let (n,): (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_one(&mut connection).await.expect("a count");
    connection.close().await.expect("a close");
    n
}

async fn has(settings: &Settings, table: &str) -> bool {
    count_of(settings, &format!("pg_class where relname = '{table}'")).await == 1
}

/// Decides all events up to this one.
async fn decide(store: &Postgres, until: u64) {
    let claim = store.claim(10).await.expect("a claim");
    let changes = Changes { position: Some(Position(until)), ..Changes::default() };
    store.commit(claim.loaded, changes).await.expect("a commit");
}

/// Nothing is kept for ever; and who was forgotten is so in the journal, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_old_goes_and_what_is_forgotten_is_blank() {
    let server = Server::begin().await;
    for settings in [settings(&server).await, unparted(&server).await] {
        what_is_old_goes(&settings).await;
    }
}

async fn what_is_old_goes(settings: &Settings) {
    let store = open(settings).await;
    without_weeks(settings).await;
    store.append((1..=4).map(event).collect(), None).await.expect("an append");
    let claim = store.claim(10).await.expect("a claim");
    let dedupe = claim.events.iter().map(|(_, event)| (event.dedupe[0], event.arrived)).collect();
    let name = event(2).identifiers[0].clone();
    let erasure = crate::model::Erasure {
        id: OccasionId([9; 16]),
        person: PersonId([9; 16]),
        asked: at(1),
        decided: at(2),
        source: "web".into(),
        position: Position(3),
        names: 1,
        events: 1,
        journal: None,
        lanes: Vec::new(),
    };
    let changes = Changes {
        position: Some(Position(3)),
        dedupe,
        erased: vec![(erasure, vec![name.clone()])],
        ..queueing(vec![activation(1, "a", 50), activation(2, "a", 50)])
    };
    store.commit(claim.loaded, changes).await.expect("a commit");
    let work = store.work("a", at(0), 1).await.expect("work");
    let outcome = Outcome::Refused { code: "400".into(), words: "no".into() };
    let attempt = Attempt { at: at(5), status: 400, outcome };
    store.settle("a", vec![Settled { id: work[0].id, attempt }]).await.expect("a settle");
    let aside = SetAside { at: at(1), source: "web".into(), reason: "no name".into(), body: "{}".into() };
    store.set_aside(vec![aside]).await.expect("set aside");
    assert_eq!(store.compact(at(10)).await.expect("a cut"), Position(3), "nothing is old");
    // `event(2)` is of u2, whose name is forgotten up to the third event.
    let mut connection = beside(settings).await;
    let names: Vec<(i64, String)> = sqlx::query_as("select position, name from events order by position")
        .fetch_all(&mut connection)
        .await
        .expect("the journal");
    let blank: Vec<i64> = names.iter().filter(|(_, name)| name.is_empty()).map(|(position, _)| *position).collect();
    assert_eq!((blank, names.len()), (vec![2], 4));
    assert_eq!(store.receipts(9).await.expect("receipts")[0].erasure.journal, Some(at(10)));
    let late = at(0) + Span::from_days(31);
    store.compact(late).await.expect("a cut");
    assert_eq!(count_of(settings, "events").await, 1, "what is not decided stays");
    assert_eq!(count_of(settings, "dedupe").await, 0);
    assert_eq!(count_of(settings, "activations").await, 1, "what waits stays");
    assert_eq!(count_of(settings, "decisions").await, 1, "and its decision");
    assert_eq!((store.counts().set_aside, store.lane_count("a").dead), (0, 0));
    assert_eq!(store.receipts(9).await.expect("receipts").len(), 1, "kept for three years");
    connection.close().await.expect("a close");
    store.close().await.expect("a close");
}

/// A week goes as a whole when all of it is too old and decided; what came before the week was made has moved there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_goes_a_week_at_a_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    without_weeks(&settings).await;
    let later = at(0) + Span::from_days(8);
    store.append(vec![event(1), Event { arrived: later, ..event(2) }], None).await.expect("an append");
    let week = make_week(&settings).await;
    let name = week.name(EVENTS);
    assert_eq!((count_of(&settings, &name).await, count_of(&settings, "events_rest").await), (1, 1));
    store.append(vec![event(3), event(4)], None).await.expect("an append");
    assert_eq!(count_of(&settings, &name).await, 3);
    let claim = store.claim(10).await.expect("a claim");
    assert_eq!(claim.events.iter().map(|(position, _)| position.0).collect::<Vec<_>>(), [1, 2, 3, 4]);
    decide(&store, 3).await;
    let over = week.ends() + store.inner.settings.retention;
    store.compact(over).await.expect("a cut");
    assert!(has(&settings, &name).await, "one of it is not decided");
    decide(&store, 4).await;
    store.compact(over - Span::from_millis(1)).await.expect("a cut");
    assert_eq!(count_of(&settings, &name).await, 3, "it is not over for long enough");
    // Somebody reads all of it, for hours: they are not disturbed, and intake is not kept waiting for them.
    let mut reader = beside(&settings).await;
    sqlx::raw_sql("begin; lock table events in access share mode").execute(&mut reader).await.expect("a lock");
    store.compact(over).await.expect("a cut");
    assert!(has(&settings, &name).await);
    store.append(vec![event(5)], None).await.expect("an append");
    sqlx::raw_sql("rollback").execute(&mut reader).await.expect("an end");
    decide(&store, 5).await;
    store.compact(over).await.expect("a cut");
    assert!(!has(&settings, &name).await);
    assert_eq!(count_of(&settings, "events").await, 1, "what came later stays");
    store.append(vec![event(6)], None).await.expect("an append");
    assert_eq!(store.claim(10).await.expect("a claim").events[0].0, Position(6));
    reader.close().await.expect("a close");
    store.close().await.expect("a close");
}

/// A week of decisions goes as a whole, unless something of it waits still, or was written late: then row by row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn decisions_go_a_week_at_a_time() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    without_weeks(&settings).await;
    let week = make_week(&settings).await;
    let name = week.name(DECISIONS);
    let changes = queueing(vec![activation(1, "a", 50), activation(2, "a", 50), activation(3, "b", 50)]);
    store.commit(Loaded::default(), changes).await.expect("a commit");
    assert_eq!((count_of(&settings, &name).await, count_of(&settings, "decisions_rest").await), (3, 0));
    let accepted = |id| Settled { id, attempt: Attempt { at: at(5), status: 202, outcome: Outcome::Accepted } };
    let settle = async |lane: &str| {
        let work = store.work(lane, at(0), 9).await.expect("work");
        store.settle(lane, work.iter().map(|one| accepted(one.id)).collect()).await.expect("a settle");
    };
    settle("a").await;
    let over = week.ends() + store.inner.settings.records;
    while cut::some(&store.inner, over).await.expect("a cut") {}
    assert_eq!((has(&settings, &name).await, count_of(&settings, "decisions").await), (true, 1), "one waits still");
    settle("b").await;
    // Learned of when the week was long over.
    let mut late = queueing(vec![activation(4, "a", 50)]);
    late.decisions[0].decided = week.ends() + Span::from_days(10);
    store.commit(Loaded::default(), late).await.expect("a commit");
    settle("a").await;
    while cut::some(&store.inner, over).await.expect("a cut") {}
    assert_eq!((has(&settings, &name).await, count_of(&settings, "decisions").await), (true, 1), "one is young");
    while cut::some(&store.inner, over + Span::from_days(11)).await.expect("a cut") {}
    assert_eq!((has(&settings, &name).await, count_of(&settings, "decisions").await), (false, 0));
    store.close().await.expect("a close");
}

/// Two that make the same weeks at once do not stand in each other's way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weeks_are_made_once() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let (one, two) = (open(&settings).await, open(&settings).await);
    let made = |store: &Postgres| {
        let store = store.clone();
        async move {
            let pool = &store.inner.pool;
            let made = again::step!(pool, |connection| weeks::make(connection, EVENTS, weeks::from(at(0), 5)));
            made.expect("weeks");
        }
    };
    tokio::join!(made(&one), made(&two));
    let mut connection = beside(&settings).await;
    let weeks = weeks::of(&mut connection, EVENTS).await.map_err(Trouble::into_error).expect("a read");
    let weeks = weeks.expect("it is parted");
    assert!(weeks::from(at(0), 5).all(|week| weeks.contains(&week)), "{weeks:?}");
    connection.close().await.expect("a close");
    one.close().await.expect("a close");
    two.close().await.expect("a close");
}
