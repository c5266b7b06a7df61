//! A step on the database is a transaction; one that was cut, or stood in another's way, is made again as a whole, for
//! a bounded time.

#![expect(clippy::disallowed_methods, reason = "the database is waited for in the machine's time, whatever the clock")]

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::store::StoreError;

/// A step is tried again for so long. Whoever asked comes again later.
const LONGEST: Duration = Duration::from_secs(4);
/// A try that hangs this long is given up: longer than the database itself allows a statement.
pub const ONE_TRY: Duration = Duration::from_secs(20);
/// Shortest and longest wait between two tries.
const WAITS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(400));

/// What kept a step from being made.
pub enum Trouble {
    /// The database, or the way to it.
    Database(sqlx::Error),
    /// It could not be, whatever the database says.
    Store(StoreError),
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Trouble {
    /// A try that was given up.
    pub const HANGS: Self = Self::Database(sqlx::Error::PoolTimedOut);

    /// True where it is what was written that the database does not take.
    pub fn is_of_values(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Database(said) => {
                said.code().is_some_and(|code| matches!(code.get(..2), Some("22" | "23" | "54")))
            }
            sqlx::Error::Encode(_) => true,
            _ => false,
        }
    }

    /// True where another daemon does this work.
    pub fn is_elsewhere(&self) -> bool {
        matches!(self, Self::Store(StoreError::Elsewhere))
    }

    /// True where others are at it, or it would take, for longer than may be waited.
    pub fn is_busy(&self) -> bool {
        let Self::Database(sqlx::Error::Database(said)) = self else { return false };
        said.code().is_some_and(|code| matches!(&*code, "55P03" | "40P01" | "57014"))
    }

    /// True where the same step may well succeed a moment later.
    pub fn is_passing(&self) -> bool {
        let Self::Database(error) = self else { return false };
        match error {
            sqlx::Error::Database(said) => said.code().is_some_and(|code| is_passing(&code)),
            sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => true,
            // What a connection that was cut leaves half-read.
            sqlx::Error::Protocol(_) => true,
            _ => false,
        }
    }

    /// In words; never with a value of anybody's.
    pub fn into_error(self) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Database(sqlx::Error::Database(said)) => {
                let code = said.code().unwrap_or_default().into_owned();
                StoreError::Unavailable(format!("PostgreSQL answers {code}{}", words(&code)))
            }
            Self::Database(sqlx::Error::Io(error)) => {
                StoreError::Unavailable(format!("PostgreSQL cannot be reached: {error}"))
            }
            Self::Database(sqlx::Error::Tls(_)) => StoreError::Unavailable("TLS to PostgreSQL fails".into()),
            Self::Database(sqlx::Error::PoolTimedOut) => {
                StoreError::Unavailable("no connection to PostgreSQL came free in time".into())
            }
            Self::Database(sqlx::Error::PoolClosed) => StoreError::Unavailable("the store is closed".into()),
            Self::Database(sqlx::Error::ColumnDecode { index, .. }) => {
                StoreError::Damaged(format!("the column {index} cannot be read"))
            }
            Self::Database(_) => StoreError::Unavailable("the connection to PostgreSQL broke".into()),
        }
    }
}

/// Conflicts with other steps, lost connections, a server that stops or stands by, a transaction that we did not go on
/// with in time.
fn is_passing(code: &str) -> bool {
    const PASSING: [&str; 10] =
        ["40001", "40P01", "55P03", "57014", "57P01", "57P02", "57P03", "53300", "25006", "25P03"];
    PASSING.contains(&code) || code.starts_with("08")
}

/// What a code means to who operates the database.
fn words(code: &str) -> &'static str {
    match code.get(..2) {
        Some("08") => ": the connection is lost",
        Some("28") => ": it refuses the credentials",
        Some("3D") => ": there is no such database",
        Some("40") => ": too many steps stand in each other's way",
        Some("42") => ": its tables are not ours, or we may not use them",
        Some("53") => ": it is out of connections, memory or disk",
        Some("57") => ": it is being stopped, or a statement took too long",
        Some("25") => ": it takes no writes",
        _ => "",
    }
}

/// The tries of one step.
pub struct Again {
    began: Instant,
    wait: Duration,
}

impl Again {
    /// Before the first.
    pub fn new() -> Self {
        Self { began: Instant::now(), wait: WAITS.0 }
    }

    /// After a try: how the step ended, or, when it was waited for, that it may be made again.
    pub async fn after<T>(&mut self, tried: Result<T, Trouble>) -> ControlFlow<Result<T, Trouble>> {
        let trouble = match tried {
            Ok(done) => return ControlFlow::Break(Ok(done)),
            Err(trouble) => trouble,
        };
        if !trouble.is_passing() || self.began.elapsed() + self.wait > LONGEST {
            return ControlFlow::Break(Err(trouble));
        }
        metrics::counter!("espalier_store_retries_total").increment(1);
        sleep(self.wait).await;
        self.wait = (self.wait * 2).min(WAITS.1);
        ControlFlow::Continue(())
    }
}

/// Makes a step in one transaction, again where that may help. The body is a future's expression over the connection.
macro_rules! tried {
    ($pool:expr, |$connection:ident| $body:expr) => {{
        let mut again = $crate::store::postgres::again::Again::new();
        loop {
            let one = async {
                let mut begun = $pool.begin().await?;
                let $connection = &mut *begun;
                let done = $body.await?;
                begun.commit().await?;
                Ok::<_, $crate::store::postgres::again::Trouble>(done)
            };
            let tried = tokio::time::timeout($crate::store::postgres::again::ONE_TRY, one).await;
            match again.after(tried.unwrap_or(Err($crate::store::postgres::again::Trouble::HANGS))).await {
                std::ops::ControlFlow::Break(ended) => break ended,
                std::ops::ControlFlow::Continue(()) => {}
            }
        }
    }};
}

/// The same, for the store's callers.
macro_rules! step {
    ($pool:expr, |$connection:ident| $body:expr) => {
        $crate::store::postgres::again::tried!($pool, |$connection| $body)
            .map_err($crate::store::postgres::again::Trouble::into_error)
    };
}

/// Asks on a connection of its own, again where that may help: for what is read, and for what is one statement.
macro_rules! asked {
    ($pool:expr, |$connection:ident| $body:expr) => {{
        let mut again = $crate::store::postgres::again::Again::new();
        loop {
            let one = async {
                let mut given = $pool.acquire().await?;
                let $connection = &mut *given;
                let done = $body.await?;
                Ok::<_, $crate::store::postgres::again::Trouble>(done)
            };
            let tried = tokio::time::timeout($crate::store::postgres::again::ONE_TRY, one).await;
            match again.after(tried.unwrap_or(Err($crate::store::postgres::again::Trouble::HANGS))).await {
                std::ops::ControlFlow::Break(ended) => break ended,
                std::ops::ControlFlow::Continue(()) => {}
            }
        }
    }};
}

/// The same, for the store's callers.
macro_rules! read {
    ($pool:expr, |$connection:ident| $body:expr) => {
        $crate::store::postgres::again::asked!($pool, |$connection| $body)
            .map_err($crate::store::postgres::again::Trouble::into_error)
    };
}

pub(super) use {asked, read, step, tried};

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_waited_for_and_not_for_ever() {
        let mut again = Again::new();
        let began = Instant::now();
        let mut tries = 0;
        let ended = loop {
            tries += 1;
            match again.after::<()>(Err(sqlx::Error::PoolTimedOut.into())).await {
                ControlFlow::Break(ended) => break ended,
                ControlFlow::Continue(()) => {}
            }
        };
        assert!(ended.is_err());
        assert!(tries > 5 && began.elapsed() <= LONGEST, "{tries} tries in {:?}", began.elapsed());
        let mut again = Again::new();
        let refused = again.after::<()>(Err(StoreError::Unavailable("a step is open".into()).into())).await;
        assert!(matches!(refused, ControlFlow::Break(Err(_))), "what the database cannot help is not tried again");
    }
}
