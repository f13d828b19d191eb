//! Commands that hold a webhook's deliveries, and that end a hold.

use crate::service::Services;
use crate::service::run::end_runs;
use crate::store::steps::Steps;
use crate::store::{arrange, hold, webhook};
use app::error::{AppError, Code};
use app::view::webhook::{Held, ReleaseChoice};
use model::delivery::HoldReason;
use model::id::WebhookId;
use std::time::Duration;

/// How long a command waits for a large backlog to follow.
const ARRANGED_AT_ONCE: Duration = Duration::from_secs(1);

impl Services {
    /// Arranges a webhook's waiting deliveries for a moment, so that what was changed is seen at once; the sweep arranges
    /// the rest of a large backlog.
    pub(super) async fn arrange(&self, id: WebhookId) -> Result<(), AppError> {
        arrange::finish(&self.store, id, self.clock.now(), ARRANGED_AT_ONCE).await.map_err(AppError::from)
    }

    /// Gives up what is not to go on of what is held for a reason, in steps, before the reason ends. A failure in between
    /// leaves the rest held: whoever submits again gives up that, too.
    async fn give_up(&self, id: WebhookId, held: (HoldReason, i64), which: Held) -> Result<(), AppError> {
        let mut superseded = match which {
            Held::All => return Ok(()),
            Held::Newest => hold::superseded(self.store.pages(), id, held).await?,
            Held::None => Vec::new(),
        };
        let (now, mut steps) = (self.clock.now(), Steps::new());
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            let (given_up, counted) = if which == Held::None {
                let runs = hold::discard_some_held(&txn, id, held, size, now).await?;
                let counted = runs.len();
                (runs, counted)
            } else {
                let rest = superseded.len().saturating_sub(usize::try_from(size).unwrap_or_default());
                let part = superseded.split_off(rest);
                let counted = part.len();
                (hold::discard_held(&txn, part, held.0, now).await?, counted)
            };
            end_runs(&txn, given_up, now).await?;
            steps.end(counted as u64);
            self.commit(txn).await?;
        }
        Ok(())
    }

    pub(super) async fn pause_webhook(&self, id: WebhookId) -> Result<(), AppError> {
        self.find_webhook(id).await?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::pause(&txn, id, now).await? {
            return Err(AppError::new(Code::Conflict, "This webhook is paused already."));
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit(txn).await?;
        self.arrange(id).await
    }

    pub(super) async fn resume_webhook(&self, id: WebhookId, choice: ReleaseChoice) -> Result<(), AppError> {
        let row = self.find_webhook(id).await?;
        let not_paused = || AppError::new(Code::Conflict, "This webhook is not paused.");
        if row.hold.paused_at.is_none() {
            return Err(not_paused());
        }
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Paused).await?;
        if let Some(newest) = newest {
            self.give_up(id, (HoldReason::Paused, newest), choice.held).await?;
        }
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        if !hold::resume(&txn, id, rate(&choice), now).await? {
            return Err(not_paused());
        }
        arrange::begin(&txn, id, false, now).await?;
        self.commit_due(txn).await?;
        self.arrange(id).await?;
        self.bell.notify_one();
        Ok(())
    }

    pub(super) async fn confirm_target_of(
        &self,
        id: WebhookId,
        revision: i64,
        choice: ReleaseChoice,
    ) -> Result<(), AppError> {
        let is_still_meant = |row: Option<webhook::Row>| {
            let row = row.ok_or_else(|| AppError::not_found("webhook"))?;
            let words = "Somebody has changed this webhook since you looked at it. The deliveries that were not confirmed \
                         before wait on. Look at where it goes now, and confirm again.";
            if row.revision == revision { Ok(()) } else { Err(AppError::new(Code::Conflict, words)) }
        };
        is_still_meant(webhook::find(self.store.pages(), id).await?)?;
        let newest = hold::newest_held(self.store.pages(), id, HoldReason::Target).await?;
        let Some(newest) = newest else { return Ok(()) };
        self.give_up(id, (HoldReason::Target, newest), choice.held).await?;
        let mut steps = Steps::new();
        while let Some(size) = steps.next().await {
            let txn = self.store.begin_change().await?;
            steps.begin();
            is_still_meant(webhook::find(&txn, id).await?)?;
            let reason = hold::set_rate(&txn, id, rate(&choice), self.clock.now()).await?;
            let confirmed = hold::confirm(&txn, id, (revision, newest), reason, size).await?;
            steps.end(confirmed);
            self.commit_due(txn).await?;
        }
        // An open breaker knows nothing of an earlier target.
        self.arrange(id).await
    }
}

/// How many a second are let go, if not all at once.
fn rate(choice: &ReleaseChoice) -> Option<u32> {
    choice.per_second.map(|rate| rate.clamp(1, 10_000))
}
