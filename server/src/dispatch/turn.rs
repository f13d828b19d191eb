//! A turn of the dispatcher: one transaction that records what has ended and claims what is due.

use super::lane::Lanes;
use super::{Dispatcher, Ended, GROUP_MAX, chain, settle};
use crate::store;
use crate::store::claim::{self, Claimed, Room};
use crate::store::webhook::{self, Row};
use crate::store::{delivery, sweep};
use model::id::WebhookId;
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How often a group is tried that the database refuses, or that is to be recorded while the server stops.
const TRIES: u32 = 5;
/// The longest a worker waits without looking.
const POLL: Duration = Duration::from_secs(1);
/// How much longer than the webhook's timeout a lease is, so that only a dead worker's runs out.
const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How many webhooks are kept in memory, besides those that are sent to.
const WEBHOOKS_KEPT: usize = 1000;

/// What the loop owns.
pub(super) struct Work {
    lanes: Lanes,
    /// The webhooks as they were last read, by their revision.
    webhooks: HashMap<WebhookId, Arc<Row>>,
    tasks: TaskTracker,
    ended: mpsc::Sender<Ended>,
    swept: Option<Instant>,
}

impl Work {
    /// Nothing in flight, and `per_webhook` of each webhook at most; what ends goes to `ended`.
    pub(super) fn new(per_webhook: usize, ended: mpsc::Sender<Ended>) -> Self {
        Self { lanes: Lanes::new(per_webhook), webhooks: HashMap::new(), tasks: TaskTracker::new(), ended, swept: None }
    }

    /// No more work. Answers what is still in flight.
    pub(super) fn close(self) -> TaskTracker {
        self.tasks.close();
        self.tasks
    }
}

type Begun = Result<DatabaseTransaction, store::Error>;

/// What a transaction came to.
struct Turned {
    /// What could be claimed, and what was.
    room: Option<Room>,
    claimed: Vec<Claimed>,
    /// The webhooks of what was claimed that were not known, or not at their revision.
    read: HashMap<WebhookId, Row>,
    /// When the next delivery is due, if that was asked.
    due: Option<Timestamp>,
}

impl Dispatcher {
    /// Settles a group, then claims and starts what is due. Answers how long nothing will be due.
    pub(super) async fn turn(
        &self,
        work: &mut Work,
        mut group: Vec<Ended>,
        waiting: &mut mpsc::Receiver<Ended>,
        stop: &CancellationToken,
    ) -> Duration {
        if work.swept.is_none_or(|swept| swept.elapsed() >= POLL) {
            work.swept = Some(Instant::now());
            if let Err(error) = self.sweep(&mut work.lanes).await {
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
            work.lanes.free(one.claimed().webhook_id(), one.is_hanging());
        }
        let turned = self.record(begun, &group, Some(&work.lanes), &work.webhooks, stop).await;
        work.lanes.forget(group.iter().map(|one| one.claimed().id()));
        let Some(turned) = turned else { return POLL };
        let due = turned.due;
        let is_full = turned.room.as_ref().is_some_and(|room| turned.claimed.len() == room.total);
        self.start(work, turned);
        if is_full && !work.lanes.is_full() {
            return Duration::ZERO;
        }
        // What is due already waits for a slot, which wakes by itself.
        let now = self.services.clock.now();
        let wait = due.map(|due| due.since(now)).filter(|wait| !wait.is_zero());
        wait.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL)
    }

    /// Records what still ends, until nothing is in flight any more.
    pub(super) async fn drain(&self, waiting: &mut mpsc::Receiver<Ended>, stop: &CancellationToken) {
        let mut group = Vec::new();
        while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            let begun = self.services.store.begin().await;
            self.record(begun, &group, None, &HashMap::new(), stop).await;
            group.clear();
        }
    }

    /// Records how a group has ended, and claims what `lanes` have room for, in one transaction. The receivers have acted: while the
    /// database is away this waits for it, and nothing else could be done meanwhile. `None` when nothing was claimed
    /// because the database is away, or when it refuses the group; its leases then run out, and it is sent again.
    async fn record(
        &self,
        mut begun: Begun,
        group: &[Ended],
        mut lanes: Option<&Lanes>,
        known: &HashMap<WebhookId, Arc<Row>>,
        stop: &CancellationToken,
    ) -> Option<Turned> {
        let mut tried = 0;
        loop {
            tried += 1;
            let done = match begun {
                Ok(txn) => self.transact(txn, group, lanes, known, tried > 1).await,
                Err(error) => Err(error),
            };
            let error = match done {
                Ok(turned) => return Some(turned),
                Err(error) => error,
            };
            let is_away = matches!(error, store::Error::Unavailable(_));
            let error = chain(error);
            if group.is_empty() {
                tracing::warn!(error, "the dispatcher cannot claim");
                return None;
            }
            tracing::error!(error, tried, deliveries = group.len(), "attempts could not be recorded");
            if tried >= TRIES && (!is_away || stop.is_cancelled()) {
                return None;
            }
            // A claim that fails must not cost what has ended.
            lanes = None;
            tokio::time::sleep((Duration::from_millis(200) * tried).min(5 * POLL)).await;
            begun = self.services.store.begin().await;
        }
    }

    async fn transact(
        &self,
        txn: DatabaseTransaction,
        group: &[Ended],
        lanes: Option<&Lanes>,
        known: &HashMap<WebhookId, Arc<Row>>,
        is_again: bool,
    ) -> Result<Turned, store::Error> {
        let now = self.services.clock.now();
        let mut settlements = Vec::with_capacity(group.len());
        for one in group {
            match one {
                Ended::Attempted(settlement) => settlements.push(settlement.clone()),
                Ended::Returned(claimed) => claim::give_back(&txn, self.owner, claimed.id()).await?,
            }
        }
        if is_again {
            // The last try may have been committed, and only its answer lost.
            settlements = delivery::without_recorded(&txn, settlements).await?;
        }
        if !settlements.is_empty() {
            settle::settle(&txn, self.owner, settlements, now).await?;
        }
        let room = match lanes.filter(|lanes| !lanes.is_full()) {
            Some(lanes) => Some(lanes.room(&claim::take_turn(&txn, self.owner).await?)),
            None => None,
        };
        let claimed = match &room {
            // Others may have been waited for: a lease begins now.
            Some(room) => {
                let now = self.services.clock.now();
                claim::claim(&txn, self.owner, now, now.after(LEASE_MARGIN), room).await?
            }
            None => Vec::new(),
        };
        let is_known = |one: &Claimed| {
            known.get(&one.webhook_id()).is_some_and(|webhook| webhook.revision == one.current_revision)
        };
        let mut missing: Vec<_> = claimed.iter().filter(|one| !is_known(one)).map(|one| one.webhook_id().0).collect();
        missing.sort_unstable();
        missing.dedup();
        let read = if missing.is_empty() { HashMap::new() } else { webhook::find_readable(&txn, missing).await? };
        // Where something was claimed and something has ended, the next turn is near.
        let due = if claimed.is_empty() || group.is_empty() { claim::next_due(&txn).await? } else { None };
        txn.commit().await?;
        Ok(Turned { room, claimed, read, due })
    }

    /// Starts a task for each delivery.
    fn start(&self, work: &mut Work, turned: Turned) {
        if let Some(room) = &turned.room {
            work.lanes.take_all(room, turned.claimed.iter().map(|one| (one.id(), one.webhook_id())));
        }
        if work.webhooks.len() > WEBHOOKS_KEPT {
            let Work { webhooks, lanes, .. } = work;
            webhooks.retain(|id, _| lanes.is_busy(*id));
        }
        work.webhooks.extend(turned.read.into_iter().map(|(id, row)| (id, Arc::new(row))));
        for one in turned.claimed {
            // Never an older one, whose place a newer one that cannot be read has taken.
            let kept = work.webhooks.get(&one.webhook_id()).filter(|row| row.revision >= one.current_revision);
            let webhook = kept.cloned();
            work.tasks.spawn(self.clone().deliver(one, webhook, work.ended.clone()));
        }
    }

    async fn sweep(&self, lanes: &mut Lanes) -> Result<(), store::Error> {
        let (db, now) = (&self.services.store, self.services.clock.now());
        // Not what ended here and waits to be recorded: the database may have been away for longer than a lease.
        claim::release_expired(db.write(), now, self.owner, lanes.leased()).await?;
        lanes.set_hanging(&webhook::list_hanging(db.read()).await?);
        sweep::sweep(db, now, LEASE_MARGIN).await
    }
}
