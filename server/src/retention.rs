//! Retention: settled deliveries are retained for a number of days, and up to a number per destination. Occurrences
//! that started nothing are retained for fewer days. Only settled rows are removed, in small steps.
//!
//! When the clock has moved by more than a day since the last sweep, nothing is removed for another day. A wrong clock
//! must not empty the records, and a person needs time to notice it.

use crate::clock::Clock;
use crate::store::retention::Old;
use crate::store::steps::Steps;
use crate::store::{self, Store, retention, setting};
use model::number::millis;
use model::time::Timestamp;
use std::fmt::Debug;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// The limits of retention, from the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Retention of settled deliveries, with their runs and occurrences.
    pub settled: Duration,
    /// The number of settled deliveries retained per destination.
    pub per_destination: u32,
    /// Retention of occurrences that started nothing.
    pub unmatched: Duration,
}

/// Interval between two sweeps.
const EVERY: Duration = Duration::from_hours(1);
/// Limits of occurrences that started nothing, and of the revisions of one destination, task or event.
const UNMATCHED_MAX: u32 = 1_000_000;
const REVISIONS_MAX: u32 = 1000;
/// The longest time between two sweeps after which the clock is trusted, and the delay of removal after a longer time.
const TRUSTED_GAP: Duration = Duration::from_hours(24);
/// The rest between two steps, as a multiple of the time that a step takes, so that removal takes a tenth of the
/// writer's time.
const REST: u32 = 9;
/// The same for a sweep that has lasted for half an hour: removal would otherwise fall behind new rows.
const REST_OF_LATE: u32 = 1;
const LATE: Duration = Duration::from_mins(30);
/// The setting with the time of the last sweep.
const LAST_SWEEP: &str = "last_sweep";
/// The setting with the time from which the clock is trusted again.
const TRUSTED_FROM: &str = "retention_from";

/// Removes old rows.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    clock: Clock,
    limits: Limits,
}

impl Retention {
    /// Returns the retention of this store, by this clock.
    pub fn new(store: Store, clock: Clock, limits: Limits) -> Self {
        Self { store, clock, limits }
    }

    /// Sweeps every hour until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.sweep_until(&stop).await {
                tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "old rows could not be removed");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Sweeps once. Returns the number of removed rows, without sessions and receipts.
    pub async fn sweep(&self) -> Result<u64, store::Error> {
        self.sweep_until(&CancellationToken::new()).await
    }

    /// Sweeps until done or until `stop` is cancelled; the next start continues.
    async fn sweep_until(&self, stop: &CancellationToken) -> Result<u64, store::Error> {
        let now = self.clock.now();
        if !self.is_clock_trusted(now).await? {
            tracing::info!("nothing old is removed until tomorrow: the last sweep was over a day ago by this clock");
            return Ok(0);
        }
        let before = |retention: Duration| Timestamp(now.0 - millis(retention));
        let (oldest, oldest_unmatched) = (before(self.limits.settled), before(self.limits.unmatched));
        let (db, since) = (self.store.read(), Instant::now());
        for old in [Old::Sessions(now), Old::Receipts(now)] {
            self.remove(old, since, stop).await?;
        }
        let mut removed = self.remove(Old::Settled(oldest), since, stop).await?;
        for old in found(retention::find_excess(db, self.limits.per_destination), stop).await? {
            removed += self.remove(old, since, stop).await?;
        }
        for old in
            [Old::EmptyRuns(oldest), Old::Occurrences(oldest, (i64::MIN, i64::MIN)), Old::Unmatched(oldest_unmatched)]
        {
            removed += self.remove(old, since, stop).await?;
        }
        for old in found(retention::find_unmatched_excess(db, UNMATCHED_MAX), stop).await? {
            tracing::warn!(most = UNMATCHED_MAX, "the oldest of too many occurrences that started nothing are removed");
            removed += self.remove(old, since, stop).await?;
        }
        // Revisions stay as long as an explanation or a replay of a retained row may need them.
        removed += self.remove(Old::Revisions(oldest.min(oldest_unmatched)), since, stop).await?;
        for old in found(retention::find_revision_excess(db, REVISIONS_MAX), stop).await? {
            tracing::warn!(most = REVISIONS_MAX, ?old, "the oldest of too many revisions of one row are removed");
            removed += self.remove(old, since, stop).await?;
        }
        Ok(removed)
    }

    /// Removes all rows of this kind in steps, or until `stop` is cancelled, in a sweep that began at `since`. Returns
    /// the number of removed rows, or 0 after a failure.
    ///
    /// # Errors
    /// Fails when the database is away. Any other failure is logged, so that it does not delay the other kinds of rows.
    async fn remove(&self, old: Old, since: Instant, stop: &CancellationToken) -> Result<u64, store::Error> {
        tolerate(&old, self.remove_all(old, since, stop).await)
    }

    async fn remove_all(&self, mut old: Old, since: Instant, stop: &CancellationToken) -> Result<u64, store::Error> {
        let (mut steps, mut all) = (Steps::new(), 0);
        while let Some(size) = stop.run_until_cancelled(steps.next()).await.flatten() {
            steps.rest(if since.elapsed() < LATE { REST } else { REST_OF_LATE });
            let txn = self.store.begin().await?;
            steps.begin();
            let done = old.remove(&txn, size).await?;
            steps.end(done.counted);
            self.store.commit(txn).await?;
            all += done.removed;
            old = old.after(done);
            crate::fault::point("retention.between-steps");
        }
        Ok(all)
    }
}

/// Returns the surplus rows that a look finds, and none where the look fails or `stop` is cancelled.
///
/// # Errors
/// Fails when the database is away.
async fn found(
    look: impl Future<Output = Result<Vec<Old>, store::Error>>,
    stop: &CancellationToken,
) -> Result<Vec<Old>, store::Error> {
    tolerate(&"surplus rows", stop.run_until_cancelled(look).await.unwrap_or(Ok(Vec::new())))
}

/// Logs a failure, unless the database is away. Rows that another transaction blocks, or whose statement takes too
/// long, must not delay the other kinds.
fn tolerate<T: Default>(what: &impl Debug, done: Result<T, store::Error>) -> Result<T, store::Error> {
    match done {
        Err(error) if !matches!(error, store::Error::Unavailable(_)) || error.is_blocked() => {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(?what, error, "old rows of one kind could not be removed");
            Ok(T::default())
        }
        done => done,
    }
}

impl Retention {
    /// Records this sweep. Returns false for a day after a gap of more than a day between two sweeps.
    async fn is_clock_trusted(&self, now: Timestamp) -> Result<bool, store::Error> {
        let txn = self.store.begin().await?;
        let instant = async |key| {
            let text = setting::find(&txn, key).await?;
            Ok::<_, store::Error>(text.and_then(|text| text.parse().ok()).map(Timestamp))
        };
        let last = instant(LAST_SWEEP).await?;
        let moved = last.map_or(Duration::ZERO, |last| now.since(last).max(last.since(now)));
        let mut from = instant(TRUSTED_FROM).await?;
        let latest = now.after(TRUSTED_GAP);
        if moved > TRUSTED_GAP || from.is_some_and(|from| from > latest) {
            from = Some(latest);
            setting::put(&txn, TRUSTED_FROM, &latest.0.to_string()).await?;
        }
        setting::put(&txn, LAST_SWEEP, &now.0.to_string()).await?;
        self.store.commit(txn).await?;
        Ok(from.is_none_or(|from| from <= now))
    }
}
