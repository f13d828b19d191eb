//! A cycle of the dispatcher: what has ended is recorded and what is due is claimed, in one transaction (`record`); then
//! what was claimed is sent.

use super::lane::Lanes;
use super::record::Recorded;
use super::{Dispatcher, Ended, GROUP_MAX, chain};
use crate::store;
use crate::store::claim::{self, Claimed, Room};
use crate::store::sweep;
use crate::store::webhook::{self, Row};
use model::id::{DeliveryId, WebhookId};
use model::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest a worker waits without looking.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// How much longer than the webhook's timeout a lease is, so that only a dead worker's runs out.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// How many webhooks are kept in memory, besides those that are sent to.
const WEBHOOKS_KEPT: usize = 1000;

/// What the loop owns.
pub(super) struct Work {
    lanes: Lanes,
    /// The webhooks as they were last read, by their revision.
    webhooks: HashMap<WebhookId, Arc<Row>>,
    tasks: TaskTracker,
    ended: mpsc::Sender<Ended>,
    looked: Option<Instant>,
    /// A commit that was to claim has failed. If only its answer was lost, deliveries are leased that nobody here knows.
    may_have_claimed: bool,
}

fn ids(group: &[Ended]) -> impl Iterator<Item = DeliveryId> {
    group.iter().map(|one| one.claimed().id())
}

impl Work {
    /// Nothing in flight, and `per_webhook` of each webhook at most; what ends goes to `ended`.
    pub(super) fn new(per_webhook: usize, ended: mpsc::Sender<Ended>) -> Self {
        Self {
            lanes: Lanes::new(per_webhook),
            webhooks: HashMap::new(),
            tasks: TaskTracker::new(),
            ended,
            looked: None,
            may_have_claimed: false,
        }
    }

    /// No more work. Answers what is still in flight.
    pub(super) fn close(self) -> TaskTracker {
        self.tasks.close();
        self.tasks
    }
}

/// What a transaction came to.
pub(super) struct Cycled {
    /// What could be claimed, and what was.
    pub(super) room: Option<Room>,
    pub(super) claimed: Vec<Claimed>,
    /// The webhooks of what was claimed that were not known, or not at their revision.
    pub(super) read: HashMap<WebhookId, Row>,
    /// When the next delivery is due, if that was asked.
    pub(super) due: Option<Timestamp>,
}

/// The claim that a turn makes besides.
#[derive(Clone, Copy)]
pub(super) enum Claiming<'a> {
    /// Nothing.
    Nothing,
    /// As much as these lanes have room for. Webhooks that are known at their revision are not read again.
    Within { lanes: &'a Lanes, known: &'a HashMap<WebhookId, Arc<Row>> },
}

impl Dispatcher {
    /// Settles a group, then claims and starts what is due. Answers how long nothing will be due.
    pub(super) async fn cycle(
        &self,
        work: &mut Work,
        mut group: Vec<Ended>,
        waiting: &mut mpsc::Receiver<Ended>,
        stop: &CancellationToken,
    ) -> Duration {
        if work.looked.is_none_or(|looked| looked.elapsed() >= POLL) {
            work.looked = Some(Instant::now());
            if let Err(error) = self.store.in_time(self.look_around(work)).await {
                tracing::warn!(error = chain(error), "the dispatcher cannot look for leases that have run out");
            }
        }
        // First the writer: what ends while others have it shares the commit.
        let begun = self.store.begin().await;
        while group.len() < GROUP_MAX
            && let Ok(one) = waiting.try_recv()
        {
            group.push(one);
        }
        for one in &group {
            work.lanes.free(one.claimed().webhook_id(), one.is_hanging());
        }
        let claiming = Claiming::Within { lanes: &work.lanes, known: &work.webhooks };
        let recorded = self.record(begun, &group, claiming, stop).await;
        let cycled = match recorded {
            Recorded::All(cycled) => cycled,
            Recorded::But(blocked) => {
                work.may_have_claimed = true;
                let (left, recorded): (Vec<_>, Vec<_>) =
                    group.into_iter().partition(|one| blocked.contains(&one.claimed().id()));
                work.lanes.forget(ids(&recorded));
                Self::try_later(work, left);
                return POLL;
            }
        };
        work.lanes.forget(ids(&group));
        let due = cycled.due;
        let is_full = cycled.room.as_ref().is_some_and(|room| cycled.claimed.len() == room.total);
        self.start(work, cycled);
        if is_full && !work.lanes.is_full() {
            return Duration::ZERO;
        }
        // What is due already waits for a slot, which wakes by itself.
        let now = self.clock.now();
        let wait = due.map(|due| due.since(now)).filter(|wait| !wait.is_zero());
        wait.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL)
    }

    /// Brings back what has ended and cannot be recorded now. Until then each keeps its slot.
    fn try_later(work: &mut Work, blocked: Vec<Ended>) {
        if blocked.is_empty() {
            return;
        }
        for one in &blocked {
            work.lanes.take_again(one.claimed().webhook_id());
        }
        let ended = work.ended.clone();
        work.tasks.spawn(async move {
            tokio::time::sleep(POLL).await;
            for one in blocked {
                if ended.send(one).await.is_err() {
                    tracing::error!("an attempt could not be recorded before the dispatcher ended");
                }
            }
        });
    }

    /// Records what still ends, until nothing is in flight any more.
    pub(super) async fn drain(&self, waiting: &mut mpsc::Receiver<Ended>, stop: &CancellationToken) {
        let mut group = Vec::new();
        while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            let begun = self.store.begin().await;
            self.record(begun, &group, Claiming::Nothing, stop).await;
            group.clear();
        }
    }

    /// Starts a task for each delivery.
    fn start(&self, work: &mut Work, cycled: Cycled) {
        if let Some(room) = &cycled.room {
            work.lanes.take_all(room, cycled.claimed.iter().map(|one| (one.id(), one.webhook_id())));
        }
        if work.webhooks.len() > WEBHOOKS_KEPT {
            let Work { webhooks, lanes, .. } = work;
            webhooks.retain(|id, _| lanes.is_busy(*id));
        }
        work.webhooks.extend(cycled.read.into_iter().map(|(id, row)| (id, Arc::new(row))));
        for one in cycled.claimed {
            // Never an older one, whose place a newer one that cannot be read has taken.
            let kept = work.webhooks.get(&one.webhook_id()).filter(|row| row.revision >= one.current_revision);
            let webhook = kept.cloned();
            work.tasks.spawn(self.clone().deliver(one, webhook, work.ended.clone()));
        }
    }

    /// Takes back leases that have run out, and looks which webhooks hang.
    async fn look_around(&self, work: &mut Work) -> Result<(), store::Error> {
        let (db, now) = (&self.store, self.clock.now());
        let lanes = &mut work.lanes;
        if work.may_have_claimed {
            claim::give_back_unknown(db.write(), now, self.owner, lanes.leased()).await?;
            work.may_have_claimed = false;
        }
        // Not what ended here and waits to be recorded: the database may have been away for longer than a lease.
        claim::release_expired(db.write(), now, self.owner, lanes.leased()).await?;
        lanes.set_hanging(&webhook::list_hanging(db.read()).await?);
        Ok(())
    }

    /// Sweeps once a second until `stop` is cancelled, beside the turns: a large backlog that is arranged takes its time.
    pub(super) async fn keep_sweeping(&self, stop: &CancellationToken) {
        let db = &self.store;
        while !stop.is_cancelled() {
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = sweep::sweep(db, self.clock.now(), LEASE_MARGIN) => swept,
            };
            match swept {
                Ok(()) => self.wake.notify_one(),
                Err(error) => tracing::warn!(error = chain(error), "the dispatcher cannot sweep"),
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
