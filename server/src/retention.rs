//! How long things are kept: settled deliveries 70 days and 100,000 for each webhook, occurrences that started nothing
//! 14 days. Only what is settled is removed, in small steps, and nothing when the clock has moved by over a day since
//! the last sweep: a clock that is set wrong must not empty the records.

use crate::clock::Clock;
use crate::store::{self, Store, access, receipt, retention, setting};
use model::time::Timestamp;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long settled deliveries are kept, with the runs and occurrences they came of.
const KEPT: Duration = Duration::from_hours(70 * 24);
/// How long occurrences are kept that started nothing.
const KEPT_UNMATCHED: Duration = Duration::from_hours(14 * 24);
/// How many settled deliveries of one webhook are kept.
const KEPT_PER_WEBHOOK: i64 = 100_000;
/// How often there is a sweep.
const EVERY: Duration = Duration::from_hours(1);
/// The longest time between two sweeps that is believed.
const BELIEVED: Duration = Duration::from_hours(24);
/// Where the instant of the last sweep is kept.
const LAST_SWEEP: &str = "last_sweep";

/// Removes what is old and over.
#[derive(Clone)]
pub struct Retention {
    store: Store,
    clock: Clock,
}

impl Retention {
    /// Retention in this store, by this clock.
    pub fn new(store: Store, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// Sweeps every hour until `stop` is cancelled.
    pub async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if let Err(error) = self.sweep().await {
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
        let now = self.clock.now();
        let db = self.store.write();
        let last = setting::find(db, LAST_SWEEP).await?.and_then(|text| text.parse().ok()).map(Timestamp);
        setting::put(db, LAST_SWEEP, &now.0.to_string()).await?;
        let moved = last.map_or(Duration::MAX, |last| now.since(last).max(last.since(now)));
        if moved > BELIEVED {
            tracing::info!("nothing old is removed: the last sweep was over a day ago by this clock");
            return Ok(0);
        }
        access::delete_expired_sessions(db, now).await?;
        receipt::delete_expired(db, now).await?;
        let before = |kept: Duration| Timestamp(now.0 - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let (oldest, oldest_unmatched) = (before(KEPT), before(KEPT_UNMATCHED));
        let mut all = 0;
        loop {
            let mut removed = retention::delete_settled(db, oldest).await?;
            removed += retention::delete_excess(db, KEPT_PER_WEBHOOK).await?;
            removed += retention::delete_empty_runs(db, oldest).await?;
            removed += retention::delete_occurrences(db, oldest, oldest_unmatched).await?;
            if removed == 0 {
                return Ok(all);
            }
            all += removed;
            // Between two steps whoever waits for the writer gets it.
            tokio::task::yield_now().await;
        }
    }
}
