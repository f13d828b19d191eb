//! A value that is computed once for all viewers.
//!
//! The value is computed at most once a second. Computing takes at most a twentieth of the time, unless the value would
//! then become older than ten seconds. While a slow value is computed anew, viewers get the last one.

use app::error::AppError;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The shortest time that a value stays valid.
const LASTS: Duration = Duration::from_secs(1);
/// The time that a value stays valid, as a multiple of the time that it took to compute.
const SHARE: u32 = 20;
/// The longest time that a value stays valid: on a busy machine, computing may take very long.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);
/// A value that takes at least this long to compute is slow: viewers do not wait for a new one.
const SLOW: Duration = Duration::from_millis(20);
/// The time after a failure in which the value is not computed again.
const PAUSE: Duration = Duration::from_secs(5);

/// The last result of computing a value.
#[derive(Debug)]
struct Last<T> {
    result: Result<T, AppError>,
    since: Instant,
    took: Duration,
    valid_until: Instant,
    /// True while a new value is computed in the background.
    is_renewed: bool,
}

impl<T> Last<T> {
    /// Computes a value, and measures the time.
    async fn of(compute: impl Future<Output = Result<T, AppError>>) -> Self {
        let since = Instant::now();
        let result = compute.await;
        let took = since.elapsed();
        let lasts = if result.is_ok() { valid_for(took) } else { PAUSE };
        Self { result, since, took, valid_until: Instant::now() + lasts, is_renewed: false }
    }

    /// Returns true for a value that viewers get while a new one is computed.
    fn bridges(&self) -> bool {
        self.result.is_ok() && self.took >= SLOW && self.since.elapsed() < LONGEST
    }
}

/// A value that is cached for all viewers. Clones share the value.
#[derive(Debug)]
pub(super) struct Cached<T> {
    last: Arc<Mutex<Option<Last<T>>>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { last: Arc::default() }
    }
}

impl<T: Clone + Send + 'static> Cached<T> {
    /// Returns the last value while it is valid, and computes a new one otherwise. Other callers meanwhile wait for the
    /// new value, or get the last one if that was slow to compute.
    ///
    /// # Errors
    /// Returns the error of computing the value. For the next seconds all callers get that error.
    pub(super) async fn get(
        &self,
        compute: impl Future<Output = Result<T, AppError>> + Send + 'static,
    ) -> Result<T, AppError> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_mut() {
            if Instant::now() < last.valid_until || (last.is_renewed && last.bridges()) {
                return last.result.clone();
            }
            if last.bridges() {
                last.is_renewed = true;
                let cell = self.last.clone();
                tokio::spawn(async move {
                    let renewed = Last::of(compute).await;
                    *cell.lock().await = Some(renewed);
                });
                return last.result.clone();
            }
        }
        let computed = Last::of(compute).await;
        let result = computed.result.clone();
        *last = Some(computed);
        result
    }
}

/// Returns the time for which a value that took `took` to compute stays valid.
fn valid_for(took: Duration) -> Duration {
    (took * SHARE).clamp(LASTS, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::error::Code;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn slower_value_stays_valid_for_longer_up_to_ten_seconds() {
        for (took, valid) in [(1, 1000), (100, 2000), (600, 10_000), (60_000, 10_000)] {
            assert_eq!(valid_for(Duration::from_millis(took)).as_millis(), valid, "{took} ms");
        }
    }

    #[tokio::test]
    async fn twenty_viewers_compute_the_value_once() {
        let (cached, computed) = (Cached::default(), Arc::new(AtomicU32::new(0)));
        let look = || {
            let computed = computed.clone();
            cached.get(async move { Ok(computed.fetch_add(1, Ordering::SeqCst)) })
        };
        let all = futures_util::future::join_all((0..20).map(|_| look())).await;
        assert!(all.iter().all(|result| *result == Ok(0)), "{all:?}");
    }

    #[tokio::test]
    async fn slow_value_is_computed_anew_while_viewers_get_the_last_one() {
        let cached = Cached::default();
        let last = Last { took: SLOW, valid_until: Instant::now(), ..Last::of(async { Ok(1) }).await };
        *cached.last.lock().await = Some(last);
        let (send, receive) = tokio::sync::oneshot::channel();
        assert_eq!(cached.get(async { Ok(receive.await.expect("a value")) }).await, Ok(1));
        assert_eq!(cached.get(async { Ok(3) }).await, Ok(1), "it is being computed already");
        send.send(2).expect("awaited");
        while cached.last.lock().await.as_ref().is_some_and(|last| last.is_renewed) {
            tokio::task::yield_now().await;
        }
        assert_eq!(cached.get(async { Ok(3) }).await, Ok(2));
        let old = Last {
            took: SLOW,
            since: Instant::now().checked_sub(LONGEST).expect("a machine that has run for ten seconds"),
            valid_until: Instant::now(),
            ..Last::of(async { Ok(4) }).await
        };
        *cached.last.lock().await = Some(old);
        assert_eq!(cached.get(async { Ok(5) }).await, Ok(5), "viewers wait when the last value is old");
    }

    #[tokio::test]
    async fn failure_is_not_computed_again_by_each_viewer() {
        let (cached, computed) = (Cached::<u32>::default(), Arc::new(AtomicU32::new(0)));
        for _ in 0..3 {
            let count = computed.clone();
            let result = cached.get(async move {
                count.fetch_add(1, Ordering::SeqCst);
                Err(AppError::new(Code::Unavailable, "too slow"))
            });
            assert!(result.await.is_err());
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);
    }
}
