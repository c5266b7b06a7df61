//! What an operator reads in the tables with nothing but SQL.

use super::*;

async fn rows<T>(settings: &Settings, sql: &'static str) -> Vec<T>
where
    T: for<'r> sqlx::FromRow<'r, sqlx::postgres::PgRow> + Send + Unpin,
{
    let mut connection = beside(settings).await;
    let rows = sqlx::query_as(sql).fetch_all(&mut connection).await.expect("rows");
    connection.close().await.expect("a close");
    rows
}

type Letter = (i64, String, String, i64, i64, String, i32, String);
type Try = (i64, String, i64, i64, i32, String, Option<String>, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_tables_have_is_read_without_espalier() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    let mut person = Person::new(PersonId([1; 16]), Position(1), at(0));
    person.watches.insert(
        (TriggerId::of("t"), "k".into()),
        crate::model::Watch { meaning: 1, is_true: true, true_since: None, fired: None, next: Some(at(700)) },
    );
    let written = crate::model::PersonChange { id: person.id, write: crate::model::Write::Whole };
    let people = HashMap::from([(person.id, person)]);
    let changes = Changes { people: vec![written], ..queueing(vec![activation(1, "a", 50), activation(2, "a", 40)]) };
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    let timers: Vec<(Uuid, i64)> = rows(&settings, "select person, at from timers").await;
    assert_eq!(timers, [(Uuid::from_bytes([1; 16]), at(700).as_millis())]);

    let odd = "a \"line\"\n of \\u0000 and \0 nothing";
    let later = Outcome::Later { not_before: at(20), words: odd.into(), is_throttled: true, may_have_left: false };
    let refused = Outcome::Refused { code: "400".into(), words: "no such list".into() };
    for (ms, status, outcomes) in [(10, 429, vec![later, Outcome::Accepted]), (30, 400, vec![refused])] {
        let work = store.work("a", at(ms), 9).await.expect("work");
        assert_eq!(work.len(), outcomes.len());
        let settled = work.iter().zip(outcomes).map(|(one, outcome)| {
            let status = if outcome == Outcome::Accepted { 202 } else { status };
            Settled { id: one.id, attempt: Attempt { at: at(ms), status, outcome } }
        });
        store.settle("a", settled.collect()).await.expect("a settle");
    }
    let tries: Vec<Try> =
        rows(&settings, "select seq, lane, n, at, status, outcome, code, words from attempts order by seq, n").await;
    let ms = |n| at(n).as_millis();
    let a = || "a".to_owned();
    assert_eq!(
        tries,
        [
            (1, a(), 1, ms(10), 429, "throttled".into(), None, Some(odd.replace('\0', ""))),
            (1, a(), 2, ms(30), 400, "refused".into(), Some("400".into()), Some("no such list".into())),
            (2, a(), 1, ms(10), 202, "accepted".into(), None, None),
        ]
    );
    let dead: Vec<Letter> =
        rows(&settings, "select seq, lane, trigger, at, ended_at, outcome, tries, payload from dead_letters").await;
    let letter = (1, a(), "ping".to_owned(), ms(1), ms(30), "refused".to_owned(), 0, "{\"n\":1}".to_owned());
    assert_eq!(dead, [letter]);
    store.close().await.expect("a close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nights_are_read_without_espalier() {
    let server = Server::begin().await;
    let settings = settings(&server).await;
    let store = open(&settings).await;
    // As a night keeps them; what else is kept there need not be JSON.
    let report = br#"{"of":"2026-11-28T02:00:00.000Z","ended":"2026-11-28T02:09:00.000Z","why":"due","accepted":12,
        "undecided":0,"lists":[{"source":"shop"}],"lanes":[],"not_compacted":null}"#;
    store.keep("night:report:4", report).await.expect("a value");
    store.keep("other", b"\xff").await.expect("a value");
    let nights: Vec<(String, String, i64, i64, String)> = rows(
        &settings,
        "select of, why, accepted, undecided, report -> 'lists' -> 0 ->> 'source' from reports order by of",
    )
    .await;
    let night = ("2026-11-28T02:00:00.000Z".to_owned(), "due".to_owned(), 12, 0, "shop".to_owned());
    assert_eq!(nights, [night]);
    store.close().await.expect("a close");
}
