//! The intake: takes occurrences in, starts the runs they cause and queues the deliveries of those runs.
//!
//! # What happens in which order
//!
//! 1. [`Intake::accept`] (another system, by its key), [`Intake::report`] (the console itself) and
//!    [`Intake::run_internal`] (the internal events of the dispatcher) put a job into a channel: a batch of
//!    occurrences, each with its public id. The channel has a capacity of 1000 jobs; further senders wait.
//! 2. A `worker` collects a group: the jobs that are waiting, at most 100 occurrences or one larger batch. Commits are
//!    shared without a timer, since jobs that arrive while a group is written share the next commit. On SQLite the
//!    worker first waits for its turn to write.
//! 3. `group` resolves the objects (`objects`), loads the events, tasks and destinations (`rules`) and the receipts of
//!    repeats, and stages each occurrence in memory (`stage`).
//! 4. `write` then writes the staged group with a statement per table: one-time tasks are claimed, objects and tags,
//!    occurrences, runs, deliveries, receipts. `alarm` adds an internal event for each destination whose hold is full.
//!    Most groups are plain: they only add rows. One statement writes such a group on PostgreSQL, and a turn
//!    (`store::turn`) on SQLite. The state that earlier groups have read (`known`) is not read again: the statement or
//!    the turn checks that the state is unchanged. This leaves one round trip to the database instead of nine.
//! 5. `commit` commits, and tries again where that can help. A commit that fails because the database went away may
//!    have succeeded, so its first occurrence is looked up before anything else is done. Each occurrence keeps its
//!    public id over all tries.
//! 6. The worker responds to each job: stored, refused, or unknown. A group that is refused is committed once more, job
//!    by job, so that a job at fault does not fail the others. Only a response of "stored" permits the caller a 202.
//!
//! # Locks
//!
//! A group takes locks 2, 3, 7, 8 and 9 of the lock order in `store`, in that order, and lock 1 before them where a
//! task that is deleted after running fails at once. Locks 5 and 6 are on rows that the group has written itself. A
//! group holds its locks until its commit, and never while it waits for the network or for a sender. A plain group on
//! PostgreSQL takes lock 9 only. The cached rules need no lock: a newer revision discards them.
//!
//! # What a crash leaves behind
//!
//! * Before the commit: nothing. The sender has no response and sends again.
//! * During the commit: the whole group or nothing of it is stored, as the database decides.
//! * After the commit, before the response: the whole group is stored. A sender that repeats an occurrence with the
//!   same id gets the first response by its receipt, and nothing is started again.
//! * During the statement or the turn of a plain group: the whole group or nothing of it is stored. If the response is
//!   lost, the ids of the leased deliveries are lost too. These deliveries return to the queue at the next look at
//!   which no other such statement is under way (`Lanes::take_lost`), or when their leases end.
//! * After the commit, before the wake: the next look finds the queued deliveries. The leased ones are sent after the
//!   next start of a single server on SQLite, or when their leases end.
//! * An internal event is deleted by the transaction that stores its occurrence: it is neither lost nor repeated.
//! * The state in memory is loaded or counted anew after a start: the rules and the numbers of held deliveries. The
//!   list of raised alarms is lost, so an alarm may be raised a second time.

mod alarm;
mod commit;
pub mod full;
mod group;
mod known;
pub mod objects;
mod prepared;
mod rules;
mod stage;
mod worker;
mod write;

use crate::clock::{Clock, Zone, new_uuid};
use crate::engine::held::HeldCounts;
use crate::engine::lane::Lanes;
use crate::store::access::ApiKey;
use crate::store::internal::{self, InternalEvent};
use crate::store::look::LastLook;
use crate::store::{self, Store};
use commit::Shared;
use model::access::Scope;
use model::field_error::FieldErrors;
use model::id::DestinationId;
use model::occurrence::{Batch, Occurrence};
use sea_orm::DbErr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The number of occurrences that share one commit, unless a single batch has more.
const GROUP_MAX: usize = 100;
/// The number of batches that may wait. Further senders wait until one is taken.
const WAITING_MAX: usize = 1000;
/// The time between two looks for internal events.
const INTERNAL_POLL: Duration = Duration::from_secs(1);

/// The reason why nothing of a batch was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong items.
    #[error(transparent)]
    Invalid(FieldErrors),
    /// An id that was used before for another occurrence.
    #[error(transparent)]
    Reused(FieldErrors),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database or the worker failed during the commit. The batch may be stored.
    #[error("it is not known whether this was stored")]
    Unknown(#[source] store::Error),
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

/// The result of one accepted occurrence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// The public id of the occurrence.
    pub id: Uuid,
    /// The number of tasks it started.
    pub tasks_started: u32,
    /// The parts of it that were ignored, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// A handle of the intake. Clones share the workers.
#[derive(Clone)]
pub struct Intake {
    jobs: mpsc::Sender<Job>,
    clock: Clock,
}

/// The origin of an occurrence.
enum Reporter {
    /// Another system, by its key.
    Key(Arc<ApiKey>),
    /// The console itself: only the console may report occurrences about users.
    Console,
    /// The dispatcher, by an internal event.
    Internal { id: i64, about_destination: Option<DestinationId>, depth: u32 },
}

impl Reporter {
    fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.name,
            Self::Console | Self::Internal { .. } => "console",
        }
    }

    fn may_tag(&self) -> bool {
        matches!(self, Self::Key(key) if key.scopes.contains(&Scope::Inventory))
    }
}

/// A batch that waits for its response.
struct Job {
    reporter: Reporter,
    batch: Batch,
    /// The public id of each occurrence, the same over all tries.
    uuids: Vec<Uuid>,
    response: oneshot::Sender<Response>,
}

/// The result of a job: of each occurrence, or the reason why nothing was accepted.
type Response = Result<Vec<Accepted>, Error>;

impl Intake {
    /// Starts the workers. They hand new deliveries to the dispatcher by the lanes, and notify `wake` when a delivery
    /// was queued. The workers end when the last handle is dropped.
    pub fn start(store: Store, clock: Clock, zone: Zone, wake: Arc<Notify>, lanes: Lanes) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let shared = Shared {
            clock: clock.clone(),
            zone,
            lanes,
            wake,
            held: Arc::new(HeldCounts::new(store.clone())),
            alarmed: Arc::default(),
            full: Arc::default(),
        };
        tokio::spawn(worker::run(store, shared, waiting));
        Self { jobs, clock }
    }

    /// Returns when the workers have ended. While a handle exists, only a fault ends them.
    pub async fn ended(&self) {
        self.jobs.closed().await;
    }

    /// Takes in the internal events that wait in the store, until `stop` is cancelled.
    pub async fn run_internal(self, store: Store, stop: CancellationToken) {
        let mut unreadable = BTreeSet::new();
        let mut last = LastLook::default();
        while !stop.is_cancelled() {
            let mut is_full = false;
            let looked = if last.is_current(&store, self.clock.now()) {
                Ok(Vec::new())
            } else {
                internal::list_waiting(store.read(), GROUP_MAX as u64, &mut unreadable).await
            };
            match looked {
                Ok(waiting) => {
                    if !waiting.is_empty() {
                        last.forget();
                    }
                    is_full = waiting.len() == GROUP_MAX;
                    for (id, InternalEvent { occurrence, about_destination, depth }) in waiting {
                        // An event that could not be stored is tried again after a wait.
                        is_full &=
                            self.report_as(Reporter::Internal { id, about_destination, depth }, occurrence).await;
                    }
                }
                Err(error) => {
                    last.forget();
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::warn!(error, "internal events could not be read");
                }
            }
            if is_full {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(INTERNAL_POLL) => {}
            }
        }
    }

    /// Accepts a batch from the system with this key: all of the batch, or nothing. When this returns `Ok`, the batch
    /// is durable.
    pub async fn accept(&self, key: Arc<ApiKey>, batch: Batch) -> Response {
        self.send(Reporter::Key(key), batch).await
    }

    /// Reports an occurrence of the console itself. A failure is logged and not returned, since the reported action has
    /// already taken place.
    pub async fn report(&self, occurrence: Occurrence) {
        self.report_as(Reporter::Console, occurrence).await;
    }

    /// Returns true when the occurrence is stored.
    async fn report_as(&self, reporter: Reporter, occurrence: Occurrence) -> bool {
        let event_id = occurrence.event_id.clone();
        let Err(error) = self.send(reporter, Batch::single(occurrence)).await else { return true };
        let error = format!("{:#}", anyhow::Error::new(error));
        tracing::warn!(event_id, error, "an occurrence was not stored");
        false
    }

    async fn send(&self, reporter: Reporter, batch: Batch) -> Response {
        let (response, responded) = oneshot::channel();
        let now = self.clock.now();
        let uuids = batch.occurrences.iter().map(|_| new_uuid(now)).collect();
        let job = Job { reporter, batch, uuids, response };
        self.jobs.send(job).await.map_err(|_| Error::Stopped)?;
        // The worker had the job and failed: its commit may have succeeded.
        let lost = || store::Error::Unavailable(DbErr::Custom("the intake has failed".to_owned()));
        responded.await.map_err(|_| Error::Unknown(lost()))?
    }
}
