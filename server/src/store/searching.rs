//! Searches: lists by conditions that no index serves. One search runs at a time. On PostgreSQL a pause follows each
//! search.
//!
//! A search that is continued reads a million rows. SQLite reads them on a thread of lower priority. PostgreSQL has no
//! priorities, and may have only a few cores. So the next search waits for as long as the last one took: however many
//! people search, the searches take at most half of a core's time.

use super::connect::{PAGE_PATIENCE, SEARCHERS};
use super::{Error, Result, Store};
use model::number::to_usize;
use sea_orm::{ConnAcquireErr, DbErr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The queue of the searches.
#[derive(Debug, Clone)]
pub(super) struct SearchQueue {
    free: Arc<Semaphore>,
    rests: bool,
}

impl SearchQueue {
    /// Returns a queue of which one search runs at a time. With `rests`, a pause of the same length follows each
    /// search.
    pub(super) fn new(rests: bool) -> Self {
        Self { free: Arc::new(Semaphore::new(to_usize(SEARCHERS))), rests }
    }

    /// Waits for the permit of the next search. The permit is released when it is dropped and the rest is over.
    async fn acquire(&self) -> Result<SearchPermit> {
        let Ok(Ok(permit)) = tokio::time::timeout(PAGE_PATIENCE, self.free.clone().acquire_owned()).await else {
            return Err(Error::Unavailable(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)));
        };
        Ok(SearchPermit { permit: Some(permit), rests: self.rests, since: Instant::now(), is_done: false })
    }
}

/// The permit of one search.
struct SearchPermit {
    permit: Option<OwnedSemaphorePermit>,
    rests: bool,
    since: Instant,
    /// False while the search runs, and when it was cancelled.
    is_done: bool,
}

impl SearchPermit {
    /// Returns how long the next search waits. The database continues a cancelled search until its own time limit.
    fn rest(&self) -> Duration {
        let took = self.since.elapsed();
        if self.is_done { took } else { PAGE_PATIENCE.saturating_sub(took).max(took) }
    }
}

impl Drop for SearchPermit {
    fn drop(&mut self) {
        if let (true, Some(permit), Ok(runtime)) = (self.rests, self.permit.take(), Handle::try_current()) {
            let rest = self.rest();
            runtime.spawn(async move {
                tokio::time::sleep(rest).await;
                drop(permit);
            });
        }
    }
}

impl Store {
    /// Runs `work`, which searches with [`Store::searches`], as soon as no other search runs.
    ///
    /// # Errors
    /// [`Error::is_late`] when the wait takes longer than five seconds.
    pub async fn search<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut permit = self.search_queue.acquire().await?;
        let found = work.await;
        permit.is_done = true;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn next_search_waits_for_as_long_as_the_last_one_took_on_a_database_without_priorities() {
        let queue = SearchQueue::new(true);
        let mut permit = queue.acquire().await.unwrap();
        assert_eq!(queue.free.available_permits(), 0, "one at a time");
        let took = Duration::from_secs(3);
        permit.since = Instant::now().checked_sub(took).unwrap();
        assert!(permit.rest() >= took, "cancelled: the database may go on");
        permit.is_done = true;
        assert!(permit.rest() >= took && permit.rest() < PAGE_PATIENCE);
        drop(permit);
        assert_eq!(queue.free.available_permits(), 0, "it rests");

        let queue = SearchQueue::new(false);
        drop(queue.acquire().await.unwrap());
        assert_eq!(queue.free.available_permits(), 1);
    }
}
