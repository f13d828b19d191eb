//! Occurrences, and the runs they start.

use super::entity::{occurrence, run};
use super::{Result, delivery, group};
use model::id::{EventId, ObjectId, OccurrenceId, RunId, TagId, TaskId, WebhookId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use serde_json::Value;
use uuid::Uuid;

/// A new occurrence.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `model::occurrence::Occurrence`")]
pub struct NewOccurrence {
    pub uuid: Uuid,
    pub type_id: String,
    pub event_id: String,
    pub object_id: Option<ObjectId>,
    /// The object's external id at that time, as is its name.
    pub object_external_id: Option<String>,
    pub object_name: Option<String>,
    pub external_id: Option<String>,
    pub source: String,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub data: Option<String>,
    pub tasks_started: u32,
    /// The tags the object carried, as JSON.
    pub object_tags: Option<String>,
    /// The number of events that did not fire, by reason, as JSON.
    pub reasons: String,
    /// The number of deliveries that led to the occurrence.
    pub depth: u32,
    /// The newest revision when the occurrence was matched.
    pub revision_mark: i64,
    pub about_webhook: Option<WebhookId>,
}

/// An occurrence as stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `NewOccurrence`")]
pub struct Row {
    pub id: OccurrenceId,
    pub uuid: Uuid,
    pub type_id: String,
    pub event_id: String,
    pub object_id: Option<ObjectId>,
    pub object_external_id: Option<String>,
    pub object_name: Option<String>,
    pub external_id: Option<String>,
    pub source: String,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub data: Option<String>,
    /// The tags the object carried.
    pub object_tags: Vec<TagId>,
    pub reasons: String,
    pub depth: u32,
    pub revision_mark: i64,
    pub about_webhook: Option<WebhookId>,
}

/// JSON that cannot be parsed counts as absent, since the intake has written it.
impl From<occurrence::Model> for Row {
    fn from(row: occurrence::Model) -> Self {
        Self {
            id: OccurrenceId(row.id),
            uuid: row.uuid,
            type_id: row.type_id,
            event_id: row.event_id,
            object_id: row.object_id.map(ObjectId),
            object_external_id: row.object_external_id,
            object_name: row.object_name,
            external_id: row.external_id,
            source: row.source,
            occurred_at: row.occurred_at.map(Timestamp),
            received_at: Timestamp(row.received_at),
            data: row.data,
            object_tags: row.object_tags.and_then(|tags| serde_json::from_str(&tags).ok()).unwrap_or_default(),
            reasons: row.reasons,
            depth: u32::try_from(row.depth).unwrap_or(u32::MAX),
            revision_mark: row.revision_mark,
            about_webhook: row.about_webhook.map(WebhookId),
        }
    }
}

impl Row {
    /// Returns the parsed data. `None` if there is none.
    pub fn parse_data(&self) -> Option<Value> {
        serde_json::from_str(self.data.as_deref()?).ok()
    }
}

/// Stores occurrences and returns their ids, in the order of the occurrences.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewOccurrence>) -> Result<Vec<OccurrenceId>> {
    let row = |new: NewOccurrence| occurrence::ActiveModel {
        id: NotSet,
        uuid: Set(new.uuid),
        type_id: Set(new.type_id),
        event_id: Set(new.event_id),
        object_id: Set(new.object_id.map(|id| id.0)),
        object_external_id: Set(new.object_external_id),
        object_name: Set(new.object_name),
        external_id: Set(new.external_id),
        source: Set(new.source),
        occurred_at: Set(new.occurred_at.map(|time| time.0)),
        received_at: Set(new.received_at.0),
        data: Set(new.data),
        tasks_started: Set(new.tasks_started.into()),
        object_tags: Set(new.object_tags),
        reasons: Set(new.reasons),
        depth: Set(new.depth.into()),
        revision_mark: Set(new.revision_mark),
        about_webhook: Set(new.about_webhook.map(|id| id.0)),
    };
    let ids = group::insert_for_ids(db, new.into_iter().map(row).collect()).await?;
    Ok(ids.into_iter().map(OccurrenceId).collect())
}

/// A new run of a task.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its public id.
    pub uuid: Uuid,
    /// The task. `None` for a replay, whose outcome does not concern the task any more.
    pub task_id: Option<TaskId>,
    /// The task's name, which the run retains.
    pub task_name: String,
    /// The cause of the run.
    pub cause: Cause,
    /// The events that started the task.
    pub event_ids: Vec<EventId>,
}

/// The cause of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// An occurrence.
    Occurrence(OccurrenceId),
    /// A person, by the account's name, executes the task.
    Person(String),
    /// A person, by the account's name, sends an earlier delivery again.
    Replay(String),
}

impl Cause {
    fn columns(&self) -> (&'static str, Option<String>, Option<i64>) {
        match self {
            Self::Occurrence(id) => ("occurrence", None, Some(id.0)),
            Self::Person(name) => ("person", Some(name.clone()), None),
            Self::Replay(name) => ("replay", Some(name.clone()), None),
        }
    }
}

/// Stores runs that start now and returns their ids, in the order of the runs.
pub async fn insert_runs(db: &impl ConnectionTrait, new: Vec<NewRun>, now: Timestamp) -> Result<Vec<RunId>> {
    let row = |new: NewRun| {
        let (cause, caused_by, occurrence_id) = new.cause.columns();
        run::ActiveModel {
            id: NotSet,
            uuid: Set(new.uuid),
            task_id: Set(new.task_id.map(|id| id.0)),
            task_folded: Set(delivery::fold(&new.task_name)),
            task_name: Set(new.task_name),
            occurrence_id: Set(occurrence_id),
            cause: Set(cause.to_owned()),
            caused_by: Set(caused_by),
            event_ids: Set(new.event_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
            status: Set("running".to_owned()),
            started_at: Set(now.0),
            ended_at: Set(None),
        }
    };
    let ids = group::insert_for_ids(db, new.into_iter().map(row).collect()).await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Returns true when the end of one of these runs may change a task, since the task is deleted after running. The
/// caller then takes lock 1 first. Always false on SQLite, which has no such lock.
pub async fn ends_one_time_task(db: &impl ConnectionTrait, run_ids: &[RunId]) -> Result<bool> {
    if db.get_database_backend() != DbBackend::Postgres {
        return Ok(false);
    }
    let sql = format!(
        "SELECT 1 AS n FROM run JOIN task t ON t.id = run.task_id \
         WHERE run.id IN (SELECT r.id FROM {} r) AND t.deletes_after_running AND t.claimed_at IS NOT NULL LIMIT 1",
        group::ids_in("$1", true)
    );
    let values = [group::json_ids(run_ids.iter().map(|id| id.0))];
    Ok(db.query_one_raw(Statement::from_sql_and_values(DbBackend::Postgres, sql, values)).await?.is_some())
}

/// Ends those of these runs whose deliveries are all settled: as `succeeded` when all were sent, else as `failed`.
/// Finishes the tasks that are deleted after running.
///
/// Takes lock 6 of 10; where it finishes a task, also lock 1 unless the caller holds it, and lock 7.
pub async fn end_settled_runs(db: &impl ConnectionTrait, run_ids: &[RunId], now: Timestamp) -> Result<()> {
    #[derive(FromQueryResult)]
    struct Ended {
        task_id: Option<i64>,
        status: String,
        started_at: i64,
        claimed_at: Option<i64>,
    }
    if run_ids.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "UPDATE run SET ended_at = $1, status = CASE WHEN EXISTS \
         (SELECT 1 FROM delivery d WHERE d.run_id = run.id AND d.status <> 'sent') THEN 'failed' ELSE 'succeeded' END \
         WHERE id IN (SELECT r.id FROM {} r) AND status = 'running' AND NOT EXISTS \
         (SELECT 1 FROM delivery d WHERE d.run_id = run.id AND d.status IN ('queued', 'running', 'held')) \
         RETURNING task_id, status, started_at, \
         (SELECT t.claimed_at FROM task t WHERE t.id = run.task_id AND t.deletes_after_running) AS claimed_at",
        group::ids_in("$2", db.get_database_backend() == DbBackend::Postgres)
    );
    let values = [now.0.into(), group::json_ids(run_ids.iter().map(|id| id.0))];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    for row in Ended::find_by_statement(statement).all(db).await? {
        // Tasks that are deleted after running are rare: the statement above tells them, without a query for each run.
        if let Some(task_id) = row.task_id
            && row.claimed_at == Some(row.started_at)
        {
            let has_succeeded = row.status == "succeeded";
            super::task::finish_claimed(db, TaskId(task_id), Timestamp(row.started_at), has_succeeded, now).await?;
        }
    }
    Ok(())
}

/// Returns the occurrence with this public id.
pub async fn find(db: &impl ConnectionTrait, uuid: Uuid) -> Result<Option<Row>> {
    Ok(occurrence::Entity::find().filter(occurrence::Column::Uuid.eq(uuid)).one(db).await?.map(Row::from))
}

/// Returns the occurrence with this id.
pub async fn find_by_id(db: &impl ConnectionTrait, id: OccurrenceId) -> Result<Option<Row>> {
    Ok(occurrence::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the runs that an occurrence started.
pub async fn list_runs(db: &impl ConnectionTrait, id: OccurrenceId) -> Result<Vec<run::Model>> {
    Ok(run::Entity::find().filter(run::Column::OccurrenceId.eq(id.0)).order_by_asc(run::Column::Id).all(db).await?)
}

/// Returns the run with this id.
pub async fn find_run(db: &impl ConnectionTrait, id: RunId) -> Result<Option<run::Model>> {
    Ok(run::Entity::find_by_id(id.0).one(db).await?)
}

/// Returns the newest occurrences, newest first.
pub async fn list_newest(db: &impl ConnectionTrait, limit: u64) -> Result<Vec<Row>> {
    let rows = occurrence::Entity::find().order_by_desc(occurrence::Column::Id).limit(limit).all(db).await?;
    Ok(rows.into_iter().map(Row::from).collect())
}

/// Returns the newest occurrences of a kind since an instant, newest first.
pub async fn list_since(
    db: &impl ConnectionTrait,
    kind: (&str, &str),
    since: Timestamp,
    limit: u64,
) -> Result<Vec<Row>> {
    let rows = occurrence::Entity::find()
        .filter(occurrence::Column::TypeId.eq(kind.0))
        .filter(occurrence::Column::EventId.eq(kind.1))
        .filter(occurrence::Column::ReceivedAt.gte(since.0))
        // By the index of instants, so that no older row is read.
        .order_by_desc(occurrence::Column::ReceivedAt)
        .order_by_desc(occurrence::Column::Id)
        .limit(limit)
        .all(db)
        .await?;
    Ok(rows.into_iter().map(Row::from).collect())
}
