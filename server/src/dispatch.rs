//! The dispatcher: claims what is due, sends it, settles it; for ever, until told to stop.
//!
//! ```text
//! turn: settle what has ended (attempt + next state), claim what is due (a lease each)   one transaction
//! send: one task for each delivery                                                        network, nothing open
//! ```
//!
//! One loop takes turns: when something has ended, is queued or falls due, and at least once a second. What ends while
//! a turn is written shares the next. A worker that dies leaves a lease; whoever sweeps next puts the delivery back.
//! At-least-once is the contract.

pub mod client;
mod failure;
mod lane;
mod record;
pub mod request;
pub mod send;
mod settle;
mod tls;
mod turn;

use crate::service::Services;
use crate::store;
use crate::store::claim::Claimed;
use crate::store::delivery::{Attempted, Settlement};
use crate::store::revision::{self, Kind};
use crate::store::webhook::{self, Row, Target};
use client::Clients;
use futures_util::FutureExt;
use model::delivery::{ErrorCode, Next, Outcome, Status, after_attempt};
use model::time::Timestamp;
use send::{NotSent, Outgoing};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use turn::Work;
use uuid::Uuid;

/// How many ended attempts share a turn.
const GROUP_MAX: usize = 100;
/// How long a connection is used at most: then its host's name is resolved again, and checked again.
const CLIENTS_LAST: Duration = Duration::from_mins(5);
/// How long a stopping dispatcher lets attempts in flight go on. Service managers kill after ten seconds.
const DRAIN: Duration = Duration::from_secs(4);
/// How many claims without a record a delivery may have beyond its attempts. Each may have reached the receiver.
const UNRECORDED_MAX: u32 = 3;
/// How long a delivery waits that was not sent for want of something of our own, such as open files.
const SHORTAGE_WAIT: Duration = Duration::from_secs(1);

/// How a delivery in flight ended.
enum Ended {
    /// With an attempt.
    Attempted(Settlement),
    /// Without: its target had changed or could not be read, something of our own was short, or the server stops.
    Returned(Claimed, Timestamp),
}

impl Ended {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Attempted(settlement) => &settlement.claimed,
            Self::Returned(claimed, _) => claimed,
        }
    }

    /// Whether the receiver hangs, if this says so.
    fn is_hanging(&self) -> Option<bool> {
        let Self::Attempted(settlement) = self else { return None };
        // A target that has changed meanwhile is looked up with the next sweep.
        settlement.ending(0).and_then(|ending| ending.is_hanging)
    }
}

/// Sends deliveries.
#[derive(Clone)]
pub struct Dispatcher {
    services: Services,
    clients: Arc<Clients>,
    /// Rung when something may be due.
    bell: Arc<Notify>,
    /// This worker, in leases.
    owner: Uuid,
    /// How many deliveries of one webhook are in flight at most.
    per_webhook: usize,
    /// Cancelled when a stopping server waits no longer: attempts in flight end with what has arrived by then.
    cut: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher that looks whenever the services' bell rings, and has at most `per_webhook` deliveries of a webhook
    /// in flight, together with those of other nodes.
    pub fn new(services: Services, per_webhook: usize) -> Self {
        let bell = services.bell.clone();
        let clients = Arc::new(Clients::new(services.guard.clone(), CLIENTS_LAST));
        let owner = crate::clock::new_uuid(services.clock.now());
        Self { services, clients, bell, owner, per_webhook, cut: CancellationToken::new() }
    }

    /// Works until `stop` is cancelled, then lets what is in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        // In one task: a fault of either ends both, and with them the process.
        tokio::join!(self.take_turns(&stop), self.keep_sweeping(&stop));
    }

    async fn take_turns(&self, stop: &CancellationToken) {
        let (ended, mut waiting) = mpsc::channel(lane::SLOTS);
        let mut work = Work::new(self.per_webhook, ended);
        let mut wait = Duration::ZERO;
        loop {
            let mut group = Vec::new();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = waiting.recv_many(&mut group, GROUP_MAX) => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = self.turn(&mut work, group, &mut waiting, stop).await;
        }
        let tasks = work.close();
        let cut = self.cut.clone();
        let cut_later = async {
            tokio::time::sleep(DRAIN).await;
            cut.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = self.drain(&mut waiting, stop) => {}
            () = cut_later => {}
        }
        if !tasks.is_empty() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was recorded");
        }
    }

    /// One delivery, from the claim to how it ended.
    async fn deliver(self, mut claimed: Claimed, webhook: Option<Arc<Row>>, ended: mpsc::Sender<Ended>) {
        let body = std::mem::take(&mut claimed.body);
        let kept = claimed.clone();
        // A fault of ours in one delivery must not leave it running for ever, nor end the others.
        let attempt = AssertUnwindSafe(self.attempt_once(claimed, &body, webhook.as_deref())).catch_unwind();
        let how = attempt.await.unwrap_or_else(|_| {
            tracing::error!(delivery = %kept.uuid, "an attempt panicked");
            let revision = webhook.as_ref().map(|webhook| webhook.revision).unwrap_or_default();
            self.end(kept, "A fault of Hookwright's own ended this attempt; its log says more.", revision)
        });
        if ended.send(how).await.is_err() {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            tracing::error!("an attempt ended after the dispatcher");
        }
    }

    async fn attempt_once(&self, claimed: Claimed, body: &[u8], webhook: Option<&Row>) -> Ended {
        let now = self.services.clock.now();
        let Some(webhook) = webhook else {
            return self.end(claimed, "The webhook of this delivery does not exist any more.", 0);
        };
        if !webhook.is_readable {
            return self.end(claimed, webhook::UNREADABLE, webhook.revision);
        }
        if claimed.is_outdated(webhook.hold.target_revision) {
            // The target has changed since the claim: back into the queue, where the sweep holds it.
            return Ended::Returned(claimed, now);
        }
        if claimed.unrecorded() > webhook.retries + UNRECORDED_MAX {
            let times = claimed.unrecorded();
            let words = format!("Sent up to {times} times, and the result could not be recorded. Not sent again.");
            return self.end(claimed, &words, webhook.revision);
        }
        crate::fault::point("send.before");
        let attempted = match self.attempt(&claimed, body, webhook).await {
            Ok(Ok(attempted)) => attempted,
            Ok(Err(NotSent::Stopped)) => return Ended::Returned(claimed, now),
            Ok(Err(NotSent::Shortage(what))) => {
                tracing::warn!(delivery = %claimed.uuid, what, "a delivery waits: something of our own is short");
                return Ended::Returned(claimed, now.after(SHORTAGE_WAIT));
            }
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!(error = chain(error), "what a webhook was could not be read");
                return Ended::Returned(claimed, now.after(SHORTAGE_WAIT));
            }
            // It would be the same for ever.
            Err(error) => {
                tracing::error!(error = chain(error), "what a webhook was cannot be read");
                self.failed(ErrorCode::Internal, "What this webhook was then cannot be read any more.")
            }
        };
        crate::fault::point("send.after");
        let now = self.services.clock.now();
        let next = after_attempt(&attempted.outcome, claimed.attempt(), webhook.retries, now, rand::random());
        tracing::info!(
            delivery = %claimed.uuid,
            webhook = %claimed.webhook_id(),
            attempt = claimed.attempt(),
            http_status = attempted.http_status,
            failed = matches!(attempted.outcome, Outcome::Failed { .. }),
            duration_ms = u64::try_from(attempted.duration.as_millis()).unwrap_or(u64::MAX),
            "attempt"
        );
        Ended::Attempted(Settlement { claimed, attempted, next, webhook_revision: webhook.revision })
    }

    /// Ends a delivery that will not be sent again, by a fault of ours.
    fn end(&self, claimed: Claimed, words: &str, webhook_revision: i64) -> Ended {
        let attempted = self.failed(ErrorCode::Internal, words);
        Ended::Attempted(Settlement { claimed, attempted, next: Next::Settle(Status::Error), webhook_revision })
    }

    /// # Errors
    /// When what the webhook was could not be read; within, when something of our own was short or the server stops.
    async fn attempt(
        &self,
        claimed: &Claimed,
        body: &[u8],
        webhook: &Row,
    ) -> Result<Result<Attempted, NotSent>, store::Error> {
        let as_it_was = match claimed.replay_revision {
            None => None,
            Some(number) => {
                let db = self.services.store.read();
                let then: Option<Target> = revision::find(db, Kind::Webhook, webhook.id.0, number).await?;
                let Some(row) = then.and_then(|then| webhook.as_it_was(then)) else {
                    let words = "What this webhook was then is not known any more.";
                    return Ok(Ok(self.failed(ErrorCode::Internal, words)));
                };
                Some(row)
            }
        };
        let webhook = as_it_was.as_ref().unwrap_or(webhook);
        match self.services.open_secrets(webhook) {
            Ok(secrets) => {
                let outgoing = Outgoing { id: claimed.uuid, body };
                Ok(send::send(&self.services, &self.clients, webhook, &secrets, outgoing, &self.cut).await)
            }
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "a secret does not open");
                let words = "The secret of this webhook cannot be opened. Enter it again.";
                Ok(Ok(self.failed(ErrorCode::Internal, words)))
            }
        }
    }

    fn failed(&self, code: ErrorCode, words: &str) -> Attempted {
        Attempted::failed(self.services.clock.now(), Duration::ZERO, code, words.to_owned())
    }
}

/// An error with its causes, for the log.
fn chain(error: store::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
