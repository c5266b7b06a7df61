//! The engine's own threads, which give way to intake: while it is behind, messages are still answered at once, and
//! the journal is the buffer between the two.

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Engine;
use crate::store::give_way;

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
