//! The dispatcher: claims what is due, sends it, settles it; for ever, until told to stop.
//!
//! ```text
//! claim (one update, a lease each) -> send (network, no transaction open) -> settle (attempt + next state)
//! ```
//!
//! It wakes when something is queued, when something falls due, when a slot becomes free, and at least once a second.
//! A worker that dies leaves a lease; whoever sweeps next puts the delivery back. At-least-once is the contract.

pub mod client;
pub mod send;
mod settle;

use crate::service::Services;
use crate::store;
use crate::store::delivery::{self, Attempted, Claimed, Room, Settlement};
use crate::store::hold;
use crate::store::revision::{self, Kind};
use crate::store::webhook::{self, Row, Target};
use client::Clients;
use model::delivery::{ErrorCode, Outcome, after_attempt};
use model::id::WebhookId;
use send::Outgoing;
use settle::Settler;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How many deliveries are in flight at most.
const SLOTS: usize = 512;
/// How many of one webhook.
const SLOTS_PER_WEBHOOK: usize = 8;
/// How many attempts of one webhook may be unrecorded at most, in flight or waiting for the commit that records them:
/// what a kill, or a database that is away, can make arrive twice.
const UNRECORDED_PER_WEBHOOK: usize = 2 * SLOTS_PER_WEBHOOK;
/// How many of a webhook whose last attempt timed out: any number of hanging receivers leaves slots free.
const SLOTS_HANGING: usize = 1;
/// How many are claimed in one statement at most.
const CLAIM_MAX: usize = 100;
/// The longest a worker waits without looking.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than the webhook's timeout a lease is, so that only a dead worker's runs out.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How long a stopping dispatcher waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(30);

/// What is in flight at this worker.
#[derive(Default)]
struct Slots {
    total: usize,
    webhooks: HashMap<WebhookId, Lane>,
}

/// One webhook's share.
#[derive(Default, Clone, Copy)]
struct Lane {
    in_flight: usize,
    /// In flight, or ended and not recorded yet.
    unrecorded: usize,
    /// Its last attempt timed out.
    is_hanging: bool,
}

impl Lane {
    fn room(self) -> usize {
        let slots = if self.is_hanging { SLOTS_HANGING } else { SLOTS_PER_WEBHOOK };
        slots.saturating_sub(self.in_flight).min(UNRECORDED_PER_WEBHOOK.saturating_sub(self.unrecorded))
    }
}

impl Slots {
    /// What may be claimed now.
    fn room(&self) -> Room {
        let left = |(id, lane): (&WebhookId, &Lane)| (*id, lane.room());
        Room {
            total: (SLOTS - self.total).min(CLAIM_MAX),
            per_webhook: SLOTS_PER_WEBHOOK,
            busy: self.webhooks.iter().map(left).collect(),
        }
    }

    fn take(&mut self, webhook: WebhookId) {
        self.total += 1;
        let lane = self.webhooks.entry(webhook).or_default();
        lane.in_flight += 1;
        lane.unrecorded += 1;
    }

    fn free(&mut self, webhook: WebhookId, has_timed_out: bool) {
        self.total = self.total.saturating_sub(1);
        let lane = self.webhooks.entry(webhook).or_default();
        lane.in_flight = lane.in_flight.saturating_sub(1);
        lane.is_hanging = has_timed_out;
    }

    /// An attempt that has ended is recorded, or given up on.
    fn record(&mut self, webhook: WebhookId) {
        let Some(lane) = self.webhooks.get_mut(&webhook) else { return };
        lane.unrecorded = lane.unrecorded.saturating_sub(1);
        if lane.unrecorded == 0 && !lane.is_hanging {
            self.webhooks.remove(&webhook);
        }
    }
}

/// Sends deliveries.
#[derive(Clone)]
pub struct Dispatcher {
    services: Services,
    clients: Arc<Clients>,
    /// Rung when something may be due.
    bell: Arc<Notify>,
    /// Rung when a slot becomes free.
    freed: Arc<Notify>,
    slots: Arc<Mutex<Slots>>,
    /// This worker, in leases.
    owner: Uuid,
}

impl Dispatcher {
    /// A dispatcher that looks whenever the services' bell rings.
    pub fn new(services: Services) -> Self {
        let bell = services.bell.clone();
        let clients = Arc::new(Clients::new(services.guard.clone()));
        let owner = crate::clock::new_uuid(services.clock.now());
        Self { services, clients, bell, freed: Arc::default(), slots: Arc::default(), owner }
    }

    /// Works until `stop` is cancelled, then lets what is in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let (ended, waiting) = mpsc::channel(SLOTS);
        let settler = Settler {
            store: self.services.store.clone(),
            clock: self.services.clock.clone(),
            bell: self.bell.clone(),
            freed: self.freed.clone(),
            slots: self.slots.clone(),
            owner: self.owner,
        };
        let settling = tokio::spawn(settler.run(waiting));
        let mut swept = None;
        while !stop.is_cancelled() {
            // Registered before looking: what is queued while we look is not missed.
            let (bell, freed) = (self.bell.notified(), self.freed.notified());
            let idle = match self.round(&tasks, &ended, &mut swept).await {
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
        drop(ended);
        let drained = async {
            tasks.wait().await;
            settling.await
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was answered");
        }
    }

    /// Claims and starts what is due. Answers how long nothing will be due, or `None` to look again at once.
    async fn round(
        &self,
        tasks: &TaskTracker,
        ended: &mpsc::Sender<Settlement>,
        swept: &mut Option<Instant>,
    ) -> Result<Option<Duration>, store::Error> {
        let room = self.slots.lock().unwrap_or_else(PoisonError::into_inner).room();
        if room.total == 0 {
            return Ok(Some(POLL));
        }
        let now = self.services.clock.now();
        let db = &self.services.store;
        if swept.is_none_or(|swept| swept.elapsed() >= POLL) {
            delivery::release_expired(db.write(), now, false).await?;
            hold::sweep(db, now, LEASE_MARGIN).await?;
            *swept = Some(Instant::now());
        }
        let claimed = delivery::claim(db, self.owner, now, now.after(LEASE_MARGIN), &room).await?;
        if claimed.is_empty() {
            let due = delivery::next_due(db.read()).await?.map(|due| due.since(now));
            // What is due already waits for a slot, which rings by itself.
            let wait = due.filter(|wait| !wait.is_zero()).unwrap_or(POLL).min(POLL);
            return Ok(Some(wait.max(Duration::from_millis(1))));
        }
        let ids = claimed.iter().map(|claimed| claimed.webhook_id().0).collect();
        let webhooks: HashMap<WebhookId, Arc<Row>> =
            webhook::find_many(db.read(), ids).await?.into_iter().map(|(id, row)| (id, Arc::new(row))).collect();
        for claimed in claimed {
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).take(claimed.webhook_id());
            let webhook = webhooks.get(&claimed.webhook_id()).cloned();
            tasks.spawn(self.clone().deliver(claimed, webhook, ended.clone()));
        }
        Ok(None)
    }

    /// One attempt, from the claim to its record.
    async fn deliver(self, claimed: Claimed, webhook: Option<Arc<Row>>, ended: mpsc::Sender<Settlement>) {
        let retries = webhook.as_ref().map_or(0, |webhook| webhook.retries);
        let webhook_revision = webhook.as_ref().map_or(0, |webhook| webhook.revision);
        if webhook.as_ref().is_some_and(|webhook| claimed.is_outdated(webhook.hold.target_revision)) {
            // The target has changed since the claim: back into the queue, where the sweep holds it.
            return self.give_back(&claimed).await;
        }
        let attempted = match &webhook {
            Some(webhook) => self.attempt(&claimed, webhook).await,
            None => self.failed(ErrorCode::Internal, "The webhook of this delivery does not exist any more."),
        };
        let has_timed_out = matches!(attempted.outcome, Outcome::Failed { code: ErrorCode::Timeout, .. });
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).free(claimed.webhook_id(), has_timed_out);
        self.freed.notify_one();
        let now = self.services.clock.now();
        let webhook_id = claimed.webhook_id();
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
        if ended.send(Settlement { claimed, attempted, next, webhook_revision }).await.is_err() {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).record(webhook_id);
            tracing::error!("an attempt ended after the settler");
        }
    }

    async fn give_back(&self, claimed: &Claimed) {
        {
            let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
            slots.free(claimed.webhook_id(), false);
            slots.record(claimed.webhook_id());
        }
        if let Err(error) = delivery::give_back(self.services.store.write(), self.owner, claimed.id()).await {
            // Its lease runs out instead.
            tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "a delivery could not be given back");
        }
    }

    async fn attempt(&self, claimed: &Claimed, webhook: &Row) -> Attempted {
        let as_it_was = match claimed.replay_revision {
            None => None,
            Some(number) => match self.find_target(webhook, number).await {
                Some(row) => Some(row),
                None => return self.failed(ErrorCode::Internal, "What this webhook was then is not known any more."),
            },
        };
        let webhook = as_it_was.as_ref().unwrap_or(webhook);
        match self.services.open_secrets(webhook) {
            Ok(secrets) => {
                let outgoing = Outgoing { id: claimed.uuid, body: &claimed.body };
                send::send(&self.services, &self.clients, webhook, &secrets, outgoing).await
            }
            Err(error) => {
                tracing::error!(webhook = %webhook.id, %error, "a secret does not open");
                self.failed(ErrorCode::Internal, "The secret of this webhook cannot be opened. Enter it again.")
            }
        }
    }

    /// The webhook as it was at that revision.
    async fn find_target(&self, webhook: &Row, number: i64) -> Option<Row> {
        let db = self.services.store.read();
        let then: Option<Target> = revision::find(db, Kind::Webhook, webhook.id.0, number).await.ok()?;
        webhook.as_it_was(then?)
    }

    fn failed(&self, code: ErrorCode, words: &str) -> Attempted {
        Attempted::failed(self.services.clock.now(), Duration::ZERO, code, words.to_owned())
    }
}
