//! An occurrence in: matched, its runs started, its deliveries rendered and queued, all in one transaction.
//!
//! What this answers is durable: the caller may say 202 once [`Intake::accept`] has returned.

use crate::clock::{Clock, new_uuid};
use crate::render;
use crate::store::access::ApiKey;
use crate::store::delivery::NewDelivery;
use crate::store::occurrence::NewOccurrence;
use crate::store::{self, Store, event, object, task, webhook};
use jiff::tz::TimeZone;
use model::delivery::ErrorCode;
use model::event::EventScope;
use model::field_error::FieldErrors;
use model::id::{EventId, ObjectId, TaskId};
use model::message::Variables;
use model::occurrence::{ObjectReference, Occurrence};
use model::time::Timestamp;
use sea_orm::DatabaseTransaction;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::sync::Notify;
use uuid::Uuid;

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong items; nothing of the batch was stored.
    #[error(transparent)]
    Invalid(#[from] FieldErrors),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
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
    store: Store,
    clock: Clock,
    zone: TimeZone,
    /// Rung when something was queued.
    bell: Arc<Notify>,
}

/// The object of an occurrence as it is known now.
struct Subject {
    id: ObjectId,
    external_id: Option<String>,
    name: String,
}

impl Intake {
    /// An intake into this store.
    pub fn new(store: Store, clock: Clock, zone: TimeZone, bell: Arc<Notify>) -> Self {
        Self { store, clock, zone, bell }
    }

    /// Accepts a batch from the system with this key: all of it, or nothing.
    pub async fn accept(&self, key: &ApiKey, batch: Vec<Occurrence>) -> Result<Vec<Accepted>, Error> {
        let is_batch = batch.len() > 1;
        let txn = self.store.begin().await?;
        let mut accepted = Vec::with_capacity(batch.len());
        for (place, occurrence) in batch.into_iter().enumerate() {
            let path = if is_batch { format!("[{place}].") } else { String::new() };
            accepted.push(self.accept_one(&txn, key, occurrence, &path).await?);
        }
        txn.commit().await.map_err(store::Error::from)?;
        if accepted.iter().any(|one| one.tasks_started > 0) {
            self.bell.notify_one();
        }
        Ok(accepted)
    }

    async fn accept_one(
        &self,
        txn: &DatabaseTransaction,
        key: &ApiKey,
        occurrence: Occurrence,
        path: &str,
    ) -> Result<Accepted, Error> {
        let now = self.clock.now();
        if occurrence.type_id == "users" {
            let message = "Occurrences about users come from the console itself, not from outside.";
            return Err(FieldErrors::one(format!("{path}type"), message).into());
        }
        let subject = match &occurrence.object {
            Some(reference) => Some(know(txn, &occurrence.type_id, reference, path, now).await?),
            None => None,
        };
        let mut started = match_tasks(txn, &occurrence, subject.as_ref()).await?;
        claim_one_time(txn, &mut started, now).await?;
        let uuid = new_uuid(now);
        let new = NewOccurrence {
            uuid,
            type_id: occurrence.type_id.clone(),
            event_id: occurrence.event_id.clone(),
            object_id: subject.as_ref().map(|subject| subject.id),
            object_external_id: subject.as_ref().and_then(|subject| subject.external_id.clone()),
            object_name: subject.as_ref().map(|subject| subject.name.clone()),
            external_id: occurrence.external_id.clone(),
            source: occurrence.source.clone().unwrap_or_else(|| key.name.clone()),
            occurred_at: occurrence.time,
            received_at: now,
            data: occurrence.data.as_ref().map(ToString::to_string),
            tasks_started: u32::try_from(started.len()).unwrap_or(u32::MAX),
        };
        let tasks_started = new.tasks_started;
        let occurrence_id = store::occurrence::insert(txn, new).await?;
        let ids: Vec<_> = started.values().map(|(task, _)| task.task.webhook_id.0).collect();
        let webhooks = webhook::find_many(txn, ids).await?;
        let mut deliveries = Vec::with_capacity(started.len());
        for (task_id, (task, event_ids)) in started {
            let Some(webhook) = webhooks.get(&task.task.webhook_id) else { continue };
            let run_uuid = new_uuid(now);
            let run_id =
                store::occurrence::insert_run(txn, run_uuid, task_id, &task.task.name, occurrence_id, &event_ids, now)
                    .await?;
            let delivery_uuid = new_uuid(now);
            let (body, failed) =
                match self.render(&task.task, webhook, &occurrence, subject.as_ref(), delivery_uuid, now) {
                    Ok(body) => (body.into_bytes(), None),
                    Err(error) => (Vec::new(), Some((ErrorCode::TooLarge, error.to_string()))),
                };
            deliveries.push(NewDelivery {
                uuid: delivery_uuid,
                run_id,
                webhook_id: webhook.id,
                webhook_name: webhook.name.clone(),
                task_name: task.task.name.clone(),
                type_id: occurrence.type_id.clone(),
                event_id: occurrence.event_id.clone(),
                object_name: subject.as_ref().map(|subject| subject.name.clone()),
                body,
                failed,
            });
        }
        let failed_runs: Vec<_> =
            deliveries.iter().filter(|delivery| delivery.failed.is_some()).map(|delivery| delivery.run_id).collect();
        store::delivery::insert_many(txn, deliveries, now).await?;
        store::occurrence::end_settled_runs(txn, &failed_runs, now).await?;
        Ok(Accepted { id: uuid, tasks_started })
    }

    fn render(
        &self,
        task: &model::task::Task,
        webhook: &webhook::Row,
        occurrence: &Occurrence,
        subject: Option<&Subject>,
        id: Uuid,
        now: Timestamp,
    ) -> Result<String, model::message::TooLarge> {
        let variables = Variables {
            date: &render::date(now, &self.zone),
            timestamp: now.as_seconds(),
            name: subject.map_or(task.name.as_str(), |subject| subject.name.as_str()),
            type_id: &occurrence.type_id,
            event_id: &occurrence.event_id,
            object_id: subject.and_then(|subject| subject.external_id.as_deref()).unwrap_or_default(),
            task: &task.name,
            id: &id.to_string(),
            data: occurrence.data.as_ref(),
        };
        let content_type = webhook.headers.find("content-type");
        render::message(&task.message, content_type, &variables).map(|rendered| rendered.body)
    }
}

/// Finds the object an occurrence names, by external id first, then by a unique name; makes or renames it.
async fn know(
    txn: &DatabaseTransaction,
    type_id: &str,
    reference: &ObjectReference,
    path: &str,
    now: Timestamp,
) -> Result<Subject, Error> {
    let by_id = match &reference.external_id {
        Some(id) => object::find_by_external_id(txn, type_id, id).await?,
        None => None,
    };
    let found = match (by_id, &reference.name) {
        (Some(row), _) => Some(row),
        (None, Some(name)) => by_name(txn, type_id, name, reference.external_id.is_some(), path).await?,
        (None, None) => None,
    };
    let name = reference.name.as_ref().or(reference.external_id.as_ref()).cloned().unwrap_or_default();
    let Some(mut row) = found else {
        let id = object::insert(txn, type_id, reference.external_id.as_deref(), &name, now).await?;
        return Ok(Subject { id, external_id: reference.external_id.clone(), name });
    };
    let before = row.clone();
    if let Some(name) = &reference.name {
        row.name.clone_from(name);
    }
    if row.external_id.is_none() {
        row.external_id.clone_from(&reference.external_id);
    }
    if row != before {
        object::update(txn, &row, now).await?;
    }
    Ok(Subject { id: row.id, external_id: row.external_id, name: row.name })
}

/// The one object with this name. A reference that also carries an id never takes over an object with another id.
async fn by_name(
    txn: &DatabaseTransaction,
    type_id: &str,
    name: &str,
    has_id: bool,
    path: &str,
) -> Result<Option<object::Row>, Error> {
    let mut rows = object::find_by_name(txn, type_id, name).await?;
    if has_id {
        rows.retain(|row| row.external_id.is_none());
    }
    if rows.len() > 1 {
        let message = "Several objects have this name. Name the one that is meant by its id.";
        return Err(FieldErrors::one(format!("{path}object.name"), message).into());
    }
    Ok(rows.pop())
}

/// Claims the tasks that are deleted after running; those that somebody has claimed before are not started.
async fn claim_one_time(
    txn: &DatabaseTransaction,
    started: &mut BTreeMap<TaskId, (task::Row, Vec<EventId>)>,
    now: Timestamp,
) -> Result<(), Error> {
    let one_time = started.iter().filter(|(_, (row, _))| row.task.deletes_after_running).map(|(id, _)| *id);
    for id in one_time.collect::<Vec<_>>() {
        if !task::claim(txn, id, now).await? {
            started.remove(&id);
        }
    }
    Ok(())
}

/// The enabled tasks this occurrence starts, each with the events that named it.
async fn match_tasks(
    txn: &DatabaseTransaction,
    occurrence: &Occurrence,
    subject: Option<&Subject>,
) -> Result<BTreeMap<TaskId, (task::Row, Vec<EventId>)>, Error> {
    let events = event::list_enabled(txn, vec![occurrence.type_id.clone()]).await?;
    let mut fired: BTreeMap<TaskId, Vec<EventId>> = BTreeMap::new();
    for row in events {
        let is_in_scope = match row.event.scope {
            EventScope::Any => true,
            EventScope::Object(id) => subject.is_some_and(|subject| subject.id == id),
        };
        if row.event.event_id == occurrence.event_id && is_in_scope {
            fired.entry(row.event.task_id).or_default().push(row.id);
        }
    }
    let ids: BTreeSet<_> = fired.keys().map(|id| id.0).collect();
    let mut tasks = task::find_many(txn, ids.into_iter().collect()).await?;
    let start = |(id, events): (TaskId, Vec<EventId>)| {
        let task = tasks.remove(&id).filter(|row| row.task.is_enabled)?;
        Some((id, (task, events)))
    };
    Ok(fired.into_iter().filter_map(start).collect())
}
