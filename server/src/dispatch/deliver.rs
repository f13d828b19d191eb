//! One delivery, from its claim to the end of its attempt. Opens no transaction, and ends in every case.

use super::{Dispatcher, Ended, chain};
use crate::outbound::secrets;
use crate::outbound::send::{self, NotSent, Outgoing};
use crate::store;
use crate::store::claim::Claimed;
use crate::store::delivery::{Attempted, Settlement};
use crate::store::revision::{self, Kind};
use crate::store::webhook::{self, Row};
use futures_util::FutureExt;
use model::delivery::{ErrorCode, Next, Outcome, Status, after_attempt};
use model::number::millis;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The number of claims without a record that a delivery may have beyond its attempts. Each claim may have reached the
/// receiver.
const UNRECORDED_MAX: u32 = 3;
/// The wait of a delivery that was not sent because this machine lacked a resource, such as open files.
const SHORTAGE_WAIT: Duration = Duration::from_secs(1);

/// The result of an attempt to send.
enum Tried {
    /// The receiver was called, or the attempt failed before. Both are attempts.
    Attempted(Attempted),
    /// Nothing can be said of the receiver: the delivery returns to the queue.
    NotSent(NotSent),
}

impl Dispatcher {
    /// Sends one delivery and reports to `ended` how that ended.
    pub(super) async fn deliver(self, mut claimed: Claimed, webhook: Option<Arc<Row>>, ended: mpsc::Sender<Ended>) {
        let body = std::mem::take(&mut claimed.body);
        let copy = claimed.clone();
        // A panic in one delivery must neither leave the delivery running for ever nor end the others.
        let attempt = AssertUnwindSafe(self.attempt_once(claimed, &body, webhook.as_deref())).catch_unwind();
        let end = attempt.await.unwrap_or_else(|_| {
            tracing::error!(delivery = %copy.uuid, "an attempt panicked");
            let revision = webhook.as_ref().map(|webhook| webhook.revision).unwrap_or_default();
            self.end_as_internal(copy, "An internal fault of Hookwright ended this attempt; see its log.", revision)
        });
        if ended.send(end).await.is_err() {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            tracing::error!("an attempt ended after the dispatcher");
        }
    }

    async fn attempt_once(&self, claimed: Claimed, body: &[u8], webhook: Option<&Row>) -> Ended {
        let now = self.clock.now();
        let Some(webhook) = webhook else {
            return self.end_as_internal(claimed, "The webhook of this delivery does not exist any more.", 0);
        };
        if !webhook.is_readable {
            return self.end_as_internal(claimed, webhook::UNREADABLE, webhook.revision);
        }
        if claimed.is_outdated(webhook.hold.target_revision) {
            // The target has changed since the claim: the delivery returns to the queue, where the sweep holds it.
            return Ended::Returned(claimed, now);
        }
        let unrecorded = claimed.unrecorded();
        if unrecorded > webhook.settings.retries + UNRECORDED_MAX {
            let message =
                format!("Sent up to {unrecorded} times, and the result could not be recorded. Not sent again.");
            return self.end_as_internal(claimed, &message, webhook.revision);
        }
        crate::fault::point("send.before");
        let attempted = match self.attempt(&claimed, body, webhook).await {
            Ok(Tried::Attempted(attempted)) => attempted,
            Ok(Tried::NotSent(NotSent::Stopped)) => return Ended::Returned(claimed, now),
            Ok(Tried::NotSent(NotSent::Shortage(what))) => {
                tracing::warn!(delivery = %claimed.uuid, what, "a delivery waits: a resource of this machine is used up");
                return Ended::Returned(claimed, now.after(SHORTAGE_WAIT));
            }
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!(error = chain(error), "the webhook's revision could not be read");
                return Ended::Returned(claimed, now.after(SHORTAGE_WAIT));
            }
            // Another try would fail alike.
            Err(error) => {
                tracing::error!(error = chain(error), "the webhook's revision cannot be read");
                self.failed("The revision of the webhook cannot be read any more.")
            }
        };
        crate::fault::point("send.after");
        let now = self.clock.now();
        let next = after_attempt(&attempted.outcome, claimed.attempt(), webhook.settings.retries, now, rand::random());
        tracing::info!(
            delivery = %claimed.uuid,
            webhook = %claimed.webhook_id(),
            attempt = claimed.attempt(),
            http_status = attempted.http_status,
            failed = matches!(attempted.outcome, Outcome::Failed { .. }),
            duration_ms = millis(attempted.duration),
            "attempt"
        );
        Ended::Attempted(Settlement { claimed, attempted, next, webhook_revision: webhook.revision })
    }

    /// Makes one attempt: through the webhook as it is, or as of the revision that a replay names.
    ///
    /// # Errors
    /// Fails when that revision could not be read.
    async fn attempt(&self, claimed: &Claimed, body: &[u8], webhook: &Row) -> Result<Tried, store::Error> {
        let as_of_revision = match claimed.replay_revision {
            None => None,
            Some(number) => {
                let settings = revision::find(self.store.read(), Kind::Webhook, webhook.id.0, number).await?;
                let Some(row) = settings.and_then(|settings| webhook.as_of_revision(settings)) else {
                    return Ok(Tried::Attempted(self.failed("The revision of the webhook is no longer retained.")));
                };
                Some(row)
            }
        };
        let webhook = as_of_revision.as_ref().unwrap_or(webhook);
        let secrets = match secrets::open(&self.vault, webhook) {
            Ok(secrets) => secrets,
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "a secret does not open");
                let message = "The secret of this webhook cannot be opened. Enter it again.";
                return Ok(Tried::Attempted(self.failed(message)));
            }
        };
        let outgoing = Outgoing { id: claimed.uuid, body };
        let sent = send::send(&self.clock, &self.clients, webhook, &secrets, outgoing, &self.cut).await;
        Ok(sent.map_or_else(Tried::NotSent, Tried::Attempted))
    }

    /// Ends a delivery that is not sent again, by an internal error.
    fn end_as_internal(&self, claimed: Claimed, message: &str, webhook_revision: i64) -> Ended {
        let attempted = self.failed(message);
        Ended::Attempted(Settlement { claimed, attempted, next: Next::Settle(Status::Error), webhook_revision })
    }

    /// Returns an attempt that failed before anything was sent.
    fn failed(&self, message: &str) -> Attempted {
        Attempted::failed(self.clock.now(), Duration::ZERO, ErrorCode::Internal, message.to_owned())
    }
}
