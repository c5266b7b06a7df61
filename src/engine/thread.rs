//! The engine's own threads, which give way to intake: while it is behind, messages are still answered at once, and
//! the journal is the buffer between the two.

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Engine;

/// Added to the threads' niceness: beside a busy intake the engine keeps about a quarter of a core's time.
const GIVES_WAY: i32 = 19;
/// Threads for the store's steps. The engine makes one at a time.
const STEPS: usize = 4;

impl Engine {
    /// Like [`Engine::run`], on a thread of its own. What is returned ends when the engine has.
    pub fn begin(self, stop: CancellationToken) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .max_blocking_threads(STEPS)
            .thread_name("engine-step")
            .on_thread_start(give_way)
            .build()?;
        let (ended, told) = oneshot::channel::<()>();
        std::thread::Builder::new().name("engine".into()).spawn(move || {
            give_way();
            runtime.block_on(self.run(stop));
            drop(ended);
        })?;
        Ok(async {
            // Nothing is ever said: the sender is dropped at the end, also by a panic.
            let _ = told.await;
        })
    }
}

/// Where the system does not let us, the engine is only as important as everything else.
fn give_way() {
    if let Err(error) = rustix::process::nice(GIVES_WAY) {
        tracing::debug!(reason = %error, "the engine's thread keeps its priority");
    }
}
