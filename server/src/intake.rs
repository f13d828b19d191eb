//! Occurrences in: matched, their runs started, their deliveries rendered and queued, in one transaction.
//!
//! What [`Intake::accept`] answers is durable: the caller may say 202. Commits are shared without a timer: the one
//! worker takes what is waiting, at most 100 occurrences, and writes it as a group; what arrives meanwhile shares the
//! next. A group is staged in memory first, from a few reads, and then written with a statement per table.

pub mod known;
mod rules;
mod write;

use crate::clock::{Clock, new_uuid};
use crate::store::access::ApiKey;
use crate::store::internal::{self, InternalEvent};
use crate::store::receipt::{self, Identity, Receipt};
use crate::store::{self, Store, catalog, listen};
use jiff::tz::TimeZone;
use known::Known;
use model::access::Scope;
use model::catalog::{is_built_in_event, is_own};
use model::field_error::FieldErrors;
use model::id::{TagId, WebhookId};
use model::matching::Facts;
use model::occurrence::Occurrence;
use model::time::Timestamp;
use rules::{Kept, Matched, Rules};
use sea_orm::DatabaseTransaction;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How many occurrences share one commit, unless a single batch has more.
const GROUP_MAX: usize = 100;
/// How many batches may wait before senders do.
const WAITING_MAX: usize = 1000;
/// How often is looked for what happened inside.
const LOOK_INSIDE: Duration = Duration::from_millis(500);
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
    /// What was not done, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<&'static str>,
}

/// Said where a key without the scope `inventory` sends tags.
const TAGS_IGNORED: &str = "object.tags were ignored: this key does not have the scope inventory.";

/// The way in.
#[derive(Clone)]
pub struct Intake {
    jobs: mpsc::Sender<Job>,
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
    batch: Vec<Occurrence>,
    answer: oneshot::Sender<Answer>,
}

type Answer = Result<Vec<Accepted>, Error>;

impl Intake {
    /// Starts the worker. It ends when the last handle is gone.
    pub fn start(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(Worker { store, clock, zone, bell, full: HashSet::new(), kept: Kept::default() }.run(waiting));
        Self { jobs }
    }

    /// Takes in what happened inside and waits in the store, until `stop` is cancelled.
    pub async fn run_inside(self, store: Store, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match internal::list_waiting(store.read(), GROUP_MAX as u64).await {
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
    pub async fn accept(&self, key: Arc<ApiKey>, batch: Vec<Occurrence>) -> Answer {
        self.send(Reporter::Key(key), batch).await
    }

    /// Reports what happened in the console itself. A failure is logged: what happened has happened all the same.
    pub async fn report(&self, occurrence: Occurrence) {
        self.report_as(Reporter::Console, occurrence).await;
    }

    async fn report_as(&self, reporter: Reporter, occurrence: Occurrence) {
        let event_id = occurrence.event_id.clone();
        if let Err(error) = self.send(reporter, vec![occurrence]).await {
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
    /// The webhooks whose hold was full when this worker last looked: their alarm has been raised.
    full: HashSet<WebhookId>,
    kept: Kept,
}

/// An occurrence ready to be written.
struct Staged {
    uuid: Uuid,
    occurrence: Occurrence,
    source: String,
    /// Its object, by its place among the known ones.
    object: Option<usize>,
    /// The tags that object carried when this happened.
    tags: Vec<TagId>,
    /// What it starts, and why the rest does not.
    matched: Matched,
    about_webhook: Option<WebhookId>,
    depth: u32,
    /// What repeats are recognised by, and its content's hash.
    identity: Option<(Identity, Vec<u8>)>,
}

/// The answer for one item: a repeat's first answer, or a place among the staged.
enum Slot {
    Repeat(Accepted),
    New(usize, Vec<&'static str>),
}

/// What staging works on.
struct Stage {
    now: Timestamp,
    known: Known,
    rules: Rules,
    receipts: HashMap<Identity, Receipt>,
    staged: Vec<Staged>,
    /// How often each occurrence was repeated by this group.
    repeats: BTreeMap<Identity, i64>,
    /// Where an identity first stands among the staged.
    fresh: HashMap<Identity, usize>,
}

impl Worker {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        while let Some(first) = waiting.recv().await {
            // First the writer: what arrives while others have it shares the commit.
            let begun = self.store.begin().await;
            let mut size = first.batch.len();
            let mut group = vec![first];
            while size < GROUP_MAX
                && let Ok(job) = waiting.try_recv()
            {
                size += job.batch.len();
                group.push(job);
            }
            match begun {
                Ok(txn) => self.process(group, txn).await,
                // None of them is at fault, and each would wait as long.
                Err(error) => {
                    let answers = group.iter().map(|_| Err(error.clone().into())).collect();
                    answer_all(group, answers);
                }
            }
        }
    }

    async fn process(&mut self, group: Vec<Job>, txn: DatabaseTransaction) {
        match self.try_some_times(&group, Some(txn)).await {
            Ok(answers) => answer_all(group, answers),
            // One of them may be at fault: each alone, so that the others are not.
            Err(_) if group.len() > 1 => {
                let mut away = None;
                for job in group {
                    let alone = vec![job];
                    let done = match &away {
                        None => self.try_some_times(&alone, None).await,
                        Some(error) => Err(store::Error::clone(error)),
                    };
                    match done {
                        Ok(answers) => answer_all(alone, answers),
                        Err(error) => {
                            away = Some(error.clone()).filter(|error| matches!(error, store::Error::Unavailable(_)));
                            answer_all(alone, vec![Err(error.into())]);
                        }
                    }
                }
            }
            Err(error) => answer_all(group, vec![Err(error.into())]),
        }
    }

    async fn try_some_times(
        &mut self,
        group: &[Job],
        mut begun: Option<DatabaseTransaction>,
    ) -> Result<Vec<Answer>, store::Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            let txn = match begun.take() {
                Some(begun) => begun,
                None => self.store.begin().await?,
            };
            match Box::pin(self.transact(txn, group)).await {
                // Another node made the same object or took the same identity, a person deleted what matched, or two
                // nodes waited for each other.
                Err(store::Error::Conflict { .. } | store::Error::InUse | store::Error::Unavailable(_))
                    if tried < TRIES => {}
                result => return result,
            }
        }
    }

    async fn transact(&mut self, txn: DatabaseTransaction, group: &[Job]) -> Result<Vec<Answer>, store::Error> {
        let now = self.clock.now();
        let all = || group.iter().flat_map(|job| &job.batch);
        let identities: Vec<_> = group
            .iter()
            .flat_map(|job| job.batch.iter().filter_map(|occurrence| identity(&job.reporter, occurrence)))
            .collect();
        let mut group_is_there = Vec::with_capacity(group.len());
        for job in group {
            group_is_there.push(match &job.reporter {
                // Another node may have taken it in.
                Reporter::Inside { id, .. } => internal::take(&txn, *id).await?,
                _ => true,
            });
        }
        let references = all().filter_map(|one| Some((one.type_id.as_str(), one.object.as_ref()?)));
        let mut stage = Stage {
            now,
            known: Known::load(&txn, references).await?,
            rules: Rules::load(&txn, &mut self.kept, all()).await?,
            receipts: receipt::find_many(&txn, &identities, now).await?,
            staged: Vec::new(),
            repeats: BTreeMap::new(),
            fresh: HashMap::new(),
        };
        let slots: Vec<_> = group
            .iter()
            .zip(group_is_there)
            .map(|(job, is_there)| if is_there { stage.add_job(job) } else { Ok(Vec::new()) })
            .collect();
        let written = write::write(&txn, &mut stage, &self.zone).await?;
        receipt::count_repeats(&txn, &stage.repeats).await?;
        let full = self.raise_alarms(&txn, &stage, &written.full).await?;
        note_unknown(&txn, &stage).await?;
        if written.started.iter().any(|tasks| *tasks > 0) {
            listen::notify(&txn).await?;
        }
        txn.commit().await?;
        self.full = full;
        if written.started.iter().any(|tasks| *tasks > 0) {
            self.bell.notify_one();
        }
        let answer = |slot: Slot| match slot {
            Slot::Repeat(first) => first,
            Slot::New(place, notes) => {
                Accepted { id: stage.staged[place].uuid, tasks_started: written.started[place], notes }
            }
        };
        Ok(slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(answer).collect())).collect())
    }

    /// Raises an alarm for each webhook that can hold no more, once until it holds nothing. Answers which have theirs.
    async fn raise_alarms(
        &self,
        txn: &DatabaseTransaction,
        stage: &Stage,
        full: &[(WebhookId, String, u32)],
    ) -> Result<HashSet<WebhookId>, store::Error> {
        let mut raised = self.full.clone();
        raised.retain(|id| stage.rules.is_holding(*id) != Some(false));
        for (id, name, depth) in full {
            if !raised.insert(*id) {
                continue;
            }
            let text = format!("The webhook {name} holds as many deliveries as it may; further ones are errors.");
            let occurrence = Occurrence {
                type_id: "alarms".to_owned(),
                event_id: "raised".to_owned(),
                object: None,
                external_id: None,
                source: None,
                time: None,
                data: Some(serde_json::json!({ "level": "error", "text": text, "webhook": name })),
            };
            let event = InternalEvent { occurrence, about_webhook: Some(*id), depth: depth + 1 };
            internal::insert(txn, &event, stage.now).await?;
        }
        Ok(raised)
    }
}

/// Notes kinds that are in no catalogue, so that an admin can add them.
async fn note_unknown(txn: &DatabaseTransaction, stage: &Stage) -> Result<(), store::Error> {
    let mut unknown: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for staged in &stage.staged {
        let (type_id, event_id) = (staged.occurrence.type_id.as_str(), staged.occurrence.event_id.as_str());
        if !is_built_in_event(type_id, event_id) {
            *unknown.entry((type_id, event_id)).or_default() += 1;
        }
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let catalog = catalog::load(txn).await?;
    for ((type_id, event_id), seen) in unknown {
        if catalog.find(type_id).is_none_or(|known| known.find_event(event_id).is_none()) {
            catalog::note_unknown(txn, (type_id, event_id), seen, stage.now).await?;
        }
    }
    Ok(())
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
        let before =
            is_batch.then(|| (self.staged.len(), self.fresh.clone(), self.known.clone(), self.repeats.clone()));
        let mut slots = Vec::with_capacity(job.batch.len());
        for (place, occurrence) in job.batch.iter().enumerate() {
            let path = if is_batch { format!("[{place}].") } else { String::new() };
            match self.add(&job.reporter, occurrence, &path) {
                Ok(slot) => slots.push(slot),
                Err(error) => {
                    if let Some((count, fresh, known, repeats)) = before {
                        self.staged.truncate(count);
                        (self.fresh, self.known, self.repeats) = (fresh, known, repeats);
                    }
                    return Err(error);
                }
            }
        }
        Ok(slots)
    }

    fn add(&mut self, reporter: &Reporter, occurrence: &Occurrence, path: &str) -> Result<Slot, Error> {
        if is_own(&occurrence.type_id) && matches!(reporter, Reporter::Key(_)) {
            let message = "Occurrences about users and webhooks come from the console itself, not from outside.";
            return Err(Error::Invalid(FieldErrors::one(format!("{path}type"), message)));
        }
        let has_tags = occurrence.object.as_ref().is_some_and(|reference| reference.tags.is_some());
        let notes = if has_tags && !reporter.may_tag() { vec![TAGS_IGNORED] } else { Vec::new() };
        let identity = identity(reporter, occurrence).map(|identity| (identity, content_hash(occurrence)));
        if let Some((identity, hash)) = &identity
            && let Some(slot) = self.find_repeat(identity, hash, &notes, path)?
        {
            return Ok(slot);
        }
        let object = match &occurrence.object {
            Some(reference) => {
                let path = format!("{path}object.");
                let found = self.known.resolve(&occurrence.type_id, reference, reporter.may_tag(), &path);
                Some(found.map_err(Error::Invalid)?)
            }
            None => None,
        };
        let (about_webhook, depth) = match reporter {
            Reporter::Inside { about_webhook, depth, .. } => (*about_webhook, *depth),
            _ => (None, 0),
        };
        let source = occurrence.source.clone().unwrap_or_else(|| reporter.name().to_owned());
        let tags = object.map(|place| self.known.tags(place).to_vec()).unwrap_or_default();
        let matched = self.rules.matched(&Facts {
            type_id: &occurrence.type_id,
            event_id: &occurrence.event_id,
            object: object.and_then(|place| self.known.id(place)),
            tags: &tags,
            level: occurrence.level(),
            source: occurrence.data_source().unwrap_or(&source),
            about_webhook,
            depth,
        });
        let place = self.staged.len();
        if let Some((identity, _)) = &identity {
            self.fresh.insert(identity.clone(), place);
        }
        self.staged.push(Staged {
            uuid: new_uuid(self.now),
            occurrence: occurrence.clone(),
            source,
            object,
            tags,
            matched,
            about_webhook,
            depth,
            identity,
        });
        Ok(Slot::New(place, notes))
    }

    fn find_repeat(
        &mut self,
        identity: &Identity,
        hash: &[u8],
        notes: &[&'static str],
        path: &str,
    ) -> Result<Option<Slot>, Error> {
        let (first_hash, slot) = if let Some(receipt) = self.receipts.get(identity) {
            let first =
                Accepted { id: receipt.occurrence, tasks_started: receipt.tasks_started, notes: notes.to_vec() };
            (&receipt.content_hash, Slot::Repeat(first))
        } else if let Some(place) = self.fresh.get(identity)
            && let Some((_, first_hash)) = &self.staged[*place].identity
        {
            (first_hash, Slot::New(*place, notes.to_vec()))
        } else {
            return Ok(None);
        };
        if first_hash == hash {
            *self.repeats.entry(identity.clone()).or_default() += 1;
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
