//! The wish to read the trigger files again, handed to whoever knows the files, and what became of it.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use crate::model::Mistake;

/// What is asked from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Compiled {
    /// Triggers in force.
    pub triggers: usize,
    /// Segments in force.
    pub segments: usize,
}

/// The new program is in force, or every mistake in it; then the one before stays.
pub type Reloaded = Result<Compiled, Vec<Mistake>>;

/// One wish: where to send what became of it.
pub type Asked = oneshot::Sender<Reloaded>;

/// To wish for it.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<Asked>);

impl Reloads {
    /// With the other end, which does it: one wish after the other.
    pub fn new() -> (Self, mpsc::Receiver<Asked>) {
        let (wishes, asked) = mpsc::channel(1);
        (Self(wishes), asked)
    }

    /// Reads the files again; `None` when the daemon is about to end.
    pub async fn ask(&self) -> Option<Reloaded> {
        let (answer, told) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        told.await.ok()
    }
}
