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

use crate::service::Services;
use crate::store;
use crate::store::delivery::{self, Attempted, Claimed, Room, Settlement};
use crate::store::hold;
use crate::store::revision::{self, Kind};
use crate::store::webhook::{self, Row, Target};
use client::Clients;
use lane::Lanes;
use model::delivery::{ErrorCode, Outcome, after_attempt};
use model::id::WebhookId;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use send::Outgoing;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// How many ended attempts share a turn.
const GROUP_MAX: usize = 100;
/// How often a turn is tried before the leases of what has ended are left to run out.
const TRIES: u32 = 5;
/// The longest a worker waits without looking.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than the webhook's timeout a lease is, so that only a dead worker's runs out.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How long a stopping dispatcher waits for what is in flight.
const DRAIN: Duration = Duration::from_secs(30);
/// How many webhooks are kept in memory.
const WEBHOOKS_KEPT: usize = 1000;

/// How a delivery in flight ended.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "the smaller one is rare")]
enum Ended {
    /// With an attempt.
    Attempted(Settlement),
    /// Without: its target had changed.
    Returned(Claimed),
}

impl Ended {
    fn claimed(&self) -> &Claimed {
        match self {
            Self::Attempted(settlement) => &settlement.claimed,
            Self::Returned(claimed) => claimed,
        }
    }

    fn has_timed_out(&self) -> bool {
        let Self::Attempted(settlement) = self else { return false };
        matches!(settlement.attempted.outcome, Outcome::Failed { code: ErrorCode::Timeout, .. })
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
}

type Begun = Result<DatabaseTransaction, store::Error>;

/// What the loop owns.
struct Work {
    lanes: Lanes,
    /// The webhooks as they were last read, by their revision.
    webhooks: HashMap<WebhookId, Arc<Row>>,
    tasks: TaskTracker,
    ended: mpsc::Sender<Ended>,
    swept: Option<Instant>,
}

impl Dispatcher {
    /// A dispatcher that looks whenever the services' bell rings.
    pub fn new(services: Services) -> Self {
        let bell = services.bell.clone();
        let clients = Arc::new(Clients::new(services.guard.clone()));
        let owner = crate::clock::new_uuid(services.clock.now());
        Self { services, clients, bell, owner }
    }

    /// Works until `stop` is cancelled, then lets what is in flight finish.
    pub async fn run(self, stop: CancellationToken) {
        let (ended, mut waiting) = mpsc::channel(lane::SLOTS);
        let mut work =
            Work { lanes: Lanes::default(), webhooks: HashMap::new(), tasks: TaskTracker::new(), ended, swept: None };
        let mut wait = Duration::ZERO;
        loop {
            let mut group = Vec::new();
            tokio::select! {
                () = stop.cancelled() => break,
                _ = waiting.recv_many(&mut group, GROUP_MAX) => {}
                () = self.bell.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
            wait = self.turn(&mut work, group, &mut waiting).await;
        }
        let Work { tasks, ended, .. } = work;
        drop(ended);
        tasks.close();
        let drained = async {
            let mut group = Vec::new();
            while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
                self.record(self.services.store.begin().await, std::mem::take(&mut group), None).await;
            }
        };
        if tokio::time::timeout(DRAIN, drained).await.is_err() {
            tracing::warn!(in_flight = tasks.len(), "stopped before every delivery in flight was answered");
        }
    }

    /// Settles a group, then claims and starts what is due. Answers how long nothing will be due.
    async fn turn(&self, work: &mut Work, mut group: Vec<Ended>, waiting: &mut mpsc::Receiver<Ended>) -> Duration {
        if work.swept.is_none_or(|swept| swept.elapsed() >= POLL) {
            work.swept = Some(Instant::now());
            let now = self.services.clock.now();
            if let Err(error) = self.sweep(now).await {
                tracing::warn!(error = chain(error), "the dispatcher cannot sweep");
            }
        }
        // First the writer: what ends while others have it shares the commit.
        let begun = self.services.store.begin().await;
        while group.len() < GROUP_MAX
            && let Ok(one) = waiting.try_recv()
        {
            group.push(one);
        }
        for one in &group {
            work.lanes.free(one.claimed().webhook_id(), one.has_timed_out());
        }
        let room = work.lanes.room();
        let has_settled = !group.is_empty();
        let within = (room.total > 0).then_some(&room);
        let Some(claimed) = self.record(begun, group, within).await else { return POLL };
        let (count, most) = (claimed.len(), room.total);
        self.start(work, claimed).await;
        if count == most && work.lanes.room().total > 0 {
            return Duration::ZERO;
        }
        if has_settled && count > 0 {
            // What has just been started will end, or this turn's second will.
            return POLL;
        }
        self.next_due().await
    }

    /// Records how a group has ended, and claims within `room`, in one transaction. Answers what was claimed, or `None`
    /// when the database does not do it: the leases run out, and what was sent is sent again.
    async fn record(&self, mut begun: Begun, group: Vec<Ended>, room: Option<&Room>) -> Option<Vec<Claimed>> {
        for tried in 1..=TRIES {
            let done = match begun {
                Ok(txn) => self.transact(txn, group.clone(), room).await,
                Err(error) => Err(error),
            };
            let error = match done {
                Ok(claimed) => return Some(claimed),
                Err(error) => chain(error),
            };
            if group.is_empty() {
                tracing::warn!(error, "the dispatcher cannot claim");
                return None;
            }
            // The receivers have acted: try hard to record it.
            tracing::error!(error, tried, deliveries = group.len(), "attempts could not be recorded");
            tokio::time::sleep(Duration::from_millis(200) * tried).await;
            begun = self.services.store.begin().await;
        }
        None
    }

    async fn transact(
        &self,
        txn: DatabaseTransaction,
        group: Vec<Ended>,
        room: Option<&Room>,
    ) -> Result<Vec<Claimed>, store::Error> {
        let now = self.services.clock.now();
        let mut settlements = Vec::with_capacity(group.len());
        for one in group {
            match one {
                Ended::Attempted(settlement) => settlements.push(settlement),
                Ended::Returned(claimed) => delivery::give_back(&txn, self.owner, claimed.id()).await?,
            }
        }
        if !settlements.is_empty() {
            settle::settle(&txn, self.owner, settlements, now).await?;
        }
        let claimed = match room {
            Some(room) => delivery::claim(&txn, self.owner, now, now.after(LEASE_MARGIN), room).await?,
            None => Vec::new(),
        };
        txn.commit().await?;
        Ok(claimed)
    }

    /// Starts a task for each delivery.
    async fn start(&self, work: &mut Work, claimed: Vec<Claimed>) {
        work.lanes.take_all(claimed.iter().map(Claimed::webhook_id));
        if work.webhooks.len() > WEBHOOKS_KEPT {
            let Work { webhooks, lanes, .. } = work;
            webhooks.retain(|id, _| lanes.is_busy(*id));
        }
        let is_known = |one: &Claimed| {
            work.webhooks.get(&one.webhook_id()).is_some_and(|row| row.revision == one.current_revision)
        };
        let mut missing: Vec<_> = claimed.iter().filter(|one| !is_known(one)).map(|one| one.webhook_id().0).collect();
        missing.sort_unstable();
        missing.dedup();
        if !missing.is_empty() {
            match webhook::find_many(self.services.store.read(), missing).await {
                Ok(rows) => work.webhooks.extend(rows.into_iter().map(|(id, row)| (id, Arc::new(row)))),
                Err(error) => {
                    // Nothing was sent. The leases run out, and they are claimed again.
                    tracing::warn!(error = chain(error), deliveries = claimed.len(), "webhooks could not be read");
                    for one in &claimed {
                        work.lanes.free(one.webhook_id(), false);
                    }
                    return;
                }
            }
        }
        for one in claimed {
            let webhook = work.webhooks.get(&one.webhook_id()).cloned();
            work.tasks.spawn(self.clone().deliver(one, webhook, work.ended.clone()));
        }
    }

    async fn sweep(&self, now: Timestamp) -> Result<(), store::Error> {
        let db = &self.services.store;
        delivery::release_expired(db.write(), now, false).await?;
        hold::sweep(db, now, LEASE_MARGIN).await
    }

    /// How long nothing will be due, a second at most. What is due already waits for a slot, which wakes by itself.
    async fn next_due(&self) -> Duration {
        let now = self.services.clock.now();
        match delivery::next_due(self.services.store.read()).await {
            Ok(due) => {
                let wait = due.map(|due| due.since(now)).filter(|wait| !wait.is_zero());
                wait.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL)
            }
            Err(error) => {
                tracing::warn!(error = chain(error), "the dispatcher cannot look ahead");
                POLL
            }
        }
    }

    /// One delivery, from the claim to how it ended.
    async fn deliver(self, claimed: Claimed, webhook: Option<Arc<Row>>, ended: mpsc::Sender<Ended>) {
        let how = match &webhook {
            // The target has changed since the claim: back into the queue, where the sweep holds it.
            Some(webhook) if claimed.is_outdated(webhook.hold.target_revision) => Ended::Returned(claimed),
            _ => Ended::Attempted(self.attempt_once(claimed, webhook.as_deref()).await),
        };
        if ended.send(how).await.is_err() {
            // The lease runs out and the delivery is tried again: a repeat, never a loss.
            tracing::error!("an attempt ended after the dispatcher");
        }
    }

    async fn attempt_once(&self, claimed: Claimed, webhook: Option<&Row>) -> Settlement {
        let attempted = match webhook {
            Some(webhook) => self.attempt(&claimed, webhook).await,
            None => self.failed(ErrorCode::Internal, "The webhook of this delivery does not exist any more."),
        };
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
        Settlement { claimed, attempted, next, webhook_revision }
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

/// An error with its causes, for the log.
fn chain(error: store::Error) -> String {
    format!("{:#}", anyhow::Error::new(error))
}
