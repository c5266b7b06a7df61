//! Where the engine is: one row, written with each of its steps.

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};
use uuid::Uuid;

use super::again::Trouble;
use super::text::{at, count, number};
use crate::model::{Position, StepId, Timestamp, TriggerId};
use crate::store::record::{StepRecord, decode, encode};
use crate::store::{Adopted, Recorded, Step, StoreError};

/// The row.
#[derive(Clone, Debug, Default)]
pub struct EngineRow {
    /// Grows with each write: of two readings the later one counts.
    pub version: i64,
    /// Of the last write: one whose answer was lost is known by it.
    pub mark: Option<Uuid>,
    /// The newest event decided.
    pub decided: Position,
    /// The last step taken.
    pub step: u64,
    /// The last number given to an activation.
    pub seq: u64,
    /// People there are.
    pub people: u64,
    /// The newest arrival decided: the store's own idea of time, for ageing.
    pub reached: Timestamp,
    /// The triggers of the last recorded program.
    pub program: Option<Arc<[(TriggerId, u32)]>>,
    /// Who knows them.
    pub adopted: Adopted,
    /// The step that is written down and not yet taken.
    pub open: Option<StepRecord>,
}

impl EngineRow {
    /// From the columns of `select * from engine`.
    pub fn read(row: &PgRow) -> Result<Self, Trouble> {
        let bytes = |name: &str| row.try_get::<Option<Vec<u8>>, _>(name);
        let program = bytes("program")?.map(|bytes| decode::<Vec<_>>(&bytes)).transpose()?;
        Ok(Self {
            version: row.try_get("version")?,
            mark: row.try_get("mark")?,
            decided: Position(count(row.try_get("decided")?)),
            step: count(row.try_get("step")?),
            seq: count(row.try_get("seq")?),
            people: count(row.try_get("people")?),
            reached: at(row.try_get("reached")?),
            program: program.map(Arc::from),
            adopted: bytes("adopted")?.map(|bytes| decode(&bytes)).transpose()?.unwrap_or_default(),
            open: bytes("open_step")?.map(|bytes| decode(&bytes)).transpose()?,
        })
    }

    /// The row as it is, held for the rest of the transaction.
    pub async fn locked(connection: &mut PgConnection) -> Result<Self, Trouble> {
        Self::read(&sqlx::query("select * from engine where id = 1 for update").fetch_one(connection).await?)
    }

    /// Writes it, as the next version.
    pub async fn write(&mut self, connection: &mut PgConnection, mark: Uuid) -> Result<(), Trouble> {
        (self.version, self.mark) = (self.version + 1, Some(mark));
        let program = self.program.as_ref().map(|program| encode(&program.to_vec()));
        sqlx::query(
            "update engine set version = $1, mark = $2, decided = $3, step = $4, seq = $5, people = $6, reached = $7,
             program = $8, adopted = $9, open_step = $10 where id = 1",
        )
        .bind(self.version)
        .bind(mark)
        .bind(number(self.decided.0))
        .bind(number(self.step))
        .bind(number(self.seq))
        .bind(number(self.people))
        .bind(self.reached.as_millis())
        .bind(program)
        .bind(encode(&self.adopted))
        .bind(self.open.as_ref().map(encode))
        .execute(connection)
        .await?;
        Ok(())
    }

    /// The next number of an activation.
    pub fn next(&mut self) -> u64 {
        self.seq += 1;
        self.seq
    }

    /// The open step.
    pub fn recorded(&self) -> Option<Recorded> {
        let open = self.open.as_ref()?;
        Some(Recorded { id: StepId(self.step + 1), after: open.after, step: open.step.clone() })
    }

    /// Writes a step down, in this row.
    pub fn record(&mut self, step: Step) -> Result<StepId, StoreError> {
        if self.open.is_some() {
            return Err(StoreError::Unavailable("a step is open".into()));
        }
        self.open = Some(StepRecord { after: self.decided, step });
        Ok(StepId(self.step + 1))
    }

    /// That step is taken.
    pub fn take(&mut self, step: Option<StepId>) -> Result<(), StoreError> {
        let Some(StepId(id)) = step else { return Ok(()) };
        let Some(open) = self.open.take_if(|_| id == self.step + 1) else {
            return Err(StoreError::Unavailable(format!("step {id} is not the open one")));
        };
        match open.step {
            Step::Program(triggers) => {
                self.program = Some(triggers.into());
                self.adopted = Adopted::UpTo(None);
            }
            Step::Adopt { until: Some(until), .. } => self.adopted = Adopted::UpTo(Some(until)),
            Step::Adopt { until: None, .. } => self.adopted = Adopted::Everybody,
            Step::Events { .. } | Step::Timers { .. } | Step::Order { .. } | Step::Release { .. } => {}
        }
        self.step = id;
        Ok(())
    }
}
