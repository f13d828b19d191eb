//! `/live`: a stream that says that something has changed. The page then fetches its own address.
//!
//! The database is read once a second for all streams. A stream ends with its session, and when the server stops.
//! Otherwise it would inform a person who is signed out, or keep the server from stopping.

use super::Http;
use crate::service::CACHED_FOR;
use crate::store::figures;
use app::session::Viewer;
use axum::extract::State;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower_sessions::Session;

/// Interval between two reads.
const EVERY: Duration = Duration::from_secs(1);

/// The change feed: the id of the newest state, for all streams of this process.
#[derive(Clone)]
pub struct ChangeFeed {
    newest: watch::Sender<String>,
    stop: CancellationToken,
}

impl ChangeFeed {
    /// Returns a feed without a state. Streams end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { newest: watch::channel(String::new()).0, stop }
    }

    /// Reads the state until the server stops, as long as there are streams.
    pub async fn run(self, services: crate::service::Services) {
        let mut seen = Seen { last: String::new(), since: Instant::now() };
        loop {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(EVERY) => {}
            }
            if self.newest.receiver_count() == 0 {
                continue;
            }
            match figures::change_mark(services.store.pages()).await {
                Ok(now) => {
                    let id = seen.id_of(now, Instant::now());
                    self.newest.send_if_modified(|before| {
                        let has_changed = *before != id;
                        *before = id;
                        has_changed
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

/// The state that was read last, and the time of its change.
struct Seen {
    last: String,
    since: Instant,
}

impl Seen {
    /// Returns the id to send for a state. The id changes with the state, and twice more after the last change: figures
    /// that viewers share may have been computed just before that change, and stay cached for some seconds.
    fn id_of(&mut self, now: String, at: Instant) -> String {
        if now != self.last {
            *self = Self { last: now.clone(), since: at };
            return now;
        }
        let is_all_new = at.duration_since(self.since) > CACHED_FOR + EVERY;
        format!("{now}{}", if is_all_new { "++" } else { "+" })
    }
}

/// A stream.
struct Listener {
    feed: watch::Receiver<String>,
    stop: CancellationToken,
    last: String,
    session: Session,
    sessions: crate::auth::session::Sessions,
}

impl Listener {
    /// Reports whether the session of the stream is still valid.
    async fn is_signed_in(&self) -> bool {
        match self.session.id() {
            Some(id) => self.sessions.is_valid(id).await,
            None => false,
        }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let state = self.feed.borrow_and_update().clone();
            if !self.is_signed_in().await {
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
                // The session is checked again even if nothing has changed.
                () = tokio::time::sleep(5 * EVERY) => {}
            }
        }
    }
}

/// `GET /live`: resumes after `Last-Event-ID`.
pub async fn live(State(http): State<Http>, session: Session, headers: HeaderMap, parts: Parts) -> Response {
    if parts.extensions.get::<Viewer>().is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let listener = Listener {
        feed: http.changes.newest.subscribe(),
        stop: http.changes.stop.clone(),
        last,
        session,
        sessions: crate::auth::session::Sessions::new(http.services.store.clone(), http.services.clock.clone()),
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
