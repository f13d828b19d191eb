//! Limits the pages rendered per second, so that viewers wait for each other, and deliveries do not wait for pages.
//! Public pages have slots of their own, so that strangers do not use up the slots of people who are signed in.

use super::session::is_public;
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
/// Public pages per second and core.
const PUBLIC_PER_CORE: u32 = 5;
/// The unused time of an idle server that is saved up: the pages of this time may be rendered at once.
const SAVED_UP: Duration = Duration::from_secs(1);
/// The longest wait for a slot, and the longest rendering after it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The time of the next free slot.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    next: Arc<Mutex<Instant>>,
    gap: Duration,
}

/// The slots of people who are signed in, and those of public pages.
#[derive(Debug, Clone)]
pub(super) struct Paces {
    signed_in: Pace,
    public: Pace,
}

impl Default for Paces {
    fn default() -> Self {
        Self { signed_in: Pace::per_core(PER_CORE), public: Pace::per_core(PUBLIC_PER_CORE) }
    }
}

impl Pace {
    fn per_core(pages: u32) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let gap = Duration::from_secs(1) / pages / u32::try_from(cores).unwrap_or(1);
        Self { next: Arc::new(Mutex::new(Instant::now())), gap }
    }

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
pub(super) async fn wait(State(paces): State<Paces>, request: Request, next: Next) -> Response {
    if !request.method().is_safe() || request.uri().path() == "/live" {
        return next.run(request).await;
    }
    let pace = if is_public(request.uri().path()) { &paces.public } else { &paces.signed_in };
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
    use axum::Router;
    use axum::body::Body;
    use tower::ServiceExt;

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

    #[tokio::test]
    async fn strangers_do_not_use_up_the_slots_of_people_who_are_signed_in() {
        let taken = |pace: Pace| Pace { next: Arc::new(Mutex::new(Instant::now() + PATIENCE * 2)), ..pace };
        let busy = Paces { public: taken(Pace::per_core(1)), ..Paces::default() };
        let pages = Router::new().fallback(async || "a page").layer(axum::middleware::from_fn_with_state(busy, wait));
        let status = async |path: &str| {
            let request = Request::get(path).body(Body::empty()).unwrap();
            pages.clone().oneshot(request).await.unwrap().status()
        };
        assert_eq!(status("/sign-in").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status("/deliveries").await, StatusCode::OK);
    }
}
