//! Occurrences in: matched, their runs started, their deliveries rendered and queued, in one transaction.
//!
//! What [`Intake::accept`] answers is durable: the caller may say 202. Commits are shared without a timer: the one
//! worker takes what is waiting, at most 100 occurrences, and writes it as a group; what arrives meanwhile shares the
//! next. A group is staged in memory first, from a few reads, and then written with a statement per table.

mod known;
mod rules;
mod write;

use crate::clock::{Clock, new_uuid};
use crate::store::access::ApiKey;
use crate::store::receipt::{self, Identity, Receipt};
use crate::store::{self, Store};
use jiff::tz::TimeZone;
use known::Known;
use model::field_error::FieldErrors;
use model::id::{EventId, TaskId};
use model::occurrence::Occurrence;
use model::time::Timestamp;
use rules::Rules;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, oneshot};
use uuid::Uuid;

/// The type of console accounts, which nothing from outside may report about.
pub const USERS: &str = "users";
/// How many occurrences share one commit, unless a single batch has more.
const GROUP_MAX: usize = 100;
/// How many batches may wait before senders do.
const WAITING_MAX: usize = 1000;
/// How often a group is staged again when another node changed what it was staged from.
const TRIES: usize = 5;

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
}

/// The way in.
#[derive(Clone)]
pub struct Intake {
    jobs: mpsc::Sender<Job>,
}

/// Who reports an occurrence.
enum Reporter {
    /// Another system, by its key.
    Key(ApiKey),
    /// The console itself: the only one that may report about users.
    Console,
}

impl Reporter {
    fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.name,
            Self::Console => "console",
        }
    }
}

/// One batch that waits for its answer.
struct Job {
    reporter: Reporter,
    batch: Vec<Occurrence>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Accepted>, Error>;

impl Intake {
    /// Starts the worker. It ends when the last handle is gone.
    pub fn start(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Worker { store, clock, zone, bell }.run(waiting));
        Self { jobs }
    }

    /// Accepts a batch from the system with this key: all of it, or nothing.
    pub async fn accept(&self, key: &ApiKey, batch: Vec<Occurrence>) -> Answer {
        self.send(Reporter::Key(key.clone()), batch).await
    }

    /// Reports what happened in the console itself. A failure is logged: what happened has happened all the same.
    pub async fn report(&self, occurrence: Occurrence) {
        let event_id = occurrence.event_id.clone();
        if let Err(error) = self.send(Reporter::Console, vec![occurrence]).await {
            tracing::warn!(
                event_id,
                error = format!("{:#}", anyhow::Error::new(error)),
                "an occurrence was not stored"
            );
        }
    }

    async fn send(&self, reporter: Reporter, batch: Vec<Occurrence>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let job = Job { reporter, batch, answer };
        self.jobs.send(job).await.map_err(|_| Error::Stopped)?;
        answered.await.map_err(|_| Error::Stopped)?
    }
}

struct Worker {
    store: Store,
    clock: Clock,
    zone: TimeZone,
    /// Rung when something was queued.
    bell: Arc<Notify>,
}

/// An occurrence ready to be written.
struct Staged {
    uuid: Uuid,
    occurrence: Occurrence,
    source: String,
    /// Its object, by its place among the known ones.
    object: Option<usize>,
    /// What it starts, each with the events that named it.
    fired: Vec<(TaskId, Vec<EventId>)>,
    /// What repeats are recognised by, and its content's hash.
    identity: Option<(Identity, Vec<u8>)>,
}

/// The answer for one item: a repeat's first answer, or a place among the staged.
enum Slot {
    Repeat(Accepted),
    New(usize),
}

/// What staging works on.
struct Stage {
    now: Timestamp,
    known: Known,
    rules: Rules,
    receipts: HashMap<Identity, Receipt>,
    staged: Vec<Staged>,
    /// Where an identity first stands among the staged.
    fresh: HashMap<Identity, usize>,
}

impl Worker {
    async fn run(self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            let mut size = first.batch.len();
            let mut group = vec![first];
            while size < GROUP_MAX
                && let Ok(job) = waiting.try_recv()
            {
                size += job.batch.len();
                group.push(job);
            }
            self.process(group).await;
        }
    }

    async fn process(&self, group: Vec<Job>) {
        match self.try_some_times(&group).await {
            Ok(answers) => answer_all(group, answers),
            // One of them may be at fault: each alone, so that the others are not.
            Err(_) if group.len() > 1 => {
                for job in group {
                    let alone = vec![job];
                    match self.try_some_times(&alone).await {
                        Ok(answers) => answer_all(alone, answers),
                        Err(error) => answer_all(alone, vec![Err(error.into())]),
                    }
                }
            }
            Err(error) => answer_all(group, vec![Err(error.into())]),
        }
    }

    async fn try_some_times(&self, group: &[Job]) -> Result<Vec<Answer>, store::Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            match Box::pin(self.transact(group)).await {
                // Another node made the same object or took the same identity, or a person deleted what matched.
                Err(store::Error::Conflict { .. } | store::Error::InUse) if tried < TRIES => {}
                result => return result,
            }
        }
    }

    async fn transact(&self, group: &[Job]) -> Result<Vec<Answer>, store::Error> {
        let now = self.clock.now();
        let txn = self.store.begin().await?;
        let all = || group.iter().flat_map(|job| &job.batch);
        let identities: Vec<_> = group
            .iter()
            .flat_map(|job| job.batch.iter().filter_map(|occurrence| identity(&job.reporter, occurrence)))
            .collect();
        let mut stage = Stage {
            now,
            known: Known::load(&txn, all()).await?,
            rules: Rules::load(&txn, all()).await?,
            receipts: receipt::find_many(&txn, &identities, now).await?,
            staged: Vec::new(),
            fresh: HashMap::new(),
        };
        let slots: Vec<_> = group.iter().map(|job| stage.add_job(job)).collect();
        let started = write::write(&txn, &mut stage, &self.zone).await?;
        txn.commit().await?;
        if started.iter().any(|tasks| *tasks > 0) {
            self.bell.notify_one();
        }
        let answer = |slot: Slot| match slot {
            Slot::Repeat(first) => first,
            Slot::New(place) => Accepted { id: stage.staged[place].uuid, tasks_started: started[place] },
        };
        Ok(slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(answer).collect())).collect())
    }
}

fn answer_all(group: Vec<Job>, answers: Vec<Answer>) {
    for (job, answer) in group.into_iter().zip(answers) {
        // A sender that has gone away needs no answer; what it sent is stored all the same.
        let _ = job.answer.send(answer);
    }
}

/// What repeats of this occurrence are recognised by, if it carries an id.
fn identity(reporter: &Reporter, occurrence: &Occurrence) -> Option<Identity> {
    let Reporter::Key(key) = reporter else { return None };
    let id = occurrence.external_id.clone()?;
    Some((key.id, occurrence.source.clone().unwrap_or_else(|| key.name.clone()), id))
}

impl Stage {
    /// Stages all of a batch, or leaves everything as it was.
    fn add_job(&mut self, job: &Job) -> Result<Vec<Slot>, Error> {
        let is_batch = job.batch.len() > 1;
        // A single item is refused before it changes anything.
        let before = is_batch.then(|| (self.staged.len(), self.fresh.clone(), self.known.clone()));
        let mut slots = Vec::with_capacity(job.batch.len());
        for (place, occurrence) in job.batch.iter().enumerate() {
            let path = if is_batch { format!("[{place}].") } else { String::new() };
            match self.add(&job.reporter, occurrence, &path) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    if let Some((count, fresh, known)) = before {
                        self.staged.truncate(count);
                        (self.fresh, self.known) = (fresh, known);
                    }
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    fn add(&mut self, reporter: &Reporter, occurrence: &Occurrence, path: &str) -> Result<Slot, Error> {
        if occurrence.type_id == USERS && matches!(reporter, Reporter::Key(_)) {
            let message = "Occurrences about users come from the console itself, not from outside.";
            return Err(Error::Invalid(FieldErrors::one(format!("{path}type"), message)));
        }
        let identity = identity(reporter, occurrence).map(|identity| (identity, content_hash(occurrence)));
        if let Some((identity, hash)) = &identity
            && let Some(slot) = self.find_repeat(identity, hash, path)?
        {
            return Ok(slot);
        }
        let reference = occurrence.object.as_ref();
        let object = reference
            .map(|reference| self.known.resolve(&occurrence.type_id, reference, path).map_err(Error::Invalid))
            .transpose()?;
        let object_id = object.and_then(|place| self.known.id(place));
        let place = self.staged.len();
        if let Some((identity, _)) = &identity {
            self.fresh.insert(identity.clone(), place);
        }
        self.staged.push(Staged {
            uuid: new_uuid(self.now),
            occurrence: occurrence.clone(),
            source: occurrence.source.clone().unwrap_or_else(|| reporter.name().to_owned()),
            object,
            fired: self.rules.fired(&occurrence.type_id, &occurrence.event_id, object_id),
            identity,
        });
        Ok(Slot::New(place))
    }

    fn find_repeat(&self, identity: &Identity, hash: &[u8], path: &str) -> Result<Option<Slot>, Error> {
        let (first_hash, slot) = if let Some(receipt) = self.receipts.get(identity) {
            let first = Accepted { id: receipt.occurrence, tasks_started: receipt.tasks_started };
            (&receipt.content_hash, Slot::Repeat(first))
        } else if let Some(place) = self.fresh.get(identity)
            && let Some((_, first_hash)) = &self.staged[*place].identity
        {
            (first_hash, Slot::New(*place))
        } else {
            return Ok(None);
        };
        if first_hash == hash {
            return Ok(Some(slot));
        }
        let message = "This id was used before for an occurrence with another content.";
        Err(Error::Reused(FieldErrors::one(format!("{path}id"), message)))
    }
}

/// SHA-256 of what was read, so that blanks and the order of members do not matter; without what the identity holds.
fn content_hash(occurrence: &Occurrence) -> Vec<u8> {
    let content = Occurrence { source: None, external_id: None, ..occurrence.clone() };
    Sha256::digest(serde_json::to_vec(&content).unwrap_or_default()).to_vec()
}
