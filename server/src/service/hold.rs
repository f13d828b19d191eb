//! Commands that hold a destination's deliveries, and that end a hold.

use crate::service::Services;
use crate::service::run::end_runs;
use crate::store::destination::{self, Destination};
use crate::store::steps::Steps;
use crate::store::{arrange, hold};
use app::error::{AppError, Code};
use app::view::destination::{Held, ReleaseChoice};
use model::hold::HoldReason;
use model::id::DestinationId;
use std::time::Duration;

/// The time for which a command arranges a backlog. The sweep arranges the rest.
const ARRANGED_AT_ONCE: Duration = Duration::from_secs(1);

fn not_found() -> AppError {
    AppError::not_found("destination")
}

impl Services {
    async fn find_destination(&self, id: DestinationId) -> Result<Destination, AppError> {
        destination::find(self.store.pages(), id).await?.ok_or_else(not_found)
    }

    /// Arranges a destination's waiting deliveries for a moment after a change, so that the next page shows the effect.
    /// The sweep arranges the rest of a large backlog. The change is saved even if this fails.
    pub(super) async fn arrange(&self, id: DestinationId) {
        if let Err(error) = arrange::finish(&self.store, id, self.clock.now(), ARRANGED_AT_ONCE).await {
            let error = format!("{:#}", anyhow::Error::new(error));
            tracing::warn!(error, destination = %id, "the sweep arranges what waits, since a change could not");
        }
    }

    /// Discards the held deliveries that are not to be sent, in steps, before the hold ends. After a failure the rest
    /// stays held, and submitting again discards it.
    async fn discard_held(&self, id: DestinationId, held: (HoldReason, i64), which: Held) -> Result<(), AppError> {
        let mut superseded = match which {
            Held::All => return Ok(()),
            Held::Newest => hold::superseded(self.store.pages(), id, held).await?,
            Held::None => Vec::new(),
        };
        let mut steps = Steps::new();
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            let now = self.clock.now();
            let (runs, counted) = if which == Held::None {
                let runs = hold::discard_some_held(&txn, id, held, size, now).await?;
                let counted = runs.len();
                (runs, counted)
            } else {
                let rest = superseded.len().saturating_sub(usize::try_from(size).unwrap_or_default());
                let part = superseded.split_off(rest);
                let counted = part.len();
                (hold::discard_held(&txn, part, held.0, now).await?, counted)
            };
            end_runs(&txn, runs, now).await?;
            steps.end(counted as u64);
            self.commit(txn).await?;
        }
        Ok(())
    }

    pub(super) async fn pause_destination(&self, id: DestinationId) -> Result<(), AppError> {
        let noun = self.find_destination(id).await?.kind().noun();
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::pause(&txn, id, now).await? {
            return Err(AppError::new(Code::Conflict, format!("This {noun} is paused already.")));
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit(txn).await?;
        self.arrange(id).await;
        Ok(())
    }

    pub(super) async fn resume_destination(&self, id: DestinationId, choice: ReleaseChoice) -> Result<(), AppError> {
        let found = self.find_destination(id).await?;
        let noun = found.kind().noun();
        let not_paused = || AppError::new(Code::Conflict, format!("This {noun} is not paused."));
        if found.hold().paused_at.is_none() {
            return Err(not_paused());
        }
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Paused).await?;
        if let Some(newest) = newest {
            self.discard_held(id, (HoldReason::Paused, newest), choice.held).await?;
        }
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::resume(&txn, id, rate(&choice), now).await? {
            return Err(not_paused());
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit_due(txn).await?;
        self.arrange(id).await;
        self.wake.notify_one();
        Ok(())
    }

    pub(super) async fn confirm_target_of(
        &self,
        id: DestinationId,
        revision: i64,
        choice: ReleaseChoice,
    ) -> Result<(), AppError> {
        let check_revision = |found: Option<Destination>| {
            let found = found.ok_or_else(not_found)?;
            if found.revision() == revision {
                return Ok(());
            }
            let message = format!(
                "Somebody has changed this {} since you looked at it. The deliveries that were not confirmed before wait \
                 on. Look at where it goes now, and confirm again.",
                found.kind().noun()
            );
            Err(AppError::new(Code::Conflict, message))
        };
        check_revision(destination::find(self.store.pages(), id).await?)?;
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Target).await?;
        let Some(newest) = newest else { return Ok(()) };
        self.discard_held(id, (HoldReason::Target, newest), choice.held).await?;
        let mut steps = Steps::new();
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            check_revision(destination::find(&txn, id).await?)?;
            let reason = hold::set_rate(&txn, id, rate(&choice), self.clock.now()).await?;
            let confirmed = hold::confirm(&txn, id, (revision, newest), reason, size).await?;
            steps.end(confirmed);
            self.commit_due(txn).await?;
        }
        // An open breaker knows nothing of an earlier target.
        self.arrange(id).await;
        Ok(())
    }
}

/// Returns the rate of a release, in deliveries a second; `None` for all at once.
fn rate(choice: &ReleaseChoice) -> Option<u32> {
    choice.per_second.map(|rate| rate.clamp(1, 10_000))
}
