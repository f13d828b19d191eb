//! The schedule worker: starts the tasks of schedules that are due. Every node has such a worker, and the rows decide
//! which node starts a run. The worker must not wait for the network.
//!
//! # What happens in which order
//!
//! 1. Once a second, [`Scheduler::tick`] adopts the time zone of the database and lists the schedules that are due, by
//!    index.
//! 2. Each schedule has a transaction of its own under the lock of changes, so that a schedule that fails does not
//!    delay the others. The transaction reads the row again: another node may have been faster, or a person may have
//!    changed the schedule.
//! 3. [`Due`] decides which run to start and which runs were missed. `store::schedule::advance` moves the next run on,
//!    and fails for all nodes but one.
//! 4. The enabled triggers start their enabled tasks, each once, however many runs were due. Each task gets one record
//!    for all its missed runs.
//!
//! # The clock
//!
//! Runs that were due while nothing could start them are caught up by one run, within an hour. A clock that is set
//! forward is the same case as a server that was down. After the clock was set back, the next run of a schedule of
//! minutes or hours may be as far away as the clock was ahead: `pull_in` corrects that. Schedules of longer units wait
//! instead, since the clock shows the same day again.
//!
//! # What a crash leaves behind
//!
//! Before the commit nothing is stored, so the schedule is still due. After the commit everything is stored.

use super::due::Due;
use super::next::next_after;
use super::tasks::{self, Started};
use crate::clock::{Clock, Zone};
use crate::engine::held::HeldCounts;
use crate::engine::start::Setting;
use crate::fault;
use crate::store::look::LastLook;
use crate::store::run::{self, NewRun};
use crate::store::schedule::{self, TO_BE_COMPUTED};
use crate::store::{self, Store, internal};
use model::id::{DestinationId, ScheduleId};
use model::run::Cause;
use model::schedule::{Repeat, Schedule};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The time between two looks.
const EVERY: Duration = Duration::from_secs(1);
/// A clock that is set back by less than this is ignored, as are differences between the clocks of nodes.
const SET_BACK: Duration = Duration::from_mins(1);
/// The same for schedules by the wall clock. If it is set back by less than a day, it may only show the same day again.
const SET_BACK_BY_DATE: Duration = Duration::from_hours(24);

/// Starts the tasks of schedules that are due.
pub struct Scheduler {
    store: Store,
    clock: Clock,
    zone: Zone,
    /// Notified when a delivery was queued.
    wake: Arc<Notify>,
    held: HeldCounts,
    /// The destinations whose alarm has been raised: their hold was full when this worker last started one of their
    /// tasks.
    alarmed: HashSet<DestinationId>,
    /// The schedules that could not be read.
    unreadable: BTreeSet<i64>,
    /// The time of the last look.
    last: Option<Timestamp>,
    last_look: LastLook,
    /// The next run of any schedule, as of the last look. `None` if there is none.
    next: Option<Timestamp>,
}

impl Scheduler {
    /// Returns the worker of a node.
    pub fn new(store: Store, clock: Clock, zone: Zone, wake: Arc<Notify>) -> Self {
        Self {
            held: HeldCounts::new(store.clone()),
            store,
            clock,
            zone,
            wake,
            alarmed: HashSet::new(),
            unreadable: BTreeSet::new(),
            last: None,
            last_look: LastLook::default(),
            next: None,
        }
    }

    /// Looks once a second until `stop` is cancelled.
    pub async fn run(mut self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let now = self.clock.now();
            let is_due = self.next.is_some_and(|next| next <= now) || self.last.is_some_and(|last| now < last);
            let is_quiet = self.last_look.is_current(&self.store, now) && !is_due;
            if !is_quiet && let Err(error) = self.tick_until(&stop).await {
                self.last_look.forget();
                tracing::warn!(error = format!("{:#}", anyhow::Error::new(error)), "schedules could not be looked at");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }

    /// Looks once: starts everything that is due.
    ///
    /// # Errors
    /// Fails when the database is unavailable. A failure of a single schedule is logged.
    pub async fn tick(&mut self) -> store::Result<()> {
        self.tick_until(&CancellationToken::new()).await
    }

    async fn tick_until(&mut self, stop: &CancellationToken) -> store::Result<()> {
        self.zone.follow(self.store.read()).await?;
        let now = self.clock.now();
        if self.last.is_none_or(|last| now < last) {
            self.pull_in(now).await?;
        }
        self.last = Some(now);
        let due = schedule::list_due(self.store.read(), now, &mut self.unreadable).await?;
        if due.is_empty() {
            self.next = schedule::next_at(self.store.read()).await?;
        } else {
            self.last_look.forget();
        }
        for due in due {
            if stop.is_cancelled() {
                break;
            }
            if let Err(error) = Box::pin(self.take(&due)).await {
                if matches!(error, store::Error::Unavailable(_)) {
                    return Err(error);
                }
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(schedule = due.id.0, error, "a schedule is due and cannot start its tasks");
            }
        }
        Ok(())
    }

    /// Corrects next runs that are too far away since the clock was set back. No run is started twice, unless the clock
    /// was set back by more than the limits above.
    async fn pull_in(&self, now: Timestamp) -> store::Result<()> {
        let zone = self.zone.get();
        for row in schedule::list(self.store.read()).await? {
            let by = if is_elapsed(&row.schedule) { SET_BACK } else { SET_BACK_BY_DATE };
            let latest = next_after(&row.schedule, now.after(by), &zone);
            if let (Some(next_at), Some(latest)) = (row.next_at, latest)
                && next_at > latest
            {
                schedule::advance(self.store.write(), row.id, next_at, Some(latest)).await?;
            }
        }
        Ok(())
    }

    /// Handles a schedule that is due, unless another node has done so.
    async fn take(&mut self, due: &schedule::Row) -> store::Result<()> {
        let Some(next_at) = due.next_at else { return Ok(()) };
        let work = async {
            let txn = self.store.begin_change().await?;
            let alarmed = self.write(&txn, due.id, next_at).await?;
            Ok::<_, store::Error>((txn, alarmed))
        };
        let (txn, alarmed) = self.store.in_time(work).await?;
        fault::point("schedule.before-commit");
        self.store.commit(txn).await?;
        fault::point("schedule.after-commit");
        if let Some(alarmed) = alarmed {
            self.alarmed = alarmed;
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Writes the runs of a due schedule. Where tasks were started, returns the destinations whose alarm has been
    /// raised.
    ///
    /// Takes locks 5 to 7 of 9. The caller holds lock 1.
    async fn write(
        &self,
        txn: &DatabaseTransaction,
        id: ScheduleId,
        due: Timestamp,
    ) -> store::Result<Option<HashSet<DestinationId>>> {
        self.zone.follow(txn).await?;
        let (now, zone) = (self.clock.now(), self.zone.get());
        let Some(row) = schedule::find(txn, id).await?.filter(|row| row.next_at == Some(due) && due <= now) else {
            return Ok(None);
        };
        if due == TO_BE_COMPUTED || !row.schedule.is_enabled {
            let next_at = next_after(&row.schedule, now, &zone).filter(|_| row.schedule.is_enabled);
            schedule::advance(txn, id, due, next_at).await?;
            return Ok(None);
        }
        let todo = Due::of(&row.schedule, due, now, &zone);
        if !schedule::advance(txn, id, due, todo.next_at).await? {
            return Ok(None);
        }
        let tasks = tasks::enabled(txn, id).await?;
        let cause = Cause::Schedule(row.schedule.name);
        if let Some(missed) = todo.missed {
            let runs = tasks.iter().map(|row| NewRun {
                task_id: Some(row.id),
                task_name: row.task.name.clone(),
                cause: cause.clone(),
                event_ids: Vec::new(),
            });
            run::insert_missed(txn, runs.collect(), &missed.note(&zone), now).await?;
        }
        if todo.run.is_none() {
            return Ok(None);
        }
        let setting = Setting { now, zone: &zone, held: &self.held, has_lock_of_changes: true, lanes: None };
        let started = tasks::start_all(txn, &tasks, &cause, setting).await?;
        if started.count == 0 {
            return Ok(None);
        }
        let alarmed = self.raise_alarms(txn, &started, now).await?;
        Ok(Some(alarmed))
    }

    /// Raises an alarm for each destination whose hold is full, only once until the destination accepts a delivery
    /// again. Returns the destinations whose alarm has been raised.
    async fn raise_alarms(
        &self,
        txn: &DatabaseTransaction,
        started: &Started,
        now: Timestamp,
    ) -> store::Result<HashSet<DestinationId>> {
        let is_full = |id: &DestinationId| started.full.iter().any(|hold| hold.destination_id == *id);
        let mut alarmed = self.alarmed.clone();
        alarmed.retain(|id| !started.destinations.contains(id) || is_full(id));
        for hold in &started.full {
            if alarmed.insert(hold.destination_id) {
                internal::insert(txn, &hold.alarm(), now).await?;
            }
        }
        Ok(alarmed)
    }
}

/// Returns true for a schedule that counts elapsed time.
fn is_elapsed(schedule: &Schedule) -> bool {
    matches!(schedule.repeat, Repeat::Minutes { .. } | Repeat::Hours { .. })
}
