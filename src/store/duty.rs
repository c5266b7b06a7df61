//! What only one daemon may do, where several share a store: it is done by who has the duty of its name, and what follows
//! from it is kept by showing that duty, so that one who was held up, and does not know that it is another's, keeps
//! nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Store;

/// A duty that is another's is asked for again after so long, should nobody say that it is free.
const ASKED: Duration = Duration::from_secs(1);

/// The duty of some name is ours. Clones are one.
#[derive(Clone, Debug)]
pub struct Duty {
    name: Arc<str>,
    term: u64,
    over: CancellationToken,
    /// Ours until then, by this machine's time, unless that is put off; `None` where nobody else ever has it.
    until: Option<Arc<Mutex<Instant>>>,
}

impl Duty {
    /// Nobody else ever has it.
    pub fn always(name: &str) -> Self {
        Self { name: name.into(), term: 0, over: CancellationToken::new(), until: None }
    }

    /// Ours until then.
    pub(super) fn until(name: &str, term: u64, until: Instant) -> Self {
        let until = Some(Arc::new(Mutex::new(until)));
        Self { name: name.into(), term, over: CancellationToken::new(), until }
    }

    /// Ours until it is ended by hand, as one that others may have.
    #[cfg(test)]
    pub fn lent(name: &str, term: u64) -> Self {
        Self::until(name, term, Instant::now() + Duration::from_secs(1_000_000))
    }

    /// Its end is put off.
    pub(super) fn renew(&self, until: Instant) {
        if let Some(one) = &self.until {
            *one.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }

    /// It is over, as whoever waits for that hears.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Which holder of it we are: a higher number after somebody else had it.
    pub fn term(&self) -> u64 {
        self.term
    }

    /// True where other daemons may have it.
    pub fn is_shared(&self) -> bool {
        self.until.is_some()
    }

    /// False from the moment on in which another may have it. Asked before whatever cannot be taken back.
    pub fn is_ours(&self) -> bool {
        let is_in_time =
            |until: &Arc<Mutex<Instant>>| *until.lock().unwrap_or_else(PoisonError::into_inner) > Instant::now();
        !self.over.is_cancelled() && self.until.as_ref().is_none_or(is_in_time)
    }

    /// Returns when it is over.
    pub async fn over(&self) {
        self.over.cancelled().await;
    }
}

/// Work that is begun whenever all of its duties are ours, and ended when one is not.
pub struct Duties {
    store: Arc<dyn Store>,
    names: Vec<String>,
    had: Vec<Duty>,
    refused: bool,
}

/// They are ours.
pub struct OnDuty {
    duties: Vec<Duty>,
    stop: CancellationToken,
    _end: DropGuard,
}

impl Duties {
    /// Of these names: asked for in their order, each when those before it are ours.
    pub fn new(store: Arc<dyn Store>, names: impl IntoIterator<Item = String>) -> Self {
        Self { store, names: names.into_iter().collect(), had: Vec::new(), refused: false }
    }

    /// Waits until they are ours, again after they were another's, which `elsewhere` is told. `None` when work is told to
    /// stop, or has come to its end while they were ours.
    pub async fn next(&mut self, stop: &CancellationToken, elsewhere: impl FnOnce()) -> Option<OnDuty> {
        let has_ended = !self.had.is_empty() && self.had.iter().all(Duty::is_ours);
        if has_ended || stop.is_cancelled() {
            return None;
        }
        let taken = tokio::select! {
            () = stop.cancelled() => return None,
            taken = self.take() => taken,
        };
        let duties = match taken {
            Some(duties) => duties,
            None => {
                elsewhere();
                tokio::select! {
                    () = stop.cancelled() => return None,
                    duties = self.taken() => duties,
                }
            }
        };
        self.had.clone_from(&duties);
        let run = stop.child_token();
        let (ends, of) = (run.clone(), duties.clone());
        tokio::spawn(async move {
            let any = of.iter().map(|duty| Box::pin(duty.over()));
            tokio::select! {
                () = ends.cancelled() => {}
                _ = futures_util::future::select_all(any) => ends.cancel(),
            }
        });
        Some(OnDuty { duties, stop: run.clone(), _end: run.drop_guard() })
    }

    /// The same, with `help` for whoever has them meanwhile, which has no end of its own.
    pub async fn next_or_help(&mut self, stop: &CancellationToken, help: impl Future<Output = ()>) -> Option<OnDuty> {
        tokio::select! {
            biased;
            on = self.next(stop, || ()) => on,
            () = help => None,
        }
    }

    async fn taken(&mut self) -> Vec<Duty> {
        let mut changed = self.store.changed();
        loop {
            changed.mark_unchanged();
            if let Some(duties) = self.take().await {
                return duties;
            }
            // Whether somebody said so or not, it is asked again.
            let _ = timeout(ASKED, changed.changed()).await;
        }
    }

    async fn take(&mut self) -> Option<Vec<Duty>> {
        let mut duties = Vec::with_capacity(self.names.len());
        for name in &self.names {
            match self.store.duty(name).await {
                Ok(Some(duty)) => duties.push(duty),
                Ok(None) => return None,
                Err(refused) => {
                    if !std::mem::replace(&mut self.refused, true) {
                        tracing::warn!(duty = %name, reason = %refused, "whose duty it is cannot be told");
                    }
                    return None;
                }
            }
        }
        self.refused = false;
        duties.iter().all(Duty::is_ours).then_some(duties)
    }
}

impl OnDuty {
    /// Cancelled when they are another's, or everything is told to stop.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// The duty of this work itself: the last of its names.
    pub fn duty(&self) -> Duty {
        self.duties.last().cloned().unwrap_or_else(|| Duty::always(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::embedded::Embedded;
    use crate::store::settings::Settings;

    #[tokio::test]
    async fn who_has_it_alone_is_never_told_to_stop_and_begins_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let settings = Settings { path: folder.path().into(), ..Settings::default() };
        let store: Arc<dyn Store> = Arc::new(Embedded::open(&settings, Timestamp::from_millis(0)).expect("a store"));
        let stop = CancellationToken::new();
        let mut duties = Duties::new(store.clone(), ["a".to_owned(), "b".to_owned()]);
        let on = duties.next(&stop, || ()).await.expect("ours");
        assert_eq!(on.duty().name(), "b");
        assert!(on.duty().is_ours() && !on.stop().is_cancelled());
        drop(on);
        assert!(duties.next(&stop, || ()).await.is_none(), "it has come to its end");
        let mut others = Duties::new(store.clone(), ["a".to_owned()]);
        let on = others.next(&stop, || ()).await.expect("ours");
        stop.cancel();
        on.stop().cancelled().await;
        assert!(others.next(&stop, || ()).await.is_none());
        store.close().await.expect("a close");
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_over_with_its_time() {
        let duty = Duty::until("a", 3, Instant::now() + Duration::from_secs(6));
        assert!(duty.is_ours());
        tokio::time::advance(Duration::from_secs(5)).await;
        duty.renew(Instant::now() + Duration::from_secs(6));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(duty.is_ours());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!duty.is_ours(), "whoever was held up finds it over before anybody says so");
    }
}
