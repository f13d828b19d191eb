//! One delivery, from its claim to the end of its attempt. Opens no transaction, and ends in every case.

use super::{Dispatcher, Ended, Senders, chain};
use crate::engine::lane::Leased;
use crate::outbound::secrets;
use crate::outbound::send::{self, NotSent, Outgoing};
use crate::store;
use crate::store::claim::Claimed;
use crate::store::delivery::{Attempted, Settlement};
use crate::store::destination::{self, Destination};
use crate::store::revision::{self, Kind};
use crate::store::suspect;
use futures_util::FutureExt;
use model::delivery::{ErrorCode, Next, Outcome, Status, after_attempt};
use model::number::millis;
use model::time::Timestamp;
use std::panic::AssertUnwindSafe;
use std::time::Duration;
use tokio::sync::mpsc;

/// The number of claims without a record after which a delivery is suspect: it may be what ended its server each time.
/// Most suspects were never sent: a claim leases up to 128 deliveries of a destination, and a node that is killed has
/// sent only some of them.
const SUSPECT_AFTER: u32 = 3;
/// The number of attempts that a suspect delivery may begin beyond its recorded ones.
const UNRECORDED_BEGINS: i64 = 3;
/// The wait of a delivery that was not sent because this machine lacked a resource, such as open files.
const SHORTAGE_WAIT: Duration = Duration::from_secs(1);

/// The result of an attempt to send.
enum Tried {
    /// The receiver was called, or the attempt failed before. Both are attempts.
    Attempted(Attempted),
    /// The attempt says nothing about the receiver. The delivery returns to the queue.
    NotSent(NotSent),
}

impl Dispatcher {
    /// Starts a task for each delivery. The task then sends the deliveries that wait in the lane.
    pub(super) fn start(&self, senders: &Senders, leased: Vec<Leased>) {
        for one in leased {
            senders.tasks.spawn(self.clone().send_lane(one, senders.ended.clone()));
        }
    }

    /// Returns deliveries that wait for their attempt to the queue.
    pub(super) fn return_all(senders: &Senders, leased: Vec<Leased>) {
        for one in leased {
            report(&senders.ended, returned(one.claimed, false));
        }
    }

    /// Sends a delivery and then those that wait in its lane, and reports to `ended` how each ended.
    async fn send_lane(self, first: Leased, ended: mpsc::UnboundedSender<Ended>) {
        let mut next = Some(first);
        while let Some(leased) = next.take() {
            let id = leased.claimed.destination_id();
            let end = self.deliver(leased).await;
            let others;
            (next, others) = self.lanes.after(id, end.behaviour());
            report(&ended, end);
            for one in others {
                report(&ended, returned(one.claimed, false));
            }
        }
    }

    /// Sends one delivery, and returns its end.
    async fn deliver(&self, Leased { mut claimed, destination }: Leased) -> Ended {
        let body = std::mem::take(&mut claimed.body);
        let copy = claimed.clone();
        // A panic in one delivery must neither leave the delivery running for ever nor end the others.
        let attempt = AssertUnwindSafe(self.attempt_once(claimed, &body, destination.as_deref())).catch_unwind();
        attempt.await.unwrap_or_else(|_| {
            tracing::error!(delivery = %copy.uuid, "an attempt panicked");
            let revision = destination.as_ref().map(|destination| destination.revision()).unwrap_or_default();
            self.end_as_internal(copy, "An internal fault of Hookwright ended this attempt; see its log.", revision)
        })
    }

    async fn attempt_once(&self, claimed: Claimed, body: &[u8], destination: Option<&Destination>) -> Ended {
        let now = self.clock.now();
        let Some(destination) = destination else {
            return self.end_as_internal(claimed, "The webhook of this delivery does not exist any more.", 0);
        };
        if !destination.is_readable() {
            return self.end_as_internal(claimed, &destination::unreadable(destination.kind()), destination.revision());
        }
        if claimed.is_outdated(destination.hold().target_revision) {
            // The target has changed since the claim: the delivery returns to the queue, where the sweep holds it.
            return returned(claimed, true);
        }
        if claimed.is_late(now, destination.timeout()) {
            // The delivery waited behind others of its destination. Its lease could end before the attempt.
            return returned(claimed, true);
        }
        let is_suspect = claimed.unrecorded() >= SUSPECT_AFTER;
        if is_suspect && let Some(refused) = Box::pin(self.note_begin(&claimed, destination)).await {
            return refused;
        }
        crate::fault::point("send.before");
        let tried = self.attempt(&claimed, body, destination).await;
        if is_suspect && !matches!(tried, Ok(Tried::Attempted(_))) {
            Box::pin(self.take_back_begin(&claimed)).await;
        }
        let attempted = match tried {
            Ok(Tried::Attempted(attempted)) => attempted,
            Ok(Tried::NotSent(NotSent::Stopped)) => return returned(claimed, true),
            Ok(Tried::NotSent(NotSent::Shortage(what))) => {
                tracing::warn!(delivery = %claimed.uuid, what, "a delivery waits: a resource of this machine is used up");
                return postponed(claimed, now);
            }
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!(error = chain(error), "the revision of a webhook could not be read");
                return postponed(claimed, now);
            }
            // Another try would fail in the same way.
            Err(error) => {
                tracing::error!(error = chain(error), "the revision of a webhook cannot be read");
                self.failed("The revision of the webhook cannot be read any more.")
            }
        };
        crate::fault::point("send.after");
        let now = self.clock.now();
        let next = after_attempt(&attempted.outcome, claimed.attempt(), destination.retries(), now, rand::random());
        tracing::info!(
            delivery = %claimed.uuid,
            destination = %claimed.destination_id(),
            attempt = claimed.attempt(),
            status_code = attempted.status_code,
            failed = matches!(attempted.outcome, Outcome::Failed { .. }),
            duration_ms = millis(attempted.duration),
            "attempt"
        );
        let destination_revision = destination.revision();
        Ended::Attempted(Box::new(Settlement::new(claimed, attempted, next, destination_revision)))
    }

    /// Records that an attempt of a suspect delivery begins, so that only attempts that may have reached the receiver
    /// count against it. Returns the end of the delivery if it must not be sent.
    async fn note_begin(&self, claimed: &Claimed, destination: &Destination) -> Option<Ended> {
        let now = self.clock.now();
        let db = self.store.autocommit();
        match self.store.alone(suspect::note_begin(db, self.owner, claimed.id())).await {
            Ok(Some(begins)) if begins > claimed.attempts() + UNRECORDED_BEGINS => {
                let message = "Sent several times, and the result could not be recorded. Not sent again.";
                Some(self.end_as_internal(claimed.clone(), message, destination.revision()))
            }
            Ok(Some(_)) => None,
            // The lease ran out: the delivery may belong to another node.
            Ok(None) => Some(returned(claimed.clone(), true)),
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!(error = chain(error), "the beginning of an attempt could not be noted");
                Some(postponed(claimed.clone(), now))
            }
            Err(error) => {
                tracing::error!(error = chain(error), "the beginning of an attempt cannot be noted");
                let message = "The delivery may end its server, and that cannot be noted. Not sent again.";
                Some(self.end_as_internal(claimed.clone(), message, destination.revision()))
            }
        }
    }

    /// Removes the recorded beginning of an attempt that was not made. A beginning that stays on record costs the
    /// delivery one attempt.
    async fn take_back_begin(&self, claimed: &Claimed) {
        let db = self.store.autocommit();
        if let Err(error) = self.store.alone(suspect::take_back_begin(db, self.owner, claimed.id())).await {
            tracing::warn!(error = chain(error), "the beginning of an attempt could not be taken back");
        }
    }

    /// Makes one attempt: through the destination as it is, or as of the revision that a replay names.
    ///
    /// # Errors
    /// Fails when that revision could not be read.
    async fn attempt(&self, claimed: &Claimed, body: &[u8], destination: &Destination) -> Result<Tried, store::Error> {
        let as_of_revision = match claimed.replay_revision {
            None => None,
            Some(number) => {
                let Some(then) = self.find_as_of(destination, number).await? else {
                    let message = format!("The revision of the {} is no longer retained.", destination.kind().noun());
                    return Ok(Tried::Attempted(self.failed(&message)));
                };
                Some(then)
            }
        };
        let destination = as_of_revision.as_ref().unwrap_or(destination);
        let opened = match secrets::open(&self.vault, destination) {
            Ok(opened) => opened,
            Err(error) => {
                tracing::error!(destination = %destination.id(), %error, "a secret does not open");
                let noun = destination.kind().noun();
                let message = format!("The secret of this {noun} cannot be opened. Enter it again.");
                return Ok(Tried::Attempted(self.failed(&message)));
            }
        };
        let Some(recipients) = claimed.recipients() else {
            return Ok(Tried::Attempted(self.failed("The recipients of this e-mail cannot be read.")));
        };
        let outgoing = Outgoing { id: claimed.uuid, body, recipients: &recipients };
        let sent = send::send(&self.clock, &self.clients, &opened, outgoing, &self.cut).await;
        Ok(sent.map_or_else(Tried::NotSent, Tried::Attempted))
    }

    /// Returns a webhook as of a revision. `None` where the revision is no longer retained, and for other kinds of
    /// destinations: they are always sent to as they are.
    async fn find_as_of(&self, destination: &Destination, number: i64) -> Result<Option<Destination>, store::Error> {
        let Destination::Webhook(webhook) = destination else { return Ok(None) };
        let settings = revision::find(self.store.read(), Kind::Webhook, webhook.id.0, number).await?;
        Ok(settings.and_then(|settings| webhook.as_of_revision(settings)).map(Destination::Webhook))
    }

    /// Ends a delivery with an internal error. It is not sent again.
    fn end_as_internal(&self, claimed: Claimed, message: &str, destination_revision: i64) -> Ended {
        let attempted = self.failed(message);
        let next = Next::Settle(Status::Error);
        Ended::Attempted(Box::new(Settlement::new(claimed, attempted, next, destination_revision)))
    }

    /// Returns an attempt that failed before anything was sent.
    fn failed(&self, message: &str) -> Attempted {
        Attempted::failed(self.clock.now(), Duration::ZERO, ErrorCode::Internal, message.to_owned())
    }
}

/// Returns the end of a delivery that returns to its place in the queue.
fn returned(claimed: Claimed, had_turn: bool) -> Ended {
    Ended::Returned { claimed, due: None, had_turn }
}

/// Returns the end of a delivery that waits for a resource of this machine.
fn postponed(claimed: Claimed, now: Timestamp) -> Ended {
    Ended::Returned { claimed, due: Some(now.after(SHORTAGE_WAIT)), had_turn: true }
}

/// Reports the end of a delivery to the cycles.
pub(super) fn report(ended: &mpsc::UnboundedSender<Ended>, end: Ended) {
    if ended.send(end).is_err() {
        // The lease runs out and the delivery is tried again: a repeat, never a loss.
        tracing::error!("an attempt ended after the dispatcher");
    }
}
