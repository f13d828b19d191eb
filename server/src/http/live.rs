//! `/live`: a stream that says that something has changed. The page then fetches its own address.
//!
//! The state, and which sessions are still valid, are read once a second for all streams together. A stream ends with
//! its session, and when the server stops. Otherwise a stream would inform a person who is signed out, or keep the
//! server from stopping.

use super::Http;
use crate::auth::session::Sessions;
use crate::service::{CACHED_FOR, Services};
use crate::store::{self, figures};
use app::session::Viewer;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;
use tower_sessions::session::Id;

/// Interval between two reads.
const EVERY: Duration = Duration::from_secs(1);

/// The change feed: the id of the newest state, for all streams of this process.
#[derive(Clone)]
pub struct ChangeFeed {
    newest: watch::Sender<Newest>,
    streams: Streams,
    stop: CancellationToken,
}

/// The news for the streams.
#[derive(Clone, Default, PartialEq)]
struct Newest {
    /// The id of the state.
    id: String,
    /// The number of sessions that have ended.
    ended: usize,
}

impl ChangeFeed {
    /// Returns a feed without a state. Streams end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { newest: watch::channel(Newest::default()).0, streams: Streams::default(), stop }
    }

    /// Reads the state until the server stops, as long as there are streams.
    pub async fn run(self, services: Services) {
        let sessions = Sessions::new(services.store.clone(), services.clock.clone());
        let mut seen = Seen { last: String::new(), since: Instant::now() };
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            let open = self.streams.sessions();
            if open.is_empty() {
                continue;
            }
            let look = async {
                let now = figures::change_mark(services.store.pages()).await?;
                Ok::<_, store::Error>((now, sessions.list_valid(&open).await?))
            };
            match look.await {
                Ok((now, valid)) => {
                    let id = seen.id_of(now, Instant::now());
                    let ended = self.streams.end(open.iter().filter(|session| !valid.contains(session)));
                    self.newest.send_if_modified(|before| {
                        let now = Newest { id, ended: before.ended + ended };
                        std::mem::replace(before, now.clone()) != now
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{:#}", anyhow::Error::new(error)),
                        "the change feed cannot be read"
                    );
                }
            }
        }
    }
}

/// The sessions that have streams, each with their number.
#[derive(Clone, Default)]
struct Streams(Arc<Mutex<HashMap<Id, usize>>>);

impl Streams {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<Id, usize>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sessions(&self) -> Vec<Id> {
        self.with(|streams| streams.keys().copied().collect())
    }

    fn open(&self, session: Id) -> Opened {
        self.with(|streams| *streams.entry(session).or_default() += 1);
        Opened { streams: self.clone(), session }
    }

    /// Ends the streams of these sessions. Returns how many sessions had streams.
    fn end<'a>(&self, sessions: impl Iterator<Item = &'a Id>) -> usize {
        self.with(|streams| sessions.filter(|session| streams.remove(session).is_some()).count())
    }
}

/// A stream of a session.
struct Opened {
    streams: Streams,
    session: Id,
}

impl Opened {
    fn has_ended(&self) -> bool {
        self.streams.with(|streams| !streams.contains_key(&self.session))
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.streams.with(|streams| {
            if let Some(count) = streams.get_mut(&self.session) {
                *count -= 1;
                if *count == 0 {
                    streams.remove(&self.session);
                }
            }
        });
    }
}

/// The state that was read last, and the time of its change.
struct Seen {
    last: String,
    since: Instant,
}

impl Seen {
    /// Returns the id to send for a state. The id changes with the state, and twice more after the last change: shared
    /// figures may have been computed just before that change, and stay cached for some seconds.
    fn id_of(&mut self, now: String, at: Instant) -> String {
        if now != self.last {
            *self = Self { last: now.clone(), since: at };
            return now;
        }
        let is_all_new = at.duration_since(self.since) > CACHED_FOR + EVERY;
        format!("{now}{}", if is_all_new { "++" } else { "+" })
    }
}

/// A stream, and what it has sent.
struct Listener {
    feed: watch::Receiver<Newest>,
    stop: CancellationToken,
    last: String,
    opened: Opened,
}

impl Listener {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let state = self.feed.borrow_and_update().id.clone();
            if self.opened.has_ended() {
                return None;
            }
            // The first message is sent at once, since something may have changed between the page and this stream.
            if !state.is_empty() && state != self.last {
                self.last.clone_from(&state);
                return Some((Ok(Event::default().id(state).data("changed")), self));
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = self.feed.changed() => changed.ok()?,
            }
        }
    }
}

/// `GET /live`: resumes after `Last-Event-ID`.
pub async fn live(State(http): State<Http>, session: Session, headers: HeaderMap, parts: Parts) -> Response {
    let (Some(_), Some(id)) = (parts.extensions.get::<Viewer>(), session.id()) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let listener = Listener {
        feed: http.changes.newest.subscribe(),
        stop: http.changes.stop.clone(),
        last,
        opened: http.changes.streams.open(id),
    };
    let stream = Sse::new(stream::unfold(listener, Listener::next)).keep_alive(KeepAlive::default());
    // A buffering proxy would hold back each message.
    ([("x-accel-buffering", "no")], stream).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn id_changes_twice_more_after_the_last_change() {
        let begin = Instant::now();
        let mut seen = Seen { last: String::new(), since: begin };
        let mut ids = Vec::new();
        for second in 0..20 {
            let state = if second < 2 { "1" } else { "2" };
            ids.push(seen.id_of(state.to_owned(), begin + Duration::from_secs(second)));
        }
        ids.dedup();
        assert_eq!(ids, ["1", "1+", "2", "2+", "2++"]);
    }
}
