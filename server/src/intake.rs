//! Occurrences in: matched, their runs started, their deliveries rendered and queued, in one transaction.
//!
//! What [`Intake::accept`] answers is durable: the caller may say 202. Commits are shared without a timer: the one
//! worker takes what is waiting, at most 100 occurrences, and writes it as a group; what arrives meanwhile shares the
//! next. A group is staged in memory first, from a few reads, and then written with a statement per table.

mod commit;
pub mod known;
mod rules;
mod stage;
mod worker;
mod write;

use crate::clock::{Clock, new_uuid};
use crate::store::access::ApiKey;
use crate::store::internal::{self, InternalEvent};
use crate::store::{self, Store};
use jiff::tz::TimeZone;
use model::access::Scope;
use model::field_error::FieldErrors;
use model::id::WebhookId;
use model::occurrence::{Batch, Occurrence};
use sea_orm::DbErr;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use worker::Worker;

/// How many occurrences share one commit, unless a single batch has more.
const GROUP_MAX: usize = 100;
/// How many batches may wait before senders do.
const WAITING_MAX: usize = 1000;
/// How often is looked for what happened inside.
const LOOK_INSIDE: Duration = Duration::from_millis(500);

/// Why nothing of a batch was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong items.
    #[error(transparent)]
    Invalid(FieldErrors),
    /// An id that was used before for something else.
    #[error(transparent)]
    Reused(FieldErrors),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The database or the worker failed meanwhile: it may be stored.
    #[error("it is not known whether this was stored")]
    Unknown(#[source] store::Error),
    /// The key was revoked.
    #[error("the key was revoked")]
    Revoked,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopped,
}

/// What became of one occurrence.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Accepted {
    /// Its public id.
    pub id: Uuid,
    /// How many tasks it started.
    pub tasks_started: u32,
    /// What was not done, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// The way in.
#[derive(Clone)]
pub struct Intake {
    jobs: mpsc::Sender<Job>,
    clock: Clock,
}

/// Who reports an occurrence.
enum Reporter {
    /// Another system, by its key.
    Key(Arc<ApiKey>),
    /// The console itself: the only one that may report about users.
    Console,
    /// The dispatcher, by what it has left for the intake.
    Inside { id: i64, about_webhook: Option<WebhookId>, depth: u32 },
}

impl Reporter {
    fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.name,
            Self::Console | Self::Inside { .. } => "console",
        }
    }

    fn may_tag(&self) -> bool {
        matches!(self, Self::Key(key) if key.scopes.contains(&Scope::Inventory))
    }
}

/// One batch that waits for its answer.
struct Job {
    reporter: Reporter,
    batch: Batch,
    /// The public id of each, however often it is staged.
    uuids: Vec<Uuid>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Accepted>, Error>;

impl Intake {
    /// Starts the worker. It ends when the last handle is gone.
    pub fn start(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Worker::new(store, clock.clone(), zone, bell).run(waiting));
        Self { jobs, clock }
    }

    /// Returns when the worker has ended: by a fault, as long as there is a handle.
    pub async fn ended(&self) {
        self.jobs.closed().await;
    }

    /// Takes in what happened inside and waits in the store, until `stop` is cancelled.
    pub async fn run_inside(self, store: Store, stop: CancellationToken) {
        let mut aside = BTreeSet::new();
        while !stop.is_cancelled() {
            match internal::list_waiting(store.read(), GROUP_MAX as u64, &mut aside).await {
                Ok(waiting) => {
                    for (id, InternalEvent { occurrence, about_webhook, depth }) in waiting {
                        self.report_as(Reporter::Inside { id, about_webhook, depth }, occurrence).await;
                    }
                }
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::warn!(error, "what happened inside could not be read");
                }
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOOK_INSIDE) => {}
            }
        }
    }

    /// Accepts a batch from the system with this key: all of it, or nothing.
    pub async fn accept(&self, key: Arc<ApiKey>, batch: Batch) -> Answer {
        self.send(Reporter::Key(key), batch).await
    }

    /// Reports what happened in the console itself. A failure is logged: what happened has happened all the same.
    pub async fn report(&self, occurrence: Occurrence) {
        self.report_as(Reporter::Console, occurrence).await;
    }

    async fn report_as(&self, reporter: Reporter, occurrence: Occurrence) {
        let event_id = occurrence.event_id.clone();
        if let Err(error) = self.send(reporter, Batch::single(occurrence)).await {
            tracing::warn!(
                event_id,
                error = format!("{:#}", anyhow::Error::new(error)),
                "an occurrence was not stored"
            );
        }
    }

    async fn send(&self, reporter: Reporter, batch: Batch) -> Answer {
        let (answer, answered) = oneshot::channel();
        let now = self.clock.now();
        let uuids = batch.occurrences.iter().map(|_| new_uuid(now)).collect();
        let job = Job { reporter, batch, uuids, answer };
        self.jobs.send(job).await.map_err(|_| Error::Stopped)?;
        // The worker had it and failed: nobody can tell how far it came.
        let lost = || store::Error::Unavailable(DbErr::Custom("the intake has failed".to_owned()));
        answered.await.map_err(|_| Error::Unknown(lost()))?
    }
}
