//! Searches: lists by what no index finds. One after the other, and on PostgreSQL with a rest after each.
//!
//! A search reads a table as a whole. SQLite does so on a thread of lower priority. PostgreSQL knows no priorities, and
//! may have as few cores as this machine: however many people search, half a core's time is left between the searches.

use super::connect::{PAGE_PATIENCE, SEARCHERS};
use super::{Error, Result, Store};
use sea_orm::{ConnAcquireErr, DbErr};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// The turns of those who search.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    free: Arc<Semaphore>,
    rests: bool,
}

impl Turns {
    /// Turns one after the other; with `rests` each is followed by a pause of its own length.
    pub(super) fn new(rests: bool) -> Self {
        Self { free: Arc::new(Semaphore::new(SEARCHERS as usize)), rests }
    }

    /// Waits for a turn, which lasts until its value is dropped and the rest is over.
    async fn take(&self) -> Result<Turn> {
        let Ok(Ok(permit)) = tokio::time::timeout(PAGE_PATIENCE, self.free.clone().acquire_owned()).await else {
            return Err(Error::Unavailable(DbErr::ConnectionAcquire(ConnAcquireErr::Timeout)));
        };
        Ok(Turn { permit: Some(permit), rests: self.rests, since: Instant::now(), is_done: false })
    }
}

/// Somebody's turn.
struct Turn {
    permit: Option<OwnedSemaphorePermit>,
    rests: bool,
    since: Instant,
    is_done: bool,
}

impl Turn {
    /// How long the next one waits. The database goes on with what nobody waits for any more, until its own limit.
    fn rest(&self) -> Duration {
        let took = self.since.elapsed();
        if self.is_done { took } else { PAGE_PATIENCE.saturating_sub(took).max(took) }
    }
}

impl Drop for Turn {
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
    /// Has `work` search with [`Store::searches`] when it has its turn.
    ///
    /// # Errors
    /// [`Error::is_late`] when the turn does not come within some seconds.
    pub async fn search<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut turn = self.turns.take().await?;
        let found = work.await;
        turn.is_done = true;
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn after_a_search_the_next_one_waits_as_long_as_it_took_where_the_database_knows_no_priorities() {
        let turns = Turns::new(true);
        let mut turn = turns.take().await.unwrap();
        assert_eq!(turns.free.available_permits(), 0, "one at a time");
        let took = Duration::from_secs(3);
        turn.since = Instant::now().checked_sub(took).unwrap();
        assert!(turn.rest() >= took, "given up: the database may go on");
        turn.is_done = true;
        assert!(turn.rest() >= took && turn.rest() < PAGE_PATIENCE);
        drop(turn);
        assert_eq!(turns.free.available_permits(), 0, "it rests");

        let turns = Turns::new(false);
        drop(turns.take().await.unwrap());
        assert_eq!(turns.free.available_permits(), 1);
    }
}
