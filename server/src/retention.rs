//! How long things are kept: settled deliveries for so many days and so many of each webhook, occurrences that started
//! nothing for fewer days. Only what is settled is removed, in small steps. When the clock has moved by over a day since
//! the last sweep nothing is removed for a day more: a clock that is set wrong must not empty the records, and a person
//! needs time to notice.

use crate::clock::Clock;
use crate::store::retention::{Old, Step};
use crate::store::steps::Steps;
use crate::store::{self, Store, retention, setting};
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
/// How many occurrences are kept that started nothing, and how many revisions of one webhook, task or event.
const UNMATCHED_MAX: u32 = 1_000_000;
const REVISIONS_MAX: u32 = 1000;
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
        if !self.is_believed(now).await? {
            tracing::info!("nothing old is removed until tomorrow: the last sweep was over a day ago by this clock");
            return Ok(0);
        }
        let before = |kept: Duration| Timestamp(now.0 - i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let (oldest, oldest_unmatched) = (before(self.kept.settled), before(self.kept.unmatched));
        let of_nobody = [Old::Sessions(now), Old::Receipts(now)];
        for old in of_nobody {
            self.remove(old, stop).await?;
        }
        let mut removed = self.remove(Old::Settled(oldest), stop).await?;
        let db = self.store.read();
        for (webhook, newest) in retention::find_excess(db, self.kept.per_webhook).await? {
            removed += self.remove(Old::OfWebhook(webhook, newest), stop).await?;
        }
        for old in [Old::EmptyRuns(oldest), Old::Occurrences(oldest), Old::Unmatched(oldest_unmatched)] {
            removed += self.remove(old, stop).await?;
        }
        if let Some(newest) = retention::find_unmatched_excess(db, UNMATCHED_MAX).await? {
            tracing::warn!(most = UNMATCHED_MAX, "the oldest of too many occurrences that started nothing are removed");
            removed += self.remove(Old::UnmatchedUpTo(newest), stop).await?;
        }
        // What an explanation or a replay of what is kept may need stays.
        removed += self.remove(Old::Revisions(oldest.min(oldest_unmatched)), stop).await?;
        for old in retention::find_revision_excess(db, REVISIONS_MAX).await? {
            tracing::warn!(most = REVISIONS_MAX, ?old, "the oldest of too many revisions of one row are removed");
            removed += self.remove(old, stop).await?;
        }
        Ok(removed)
    }

    /// Removes all of it in steps, or until `stop` is cancelled.
    async fn remove(&self, old: Old, stop: &CancellationToken) -> Result<u64, store::Error> {
        let (mut steps, mut all) = (Steps::new(), 0);
        while !stop.is_cancelled()
            && let Some(size) = steps.next().await
        {
            let txn = self.store.begin().await?;
            steps.begin();
            let Step { removed, counted } = old.remove(&txn, size).await?;
            steps.end(counted);
            self.store.commit(txn).await?;
            all += removed;
            crate::fault::point("retention.between-steps");
        }
        Ok(all)
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
