//! The dispatcher: claims what is due, sends it, settles it; for ever, until told to stop.
//!
//! ```text
//! claim (one update, a lease each) -> send (network, no transaction open) -> settle (attempt + next state)
//! ```
//!
//! It wakes when something is queued, when something falls due, when a slot becomes free, and at least once a second.
//! A worker that dies leaves a lease; whoever sweeps next puts the delivery back. At-least-once is the contract.

pub mod client;
mod send;

use crate::service::Services;
use crate::store::delivery::{self, Attempted, Claimed};
use crate::store::webhook::{self, Row};
use crate::store::{self, occurrence};
use client::Clients;
use model::delivery::{ErrorCode, Outcome, after_attempt};
use model::id::WebhookId;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How many deliveries are in flight at most.
const SLOTS: usize = 512;
/// How many are claimed in one statement at most.
const CLAIM_MAX: usize = 100;
/// The longest a worker waits without looking.
const POLL: Duration = Duration::from_secs(1);
/// Longer than any attempt may take (120 s), so that only a dead worker's lease runs out.
const LEASE: Duration = Duration::from_secs(150);
/// How long a stopping dispatcher waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// Sends deliveries.
#[derive(Clone)]
pub struct Dispatcher {
    services: Services,
    clients: Arc<Clients>,
    /// Rung by the intake.
    bell: Arc<Notify>,
    /// Rung when a slot becomes free.
    freed: Arc<Notify>,
    slots: Arc<Semaphore>,
    /// This worker, in leases.
    owner: Uuid,
}

impl Dispatcher {
    /// A dispatcher that looks whenever `bell` rings.
    pub fn new(services: Services, bell: Arc<Notify>) -> Self {
        let clients = Arc::new(Clients::new(services.guard.clone()));
        let owner = crate::clock::new_uuid(services.clock.now());
        let slots = Arc::new(Semaphore::new(SLOTS));
        Self { services, clients, bell, freed: Arc::default(), slots, owner }
    }

    /// Works until `stop` is cancelled, then lets what is in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        while !stop.is_cancelled() {
            // Registered before looking: what is queued while we look is not missed.
            let (bell, freed) = (self.bell.notified(), self.freed.notified());
            let idle = match self.round(&tasks).await {
                Ok(idle) => idle,
                Err(error) => {
                    tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "the dispatcher cannot claim");
                    Some(POLL)
                }
            };
            let Some(wait) = idle else { continue };
            tokio::select! {
                () = stop.cancelled() => {}
                () = bell => {}
                () = freed => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        tasks.close();
        if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was answered");
        }
    }

    /// Claims and starts what is due. Answers how long nothing will be due, or `None` to look again at once.
    async fn round(&self, tasks: &TaskTracker) -> Result<Option<Duration>, store::Error> {
        let free = self.slots.available_permits().min(CLAIM_MAX);
        let now = self.services.clock.now();
        let db = &self.services.store;
        if free == 0 {
            return Ok(Some(POLL));
        }
        delivery::release_expired(db.write(), now, false).await?;
        let claimed = delivery::claim(db, self.owner, now, now.after(LEASE), free).await?;
        if claimed.is_empty() {
            let due = delivery::next_due(db.read()).await?;
            let wait = due.map_or(POLL, |due| due.since(now)).min(POLL);
            return Ok(Some(wait.max(Duration::from_millis(1))));
        }
        let ids = claimed.iter().map(|claimed| claimed.webhook_id().0).collect();
        let webhooks: HashMap<WebhookId, Arc<Row>> =
            webhook::find_many(db.read(), ids).await?.into_iter().map(|(id, row)| (id, Arc::new(row))).collect();
        for claimed in claimed {
            let Ok(slot) = self.slots.clone().acquire_owned().await else { break };
            let webhook = webhooks.get(&claimed.webhook_id()).cloned();
            tasks.spawn(self.clone().deliver(claimed, webhook, slot));
        }
        Ok(None)
    }

    /// One attempt, from the claim to its record.
    async fn deliver(self, claimed: Claimed, webhook: Option<Arc<Row>>, slot: OwnedSemaphorePermit) {
        let retries = webhook.as_ref().map_or(0, |webhook| webhook.retries);
        let attempted = match &webhook {
            Some(webhook) => self.attempt(&claimed, webhook).await,
            None => self.failed(ErrorCode::Internal, "The webhook of this delivery does not exist any more."),
        };
        drop(slot);
        self.freed.notify_one();
        if let Err(error) = self.settle(&claimed, attempted, retries).await {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            tracing::error!(
                delivery = %claimed.uuid,
                error = format!("{:#}", anyhow::Error::new(error)),
                "an attempt could not be recorded"
            );
        }
    }

    async fn attempt(&self, claimed: &Claimed, webhook: &Row) -> Attempted {
        let place = webhook::secret_place(webhook.uuid);
        let secret = webhook.secret.as_deref().map(|sealed| self.services.vault.open(sealed, &place)).transpose();
        match secret {
            Ok(secret) => send::send(&self.services, &self.clients, webhook, secret.as_ref(), claimed).await,
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "a secret does not open");
                self.failed(ErrorCode::Internal, "The secret of this webhook cannot be opened. Enter it again.")
            }
        }
    }

    fn failed(&self, code: ErrorCode, words: &str) -> Attempted {
        Attempted::failed(self.services.clock.now(), Duration::ZERO, code, words.to_owned())
    }

    async fn settle(&self, claimed: &Claimed, attempted: Attempted, retries: u32) -> Result<(), store::Error> {
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
        let txn = self.services.store.begin().await?;
        delivery::settle(&txn, self.owner, claimed, attempted, next, now).await?;
        occurrence::end_settled_runs(&txn, &[claimed.run_id()], now).await?;
        txn.commit().await?;
        Ok(())
    }
}
