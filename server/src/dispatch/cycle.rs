//! One cycle of the dispatcher, and the sweep beside the cycles.
//!
//! A cycle records the attempts that have ended and claims the deliveries that are due, both in one transaction
//! (`record`). Then it starts a task for each claimed delivery (`deliver`).

use super::lane::Lanes;
use super::record::Recorded;
use super::{Dispatcher, Ended, GROUP_MAX, chain};
use crate::store;
use crate::store::claim::{self, Capacity, Claimed};
use crate::store::destination::{self, Destination};
use crate::store::sweep;
use model::id::{DeliveryId, DestinationId};
use model::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The longest wait between two cycles.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// The time by which a lease outlasts the destination's timeout, so that only the lease of a dead node runs out.
pub(super) const LEASE_MARGIN: Duration = Duration::from_secs(10);
/// The number of destinations that are cached besides those with deliveries in flight.
const DESTINATIONS_CACHED: usize = 1000;

/// The state of the loop of cycles.
pub(super) struct Work {
    lanes: Lanes,
    /// Cached destinations, each at the revision at which it was last read.
    destinations: HashMap<DestinationId, Arc<Destination>>,
    tasks: TaskTracker,
    ended: mpsc::Sender<Ended>,
    looked_at: Option<Instant>,
    /// True after a failed commit of a claim. If only its response was lost, deliveries are leased to this node that
    /// are not in `lanes`.
    may_have_claimed: bool,
}

fn ids(group: &[Ended]) -> impl Iterator<Item = DeliveryId> {
    group.iter().map(|one| one.claimed().id())
}

impl Work {
    /// Returns the state of a loop with nothing in flight. `per_destination` limits each destination; deliveries report their
    /// end to `ended`.
    pub(super) fn new(per_destination: usize, ended: mpsc::Sender<Ended>) -> Self {
        Self {
            lanes: Lanes::new(per_destination),
            destinations: HashMap::new(),
            tasks: TaskTracker::new(),
            ended,
            looked_at: None,
            may_have_claimed: false,
        }
    }

    /// Accepts no more deliveries. Returns the tasks that are still in flight.
    pub(super) fn close(self) -> TaskTracker {
        self.tasks.close();
        self.tasks
    }
}

/// The result of a cycle's transaction.
pub(super) struct Cycled {
    /// The capacity within which was claimed; `None` when every slot is in use.
    pub(super) capacity: Option<Capacity>,
    /// The claimed deliveries.
    pub(super) claimed: Vec<Claimed>,
    /// The destinations of the claimed deliveries that were not cached at their current revision.
    pub(super) read: HashMap<DestinationId, Destination>,
    /// The instant at which the next delivery is due, where the transaction asked for it.
    pub(super) due: Option<Timestamp>,
}

/// The claim that shares a transaction with the records.
#[derive(Clone, Copy)]
pub(super) enum Claiming<'a> {
    /// Claims nothing.
    Nothing,
    /// Claims up to the capacity of the lanes. Destinations that are cached at their revision are not read again.
    Within { lanes: &'a Lanes, cached: &'a HashMap<DestinationId, Arc<Destination>> },
}

impl Dispatcher {
    /// Records a group of ended deliveries, then claims and starts those that are due. Returns the time until the next
    /// cycle.
    pub(super) async fn cycle(
        &self,
        work: &mut Work,
        mut group: Vec<Ended>,
        waiting: &mut mpsc::Receiver<Ended>,
        stop: &CancellationToken,
    ) -> Duration {
        if work.looked_at.is_none_or(|at| at.elapsed() >= POLL) {
            work.looked_at = Some(Instant::now());
            if let Err(error) = self.store.in_time(self.look_around(work)).await {
                tracing::warn!(error = chain(error), "the dispatcher cannot look for expired leases");
            }
        }
        // The writer first: deliveries that end while this waits for the writer share the commit.
        let begun = self.store.begin().await;
        while group.len() < GROUP_MAX
            && let Ok(one) = waiting.try_recv()
        {
            group.push(one);
        }
        for one in &group {
            work.lanes.free(one.claimed().destination_id(), one.is_hanging());
        }
        let claiming = Claiming::Within { lanes: &work.lanes, cached: &work.destinations };
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
        let is_full = cycled.capacity.as_ref().is_some_and(|capacity| cycled.claimed.len() == capacity.total);
        self.start(work, cycled);
        if is_full && !work.lanes.is_full() {
            return Duration::ZERO;
        }
        // A delivery that is due already waits for a slot, and a slot that becomes free starts a cycle.
        let now = self.clock.now();
        let wait = due.map(|due| due.since(now)).filter(|wait| !wait.is_zero());
        wait.unwrap_or(POLL).clamp(Duration::from_millis(1), POLL)
    }

    /// Brings blocked records back after a wait. Each delivery keeps its slot until then.
    fn try_later(work: &mut Work, blocked: Vec<Ended>) {
        if blocked.is_empty() {
            return;
        }
        for one in &blocked {
            work.lanes.take_again(one.claimed().destination_id());
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

    /// Records the deliveries that still end, until nothing is in flight.
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
        if let Some(capacity) = &cycled.capacity {
            work.lanes.take_all(capacity, cycled.claimed.iter().map(|one| (one.id(), one.destination_id())));
        }
        if work.destinations.len() > DESTINATIONS_CACHED {
            let Work { destinations, lanes, .. } = work;
            destinations.retain(|id, _| lanes.is_busy(*id));
        }
        work.destinations.extend(cycled.read.into_iter().map(|(id, row)| (id, Arc::new(row))));
        for one in cycled.claimed {
            // Not an older one: the current revision exists and could not be read.
            let cached =
                work.destinations.get(&one.destination_id()).filter(|row| row.revision() >= one.current_revision);
            let destination = cached.cloned();
            work.tasks.spawn(self.clone().deliver(one, destination, work.ended.clone()));
        }
    }

    /// Releases leases that have run out, and reads which destinations hang.
    async fn look_around(&self, work: &mut Work) -> Result<(), store::Error> {
        let (db, now) = (&self.store, self.clock.now());
        let lanes = &mut work.lanes;
        if work.may_have_claimed {
            claim::give_back_unknown(db.write(), now, self.owner, lanes.leased()).await?;
            work.may_have_claimed = false;
        }
        // Not those of `lanes`: a delivery may have ended here and wait for its record, while the database was away for
        // longer than a lease lasts.
        claim::release_expired(db.write(), now, self.owner, lanes.leased()).await?;
        lanes.set_hanging(&destination::list_hanging(db.read()).await?);
        Ok(())
    }

    /// Sweeps once a second until `stop` is cancelled. Runs beside the cycles, since arranging a large backlog takes long.
    pub(super) async fn keep_sweeping(&self, stop: &CancellationToken) {
        let db = &self.store;
        while !stop.is_cancelled() {
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = sweep::sweep(db, self.clock.now(), LEASE_MARGIN) => swept,
            };
            match swept {
                Ok(()) => self.wake.notify_one(),
                Err(failed) => {
                    let error = format!("{:#}", anyhow::Error::new(failed));
                    tracing::warn!(error, "the dispatcher cannot sweep");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }
}
