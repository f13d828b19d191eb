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
mod lane;
pub mod send;
mod settle;
mod turn;

use crate::service::Services;
use crate::store;
use crate::store::claim::Claimed;
use crate::store::delivery::{Attempted, Settlement};
use crate::store::revision::{self, Kind};
use crate::store::webhook::{Row, Target};
use client::Clients;
use model::delivery::{ErrorCode, Outcome, after_attempt};
use send::Outgoing;
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
/// How long a stopping dispatcher waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// How a delivery in flight ended.
#[expect(clippy::large_enum_variant, reason = "the smaller one is rare")]
enum Ended {
    /// With an attempt.
    Attempted(Settlement),
    /// Without: its target had changed, or could not be read.
    Returned(Claimed),
}

impl Ended {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Attempted(settlement) => &settlement.claimed,
            Self::Returned(claimed) => claimed,
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
}

impl Dispatcher {
    /// A dispatcher that looks whenever the services' bell rings, and has at most `per_webhook` deliveries of a webhook
    /// in flight, together with those of other nodes.
    pub fn new(services: Services, per_webhook: usize) -> Self {
        let bell = services.bell.clone();
        let clients = Arc::new(Clients::new(services.guard.clone(), CLIENTS_LAST));
        let owner = crate::clock::new_uuid(services.clock.now());
        Self { services, clients, bell, owner, per_webhook }
    }

    /// Works until `stop` is cancelled, then lets what is in flight finish.
    pub async fn run(self, stop: CancellationToken) {
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
            wait = self.turn(&mut work, group, &mut waiting, &stop).await;
        }
        let tasks = work.close();
        if tokio::time::timeout(DRAIN, self.drain(&mut waiting, &stop)).await.is_err() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was answered");
        }
    }

    /// One delivery, from the claim to how it ended.
    async fn deliver(self, claimed: Claimed, webhook: Option<Arc<Row>>, ended: mpsc::Sender<Ended>) {
        let how = match &webhook {
            // The target has changed since the claim: back into the queue, where the sweep holds it.
            Some(webhook) if claimed.is_outdated(webhook.hold.target_revision) => Ended::Returned(claimed),
            _ => self.attempt_once(claimed, webhook.as_deref()).await,
        };
        if ended.send(how).await.is_err() {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            tracing::error!("an attempt ended after the dispatcher");
        }
    }

    async fn attempt_once(&self, mut claimed: Claimed, webhook: Option<&Row>) -> Ended {
        let attempted = match webhook {
            Some(webhook) => self.attempt(&claimed, webhook).await,
            None => Ok(self.failed(ErrorCode::Internal, "The webhook of this delivery does not exist any more.")),
        };
        let attempted = match attempted {
            Ok(attempted) => attempted,
            Err(error @ store::Error::Unavailable(_)) => {
                tracing::warn!(error = chain(error), "what a webhook was could not be read");
                return Ended::Returned(claimed);
            }
            // It would be the same for ever.
            Err(error) => {
                tracing::error!(error = chain(error), "what a webhook was cannot be read");
                self.failed(ErrorCode::Internal, "What this webhook was then cannot be read any more.")
            }
        };
        // Sent: nobody needs it any more, and it may be large.
        claimed.body = Vec::new();
        let (retries, webhook_revision) =
            webhook.map(|webhook| (webhook.retries, webhook.revision)).unwrap_or_default();
        let now = self.services.clock.now();
        let next = after_attempt(&attempted.outcome, claimed.attempt(), retries, now, rand::random());
        tracing::info!(
            delivery = %claimed.uuid,
            webhook = %claimed.webhook_id(),
            attempt = claimed.attempt(),
            http_status = attempted.http_status,
            failed = matches!(attempted.outcome, Outcome::Failed { .. }),
            duration_ms = u64::try_from(attempted.duration.as_millis()).unwrap_or(u64::MAX),
            "attempt"
        );
        Ended::Attempted(Settlement { claimed, attempted, next, webhook_revision })
    }

    /// # Errors
    /// When nothing was sent, because what the webhook was could not be read.
    async fn attempt(&self, claimed: &Claimed, webhook: &Row) -> Result<Attempted, store::Error> {
        let as_it_was = match claimed.replay_revision {
            None => None,
            Some(number) => {
                let db = self.services.store.read();
                let then: Option<Target> = revision::find(db, Kind::Webhook, webhook.id.0, number).await?;
                let Some(row) = then.and_then(|then| webhook.as_it_was(then)) else {
                    let words = "What this webhook was then is not known any more.";
                    return Ok(self.failed(ErrorCode::Internal, words));
                };
                Some(row)
            }
        };
        let webhook = as_it_was.as_ref().unwrap_or(webhook);
        match self.services.open_secrets(webhook) {
            Ok(secrets) => {
                let outgoing = Outgoing { id: claimed.uuid, body: &claimed.body };
                Ok(send::send(&self.services, &self.clients, webhook, &secrets, outgoing).await)
            }
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "a secret does not open");
                Ok(self.failed(ErrorCode::Internal, "The secret of this webhook cannot be opened. Enter it again."))
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
