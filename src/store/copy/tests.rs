//! A store that has something of everything, copied to the other adapter and back.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Connection;

use super::*;
use crate::model::setting::{Secret, Size};
use crate::model::{Event, Identifier, IdentifierKind, Join, Loaded, Person, PersonChange, PersonId, Timestamp, Write};
use crate::store::contract;
use crate::store::embedded::Embedded;
use crate::store::embedded::copy::{Folder, Making};
use crate::store::postgres::Postgres;
use crate::store::postgres::copy::{Database, TABLES};
use crate::store::postgres::tests::server::{Server, connect};
use crate::store::settings::{Kind as Adapter, Settings};
use crate::store::{Sought, Step, Store};

/// A folder's.
fn folder(path: &Path) -> Settings {
    Settings { path: path.to_owned(), cache: Size(8 << 20), segment: Size(4 << 10), ..Settings::default() }
}

/// Of a new database.
async fn database(server: &Server) -> Settings {
    Settings { kind: Adapter::Postgres, url: Some(Secret::new(server.database().await)), ..Settings::default() }
}

async fn say(settings: &Settings, sql: &'static str) {
    let mut connection = connect(settings.url.as_ref().expect("an address").expose()).await;
    sqlx::raw_sql(sql).execute(&mut connection).await.expect("a statement");
    connection.close().await.expect("a close");
}

async fn open(settings: &Settings) -> Arc<dyn Store> {
    match settings.kind {
        Adapter::Embedded => Arc::new(Embedded::open(settings, Timestamp::MIN).expect("a store")),
        Adapter::Postgres => Arc::new(Postgres::open(settings).await.expect("a store")),
    }
}

/// What the contract leaves behind, and events that nobody has decided.
async fn fill(settings: &Settings) {
    let opened = || -> Arc<dyn Store> {
        let opened = async {
            let store = open(settings).await;
            if settings.kind == Adapter::Postgres {
                say(settings, "update leases set holder = null, until = now()").await;
            }
            store
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(opened))
    };
    contract::run(&opened).await;
    fill_little(&*opened()).await;
    if settings.kind == Adapter::Postgres {
        // One of the contract's ends without a word.
        say(settings, "update members set gone = true").await;
    }
}

/// Names that somebody has, and those of them that they go by.
const NAMES: (u64, u64) = (100, 40);

/// Somebody with many names, an activation that waits, and events that nobody has decided.
async fn fill_little(store: &dyn Store) {
    let at = Timestamp::from_millis(1_800_000_000_000);
    let name = |n| Identifier::new(IdentifierKind::UserId, format!("name {n}"));
    let (one, other) = (PersonId([201; 16]), PersonId([202; 16]));
    let mut people = HashMap::new();
    for (id, names) in [(one, 0..NAMES.1), (other, 900..901)] {
        let mut person = Person::new(id, Position(1), at);
        person.identifiers.extend(names.map(name));
        people.insert(id, person);
    }
    let join = |refused: Option<&str>| Join {
        survivor: one,
        other,
        carried: vec![name(900)],
        position: Position(2),
        source: "web".into(),
        at,
        because: vec![name(1)],
        refused: refused.map(Into::into),
    };
    let mut changes = contract::queueing(vec![contract::activation(70_001, "z", 50)]);
    changes.people = people.keys().map(|id| PersonChange { id: *id, write: Write::Whole }).collect();
    changes.links = (0..NAMES.0).map(|n| (name(n), Some(one))).chain([(name(900), Some(other))]).collect();
    changes.joins = vec![join(None), join(Some("two people"))];
    store.commit(Loaded { people, ..Loaded::default() }, changes).await.expect("a commit");
    let events: Vec<Event> = (2_000..4_500).map(contract::event).collect();
    for some in events.chunks(100) {
        store.append(some.to_vec(), Some(("more", b"1"))).await.expect("an append");
    }
    store.close().await.expect("a close");
}

async fn sums(store: &mut dyn Source) -> Vec<(&'static str, Sum)> {
    let mut all = Vec::new();
    for (kind, word) in Kind::ALL {
        all.push((word, sum(store, kind).await.expect("a sum")));
    }
    all
}

async fn sums_of(settings: &Settings) -> Vec<(&'static str, Sum)> {
    match settings.kind {
        Adapter::Embedded => sums(&mut Folder::open(settings).expect("a store")).await,
        Adapter::Postgres => {
            let mut database = Database::source(settings).await.expect("a store");
            let sums = sums(&mut database).await;
            database.close().await.expect("a close");
            sums
        }
    }
}

async fn copied(from: &Settings, to: &Settings) -> Result<Vec<(Kind, u64)>, StoreError> {
    match from.kind {
        Adapter::Embedded => {
            let mut source = Folder::open(from)?;
            let mut target = Database::target(to).await?;
            let copied = copy(&mut source, &mut target, &mut |_| ()).await;
            target.close().await?;
            copied
        }
        Adapter::Postgres => {
            let mut source = Database::source(from).await?;
            let copied = match Making::open(to) {
                Ok(mut target) => copy(&mut source, &mut target, &mut |_| ()).await,
                Err(refused) => Err(refused),
            };
            source.close().await?;
            copied
        }
    }
}

/// What a store answers to whoever asks: all that a daemon sees of it.
async fn answers(store: &dyn Store) -> String {
    let mut told = String::new();
    let mut tell = |what: &str, answer: &dyn std::fmt::Debug| told.push_str(&format!("{what}: {answer:#?}\n"));
    let counts = store.counts();
    tell(
        "counts",
        &(counts.journaled, counts.decided, counts.people, counts.next_timer, counts.set_aside, counts.step),
    );
    tell("progress", &store.progress().expect("a read"));
    tell("recorded", &store.recorded().await.expect("a read"));
    tell("triggers", &store.triggers());
    tell("pools", &store.pools());
    tell("catalogue", &store.catalogue());
    tell("demands", &(store.open_demands(), store.accesses(99).await.expect("a read")));
    tell("receipts", &store.receipts(99).await.expect("a read"));
    tell("aside", &store.set_aside_list(99).await.expect("a read"));
    tell("access", &(store.access().await.expect("a read"), store.audit_log(None, 99).await.expect("a read")));
    tell("refused", &store.refused_joins(99).await.expect("a read").len());
    for name in ["file", "list", "more"] {
        tell("cursor", &store.cursor(name).await.expect("a read"));
    }
    for name in ["quota", "night:open"] {
        tell("kept", &store.kept(name).await.expect("a read"));
    }
    let people = store.people(None, 9_999).await.expect("a read");
    for person in &people {
        tell("person", person);
        let story = store.story(person.id).await.expect("a read").expect("somebody");
        tell("story", &(story.joins, story.decisions));
        for name in &person.identifiers {
            tell("found", &store.find(name).await.expect("a read"));
        }
    }
    let keys = (0..5_000).flat_map(|n| contract::event(n).dedupe).collect();
    let mut known: Vec<_> = store.known(keys).await.expect("a read").into_iter().collect();
    known.sort_unstable();
    tell("known", &known);
    tell("letters", &store.dead_letters(None, 999).await.expect("a read"));
    tell("ends", &store.ends(&Sought::default(), 999).await.expect("a read"));
    for lane in "abcdefghijklmnopqrstuvwxyz".chars().map(String::from).chain(["low".into()]) {
        let count = store.lane_count(&lane);
        tell(&lane, &(count.queued, count.deferred, count.dead, count.triggers, count.totals));
        tell("waiting", &store.waiting(&lane, None, 999).await.expect("a read"));
        let late = Timestamp::from_millis(1_900_000_000_000);
        tell("work", &store.work(&lane, late, 999).await.expect("work"));
    }
    tell("claimed", &store.claim(10).await.expect("a claim").events);
    told
}

async fn answers_of(settings: &Settings) -> String {
    let store = open(settings).await;
    let answers = answers(&*store).await;
    store.close().await.expect("a close");
    answers
}

fn same(first: &str, second: &str, what: &str) {
    let differ = first.lines().zip(second.lines()).position(|(a, b)| a != b);
    if let Some(line) = differ {
        let around = |text: &str| text.lines().skip(line.saturating_sub(15)).take(25).collect::<Vec<_>>().join("\n");
        panic!("{what} differs at line {line}:\n{}\n=== and ===\n{}", around(first), around(second));
    }
    assert_eq!(first.len(), second.len(), "{what}");
}

/// A table that nobody thought of would be left behind.
async fn every_table_is_known(of: &Settings) {
    let mut connection = connect(of.url.as_ref().expect("an address").expose()).await;
    let tables: Vec<(String,)> = sqlx::query_as(
        "select c.relname::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the tables");
    connection.close().await.expect("a close");
    // A row each, which are pieces too; and who is there, with what only one may do.
    let others = ["journal", "engine", "totals", "leases", "members", "copies", "espalier_schema"];
    let known = |table: &str| TABLES.contains(&table) || others.contains(&table);
    assert_eq!(tables.iter().map(|(table,)| table).filter(|table| !known(table)).collect::<Vec<_>>(), [""; 0]);
}

/// The sorts of values that lie in a folder's tree.
fn sorts(of: &Settings) -> BTreeSet<char> {
    let file = of.path.join("export.json");
    crate::store::embedded::export(of, &file, Timestamp::MIN).expect("an export");
    let mut sorts = BTreeSet::new();
    for line in std::fs::read_to_string(&file).expect("an export").lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        if let Some(key) = line["value"][0].as_str() {
            let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, key).expect("base64");
            sorts.insert(char::from(key[0]));
        }
    }
    sorts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_and_back_everything_is_the_same() {
    let server = Server::begin().await;
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let [first, back, other] = [0, 1, 2].map(|n| folder(folders[n].path()));
    let (there, second) = (database(&server).await, database(&server).await);
    fill(&first).await;
    let before = sums_of(&first).await;
    let empty: Vec<_> = before.iter().filter(|(_, sum)| sum.count == 0).map(|(word, _)| *word).collect();
    assert_eq!(empty, Vec::<&str>::new(), "there is something of everything");
    let counted = copied(&first, &there).await.expect("a copy");
    let count = |all: &[(Kind, u64)], of: Kind| all.iter().find(|(kind, _)| *kind == of).map(|(_, n)| *n);
    assert!(count(&counted, Kind::Events).is_some_and(|n| n > 2_500), "{counted:?}");
    assert_eq!(sums_of(&there).await, before);
    let mut connection = connect(there.url.as_ref().expect("an address").expose()).await;
    let (shown,): (i64,) = sqlx::query_as("select count(*) from identifiers where name like 'user_id:name %'")
        .fetch_one(&mut connection)
        .await
        .expect("a count");
    connection.close().await.expect("a close");
    assert_eq!(shown as u64, NAMES.1 + 1, "names are told of those who go by them");
    copied(&there, &back).await.expect("a copy");
    assert_eq!(sums_of(&back).await, before);
    every_table_is_known(&there).await;
    let (ours, theirs) = (sorts(&first), sorts(&back));
    assert!(ours.len() > 20, "{ours:?}");
    // Further parts of long values, where they lie.
    assert_eq!(ours.difference(&theirs).filter(|sort| **sort != 'q').collect::<Vec<_>>(), [&' '; 0]);
    let told = answers_of(&first).await;
    same(&told, &answers_of(&there).await, "the database");
    same(&told, &answers_of(&back).await, "the second folder");
    assert_eq!(crate::store::embedded::verify(&back).expect("a check").damage, Vec::<String>::new());

    // And what began on the other side.
    fill(&second).await;
    let before = sums_of(&second).await;
    copied(&second, &other).await.expect("a copy");
    assert_eq!(sums_of(&other).await, before);
    same(&answers_of(&second).await, &answers_of(&other).await, "the folder");
}

/// A state that is lost is made again of what a copy wrote beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_outlives_the_loss_of_its_state() {
    let server = Server::begin().await;
    let path = tempfile::tempdir().expect("a folder");
    let (from, to) = (database(&server).await, folder(path.path()));
    fill_little(&*open(&from).await).await;
    // As after a month: the journal does not go back to where people begin.
    say(&from, "delete from events where position <= (select decided from engine)").await;
    copied(&from, &to).await.expect("a copy");
    std::fs::remove_dir_all(path.path().join("state")).expect("a state");
    let told = answers_of(&from).await;
    let again = answers_of(&to).await;
    let people = |told: &str| told.lines().filter(|line| line.starts_with("person")).count();
    assert_eq!(people(&told), people(&again));
    let claimed = |told: &str| told.split("claimed").nth(1).map(str::to_owned);
    assert_eq!(claimed(&told), claimed(&again));
}

/// What the copy is made of, but no more than so many batches: then it is cut, after the last is written or before.
struct Cut<'a> {
    of: &'a mut dyn Target,
    left: usize,
    is_written: bool,
}

#[async_trait]
impl Source for Cut<'_> {
    async fn frame(&mut self) -> Result<Frame, StoreError> {
        self.of.frame().await
    }
    async fn mark(&mut self) -> Result<String, StoreError> {
        self.of.mark().await
    }
    async fn page(&mut self, kind: Kind, after: Option<&[u8]>) -> Result<Page, StoreError> {
        self.of.page(kind, after).await
    }
}

#[async_trait]
impl Target for Cut<'_> {
    async fn found(&mut self) -> Result<Option<Progress>, StoreError> {
        self.of.found().await
    }
    async fn begin(&mut self, frame: &Frame, first: &Progress) -> Result<(), StoreError> {
        self.of.begin(frame, first).await
    }
    async fn put(&mut self, pieces: Vec<Piece>, then: &Progress) -> Result<(), StoreError> {
        if self.left == 0 {
            if self.is_written {
                self.of.put(pieces, then).await?;
            }
            return Err(StoreError::Unavailable("cut".into()));
        }
        self.left -= 1;
        self.of.put(pieces, then).await
    }
    async fn finish(&mut self) -> Result<(), StoreError> {
        self.of.finish().await
    }
}

/// Copies a few batches at a time; how often it went on.
async fn in_parts(from: &Settings, to: &Settings) -> usize {
    for round in 0..500 {
        let mut went_on = round == 0;
        let mut told = |told| went_on |= matches!(told, Told::GoesOn(_));
        let cut = |of| Cut { of, left: round % 4, is_written: round % 3 == 0 };
        let copied = match from.kind {
            Adapter::Embedded => {
                let mut source = Folder::open(from).expect("a store");
                let mut target = Database::target(to).await.expect("a database");
                let copied = copy(&mut source, &mut cut(&mut target), &mut told).await;
                target.close().await.expect("a close");
                copied
            }
            Adapter::Postgres => {
                let mut source = Database::source(from).await.expect("a store");
                let mut target = Making::open(to).expect("a folder");
                let copied = copy(&mut source, &mut cut(&mut target), &mut told).await;
                source.close().await.expect("a close");
                copied
            }
        };
        match copied {
            Ok(_) => return round,
            Err(StoreError::Unavailable(words)) if words == "cut" => assert!(went_on, "round {round} began anew"),
            Err(other) => panic!("round {round}: {other}"),
        }
        // Nobody takes it for a store meanwhile.
        let refused = match to.kind {
            Adapter::Embedded => Embedded::open(to, Timestamp::MIN).err(),
            Adapter::Postgres => Postgres::open(to).await.err(),
        };
        assert!(refused.is_some_and(|words| words.to_string().contains("store copy")), "round {round}");
    }
    panic!("it does not come to its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_is_cut_anywhere_goes_on_where_it_was() {
    let server = Server::begin().await;
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let [first, back] = [0, 1].map(|n| folder(folders[n].path()));
    let there = database(&server).await;
    fill(&first).await;
    let before = sums_of(&first).await;
    assert!(in_parts(&first, &there).await > 10);
    assert_eq!(sums_of(&there).await, before);
    assert!(in_parts(&there, &back).await > 10);
    assert_eq!(sums_of(&back).await, before);
    same(&answers_of(&first).await, &answers_of(&back).await, "the copy");
}

/// The step that a daemon had written down when it was killed is taken where it goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_open_step_goes_along_and_a_folder_behind_its_journal_is_refused() {
    let server = Server::begin().await;
    let path = tempfile::tempdir().expect("a folder");
    let (from, to) = (database(&server).await, folder(path.path()));
    let store = open(&from).await;
    store.append(vec![contract::event(1), contract::event(2)], None).await.expect("an append");
    let step = Step::Events { until: Position(1), now: Timestamp::from_millis(9) };
    let id = store.record(step.clone()).await.expect("a step");
    store.close().await.expect("a close");
    copied(&from, &to).await.expect("a copy");
    // It is as if the daemon had been killed there: only the engine can take it.
    let refused = Folder::open(&to).err().expect("a refusal").to_string();
    assert!(refused.contains("is behind its journal"), "{refused}");
    let store = open(&to).await;
    let recorded = store.recorded().await.expect("a read").expect("the step");
    assert_eq!((recorded.id, recorded.step), (id, step));
    store.close().await.expect("a close");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_stands_in_the_way_is_told() {
    let server = Server::begin().await;
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().expect("a folder")).collect();
    let [first, back] = [0, 1].map(|n| folder(folders[n].path()));
    let (there, nothing) = (database(&server).await, database(&server).await);
    let refused = async |from: &Settings, to: &Settings, words: &str| {
        let said = copied(from, to).await.expect_err(words).to_string();
        assert!(said.contains(words), "{said}");
    };
    refused(&first, &there, "there is no store").await;
    refused(&nothing, &back, "does not have this version's tables").await;
    let store = open(&first).await;
    store.append(vec![contract::event(1)], None).await.expect("an append");
    refused(&first, &there, "is in use by another process").await;
    store.close().await.expect("a close");
    drop(store);
    let daemon = open(&there).await;
    refused(&first, &there, "daemons use this database").await;
    daemon.close().await.expect("a close");
    copied(&first, &there).await.expect("a copy");
    refused(&first, &there, "there is a store in this database already").await;
    let daemon = open(&there).await;
    refused(&there, &back, "daemons use this database").await;
    daemon.close().await.expect("a close");
    refused(&there, &first, "there is a store in").await;
    // Nobody begins while it is copied.
    let source = Database::source(&there).await.expect("a store");
    let said = Postgres::open(&there).await.err().expect("a refusal").to_string();
    assert!(said.contains("is at work on this database"), "{said}");
    refused(&there, &back, "another `espalier store copy`").await;
    source.close().await.expect("a close");
    open(&there).await.close().await.expect("a close");
    // A journal that is damaged.
    let segment = std::fs::read_dir(first.path.join("journal")).expect("a journal").next().expect("a segment");
    let segment = segment.expect("a segment").path();
    let mut bytes = std::fs::read(&segment).expect("a segment");
    bytes[2] ^= 1;
    std::fs::write(&segment, bytes).expect("a write");
    refused(&first, &nothing, "damaged").await;
}

/// What comes back otherwise than it was written is no copy; and what has changed since it was begun, none of that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_the_same_is_told_and_not_used() {
    let server = Server::begin().await;
    let path = tempfile::tempdir().expect("a folder");
    let (from, to) = (folder(path.path()), database(&server).await);
    fill_little(&*open(&from).await).await;
    let mut source = Folder::open(&from).expect("a store");
    let mut target = Database::target(&to).await.expect("a database");
    let mut harm = |told| {
        if told == Told::Comparing(Kind::Events) {
            let harmed = say(&to, "update people set header = (select header from people order by id limit 1)");
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(harmed));
        }
    };
    let said = copy(&mut source, &mut target, &mut harm).await.expect_err("a difference").to_string();
    assert!(said.contains("of people the one has"), "{said}");
    target.close().await.expect("a close");
    drop(source);
    assert!(Postgres::open(&to).await.is_err(), "it is not used");
    // It begins anew, and is well.
    let before = sums_of(&from).await;
    copied(&from, &to).await.expect("a copy");
    assert_eq!(sums_of(&to).await, before);

    let to = database(&server).await;
    let mut source = Folder::open(&from).expect("a store");
    let mut target = Database::target(&to).await.expect("a database");
    let cut = copy(&mut source, &mut Cut { of: &mut target, left: 3, is_written: true }, &mut |_| ()).await;
    assert!(cut.is_err());
    target.close().await.expect("a close");
    drop(source);
    let store = open(&from).await;
    store.append(vec![contract::event(7_000)], None).await.expect("an append");
    store.close().await.expect("a close");
    drop(store);
    let (mut source, mut is_anew) = (Folder::open(&from).expect("a store"), false);
    let mut target = Database::target(&to).await.expect("a database");
    copy(&mut source, &mut target, &mut |told| is_anew |= told == Told::Anew).await.expect("a copy");
    target.close().await.expect("a close");
    assert!(is_anew);
}
