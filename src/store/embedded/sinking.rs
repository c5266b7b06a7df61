//! The thread that brings what steps wrote to sled, some of it at a time: what changes often is written once.
//!
//! Nothing is lost with what a crash keeps from it: the journal has the events, the steps and the outcomes, and the
//! engine takes the same steps again.

use std::sync::{Arc, Condvar, Mutex, RwLock};
use std::time::Duration;

use super::tree::Disk;

/// Added to the niceness of threads that work behind those who wait for an answer.
const GIVES_WAY: i32 = 19;
/// What waits goes to sled at least so often: so much has to be decided again after a crash.
const OFTEN: Duration = Duration::from_millis(50);
/// And as soon as it is so large: whatever lies in the disk's own cache, the journal's next sync waits for, so that
/// little and often is better than much at once.
const RIPE: usize = 64 << 10;
/// A step that finds more than this waits itself.
const MUCH: usize = 1 << 20;

/// Where sled is; empty while it is closed after an I/O error.
pub type Slot = Arc<RwLock<Option<Arc<Disk>>>>;

/// The thread, seen from outside.
pub struct Sinking {
    signal: Arc<(Mutex<Signal>, Condvar)>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Default)]
struct Signal {
    is_ripe: bool,
    is_over: bool,
}

/// Where the system does not let us, a thread is only as important as everything else.
pub fn give_way() {
    if let Err(error) = rustix::process::nice(GIVES_WAY) {
        tracing::debug!(reason = %error, "a thread keeps its priority");
    }
}

impl Sinking {
    /// Begins it.
    pub fn begin(slot: Slot) -> std::io::Result<Self> {
        let signal: Arc<(Mutex<Signal>, Condvar)> = Arc::default();
        let seen = signal.clone();
        let thread = std::thread::Builder::new().name("sinking".into()).spawn(move || {
            give_way();
            while Self::wait(&seen) {
                let disk = slot.read().ok().and_then(|slot| slot.clone());
                // A refusal is met by the next step as well, which has sled opened again.
                if let Some(Err(refused)) = disk.map(|disk| disk.sync()) {
                    tracing::warn!(reason = %refused, "what was decided cannot be written to sled; it follows again");
                }
            }
        })?;
        Ok(Self { signal, thread: Mutex::new(Some(thread)) })
    }

    /// Until there is something to do; false when it is over.
    fn wait((signal, woken): &(Mutex<Signal>, Condvar)) -> bool {
        let Ok(signal) = signal.lock() else { return false };
        let waited = woken.wait_timeout_while(signal, OFTEN, |signal| !signal.is_ripe && !signal.is_over);
        let Ok((mut signal, _)) = waited else { return false };
        signal.is_ripe = false;
        !signal.is_over
    }

    /// So many bytes wait. True when whoever wrote them should bring them to sled itself.
    pub fn note(&self, bytes: usize) -> bool {
        if bytes >= RIPE {
            self.tell(|signal| signal.is_ripe = true);
        }
        bytes >= MUCH
    }

    /// Ends the thread. What waits stays where it is.
    pub fn end(&self) {
        self.tell(|signal| signal.is_over = true);
        let thread = self.thread.lock().ok().and_then(|mut thread| thread.take());
        if let Some(thread) = thread {
            // Nothing can be done about a panicked thread when closing.
            let _ = thread.join();
        }
    }

    fn tell(&self, what: impl FnOnce(&mut Signal)) {
        if let Ok(mut signal) = self.signal.0.lock() {
            what(&mut signal);
        }
        self.signal.1.notify_all();
    }
}

impl Drop for Sinking {
    fn drop(&mut self) {
        self.end();
    }
}
