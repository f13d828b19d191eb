//! How long things are kept: settled deliveries for so many days and so many of each webhook, occurrences that started
//! nothing for fewer days. Only what is settled is removed, in small steps. When the clock has moved by over a day since
//! the last sweep nothing is removed for a day more: a clock that is set wrong must not empty the records, and a person
//! needs time to notice.

use crate::clock::Clock;
use crate::store::retention::Step;
use crate::store::{self, Store, access, receipt, retention, setting};
use model::time::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What is kept; the configuration says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// How long settled deliveries are kept, with the runs and occurrences they came of.
    pub settled: Duration,
    /// How many settled deliveries of one webhook are kept.
    pub per_webhook: u32,
    /// How long occurrences are kept that started nothing.
    pub unmatched: Duration,
}

/// How often there is a sweep.
const EVERY: Duration = Duration::from_hours(1);
/// The longest time between two sweeps that is believed at once, and how long it takes until a longer one is.
const BELIEVED: Duration = Duration::from_hours(24);
/// Where the instant of the last sweep is kept.
const LAST_SWEEP: &str = "last_sweep";
/// Where the instant is kept from which on a clock that moved by more is believed.
const BELIEVED_FROM: &str = "retention_from";

/// Removes what is old and over.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    clock: Clock,
    kept: Kept,
}

impl Retention {
    /// Retention in this store, by this clock.
    pub fn new(store: Store, clock: Clock, kept: Kept) -> Self {
        Self { store, clock, kept }
    }

    /// Sweeps every hour until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.sweep_until(&stop).await {
                tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "what is old could not be removed");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Sweeps once. Answers how many rows went, not counting sessions and receipts.
    pub async fn sweep(&self) -> Result<u64, store::Error> {
        self.sweep_until(&CancellationToken::new()).await
    }

    /// Sweeps once, or until `stop` is cancelled: the next start goes on.
    async fn sweep_until(&self, stop: &CancellationToken) -> Result<u64, store::Error> {
        let now = self.clock.now();
        let db = self.store.write();
        if !self.is_believed(now).await? {
            tracing::info!("nothing old is removed until tomorrow: the last sweep was over a day ago by this clock");
            return Ok(0);
        }
        access::delete_expired_sessions(db, now).await?;
        receipt::delete_expired(db, now).await?;
        let before = |kept: Duration| Timestamp(now.0 - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let (oldest, oldest_unmatched) = (before(self.kept.settled), before(self.kept.unmatched));
        let mut removed = in_steps(stop, || retention::delete_settled(&self.store, oldest)).await?;
        for (webhook, newest) in retention::find_excess(self.store.read(), self.kept.per_webhook).await? {
            removed += in_steps(stop, || retention::delete_up_to(&self.store, webhook, newest)).await?;
        }
        removed += in_steps(stop, || retention::delete_empty_runs(db, oldest)).await?;
        removed += in_steps(stop, || retention::delete_occurrences(db, oldest)).await?;
        removed += in_steps(stop, || retention::delete_unmatched(db, oldest_unmatched)).await?;
        Ok(removed)
    }
}

impl Retention {
    /// Whether the clock has gone on as it should for a day.
    async fn is_believed(&self, now: Timestamp) -> Result<bool, store::Error> {
        let txn = self.store.begin().await?;
        let instant = async |key| {
            let text = setting::find(&txn, key).await?;
            Ok::<_, store::Error>(text.and_then(|text| text.parse().ok()).map(Timestamp))
        };
        let last = instant(LAST_SWEEP).await?;
        let moved = last.map_or(Duration::ZERO, |last| now.since(last).max(last.since(now)));
        let mut from = instant(BELIEVED_FROM).await?;
        let latest = now.after(BELIEVED);
        if moved > BELIEVED || from.is_some_and(|from| from > latest) {
            from = Some(latest);
            setting::put(&txn, BELIEVED_FROM, &latest.0.to_string()).await?;
        }
        setting::put(&txn, LAST_SWEEP, &now.0.to_string()).await?;
        self.store.commit(txn).await?;
        Ok(from.is_none_or(|from| from <= now))
    }
}

/// Between two steps whoever waits for the writer gets it.
async fn in_steps<F: Future<Output = Result<Step, store::Error>>>(
    stop: &CancellationToken,
    remove: impl Fn() -> F,
) -> Result<u64, store::Error> {
    let mut all = 0;
    while !stop.is_cancelled() {
        let Step { removed, is_full } = remove().await?;
        all += removed;
        if !is_full {
            break;
        }
        crate::fault::point("retention.between-steps");
        tokio::task::yield_now().await;
    }
    Ok(all)
}
