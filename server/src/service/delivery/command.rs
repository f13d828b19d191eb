//! Commands on deliveries: sending one again, and discarding one that waits.

use super::{last_revision, not_found, parse_uuid};
use crate::engine::render::Subject;
use crate::engine::start::{Origin, Start};
use crate::service::Services;
use crate::service::run::end_runs;
use crate::store::delivery::{self, Row};
use crate::store::destination::{self, Destination};
use crate::store::revision::{self, Kind};
use crate::store::{hold, webhook};
use app::error::{AppError, Code};
use model::delivery::{ErrorCode, Status};
use model::run::Cause;
use sea_orm::{ConnectionTrait, DatabaseTransaction};
use std::sync::Arc;

impl Services {
    /// Sends a delivery again, with the webhook as it is now or as of its revision. Returns the new delivery's public id.
    pub(super) async fn replay_delivery(&self, uuid: &str, is_original: bool, by: String) -> Result<String, AppError> {
        let uuid = parse_uuid(uuid)?;
        let txn = self.store.begin_change().await?;
        let now = self.clock.now();
        let old = delivery::find(&txn, uuid).await?.ok_or_else(not_found)?;
        if !old.line.status.is_some_and(Status::is_settled) {
            return Err(AppError::new(Code::Conflict, "This delivery is still on its way. Wait until it is settled."));
        }
        if old.error_code.as_deref() == Some(ErrorCode::TooLarge.as_str()) {
            let message = "This message was too large: there is nothing to send again.";
            return Err(AppError::new(Code::Conflict, message));
        }
        let Some(destination) = destination::find(&txn, old.line.destination_id).await? else {
            let message = "The webhook of this delivery was deleted: there is nowhere to send it.";
            return Err(AppError::new(Code::Conflict, message));
        };
        let revision = match (&destination, is_original) {
            (Destination::Webhook(webhook), true) => {
                let number = revision_of(&txn, &old).await?;
                self.check_secret_headers(&txn, webhook, number).await?;
                Some(number)
            }
            (Destination::Mailer(_), true) => {
                let message = "An e-mail is always sent through the mail server of now. Choose Replay.";
                return Err(AppError::new(Code::Conflict, message));
            }
            (_, false) => None,
        };
        let subject = Subject {
            type_id: &old.line.type_id,
            event_id: &old.line.event_id,
            object_id: old.object_id,
            object_name: old.line.object_name.as_deref(),
            depth: old.depth,
            ..Subject::NOTHING
        };
        let one = Start {
            task: Origin::Replay(&old, revision),
            destination: &Arc::new(destination),
            cause: Cause::Replay(by),
            event_ids: Vec::new(),
            subject,
        };
        self.start(txn, one, now).await
    }

    /// Fails when the webhook as of this revision has a secret header whose value is no longer stored.
    async fn check_secret_headers(
        &self,
        db: &impl ConnectionTrait,
        webhook: &webhook::Row,
        number: i64,
    ) -> Result<(), AppError> {
        // A revision that cannot be read is reported by the new delivery itself.
        let then = revision::find(db, Kind::Webhook, webhook.id.0, number).await.unwrap_or_default();
        let Some(then) = then.and_then(|then| webhook.as_of_revision(then)) else { return Ok(()) };
        let secrets = self.open_for_test(&then)?;
        then.settings.headers.with_secrets(&secrets.headers()).map(drop).map_err(|missing| {
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
        let runs = hold::discard_one(&txn, row.id.0, &format!("Discarded by {by}."), now).await?;
        if runs.is_empty() {
            let message = "This delivery is no longer waiting: it is being sent, or is settled.";
            return Err(AppError::new(Code::Conflict, message));
        }
        end_runs(&txn, runs, now).await?;
        self.commit(txn).await
    }
}

/// Returns the webhook's revision that the delivery names as a replay, or else that of its last attempt, or else that
/// of its queueing.
async fn revision_of(txn: &DatabaseTransaction, old: &Row) -> Result<i64, AppError> {
    if let Some(revision) = old.replay.revision {
        return Ok(revision);
    }
    let attempts = delivery::list_attempts(txn, old.id).await?;
    Ok(last_revision(&attempts).unwrap_or(old.destination_revision))
}
