//! Occurrences in: matched, their runs started, their deliveries rendered and queued, in one transaction.
//!
//! What [`Intake::accept`] answers is durable: the caller may say 202. Commits are shared without a timer: the one
//! worker takes what is waiting, at most 100 occurrences, and writes it as a group; what arrives meanwhile shares the
//! next. A group is staged in memory first, from a few reads, and then written with a statement per table.

pub mod known;
mod rules;
mod stage;
mod write;

use crate::clock::{Clock, new_uuid};
use crate::store::access::ApiKey;
use crate::store::internal::{self, InternalEvent};
use crate::store::{self, Store, catalog, listen, occurrence, receipt, webhook};
use jiff::tz::TimeZone;
use known::Known;
use model::access::Scope;
use model::catalog::is_built_in_event;
use model::field_error::FieldErrors;
use model::id::WebhookId;
use model::occurrence::{Batch, Occurrence};
use rules::{Kept, Rules};
use sea_orm::DatabaseTransaction;
use stage::{Slot, Stage, identity};
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

/// What a group came to.
struct Done {
    answers: Vec<Answer>,
    /// The first occurrence that was written: if it is there, all are.
    first: Option<Uuid>,
    full: HashSet<WebhookId>,
    has_started: bool,
}

/// Why a group was not written, or may not have been: then with what it came to if it was.
struct Failed(store::Error, Option<Done>);

impl<E: Into<store::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self(error.into(), None)
    }
}

impl Intake {
    /// Starts the worker. It ends when the last handle is gone.
    pub fn start(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        let (jobs, waiting) = mpsc::channel(WAITING_MAX);
        let worker = Worker { store, clock: clock.clone(), zone, bell, full: HashSet::new(), kept: Kept::default() };
        tokio::spawn(worker.run(waiting));
        Self { jobs, clock }
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

impl Worker {
    async fn run(mut self, mut waiting: mpsc::Receiver<Job>) {
        // What would have made the last group too large.
        let mut left = None;
        while let Some(first) = match left.take() {
            Some(job) => Some(job),
            None => waiting.recv().await,
        } {
            // First the writer: what arrives while others have it shares the commit.
            let begun = self.store.begin().await;
            let mut size = first.batch.occurrences.len();
            let mut group = vec![first];
            while let Ok(job) = waiting.try_recv() {
                size += job.batch.occurrences.len();
                if size > GROUP_MAX {
                    left = Some(job);
                    break;
                }
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
        let mut unsure: Option<Done> = None;
        loop {
            tried += 1;
            let txn = match begun.take() {
                Some(begun) => begun,
                None => match self.store.begin().await {
                    Ok(txn) => txn,
                    // Who is unsure keeps asking: the senders would be told that nothing was stored.
                    Err(_) if unsure.is_some() && tried < TRIES => continue,
                    Err(error) => return Err(error),
                },
            };
            // The last try may have been committed, and only its answer lost.
            if let Some(first) = unsure.as_ref().and_then(|done| done.first) {
                match occurrence::find(&txn, first).await {
                    Ok(None) => {}
                    Ok(Some(_)) => {
                        if let Some(done) = unsure.take() {
                            return Ok(self.finish(done));
                        }
                    }
                    Err(_) if tried < TRIES => continue,
                    Err(error) => return Err(error),
                }
            }
            match Box::pin(self.transact(txn, group)).await {
                Ok(done) => return Ok(self.finish(done)),
                // Another node made the same object or took the same identity, a person deleted what matched, or two
                // nodes waited for each other.
                Err(Failed(error, done)) if error.is_passing() && tried < TRIES => unsure = done.or(unsure),
                Err(Failed(error, _)) => return Err(error),
            }
        }
    }

    fn finish(&mut self, done: Done) -> Vec<Answer> {
        self.full = done.full;
        if done.has_started {
            self.bell.notify_one();
        }
        done.answers
    }

    async fn transact(&mut self, txn: DatabaseTransaction, group: &[Job]) -> Result<Done, Failed> {
        let all = || group.iter().flat_map(|job| &job.batch.occurrences);
        let identities: Vec<_> = group
            .iter()
            .flat_map(|job| job.batch.occurrences.iter().filter_map(|occurrence| identity(&job.reporter, occurrence)))
            .collect();
        let mut group_is_there = Vec::with_capacity(group.len());
        for job in group {
            group_is_there.push(match &job.reporter {
                // Another node may have taken it in; of a webhook that was deleted since nothing is told.
                Reporter::Inside { id, about_webhook, .. } => {
                    internal::take(&txn, *id).await?
                        && match about_webhook {
                            Some(webhook) => webhook::is_there(&txn, *webhook).await?,
                            None => true,
                        }
                }
                _ => true,
            });
        }
        let references = all().filter_map(|one| Some((one.type_id.as_str(), one.object.as_ref()?)));
        let known = Known::load(&txn, references).await?;
        // Others may have been waited for.
        let now = self.clock.now();
        let mut stage = Stage {
            now,
            known,
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
        let has_started = written.started.iter().any(|tasks| *tasks > 0);
        if has_started {
            listen::notify(&txn).await?;
        }
        let answer = |slot: Slot| match slot {
            Slot::Repeat(first) => first,
            Slot::New(place, notes) => {
                Accepted { id: stage.staged[place].uuid, tasks_started: written.started[place], notes }
            }
        };
        let answers = slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(answer).collect())).collect();
        let done = Done { answers, first: stage.staged.first().map(|staged| staged.uuid), full, has_started };
        match txn.commit().await {
            Ok(()) => Ok(done),
            Err(error) => Err(Failed(error.into(), Some(done))),
        }
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
    unknown.retain(|(type_id, event_id), _| catalog.find(type_id).is_none_or(|of| of.find_event(event_id).is_none()));
    if unknown.is_empty() {
        return Ok(());
    }
    for (kind, seen) in unknown {
        catalog::note_unknown(txn, kind, seen, stage.now).await?;
    }
    catalog::forget_oldest_unknown(txn).await
}

fn answer_all(group: Vec<Job>, answers: Vec<Answer>) {
    for (job, answer) in group.into_iter().zip(answers) {
        // A sender that has gone away needs no answer; what it sent is stored all the same.
        let _ = job.answer.send(answer);
    }
}
