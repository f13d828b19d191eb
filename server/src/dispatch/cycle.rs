//! One cycle of the dispatcher, and the sweep beside the cycles.
//!
//! A cycle records the attempts that have ended and claims the deliveries that are due (`record`). Then it starts the
//! claimed deliveries (`deliver`).
//!
//! A claim and the records that come with it are one transaction. A record of successes without a claim needs no
//! transaction around it: it is one statement on PostgreSQL and a turn on SQLite, or it goes along with a turn of the
//! intake. In the last case the next cycle claims.

use super::record::{Begun, Recorded};
use super::{Dispatcher, Ended, GROUP_MAX, Senders, chain};
use crate::engine::lane::Leased;
use crate::store;
use crate::store::claim::{self, Claimed};
use crate::store::delivery::PlainRow;
use crate::store::destination::{self, Destination};
use crate::store::look::LastLook;
use crate::store::turn::Along;
use crate::store::{lease, node, set_back, sweep};
use anyhow::Context;
use model::id::DestinationId;
use model::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(super) use crate::engine::start::LEASE_MARGIN;

/// The longest wait between two cycles.
pub(super) const POLL: Duration = Duration::from_secs(1);
/// The time between two looks around on SQLite while nothing is sent. Then only the lease of a delivery whose record
/// was refused can run out.
const POLL_IDLE: Duration = Duration::from_secs(10);
/// The shortest wait after a look that found nothing to claim.
const LOOK_PAUSE: Duration = Duration::from_millis(20);
/// The smallest step back of the clock that is corrected. A smaller one delays nothing noticeably, and two readings of
/// the database's clock may differ by a little anyway.
const SET_BACK_MIN: Duration = Duration::from_secs(1);
/// The number of destinations that are cached.
const DESTINATIONS_CACHED: usize = 1000;
/// The most deliveries that one statement claims.
const CLAIM_MAX: usize = 256;

/// The state of the loop of cycles.
pub(super) struct Work {
    /// Cached destinations, each at the revision at which it was last read.
    destinations: HashMap<DestinationId, Arc<Destination>>,
    pub(super) senders: Senders,
    polled_at: Option<Instant>,
    looked_at: Option<Instant>,
    /// The end of the last record.
    pub(super) recorded_at: Option<Instant>,
    last_look: LastLook,
    /// A delivery that ended too late for its group.
    pub(super) left: Option<Ended>,
    /// True when deliveries that no lane has noted may be due.
    pub(super) must_claim: bool,
    /// The instant at which the next queued delivery is due, as far as this node knows.
    due: Option<Timestamp>,
}

impl Work {
    /// Returns the state of a loop with nothing in flight.
    pub(super) fn new(senders: Senders) -> Self {
        Self {
            destinations: HashMap::new(),
            senders,
            polled_at: None,
            looked_at: None,
            recorded_at: None,
            last_look: LastLook::default(),
            left: None,
            must_claim: true,
            due: None,
        }
    }

    /// Returns the time until the next queued delivery is due, as far as this node knows. Deliveries that the last look
    /// found due do not count: they are claimed, or wait for a slot.
    pub(super) fn until_due(&self, now: Timestamp) -> Option<Duration> {
        self.due.map(|due| due.since(now))
    }
}

/// A claim to make: the destinations, and how many deliveries of each.
pub(super) type Plan = Vec<(DestinationId, usize)>;

/// The result of a cycle's transaction.
#[derive(Default)]
pub(super) struct Cycled {
    /// The claimed deliveries.
    pub(super) claimed: Vec<Claimed>,
    /// The destinations of the claimed deliveries that were not cached at their current revision.
    pub(super) read: HashMap<DestinationId, Destination>,
}

/// The claim that shares a transaction with the records.
#[derive(Clone, Copy)]
pub(super) struct Claiming<'a> {
    pub(super) plan: &'a [(DestinationId, usize)],
    /// Destinations that are cached at their revision are not read again.
    pub(super) cached: &'a HashMap<DestinationId, Arc<Destination>>,
}

impl Dispatcher {
    /// Records a group of ended deliveries, then claims and starts those that are due. `along` is the record of the
    /// group where it goes along with a turn of the intake. Returns the time until the next cycle.
    pub(super) async fn cycle(
        &self,
        work: &mut Work,
        mut group: Vec<Ended>,
        mut along: Option<Along<PlainRow>>,
        waiting: &mut mpsc::UnboundedReceiver<Ended>,
        stop: &CancellationToken,
    ) -> Duration {
        if work.polled_at.is_none_or(|at| at.elapsed() >= POLL) {
            work.polled_at = Some(Instant::now());
            let looks = self.store.is_postgres() || self.may_have_changed();
            if work.looked_at.is_none_or(|at| looks || at.elapsed() >= POLL_IDLE) {
                match self.store.in_time(self.look_around()).await {
                    Ok(()) => work.looked_at = work.polled_at,
                    Err(error) => tracing::warn!(error = chain(error), "the dispatcher cannot look for expired leases"),
                }
            }
            // While nothing may have changed, another look for due deliveries would find the same as the last one.
            work.must_claim |= !work.last_look.is_current(&self.store, self.clock.now()) || self.may_have_changed();
        }
        let destinations = |group: &[Ended]| group.iter().map(|one| one.claimed().destination_id()).collect::<Vec<_>>();
        self.lanes.record_begins(destinations(&group).into_iter());
        let is_due = work.due.is_some_and(|due| due <= self.clock.now());
        let is_expected = is_due || self.lanes.wants_claim();
        let (mut made, mut plan, mut has_looked, mut has_failed) = (None, Vec::new(), false, false);
        if (work.must_claim || is_expected) && !stop.is_cancelled() {
            // A claim needs a transaction. The record shares it, unless a turn has made the record already.
            made = self.made_along(along.take()).await;
            if made.is_none() {
                let found = self.plan(work, is_expected).await;
                (has_looked, has_failed) = (true, found.is_none());
                plan = found.unwrap_or_default();
            } else {
                // The next cycle claims. `must_claim` keeps `linger` from handing that cycle's record to a turn first.
                work.must_claim = true;
            }
        }
        if group.is_empty() && plan.is_empty() {
            let least = if has_looked { LOOK_PAUSE } else { Duration::ZERO };
            return if has_failed { POLL } else { self.wait(work).max(least) };
        }
        let before = group.len();
        let claims_next = made.is_some();
        let begun = match made {
            Some(made) => Ok(Begun::Made(made)),
            None => self.begin(&mut group, along, waiting, plan.is_empty()).await,
        };
        self.lanes.record_begins(destinations(&group[before..]).into_iter());
        // Before the claim: it does not read the destinations that are cached.
        if work.destinations.len() > DESTINATIONS_CACHED {
            work.destinations.clear();
        }
        let claiming = Claiming { plan: &plan, cached: &work.destinations };
        let recorded = self.record(begun, &mut group, claiming, stop).await;
        let blocked = match recorded {
            Recorded::All(cycled) => {
                self.lanes.claimed(&plan, cycled.claimed.iter());
                let leased = with_destinations(work, cycled);
                if stop.is_cancelled() {
                    Self::return_all(&work.senders, leased);
                } else {
                    self.start(&work.senders, self.lanes.start(leased));
                }
                Vec::new()
            }
            Recorded::But(blocked) => {
                has_failed |= !plan.is_empty();
                self.lanes.claim_failed(&plan);
                let (left, recorded): (Vec<_>, Vec<_>) =
                    group.into_iter().partition(|one| blocked.contains(&one.claimed().id()));
                group = recorded;
                left
            }
        };
        self.start(&work.senders, self.lanes.recorded(group.iter().map(Ended::change)));
        if !blocked.is_empty() {
            self.lanes.record_is_blocked(destinations(&blocked).into_iter());
            try_later(&work.senders, blocked);
            return POLL;
        }
        if !group.is_empty() {
            work.recorded_at = Some(Instant::now());
        }
        for one in &group {
            work.due = [work.due, one.next_due()].into_iter().flatten().min();
        }
        match (claims_next, has_failed) {
            (true, _) => Duration::ZERO,
            (false, true) => POLL,
            (false, false) => self.wait(work),
        }
    }

    /// Begins the record of a group, and the claim if there is one. On SQLite, deliveries that end during the wait for
    /// the writer join the group, unless its record has gone along with a turn meanwhile.
    async fn begin(
        &self,
        group: &mut Vec<Ended>,
        along: Option<Along<PlainRow>>,
        waiting: &mut mpsc::UnboundedReceiver<Ended>,
        has_no_claim: bool,
    ) -> Result<Begun, store::Error> {
        if has_no_claim && self.is_plain(group) {
            let begun = self.turn(along).await?;
            let Begun::Alone(Some(_)) = begun else { return Ok(begun) };
            join(group, waiting);
            if self.is_plain(group) {
                return Ok(begun);
            }
        } else if let Some(made) = self.made_along(along).await {
            return Ok(Begun::Made(made));
        }
        let txn = self.store.begin().await?;
        join(group, waiting);
        Ok(Begun::Transaction(txn))
    }

    /// Waits for a turn for a record, or until the record has gone along with another turn.
    async fn turn(&self, along: Option<Along<PlainRow>>) -> Result<Begun, store::Error> {
        let Some(mut along) = along else { return Ok(Begun::Alone(self.store.turn().await?)) };
        let turn = tokio::select! {
            biased;
            _ = along.made() => None,
            turn = self.store.turn() => Some(turn),
        };
        match turn {
            Some(turn) if along.take_back() => Ok(Begun::Alone(turn?)),
            // Another turn has made the record: a turn reports the record's outcome before it releases the writer.
            _ => Ok(Begun::Made(self.store.alone(along.made()).await)),
        }
    }

    /// Returns the outcome of a record that has gone along with a turn. Otherwise takes the record back and returns
    /// `None`.
    async fn made_along(&self, along: Option<Along<PlainRow>>) -> Option<store::Result<()>> {
        let mut along = along.filter(|along| !along.take_back())?;
        Some(self.store.alone(along.made()).await)
    }

    /// Returns false where a look around would hardly find anything new: this node has leased nothing and knows of no
    /// breaker that is open or has counted failures, and on PostgreSQL no node has anything to do.
    fn may_have_changed(&self) -> bool {
        self.is_busy.load(Ordering::Relaxed) || !self.lanes.is_idle() || !self.restless.with(|ids| ids.is_empty())
    }

    /// Looks for queued deliveries that are due, and decides how many of each destination to claim. `is_expected` is
    /// true when some are probably due. `None` where the database cannot be read.
    async fn plan(&self, work: &mut Work, is_expected: bool) -> Option<Plan> {
        let (after, most) = self.lanes.next_claim();
        if most == 0 {
            // A slot that becomes free starts a cycle.
            (work.must_claim, work.due) = (true, None);
            return Some(Vec::new());
        }
        let (db, now) = (self.store.read(), self.clock.now());
        let look = async {
            if !is_expected {
                // One short statement once a second while nothing waits.
                let next = claim::next_due(db).await?;
                if next.is_none_or(|next| next > now) {
                    return Ok((claim::Due::NONE, next));
                }
            }
            let due = claim::list_due(db, now, after).await?;
            let next = if due.destinations.is_empty() { claim::next_due(db).await? } else { None };
            Ok::<_, store::Error>((due, next))
        };
        match self.store.in_time(look).await {
            Ok((due, next)) => {
                work.must_claim = false;
                // `None` when deliveries are due: then the next cycle begins soon, or every lane is full.
                work.due = next;
                Some(self.lanes.plan(&due.destinations, due.is_whole, most.min(CLAIM_MAX)))
            }
            Err(error) => {
                tracing::warn!(error = chain(error), "the dispatcher cannot claim");
                None
            }
        }
    }

    /// Returns the time until the next cycle.
    fn wait(&self, work: &Work) -> Duration {
        if self.lanes.wants_claim() {
            return Duration::ZERO;
        }
        work.until_due(self.clock.now()).unwrap_or(POLL).clamp(Duration::from_millis(1), POLL)
    }

    /// Records the deliveries that still end, until nothing is in flight.
    pub(super) async fn drain(&self, waiting: &mut mpsc::UnboundedReceiver<Ended>, stop: &CancellationToken) {
        let mut group = Vec::new();
        while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            let begun = self.store.begin().await.map(Begun::Transaction);
            self.record(begun, &mut group, Claiming { plan: &[], cached: &HashMap::new() }, stop).await;
            group.clear();
        }
    }

    /// Counts the nodes, returns deliveries whose lease has run out or was lost, and reads which destinations hang.
    async fn look_around(&self) -> Result<(), store::Error> {
        let (db, now) = (&self.store, self.clock.now());
        if db.is_postgres() {
            let nodes = node::beat(db.write(), self.owner, now).await?;
            self.lanes.set_nodes(nodes.count, nodes.rank);
            self.is_busy.store(nodes.is_busy, Ordering::Relaxed);
            if !self.may_have_changed() {
                return Ok(());
            }
        }
        if self.lanes.take_lost() {
            let returned = lease::give_back_unknown(db.write(), now, self.owner, || self.lanes.all_ids()).await;
            if !matches!(returned, Ok(Some(_))) {
                self.lanes.note_lost();
            }
            returned?;
        }
        // The deliveries of the lanes are left out: while the database was away for longer than a lease, one may have
        // ended here that still waits for its record.
        lease::return_expired(db.write(), now, self.owner, &self.lanes.ids().into_iter().collect::<Vec<_>>()).await?;
        let restless = destination::list_restless(db.read()).await?;
        self.lanes.set_hanging(&restless.iter().filter(|(_, hangs)| **hangs).map(|(id, _)| *id).collect());
        self.restless.set(restless.into_keys().collect());
        Ok(())
    }

    /// Sweeps once a second until `stop` is cancelled. Runs beside the cycles, since arranging a large backlog takes
    /// long.
    pub(super) async fn keep_sweeping(&self, stop: &CancellationToken) {
        // The clock may have been set back while no server ran.
        let (mut last_look, mut last, mut is_set_back) = (LastLook::default(), None::<(Timestamp, Instant)>, true);
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let expected = last.replace((now, Instant::now())).map(|(last, at)| last.after(at.elapsed()));
            is_set_back |= expected.is_some_and(|expected| expected.since(now) >= SET_BACK_MIN);
            // The clock alone makes probes due.
            let is_quiet = last_look.is_current(&self.store, now) && !self.may_have_changed() && !is_set_back;
            let swept = tokio::select! {
                () = stop.cancelled() => return,
                swept = self.sweep(now, is_quiet, is_set_back) => swept,
            };
            match swept {
                Ok(had_work) => {
                    if had_work {
                        last_look.forget();
                        self.wake.notify_one();
                    }
                    is_set_back = false;
                }
                Err(error) => {
                    last_look.forget();
                    let error = format!("{error:#}");
                    tracing::warn!(error, "the dispatcher cannot sweep");
                }
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    /// Sweeps once. After the clock was set back, also corrects the times that it has left in the future. Returns true
    /// when a delivery may be due.
    async fn sweep(&self, now: Timestamp, is_quiet: bool, is_set_back: bool) -> anyhow::Result<bool> {
        let had_work = !is_quiet && sweep::sweep(&self.store, now, LEASE_MARGIN).await?;
        if is_set_back {
            set_back::correct(&self.store, || self.clock.now(), LEASE_MARGIN)
                .await
                .context("after the clock was set back")?;
        }
        Ok(had_work || is_set_back)
    }
}

/// Adds the deliveries that have ended to a group.
fn join(group: &mut Vec<Ended>, waiting: &mut mpsc::UnboundedReceiver<Ended>) {
    while group.len() < GROUP_MAX
        && let Ok(one) = waiting.try_recv()
    {
        group.push(one);
    }
}

/// Joins the claimed deliveries with their destinations.
fn with_destinations(work: &mut Work, cycled: Cycled) -> Vec<Leased> {
    work.destinations.extend(cycled.read.into_iter().map(|(id, row)| (id, Arc::new(row))));
    let join = |claimed: Claimed| {
        // An older cached revision must not be used: the current one exists and could not be read.
        let cached =
            work.destinations.get(&claimed.destination_id()).filter(|row| row.revision() >= claimed.current_revision);
        Leased { destination: cached.cloned(), claimed }
    };
    cycled.claimed.into_iter().map(join).collect()
}

/// Brings blocked records back after a wait. Each delivery keeps its lease until then. The lock may be that of a first
/// try whose commit has no response yet.
fn try_later(senders: &Senders, blocked: Vec<Ended>) {
    let ended = senders.ended.clone();
    senders.tasks.spawn(async move {
        tokio::time::sleep(POLL).await;
        for one in blocked {
            if ended.send(one).is_err() {
                tracing::error!("an attempt could not be recorded before the dispatcher ended");
            }
        }
    });
}
