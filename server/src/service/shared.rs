//! An answer that many viewers share: computed at most once a second, and for no more than a twentieth of the time as long
//! as that makes it no older than ten seconds, however many look and however large the history is.

use app::error::AppError;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// How long an answer is good at least.
const LASTS: Duration = Duration::from_secs(1);
/// For how many times as long as it took to compute an answer is good.
const SHARE: u32 = 20;
/// How long it is good at most: on a busy machine everything takes long.
pub(crate) const LONGEST: Duration = Duration::from_secs(10);
/// How long nobody asks again for an answer that could not be had.
const PAUSE: Duration = Duration::from_secs(5);

/// The last answer, or why there is none.
#[derive(Debug)]
struct Last<T> {
    answer: Result<T, AppError>,
    good_until: Instant,
}

/// An answer for all who look.
#[derive(Debug)]
pub(super) struct Shared<T> {
    last: Mutex<Option<Last<T>>>,
}

impl<T> Default for Shared<T> {
    fn default() -> Self {
        Self { last: Mutex::default() }
    }
}

impl<T: Clone> Shared<T> {
    /// The answer: the last one while it is good, or else a new one. Whoever comes meanwhile waits for that.
    ///
    /// # Errors
    /// What computing it came to; then nobody asks again for a while.
    pub(super) async fn get(&self, compute: impl Future<Output = Result<T, AppError>>) -> Result<T, AppError> {
        let mut last = self.last.lock().await;
        if let Some(last) = last.as_ref().filter(|last| Instant::now() < last.good_until) {
            return last.answer.clone();
        }
        let since = Instant::now();
        let answer = compute.await;
        let lasts = if answer.is_ok() { good_for(since.elapsed()) } else { PAUSE };
        *last = Some(Last { answer: answer.clone(), good_until: Instant::now() + lasts });
        answer
    }
}

/// How long an answer is good that took so long.
fn good_for(took: Duration) -> Duration {
    (took * SHARE).clamp(LASTS, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::error::Code;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn an_answer_is_good_for_longer_the_longer_it_took_and_not_for_ever() {
        for (took, good) in [(1, 1000), (100, 2000), (600, 10_000), (60_000, 10_000)] {
            assert_eq!(good_for(Duration::from_millis(took)).as_millis(), good, "{took} ms");
        }
    }

    #[tokio::test]
    async fn twenty_viewers_cost_as_much_as_one() {
        let (shared, computed) = (Shared::default(), AtomicU32::new(0));
        let look = || shared.get(async { Ok(computed.fetch_add(1, Ordering::SeqCst)) });
        let all = futures_util::future::join_all((0..20).map(|_| look())).await;
        assert!(all.iter().all(|answer| *answer == Ok(0)), "{all:?}");
    }

    #[tokio::test]
    async fn what_cannot_be_had_is_not_asked_for_by_each_viewer() {
        let (shared, computed) = (Shared::<u32>::default(), AtomicU32::new(0));
        for _ in 0..3 {
            let answer = shared.get(async {
                computed.fetch_add(1, Ordering::SeqCst);
                Err(AppError::new(Code::Unavailable, "too slow"))
            });
            assert!(answer.await.is_err());
        }
        assert_eq!(computed.load(Ordering::SeqCst), 1);
    }
}
