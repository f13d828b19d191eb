//! A value that is computed for all viewers at once, however many look and however large the history is.
//!
//! The value is computed at most once a second, and takes no more than a twentieth of the time, as long as that makes
//! it no older than ten seconds.

use app::error::AppError;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// The shortest time that a value stays valid.
const LASTS: Duration = Duration::from_secs(1);
/// The time that a value stays valid, as a multiple of the time that it took to compute.
const SHARE: u32 = 20;
/// The longest time that a value stays valid: on a busy machine everything takes long.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);
/// The time after a failure in which the value is not computed again.
const PAUSE: Duration = Duration::from_secs(5);

/// The last result of computing a value.
#[derive(Debug)]
struct Last<T> {
    result: Result<T, AppError>,
    valid_until: Instant,
}

/// A value that is cached for all viewers.
#[derive(Debug)]
pub(super) struct Cached<T> {
    last: Mutex<Option<Last<T>>>,
}

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<T: Clone> Cached<T> {
    /// Returns the last value while it is valid, or else computes a new one. Callers that come meanwhile wait for it.
    ///
    /// # Errors
    /// Returns the error of computing the value. For the next seconds all callers get that error.
    pub(super) async fn get(&self, compute: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| Instant::now() < last.valid_until) {
            return last.result.clone();
        }
        let since = Instant::now();
        let result = compute.await;
        let lasts = if result.is_ok() { valid_for(since.elapsed()) } else { PAUSE };
        *last = Some(Last { result: result.clone(), valid_until: Instant::now() + lasts });
        result
    }
}

/// Returns the time that a value stays valid which took `took` to compute.
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
        let (cached, computed) = (Cached::default(), AtomicU32::new(0));
        let look = || cached.get(async { Ok(computed.fetch_add(1, Ordering::SeqCst)) });
        let all = futures_util::future::join_all((0..20).map(|_| look())).await;
        assert!(all.iter().all(|result| *result == Ok(0)), "{all:?}");
    }

    #[tokio::test]
    async fn failure_is_not_computed_again_by_each_viewer() {
        let (cached, computed) = (Cached::<u32>::default(), AtomicU32::new(0));
        for _ in 0..3 {
            let result = cached.get(async {
                computed.fetch_add(1, Ordering::SeqCst);
                Err(AppError::new(Code::Unavailable, "too slow"))
            });
            assert!(result.await.is_err());
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);
    }
}
