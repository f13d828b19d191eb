//! Committing a group: staged, written, and certain to be stored or not, as far as the database can be asked.
//!
//! A commit that fails because the database went away may have succeeded. So what it would have written is looked for
//! before anything else; and while that cannot be asked, nobody is told that nothing was stored.

use super::known::Known;
use super::rules::{Kept, Rules};
use super::stage::{Slot, Stage, identity};
use super::{Accepted, Answer, Job, Reporter, write};
use crate::clock::Clock;
use crate::fault;
use crate::store::internal::{self, InternalEvent};
use crate::store::{self, Store, access, catalog, listen, occurrence, receipt, webhook};
use jiff::tz::TimeZone;
use model::catalog::is_built_in_event;
use model::id::{ApiKeyId, WebhookId};
use model::occurrence::Occurrence;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// How often a group is tried that another node's change stands in the way of, or whose commit is not certain.
const TRIES: u32 = 5;
/// How long the first wait is for a database that cannot be asked what became of a commit; each further one is longer.
const WAIT: Duration = Duration::from_millis(100);

/// How the commit of a group went.
pub(super) enum Commit {
    /// It is stored: the answer to each job.
    Done(Vec<Answer>),
    /// Nothing of it is stored.
    Refused(store::Error),
    /// It may be stored: the database went away during the commit, and cannot be asked.
    Unknown(store::Error),
}

/// What a group came to, if its commit succeeded.
struct Done {
    answers: Vec<Answer>,
    /// The first occurrence that was written: if it is there, all are.
    first: Option<Uuid>,
    full: HashSet<WebhookId>,
    has_started: bool,
}

/// A failed try; with what it came to if its commit failed, whose outcome is unknown.
struct Failed(store::Error, Option<Done>);

impl From<store::Error> for Failed {
    fn from(error: store::Error) -> Self {
        Self(error, None)
    }
}

/// Commits groups, one after the other.
pub(super) struct Committer {
    store: Store,
    clock: Clock,
    zone: TimeZone,
    /// Rung when something was queued.
    bell: Arc<Notify>,
    /// The webhooks whose hold was full when this worker last looked: their alarm has been raised.
    full: HashSet<WebhookId>,
    kept: Kept,
}

impl Committer {
    /// A committer that rings `bell` when something was queued.
    pub(super) fn new(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        Self { store, clock, zone, bell, full: HashSet::new(), kept: Kept::default() }
    }

    /// Commits a group, in a transaction that has begun already or in one of its own.
    pub(super) async fn commit(&mut self, group: &[Job], mut begun: Option<DatabaseTransaction>) -> Commit {
        let mut tried = 0;
        let mut unsure: Option<Done> = None;
        loop {
            tried += 1;
            let error = match Box::pin(self.try_once(group, begun.take())).await {
                Ok(done) => return self.finish(done),
                Err(Failed(error, None)) => error,
                Err(Failed(error, Some(done))) => match self.look_for(&done).await {
                    Some(true) => return self.finish(done),
                    Some(false) => {
                        unsure = Some(done);
                        error
                    }
                    None => return Commit::Unknown(error),
                },
            };
            // A database that is away keeps nobody waiting; a connection that it closed is worth a second try. What is
            // blocked has waited already.
            let limit = match error {
                _ if error.is_blocked() => 1,
                store::Error::Unavailable(_) => 2,
                _ => TRIES,
            };
            if error.is_passing() && tried < limit {
                continue;
            }
            // PostgreSQL may still have been committing when an earlier try was looked for.
            let Some(done) = unsure.take_if(|_| self.store.is_postgres()) else { return Commit::Refused(error) };
            return match self.look_for(&done).await {
                Some(true) => self.finish(done),
                _ => Commit::Unknown(error),
            };
        }
    }

    fn finish(&mut self, done: Done) -> Commit {
        self.full = done.full;
        if done.has_started {
            self.bell.notify_one();
        }
        Commit::Done(done.answers)
    }

    /// Whether what a commit would have written is there; `None` while the database cannot be asked.
    async fn look_for(&self, unsure: &Done) -> Option<bool> {
        // Only repeats of what is there already: nothing to look for, and nothing is lost by another try.
        let Some(first) = unsure.first else { return Some(false) };
        for tried in 1..=TRIES {
            match occurrence::find(self.store.read(), first).await {
                Ok(found) => return Some(found.is_some()),
                Err(_) => tokio::time::sleep(WAIT * tried).await,
            }
        }
        None
    }

    async fn try_once(&mut self, group: &[Job], begun: Option<DatabaseTransaction>) -> Result<Done, Failed> {
        let txn = match begun {
            Some(begun) => begun,
            None => self.store.begin_impatient().await?,
        };
        let store = self.store.clone();
        let done = store.in_time(self.write(&txn, group)).await?;
        fault::point("intake.before-commit");
        if let Err(error) = store.commit(txn).await {
            return Err(Failed(error, Some(done)));
        }
        fault::point("intake.after-commit");
        Ok(done)
    }

    /// Writes a group into a transaction.
    async fn write(&mut self, txn: &DatabaseTransaction, group: &[Job]) -> Result<Done, store::Error> {
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
                    internal::take(txn, *id).await?
                        && match about_webhook {
                            Some(webhook) => webhook::is_there(txn, *webhook).await?,
                            None => true,
                        }
                }
                _ => true,
            });
        }
        let worthless = worthless(txn, group).await?;
        let references = all().filter_map(|one| Some((one.type_id.as_str(), one.object.as_ref()?)));
        let known = Known::load(txn, references, true).await?;
        // Others may have been waited for.
        let now = self.clock.now();
        let mut stage = Stage {
            now,
            known,
            rules: Rules::load(txn, &mut self.kept, all()).await?,
            receipts: receipt::find_many(txn, &identities, now).await?,
            staged: Vec::new(),
            repeats: BTreeMap::new(),
            fresh: HashMap::new(),
        };
        let slots: Vec<_> = group
            .iter()
            .zip(group_is_there)
            .map(|(job, is_there)| match &job.reporter {
                Reporter::Key(key) if worthless.contains(&key.id) => Err(super::Error::Revoked),
                _ if is_there => stage.add_job(job),
                _ => Ok(Vec::new()),
            })
            .collect();
        let written = write::write(txn, &mut stage, &self.zone).await?;
        receipt::count_repeats(txn, &stage.repeats, stage.now).await?;
        let full = self.raise_alarms(txn, &stage, &written.full).await?;
        note_unknown(txn, &stage).await?;
        let has_started = written.started.iter().any(|tasks| *tasks > 0);
        if has_started {
            listen::notify(txn).await?;
        }
        let answer = |slot: Slot| match slot {
            Slot::Repeat(first) => first,
            Slot::New(place, notes) => {
                Accepted { id: stage.staged[place].uuid, tasks_started: written.started[place], notes }
            }
        };
        let answers = slots.into_iter().map(|job| job.map(|slots| slots.into_iter().map(answer).collect())).collect();
        Ok(Done { answers, first: stage.staged.first().map(|staged| staged.uuid), full, has_started })
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

/// The keys of this group that were revoked since they were looked up.
async fn worthless(txn: &DatabaseTransaction, group: &[Job]) -> Result<Vec<ApiKeyId>, store::Error> {
    let key = |job: &Job| match &job.reporter {
        Reporter::Key(key) => Some((key.id, key.created_at)),
        Reporter::Console | Reporter::Inside { .. } => None,
    };
    let keys: Vec<_> = group.iter().filter_map(key).collect::<HashSet<_>>().into_iter().collect();
    if keys.is_empty() { Ok(Vec::new()) } else { access::worthless_keys(txn, &keys).await }
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
