//! How many pages are put together a second: any number of viewers wait for each other, and deliveries for none of them.

use app::error::AppError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Pages a second for each core. Whoever looks all day needs one a second.
const PER_CORE: u32 = 20;
/// For how long an idle server saves up: then so many more are put together at once.
const SAVED_UP: Duration = Duration::from_secs(1);
/// How long a page waits for its turn at most, and how long it may take then.
const PATIENCE: Duration = Duration::from_secs(5);

/// When the next page may be put together.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    next: Arc<Mutex<Instant>>,
    gap: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let gap = Duration::from_secs(1) / PER_CORE / u32::try_from(cores).unwrap_or(1);
        Self { next: Arc::new(Mutex::new(Instant::now())), gap }
    }
}

impl Pace {
    /// When a page that is asked for now has its turn; nothing if that is too late.
    fn turn(&self, now: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let saved_up = now.checked_sub(SAVED_UP).unwrap_or(now);
        let turn = (*next).max(saved_up);
        if turn > now + PATIENCE {
            return None;
        }
        *next = turn + self.gap;
        Some(turn)
    }
}

/// Has a page wait for its turn, and be given up when it takes too long. What is posted does neither.
pub(super) async fn wait(State(pace): State<Pace>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() || request.uri().path() == "/live" {
        return next.run(request).await;
    }
    if let Some(turn) = pace.turn(Instant::now()) {
        tokio::time::sleep_until(turn).await;
        if let Ok(response) = tokio::time::timeout(PATIENCE, next.run(request)).await {
            return response;
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, AppError::late().message).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn viewers_have_their_turns_one_after_the_other_and_are_told_when_it_would_be_too_late() {
        let gap = Duration::from_millis(20);
        let begin = Instant::now() + Duration::from_hours(1);
        let pace = Pace { next: Arc::new(Mutex::new(begin)), gap };
        let after_a_while = begin + Duration::from_mins(1);
        let turns: Vec<_> = std::iter::from_fn(|| pace.turn(after_a_while)).collect();
        let at_once = turns.iter().filter(|turn| **turn <= after_a_while).count();
        assert_eq!(at_once, 51, "what was saved up in a second, and the next");
        assert_eq!(turns.len(), 51 + 250, "and five seconds of them wait");
        assert!(turns.windows(2).all(|two| two[1] - two[0] == gap));
        assert!(pace.turn(after_a_while + gap).is_some(), "a turn later there is one again");
    }
}
