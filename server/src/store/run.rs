//! Runs of tasks: starting, ending and reading them.

use super::entity::{occurrence, run};
use super::{Result, delivery, group};
use model::id::{EventId, OccurrenceId, RunId, TaskId};
use model::run::{Cause, Status};
use model::time::Timestamp;
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Statement,
};
use uuid::Uuid;

/// A new run of a task.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// The public id of the run.
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

/// A run as stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are those of `NewRun`")]
pub struct Row {
    pub id: RunId,
    pub task_id: Option<TaskId>,
    pub task_name: String,
    /// `None` when the stored cause cannot be read.
    pub cause: Option<Cause>,
    pub event_ids: Vec<EventId>,
    /// `None` when the stored status cannot be read.
    pub status: Option<Status>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// The runs that a missed one stands for, as a sentence.
    pub note: Option<String>,
}

impl From<run::Model> for Row {
    fn from(row: run::Model) -> Self {
        Self {
            id: RunId(row.id),
            task_id: row.task_id.map(TaskId),
            task_name: row.task_name,
            cause: read_cause(&row.cause, row.caused_by, row.occurrence_id),
            event_ids: row.event_ids.split(',').filter_map(|id| id.parse().ok()).collect(),
            status: Status::find(&row.status),
            started_at: Timestamp(row.started_at),
            ended_at: row.ended_at.map(Timestamp),
            note: row.note,
        }
    }
}

/// Returns the columns of a cause: its word, the name of the person or the schedule, the occurrence.
fn cause_columns(cause: Cause) -> (&'static str, Option<String>, Option<i64>) {
    match cause {
        Cause::Occurrence(id) => ("occurrence", None, id.map(|id| id.0)),
        Cause::Schedule(name) => ("schedule", Some(name), None),
        Cause::Person(name) => ("person", Some(name), None),
        Cause::Replay(name) => ("replay", Some(name), None),
    }
}

fn read_cause(word: &str, name: Option<String>, occurrence_id: Option<i64>) -> Option<Cause> {
    match (word, name, occurrence_id) {
        ("occurrence", _, id) => Some(Cause::Occurrence(id.map(OccurrenceId))),
        ("schedule", Some(name), _) => Some(Cause::Schedule(name)),
        ("person", Some(name), _) => Some(Cause::Person(name)),
        ("replay", Some(name), _) => Some(Cause::Replay(name)),
        _ => None,
    }
}

/// Stores runs that start now and returns their ids, in the order of the runs.
pub async fn insert_many(db: &impl ConnectionTrait, new: Vec<NewRun>, now: Timestamp) -> Result<Vec<RunId>> {
    let rows = new.into_iter().map(|new| columns(new, Status::Running, now)).collect();
    let ids = group::insert_for_ids(db, rows).await?;
    Ok(ids.into_iter().map(RunId).collect())
}

/// Stores runs that were missed, each of which stands for all that its task has missed. The note says which.
pub async fn insert_missed(db: &impl ConnectionTrait, new: Vec<NewRun>, note: &str, now: Timestamp) -> Result<()> {
    let row = |new| run::ActiveModel {
        ended_at: Set(Some(now.0)),
        note: Set(Some(note.to_owned())),
        ..columns(new, Status::Missed, now)
    };
    group::insert(db, new.into_iter().map(row).collect(), None).await?;
    Ok(())
}

fn columns(new: NewRun, status: Status, now: Timestamp) -> run::ActiveModel {
    let (cause, caused_by, occurrence_id) = cause_columns(new.cause);
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
        status: Set(status.as_str().to_owned()),
        started_at: Set(now.0),
        ended_at: Set(None),
        note: Set(None),
    }
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
pub async fn end_settled(db: &impl ConnectionTrait, run_ids: &[RunId], now: Timestamp) -> Result<()> {
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
            let has_succeeded = Status::find(&row.status) == Some(Status::Succeeded);
            super::task::finish_claimed(db, TaskId(task_id), Timestamp(row.started_at), has_succeeded, now).await?;
        }
    }
    Ok(())
}

/// Returns the run with this id.
pub async fn find(db: &impl ConnectionTrait, id: RunId) -> Result<Option<Row>> {
    Ok(run::Entity::find_by_id(id.0).one(db).await?.map(Row::from))
}

/// Returns the runs that the occurrence with this public id started.
pub async fn list_started_by(db: &impl ConnectionTrait, occurrence: Uuid) -> Result<Vec<Row>> {
    let id = occurrence::Entity::find()
        .select_only()
        .column(occurrence::Column::Id)
        .filter(occurrence::Column::Uuid.eq(occurrence))
        .into_query();
    let query = run::Entity::find().filter(run::Column::OccurrenceId.in_subquery(id)).order_by_asc(run::Column::Id);
    Ok(query.all(db).await?.into_iter().map(Row::from).collect())
}
