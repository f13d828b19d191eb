//! The numbers of held deliveries by destination, for the limit of a hold.

use crate::store::{self, Store, hold};
use model::hold::HELD_MAX;
use model::id::DestinationId;
use sea_orm::ConnectionTrait;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Numbers up to this one are counted while the caller waits.
const SMALL: u64 = 1000;
/// The part of the time that may be spent on counting a destination: a twentieth.
const REST: u32 = 20;
/// The same near the limit: a quarter.
const REST_NEAR_LIMIT: u32 = 4;

/// The numbers of held deliveries: as last counted, plus those held since. A hundred thousand rows are too many to
/// count for each group. On PostgreSQL each row may be in another block on the disk, so a count can take a second.
#[derive(Debug)]
pub struct HeldCounts {
    store: Store,
    counts: Arc<Mutex<HashMap<DestinationId, HeldCount>>>,
}

#[derive(Debug, Clone, Copy)]
struct HeldCount {
    held: u64,
    counted_at: Instant,
    /// The time that the count took.
    took: Duration,
    /// The deliveries that were held since the count under way has begun. `None` while no count is under way.
    held_since: Option<u64>,
}

impl HeldCount {
    /// Returns the time for which the count is good enough. Small numbers are counted again soon, large ones seldom,
    /// and those near the limit each second. A full hold is counted again every two seconds, since other nodes and
    /// people release deliveries. A count that took long is used for longer.
    fn lasts(self) -> Duration {
        match self.held {
            held if held >= HELD_MAX => Duration::from_secs(2).max(self.took * REST_NEAR_LIMIT),
            _ if self.is_near_limit() => Duration::from_secs(1).max(self.took * REST_NEAR_LIMIT),
            held => Duration::from_millis(held / 10).max(self.took * REST),
        }
    }

    /// Returns true where deliveries are refused, or soon may be.
    fn is_near_limit(self) -> bool {
        self.held > HELD_MAX / 10 * 9
    }

    /// Returns true when this count may be used while a new count is under way. An old count must not decide that
    /// deliveries are refused: everything may have been released since.
    fn serves_meanwhile(self) -> bool {
        self.held > SMALL && (!self.is_near_limit() || self.counted_at.elapsed() < self.lasts() * 2)
    }
}

impl HeldCounts {
    /// Returns no counts yet.
    pub fn new(store: Store) -> Self {
        Self { store, counts: Arc::default() }
    }

    /// Returns the number of further deliveries that a destination may hold. While a large number is counted again, the
    /// last count is used, so that the caller's transaction does not wait. Only an old count near the limit is not
    /// used.
    pub async fn room(&self, db: &impl ConnectionTrait, id: DestinationId) -> Result<u64, store::Error> {
        let known = self.lock().get(&id).copied();
        let held = match known {
            Some(count) if count.counted_at.elapsed() < count.lasts() => count.held,
            Some(count) if count.serves_meanwhile() => {
                if count.held_since.is_none() {
                    self.count_beside(id);
                }
                count.held
            }
            _ => {
                let since = Instant::now();
                let held = hold::count_held(db, id).await?;
                let count = HeldCount { held, counted_at: Instant::now(), took: since.elapsed(), held_since: None };
                self.lock().insert(id, count);
                held
            }
        };
        Ok(HELD_MAX.saturating_sub(held))
    }

    /// Counts deliveries that are held from now on.
    pub fn add(&self, id: DestinationId, held: u64) {
        if let Some(count) = self.lock().get_mut(&id) {
            count.held += held;
            count.held_since = count.held_since.map(|since| since + held);
        }
    }

    /// Counts again in a task of its own.
    fn count_beside(&self, id: DestinationId) {
        if let Some(count) = self.lock().get_mut(&id) {
            count.held_since = Some(0);
        }
        let (store, counts) = (self.store.clone(), self.counts.clone());
        tokio::spawn(async move {
            let since = Instant::now();
            let counted = store.in_time(hold::count_held(store.read(), id)).await;
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(count) = counts.get_mut(&id) else { return };
            // Another caller could not wait, and has counted meanwhile.
            let Some(held_since) = count.held_since.take() else { return };
            match counted {
                // A delivery that was held meanwhile may be counted twice, until the next count.
                Ok(held) => *count = HeldCount { held: held + held_since, took: since.elapsed(), ..*count },
                Err(error) => tracing::warn!(%error, destination = %id, "held deliveries could not be counted"),
            }
            count.counted_at = Instant::now();
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<DestinationId, HeldCount>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::connect;
    use std::path::Path;

    const ID: DestinationId = DestinationId(1);

    /// Returns the counts of an empty database, in which a hold was full that long ago.
    async fn counted_full(folder: &Path, before: Duration) -> (Store, HeldCounts) {
        let store = connect::open_sqlite(folder).await.expect("opened");
        connect::migrate(&store).await.expect("migrated");
        let counts = HeldCounts::new(store.clone());
        let counted_at = Instant::now().checked_sub(before).expect("an instant");
        let full = HeldCount { held: HELD_MAX, counted_at, took: Duration::from_secs(10), held_since: None };
        counts.lock().insert(ID, full);
        (store, counts)
    }

    #[tokio::test]
    async fn hold_that_was_full_and_was_released_long_ago_refuses_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, counts) = counted_full(folder.path(), Duration::from_hours(1)).await;
        assert_eq!(counts.room(store.read(), ID).await.expect("counted"), HELD_MAX);
    }

    #[tokio::test]
    async fn group_does_not_wait_until_a_full_hold_is_counted_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, counts) = counted_full(folder.path(), Duration::from_secs(41)).await;
        // The count is a task of its own, which has not begun yet.
        assert_eq!(counts.room(store.read(), ID).await.expect("known"), 0);
        let counted = async {
            while counts.lock()[&ID].held > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), counted).await.expect("counted beside the groups");
    }
}
