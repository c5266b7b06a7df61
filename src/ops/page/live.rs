//! `GET /live`: one stream of server-sent events that says when something has changed. What has changed is then asked for
//! as any page is: nothing of it is in the stream.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, SystemClock};
use crate::model::Span;
use crate::ops::health::Watched;
use crate::ops::replays::Replays;
use crate::ops::server::Shared;

/// Who may listen at once.
const LISTENERS: usize = 64;
/// How often it is looked, of people's time: they wait for it.
const LOOK: Span = Span::from_secs(2);
/// Ages grow though nothing happens: after so many looks it counts as a change.
const AT_LATEST: u32 = 15;
/// A line without meaning, so that nobody in between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Tells listeners.
pub struct Live {
    version: watch::Sender<u64>,
    places: Arc<Semaphore>,
    /// The streams end with it.
    stop: CancellationToken,
}

impl Default for Live {
    fn default() -> Self {
        Self {
            version: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(LISTENERS)),
            stop: CancellationToken::new(),
        }
    }
}

impl Live {
    /// Ends every stream: a server that ends waits for its answers.
    pub fn end(&self) {
        self.stop.cancel();
    }

    /// Looks for changes, while anybody listens, until [`Live::end`].
    pub async fn look(&self, watched: &Watched, replays: &Replays) {
        let (mut last, mut unsaid) = (0, 0);
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = SystemClock.until(SystemClock.now() + LOOK) => {}
            }
            if self.version.receiver_count() == 0 {
                continue;
            }
            let now = fingerprint(watched, replays);
            unsaid += 1;
            if now != last || unsaid >= AT_LATEST {
                (last, unsaid) = (now, 0);
                self.version.send_modify(|version| *version += 1);
            }
        }
    }
}

/// Of what the views count; cheap, and never a scan.
fn fingerprint(watched: &Watched, replays: &Replays) -> u64 {
    let mut hasher = DefaultHasher::new();
    format!("{:?}", replays.look().map(|batch| (batch.began, batch.stage))).hash(&mut hasher);
    let counts = watched.store.counts();
    (counts.journaled, counts.decided, counts.people, counts.set_aside).hash(&mut hasher);
    format!("{:?}", watched.engine.borrow().stage).hash(&mut hasher);
    for (lane, state) in &watched.lanes {
        let (count, state) = (watched.store.lane_count(lane), state.borrow());
        (count.queued, count.dead, count.deferred, &state.outcomes, state.until).hash(&mut hasher);
    }
    for one in &watched.streams {
        let state = one.state.borrow();
        (state.read, state.records, state.until, state.last_success).hash(&mut hasher);
    }
    format!("{:?}", watched.nights.state.borrow().running).hash(&mut hasher);
    let paused = watched.store.triggers();
    let paused = paused.iter().filter_map(|(id, state)| Some((id.0, state.pause.as_ref()?.held)));
    paused.for_each(|one| one.hash(&mut hasher));
    hasher.finish()
}

/// One listener.
struct Listener {
    version: watch::Receiver<u64>,
    stop: CancellationToken,
    is_first: bool,
    _place: OwnedSemaphorePermit,
}

pub async fn stream(State(shared): State<Shared>) -> Response {
    let live = &shared.live;
    let Ok(place) = live.places.clone().try_acquire_owned() else {
        let after = [(header::RETRY_AFTER, HeaderValue::from_static("30"))];
        return (StatusCode::SERVICE_UNAVAILABLE, after, "as many listen as may; load the page again\n")
            .into_response();
    };
    let listener =
        Listener { version: live.version.subscribe(), stop: live.stop.clone(), is_first: true, _place: place };
    let events = futures_util::stream::unfold(listener, |mut listener| async move {
        if listener.is_first {
            listener.is_first = false;
            // The browser knows that it is heard, and comes again after so long when it is not.
            let event = Event::default().event("hello").retry(Duration::from_secs(5)).data("");
            return Some((Ok::<_, Infallible>(event), listener));
        }
        tokio::select! {
            () = listener.stop.cancelled() => None,
            changed = listener.version.changed() => {
                changed.ok()?;
                let version = *listener.version.borrow_and_update();
                Some((Ok(Event::default().event("changed").data(version.to_string())), listener))
            }
        }
    });
    Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response()
}
