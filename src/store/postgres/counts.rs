//! What is counted of lanes. Who queues, who sends and who replays by hand each has rows of their own, so that none
//! waits for another; a lane's count is their sum. What a row is after a write comes back with it, and its version says
//! which of two readings is the later one.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::PgConnection;

use super::again::Trouble;
use super::text::{count, limit};
use crate::model::{LaneName, Outcome, Timestamp};
use crate::store::{LaneCount, LaneTotals};

/// Who writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The engine.
    Engine,
    /// Who sends.
    Sender,
    /// People, and what ages.
    Others,
}

impl Side {
    fn number(self) -> i16 {
        match self {
            Self::Engine => 1,
            Self::Sender => 2,
            Self::Others => 3,
        }
    }
}

/// Counted of a lane: what there is more, or less, of each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub queued: i64,
    pub deferred: i64,
    pub dead: i64,
    pub made: i64,
    pub accepted: i64,
    pub refused: i64,
    pub expired: i64,
    pub cancelled: i64,
    pub forgotten: i64,
}

/// What a step does to a lane's counts.
#[derive(Clone, Debug, Default)]
pub struct Delta {
    pub sums: Sums,
    /// Of the queued, by trigger.
    triggers: BTreeMap<Arc<str>, i64>,
    /// What waits for a time is not what it was.
    pub waits: bool,
}

/// By lane: written in their order, so that nobody waits for whom waits for them.
pub type Deltas = BTreeMap<LaneName, Delta>;

impl Delta {
    /// Of a lane that has nothing yet: what it is to have, and what waits of each trigger.
    pub fn of(sums: Sums, triggers: BTreeMap<Arc<str>, i64>) -> Self {
        Self { sums, triggers, waits: false }
    }

    /// A row more in the queue.
    pub fn add(&mut self, trigger: &Arc<str>) {
        self.sums.queued += 1;
        *self.triggers.entry(trigger.clone()).or_default() += 1;
    }

    /// A row less.
    pub fn take(&mut self, trigger: &Arc<str>) {
        self.sums.queued -= 1;
        *self.triggers.entry(trigger.clone()).or_default() -= 1;
    }

    /// One of its activations ended so; waiting is no end.
    pub fn ended(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Accepted | Outcome::Duplicate => self.sums.accepted += 1,
            Outcome::Refused { .. } => self.sums.refused += 1,
            Outcome::Expired => self.sums.expired += 1,
            Outcome::Cancelled => self.sums.cancelled += 1,
            Outcome::Later { .. } => {}
        }
    }
}

/// A row of `lane_counts`.
pub struct CountRow {
    pub lane: String,
    pub side: i16,
    pub version: i64,
    pub sums: Sums,
}

/// A row of `lane_triggers`: lane, side, trigger, version, queued.
pub type TriggerRow = (String, i16, String, i64, i64);

type Columns = (String, i16, i64, i64, i64, i64, i64, i64, i64, i64, i64, i64);

fn row(columns: Columns) -> CountRow {
    let (lane, side, version, queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten) = columns;
    let sums = Sums { queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten };
    CountRow { lane, side, version, sums }
}

/// What was written, as it is now.
#[derive(Default)]
pub struct Written {
    pub counts: Vec<CountRow>,
    pub triggers: Vec<TriggerRow>,
    /// Lanes of which what waits for a time has changed.
    pub waits: Vec<LaneName>,
}

/// Adds what a step does to the counts. Last in its transaction: others who write the same rows wait for its end.
pub async fn write(connection: &mut PgConnection, side: Side, deltas: &Deltas) -> Result<Written, Trouble> {
    let waits = deltas.iter().filter(|(_, delta)| delta.waits).map(|(lane, _)| lane.clone()).collect();
    let changed: Vec<(&str, &Delta)> = deltas
        .iter()
        .filter(|(_, delta)| delta.sums != Sums::default() || delta.triggers.values().any(|n| *n != 0))
        .map(|(lane, delta)| (&**lane, delta))
        .collect();
    if changed.is_empty() {
        return Ok(Written { waits, ..Written::default() });
    }
    let of = |pick: fn(&Sums) -> i64| changed.iter().map(|(_, delta)| pick(&delta.sums)).collect::<Vec<i64>>();
    let counts: Vec<Columns> = sqlx::query_as(
        "insert into lane_counts (lane, side, version, queued, deferred, dead, made, accepted, refused, expired,
         cancelled, forgotten)
         select lane, $2, 1, queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten
         from unnest($1::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[],
         $9::bigint[], $10::bigint[], $11::bigint[])
         as t(lane, queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten)
         on conflict (lane, side) do update set version = lane_counts.version + 1,
         queued = lane_counts.queued + excluded.queued, deferred = lane_counts.deferred + excluded.deferred,
         dead = lane_counts.dead + excluded.dead, made = lane_counts.made + excluded.made,
         accepted = lane_counts.accepted + excluded.accepted, refused = lane_counts.refused + excluded.refused,
         expired = lane_counts.expired + excluded.expired, cancelled = lane_counts.cancelled + excluded.cancelled,
         forgotten = lane_counts.forgotten + excluded.forgotten
         returning lane, side, version, queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten",
    )
    .bind(changed.iter().map(|(lane, _)| *lane).collect::<Vec<&str>>())
    .bind(side.number())
    .bind(of(|s| s.queued))
    .bind(of(|s| s.deferred))
    .bind(of(|s| s.dead))
    .bind(of(|s| s.made))
    .bind(of(|s| s.accepted))
    .bind(of(|s| s.refused))
    .bind(of(|s| s.expired))
    .bind(of(|s| s.cancelled))
    .bind(of(|s| s.forgotten))
    .fetch_all(&mut *connection)
    .await?;
    let by_trigger: Vec<(&str, &str, i64)> = changed
        .iter()
        .flat_map(|(lane, delta)| delta.triggers.iter().map(|(trigger, n)| (*lane, &**trigger, *n)))
        .filter(|(.., n)| *n != 0)
        .collect();
    let triggers = if by_trigger.is_empty() {
        Vec::new()
    } else {
        sqlx::query_as(
            "insert into lane_triggers (lane, side, trigger, version, queued)
             select lane, $2, trigger, 1, queued from unnest($1::text[], $3::text[], $4::bigint[])
             as t(lane, trigger, queued)
             on conflict (lane, side, trigger) do update
             set version = lane_triggers.version + 1, queued = lane_triggers.queued + excluded.queued
             returning lane, side, trigger, version, queued",
        )
        .bind(by_trigger.iter().map(|(lane, ..)| *lane).collect::<Vec<&str>>())
        .bind(side.number())
        .bind(by_trigger.iter().map(|(_, trigger, _)| *trigger).collect::<Vec<&str>>())
        .bind(by_trigger.iter().map(|(.., n)| *n).collect::<Vec<i64>>())
        .fetch_all(&mut *connection)
        .await?
    };
    Ok(Written { counts: counts.into_iter().map(row).collect(), triggers, waits })
}

/// Every lane's rows: a few for each.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<CountRow>, Trouble> {
    let all: Vec<Columns> = sqlx::query_as(
        "select lane, side, version, queued, deferred, dead, made, accepted, refused, expired, cancelled, forgotten
         from lane_counts",
    )
    .fetch_all(connection)
    .await?;
    Ok(all.into_iter().map(row).collect())
}

/// What triggers have in these lanes.
pub async fn triggers(connection: &mut PgConnection, lanes: &[String]) -> Result<Vec<TriggerRow>, Trouble> {
    let sql = "select lane, side, trigger, version, queued from lane_triggers where lane = any($1)";
    Ok(sqlx::query_as(sql).bind(lanes).fetch_all(connection).await?)
}

/// Of each lane, the earliest time that something waits for, and the edge of the oldest that is queued.
pub async fn firsts(
    connection: &mut PgConnection,
    lanes: &[&str],
) -> Result<Vec<(String, Option<i64>, Option<i64>)>, Trouble> {
    let firsts = sqlx::query_as(
        "select l.lane,
         (select a.not_before from activations a where a.lane = l.lane and a.state = 'waiting'
          order by a.not_before limit 1),
         (select a.at from activations a where a.lane = l.lane and a.state <> 'ended' order by a.at limit 1)
         from unnest($1::text[]) as l(lane)",
    )
    .bind(lanes)
    .fetch_all(connection)
    .await?;
    Ok(firsts)
}

/// Lanes as they were last read or written.
#[derive(Default)]
pub struct Lanes {
    lanes: BTreeMap<Arc<str>, Lane>,
}

#[derive(Default)]
struct Lane {
    sides: BTreeMap<i16, (i64, Sums)>,
    triggers: BTreeMap<(i16, Arc<str>), (i64, i64)>,
    next: Option<Timestamp>,
    oldest: Option<Timestamp>,
}

impl Lanes {
    fn lane(&mut self, name: &str) -> &mut Lane {
        if !self.lanes.contains_key(name) {
            self.lanes.insert(name.into(), Lane::default());
        }
        self.lanes.entry(name.into()).or_default()
    }

    /// Takes rows in that are newer than what is known; true if there was one, by lane.
    pub fn note(&mut self, counts: Vec<CountRow>, triggers: Vec<TriggerRow>) -> Vec<String> {
        let mut changed = Vec::new();
        for row in counts {
            let side = self.lane(&row.lane).sides.entry(row.side).or_default();
            if row.version > side.0 {
                *side = (row.version, row.sums);
                changed.push(row.lane);
            }
        }
        for (lane, side, trigger, version, queued) in triggers {
            let known = self.lane(&lane).triggers.entry((side, trigger.into())).or_default();
            if version > known.0 {
                *known = (version, queued);
            }
        }
        changed
    }

    /// When the first of a lane's rows is due, and how old its oldest is. True where one is due at another time.
    pub fn note_firsts(&mut self, firsts: Vec<(String, Option<i64>, Option<i64>)>) -> bool {
        let mut is_news = false;
        for (lane, next, oldest) in firsts {
            let lane = self.lane(&lane);
            let next = next.map(Timestamp::from_millis);
            is_news |= lane.next != next;
            lane.next = next;
            lane.oldest = oldest.map(Timestamp::from_millis);
        }
        is_news
    }

    /// Those that were ever used.
    pub fn names(&self) -> Vec<Arc<str>> {
        self.lanes.keys().cloned().collect()
    }

    /// When the first row that waits for a time is due.
    pub fn next(&self, name: &str) -> Option<Timestamp> {
        self.lanes.get(name)?.next
    }

    /// One of them.
    pub fn count(&self, name: &str) -> LaneCount {
        let Some(lane) = self.lanes.get(name) else { return LaneCount::default() };
        let sum = |pick: fn(&Sums) -> i64| count(lane.sides.values().map(|(_, sums)| pick(sums)).sum());
        let mut triggers: BTreeMap<Arc<str>, i64> = BTreeMap::new();
        for ((_, trigger), (_, queued)) in &lane.triggers {
            *triggers.entry(trigger.clone()).or_default() += queued;
        }
        let totals = LaneTotals {
            made: sum(|s| s.made),
            accepted: sum(|s| s.accepted),
            refused: sum(|s| s.refused),
            expired: sum(|s| s.expired),
            cancelled: sum(|s| s.cancelled),
            forgotten: sum(|s| s.forgotten),
        };
        let queued = sum(|s| s.queued);
        LaneCount {
            queued,
            deferred: sum(|s| s.deferred),
            next: lane.next,
            oldest: lane.oldest.filter(|_| queued > 0),
            dead: sum(|s| s.dead),
            triggers: triggers.into_iter().filter(|(_, n)| *n > 0).map(|(name, n)| (name, count(n))).collect(),
            totals,
        }
    }
}

/// How many of something there are, counted up to this.
pub async fn open_demands(connection: &mut PgConnection, most: usize) -> Result<u64, Trouble> {
    let sql = "select count(*) from (select 1 from accesses where answered is null limit $1) as open";
    let (open,): (i64,) = sqlx::query_as(sql).bind(limit(most)).fetch_one(connection).await?;
    Ok(count(open))
}
