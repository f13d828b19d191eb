//! Occurrences, and the runs they start.

use super::entity::{occurrence, run};
use super::{Result, group};
use model::id::{EventId, ObjectId, OccurrenceId, RunId, TaskId};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, FromQueryResult, Statement,
};
use std::collections::HashMap;
use uuid::Uuid;

/// A new occurrence.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `model::occurrence::Occurrence`")]
pub struct NewOccurrence {
    pub uuid: Uuid,
    pub type_id: String,
    pub event_id: String,
    pub object_id: Option<ObjectId>,
    /// The object as it was then.
    pub object_external_id: Option<String>,
    pub object_name: Option<String>,
    pub external_id: Option<String>,
    pub source: String,
    pub occurred_at: Option<Timestamp>,
    pub received_at: Timestamp,
    pub data: Option<String>,
    pub tasks_started: u32,
}

/// Stores occurrences: the id of each by its public one.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewOccurrence>) -> Result<HashMap<Uuid, OccurrenceId>> {
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
    };
    let stored = group::insert_returning(db, new.into_iter().map(row).collect()).await?;
    Ok(stored.into_iter().map(|row| (row.uuid, OccurrenceId(row.id))).collect())
}

/// A new run of a task.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its public id.
    pub uuid: Uuid,
    /// The task.
    pub task_id: TaskId,
    /// The task's name, kept by value.
    pub task_name: String,
    /// What caused it.
    pub occurrence_id: OccurrenceId,
    /// The events that named the task.
    pub event_ids: Vec<EventId>,
}

/// Stores runs that start now: the id of each by its public one.
pub async fn insert_runs(db: &impl ConnectionTrait, new: Vec<NewRun>, now: Timestamp) -> Result<HashMap<Uuid, RunId>> {
    let row = |new: NewRun| run::ActiveModel {
        id: NotSet,
        uuid: Set(new.uuid),
        task_id: Set(Some(new.task_id.0)),
        task_name: Set(new.task_name),
        occurrence_id: Set(Some(new.occurrence_id.0)),
        event_ids: Set(new.event_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
        status: Set("running".to_owned()),
        started_at: Set(now.0),
        ended_at: Set(None),
    };
    let stored = group::insert_returning(db, new.into_iter().map(row).collect()).await?;
    Ok(stored.into_iter().map(|row| (row.uuid, RunId(row.id))).collect())
}

/// A run that has just ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedRun {
    /// Its task, unless that is gone.
    pub task_id: Option<TaskId>,
    /// Whether every delivery was sent.
    pub has_succeeded: bool,
}

/// Ends those of these runs whose deliveries are all settled: `succeeded` if all were sent, else `failed`. Tasks that
/// are deleted after running are finished with them.
pub async fn end_settled_runs(db: &impl ConnectionTrait, run_ids: &[RunId], now: Timestamp) -> Result<Vec<EndedRun>> {
    #[derive(FromQueryResult)]
    struct Ended {
        task_id: Option<i64>,
        status: String,
    }
    if run_ids.is_empty() {
        return Ok(Vec::new());
    }
    let places: Vec<_> = (2..run_ids.len() + 2).map(|place| format!("${place}")).collect();
    let sql = format!(
        "UPDATE run SET ended_at = $1, status = CASE WHEN EXISTS \
         (SELECT 1 FROM delivery d WHERE d.run_id = run.id AND d.status <> 'sent') THEN 'failed' ELSE 'succeeded' END \
         WHERE id IN ({}) AND status = 'running' AND NOT EXISTS \
         (SELECT 1 FROM delivery d WHERE d.run_id = run.id AND d.status IN ('queued', 'running', 'held')) \
         RETURNING task_id, status",
        places.join(", ")
    );
    let values = std::iter::once(now.0).chain(run_ids.iter().map(|id| id.0));
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values.map(sea_orm::Value::from));
    let rows = Ended::find_by_statement(statement).all(db).await?;
    let ended: Vec<_> = rows
        .into_iter()
        .map(|row| EndedRun { task_id: row.task_id.map(TaskId), has_succeeded: row.status == "succeeded" })
        .collect();
    for run in &ended {
        if let Some(task_id) = run.task_id {
            super::task::finish_claimed(db, task_id, run.has_succeeded, now).await?;
        }
    }
    Ok(ended)
}
