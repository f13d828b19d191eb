//! Limits the pages rendered per second. Viewers wait for each other, and deliveries do not wait for pages.

use app::error::AppError;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Pages per second and core. A live page needs one a second.
const PER_CORE: u32 = 20;
/// Unused time that an idle server may make up for: as many pages more are rendered at once.
const SAVED_UP: Duration = Duration::from_secs(1);
/// The longest wait for a slot, and the longest rendering after it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time of the next free slot.
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
    /// Takes the next slot. Returns its time, or `None` if it is too late.
    fn take_slot(&self, now: Instant) -> Option<Instant> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let saved_up = now.checked_sub(SAVED_UP).unwrap_or(now);
        let slot = (*next).max(saved_up);
        if slot > now + PATIENCE {
            return None;
        }
        *next = slot + self.gap;
        Some(slot)
    }
}

/// Delays a page until its slot, and responds with 503 when it takes too long. Posts are neither delayed nor limited.
pub(super) async fn wait(State(pace): State<Pace>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() || request.uri().path() == "/live" {
        return next.run(request).await;
    }
    if let Some(slot) = pace.take_slot(Instant::now()) {
        tokio::time::sleep_until(slot).await;
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
    async fn pace_spreads_pages_and_refuses_those_that_would_wait_too_long() {
        let gap = Duration::from_millis(20);
        let begin = Instant::now() + Duration::from_hours(1);
        let pace = Pace { next: Arc::new(Mutex::new(begin)), gap };
        let after_a_while = begin + Duration::from_mins(1);
        let slots: Vec<_> = std::iter::from_fn(|| pace.take_slot(after_a_while)).collect();
        let at_once = slots.iter().filter(|slot| **slot <= after_a_while).count();
        assert_eq!(at_once, 51, "what was saved up in a second, and the next");
        assert_eq!(slots.len(), 51 + 250, "and five seconds of them wait");
        assert!(slots.windows(2).all(|two| two[1] - two[0] == gap));
        assert!(pace.take_slot(after_a_while + gap).is_some(), "a slot later one is free again");
    }
}
