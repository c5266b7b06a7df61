//! The part of a step that concerns lanes: activations that are queued, those that are called back, and the log of
//! decisions. What the step may touch is read, and held, at once; what becomes of it is written at the end.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row as _};
use uuid::Uuid;

use super::again::Trouble;
use super::counts::Deltas;
use super::engine::EngineRow;
use super::rows::{self, COLUMNS, Queued, State};
use super::text;
use crate::model::{
    ActionId, Activation, Attempt, Changes, Decision, LaneName, OccasionId, Outcome, PersonId, Recall, Released,
    Timestamp, Verdict,
};
use crate::store::joined::survivor;
use crate::store::record::{self, Row, encode};

/// What became of the wish to call an activation back.
enum Recalled {
    /// It was there, or is a dead letter.
    Back,
    /// It has left, or may have.
    Left,
    /// It has come to nothing.
    Nothing,
}

/// A row of this step.
struct One {
    queued: Queued,
    /// It is in a sender's hands.
    is_taken: bool,
    is_new: bool,
    is_changed: bool,
}

/// The lanes' part of a step being written.
pub struct Writing<'a> {
    engine: &'a mut EngineRow,
    deltas: &'a mut Deltas,
    now: Timestamp,
    merged: &'a HashMap<PersonId, PersonId>,
    /// By occasion: those that the step speaks of.
    rows: HashMap<OccasionId, Vec<One>>,
    /// What is told, by whose it is, when, of what, and which telling; true where it takes the place of another.
    told: BTreeMap<(PersonId, Timestamp, OccasionId, i16), (Decision, bool)>,
}

/// Puts the step's activations into their lanes, unless they were there before, takes out what is called back, and
/// keeps the decisions.
pub async fn write(
    connection: &mut PgConnection,
    (engine, deltas): (&mut EngineRow, &mut Deltas),
    changes: &Changes,
    (merged, erased): (&HashMap<PersonId, PersonId>, &HashSet<PersonId>),
    now: Timestamp,
) -> Result<(), Trouble> {
    for id in erased {
        erase(connection, deltas, *id).await?;
    }
    let rows = rows_of(connection, changes).await?;
    let mut writing = Writing { engine, deltas, now, merged, rows, told: BTreeMap::new() };
    writing.step(changes, erased);
    let Writing { rows, told, deltas, .. } = writing;
    let mut all: Vec<One> = rows.into_values().flatten().filter(|one| one.is_new || one.is_changed).collect();
    all.sort_by_key(|one| one.queued.seq);
    for one in all.iter().filter(|one| one.queued.state == State::Ended) {
        rows::note_erased(connection, one.queued.ended_at.unwrap_or(now), &one.queued).await?;
    }
    let (new, changed): (Vec<One>, Vec<One>) = all.into_iter().partition(|one| one.is_new);
    let new: Vec<Queued> = new.into_iter().map(|one| one.queued).collect();
    rows::insert(connection, &new).await?;
    rows::update(connection, changed.iter().map(|one| &one.queued)).await?;
    for queued in new.iter().filter(|one| one.row.not_before.is_some()) {
        deltas.entry(queued.activation.lane.clone()).or_default().waits = true;
    }
    tell(connection, now, told).await
}

/// What there is of the occasions that a step speaks of, held until its end.
async fn rows_of(connection: &mut PgConnection, changes: &Changes) -> Result<HashMap<OccasionId, Vec<One>>, Trouble> {
    let made = changes.activations.iter().map(|one| one.occasion);
    let recalled = changes.cancelled.iter().flat_map(|one| {
        let word = one.word.as_ref().map(|word| word.occasion);
        [Some(one.occasion), word].into_iter().flatten()
    });
    let released = changes.released.iter().map(|one| one.occasion);
    let occasions: HashSet<OccasionId> = made.chain(recalled).chain(released).collect();
    let mut found: HashMap<OccasionId, Vec<One>> = HashMap::new();
    if occasions.is_empty() {
        return Ok(found);
    }
    let sql = sqlx::AssertSqlSafe(format!(
        "select {COLUMNS} from activations where occasion = any($1) order by seq for update"
    ));
    let rows: Vec<PgRow> = sqlx::query(sql)
        .bind(occasions.into_iter().map(text::occasion).collect::<Vec<Uuid>>())
        .fetch_all(&mut *connection)
        .await?;
    let queued = Queued::read_all(&rows)?;
    let waiting: Vec<i64> =
        queued.iter().filter(|one| one.state != State::Ended).map(|one| text::number(one.seq)).collect();
    // Asked for when nobody can take them any more.
    let taken = if waiting.is_empty() { HashSet::new() } else { taken(connection, waiting).await? };
    for queued in queued {
        let is_taken = taken.contains(&queued.seq);
        let one = One { queued, is_taken, is_new: false, is_changed: false };
        found.entry(one.queued.activation.occasion).or_default().push(one);
    }
    Ok(found)
}

/// Which of these are in the hands of who has the lease of their lane.
async fn taken(connection: &mut PgConnection, seqs: Vec<i64>) -> Result<HashSet<u64>, Trouble> {
    let rows: Vec<PgRow> = sqlx::query(
        "select h.seq from hands h join leases l on l.name = 'lane:' || h.lane and l.epoch = h.epoch
         where h.seq = any($1)",
    )
    .bind(seqs)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(text::count(row.try_get("seq")?))).collect()
}

impl Writing<'_> {
    fn step(&mut self, changes: &Changes, erased: &HashSet<PersonId>) {
        let mut made: HashMap<OccasionId, Vec<&Activation>> = HashMap::new();
        for activation in &changes.activations {
            made.entry(activation.occasion).or_default().push(activation);
        }
        for decision in changes.decisions.iter().filter(|d| !d.verdict.is_afterwards()) {
            let made = made.remove(&decision.occasion).unwrap_or_default();
            self.decision(decision, made);
        }
        let mut called_back = HashSet::new();
        // What was of somebody who is forgotten is gone already.
        for recall in changes.cancelled.iter().filter(|recall| !erased.contains(&recall.person)) {
            let (is_back, has_left) = self.recall(recall);
            if is_back {
                called_back.insert(recall.occasion);
            }
            if let Some(word) = recall.word.as_ref().filter(|_| has_left) {
                self.void(recall, word);
            }
        }
        for released in &changes.released {
            if self.release(released) {
                called_back.insert(released.occasion);
            }
        }
        // Neither is told unless something was there.
        for decision in changes.decisions.iter().filter(|d| d.verdict.is_afterwards()) {
            if called_back.contains(&decision.occasion) {
                let n = if matches!(decision.verdict, Verdict::Released(_)) { 2 } else { 1 };
                let person = survivor(self.merged, decision.person);
                self.told.insert((person, decision.at, decision.occasion, n), (decision.clone(), true));
            }
        }
    }

    fn decision(&mut self, decision: &Decision, made: Vec<&Activation>) {
        let mut any = false;
        for activation in made {
            let action = activation.action.id();
            let known = self.rows.entry(activation.occasion).or_default();
            // The same action of an occasion is never queued again.
            let is_known = |one: &One| one.queued.activation.lane == activation.lane && one.action() == action;
            if !known.iter().any(is_known) {
                any = true;
                self.activation(activation.clone());
            }
        }
        let key = (survivor(self.merged, decision.person), decision.at, decision.occasion, 0);
        let takes_place = any || self.told.get(&key).is_some_and(|(_, takes_place)| *takes_place);
        if any || !self.told.contains_key(&key) {
            self.told.insert(key, (decision.clone(), takes_place));
        }
    }

    fn activation(&mut self, activation: Activation) {
        let seq = self.engine.next();
        let delta = self.deltas.entry(activation.lane.clone()).or_default();
        delta.sums.made += 1;
        let row = Row { not_before: activation.not_before, ..Row::default() };
        let state = State::queued(&activation, &row);
        let mut queued = Queued { seq, state, activation, row, is_dead: false, ended_at: None };
        if let Some(words) = queued.activation.broken.clone() {
            let outcome = Outcome::Refused { code: record::BROKEN.into(), words };
            queued.row.not_before = None;
            queued.end(self.now, &Attempt { at: self.now, status: 0, outcome });
            delta.sums.refused += 1;
            delta.sums.dead += 1;
        } else {
            delta.add(&queued.activation.trigger);
            delta.sums.deferred += i64::from(queued.row.not_before.is_some());
        }
        let one = One { queued, is_taken: false, is_new: true, is_changed: false };
        self.rows.entry(one.queued.activation.occasion).or_default().push(one);
    }

    /// Lets the held rows of an occasion go to their lane. True when there was one.
    fn release(&mut self, released: &Released) -> bool {
        let mut any = false;
        for one in self.rows.entry(released.occasion).or_default() {
            let queued = &mut one.queued;
            if queued.activation.lane != released.lane || queued.state != State::Held {
                continue;
            }
            (any, one.is_changed) = (true, true);
            queued.activation.not_before = released.not_before;
            queued.activation.expires_at = released.expires_at;
            queued.row.not_before = released.not_before;
            queued.row.may_have_left = false;
            queued.state = State::queued(&queued.activation, &queued.row);
            let delta = self.deltas.entry(released.lane.clone()).or_default();
            delta.waits = true;
            if released.not_before.is_none() {
                delta.sums.deferred -= 1;
            }
        }
        any
    }

    /// Takes the rows of an occasion out that nobody holds yet. Whether there was one, or a dead letter; and whether its
    /// event has left, or may have.
    fn recall(&mut self, recall: &Recall) -> (bool, bool) {
        let (mut is_back, mut has_left) = (false, false);
        for one in self.rows.entry(recall.occasion).or_default() {
            if one.queued.activation.lane != recall.lane {
                continue;
            }
            match one.recall(self.now, self.deltas) {
                Recalled::Back => is_back = true,
                Recalled::Left => has_left |= one.action() == ActionId::default(),
                Recalled::Nothing => {}
            }
        }
        (is_back, has_left)
    }

    /// Queues the word that an event which has left is void. The same word is never queued again.
    fn void(&mut self, recall: &Recall, word: &Activation) {
        let decision = recall.voided(word, self.now);
        self.decision(&decision, vec![word]);
    }
}

impl One {
    fn action(&self) -> ActionId {
        self.queued.activation.action.id()
    }

    fn recall(&mut self, now: Timestamp, deltas: &mut Deltas) -> Recalled {
        let queued = &mut self.queued;
        if queued.state == State::Ended {
            // A dead letter stays one: it is told of, so that nobody replays it.
            if queued.is_dead {
                return Recalled::Back;
            }
            let has_left = queued.row.attempts.last().is_some_and(|last| last.outcome.has_effect());
            return if has_left { Recalled::Left } else { Recalled::Nothing };
        }
        if self.is_taken || queued.row.may_have_left {
            return Recalled::Left;
        }
        let delta = deltas.entry(queued.activation.lane.clone()).or_default();
        delta.take(&queued.activation.trigger);
        if queued.row.not_before.is_some() {
            delta.sums.deferred -= 1;
            delta.waits = true;
        }
        delta.sums.cancelled += 1;
        queued.end(now, &Attempt { at: now, status: 0, outcome: Outcome::Cancelled });
        self.is_changed = true;
        Recalled::Back
    }
}

/// Writes the log of decisions.
async fn tell(
    connection: &mut PgConnection,
    now: Timestamp,
    told: BTreeMap<(PersonId, Timestamp, OccasionId, i16), (Decision, bool)>,
) -> Result<(), Trouble> {
    if told.is_empty() {
        return Ok(());
    }
    // What is known already, and has brought nothing new, stays as it was told first.
    let (again, first): (Vec<_>, Vec<_>) = told.iter().partition(|(_, (_, takes_place))| *takes_place);
    for (told, takes_place) in [(again, true), (first, false)] {
        let rows: Vec<DecisionRow<'_>> =
            told.into_iter().map(|((person, _, _, n), (one, _))| (*person, *n, now.as_millis(), one)).collect();
        put_decisions(connection, &rows, takes_place).await?;
    }
    Ok(())
}

/// A row of the log of decisions: whose log, which telling, when it was written, what.
pub type DecisionRow<'a> = (PersonId, i16, i64, &'a Decision);

/// Rows of that log; those that are there stay as they are unless these take their places.
pub async fn put_decisions(
    connection: &mut PgConnection,
    rows: &[DecisionRow<'_>],
    takes_place: bool,
) -> Result<(), Trouble> {
    if rows.is_empty() {
        return Ok(());
    }
    let sql = if takes_place {
        "insert into decisions (person, at, occasion, n, written, trigger, verdict, record)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::smallint[], $5::bigint[], $6::text[], $7::text[],
         $8::bytea[])
         on conflict (person, at, occasion, n) do update set written = excluded.written,
         trigger = excluded.trigger, verdict = excluded.verdict, record = excluded.record"
    } else {
        "insert into decisions (person, at, occasion, n, written, trigger, verdict, record)
         select * from unnest($1::uuid[], $2::bigint[], $3::uuid[], $4::smallint[], $5::bigint[], $6::text[], $7::text[],
         $8::bytea[])
         on conflict (person, at, occasion, n) do nothing"
    };
    sqlx::query(sql)
        .bind(rows.iter().map(|(person, ..)| text::person(*person)).collect::<Vec<Uuid>>())
        .bind(rows.iter().map(|(.., one)| one.at.as_millis()).collect::<Vec<i64>>())
        .bind(rows.iter().map(|(.., one)| text::occasion(one.occasion)).collect::<Vec<Uuid>>())
        .bind(rows.iter().map(|(_, n, ..)| *n).collect::<Vec<i16>>())
        .bind(rows.iter().map(|(_, _, written, _)| *written).collect::<Vec<i64>>())
        .bind(rows.iter().map(|(.., one)| text::shown(&one.trigger).into_owned()).collect::<Vec<String>>())
        .bind(rows.iter().map(|(.., one)| one.verdict.word()).collect::<Vec<&str>>())
        .bind(rows.iter().map(|(.., one)| encode(*one)).collect::<Vec<Vec<u8>>>())
        .execute(connection)
        .await?;
    Ok(())
}

/// Forgets the log of a person, with their activations, whether they wait, are in a lane's hands, or have ended.
async fn erase(connection: &mut PgConnection, deltas: &mut Deltas, id: PersonId) -> Result<(), Trouble> {
    let id = text::person(id);
    let gone: Vec<(i64, String, String, String, bool, Option<i64>)> = sqlx::query_as(
        "delete from activations where occasion in (select occasion from decisions where person = $1)
         returning seq, lane, trigger, state, dead, not_before",
    )
    .bind(id)
    .fetch_all(&mut *connection)
    .await?;
    for (_, lane, trigger, state, is_dead, not_before) in &gone {
        let delta = deltas.entry(LaneName::from(&**lane)).or_default();
        if state != State::Ended.word() {
            delta.take(&Arc::from(&**trigger));
            delta.sums.forgotten += 1;
            delta.sums.deferred -= i64::from(not_before.is_some());
            delta.waits = true;
        }
        delta.sums.dead -= i64::from(*is_dead);
    }
    let seqs: Vec<i64> = gone.into_iter().map(|(seq, ..)| seq).collect();
    if !seqs.is_empty() {
        sqlx::query("delete from hands where seq = any($1)").bind(seqs).execute(&mut *connection).await?;
    }
    sqlx::query("delete from decisions where person = $1").bind(id).execute(connection).await?;
    Ok(())
}
