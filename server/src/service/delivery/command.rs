//! Commands on deliveries: sending one again, and discarding one that waits.

use super::{last_revision, not_found, parse_uuid};
use crate::clock::new_uuid;
use crate::service::Services;
use crate::service::run::{end_runs, start_run};
use crate::store::delivery::{self, NewDelivery, Replay};
use crate::store::occurrence::{Cause, NewRun};
use crate::store::revision::{self, Kind};
use crate::store::{entity, hold, webhook};
use app::error::{AppError, Code};
use model::delivery::{ErrorCode, Status};
use model::id::{DeliveryId, ObjectId, WebhookId};
use model::message::Note;
use sea_orm::{ConnectionTrait, DatabaseTransaction};

impl Services {
    /// Sends a delivery again, with the webhook as it is now or as of its revision. Returns the new delivery's public id.
    pub(super) async fn replay_delivery(&self, uuid: &str, as_it_was: bool, by: String) -> Result<String, AppError> {
        let uuid = parse_uuid(uuid)?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let old = delivery::find(&txn, uuid).await?.ok_or_else(not_found)?;
        if !Status::find(&old.status).is_some_and(Status::is_settled) {
            return Err(AppError::new(Code::Conflict, "This delivery is still on its way. Wait until it is settled."));
        }
        if old.error_code.as_deref() == Some(ErrorCode::TooLarge.as_str()) {
            let message = "This message was too large: there is nothing to send again.";
            return Err(AppError::new(Code::Conflict, message));
        }
        let webhook = webhook::find(&txn, WebhookId(old.webhook_id)).await?;
        let Some(webhook) = webhook else {
            let message = "The webhook of this delivery was deleted: there is nowhere to send it.";
            return Err(AppError::new(Code::Conflict, message));
        };
        let (revision, hold) = if as_it_was {
            let number = revision_of(&txn, &old).await?;
            self.check_secret_headers(&txn, &webhook, number).await?;
            (Some(number), webhook.hold.reason_of_replay())
        } else {
            (None, webhook.hold.reason())
        };
        let run = NewRun {
            uuid: new_uuid(now),
            // A replay's outcome does not concern the task: its success deletes nothing.
            task_id: None,
            task_name: old.task_name.clone(),
            cause: Cause::Replay(by),
            event_ids: Vec::new(),
        };
        let run_id = start_run(&txn, run, now).await?;
        let new = NewDelivery {
            uuid: new_uuid(now),
            run_id,
            webhook_id: webhook.id,
            webhook_name: webhook.name.clone(),
            task_name: old.task_name,
            type_id: old.type_id,
            event_id: old.event_id,
            object_id: old.object_id.map(ObjectId),
            object_name: old.object_name,
            body: old.body,
            notes: old.notes.iter().flat_map(|notes| notes.lines()).filter_map(Note::from_line).collect(),
            failed: None,
            hold,
            depth: u32::try_from(old.depth).unwrap_or(u32::MAX),
            webhook_revision: webhook.revision,
            replay: Replay { of: Some(DeliveryId(old.id)), revision },
        };
        self.queue(txn, new, now).await
    }

    /// Fails when the webhook as of this revision has a secret header whose value is no longer stored.
    async fn check_secret_headers(
        &self,
        db: &impl ConnectionTrait,
        webhook: &webhook::Row,
        number: i64,
    ) -> Result<(), AppError> {
        // The delivery itself reports a revision that cannot be read.
        let then = revision::find(db, Kind::Webhook, webhook.id.0, number).await.unwrap_or_default();
        let Some(then) = then.and_then(|then| webhook.as_it_was(then)) else { return Ok(()) };
        let secrets = self.open_for_test(&then)?;
        then.headers.with_secrets(&secrets.headers()).map(drop).map_err(|missing| {
            let message = format!(
                "It was sent with the secret header {}, whose value is no longer stored for that target. Replay it \
                 with the current webhook.",
                missing.0
            );
            AppError::new(Code::Conflict, message)
        })
    }

    /// Discards a delivery that waits.
    pub(super) async fn discard_delivery(&self, uuid: &str, by: &str) -> Result<(), AppError> {
        let uuid = parse_uuid(uuid)?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let row = delivery::find(&txn, uuid).await?.ok_or_else(not_found)?;
        let runs = hold::discard_one(&txn, row.id, &format!("Discarded by {by}."), now).await?;
        if runs.is_empty() {
            let message = "This delivery is no longer waiting: it is being sent, or is settled.";
            return Err(AppError::new(Code::Conflict, message));
        }
        end_runs(&txn, runs, now).await?;
        self.commit(txn).await
    }
}

/// Returns the webhook's revision that the last attempt was made by; without an attempt, that of queueing.
async fn revision_of(txn: &DatabaseTransaction, old: &entity::delivery::Model) -> Result<i64, AppError> {
    if let Some(revision) = old.replay_revision {
        return Ok(revision);
    }
    let attempts = delivery::list_attempts(txn, DeliveryId(old.id)).await?;
    Ok(last_revision(&attempts).unwrap_or(old.webhook_revision))
}
