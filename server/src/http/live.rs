//! `/live`: a stream that says that something has changed. What has changed is then fetched as any page is.
//!
//! One look a second for all who listen. The stream ends when the session does, and when the server stops: a stream that
//! outlived either would keep a stranger informed, or the server from stopping.

use super::Http;
use crate::service::SHARED_FOR;
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

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

/// The newest state of everything, for all streams of this process.
#[derive(Clone)]
pub struct Pulse {
    newest: watch::Sender<String>,
    stop: CancellationToken,
}

impl Pulse {
    /// Nothing is known yet. Streams end when `stop` is cancelled.
    pub fn new(stop: CancellationToken) -> Self {
        Self { newest: watch::channel(String::new()).0, stop }
    }

    /// Looks until the server stops; only while somebody listens.
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
            match figures::pulse(services.store.pages()).await {
                Ok(now) => {
                    let told = seen.tell(now, Instant::now());
                    self.newest.send_if_modified(|before| {
                        let has_changed = *before != told;
                        *before = told;
                        has_changed
                    });
                }
                Err(error) => tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "no pulse"),
            }
        }
    }
}

/// The state that was seen last, and when it came.
struct Seen {
    last: String,
    since: Instant,
}

impl Seen {
    /// Returns the id to send for a state. The id changes with the state, and twice more after the last change: figures
    /// that viewers share may have been computed just before that change, and stay cached for some seconds.
    fn tell(&mut self, now: String, at: Instant) -> String {
        if now != self.last {
            *self = Self { last: now.clone(), since: at };
            return now;
        }
        let is_all_new = at.duration_since(self.since) > SHARED_FOR + EVERY;
        format!("{now}{}", if is_all_new { "++" } else { "+" })
    }
}

/// One listener.
struct Listener {
    pulse: watch::Receiver<String>,
    stop: CancellationToken,
    last: String,
    session: Session,
    sessions: crate::auth::session::Sessions,
}

impl Listener {
    /// Whether whoever listens is still signed in.
    async fn is_signed_in(&self) -> bool {
        match self.session.id() {
            Some(id) => self.sessions.goes_on(id).await,
            None => false,
        }
    }

    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            let state = self.pulse.borrow_and_update().clone();
            if !self.is_signed_in().await {
                return None;
            }
            // The first word comes at once: something may have changed between the page and this stream.
            if !state.is_empty() && state != self.last {
                self.last.clone_from(&state);
                return Some((Ok(Event::default().id(state).data("changed")), self));
            }
            tokio::select! {
                () = self.stop.cancelled() => return None,
                changed = self.pulse.changed() => changed.ok()?,
                // The session is looked at again, though nothing has happened.
                () = tokio::time::sleep(5 * EVERY) => {}
            }
        }
    }
}

/// `GET /live`: resumes by `Last-Event-ID`.
pub async fn live(State(http): State<Http>, session: Session, headers: HeaderMap, parts: Parts) -> Response {
    if parts.extensions.get::<Viewer>().is_none() {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let listener = Listener {
        pulse: http.pulse.newest.subscribe(),
        stop: http.pulse.stop.clone(),
        last,
        session,
        sessions: crate::auth::session::Sessions::new(http.services.store.clone(), http.services.clock.clone()),
    };
    let stream = Sse::new(stream::unfold(listener, Listener::next)).keep_alive(KeepAlive::default());
    // A proxy that collects what it passes on would keep back each word.
    ([("x-accel-buffering", "no")], stream).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_last_change_pages_hear_of_it_until_all_that_is_shared_is_new() {
        let begin = Instant::now();
        let mut seen = Seen { last: String::new(), since: begin };
        let mut told = Vec::new();
        for second in 0..20 {
            let state = if second < 2 { "1" } else { "2" };
            told.push(seen.tell(state.to_owned(), begin + Duration::from_secs(second)));
        }
        told.dedup();
        assert_eq!(told, ["1", "1+", "2", "2+", "2++"]);
    }
}
