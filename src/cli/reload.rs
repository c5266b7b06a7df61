//! Trigger, segment and cohort files, read again while the daemon runs: when somebody asks, or when they changed on disk.
//!
//! All or nothing: with one mistake anywhere the program that runs stays.

use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;

use crate::clock::SharedClock;
use crate::model::{LaneName, Mistake, Span};
use crate::ops::{Asked, Compiled, Reloaded};
use crate::rules::{Program, TriggerKind};
use crate::settings::{Settings, Stamp};

/// How often the files are looked at.
const LOOK: Span = Span::from_secs(2);

/// Swaps the program that the engine and ops share. There is one in a daemon: changes come one after the other.
pub struct Reload {
    /// The configuration; it names the folders, and has the cohorts.
    pub file: PathBuf,
    /// The lanes that run: a trigger may name no other.
    pub lanes: Vec<LaneName>,
    /// What is swapped.
    pub program: Arc<ArcSwap<Program>>,
    /// The engine, which is told after it.
    pub swapped: Arc<Notify>,
    /// When to look.
    pub clock: SharedClock,
    /// The files as they lay before they were last read, well or not.
    pub stamp: Stamp,
    /// Wishes from the API and from signals.
    pub asked: mpsc::Receiver<Asked>,
}

impl Reload {
    /// Until `stop`.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                Some(asked) = self.asked.recv() => {
                    let stamp = self.look().await;
                    let reloaded = self.again(stamp).await;
                    // Who asked may have gone.
                    let _ = asked.send(reloaded);
                }
                () = self.clock.until(self.clock.now() + LOOK) => {
                    let stamp = self.look().await;
                    if stamp != self.stamp {
                        // What became of it is in the log. A file half written is refused; its end is the next change.
                        let _ = self.again(stamp).await;
                    }
                }
            }
        }
    }

    async fn look(&self) -> Stamp {
        let last = self.stamp.clone();
        tokio::task::spawn_blocking(move || last.again()).await.unwrap_or_else(|_| self.stamp.clone())
    }

    /// Reads and compiles as at the start. `stamp` was taken before: what is written meanwhile is seen the next time.
    async fn again(&mut self, stamp: Stamp) -> Reloaded {
        self.stamp = stamp;
        let (file, lanes) = (self.file.clone(), self.lanes.clone());
        let loaded = tokio::task::spawn_blocking(move || Settings::load_again(&file, &lanes)).await;
        let loaded = loaded.unwrap_or_else(|ended| {
            Err(vec![Mistake::nowhere(&self.file.display().to_string(), "", format!("cannot be read: {ended}"))])
        });
        match loaded {
            Ok(configured) => {
                let compiled = counted(&configured.program);
                self.program.store(Arc::new(configured.program));
                self.swapped.notify_one();
                self.stamp = self.stamp.clone().moved_to(&configured.stamp);
                metrics::counter!("espalier_trigger_reloads_total", "result" => "ok").increment(1);
                let Compiled { triggers, segments } = compiled;
                tracing::info!(triggers, segments, "the trigger files were read again and are in force");
                Ok(compiled)
            }
            Err(mistakes) => {
                metrics::counter!("espalier_trigger_reloads_total", "result" => "refused").increment(1);
                for mistake in &mistakes {
                    let Mistake { file, line, key, .. } = mistake;
                    tracing::error!(file, line, key, "{mistake}");
                }
                let count = mistakes.len();
                tracing::error!(mistakes = count, "the change is refused: the triggers that were in force stay");
                Err(mistakes)
            }
        }
    }
}

fn counted(program: &Program) -> Compiled {
    let segments = program.triggers().iter().filter(|t| t.kind == TriggerKind::Segment).count();
    Compiled { triggers: program.triggers().len() - segments, segments }
}
